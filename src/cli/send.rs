//! `airlock send`: a test report through the real intake, as an application would send it.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use super::Context;
use super::client::{exchange, foreign, http};
use super::failure::Failure;
use super::text::one_line;
use crate::domain::event::Level;
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::protocol::dsn::Dsn;

const SDK: &str = "airlock-cli";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The address to report to, as `airlock project keys` shows it
    #[arg(value_name = "DSN")]
    dsn: Dsn,
    /// What to report
    #[arg(long, value_name = "TEXT", default_value = "A test report from airlock send")]
    message: String,
    /// How bad it is
    #[arg(
        long,
        default_value = "error",
        value_parser = PossibleValuesParser::new(["debug", "info", "warning", "error", "fatal"])
            .map(|name| Level::parse(&name).unwrap_or_default())
    )]
    level: Level,
    /// The release that reports it
    #[arg(long, value_name = "VERSION")]
    release: Option<String>,
    /// Where it happened
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

pub(super) async fn run(context: &Context, args: SendArgs) -> Result<(), Failure> {
    let dsn = &args.dsn;
    let event_id = EventId(context.clock.id());
    let endpoint = dsn.endpoint("envelope");
    let wrong = |_| Failure::Usage(format!("no report can be sent to {}", one_line(&endpoint)));
    let url: Url = endpoint.parse().map_err(wrong)?;
    let key = &dsn.public_key;
    let auth = format!("Sentry sentry_version=7, sentry_client={SDK}/{VERSION}, sentry_key={key}");
    let request = http(&url)?
        .post(url.clone())
        .header("X-Sentry-Auth", auth)
        .header(CONTENT_TYPE, "application/x-sentry-envelope")
        .body(envelope(event_id, context.clock.now(), &args));
    let (status, body) = exchange(&url, request).await?;
    let accepted = judge(&url, status, body)?;
    context.output.result(&accepted, |_| format!("{event_id}\n"))?;
    context.output.hint("accepted; in a moment it is among: airlock issues PROJECT");
    Ok(())
}

/// The report as Sentry's envelope: its header, the item's header, the item.
fn envelope(event_id: EventId, now: Timestamp, args: &SendArgs) -> String {
    let host = rustix::system::uname();
    let event = json!({
        "event_id": event_id,
        "timestamp": now,
        "level": args.level,
        "platform": "other",
        "logger": SDK,
        "message": { "formatted": args.message },
        "release": args.release,
        "environment": args.environment,
        "server_name": host.nodename().to_str().ok().filter(|name| !name.is_empty()),
        "sdk": { "name": SDK, "version": VERSION },
    });
    let event = event.to_string();
    let header = json!({ "event_id": event_id, "sent_at": now, "dsn": args.dsn.to_string() });
    let item = json!({ "type": "event", "length": event.len() });
    format!("{header}\n{item}\n{event}\n")
}

/// What the answer of an intake means: it is Sentry's, with `detail` in refusals.
fn judge(url: &Url, status: StatusCode, body: Option<Value>) -> Result<Value, Failure> {
    let said = |name: &str| body.as_ref()?.get(name)?.as_str().map(one_line);
    if status.is_success() && said("id").is_some() {
        return Ok(body.unwrap_or_default());
    }
    let detail = said("detail").filter(|_| status.is_client_error());
    Err(match (status, detail) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(detail)) => {
            Failure::Usage(format!("{detail}; is the DSN right, and its key active?"))
        }
        (_, Some(detail)) => Failure::Unfinished(format!("the report is refused: {detail}")),
        (status, None) => foreign(url, status),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_one_that_intake_reads() {
        let dsn = "http://a1b2@127.0.0.1:8460/1".parse().expect("a DSN");
        let args = SendArgs {
            dsn,
            message: "two\nlines".to_owned(),
            level: Level::Warning,
            release: Some("1.4.2".to_owned()),
            environment: None,
        };
        let event_id = EventId::parse("c76085e7ee72463e94764d80b9534fff").expect("an id");
        let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        let envelope = envelope(event_id, now, &args);
        let lines: Vec<&str> = envelope.lines().collect();
        assert_eq!(lines.len(), 3);
        let [header, item, event] =
            [0, 1, 2].map(|line| serde_json::from_str::<Value>(lines[line]).expect("JSON"));
        assert_eq!(header["event_id"], "c76085e7ee72463e94764d80b9534fff");
        assert_eq!(item["length"], lines[2].len());
        assert_eq!(event["message"]["formatted"], "two\nlines");
        assert_eq!(event["level"], "warning");
        assert_eq!((&event["release"], &event["environment"]), (&json!("1.4.2"), &Value::Null));
    }

    #[test]
    fn what_intake_answers() {
        let url: Url = "http://127.0.0.1:8460/api/1/envelope/".parse().expect("a URL");
        for (status, body, expected) in [
            (200, Some(json!({ "id": "c7" })), Ok(())),
            (200, None, Err(5)),
            (200, Some(json!({})), Err(5)),
            (403, Some(json!({ "detail": "unknown key" })), Err(2)),
            (403, None, Err(5)),
            (413, Some(json!({ "detail": "too large" })), Err(1)),
            (429, Some(json!({ "detail": "later" })), Err(1)),
            (503, Some(json!({ "detail": "away" })), Err(5)),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let done = judge(&url, status, body).map(|_| ()).map_err(|why| why.exit_code());
            assert_eq!(done, expected, "{status}");
        }
    }
}
