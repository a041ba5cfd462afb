//! Commits that say themselves that they fix the same: they stand for a fix, and can be taken back.

use std::time::Duration;

use serde_json::{Value, json};

use super::story::text;
use super::{Shop, active, kinds};
use crate::support::{Engine, both};

const FAR_SHA: &str = "00000000000000000000000000000000000000aa";

/// An issue that locks beta, with a fix that stands for nothing on main but what says so there.
async fn squashed(engine: Engine, fix: &str, script: &str) -> Shop {
    let shop = Shop::start(engine, script).await;
    shop.crash_at("KeyError", "base").await;
    shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    let fix = if fix.is_empty() { FAR_SHA.to_owned() } else { shop.sha(fix) };
    shop.fix("SHOP-1", &fix).await.ok();
    shop.push("on main; c squashed shared 'All of it, fixes SHOP-1'").await;
    assert_eq!(shop.deploy("beta", "squashed").await["resolved"], json!(["SHOP-1"]));
    assert!(active(&shop.app, "beta").await.is_empty());
    shop
}

async fn assert_taken_back(shop: &Shop) {
    shop.push("revert undone squashed").await;
    let issue = shop.app.issue("SHOP-1").await;
    let flags: Vec<&Value> =
        issue["flags"].as_array().expect("a list").iter().map(|flag| &flag["kind"]).collect();
    assert!(flags.contains(&&json!("reverted_on_branch")), "{issue}");
    let gate = shop.gate("beta", &shop.sha("undone")).await;
    assert_eq!(gate["warnings"][0]["kind"], "takes_back", "{gate}");
    assert_eq!(shop.deploy("beta", "undone").await["taken_back"], json!(["SHOP-1"]));
    assert_eq!(text(&shop.state("SHOP-1").await), ("open", "reverted"));
    let gate = shop.gate("beta", &shop.sha("undone")).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["issue_lock"]));
    // What takes that back brings it back.
    shop.push("revert redone undone").await;
    assert_eq!(shop.deploy("beta", "redone").await["resolved"], json!(["SHOP-1"]));
}

both!(what_stands_for_a_fix_that_was_never_pushed_can_be_taken_back, |engine: Engine| async move {
    let shop = squashed(engine, "", "c base shared").await;
    assert_taken_back(&shop).await;
    shop.stop().await;
});

both!(
    what_stands_for_a_fix_of_no_branch_that_counts_can_be_taken_back,
    |engine: Engine| async move {
        let shop =
            squashed(engine, "two", "c base shared; on topic; c one shared; c two shared").await;
        assert_taken_back(&shop).await;
        shop.stop().await;
    }
);

both!(one_commit_stands_for_all_that_were_squashed_into_it, |engine: Engine| async move {
    let script = "c base shared; on topic; c one shared; c two shared";
    let shop = Shop::start(engine, script).await;
    shop.crash_at("KeyError", "base").await;
    let both = json!({"commits": [{"commit": shop.sha("one")}, {"commit": shop.sha("two")}]});
    shop.app.put("/api/v1/issues/SHOP-1/fix", &both).await.ok();
    shop.push("on main; c squashed other 'All of it, fixes SHOP-1'").await;
    assert_eq!(shop.deploy("beta", "squashed").await["resolved"], json!(["SHOP-1"]));
    shop.stop().await;
});

both!(
    alive_on_one_line_and_taken_back_on_another_only_a_person_can_tell,
    |engine: Engine| async move {
        let shop = squashed(engine, "two", "c base shared; on topic; c one; c two").await;
        // The fix itself arrives on a line that knows nothing of the revert.
        shop.push(
            "revert undone squashed; on side base; pick again two -x; on main; merge joined side",
        )
        .await;
        let gate = shop.gate("production", &shop.sha("joined")).await;
        assert_eq!(gate["verdict"], "clear", "nothing locks it: {gate}");
        shop.lock("production", &json!({"issue": "SHOP-1"})).await;
        let gate = shop.gate("production", &shop.sha("joined")).await;
        assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["conflicted"]));
        shop.stop().await;
    }
);

both!(a_conflict_does_not_hide_that_a_release_with_the_fix_failed, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    // A release that has the fix shows the error.
    shop.crash_at("KeyError", "fix").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(shop.app.issue("SHOP-1").await["fix"]["problem"], "seen-in-release");
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.push("revert undone fix; on side base; pick again fix -x; on main; merge joined side")
        .await;
    shop.app.clock.advance(Duration::from_hours(1));
    shop.deploy("beta", "joined").await;
    assert_eq!(shop.app.issue("SHOP-1").await["fix"]["problem"], "seen-in-release");
    let gate = shop.gate("production", &shop.sha("fix")).await;
    assert_eq!(gate["verdict"], "blocked", "{gate}");
    shop.stop().await;
});

both!(locks_that_expired_leave_room_for_others, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let wish = json!({"reason": "the import", "expires_at": "2026-11-21T13:00:00Z"});
    shop.lock("beta", &wish).await;
    let project = airlock::domain::id::ProjectId(shop.project.id);
    let count = async || {
        let mut tx = shop.app.running.store().read().await.expect("a transaction");
        tx.count_locks(project, "beta", shop.app.clock.now()).await.expect("a number")
    };
    assert_eq!(count().await, 1);
    shop.app.clock.advance(Duration::from_hours(2));
    assert_eq!(count().await, 0);
    shop.stop().await;
});

both!(the_first_deploy_is_warned_of_reverts_of_nobody_knows_what, |engine: Engine| async move {
    let script = "c base; c undone base 'Revert the import\n\nReverts shop/web#11'";
    let shop = Shop::start(engine, script).await;
    let gate = shop.gate("production", &shop.sha("undone")).await;
    assert_eq!(gate["warnings"][0]["kind"], "unresolved_revert", "{gate}");
    shop.deploy("production", "undone").await;
    let gate = shop.gate("production", &shop.sha("undone")).await;
    assert_eq!(gate["warnings"], json!([]), "{gate}");
    shop.stop().await;
});
