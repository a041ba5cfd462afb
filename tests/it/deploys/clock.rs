//! The clock is set back: nothing that blocked is cleared by it, and no order changes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Shop, active, kinds};
use crate::support::{Engine, both};

const HOUR: Duration = Duration::from_hours(1);

const MINUTE: Duration = Duration::from_mins(1);

impl Shop {
    /// The deploys of the project; none of them ended before it started.
    async fn deploys(&self) -> Vec<Value> {
        let listed = self.app.all("/api/v1/projects/shop/deploys").await;
        for deploy in &listed {
            let (started, ended) = (deploy["started_at"].as_str(), deploy["finished_at"].as_str());
            assert!(ended.is_none_or(|ended| started <= Some(ended)), "{deploy}");
        }
        listed
    }

    async fn deployed_commit(&self) -> Value {
        let project = self.app.get("/api/v1/projects/shop").await.ok();
        project["environments"][0]["deployed"]["commits"][0]["commit"].clone()
    }
}

both!(what_was_deployed_last_is_deployed, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix; revert back fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    shop.deploy("beta", "fix").await;
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");

    shop.app.clock.set_back(HOUR);
    let back = shop.deploy("beta", "back").await;
    assert_eq!(back["taken_back"], json!(["SHOP-1"]));
    let is_back = async || {
        assert_eq!(shop.deployed_commit().await, shop.sha("back"));
        assert_eq!(shop.state("SHOP-1").await, ("open".to_owned(), "reverted".to_owned()));
        assert_eq!(active(&shop.app, "beta").await, [lock["id"].as_str().expect("an id")]);
        assert_eq!(kinds(&shop.gate("beta", &shop.sha("back")).await), ["issue_lock"]);
    };
    is_back().await;
    shop.app.clock.advance(2 * HOUR);
    is_back().await;
    // Named anew, it is not taken for deployed either.
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");

    // The same for one that nobody gated.
    shop.app.clock.set_back(2 * HOUR);
    shop.record("beta", "fix").await;
    assert_eq!(shop.deployed_commit().await, shop.sha("fix"));
    shop.record("beta", "base").await;
    shop.app.clock.advance(3 * HOUR);
    assert_eq!(shop.deployed_commit().await, shop.sha("base"));
    assert_eq!(shop.deploys().await.len(), 4);
    shop.stop().await;
});

both!(a_deploy_from_before_a_fix_was_named_proves_nothing, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix; c more").await;
    // It showed the error with the fix.
    shop.crash_at("KeyError", "fix").await;
    shop.deploy("beta", "more").await;
    shop.deploy("production", "more").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;

    shop.app.clock.set_back(HOUR);
    let tagged = shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(
        (&tagged["status"], &tagged["fix"]["problem"]),
        (&json!("fix_pending"), &json!("seen-in-release"))
    );
    assert_eq!(active(&shop.app, "production").await.len(), 1);
    assert_eq!(kinds(&shop.gate("production", &shop.sha("more")).await), ["issue_lock"]);
    // One that starts later does.
    shop.app.clock.advance(MINUTE);
    assert_eq!(shop.deploy("beta", "more").await["resolved"], json!(["SHOP-1"]));
    assert_eq!(shop.gate("production", &shop.sha("more")).await["verdict"], "clear");
    shop.stop().await;
});

both!(a_running_deploy_keeps_its_slot, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    let path = Shop::environment("beta", "deploys");
    let wish = json!({"commit": base, "lease_seconds": 120});
    let deploy = shop.app.post(&path, &wish).await.ok();
    let at =
        |what: &str| format!("/api/v1/deploys/{}/{what}", deploy["id"].as_str().expect("an id"));
    shop.app.clock.set_back(HOUR);
    assert_eq!(kinds(&shop.gate("beta", &base).await), ["deploy_running"]);
    assert_eq!(shop.start_deploy("beta", &base).await.problem().1, "deploy-running");
    // From here on the lease runs by the new time.
    let beat = shop.app.post(&at("heartbeat"), &json!({})).await.ok();
    assert_eq!(beat["lease_until"], shop.app.clock.now().plus(2 * MINUTE).to_string());
    shop.app.clock.advance(3 * MINUTE);
    let next = shop.start_deploy("beta", &base).await.ok();
    assert_eq!(shop.deploys().await[1]["status"], "lost");
    shop.app.post(&at("finish"), &json!({"status": "succeeded"})).await.ok();
    shop.deploys().await;
    shop.app.clock.set_back(HOUR);
    let abandon = format!("/api/v1/deploys/{}/abandon", next["id"].as_str().expect("an id"));
    shop.app.post(&abandon, &json!({})).await.ok();
    shop.deploys().await;
    shop.stop().await;
});

both!(a_record_of_a_clock_that_is_ahead_is_of_now, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let now = shop.app.clock.now();
    let ahead = |hours: u32| now.plus(hours * HOUR).to_string();
    let record = async |started: String, ended: String| {
        let path = Shop::environment("beta", "deploys");
        let over = json!({"commit": shop.sha("base"), "status": "succeeded",
            "started_at": started, "finished_at": ended});
        shop.app.post(&path, &over).await
    };
    let deploy = record(ahead(1), ahead(2)).await.ok();
    let ran = [&deploy["started_at"], &deploy["finished_at"]];
    assert!(ran.iter().all(|at| at.as_str() == Some(&now.to_string())), "{deploy}");
    assert_eq!(shop.deployed_commit().await, shop.sha("base"));
    assert_eq!(record(ahead(2), ahead(1)).await.problem().0, 422);
    assert_eq!(shop.deploys().await.len(), 1);
    shop.stop().await;
});

both!(locks_and_freezes_hold_again, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let (base, now) = (shop.sha("base"), shop.app.clock.now());
    let soon = now.plus(30 * MINUTE).to_string();
    let lock = json!({"reason": "migration", "expires_at": soon});
    shop.lock("beta", &lock).await;
    let freeze = json!({"name": "launch", "from": now.to_string(), "until": soon});
    shop.app.post(&Shop::environment("beta", "freezes"), &freeze).await.ok();
    let before = shop.gate("beta", &base).await;
    assert_eq!(kinds(&before), ["manual_lock", "freeze"]);
    shop.app.clock.advance(HOUR);
    assert_eq!(shop.gate("beta", &base).await["verdict"], "clear");
    shop.app.clock.set_back(HOUR);
    let again = shop.gate("beta", &base).await;
    assert_eq!(again["version"], before["version"], "{again}");
    assert_eq!(shop.start_deploy("beta", &base).await.problem().1, "gate-blocked");
    // A lock that is released ended after it was made.
    shop.app.clock.set_back(HOUR);
    let held = active(&shop.app, "beta").await.pop().expect("a lock");
    let released = shop.app.delete(&format!("/api/v1/locks/{held}")).await.ok();
    assert!(released["created_at"].as_str() <= released["released_at"].as_str(), "{released}");
    shop.stop().await;
});

both!(what_nobody_knew_is_fetched_for_again, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    shop.git.run("c fix; git update-ref refs/hidden/fix HEAD; git reset -q --hard HEAD~1");
    let fix = shop.sha("fix");
    assert_eq!(shop.gate("beta", &fix).await["verdict"], "unknown");
    shop.app.clock.set_back(HOUR);
    shop.git.run("git reset -q --hard refs/hidden/fix");
    assert_eq!(shop.gate("beta", &fix).await["verdict"], "clear");
    shop.stop().await;
});
