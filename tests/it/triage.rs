//! People look at issues: they resolve, mute, assign, comment and merge them, and errors come back.

use std::time::Duration;

use airlock::domain::time::Timestamp;
use airlock::store::{StoreError, Tx};
use airlock::triage::{TriageError, Wish, carry_out, end_mutes};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::{Answer, Engine, TestApp, TestProject, both, crash, until, with};

/// A shop with one issue, SHOP-1.
async fn shop_with_an_issue(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    (app, shop)
}

fn at(app: &TestApp, before: Duration) -> Timestamp {
    app.clock.now().minus(before)
}

const HOUR: Duration = Duration::from_hours(1);

both!(a_resolved_error_that_happens_again_comes_back, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    app.clock.advance(HOUR);
    let resolved = app.act("SHOP-1", "resolve", json!({"in": "now"})).await.ok();
    assert_eq!(resolved["status"], "resolved");
    assert_eq!(resolved["resolved_at"], app.clock.now().to_string());

    app.clock.advance(HOUR);
    let event = with(
        crash("KeyError"),
        &json!({"release": "shop@1.4.2", "timestamp": app.clock.now().to_string()}),
    );
    let came_back = app.send(&shop, &event).await;
    let (kind, reason) = app.verdict(&came_back).await;
    assert_eq!(kind, "regression");
    assert_eq!(reason, "it happened after the issue was resolved at 2026-11-21T13:00:00Z");
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["regressed"]), (&json!("open"), &json!(true)));
    assert_eq!(issue["events"], 2);

    let again = app.crashed(&shop, "KeyError").await;
    assert_eq!(app.verdict(&again).await.0, "known");
    assert_eq!(app.changes("SHOP-1").await, ["opened", "resolved", "regressed"]);
    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    let regressed = &activity["items"][0];
    assert_eq!(regressed["by"], "airlock");
    assert_eq!(regressed["release"], "shop@1.4.2");
    assert_eq!(regressed["event_at"], "2026-11-21T14:00:00Z");

    let resolved = app.act("SHOP-1", "resolve", json!({})).await.ok();
    assert_eq!((&resolved["status"], &resolved["regressed"]), (&json!("resolved"), &json!(false)));
    app.stop().await;
});

both!(an_error_that_happened_before_the_resolution_and_arrives_late_is_known, |engine: Engine| {
    async move {
        let (app, shop) = shop_with_an_issue(engine).await;
        app.clock.advance(HOUR);
        app.act("SHOP-1", "resolve", json!({})).await.ok();
        let same_moment = app.crashed(&shop, "KeyError").await;
        app.clock.advance(HOUR);
        let before = at(&app, HOUR + Duration::from_secs(1)).to_string();
        let late = app.send(&shop, &with(crash("KeyError"), &json!({"timestamp": before}))).await;
        for event in [late, same_moment] {
            let (kind, reason) = app.verdict(&event).await;
            assert_eq!(kind, "known");
            assert_eq!(reason, "it happened before the issue was resolved at 2026-11-21T13:00:00Z");
        }
        let issue = app.issue("SHOP-1").await;
        assert_eq!((&issue["status"], &issue["events"]), (&json!("resolved"), &json!(3)));
        app.stop().await;
    }
});

both!(resolving_twice_is_resolving_once, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let first = app.act("SHOP-1", "resolve", json!({})).await.ok();
    app.clock.advance(HOUR);
    let second = app.act("SHOP-1", "resolve", json!({})).await.ok();
    assert_eq!(first, second);
    assert_eq!(app.changes("SHOP-1").await, ["opened", "resolved"]);
    app.stop().await;
});

both!(a_resolved_issue_can_be_opened_again, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    let open = app.act("SHOP-1", "reopen", json!({})).await.ok();
    assert_eq!((&open["status"], &open["regressed"]), (&json!("open"), &json!(false)));
    assert_eq!(open["resolved_at"], Value::Null);
    let unchanged = app.act("SHOP-1", "reopen", json!({})).await.ok();
    assert_eq!(open, unchanged);
    app.clock.advance(HOUR);
    let later = app.crashed(&shop, "KeyError").await;
    assert_eq!(app.verdict(&later).await.0, "known");
    assert_eq!(app.changes("SHOP-1").await, ["opened", "resolved", "reopened"]);
    app.stop().await;
});

both!(resolving_in_the_next_deploy_needs_a_deploy, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let answer = app.act("SHOP-1", "resolve", json!({"in": "next_deploy"})).await;
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    let answer = app.act("SHOP-1", "resolve", json!({"in": "tomorrow"})).await;
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    app.stop().await;
});

both!(an_issue_muted_for_ever_is_counted_in_silence, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    let muted = app.act("SHOP-1", "mute", json!({})).await.ok();
    assert_eq!(muted["status"], "muted");
    assert_eq!(muted["mute"], json!({"until": null, "events": null}));
    app.clock.advance(HOUR * 24 * 20);
    for _ in 0..3 {
        let event = app.crashed(&shop, "KeyError").await;
        assert_eq!(app.verdict(&event).await.0, "muted");
    }
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["events"]), (&json!("muted"), &json!(4)));

    let open = app.act("SHOP-1", "unmute", json!({})).await.ok();
    assert_eq!((&open["status"], &open["mute"]), (&json!("open"), &Value::Null));
    let event = app.crashed(&shop, "KeyError").await;
    assert_eq!(app.verdict(&event).await.0, "known");
    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    assert_eq!(activity["items"][0]["by"], "bootstrap");
    assert_eq!(activity["items"][0]["kind"], "unmuted");
    app.stop().await;
});

both!(a_mute_for_two_events_ends_with_the_third, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    let muted = app.act("SHOP-1", "mute", json!({"events": 2})).await.ok();
    assert_eq!(muted["mute"]["events"], 2);
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        let event = app.crashed(&shop, "KeyError").await;
        verdicts.push(app.verdict(&event).await.0);
    }
    assert_eq!(verdicts, ["muted", "muted", "known"]);
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    let ended = &activity["items"][0];
    assert_eq!((&ended["kind"], &ended["by"]), (&json!("unmuted"), &json!("airlock")));
    assert_eq!(app.changes("SHOP-1").await, ["opened", "muted", "unmuted"]);
    app.stop().await;
});

both!(a_mute_until_a_time_ends_with_the_next_event_after_it, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    let until = app.clock.now().plus(HOUR).to_string();
    let muted = app.act("SHOP-1", "mute", json!({ "until": until })).await.ok();
    assert_eq!(muted["mute"]["until"], until);
    app.clock.advance(HOUR / 2);
    let before = app.crashed(&shop, "KeyError").await;
    app.clock.advance(HOUR);
    let after = app.crashed(&shop, "KeyError").await;
    assert_eq!(app.verdict(&before).await.0, "muted");
    assert_eq!(app.verdict(&after).await.0, "known");
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    assert_eq!(app.changes("SHOP-1").await, ["opened", "muted", "unmuted"]);
    app.stop().await;
});

both!(a_mute_until_a_time_ends_by_itself, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let until = app.clock.now().plus(HOUR).to_string();
    app.act("SHOP-1", "mute", json!({ "until": until })).await.ok();
    app.clock.advance(Duration::from_secs(3_599));
    let store = app.running.store();
    end_mutes(store, &app.clock).await.expect("it can look");
    assert_eq!(app.issue("SHOP-1").await["status"], "muted");
    app.clock.advance(Duration::from_secs(1));
    end_mutes(store, &app.clock).await.expect("it can look");
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["mute"]), (&json!("open"), &Value::Null));
    end_mutes(store, &app.clock).await.expect("it can look");
    assert_eq!(app.changes("SHOP-1").await, ["opened", "muted", "unmuted"]);
    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    assert_eq!(activity["items"][0]["by"], "airlock");
    app.stop().await;
});

both!(a_mute_that_would_end_at_once_makes_no_sense, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let now = app.clock.now().to_string();
    for body in [json!({"until": now}), json!({"events": 0}), json!({"until": "soon"})] {
        let answer = app.act("SHOP-1", "mute", body).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    }
    assert_eq!(app.changes("SHOP-1").await, ["opened"]);
    let most = app.act("SHOP-1", "mute", json!({"events": u64::MAX})).await.ok();
    assert_eq!(most["status"], "muted");
    app.stop().await;
});

both!(what_is_not_muted_cannot_be_unmuted, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let answer = app.act("SHOP-1", "unmute", json!({})).await;
    assert_eq!(answer.problem(), (409, "invalid-transition".to_owned()));
    assert_eq!(app.changes("SHOP-1").await, ["opened"]);
    app.stop().await;
});

both!(an_issue_is_given_to_somebody_and_to_nobody, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let given = app.act("SHOP-1", "assign", json!({"to": " robin "})).await.ok();
    assert_eq!(given["assignee"], "robin");
    let same = app.act("SHOP-1", "assign", json!({"to": "robin"})).await.ok();
    assert_eq!(same["assignee"], "robin");
    let nobodys = app.act("SHOP-1", "assign", json!({"to": null})).await.ok();
    assert_eq!(nobodys["assignee"], Value::Null);
    let answer = app.act("SHOP-1", "assign", json!({"to": "  "})).await;
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    let answer = app.act("SHOP-1", "assign", json!({"to": "r".repeat(201)})).await;
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));

    assert_eq!(app.changes("SHOP-1").await, ["opened", "assigned", "assigned"]);
    app.stop().await;
});

both!(a_comment_is_kept_with_who_and_when, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let token =
        app.post("/api/v1/tokens", &json!({"name": "robin", "scopes": ["triage"]})).await.ok();
    let secret = token["token"].as_str().expect("a secret");
    app.clock.advance(HOUR);
    let text = "Seen again after the sale.\n\nIt is the voucher – 50 % off.";
    let path = "/api/v1/issues/SHOP-1/comment";
    let request = app.request(Method::POST, path).bearer_auth(secret);
    Answer::of(request.json(&json!({ "text": text }))).await.ok();
    for text in [" \n ", "a\u{0}b"] {
        let answer = app.post(path, &json!({ "text": text })).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{text:?}");
    }
    let answer = app.post(path, &json!({"text": "x".repeat(10_001)})).await;
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));

    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    let comment = &activity["items"][0];
    assert_eq!(comment["kind"], "commented");
    assert_eq!((&comment["by"], &comment["at"]), (&json!("robin"), &json!("2026-11-21T13:00:00Z")));
    assert_eq!(comment["text"], text);
    assert_eq!(app.changes("SHOP-1").await, ["opened", "commented"]);
    app.stop().await;
});

both!(the_activity_lists_every_change_latest_first, |engine: Engine| async move {
    let (app, _shop) = shop_with_an_issue(engine).await;
    let orders = [
        ("assign", json!({"to": "robin"})),
        ("comment", json!({"text": "mine"})),
        ("mute", json!({"events": 5})),
        ("unmute", json!({})),
        ("resolve", json!({})),
        ("reopen", json!({})),
    ];
    for (action, body) in orders {
        app.clock.advance(Duration::from_secs(1));
        app.act("SHOP-1", action, body).await.ok();
    }
    let page = app.get("/api/v1/issues/SHOP-1/activity?limit=3").await.ok();
    let rest = format!("/api/v1/issues/SHOP-1/activity?cursor={}", page["next"].as_str().unwrap());
    let rest = app.get(&rest).await.ok();
    let items =
        [page["items"].as_array().unwrap().clone(), rest["items"].as_array().unwrap().clone()];
    let items = items.concat();
    let said: Vec<_> = items.iter().map(|one| (&one["kind"], &one["by"], &one["at"])).collect();
    let expected = [
        ("reopened", "bootstrap", "2026-11-21T12:00:06Z"),
        ("resolved", "bootstrap", "2026-11-21T12:00:05Z"),
        ("unmuted", "bootstrap", "2026-11-21T12:00:04Z"),
        ("muted", "bootstrap", "2026-11-21T12:00:03Z"),
        ("commented", "bootstrap", "2026-11-21T12:00:02Z"),
        ("assigned", "bootstrap", "2026-11-21T12:00:01Z"),
        ("opened", "airlock", "2026-11-21T12:00:00Z"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, expected) in said.into_iter().zip(expected) {
        assert_eq!(said, (&json!(expected.0), &json!(expected.1), &json!(expected.2)));
    }
    app.stop().await;
});

both!(merging_twins_makes_one_issue_of_two, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let report = async |kind: &str, user: u32, release: &str, environment: &str| {
        let event = with(
            crash(kind),
            &json!({
                "timestamp": app.clock.now().to_string(),
                "user": {"id": user},
                "release": release,
                "environment": environment,
                "tags": {"tenant": format!("t{user}")},
            }),
        );
        app.send(&shop, &event).await
    };
    let mut ids = vec![report("KeyError", 1, "1.0", "beta").await];
    app.clock.advance(HOUR);
    ids.push(report("ValueError", 1, "1.1", "production").await);
    ids.push(report("ValueError", 2, "1.1", "production").await);
    app.clock.advance(HOUR);
    ids.push(report("KeyError", 3, "1.2", "production").await);
    let twins = [app.issue("SHOP-1").await, app.issue("SHOP-2").await];

    let survivor = app.act("SHOP-1", "merge", json!({"into": "SHOP-2"})).await.ok();
    assert_eq!(survivor["id"], "SHOP-2");
    assert_eq!((&survivor["events"], &survivor["users"]), (&json!(4), &json!(3)));
    assert_eq!(survivor["first_seen"], "2026-11-21T12:00:00Z");
    assert_eq!(survivor["last_seen"], "2026-11-21T14:00:00Z");
    assert_eq!(survivor["releases"], json!({"first": "1.0", "last": "1.2"}));
    assert_eq!(survivor["environments"], json!(["production", "beta"]));
    let hashes = |issue: &Value| {
        let merged = issue["merged_fingerprints"].as_array().unwrap().clone();
        let all = [vec![issue["fingerprint"].clone()], merged].concat();
        all.iter().map(|one| one["hash"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut both = hashes(&survivor);
    both.sort();
    let mut expected = twins.iter().flat_map(hashes).collect::<Vec<_>>();
    expected.sort();
    assert_eq!(both, expected);

    let events = app.all("/api/v1/issues/SHOP-2/events").await;
    let mut listed: Vec<_> = events.iter().map(|one| one["event_id"].as_str().unwrap()).collect();
    listed.reverse();
    // Two happened at the same moment.
    listed[1..3].sort_by_key(|id| ids.iter().position(|one| one == id));
    assert_eq!(listed, ids);
    let tags = app.get("/api/v1/issues/SHOP-2/tags").await.ok();
    let tag = |name: &str| {
        let tags = tags["items"].as_array().unwrap();
        tags.iter().find(|tag| tag["tag"] == name).expect("the tag")["values"].clone()
    };
    assert_eq!(
        tag("tenant"),
        json!([{"value": "t1", "events": 2}, {"value": "t2", "events": 1}, {"value": "t3", "events": 1}])
    );
    assert_eq!(
        tag("environment"),
        json!([{"value": "production", "events": 3}, {"value": "beta", "events": 1}])
    );
    let hours = app.stored_texts(
        "SELECT CAST(hour AS TEXT) || ':' || CAST(SUM(n_events) AS TEXT) FROM issue_counts
        GROUP BY hour ORDER BY hour",
    );
    let first = app.clock.now().hour() - 2;
    let expected = [format!("{first}:1"), format!("{}:2", first + 1), format!("{}:1", first + 2)];
    assert_eq!(hours.await, expected);

    let list = app.all("/api/v1/projects/shop/issues").await;
    assert_eq!(list.iter().map(|one| &one["id"]).collect::<Vec<_>>(), ["SHOP-2"]);
    let event = app.get(&format!("/api/v1/projects/shop/events/{}", ids[0])).await.ok();
    assert_eq!(event["issue"], "SHOP-2");
    assert_eq!(app.changes("SHOP-2").await, ["opened", "absorbed"]);
    // What happened to the other before is not forgotten.
    let activity = app.all("/api/v1/issues/SHOP-2/activity").await;
    let told = |one: &&Value| one["of"] == "SHOP-1";
    let kinds: Vec<&Value> = activity.iter().filter(told).map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["merged_into", "opened"]);
    let activity = app.get("/api/v1/issues/SHOP-2/activity").await.ok();
    assert_eq!(activity["items"][0]["issue"], "SHOP-1");
    app.stop().await;
});

/// A shop whose issue SHOP-1 was merged into SHOP-2.
async fn shop_with_a_merged_issue(engine: Engine) -> (TestApp, TestProject) {
    let (app, shop) = shop_with_an_issue(engine).await;
    app.crashed(&shop, "ValueError").await;
    app.act("SHOP-1", "merge", json!({"into": "shop-2"})).await.ok();
    (app, shop)
}

both!(later_reports_of_both_twins_go_to_the_survivor, |engine: Engine| async move {
    let (app, shop) = shop_with_a_merged_issue(engine).await;
    app.act("SHOP-2", "resolve", json!({})).await.ok();
    app.clock.advance(HOUR);
    let one = app.crashed(&shop, "KeyError").await;
    let other = app.crashed(&shop, "ValueError").await;
    assert_eq!(app.verdict(&one).await.0, "regression");
    assert_eq!(app.verdict(&other).await.0, "known");
    let survivor = app.issue("SHOP-2").await;
    assert_eq!((&survivor["status"], &survivor["events"]), (&json!("open"), &json!(4)));
    // Numbers are not given again.
    app.crashed(&shop, "TypeError").await;
    assert_eq!(app.issue("SHOP-3").await["title"], "TypeError: broken");
    app.stop().await;
});

both!(the_old_short_id_leads_to_the_survivor, |engine: Engine| async move {
    let (app, _shop) = shop_with_a_merged_issue(engine).await;
    for (old, new) in [
        ("/api/v1/issues/SHOP-1", "/api/v1/issues/SHOP-2"),
        ("/api/v1/issues/shop-1", "/api/v1/issues/SHOP-2"),
        ("/api/v1/issues/SHOP-1/events?limit=3", "/api/v1/issues/SHOP-2/events?limit=3"),
        ("/api/v1/issues/SHOP-1/events/latest", "/api/v1/issues/SHOP-2/events/latest"),
        ("/api/v1/issues/SHOP-1/activity", "/api/v1/issues/SHOP-2/activity"),
        ("/api/v1/issues/SHOP-1/tags", "/api/v1/issues/SHOP-2/tags"),
    ] {
        let answer = app.get(old).await;
        assert_eq!(answer.problem(), (307, "moved".to_owned()), "{old}");
        assert_eq!(answer.header("location"), Some(new));
        app.get(new).await.ok();
    }
    for (action, body) in [
        ("resolve", json!({})),
        ("reopen", json!({})),
        ("mute", json!({})),
        ("unmute", json!({})),
        ("assign", json!({"to": "robin"})),
        ("comment", json!({"text": "again"})),
    ] {
        let answer = app.act("SHOP-1", action, body).await;
        assert_eq!(answer.problem(), (307, "moved".to_owned()), "{action}");
        let location = format!("/api/v1/issues/SHOP-2/{action}");
        assert_eq!(answer.header("location"), Some(location.as_str()));
    }
    assert_eq!(app.changes("SHOP-2").await, ["opened", "absorbed"]);
    app.stop().await;
});

both!(merging_a_chain_leads_to_its_end, |engine: Engine| async move {
    let (app, shop) = shop_with_a_merged_issue(engine).await;
    app.crashed(&shop, "TypeError").await;
    app.act("SHOP-2", "merge", json!({"into": "SHOP-3"})).await.ok();
    for old in ["SHOP-1", "SHOP-2"] {
        let answer = app.get(&format!("/api/v1/issues/{old}")).await;
        assert_eq!(answer.header("location"), Some("/api/v1/issues/SHOP-3"));
    }
    app.crashed(&shop, "KeyError").await;
    assert_eq!(app.issue("SHOP-3").await["events"], 4);

    // What was merged stands for its survivor.
    app.crashed(&shop, "OSError").await;
    let survivor = app.act("SHOP-4", "merge", json!({"into": "SHOP-1"})).await.ok();
    assert_eq!((&survivor["id"], &survivor["events"]), (&json!("SHOP-3"), &json!(5)));
    assert_eq!(app.all("/api/v1/projects/shop/issues").await.len(), 1);
    app.stop().await;
});

both!(merges_that_make_no_sense_are_refused, |engine: Engine| async move {
    let (app, _shop) = shop_with_a_merged_issue(engine).await;
    let other = app.create_project("other").await;
    app.crashed(&other, "KeyError").await;
    let invalid = (422, "invalid".to_owned());
    for into in ["SHOP-2", "SHOP-1", "OTHER-1", "SHOP-99", "SHOP", ""] {
        let answer = app.act("SHOP-2", "merge", json!({ "into": into })).await;
        assert_eq!(answer.problem(), invalid, "into {into:?}");
    }
    // Merged twice: the first issue is not there any more.
    let again = app.act("SHOP-1", "merge", json!({"into": "SHOP-2"})).await;
    assert_eq!(again.problem(), (307, "moved".to_owned()));
    assert_eq!(again.header("location"), Some("/api/v1/issues/SHOP-2/merge"));
    assert_eq!(app.issue("SHOP-2").await["events"], 2);
    assert_eq!(app.issue("OTHER-1").await["events"], 1);
    assert_eq!(app.changes("SHOP-2").await, ["opened", "absorbed"]);
    app.stop().await;
});

both!(the_survivor_is_open_if_either_was, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    for kind in ["E2", "E3", "E4", "E5", "E6"] {
        app.crashed(&shop, kind).await;
    }
    for resolved in ["SHOP-2", "SHOP-3", "SHOP-5"] {
        app.act(resolved, "resolve", json!({})).await.ok();
    }
    app.act("SHOP-6", "mute", json!({})).await.ok();
    for (merged, into, status) in [
        ("SHOP-1", "SHOP-2", "open"),
        ("SHOP-3", "SHOP-4", "open"),
        ("SHOP-6", "SHOP-5", "resolved"),
    ] {
        let survivor = app.act(merged, "merge", json!({ "into": into })).await.ok();
        assert_eq!(survivor["status"], status, "{merged} into {into}");
    }
    app.stop().await;
});

/// Whether the numbers of the only issue of the shop fit each other and `n_events`.
async fn assert_consistent(app: &TestApp, id: &str, n_events: u64) {
    let issue = app.issue(id).await;
    assert_eq!(issue["events"], n_events);
    let listed = app.all(&format!("/api/v1/issues/{id}/events")).await;
    assert_eq!(listed.len() as u64, n_events);
    let hours = "SELECT CAST(SUM(n_events) AS BIGINT) FROM issue_counts";
    assert_eq!(app.stored_number(hours).await.unsigned_abs(), n_events);
    let tags = "SELECT CAST(SUM(n_events) AS BIGINT) FROM issue_tags WHERE tag = 'level'";
    assert_eq!(app.stored_number(tags).await.unsigned_abs(), n_events);
}

both!(many_hands_and_many_events_at_once_leave_the_counts_right, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    let hand = async |n: u32| {
        let (action, body) = match n % 3 {
            0 => ("resolve", json!({})),
            1 => ("reopen", json!({})),
            _ => ("comment", json!({"text": n.to_string()})),
        };
        let answer = app.act("SHOP-1", action, body).await;
        assert!(matches!(answer.status.as_u16(), 200 | 409), "{answer:?}");
        app.crash(&shop, "KeyError").await;
        u32::from(action == "comment" && answer.status == 200)
    };
    let mut n_comments = 0;
    for round in 0..4 {
        let hands = (0..10).map(|n| hand(round * 10 + n));
        n_comments += futures_util::future::join_all(hands).await.iter().sum::<u32>();
        app.clock.advance(Duration::from_secs(1));
    }
    app.digested().await;
    assert_consistent(&app, "SHOP-1", 41).await;
    let changes = app.changes("SHOP-1").await;
    let n_of = |kind: &str| changes.iter().filter(|one| *one == kind).count();
    assert_eq!(n_of("commented"), n_comments as usize);
    // Every state follows from the one before: nobody's change was lost.
    let mut is_open = false;
    let is_state = |one: &&String| !matches!(one.as_str(), "commented" | "became_serious");
    for change in changes.iter().filter(is_state) {
        let opens = change != "resolved";
        assert_ne!(is_open, opens, "{changes:?}");
        is_open = opens;
    }
    let status = if is_open { "open" } else { "resolved" };
    assert_eq!(app.issue("SHOP-1").await["status"], status);
    app.stop().await;
});

both!(events_that_arrive_during_a_merge_are_counted_once, |engine: Engine| async move {
    let (app, shop) = shop_with_an_issue(engine).await;
    let mut n_events = 1;
    let mut kept = "SHOP-1".to_owned();
    for round in 0..8 {
        let kind = format!("E{}", round + 2);
        app.crashed(&shop, &kind).await;
        let fresh = format!("SHOP-{}", round + 2);
        // Both ways round: the older is merged, or the younger.
        let (merged, into) = if round % 2 == 0 { (kept, fresh) } else { (fresh, kept) };
        let events = async {
            for _ in 0..12 {
                app.crash(&shop, "KeyError").await;
                app.crash(&shop, &kind).await;
            }
        };
        let merge = async { app.act(&merged, "merge", json!({ "into": into })).await.ok() };
        let ((), survivor) = tokio::join!(events, merge);
        assert_eq!(survivor["id"], into);
        n_events += 25;
        kept = into;
    }
    app.digested().await;
    assert_consistent(&app, &kept, n_events).await;
    assert_eq!(app.all("/api/v1/projects/shop/issues").await.len(), 1);
    app.stop().await;
});

/// The issues used to be read before they were held, so that an event between the two was lost from
/// the survivor's count and its last time. SQLite has one writer at a time and cannot come this far.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_committed_while_a_merge_waits_for_it_is_counted() {
    let (app, shop) = shop_with_an_issue(Engine::Postgres).await;
    app.crashed(&shop, "ValueError").await;
    let mut digest = app.running.store().write().await.expect("a transaction");
    let Tx::Postgres(tx) = &mut digest else { panic!("not PostgreSQL") };
    let add = "UPDATE issues SET n_events = n_events + 1, last_seen = last_seen + 3600000000
        WHERE number = 2";
    tx.execute(add).await.expect("an event more");
    let commit = async {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("the merge to wait", async || app.stored_number(waiting).await == 1).await;
        digest.commit().await.expect("a commit");
    };
    let (merged, ()) = tokio::join!(app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})), commit);
    let survivor = merged.ok();
    assert_eq!(survivor["events"], 3);
    assert_eq!(survivor["last_seen"], "2026-11-21T13:00:00Z");
    app.stop().await;
}

both!(who_comments_while_somebody_merges_is_told_to_look_again, |engine: Engine| async move {
    let (app, _shop) = shop_with_a_merged_issue(engine).await;
    let store = app.running.store();
    let mut tx = store.read().await.expect("a transaction");
    let project = tx.find_project("shop").await.expect("an answer").expect("the shop");
    drop(tx);
    // The comment's author saw SHOP-1 before it was merged: nobody would find the comment there.
    let comment = Wish::Comment("mine".to_owned());
    let done = carry_out(store, &app.clock, &project, 1, &comment, "robin").await;
    assert!(matches!(done, Err(TriageError::Store(StoreError::Raced))), "{done:?}");
    app.stop().await;
});
