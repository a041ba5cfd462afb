//! What browsers report by themselves.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Engine, TestApp, TestProject, both};

fn violation(host: &str) -> Value {
    json!({"csp-report": {
        "document-uri": "https://shop.example/cart",
        "violated-directive": "img-src 'self'",
        "blocked-uri": format!("https://{host}/pixel.gif?user=7"),
    }})
}

async fn post(app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = app.request(Method::POST, path).header("User-Agent", "Firefox/150");
    Answer::of(request.body(body)).await
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

both!(violations_are_events_grouped_by_rule_and_host, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let (id, key) = (shop.id, &shop.key);
    let query = format!("sentry_key={key}&sentry_environment=beta&sentry_release=2.4.1");
    let evil = violation("evil.example").to_string();
    let answer = post(&app, &format!("/api/{id}/security/?{query}"), evil.clone()).await;
    let event = answer.ok()["id"].as_str().expect("an id").to_owned();
    post(&app, &format!("/api/{id}/csp-report?{query}"), evil).await.ok();
    let list = json!([
        {"type": "csp-violation", "body": {"effectiveDirective": "img-src", "blockedURL": "data"}},
        {"type": "network-error", "url": "https://a.example/", "body": {"type": "dns.failed"}},
    ]);
    post(&app, &format!("/team/api/{id}/nel/?{query}"), list.to_string()).await.ok();

    let seen = [
        ("Blocked 'image' from 'data'".to_owned(), 1),
        ("Blocked 'image' from 'evil.example'".to_owned(), 2),
        ("Network error dns.failed at 'a.example'".to_owned(), 1),
    ];
    assert_eq!(issues(&app, &shop).await, seen);
    let event = app.get(&format!("/api/v1/projects/shop/events/{event}")).await.ok();
    assert_eq!((&event["culprit"], &event["level"]), (&json!("img-src 'self'"), &json!("warning")));
    assert_eq!((&event["environment"], &event["release"]), (&json!("beta"), &json!("2.4.1")));
    assert_eq!(event["request"]["headers"], json!([["User-Agent", "Firefox/150"]]));
    app.stop().await;
});

both!(an_envelope_may_hold_a_violation, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let id = "c76085e7ee72463e94764d80b9534fff";
    let body = format!(
        "{}\n{{\"type\":\"raw_security\"}}\n{}\n{{\"type\":\"raw_security\"}}\nnonsense\n",
        json!({"event_id": id, "dsn": shop.dsn}),
        violation("evil.example"),
    );
    assert_eq!(post(&app, "/tunnel", body).await.ok(), json!({"id": id}));
    let seen = [("Blocked 'image' from 'evil.example'".to_owned(), 1)];
    assert_eq!(issues(&app, &shop).await, seen);
    let outcomes = app.counted().await.outcomes(shop.id).await;
    assert_eq!(outcomes.get("refused malformed_item"), Some(&1), "{outcomes:?}");
    app.stop().await;
});

both!(a_flood_of_reports_in_one_body_is_cut_and_counted, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let path = format!("/api/{}/security/?sentry_key={}", shop.id, shop.key);
    let reports: Vec<Value> = (0..130).map(|_| violation("evil.example")).collect();
    post(&app, &path, json!(reports).to_string()).await.ok();
    assert_eq!(post(&app, &path, "[]").await.ok(), json!({}));
    let answer = post(&app, &path, "nonsense").await;
    assert_eq!(answer.status, 400, "{answer:?}");

    let seen = [("Blocked 'image' from 'evil.example'".to_owned(), 100)];
    assert_eq!(issues(&app, &shop).await, seen);
    let outcomes = app.counted().await.outcomes(shop.id).await;
    assert_eq!(outcomes.get("skipped raw_security"), Some(&30), "{outcomes:?}");
    app.stop().await;
});
