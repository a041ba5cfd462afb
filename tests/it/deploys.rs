//! From crash to deploy: fixes, releases, deploys, locks and the gate.

mod airbrake;
mod away;
mod checkout;
mod clock;
mod docs;
mod flags;
mod gate;
mod histories;
mod hooks;
mod hostile;
mod joined;
mod kills;
mod nodes;
mod races;
mod releases;
mod repositories;
mod sentry_cli;
mod slot;
mod story;
mod submitted;
mod tasks;
mod twins;
mod unsure;

use serde_json::{Value, json};

use crate::git::Repository;
use crate::support::{Answer, Engine, TestApp, TestProject, crash, until, with};

/// A shop with a repository and an application that crashes.
struct Shop {
    app: TestApp,
    project: TestProject,
    git: Repository,
}

impl Shop {
    /// With this history; `base` is what is said to crash first.
    async fn start(engine: Engine, script: &str) -> Self {
        let app = TestApp::start(engine).await;
        let project = app.create_project("shop").await;
        let git = Repository::new();
        git.run(script);
        let wish = json!({"name": "web", "url": git.path(), "branches": ["main", "release/*"]});
        app.post("/api/v1/projects/shop/repositories", &wish).await.ok();
        let shop = Self { app, project, git };
        shop.fetch().await;
        shop
    }

    /// The same, where nobody lets Airlock fetch the repository.
    async fn start_without_access(engine: Engine, script: &str) -> Self {
        let app = TestApp::start(engine).await;
        let project = app.create_project("shop").await;
        let git = Repository::new();
        git.run(script);
        Self { app, project, git }
    }

    /// As after a stop and a start.
    async fn restart(self) -> Self {
        let Self { app, project, git } = self;
        Self { app: app.restart().await, project, git }
    }

    async fn stop(self) {
        self.app.stop().await;
    }

    /// Brings the mirror up to date.
    async fn fetch(&self) {
        self.app.post("/api/v1/projects/shop/repositories/web/fetch", &json!({})).await.ok();
    }

    /// Adds to the history, and fetches it.
    async fn push(&self, script: &str) {
        self.git.run(script);
        self.fetch().await;
    }

    /// The commit of this name.
    fn sha(&self, name: &str) -> String {
        self.git.names()[name].to_string()
    }

    /// A crash in a release; the event's id.
    async fn crash_in(&self, kind: &str, release: &str) -> String {
        let fields = json!({"release": release, "timestamp": self.app.clock.now().to_string()});
        self.app.send(&self.project, &with(crash(kind), &fields)).await
    }

    /// A crash of the build of a commit.
    async fn crash_at(&self, kind: &str, name: &str) -> String {
        self.crash_in(kind, &format!("shop@{}", self.sha(name))).await
    }

    /// The verdict on an event, once it is not undetermined any more.
    async fn settled(&self, event: &str) -> (String, String) {
        until("the event is settled", async || self.app.verdict(event).await.0 != "undetermined")
            .await;
        self.app.verdict(event).await
    }

    async fn fix(&self, id: &str, commit: &str) -> Answer {
        let path = format!("/api/v1/issues/{id}/fix");
        self.app.put(&path, &json!({ "commit": commit })).await
    }

    /// What an issue's status is, and what became of its fix.
    async fn state(&self, id: &str) -> (String, String) {
        let issue = self.app.issue(id).await;
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        (text(&issue["status"]), text(&issue["fix"]["state"]))
    }

    fn environment(name: &str, path: &str) -> String {
        format!("/api/v1/projects/shop/environments/{name}/{path}")
    }

    async fn gate(&self, environment: &str, commit: &str) -> Value {
        let path = Self::environment(environment, &format!("gate?commit={commit}"));
        self.app.get(&path).await.ok()
    }

    async fn lock(&self, environment: &str, lock: &Value) -> Value {
        self.app.post(&Self::environment(environment, "locks"), lock).await.ok()
    }

    async fn start_deploy(&self, environment: &str, commit: &str) -> Answer {
        let path = Self::environment(environment, "deploys");
        self.app.post(&path, &json!({ "commit": commit })).await
    }

    async fn finish(&self, deploy: &Value, status: &str) -> Value {
        let path = format!("/api/v1/deploys/{}/finish", deploy["id"].as_str().expect("an id"));
        self.app.post(&path, &json!({ "status": status })).await.ok()
    }

    /// A deploy from start to end; a minute goes by.
    async fn deploy(&self, environment: &str, name: &str) -> Value {
        let started = self.start_deploy(environment, &self.sha(name)).await.ok();
        self.app.clock.advance(std::time::Duration::from_mins(1));
        self.finish(&started, "succeeded").await
    }

    /// A deploy that nobody asked the gate for.
    async fn record(&self, environment: &str, name: &str) -> Value {
        let over = json!({"commit": self.sha(name), "status": "succeeded"});
        self.app.post(&Self::environment(environment, "deploys"), &over).await.ok()
    }
}

/// The ids of locks that are active.
async fn active(app: &TestApp, environment: &str) -> Vec<String> {
    let path = Shop::environment(environment, "locks");
    let all = app.all(&path).await;
    all.iter().map(|lock| lock["id"].as_str().expect("an id").to_owned()).collect()
}

/// The kinds of the blockers of a verdict.
fn kinds(gate: &Value) -> Vec<&str> {
    let blockers = gate["blockers"].as_array().expect("a list");
    blockers.iter().map(|one| one["kind"].as_str().expect("a kind")).collect()
}
