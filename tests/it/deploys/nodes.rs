//! Two nodes that share a store and the folder of mirrors.

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use super::{Shop, kinds};
use crate::git::Repository;
use crate::support::{Engine, TestApp};

const FETCH: &str = "/api/v1/projects/shop/repositories/web/fetch";

/// A node on this store, whose mirrors are in a folder that it shares.
async fn node(database: &str, mirrors: &std::path::Path) -> TestApp {
    TestApp::start_with(Engine::Postgres, |config| {
        config.database = Some(database.to_owned());
        std::fs::create_dir_all(&config.data).expect("a folder");
        symlink(mirrors, config.data.join("git")).expect("a link");
    })
    .await
}

async fn gate(node: &TestApp, commit: &str) -> Value {
    node.get(&Shop::environment("beta", &format!("gate?commit={commit}"))).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_share_mirrors_agree_and_damage_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mirrors = folder.path().join("mirrors");
    std::fs::create_dir(&mirrors).expect("a folder");
    let database = Engine::Postgres.database(folder.path()).await;
    let one = node(&database, &mirrors).await;
    let other = node(&database, &mirrors).await;
    one.create_project("shop").await;
    let git = Repository::new();
    git.run("c base");
    let sha = |name: &str| git.names()[name].to_string();
    let wish = json!({"name": "web", "url": git.path()});
    one.post("/api/v1/projects/shop/repositories", &wish).await.ok();
    one.post(FETCH, &json!({})).await.ok();
    // The other has fetched nothing, and reads what is there.
    assert_eq!(gate(&other, &sha("base")).await["verdict"], "clear");

    let mut n_commits = 1;
    for round in 0..5 {
        let name = format!("n{round}");
        git.run(&format!("c {name}"));
        n_commits += 1;
        let body = json!({});
        let (here, there) = tokio::join!(one.post(FETCH, &body), other.post(FETCH, &body));
        for fetched in [here.ok(), there.ok()] {
            assert_eq!(fetched["commits"], n_commits, "{fetched}");
        }
        // What only one of them fetched the other looks for when it is asked.
        let late = format!("late{round}");
        git.run(&format!("c {late}"));
        n_commits += 1;
        one.post(FETCH, &body).await.ok();
        for node in [&one, &other] {
            assert_eq!(gate(node, &sha(&name)).await["verdict"], "clear", "{name}");
            assert_eq!(gate(node, &sha(&late)).await["verdict"], "clear", "{late}");
        }
    }

    // A lock made at one holds at the other, and is cleared at both by the fix.
    let lock = json!({"reason": "migration"});
    let lock = one.post(&Shop::environment("beta", "locks"), &lock).await.ok();
    for node in [&one, &other] {
        assert_eq!(kinds(&gate(node, &sha("base")).await), ["manual_lock"]);
    }
    other.delete(&format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"))).await.ok();
    // Of many who start at both one wins; its end at the other is everybody's.
    let wish = json!({"commit": sha("late4")});
    let path = Shop::environment("beta", "deploys");
    let starts = (0..20).map(|n| if n % 2 == 0 { &one } else { &other }.post(&path, &wish));
    let answers = futures_util::future::join_all(starts).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(won.len(), 1);
    let deploy = won[0].ok();
    let finish = format!("/api/v1/deploys/{}/finish", deploy["id"].as_str().expect("an id"));
    let over = json!({"status": "succeeded"});
    let (here, there) = tokio::join!(one.post(&finish, &over), other.post(&finish, &over));
    assert_eq!(here.ok(), there.ok());
    for node in [&one, &other] {
        let project = node.get("/api/v1/projects/shop").await.ok();
        assert_eq!(project["environments"][0]["deployed"]["deploy"], deploy["id"]);
    }

    let mirror = std::fs::read_dir(&mirrors).expect("a folder").next().expect("a mirror");
    let repository = mirror.expect("an entry").path().join("repository.git");
    let mut fsck = Command::new("git");
    fsck.arg("--git-dir").arg(&repository).args(["fsck", "--strict"]);
    let fsck = fsck.output().expect("git");
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stderr));
    one.stop().await;
    other.stop().await;
}
