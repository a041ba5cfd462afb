//! What people do in GitHub is done in Airlock, and what Airlock does there means nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::github::Connected;
use super::{delivered, polled};
use crate::support::asana::Failure;
use crate::support::github::{Issue, PERSON, STRANGER};
use crate::support::{Engine, both, crash, until, with};

/// An application of GitHub.
const APPLICATION: &str = "stale[bot]";

both!(what_a_person_does_in_github_is_done_with_the_issue, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    polled(app).await;
    assert_eq!(app.changes("SHOP-1").await, ["opened", "became_serious"]);
    let zoe = async |body: Value| {
        github.by_hand(PERSON, "PATCH", "/issues/1", &body);
        polled(app).await;
    };
    zoe(json!({"state": "closed"})).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["task"]["state"]), (&json!("resolved"), &json!("done")));
    let last = app.all("/api/v1/issues/SHOP-1/activity").await;
    assert!(last.iter().any(|one| one["by"] == PERSON), "{last:?}");
    zoe(json!({"state": "open", "assignees": [PERSON]})).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["assignee"]), (&json!("open"), &json!(PERSON)));
    zoe(json!({"assignees": []})).await;
    assert_eq!(app.issue("SHOP-1").await["assignee"], Value::Null);
    // Without the label it is still the task.
    github.by_hand(PERSON, "DELETE", "/issues/1/labels/airlock", &json!({}));
    zoe(json!({"state": "closed"})).await;
    assert_eq!(app.issue("SHOP-1").await["status"], "resolved");
    // What an application does is nobody's.
    github.let_be(APPLICATION, crate::support::github::Role::Write);
    github.by_hand(APPLICATION, "PATCH", "/issues/1", &json!({"state": "open"}));
    polled(app).await;
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    let last = app.all("/api/v1/issues/SHOP-1/activity").await;
    assert!(last.iter().any(|one| one["by"] == "github"), "{last:?}");
    assert!(connected.comments("SHOP-1").is_empty());

    // A deleted one stays so.
    github.delete(1);
    polled(app).await;
    until("it is looked through", async || {
        polled(app).await;
        app.issue("SHOP-1").await["task"]["state"] == "deleted"
    })
    .await;
    connected.app.stop().await;
});

both!(what_airlock_does_in_github_means_nothing, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    connected.connect(&json!({"reconcile_seconds": 86400})).await;
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    polled(app).await;
    app.act("SHOP-1", "assign", json!({"to": PERSON})).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "fixed in 4f2c91a"})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    delivered(app).await;
    let changes = app.changes("SHOP-1").await;
    github.forget_asked();
    for _ in 0..3 {
        polled(app).await;
    }
    assert_eq!(app.changes("SHOP-1").await, changes);
    assert!(["PATCH", "POST"].iter().all(|method| github.asked(method, "*").is_empty()));
    // What two looks have found is read no more.
    github.forget_asked();
    polled(app).await;
    assert!(github.asked("GET", "/repos/acme/shop/issues/*").is_empty());
    assert_eq!(github.asked("GET", "/repos/acme/shop/issues").len(), 1);
    connected.app.stop().await;
});

both!(only_comments_of_members_name_fixes_in_github, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    github.set(|repository| repository.is_private = false);
    app.post("/api/v1/projects/shop/repositories", &json!({"name": "shop"})).await.ok();
    let (one, other) = ("4f".repeat(20), "5a".repeat(20));
    let text = &format!("fixed in {one}");
    let value = json!({"type": text, "value": text});
    let event = with(crash("x"), &json!({"exception": {"values": [value]}, "message": text}));
    app.send(shop, &event).await;
    delivered(app).await;
    let says = async |login: &str, text: &str| {
        github.by_hand(login, "POST", "/issues/1/comments", &json!({"body": text}));
        polled(app).await;
        app.issue("SHOP-1").await["fix"].to_string()
    };
    github.let_be(APPLICATION, crate::support::github::Role::Write);
    for nobody in [STRANGER, APPLICATION] {
        assert_eq!(says(nobody, text).await, "null");
    }
    assert!(says(PERSON, &format!("Found it.\n\nFixed in `{one}`.")).await.contains(&one));
    let changes = app.changes("SHOP-1").await;
    for _ in 0..2 {
        polled(app).await;
    }
    assert_eq!(app.changes("SHOP-1").await, changes);
    // In a private repository there is nobody else.
    github.set(|repository| repository.is_private = true);
    assert!(says(STRANGER, &format!("fixed by {other}")).await.contains(&other));
    // What nobody knows is declined, once.
    says(PERSON, "fixed in 7b7b7b7").await;
    polled(app).await;
    let said = connected.comments("SHOP-1");
    assert_eq!(said.iter().filter(|one| one.contains("not taken")).count(), 1, "{said:?}");
    connected.app.stop().await;
});

both!(locks_are_made_and_released_in_github, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    let label = "airlock: lock beta";
    connected.connect(&json!({"environments": {"beta": {"lock_label": label}}})).await;
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    polled(app).await;
    let path = "/api/v1/projects/shop/environments/beta/locks";
    let locks = async || {
        polled(app).await;
        app.all(path).await
    };
    let by_hand = |method: &str, path: &str, body: Value| {
        github.by_hand(PERSON, method, path, &body)["number"].as_u64().unwrap_or_default()
    };
    // What only stands in the repository locks nothing.
    by_hand("POST", "/issues", json!({"title": "something else"}));
    let own = by_hand("POST", "/issues", json!({"title": "the import runs", "labels": [label]}));
    let made = locks().await;
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(
        (&made[0]["reason"], &made[0]["owner"]),
        (&json!("the import runs"), &json!(PERSON))
    );
    // It is one lock, however often it is found, and its text stays theirs.
    assert_eq!(locks().await.len(), 1);
    let is_own = |issue: &Issue| issue.number == own;
    assert_eq!(github.issues().into_iter().find(is_own).expect("it").title, "the import runs");
    by_hand("PATCH", &format!("/issues/{own}"), json!({"state": "closed"}));
    assert!(locks().await.is_empty());
    by_hand("PATCH", &format!("/issues/{own}"), json!({"state": "open"}));
    assert_eq!(locks().await.len(), 1);
    by_hand("DELETE", &format!("/issues/{own}/labels/{label}"), json!({}));
    assert!(locks().await.is_empty());

    // One that Airlock made has an issue there, which is no second lock; without its label it is released.
    app.post(path, &json!({"reason": "the database moves"})).await.ok();
    delivered(app).await;
    assert_eq!(locks().await.len(), 1);
    let labelled = github.labelled(label);
    assert_eq!(labelled.len(), 1, "{labelled:?}");
    let number = labelled[0].number;
    by_hand("DELETE", &format!("/issues/{number}/labels/{label}"), json!({}));
    assert!(locks().await.is_empty());

    // So is the issue that is a task, on which somebody puts the label and takes it off.
    let task = connected.task("SHOP-1").number;
    by_hand("POST", &format!("/issues/{task}/labels"), json!({"labels": [label]}));
    let made = locks().await;
    assert_eq!((made.len(), &made[0]["issue"]), (1, &json!("SHOP-1")));
    by_hand("DELETE", &format!("/issues/{task}/labels/{label}"), json!({}));
    assert!(locks().await.is_empty());
    app.post(path, &json!({"issue": "SHOP-1"})).await.ok();
    delivered(app).await;
    assert_eq!(github.labelled(label).len(), 1);
    assert_eq!(locks().await.len(), 1);
    connected.app.stop().await;
});

both!(the_gate_reads_the_locks_in_github_as_they_are, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, github, .. } = &connected;
    let label = "airlock: lock beta";
    let labels = json!({"environments": {"beta": {"lock_label": label}}, "poll_seconds": 3600});
    connected.connect(&labels).await;
    until("GitHub is asked", async || {
        app.stored_number("SELECT COUNT(polled_at) FROM trackers").await == 1
    })
    .await;
    let has = async |kind: &str| {
        let path = "/api/v1/projects/shop/environments/beta/gate";
        let gate = app.get(&format!("{path}?commit={}", "4f".repeat(20))).await.ok();
        gate["blockers"].as_array().expect("a list").iter().any(|one| one["kind"] == kind)
    };
    assert!(!has("manual_lock").await && !has("locks_unreadable").await);
    let lock = json!({"title": "the import runs", "labels": [label]});
    github.by_hand(PERSON, "POST", "/issues", &lock);
    assert!(has("manual_lock").await);
    // A label that is not there any more says nothing of what locks, nor does a GitHub that is away.
    app.clock.advance(Duration::from_mins(2));
    github.by_hand(PERSON, "DELETE", &format!("/labels/{label}"), &json!({}));
    assert!(has("locks_unreadable").await && has("manual_lock").await);
    github.by_hand(PERSON, "POST", "/labels", &json!({"name": label}));
    assert!(!has("locks_unreadable").await);
    github.fail("GET", "*", 10_000, Failure::Drop);
    assert!(has("locks_unreadable").await);
    connected.app.stop().await;
});
