//! One test for each rule, by examples.

use super::*;

/// The exception types of a payload's `exception`.
fn kinds(exception: &Value) -> Vec<String> {
    let event = read(&json!({ "exception": exception }));
    event.exceptions.into_iter().filter_map(|exception| exception.kind).collect()
}

#[test]
fn exceptions_are_written_in_three_ways() {
    assert_eq!(kinds(&json!({"values": [{"type": "A"}, null, {"type": "B"}]})), ["A", "B"]);
    assert_eq!(kinds(&json!([{"type": "A"}])), ["A"]);
    assert_eq!(kinds(&json!({"type": "A", "value": "x"})), ["A"]);
    assert_eq!(kinds(&json!({"values": []})), [""; 0]);
    assert_eq!(kinds(&json!([{}])), [""; 0]);
    let event = read(&json!({"exception": "boom"}));
    assert_eq!(event.notes, ["exception left out: it is not an object or a list"]);
    let event = read(&json!({"exception": ["boom", {"type": "A"}]}));
    assert_eq!(event.exceptions.len(), 1);
    assert_eq!(event.notes, ["exception: 1 left out, they are no objects"]);
}

#[test]
fn one_unhandled_exception_makes_the_event_unhandled() {
    let handled = |flags: &[Value]| {
        let values: Vec<_> = flags
            .iter()
            .map(|flag| json!({"type": "A", "mechanism": {"type": "x", "handled": flag}}))
            .collect();
        read(&json!({ "exception": values })).handled
    };
    assert_eq!(handled(&[json!(false), json!(true)]), Some(false));
    assert_eq!(handled(&[json!(true), json!(null)]), Some(true));
    assert_eq!(handled(&[json!(null), json!("maybe")]), None);
    assert_eq!(handled(&[]), None);
}

#[test]
fn values_that_are_no_text_are_shown_as_json() {
    let event = read(&json!({"exception": [{"type": "A", "value": {"code": 7}}, {"value": 42}]}));
    let values: Vec<_> = event.exceptions.iter().filter_map(|one| one.value.as_deref()).collect();
    assert_eq!(values, [r#"{"code":7}"#, "42"]);
}

#[test]
fn of_a_long_chain_the_nearest_causes_are_kept() {
    let chain: Vec<_> = (0..60).map(|at| json!({"type": format!("E{at}")})).collect();
    let event = read(&json!({ "exception": chain }));
    assert_eq!(event.exceptions.len(), 50);
    assert_eq!(event.raised().and_then(|raised| raised.kind.as_deref()), Some("E59"));
    assert_eq!(event.notes, ["exception: 10 of 60 causes left out"]);
}

#[test]
fn of_a_deep_stack_both_ends_are_kept() {
    let frames: Vec<_> = (1..=999).map(|line| json!({"function": "f", "lineno": line})).collect();
    let event = read(&json!({"exception": [{"type": "A", "stacktrace": {"frames": frames}}]}));
    let lines: Vec<_> = event.main_stack().iter().filter_map(|frame| frame.lineno).collect();
    assert_eq!(lines.len(), frames::MOST_FRAMES);
    assert_eq!(lines[..50], (1..=50).collect::<Vec<u32>>());
    assert_eq!(lines[50..], (750..=999).collect::<Vec<u32>>());
    assert_eq!(event.notes, ["699 of 999 frames left out in the middle of a stack"]);
}

#[test]
fn frames_are_read_leniently() {
    let event = read(&json!({"stacktrace": [
        null,
        {},
        "frame",
        {"function": "<unknown>", "lineno": "12", "colno": 3.0, "in_app": 1, "vars": [1],
         "pre_context": [null, "a"], "post_context": [null, null], "context_line": ""},
        {"filename": "a.rs", "lineno": -1, "colno": 1e99, "in_app": "no idea", "module": ""},
    ]}));
    let [unknown, named] = event.main_stack() else { panic!("two frames") };
    assert_eq!(
        *unknown,
        Frame {
            function: Some("<unknown>".to_owned()),
            lineno: Some(12),
            colno: Some(3),
            in_app: Some(true),
            pre_context: vec![String::new(), "a".to_owned()],
            context_line: Some(String::new()),
            ..Frame::default()
        }
    );
    assert_eq!(*named, Frame { filename: Some("a.rs".to_owned()), ..Frame::default() });
}

#[test]
fn when_there_is_no_room_the_crash_keeps_its_source() {
    let line = "x".repeat(500);
    let frames: Vec<_> = (0..100).map(|at| json!({"lineno": at, "context_line": line})).collect();
    let event = read(&json!({"stacktrace": {"frames": frames}}));
    let stack = event.main_stack();
    assert_eq!(stack.len(), 100);
    assert!(stack.first().is_some_and(|frame| frame.context_line.is_none()));
    assert_eq!(stack.last().and_then(|frame| frame.context_line.as_deref()), Some(line.as_str()));
    assert!(event.notes.iter().any(|note| note.starts_with("source lines:")), "{:?}", event.notes);
}

#[test]
fn the_crashed_thread_is_among_the_kept() {
    let mut threads: Vec<_> = (0..100).map(|at| json!({"id": at})).collect();
    threads.push(json!({"id": 100, "crashed": true, "stacktrace": [{"function": "f"}]}));
    let event = read(&json!({"threads": {"values": threads}}));
    assert_eq!(event.threads.len(), 64);
    assert!(event.threads.last().is_some_and(|thread| thread.crashed));
    assert_eq!(event.main_stack().len(), 1);
    assert_eq!(event.notes, ["threads: 37 left out, an event has at most 64"]);
}

#[test]
fn messages_are_written_in_many_ways() {
    let cases = [
        (json!({"message": "plain"}), "plain", None),
        (json!({"logentry": "plain"}), "plain", None),
        (json!({"message": {"formatted": "a 1", "message": "a %s"}}), "a 1", Some("a %s")),
        (json!({"message": {"message": "a %s", "params": [1]}}), "a 1", Some("a %s")),
        (json!({"logentry": {"message": "%(n)s", "params": {"n": 1}}}), "1", Some("%(n)s")),
        (json!({"logentry": {"message": "same", "formatted": "same"}}), "same", None),
        (json!({"logentry": {}, "message": "plain"}), "plain", None),
        (json!({"message": 42}), "42", None),
    ];
    for (payload, formatted, template) in cases {
        let message = read(&payload).message.expect("a message");
        assert_eq!(
            (message.formatted.as_str(), message.template.as_deref()),
            (formatted, template)
        );
    }
    assert_eq!(read(&json!({"message": ""})).message, None);
    assert_eq!(read(&json!({"message": null})).message, None);
}

#[test]
fn levels_of_many_loggers() {
    let level = |level: Value| read(&json!({ "level": level })).level;
    assert_eq!(level(json!("WARN")), Level::Warning);
    assert_eq!(level(json!(50)), Level::Fatal);
    assert_eq!(level(json!("30")), Level::Warning);
    assert_eq!(level(json!(null)), Level::Error);
    assert_eq!(level(json!([1])), Level::Error);
}

#[test]
fn short_texts_stay_readable_and_short() {
    let event = read(&json!({
        "release": " web@1\t\n2 ", "environment": "  ", "dist": 42, "platform": "PYTHON",
        "transaction": null, "culprit": "charge", "logger": "", "server_name": ["a"],
    }));
    assert_eq!(event.release.as_deref(), Some("web@1  2"));
    assert_eq!(event.environment, "production");
    assert_eq!(event.dist.as_deref(), Some("42"));
    assert_eq!(event.platform, "python");
    assert_eq!(event.transaction.as_deref(), Some("charge"));
    assert_eq!((event.logger, event.server_name), (None, None));

    let long = read(&json!({"release": "r".repeat(300), "environment": "e".repeat(300)}));
    assert_eq!(long.release.map(|release| release.chars().count()), Some(200));
    assert_eq!(long.environment.chars().count(), 64);
    assert_eq!(read(&json!({})).platform, "other");
}

#[test]
fn the_time_is_corrected_by_the_clock_of_the_sender() {
    let sent_at = Timestamp::parse("2026-11-21T01:30:00Z");
    let at = |timestamp: Value| {
        let payload = json!({"timestamp": timestamp, "breadcrumbs": [{"timestamp": timestamp}]});
        let received = Received { sent_at, ..received() };
        let event =
            parse_event(payload.to_string().as_bytes(), &received).expect("an event").into_whole();
        (event.timestamp.to_string(), event.breadcrumbs[0].timestamp, event.notes)
    };
    let (time, crumb, notes) = at(json!("2026-11-21T01:29:50Z"));
    assert_eq!(time, "2026-11-21T02:29:50Z");
    assert_eq!(crumb, Timestamp::parse(&time));
    assert!(notes[0].contains("3600 s"), "{notes:?}");
    assert_eq!(at(json!("1795224590")).0, "2026-11-21T02:29:50Z");

    let odd = read(&json!({"timestamp": {"seconds": 7}}));
    assert_eq!(odd.timestamp, received().received_at);
    assert_eq!(odd.notes, ["timestamp cannot be read: the time of arrival was taken"]);
}

#[test]
fn tags_are_written_in_three_ways() {
    let expected = [("a".to_owned(), "1".to_owned())].into();
    assert_eq!(read(&json!({"tags": {"a": 1, "": "x", "n": null, "e": " "}})).tags, expected);
    assert_eq!(read(&json!({"tags": [["a", 0], ["a", "1"], null]})).tags, expected);
    assert_eq!(read(&json!({"tags": [{"key": "a", "value": "1"}]})).tags, expected);

    let odd = read(&json!({"tags": {"a": 1, "list": [1]}}));
    assert_eq!(odd.tags, expected);
    assert_eq!(odd.notes, ["tags: 1 left out, their values are no plain values"]);

    let many: Vec<_> = (0..250).map(|at| json!([format!("k{at}"), "v"])).collect();
    let many = read(&json!({ "tags": many }));
    assert_eq!(many.tags.len(), 200);
    assert_eq!(many.notes, ["tags: 50 left out, an event has at most 200"]);
}

#[test]
fn fingerprints_are_texts() {
    let parts = |fingerprint: Value| read(&json!({ "fingerprint": fingerprint })).fingerprint;
    assert_eq!(
        parts(json!(["a", 1, true, null, [1], {}, "{{ default }}"])),
        ["a", "1", "true", "{{ default }}"]
    );
    assert_eq!(parts(json!([])), [""; 0]);
    assert_eq!(parts(json!("a")), ["a"]);
    assert_eq!(parts(json!(vec!["x".repeat(600); 40])).len(), 32);
}

#[test]
fn users_have_texts_and_data() {
    let user = |user: Value| read(&json!({ "user": user })).user;
    let zoe = user(json!({"id": 8841, "plan": "gold", "data": {"a": 1}, "geo": null}));
    let zoe = zoe.expect("a user");
    assert_eq!(zoe.id.as_deref(), Some("8841"));
    assert_eq!(Value::Object(zoe.data), json!({"a": 1, "plan": "gold"}));
    assert_eq!(user(json!("zoë")).and_then(|user| user.id).as_deref(), Some("zoë"));
    assert_eq!(user(json!({"id": null})), None);
    assert_eq!(user(json!([1])), None);

    let nowhere = Received { remote_addr: None, ..received() };
    let auto = parse_event(br#"{"user": {"id": "7", "ip_address": "{{auto}}"}}"#, &nowhere);
    let auto = auto.expect("an event").into_whole().user.expect("a user");
    assert_eq!(auto.ip_address, None);
}

#[test]
fn requests_are_written_in_many_ways() {
    let request = |request: Value| read(&json!({ "request": request })).request;
    let pairs = request(json!({
        "url": "https://shop.example/cart?a=1#top",
        "headers": [["Accept", "*/*"], ["X-Many", ["a", "b"]], ["X-Null", null]],
        "query_string": [["a", "1 & 2"], ["b", ["x", "y"]]],
        "cookies": [["theme", "dark"]],
        "data": "a=1",
    }));
    let pairs = pairs.expect("a request");
    assert_eq!(pairs.url.as_deref(), Some("https://shop.example/cart#top"));
    assert_eq!(pairs.query_string.as_deref(), Some("a=1%20%26%202&b=x&b=y"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(pairs.headers, [header("Accept", "*/*"), header("X-Many", "a, b")]);
    assert_eq!(pairs.cookies, json!({"theme": "dark"}));
    assert_eq!(pairs.data, "a=1");

    let query = |value: Value| request(value).and_then(|request| request.query_string);
    assert_eq!(query(json!({"query_string": "?a=1"})).as_deref(), Some("a=1"));
    assert_eq!(query(json!({"url": "/cart?a=1"})).as_deref(), Some("a=1"));
    assert_eq!(query(json!({"url": "/#/cart?a=1"})), None);
    assert_eq!(request(json!({"url": null, "headers": {}})), None);
}

#[test]
fn the_newest_breadcrumbs_are_kept() {
    let crumbs: Vec<_> = (0..150).map(|at| json!({"message": at, "level": "odd"})).collect();
    let event = read(&json!({"breadcrumbs": {"values": crumbs}}));
    let messages: Vec<_> =
        event.breadcrumbs.iter().filter_map(|crumb| crumb.message.as_deref()).collect();
    assert_eq!(messages.len(), 100);
    assert_eq!((messages[0], messages[99]), ("50", "149"));
    assert_eq!(event.notes, ["breadcrumbs: the oldest 50 left out"]);
}

#[test]
fn the_sdk_of_the_payload_wins() {
    let sdk = read(&json!({"sdk": {"name": "sentry.python", "version": "2.75.0"}})).sdk;
    assert_eq!(sdk.map(|sdk| sdk.name).as_deref(), Some("sentry.python"));
    assert_eq!(read(&json!({})).sdk.map(|sdk| sdk.name).as_deref(), Some("sentry.test"));
}

#[test]
fn free_json_of_the_wrong_type_is_noted() {
    let event = read(&json!({"extra": [1], "contexts": null, "modules": 7, "user": true}));
    assert_eq!(
        event.notes,
        [
            "user left out: it is not an object",
            "extra left out: it is not an object",
            "modules left out: it is not an object",
        ]
    );
}
