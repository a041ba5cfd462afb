//! Deploys from a checkout, where nobody lets the server fetch the repository.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::Shop;
use crate::support::{Engine, TOKEN, airlock, both};

const REPOSITORIES: &str = "/api/v1/projects/shop/repositories";

/// A shop whose repository is not fetched.
async fn shop(engine: Engine, script: &str) -> Shop {
    let shop = Shop::start_without_access(engine, script).await;
    shop.app.post(REPOSITORIES, &json!({"name": "web"})).await.ok();
    shop
}

impl Shop {
    /// Runs a command in a folder; it goes well.
    async fn run_in(&self, folder: &Path, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = airlock()
            .args(words)
            .current_dir(folder)
            .env("AIRLOCK_URL", self.project.server())
            .env("AIRLOCK_TOKEN", TOKEN)
            .env("AIRLOCK_SPOOL", self.app.config.data.join("kept"))
            .env_remove("AIRLOCK_BRANCH")
            .stdin(Stdio::null())
            .output()
            .await
            .expect("it runs");
        let said =
            format!("{}{}", String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout));
        assert!(status.success(), "{words:?}: {said}");
        said
    }

    /// Runs a command in the checkout.
    async fn run(&self, words: &[&str]) -> String {
        self.run_in(&self.git.path(), words).await
    }

    async fn n_submitted(&self) -> Value {
        self.app.all(REPOSITORIES).await[0]["submitted"].clone()
    }
}

both!(a_deploy_submits_the_commits_of_its_checkout, |engine: Engine| async move {
    let shop = shop(engine, "c old; c base; on topic; c work; on main; merge merged topic").await;
    let said = shop.run(&["deploy", "shop/beta", "--", "true"]).await;
    assert!(said.contains("4 commits of this checkout submitted"), "{said}");
    assert!(said.contains("succeeded"), "{said}");
    assert_eq!(shop.n_submitted().await, 4);
    shop.crash_at("KeyError", "merged").await;
    shop.crash_at("ValueError", "merged").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;

    // What is fixed on the branch is known to be, by its message.
    shop.git.run("c fix fix 'Mend it\n\nFixes: SHOP-1'; c later");
    let said = shop.run(&["deploy", "record", "shop/beta", "--status", "succeeded"]).await;
    assert!(said.contains("2 commits of this checkout") && said.contains("SHOP-1"), "{said}");
    assert_eq!(shop.state("SHOP-1").await, ("resolved".to_owned(), "standing".to_owned()));
    let said = shop.run(&["deploy", "shop/production", "--", "true"]).await;
    assert!(!said.contains("submitted") && said.contains("released 1 lock"), "{said}");

    // A branch that does not count names nothing; one that is only told may.
    shop.git.run("on other; c more more 'Mend more\n\nFixes: SHOP-2'");
    let started = shop.run(&["deploy", "start", "shop/beta"]).await;
    let id = started.lines().last().expect("an id").to_owned();
    shop.run(&["deploy", "finish", &id, "--status", "failed"]).await;
    assert_eq!(shop.state("SHOP-2").await.1, "-");
    shop.git.run("git checkout -q --detach");
    shop.run(&["release", "shop", "2.0", "--branch", "main"]).await;
    assert_eq!(shop.state("SHOP-2").await, ("fix_pending".to_owned(), "standing".to_owned()));
    let release = shop.app.get("/api/v1/projects/shop/releases/2.0").await.ok();
    assert_eq!(release["commits"], json!([{"repository": "web", "commit": shop.sha("more")}]));
    assert_eq!(shop.n_submitted().await, 7);
    shop.stop().await;
});

both!(beyond_the_end_of_a_shallow_checkout_nobody_can_tell, |engine: Engine| async move {
    let shop = shop(engine, "c ancient; c base; c fix; c last").await;
    let shallow = shop.git.path().join("../shallow");
    shop.git.run("git clone -q --depth 2 \"file://$PWD\" ../shallow");
    shop.run_in(&shallow, &["deploy", "shop/beta", "--", "true"]).await;
    assert_eq!(shop.n_submitted().await, 2);
    shop.crash_in("KeyError", "0.9").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("ancient")).await.ok();
    assert_eq!(shop.gate("production", &shop.sha("last")).await["verdict"], "blocked");
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    // A whole checkout fills the gap, also below what is known.
    shop.run(&["deploy", "shop/beta", "--", "true"]).await;
    assert_eq!(shop.n_submitted().await, 4);
    shop.fix("SHOP-1", &shop.sha("ancient")).await.ok();
    assert_eq!(shop.gate("production", &shop.sha("last")).await["verdict"], "clear");
    shop.stop().await;
});

#[tokio::test]
async fn what_is_not_to_be_submitted_is_not() {
    let shop = Shop::start(Engine::Sqlite, "c base; c fix").await;
    let said = shop.run(&["deploy", "shop/beta", "--", "true"]).await;
    assert!(!said.contains("submitted"), "a repository that is fetched: {said}");
    // Nobody guesses which repository the checkout is of.
    shop.app.post(REPOSITORIES, &json!({"name": "api"})).await.ok();
    let said = shop.run(&["deploy", "shop/beta", "--", "true"]).await;
    assert!(said.contains("--repository: api, web"), "{said}");
    let named = ["deploy", "shop/beta", "--repository", "web", "--", "true"];
    assert!(!shop.run(&named).await.contains("submitted"));
    assert_eq!(shop.n_submitted().await, 0);
    // A commit that is not in the checkout here is of another one.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let fix = shop.sha("fix");
    let named = ["deploy", "shop/beta", "--repository", "web", "--commit", &fix, "--", "true"];
    shop.run_in(elsewhere.path(), &named).await;
    shop.stop().await;
}
