//! Commits that clients submit, where nothing can be fetched.

use std::time::Duration;

use reqwest::Method;
use std::collections::BTreeMap;

use airlock::domain::build::BuildKey;
use airlock::domain::containment::Containment;
use airlock::domain::fix::{Answer as Said, FixId};
use serde_json::{Value, json};

use super::{Shop, kinds};
use crate::support::{Answer, Engine, TestApp, both, until, with};

const REPOSITORIES: &str = "/api/v1/projects/shop/repositories";
const COMMITS: &str = "/api/v1/projects/shop/repositories/web/commits";

/// A name of a commit.
fn sha(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

/// A commit and its parents, by number.
fn commit(number: u8, parents: &[u8]) -> Value {
    json!({
        "sha": sha(number),
        "parents": parents.iter().map(|one| sha(*one)).collect::<Vec<_>>(),
        "author": "Robin",
        "email": "robin@shop.example",
        "time": "2026-11-20T12:00:00+01:00",
        "message": format!("commit {number}\n\nAll of it.\n"),
    })
}

/// A shop whose repository is not fetched, with these commits.
async fn shop(engine: Engine, commits: &[Value]) -> Shop {
    let shop = Shop::start_without_access(engine, "true").await;
    shop.app.post(REPOSITORIES, &json!({"name": "web"})).await.ok();
    shop.app.post(COMMITS, &json!(commits)).await.ok();
    shop
}

async fn register(app: &TestApp, version: &str, number: u8) {
    let release = json!({"version": version, "commit": sha(number)});
    app.post("/api/v1/projects/shop/releases", &release).await.ok();
}

/// A deploy that nobody asked the gate for.
async fn record(app: &TestApp, environment: &str, number: u8) -> Value {
    let over = json!({"commit": sha(number), "status": "succeeded"});
    app.post(&Shop::environment(environment, "deploys"), &over).await.ok()
}

impl Shop {
    /// Waits for what is looked at again and again, while time goes by.
    async fn until_in_time(&self, what: &str, mut ready: impl AsyncFnMut() -> bool) {
        until(what, async || {
            self.app.clock.advance(Duration::from_secs(30));
            ready().await
        })
        .await;
    }

    /// The verdict on an event that waits for more to be known.
    async fn settled_in_time(&self, event: &str) -> String {
        let verdict = async || self.app.verdict(event).await.0;
        self.until_in_time("the event is settled", async || verdict().await != "undetermined")
            .await;
        verdict().await
    }
}

both!(the_same_commits_again_change_nothing, |engine: Engine| async move {
    let shop = shop(engine, &[commit(3, &[2]), commit(2, &[1])]).await;
    let sent = json!([commit(2, &[1]), commit(3, &[2]), commit(4, &[3]), commit(4, &[3])]);
    let taken = shop.app.post(COMMITS, &sent).await.ok();
    assert_eq!(taken, json!({"commits": 3, "known": 2}));
    assert_eq!(shop.app.post(COMMITS, &sent).await.ok(), json!({"commits": 3, "known": 3}));
    // What is known stays as it was.
    let other = json!([commit(4, &[9])]);
    assert_eq!(shop.app.post(COMMITS, &other).await.ok(), json!({"commits": 3, "known": 1}));
    assert_eq!(shop.app.post(COMMITS, &json!([])).await.ok(), json!({"commits": 3, "known": 0}));
    assert_eq!(shop.app.all(REPOSITORIES).await[0]["submitted"], 3);
    // It is never fetched, and there is nothing on disk for it.
    let fetch = format!("{REPOSITORIES}/web/fetch");
    assert_eq!(shop.app.post(&fetch, &json!({})).await.problem(), (422, "invalid".to_owned()));
    record(&shop.app, "beta", 4).await;
    let mirrors = shop.app.config.data.join("git");
    assert!(std::fs::read_dir(mirrors).map_or(0, Iterator::count) == 0);

    let path = format!("{REPOSITORIES}/web");
    Answer::of(shop.app.api(Method::DELETE, &path)).await.ok();
    assert_eq!(shop.app.stored_number("SELECT COUNT(*) FROM submitted_commits").await, 0);
    shop.app.post(REPOSITORIES, &json!({"name": "web"})).await.ok();
    assert_eq!(shop.app.post(COMMITS, &sent).await.ok(), json!({"commits": 3, "known": 0}));
    shop.stop().await;
});

both!(commits_that_make_no_sense_are_refused, |engine: Engine| async move {
    let shop = shop(engine, &[]).await;
    let with = |field: &str, value: Value| {
        let mut commit = commit(1, &[]);
        commit[field] = value;
        json!([commit])
    };
    for (sent, refused) in [
        (json!({}), (422, "invalid")),
        (with("sha", json!("abc")), (422, "invalid")),
        (with("sha", json!("0".repeat(40))), (422, "invalid")),
        (with("parents", json!(["main"])), (422, "invalid")),
        (with("parents", json!(vec![sha(2); 101])), (422, "invalid")),
        (with("time", json!("yesterday")), (422, "invalid")),
        (with("author", json!("x".repeat(1_001))), (422, "invalid")),
        (with("message", json!("x".repeat(65_537))), (422, "invalid")),
        (with("color", json!("red")), (422, "invalid")),
        (with("message", json!("a\u{0}b")), (422, "invalid")),
        (with("message", json!("x".repeat(1 << 20))), (413, "too-large")),
    ] {
        let (status, code) = shop.app.post(COMMITS, &sent).await.problem();
        assert_eq!((status, code.as_str()), refused, "{:.200}", sent.to_string());
    }
    let short = |number: u32| {
        json!({"sha": format!("{number:040x}"), "parents": [], "message": "",
            "time": "2026-11-20T12:00:00Z"})
    };
    let most: Vec<Value> = (1..=5_001).map(short).collect();
    assert_eq!(shop.app.post(COMMITS, &json!(most)).await.problem(), (413, "too-large".to_owned()));
    let taken = shop.app.post(COMMITS, &json!(most[1..])).await.ok();
    assert_eq!(taken, json!({"commits": 5_000, "known": 0}));

    let nowhere = format!("{REPOSITORIES}/nowhere/commits");
    assert_eq!(shop.app.post(&nowhere, &json!([])).await.problem(), (404, "not-found".to_owned()));
    let fetched = json!({"name": "api", "url": "https://git.example/shop/api"});
    shop.app.post(REPOSITORIES, &fetched).await.ok();
    let path = format!("{REPOSITORIES}/api/commits");
    let refused = shop.app.post(&path, &json!([commit(1, &[])])).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    assert!(refused.json()["detail"].as_str().expect("a detail").contains("has a url"));
    let reader = json!({"name": "reader", "scopes": ["read"]});
    let made = shop.app.post("/api/v1/tokens", &reader).await.ok();
    let request = shop.app.request(Method::POST, COMMITS).json(&json!([commit(1, &[])]));
    let request = request.bearer_auth(made["token"].as_str().expect("a secret"));
    assert_eq!(Answer::of(request).await.problem(), (403, "forbidden".to_owned()));
    shop.stop().await;
});

both!(a_fix_in_submitted_commits_resolves_and_clears, |engine: Engine| async move {
    let shop = shop(engine, &[commit(2, &[1]), commit(1, &[])]).await;
    register(&shop.app, "1", 1).await;
    shop.crash_in("KeyError", "1").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    // Named before it is submitted.
    let named = shop.fix("SHOP-1", &sha(3)).await.ok();
    assert_eq!(named["fix"]["problem"], "unknown-commit");
    shop.app.post(COMMITS, &json!([commit(4, &[3]), commit(3, &[2])])).await.ok();
    shop.until_in_time("the fix is known", async || {
        shop.app.issue("SHOP-1").await["fix"]["problem"] == Value::Null
    })
    .await;
    let event = shop.crash_in("KeyError", "1").await;
    assert_eq!(shop.settled_in_time(&event).await, "suppressed");
    assert_eq!(shop.gate("production", &sha(4)).await["verdict"], "clear");
    assert_eq!(shop.gate("production", &sha(2)).await["verdict"], "blocked");
    assert_eq!(kinds(&shop.gate("production", &sha(9)).await)[0], "commit_unknown");
    assert_eq!(record(&shop.app, "beta", 4).await["resolved"], json!(["SHOP-1"]));
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");

    // What takes it back takes it back.
    let message = format!("Revert\n\nThis reverts commit {}.", sha(3));
    let mut revert = commit(5, &[4]);
    revert["message"] = json!(message);
    shop.app.post(COMMITS, &json!([revert])).await.ok();
    assert_eq!(shop.gate("production", &sha(5)).await["verdict"], "blocked");
    shop.stop().await;
});

both!(beyond_where_submitted_commits_end_nobody_can_tell, |engine: Engine| async move {
    // The checkout ends at 4; 2 is known from elsewhere.
    let commits = [commit(5, &[4]), commit(4, &[3]), commit(2, &[1])];
    let shop = shop(engine, &commits).await;
    register(&shop.app, "1", 2).await;
    shop.crash_in("KeyError", "1").await;
    shop.fix("SHOP-1", &sha(2)).await.ok();
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    // It was in a release that showed the error: what starts later must prove it.
    shop.app.clock.advance(Duration::from_mins(1));
    let gate = shop.gate("production", &sha(5)).await;
    assert_ne!(gate["verdict"], "clear", "{gate}");
    register(&shop.app, "5", 5).await;
    shop.crash_in("ValueError", "0").await;
    shop.lock("production", &json!({"issue": "SHOP-2"})).await;
    shop.fix("SHOP-2", &sha(2)).await.ok();
    let event = shop.crash_in("ValueError", "5").await;
    assert_eq!(shop.app.verdict(&event).await.0, "undetermined");
    let gate = shop.gate("production", &sha(5)).await;
    let of_second = gate["blockers"].as_array().expect("a list").iter();
    let mut of_second = of_second.filter(|one| one["issue"] == "SHOP-2");
    assert!(of_second.next().is_some(), "{gate}");
    // A build that is older than the fix certainly lacks it, wherever the history ends.
    let fixed_later = shop.fix("SHOP-1", &sha(5)).await.ok();
    assert_eq!(fixed_later["status"], "fix_pending");
    register(&shop.app, "4", 4).await;
    let event_of_4 = shop.crash_in("KeyError", "4").await;
    assert_eq!(shop.settled_in_time(&event_of_4).await, "suppressed");

    assert_eq!(record(&shop.app, "beta", 5).await["resolved"], json!(["SHOP-1"]));
    assert_eq!(shop.state("SHOP-2").await.0, "fix_pending");
    // What is missing comes: the deploy had the fix, and so had the release of the event.
    shop.app.post(COMMITS, &json!([commit(3, &[2])])).await.ok();
    assert_eq!(shop.settled_in_time(&event).await, "regression");
    assert_eq!(shop.state("SHOP-2").await, ("open".to_owned(), "failed".to_owned()));
    shop.stop().await;
});

both!(what_is_deployed_is_looked_at_when_the_gap_is_filled, |engine: Engine| async move {
    let shop = shop(engine, &[commit(5, &[4]), commit(2, &[1])]).await;
    shop.crash_in("KeyError", "0").await;
    shop.fix("SHOP-1", &sha(2)).await.ok();
    assert_eq!(record(&shop.app, "beta", 5).await["resolved"], json!([]));
    shop.app.post(COMMITS, &json!([commit(3, &[2])])).await.ok();
    assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");
    shop.app.post(COMMITS, &json!([commit(4, &[3])])).await.ok();
    shop.until_in_time("the issue is resolved", async || {
        shop.state("SHOP-1").await.0 == "resolved"
    })
    .await;
    shop.stop().await;
});

/// A commit that says to fix an issue.
fn saying(number: u8, parents: &[u8], issue: &str) -> Value {
    let mut commit = commit(number, parents);
    commit["message"] = json!(format!("commit {number}\n\nFixes: {issue}\n"));
    commit
}

impl Shop {
    /// Submits commits of a branch that ends with one of them.
    async fn submit_on(&self, branch: &str, tip: u8, commits: &[Value]) -> Answer {
        let path = format!("{COMMITS}?branch={branch}&tip={}", sha(tip));
        self.app.post(&path, &json!(commits)).await
    }

    /// The commit that fixes an issue, if any does.
    async fn fixed_by(&self, id: &str) -> Value {
        self.app.issue(id).await["fix"]["commits"][0]["commit"].clone()
    }
}

both!(messages_of_a_submitted_branch_name_fixes, |engine: Engine| async move {
    let shop = shop(engine, &[]).await;
    register(&shop.app, "0", 1).await;
    for kind in ["One", "Two", "Three", "Four"] {
        shop.crash_in(kind, "0").await;
    }
    // Of no branch, of the first one, and of one that does not count.
    shop.app.post(COMMITS, &json!([commit(1, &[])])).await.ok();
    shop.submit_on("main", 2, &[saying(2, &[1], "SHOP-1")]).await.ok();
    shop.app.post(COMMITS, &json!([saying(3, &[2], "SHOP-1")])).await.ok();
    shop.submit_on("topic", 3, &[]).await.ok();
    assert_eq!(shop.fixed_by("SHOP-1").await, Value::Null);
    // The branch that counts gets it.
    shop.submit_on("main", 4, &[saying(4, &[3], "SHOP-2")]).await.ok();
    assert_eq!(shop.fixed_by("SHOP-1").await, sha(3));
    assert_eq!(shop.fixed_by("SHOP-2").await, sha(4));
    assert_eq!(shop.app.issue("SHOP-1").await["fix"]["source"], "trailer");
    let hint = shop.lock("production", &json!({"issue": "SHOP-2"})).await;
    assert_eq!(hint["issue"], "SHOP-2");
    let gate = shop.gate("production", &sha(2)).await;
    let hint = gate["blockers"][0]["hint"].as_str().expect("a hint");
    assert!(hint.contains("on main"), "{hint}");

    // Nothing is read twice, and an older checkout takes nothing back.
    Answer::of(shop.app.api(Method::DELETE, "/api/v1/issues/SHOP-2/fix")).await.ok();
    shop.submit_on("main", 2, &[]).await.ok();
    shop.submit_on("main", 4, &[]).await.ok();
    assert_eq!(shop.fixed_by("SHOP-2").await, Value::Null);
    // A checkout that was cut: what comes later from below the cut is not new.
    shop.submit_on("main", 8, &[commit(8, &[7])]).await.ok();
    shop.app.post(COMMITS, &json!([saying(7, &[6], "SHOP-3"), commit(6, &[4])])).await.ok();
    shop.submit_on("main", 9, &[saying(9, &[8], "SHOP-4")]).await.ok();
    assert_eq!(shop.fixed_by("SHOP-3").await, Value::Null);
    assert_eq!(shop.fixed_by("SHOP-4").await, sha(9));

    // Another branch that counts: its past names nothing, what is young does.
    shop.app
        .patch("/api/v1/projects/shop/repositories/web", &json!({"branches": ["main", "release"]}))
        .await
        .ok();
    let young =
        with(saying(21, &[20], "SHOP-2"), &json!({"time": shop.app.clock.now().to_string()}));
    shop.submit_on("release", 21, &[saying(20, &[1], "SHOP-3"), young]).await.ok();
    assert_eq!(shop.fixed_by("SHOP-3").await, Value::Null);
    assert_eq!(shop.fixed_by("SHOP-2").await, sha(21));

    for (query, refused) in [
        (format!("?branch=main&tip={}", sha(77)), "nobody has submitted"),
        ("?branch=main".to_owned(), "belong together"),
        (format!("?tip={}", sha(9)), "belong together"),
        (format!("?branch={}&tip={}", "x".repeat(201), sha(9)), "200 bytes"),
    ] {
        let answer = shop.app.post(&format!("{COMMITS}{query}"), &json!([])).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()));
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains(refused), "{detail}");
    }
    shop.stop().await;
});

both!(who_submits_asks_what_is_wanted, |engine: Engine| async move {
    let shop = shop(engine, &[commit(2, &[1]), commit(1, &[])]).await;
    let wanted = format!("{COMMITS}/wanted");
    let asked = json!([sha(3), sha(1), sha(4)]);
    assert_eq!(shop.app.post(&wanted, &asked).await.ok(), json!({"wanted": [sha(3), sha(4)]}));
    // Also what came meanwhile, on top and in between.
    shop.app.post(COMMITS, &json!([commit(4, &[3])])).await.ok();
    assert_eq!(shop.app.post(&wanted, &asked).await.ok(), json!({"wanted": [sha(3)]}));
    shop.app.post(COMMITS, &json!([commit(3, &[2]), commit(5, &[4])])).await.ok();
    assert_eq!(shop.app.post(&wanted, &asked).await.ok(), json!({"wanted": []}));
    let fetched = json!({"name": "api", "url": "https://git.example/shop/api"});
    shop.app.post(REPOSITORIES, &fetched).await.ok();
    let of_fetched = format!("{REPOSITORIES}/api/commits/wanted");
    assert_eq!(shop.app.post(&of_fetched, &asked).await.problem().0, 422);
    let nowhere = format!("{REPOSITORIES}/nowhere/commits/wanted");
    assert_eq!(shop.app.post(&nowhere, &asked).await.problem().0, 404);
    assert_eq!(shop.app.post(&wanted, &json!(["main"])).await.problem().0, 422);
    shop.stop().await;
});

/// A release as a client announces it that lists commits without their parents, the newest first.
async fn announce(app: &TestApp, version: &str, numbers: &[u8]) {
    let listed = |number: &u8| {
        json!({
            "id": sha(*number),
            "repository": "web",
            "author_name": "Robin",
            "author_email": "robin@shop.example",
            "timestamp": "2026-11-20T12:00:00+01:00",
            "message": format!("commit {number}"),
        })
    };
    let set = json!({"commits": numbers.iter().map(listed).collect::<Vec<_>>()});
    let path = format!("/api/0/projects/acme/shop/releases/{version}/");
    Answer::of(app.api(Method::PUT, &path).json(&set)).await.ok();
}

both!(true_parents_replace_those_that_were_made_up, |engine: Engine| async move {
    let shop = shop(engine, &[]).await;
    announce(&shop.app, "4.0", &[4, 3]).await;
    shop.crash_in("KeyError", "0").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &sha(2)).await.ok();
    assert_ne!(shop.gate("production", &sha(4)).await["verdict"], "clear");
    let wanted = format!("{COMMITS}/wanted");
    let asked = json!([sha(5), sha(4), sha(3), sha(2)]);
    assert_eq!(shop.app.post(&wanted, &asked).await.ok(), json!({"wanted": asked}));
    // A second set makes up no more than the first.
    announce(&shop.app, "5.0", &[5, 4, 3]).await;
    assert_eq!(shop.app.post(&wanted, &asked).await.ok(), json!({"wanted": asked}));

    // Commit 4 joins a line that no set has named.
    let all = json!([
        commit(5, &[4]),
        commit(4, &[3, 2]),
        commit(3, &[1]),
        commit(2, &[1]),
        commit(1, &[])
    ]);
    let taken = shop.app.post(COMMITS, &all).await.ok();
    assert_eq!(taken, json!({"commits": 5, "known": 0}));
    assert_eq!(shop.app.post(&wanted, &asked).await.ok(), json!({"wanted": []}));
    assert_eq!(shop.app.post(COMMITS, &all).await.ok(), json!({"commits": 5, "known": 5}));
    shop.until_in_time("the fix is known", async || {
        shop.app.issue("SHOP-1").await["fix"]["problem"] == Value::Null
    })
    .await;
    for (number, verdict) in [(5, "clear"), (4, "clear"), (3, "blocked"), (2, "clear")] {
        let gate = shop.gate("production", &sha(number)).await;
        assert_eq!(gate["verdict"], verdict, "{number}: {gate}");
    }
    // Made up is what nobody told: a set that comes later changes nothing.
    announce(&shop.app, "5.1", &[5, 3]).await;
    assert_eq!(shop.app.post(&wanted, &asked).await.ok(), json!({"wanted": []}));
    assert_eq!(shop.gate("production", &sha(4)).await["verdict"], "clear");
    assert_eq!(record(&shop.app, "beta", 4).await["resolved"], json!(["SHOP-1"]));
    shop.stop().await;
});

both!(what_was_said_of_made_up_parents_is_asked_again, |engine: Engine| async move {
    // All of the history below is known, so that what the set makes up is said to lack the fix.
    let known = [commit(1, &[]), commit(2, &[1]), commit(7, &[1])];
    let shop = shop(engine, &known).await;
    announce(&shop.app, "4.0", &[4, 3, 2]).await;
    shop.crash_in("KeyError", "0").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &sha(7)).await.ok();
    assert_eq!(shop.gate("production", &sha(4)).await["verdict"], "blocked");
    assert_eq!(record(&shop.app, "beta", 4).await["resolved"], json!([]));
    shop.app.post(COMMITS, &json!([commit(4, &[3, 7]), commit(3, &[2])])).await.ok();
    assert_eq!(shop.gate("production", &sha(4)).await["verdict"], "clear");
    shop.until_in_time("the issue is resolved", async || {
        shop.state("SHOP-1").await.0 == "resolved"
    })
    .await;
    shop.stop().await;
});

both!(what_made_up_parents_explained_is_judged_anew, |engine: Engine| async move {
    let known = [commit(1, &[]), commit(2, &[1]), commit(7, &[1])];
    let shop = shop(engine, &known).await;
    announce(&shop.app, "4.0", &[4, 3, 2]).await;
    shop.crash_in("KeyError", "0").await;
    shop.fix("SHOP-1", &sha(7)).await.ok();
    record(&shop.app, "production", 4).await;
    shop.app.clock.advance(Duration::from_mins(11));
    // One names its release, the other is of what was deployed.
    let events = [shop.crash_in("KeyError", "4.0").await, shop.crash_in("KeyError", "").await];
    for event in &events {
        assert_eq!(shop.settled(event).await.0, "suppressed");
    }
    shop.app.post(COMMITS, &json!([commit(4, &[3, 7]), commit(3, &[2])])).await.ok();
    // What comes after a regression is known.
    shop.until_in_time("they are news", async || {
        let mut verdicts =
            [shop.app.verdict(&events[0]).await.0, shop.app.verdict(&events[1]).await.0];
        verdicts.sort_unstable();
        verdicts == ["known", "regression"]
    })
    .await;
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!((&issue["suppressed"], &issue["undetermined"]), (&json!(0), &json!(0)));
    let waiting = "SELECT COUNT(*) FROM unsettled";
    until("nothing waits", async || shop.app.stored_number(waiting).await == 0).await;
    shop.stop().await;
});

both!(a_revert_that_something_unknown_may_take_back_is_not_believed, |engine: Engine| async move {
    let says = |number: u8, parents: &[u8], message: &str| {
        with(commit(number, parents), &json!({ "message": message }))
    };
    let reverts = |number: u8| format!("Revert it\n\nThis reverts commit {}.\n", sha(number));
    // Of what 5 joins, one line is not known.
    let known = [commit(1, &[]), commit(2, &[1]), says(3, &[2], &reverts(2)), commit(5, &[3, 4])];
    let shop = shop(engine, &known).await;
    shop.crash_in("KeyError", "0").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &sha(2)).await.ok();
    assert_eq!(shop.gate("production", &sha(3)).await["verdict"], "blocked");
    assert_eq!(shop.gate("production", &sha(5)).await["verdict"], "unknown");
    shop.app.post(COMMITS, &json!([says(4, &[3], &reverts(3))])).await.ok();
    assert_eq!(shop.gate("production", &sha(5)).await["verdict"], "clear");
    shop.stop().await;
});

both!(answers_of_a_history_that_was_replaced_are_not_kept, |engine: Engine| async move {
    let shop = shop(engine, &[commit(1, &[])]).await;
    announce(&shop.app, "2.0", &[3, 2]).await;
    shop.app.post(COMMITS, &json!([commit(3, &[2]), commit(2, &[1])])).await.ok();
    let replaced = "SELECT CAST(SUM(n_replaced) AS BIGINT) FROM repositories";
    let n_replaced = shop.app.stored_number(replaced).await.unsigned_abs();
    assert!(n_replaced > 0);
    // Found before that, and written after it.
    let id = airlock::domain::id::ProjectId(shop.project.id);
    let key = (FixId(uuid::Uuid::nil()), BuildKey([7; 32]));
    let absent = Said { commit: None, containment: Containment::Absent, unknown: None };
    let said = BTreeMap::from([(key, absent)]);
    for (n_known, expected) in [(n_replaced - 1, 0), (n_replaced, 1)] {
        let mut tx = shop.app.running.store().write().await.expect("a transaction");
        tx.insert_answers(id, &said, n_known).await.expect("an answer");
        tx.commit().await.expect("it is done");
        let kept = shop.app.stored_number("SELECT COUNT(*) FROM fix_answers").await;
        assert_eq!(kept, expected, "of {n_known} replaced");
    }
    shop.stop().await;
});
