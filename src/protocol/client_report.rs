//! Client reports: what an SDK dropped by itself.

use serde::Deserialize;

/// The largest client report that is read, in bytes; Sentry's own limit is 4 KiB.
pub const MOST_BYTES: usize = 16 * 1024;

/// One report names at most this many reasons.
const MOST_REASONS: usize = 50;

/// The reasons SDKs know; a stranger's words become no labels.
/// Source: Sentry's "client reports".
const REASONS: [&str; 16] = [
    "backpressure",
    "before_send",
    "buffer_overflow",
    "cache_overflow",
    "event_processor",
    "ignored",
    "insufficient_data",
    "internal_sdk_error",
    "invalid",
    "metric_overflow",
    "network_error",
    "no_parent_span",
    "queue_overflow",
    "ratelimit_backoff",
    "sample_rate",
    "send_error",
];

/// The categories SDKs know.
const CATEGORIES: [&str; 16] = [
    "attachment",
    "default",
    "error",
    "feedback",
    "internal",
    "log_byte",
    "log_item",
    "metric_bucket",
    "monitor",
    "profile",
    "profile_chunk",
    "replay",
    "security",
    "session",
    "span",
    "transaction",
];

/// A word that is known, else `other`.
fn known<'a>(word: &str, words: &[&'a str]) -> &'a str {
    words.iter().find(|known| **known == word).copied().unwrap_or("other")
}

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
    report
        .discarded_events
        .into_iter()
        .take(MOST_REASONS)
        .map(|one| {
            let category = known(&one.category, &CATEGORIES);
            let reason = known(&one.reason, &REASONS);
            (format!("{category}:{reason}"), one.quantity.min(1_000_000_000))
        })
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
        let expected = [("error:ratelimit_backoff".to_owned(), 3), ("error:other".to_owned(), 3)];
        assert_eq!(discarded(report), expected);
        assert_eq!(discarded(b"nonsense"), []);
    }
}
