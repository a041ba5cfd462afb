//! Other people's trackers: the fakes are what they stand for, and Airlock's tasks are in them.

mod any_failure;
mod asana;
mod asana_acts;
mod asana_faults;
mod asana_hooks;
mod asana_tasks;
mod boards;
mod connecting;
mod github;
mod github_acts;
mod kills;
mod redmine;
mod settings;

use std::time::Duration;

use airlock::config::Config;
use serde_json::{Value, json};

use crate::support::asana::{Asana, Task};
use crate::support::{Engine, TestApp, TestProject, until};

const TRACKER: &str = "/api/v1/projects/shop/tracker";

/// How often a tracker is asked what is new.
const POLL: Duration = Duration::from_mins(1);

/// How many issues there are where anything may fail.
fn n_issues() -> usize {
    let said = std::env::var("AIRLOCK_TEST_ISSUES").ok();
    said.map_or(24, |text| text.parse().expect("AIRLOCK_TEST_ISSUES is a number"))
}

/// A shop where every error is serious, whose tasks are in Asana.
struct Connected {
    app: TestApp,
    shop: TestProject,
    asana: Asana,
    /// The project of the issues' tasks.
    errors: String,
}

impl Connected {
    /// With a token of this kind, and a tracker that must answer within a second.
    async fn start(engine: Engine, token: &str) -> Self {
        Self::start_with(engine, token, Duration::from_secs(1)).await
    }

    async fn start_with(engine: Engine, token: &str, timeout: Duration) -> Self {
        Self::start_as(engine, token, |config| config.tracker_timeout = timeout).await
    }

    async fn start_as(engine: Engine, token: &str, change: impl FnOnce(&mut Config)) -> Self {
        let app = TestApp::start_with(engine, change).await;
        let shop = app.create_project("shop").await;
        let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": 1000});
        app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
        let asana = Asana::start(app.clock.clone()).await;
        let errors = asana.project("Errors");
        let connected = Self { app, shop, asana, errors };
        connected.connect(token, &json!({})).await;
        connected
    }

    /// Sets the tracker, with more settings.
    async fn connect(&self, token: &str, more: &Value) -> Value {
        let mut settings = json!({
            "kind": "asana", "url": self.asana.url, "token": token, "issue_project": self.errors,
        });
        let fields = settings.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        self.app.put(TRACKER, &settings).await.ok()
    }

    /// Waits until nothing is left in the outbox, while time goes by.
    async fn delivered(&self) {
        delivered(&self.app).await;
    }

    /// Lets Asana be asked once, and everything that follows be done.
    async fn polled(&self) {
        polled(&self.app).await;
    }

    /// The only task of an issue.
    fn task(&self, id: &str) -> Task {
        let title = format!("{id} ");
        let mut tasks = self.asana.tasks().into_iter().filter(|task| task.name.starts_with(&title));
        let task = tasks.next().unwrap_or_else(|| panic!("no task of {id}"));
        assert!(tasks.next().is_none(), "two tasks of {id}");
        task
    }

    /// What Airlock said on the task of an issue, without the lines that name keys.
    fn comments(&self, id: &str) -> Vec<String> {
        let all = self.asana.comments(&self.task(id).gid);
        all.iter().filter_map(|comment| own_comment(comment)).collect()
    }
}

/// What Airlock said, without the line that names its key; what people say has none.
fn own_comment(comment: &str) -> Option<String> {
    let (text, mark) = comment.rsplit_once("\n\n")?;
    mark.starts_with("Airlock · ").then(|| text.to_owned())
}

/// Lets the tracker be asked once what is new, and everything that follows be done.
async fn polled(app: &TestApp) {
    let is_asked = async || {
        let poll_at = app.stored_number("SELECT poll_at FROM trackers").await;
        poll_at > app.clock.now().as_micros()
    };
    until("the tracker is asked", is_asked).await;
    app.clock.advance(POLL);
    until("the tracker is asked again", is_asked).await;
    delivered(app).await;
}

/// Waits until nothing is left in the outbox, while time goes by: as long as it becomes less. Of much
/// that is left only so much is let through in an hour.
async fn delivered(app: &TestApp) {
    let n_left = async || app.stored_number("SELECT COUNT(*) FROM lanes").await;
    loop {
        let n_before = n_left().await;
        if n_before == 0 {
            return;
        }
        let step = 1 + u64::try_from(n_before).expect("a number") / 50;
        until("effects are carried out", async || {
            app.clock.advance(Duration::from_secs(step));
            n_left().await < n_before
        })
        .await;
    }
}
