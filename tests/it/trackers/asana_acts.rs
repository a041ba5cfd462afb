//! What people do in Asana is done in Airlock, and what Airlock does there means nothing.

use std::time::Duration;

use serde_json::json;

use super::Connected;
use crate::support::asana::{Failure, PAT, Task, WORKSPACE};
use crate::support::{Engine, both, crash, until, with};

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

both!(a_person_names_the_fix_in_its_field, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, errors } = &connected;
    app.post("/api/v1/projects/shop/repositories", &json!({"name": "shop"})).await.ok();
    let field = async |name: &str| {
        let data = json!({"workspace": WORKSPACE, "name": name, "resource_subtype": "text"});
        let field = asana.by_hand("POST", "/custom_fields", &data)["gid"].clone();
        let path = format!("/projects/{errors}/addCustomFieldSetting");
        asana.by_hand("POST", &path, &json!({"custom_field": field}));
        field.as_str().expect("a gid").to_owned()
    };
    let (fix, other) = (field("Fix").await, field("Seen in").await);
    connected.connect(PAT, &json!({"fix_field": fix})).await;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    connected.polled().await;
    let path = format!("/tasks/{}", connected.task("SHOP-1").gid);
    let [one, two] = ["4f", "5a"].map(|two| two.repeat(20));
    let write = async |field: &str, text: &str| {
        asana.by_hand("PUT", &path, &json!({"custom_fields": {field: text}}));
        connected.polled().await;
        app.issue("SHOP-1").await
    };
    // What stands in a field of theirs is their business.
    assert_eq!(write(&other, &one).await["fix"], json!(null));
    let issue = write(&fix, &one).await;
    assert_eq!(issue["fix"]["commits"][0]["commit"], json!(one));
    assert_eq!(issue["status"], "fix_pending");
    let tagged = app.all("/api/v1/issues/SHOP-1/activity").await;
    let tagged = tagged.iter().find(|one| one["kind"] == "fix_tagged").expect("tagged");
    assert_eq!(tagged["by"], "Zoe", "{tagged}");
    assert_eq!(write(&fix, &two).await["fix"]["commits"][0]["commit"], json!(two));
    // What Airlock writes there means nothing, however often it is read.
    app.put("/api/v1/issues/SHOP-1/fix", &json!({"commit": one})).await.ok();
    connected.delivered().await;
    let written = connected.task("SHOP-1").custom_fields[&fix].clone();
    assert!(written.as_str().expect("a text").contains("4f4f4f4"), "{written}");
    let changes = app.changes("SHOP-1").await;
    asana.expire_sync();
    connected.polled().await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    connected.app.stop().await;
});

both!(locks_are_made_and_released_in_asana, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, .. } = &connected;
    let board = asana.project("Lock Beta");
    let projects = json!({"beta": {"lock_project": board}});
    connected.connect(PAT, &json!({"environments": projects})).await;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    connected.polled().await;
    let path = "/api/v1/projects/shop/environments/beta/locks";
    let locks = async || {
        connected.polled().await;
        app.all(path).await
    };
    let task = json!({"name": "the import runs", "projects": [board]});
    let by_hand = asana.by_hand("POST", "/tasks", &task)["gid"].clone();
    let by_hand = by_hand.as_str().expect("a gid").to_owned();
    let made = locks().await;
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["reason"], "the import runs");
    assert_ne!(made[0]["owner"], "asana", "{made:?}");
    // It is one lock, however often it is found, and its text stays theirs.
    asana.expire_sync();
    assert_eq!(locks().await.len(), 1);
    assert_eq!(asana.task(&by_hand).name, "the import runs");
    asana.by_hand("PUT", &format!("/tasks/{by_hand}"), &json!({"completed": true}));
    assert!(locks().await.is_empty());

    // One that Airlock made has a task there, which is no second lock; taken off it is released.
    app.post(path, &json!({"reason": "the database moves"})).await.ok();
    connected.delivered().await;
    asana.expire_sync();
    assert_eq!(locks().await.len(), 1);
    let open = |task: &Task| task.is_in(&board) && !task.completed;
    let own = asana.tasks().into_iter().find(open).expect("a task").gid;
    let data = json!({"project": board});
    asana.by_hand("POST", &format!("/tasks/{own}/removeProject"), &data);
    assert!(locks().await.is_empty());

    // So is the task of an issue, which somebody puts there and takes off.
    let issue = connected.task("SHOP-1").gid;
    asana.by_hand("POST", &format!("/tasks/{issue}/addProject"), &data);
    let made = locks().await;
    assert_eq!((made.len(), &made[0]["issue"]), (1, &json!("SHOP-1")));
    asana.by_hand("POST", &format!("/tasks/{issue}/removeProject"), &data);
    assert!(locks().await.is_empty());
    app.post(path, &json!({"issue": "SHOP-1"})).await.ok();
    connected.delivered().await;
    assert!(connected.task("SHOP-1").is_in(&board));
    asana.expire_sync();
    assert_eq!(locks().await.len(), 1);

    // A board that the token sees no more releases nothing.
    asana.by_hand("POST", "/tasks", &task);
    assert_eq!(locks().await.len(), 2);
    let is_it = |task: &Task| open(task) && task.name == "the import runs";
    let gid = asana.tasks().into_iter().find(is_it).expect("a task").gid;
    asana.fail("GET", "/tasks", 1000, Failure::Status(404));
    asana.fail("GET", "/tasks/*", 1000, Failure::Status(404));
    asana.by_hand("PUT", &format!("/tasks/{gid}"), &json!({"name": "it still runs"}));
    let n_asked = asana.asked("GET", "/tasks").len();
    until("the board is asked for", async || {
        app.clock.advance(Duration::from_secs(1));
        asana.asked("GET", "/tasks").len() > n_asked
    })
    .await;
    asana.heal();
    assert_eq!(app.all(path).await.len(), 2);
    connected.app.stop().await;
});

both!(the_gate_reads_the_locks_in_asana_as_they_are, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, asana, .. } = &connected;
    app.crashed(&connected.shop, "KeyError").await;
    connected.delivered().await;
    let issue = connected.task("SHOP-1").gid;
    let board = asana.project("Lock Beta");
    let projects = json!({"beta": {"lock_project": board}});
    connected.connect(PAT, &json!({"environments": projects, "poll_seconds": 3600})).await;
    until("Asana is asked", async || {
        app.stored_number("SELECT COUNT(polled_at) FROM trackers").await == 1
    })
    .await;
    let ask = async |environment: &str| {
        let path = format!("/api/v1/projects/shop/environments/{environment}/gate");
        let gate = app.get(&format!("{path}?commit={}", "4f".repeat(20))).await.ok();
        let blockers = gate["blockers"].as_array().expect("a list").clone();
        blockers.iter().map(|one| one["kind"].as_str().expect("a kind").to_owned()).collect()
    };
    let kinds = async |environment: &str| -> Vec<String> { ask(environment).await };
    let has = |kinds: &[String], kind: &str| kinds.iter().any(|one| one == kind);
    assert!(!has(&kinds("beta").await, "lock"));
    asana.by_hand("POST", "/tasks", &json!({"name": "the import runs", "projects": [board]}));
    assert!(has(&kinds("beta").await, "manual_lock"), "{:?}", kinds("beta").await);
    // So is the task of an issue, from the moment on at which it is put there.
    asana.by_hand("POST", &format!("/tasks/{issue}/addProject"), &json!({"project": board}));
    assert!(has(&kinds("beta").await, "locks_unreadable"));
    until("the issue locks", async || has(&kinds("beta").await, "issue_lock")).await;
    assert!(!has(&kinds("beta").await, "locks_unreadable"));
    // What was known a minute ago serves while Asana is away, and then nobody knows.
    asana.fail("GET", "*", 10_000, Failure::Drop);
    app.clock.advance(Duration::from_secs(30));
    assert!(!has(&kinds("beta").await, "locks_unreadable"));
    app.clock.advance(Duration::from_mins(10));
    assert!(has(&kinds("beta").await, "locks_unreadable"));
    assert!(!has(&kinds("production").await, "locks_unreadable"));
    asana.heal();
    until("Asana is asked again", async || {
        app.clock.advance(Duration::from_mins(1));
        !has(&kinds("beta").await, "locks_unreadable")
    })
    .await;
    connected.app.stop().await;
});
