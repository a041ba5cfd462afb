//! Which reports are one issue.

mod apart;
mod labelled;
mod properties;
mod rules;
mod upgrade;

use serde_json::{Value, json};

use crate::support::{TestApp, TestProject};

/// A crash in the line `line` of a function that `caller` called.
fn crash_at(caller: &str, line: &str, release: &str) -> Value {
    json!({
        "platform": "python",
        "release": release,
        "exception": {"values": [{"type": "KeyError", "value": "'total'", "stacktrace": {"frames": [
            {"module": "shop.views", "function": caller, "in_app": true,
                "context_line": "    total(cart)"},
            {"module": "shop.cart", "function": "total", "in_app": true, "context_line": line,
                "pre_context": ["def total(cart):"], "post_context": ["    return sum(prices)"]},
        ]}}]},
    })
}

/// The short ids of the issues of all stored events, by event id.
async fn issues_of_events(app: &TestApp) -> Vec<String> {
    app.stored_texts(
        "SELECT CAST(issues.number AS TEXT) FROM events
        JOIN issue_hashes ON issue_hashes.project_id = events.project_id
            AND issue_hashes.hash = events.hash
        JOIN issues ON issues.project_id = issue_hashes.project_id
            AND issues.id = issue_hashes.issue_id
        ORDER BY events.id",
    )
    .await
}

/// The number of issues, merged ones too.
async fn n_issues(app: &TestApp) -> i64 {
    app.stored_number("SELECT COUNT(*) FROM issues").await
}

/// Sends events that have ids of their own, and waits until they are digested.
async fn send_all(app: &TestApp, project: &TestProject, events: impl Iterator<Item = &Value>) {
    for event in events {
        app.send_event(project, event).await.ok();
    }
    app.digested().await;
}
