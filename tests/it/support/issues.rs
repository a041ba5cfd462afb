//! What people do with issues, in a line each.

use serde_json::Value;

use super::{Answer, TestApp, TestProject};

/// A crash of the shop named `kind`, for [`TestApp::send`].
pub(crate) fn crash(kind: &str) -> Value {
    serde_json::json!({
        "platform": "python",
        "exception": {"values": [{"type": kind, "value": "broken", "stacktrace": {"frames": [
            {"module": "shop.cart", "function": "checkout", "in_app": true},
        ]}}]},
    })
}

/// `event` with more fields.
pub(crate) fn with(mut event: Value, fields: &Value) -> Value {
    let fields = fields.as_object().expect("fields").clone();
    event.as_object_mut().expect("an event").extend(fields);
    event
}

impl TestApp {
    /// Sends an event and waits until it is digested; gives its id.
    pub(crate) async fn send(&self, project: &TestProject, event: &Value) -> String {
        let id = self.send_event(project, event).await.ok()["id"].as_str().map(str::to_owned);
        self.digested().await;
        id.expect("an id")
    }

    /// Sends a crash named `kind` that happened now and waits until it is digested; gives its id.
    pub(crate) async fn crashed(&self, project: &TestProject, kind: &str) -> String {
        let id = self.crash(project, kind).await;
        self.digested().await;
        id
    }

    /// An issue.
    pub(crate) async fn issue(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/issues/{id}")).await.ok()
    }

    /// The answer to an action on an issue.
    pub(crate) async fn act(&self, id: &str, action: &str, body: Value) -> Answer {
        self.post(&format!("/api/v1/issues/{id}/{action}"), &body).await
    }

    /// All items of a list, page by page of at most 100.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        let and = if path.contains('?') { '&' } else { '?' };
        let mut page = self.get(&format!("{path}{and}limit=100")).await.ok();
        let mut items = page["items"].as_array().expect("items").clone();
        while let Some(next) = page["next"].as_str() {
            page = self.get(&format!("{path}{and}limit=100&cursor={next}")).await.ok();
            items.extend(page["items"].as_array().expect("items").iter().cloned());
        }
        items
    }

    /// The kinds of an issue's changes, oldest first.
    pub(crate) async fn changes(&self, id: &str) -> Vec<String> {
        let activity = self.all(&format!("/api/v1/issues/{id}/activity")).await;
        let kind = |one: &Value| one["kind"].as_str().expect("a kind").to_owned();
        activity.iter().rev().filter(|one| one["of"] == id).map(kind).collect()
    }

    /// What an event of the project `shop` meant for its issue: kind and reason.
    pub(crate) async fn verdict(&self, event_id: &str) -> (String, String) {
        let event = self.get(&format!("/api/v1/projects/shop/events/{event_id}")).await.ok();
        let text = |key: &str| event["verdict"][key].as_str().expect("a text").to_owned();
        (text("kind"), text("reason"))
    }
}
