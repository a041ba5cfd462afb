//! What becomes of what is in a report, and what SDKs are told.

use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ID, MOST_EVENT_BYTES, OTHER_ID, envelope, event, issues, post};
use crate::support::{Answer, Engine, TestApp, TestProject, both, zlib};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_without_items_is_fine() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    for (body, expected) in [
        ("{}".to_owned(), json!({})),
        ("{}\n".to_owned(), json!({})),
        (json!({"event_id": ID}).to_string(), json!({"id": ID})),
    ] {
        let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
        assert_eq!(answer.ok(), expected);
    }
    assert_eq!(issues(&app, &shop).await, []);
    app.stop().await;
}

both!(what_is_not_kept_is_counted_and_costs_no_neighbour, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let own = event(ID, "Kept");
    let body = envelope(
        &json!({"event_id": ID}),
        &[
            ("session", r#"{"sid": "1", "status": "crashed"}"#),
            ("attachment", "a\nb\0c"),
            ("event", &own),
            ("transaction", r#"{"type": "transaction"}"#),
            ("session", "{}"),
            ("of_the_future", "\n\n"),
        ],
    );
    let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
    assert_eq!(answer.ok(), json!({"id": ID}));

    // An item that breaks the rest of the envelope does not take the event before it along.
    let broken =
        envelope(&json!({"event_id": OTHER_ID}), &[("event", &event(OTHER_ID, "Survivor"))]);
    let broken = broken + "{\"type\": \"attachment\", \"length\": 1000}\ncut off";
    let answer = Answer::of(app.report(&shop, "envelope").body(broken)).await;
    assert_eq!(answer.ok(), json!({"id": OTHER_ID}));

    let seen = ["Kept", "Survivor"].map(|kind| (format!("{kind}: broken"), 1));
    assert_eq!(issues(&app, &shop).await, seen);
    let mut database = app.counted().await;
    let counted = database.outcomes(shop.id).await;
    let expected = [
        ("accepted", 2),
        ("refused malformed_item", 1),
        ("skipped attachment", 1),
        ("skipped other", 1),
        ("skipped session", 2),
        ("skipped transaction", 1),
    ];
    assert_eq!(counted, expected.map(|(name, n)| (name.to_owned(), n)).into());
    app.stop().await;
});

both!(an_event_that_is_broken_inside_costs_no_neighbour, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let body = envelope(
        &json!({"event_id": ID}),
        &[("event", "{\"message\": \"half"), ("event", &event(OTHER_ID, "Neighbour"))],
    );
    assert_eq!(Answer::of(app.report(&shop, "envelope").body(body)).await.status, 200);
    assert_eq!(issues(&app, &shop).await, [("Neighbour: broken".to_owned(), 1)]);
    // The broken one is not gone: it was set aside for a person to look at.
    let buried = app.get("/api/v1/projects/shop/buried").await.ok();
    assert_eq!(buried["items"].as_array().map(Vec::len), Some(1), "{buried}");
    app.stop().await;
});

both!(ids_with_hyphens_are_the_same_ids, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let hyphenated = "c76085e7-ee72-463e-9476-4d80b9534fff";
    let body = envelope(&json!({"event_id": hyphenated}), &[("event", &event(ID, "Same"))]);
    let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
    assert_eq!(answer.ok(), json!({"id": ID}));
    let answer = Answer::of(app.report(&shop, "store").body(event(hyphenated, "Same"))).await;
    assert_eq!(answer.ok(), json!({"id": ID}));
    assert_eq!(issues(&app, &shop).await, [("Same: broken".to_owned(), 1)]);
    app.get(&format!("/api/v1/projects/shop/events/{ID}")).await.ok();
    app.stop().await;
});

both!(an_event_sent_again_is_stored_once, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for _ in 0..2 {
        let answer = Answer::of(app.report(&shop, "store").body(event(ID, "Again"))).await;
        assert_eq!(answer.ok(), json!({"id": ID}));
        app.digested().await;
    }
    // And at once, on connections of their own.
    let send = || Answer::of(app.report(&shop, "store").body(event(OTHER_ID, "AtOnce")));
    for answer in <[Answer; 4]>::from(tokio::join!(send(), send(), send(), send())) {
        assert_eq!(answer.ok(), json!({"id": OTHER_ID}));
    }
    let seen = ["Again", "AtOnce"].map(|kind| (format!("{kind}: broken"), 1));
    assert_eq!(issues(&app, &shop).await, seen);
    assert_eq!(app.get("/status.json").await.ok()["accepted_24h"], 2);
    app.stop().await;
});

both!(an_event_without_an_id_gets_one, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let nameless = json!({"message": "who am I"});
    let mut ids = Vec::new();
    for path in ["store", "store/", "envelope", "envelope/"] {
        let body = match path.trim_end_matches('/') {
            "store" => nameless.to_string(),
            _ => envelope(&json!({}), &[("event", &nameless.to_string())]),
        };
        let path = format!("/api/{}/{path}?sentry_key={}", shop.id, shop.key);
        let id = post(&app, &path, body).await.ok()["id"].as_str().expect("an id").to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        ids.push(id);
    }
    assert_eq!(issues(&app, &shop).await, [("who am I".to_owned(), 4)]);
    for id in ids {
        let event = app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
        assert_eq!(event["title"], "who am I");
    }
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sdks_are_told_what_not_to_send_and_never_to_hold_back_errors() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    for (endpoint, body) in
        [("store", event(ID, "Told")), ("envelope", "{}\n{\"type\":\"session\"}\n{}".to_owned())]
    {
        let answer = Answer::of(app.report(&shop, endpoint).body(body)).await;
        assert_eq!(answer.status, 200);
        let limits = answer.header("x-sentry-rate-limits").expect("limits").to_owned();
        let (seconds, rest) = limits.split_once(':').expect("seconds and categories");
        assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds >= 60), "{limits}");
        let (categories, rest) = rest.split_once(':').expect("categories and a scope");
        assert!(rest.starts_with("organization:") && !rest.contains(','), "{limits}");
        let categories: Vec<&str> = categories.split(';').collect();
        for kept_out in
            ["transaction", "span", "session", "profile", "replay", "log_item", "monitor"]
        {
            assert!(categories.contains(&kept_out), "{limits}");
        }
        // An empty category would mean all of them.
        for kept in ["error", "default", "security", "attachment", "feedback", ""] {
            assert!(!categories.contains(&kept), "{limits}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_may_report_from_any_page_and_see_nothing_else() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let path = format!("/api/{}/envelope/?sentry_key={}", shop.id, shop.key);
    let preflight = |path: &str| {
        app.request(Method::OPTIONS, path)
            .header("Origin", "http://shop.example")
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-shop-proxy, content-type")
    };
    let answer = Answer::of(preflight(&path)).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-shop-proxy, content-type"));
    assert!(answer.header("access-control-allow-methods").is_some_and(|all| all.contains("POST")));
    // A preflight has no key, and no project need exist.
    let answer = Answer::of(preflight("/api/4711/store/")).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    let store = format!("/api/{}/store/?sentry_key={}", shop.id, shop.key);
    for (method, path, body, status) in [
        (Method::POST, path.as_str(), "{}", 200),
        (Method::POST, path.as_str(), "nonsense", 400),
        (Method::POST, "/api/4711/envelope/", "{}", 403),
        (Method::GET, path.as_str(), "", 405),
        (Method::POST, store.as_str(), "nonsense", 400),
    ] {
        let request = app.request(method, path).header("Origin", "http://shop.example").body(body);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        for name in ["x-sentry-error", "x-sentry-rate-limits", "retry-after"] {
            assert!(exposed.contains(name), "{answer:?}");
        }
    }

    for path in ["/api/v1/projects", "/api/v1/projects/shop/issues", "/status.json", "/nowhere"] {
        let answers = [
            Answer::of(app.api(Method::GET, path).header("Origin", "http://shop.example")).await,
            Answer::of(preflight(path)).await,
        ];
        for answer in answers {
            assert!(
                !answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")),
                "{path}: {answer:?}"
            );
        }
    }
    app.stop().await;
}

both!(what_sdks_dropped_themselves_is_counted, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let report = json!({"timestamp": 1_795_226_466.5, "discarded_events": [
        {"reason": "ratelimit_backoff", "category": "error", "quantity": 3},
        {"reason": "network_error", "category": "transaction", "quantity": 4},
    ]})
    .to_string();
    let body = envelope(&json!({}), &[("client_report", &report), ("client_report", "nonsense")]);
    assert_eq!(Answer::of(app.report(&shop, "envelope").body(body)).await.ok(), json!({}));
    assert_eq!(app.get("/status.json").await.ok()["discarded_by_clients_24h"], 7);

    let mut database = app.counted().await;
    assert_eq!(app.get("/status.json").await.ok()["discarded_by_clients_24h"], 7);
    let counted = database.outcomes(shop.id).await;
    let expected =
        [("discarded error:ratelimit_backoff", 3), ("discarded transaction:network_error", 4)];
    assert_eq!(counted, expected.map(|(name, n)| (name.to_owned(), n)).into());
    // Without a token, nobody sees how many.
    let open = Answer::of(app.request(Method::GET, "/status.json")).await.ok();
    assert_eq!(open["discarded_by_clients_24h"], Value::Null);
    app.stop().await;
});

/// The notes of a project's only event with this title.
async fn notes(app: &TestApp, project: &TestProject, title: &str) -> Vec<String> {
    app.digested().await;
    let path = format!("/api/v1/projects/{}/issues?limit=100", project.slug);
    let page = app.get(&path).await.ok();
    let issue = page["items"].as_array().expect("items").iter().find(|one| one["title"] == title);
    let id = issue.unwrap_or_else(|| panic!("{title} in {page}"))["id"].as_str().expect("an id");
    let event = app.get(&format!("/api/v1/issues/{id}/events/latest")).await.ok();
    let notes = event["notes"].as_array().cloned().unwrap_or_default();
    notes.iter().map(|note| note.as_str().expect("a note").to_owned()).collect()
}

both!(an_event_that_is_too_long_is_cut_and_not_refused, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let padded = |title: &str, n_bytes: usize| {
        let start = format!(r#"{{"message": "{title}", "extra": {{"list": [1, {{"x": ""#);
        let end = r#""}]}}"#;
        format!("{start}{}{end}", "x".repeat(n_bytes - start.len() - end.len()))
    };
    let long = 30_000_000;
    for (title, n_bytes) in [("whole", MOST_EVENT_BYTES), ("one more", MOST_EVENT_BYTES + 1)] {
        let answer = Answer::of(app.report(&shop, "store").body(padded(title, n_bytes))).await;
        assert_eq!(answer.status, 200, "{title} {answer:?}");
    }
    let own = padded("alone", long);
    Answer::of(app.report(&shop, "store").body(own)).await.ok();
    let bodies = [
        envelope(&json!({}), &[("event", &padded("by length", long)), ("session", "{}")]),
        format!("{{}}\n{{\"type\":\"event\"}}\n{}\n", padded("by line", long)),
    ];
    for body in bodies {
        Answer::of(app.report(&shop, "envelope").body(body)).await.ok();
    }
    // Old Ruby clients encode in their own way: a message that is not worth zlib's while.
    let mut noise = 1_u32;
    let mut next = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from(noise >> 28).expect("four bits"))
    };
    let text: String = std::iter::repeat_with(&mut next).take(9_000_000).collect();
    let own = json!({"message": "encoded", "tags": {}}).to_string();
    let own = own.replace("\"tags\":{}", &format!("\"extra\":{{\"x\":\"{text}\"}}"));
    let encoded = base64::engine::general_purpose::STANDARD.encode(zlib(own.as_bytes()));
    assert!(encoded.len() > MOST_EVENT_BYTES && encoded.starts_with("eJ"));
    Answer::of(app.report(&shop, "store").body(encoded)).await.ok();

    let titles = ["alone", "by length", "by line", "encoded", "one more", "whole"];
    assert_eq!(issues(&app, &shop).await, titles.map(|title| (title.to_owned(), 1)));
    let cut = "the report was 30.0 MB; what was beyond 4 MiB was cut".to_owned();
    for title in ["alone", "by length", "by line"] {
        assert!(notes(&app, &shop, title).await.contains(&cut), "{title}");
    }
    let note = &notes(&app, &shop, "one more").await[0];
    assert_eq!(note, "the report was 4.2 MB; what was beyond 4 MiB was cut");
    assert!(notes(&app, &shop, "encoded").await[0].contains("beyond 4 MiB was cut"));
    let whole = notes(&app, &shop, "whole").await;
    assert!(!whole.iter().any(|note| note.contains("MiB")), "{whole:?}");
    app.stop().await;
});

both!(what_an_event_has_too_much_of_is_cut_and_noted, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let list = |n: usize| json!((0..n).collect::<Vec<_>>()).to_string();
    let tags: serde_json::Map<String, Value> =
        (0..300).map(|n| (format!("tag-{n:03}"), json!(n))).collect();
    let frames: Vec<Value> =
        (0..999).map(|n| json!({"function": format!("f{n}"), "module": "shop"})).collect();
    let bombs = [
        ("deep", format!(r#""extra": {{"x": {}}}"#, deep(1_000_000)), "100 levels deep were cut"),
        ("many", format!(r#""extra": {{"x": {}}}"#, list(500_000)), "more than 100000 values"),
        ("tags", format!(r#""tags": {}"#, json!(tags)), "an event has at most 200"),
        (
            "frames",
            format!(r#""stacktrace": {}"#, json!({"frames": frames})),
            "699 of 999 frames left out",
        ),
        ("text", format!(r#""extra": {{"x": "{}"}}"#, "x".repeat(5_000)), "extra: 1 part was"),
    ];
    for (title, fields, expected) in bombs {
        let body = format!(r#"{{"message": "{title}", "fingerprint": ["{title}"], {fields}}}"#);
        for endpoint in ["store", "envelope"] {
            let body = match endpoint {
                "store" => body.clone(),
                _ => envelope(&json!({}), &[("event", &body)]),
            };
            Answer::of(app.report(&shop, endpoint).body(body)).await.ok();
        }
        let notes = notes(&app, &shop, title).await;
        assert!(notes.iter().any(|note| note.contains(expected)), "{title}: {notes:?}");
    }
    assert_eq!(issues(&app, &shop).await.len(), 5);
    assert_eq!(app.get("/status.json").await.ok()["buried"], 0);
    app.stop().await;
});
