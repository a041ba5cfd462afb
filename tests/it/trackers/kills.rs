//! The real server, killed while it makes tasks in a real Redmine on a way where requests are lost.
//!
//! `AIRLOCK_TEST_ISSUES` says how many issues there are; the more, the more kills.

use serde_json::{Value, json};

use super::{TRACKER, n_issues};
use crate::support::asana::Failure;
use crate::support::redmine::{KEY, Redmine};
use crate::support::{Engine, Process, Script, both, crash, pause, until, with};

/// What may happen to a request, after which the server does not rest for long.
const FAILURES: [Failure; 5] = [
    Failure::Drop,
    Failure::DropAnswer,
    Failure::Status(500),
    Failure::StatusAfter(502),
    Failure::Late(200),
];

/// A shop where every error is serious, whose tasks are in Redmine; the path to which it sends reports.
async fn open(script: &Script, redmine: &Redmine, errors: &str) -> String {
    let made = script.post("/api/v1/projects", json!({"slug": "shop"})).await;
    let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": 1000});
    let put = reqwest::Method::PUT;
    script.ok(put.clone(), "/api/v1/projects/shop/rules/filing", rules).await;
    let settings =
        json!({"kind": "redmine", "url": redmine.url, "token": KEY, "issue_project": errors});
    script.ok(put, TRACKER, settings).await;
    let key = made["dsn"].as_str().expect("a DSN").split(['/', '@']).nth(2).expect("a key");
    format!("/api/{}/store/?sentry_key={key}", made["id"])
}

/// Crashes, and says something on each issue once.
async fn crashes(script: &Script, path: &str, n_issues: usize) {
    for number in 1..=n_issues {
        let name = json!({"fingerprint": [number.to_string()]});
        script.post(path, with(crash("KeyError"), &name)).await;
        let issue = format!("/api/v1/issues/SHOP-{number}");
        until("the issue is there", async || {
            script.send(reqwest::Method::GET, &issue, Value::Null).await.0 == 200
        })
        .await;
        // Whoever is not heard says it again, and is told that it is there.
        let assign = json!({"to": "admin"});
        script.post(&format!("{issue}/assign"), assign).await;
    }
}

both!(kills_and_failures_make_no_second_task_and_lose_none, |engine: Engine| async move {
    let n_issues = n_issues();
    // Another node takes over from one that is gone after a minute.
    let n_kills = match engine {
        Engine::Sqlite => n_issues / 4,
        Engine::Postgres => (n_issues / 100).max(1),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (data, database) = (folder.path().join("data"), engine.database(folder.path()).await);
    let redmine = Redmine::start().await;
    let errors = redmine.project("Errors").await;
    let mut server = Process::serve(&data, &database).await;
    let script = Script::of(&server);
    let path = open(&script, &redmine, &errors).await;

    let kills = async {
        for number in 0..n_kills {
            let n_asked = redmine.asked("*", "*").len();
            redmine.fail("POST", "/issues.json", 1, FAILURES[number % FAILURES.len()]);
            redmine.fail("GET", "*", 1, FAILURES[(number / 2) % FAILURES.len()]);
            redmine.fail("PUT", "*", 1, FAILURES[(number / 3) % FAILURES.len()]);
            // In the middle of its work, at different moments.
            let enough = n_asked + 3 + number % 5;
            let mut n_waits = 0;
            while redmine.asked("*", "*").len() < enough {
                n_waits += 1;
                assert!(n_waits < 1_200, "it does nothing");
                pause(100).await;
            }
            pause((number as u64 * 37) % 110).await;
            server.kill().await;
            server = Process::serve(&data, &database).await;
            script.moved_to(&server);
        }
        server
    };
    let (server, ()) = tokio::join!(kills, crashes(&script, &path, n_issues));
    for _ in 0..3_000 {
        let outbox = script.get("/status.json").await["parts"]["outbox"].clone();
        if outbox["backlog"] == 0 {
            break;
        }
        pause(100).await;
    }
    let parked = script.get("/api/v1/outbox?project=shop&state=parked").await;
    assert_eq!(parked["items"], json!([]));
    let tasks = redmine.issues(&errors).await;
    assert_eq!(tasks.len(), n_issues);
    let mut names: Vec<_> = tasks.iter().filter_map(|task| task["subject"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n_issues, "{names:?}");
    assert!(tasks.iter().all(|task| !task["assigned_to"].is_null()), "{tasks:?}");
    assert!(server.terminate().await.success());
});
