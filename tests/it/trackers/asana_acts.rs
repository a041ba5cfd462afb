//! What people do in Asana is done in Airlock, and what Airlock does there means nothing.

use serde_json::json;

use super::Connected;
use crate::support::asana::PAT;
use crate::support::{Engine, both, crash, with};

both!(what_a_person_does_with_a_task_is_done_with_its_issue, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, .. } = &connected;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    connected.polled().await;
    let path = format!("/tasks/{}", connected.task("SHOP-1").gid);
    assert_eq!(app.changes("SHOP-1").await, ["opened", "became_serious"]);

    asana.by_hand("PUT", &path, &json!({"completed": true}));
    connected.polled().await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["task"]["state"]), (&json!("resolved"), &json!("done")));
    let changes = ["opened", "became_serious", "resolved"];
    assert_eq!(app.changes("SHOP-1").await, changes);
    // Nothing is said of what was done there, and nothing is done of what Airlock did.
    assert!(connected.comments("SHOP-1").is_empty());
    connected.polled().await;
    assert_eq!(app.changes("SHOP-1").await, changes);

    asana.by_hand("PUT", &path, &json!({"completed": false}));
    connected.polled().await;
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    asana.by_hand("PUT", &path, &json!({"assignee": crate::support::asana::PERSON}));
    connected.polled().await;
    let last = app.all("/api/v1/issues/SHOP-1/activity").await;
    let acts: Vec<_> = last.iter().map(|one| (one["kind"].clone(), one["actor"].clone())).collect();
    assert!(!app.issue("SHOP-1").await["assignee"].is_null(), "{acts:?}");
    assert!(connected.comments("SHOP-1").is_empty());

    // A deleted task stays so.
    asana.by_hand("DELETE", &path, &json!({}));
    connected.polled().await;
    assert_eq!(app.issue("SHOP-1").await["task"]["state"], "deleted");
    connected.app.stop().await;
});

both!(what_airlock_does_in_asana_means_nothing, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, .. } = &connected;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    connected.polled().await;
    app.act("SHOP-1", "assign", json!({"to": "zoe"})).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "fixed in 4f2c91a"})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    connected.delivered().await;
    let changes = app.changes("SHOP-1").await;
    asana.forget_asked();
    connected.polled().await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    assert_eq!(asana.asked("GET", "/tasks/*").len(), 0);
    // Nor when everything is read again.
    asana.expire_sync();
    connected.polled().await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    assert!(asana.asked("PUT", "*").is_empty() && asana.asked("POST", "*").is_empty());
    connected.app.stop().await;
});

both!(only_comments_of_people_name_fixes, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, .. } = &connected;
    app.post("/api/v1/projects/shop/repositories", &json!({"name": "shop"})).await.ok();
    let text = &format!("fixed in {}", "4f".repeat(20));
    let value = json!({"type": text, "value": text});
    let event = with(crash("x"), &json!({"exception": {"values": [value]}, "message": text}));
    app.send(shop, &event).await;
    connected.delivered().await;
    connected.polled().await;
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    let path = format!("/tasks/{}/stories", asana.tasks()[0].gid);
    asana.by_rule("POST", &path, &json!({"text": text}));
    connected.polled().await;
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    asana.by_hand("POST", &path, &json!({"text": text}));
    connected.polled().await;
    let changes = app.changes("SHOP-1").await;
    assert_eq!(changes.iter().filter(|kind| *kind == "fix_tagged").count(), 1, "{changes:?}");
    // What nobody knows is declined, once.
    asana.by_hand("POST", &path, &json!({"text": "fixed in 5a5a5a5"}));
    connected.polled().await;
    let n_said =
        || connected.comments("SHOP-1").iter().filter(|one| one.contains("not taken")).count();
    assert_eq!(n_said(), 1);
    asana.expire_sync();
    connected.polled().await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    assert_eq!(n_said(), 1);
    connected.app.stop().await;
});
