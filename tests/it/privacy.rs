//! Secrets that applications send by accident do not stay.

use std::net::SocketAddr;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::corpus::{captures, replay};
use crate::support::{
    Answer, Engine, Process, TOKEN, TestApp, TestProject, airlock, both, client, until,
};

/// What the recorded programs have as secrets.
const SECRETS: &[&str] = &[
    "hunter2",
    "4111111111111111",
    "4111 1111 1111 1111",
    "5500005555555559",
    "5500 0055 5555 5559",
    "FAKE",
];

fn secret_in(text: &[u8]) -> Option<&'static str> {
    let holds = |secret: &&&str| text.windows(secret.len()).any(|part| part == secret.as_bytes());
    SECRETS.iter().find(holds).copied()
}

/// A part of a text around its first secret, for the message of a failed test.
fn around(text: &str) -> String {
    let Some(at) = SECRETS.iter().filter_map(|secret| text.find(secret)).min() else {
        return String::new();
    };
    let before = text.get(..at).unwrap_or_default().chars().rev().take(120);
    let before: String = before.collect::<Vec<_>>().into_iter().rev().collect();
    let after: String = text.get(at..).unwrap_or_default().chars().take(80).collect();
    format!("{before}{after}")
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// Everything that the API tells of a project, as texts.
async fn all_answers(get: &impl AsyncFn(String) -> Value, slug: &str) -> Vec<String> {
    let mut told = Vec::new();
    let base = format!("/api/v1/projects/{slug}");
    told.push(get(base.clone()).await.to_string());
    told.push(get(format!("{base}/keys")).await.to_string());
    told.push(get(format!("{base}/buried")).await.to_string());
    let issues = get(format!("{base}/issues?limit=100")).await;
    told.push(issues.to_string());
    for issue in issues["items"].as_array().expect("issues") {
        let id = issue["id"].as_str().expect("an id");
        told.push(get(format!("/api/v1/issues/{id}")).await.to_string());
        told.push(get(format!("/api/v1/issues/{id}/tags")).await.to_string());
        told.push(get(format!("/api/v1/issues/{id}/activity")).await.to_string());
        let events = get(format!("/api/v1/issues/{id}/events?limit=100")).await;
        told.push(events.to_string());
        for event in events["items"].as_array().expect("events") {
            let id = event["event_id"].as_str().expect("an id");
            told.push(get(format!("{base}/events/{id}")).await.to_string());
        }
    }
    told
}

both!(no_secret_of_recorded_programs_is_told_by_the_api, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let mut slugs = Vec::new();
    for capture in captures() {
        let project = app.create_project(&capture.name.replace('.', "-")).await;
        replay(app.running.address, &project, &capture).await;
        slugs.push(project.slug);
    }
    app.digested().await;
    let get = async |path: String| app.get(&path).await.ok();
    let mut leaks = Vec::new();
    let mut n_events = 0;
    for slug in slugs {
        for told in all_answers(&get, &slug).await {
            n_events += usize::from(told.contains("\"received_at\""));
            if secret_in(told.as_bytes()).is_some() {
                leaks.push(format!("{slug}: {}", around(&told)));
            }
        }
    }
    assert!(n_events > 90, "{n_events} answers about events");
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_recorded_programs_stays_in_a_file_or_in_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let mut serve = airlock();
    serve
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "debug", "--data"])
        .arg(&data)
        .args(["--spool-least-free-bytes", "0"])
        .env("AIRLOCK_BOOTSTRAP_TOKEN", TOKEN)
        .stderr(std::fs::File::create(&log).expect("a log"));
    let server = Process::start_logging(serve).await;
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().expect("an address");
    let client = client();
    let api = |method: Method, path: &str| {
        client.request(method, format!("{}{path}", server.url)).bearer_auth(TOKEN)
    };
    for capture in captures() {
        let slug = capture.name.replace('.', "-");
        let made = api(Method::POST, "/api/v1/projects").json(&json!({ "slug": slug }));
        let project = TestProject::of(&Answer::of(made).await.ok(), &slug);
        replay(address, &project, &capture).await;
    }
    until("the spool to be drained", async || {
        let status = Answer::of(api(Method::GET, "/status.json")).await.ok();
        status["parts"]["spool"]["backlog"] == 0
    })
    .await;
    assert!(server.terminate().await.success());
    let log = std::fs::read(&log).expect("a log");
    assert!(log.len() > 1_000, "debug says something");
    assert_eq!(secret_in(&log), None, "in the log: {}", around(&String::from_utf8_lossy(&log)));
    let files = files(&data);
    assert!(files.iter().any(|file| file.extension().is_some_and(|end| end == "db")), "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).expect("a file");
        assert_eq!(secret_in(&bytes), None, "in {}", file.display());
    }
}

/// An event with something to scrub, and a fixed fingerprint.
fn badge_event() -> Value {
    json!({
        "message": "door 7 refused badge B-1234",
        "tags": {"pesel": "44051401359"},
        "extra": {"session": "s-1", "password": "hunter2"},
        "user": {"ip_address": "203.0.113.7"},
    })
}

async fn send(app: &TestApp, project: &TestProject) -> Value {
    let id = app.send_event(project, &badge_event()).await.ok()["id"].clone();
    let id = id.as_str().expect("an id");
    app.digested().await;
    app.get(&format!("/api/v1/projects/{}/events/{id}", project.slug)).await.ok()
}

both!(a_project_adds_rules_and_relaxes_others, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let other = app.create_project("other").await;
    let path = "/api/v1/projects/shop/rules/scrubbing";
    let usual = app.get(path).await.ok();
    assert_eq!(usual["defaults"], true);
    assert_eq!(usual["ip_addresses"], "keep");
    let event = send(&app, &shop).await;
    assert_eq!(event["extra"], json!({"session": "[scrubbed]", "password": "[scrubbed]"}));
    assert_eq!(event["tags"]["pesel"], "44051401359");
    assert_eq!(event["user"]["ip_address"], "203.0.113.7");

    let rules = json!({
        "ip_addresses": "truncate",
        "keys": ["pesel"],
        "safe_keys": ["session"],
        "patterns": [{"name": "badge", "regex": "B-\\d{4}"}],
        "examples": [{"given": {"note": "B-0001"}, "expected": {"note": "[scrubbed]"}}],
    });
    let put = async |rules: &Value| Answer::of(app.api(Method::PUT, path).json(rules)).await;
    put(&rules).await.ok();
    assert_eq!(app.get(path).await.ok()["keys"], json!(["pesel"]));
    let event = send(&app, &shop).await;
    assert_eq!(event["title"], "door 7 refused badge [scrubbed]");
    assert_eq!(event["extra"], json!({"session": "s-1", "password": "[scrubbed]"}));
    assert_eq!(event["tags"]["pesel"], "[scrubbed]");
    assert_eq!(event["user"]["ip_address"], "203.0.113.0");
    assert_eq!(
        event["scrubbed"],
        json!([
            {"at": "message.formatted", "rule": "badge"},
            {"at": "user.ip_address", "rule": "ip_address"},
            {"at": "tags.pesel", "rule": "name"},
            {"at": "extra.password", "rule": "name"},
        ])
    );
    assert_eq!(send(&app, &other).await["extra"]["session"], "[scrubbed]");

    // They change with the next batch, and are taken only when they do what they promise.
    let failing = json!({"patterns": [{"name": "badge", "regex": "B-\\d{4}"}],
        "examples": [{"given": "B-1", "expected": "[scrubbed]"}]});
    let refused = put(&failing).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    let detail = refused.json()["detail"].as_str().expect("a detail").to_owned();
    assert_eq!(detail, "example 1 becomes \"B-1\", not what it expects");
    for broken in [
        json!({"patterns": [{"name": "x", "regex": "("}]}),
        json!({"patterns": [{"name": "x", "regex": ".*"}]}),
        json!({"keys": [""]}),
        json!({"ip_addresses": "sometimes"}),
        json!({"unknown": true}),
    ] {
        assert_eq!(put(&broken).await.problem(), (422, "invalid".to_owned()), "{broken}");
    }
    put(&json!({"defaults": false})).await.ok();
    let event = send(&app, &shop).await;
    assert_eq!(event["extra"], json!({"session": "s-1", "password": "hunter2"}));
    assert_eq!(event["scrubbed"], Value::Null);
    app.delete("/api/v1/projects/shop").await.ok();
    assert_eq!(app.get(path).await.problem(), (404, "not-found".to_owned()));
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_tried_out_before_they_are_saved() {
    let app = TestApp::start(Engine::Sqlite).await;
    app.create_project("shop").await;
    let path = "/api/v1/projects/shop/rules/scrubbing";
    let try_out = format!("{path}/try");
    let given = json!({"note": "seat 12C", "token": "abc"});
    let tried = app.post(&try_out, &json!({"given": given})).await.ok();
    let expected = json!({
        "kept": {"note": "seat 12C", "token": "[scrubbed]"},
        "scrubbed": [{"at": "token", "rule": "name"}],
    });
    assert_eq!(tried, expected);
    let rules = json!({"patterns": [{"name": "seat", "regex": "seat (\\d+[A-F])"}]});
    let tried = app.post(&try_out, &json!({"given": given, "rules": rules})).await.ok();
    assert_eq!(tried["kept"]["note"], "seat [scrubbed]");
    assert_eq!(app.get(path).await.ok()["patterns"], json!([]), "nothing was saved");
    let bad = json!({"given": 1, "rules": {"patterns": [{"name": "x", "regex": "["}]}});
    assert_eq!(app.post(&try_out, &bad).await.problem(), (422, "invalid".to_owned()));
    let nobody = app.post("/api/v1/projects/none/rules/scrubbing/try", &json!({"given": 1})).await;
    assert_eq!(nobody.problem(), (404, "not-found".to_owned()));
    app.stop().await;
}
