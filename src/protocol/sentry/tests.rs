//! Reading whole events: those of real clients, those that are odd, and those that are anything.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::budget::MOST_EVENT_BYTES;
use super::*;
use crate::domain::event::{Event, Exception, Frame, Level, Message, Sdk};

mod clients;
mod rules;

/// When all reports of the tests arrive.
const RECEIVED_AT: &str = "2026-11-21T02:30:00Z";

fn received() -> Received<'static> {
    Received {
        event_id: EventId::parse("00112233445566778899aabbccddeeff").expect("an id"),
        received_at: Timestamp::parse(RECEIVED_AT).expect("a time"),
        sent_at: None,
        remote_addr: Some("198.51.100.7"),
        sdk: Some("sentry.test/1.0"),
        n_cut: 0,
    }
}

fn read(payload: &Value) -> Event {
    parse_event(payload.to_string().as_bytes(), &received()).expect("an event").into_whole()
}

fn json_bytes(event: &Event) -> usize {
    serde_json::to_vec(event).expect("events are JSON").len()
}

#[test]
fn what_cannot_be_an_event() {
    let message = |bytes: &[u8]| parse_event(bytes, &received()).expect_err("no event").to_string();
    assert_eq!(message(b""), "event payload is empty, where JSON was expected");
    assert_eq!(message(b"[]"), "event payload is a JSON list, not an object");
    assert_eq!(message(b"null"), "event payload is a JSON null, not an object");
    assert_eq!(
        message(b"{\"message\": }"),
        "event payload is not JSON: expected value at line 1 column 13"
    );
    let deep = format!("{{\"extra\":{}", "[".repeat(200));
    assert!(message(deep.as_bytes()).starts_with("event payload is not JSON: EOF"));
}

/// `{"vars":{"vars":…1…}}`
fn nested_details(n_levels: usize) -> String {
    format!("{}1{}", "{\"vars\":".repeat(n_levels), "}".repeat(n_levels))
}

#[test]
fn details_within_details_are_cut_wherever_they_stand() {
    let deep = nested_details(50_000);
    for payload in [
        format!("{{\"exception\":[{{\"type\":\"Deep\",\"value\":{deep}}}]}}"),
        format!("{{\"message\":{{\"message\":\"deep\",\"params\":[{deep}]}}}}"),
        format!("{{\"extra\":{deep}}}"),
        format!("{{\"breadcrumbs\":[{{\"message\":{deep},\"data\":{deep}}}]}}"),
        format!("{{\"exception\":[{{\"stacktrace\":{{\"frames\":[{deep}]}}}}]}}"),
    ] {
        let event = parse_event(payload.as_bytes(), &received()).expect("an event").into_whole();
        assert!(json_bytes(&event) < MOST_EVENT_BYTES);
    }
}

#[test]
fn details_are_as_lenient_as_the_rest() {
    let payload = br#"{"extra": {"a": "\ud800", "b": NaN, "c": 1e999, "d": "C:\x41"}}"#;
    let event = parse_event(payload, &received()).expect("an event").into_whole();
    let expected = json!({"a": "\u{fffd}", "b": "NaN", "c": "1e999", "d": "C:\\x41"});
    assert_eq!(Value::Object(event.extra), expected);
}

/// The names that `parse_event` looks at.
const KNOWN_NAMES: [&str; 60] = [
    "exception",
    "values",
    "type",
    "value",
    "module",
    "mechanism",
    "handled",
    "synthetic",
    "data",
    "exception_id",
    "parent_id",
    "is_exception_group",
    "source",
    "stacktrace",
    "frames",
    "function",
    "filename",
    "abs_path",
    "lineno",
    "colno",
    "in_app",
    "pre_context",
    "context_line",
    "post_context",
    "vars",
    "threads",
    "id",
    "name",
    "crashed",
    "current",
    "message",
    "logentry",
    "formatted",
    "params",
    "level",
    "platform",
    "timestamp",
    "release",
    "environment",
    "dist",
    "tags",
    "key",
    "user",
    "ip_address",
    "email",
    "request",
    "url",
    "query_string",
    "headers",
    "cookies",
    "env",
    "breadcrumbs",
    "category",
    "contexts",
    "extra",
    "modules",
    "sdk",
    "version",
    "fingerprint",
    "transaction",
];

/// JSON that is like an event, and unlike one anywhere.
fn nearly_an_event() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        4 => prop::sample::select(KNOWN_NAMES.as_slice()).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[%{}sd()0]{0,8}".prop_map(Value::from),
        Just(Value::from("{{auto}}")),
        Just(Value::from("\u{1}\"".repeat(4_000))),
    ];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            3 => prop::collection::btree_map(key.clone(), inner, 0..12)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_event(&bytes, &received()).map(Outline::into_whole);
    }

    #[test]
    fn any_object_is_an_event_and_a_small_one(payload in nearly_an_event()) {
        let is_object = payload.is_object();
        let bytes = payload.to_string();
        let outline = parse_event(bytes.as_bytes(), &received());
        prop_assert_eq!(outline.is_ok(), is_object);
        if let Ok(outline) = outline {
            let known = outline.event.clone();
            let event = outline.into_whole();
            prop_assert_eq!(outline_of(&known), outline_of(&event));
            let text = serde_json::to_string(&event).expect("events are JSON");
            prop_assert!(text.len() < MOST_EVENT_BYTES);
            prop_assert!(!text.contains("\\u0000"));
            prop_assert_eq!(event.event_id, received().event_id);
        }
    }
}

/// What names, groups and counts an event.
fn outline_of(event: &Event) -> Event {
    let mut event = event.clone();
    let frames = event.exceptions.iter_mut().flat_map(|exception| &mut exception.frames);
    let frames = frames.chain(event.threads.iter_mut().flat_map(|thread| &mut thread.frames));
    for frame in frames.chain(&mut event.stacktrace) {
        let Frame { vars, pre_context, context_line, post_context, .. } = frame;
        (*vars, *pre_context, *context_line, *post_context) = Default::default();
    }
    let Event { request, breadcrumbs, contexts, extra, modules, notes, .. } = &mut event;
    (*request, *breadcrumbs, *contexts) = Default::default();
    (*extra, *modules, *notes) = Default::default();
    event
}

/// An event in which every list has `n` entries and every text is `text`.
fn event_full_of(text: &str, n: usize) -> Value {
    let wide: Vec<_> = (0..n.min(50)).map(|at| json!({"k": at, "text": text})).collect();
    let frames = vec![
        json!({
            "function": text, "filename": text, "abs_path": text, "module": text, "lineno": 7,
            "context_line": text, "pre_context": [text, text], "vars": {"a": text, "wide": []},
        });
        n
    ];
    let exceptions = vec![
        json!({
            "type": text, "value": text, "mechanism": {"type": text, "data": {"a": text}},
            "stacktrace": {"frames": frames.iter().take(300).collect::<Vec<_>>()},
        });
        n.min(4)
    ];
    let tags: Vec<_> = (0..n).map(|at| json!([format!("{at}{text}"), text])).collect();
    json!({
        "logentry": {"message": text, "params": wide},
        "level": text, "platform": text, "release": text, "environment": text, "dist": text,
        "logger": text, "transaction": text, "server_name": text, "sdk": {"name": text},
        "fingerprint": vec![&text; n],
        "exception": exceptions,
        "stacktrace": {"frames": frames},
        "threads": vec![json!({"id": text, "name": text}); n],
        "tags": tags,
        "user": {"id": text, "email": text, "other": wide},
        "request": {"url": text, "data": wide, "headers": tags, "cookies": text},
        "breadcrumbs": vec![json!({"message": text, "data": {"wide": wide}}); n.min(20)],
        "contexts": {"a": wide, "b": text},
        "extra": {"a": wide, "b": text},
        "modules": tags,
    })
}

#[test]
fn whatever_is_too_much_is_cut_below_the_bound() {
    for text in ["\u{1}".repeat(300), "\"".repeat(300), "ß".repeat(20), "x".to_owned()] {
        for n in [1, 30, 600] {
            let event = read(&event_full_of(&text, n));
            assert!(json_bytes(&event) < MOST_EVENT_BYTES, "{} bytes", json_bytes(&event));
        }
    }
}
