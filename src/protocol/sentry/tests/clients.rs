//! Events of real clients, from `tests/fixtures/events`.

use super::*;

fn fixture(bytes: &[u8]) -> Event {
    let event = parse_event(bytes, &received()).expect("an event");
    assert!(json_bytes(&event) < MOST_EVENT_BYTES);
    let stored = serde_json::to_string(&event).expect("events are JSON");
    assert_eq!(serde_json::from_str::<Event>(&stored).expect("an event"), event);
    event
}

macro_rules! fixture {
    ($name:literal) => {
        fixture(include_bytes!(concat!("../../../../tests/fixtures/events/", $name, ".json")))
    };
}

fn chain(event: &Event) -> Vec<(&str, Option<bool>)> {
    let of = |exception: &Exception| exception.mechanism.as_ref().and_then(|how| how.handled);
    event
        .exceptions
        .iter()
        .map(|exception| (exception.kind.as_deref().unwrap_or("–"), of(exception)))
        .collect()
}

#[test]
fn a_python_chain() {
    let event = fixture!("python-chain");
    insta::assert_json_snapshot!(event, @"");
}

#[test]
fn a_rust_panic() {
    let mut event = fixture!("rust-panic");
    let [panic] = event.exceptions.as_mut_slice() else { panic!("one exception") };
    assert_eq!(panic.frames.len(), 37);
    // The runtime's frames around the application's own are all alike.
    panic.frames.retain(|frame| frame.in_app == Some(true));
    event.threads.clear();
    insta::assert_json_snapshot!(event, @"");
}

#[test]
fn an_uncaught_python_exception_is_unhandled() {
    let event = fixture!("python-unhandled");
    assert_eq!(event.handled, Some(false));
    assert_eq!(event.level, Level::Error);
    assert_eq!(chain(&event), [("PaymentDeclined", Some(false)), ("OrderError", Some(false))]);
    let value = event.exceptions[0].value.as_deref().expect("a message");
    assert!(value.contains("カードが拒否されました 💳"), "{value}");

    let old = fixture!("python-1.5-unhandled");
    assert_eq!(old.handled, Some(false));
    assert!(old.raised().is_some_and(|raised| !raised.frames.is_empty()));
}

#[test]
fn a_python_exception_group_is_a_tree() {
    let event = fixture!("python-group");
    let tree: Vec<_> = event
        .exceptions
        .iter()
        .filter_map(|exception| exception.mechanism.as_ref())
        .map(|how| (how.exception_id, how.parent_id, how.is_exception_group))
        .collect();
    assert_eq!(
        tree,
        [
            (Some(4), Some(3), false),
            (Some(3), Some(0), true),
            (Some(2), Some(0), false),
            (Some(1), Some(0), false),
            (Some(0), None, true),
        ]
    );
}

#[test]
fn text_that_no_store_takes() {
    let event = fixture!("python-odd-text");
    let raised = event.raised().expect("an exception");
    assert_eq!(raised.kind.as_deref(), Some("ValueError"));
    assert_eq!(event.extra["nul"], "a\u{fffd}b\u{1b}[31mred\u{2028}\u{202e}");
    assert_eq!(event.extra["big"], json!(1_180_591_620_717_411_303_424_f64));
    assert_eq!(event.extra["neg"], json!(-9_223_372_036_854_775_809_f64));
    assert_eq!(event.tags["bool"], "true");
    assert_eq!(event.tags["key with spaces & ünïcode"], "line1 line2");
    assert_eq!(event.tags["long"].chars().count(), 200);
    assert!(!event.tags.contains_key("none") && !event.tags.contains_key(""));
    let user = event.user.expect("a user");
    assert_eq!(user.ip_address.as_deref(), Some("198.51.100.7"));
    assert_eq!(user.data["custom"], json!({"a": [1]}));
    assert_eq!(event.breadcrumbs.len(), 100);
}

#[test]
fn fields_that_make_no_sense() {
    let event = fixture!("python-odd-fields");
    assert_eq!(event.level, Level::Error);
    assert_eq!(event.platform, "klingon");
    assert_eq!(event.release.as_deref(), Some("x/y z 1"));
    assert_eq!(event.environment, "a/b");
    assert_eq!(event.tags, [("a".to_owned(), "c".to_owned())].into());
    assert_eq!(event.fingerprint, Vec::<String>::new());
    assert_eq!(event.timestamp, received().received_at);
    assert_eq!(event.main_stack().len(), 1);
    assert_eq!(
        event.notes,
        [
            "time 2099-01-01T00:00:00Z lies in the future: the time of arrival was taken",
            "level \"catastrophic\" is not known: taken as error",
        ]
    );
}

#[test]
fn an_event_of_2010_and_one_of_nothing() {
    let old = fixture!("python-old");
    assert_eq!(old.message_text(), Some("very old"));
    assert_eq!(old.exceptions, []);
    assert!(old.notes.iter().any(|note| note.contains("over 30 days old")), "{:?}", old.notes);

    let empty = fixture!("python-empty");
    assert_eq!(empty.message, None);
    assert_eq!(empty.handled, None);
    assert_eq!(empty.notes, Vec::<String>::new());
}

#[test]
fn requests_of_flask_and_express() {
    let flask = fixture!("python-flask").request.expect("a request");
    assert_eq!(flask.method.as_deref(), Some("POST"));
    assert!(flask.headers.iter().any(|(name, _)| name == "User-Agent"));
    assert!(flask.env.contains_key("SERVER_NAME"));

    let express = fixture!("node-express");
    assert_eq!(express.handled, Some(false));
    assert_eq!(express.transaction.as_deref(), Some("GET /stock/:sku"));
    let request = express.request.expect("a request");
    assert_eq!(request.url.as_deref(), Some("http://127.0.0.1:9502/stock/sku-77"));
    assert_eq!(request.query_string.as_deref(), Some("q=schön"));
    assert_eq!(request.cookies["theme"], "dark");
}

#[test]
fn javascript_of_node_and_browsers() {
    let node = fixture!("node-unhandled");
    assert_eq!(node.handled, Some(false));
    assert!(node.raised().is_some_and(|raised| !raised.frames.is_empty()));

    let browser = fixture!("browser");
    assert_eq!(browser.handled, Some(false));
    assert_eq!(chain(&browser), [("CartError", Some(false))]);

    let raven = fixture!("browser-raven");
    assert_eq!(chain(&raven), [("TypeError", Some(true))], "the mechanism of the whole chain");
    assert_eq!(raven.handled, Some(true));
    assert_eq!(raven.sdk, Some(Sdk { name: "sentry.test".into(), version: Some("1.0".into()) }));
}

#[test]
fn the_ravens() {
    let python = fixture!("python-raven");
    assert_eq!(python.level, Level::Error, "sent as the number 40");
    assert_eq!(chain(&python), [("KeyError", None), ("ValueError", None)]);
    assert_eq!(python.handled, None);

    let message = fixture!("python-raven-message").message.expect("a message");
    assert_eq!(message.formatted, "Stock low for 'sku-77' – 在庫不足 🥲");
    assert_eq!(message.template.as_deref(), Some("Stock low for %s – 在庫不足 🥲"));

    let ruby = fixture!("ruby-raven");
    assert_eq!(ruby.user.and_then(|user| user.id).as_deref(), Some("8841"));
    assert_eq!(ruby.timestamp.to_string(), "2026-11-21T02:16:08Z", "a time without an offset");
}

#[test]
fn sentry_cli_leaves_the_message_to_be_filled_in() {
    let event = fixture!("sentry-cli");
    assert_eq!(
        event.message,
        Some(Message {
            formatted: "Backup failed on db-1".to_owned(),
            template: Some("Backup failed on %s".to_owned()),
            params: vec![json!("db-1")],
        })
    );
    assert_eq!(event.fingerprint, ["backup"]);
    assert_eq!(event.platform, "native");
}
