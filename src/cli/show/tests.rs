use super::*;
use crate::domain::id::EventId;
use crate::protocol::sentry;

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
        "fingerprint": {
            "hash": "5f1e".repeat(16), "config": "g0",
            "why": {
                "config": "g0", "kind": "exception", "reason": "type and 1 frame",
                "items": [["type", "KeyError"], ["frame", "shop.cart|checkout"]],
            },
        },
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
    };
    let event = sentry::parse_event(report, &received).expect("an event");
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
    insta::assert_snapshot!(text(&shown), @"");
    shown.tags.clear();
    shown.is_why = false;
    shown.issue = issue(&json!({
        "status": "fix_pending", "regressed": false, "suppressed": 5, "undetermined": 1,
        "fix": {"state": "standing", "problem": "unknown-commit",
                "commits": [{"repository": "shop", "commit": "4f2c91a"}]},
        "flags": [{"kind": "many_undetermined", "detail": "register release 1.4.2"}],
        "assignee": "zoë",
    }));
    insta::assert_snapshot!(text(&shown), @"");
}

#[test]
fn a_python_chain_reads_like_a_traceback() {
    insta::assert_snapshot!(about(&fixture!("python-chain")), @"");
}

#[test]
fn a_rust_panic_reads_like_a_backtrace() {
    let mut latest = fixture!("rust-panic");
    // The runtime's frames around the application's own are all alike.
    let frames = &mut latest.event.exceptions[0].frames;
    assert_eq!(frames.len(), 37);
    frames.retain(|frame| frame.function.as_deref().is_some_and(|name| !name.contains("std::")));
    insta::assert_snapshot!(about(&latest), @"");
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
