//! Every issue has one task and everything is said once, however many requests fail, and whatever way.
//!
//! `AIRLOCK_TEST_ISSUES` says how many issues there are.

use serde_json::json;

use super::{Connected, delivered, github, n_issues};
use crate::support::asana::{OAUTH, PAT};
use crate::support::{Engine, TestApp, TestProject, both, crash, with};

/// So many requests are there for each that fails.
const ONE_IN: u64 = 5;

const SAID: [&str; 2] = ["bootstrap: hi", "bootstrap resolved it"];

/// Lets issues come up and be resolved, and ends Airlock in the middle of telling.
async fn told(mut app: TestApp, shop: &TestProject, n_issues: usize) -> TestApp {
    let is_time = |number| number % (n_issues / 4).max(1) == 0;
    for number in 1..=n_issues {
        let event = with(crash("KeyError"), &json!({"fingerprint": [number.to_string()]}));
        app.send(shop, &event).await;
        app.act(&format!("SHOP-{number}"), "comment", json!({"text": "hi"})).await.ok();
        if is_time(number) {
            app = app.restart().await;
        }
    }
    // Of what is resolved before it has a task none is made.
    delivered(&app).await;
    for number in 1..=n_issues {
        app.act(&format!("SHOP-{number}"), "resolve", json!({})).await.ok();
        if is_time(number) {
            app = app.restart().await;
        }
    }
    delivered(&app).await;
    app
}

async fn asana(engine: Engine, token: &str) {
    let mut connected = Connected::start(engine, token).await;
    let n_issues = n_issues();
    connected.asana.fail_any(ONE_IN, 1);
    connected.app = told(connected.app, &connected.shop, n_issues).await;
    connected.asana.heal();
    delivered(&connected.app).await;
    for number in 1..=n_issues {
        let id = format!("SHOP-{number}");
        assert_eq!(connected.comments(&id), SAID, "{id}");
        assert!(connected.task(&id).completed, "{id}");
    }
    assert_eq!(connected.asana.tasks().len(), n_issues);
    all_is_done(connected.app).await;
}

/// Nothing is left, nor was anything given up.
async fn all_is_done(app: TestApp) {
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").await, 0);
    app.stop().await;
}

both!(any_failure_makes_one_task_in_asana_with_oauth, |engine: Engine| asana(engine, OAUTH));
both!(any_failure_makes_one_task_in_asana_with_a_personal_token, |engine: Engine| asana(
    engine, PAT
));

both!(any_failure_makes_one_task_in_github, |engine: Engine| async move {
    let mut connected = github::Connected::start(engine).await;
    let n_issues = n_issues();
    connected.github.fail_any(ONE_IN, 1);
    connected.app = told(connected.app, &connected.shop, n_issues).await;
    connected.github.heal();
    delivered(&connected.app).await;
    for number in 1..=n_issues {
        let id = format!("SHOP-{number}");
        assert_eq!(connected.comments(&id), SAID, "{id}");
        assert!(connected.task(&id).is_closed, "{id}");
    }
    assert_eq!(connected.github.issues().len(), n_issues);
    all_is_done(connected.app).await;
});
