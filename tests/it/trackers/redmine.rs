//! Tasks in a real Redmine: what they follow, and one for each issue whatever fails.

use std::time::Duration;

use serde_json::{Value, json};

use super::boards::tracker;
use super::{TRACKER, delivered, polled};
use crate::support::asana::Failure;
use crate::support::redmine::{FIX_FIELD, KEY, Redmine};
use crate::support::{Engine, TestApp, TestProject, both, crash, with};

/// Roles that Redmine has by default: one may do all that is needed, the other not.
const MANAGER: u64 = 3;
const REPORTER: u64 = 5;

/// A shop where every error is serious, whose tasks are in Redmine.
struct Connected {
    app: TestApp,
    shop: TestProject,
    redmine: Redmine,
    /// The project of the issues' tasks.
    errors: String,
}

impl Connected {
    async fn start(engine: Engine) -> Self {
        let redmine = Redmine::start().await;
        let timeout = Duration::from_secs(4);
        let app = TestApp::start_with(engine, |config| config.tracker_timeout = timeout).await;
        let shop = app.create_project("shop").await;
        let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": 1000});
        app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
        let errors = redmine.project("Errors").await;
        let connected = Self { app, shop, redmine, errors };
        connected.connect(&json!({})).await;
        connected
    }

    /// Sets the tracker, with more settings.
    async fn connect(&self, more: &Value) -> Value {
        let mut settings = json!({
            "kind": "redmine", "url": self.redmine.url, "token": KEY, "issue_project": self.errors,
        });
        let fields = settings.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        let set = self.app.put(TRACKER, &settings).await;
        assert!(!set.text.contains(KEY), "{set:?}");
        set.ok()
    }

    /// The only task of an issue.
    async fn task(&self, id: &str) -> Value {
        let title = format!("{id} ");
        let mut own = self.redmine.issues(&self.errors).await;
        own.retain(|issue| issue["subject"].as_str().is_some_and(|text| text.starts_with(&title)));
        assert_eq!(own.len(), 1, "{id}: {own:?}");
        own.remove(0)
    }

    async fn comments(&self, id: &str) -> Vec<String> {
        self.redmine.comments(&self.task(id).await["id"].to_string()).await
    }
}

fn is_closed(task: &Value) -> bool {
    task["status"]["is_closed"].as_bool().expect("a status")
}

both!(a_task_in_redmine_follows_its_issue, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, redmine, .. } = &connected;
    let set = connected.connect(&json!({"fix_field": FIX_FIELD})).await;
    assert!(set["checks"].as_array().expect("a list").iter().all(|one| one["ok"] == true), "{set}");
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    let task = connected.task("SHOP-1").await;
    let text = task["description"].as_str().expect("a text").to_owned();
    assert!(text.contains("shop.cart in checkout") && !is_closed(&task), "{task}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("Airlock · ")), "{text}");
    let shown = app.issue("SHOP-1").await["task"].clone();
    assert_eq!((&shown["tracker"], &shown["error"]), (&json!("redmine"), &Value::Null));
    assert_eq!(shown["url"], format!("{}/issues/{}", redmine.url, task["id"]));

    app.act("SHOP-1", "assign", json!({"to": "ADMIN"})).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "it is <the> cart & more"})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    delivered(app).await;
    let task = connected.task("SHOP-1").await;
    assert!(is_closed(&task), "{task}");
    assert_eq!(task["assigned_to"]["name"], "Redmine Admin", "{task}");
    let said = connected.comments("SHOP-1").await;
    assert!(said.contains(&"bootstrap: it is <the> cart & more".to_owned()), "{said:?}");

    app.clock.advance(Duration::from_hours(1));
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    assert!(!is_closed(&connected.task("SHOP-1").await));
    let came_back = connected.comments("SHOP-1").await.pop().expect("a comment");
    assert!(came_back.starts_with("It came back"), "{came_back}");

    app.post("/api/v1/projects/shop/repositories", &json!({"name": "shop"})).await.ok();
    app.put("/api/v1/issues/SHOP-1/fix", &json!({"commit": "4f".repeat(20)})).await.ok();
    delivered(app).await;
    let task = connected.task("SHOP-1").await;
    let fix = task["custom_fields"][0]["value"].as_str().expect("a fix");
    assert!(fix.starts_with("4f4f4f4"), "{task}");

    // Somebody deletes it: it stays so.
    let path = format!("/issues/{}.json", task["id"]);
    redmine.by_hand("DELETE", &path, &Value::Null).await;
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    delivered(app).await;
    assert_eq!(app.issue("SHOP-1").await["task"]["state"], "deleted");
    assert!(redmine.issues(&connected.errors).await.is_empty());
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state = 'parked'").await, 0);
    connected.app.stop().await;
});

both!(who_is_no_administrator_of_redmine_has_tasks_too, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, redmine, errors } = &connected;
    let (login, key) = redmine.member(errors, MANAGER).await;
    let set = connected.connect(&json!({"token": key, "fix_field": FIX_FIELD})).await;
    assert!(set["checks"].as_array().expect("a list").iter().all(|one| one["ok"] == true), "{set}");
    assert!(set["checks"].to_string().contains("only an administrator's key"), "{set}");
    assert_eq!(redmine.issues(errors).await.len(), 0);
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    // Such a user sees the whole names of members, and no logins.
    app.act("SHOP-1", "assign", json!({"to": format!("zoe {login}")})).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "hi"})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    delivered(app).await;
    let task = connected.task("SHOP-1").await;
    assert!(is_closed(&task), "{task}");
    assert_eq!(task["author"], task["assigned_to"], "{task}");
    assert_eq!(connected.comments("SHOP-1").await.len(), 2);
    app.clock.advance(Duration::from_hours(1));
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    assert!(!is_closed(&connected.task("SHOP-1").await));
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state = 'parked'").await, 0);

    let (_, key) = redmine.member(errors, REPORTER).await;
    let set = connected.connect(&json!({"token": key})).await;
    assert_eq!(set["checks"][1]["detail"], "the role in Errors lacks edit_issues", "{set}");
    let other = redmine.project("Other").await;
    let (_, key) = redmine.member(&other, MANAGER).await;
    let set = connected.connect(&json!({"token": key})).await;
    assert_eq!((&set["checks"][0]["ok"], &set["checks"][1]["ok"]), (&json!(true), &json!(false)));
    connected.app.stop().await;
});

both!(hostile_texts_stay_between_fences_however_redmine_reads_texts, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, redmine, errors } = &connected;
    for (formatting, formats) in
        [("textile", &["textile"][..]), ("markdown", &["markdown", "common_mark"][..])]
    {
        connected.connect(&json!({"formatting": formatting})).await;
        for (n, nasty) in [
            "~~~\n@admin #1 {{include(x)}}\n~~~~\n#2",
            "```\n@admin #1\n```\n[[Wiki]] r12",
            "</pre></code> @admin #1 <pre> <script>alert(1)</script>",
            "    @admin\n\n#1\n\n* h1. x\n\n# y",
        ]
        .into_iter()
        .enumerate()
        {
            let value = json!({"type": "KeyError", "value": nasty});
            let fields = json!({"fingerprint": [formatting, n.to_string()],
                "transaction": nasty, "release": nasty, "exception": {"values": [value]}});
            app.send(shop, &with(crash("x"), &fields)).await;
        }
        delivered(app).await;
        let issues = redmine.issues(errors).await;
        let (mut n_shown, mut n_read) = (0, 0);
        for issue in issues.iter().rev().take(4) {
            for format in formats {
                let text = issue["description"].as_str().expect("a text");
                let Some(html) = redmine.rendered(format, text).await else { continue };
                n_shown += 1;
                // All that is outside of them is the address and the line with the key.
                let (open, rest) = html.split_once("<pre>").expect("a fence");
                let (inside, after) = rest.split_once("</pre>").expect("its end");
                assert_eq!(open.trim(), "", "{format}: {html}");
                assert!(!inside.contains("<script") && !after.contains("<pre"), "{format}: {html}");
                let is_nasty =
                    ["@admin", "#1", "#2", "{{", "[["].iter().any(|one| after.contains(one));
                assert!(!is_nasty && after.contains("Airlock · "), "{format}: {html}");
                n_read += usize::from(inside.contains("@admin"));
            }
        }
        assert!(n_shown >= 4 && n_read == n_shown, "{formatting}: {n_shown} {n_read}");
    }
    connected.app.stop().await;
});

both!(what_a_person_does_in_redmine_is_done_with_the_issue, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, redmine, .. } = &connected;
    app.post("/api/v1/projects/shop/repositories", &json!({"name": "shop"})).await.ok();
    connected.connect(&json!({"fix_field": FIX_FIELD, "reconcile_seconds": 86400})).await;
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    let polled = async || polled(app).await;
    let path = format!("/issues/{}.json", connected.task("SHOP-1").await["id"]);
    let zoe = async |issue: Value| {
        redmine.by_zoe("PUT", &path, &json!({"issue": issue})).await;
        polled().await;
    };
    // What Airlock did means nothing, however often it is listed.
    for _ in 0..3 {
        polled().await;
    }
    assert_eq!(app.changes("SHOP-1").await, ["opened", "became_serious"]);
    zoe(json!({"status_id": 5})).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["task"]["state"]), (&json!("resolved"), &json!("done")));
    let last = app.all("/api/v1/issues/SHOP-1/activity").await;
    assert!(last.iter().any(|one| one["by"] == "Zoe Sand"), "{last:?}");
    zoe(json!({"status_id": 2, "assigned_to_id": 1})).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["assignee"]), (&json!("open"), &json!("Redmine Admin")));
    assert!(connected.comments("SHOP-1").await.is_empty());
    let (one, other) = ("4f".repeat(20), "5a".repeat(20));
    zoe(json!({"notes": format!("Found it.\n\nfixed in {one}")})).await;
    let fix = app.issue("SHOP-1").await["fix"].clone();
    assert!(fix.to_string().contains(&one), "{fix}");
    zoe(json!({"custom_fields": [{"id": FIX_FIELD, "value": other}]})).await;
    let fix = app.issue("SHOP-1").await["fix"].clone();
    assert!(fix.to_string().contains(&other), "{fix}");

    let changes = app.changes("SHOP-1").await;
    for _ in 0..3 {
        polled().await;
    }
    let n_read = redmine.asked("GET", &path).len();
    polled().await;
    polled().await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    // What two looks have found is read no more.
    assert_eq!(redmine.asked("GET", &path).len(), n_read);
    redmine.by_zoe("DELETE", &path, &Value::Null).await;
    connected.connect(&json!({"fix_field": FIX_FIELD})).await;
    polled().await;
    assert_eq!(app.issue("SHOP-1").await["task"]["state"], "deleted");
    connected.app.stop().await;
});

both!(one_task_in_redmine_whatever_fails, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, redmine, .. } = &connected;
    let failures = [
        Failure::Drop,
        Failure::DropAnswer,
        Failure::HangAfter,
        Failure::Status(500),
        Failure::StatusAfter(502),
        Failure::Late(300),
    ];
    for (n, failure) in failures.into_iter().enumerate() {
        let id = format!("SHOP-{}", n + 1);
        redmine.fail("POST", "/issues.json", 1, failure);
        if n % 2 == 1 {
            redmine.fail("GET", "*", 1, Failure::Drop);
        }
        app.send(shop, &with(crash("KeyError"), &json!({"fingerprint": [id]}))).await;
        delivered(app).await;
        connected.task(&id).await;
        redmine.heal();

        redmine.fail("PUT", "/issues/*", 2, failure);
        app.act(&id, "comment", json!({"text": "hi"})).await.ok();
        app.act(&id, "resolve", json!({})).await.ok();
        delivered(app).await;
        let said = ["bootstrap: hi", "bootstrap resolved it"];
        assert_eq!(connected.comments(&id).await, said, "{failure:?}");
        assert!(is_closed(&connected.task(&id).await), "{failure:?}");
        redmine.heal();
    }
    assert_eq!(redmine.issues(&connected.errors).await.len(), failures.len());
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").await, 0);
    connected.app.stop().await;
});

both!(hostile_texts_do_nothing_in_redmine, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, redmine, errors } = &connected;
    let nasty = [
        "</pre>{{include(x)}} #1 @admin",
        "~~~~ ``` </code><pre><script>",
        "a\u{0}b\u{8}\u{1b}[31m\u{7f}\u{85}\u{fffe}\u{ffff}",
        "&lt; &#0; &bogus; \" '",
        "\u{202e}emoji 🦀 \u{10ffff}",
        "Airlock · 00000000000000000000000000000000/1",
    ];
    for text in nasty {
        let frame = json!({"filename": text, "function": text, "lineno": 7, "in_app": true});
        let value = json!({"type": text, "value": text.repeat(100),
            "stacktrace": {"frames": vec![frame; 20]}});
        let fields = json!({"fingerprint": [text], "environment": "production", "release": text,
            "exception": {"values": [value]}, "transaction": text});
        app.send(shop, &with(crash("x"), &fields)).await;
    }
    delivered(app).await;
    let issues = redmine.issues(errors).await;
    assert_eq!(issues.len(), app.all("/api/v1/projects/shop/issues").await.len());
    for issue in issues {
        let text = issue["description"].as_str().expect("a text");
        assert_eq!(text.to_lowercase().matches("</pre>").count(), 1, "{text}");
    }
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").await, 0);
    connected.app.stop().await;
});

both!(locks_and_deploys_are_in_their_projects_of_redmine, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, redmine, .. } = &connected;
    let (locks, deploys) = (redmine.project("Lock Beta").await, redmine.project("Push").await);
    let projects = json!({"beta": {"lock_project": locks, "deploy_project": deploys}});
    let set = connected.connect(&json!({"environments": projects})).await;
    assert_eq!(set["checks"][2]["name"], "beta.lock_project", "{set}");
    let path = "/api/v1/projects/shop/environments/beta/locks";
    let made = app.post(path, &json!({"reason": "the database moves"})).await.ok();
    delivered(app).await;
    let task = redmine.issues(&locks).await;
    assert_eq!((task.len(), is_closed(&task[0])), (1, false), "{task:?}");
    let id = made["id"].as_str().expect("an id");
    app.delete(&format!("/api/v1/locks/{id}")).await.ok();
    delivered(app).await;
    assert!(is_closed(&redmine.issues(&locks).await[0]));

    // A file that may be there already is not attached twice.
    let tracker = tracker(app).await;
    let task = task[0]["id"].to_string();
    for _ in 0..2 {
        let file = ("key", "push \"1\".log");
        airlock::tracker::Tracker::attach(&tracker, &task, file, b"one\0two").await.expect("done");
    }
    let path = format!("/issues/{task}.json?include=attachments");
    let issue = redmine.by_hand("GET", &path, &Value::Null).await["issue"].clone();
    let files = issue["attachments"].as_array().expect("files").clone();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!((&files[0]["filename"], &files[0]["filesize"]), (&json!("push _1_.log"), &json!(7)));
    connected.app.stop().await;
});

both!(locks_are_made_and_released_in_redmine, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, redmine, .. } = &connected;
    let board = redmine.project("Lock Beta").await;
    let projects = json!({"beta": {"lock_project": board}});
    connected.connect(&json!({"environments": projects})).await;
    let path = "/api/v1/projects/shop/environments/beta/locks";
    let locks = async || {
        polled(app).await;
        app.all(path).await
    };
    assert!(locks().await.is_empty());
    let issue = json!({"project_id": board, "subject": "the import runs"});
    let made = redmine.by_zoe("POST", "/issues.json", &json!({"issue": issue})).await;
    let task = format!("/issues/{}.json", made["issue"]["id"]);
    let found = locks().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["reason"], &found[0]["owner"], &found[0]["kind"]),
        (&json!("the import runs"), &json!("Zoe Sand"), &json!("manual"))
    );
    // It is one lock, however often it is found, and given to whoever has the issue.
    let change = async |issue: Value| {
        redmine.by_zoe("PUT", &task, &json!({"issue": issue})).await;
        locks().await
    };
    let found = change(json!({"assigned_to_id": 1})).await;
    assert_eq!((found.len(), &found[0]["assignee"]), (1, &json!("Redmine Admin")), "{found:?}");
    assert!(change(json!({"status_id": 5})).await.is_empty());
    let released = app.all(&format!("{path}?state=released")).await;
    assert_eq!(released[0]["released_by"], "Zoe Sand", "{released:?}");
    assert_eq!(change(json!({"status_id": 2})).await.len(), 1);
    // Released in Airlock, it is closed there, and stays so.
    let id = app.all(path).await[0]["id"].as_str().expect("an id").to_owned();
    app.delete(&format!("/api/v1/locks/{id}")).await.ok();
    delivered(app).await;
    assert!(is_closed(&redmine.issues(&board).await[0]));
    assert!(locks().await.is_empty());
    // One that is deleted locks no more.
    let made = redmine.by_zoe("POST", "/issues.json", &json!({"issue": issue})).await;
    assert_eq!(locks().await.len(), 1);
    let task = format!("/issues/{}.json", made["issue"]["id"]);
    redmine.by_zoe("DELETE", &task, &Value::Null).await;
    connected.connect(&json!({"environments": projects})).await;
    assert!(locks().await.is_empty());
    connected.app.stop().await;
});

both!(checks_of_redmine_say_what_to_do, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let checks = async |more: Value| connected.connect(&more).await["checks"].clone();
    let bad = checks(json!({"token": "0".repeat(40)})).await;
    assert_eq!(bad.as_array().map(Vec::len), Some(1), "{bad}");
    assert_eq!(bad[0]["detail"], "Redmine refuses the token", "{bad}");
    let all = checks(json!({"issue_project": "nowhere", "fix_field": "77"})).await;
    assert_eq!((&all[0]["ok"], &all[1]["ok"]), (&json!(true), &json!(false)), "{all}");
    assert!(all[1]["hint"].as_str().expect("a hint").contains("identifier"), "{all}");
    let all = checks(json!({"fix_field": "77"})).await;
    assert_eq!((&all[1]["ok"], &all[2]["ok"]), (&json!(true), &json!(false)), "{all}");
    let away = checks(json!({"url": "http://127.0.0.1:1"})).await;
    assert!(away[0]["detail"].as_str().expect("a detail").contains("cannot be reached"), "{away}");
    for wrong in [
        json!({"issue_project": "a/../b"}),
        json!({"formatting": "html"}),
        json!({"fix_field": "x"}),
    ] {
        let mut settings = json!({"kind": "redmine", "url": connected.redmine.url,
            "token": KEY, "issue_project": connected.errors});
        let fields = settings.as_object_mut().expect("an object");
        fields.extend(wrong.as_object().expect("an object").clone());
        let refused = connected.app.put(TRACKER, &settings).await;
        assert_eq!(refused.problem(), (422, "invalid".to_owned()), "{wrong}");
        assert!(!refused.text.contains(KEY), "{refused:?}");
    }
    connected.app.stop().await;
});

both!(a_key_that_is_worth_nothing_makes_no_second_task, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, redmine, errors } = &connected;
    redmine.fail("POST", "/issues.json", 1, Failure::DropAnswer);
    redmine.fail("GET", "/users/current.json", 1, Failure::Status(401));
    app.crashed(shop, "KeyError").await;
    crate::support::until("the key is refused", async || {
        app.clock.advance(Duration::from_secs(1));
        redmine.asked("GET", "/users/current.json").len() > 1
    })
    .await;
    connected.connect(&json!({})).await;
    delivered(app).await;
    assert_eq!(redmine.issues(errors).await.len(), 1);
    // Checks try to make one without a subject.
    let mut made = redmine.asked("POST", "/issues.json");
    made.retain(|asked| asked.json()["issue"]["subject"] != "");
    assert_eq!(made.len(), 1);
    connected.app.stop().await;
});
