//! The life of an issue with a fix.

use std::time::Duration;

use serde_json::json;

use super::{Shop, active, kinds};
use crate::support::{Engine, both, crash, with};
use crate::tasks::delivered;

const HOUR: Duration = Duration::from_hours(1);

/// The beginning of a commit's name.
fn short(sha: &str) -> String {
    sha.chars().take(7).collect()
}

pub(super) fn text(pair: &(String, String)) -> (&str, &str) {
    (&pair.0, &pair.1)
}

both!(from_crash_to_deploy_and_back, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let first = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.app.verdict(&first).await.0, "new");
    let lock = shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    assert_eq!((&lock["kind"], &lock["issue"]), (&json!("issue"), &json!("SHOP-1")));

    // The fix is pushed, and named before anybody fetched it.
    shop.app.clock.advance(HOUR);
    shop.git.run("c fix");
    let fix = shop.sha("fix");
    let tagged = shop.fix("SHOP-1", &short(&fix)).await.ok();
    assert_eq!(
        (&tagged["status"], &tagged["fix"]["state"]),
        (&json!("fix_pending"), &json!("standing"))
    );
    assert_eq!(tagged["fix"]["commits"], json!([{"repository": "web", "commit": fix}]));
    assert_eq!(
        (&tagged["fix"]["source"], &tagged["fix"]["problem"]),
        (&json!("api"), &json!(null))
    );

    // What runs still shows the error: that is expected.
    let old = shop.crash_at("KeyError", "base").await;
    let (kind, reason) = shop.settled(&old).await;
    assert_eq!(kind, "suppressed");
    assert_eq!(reason, format!("{} is not in release shop@{}", short(&fix), shop.sha("base")));
    // Now that it is known, the next one is judged at once.
    let next = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.app.verdict(&next).await.0, "suppressed");
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!(
        (&issue["events"], &issue["suppressed"], &issue["undetermined"]),
        (&json!(3), &json!(2), &json!(0))
    );
    assert_eq!(issue["locks"], json!([{"id": lock["id"], "environment": "production"}]));

    let gate = shop.gate("production", &shop.sha("base")).await;
    assert_eq!(gate["verdict"], "blocked");
    let blocker = &gate["blockers"][0];
    assert_eq!((&blocker["kind"], &blocker["issue"]), (&json!("issue_lock"), &json!("SHOP-1")));
    assert_eq!(
        blocker["hint"],
        format!("fixed by {}, on main 1 commit after the candidate", short(&fix))
    );
    assert_eq!(blocker["fix"], fix);
    let gate = shop.gate("production", &fix).await;
    assert_eq!((&gate["verdict"], &gate["cleared"][0]["lock"]), (&json!("clear"), &lock["id"]));
    assert_eq!(gate["cleared"][0]["proof"], format!("{0} is in {0}", short(&fix)));

    // Beta gets it: done.
    let deployed = shop.deploy("beta", "fix").await;
    assert_eq!(
        (&deployed["resolved"], &deployed["released_locks"]),
        (&json!(["SHOP-1"]), &json!([]))
    );
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!(issue["status"], "resolved");
    assert_eq!(issue["fix"]["deployed"][0]["environment"], "beta");
    assert_eq!(issue["fix"]["deployed"][0]["deploy"], deployed["id"]);
    // The lock stays in force until production has it.
    assert_eq!(active(&shop.app, "production").await.len(), 1);
    let late = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.app.verdict(&late).await.0, "suppressed");

    let deployed = shop.deploy("production", "fix").await;
    assert_eq!(
        (&deployed["resolved"], &deployed["released_locks"]),
        (&json!([]), &json!([lock["id"]]))
    );
    assert!(active(&shop.app, "production").await.is_empty());

    // It happens in a release that has the fix: the fix did not help.
    let again = shop.crash_at("KeyError", "fix").await;
    let (kind, reason) = shop.settled(&again).await;
    assert_eq!(kind, "regression");
    assert_eq!(reason, format!("{} is in release shop@{fix}", short(&fix)));
    assert_eq!(text(&shop.state("SHOP-1").await), ("open", "failed"));
    assert_eq!(active(&shop.app, "production").await, [lock["id"].as_str().expect("an id")]);
    let more = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.app.verdict(&more).await.0, "known");
    let gate = shop.gate("production", &fix).await;
    assert_eq!(kinds(&gate), ["issue_lock"]);
    assert_eq!(
        gate["blockers"][0]["hint"],
        format!("{} did not help; name the commit that does", short(&fix))
    );
    assert_eq!(
        shop.app.changes("SHOP-1").await,
        [
            "opened",
            "became_serious",
            "locked",
            "fix_tagged",
            "fix_deployed",
            "resolved_by_deploy",
            "fix_deployed",
            "unlocked",
            "regressed",
            "locks_rearmed"
        ]
    );
    shop.stop().await;
});

both!(a_deploy_that_reverts_the_fix_opens_the_issue, |engine: Engine| async move {
    let shop =
        Shop::start(engine, "c base; c fix; revert back fix; c more; revert again back").await;
    shop.crash_at("KeyError", "base").await;
    let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let deployed = shop.deploy("beta", "fix").await;
    assert_eq!(deployed["released_locks"], json!([lock["id"]]));
    assert_eq!(text(&shop.state("SHOP-1").await), ("resolved", "standing"));

    // Nothing locks beta, but the gate warns.
    let gate = shop.gate("beta", &shop.sha("back")).await;
    assert_eq!(gate["verdict"], "clear");
    assert_eq!(
        (&gate["warnings"][0]["kind"], &gate["warnings"][0]["issues"]),
        (&json!("takes_back"), &json!(["SHOP-1"]))
    );

    let deployed = shop.deploy("beta", "more").await;
    assert_eq!(deployed["taken_back"], json!(["SHOP-1"]));
    assert_eq!(text(&shop.state("SHOP-1").await), ("open", "reverted"));
    assert_eq!(active(&shop.app, "beta").await, [lock["id"].as_str().expect("an id")]);
    // A fix that was taken back explains nothing.
    let event = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.app.verdict(&event).await.0, "known");

    let gate = shop.gate("beta", &shop.sha("more")).await;
    assert_eq!(kinds(&gate), ["issue_lock"]);
    let deployed = shop.deploy("beta", "again").await;
    assert_eq!(deployed["resolved"], json!(["SHOP-1"]));
    assert_eq!(text(&shop.state("SHOP-1").await), ("resolved", "standing"));
    shop.stop().await;
});

both!(a_rollback_below_the_fix_makes_it_pending_again, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    let crash = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.app.verdict(&crash).await.0, "new");
    shop.app.post("/api/v1/issues/SHOP-1/file", &json!({})).await.ok();
    let task = async || {
        delivered(&shop.app).await;
        shop.app.issue("SHOP-1").await["task"]["state"].clone()
    };
    assert_eq!(task().await, "open");
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    shop.deploy("beta", "fix").await;
    assert_eq!(task().await, "done");
    let back = shop.deploy("beta", "base").await;
    assert_eq!(back["taken_back"], json!(["SHOP-1"]));
    assert_eq!(text(&shop.state("SHOP-1").await), ("fix_pending", "standing"));
    assert_eq!(shop.app.issue("SHOP-1").await["fix"]["deployed"], json!([]));
    // Reports of the rolled back release are expected.
    let event = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    // It may be back soon.
    shop.app.clock.advance(23 * HOUR);
    assert_eq!(task().await, "done");
    let again = shop.deploy("beta", "fix").await;
    assert_eq!(again["resolved"], json!(["SHOP-1"]));
    shop.deploy("beta", "base").await;
    shop.app.clock.advance(23 * HOUR);
    assert_eq!(task().await, "done");
    shop.app.clock.advance(HOUR);
    assert_eq!(task().await, "open");
    assert_eq!(text(&shop.state("SHOP-1").await), ("fix_pending", "standing"));
    let again = shop.deploy("beta", "fix").await;
    assert_eq!(again["resolved"], json!(["SHOP-1"]));
    assert_eq!(task().await, "done");
    shop.stop().await;
});

both!(what_is_deployed_already_resolves_as_soon_as_it_is_named, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.deploy("beta", "fix").await;
    shop.app.clock.advance(HOUR);
    let tagged = shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(tagged["status"], "resolved");
    assert_eq!(tagged["fix"]["deployed"][0]["environment"], "beta");
    shop.stop().await;
});

both!(
    a_fix_that_was_in_a_release_that_showed_the_error_must_be_proven,
    |engine: Engine| async move {
        let shop = Shop::start(engine, "c base; c fix; c more").await;
        let in_fix = shop.crash_at("KeyError", "fix").await;
        assert_eq!(shop.app.verdict(&in_fix).await.0, "new");
        shop.deploy("beta", "fix").await;
        shop.lock("production", &json!({"issue": "SHOP-1"})).await;
        shop.app.clock.advance(HOUR);
        let tagged = shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
        assert_eq!(
            (&tagged["status"], &tagged["fix"]["problem"]),
            (&json!("fix_pending"), &json!("seen-in-release"))
        );
        assert_eq!(tagged["flags"][0]["kind"], "fix_seen_in_release");
        let gate = shop.gate("production", &shop.sha("more")).await;
        assert_eq!(kinds(&gate), ["issue_lock"], "{gate}");
        shop.app.clock.advance(HOUR);
        let deployed = shop.deploy("beta", "more").await;
        assert_eq!(deployed["resolved"], json!(["SHOP-1"]));
        assert_eq!(shop.app.issue("SHOP-1").await["fix"]["problem"], json!(null));
        assert_eq!(shop.gate("production", &shop.sha("more")).await["verdict"], "clear");
        shop.stop().await;
    }
);

both!(a_fix_that_nobody_pushed_yet_counts_once_it_is, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    shop.crash_at("KeyError", "base").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    // Made, but on no branch that is fetched.
    shop.git.run("c fix; git update-ref refs/hidden/fix HEAD; git reset -q --hard HEAD~1");
    let fix = shop.sha("fix");
    let tagged = shop.fix("SHOP-1", &fix).await.ok();
    assert_eq!(
        (&tagged["status"], &tagged["fix"]["problem"]),
        (&json!("fix_pending"), &json!("unknown-commit"))
    );
    let gate = shop.gate("production", &shop.sha("base")).await;
    assert_eq!(
        gate["blockers"][0]["hint"],
        format!("{} is not pushed: no repository has it", short(&fix))
    );
    let event = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.app.verdict(&event).await.0, "undetermined");
    shop.deploy("beta", "base").await;
    assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");

    shop.app.clock.advance(HOUR);
    shop.push("git reset -q --hard refs/hidden/fix").await;
    let (kind, reason) = shop.settled(&event).await;
    assert_eq!(
        (kind.as_str(), reason),
        ("suppressed", format!("{} is not in release shop@{}", short(&fix), shop.sha("base")))
    );
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!((&issue["fix"]["problem"], &issue["undetermined"]), (&json!(null), &json!(0)));
    assert_eq!(shop.deploy("beta", "fix").await["resolved"], json!(["SHOP-1"]));
    shop.stop().await;
});

both!(events_without_a_release_are_judged_by_what_was_deployed, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    let now = || shop.app.clock.now();
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let at = |time: airlock::domain::time::Timestamp, platform: &str| {
        let fields =
            json!({"environment": "Live", "timestamp": time.to_string(), "platform": platform});
        with(crash("KeyError"), &fields)
    };
    let nothing = shop.app.send(&shop.project, &at(now(), "python")).await;
    assert_eq!(shop.app.verdict(&nothing).await.0, "suppressed");
    shop.deploy("production", "fix").await;
    let deployed_at = now();
    shop.app.clock.advance(HOUR);
    let soon =
        shop.app.send(&shop.project, &at(deployed_at.plus(Duration::from_mins(9)), "python")).await;
    assert_eq!(shop.settled(&soon).await.0, "suppressed");
    let later = shop
        .app
        .send(&shop.project, &at(deployed_at.plus(Duration::from_mins(11)), "python"))
        .await;
    assert_eq!(shop.settled(&later).await.0, "regression");
    // What runs at its users may be of any age.
    let in_browser = |shop: &Shop| at(shop.app.clock.now(), "javascript");
    shop.app.send(&shop.project, &in_browser(&shop)).await;
    shop.fix("SHOP-2", &shop.sha("fix")).await.ok();
    let browser = shop.app.send(&shop.project, &in_browser(&shop)).await;
    assert_eq!(shop.app.verdict(&browser).await.0, "undetermined");
    assert_eq!(text(&shop.state("SHOP-1").await), ("open", "failed"));
    shop.stop().await;
});

both!(a_person_takes_the_fix_away, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    let path = "/api/v1/issues/SHOP-1/fix";
    assert_eq!(shop.app.delete(path).await.problem(), (409, "invalid-transition".to_owned()));
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    shop.deploy("beta", "fix").await;
    let unfixed = shop.app.delete(path).await.ok();
    assert_eq!((&unfixed["status"], &unfixed["fix"]), (&json!("open"), &json!(null)));
    assert_eq!(active(&shop.app, "beta").await, [lock["id"].as_str().expect("an id")]);
    shop.stop().await;
});

both!(commits_that_make_no_sense_are_refused, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    shop.crash_at("KeyError", "base").await;
    for commit in ["", "xyz", "abc", "deadbeef", "HEAD", "--upload-pack=x", "4f2c91a\u{0}"] {
        let refused = shop.fix("SHOP-1", commit).await.problem();
        assert_eq!(refused, (422, "invalid".to_owned()), "{commit:?}");
    }
    let path = "/api/v1/issues/SHOP-1/fix";
    for body in [
        json!({}),
        json!({"commits": []}),
        json!({"commit": shop.sha("base"), "repository": "nowhere"}),
        json!({"commit": shop.sha("base"), "commits": [{"commit": shop.sha("base")}]}),
        json!({"commit": shop.sha("base"), "source": "merge"}),
    ] {
        assert_eq!(
            shop.app.put(path, &body).await.problem(),
            (422, "invalid".to_owned()),
            "{body}"
        );
    }
    assert_eq!(shop.fix("SHOP-9", &shop.sha("base")).await.problem().0, 404);
    assert_eq!(text(&shop.state("SHOP-1").await), ("open", "-"));
    shop.stop().await;
});

both!(resolved_for_the_next_deploy_only_newer_builds_bring_it_back, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c more").await;
    shop.crash_at("KeyError", "base").await;
    let refused = shop.app.act("SHOP-1", "resolve", json!({"in": "next_deploy"})).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    shop.deploy("beta", "base").await;
    shop.app.clock.advance(HOUR);
    let resolved = shop.app.act("SHOP-1", "resolve", json!({"in": "next_deploy"})).await.ok();
    assert_eq!(resolved["status"], "resolved");
    shop.app.clock.advance(HOUR);
    let old = shop.crash_at("KeyError", "base").await;
    assert_eq!(shop.settled(&old).await.0, "known");
    let newer = shop.crash_at("KeyError", "more").await;
    assert_eq!(shop.settled(&newer).await.0, "regression");
    assert_eq!(shop.state("SHOP-1").await.0, "open");
    shop.stop().await;
});

both!(a_muted_issue_is_resolved_by_its_fix_and_else_returns_to_it, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.app.act("SHOP-1", "mute", json!({})).await.ok();
    let tagged = shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(tagged["status"], "muted");
    let event = shop.crash_at("KeyError", "fix").await;
    assert_eq!(shop.app.verdict(&event).await.0, "muted");
    let unmuted = shop.app.act("SHOP-1", "unmute", json!({})).await.ok();
    assert_eq!(unmuted["status"], "fix_pending");
    shop.app.act("SHOP-1", "mute", json!({})).await.ok();
    assert_eq!(shop.deploy("beta", "fix").await["resolved"], json!(["SHOP-1"]));
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");
    shop.stop().await;
});

both!(a_merge_needs_the_fixes_of_both, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c one; c two").await;
    shop.crash_at("KeyError", "base").await;
    shop.crash_at("ValueError", "base").await;
    shop.fix("SHOP-1", &shop.sha("one")).await.ok();
    shop.fix("SHOP-2", &shop.sha("two")).await.ok();
    let lock = shop.lock("production", &json!({"issue": "SHOP-2"})).await;
    let merged = shop.app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})).await.ok();
    assert_eq!(merged["locks"], json!([{"id": lock["id"], "environment": "production"}]));
    assert_eq!(merged["status"], "fix_pending");
    assert_eq!(merged["fix"]["commits"].as_array().expect("commits").len(), 2);
    shop.deploy("beta", "one").await;
    assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");
    assert_eq!(shop.deploy("beta", "two").await["resolved"], json!(["SHOP-1"]));
    let released = shop.deploy("production", "two").await;
    assert_eq!(released["released_locks"], json!([lock["id"]]));
    shop.stop().await;
});

both!(
    after_a_merge_events_are_judged_as_of_one_issue_until_it_is_taken_apart,
    |engine: Engine| async move {
        let shop = Shop::start(engine, "c base; c one; c two").await;
        shop.crash_at("KeyError", "base").await;
        shop.crash_at("ValueError", "base").await;
        // What one issue with both commits would say.
        shop.crash_at("TypeError", "base").await;
        let both = json!({"commits": [{"commit": shop.sha("one")}, {"commit": shop.sha("two")}]});
        shop.app.put("/api/v1/issues/SHOP-3/fix", &both).await.ok();
        shop.fix("SHOP-1", &shop.sha("one")).await.ok();
        shop.fix("SHOP-2", &shop.sha("two")).await.ok();
        let theirs = shop.app.issue("SHOP-2").await["fingerprint"]["hash"].clone();
        shop.app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})).await.ok();
        for (kind, build) in [
            ("KeyError", "base"),
            ("ValueError", "one"),
            ("KeyError", "one"),
            ("ValueError", "two"),
        ] {
            let event = shop.crash_at(kind, build).await;
            let (verdict, reason) = shop.settled(&event).await;
            let event = shop.crash_at("TypeError", build).await;
            assert_eq!((verdict.clone(), reason), shop.settled(&event).await, "{kind} in {build}");
            let expected = if build == "two" { "regression" } else { "suppressed" };
            assert_eq!(verdict, expected, "{kind} in {build}");
        }
        let merged = shop.app.issue("SHOP-1").await;
        assert_eq!((&merged["events"], &merged["suppressed"]), (&json!(6), &json!(3)));

        shop.app.act("SHOP-1", "unmerge", json!({"hashes": [theirs]})).await.ok();
        let (one, two) = (shop.app.issue("SHOP-1").await, shop.app.issue("SHOP-2").await);
        assert_eq!((&one["events"], &one["suppressed"]), (&json!(3), &json!(2)));
        assert_eq!((&two["events"], &two["suppressed"]), (&json!(3), &json!(1)));
        let event = shop.crash_at("ValueError", "base").await;
        assert_eq!(shop.app.verdict(&event).await.0, "known");
        assert_eq!(shop.app.issue("SHOP-2").await["events"], 4);
        shop.stop().await;
    }
);

both!(
    commits_that_say_so_are_fixes_once_they_are_on_a_branch_that_counts,
    |engine: Engine| async move {
        let shop = Shop::start(engine, "c old old 'Fixes: SHOP-1'").await;
        shop.crash_at("KeyError", "old").await;
        // What was there at the first fetch names nothing.
        shop.fetch().await;
        assert_eq!(text(&shop.state("SHOP-1").await), ("open", "-"));
        shop.push("on topic; c fix fix 'Count it (fixes SHOP-1)'").await;
        assert_eq!(text(&shop.state("SHOP-1").await), ("open", "-"));
        shop.push("on main; c other; merge joined topic").await;
        let issue = shop.app.issue("SHOP-1").await;
        assert_eq!(
            (&issue["status"], &issue["fix"]["source"]),
            (&json!("fix_pending"), &json!("trailer"))
        );
        assert_eq!(issue["fix"]["commits"][0]["commit"], shop.sha("fix"));
        // Once is enough: whoever takes it away is not contradicted by the next fetch.
        shop.app.delete("/api/v1/issues/SHOP-1/fix").await.ok();
        shop.push("c more").await;
        assert_eq!(text(&shop.state("SHOP-1").await), ("open", "-"));
        // A revert repeats what it takes back, and is no fix.
        shop.push("revert back fix").await;
        assert_eq!(text(&shop.state("SHOP-1").await), ("open", "-"));
        // What is done is only noted.
        shop.app.act("SHOP-1", "resolve", json!({})).await.ok();
        shop.push("c late late 'Closes: shop-1, OTHER-1'").await;
        assert_eq!(text(&shop.state("SHOP-1").await), ("resolved", "-"));
        let changes = shop.app.changes("SHOP-1").await;
        assert_eq!(changes.last().map(String::as_str), Some("fix_mentioned"));
        shop.stop().await;
    }
);

both!(a_squashed_fix_is_found_by_what_its_message_says, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base shared; on topic; c one shared; c two shared").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("two")).await.ok();
    // Squashed by hand into something else.
    shop.push("on main; c squashed other 'All of it, fixes SHOP-1'").await;
    let issue = shop.app.issue("SHOP-1").await;
    assert_eq!(issue["fix"]["commits"][0]["commit"], shop.sha("two"));
    assert_eq!(shop.deploy("beta", "squashed").await["resolved"], json!(["SHOP-1"]));
    let activity = shop.app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    let deployed = activity["items"].as_array().expect("changes");
    let proof = deployed.iter().find_map(|change| change["proof"].as_str()).expect("a proof");
    assert!(proof.ends_with("which says that it fixes the same"), "{proof}");
    shop.stop().await;
});

both!(a_tag_that_moves_makes_its_release_ambiguous, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; git tag v1; c fix").await;
    shop.crash_in("KeyError", "1").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let event = shop.crash_in("KeyError", "1").await;
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    shop.push("git tag -f v1 > /dev/null").await;
    let release = shop.app.get("/api/v1/projects/shop/releases/1").await.ok();
    assert_eq!(
        (&release["ambiguous"], &release["commits"][0]["commit"]),
        (&json!(true), &json!(shop.sha("base")))
    );
    let event = shop.crash_in("KeyError", "1").await;
    let (kind, reason) = shop.app.verdict(&event).await;
    assert_eq!(
        (kind.as_str(), reason.as_str()),
        ("undetermined", "the tag of release 1 has moved; register the release")
    );
    let fixed = json!({"version": "1", "commit": shop.sha("fix")});
    shop.app.post("/api/v1/projects/shop/releases", &fixed).await.ok();
    shop.settled(&event).await;
    // Of the two that were doubtful the first is the error coming back.
    assert_eq!(text(&shop.state("SHOP-1").await), ("open", "failed"));
    shop.stop().await;
});

both!(what_fixes_and_deploys_name_stays_whatever_its_branch_does, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; on topic; c fix; c more; git checkout -q main").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.deploy("beta", "more").await;
    let forget = "git branch -q -D topic; git config uploadpack.allowAnySHA1InWant true";
    shop.push(forget).await;
    assert_eq!(shop.gate("production", &shop.sha("more")).await["verdict"], "clear");
    // A node that never had it, or has lost it, asks for what the others know.
    std::fs::remove_dir_all(shop.app.config.data.join("git")).expect("removed");
    let shop = shop.restart().await;
    shop.fetch().await;
    assert_eq!(shop.gate("production", &shop.sha("more")).await["verdict"], "clear");
    assert_eq!(shop.gate("production", &shop.sha("base")).await["verdict"], "blocked");
    shop.stop().await;
});
