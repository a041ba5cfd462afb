//! What SDKs get for what they send: keys, encodings, envelopes, refusals, limits.

mod bodies;
mod events;
mod keys;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, TestProject};

const ID: &str = "c76085e7ee72463e94764d80b9534fff";
const OTHER_ID: &str = "5bd2ee4a2a1f4a6c8a3a5b5f0d7e9c11";

/// Bytes of the largest event that is taken.
const MOST_EVENT_BYTES: usize = 4 * 1024 * 1024;

fn event(id: &str, kind: &str) -> String {
    json!({
        "event_id": id,
        "platform": "python",
        "exception": {"values": [{"type": kind, "value": "broken"}]},
    })
    .to_string()
}

/// An envelope of items that say their length.
fn envelope(header: &Value, items: &[(&str, &str)]) -> String {
    let item = |(kind, payload): &(&str, &str)| {
        let header = json!({"type": kind, "length": payload.len()});
        format!("{header}\n{payload}\n")
    };
    format!("{header}\n{}", items.iter().map(item).collect::<Vec<_>>().concat())
}

/// The titles of a project's issues with the number of their events, sorted.
async fn issues(app: &TestApp, project: &TestProject) -> Vec<(String, i64)> {
    app.digested().await;
    let page = app.get(&format!("/api/v1/projects/{}/issues?limit=100", project.slug)).await.ok();
    let issue = |issue: &Value| {
        let title = issue["title"].as_str().expect("a title").to_owned();
        (title, issue["events"].as_i64().expect("a number"))
    };
    let mut issues: Vec<_> = page["items"].as_array().expect("items").iter().map(issue).collect();
    issues.sort();
    issues
}

/// A refusal in the form SDKs know: its status and its words.
fn refusal(answer: &Answer) -> (u16, String) {
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(!detail.is_empty() && answer.json()["causes"].is_array(), "{answer:?}");
    assert_eq!(answer.header("x-sentry-error"), Some(detail.as_str()), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
    (answer.status.as_u16(), detail)
}

async fn post(app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    Answer::of(app.request(Method::POST, path).body(body)).await
}
