//! Many at once, and ends in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{Shop, active};
use crate::support::{Answer, Engine, both, with};

impl Shop {
    /// A connection to the store that holds what a query gives until it is rolled back.
    async fn holding(&self, query: &str) -> PgConnection {
        let address = self.app.config.database.clone().expect("an address");
        let mut holder = PgConnection::connect(&address).await.expect("the database");
        let held = holder.execute(AssertSqlSafe(format!("BEGIN; {query}"))).await;
        held.expect("what is to be held");
        holder
    }
}

both!(of_a_hundred_who_start_at_once_one_wins, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    let starts = (0..100).map(|_| shop.start_deploy("beta", &base));
    let answers = futures_util::future::join_all(starts).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let code = answer.problem();
        assert!(
            code == (409, "deploy-running".to_owned()) || code == (409, "gate-unknown".to_owned()),
            "{answer:?}"
        );
    }
    let listed = shop.app.all("/api/v1/projects/shop/deploys").await;
    assert_eq!(listed.len(), 1);
    shop.stop().await;
});

both!(locks_and_starts_at_once_agree, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    for _ in 0..10 {
        let wish = json!({"reason": "no"});
        let lock = shop.lock("beta", &wish);
        let (lock, started) =
            futures_util::future::join(lock, shop.start_deploy("beta", &base)).await;
        if started.status == 201 {
            // It was first: the lock stands for the next one.
            let deploy = started.ok();
            assert!(deploy["gate"]["blockers"].as_array().expect("a list").is_empty());
            shop.finish(&deploy, "failed").await;
        } else {
            assert_eq!(started.problem().0, 409);
        }
        shop.app
            .delete(&format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id")))
            .await
            .ok();
    }
    shop.stop().await;
});

both!(what_a_stop_cut_off_is_seen_to_after_the_start, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    // As if it had stopped between the end of the deploy and what that means.
    let deploy = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let number = deploy["number"].as_i64().expect("a number");
    let sql = format!(
        "UPDATE deploys SET status = 'succeeded', finished_at = started_at, settle_at = 0, sha = $1 WHERE number = {number}"
    );
    shop.app.change_store(&sql, &shop.git.names()["fix"].0).await;
    let shop = shop.restart().await;
    let path = format!("/api/v1/deploys/{}", deploy["id"].as_str().expect("an id"));
    crate::support::until("what it meant is told", async || {
        let shown = shop.app.get(&path).await.ok();
        shown["resolved"] == json!(["SHOP-1"]) && shown["released_locks"] == json!([lock["id"]])
    })
    .await;
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");
    assert!(active(&shop.app, "beta").await.is_empty());
    // The same finish gets the same answer.
    let finished = shop.finish(&deploy, "succeeded").await;
    assert_eq!(finished["resolved"], json!(["SHOP-1"]));
    shop.stop().await;
});

both!(a_silent_deploy_is_lost_without_anybody_asking, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let deploy = shop.start_deploy("beta", &shop.sha("base")).await.ok();
    shop.app.clock.advance(Duration::from_mins(11));
    let path = format!("/api/v1/deploys/{}", deploy["id"].as_str().expect("an id"));
    crate::support::until("the deploy is lost", async || {
        shop.app.get(&path).await.ok()["status"] == "lost"
    })
    .await;
    shop.stop().await;
});

both!(a_lost_answer_costs_nothing_to_who_has_a_key, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    let path = Shop::environment("beta", "deploys");
    let wish = |name: &str| json!({"commit": shop.sha(name), "key": "run 7"});
    let asked = wish("base");
    let starts = (0..20).map(|_| shop.app.post(&path, &asked));
    let answers = futures_util::future::join_all(starts).await;
    let ids: BTreeSet<String> = answers.into_iter().map(id_of).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    // Another key is another deploy, and a key belongs to one.
    let other = json!({"commit": shop.sha("base"), "key": "run 8"});
    assert_eq!(shop.app.post(&path, &other).await.problem(), (409, "deploy-running".to_owned()));
    assert_eq!(shop.app.post(&path, &wish("fix")).await.problem(), (422, "invalid".to_owned()));
    let elsewhere = Shop::environment("production", "deploys");
    assert_eq!(shop.app.post(&elsewhere, &asked).await.problem().0, 422);
    // It went on as if nobody had answered, and is recorded.
    let over = with(asked.clone(), &json!({"status": "succeeded", "exit_code": 0}));
    let recorded = shop.app.post(&path, &over).await.ok();
    assert_eq!((&recorded["status"], &recorded["gated"]), (&json!("succeeded"), &json!(true)));
    let twice = [shop.app.post(&path, &over).await, shop.app.post(&path, &asked).await];
    for answer in twice {
        assert_eq!(answer.ok()["status"], "succeeded");
    }
    // One that nobody started is recorded once.
    let over = with(other, &json!({"status": "failed"}));
    let records = (0..20).map(|_| shop.app.post(&path, &over));
    let answers = futures_util::future::join_all(records).await;
    let ids: BTreeSet<String> = answers.into_iter().map(id_of).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(shop.app.all("/api/v1/projects/shop/deploys").await.len(), 2);
    let long = json!({"commit": shop.sha("base"), "key": "x".repeat(501)});
    assert_eq!(shop.app.post(&path, &long).await.problem().0, 422);
    shop.stop().await;
});

fn id_of(answer: Answer) -> String {
    answer.ok()["id"].as_str().expect("an id").to_owned()
}

both!(an_override_is_written_on_every_lock, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let mut locks = Vec::new();
    for number in 0..102 {
        locks.push(shop.lock("beta", &json!({"reason": number.to_string()})).await);
    }
    shop.record("beta", "base").await;
    for lock in [&locks[0], &locks[101]] {
        let path = format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"));
        let said = &shop.app.get(&path).await.ok()["comments"];
        assert_eq!(said[0]["text"], "deploy 1 was recorded without asking the gate");
    }
    shop.stop().await;
});

both!(
    a_fix_that_was_named_before_a_stop_is_looked_at_after_the_start,
    |engine: Engine| async move {
        let shop = Shop::start(engine, "c base; c fix").await;
        shop.crash_at("KeyError", "base").await;
        shop.start_deploy("beta", &shop.sha("fix")).await.ok();
        let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
        shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
        assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");
        // As if it had been deployed before, and the process had stopped between naming and looking.
        let deployed = "UPDATE deploys SET status = 'succeeded', finished_at = started_at,
        lease_until = NULL WHERE sha = $1";
        shop.app.change_store(deployed, &shop.git.names()["fix"].0).await;
        shop.app.change_store("UPDATE fixes SET look_at = 0 WHERE $1 IS NOT NULL", b"any").await;
        let shop = shop.restart().await;
        crate::support::until("the issue is resolved", async || {
            shop.state("SHOP-1").await.0 == "resolved"
        })
        .await;
        assert!(active(&shop.app, "beta").await.is_empty());
        let path = format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"));
        assert_eq!(shop.app.get(&path).await.ok()["released_by"], "airlock");
        shop.stop().await;
    }
);

/// A deploy with the fix ends, and is held up where it would resolve the issue; meanwhile one ends that
/// takes the fix back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_longer_deployed_resolves_nothing() {
    let shop = Shop::start(Engine::Postgres, "c base; c fix; revert back fix").await;
    shop.crash_at("KeyError", "base").await;
    let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let first = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let mut holder = shop.holding("SELECT id FROM issues FOR UPDATE").await;
    let meanwhile = async {
        let path = format!("/api/v1/deploys/{}", first["id"].as_str().expect("an id"));
        crate::support::until("the first has ended", async || {
            shop.app.get(&path).await.ok()["status"] == "succeeded"
        })
        .await;
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        crate::support::until("it waits for the issue", async || {
            shop.app.stored_number(waiting).await > 0
        })
        .await;
        // The lock still holds: an override goes on.
        let wish = json!({"commit": shop.sha("back"), "override": "it burns"});
        let path = super::Shop::environment("beta", "deploys");
        let second = shop.app.post(&path, &wish).await.ok();
        shop.finish(&second, "succeeded").await;
        holder.execute("ROLLBACK").await.expect("the end of the lock");
    };
    let (first, ()) = tokio::join!(shop.finish(&first, "succeeded"), meanwhile);
    assert_eq!((&first["resolved"], &first["released_locks"]), (&json!([]), &json!([])));
    assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");
    assert_eq!(active(&shop.app, "beta").await, [lock["id"].as_str().expect("an id")]);
    shop.stop().await;
}

/// A deploy brings its release: however early it is cut off, the one is not known without the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_release_of_a_deploy_is_registered_before_its_end() {
    let shop = Shop::start(Engine::Postgres, "c base").await;
    let wish = json!({"commit": shop.sha("base"), "version": "1.4.2"});
    let deploy = shop.app.post(&Shop::environment("beta", "deploys"), &wish).await.ok();
    let mut holder = shop.holding("SELECT version FROM gates FOR UPDATE").await;
    let meanwhile = async {
        let path = "/api/v1/projects/shop/releases/1.4.2";
        crate::support::until("the release is known", async || {
            shop.app.get(path).await.status == 200
        })
        .await;
        let path = format!("/api/v1/deploys/{}", deploy["id"].as_str().expect("an id"));
        assert_eq!(shop.app.get(&path).await.ok()["status"], "running");
        holder.execute("ROLLBACK").await.expect("the end of the lock");
    };
    let (over, ()) = tokio::join!(shop.finish(&deploy, "succeeded"), meanwhile);
    assert_eq!(over["status"], "succeeded");
    shop.stop().await;
}

/// A stop between two issues must not forget what was done for the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deploy_did_is_noted_with_each_issue() {
    let shop = Shop::start(Engine::Postgres, "c base; c fix").await;
    for (kind, issue) in [("KeyError", "SHOP-1"), ("ValueError", "SHOP-2")] {
        shop.crash_at(kind, "base").await;
        shop.fix(issue, &shop.sha("fix")).await.ok();
    }
    let deploy = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let path = format!("/api/v1/deploys/{}", deploy["id"].as_str().expect("an id"));
    let mut holder =
        shop.holding("SELECT id FROM issues WHERE title LIKE 'ValueError%' FOR UPDATE").await;
    let meanwhile = async {
        crate::support::until("the first is noted", async || {
            shop.app.get(&path).await.ok()["resolved"] == json!(["SHOP-1"])
        })
        .await;
        holder.execute("ROLLBACK").await.expect("the end of the lock");
    };
    let (finished, ()) = tokio::join!(shop.finish(&deploy, "succeeded"), meanwhile);
    assert_eq!(finished["resolved"], json!(["SHOP-1", "SHOP-2"]));
    assert_eq!(shop.app.get(&path).await.ok()["resolved"], finished["resolved"]);
    shop.stop().await;
}

/// A checkout tells where a branch is, and is held up by what the commit fixes; meanwhile another one
/// tells of a later commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_has_moved_on_is_not_moved_back() {
    let shop = Shop::start_without_access(Engine::Postgres, "true").await;
    let repositories = "/api/v1/projects/shop/repositories";
    shop.app.post(repositories, &json!({"name": "web"})).await.ok();
    let sha = |number: u8| format!("{number:02x}").repeat(20);
    let commit = |number: u8, message: &str| {
        json!({"sha": sha(number), "parents": [sha(number - 1)], "message": message,
            "time": "2026-11-20T12:00:00Z"})
    };
    let tell = async |tip: u8, commits: &Value| {
        let path = format!("{repositories}/web/commits?branch=main&tip={}", sha(tip));
        shop.app.post(&path, commits).await.ok();
    };
    shop.crash_in("KeyError", "0").await;
    tell(1, &json!([commit(1, "one")])).await;
    shop.app
        .post(
            &format!("{repositories}/web/commits"),
            &json!([commit(2, "two\n\nFixes: SHOP-1"), commit(3, "three")]),
        )
        .await
        .ok();
    let mut holder = shop.holding("SELECT id FROM issues FOR UPDATE").await;
    let moved_on = format!("{{\"main\": \"{}\"}}", sha(3));
    let meanwhile = async {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        crate::support::until("it waits for the issue", async || {
            shop.app.stored_number(waiting).await > 0
        })
        .await;
        let change = format!(
            "UPDATE repositories SET submitted_branches = '{moved_on}' WHERE $1 IS NOT NULL"
        );
        shop.app.change_store(&change, b"any").await;
        holder.execute("ROLLBACK").await.expect("the end of the lock");
    };
    let none = json!([]);
    tokio::join!(tell(2, &none), meanwhile);
    let is_there =
        format!("SELECT COUNT(*) FROM repositories WHERE submitted_branches LIKE '%{}%'", sha(3));
    assert_eq!(shop.app.stored_number(&is_there).await, 1);
    shop.stop().await;
}
