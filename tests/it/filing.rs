//! Which issues are serious, and what is planned for them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Engine, TestApp, TestProject, both, crash, with};

const RULES: &str = "/api/v1/projects/shop/rules/filing";

/// What people are told on tasks, in the order of their making; nothing where a task is only looked
/// at.
async fn told(app: &TestApp) -> Vec<String> {
    let texts = app.stored_texts("SELECT effect FROM outbox ORDER BY id").await;
    let told = |text: &String| -> String {
        let effect: Value = serde_json::from_str(text).expect("an effect");
        effect["say"].as_str().unwrap_or_default().to_owned()
    };
    texts.iter().map(told).collect()
}

/// Why an issue is serious; `None` when it is not.
async fn serious(app: &TestApp, id: &str) -> Option<String> {
    let activity = app.all(&format!("/api/v1/issues/{id}/activity")).await;
    let why: Vec<&Value> = activity
        .iter()
        .filter(|one| one["kind"] == "became_serious")
        .map(|one| &one["reason"])
        .collect();
    assert!(why.len() < 2, "{activity:?}");
    why.first().and_then(|why| why.as_str()).map(str::to_owned)
}

/// A crash of a kind, some of it otherwise.
async fn crashed(app: &TestApp, shop: &TestProject, kind: &str, fields: Value) {
    let at = json!({"timestamp": app.clock.now().to_string()});
    app.send(shop, &with(with(crash(kind), &at), &fields)).await;
}

/// What no handler caught.
fn unhandled(kind: &str) -> Value {
    let value = json!({"type": kind, "value": "x", "mechanism": {"type": "x", "handled": false}});
    json!({"exception": {"values": [value]}})
}

both!(what_is_serious_by_default, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let rules = app.get(RULES).await.ok();
    assert_eq!(
        (rules["rules"].as_array().map(Vec::len), &rules["most_tasks_per_hour"]),
        (Some(3), &json!(20))
    );

    crashed(&app, &shop, "Handled", json!({})).await;
    crashed(&app, &shop, "Unhandled", unhandled("Unhandled")).await;
    crashed(&app, &shop, "Fatal", json!({"level": "fatal"})).await;
    assert_eq!(serious(&app, "SHOP-1").await, None);
    assert_eq!(serious(&app, "SHOP-2").await.as_deref(), Some("unhandled"));
    assert_eq!(serious(&app, "SHOP-3").await.as_deref(), Some("level fatal or worse"));

    // Ten within ten minutes, not ten of all.
    for _ in 0..8 {
        crashed(&app, &shop, "Handled", json!({})).await;
    }
    app.clock.advance(Duration::from_mins(11));
    for _ in 0..9 {
        crashed(&app, &shop, "Handled", json!({})).await;
    }
    assert_eq!(serious(&app, "SHOP-1").await, None);
    crashed(&app, &shop, "Handled", json!({})).await;
    assert_eq!(serious(&app, "SHOP-1").await.as_deref(), Some("10 events within 10 min"));
    app.stop().await;
});

both!(many_at_once_are_counted_together, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let rules = json!({"rules": [{"users": 3, "within_minutes": 5, "environments": ["prod"]}]});
    app.put(RULES, &rules).await.ok();
    let by = |user: u32, place: &str| json!({"user": {"id": user}, "environment": place});
    for _ in 0..20 {
        crashed(&app, &shop, "KeyError", by(1, "production")).await;
    }
    for user in 2..9 {
        crashed(&app, &shop, "KeyError", by(user, "beta")).await;
    }
    crashed(&app, &shop, "KeyError", by(2, "Production")).await;
    assert_eq!(serious(&app, "SHOP-1").await, None);
    crashed(&app, &shop, "KeyError", by(3, "prod")).await;
    let why = serious(&app, "SHOP-1").await;
    assert_eq!(why.as_deref(), Some("3 users within 5 min, in prod"));
    app.stop().await;
});

both!(reports_that_come_late_fill_a_window, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.put(RULES, &json!({"rules": [{"events": 4}]})).await.ok();
    let at = |minutes: u64| {
        let at = app.clock.now().minus(Duration::from_mins(minutes));
        json!({"timestamp": at.to_string()})
    };
    crashed(&app, &shop, "KeyError", at(10)).await;
    for minutes in [19, 40, 12] {
        crashed(&app, &shop, "KeyError", at(minutes)).await;
    }
    crashed(&app, &shop, "KeyError", json!({})).await;
    assert_eq!(serious(&app, "SHOP-1").await, None);
    crashed(&app, &shop, "KeyError", at(15)).await;
    assert_eq!(serious(&app, "SHOP-1").await.as_deref(), Some("4 events within 10 min"));
    app.stop().await;
});

both!(once_somebody_deployed_only_known_environments_count, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let at_home = |kind: &str| with(unhandled(kind), &json!({"environment": "laptop"}));
    crashed(&app, &shop, "KeyError", at_home("KeyError")).await;
    assert_eq!(serious(&app, "SHOP-1").await.as_deref(), Some("unhandled"));
    let over = json!({"commit": "4f2c91a4f2c91a4f2c91a4f2c91a4f2c91a4f2c9", "status": "succeeded"});
    app.post("/api/v1/projects/shop/environments/beta/deploys", &over).await.ok();
    crashed(&app, &shop, "ValueError", at_home("ValueError")).await;
    assert_eq!(serious(&app, "SHOP-2").await, None);
    crashed(
        &app,
        &shop,
        "ValueError",
        with(unhandled("ValueError"), &json!({"environment": "PROD"})),
    )
    .await;
    assert_eq!(serious(&app, "SHOP-2").await.as_deref(), Some("unhandled"));
    app.stop().await;
});

both!(what_happens_to_a_serious_issue_is_told_once, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    crashed(&app, &shop, "Handled", json!({})).await;
    app.act("SHOP-1", "comment", json!({"text": "nobody is to be told of it"})).await.ok();
    assert_eq!(told(&app).await, [""; 0]);

    crashed(&app, &shop, "Unhandled", unhandled("Unhandled")).await;
    crashed(&app, &shop, "Unhandled", unhandled("Unhandled")).await;
    app.act("SHOP-2", "comment", json!({"text": "looking"})).await.ok();
    app.act("SHOP-2", "assign", json!({"to": "zoe"})).await.ok();
    app.act("SHOP-2", "resolve", json!({})).await.ok();
    app.act("SHOP-2", "resolve", json!({})).await.ok();
    app.clock.advance(Duration::from_hours(1));
    let again = with(unhandled("Unhandled"), &json!({"release": "shop@1.4.2"}));
    crashed(&app, &shop, "Unhandled", again).await;
    let told = told(&app).await;
    let reason = "it happened after the issue was resolved at 2026-11-21T12:00:00Z";
    let came_back = format!("It came back in release shop@1.4.2: {reason}");
    assert_eq!(told, ["", "bootstrap: looking", "", "bootstrap resolved it", came_back.as_str()]);
    // All of them wait in the lane of that issue.
    let lanes = app.stored_texts("SELECT DISTINCT lane FROM outbox").await;
    assert_eq!(lanes.len(), 1);
    assert!(lanes.iter().all(|lane| lane.starts_with("issue/")), "{lanes:?}");
    app.stop().await;
});

both!(rules_of_filing_are_checked, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    for rules in [
        json!({"rules": [{}]}),
        json!({"rules": [{"events": 0}]}),
        json!({"rules": [{"evnets": 1}]}),
        json!({"rules": [{"level": "awful"}]}),
        json!({"rules": [{"level": "fatal", "users": 3}]}),
        json!({"most_tasks_per_hour": 0}),
    ] {
        assert_eq!(app.put(RULES, &rules).await.problem().0, 422, "{rules}");
    }
    let rules = json!({"rules": [{"level": "fatal"}], "most_tasks_per_hour": 5});
    let saved = app.put(RULES, &rules).await.ok();
    assert_eq!(
        (&saved["rules"][0]["level"], &saved["most_tasks_per_hour"]),
        (&json!("fatal"), &json!(5))
    );
    assert_eq!(app.get(RULES).await.ok(), saved);
    assert_eq!(app.get("/api/v1/projects/none/rules/filing").await.problem().0, 404);
    app.stop().await;
});
