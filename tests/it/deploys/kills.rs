//! The real server, killed while scripts deploy and while it fetches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, kinds};
use crate::git::Repository;
use crate::support::{Answer, Engine, Process, Script, TestApp, both, crash, pause, until, with};

/// So many stories are told.
const STORIES: usize = 8;

/// So many kills it takes at least, or they hit nothing.
const LEAST_KILLS: u64 = 5;

const REPOSITORIES: &str = "/api/v1/projects/shop/repositories";

impl Script {
    async fn gate(&self, commit: &str) -> Value {
        self.get(&Shop::environment("beta", &format!("gate?commit={commit}"))).await
    }

    /// Starts a deploy; with its key, whoever was not heard asks again for the same.
    async fn start(&self, commit: &str) -> Value {
        let wish = json!({"commit": commit, "key": format!("run of {commit}")});
        self.post(&Shop::environment("beta", "deploys"), wish).await
    }
}

/// From the lock to the end of a deploy with the fix: what was acknowledged is so from then on.
async fn story(script: &Script, number: usize, (before, fix): (&str, &str)) -> Value {
    let issue = format!("SHOP-{number}");
    let locks = Shop::environment("beta", "locks");
    let lock = script.post(&locks, json!({"issue": issue})).await;
    let gate = script.gate(fix).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["issue_lock"]));
    let path = format!("/api/v1/issues/{issue}/fix");
    script.ok(Method::PUT, &path, json!({"commit": fix})).await;
    let gate = script.gate(before).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["issue_lock"]));
    let gate = script.gate(fix).await;
    assert_eq!(gate["verdict"], "clear", "{gate}");

    let deploy = script.start(fix).await;
    let id = deploy["id"].as_str().expect("an id");
    let gate = script.gate(fix).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["deploy_running"]));
    script.post(&format!("/api/v1/deploys/{id}/heartbeat"), json!({})).await;
    let finish = format!("/api/v1/deploys/{id}/finish");
    let over = json!({"status": "succeeded", "exit_code": 0});
    let finished = script.post(&finish, over.clone()).await;
    assert_eq!(finished["resolved"], json!([issue]), "{finished}");
    assert_eq!(finished["released_locks"], json!([lock["id"]]), "{finished}");
    assert_eq!(script.post(&finish, over).await, finished);
    assert_eq!(script.get(&format!("/api/v1/issues/{issue}")).await["status"], "resolved");
    finished
}

/// A server on this store with a shop whose issues have each a commit that fixes it.
async fn serve(data: &std::path::Path, database: &str) -> Process {
    let mut command = Process::command(data, database, "warn");
    command.env("AIRLOCK_GIT_PROTOCOLS", "file,http").env("AIRLOCK_ALLOW_NETWORKS", "127.0.0.0/8");
    Process::start(command).await
}

async fn open(script: &Script, git: &Repository) {
    let made = script.post("/api/v1/projects", json!({"slug": "shop"})).await;
    script.post(REPOSITORIES, json!({"name": "web", "url": git.path()})).await;
    script.post(&format!("{REPOSITORIES}/web/fetch"), json!({})).await;
    let key = made["dsn"].as_str().expect("a DSN").split(['/', '@']).nth(2).expect("a key");
    let (project, base) = (&made["id"], &git.names()["base"]);
    for number in 1..=STORIES {
        let event =
            with(crash(&format!("Error{number:02}")), &json!({"release": base.to_string()}));
        script.post(&format!("/api/{project}/store/?sentry_key={key}"), event).await;
    }
    until("all issues", async || {
        let issue = format!("/api/v1/issues/SHOP-{STORIES}");
        script.send(Method::GET, &issue, Value::Null).await.0 == 200
    })
    .await;
}

both!(
    kills_in_the_middle_of_deploys_lose_nothing_and_double_nothing,
    |engine: Engine| async move {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let database = engine.database(folder.path()).await;
        let git = Repository::new();
        git.run(&format!("c base; for i in $(seq 1 {STORIES}); do c fix$i; done"));
        let names = git.names();
        let sha = |number: usize| match number {
            0 => names["base"].to_string(),
            number => names[&format!("fix{number}")].to_string(),
        };
        let mut server = serve(&data, &database).await;
        let script = Script::of(&server);
        open(&script, &git).await;

        let is_over = AtomicBool::new(false);
        let stories = async {
            let mut told = Vec::new();
            for number in 1..=STORIES {
                told.push(story(&script, number, (&sha(number - 1), &sha(number))).await);
            }
            is_over.store(true, Ordering::Relaxed);
            told
        };
        let kills = async {
            let mut n_kills = 0;
            while !is_over.load(Ordering::Relaxed) {
                // Different moments, so that every step is hit sooner or later; less and less
                // often, so that a slow machine comes to an end.
                pause(20 + (n_kills * 37) % 210 + 5 * n_kills).await;
                server.kill().await;
                server = serve(&data, &database).await;
                script.moved_to(&server);
                n_kills += 1;
            }
            (n_kills, server)
        };
        let (told, (n_kills, server)) = tokio::join!(stories, kills);
        assert!(n_kills >= LEAST_KILLS, "{n_kills} kills: the test tests nothing");

        // Each deploy is there once and as it was said to have ended.
        let listed = script.get("/api/v1/projects/shop/deploys?limit=100").await;
        let mut listed = listed["items"].as_array().expect("a list").clone();
        listed.reverse();
        // Their tasks follow.
        let known = |deploy: &Value| with(deploy.clone(), &json!({"task": null}));
        let told: Vec<Value> = told.iter().map(known).collect();
        assert_eq!(listed.iter().map(known).collect::<Vec<_>>(), told);
        assert_eq!(script.get(&Shop::environment("beta", "locks")).await["items"], json!([]));
        for number in 1..=STORIES {
            let path = format!("/api/v1/issues/SHOP-{number}/activity?limit=100");
            let activity = script.get(&path).await;
            let items = activity["items"].as_array().expect("a list");
            let mut changes: Vec<_> = items.iter().filter_map(|one| one["kind"].as_str()).collect();
            changes.reverse();
            let expected = [
                "opened",
                "became_serious",
                "locked",
                "fix_tagged",
                "fix_deployed",
                "resolved_by_deploy",
                "unlocked",
            ];
            assert_eq!(changes, expected, "SHOP-{number}");
        }
        assert!(server.terminate().await.success());
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_a_fetch_holds_up_no_deploy() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let database = Engine::Sqlite.database(folder.path()).await;
    let git = Repository::new();
    git.run("c base");
    let base = git.names()["base"].to_string();
    let server = serve(&data, &database).await;
    let script = Script::of(&server);
    script.post("/api/v1/projects", json!({"slug": "shop"})).await;
    script.post(REPOSITORIES, json!({"name": "web", "url": git.path()})).await;
    let fetch = format!("{REPOSITORIES}/web/fetch");
    script.post(&fetch, json!({})).await;
    // From now on it hangs: its host accepts connections and never says anything.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hanging = format!("http://{}/shop", silent.local_addr().expect("an address"));
    let web = format!("{REPOSITORIES}/web");
    script.ok(Method::PATCH, &web, json!({"url": hanging})).await;
    let nothing = json!({});
    let hangs = script.try_once(&Method::POST, &fetch, &nothing);
    let killed = async {
        let connection = silent.accept().await.expect("git");
        server.kill().await;
        connection
    };
    let (answer, (connection, _)) = tokio::join!(hangs, killed);
    assert_eq!(answer, None);

    let server = serve(&data, &database).await;
    script.moved_to(&server);
    // The git of the one that was killed still has the mirror; what is known is known.
    let story = async {
        assert_eq!(script.gate(&base).await["verdict"], "clear");
        let deploy = script.start(&base).await;
        let finish = format!("/api/v1/deploys/{}/finish", deploy["id"].as_str().expect("an id"));
        script.post(&finish, json!({"status": "succeeded"})).await
    };
    let finished = tokio::time::timeout(Duration::from_secs(5), story).await;
    assert_eq!(finished.expect("nobody waits for git")["status"], "succeeded");
    drop((silent, connection));
    git.run("c more");
    script.ok(Method::PATCH, &web, json!({"url": git.path()})).await;
    assert_eq!(script.post(&fetch, json!({})).await["commits"], 2);
    assert_eq!(script.gate(&git.names()["more"].to_string()).await["verdict"], "clear");
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_hangs_holds_up_no_deploy_and_the_next_one_keeps_its_commit() {
    let app = TestApp::start_with(Engine::Sqlite, |config| {
        config.git_protocols = "file,http".parse().expect("protocols");
    })
    .await;
    let project = app.create_project("shop").await;
    let git = Repository::new();
    git.run("c base; c fix");
    app.post(REPOSITORIES, &json!({"name": "web", "url": git.path()})).await.ok();
    let shop = Shop { app, project, git };
    shop.fetch().await;
    shop.crash_at("KeyError", "base").await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hanging = format!("http://{}/shop", silent.local_addr().expect("an address"));
    let web = format!("{REPOSITORIES}/web");
    shop.app.patch(&web, &json!({"url": hanging})).await.ok();
    let fetch = shop.app.api(Method::POST, &format!("{REPOSITORIES}/web/fetch"));
    let during = async {
        let connection = silent.accept().await.expect("git");
        let story = async {
            shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
            shop.deploy("beta", "fix").await
        };
        let deployed = tokio::time::timeout(Duration::from_secs(5), story).await;
        // Who asks for what may have been pushed just now waits a while, and is told why nobody knows.
        let gate = shop.gate("beta", &"ab".repeat(20)).await;
        assert_eq!(gate["verdict"], "unknown", "{gate}");
        let reason = gate["blockers"][0]["reason"].as_str().expect("a reason");
        assert!(reason.contains("a fetch goes on"), "{reason}");
        drop((connection, silent));
        deployed.expect("nobody waits for git")
    };
    let (fetched, deployed) = tokio::join!(Answer::of(fetch), during);
    assert_eq!(deployed["resolved"], json!(["SHOP-1"]));
    assert_eq!(fetched.problem(), (502, "fetch-failed".to_owned()));
    // Gone at its host by now, and not yet kept here.
    shop.git.run(
        "git reset -q --hard HEAD~1; git reflog expire --expire=now --all; git gc -q --prune=now",
    );
    shop.app.patch(&web, &json!({"url": shop.git.path()})).await.ok();
    shop.fetch().await;
    let mirror = std::fs::read_dir(shop.app.data().join("git")).expect("a folder").next();
    let repository = mirror.expect("a mirror").expect("an entry").path().join("repository.git");
    let kept = repository.join("refs/airlock/keep").join(shop.sha("fix"));
    assert!(kept.exists(), "{} is not kept", shop.sha("fix"));
    shop.stop().await;
}
