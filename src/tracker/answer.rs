//! What trackers say with their answers, besides what was asked.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LINK, RETRY_AFTER};
use serde_json::Value;

use crate::domain::time::Timestamp;

/// How many requests are left, and when there are more again, in seconds since the epoch.
const LEFT: [&str; 2] = ["X-RateLimit-Remaining", "X-RateLimit-Reset"];

/// What services say that refuse a request only for now, with a status that means something else as well.
///
/// Source: GitHub's page on rate limits, and what its clients met with.
const ONLY_NOW: [&str; 4] =
    ["rate limit", "abuse detection", "login attempts", "submitted too quickly"];

/// How long a service wants to be left alone, as it says with an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pause {
    /// Because it says so.
    pub(super) after: Option<Duration>,
    /// Because all is used up that it allows.
    pub(super) used_up: Option<Duration>,
}

impl Pause {
    /// What the headers of an answer say.
    pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let [n_left, more_at] = LEFT.map(number);
        let used_up = more_at.filter(|_| n_left == Some(0)).map(|at| {
            let at = Timestamp::from_micros(
                i64::try_from(at).unwrap_or(i64::MAX).saturating_mul(1_000_000),
            );
            // Clocks differ.
            at.since(now).max(Duration::from_secs(1))
        });
        Self { after: number(RETRY_AFTER.as_str()).map(Duration::from_secs), used_up }
    }
}

/// Whether a service refuses a request only for now.
pub(super) fn is_only_now(status: StatusCode, pause: Pause, body: Option<&Value>) -> bool {
    let is_said = || {
        let body = body.unwrap_or(&Value::Null);
        let errors = body.get("errors").and_then(Value::as_array);
        let errors = errors.into_iter().flatten().chain([body]);
        let mut messages = errors.filter_map(|one| one.get("message")?.as_str());
        messages.any(|text| {
            let text = text.to_lowercase();
            ONLY_NOW.iter().any(|said| text.contains(said))
        })
    };
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => pause.after.is_some(),
        StatusCode::FORBIDDEN => pause.after.is_some() || pause.used_up.is_some() || is_said(),
        StatusCode::UNPROCESSABLE_ENTITY => is_said(),
        _ => false,
    }
}

/// The address of the next page, if an answer names one.
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let (url, _) = links.split(',').filter_map(|link| link.split_once(';')).find(|(_, rest)| {
        rest.split(';').any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"))
    })?;
    Some(url.trim().strip_prefix('<')?.strip_suffix('>')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn what_is_refused_only_for_now_is_told_from_what_is_refused() {
        let none = Pause::default();
        let limit = Pause { after: Some(MINUTE), ..none };
        let used_up = Pause { used_up: Some(MINUTE), ..none };
        let said = |text: &str| serde_json::json!({ "message": text });
        let secondary = said("You have exceeded a secondary rate limit. Please wait.");
        let errors = serde_json::json!({"message": "Validation Failed",
            "errors": [{"resource": "Issue", "message": "was submitted too quickly"}]});
        let never = said("Resource not accessible by personal access token");
        let [forbidden, invalid] = [StatusCode::FORBIDDEN, StatusCode::UNPROCESSABLE_ENTITY];
        for (status, pause, body, is_it) in [
            (StatusCode::TOO_MANY_REQUESTS, none, &never, true),
            (StatusCode::SERVICE_UNAVAILABLE, limit, &never, true),
            (StatusCode::SERVICE_UNAVAILABLE, none, &never, false),
            (forbidden, limit, &never, true),
            (forbidden, used_up, &never, true),
            (forbidden, none, &secondary, true),
            (forbidden, none, &never, false),
            (invalid, none, &errors, true),
            (invalid, limit, &never, false),
            (StatusCode::NOT_FOUND, used_up, &secondary, false),
        ] {
            assert_eq!(is_only_now(status, pause, Some(body)), is_it, "{status} {body}");
        }
    }

    #[test]
    fn the_next_page_is_named_among_others() {
        let links = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, reqwest::header::HeaderValue::from_static(text));
            next_page(&headers)
        };
        let text = "<https://a/?page=1>; rel=\"prev\", <https://a/?after=x>; rel=\"next\"";
        assert_eq!(links(text).as_deref(), Some("https://a/?after=x"));
        assert_eq!(links("<https://a/?page=1>; rel=\"last\""), None);
        assert_eq!(links("nonsense"), None);
    }
}
