//! Applications with stock SDKs crash, and a person sees why.

use serde_json::Value;

use crate::support::{Client, Engine, TestApp, TestProject, both};

async fn issues(app: &TestApp) -> Vec<Value> {
    app.digested().await;
    let list = app.get("/api/v1/projects/shop/issues?sort=first_seen").await.ok();
    list["items"].as_array().expect("a list").clone()
}

/// Runs a program; gives its one issue and that issue's latest event.
async fn one_issue(
    app: &TestApp,
    shop: &TestProject,
    client: Client,
    arguments: &[&str],
) -> (Value, Value) {
    let ids = client.event_ids(&shop.dsn, arguments).await;
    let issues = issues(app).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    let latest = app.get("/api/v1/issues/SHOP-1/events/latest").await.ok();
    assert_eq!(Some(&latest["event_id"]), ids.last().map(|id| Value::from(id.as_str())).as_ref());
    (issues[0].clone(), latest)
}

both!(a_python_program_crashes, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let (issue, event) = one_issue(&app, &shop, Client::Python, &["unhandled"]).await;
    assert_eq!(issue["title"], "KeyError: 'total'");
    assert_eq!(issue["culprit"], "shop.cart in checkout");
    assert_eq!(issue["level"], "error");
    assert_eq!(issue["handled"], false);
    assert_eq!(issue["platform"], "python");
    assert_eq!(issue["releases"]["last"], "shop@1.4.2");
    assert_eq!(issue["environments"], serde_json::json!(["production"]));
    assert_eq!(issue["users"], 1);
    assert_eq!(event["user"]["id"], "7");
    assert_eq!(event["breadcrumbs"][0]["message"], "added tea");
    let frames = event["exceptions"][0]["frames"].as_array().expect("frames");
    assert_eq!(frames.last().expect("a frame")["context_line"], "    amount = cart[\"total\"]");
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_program_reports_a_chain_it_handled() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let (issue, event) = one_issue(&app, &shop, Client::Python, &["handled"]).await;
    assert_eq!(issue["title"], "CheckoutError: order 1007 could not be placed");
    assert_eq!(issue["handled"], true);
    let kinds: Vec<&str> = event["exceptions"]
        .as_array()
        .expect("a chain")
        .iter()
        .filter_map(|exception| exception["type"].as_str())
        .collect();
    assert_eq!(kinds, ["KeyError", "CheckoutError"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_program_logs() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let ids = Client::Python.event_ids(&shop.dsn, &["logging"]).await;
    let mut n_events = 0;
    for issue in issues(&app).await {
        n_events += issue["events"].as_u64().expect("a count");
    }
    assert!(!ids.is_empty());
    assert_eq!(n_events, ids.len() as u64);
    app.stop().await;
}

both!(three_hundred_users_hit_the_same_error, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let ids = Client::Python.event_ids(&shop.dsn, &["burst", "300"]).await;
    assert_eq!(ids.len(), 300);
    let issues = issues(&app).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_eq!((&issues[0]["events"], &issues[0]["users"]), (&300.into(), &300.into()));
    assert_eq!(issues[0]["title"], "CheckoutError: sold out");
    app.stop().await;
});

both!(a_node_program_crashes, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let (issue, event) = one_issue(&app, &shop, Client::Node, &["unhandled"]).await;
    assert_eq!(issue["handled"], false);
    assert_eq!(issue["platform"], "node");
    assert_eq!(issue["releases"]["last"], "shop@1.4.2");
    let title = issue["title"].as_str().expect("a title");
    assert!(title.starts_with("TypeError: "), "{title}");
    let culprit = issue["culprit"].as_str().expect("a culprit");
    assert!(culprit.contains("checkout"), "{culprit}");
    assert_eq!(event["sdk"]["name"], "sentry.javascript.node");
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_program_forgets_a_promise() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let (issue, event) = one_issue(&app, &shop, Client::Node, &["rejection"]).await;
    assert_eq!(issue["handled"], false);
    let mechanism = event["exceptions"][0]["mechanism"]["type"].as_str().expect("a mechanism");
    assert!(mechanism.contains("rejection"), "{mechanism}");
    app.stop().await;
}

both!(a_rust_program_panics, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let (issue, _) = one_issue(&app, &shop, Client::Rust, &["panic"]).await;
    assert_eq!(issue["level"], "fatal");
    assert_eq!(issue["platform"], "native");
    let title = issue["title"].as_str().expect("a title");
    assert!(title.starts_with("panic: "), "{title}");
    let culprit = issue["culprit"].as_str().expect("a culprit");
    assert!(culprit.contains("checkout"), "{culprit}");
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_all_sdks_are_issues() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    for client in [Client::Python, Client::Node, Client::Rust] {
        assert_eq!(client.event_ids(&shop.dsn, &["message"]).await.len(), 1, "{client:?}");
    }
    // One text, three SDKs: one error.
    let issues = issues(&app).await;
    let titles: Vec<&Value> = issues.iter().map(|issue| &issue["title"]).collect();
    assert_eq!(titles, ["stock is low"]);
    assert_eq!(issues[0]["events"], 3);
    assert_eq!(issues[0]["level"], "warning");
    app.stop().await;
}
