//! Client reports: what an SDK dropped by itself.

use serde::Deserialize;

/// The largest client report that is read, in bytes; Sentry's own limit is 4 KiB.
pub const MOST_BYTES: usize = 16 * 1024;

/// One report names at most this many reasons.
const MOST_REASONS: usize = 50;

#[derive(Deserialize)]
struct WireReport {
    #[serde(default)]
    discarded_events: Vec<WireDiscarded>,
}

#[derive(Deserialize)]
struct WireDiscarded {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    quantity: u64,
}

/// What was dropped: `category:reason` and how many. Anything that is no client report is nothing.
#[must_use]
pub fn discarded(bytes: &[u8]) -> Vec<(String, u64)> {
    let Ok(report) = serde_json::from_slice::<WireReport>(bytes) else { return Vec::new() };
    let is_name = |text: &str| {
        (1..=60).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    report
        .discarded_events
        .into_iter()
        .filter(|one| is_name(&one.reason) && is_name(&one.category))
        .take(MOST_REASONS)
        .map(|one| (format!("{}:{}", one.category, one.reason), one.quantity.min(1_000_000_000)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_sdks_send_and_ignores_the_rest() {
        let report = br#"{"timestamp":1,"discarded_events":[
            {"reason":"ratelimit_backoff","category":"error","quantity":3},
            {"reason":"<script>","category":"error","quantity":3}]}"#;
        assert_eq!(discarded(report), [("error:ratelimit_backoff".to_owned(), 3)]);
        assert_eq!(discarded(b"nonsense"), []);
    }
}
