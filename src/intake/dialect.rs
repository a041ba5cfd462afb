//! How clients want to be answered: the status, the headers and the body each of them reads.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::endpoint::Call;
use super::refusal::Refusal;
use super::sender::header;
use crate::domain::id::EventId;
use crate::domain::text::bounded;
use crate::protocol::hoptoad;

/// Whose clients they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Sentry's. Source: its "transport": a JSON body with `detail` and `causes`,
    /// `X-Sentry-Error`; 403 for an unknown key or project, 413 for too large, 429 with
    /// `Retry-After` and `X-Sentry-Rate-Limits`.
    Sentry,
    /// Airbrake's. Source: airbrake-ruby (`response.rb`, `sync_sender.rb`), where 201 alone is
    /// success, a refusal is JSON with `message`, and 400, 403 and 408 are sent again and again:
    /// so what is wrong for good is 401, 413 or 422.
    Airbrake,
    /// Those of Airbrake's version 2: XML both ways, 422 for what is wrong for good. The connection
    /// ends with each answer: where a client counted its body in characters, what comes next is
    /// the rest of the body and no request.
    Hoptoad,
}

/// Categories Airlock does not keep, told to SDKs on success so that they stop sending them.
const UNKEPT: &str = "3600:transaction;span;session;profile;profile_chunk;replay;log_item;\
trace_metric;monitor:organization:unsupported";

const X_SENTRY_ERROR: HeaderName = HeaderName::from_static("x-sentry-error");
const X_SENTRY_RATE_LIMITS: HeaderName = HeaderName::from_static("x-sentry-rate-limits");
const X_RATELIMIT_DELAY: HeaderName = HeaderName::from_static("x-ratelimit-delay");

const XML: &str = "text/xml; charset=utf-8";

/// How pybrake names itself: as the library it sends with.
const PYBRAKE: &str = "Python-urllib/";

impl Dialect {
    /// The answer to a report that is durable.
    pub(super) fn accept(self, call: &Call<'_>, id: Option<EventId>) -> HttpResponse {
        match self {
            Self::Sentry => {
                let body = id.map_or_else(|| json!({}), |id| json!({ "id": id.to_string() }));
                HttpResponse::Ok().insert_header((X_SENTRY_RATE_LIMITS, UNKEPT)).json(body)
            }
            Self::Airbrake => {
                let id = id.map(|id| id.to_string());
                let url = id.as_deref().map(|id| address_of(call, id));
                HttpResponse::Created().json(json!({ "id": id, "url": url }))
            }
            Self::Hoptoad => {
                let id = id.map(|id| id.to_string()).unwrap_or_default();
                let body = hoptoad::accepted(&id, &address_of(call, &id));
                HttpResponse::Ok().force_close().content_type(XML).body(body)
            }
        }
    }

    /// The answer to a report that is not taken.
    pub(super) fn refuse(self, refusal: &Refusal, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Sentry => refuse_sentry(refusal),
            Self::Airbrake => refuse_airbrake(refusal, request),
            Self::Hoptoad => refuse_hoptoad(refusal),
        }
    }
}

/// Where an event can be looked at.
fn address_of(call: &Call<'_>, id: &str) -> String {
    let public = call.intake.public_url.trim_end_matches('/');
    let project = call.sender.as_ref().map_or(0, |sender| sender.project_id.0);
    format!("{public}/api/v1/projects/{project}/events/{id}")
}

fn refuse_airbrake(refusal: &Refusal, request: &HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::build(of_airbrake(refusal.status));
    if let Some(after) = refusal.retry_after {
        let seconds = whole_seconds(after);
        response.insert_header((RETRY_AFTER, seconds));
        // pybrake 1.10 reads the body a second time when it sees this header, and throws the
        // JSON error of the empty rest into the application. Without it, only the report is lost.
        if !header(request, &USER_AGENT).is_some_and(|agent| agent.starts_with(PYBRAKE)) {
            response.insert_header((X_RATELIMIT_DELAY, seconds));
        }
    }
    response.json(json!({ "message": refusal.detail }))
}

fn refuse_hoptoad(refusal: &Refusal) -> HttpResponse {
    let status = match of_airbrake(refusal.status) {
        StatusCode::UNAUTHORIZED => StatusCode::UNPROCESSABLE_ENTITY,
        status => status,
    };
    let mut response = HttpResponse::build(status);
    if let Some(after) = refusal.retry_after {
        response.insert_header((RETRY_AFTER, whole_seconds(after)));
    }
    response.force_close().content_type(XML).body(hoptoad::refused(&refusal.detail))
}

/// Airbrake's status for one of Sentry's.
fn of_airbrake(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::FORBIDDEN => StatusCode::UNAUTHORIZED,
        StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        status => status,
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
        let all = || format!("{seconds}::organization:{}", refusal.code);
        let limits = refusal.limits.clone().unwrap_or_else(all);
        response.insert_header((X_SENTRY_RATE_LIMITS, limits));
    }
    response.json(json!({ "detail": refusal.detail, "causes": [refusal.code] }))
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}
