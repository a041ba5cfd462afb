//! Why a report is not taken. How that is said is [`super::dialect`]'s.

use std::time::Duration;

use actix_web::http::StatusCode;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status, as Sentry has it.
    pub(super) status: StatusCode,
    /// The reason as a stable word, for counting.
    pub(super) code: &'static str,
    /// The reason in words.
    pub(super) detail: String,
    /// When to come again, for 429.
    pub(super) retry_after: Option<Duration>,
    /// What is limited, as `X-Sentry-Rate-Limits` has it; everything when it is not said.
    pub(super) limits: Option<String>,
}

/// Pause asked for when a report cannot be taken.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(10);

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl ToString) -> Self {
        Self { status, code, detail: detail.to_string(), retry_after: None, limits: None }
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
}
