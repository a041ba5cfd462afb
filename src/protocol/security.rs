//! What browsers report by themselves: violations of a page's policies, and network errors.
//!
//! A body holds one report (`{"csp-report": …}` and its like, posted to a `report-uri`) or a list
//! of them (the Reporting API, and NEL). Intake parts them, [`parse_report`] makes an event of one.
//! Browsers send whatever extensions and middleboxes do to a page, so a report is a warning, and
//! what makes it the same as others is the rule and the host that broke it, not the whole address.
//!
//! Source: "CSP Level 3", "Reporting API", "Network Error Logging", RFC 9163 (`Expect-CT`), RFC 7469
//! (HPKP), and how Sentry words them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::lenient::{self, Object};
use super::sentry::{self, InvalidEvent, Outline, Received};
use crate::domain::time::Timestamp;

mod csp;
mod network;

/// Reports that are taken from one body.
pub const MOST_REPORTS: usize = 100;

/// What is known of a report from the request that brought it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Surroundings {
    /// `sentry_environment` in the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `sentry_release` in the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The reports of a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Reports {
    /// The JSON of each with its surroundings: what [`parse_report`] reads.
    pub payloads: Vec<Vec<u8>>,
    /// How many more there were.
    pub n_left_out: usize,
}

#[derive(Serialize)]
struct Wrapped<'a> {
    report: &'a RawValue,
    #[serde(flatten)]
    surroundings: &'a Surroundings,
}

/// Parts the reports of a body, at most [`MOST_REPORTS`].
///
/// # Errors
/// When the body is neither a JSON object nor a list.
pub fn split(body: &[u8], surroundings: &Surroundings) -> Result<Reports, serde_json::Error> {
    let mut reports: Vec<&RawValue> = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(body)?,
        Some(b'{') => vec![serde_json::from_slice(body)?],
        _ => return Err(serde::de::Error::custom("neither an object nor a list")),
    };
    let n_left_out = reports.len().saturating_sub(MOST_REPORTS);
    reports.truncate(MOST_REPORTS);
    let wrap = |report: &RawValue| serde_json::to_vec(&Wrapped { report, surroundings });
    let payloads = reports.into_iter().map(wrap).collect::<Result<_, _>>()?;
    Ok(Reports { payloads, n_left_out })
}

/// Reads one report as [`split`] hands it out.
///
/// # Errors
/// When the payload is not a JSON object.
pub fn parse_report<'a>(
    bytes: &[u8],
    received: &Received<'a>,
) -> Result<Outline<'a>, InvalidEvent> {
    let (wrapped, budget) = sentry::object(bytes, received)?;
    let mut wrapped = Object::from(wrapped);
    let report = lenient::take(&mut wrapped, "report").and_then(lenient::object);
    let mut finding = find(report.unwrap_or_default(), received);
    let agent = finding.user_agent.take().or_else(|| lenient::take(&mut wrapped, "user_agent"));
    let url = finding.url.take();
    let payload = json!({
        "platform": "javascript",
        "level": "warning",
        "logger": finding.logger,
        "message": finding.message,
        "transaction": finding.culprit,
        "fingerprint": finding.fingerprint,
        "csp": finding.csp,
        "tags": finding.tags,
        "timestamp": finding.timestamp,
        "environment": lenient::take(&mut wrapped, "environment"),
        "release": lenient::take(&mut wrapped, "release"),
        "request": {
            "url": url,
            "headers": {"User-Agent": agent, "Referer": finding.referrer},
        },
        "extra": finding.report,
    });
    let payload = lenient::object(payload).unwrap_or_default();
    Ok(Outline::of(payload.into(), received, budget))
}

/// What a report says, whichever kind it is.
#[derive(Default)]
struct Finding {
    logger: &'static str,
    message: String,
    culprit: Option<String>,
    fingerprint: Vec<String>,
    csp: Value,
    tags: Object,
    url: Option<Value>,
    referrer: Option<Value>,
    user_agent: Option<Value>,
    timestamp: Option<Value>,
    /// Everything that was reported.
    report: Object,
}

/// Reports that stand alone in an object under their own name.
const NAMED: &[(&str, &str, &str)] = &[
    ("expect-ct-report", "expect-ct", "Expect-CT failed"),
    ("expect-staple-report", "expect-staple", "Expect-Staple failed"),
];

fn find(mut report: Object, received: &Received<'_>) -> Finding {
    let mut take = |name: &str| lenient::take(&mut report, name).and_then(lenient::object);
    if let Some(body) = take("csp-report") {
        return csp::find(body);
    }
    for (name, logger, what) in NAMED {
        if let Some(body) = take(name) {
            return of_host(body, logger, what);
        }
    }
    if report.contains_key("known-pins") || report.contains_key("noted-hostname") {
        return of_host(report, "hpkp", "Public key pinning failed");
    }
    of_reporting_api(report, received)
}

/// `{"type", "age", "url", "user_agent", "body"}`.
fn of_reporting_api(mut report: Object, received: &Received<'_>) -> Finding {
    let kind = lenient::take_text(&mut report, "type").unwrap_or_default();
    let body = lenient::take(&mut report, "body").and_then(lenient::object).unwrap_or_default();
    let url = lenient::take(&mut report, "url");
    let mut finding = match kind.as_str() {
        "csp-violation" => csp::find(body),
        "network-error" => network::find(body, url.as_ref()),
        kind => of_other_type(kind, body),
    };
    finding.url = finding.url.or(url);
    finding.user_agent = lenient::take(&mut report, "user_agent");
    finding.timestamp = lenient::take_integer(&mut report, "age")
        .filter(|age| *age > 0)
        .and_then(|age_ms| age_ms.checked_mul(1_000))
        .and_then(|age| received.received_at.as_micros().checked_sub(age))
        .map(|at| Timestamp::from_micros(at).to_string().into());
    finding
}

/// A failed check of a host's certificate.
fn of_host(body: Object, logger: &'static str, what: &str) -> Finding {
    let host = body.get("hostname").cloned().and_then(lenient::text).unwrap_or_default();
    let port = body.get("port").and_then(lenient::integer).filter(|port| *port != 443);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Finding {
        logger,
        message: format!("{what} for '{host}'"),
        culprit: Some(host.clone()),
        tags: tags([("hostname", Some(host.clone()))]),
        url: Some(format!("https://{host}{port}/").into()),
        fingerprint: vec![logger.to_owned(), host],
        report: body,
        ..Finding::default()
    }
}

/// `deprecation`, `intervention`, `crash`, and what browsers invent next.
fn of_other_type(kind: &str, body: Object) -> Finding {
    let text = |name: &str| body.get(name).cloned().and_then(lenient::text);
    let kind = if kind.is_empty() { "report" } else { kind };
    let what = text("message").or_else(|| text("reason"));
    Finding {
        logger: "browser",
        message: match &what {
            Some(what) => format!("{kind}: {what}"),
            None => format!("{kind} without a message"),
        },
        culprit: text("sourceFile"),
        fingerprint: vec![kind.to_owned(), text("id").or(what).unwrap_or_default()],
        tags: tags([("type", Some(kind.to_owned()))]),
        report: body,
        ..Finding::default()
    }
}

fn tags<const N: usize>(tags: [(&str, Option<String>); N]) -> Object {
    let tags = tags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    tags.collect()
}

/// The host of an address with its port; what is no address stays as it is.
fn host_of(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.split_once(':').map_or(address, |(scheme, _)| scheme).to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if matches!(scheme, "http" | "https") { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// An address without its query: queries hold what is nobody's business in a tag.
fn without_query(address: &str) -> String {
    address.split(['?', '#']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
