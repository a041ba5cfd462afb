//! From a serious issue to its task in the tracker that is part of Airlock.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Engine, TestApp, TestProject, both, crash, until, with};

const TASKS: &str = "/api/v1/projects/shop/tasks";

/// A shop where every error is serious.
async fn shop(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": 1000});
    app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
    (app, shop)
}

/// Waits until nothing is left in the outbox.
pub(crate) async fn delivered(app: &TestApp) {
    until("effects are carried out", async || {
        let due = format!(
            "SELECT (SELECT COUNT(*) FROM lanes WHERE try_at <= {}) + (SELECT COUNT(*) FROM outbox
                WHERE state IN ('planned', 'sending', 'unsure'))",
            app.clock.now().as_micros()
        );
        app.stored_number(&due).await == 0
    })
    .await;
}

/// The task of an issue, once everything was carried out.
async fn task_of(app: &TestApp, id: &str) -> Value {
    delivered(app).await;
    let task = app.issue(id).await["task"].clone();
    let number = task["id"].as_str().expect("a task").to_owned();
    let shown = app.get(&format!("{TASKS}/{number}")).await.ok();
    let url = task["url"].as_str().expect("an address");
    assert!(url.ends_with(&format!("{TASKS}/{number}")), "{url}");
    assert_eq!(task["state"], shown["state"]);
    shown
}

fn comments(task: &Value) -> Vec<String> {
    let all = task["comments"].as_array().expect("a list");
    all.iter().map(|one| one["text"].as_str().expect("a text").to_owned()).collect()
}

both!(a_serious_issue_has_one_task_for_life, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    let task = task_of(&app, "SHOP-1").await;
    assert_eq!((&task["number"], &task["state"]), (&json!(1), &json!("open")));
    let title = task["title"].as_str().expect("a title");
    assert!(title.starts_with("SHOP-1 KeyError"), "{title}");
    assert!(comments(&task).is_empty());
    let shown = app.issue("SHOP-1").await;
    assert_eq!(
        (&shown["task"]["tracker"], &shown["task"]["synced_at"], &shown["task"]["error"]),
        (&json!("built_in"), &json!("2026-11-21T12:00:00Z"), &Value::Null)
    );

    app.act("SHOP-1", "assign", json!({"to": "zoe"})).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "it is the cart"})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    let task = task_of(&app, "SHOP-1").await;
    assert_eq!((&task["state"], &task["assignee"]), (&json!("done"), &json!("zoe")));
    let said = ["bootstrap: it is the cart", "bootstrap resolved it"];
    assert_eq!(comments(&task), said);
    assert_eq!(app.all(TASKS).await.len(), 0);
    assert_eq!(app.all(&format!("{TASKS}?state=done")).await.len(), 1);

    // It comes back: the same task is open again, and says why.
    app.clock.advance(Duration::from_hours(1));
    app.crashed(&shop, "KeyError").await;
    let task = task_of(&app, "SHOP-1").await;
    assert_eq!((&task["number"], &task["state"]), (&json!(1), &json!("open")));
    let came_back = comments(&task).pop().expect("a comment");
    assert!(came_back.starts_with("It came back"), "{came_back}");
    assert!(came_back.contains("after the issue was resolved"), "{came_back}");
    app.stop().await;
});

both!(what_is_not_serious_has_no_task, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    delivered(&app).await;
    assert_eq!(app.issue("SHOP-1").await["task"], Value::Null);
    assert!(app.all(TASKS).await.is_empty());
    assert_eq!(app.get(&format!("{TASKS}/1")).await.problem().0, 404);
    assert_eq!(app.get(&format!("{TASKS}/x")).await.problem().0, 404);
    let wrong = app.get(&format!("{TASKS}?state=lost")).await.problem();
    assert_eq!(wrong, (422, "invalid".to_owned()));
    app.stop().await;
});

both!(many_issues_have_one_task_each, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    for n in 0..120 {
        let event = with(crash("KeyError"), &json!({"fingerprint": [n.to_string()]}));
        app.send_event(&shop, &event).await.ok();
    }
    app.digested().await;
    delivered(&app).await;
    let tasks = app.all(TASKS).await;
    let mut titles: Vec<&str> =
        tasks.iter().filter_map(|task| task["title"].as_str()?.split(' ').next()).collect();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!((tasks.len(), titles.len()), (120, 120));
    app.stop().await;
});

both!(text_that_counts_is_written_now_and_then, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    let events = |task: &Value| -> Value {
        let facts =
            task["body"].as_array().expect("blocks").iter().find_map(|one| one.get("facts"));
        let facts = facts.and_then(Value::as_array).expect("facts");
        facts.iter().find(|fact| fact[0] == "Events").expect("a count")[1].clone()
    };
    assert_eq!(events(&task_of(&app, "SHOP-1").await), "1");
    app.crashed(&shop, "KeyError").await;
    app.act("SHOP-1", "comment", json!({"text": "soon"})).await.ok();
    assert_eq!(events(&task_of(&app, "SHOP-1").await), "1");
    app.clock.advance(Duration::from_mins(5));
    assert_eq!(events(&task_of(&app, "SHOP-1").await), "2");
    app.stop().await;
});

both!(an_effect_that_was_cut_off_is_carried_out_once, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    delivered(&app).await;
    app.act("SHOP-1", "comment", json!({"text": "once"})).await.ok();
    delivered(&app).await;
    // As if the process had died after the tracker did it, and before that was written down.
    let forget = "UPDATE tasks SET remote_id = NULL, url = NULL, written = NULL,
        create_began_at = 1 WHERE CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(forget, &[]).await;
    let again = "UPDATE outbox SET state = 'sending' WHERE CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(again, &[]).await;
    let lanes = "INSERT INTO lanes (project_id, lane, try_at, n_failures)
        SELECT DISTINCT project_id, lane, 0, 0 FROM outbox WHERE CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(lanes, &[]).await;
    let task = task_of(&app, "SHOP-1").await;
    assert_eq!((&task["number"], comments(&task).len()), (&json!(1), 1));
    assert_eq!(app.all(TASKS).await.len(), 1);
    app.stop().await;
});

both!(what_is_on_its_way_is_shown, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    app.act("SHOP-1", "comment", json!({"text": "hi"})).await.ok();
    delivered(&app).await;
    let done = app.all("/api/v1/outbox?project=shop&state=done").await;
    assert_eq!(done.len(), 2);
    assert_eq!(
        (&done[1]["say"], &done[1]["tries"], &done[1]["error"]),
        (&json!("bootstrap: hi"), &json!(1), &Value::Null)
    );
    assert!(app.all("/api/v1/outbox?project=shop").await.is_empty());
    let id = done[1]["id"].as_str().expect("an id").to_owned();
    let retry = format!("/api/v1/outbox/{id}/retry");
    assert_eq!(app.post(&retry, &json!({})).await.problem().0, 409);

    // Of all projects that a token may see, page by page.
    app.create_project("depot").await;
    let first = app.get("/api/v1/outbox?state=done&limit=1").await.ok();
    let next = first["next"].as_str().expect("more").to_owned();
    let second = app.get(&format!("/api/v1/outbox?state=done&limit=1&cursor={next}")).await.ok();
    assert_eq!(
        (&first["items"][0]["id"], &second["items"][0]["id"]),
        (&done[0]["id"], &done[1]["id"])
    );
    assert_eq!((&second["next"], &second["items"][0]["project"]), (&Value::Null, &json!("shop")));
    assert_eq!(app.get("/api/v1/outbox?state=lost").await.problem().0, 422);
    assert_eq!(app.get("/api/v1/outbox?project=none").await.problem().0, 404);

    // Parked ones are said, and can be tried again.
    let park = "UPDATE outbox SET state = 'parked', error = 'no such task'
        WHERE effect LIKE '%hi%' AND CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(park, &[]).await;
    let parked = app.all("/api/v1/outbox?project=shop&state=parked").await;
    assert_eq!((parked.len(), &parked[0]["error"]), (1, &json!("no such task")));
    let status = app.get("/status.json").await.ok();
    assert_eq!(status["parts"]["outbox"]["state"], "degraded");
    app.post(&retry, &json!({})).await.ok();
    delivered(&app).await;
    assert_eq!(app.all("/api/v1/outbox?project=shop&state=done").await.len(), 2);
    assert_eq!(app.get("/status.json").await.ok()["parts"]["outbox"]["state"], "ok");
    assert_eq!(comments(&task_of(&app, "SHOP-1").await), ["bootstrap: hi"]);
    let none =
        app.post("/api/v1/outbox/1-00000000000000000000000000000000/retry", &json!({})).await;
    assert_eq!(none.problem().0, 404);
    app.stop().await;
});

both!(an_issue_that_locks_an_environment_has_a_task, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    let lock = json!({"issue": "SHOP-1"});
    app.post("/api/v1/projects/shop/environments/production/locks", &lock).await.ok();
    let task = task_of(&app, "SHOP-1").await;
    let said = "bootstrap locked production until the fix is part of what is deployed there";
    assert_eq!(comments(&task), [said]);
    let body = task["body"].to_string();
    assert!(body.contains(r#"["Locks","production"]"#), "{body}");
    let why = app.all("/api/v1/issues/SHOP-1/activity").await;
    let why = why.iter().find(|one| one["kind"] == "became_serious").expect("it is");
    assert_eq!(why["reason"], "it locks production");
    app.stop().await;
});

both!(tasks_go_on_after_a_restart, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    delivered(&app).await;
    let app = app.restart().await;
    app.act("SHOP-1", "comment", json!({"text": "still here"})).await.ok();
    assert_eq!(comments(&task_of(&app, "SHOP-1").await), ["bootstrap: still here"]);
    app.stop().await;
});

both!(somebody_may_want_a_task_of_anything, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    app.act("SHOP-1", "file", json!({})).await.ok();
    app.act("SHOP-1", "file", json!({})).await.ok();
    let task = task_of(&app, "SHOP-1").await;
    assert_eq!((&task["state"], comments(&task).len()), (&json!("open"), 0));
    assert_eq!(app.changes("SHOP-1").await, ["opened", "became_serious"]);
    app.stop().await;
});

both!(what_a_person_does_with_a_task_is_done_with_its_issue, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.post("/api/v1/projects/shop/repositories", &json!({"name": "shop"})).await.ok();
    let sha = "4f".repeat(20);
    let text = format!("fixed in {sha}");
    let value = json!({"type": "KeyError", "value": text});
    let event = with(crash("x"), &json!({"exception": {"values": [value]}, "message": text}));
    app.send(&shop, &event).await;
    task_of(&app, "SHOP-1").await;
    let path = format!("{TASKS}/1");
    let change = async |patch: Value| {
        app.patch(&path, &patch).await.ok();
        task_of(&app, "SHOP-1").await
    };
    let task = change(json!({"state": "done", "assignee": "zoe"})).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["assignee"]), (&json!("resolved"), &json!("zoe")));
    assert_eq!((&task["state"], &task["assignee"]), (&json!("done"), &json!("zoe")));
    let changes = ["opened", "became_serious", "resolved", "assigned"];
    assert_eq!(app.changes("SHOP-1").await, changes);
    let last = app.all("/api/v1/issues/SHOP-1/activity").await;
    assert!(last.iter().filter(|one| one["by"] == "bootstrap").count() >= 2, "{last:?}");
    // Nothing new, nothing done; and nothing is said of what was done there.
    let task = change(json!({"state": "done", "assignee": "zoe"})).await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    assert!(comments(&task).is_empty(), "{task}");

    change(json!({"state": "open", "assignee": null})).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["assignee"]), (&json!("open"), &Value::Null));
    app.post(&format!("{path}/comment"), &json!({"text": text})).await.ok();
    task_of(&app, "SHOP-1").await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!(issue["status"], "fix_pending");
    assert_eq!(issue["fix"]["source"], "tracker", "{issue}");
    // What Airlock itself says names no fix.
    let n_changes = app.changes("SHOP-1").await.len();
    app.act("SHOP-1", "comment", json!({"text": "fixed in 5a5a5a5"})).await.ok();
    task_of(&app, "SHOP-1").await;
    assert_eq!(app.changes("SHOP-1").await.len(), n_changes + 1);

    app.delete(&path).await.ok();
    delivered(&app).await;
    assert_eq!(app.issue("SHOP-1").await["task"]["state"], "deleted");
    assert_eq!(app.patch(&path, &json!({"state": "done"})).await.problem().0, 404);
    let wrong = app.patch(&path, &json!({"state": "closed"})).await;
    assert_eq!(wrong.problem(), (422, "invalid".to_owned()));
    app.stop().await;
});

both!(completing_the_task_of_an_issue_releases_no_lock, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    task_of(&app, "SHOP-1").await;
    let locks = "/api/v1/projects/shop/environments/production/locks";
    app.post(locks, &json!({"issue": "SHOP-1"})).await.ok();
    app.patch(&format!("{TASKS}/1"), &json!({"state": "done"})).await.ok();
    task_of(&app, "SHOP-1").await;
    assert_eq!(app.issue("SHOP-1").await["status"], "resolved");
    assert_eq!(app.all(locks).await.len(), 1);
    app.stop().await;
});

both!(an_act_on_a_task_is_done_once, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    task_of(&app, "SHOP-1").await;
    app.patch(&format!("{TASKS}/1"), &json!({"state": "done"})).await.ok();
    task_of(&app, "SHOP-1").await;
    let changes = app.changes("SHOP-1").await;
    // As if it was cut off after the act, before it was written down that the task was read.
    app.change_store("UPDATE tasks SET n_read = 0, is_done = FALSE", &[]).await;
    app.change_store(
        "UPDATE tasks SET written = replace(written, '\"is_done\":true', '\"is_done\":false')",
        &[],
    )
    .await;
    let app = app.restart().await;
    app.post(&format!("{TASKS}/1/comment"), &json!({"text": "thanks"})).await.ok();
    task_of(&app, "SHOP-1").await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    app.stop().await;
});

/// The locks of an environment that block.
async fn locks(app: &TestApp, environment: &str) -> Vec<Value> {
    app.all(&format!("/api/v1/projects/shop/environments/{environment}/locks")).await
}

both!(a_task_made_by_hand_on_the_board_of_locks_is_a_lock, |engine: Engine| async move {
    let (app, _shop) = shop(engine).await;
    let task = json!({"title": "the import runs", "board": "locks/beta", "assignee": "zoe",
        "text": "until noon"});
    let made = app.post(TASKS, &task).await.ok();
    let lock = locks(&app, "beta").await.remove(0);
    assert_eq!(
        (&lock["reason"], &lock["owner"], &lock["assignee"]),
        (&json!("the import runs"), &json!("bootstrap"), &json!("zoe"))
    );
    let path = format!("{TASKS}/{}", made["number"]);
    let change = async |patch: Value| {
        app.patch(&path, &patch).await.ok();
        delivered(&app).await;
        locks(&app, "beta").await
    };
    assert_eq!(change(json!({"assignee": "max"})).await[0]["assignee"], "max");
    // Title and text stay theirs.
    let shown = app.get(&path).await.ok();
    assert_eq!((&shown["title"], &shown["body"]), (&json!("the import runs"), &made["body"]));
    assert!(change(json!({"state": "done"})).await.is_empty());
    let id = lock["id"].as_str().expect("an id").to_owned();
    assert_eq!(app.get(&format!("/api/v1/locks/{id}")).await.ok()["released_by"], "bootstrap");
    assert_eq!(change(json!({"state": "open"})).await.len(), 1);
    assert!(change(json!({"boards": []})).await.is_empty());
    assert_eq!(app.get(&path).await.ok()["state"], "done");
    for (field, wrong) in [("board", "issues"), ("board", "locks/moon"), ("title", " ")] {
        let mut task = task.clone();
        task[field] = json!(wrong);
        assert_eq!(app.post(TASKS, &task).await.problem(), (422, "invalid".to_owned()), "{wrong}");
    }

    // Deleting one releases it, too; also one that Airlock made.
    let other = app.post(TASKS, &task).await.ok();
    app.delete(&format!("{TASKS}/{}", other["number"])).await.ok();
    let path = "/api/v1/projects/shop/environments/beta/locks";
    app.post(path, &json!({"reason": "the database moves"})).await.ok();
    delivered(&app).await;
    assert_eq!(locks(&app, "beta").await.len(), 1);
    let own = app.all(&format!("{TASKS}?board=locks/beta")).await.remove(0);
    app.delete(&format!("{TASKS}/{}", own["number"])).await.ok();
    delivered(&app).await;
    assert!(locks(&app, "beta").await.is_empty());
    app.stop().await;
});

both!(the_task_of_an_issue_that_locks_is_on_the_board_of_locks, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    app.crashed(&shop, "KeyError").await;
    task_of(&app, "SHOP-1").await;
    let path = "/api/v1/projects/shop/environments/production/locks";
    app.post(path, &json!({"issue": "SHOP-1"})).await.ok();
    assert_eq!(task_of(&app, "SHOP-1").await["boards"], json!(["issues", "locks/production"]));
    let put = async |boards: Value| {
        app.patch(&format!("{TASKS}/1"), &json!({"boards": boards})).await.ok();
        task_of(&app, "SHOP-1").await
    };
    put(json!(["issues"])).await;
    assert!(locks(&app, "production").await.is_empty());
    let task = put(json!(["issues", "locks/beta"])).await;
    let lock = locks(&app, "beta").await.remove(0);
    assert_eq!((&lock["issue"], &lock["owner"]), (&json!("SHOP-1"), &json!("bootstrap")), "{lock}");
    assert_eq!(task["boards"], json!(["issues", "locks/beta"]));
    app.delete(&format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"))).await.ok();
    assert_eq!(task_of(&app, "SHOP-1").await["boards"], json!(["issues"]));
    app.stop().await;
});
