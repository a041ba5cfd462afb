//! The settings of a tracker: what is refused, what is kept, what is never shown.

use serde_json::{Value, json};

use super::{Connected, TRACKER};
use crate::support::asana::{Asana, Failure, OAUTH, PAT};
use crate::support::{Engine, TestApp, both};

both!(what_makes_no_sense_is_refused, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    assert_eq!(app.get(TRACKER).await.ok(), json!({"kind": "built_in"}));
    let good = json!({"kind": "asana", "token": "t0ken", "issue_project": "1200"});
    let wrong = |name: &str, value: Value| {
        let mut wrong = good.clone();
        wrong[name] = value;
        wrong
    };
    for body in [
        json!({}),
        json!({"kind": "gitlab", "token": "x", "repository": "a/b"}),
        json!({"kind": "built_in", "token": "x"}),
        wrong("url", json!("ftp://a.example")),
        wrong("url", json!("https://user@a.example")),
        wrong("token", json!("")),
        wrong("token", json!("a b")),
        wrong("token", json!("a\nb")),
        wrong("issue_project", json!("Errors")),
        wrong("issue_project", json!("1/../2")),
        wrong("environments", json!({"staging": {}})),
        wrong("environments", json!({"production": {}, "prod": {}})),
        wrong("environments", json!({"beta": {"lock_project": "x"}})),
        wrong("environments", json!({"beta": {"lock": "1"}})),
        wrong("fix_field", json!("Fix")),
        wrong("poll_seconds", json!(1)),
        wrong("reconcile_seconds", json!(1)),
        wrong("colour", json!("red")),
    ] {
        let refused = app.put(TRACKER, &body).await;
        assert_eq!(refused.problem(), (422, "invalid".to_owned()), "{body}");
        assert!(!refused.text.contains("t0ken"), "{refused:?}");
    }
    let no_token = app.put(TRACKER, &json!({"kind": "asana", "issue_project": "1"})).await;
    assert!(no_token.text.contains("token is missing"), "{no_token:?}");
    let nowhere = "/api/v1/projects/nowhere/tracker";
    assert_eq!(app.put(nowhere, &good).await.problem().0, 404);
    assert_eq!(app.get(nowhere).await.problem().0, 404);
    assert_eq!(app.get(TRACKER).await.ok(), json!({"kind": "built_in"}));
    let check = app.post(&format!("{TRACKER}/check"), &json!({})).await.ok();
    assert_eq!(check["checks"][0]["ok"], true, "{check}");
    app.stop().await;
});

both!(a_token_is_sealed_and_kept_for_its_address, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, asana, errors, .. } = &connected;
    let lock = asana.project("Lock Beta Release");
    let settings = json!({
        "kind": "asana", "url": format!("{}/", asana.url), "issue_project": errors,
        "environments": {"BETA": {"lock_project": lock}}, "webhooks": false,
    });
    // Without the token: it is known.
    let set = app.put(TRACKER, &settings).await;
    let shown = app.get(TRACKER).await;
    for answer in [&set, &shown] {
        assert!(!answer.text.contains(PAT), "{answer:?}");
    }
    let set = set.ok();
    let checks = set["checks"].as_array().expect("checks");
    let names: Vec<&str> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, ["token", "issue_project", "beta.lock_project"]);
    assert!(checks.iter().all(|check| check["ok"] == true), "{set}");
    assert_eq!(
        shown.ok(),
        json!({
            "kind": "asana", "url": asana.url, "issue_project": errors,
            "environments": {"beta": {"lock_project": lock, "deploy_project": null}},
            "fix_field": null, "webhooks": false, "poll_seconds": 60, "reconcile_seconds": 600,
        })
    );
    for stored in app.stored_bytes("SELECT token FROM trackers").await {
        assert!(!String::from_utf8_lossy(&stored).contains(PAT));
    }
    for stored in app.stored_texts("SELECT settings FROM trackers").await {
        assert!(!stored.contains(PAT), "{stored}");
    }
    // It is not taken to another address.
    let other = Asana::start(app.clock.clone()).await;
    let mut moved = settings.clone();
    moved["url"] = json!(other.url);
    let refused = app.put(TRACKER, &moved).await;
    assert!(refused.text.contains("token is missing"), "{refused:?}");
    assert!(other.asked("*", "*").is_empty());
    // One that only reads sees the settings and sets nothing.
    let reader = json!({"name": "reader", "scopes": ["read"]});
    let reader = app.post("/api/v1/tokens", &reader).await.ok();
    let secret = reader["secret"].as_str().or(reader["token"].as_str()).expect("a secret");
    let put = app.request(reqwest::Method::PUT, TRACKER).bearer_auth(secret).json(&settings);
    assert_eq!(crate::support::Answer::of(put).await.problem().0, 403);
    // An environment that is renamed keeps its projects.
    let renamed =
        json!({"environments": [{"name": "canary", "was": "beta"}, {"name": "production"}]});
    app.patch("/api/v1/projects/shop", &renamed).await.ok();
    assert_eq!(app.get(TRACKER).await.ok()["environments"]["canary"]["lock_project"], json!(lock));
    // A project that is gone leaves nothing.
    app.delete("/api/v1/projects/shop").await.ok();
    connected.app.stop().await;
});

both!(checks_say_what_to_do, |engine: Engine| async move {
    let connected = Connected::start(engine, OAUTH).await;
    let Connected { app, asana, .. } = &connected;
    let checks = async |more: Value| connected.connect(OAUTH, &more).await["checks"].clone();
    let all = checks(json!({"issue_project": "77"})).await;
    assert_eq!((&all[0]["ok"], &all[1]["ok"]), (&json!(true), &json!(false)), "{all}");
    assert!(all[1]["hint"].as_str().expect("a hint").contains("member"), "{all}");
    asana.fail("GET", "/projects/*/custom_field_settings", 1, Failure::Status(402));
    let all = checks(json!({"fix_field": "78"})).await;
    assert_eq!(all[2]["ok"], false, "{all}");
    assert!(all[2]["detail"].as_str().expect("a detail").contains("plan"), "{all}");
    asana.fail("GET", "/users/me", 1, Failure::Drop);
    let all = checks(json!({})).await;
    assert_eq!((all.as_array().map(Vec::len), &all[0]["ok"]), (Some(1), &json!(false)), "{all}");
    let bad = connected.connect("no-such-token", &json!({})).await["checks"].clone();
    assert_eq!(bad[0]["detail"], "Asana refuses the token", "{bad}");
    for level in ["commenter", "viewer"] {
        asana.allow(&connected.errors, level);
        let all = checks(json!({})).await;
        assert!(all[1]["detail"].as_str().expect("a detail").contains(level), "{all}");
        assert!(all[1]["hint"].as_str().expect("a hint").contains("editor"), "{all}");
    }
    asana.allow(&connected.errors, "admin");
    // Where Asana does not tell, nothing is known to be wrong.
    asana.fail("GET", "/projects/*/project_memberships", 1, Failure::Status(500));
    // Once it is mended, a check sees it at once.
    let good = checks(json!({})).await;
    assert!(good.as_array().expect("a list").iter().all(|check| check["ok"] == true), "{good}");
    let away = json!({"url": "http://127.0.0.1:1/api"});
    let all = checks(away).await;
    assert!(all[0]["detail"].as_str().expect("a detail").contains("cannot be reached"), "{all}");
    let again = app.post(&format!("{TRACKER}/check"), &json!({})).await.ok();
    assert_eq!(again["checks"][0]["ok"], false);
    connected.app.stop().await;
});

both!(what_a_token_sees_can_be_chosen_from, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let asana = Asana::start(app.clock.clone()).await;
    let errors = asana.project("Errors");
    let with = |token: &str| json!({"kind": "asana", "url": asana.url, "token": token});
    let discover = format!("{TRACKER}/discover");
    let found = app.post(&discover, &with(PAT)).await.ok();
    assert_eq!(found["user"]["name"], "Airlock");
    let workspace = &found["workspaces"][0];
    assert_eq!(workspace["projects"], json!([{"id": errors, "name": "Errors"}]));
    assert_eq!(app.post(&discover, &with("wrong")).await.problem(), (422, "invalid".to_owned()));
    let mut away = with(PAT);
    away["url"] = json!("http://127.0.0.1:1");
    assert_eq!(app.post(&discover, &away).await.problem(), (502, "tracker-failed".to_owned()));
    let mut made = with(PAT);
    (made["workspace"], made["name"]) = (workspace["id"].clone(), json!("Lock Beta Release"));
    let made = app.post(&format!("{TRACKER}/projects"), &made).await.ok();
    assert_eq!(made["name"], "Lock Beta Release");
    let found = app.post(&discover, &with(PAT)).await.ok();
    assert_eq!(found["workspaces"][0]["projects"][1], made);
    app.stop().await;
});
