//! How clients want to be answered: the status, the headers and the body each of them reads.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::refusal::Refusal;
use crate::domain::id::EventId;
use crate::domain::text::bounded;

/// Whose clients they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Sentry's. Source: its "transport": a JSON body with `detail` and `causes`,
    /// `X-Sentry-Error`; 403 for an unknown key or project, 413 for too large, 429 with
    /// `Retry-After` and `X-Sentry-Rate-Limits`.
    Sentry,
}

/// Categories Airlock does not keep, told to SDKs on success so that they stop sending them.
const UNKEPT: &str = "3600:transaction;span;session;profile;profile_chunk;replay;log_item;\
trace_metric;monitor:organization:unsupported";

const X_SENTRY_ERROR: HeaderName = HeaderName::from_static("x-sentry-error");
const X_SENTRY_RATE_LIMITS: HeaderName = HeaderName::from_static("x-sentry-rate-limits");

impl Dialect {
    /// The answer to a report that is durable.
    pub(super) fn accept(self, id: Option<EventId>) -> HttpResponse {
        match self {
            Self::Sentry => {
                let body = id.map_or_else(|| json!({}), |id| json!({ "id": id.to_string() }));
                HttpResponse::Ok().insert_header((X_SENTRY_RATE_LIMITS, UNKEPT)).json(body)
            }
        }
    }

    /// The answer to a report that is not taken.
    pub(super) fn refuse(self, refusal: &Refusal, _request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Sentry => refuse_sentry(refusal),
        }
    }
}

fn refuse_sentry(refusal: &Refusal) -> HttpResponse {
    let mut response = HttpResponse::build(refusal.status);
    // A header holds visible ASCII only; the body has the whole text.
    let ascii: String = refusal
        .detail
        .chars()
        .map(|one| if one.is_ascii_graphic() || one == ' ' { one } else { '?' })
        .collect();
    if let Ok(value) = HeaderValue::from_str(&bounded(&ascii, 200).replace('…', "...")) {
        response.insert_header((X_SENTRY_ERROR, value));
    }
    if let Some(after) = refusal.retry_after {
        let seconds = whole_seconds(after);
        response.insert_header((RETRY_AFTER, seconds));
        // No categories: everything is limited.
        let limits = format!("{seconds}::organization:{}", refusal.code);
        response.insert_header((X_SENTRY_RATE_LIMITS, limits));
    }
    response.json(json!({ "detail": refusal.detail, "causes": [refusal.code] }))
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}
