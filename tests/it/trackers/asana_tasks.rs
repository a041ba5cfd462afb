//! A serious issue has a task in Asana, which follows it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Connected, TRACKER, delivered};
use crate::support::asana::{OAUTH, PAT, PERSON, WORKSPACE};
use crate::support::{Engine, TestApp, both, crash, until, with};

async fn lives(engine: Engine, token: &str) {
    let connected = Connected::start(engine, token).await;
    let Connected { app, shop, asana, errors } = &connected;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    let task = connected.task("SHOP-1");
    assert!(task.is_in(errors) && !task.completed);
    assert!(task.notes.contains("shop.cart in checkout"), "{}", task.notes);
    let mark = task.notes.lines().last().expect("a line").to_owned();
    assert!(mark.starts_with("Airlock · "), "{mark}");
    assert_eq!(task.external.is_empty(), token == PAT);
    let shown = app.issue("SHOP-1").await["task"].clone();
    assert_eq!(
        (&shown["tracker"], &shown["id"], &shown["state"], &shown["error"]),
        (&json!("asana"), &json!(task.gid), &json!("open"), &Value::Null)
    );
    assert!(shown["url"].as_str().expect("an address").ends_with(&task.gid));

    app.act("SHOP-1", "assign", json!({"to": "ZOE"})).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "it is <the> cart & more"})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    connected.delivered().await;
    let task = connected.task("SHOP-1");
    assert_eq!((task.completed, task.assignee.as_deref()), (true, Some(PERSON)));
    let said = ["bootstrap: it is <the> cart & more", "bootstrap resolved it"];
    assert_eq!(connected.comments("SHOP-1"), said);

    // Whom Asana does not know costs nothing; and what a person changes meanwhile is theirs.
    asana.by_hand("PUT", &format!("/tasks/{}", task.gid), &json!({"name": "SHOP-1 cart"}));
    app.act("SHOP-1", "assign", json!({"to": "somebody else"})).await.ok();
    app.clock.advance(Duration::from_hours(1));
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    let task = connected.task("SHOP-1");
    assert_eq!((task.completed, task.name.as_str()), (false, "SHOP-1 cart"));
    assert_eq!(task.notes.lines().last(), Some(mark.as_str()));
    let came_back = connected.comments("SHOP-1").pop().expect("a comment");
    assert!(came_back.starts_with("It came back"), "{came_back}");
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state = 'parked'").await, 0);
    connected.app.stop().await;
}

both!(a_task_in_asana_follows_its_issue_with_oauth, |engine: Engine| lives(engine, OAUTH));
both!(a_task_in_asana_follows_its_issue_with_a_personal_token, |engine: Engine| lives(engine, PAT));

both!(hostile_texts_are_valid_in_asana, |engine: Engine| async move {
    let connected = Connected::start(engine, OAUTH).await;
    let nasty = [
        "</body><body>",
        "]]> <![CDATA[ <!-- & -- <?x ?>",
        "a\u{0}b\u{8}\u{1b}[31m\u{7f}\u{85}\u{fffe}\u{ffff}",
        "&lt; &#0; &bogus; \" '",
        "\u{202e}emoji 🦀 \u{10ffff}",
        "Airlock · 00000000000000000000000000000000/1",
        "<a data-asana-gid=\"1\"/>",
    ];
    for text in nasty {
        let frame = json!({"filename": text, "function": text, "lineno": 7, "in_app": true});
        let value = json!({"type": text, "value": text.repeat(200),
            "stacktrace": {"frames": vec![frame; 30]}});
        let fields = json!({"fingerprint": [text], "environment": "production", "release": text,
            "exception": {"values": [value]}, "transaction": text});
        connected.app.send(&connected.shop, &with(crash("x"), &fields)).await;
    }
    connected.delivered().await;
    let n_issues = connected.app.all("/api/v1/projects/shop/issues").await.len();
    assert!(n_issues >= nasty.len() - 1, "{n_issues}");
    assert_eq!(connected.asana.tasks().len(), n_issues);
    let all = connected.asana.asked("*", "*").into_iter();
    // So Asana says that it has said nothing of what happens yet.
    let mut written = all.filter(|one| !one.is("GET", "/events"));
    let refused = written.find(|one| one.status >= Some(400));
    assert!(refused.is_none(), "{refused:?}");
    connected.app.stop().await;
});

both!(the_fix_is_written_into_its_field, |engine: Engine| async move {
    let connected = Connected::start(engine, OAUTH).await;
    let Connected { app, shop, asana, errors } = &connected;
    let field = json!({"workspace": WORKSPACE, "name": "Fix", "resource_subtype": "text"});
    let field = asana.by_hand("POST", "/custom_fields", &field)["gid"].clone();
    let gid = field.as_str().expect("a gid");
    let not_there = connected.connect(OAUTH, &json!({"fix_field": field})).await;
    let check = not_there["checks"].as_array().expect("checks")[2].clone();
    assert_eq!((&check["name"], &check["ok"]), (&json!("fix_field"), &json!(false)), "{check}");
    let path = format!("/projects/{errors}/addCustomFieldSetting");
    asana.by_hand("POST", &path, &json!({"custom_field": field}));
    let there = connected.connect(OAUTH, &json!({"fix_field": field})).await;
    assert_eq!(there["checks"][2]["ok"], true, "{there}");

    app.post("/api/v1/projects/shop/repositories", &json!({"name": "shop"})).await.ok();
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    assert_eq!(connected.task("SHOP-1").custom_fields.get(gid), None);
    let fix = json!({"commit": "4f".repeat(20)});
    app.put("/api/v1/issues/SHOP-1/fix", &fix).await.ok();
    connected.delivered().await;
    let written = connected.task("SHOP-1").custom_fields[gid].clone();
    assert!(written.as_str().expect("a text").starts_with("4f4f4f4"), "{written}");

    // A workspace that pays for nothing any more has tasks all the same.
    asana.be_free();
    app.put("/api/v1/issues/SHOP-1/fix", &json!({"commit": "5e".repeat(20)})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    connected.delivered().await;
    assert!(connected.task("SHOP-1").completed);
    assert_eq!(connected.task("SHOP-1").custom_fields[gid], written);
    connected.app.stop().await;
});

both!(another_tracker_has_a_task_from_the_next_effect_on, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, .. } = &connected;
    app.delete(TRACKER).await.ok();
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    assert_eq!(
        (app.issue("SHOP-1").await["task"]["tracker"].clone(), asana.tasks().len()),
        (json!("built_in"), 0)
    );

    connected.connect(PAT, &json!({})).await;
    app.act("SHOP-1", "comment", json!({"text": "one"})).await.ok();
    connected.delivered().await;
    assert_eq!(connected.comments("SHOP-1"), ["bootstrap: one"]);
    let task = app.issue("SHOP-1").await["task"].clone();
    assert_eq!(
        (&task["tracker"], &task["id"]),
        (&json!("asana"), &json!(connected.task("SHOP-1").gid))
    );

    // Back and forth: what was there is found again.
    app.delete(TRACKER).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "two"})).await.ok();
    connected.delivered().await;
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], "1");
    asana.fail("POST", "/tasks", 1, crate::support::asana::Failure::Status(500));
    connected.connect(PAT, &json!({})).await;
    app.act("SHOP-1", "comment", json!({"text": "three"})).await.ok();
    connected.delivered().await;
    assert_eq!(connected.comments("SHOP-1"), ["bootstrap: one", "bootstrap: three"]);
    assert_eq!(app.all("/api/v1/projects/shop/tasks").await.len(), 1);
    connected.app.stop().await;
});

both!(what_a_token_is_refused_for_waits_for_another, |engine: Engine| async move {
    let connected = Connected::start(engine, OAUTH).await;
    let Connected { app, shop, asana, .. } = &connected;
    asana.revoke(OAUTH);
    app.crashed(shop, "KeyError").await;
    until("the tracker is down", async || {
        let status = app.get("/status.json").await.ok();
        status["parts"]["asana"]["state"] == "down"
    })
    .await;
    let status = app.get("/status.json").await.ok();
    let why = status["parts"]["asana"]["last_error"].as_str().expect("an error").to_owned();
    assert!(why.contains("refuses the token") && !why.contains(OAUTH), "{why}");
    // Nothing is asked again and again meanwhile.
    asana.forget_asked();
    app.act("SHOP-1", "comment", json!({"text": "x"})).await.ok();
    let set = connected.connect(PAT, &json!({})).await;
    assert_eq!(set["checks"][0]["ok"], true, "{set}");
    connected.delivered().await;
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    connected.delivered().await;
    assert_eq!(asana.asked("*", "*").iter().filter(|one| one.status == Some(401)).count(), 0);
    assert!(connected.task("SHOP-1").completed);
    assert_eq!(connected.comments("SHOP-1").len(), 2);
    let status = app.get("/status.json").await.ok();
    assert_eq!(status["parts"]["asana"]["state"], "ok");
    connected.app.stop().await;
});

both!(what_the_old_tracker_still_says_does_not_hold_up_the_new_one, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, .. } = &connected;
    asana.hold(true);
    asana.fail("POST", "*", 9, crate::support::asana::Failure::RateLimited(3_000));
    app.crashed(shop, "KeyError").await;
    until("Asana is asked", async || asana.n_in_flight() > 0).await;
    app.delete(TRACKER).await.ok();
    asana.hold(false);
    connected.delivered().await;
    assert_eq!(app.issue("SHOP-1").await["task"]["tracker"], "built_in");
    assert!(asana.tasks().is_empty());
    connected.app.stop().await;
});

both!(tasks_of_the_own_tracker_are_on_boards, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    app.act("SHOP-1", "file", json!({})).await.ok();
    delivered(&app).await;
    let tasks = "/api/v1/projects/shop/tasks";
    assert_eq!(app.get(&format!("{tasks}/1")).await.ok()["boards"], json!(["issues"]));
    assert_eq!(app.all(&format!("{tasks}?board=issues")).await[0]["boards"], json!(["issues"]));
    assert!(app.all(&format!("{tasks}?board=locks/beta")).await.is_empty());
    assert_eq!(app.get(&format!("{tasks}?board=x")).await.problem().0, 422);
    app.stop().await;
});
