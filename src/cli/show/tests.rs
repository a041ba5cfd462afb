use super::*;
use crate::domain::id::EventId;
use crate::protocol::sentry;

fn fingerprint() -> Value {
    json!({
        "hash": "5f1e".repeat(16), "config": "g1", "how": "new",
        "why": {
            "config": "g1", "kind": "exception", "reason": "stack: 1 frame of the application",
            "components": [{
                "type": "KeyError",
                "message": {"raw": "'total'", "skeleton": "'total'", "used": false,
                    "why": "the stack tells enough"},
                "frames": [
                    {"n": 1, "loc": "django.core", "fn": "inner", "app": false,
                        "why_app": "library path", "used": false, "why": "not in-app"},
                    {"n": 2, "loc": "shop.cart", "fn": "checkout", "app": true,
                        "why_app": "the SDK says so", "used": true,
                        "source": "cart['total']"},
                ],
            }],
            "ignored": [{"what": "exception OSError", "why": "it was handled\n"}],
            "items": [["type", "KeyError"], ["frame", "shop.cart|checkout"]],
        },
    })
}

fn issue(change: &Value) -> Issue {
    let mut issue = json!({
        "id": "SHOP-42", "project": "shop", "title": "KeyError: 'total'",
        "culprit": "shop.cart in checkout", "level": "error", "platform": "python",
        "handled": false, "status": "open", "regressed": true, "flags": [],
        "events": 17, "suppressed": 0, "undetermined": 0, "users": 3,
        "first_seen": "2026-11-20T10:00:00.123Z", "last_seen": "2026-11-21T11:57:00Z",
        "environments": ["beta", "production"],
        "releases": {"first": "shop@1.4.0", "last": "shop@1.4.2"},
        "fix": null, "locks": [], "task": null, "assignee": null,
        "fingerprint": fingerprint(),
        "merged_fingerprints": [{"hash": "6a".repeat(32), "config": "g1", "how": "edited line"}],
        "url": "http://127.0.0.1:8460/issues/SHOP-42",
    });
    for (key, value) in change.as_object().expect("an object") {
        issue[key] = value.clone();
    }
    answer::read(&issue).expect("an issue")
}

/// The event of a real client, as the API gives it.
fn latest(report: &[u8]) -> Latest {
    let received = sentry::Received {
        event_id: EventId::parse("c76085e7ee72463e94764d80b9534fff").expect("an id"),
        received_at: Timestamp::parse("2026-11-21T11:57:01Z").expect("a time"),
        sent_at: None,
        remote_addr: None,
        sdk: None,
        n_cut: 0,
    };
    let event = sentry::parse_event(report, &received).expect("an event").into_whole();
    let mut json = serde_json::to_value(event).expect("JSON");
    json["received_at"] = json!("2026-11-21T11:57:01Z");
    json["issue"] = json!("SHOP-42");
    json["body"] = json!("kept");
    json["verdict"] = json!({"kind": "regression", "reason": "happened after it was resolved"});
    Latest::read(&json).unwrap_or_else(|failure| panic!("{failure}"))
}

macro_rules! fixture {
    ($name:literal) => {
        latest(include_bytes!(concat!("../../../tests/fixtures/events/", $name, ".json")))
    };
}

fn text(shown: &Shown) -> String {
    let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
    shown.text(now, Style::default())
}

fn about(latest: &Latest) -> String {
    let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
    latest.lines(now, Style::default()).join("\n")
}

#[test]
fn an_issue_and_why_it_is_one() {
    let tags = json!({"items": [
        {"tag": "browser", "values": [
            {"value": "Firefox", "events": 9}, {"value": "Safari", "events": 4},
            {"value": "Chrome", "events": 3}, {"value": "Edge\u{202e}", "events": 1},
            {"value": "Opera", "events": 1}]},
        {"tag": "tenant", "values": [{"value": "a\x1b[2Jb", "events": 17}]},
    ], "next": null});
    let tags: List<Tag> = answer::read(&tags).expect("tags");
    let mut shown =
        Shown { issue: issue(&json!({})), tags: tags.items, latest: None, is_why: true };
    insta::assert_snapshot!(text(&shown), @r#"
    SHOP-42  KeyError: 'total'
    shop.cart in checkout

    status        open, regressed
    kind          error, python, not handled
    events        17, 3 users
    first seen    2026-11-20T10:00:00Z (1 day ago), release shop@1.4.0
    last seen     2026-11-21T11:57:00Z (3 min ago), release shop@1.4.2
    environments  beta, production
    grouped by    stack: 1 frame of the application (g1)
    address       http://127.0.0.1:8460/issues/SHOP-42

    Grouped by
      KeyError
        message "'total'" not used: the stack tells enough
        · django.core in inner (not own code: library path)
        + shop.cart in checkout (own code: the SDK says so)
            cart['total']
      exception OSError left out: it was handled\n
      hashed
        type     KeyError
        frame    shop.cart|checkout
        SHA-256  5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e5f1e

    Other fingerprints
      6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a (edited line)

    Tags
      browser  Firefox 9, Safari 4, Chrome 3, 2 more values
      tenant   a\u{1b}[2Jb 17
    "#);
    shown.tags.clear();
    shown.is_why = false;
    shown.issue = issue(&json!({
        "status": "fix_pending", "regressed": false, "suppressed": 5, "undetermined": 1,
        "fix": {"state": "standing", "problem": "unknown-commit", "by": "zoë", "source": "cli",
                "at": "2026-11-21T10:00:00Z",
                "commits": [{"repository": "shop", "commit": "4f2c91a"}],
                "deployed": [{"environment": "beta", "deploy": "d1", "commit": "9f1c2d3e4b5a6978",
                              "at": "2026-11-21T11:30:00Z"}]},
        "locks": [{"id": "l1", "environment": "production"}],
        "flags": [{"kind": "many_undetermined", "detail": "register release 1.4.2",
                   "since": "2026-11-20T10:00:00Z"}],
        "assignee": "zoë",
    }));
    insta::assert_snapshot!(text(&shown), @"
    SHOP-42  KeyError: 'total'
    shop.cart in checkout

    status        fix_pending
    kind          error, python, not handled
    events        17 (5 suppressed, 1 undetermined), 3 users
    first seen    2026-11-20T10:00:00Z (1 day ago), release shop@1.4.0
    last seen     2026-11-21T11:57:00Z (3 min ago), release shop@1.4.2
    environments  beta, production
    assignee      zoë
    fix           4f2c91a of shop, standing, by zoë (cli), 2 h ago
    deployed to   beta with 9f1c2d3e4b5a (30 min ago)
    problem       unknown-commit: no repository has this commit: is it pushed?
    locks         production until a fix is deployed (l1)
    look at       many_undetermined: register release 1.4.2 (1 day ago)
    grouped by    stack: 1 frame of the application (g1)
    address       http://127.0.0.1:8460/issues/SHOP-42
    ");
}

#[test]
fn a_python_chain_reads_like_a_traceback() {
    insta::assert_snapshot!(about(&fixture!("python-chain")), @r#"
    Latest event c76085e7ee72463e94764d80b9534fff
      time         2026-11-21T01:52:51Z (10 h ago)
      verdict      regression: happened after it was resolved
      environment  production, server web-3.shop.example
      release      shop@7c9e6679a4d34c6ab0f0c1e5d2b8a91f3e6d5c4b
      caught       handled, by generic
      user         id 8841, zoë, zoë@shop.example, 203.0.113.7

    Stack, newest call last, * marks the application's own
      * shop/billing.py:53 in discount
            return order["coupon"]["percent"]
      KeyError: 'coupon'

      which led to

      * plain.py:21 in main
            billing.discount({"coupon_raw": "zehn Prozent"})
      * shop/billing.py:55 in discount
            return int(order["coupon_raw"])  # ValueError while handling KeyError: implicit context
      ValueError: invalid literal for int() with base 10: 'zehn Prozent'

    Before it
      01:52:51  auth  User zoë logged in
      01:52:51  http  method=POST status_code=402 url=https://api.pay.example/v1/charges?api_key=FAKEKEY123
      01:52:51  query  SELECT id, total FROM orders WHERE id = %s
    "#);
}

#[test]
fn a_rust_panic_reads_like_a_backtrace() {
    let mut latest = fixture!("rust-panic");
    // The runtime's frames around the application's own are all alike.
    let frames = &mut latest.event.exceptions[0].frames;
    assert_eq!(frames.len(), 37);
    frames.retain(|frame| frame.function.as_deref().is_some_and(|name| !name.contains("std::")));
    insta::assert_snapshot!(about(&latest), @"
    Latest event c76085e7ee72463e94764d80b9534fff
      time         2026-11-21T02:01:06Z (9 h ago)
      verdict      regression: happened after it was resolved
      environment  production, server web-3.shop.example
      release      checkout@9f1c2d3e4b5a69788796a5b4c3d2e1f009182736
      caught       not handled, by panic
      user         id 8841, zoë, zoë@shop.example, 203.0.113.7

    Stack, newest call last, * marks the application's own
        <unknown>
        _start
        libc-start.c:360 in __libc_start_main_impl
        libc_start_call_main.h:58 in __libc_start_call_main
      * main
        function.rs:287 in <&dyn core::ops::function::Fn<(), Output = i32> + core::marker::Sync + core::panic::unwind_safe::RefUnwindSafe as core::ops::function::FnOnce<()>>::call_once
        function.rs:250 in core::ops::function::FnOnce::call_once
      * main.rs:51 in checkout::main
      * main.rs:24 in checkout::line_total
        panicking.rs:271 in core::panicking::panic_bounds_check
        panicking.rs:80 in core::panicking::panic_fmt
        panicking.rs:689 in __rustc::rust_begin_unwind
        sentry_panic in <sentry_panic::PanicIntegration as sentry_core::integration::Integration>::setup::{{closure}}::{{closure}}
        sentry_panic in sentry_panic::panic_handler
        sentry_core in sentry_core::api::with_integration
        sentry_core in sentry_core::hub::Hub::with_active
        sentry_core in sentry_core::api::with_integration::{{closure}}
        sentry_core in sentry_core::hub::Hub::with_integration
        sentry_core in sentry_core::api::with_integration::{{closure}}::{{closure}}
        sentry_panic in sentry_panic::panic_handler::{{closure}}
        sentry_panic in sentry_panic::PanicIntegration::event_from_panic_info
        sentry_backtrace in sentry_backtrace::current_stacktrace
      panic: index out of bounds: the len is 2 but the index is 7

    Before it
      02:01:06  db  SELECT * FROM orders WHERE id = 5512
    ");
}

#[test]
fn a_hostile_report_moves_no_cursor() {
    let hostile = "x\x1b[2J\u{202e}\u{9b}31m\n\ttwo\r";
    let report = json!({
        "message": hostile, "environment": hostile, "release": hostile, "server_name": hostile,
        "transaction": hostile, "dist": hostile,
        "request": {"method": hostile, "url": hostile, "query_string": hostile},
        "user": {"id": hostile, "email": hostile},
        "exception": {"values": [{
            "type": hostile, "value": hostile, "mechanism": {"type": hostile, "handled": false},
            "stacktrace": {"frames": [{
                "function": hostile, "filename": hostile, "context_line": hostile, "in_app": true,
            }]},
        }]},
        "breadcrumbs": {"values": [
            {"category": hostile, "message": hostile}, {"type": hostile, "data": {hostile: hostile}},
        ]},
    });
    let text = about(&latest(report.to_string().as_bytes()));
    assert!(text.contains("\\u{1b}[2J"), "{text}");
    let is_active =
        |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
    assert!(!text.chars().any(is_active), "{text:?}");
}

#[test]
fn only_the_last_breadcrumbs_are_shown() {
    let crumb = |n: usize| json!({"timestamp": 1_795_226_400 + n, "message": format!("step {n}")});
    let crumbs: Vec<Value> = (1..=12).map(crumb).collect();
    let report = json!({"message": "late", "breadcrumbs": {"values": crumbs}});
    let text = about(&latest(report.to_string().as_bytes()));
    assert!(!text.contains("step 2\n") && text.contains("step 3\n"), "{text}");
    assert!(text.ends_with("step 12"), "{text}");
}
