//! Projects, their environments and keys.

use std::time::Duration;

use airlock::retention::clear_deleted;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Answer, invalid, not_found};
use crate::support::{Engine, TestApp, TestProject, both, crash, until};

fn names(project: &Value) -> Vec<&str> {
    let environments = project["environments"].as_array().expect("environments");
    environments.iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

/// The environment where a fix completes its issue; there is one.
fn complete_in(project: &Value) -> &str {
    let environments = project["environments"].as_array().expect("environments");
    let completing: Vec<_> = environments.iter().filter(|one| one["complete"] == true).collect();
    assert_eq!(completing.len(), 1, "{project}");
    completing[0]["name"].as_str().expect("a name")
}

both!(a_project_is_made_with_what_it_needs, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let made = app.post("/api/v1/projects", &json!({"slug": "shop"})).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    assert_eq!((&made["name"], &made["prefix"]), (&json!("shop"), &json!("SHOP")));
    let settings = json!({
        "rate_limit": null, "daily_quota": null, "gate_waits_for_reports": false, "monthly_quota": null,
        "security_rate_limit": null, "security_daily_quota": null,
        "security_monthly_quota": null, "untrusted_keys_rearm_locks": false,
        "retention_days": 90, "most_events": null, "most_bodies_per_issue": 200, "commit_field": null,
    });
    assert_eq!(made["settings"], settings);
    assert_eq!(
        made["environments"],
        json!([
            {"name": "beta", "position": 0, "complete": true, "aliases": [], "deployed": null},
            {"name": "production", "position": 1, "complete": false, "aliases": ["prod", "live"],
             "deployed": null},
        ])
    );
    let key = app.all("/api/v1/projects/shop/keys").await.remove(0);
    assert_eq!(key["dsn"], made["dsn"]);
    assert_eq!(app.get("/api/v1/projects/shop").await.ok(), made);
    let wish = json!({"slug": "shop-2", "name": "Der Laden", "prefix": "S2",
        "environments": ["dev", "stage", "live"], "complete_in": "Stage"});
    let made = app.post("/api/v1/projects", &wish).await.ok();
    assert_eq!((&made["name"], &made["prefix"]), (&json!("Der Laden"), &json!("S2")));
    assert_eq!((names(&made), complete_in(&made)), (vec!["dev", "stage", "live"], "stage"));
    let slugs: Vec<Value> =
        app.all("/api/v1/projects").await.iter().map(|one| one["slug"].clone()).collect();
    assert_eq!(slugs, ["shop", "shop-2"]);
    app.stop().await;
});

both!(a_project_that_makes_no_sense_is_not_made, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    for wish in [
        json!({}),
        json!({"slug": 7}),
        json!({"slug": ""}),
        json!({"slug": "Shop"}),
        json!({"slug": "shop/web"}),
        json!({"slug": "x".repeat(51)}),
        json!({"slug": "a\u{0}b"}),
        json!({"slug": "shop", "prefix": "shop"}),
        json!({"slug": "shop", "name": " "}),
        json!({"slug": "shop", "name": "x".repeat(65)}),
        json!({"slug": "shop", "name": "a\u{0}b"}),
        json!({"slug": "shop", "environments": []}),
        json!({"slug": "shop", "environments": ["beta", "Beta"]}),
        json!({"slug": "shop", "environments": ["a/b"]}),
        json!({"slug": "shop", "environments": ["a\u{0}b"]}),
        json!({"slug": "shop", "environments": ["beta"], "complete_in": "production"}),
        json!({"slug": "shop", "environments": (0..21).map(|n| n.to_string()).collect::<Vec<_>>()}),
        json!({"slug": "shop", "settings": {}}),
    ] {
        assert_eq!(app.post("/api/v1/projects", &wish).await.problem(), invalid(), "{wish}");
    }
    assert_eq!(app.all("/api/v1/projects").await, Vec::<Value>::new());
    app.stop().await;
});

both!(a_slug_and_a_prefix_belong_to_one_project, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    for wish in
        [json!({"slug": "shop", "prefix": "OTHER"}), json!({"slug": "other", "prefix": "SHOP"})]
    {
        let answer = app.post("/api/v1/projects", &wish).await;
        assert_eq!(answer.problem(), (409, "taken".to_owned()), "{wish}");
    }
    assert_eq!(app.all("/api/v1/projects").await.len(), 1);
    app.stop().await;
});

both!(a_project_is_renamed_and_keeps_what_nobody_mentions, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let before = app.get("/api/v1/projects/shop").await.ok();
    let after = app.patch("/api/v1/projects/shop", &json!({"name": " The shop "})).await.ok();
    assert_eq!(after["name"], "The shop");
    assert_eq!(after["environments"], before["environments"]);
    assert_eq!(app.get("/api/v1/projects/shop").await.ok(), after);
    for wish in [
        json!({"settings": {"colour": "red"}}),
        json!({"slug": "store"}),
        json!({"prefix": "STORE"}),
        json!({"name": ""}),
        json!({"name": "a\u{0}b"}),
        json!({"complete_in": "nowhere"}),
        json!({"environments": []}),
        json!({"environments": ["beta", "BETA"]}),
        json!({"environments": [{"name": "beta", "aliases": ["b", "b"]}]}),
        json!({"environments": [{"name": "beta", "was": "gamma"}]}),
        json!({"environments": [{"name": "one", "was": "beta"}, {"name": "two", "was": "beta"}]}),
        json!({"environments": [{"name": "beta", "colour": "red"}]}),
    ] {
        let answer = app.patch("/api/v1/projects/shop", &wish).await;
        assert_eq!(answer.problem(), invalid(), "{wish}");
    }
    assert_eq!(app.get("/api/v1/projects/shop").await.ok(), after);
    let answer = app.patch("/api/v1/projects/nowhere", &json!({"name": "x"})).await;
    assert_eq!(answer.problem(), not_found());
    app.stop().await;
});

both!(environments_are_added_renamed_reordered_and_given_aliases, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let patch = async |wish: Value| app.patch("/api/v1/projects/shop", &wish).await.ok();
    let added = patch(json!({"environments": ["dev", "beta", "production"]})).await;
    assert_eq!((names(&added), complete_in(&added)), (vec!["dev", "beta", "production"], "beta"));
    assert_eq!(added["environments"][2]["aliases"], json!(["prod", "live"]));

    let wish = json!({"environments": ["dev", {"name": "staging", "was": "Beta"}, "production"]});
    let renamed = patch(wish).await;
    assert_eq!(names(&renamed), ["dev", "staging", "production"]);
    assert_eq!(complete_in(&renamed), "staging", "it is the same environment");

    let reordered = patch(json!({"environments": ["production", "dev", "staging"]})).await;
    assert_eq!(names(&reordered), ["production", "dev", "staging"]);
    assert_eq!(reordered["environments"][0]["position"], 0);
    assert_eq!(complete_in(&reordered), "staging");

    let aliased = patch(json!({"environments": [
        "production", {"name": "dev", "aliases": ["development", "local"]}, "staging"]}));
    assert_eq!(aliased.await["environments"][1]["aliases"], json!(["development", "local"]));
    let kept = patch(json!({"environments": ["production", "dev"]})).await;
    assert_eq!(kept["environments"][1]["aliases"], json!(["development", "local"]));
    assert_eq!(complete_in(&kept), "production", "the first, now that the other is gone");

    let completed = patch(json!({"complete_in": "DEV"})).await;
    assert_eq!(complete_in(&completed), "dev");
    assert_eq!(app.get("/api/v1/projects/shop").await.ok(), completed);
    app.stop().await;
});

both!(an_environment_may_be_called_what_production_would_be_called_too, |engine: Engine| {
    async move {
        let app = TestApp::start(engine).await;
        let wish = json!({"slug": "shop", "environments": ["beta"]});
        app.post("/api/v1/projects", &wish).await.ok();
        let wish = json!({"environments": ["beta", "live", "production"]});
        let project = app.patch("/api/v1/projects/shop", &wish).await.ok();
        assert_eq!(names(&project), ["beta", "live", "production"]);
        assert_eq!(project["environments"][2]["aliases"], json!(["prod"]));
        app.stop().await;
    }
});

/// Sends a crash with a key; gives the status.
async fn report(app: &TestApp, project: &TestProject) -> StatusCode {
    let request = app.report(project, "store").body(crash("KeyError").to_string());
    Answer::of(request).await.status
}

both!(a_deleted_project_leaves_nothing_behind, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let depot = app.create_project("depot").await;
    for project in [&shop, &depot] {
        let rules = json!({"rules": [{"events": 1}]});
        app.put(&format!("/api/v1/projects/{}/rules/filing", project.slug), &rules).await.ok();
        app.send_event(project, &json!({"message": "x", "user": {"id": 1}})).await.ok();
        app.report(project, "envelope")
            .body("{}\n{\"type\":\"event\"}\n{broken\n")
            .send()
            .await
            .unwrap();
    }
    app.digested().await;
    for id in ["SHOP-1", "DEPOT-1"] {
        app.act(id, "comment", json!({"text": "hi"})).await.ok();
    }
    until("tasks are made, and told", async || {
        app.stored_number("SELECT COUNT(*) FROM built_in_comments").await == 2
    })
    .await;
    // Whoever asks twice at once is not told of an error.
    let path = format!("/api/v1/projects/{}", shop.slug);
    let (one, two) = tokio::join!(app.delete(&path), app.delete(&path));
    let mut answers = [one.status.as_u16(), two.status.as_u16()];
    answers.sort_unstable();
    assert!(answers == [204, 204] || answers == [204, 404], "{answers:?}");

    assert_eq!(report(&app, &shop).await, 403);
    assert_eq!(app.get("/api/v1/projects/shop").await.problem(), not_found());
    assert_eq!(app.get("/api/v1/issues/SHOP-1").await.problem(), not_found());
    assert_eq!(app.delete("/api/v1/projects/shop").await.problem(), not_found());
    clear_deleted(app.running.store(), app.clock.now()).await.expect("it is cleared away");
    for table in [
        "environments",
        "project_keys",
        "project_counters",
        "issues",
        "issue_hashes",
        "events",
        "issue_counts",
        "issue_tags",
        "issue_users",
        "issue_activity",
        "outbox",
        "tasks",
        "built_in_tasks",
        "built_in_comments",
        "buried",
        "outcomes",
    ] {
        let count = |id: i64| format!("SELECT COUNT(*) FROM {table} WHERE project_id = {id}");
        assert_eq!(app.stored_number(&count(shop.id)).await, 0, "{table}");
        assert!(app.stored_number(&count(depot.id)).await > 0, "{table} of another project");
    }
    // A batch that had begun before is stored after: an hour later that is gone too.
    let count = format!("SELECT COUNT(*) FROM project_counters WHERE project_id = {}", shop.id);
    let late = "UPDATE project_counters SET project_id = 1
        WHERE name = 'issue_number' AND CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(late, &[]).await;
    clear_deleted(app.running.store(), app.clock.now()).await.expect("nothing is due");
    assert_eq!(app.stored_number(&count).await, 1);
    for _ in 0..2 {
        app.clock.advance(Duration::from_mins(61));
        clear_deleted(app.running.store(), app.clock.now()).await.expect("it is cleared away");
        assert_eq!(app.stored_number(&count).await, 0);
    }
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM deleted_projects").await, 0);

    let again = app.create_project("shop").await;
    assert!(again.id > depot.id, "a DSN of the old project must not reach the new one");
    assert_eq!(report(&app, &shop).await, 403);
    assert_eq!(report(&app, &again).await, 200);
    app.digested().await;
    assert_eq!(app.issue("SHOP-1").await["events"], 1);
    app.stop().await;
});

both!(keys_are_made_changed_and_deleted, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.create_project("depot").await;
    let path = "/api/v1/projects/shop/keys";
    let wish = json!({"label": "browser", "trusted": false, "origins": ["https://shop.example"]});
    let made = app.post(path, &wish).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    let key = made["public_key"].as_str().unwrap().to_owned();
    assert_eq!((&made["label"], &made["trusted"]), (&json!("browser"), &json!(false)));
    assert_eq!(made["active"], true);
    assert_eq!(made["origins"], json!(["https://shop.example"]));
    let dsn = made["dsn"].as_str().unwrap();
    assert!(dsn.contains(&key) && dsn.ends_with(&format!("/{}", shop.id)), "{dsn}");
    let plain = app.post(path, &json!({})).await.ok();
    assert_eq!((&plain["trusted"], &plain["origins"]), (&json!(true), &json!([])));
    assert_eq!(app.all(path).await.len(), 3);

    let fresh = plain["public_key"].as_str().unwrap().to_owned();
    let own = TestProject { key: fresh.clone(), ..shop.clone() };
    assert_eq!(report(&app, &own).await, 200);
    let one = format!("{path}/{fresh}");
    let off = app.patch(&one, &json!({"active": false, "label": "old"})).await.ok();
    assert_eq!((&off["active"], &off["label"]), (&json!(false), &json!("old")));
    assert_eq!(off["trusted"], true);
    assert_eq!(report(&app, &own).await, 403);
    app.patch(&one, &json!({"active": true})).await.ok();
    assert_eq!(report(&app, &own).await, 200);
    assert_eq!(app.delete(&one).await.status, 204);
    assert_eq!(report(&app, &own).await, 403);
    assert_eq!(app.delete(&one).await.problem(), not_found());
    assert_eq!(app.patch(&one, &json!({})).await.problem(), not_found());

    let elsewhere = format!("/api/v1/projects/depot/keys/{key}");
    assert_eq!(app.delete(&elsewhere).await.problem(), not_found());
    assert_eq!(app.patch(&elsewhere, &json!({"active": false})).await.problem(), not_found());
    for wish in [
        json!({"label": ""}),
        json!({"label": "x".repeat(101)}),
        json!({"origins": [""]}),
        json!({"origins": ["a b"]}),
        json!({"origins": vec!["https://a.example"; 101]}),
        json!({"trusted": "yes"}),
        json!({"public_key": "mine"}),
    ] {
        assert_eq!(app.post(path, &wish).await.problem(), invalid(), "{wish}");
        let answer = app.patch(&format!("{path}/{key}"), &wish).await;
        assert_eq!(answer.problem(), invalid(), "{wish}");
    }
    app.stop().await;
});

both!(the_dsn_of_a_project_is_its_first_active_key, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let second = app.post("/api/v1/projects/shop/keys", &json!({})).await.ok();
    let first = format!("/api/v1/projects/shop/keys/{}", shop.key);
    app.patch(&first, &json!({"active": false})).await.ok();
    let project = app.get("/api/v1/projects/shop").await.ok();
    assert_eq!(project["dsn"], second["dsn"]);
    app.stop().await;
});
