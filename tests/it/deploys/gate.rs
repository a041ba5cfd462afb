//! The gate, locks, freezes and deploys.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Shop, active, kinds};
use crate::support::{Answer, Engine, both, with};

both!(locks_of_people_and_scripts, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    assert_eq!(shop.gate("beta", &base).await["verdict"], "clear");
    let path = Shop::environment("beta", "locks");
    let soon = shop.app.clock.now().plus(Duration::from_hours(4)).to_string();
    let wish =
        json!({"reason": "migration", "assignee": "zoe", "key": "nightly", "expires_at": soon});
    let made = shop.app.post(&path, &wish).await;
    assert_eq!(made.status, 201);
    let lock = made.ok();
    assert_eq!(
        (&lock["kind"], &lock["reason"], &lock["assignee"]),
        (&json!("manual"), &json!("migration"), &json!("zoe"))
    );
    let again = json!({"reason": "migration, still", "key": "nightly"});
    let refreshed = shop.app.post(&path, &again).await;
    assert_eq!((refreshed.status.as_u16(), &refreshed.json()["id"]), (200, &lock["id"]));
    assert_eq!(refreshed.json()["expires_at"], json!(null));
    let gate = shop.gate("beta", &base).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["manual_lock"]));
    assert_eq!(gate["blockers"][0]["reason"], "migration, still");
    assert_eq!(shop.gate("production", &base).await["verdict"], "clear");

    let id = lock["id"].as_str().expect("an id");
    shop.app.post(&format!("/api/v1/locks/{id}/comment"), &json!({"text": "half done"})).await.ok();
    shop.app.post(&format!("/api/v1/locks/{id}/assign"), &json!({"to": "robin"})).await.ok();
    let shown = shop.app.get(&format!("/api/v1/locks/{id}")).await.ok();
    assert_eq!(
        (&shown["assignee"], &shown["comments"][0]["text"]),
        (&json!("robin"), &json!("half done"))
    );
    let released = shop.app.delete(&format!("{path}?key=nightly")).await.ok();
    assert_eq!(released["released_by"], "bootstrap");
    assert_eq!(shop.app.delete(&format!("{path}?key=nightly")).await.problem().0, 404);
    assert_eq!(shop.gate("beta", &base).await["verdict"], "clear");

    // One that expires.
    let wish = json!({"reason": "for a while", "expires_at": soon});
    let lock = shop.lock("beta", &wish).await;
    let gate = shop.gate("beta", &base).await;
    assert_eq!(
        (&gate["next_change_at"], &gate["blockers"][0]["clears_at"]),
        (&json!(soon), &json!(soon))
    );
    shop.app.clock.advance(Duration::from_hours(5));
    assert_eq!(shop.gate("beta", &base).await["verdict"], "clear");
    assert!(active(&shop.app, "beta").await.is_empty());
    let over = shop.app.all(&format!("{path}?state=released")).await;
    assert_eq!(
        (over.len(), &over[1]["id"], &over[1]["release_reason"]),
        (2, &lock["id"], &json!("expired"))
    );

    let invalid = (422, "invalid".to_owned());
    for wish in [
        json!({}),
        json!({"reason": " "}),
        json!({"reason": "x".repeat(2_001)}),
        json!({"reason": "x", "key": ""}),
        json!({"reason": "x", "expires_at": "2026-01-01T00:00:00Z"}),
        json!({"reason": "x", "assignee": ""}),
        json!({"issue": "SHOP-9"}),
        json!({"issue": "OTHER-1"}),
        json!({"issue": "SHOP-1", "reason": "x"}),
        json!({"reason": "x", "until": soon}),
    ] {
        assert_eq!(shop.app.post(&path, &wish).await.problem(), invalid, "{wish}");
    }
    for path in
        ["/api/v1/locks/1-x", "/api/v1/locks/x", "/api/v1/locks/9-0193f0e0f0e07000800000000000000a"]
    {
        assert_eq!(shop.app.delete(path).await.problem().0, 404, "{path}");
    }
    shop.stop().await;
});

both!(what_nobody_knows_is_never_clear, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let unknown = "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00";
    let gate = shop.gate("beta", unknown).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("unknown"), vec!["commit_unknown"]));
    assert_eq!(gate["commit"], unknown);
    let gate = shop.gate("beta", "4f2c91a").await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("unknown"), vec!["commit_unknown"]));
    let refused = shop.start_deploy("beta", unknown).await;
    assert_eq!(refused.problem(), (409, "gate-unknown".to_owned()));
    assert_eq!(refused.json()["gate"]["verdict"], "unknown");
    // A certain no goes before.
    shop.lock("beta", &json!({"reason": "no"})).await;
    let gate = shop.gate("beta", unknown).await;
    assert_eq!(
        (&gate["verdict"], kinds(&gate)),
        (&json!("blocked"), vec!["manual_lock", "commit_unknown"])
    );
    assert_eq!(
        shop.start_deploy("beta", unknown).await.problem(),
        (409, "gate-blocked".to_owned())
    );
    for commit in ["", "HEAD", "abc", "../x"] {
        let path = Shop::environment("beta", &format!("gate?commit={commit}"));
        assert_eq!(shop.app.get(&path).await.problem(), (422, "invalid".to_owned()), "{commit}");
    }
    let nowhere = Shop::environment("nowhere", &format!("gate?commit={unknown}"));
    assert_eq!(shop.app.get(&nowhere).await.problem().0, 404);
    shop.stop().await;
});

both!(a_deploy_has_its_environment_for_itself, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c more").await;
    let (base, more) = (shop.sha("base"), shop.sha("more"));
    let path = Shop::environment("beta", "deploys");
    let wish =
        json!({"commit": base, "lease_seconds": 120, "by": "zoe", "url": "https://ci.example/7"});
    let started = shop.app.post(&path, &wish).await;
    assert_eq!(started.status, 201);
    let deploy = started.ok();
    assert_eq!(
        (&deploy["number"], &deploy["status"], &deploy["gated"]),
        (&json!(1), &json!("running"), &json!(true))
    );
    assert_eq!(
        (&deploy["commit"], &deploy["repository"], &deploy["by"]),
        (&json!(base), &json!("web"), &json!("zoe"))
    );
    assert_eq!(
        (&deploy["gate"]["verdict"], &deploy["finished_at"]),
        (&json!("clear"), &json!(null))
    );
    let id = deploy["id"].as_str().expect("an id");
    let gate = shop.gate("beta", &more).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["deploy_running"]));
    assert_eq!(gate["blockers"][0]["owner"], "zoe");
    let second = shop.start_deploy("beta", &more).await;
    assert_eq!(second.problem(), (409, "deploy-running".to_owned()));
    // Nobody overrides that.
    let wish = json!({"commit": more, "override": "it burns"});
    assert_eq!(shop.app.post(&path, &wish).await.problem(), (409, "deploy-running".to_owned()));
    shop.start_deploy("production", &base).await.ok();

    // It is heard of, then not any more: its slot is free.
    shop.app.clock.advance(Duration::from_secs(100));
    let beat = shop.app.post(&format!("/api/v1/deploys/{id}/heartbeat"), &json!({})).await.ok();
    assert_eq!(beat["lease_until"], shop.app.clock.now().plus(Duration::from_mins(2)).to_string());
    shop.app.clock.advance(Duration::from_secs(121));
    let taken = shop.start_deploy("beta", &more).await.ok();
    let lost = shop.app.get(&format!("/api/v1/deploys/{id}")).await.ok();
    assert_eq!(lost["status"], "lost");
    let beat = shop.app.post(&format!("/api/v1/deploys/{id}/heartbeat"), &json!({})).await;
    assert_eq!(beat.problem(), (409, "deploy-ended".to_owned()));
    // What ended before is told late, with its true time.
    shop.app.clock.advance(Duration::from_secs(10));
    shop.finish(&taken, "succeeded").await;
    let finish = format!("/api/v1/deploys/{id}/finish");
    let early = deploy["started_at"].as_str().expect("a time").to_owned();
    let done = json!({"status": "succeeded", "exit_code": 0, "finished_at": early});
    let finished = shop.app.post(&finish, &done).await.ok();
    assert_eq!(
        (&finished["status"], &finished["finished_at"]),
        (&json!("succeeded"), &json!(early))
    );
    assert_eq!(shop.app.post(&finish, &done).await.ok(), finished);
    let other = shop.app.post(&finish, &json!({"status": "failed"})).await;
    assert_eq!(other.problem(), (409, "deploy-ended".to_owned()));
    let project = shop.app.get("/api/v1/projects/shop").await.ok();
    let deployed = &project["environments"][0]["deployed"];
    assert_eq!(
        (&deployed["commits"][0]["commit"], &deployed["deploy"]),
        (&json!(more), &taken["id"])
    );
    let listed = shop.app.all("/api/v1/projects/shop/deploys?environment=beta").await;
    let numbers: Vec<&Value> = listed.iter().map(|one| &one["number"]).collect();
    assert_eq!(numbers, [&json!(3), &json!(1)]);
    shop.stop().await;
});

both!(a_deploy_that_failed_or_was_given_up_deploys_nothing, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let failed = shop.start_deploy("beta", &shop.sha("base")).await.ok();
    let failed = shop.finish(&failed, "failed").await;
    assert_eq!((&failed["status"], &failed["resolved"]), (&json!("failed"), &json!([])));
    let given_up = shop.start_deploy("beta", &shop.sha("base")).await.ok();
    let path = format!("/api/v1/deploys/{}/abandon", given_up["id"].as_str().expect("an id"));
    assert_eq!(shop.app.post(&path, &json!({})).await.ok()["status"], "lost");
    let project = shop.app.get("/api/v1/projects/shop").await.ok();
    assert_eq!(project["environments"][0]["deployed"], json!(null));
    assert_eq!(shop.gate("beta", &shop.sha("base")).await["verdict"], "clear");
    let path = Shop::environment("beta", "deploys");
    for body in [
        json!({}),
        json!({"commit": "xyz"}),
        json!({"commit": shop.sha("base"), "lease_seconds": 59}),
        json!({"commit": shop.sha("base"), "override": ""}),
        json!({"commit": shop.sha("base"), "status": "running"}),
        json!({"commit": shop.sha("base"), "finished_at": "2026-11-21T12:00:00Z"}),
        json!({"commit": shop.sha("base"), "status": "failed",
            "started_at": "2026-11-21T11:00:00Z", "finished_at": "2026-11-21T10:00:00Z"}),
        json!({"commit": shop.sha("base"), "repository": "nowhere"}),
    ] {
        assert_eq!(
            shop.app.post(&path, &body).await.problem(),
            (422, "invalid".to_owned()),
            "{body}"
        );
    }
    shop.stop().await;
});

both!(an_override_passes_locks_and_is_written_on_them, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let lock = shop.lock("beta", &json!({"reason": "no"})).await;
    let path = Shop::environment("beta", "deploys");
    let wish = json!({"commit": shop.sha("base"), "override": "the shop is down"});
    let token = json!({"name": "ci", "scopes": ["read", "deploy"]});
    let token = shop.app.post("/api/v1/tokens", &token).await.ok();
    let secret = token["token"].as_str().expect("a secret");
    let request = shop.app.request(reqwest::Method::POST, &path).bearer_auth(secret).json(&wish);
    assert_eq!(Answer::of(request).await.problem(), (403, "forbidden".to_owned()));
    let deploy = shop.app.post(&path, &wish).await.ok();
    assert_eq!(
        (&deploy["override"], &deploy["gate"]["verdict"]),
        (&json!("the shop is down"), &json!("blocked"))
    );
    let shown =
        shop.app.get(&format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"))).await.ok();
    let said = shown["comments"][0]["text"].as_str().expect("a text");
    assert!(said.ends_with("overrode the gate for deploy 1: the shop is down"), "{said}");
    shop.finish(&deploy, "succeeded").await;
    shop.record("beta", "base").await;
    let shown =
        shop.app.get(&format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"))).await.ok();
    assert_eq!(shown["comments"][1]["text"], "deploy 2 was recorded without asking the gate");
    shop.stop().await;
});

both!(a_record_speaks_only_to_locks_that_stood_when_it_ran, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let began = shop.app.clock.now();
    let after = |minutes| began.plus(Duration::from_mins(minutes)).to_string();
    let lock = async |more: Value| {
        let lock = shop.lock("beta", &with(json!({"reason": "no"}), &more)).await;
        format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"))
    };
    let over_since = lock(json!({"expires_at": after(60)})).await;
    let over_before = lock(json!({"expires_at": after(20)})).await;
    let released_since = lock(json!({})).await;
    let released_before = lock(json!({})).await;
    shop.app.clock.advance(Duration::from_mins(10));
    shop.app.delete(&released_before).await.ok();
    shop.app.clock.advance(Duration::from_mins(80));
    shop.app.delete(&released_since).await.ok();
    let made_since = lock(json!({})).await;
    shop.app.clock.advance(Duration::from_mins(30));
    let n_said =
        async |lock: &String| shop.app.get(lock).await.ok()["comments"].as_array().map(Vec::len);
    let path = Shop::environment("beta", "deploys");
    for (times, expected) in [
        (json!({"started_at": after(30), "finished_at": after(31)}), [1, 1, 0, 0, 0]),
        (json!({"finished_at": after(30)}), [2, 2, 0, 0, 0]),
        (json!({}), [2, 2, 0, 0, 1]),
    ] {
        let over = json!({"commit": shop.sha("base"), "status": "failed"});
        shop.app.post(&path, &with(over, &times)).await.ok();
        let all = [&over_since, &released_since, &over_before, &released_before, &made_since];
        for (lock, expected) in all.into_iter().zip(expected) {
            assert_eq!(n_said(lock).await, Some(expected), "{lock} {times}");
        }
    }
    shop.stop().await;
});

both!(output_is_kept_once_and_secrets_are_masked, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let deploy = shop.start_deploy("beta", &shop.sha("base")).await.ok();
    let path = format!("/api/v1/deploys/{}/output", deploy["id"].as_str().expect("an id"));
    let send = async |offset: usize, text: &str| {
        let path = format!("{path}?offset={offset}");
        Answer::of(shop.app.api(reqwest::Method::POST, &path).body(text.to_owned())).await
    };
    let first = "building…\npassword=hunter2-is-secret\n";
    assert_eq!(send(0, first).await.ok()["output_bytes"], first.len());
    // The same again, with a little more.
    let more = format!("{first}done\n");
    assert_eq!(send(0, &more).await.ok()["output_bytes"], more.len());
    assert_eq!(send(0, first).await.ok()["output_bytes"], more.len());
    assert_eq!(send(more.len() + 1, "x").await.problem(), (409, "output-gap".to_owned()));
    let shown = shop.app.get(&path).await;
    assert!(!shown.text.contains("hunter2"), "{}", shown.text);
    assert!(shown.text.starts_with("building…\npassword=*"), "{}", shown.text);
    assert!(shown.text.ends_with("\ndone\n"), "{}", shown.text);
    assert_eq!(shown.header("next-offset"), Some(more.len().to_string().as_str()));
    let rest = shop.app.get(&format!("{path}?offset={}", first.len())).await;
    assert_eq!(rest.text, "done\n");
    // One that is cut in two on its way, wherever.
    let cut = "token=abcdef-is-secret-too\n";
    for (from, to) in [(0, 15), (15, 16), (16, cut.len())] {
        send(more.len() + from, cut.get(from..to).expect("a part")).await.ok();
    }
    let shown = shop.app.get(&format!("{path}?offset={}", more.len())).await.text;
    assert!(shown.starts_with("token=*"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    let more = format!("{more}{cut}");
    let large = "x".repeat(1024 * 1024 + 1);
    assert_eq!(send(more.len(), &large).await.problem(), (413, "too-large".to_owned()));
    let broken = shop.app.api(reqwest::Method::POST, &format!("{path}?offset={}", more.len()));
    assert_eq!(
        Answer::of(broken.body(vec![0xff, 0xfe])).await.problem(),
        (400, "malformed".to_owned())
    );
    shop.stop().await;
});

both!(freezes_close_an_environment, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    let path = Shop::environment("beta", "freezes");
    // It is noon of a Saturday.
    let wish = json!({"name": "weekend", "start": "0 0 * * 6", "minutes": 2880, "timezone": "UTC"});
    let freeze = shop.app.post(&path, &wish).await.ok();
    let gate = shop.gate("beta", &base).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["freeze"]));
    assert_eq!(
        (&gate["blockers"][0]["reason"], &gate["next_change_at"]),
        (&json!("weekend"), &json!("2026-11-23T00:00:00Z"))
    );
    assert_eq!(shop.start_deploy("beta", &base).await.problem(), (409, "gate-blocked".to_owned()));
    let id = freeze["id"].as_str().expect("an id");
    assert_eq!(shop.app.delete(&format!("{path}/{id}")).await.status, 204);
    assert_eq!(shop.app.delete(&format!("{path}/{id}")).await.problem().0, 404);
    assert_eq!(shop.gate("beta", &base).await["verdict"], "clear");

    // Beta rests before production's deploy of 13:00, until that ended.
    let wish = json!({"name": "before production", "before_environment": "prod", "schedule": "0 13 * * *", "minutes": 90, "timezone": "UTC"});
    let made = shop.app.post(&path, &wish).await.ok();
    assert_eq!(made["before_environment"], "production");
    assert_eq!(kinds(&shop.gate("beta", &base).await), ["freeze"]);
    shop.app.clock.advance(Duration::from_mins(62));
    let production = shop.start_deploy("production", &base).await.ok();
    assert_eq!(kinds(&shop.gate("beta", &base).await), ["freeze"]);
    shop.app.clock.advance(Duration::from_mins(5));
    shop.finish(&production, "succeeded").await;
    assert_eq!(shop.gate("beta", &base).await["verdict"], "clear");
    // It goes on under a new name.
    let renamed = json!({"environments": [{"name": "test", "was": "beta"}, {"name": "live", "was": "production"}]});
    shop.app.patch("/api/v1/projects/shop", &renamed).await.ok();
    let listed = shop.app.all(&Shop::environment("test", "freezes")).await;
    assert_eq!((&listed[0]["id"], &listed[0]["before_environment"]), (&made["id"], &json!("live")));
    let project = shop.app.get("/api/v1/projects/shop").await.ok();
    assert_eq!(project["environments"][1]["deployed"]["deploy"], production["id"]);
    for wish in [
        json!({"name": "x"}),
        json!({"name": "x", "before_environment": "test", "schedule": "0 13 * * *", "minutes": 90, "timezone": "UTC"}),
        json!({"name": "x", "before_environment": "nowhere", "schedule": "0 13 * * *", "minutes": 90, "timezone": "UTC"}),
        json!({"name": "x", "start": "soon", "minutes": 90, "timezone": "UTC"}),
        json!({"name": "x", "start": "0 13 * * *", "minutes": 90, "timezone": "Mars/Olympus"}),
    ] {
        let path = Shop::environment("test", "freezes");
        assert_eq!(
            shop.app.post(&path, &wish).await.problem(),
            (422, "invalid".to_owned()),
            "{wish}"
        );
    }
    shop.stop().await;
});

both!(an_environment_gets_the_name_of_one_that_is_gone, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    let base = shop.sha("base");
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    for environment in ["beta", "production"] {
        shop.deploy(environment, "fix").await;
    }
    let lock = shop.lock("production", &json!({"reason": "no"})).await;
    let environments = json!({"environments": [{"name": "beta", "was": "production"}]});
    shop.app.patch("/api/v1/projects/shop", &environments).await.ok();
    let gate = shop.gate("beta", &base).await;
    assert_eq!(kinds(&gate), ["manual_lock"], "{gate}");
    assert_eq!(super::active(&shop.app, "beta").await, [lock["id"].as_str().expect("an id")]);
    shop.stop().await;
});

both!(who_waits_hears_of_another_verdict, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    let lock = shop.lock("beta", &json!({"reason": "no"})).await;
    let gate = shop.gate("beta", &base).await;
    let version = gate["version"].as_str().expect("a version").to_owned();
    let path = Shop::environment("beta", &format!("gate?commit={base}&wait=20&seen={version}"));
    let release = format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"));
    let (waited, _) =
        futures_util::future::join(shop.app.get(&path), shop.app.delete(&release)).await;
    assert_eq!(waited.ok()["verdict"], "clear");
    // When nothing changes the same comes again.
    let gate = shop.gate("beta", &base).await;
    let version = gate["version"].as_str().expect("a version");
    let path = Shop::environment("beta", &format!("gate?commit={base}&wait=1&seen={version}"));
    assert_eq!(shop.app.get(&path).await.ok()["version"], version);
    let path = Shop::environment("beta", &format!("gate?commit={base}&wait=56"));
    assert_eq!(shop.app.get(&path).await.problem(), (422, "invalid".to_owned()));
    shop.stop().await;
});

both!(what_rested_on_a_fix_that_failed_is_looked_at_anew, |engine: Engine| async move {
    // The same patch on the line of a release: as good as the fix, until it is known not to help.
    let script =
        "c base; on release/1; on main; c other; c cure; on release/1; c hot; pick again cure";
    let shop = Shop::start(engine, script).await;
    shop.app.crashed(&shop.project, "KeyError").await;
    shop.app.crashed(&shop.project, "ValueError").await;
    shop.fix("SHOP-1", &shop.sha("cure")).await.ok();
    shop.fix("SHOP-2", &shop.sha("again")).await.ok();
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    let again = shop.sha("again");
    let gate = shop.gate("production", &again).await;
    assert_eq!(
        (&gate["verdict"], &gate["cleared"][0]["issue"]),
        (&json!("clear"), &json!("SHOP-1"))
    );
    let quiet = shop.crash_at("KeyError", "hot").await;
    assert_eq!(shop.settled(&quiet).await.0, "suppressed");

    let event = shop.crash_at("ValueError", "again").await;
    assert_eq!(shop.settled(&event).await.0, "regression");
    assert_eq!(shop.state("SHOP-2").await.1, "failed");
    let gate = shop.gate("production", &again).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["issue_lock"]));
    // Without it, that build may well show the other error.
    let event = shop.crash_at("KeyError", "again").await;
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    shop.stop().await;
});
