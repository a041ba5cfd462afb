//! What a person should look at, because nothing else would tell.

use std::time::Duration;

use serde_json::{Value, json};

use super::Shop;
use crate::support::{Engine, both, until};

impl Shop {
    /// The kinds of an issue's flags.
    async fn flags(&self, id: &str) -> Vec<String> {
        let issue = self.app.issue(id).await;
        let flags = issue["flags"].as_array().expect("flags");
        let kind = |flag: &Value| flag["kind"].as_str().expect("a kind").to_owned();
        flags.iter().map(kind).collect()
    }
}

both!(a_revert_on_a_branch_only_flags, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    shop.deploy("beta", "fix").await;
    assert_eq!(shop.flags("SHOP-1").await, [""; 0]);
    shop.push("revert undo fix").await;
    assert_eq!(shop.flags("SHOP-1").await, ["reverted_on_branch"]);
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");
    shop.push("revert again undo").await;
    assert_eq!(shop.flags("SHOP-1").await, [""; 0]);
    shop.stop().await;
});

both!(a_fix_that_no_branch_has_any_more_is_flagged, |engine: Engine| async move {
    let shop =
        Shop::start(engine, "c base; git checkout -qb topic; c fix; git checkout -q main").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    // It is on its way.
    assert_eq!(shop.flags("SHOP-1").await, [""; 0]);
    shop.push("git branch -qD topic").await;
    assert_eq!(shop.flags("SHOP-1").await, ["fix_vanished"]);
    // The same change on the branch that counts is the fix as well.
    shop.push("pick picked fix").await;
    assert_eq!(shop.flags("SHOP-1").await, [""; 0]);
    shop.deploy("beta", "picked").await;
    // What was deployed was on a branch that counts; that another one still has it does not help.
    shop.push("git branch -q spare; git reset -q --hard HEAD~1; c other").await;
    assert_eq!(shop.flags("SHOP-1").await, ["fix_vanished"]);
    shop.stop().await;
});

both!(nobody_knows_all_branches_of_submitted_commits, |engine: Engine| async move {
    let shop = Shop::start_without_access(engine, "").await;
    let repositories = "/api/v1/projects/shop/repositories";
    shop.app.post(repositories, &json!({"name": "web"})).await.ok();
    let sha = |number: u8| format!("{number:02x}").repeat(20);
    let commit = |number: u8, parents: Value, message: &str| {
        json!({"sha": sha(number), "parents": parents, "message": message,
            "time": "2026-11-20T12:00:00Z"})
    };
    let submit = async |tip: u8, commit: Value| {
        let path = format!("{repositories}/web/commits?branch=main&tip={}", sha(tip));
        shop.app.post(&path, &json!([commit])).await.ok();
    };
    submit(1, commit(1, json!([]), "base")).await;
    submit(1, commit(2, json!([sha(1)]), "fix elsewhere")).await;
    shop.crash_in("KeyError", &format!("shop@{}", sha(1))).await;
    shop.fix("SHOP-1", &sha(2)).await.ok();
    assert_eq!(shop.flags("SHOP-1").await, [""; 0]);
    // What the branch says itself is believed.
    submit(3, commit(3, json!([sha(1)]), "fix here")).await;
    shop.fix("SHOP-1", &sha(3)).await.ok();
    let message = format!("Revert\n\nThis reverts commit {}.", sha(3));
    submit(4, commit(4, json!([sha(3)]), &message)).await;
    assert_eq!(shop.flags("SHOP-1").await, ["reverted_on_branch"]);
    shop.stop().await;
});

both!(a_fix_that_nobody_deploys_or_knows_is_flagged, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.crash_at("ValueError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    shop.fix("SHOP-2", &"7".repeat(40)).await.ok();
    shop.app.clock.advance(Duration::from_hours(23));
    assert_eq!(shop.flags("SHOP-2").await, [""; 0]);
    shop.app.clock.advance(Duration::from_hours(1));
    assert_eq!(shop.flags("SHOP-2").await, ["fix_unknown"]);
    shop.app.clock.advance(Duration::from_hours(13 * 24));
    assert_eq!(shop.flags("SHOP-1").await, ["fix_not_deployed"]);
    shop.deploy("beta", "fix").await;
    assert_eq!(shop.flags("SHOP-1").await, [""; 0]);
    shop.stop().await;
});

both!(many_undetermined_events_are_flagged, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    for _ in 0..100 {
        shop.crash_in("KeyError", "nightly").await;
    }
    let both = ["register_release", "many_undetermined"];
    until("the events are digested", async || shop.flags("SHOP-1").await == both).await;
    shop.app
        .post(
            "/api/v1/projects/shop/releases",
            &json!({"version": "nightly", "commit": shop.sha("base")}),
        )
        .await
        .ok();
    until("the events are settled", async || shop.flags("SHOP-1").await.is_empty()).await;
    shop.stop().await;
});
