//! Reports as browsers send them, and anything.

use proptest::prelude::*;

use super::*;
use crate::domain::event::{Event, Level};
use crate::domain::id::EventId;
use crate::domain::title;

fn received() -> Received<'static> {
    Received {
        event_id: EventId::parse("00112233445566778899aabbccddeeff").expect("an id"),
        received_at: Timestamp::parse("2026-11-21T02:30:00Z").expect("a time"),
        sent_at: None,
        remote_addr: None,
        sdk: None,
        n_cut: 0,
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        environment: Some("beta".to_owned()),
        release: Some("2.4.1".to_owned()),
        user_agent: Some("Firefox/150".to_owned()),
    }
}

fn read(body: &Value) -> Vec<Event> {
    let reports = split(body.to_string().as_bytes(), &surroundings()).expect("reports");
    let event =
        |payload: &Vec<u8>| parse_report(payload, &received()).expect("an event").into_whole();
    reports.payloads.iter().map(event).collect()
}

fn read_one(body: &Value) -> Event {
    let mut events = read(body);
    assert_eq!(events.len(), 1);
    events.remove(0)
}

#[test]
fn a_violation_posted_to_a_report_uri() {
    let event = read_one(&json!({"csp-report": {
        "document-uri": "https://shop.example/cart?session=x",
        "referrer": "https://shop.example/",
        "violated-directive": "script-src 'self' https://cdn.example",
        "effective-directive": "script-src",
        "original-policy": "default-src 'none'; script-src 'self' https://cdn.example",
        "blocked-uri": "https://evil.example/x.js?token=secret",
        "line-number": 12,
        "status-code": 200,
    }}));
    assert_eq!(title::title(&event), "Blocked 'script' from 'evil.example'");
    assert_eq!(title::culprit(&event), "script-src 'self' https://cdn.example");
    assert_eq!((event.level, event.platform.as_str()), (Level::Warning, "javascript"));
    assert_eq!(event.logger.as_deref(), Some("csp"));
    let csp = event.csp.expect("a violated policy");
    assert_eq!(csp.effective_directive.as_deref(), Some("script-src"));
    assert_eq!(csp.blocked_uri.as_deref(), Some("https://evil.example/x.js"));
    assert_eq!(event.tags["effective-directive"], "script-src");
    assert_eq!(event.tags["blocked-uri"], "https://evil.example/x.js");
    let request = event.request.expect("a request");
    assert_eq!(request.url.as_deref(), Some("https://shop.example/cart"));
    let headers = [("Referer", "https://shop.example/"), ("User-Agent", "Firefox/150")];
    assert_eq!(request.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((event.environment.as_str(), event.release.as_deref()), ("beta", Some("2.4.1")));
    assert_eq!(event.extra["line-number"], 12);
    assert_eq!(event.notes, Vec::<String>::new());
}

#[test]
fn each_report_of_a_list_is_an_event_of_its_own() {
    let events = read(&json!([
        {
            "type": "csp-violation", "age": 60_000, "url": "https://shop.example/cart",
            "user_agent": "Chrome/156",
            "body": {
                "blockedURL": "inline", "effectiveDirective": "style-src-attr",
                "documentURL": "https://shop.example/cart", "disposition": "report",
            },
        },
        {
            "type": "network-error", "url": "https://api.shop.example:8443/orders",
            "body": {"type": "tcp.timed_out", "phase": "connection", "status_code": 0},
        },
        {"type": "deprecation", "body": {"id": "WebSQL", "message": "WebSQL is gone"}},
        {},
    ]));
    let titles: Vec<String> = events.iter().map(title::title).collect();
    assert_eq!(
        titles,
        [
            "Blocked inline 'style'",
            "Network error tcp.timed_out at 'api.shop.example:8443'",
            "deprecation: WebSQL is gone",
            "report without a message",
        ]
    );
    let agent = |event: &Event| event.request.as_ref().map(|request| request.headers[0].1.clone());
    assert_eq!(agent(&events[0]).as_deref(), Some("Chrome/156"));
    assert_eq!(agent(&events[1]).as_deref(), Some("Firefox/150"));
    assert_eq!(events[0].timestamp, Timestamp::parse("2026-11-21T02:29:00Z").expect("a time"));
    assert_eq!(events[1].fingerprint, ["nel", "tcp.timed_out", "api.shop.example:8443"]);
    assert_eq!(events[1].tags.get("status_code"), None);
}

#[test]
fn failed_checks_of_certificates() {
    for (report, title, logger) in [
        (
            json!({"expect-ct-report": {"hostname": "shop.example", "port": 443}}),
            "Expect-CT failed for 'shop.example'",
            "expect-ct",
        ),
        (
            json!({"expect-staple-report": {"hostname": "shop.example"}}),
            "Expect-Staple failed for 'shop.example'",
            "expect-staple",
        ),
        (
            json!({"hostname": "shop.example", "known-pins": [], "noted-hostname": "x"}),
            "Public key pinning failed for 'shop.example'",
            "hpkp",
        ),
    ] {
        let event = read_one(&report);
        assert_eq!((title::title(&event).as_str(), event.logger.as_deref()), (title, Some(logger)));
        let url = event.request.and_then(|request| request.url);
        assert_eq!(url.as_deref(), Some("https://shop.example/"));
    }
}

#[test]
fn a_body_has_a_bounded_number_of_reports() {
    let body = format!("[{}{{}}]", "{},".repeat(MOST_REPORTS + 6));
    let reports = split(body.as_bytes(), &Surroundings::default()).expect("reports");
    assert_eq!((reports.payloads.len(), reports.n_left_out), (MOST_REPORTS, 7));
    for body in ["", "7", "\"text\"", "{", "[{]", "null"] {
        assert!(split(body.as_bytes(), &Surroundings::default()).is_err(), "{body}");
    }
}

#[test]
fn a_report_of_any_shape_is_an_event() {
    for report in [
        json!([null, 7, "text"]),
        json!({"csp-report": "text"}),
        json!({"csp-report": {"blocked-uri": 7, "violated-directive": []}}),
        json!({"type": 7, "body": 7, "age": "x", "url": {}}),
    ] {
        assert!(!read(&report).is_empty(), "{report}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = split(&bytes, &surroundings());
        let _ = parse_report(&bytes, &received()).map(Outline::into_whole);
    }

    #[test]
    fn no_address_makes_it_panic(directive: String, blocked: String, document: String) {
        let event = read_one(&json!({"csp-report": {
            "effective-directive": directive, "blocked-uri": blocked, "document-uri": document,
        }}));
        prop_assert!(title::title(&event).starts_with("Blocked "));
    }
}
