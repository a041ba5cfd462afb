//! What a browser saw before the error.

use serde_json::{Value, json};

use super::super::lenient::{self, Object};

/// Moves the history of airbrake-js into breadcrumbs.
///
/// Each entry has a `type` and a `date`, and by its type a `target` (clicks), `arguments` and
/// `severity` (console), `from` and `to` (navigation), or `method`, `url` and `statusCode` (fetch
/// and XHR).
pub(super) fn put(payload: &mut Object, context: &mut Object) {
    let Some(Value::Array(history)) = lenient::take(context, "history") else { return };
    let crumbs = history.into_iter().filter_map(lenient::object).map(breadcrumb);
    payload.insert("breadcrumbs".to_owned(), json!({"values": crumbs.collect::<Vec<_>>()}));
}

fn breadcrumb(mut entry: Object) -> Value {
    let message = message(&entry);
    let mut take = |name: &str| lenient::take(&mut entry, name);
    let (date, kind, severity) = (take("date"), take("type"), take("severity"));
    entry.remove("target");
    json!({
        "timestamp": date,
        "category": kind,
        "level": severity,
        "message": message,
        "data": entry,
    })
}

fn message(entry: &Object) -> Option<String> {
    let text = |name: &str| entry.get(name).cloned().and_then(lenient::text);
    if let Some(Value::Array(arguments)) = entry.get("arguments") {
        let texts = arguments.iter().cloned().filter_map(lenient::text_or_json);
        return Some(texts.collect::<Vec<_>>().join(" "));
    }
    if let (Some(from), Some(to)) = (text("from"), text("to")) {
        return Some(format!("{from} → {to}"));
    }
    if let Some(url) = text("url") {
        let parts = [text("method"), Some(url), text("statusCode")];
        return Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "));
    }
    text("target")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_entry_says_what_happened() {
        let entry = |entry: Value| breadcrumb(lenient::object(entry).expect("an object"));
        let click =
            json!({"type": "click", "target": "button#pay", "date": "2026-11-21T02:21:08Z"});
        let crumb = entry(click);
        assert_eq!(crumb["message"], "button#pay");
        assert_eq!(crumb["category"], "click");
        assert_eq!(crumb["timestamp"], "2026-11-21T02:21:08Z");
        assert_eq!(crumb["data"], json!({}));

        let console =
            entry(json!({"type": "log", "severity": "warn", "arguments": ["a", {"b": 1}]}));
        assert_eq!(
            (&console["message"], &console["level"]),
            (&json!("a {\"b\":1}"), &json!("warn"))
        );
        let moved = entry(json!({"type": "location", "from": "/", "to": "/cart"}));
        assert_eq!(moved["message"], "/ → /cart");
        let called = json!({"type": "xhr", "method": "GET", "url": "/api", "statusCode": 500});
        let called = entry(called);
        assert_eq!(called["message"], "GET /api 500");
        assert_eq!(called["data"]["statusCode"], 500);
    }
}
