//! Times at which the gate cannot tell for another reason than a commit, and what ends them.

use std::time::Duration;

use airlock::domain::lock::MOST_LOCKS;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};

use super::{Shop, active, kinds};
use crate::support::{Engine, both};

/// Somebody who holds what digest writes to, and lets everybody read.
enum Holder {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Holder {
    async fn of(shop: &Shop, engine: Engine) -> Self {
        let address = shop.app.config.database.clone().expect("an address");
        match engine {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&address).await.expect("the file");
                connection.execute("BEGIN IMMEDIATE").await.expect("the lock");
                Self::Sqlite(connection)
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&address).await.expect("the database");
                let lock = "BEGIN; LOCK TABLE issues IN SHARE MODE";
                connection.execute(lock).await.expect("the lock");
                Self::Postgres(connection)
            }
        }
    }

    async fn let_go(self) {
        match self {
            Self::Sqlite(mut connection) => connection.execute("ROLLBACK").await.map(drop),
            Self::Postgres(mut connection) => connection.execute("ROLLBACK").await.map(drop),
        }
        .expect("it is given back");
    }
}

both!(the_gate_waits_for_reports_where_the_project_says_so, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    let waits = json!({"settings": {"gate_waits_for_reports": true}});
    shop.app.patch("/api/v1/projects/shop", &waits).await.ok();
    // One that only wants to be warned, of the same commits.
    shop.app.create_project("calm").await;
    let wish = json!({"name": "web", "url": shop.git.path()});
    shop.app.post("/api/v1/projects/calm/repositories", &wish).await.ok();
    shop.app.post("/api/v1/projects/calm/repositories/web/fetch", &json!({})).await.ok();
    let calm = format!("/api/v1/projects/calm/environments/beta/gate?commit={base}");

    let holder = Holder::of(&shop, engine).await;
    let event = shop.app.crash(&shop.project, "KeyError").await;
    shop.app.clock.advance(Duration::from_mins(1));
    // That is as long as it may take.
    let gate = shop.gate("beta", &base).await;
    assert_eq!((&gate["verdict"], &gate["warnings"]), (&json!("clear"), &json!([])));
    shop.app.clock.advance(Duration::from_secs(1));
    let gate = shop.gate("beta", &base).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("unknown"), vec!["reports_pending"]));
    let blocker = &gate["blockers"][0];
    assert_eq!(blocker["reason"], "reports have been waiting for 61 s to be understood");
    assert!(blocker["hint"].is_string(), "{blocker}");
    let refused = shop.start_deploy("beta", &base).await;
    assert_eq!(refused.problem(), (409, "gate-unknown".to_owned()));
    assert_eq!(kinds(&refused.json()["gate"]), ["reports_pending"]);
    let warned = shop.app.get(&calm).await.ok();
    assert_eq!((&warned["verdict"], &warned["blockers"]), (&json!("clear"), &json!([])));
    assert_eq!(warned["warnings"][0]["kind"], "reports_pending");

    holder.let_go().await;
    shop.app.digested().await;
    assert_eq!(shop.app.verdict(&event).await.0, "new");
    let gate = shop.gate("beta", &base).await;
    assert_eq!((&gate["verdict"], &gate["warnings"]), (&json!("clear"), &json!([])));
    assert_eq!(shop.app.get(&calm).await.ok()["warnings"], json!([]));
    shop.start_deploy("beta", &base).await.ok();
    shop.stop().await;
});

both!(more_locks_than_can_be_looked_at_are_not_passed, |engine: Engine| async move {
    let script = "c base; c fix; revert back fix; revert again back; c other";
    let shop = Shop::start(engine, script).await;
    let other = shop.sha("other");
    for kind in ["KeyError", "ValueError"] {
        shop.app.crashed(&shop.project, kind).await;
    }
    shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    shop.fix("SHOP-2", &other).await.ok();
    shop.deploy("beta", "fix").await;
    assert!(active(&shop.app, "beta").await.is_empty());
    // As many as there may be, all of which the last commit clears.
    shop.lock("beta", &json!({"issue": "SHOP-2"})).await;
    let id = match engine {
        Engine::Sqlite => "randomblob(16)",
        Engine::Postgres => "gen_random_uuid()",
    };
    let copies = format!(
        "INSERT INTO locks (project_id, id, environment, issue_id, owner, created_at) \
         WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MOST_LOCKS}) \
         SELECT project_id, {id}, environment, issue_id, owner, created_at FROM locks, numbers \
         WHERE released_at IS NULL AND LENGTH($1) = 1"
    );
    shop.app.change_store(&copies, b"1").await;
    let gate = shop.gate("beta", &other).await;
    let n_cleared = gate["cleared"].as_array().map(Vec::len);
    assert_eq!((&gate["verdict"], n_cleared), (&json!("clear"), Some(10_000)));
    let path = Shop::environment("beta", "locks");
    let refused = shop.app.post(&path, &json!({"reason": "one more"})).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));

    // A deploy that takes the first fix back makes its lock active again: one too many.
    assert_eq!(shop.record("beta", "back").await["taken_back"], json!(["SHOP-1"]));
    let gate = shop.gate("beta", &other).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("unknown"), vec!["locks_unreadable"]));
    let refused = shop.start_deploy("beta", &other).await;
    assert_eq!(refused.problem(), (409, "gate-unknown".to_owned()));
    assert_eq!(kinds(&refused.json()["gate"]), ["locks_unreadable"]);

    let one = shop.app.get(&format!("{path}?limit=1")).await.ok();
    let one = one["items"][0]["id"].as_str().expect("an id").to_owned();
    shop.app.delete(&format!("/api/v1/locks/{one}")).await.ok();
    let gate = shop.gate("beta", &other).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("clear"), Vec::new()));
    shop.stop().await;
});

both!(who_starts_while_locks_keep_changing_is_told_so, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    let fix = shop.sha("fix");
    shop.app.crashed(&shop.project, "KeyError").await;
    shop.fix("SHOP-1", &fix).await.ok();
    let lock = json!({"issue": "SHOP-1"});
    shop.lock("beta", &lock).await;
    // Locked again and again: that is in nobody's way, but each time the gate must be asked anew.
    let refused = {
        let keep_locking = async || loop {
            shop.lock("beta", &lock).await;
        };
        let all = futures_util::future::join_all((0..8).map(|_| keep_locking()));
        tokio::select! {
            _ = all => unreachable!("it goes on"),
            refused = first_refusal(&shop, &fix) => refused,
        }
    };
    let gate = &refused["gate"];
    assert_eq!((&gate["verdict"], kinds(gate)), (&json!("unknown"), vec!["locks_unreadable"]));
    let reason = gate["blockers"][0]["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("keep changing; try again"), "{reason}");
    assert_eq!(refused["code"], "gate-unknown");
    assert!(
        shop.app
            .all("/api/v1/projects/shop/deploys")
            .await
            .iter()
            .all(|one| one["status"] == "failed")
    );

    // It is quiet again.
    let started = shop.start_deploy("beta", &fix).await.ok();
    assert_eq!(started["gate"]["verdict"], "clear");
    shop.stop().await;
});

/// Starts deploys until one is refused; gives the answer.
async fn first_refusal(shop: &Shop, commit: &str) -> Value {
    for _ in 0..1_000 {
        let answer = shop.start_deploy("beta", commit).await;
        if answer.status == 409 {
            return answer.json();
        }
        shop.finish(&answer.ok(), "failed").await;
    }
    panic!("all of them are started");
}
