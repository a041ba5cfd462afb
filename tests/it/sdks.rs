//! Applications with stock SDKs crash, and a person sees why.
//!
//! Every story runs a real client to its end. Whatever it tells, three things hold: the SDK has
//! nothing to complain about ([`Client::run`]), every event that it sent is there, and no issue
//! counts any other ([`crashes`]).

mod airbrake;
mod browser;
mod node;
mod python;
mod rust;
mod shell;

use serde_json::{Value, json};

use crate::support::{Client, Engine, TestApp, TestProject};

async fn shop(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    (app, shop)
}

/// Runs a program; gives the issues that its crashes became, in the order of their numbers.
async fn crashes(
    app: &TestApp,
    shop: &TestProject,
    client: Client,
    arguments: &[&str],
) -> Vec<Value> {
    let ids = client.run(shop, arguments).await;
    stored(app, &ids).await
}

/// All issues, which hold these events and no others.
async fn stored(app: &TestApp, ids: &[String]) -> Vec<Value> {
    app.digested().await;
    let mut issues = app.all("/api/v1/projects/shop/issues").await;
    issues.sort_by_key(|issue| issue["id"].as_str().map(|id| (id.len(), id.to_owned())));
    let mut expected = 0;
    for issue in &issues {
        expected += issue["events"].as_u64().expect("a count");
    }
    assert_eq!(expected, ids.len() as u64, "{ids:?} {issues:#?}");
    for id in ids {
        app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
    }
    issues
}

/// The latest event of an issue.
async fn latest(app: &TestApp, issue: &Value) -> Value {
    let id = issue["id"].as_str().expect("an id");
    app.get(&format!("/api/v1/issues/{id}/events/latest")).await.ok()
}

/// Asserts that a value has these fields, and whatever else.
#[track_caller]
fn assert_has(value: &Value, fields: &Value) {
    for (name, expected) in fields.as_object().expect("fields") {
        assert_eq!(&value[name], expected, "{name} of {value:#}");
    }
}

/// What every program of the shop says about itself.
#[track_caller]
fn assert_is_of_the_shop(issue: &Value) {
    assert_has(
        issue,
        &json!({
            "environments": ["production"],
            "releases": {"first": "shop@1.4.2", "last": "shop@1.4.2"},
        }),
    );
}

/// The types of an event's exceptions, the one that was raised last.
fn chain(event: &Value) -> Vec<&str> {
    let exceptions = event["exceptions"].as_array().expect("exceptions");
    exceptions.iter().filter_map(|exception| exception["type"].as_str()).collect()
}

/// The newest frame of the exception that was raised.
fn newest_frame(event: &Value) -> &Value {
    let raised = event["exceptions"].as_array().and_then(|all| all.last()).expect("an exception");
    raised["frames"].as_array().and_then(|frames| frames.last()).expect("a frame")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_all_sdks_are_issues() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let clients = [Client::Python, Client::Python1, Client::Python0];
    let clients =
        clients.into_iter().chain([Client::Node, Client::Node7, Client::Rust, Client::Shell]);
    let mut ids = Vec::new();
    for client in clients {
        ids.extend(client.run(&shop, &["message"]).await);
    }
    // One text, seven clients, three runtimes: one error of each runtime.
    assert_eq!(ids.len(), 7);
    let issues = stored(&app, &ids).await;
    assert_eq!(issues.len(), 3, "{issues:?}");
    for (issue, n_events) in issues.iter().zip([3, 2, 2]) {
        let title = "stock is low";
        assert_has(issue, &json!({"title": title, "events": n_events, "level": "warning"}));
    }
    app.stop().await;
}

#[test]
fn the_docs_name_the_versions_that_are_tested() {
    let docs = include_str!("../../docs/sdks.md");
    let (_, tested) = docs.split_once("## What is tested").expect("what is tested");
    let (tested, _) = tested.split_once("\n## ").expect("more after it");
    let python = [
        include_str!("../clients/python/requirements/sentry-2.txt"),
        include_str!("../clients/python/requirements/sentry-1.txt"),
        include_str!("../clients/python/requirements/sentry-0.txt"),
        include_str!("../clients/python/requirements/web.txt"),
        include_str!("../clients/python/requirements/airbrake.txt"),
    ];
    let named = ["sentry-sdk", "Flask", "Django", "airbrake", "pybrake"];
    let mut pins: Vec<(String, String)> = python
        .iter()
        .flat_map(|requirements| requirements.lines())
        .filter_map(|line| line.split_once("=="))
        .filter(|(name, _)| named.contains(name))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect();
    assert_eq!(pins.len(), 7, "{pins:?}");
    for package in [
        include_str!("../clients/node/package.json"),
        include_str!("../clients/node-7/package.json"),
        include_str!("../clients/browser/package.json"),
    ] {
        let package: Value = serde_json::from_str(package).expect("JSON");
        for (name, version) in package["dependencies"].as_object().expect("dependencies") {
            let version = version.as_str().expect("a version").to_owned();
            pins.push((name.replace("@sentry/cli", "sentry-cli"), version));
        }
    }
    pins.retain(|(name, _)| name != "esbuild");
    for (name, version) in pins {
        let name = name.replace("express", "Express");
        let is_named = tested.lines().any(|line| line.contains(&name) && line.contains(&version));
        assert!(is_named, "docs/sdks.md does not say that {name} {version} is tested");
    }
}
