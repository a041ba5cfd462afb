//! What releases are.

use std::time::Duration;

use airlock::domain::sighting::MOST_UNSETTLED;
use serde_json::json;

use super::Shop;
use crate::support::{Engine, both, crash, with};

const RELEASES: &str = "/api/v1/projects/shop/releases";

both!(a_release_is_what_its_name_says_until_somebody_registers_it, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; git tag v1.4.2; c fix").await;
    let (base, fix) = (shop.sha("base"), shop.sha("fix"));
    for release in ["shop@1.4.2", "nightly"] {
        shop.crash_in("KeyError", release).await;
    }
    shop.crash_at("KeyError", "fix").await;
    let tagged = shop.app.get(&format!("{RELEASES}/shop@1.4.2")).await.ok();
    assert_eq!((&tagged["rule"], &tagged["ambiguous"]), (&json!("tag"), &json!(false)));
    assert_eq!(tagged["commits"], json!([{"repository": "web", "commit": base}]));
    assert_eq!(tagged["first_event"], "2026-11-21T12:00:00Z");
    let named = shop.app.get(&format!("{RELEASES}/shop@{fix}")).await.ok();
    assert_eq!((&named["rule"], &named["commits"][0]["commit"]), (&json!("sha"), &json!(fix)));
    let unknown = shop.app.get(&format!("{RELEASES}/nightly")).await.ok();
    assert_eq!((&unknown["rule"], &unknown["commits"]), (&json!(null), &json!([])));
    assert_eq!(shop.app.get(&format!("{RELEASES}/9.9")).await.problem().0, 404);

    let made = shop.app.post(RELEASES, &json!({"version": "nightly", "commit": fix})).await;
    assert_eq!((made.status.as_u16(), &made.json()["rule"]), (201, &json!("registered")));
    let again = shop.app.post(RELEASES, &json!({"version": "nightly", "commit": base})).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["history"][0]["commits"][0]["commit"], fix);
    assert_eq!(shop.app.all(RELEASES).await.len(), 3);
    for wish in [
        json!({"version": "", "commit": base}),
        json!({"version": "1", "commit": "xyz"}),
        json!({"version": "1", "commit": base, "repository": "nowhere"}),
        json!({"commit": base}),
    ] {
        assert_eq!(
            shop.app.post(RELEASES, &wish).await.problem(),
            (422, "invalid".to_owned()),
            "{wish}"
        );
    }
    shop.stop().await;
});

both!(events_of_a_release_are_settled_when_it_is_registered, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_in("KeyError", "7").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(shop.crash_in("KeyError", "8").await);
    }
    assert_eq!(shop.app.verdict(&events[0]).await.0, "undetermined");
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["undetermined"]), (&json!("fix_pending"), &json!(3)));
    let flags = issue["flags"].as_array().expect("flags");
    assert!(flags.iter().any(|flag| flag["kind"] == "register_release"), "{flags:?}");

    let base = json!({"version": "8", "commit": shop.sha("base")});
    shop.app.post(RELEASES, &base).await.ok();
    for event in &events {
        assert_eq!(shop.settled(event).await.0, "suppressed");
    }
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!((&issue["suppressed"], &issue["undetermined"]), (&json!(3), &json!(0)));

    // It was another commit after all: the first of them was the error coming back.
    // That is news, and by these rules serious.
    let rules = json!({"rules": [{"level": "error"}]});
    shop.app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
    let fixed = json!({"version": "8", "commit": shop.sha("fix")});
    shop.app.post(RELEASES, &fixed).await.ok();
    crate::support::until("the issue is open", async || shop.state("SHOP-1").await.0 == "open")
        .await;
    let mut verdicts = Vec::new();
    for event in &events {
        verdicts.push(shop.settled(event).await.0);
    }
    verdicts.sort();
    assert_eq!(verdicts, ["known", "known", "regression"]);
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!(
        (&issue["events"], &issue["suppressed"], &issue["undetermined"]),
        (&json!(4), &json!(0), &json!(0))
    );
    assert_eq!(shop.state("SHOP-1").await.1, "failed");
    crate::support::until("it has a task", async || {
        shop.app.issue("SHOP-1").await["task"]["state"] == "open"
    })
    .await;
    shop.stop().await;
});

both!(a_deploy_with_a_version_registers_the_release, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_in("KeyError", "1.0").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let event = shop.crash_in("KeyError", "1.1").await;
    let over = json!({"commit": shop.sha("base"), "status": "succeeded", "version": "1.1"});
    let recorded = shop.app.post(&Shop::environment("beta", "deploys"), &over).await.ok();
    assert_eq!((&recorded["gated"], &recorded["version"]), (&json!(false), &json!("1.1")));
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    shop.app.clock.advance(Duration::from_secs(1));
    shop.stop().await;
});

both!(events_may_carry_their_commit_in_a_field, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    let project = "/api/v1/projects/shop";
    let wish = |field: &str| json!({"settings": {"commit_field": field}});
    for field in ["commit", "tags.", "contexts.build", "extra.commit"] {
        let refused = shop.app.patch(project, &wish(field)).await;
        assert_eq!(refused.problem().0, 422, "{field}");
    }
    let crash_of = async |name: &str| {
        let contexts = json!({"build": {"vcs": {"commit": shop.sha(name)}}});
        let tags = json!({"git_commit": shop.sha(name).get(..9)});
        let now = shop.app.clock.now().to_string();
        let fields =
            json!({"release": "web", "tags": tags, "contexts": contexts, "timestamp": now});
        shop.app.send(&shop.project, &with(crash("KeyError"), &fields)).await
    };
    for field in ["tags.git_commit", "contexts.build.vcs.commit"] {
        let changed = shop.app.patch(project, &wish(field)).await.ok();
        assert_eq!(changed["settings"]["commit_field"], field);
        crash_of("base").await;
        shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
        // The same release, of several builds.
        let (old, new) = (crash_of("base").await, crash_of("fix").await);
        let (verdict, reason) = shop.settled(&old).await;
        assert_eq!(verdict, "suppressed", "{reason}");
        assert_eq!(shop.settled(&new).await.0, "regression");
        shop.app.delete("/api/v1/issues/SHOP-1/fix").await.ok();
    }
    let whole = format!("{RELEASES}/web+commit.{}", shop.sha("base"));
    let bound = shop.app.get(&whole).await.ok();
    assert_eq!(
        (&bound["rule"], &bound["commits"][0]["commit"]),
        (&json!("field"), &json!(shop.sha("base")))
    );
    shop.stop().await;
});

both!(what_runs_at_its_users_is_not_what_is_deployed, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    // One issue of a server and of its pages.
    let report = async |platform: &str| {
        let fields = json!({"platform": platform, "fingerprint": ["one"], "environment": "beta",
            "timestamp": shop.app.clock.now().to_string()});
        shop.app.send(&shop.project, &with(crash("KeyError"), &fields)).await
    };
    report("python").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let (server, page) = (report("python").await, report("javascript").await);
    shop.record("beta", "base").await;
    assert_eq!(shop.settled(&server).await.0, "suppressed");
    let (verdict, reason) = shop.app.verdict(&page).await;
    assert_eq!(verdict, "undetermined");
    assert!(reason.contains("names no release"), "{reason}");
    shop.stop().await;
});

both!(of_very_many_releases_some_wait_for_others, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let n_releases = MOST_UNSETTLED as usize + 20;
    let releases: Vec<String> = (0..n_releases).map(|n| format!("made up {n}")).collect();
    let now = shop.app.clock.now().to_string();
    let mut events = Vec::new();
    for release in &releases {
        let event = with(crash("KeyError"), &json!({"release": release, "timestamp": now}));
        let answer = shop.app.send_event(&shop.project, &event).await.ok();
        events.push(answer["id"].as_str().expect("an id").to_owned());
    }
    shop.app.digested().await;
    assert_eq!(shop.app.issue("SHOP-1").await["undetermined"], n_releases);
    // Whatever else waits: what somebody registers is settled.
    for index in [0, n_releases - 1] {
        let wish = json!({"version": releases[index], "commit": shop.sha("base")});
        shop.app.post(RELEASES, &wish).await.ok();
        assert_eq!(shop.settled(&events[index]).await.0, "suppressed");
    }
    // Those for which there was no room come after those for which there was.
    shop.app.delete("/api/v1/issues/SHOP-1/fix").await.ok();
    crate::support::until("all are settled", async || {
        shop.app.clock.advance(Duration::from_mins(10));
        shop.app.issue("SHOP-1").await["undetermined"] == 0
    })
    .await;
    assert_eq!(shop.app.verdict(&events[n_releases - 2]).await.0, "known");
    shop.stop().await;
});

both!(what_somebody_says_of_a_release_stands_against_its_deploy, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    // Nobody has what was deployed: it is looked for again and again.
    let over = json!({"commit": "7".repeat(40), "status": "succeeded", "version": "1.1"});
    shop.app.post(&Shop::environment("beta", "deploys"), &over).await.ok();
    let said = json!({"version": "1.1", "commit": shop.sha("base")});
    shop.app.post(RELEASES, &said).await.ok();
    for _ in 0..3 {
        shop.app.clock.advance(Duration::from_mins(2));
        shop.fetch().await;
        // What is due is seen to in one go.
        shop.settled(&shop.crash_at("KeyError", "base").await).await;
    }
    let release = shop.app.get(&format!("{RELEASES}/1.1")).await.ok();
    assert_eq!(release["commits"][0]["commit"], shop.sha("base"));
    assert_eq!(release["history"].as_array().map(Vec::len), Some(1));
    let long = json!({"commit": shop.sha("base"), "status": "failed", "version": "1\n2"});
    let refused = shop.app.post(&Shop::environment("beta", "deploys"), &long).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    shop.stop().await;
});

both!(a_release_may_be_called_like_what_stands_for_the_rest, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let event = shop.crash_in("KeyError", "(other)").await;
    assert_eq!(shop.app.verdict(&event).await.0, "undetermined");
    shop.app.clock.advance(Duration::from_mins(2));
    let release = json!({"version": "(other)", "commit": shop.sha("base")});
    shop.app.post(RELEASES, &release).await.ok();
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    shop.stop().await;
});
