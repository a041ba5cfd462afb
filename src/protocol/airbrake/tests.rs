//! Reading whole notices: those of real notifiers, and those that are anything.

use proptest::prelude::*;

use super::*;
use crate::domain::event::{Event, Level};
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::domain::title;

fn received() -> Received<'static> {
    Received {
        event_id: EventId::parse("00112233445566778899aabbccddeeff").expect("an id"),
        received_at: Timestamp::parse("2026-11-21T02:30:00Z").expect("a time"),
        sent_at: None,
        remote_addr: Some("198.51.100.7"),
        sdk: None,
        n_cut: 0,
    }
}

fn read(bytes: &[u8]) -> Event {
    parse_notice(bytes, &received()).expect("an event").into_whole()
}

fn read_json(notice: &Value) -> Event {
    read(notice.to_string().as_bytes())
}

macro_rules! capture {
    ($path:literal) => {
        read(include_bytes!(concat!("../../../tests/fixtures/captures/", $path, ".bin")))
    };
}

/// What a person would call it, and where it is.
fn named(event: &Event) -> (String, String) {
    (title::title(event), title::culprit(event))
}

#[test]
fn pybrake_nests_causes_and_knows_the_source() {
    let event = capture!("airbrake-pybrake-1.10-notify/001");
    let expected = ("OrderError: order 5512 could not be charged", "shop/billing.py in charge");
    assert_eq!(named(&event), (expected.0.to_owned(), expected.1.to_owned()));
    let kinds: Vec<_> = event.exceptions.iter().map(|one| one.kind.as_deref()).collect();
    assert_eq!(kinds, [Some("PaymentDeclined"), Some("OrderError")]);
    let raised = event.raised().and_then(|raised| raised.frames.last()).expect("a frame");
    assert_eq!(raised.filename.as_deref(), Some("shop/billing.py"));
    assert_eq!((raised.lineno, raised.in_app), (Some(41), Some(true)));
    let line = "        raise OrderError(f\"order {order['id']} could not be charged\") from exc";
    assert_eq!(raised.context_line.as_deref(), Some(line));
    assert_eq!((raised.pre_context.len(), raised.post_context.len()), (2, 2));
    assert_eq!(event.platform, "python");
    assert_eq!(event.level, Level::Fatal);
    assert_eq!(event.environment, "production");
    assert_eq!(event.release.as_deref(), Some("7c9e6679a4d34c6ab0f0c1e5d2b8a91f3e6d5c4b"));
    assert_eq!(event.tags.get("revision"), event.release.as_ref());
    assert_eq!(event.server_name.as_deref(), Some("vm"));
    assert_eq!(event.sdk.as_ref().map(|sdk| sdk.name.as_str()), Some("pybrake"));
    let user = event.user.as_ref().expect("a user");
    assert_eq!((user.id.as_deref(), user.name.as_deref()), (Some("8841"), Some("zoë")));
    assert_eq!(event.extra["session_values"]["cart"][2]["sku"], "sku-é");
    assert_eq!(event.extra["params"]["card"], "4111111111111111");
    assert_eq!(event.contexts["airbrake"]["versions"]["pybrake"], "1.10.1");
    assert_eq!(event.transaction.as_deref(), Some("billing"));
    assert_eq!(event.notes, Vec::<String>::new());
}

#[test]
fn what_pybrake_was_told_is_a_message() {
    let event = capture!("airbrake-pybrake-1.10-notify/003");
    let expected = ("Stock low for sku-77 – 在庫不足 🥲", "ab_pybrake.py in <module>");
    assert_eq!(named(&event), (expected.0.to_owned(), expected.1.to_owned()));
    assert_eq!((event.exceptions.len(), event.stacktrace.len()), (0, 1));
}

#[test]
fn a_logged_exception_keeps_the_words_it_was_logged_with() {
    let event = capture!("airbrake-pybrake-1.10-notify/004");
    assert_eq!(title::title(&event), "ZeroDivisionError: division by zero");
    assert_eq!(event.message_text(), Some("job %s failed for %s"));
}

#[test]
fn node_says_the_route_and_which_code_is_its_own() {
    let event = capture!("airbrake-node-2.1-express/002");
    let expected = ("Error: order 5512 could not be charged", "lib/billing.js in Object.charge");
    assert_eq!(named(&event), (expected.0.to_owned(), expected.1.to_owned()));
    assert_eq!(event.platform, "node");
    assert_eq!(event.transaction.as_deref(), Some("POST /checkout/:id"));
    let request = event.request.as_ref().expect("a request");
    assert_eq!(request.url.as_deref(), Some("http://127.0.0.1:9505/checkout/5512"));
    assert_eq!(request.query_string.as_deref(), Some("api_key=FAKEKEY"));
    let frames = &event.raised().expect("an exception").frames;
    let own: Vec<_> = frames.iter().map(|frame| frame.in_app).collect();
    assert_eq!(own.iter().filter(|own| **own == Some(true)).count(), 2);
    assert_eq!(own.iter().filter(|own| **own == Some(false)).count(), 8);
    assert_eq!(event.user.as_ref().and_then(|user| user.ip_address.as_deref()), Some("127.0.0.1"));
}

#[test]
fn a_page_says_whether_anybody_handled_it_and_what_led_there() {
    let crashed = capture!("airbrake-browser-2.1/003");
    let expected = (
        "TypeError: Cannot read properties of undefined (reading 'amount')",
        "assets/app.min.js in Ue",
    );
    assert_eq!(named(&crashed), (expected.0.to_owned(), expected.1.to_owned()));
    assert_eq!((crashed.handled, crashed.platform.as_str()), (Some(false), "javascript"));
    let told = capture!("airbrake-browser-2.1/004");
    assert_eq!(told.handled, None);
    let rejected = capture!("airbrake-browser-2.1/005");
    assert_eq!(rejected.handled, Some(false));
    let crumb = rejected.breadcrumbs.last().expect("a breadcrumb");
    assert_eq!(crumb.message.as_deref(), Some("html. > body. > button#reject."));
    assert_eq!(crumb.category.as_deref(), Some("click"));
    assert!(crumb.timestamp.is_some());
}

#[test]
fn an_untyped_error_that_a_hook_noticed_is_still_a_crash() {
    let event = read_json(&json!({
        "errors": [{"type": "", "message": "thrown text", "backtrace": []}],
        "context": {"windowError": true},
    }));
    assert_eq!((title::title(&event).as_str(), event.handled), ("thrown text", Some(false)));
    assert_eq!(event.exceptions.len(), 1);
}

#[test]
fn a_notice_that_says_little_is_an_event_too() {
    for notice in [
        json!({}),
        json!({"errors": []}),
        json!({"errors": null, "context": []}),
        json!({"errors": [null, 7, "text"], "context": {"notifier": "text", "user": true}}),
        json!({"errors": [{"backtrace": "text"}], "context": {"history": {}, "rootDirectory": 7}}),
    ] {
        let event = read_json(&notice);
        assert_eq!(event.level, Level::Error, "{notice}");
        assert_eq!(event.environment, "production", "{notice}");
    }
}

#[test]
fn only_an_object_is_a_notice() {
    let refused = parse_notice(b"[]", &received()).expect_err("no notice").to_string();
    assert_eq!(refused, "event payload is a JSON list, not an object");
}

/// The names that are looked at.
const NAMES: [&str; 22] = [
    "errors",
    "type",
    "message",
    "backtrace",
    "file",
    "line",
    "function",
    "code",
    "10",
    "context",
    "notifier",
    "name",
    "language",
    "version",
    "revision",
    "user",
    "history",
    "date",
    "arguments",
    "environment",
    "params",
    "url",
];

fn nearly_a_notice() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let key = prop_oneof![
            4 => prop::sample::select(NAMES.as_slice()).prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            3 => prop::collection::vec((key, inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn details_within_details_are_cut() {
    let n_levels = 50_000;
    let deep = format!("{}1{}", "{\"vars\":".repeat(n_levels), "}".repeat(n_levels));
    let notice =
        format!("{{\"errors\":[{{\"type\":\"Deep\",\"message\":{deep}}}],\"params\":{deep}}}");
    let event = parse_notice(notice.as_bytes(), &received()).expect("an event").into_whole();
    assert_eq!(event.exceptions[0].kind.as_deref(), Some("Deep"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = parse_notice(&bytes, &received()).map(Outline::into_whole);
    }

    #[test]
    fn nearly_notices_are_events_within_their_limit(notice in nearly_a_notice()) {
        if let Ok(event) = parse_notice(notice.to_string().as_bytes(), &received()) {
            let n_bytes = serde_json::to_vec(&event.into_whole()).expect("events are JSON").len();
            prop_assert!(n_bytes < crate::protocol::budget::MOST_EVENT_BYTES);
        }
    }
}
