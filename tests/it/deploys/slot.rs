//! The slot of an environment: what comes between the verdict and the start, and who has ended.

use std::time::Duration;

use airlock::auth::secrets::{KEY_FILE, Secrets};
use airlock::domain::deploy::Wish;
use airlock::domain::project::Project;
use airlock::git::command::Limits;
use airlock::git::mirrors::Mirrors;
use airlock::release::deploys::take;
use airlock::release::fixes::NamedCommit;
use airlock::release::gate::{Asked, ask};
use airlock::release::repositories::Repositories;
use airlock::store::StoreError;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, active, kinds};
use crate::support::{Answer, Engine, both};

/// What comes between the verdict and the start.
#[derive(Debug, Clone, Copy)]
enum Between {
    Nothing,
    Elsewhere,
    Lock,
    Release,
    Freeze,
    FixTakenAway,
    IssueReopened,
    Deploy,
    Record,
}

impl Shop {
    /// The use cases on the server's own store and mirrors.
    fn repositories(&self) -> Repositories {
        let data = self.app.data();
        let clock = self.app.clock.clone();
        let secrets = Secrets::load(&data.join(KEY_FILE), &clock).expect("the key");
        let mirrors = Mirrors::new(&data.join("git"), Limits::default());
        Repositories::new(self.app.running.store().clone(), clock, mirrors, secrets)
    }

    async fn stored_project(&self) -> Project {
        let mut tx = self.app.running.store().read().await.expect("a transaction");
        tx.find_project("shop").await.expect("an answer").expect("the project")
    }

    async fn lets(&self, between: Between) {
        let beta = |what| Shop::environment("beta", what);
        let window = json!({"name": "now", "from": self.app.clock.now().to_string(),
            "until": self.app.clock.now().plus(Duration::from_hours(1)).to_string()});
        match between {
            Between::Nothing => {}
            Between::Elsewhere => {
                self.lock("production", &json!({"reason": "no"})).await;
                self.start_deploy("production", &self.sha("fix")).await.problem();
            }
            Between::Lock => {
                self.lock("beta", &json!({"reason": "no"})).await;
            }
            Between::Release => {
                let held = active(&self.app, "beta").await.pop().expect("a lock");
                self.app.delete(&format!("/api/v1/locks/{held}")).await.ok();
            }
            Between::Freeze => {
                self.app.post(&beta("freezes"), &window).await.ok();
            }
            Between::FixTakenAway => {
                self.app.delete("/api/v1/issues/SHOP-1/fix").await.ok();
            }
            Between::IssueReopened => {
                self.app.act("SHOP-1", "reopen", json!({})).await.ok();
            }
            Between::Deploy => {
                self.start_deploy("beta", &self.sha("fix")).await.ok();
            }
            Between::Record => {
                self.record("beta", "base").await;
            }
        }
    }

    async fn finish_with(&self, deploy: &Value, over: &Value) -> Answer {
        let path = format!("/api/v1/deploys/{}/finish", id(deploy));
        self.app.post(&path, over).await
    }

    async fn output(&self, deploy: &Value, offset: usize, text: &str) -> Answer {
        let path = format!("/api/v1/deploys/{}/output?offset={offset}", id(deploy));
        Answer::of(self.app.api(Method::POST, &path).body(text.to_owned())).await
    }

    async fn heartbeat(&self, deploy: &Value) -> Answer {
        self.app.post(&format!("/api/v1/deploys/{}/heartbeat", id(deploy)), &json!({})).await
    }

    async fn shown(&self, deploy: &Value) -> Value {
        self.app.get(&format!("/api/v1/deploys/{}", id(deploy))).await.ok()
    }

    async fn deployed(&self, environment: usize) -> Value {
        let project = self.app.get("/api/v1/projects/shop").await.ok();
        project["environments"][environment]["deployed"]["deploy"].clone()
    }
}

fn id(deploy: &Value) -> &str {
    deploy["id"].as_str().expect("an id")
}

/// A pass of the gate, then something else, then the start: whether it starts.
async fn starts_after(engine: Engine, between: Between) -> bool {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let (repositories, project) = (shop.repositories(), shop.stored_project().await);
    let commit = NamedCommit { commit: shop.sha("fix"), repository: None };
    let asked = Asked {
        project: &project,
        environment: project.environment("beta").expect("beta"),
        commit: &commit,
        reports_wait: None,
        locks_unread: None,
        public_url: "",
    };
    let pass = ask(&repositories, &asked).await.expect("a verdict").pass(None).expect("a pass");
    shop.lets(between).await;
    let n_before = shop.app.all("/api/v1/projects/shop/deploys").await.len();
    let taken = take(&repositories, &asked, &Wish::default(), pass, "test").await;
    let n_after = shop.app.all("/api/v1/projects/shop/deploys").await.len();
    let has_started = match taken {
        Ok(_) => true,
        Err(StoreError::Raced) => false,
        Err(other) => panic!("{between:?}: {other}"),
    };
    assert_eq!(n_after - n_before, usize::from(has_started), "{between:?}");
    shop.stop().await;
    has_started
}

both!(what_comes_between_the_verdict_and_the_start_is_judged, |engine: Engine| async move {
    for (between, expected) in [
        (Between::Nothing, true),
        (Between::Elsewhere, true),
        (Between::Lock, false),
        (Between::Release, false),
        (Between::Freeze, false),
        (Between::FixTakenAway, false),
        (Between::IssueReopened, false),
        (Between::Deploy, false),
        (Between::Record, false),
    ] {
        assert_eq!(starts_after(engine, between).await, expected, "{between:?}");
    }
});

both!(a_lock_made_during_a_deploy_holds_up_the_next, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.crash_at("ValueError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let deploy = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let fixed = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    let unfixed = shop.lock("beta", &json!({"issue": "SHOP-2"})).await;
    let manual = shop.lock("beta", &json!({"reason": "migration"})).await;
    shop.heartbeat(&deploy).await.ok();
    let gate = shop.gate("beta", &shop.sha("fix")).await;
    assert_eq!(kinds(&gate), ["issue_lock", "manual_lock", "deploy_running"]);
    // It releases what it proves, and nothing else.
    let finished = shop.finish(&deploy, "succeeded").await;
    assert_eq!(
        (&finished["resolved"], &finished["released_locks"]),
        (&json!(["SHOP-1"]), &json!([fixed["id"]]))
    );
    let left: Vec<Value> = active(&shop.app, "beta").await.into_iter().map(Value::from).collect();
    assert_eq!(left, [unfixed["id"].clone(), manual["id"].clone()]);
    let next = shop.start_deploy("beta", &shop.sha("fix")).await;
    assert_eq!(next.problem(), (409, "gate-blocked".to_owned()));
    shop.stop().await;
});

both!(a_deploy_that_fails_releases_no_lock, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let lock = shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    let deploy = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let failed = shop.finish(&deploy, "failed").await;
    assert_eq!((&failed["resolved"], &failed["released_locks"]), (&json!([]), &json!([])));
    assert_eq!(active(&shop.app, "beta").await, [lock["id"].as_str().expect("an id")]);
    assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");
    assert_eq!(shop.gate("beta", &shop.sha("base")).await["verdict"], "blocked");
    shop.stop().await;
});

both!(many_who_say_the_same_end_at_once_hear_the_same, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    for (kind, issue) in [("KeyError", "SHOP-1"), ("ValueError", "SHOP-2")] {
        shop.crash_at(kind, "base").await;
        shop.fix(issue, &shop.sha("fix")).await.ok();
        shop.lock("beta", &json!({ "issue": issue })).await;
    }
    let deploy = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let over = json!({"status": "succeeded", "exit_code": 0});
    let ends = futures_util::future::join_all((0..8).map(|_| shop.finish_with(&deploy, &over)));
    let mut answers: Vec<Value> = ends.await.iter().map(Answer::ok).collect();
    answers.push(shop.finish_with(&deploy, &over).await.ok());
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
        assert_eq!(answer["resolved"], json!(["SHOP-1", "SHOP-2"]));
        assert_eq!(answer["released_locks"].as_array().map(Vec::len), Some(2));
    }
    for issue in ["SHOP-1", "SHOP-2"] {
        let changes = shop.app.changes(issue).await;
        for kind in ["resolved_by_deploy", "fix_deployed", "unlocked"] {
            let n = changes.iter().filter(|one| *one == kind).count();
            assert_eq!(n, 1, "{issue} {kind}: {changes:?}");
        }
    }
    // Of two that disagree one is refused, and it stays as it was.
    let second = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let failed = json!({"status": "failed"});
    let (one, other) = futures_util::future::join(
        shop.finish_with(&second, &over),
        shop.finish_with(&second, &failed),
    )
    .await;
    let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!(lost.problem(), (409, "deploy-ended".to_owned()));
    assert_eq!(shop.shown(&second).await["status"], won.ok()["status"]);
    shop.stop().await;
});

both!(many_who_send_the_same_output_at_once_add_it_once, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let deploy = shop.start_deploy("beta", &shop.sha("base")).await.ok();
    let beats = futures_util::future::join_all((0..8).map(|_| shop.heartbeat(&deploy)));
    let sent = futures_util::future::join_all((0..8).map(|_| shop.output(&deploy, 0, "one\n")));
    let (beats, sent) = futures_util::future::join(beats, sent).await;
    for answer in beats.iter().chain(&sent) {
        answer.ok();
    }
    shop.output(&deploy, 4, "two\n").await.ok();
    let path = format!("/api/v1/deploys/{}/output", id(&deploy));
    assert_eq!(shop.app.get(&path).await.text, "one\ntwo\n");
    shop.stop().await;
});

both!(what_ended_stays_ended_and_its_output_still_arrives, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let deploy = shop.start_deploy("beta", &shop.sha("base")).await.ok();
    shop.finish(&deploy, "failed").await;
    let late = shop.output(&deploy, 0, "late\n").await.ok();
    assert_eq!(
        (&late["status"], &late["output_bytes"], &late["lease_until"]),
        (&json!("failed"), &json!(5), &json!(null))
    );
    let ended = (409, "deploy-ended".to_owned());
    assert_eq!(shop.heartbeat(&deploy).await.problem(), ended);
    let abandon = format!("/api/v1/deploys/{}/abandon", id(&deploy));
    assert_eq!(shop.app.post(&abandon, &json!({})).await.problem(), ended);
    assert_eq!(shop.gate("beta", &shop.sha("base")).await["verdict"], "clear");
    shop.stop().await;
});

both!(who_lost_the_slot_gets_it_back_from_nobody, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c more").await;
    let (base, more) = (shop.sha("base"), shop.sha("more"));
    let lost = shop.start_deploy("beta", &base).await.ok();
    shop.app.clock.advance(Duration::from_mins(11));
    let holder = shop.start_deploy("beta", &more).await.ok();
    let ended = (409, "deploy-ended".to_owned());
    assert_eq!(shop.heartbeat(&lost).await.problem(), ended);
    assert_eq!(shop.output(&lost, 0, "still here\n").await.ok()["status"], "lost");
    assert_eq!(shop.shown(&holder).await["status"], "running");
    // Its end is its own: it takes nothing from who holds the slot.
    shop.app.clock.advance(Duration::from_mins(1));
    let finished = shop.finish(&lost, "succeeded").await;
    assert_eq!(finished["status"], "succeeded");
    assert_eq!(shop.shown(&holder).await["status"], "running");
    assert_eq!(shop.start_deploy("beta", &base).await.problem().1, "deploy-running");
    assert_eq!(shop.deployed(0).await, lost["id"]);
    shop.finish(&holder, "succeeded").await;
    assert_eq!(shop.deployed(0).await, holder["id"]);
    // What was given up is lost as well, and can still say how it went.
    let given_up = shop.start_deploy("beta", &base).await.ok();
    let abandon = format!("/api/v1/deploys/{}/abandon", id(&given_up));
    for _ in 0..2 {
        assert_eq!(shop.app.post(&abandon, &json!({})).await.ok()["status"], "lost");
    }
    assert_eq!(shop.finish(&given_up, "failed").await["status"], "failed");
    assert_eq!(shop.deployed(0).await, holder["id"]);
    shop.stop().await;
});

both!(a_lease_that_is_over_is_renewed_while_nobody_took_the_slot, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let path = Shop::environment("beta", "deploys");
    let wish = json!({"commit": shop.sha("base"), "lease_seconds": 60});
    let deploy = shop.app.post(&path, &wish).await.ok();
    let mut n_won = 0;
    for _ in 0..10 {
        shop.app.clock.advance(Duration::from_secs(61));
        let (beat, start) = futures_util::future::join(
            shop.heartbeat(&deploy),
            shop.start_deploy("beta", &shop.sha("base")),
        )
        .await;
        // Never both: who is told that it runs has the slot.
        assert!(!(beat.status == 200 && start.status == 201), "{beat:?} {start:?}");
        if start.status == 201 {
            n_won += 1;
            break;
        }
        if beat.status != 200 {
            break;
        }
    }
    let listed = shop.app.all("/api/v1/projects/shop/deploys").await;
    let running = listed.iter().filter(|one| one["status"] == "running").count();
    assert!(running <= 1 && listed.len() == 1 + n_won, "{listed:?}");
    shop.stop().await;
});
