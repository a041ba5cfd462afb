//! Refusals, in the form SDKs expect.
//!
//! Source: Sentry's "transport": a JSON body with `detail` and `causes`, `X-Sentry-Error`; 403 for
//! an unknown key or project, 413 for too large, 429 with `Retry-After` and `X-Sentry-Rate-Limits`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use crate::domain::text::bounded;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status.
    pub(super) status: StatusCode,
    /// The reason as a stable word, for counting.
    pub(super) code: &'static str,
    /// The reason in words.
    pub(super) detail: String,
    /// When to come again, for 429.
    pub(super) retry_after: Option<Duration>,
}

/// Pause asked for when a report cannot be taken.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(10);

pub(super) const X_SENTRY_ERROR: HeaderName = HeaderName::from_static("x-sentry-error");
pub(super) const X_SENTRY_RATE_LIMITS: HeaderName = HeaderName::from_static("x-sentry-rate-limits");

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl ToString) -> Self {
        Self { status, code, detail: detail.to_string(), retry_after: None }
    }

    pub(super) fn malformed(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(super) fn too_large(detail: impl ToString) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub(super) fn forbidden(code: &'static str, detail: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(super) fn later(code: &'static str, detail: impl ToString, after: Duration) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail);
        Self { retry_after: Some(after), ..refusal }
    }

    pub(super) fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        // A header holds visible ASCII only; the body has the whole text.
        let ascii: String = self
            .detail
            .chars()
            .map(|one| if one.is_ascii_graphic() || one == ' ' { one } else { '?' })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&bounded(&ascii, 200).replace('…', "...")) {
            response.insert_header((X_SENTRY_ERROR, value));
        }
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs().max(1);
            response.insert_header((header::RETRY_AFTER, seconds));
            // No categories: everything is limited.
            let limits = format!("{seconds}::organization:{}", self.code);
            response.insert_header((X_SENTRY_RATE_LIMITS, limits));
        }
        response.json(serde_json::json!({ "detail": self.detail, "causes": [self.code] }))
    }
}
