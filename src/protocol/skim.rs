//! The event's id out of its JSON, without building anything.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::id::EventId;

#[derive(Deserialize)]
struct Skimmed<'a> {
    #[serde(borrow, default)]
    event_id: Option<&'a RawValue>,
}

/// The `event_id` at the top of an event, if it is there and is one.
///
/// # Errors
/// When the bytes are no JSON object, with where and why.
pub fn event_id(bytes: &[u8]) -> Result<Option<EventId>, serde_json::Error> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        // A derived struct would also be read from the list of its fields.
        return Err(serde::de::Error::custom("a list, not an object"));
    }
    let skimmed: Skimmed<'_> = serde_json::from_slice(bytes)?;
    let text = skimmed.event_id.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    Ok(text.as_deref().and_then(EventId::parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_id_and_ignores_what_only_digest_understands() {
        let id = EventId::parse("c76085e7ee72463e94764d80b9534fff");
        for (json, expected) in [
            (r#"{"a":["\ud800",1e999],"event_id":"c76085e7-ee72-463e-9476-4d80b9534fff"}"#, id),
            (r#"{"exception":{"event_id":"c76085e7ee72463e94764d80b9534fff"}}"#, None),
            (r#"{"event_id":7}"#, None),
        ] {
            assert_eq!(event_id(json.as_bytes()).ok(), Some(expected), "{json}");
        }
        for bad in ["", "[]", r#"["c76085e7ee72463e94764d80b9534fff"]"#, "{", "{}x", "nonsense"] {
            assert!(event_id(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
