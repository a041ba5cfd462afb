//! Commands of scripts, and a real server that goes away and comes back.

use std::process::{Output, Stdio};

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::Shop;
use crate::support::{Engine, TOKEN, airlock, both, until};

/// A command of a script, with its own spool.
fn command(shop: &Shop, folder: &TempDir, words: &[&str]) -> Command {
    let mut command = airlock();
    command.args(words).current_dir(folder.path()).stdin(Stdio::null());
    command.env("AIRLOCK_URL", shop.app.url("")).env("AIRLOCK_TOKEN", TOKEN);
    command.env("AIRLOCK_SPOOL", folder.path().join("spool"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(shop: &Shop, folder: &TempDir, words: &[&str]) -> Output {
    command(shop, folder, words).output().await.expect("it runs")
}

both!(what_a_deploy_could_not_send_arrives_when_the_server_is_back, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let folder = tempfile::tempdir().expect("a folder");
    let script = "echo begun; touch begun; while [ ! -e go ]; do sleep 0.1; done; echo pushed";
    let base = shop.sha("base");
    let words = ["deploy", "shop/beta", "--commit", &base, "--", "sh", "-c", script];
    let deploy = command(&shop, &folder, &words).spawn().expect("it runs");
    until("the command runs", async || folder.path().join("begun").exists()).await;
    let meanwhile = async {
        std::fs::write(folder.path().join("go"), "").expect("a file");
        let ended = deploy.wait_with_output().await.expect("it ended");
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "begun\npushed\n");
    };
    let Shop { app, project, git } = shop;
    let shop = Shop { app: app.away(meanwhile).await, project, git };
    let sent = run(&shop, &folder, &["deploy", "flush"]).await;
    assert!(sent.status.success(), "{sent:?}");
    until("the end is known", async || {
        shop.app.all("/api/v1/projects/shop/deploys?environment=beta").await[0]["status"]
            == "succeeded"
    })
    .await;
    let deploys = shop.app.all("/api/v1/projects/shop/deploys?environment=beta").await;
    assert_eq!(deploys.len(), 1);
    let id = deploys[0]["id"].as_str().expect("an id");
    let output = shop.app.get(&format!("/api/v1/deploys/{id}/output")).await.text;
    assert_eq!(output, "begun\npushed\n");
    shop.stop().await;
});

both!(a_gate_that_is_waited_for_opens, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let folder = tempfile::tempdir().expect("a folder");
    let lock = shop.lock("beta", &json!({"reason": "the import runs"})).await;
    let base = shop.sha("base");
    let words = ["gate", "shop/beta", "--commit", &base, "--wait", "1m"];
    let waiting = command(&shop, &folder, &words).spawn().expect("it runs");
    crate::support::pause(1_000).await;
    let path = format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"));
    shop.app.delete(&path).await.ok();
    let ended = waiting.wait_with_output().await.expect("it ended");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(said.matches("the import runs").count(), 1, "{said}");
    shop.stop().await;
});
