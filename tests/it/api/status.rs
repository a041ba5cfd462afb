//! What the service says of itself.

use reqwest::Method;
use serde_json::{Value, json};

use super::Answer;
use crate::support::{Engine, TestApp, both};

both!(the_service_says_that_it_lives_and_is_ready, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    for path in ["/healthz", "/readyz"] {
        let answer = Answer::of(app.request(Method::GET, path)).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    app.stop().await;
});

#[tokio::test]
async fn a_full_spool_is_not_ready() {
    let app = TestApp::start_with(Engine::Sqlite, |config| config.spool_most_bytes = 1).await;
    assert_eq!(Answer::of(app.request(Method::GET, "/healthz")).await.status, 200);
    assert_eq!(Answer::of(app.request(Method::GET, "/readyz")).await.status, 503);
    let status = app.get("/status.json").await.ok();
    let intake = &status["parts"]["intake"];
    assert_eq!(intake["state"], "down");
    let why = intake["last_error"].as_str().expect("a reason");
    assert!(why.contains("--spool-most-bytes"), "{why}");
    app.stop().await;
}

both!(strangers_see_states_and_holders_of_a_token_see_numbers, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    let wrong = crate::support::TestProject { key: "0".repeat(32), ..shop.clone() };
    assert_eq!(app.send_event(&wrong, &json!({"message": "x"})).await.status, 403);
    let report =
        r#"{"discarded_events":[{"reason":"queue_overflow","category":"error","quantity":4}]}"#;
    let envelope = format!("{{}}\n{{\"type\":\"client_report\"}}\n{report}\n");
    Answer::of(app.report(&shop, "envelope").body(envelope)).await.ok();

    let open = Answer::of(app.request(Method::GET, "/status.json")).await.ok();
    let parts = json!({
        "digest": {"state": "ok"},
        "git": {"state": "ok"},
        "settling": {"state": "ok"},
        "intake": {"state": "ok"},
        "outbox": {"state": "ok"},
        "spool": {"state": "ok"},
        "store": {"state": "ok"},
    });
    assert_eq!(open, json!({ "parts": parts }));
    let wrong = app.request(Method::GET, "/status.json").bearer_auth("wrong");
    assert_eq!(Answer::of(wrong).await.json(), open);

    let full = app.get("/status.json").await.ok();
    let numbers = ["accepted_24h", "refused_24h", "buried", "discarded_by_clients_24h"];
    assert_eq!(numbers.map(|name| full[name].as_u64()), [Some(1), Some(1), Some(0), Some(4)]);
    let spool = &full["parts"]["spool"];
    assert_eq!((&spool["state"], &spool["backlog"]), (&json!("ok"), &json!(0)));
    assert_eq!(spool["oldest_age_seconds"], 0);
    assert_eq!(spool["since"], "2026-11-21T12:00:00Z");
    assert_eq!(spool["last_error"], Value::Null);

    let text = Answer::of(app.request(Method::GET, "/status")).await.text;
    assert!(text.contains("spool    ok") && !text.contains("accepted"), "{text}");
    let text = app.get("/status").await.text;
    assert!(text.contains("1 accepted in 24 h"), "{text}");
    app.stop().await;
});

#[tokio::test]
async fn metrics_are_for_those_who_may_read() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    let answer = Answer::of(app.request(Method::GET, "/metrics")).await;
    assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
    let answer = app.get("/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
    for name in ["airlock_spool_backlog_records", "airlock_digest_events_total"] {
        assert!(answer.text.lines().any(|line| line.starts_with(name)), "{}", answer.text);
    }
    app.stop().await;
}
