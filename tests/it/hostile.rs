//! What an attacker sends costs nobody else anything.

mod bombs;
mod secrets;
mod slow;

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{Answer, Engine, Process, TOKEN, client, until};

/// The real binary with the project `shop`.
struct Target {
    server: Process,
    client: reqwest::Client,
    id: i64,
    key: String,
    _folder: TempDir,
}

impl Target {
    async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Engine::Sqlite.database(folder.path()).await;
        let mut serve = Process::command(folder.path(), &database, "warn");
        serve.args(arguments);
        Self::of(folder, serve, Stdio::null()).await
    }

    async fn of(folder: TempDir, mut serve: Command, log: Stdio) -> Self {
        serve.stderr(log);
        let server = Process::start_logging(serve).await;
        let client = client();
        let request = client.post(format!("{}/api/v1/projects", server.url)).bearer_auth(TOKEN);
        let made = Answer::of(request.json(&json!({"slug": "shop"}))).await.ok();
        let dsn = made["dsn"].as_str().expect("a DSN");
        let key = dsn.split(['/', '@']).nth(2).expect("a key").to_owned();
        let id = made["id"].as_i64().expect("an id");
        Self { server, client, id, key, _folder: folder }
    }

    fn address(&self) -> std::net::SocketAddr {
        self.server.url.trim_start_matches("http://").parse().expect("an address")
    }

    /// A report to an endpoint, as a client with its key.
    fn report(&self, endpoint: &str) -> reqwest::RequestBuilder {
        let Self { id, key, .. } = self;
        self.client.post(format!("{}/api/{id}/{endpoint}/?sentry_key={key}", self.server.url))
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.server.url));
        Answer::of(request.bearer_auth(TOKEN)).await.ok()
    }

    /// The titles of the issues, sorted, once everything is digested.
    async fn titles(&self) -> Vec<String> {
        until("the spool to be drained", async || {
            self.get("/status.json").await["parts"]["spool"]["backlog"] == 0
        })
        .await;
        let page = self.get("/api/v1/projects/shop/issues?limit=100").await;
        let title = |issue: &Value| issue["title"].as_str().expect("a title").to_owned();
        let mut titles: Vec<_> =
            page["items"].as_array().expect("items").iter().map(title).collect();
        titles.sort();
        titles
    }
}
