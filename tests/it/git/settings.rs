//! What the machine and the user would have git do changes nothing.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use super::Repository;
use crate::support::{Answer, Process, TOKEN, TestProject, client, crash, until};

/// A server in a process of its own.
struct Server(Process);

impl Server {
    async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let url = format!("{}/api/v1/{path}", self.0.url);
        Answer::of(client().request(method, url).bearer_auth(TOKEN).json(body)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.call(Method::POST, path, body).await.ok()
    }

    /// Whether production may get a commit.
    async fn verdict(&self, commit: &str) -> Value {
        let path = format!("projects/shop/environments/production/gate?commit={commit}");
        self.call(Method::GET, &path, &Value::Null).await.ok()["verdict"].clone()
    }
}

#[tokio::test]
async fn settings_and_attributes_of_the_user_do_not_change_what_the_same_patch_is() {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(home.path().join(".config/git")).expect("a folder");
    // Without context more would be the same; as binaries less.
    let settings = "[diff]\n\tcontext = 0\n";
    fs::write(home.path().join(".gitconfig"), settings).expect("a file");
    fs::write(home.path().join(".config/git/attributes"), "* binary\n").expect("a file");
    let git = Repository::new();
    git.run(
        "fix() { tick; sed -i 's/^15$/fifteen/' text; git commit -qam Fix; name $1; }
         seq 30 > text; c base; sed -i 1d text; on release base; c before; on main; fix fix; \
         on release; fix same; on elsewhere base; sed -i s/^14$/other/ text; c differs; fix another; \
         git checkout -q main",
    );
    let data = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite:{}", data.path().join("store").display());
    let mut serve = Process::command(data.path(), &database, "warn");
    serve.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME");
    serve.env("AIRLOCK_GIT_PROTOCOLS", "file");
    let server = Server(Process::start(serve).await);
    let made = server.post("projects", &json!({"slug": "shop"})).await;
    let project = TestProject::of(&made, "shop");
    let wish = json!({"name": "web", "url": git.path(), "branches": ["main", "release"]});
    server.post("projects/shop/repositories", &wish).await;
    server.post("projects/shop/repositories/web/fetch", &json!({})).await;

    let store = format!("{}/api/{}/store/?sentry_key={}", server.0.url, project.id, project.key);
    Answer::of(client().post(store).json(&crash("KeyError"))).await.ok();
    until("there is an issue", async || {
        server.call(Method::GET, "issues/SHOP-1", &Value::Null).await.status.is_success()
    })
    .await;
    let lock = json!({"issue": "SHOP-1"});
    server.post("projects/shop/environments/production/locks", &lock).await;
    let sha = |name: &str| git.names()[name].to_string();
    let fix = json!({"commit": sha("fix")});
    server.call(Method::PUT, "issues/SHOP-1/fix", &fix).await.ok();
    assert_eq!(server.verdict(&sha("same")).await, "clear");
    assert_eq!(server.verdict(&sha("another")).await, "blocked");
    assert!(server.0.terminate().await.success());
}
