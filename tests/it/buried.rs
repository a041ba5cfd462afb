//! A report that cannot be digested costs its neighbours nothing, and is not lost.

use std::time::Duration;

use airlock::digest::bury::KEPT_FOR;
use serde_json::{Value, json};

use crate::support::{Answer, Engine, TestApp, TestProject, both, crash, with};

const GOOD: &str = "c76085e7ee72463e94764d80b9534fff";
const BAD: &str = "0f6085e7ee72463e94764d80b9534fff";

/// An envelope with one item of these bytes.
fn envelope(event_id: &str, payload: &str) -> String {
    format!(
        "{{\"event_id\":\"{event_id}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n{payload}\n",
        payload.len()
    )
}

/// A shop that got three reports at once, the second of them broken.
async fn shop_with_a_broken_report(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.send_event(&shop, &crash("KeyError")).await.ok();
    let body = envelope(BAD, "{\"message\": \"half a");
    let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
    assert_eq!(answer.ok(), json!({ "id": BAD }));
    app.send_event(&shop, &with(crash("KeyError"), &json!({"event_id": GOOD}))).await.ok();
    app.digested().await;
    (app, shop)
}

async fn buried(app: &TestApp) -> Vec<Value> {
    app.all("/api/v1/projects/shop/buried").await
}

async fn retry(app: &TestApp, id: &Value) -> Answer {
    let id = id.as_str().expect("an id");
    app.post(&format!("/api/v1/projects/shop/buried/{id}/retry"), &json!({})).await
}

both!(a_broken_report_is_set_aside_and_its_neighbours_are_stored, |engine: Engine| async move {
    let (app, _shop) = shop_with_a_broken_report(engine).await;
    assert_eq!(app.issue("SHOP-1").await["events"], 2);
    app.get(&format!("/api/v1/projects/shop/events/{GOOD}")).await.ok();
    let missing = app.get(&format!("/api/v1/projects/shop/events/{BAD}")).await;
    assert_eq!(missing.problem(), (404, "not-found".to_owned()));

    let status = app.get("/status.json").await.ok();
    assert_eq!((&status["buried"], &status["accepted_24h"]), (&json!(1), &json!(2)));
    let list = buried(&app).await;
    assert_eq!(list.len(), 1);
    let reason = list[0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("event payload is no"), "{reason}");
    assert_eq!(list[0]["tries"], 0);
    assert_eq!(list[0]["buried_at"], "2026-11-21T12:00:00Z");
    assert_eq!(list[0]["kept_until"], "2026-11-28T12:00:00Z");
    assert!(!list[0].to_string().contains("half a"), "the bytes may hold secrets");
    app.stop().await;
});

both!(trying_a_broken_report_again_leaves_it_where_it_is, |engine: Engine| async move {
    let (app, _shop) = shop_with_a_broken_report(engine).await;
    let list = buried(&app).await;
    for tries in 1..=2 {
        let result = retry(&app, &list[0]["id"]).await.ok();
        assert_eq!(result["result"], "still_buried");
        assert_eq!(result["reason"], list[0]["reason"]);
        assert_eq!(buried(&app).await[0]["tries"], tries);
    }
    assert_eq!(app.get("/status.json").await.ok()["buried"], 1);
    for other in ["00000000000000000000000000000000", "no-id"] {
        let answer = retry(&app, &json!(other)).await;
        assert_eq!(answer.problem(), (404, "not-found".to_owned()));
    }
    app.stop().await;
});

both!(a_report_that_was_repaired_is_digested_once, |engine: Engine| async move {
    let (app, shop) = shop_with_a_broken_report(engine).await;
    let id = buried(&app).await[0]["id"].clone();
    let record = app.stored_bytes("SELECT record FROM buried").await.remove(0);
    let head = record.iter().position(|byte| *byte == b'\n').expect("a head");
    let payload = crash("KeyError").to_string();
    let repaired = [&record[..=head], payload.as_bytes()].concat();
    app.change_store("UPDATE buried SET record = $1", &repaired).await;

    assert_eq!(retry(&app, &id).await.ok()["result"], "digested");
    assert_eq!(buried(&app).await, Vec::<Value>::new());
    assert_eq!(app.get("/status.json").await.ok()["buried"], 0);
    let event = app.get(&format!("/api/v1/projects/shop/events/{BAD}")).await.ok();
    assert_eq!((&event["issue"], &event["title"]), (&json!("SHOP-1"), &json!("KeyError: broken")));
    assert_eq!(app.issue("SHOP-1").await["events"], 3);

    // Once: not by trying again, and not by the client that sends it again.
    assert_eq!(retry(&app, &id).await.problem(), (404, "not-found".to_owned()));
    Answer::of(app.report(&shop, "envelope").body(envelope(BAD, &payload))).await.ok();
    app.digested().await;
    assert_eq!(app.issue("SHOP-1").await["events"], 3);
    assert_eq!(app.all("/api/v1/issues/SHOP-1/events").await.len(), 3);
    app.stop().await;
});

both!(a_buried_report_is_forgotten_after_a_week, |engine: Engine| async move {
    let (app, _shop) = shop_with_a_broken_report(engine).await;
    let forget = async || {
        let mut tx = app.running.store().write().await.expect("a transaction");
        let before = app.clock.now().minus(KEPT_FOR);
        tx.delete_buried_before(before).await.expect("it forgets");
        tx.commit().await.expect("a commit");
    };
    app.clock.advance(Duration::from_hours(7 * 24));
    forget().await;
    assert_eq!(buried(&app).await.len(), 1);
    app.clock.advance(Duration::from_secs(1));
    forget().await;
    assert_eq!(buried(&app).await, Vec::<Value>::new());
    app.stop().await;
});

both!(a_buried_report_is_nobody_elses, |engine: Engine| async move {
    let (app, _shop) = shop_with_a_broken_report(engine).await;
    app.create_project("depot").await;
    assert_eq!(app.all("/api/v1/projects/depot/buried").await, Vec::<Value>::new());
    let id = buried(&app).await[0]["id"].as_str().expect("an id").to_owned();
    let answer = app.post(&format!("/api/v1/projects/depot/buried/{id}/retry"), &json!({})).await;
    assert_eq!(answer.problem(), (404, "not-found".to_owned()));
    assert_eq!(buried(&app).await[0]["tries"], 0);
    app.stop().await;
});

both!(a_flood_of_large_garbage_fills_a_bounded_grave, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let garbage = "x".repeat(3_000_000);
    for number in 0..25 {
        let body = format!("{{}}\n{{\"type\":\"event\"}}\n{number} {garbage}\n");
        Answer::of(app.report(&shop, "envelope").body(body)).await.ok();
    }
    app.send_event(&shop, &json!({"message": "among garbage"})).await.ok();
    app.digested().await;
    let list = app.all("/api/v1/projects/shop/buried").await;
    assert_eq!(list.len(), 22, "64 MiB hold so many");
    let outcomes = app.get("/api/v1/projects/shop/outcomes").await.ok();
    assert_eq!(outcomes["totals"]["buried"], 22, "{outcomes}");
    assert_eq!(outcomes["totals"]["refused"]["grave_full"], 3, "{outcomes}");
    assert_eq!(app.issue("SHOP-1").await["title"], "among garbage");
    app.stop().await;
});
