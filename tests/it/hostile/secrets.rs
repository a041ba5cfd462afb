//! What clients send stays where it belongs: not in logs, not in other projects, not in file names,
//! not in pages, and the server's own inner life not in its answers.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::Target;
use crate::support::{
    Answer, Engine, Process, TOKEN, TestApp, TestProject, Wire, airlock, both, crash, until, with,
};

const ID: &str = "c76085e7ee72463e94764d80b9534fff";

/// What must never be seen in a log.
const SECRET: &str = "hunter2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_report_gets_into_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Engine::Sqlite.database(folder.path()).await;
    let log_file = folder.path().join("log");
    let log = std::fs::File::create(&log_file).expect("a file");
    let serve = Process::command(folder.path(), &database, "debug");
    let target = Target::of(folder, serve, log.into()).await;
    let good = json!({"message": SECRET, "user": {"username": SECRET}, "extra": {"x": SECRET}});
    let long_line = format!("{{\"{SECRET}\":\"{}\"}}\n", SECRET.repeat(20_000));
    for (endpoint, body) in [
        ("store", good.to_string()),
        ("store", format!("{SECRET} is no JSON")),
        ("store", format!("{{\"message\": {SECRET}}}")),
        ("store", format!("{{\"event_id\": \"{SECRET}\", \"x\"")),
        ("envelope", format!("{{\"dsn\":\"http://{SECRET}@host/x\"}}\n")),
        (
            "envelope",
            format!("{{\"event_id\":\"{SECRET}\"}}\n{{\"type\":\"{SECRET}\"}}\n{SECRET}\n"),
        ),
        ("envelope", format!("{{}}\n{{\"type\":\"event\",\"length\":\"{SECRET}\"}}\n{good}\n")),
        ("envelope", format!("{{}}\n{{\"type\":[\"{SECRET}\"]}}\n{good}\n")),
        ("envelope", format!("{{}}\n{{\"type\":\"event\"}}\n{{\"message\":{SECRET}}}\n")),
        ("envelope", format!("{{}}\n{{\"type\":\"event\"}}\n[\"{SECRET}\"]\n")),
        ("envelope", long_line),
        ("envelope", format!("{{}}\n{{\"type\":\"raw_security\"}}\n[\"{SECRET}\n")),
        ("security", format!("{{\"csp-report\":{{\"blocked-uri\":\"{SECRET}\"}}}}")),
        ("security", format!("[{SECRET}")),
    ] {
        for encoding in ["", "gzip", SECRET] {
            let request = target.report(endpoint).query(&[("password", SECRET)]);
            let request = request.header("Authorization", format!("Bearer {SECRET}"));
            let request = request.header("Cookie", SECRET).header("Content-Encoding", encoding);
            Answer::of(request.header("User-Agent", SECRET).body(body.clone())).await;
        }
    }
    let mut wire = Wire::connect(target.address()).await;
    wire.send(format!("{SECRET}\r\n\r\n")).await;
    wire.answer().await;
    for (path, body) in [
        ("/api/v3/projects/1/notices", format!("{{\"errors\":[{{\"type\":\"{SECRET}\"}}]}}")),
        ("/api/v3/projects/1/notices", format!("{{\"errors\":{SECRET}")),
        ("/notifier_api/v2/notices", format!("<notice><api-key>{SECRET}</api-key><{SECRET}>")),
        ("/notifier_api/v2/notices", format!("<notice>{SECRET}<api-key>")),
        ("/tunnel", format!("{{\"dsn\":\"{SECRET}\"}}\n")),
    ] {
        let url = format!("{}{path}", target.server.url);
        let request = target.client.post(url).query(&[("key", target.key.as_str())]);
        Answer::of(request.header("X-Airbrake-Token", &target.key).body(body)).await;
    }
    let rules = json!({"given": SECRET, "rules": {"patterns": [{"name": "x", "regex": SECRET}]}});
    let url = format!("{}/api/v1/projects/shop/rules/scrubbing/try", target.server.url);
    Answer::of(target.client.post(url).bearer_auth(TOKEN).json(&rules)).await.ok();
    // Keys that are none, and tokens.
    for key in [format!("{SECRET}{SECRET}"), format!("{SECRET}/../x")] {
        let url = format!("{}/api/{}/store/", target.server.url, target.id);
        let request = target.client.post(url).query(&[("sentry_key", key)]);
        assert_eq!(Answer::of(request.body("{}")).await.status, 403);
    }
    let url = format!("{}/api/v1/projects?cursor={SECRET}", target.server.url);
    let request = target.client.get(url).bearer_auth(SECRET);
    assert_eq!(Answer::of(request).await.status, 401);
    let titles = target.titles().await;
    assert!(titles.contains(&SECRET.to_owned()), "{titles:?}");
    until("the broken report to be buried", async || {
        target.get("/status.json").await["buried"].as_u64() >= Some(1)
    })
    .await;
    let log = std::fs::read_to_string(&log_file).expect("the log");
    assert!(log.contains("refused a re") && log.contains("buried"), "debug lines: {log}");
    // Who speaks no HTTP is no error of the service, and cannot fill its log.
    assert!(!log.contains("stream error"), "{log}");
    for secret in [SECRET, &target.key, TOKEN] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_attachments_are_no_paths() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "First").await;
    let parent = app.data().parent().expect("a parent").to_owned();
    let before = files(&parent);
    let marker = "airlock-escaped";
    for name in [
        format!("../../{marker}"),
        format!("/tmp/{marker}"),
        format!("{marker}\0.txt"),
        format!("..\\..\\{marker}"),
        format!("{}/{marker}", app.data().display()),
    ] {
        let header = json!({"type": "attachment", "length": 4, "filename": name});
        let body = format!("{{}}\n{header}\nboom\n{{\"type\":\"event\"}}\n{}\n", crash("First"));
        Answer::of(app.report(&shop, "envelope").body(body)).await.ok();
    }
    app.digested().await;
    assert_eq!(app.issue("SHOP-1").await["events"], 6);
    let is_own = |path: &&String| !path.contains("/spool/") && !path.contains("airlock.db");
    let after = files(&parent);
    let new: Vec<&String> = after.difference(&before).filter(is_own).collect();
    assert_eq!(new, Vec::<&String>::new());
    assert!(!after.iter().any(|path| path.contains(marker)));
    assert!(!Path::new("/tmp").join(marker).exists());
    app.stop().await;
}

both!(ids_of_one_project_say_nothing_in_another, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;
    // A key of one project at the number of another.
    let mixed = TestProject { id: blog.id, ..shop.clone() };
    assert_eq!(app.send_event(&mixed, &json!({"message": "astray"})).await.status, 403);
    // The same event id in both stays two events.
    for (project, kind) in [(&shop, "Shop"), (&blog, "Blog")] {
        app.send(project, &with(crash(kind), &json!({"event_id": ID}))).await;
    }
    for (slug, issue) in [("shop", "SHOP-1"), ("blog", "BLOG-1")] {
        let event = app.get(&format!("/api/v1/projects/{slug}/events/{ID}")).await.ok();
        assert_eq!(event["issue"], issue);
        assert_eq!(app.issue(issue).await["events"], 1);
    }
    let own = app.send(&shop, &crash("Own")).await;
    let asked = app.get(&format!("/api/v1/projects/blog/events/{own}")).await;
    assert_eq!(asked.problem(), (404, "not-found".to_owned()));
    // What is buried for one cannot be dug up by the other.
    let broken = "{}\n{\"type\":\"event\"}\nnonsense\n";
    Answer::of(app.report(&shop, "envelope").body(broken)).await.ok();
    app.digested().await;
    let buried = app.all("/api/v1/projects/shop/buried").await;
    let id = buried[0]["id"].as_str().expect("an id");
    assert!(app.all("/api/v1/projects/blog/buried").await.is_empty());
    let retried = app.post(&format!("/api/v1/projects/blog/buried/{id}/retry"), &json!({})).await;
    assert_eq!(retried.problem(), (404, "not-found".to_owned()));
    assert_eq!(app.all("/api/v1/projects/shop/buried").await.len(), 1);
    app.stop().await;
});

both!(an_answer_of_500_says_nothing_of_the_inside, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    app.change_store("UPDATE issue_hashes SET hash = $1", b"no hash").await;
    for path in ["/api/v1/issues/SHOP-1", "/api/v1/issues/SHOP-1/events"] {
        let answer = app.get(path).await;
        assert_eq!(answer.problem(), (500, "internal".to_owned()));
        let request_id = answer.header("x-request-id").expect("an id").to_owned();
        let expected = json!({
            "type": "urn:airlock:problem:internal", "title": answer.json()["title"],
            "status": 500, "detail": answer.json()["detail"], "code": "internal",
            "request_id": request_id,
        });
        assert_eq!(answer.json(), expected);
        for inside in ["hash", "column", "SELECT", "src/", "/tmp", "sqlite", "postgres"] {
            assert!(!answer.text.contains(inside), "{inside}: {}", answer.text);
        }
    }
    app.stop().await;
});

const SCRIPT: &str = "<script>alert(1)</script>\u{1b}[2J\u{7}";

both!(scripts_in_reports_are_text_and_nothing_else, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let event = json!({
        "event_id": ID, "message": SCRIPT, "logger": SCRIPT, "transaction": SCRIPT,
        "server_name": SCRIPT, "release": SCRIPT, "dist": SCRIPT, "environment": SCRIPT,
        "platform": SCRIPT, "level": SCRIPT, "tags": {SCRIPT: SCRIPT}, "user": {"id": SCRIPT,
        "email": SCRIPT}, "extra": {SCRIPT: SCRIPT}, "contexts": {SCRIPT: {SCRIPT: SCRIPT}},
        "request": {"url": SCRIPT, "method": SCRIPT, "headers": {SCRIPT: SCRIPT}},
        "breadcrumbs": [{"message": SCRIPT, "category": SCRIPT}], "modules": {SCRIPT: SCRIPT},
        "sdk": {"name": SCRIPT, "version": SCRIPT},
        "exception": {"values": [{"type": SCRIPT, "value": SCRIPT, "module": SCRIPT, "stacktrace":
            {"frames": [{"function": SCRIPT, "filename": SCRIPT, "module": SCRIPT,
            "context_line": SCRIPT, "vars": {SCRIPT: SCRIPT}}]}}]},
    });
    app.send(&shop, &event).await;
    for path in [
        "/api/v1/projects/shop/issues",
        "/api/v1/issues/SHOP-1",
        "/api/v1/issues/SHOP-1/events",
        "/api/v1/issues/SHOP-1/events/latest",
        "/api/v1/issues/SHOP-1/tags",
        "/api/v1/issues/SHOP-1/activity",
        "/api/v1/issues/<script>alert(1)<script>",
        "/<script>alert(1)<script>",
        "/api/v1/projects/shop/issues?q=<script>&limit=x",
    ] {
        let answer = app.get(path).await;
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(["application/json", "application/problem+json"].contains(&kind), "{path} {kind}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let refused = Answer::of(app.report(&shop, "store").body(SCRIPT)).await;
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    // In a terminal, what moves the cursor or rings the bell is shown, not done.
    for arguments in [&["issues", "shop"][..], &["show", "SHOP-1"], &["show", "SHOP-1", "--why"]] {
        let mut command = airlock();
        command.args(arguments).env("AIRLOCK_URL", app.url("")).env("AIRLOCK_TOKEN", TOKEN);
        let output = command.output().await.expect("the command runs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains("<script>"), "{text}");
        assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "{text:?}");
    }
    app.stop().await;
});

both!(many_tags_and_many_headers_cost_an_event_nothing, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let named = |n: usize| -> Value {
        (0..n)
            .map(|n| (format!("name-{n:05}"), json!("x")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let many = json!({"tags": named(150), "request": {"headers": named(5_000), "url": "http://a"}});
    let id = app.send(&shop, &with(crash("Many"), &many)).await;
    let event = app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
    assert_eq!(event["tags"].as_object().expect("tags").len(), 150);
    let pairs: Vec<Value> = (0..250).map(|n| json!([format!("tag-{n}"), n])).collect();
    let id = app.send(&shop, &with(crash("Many"), &json!({ "tags": pairs }))).await;
    let event = app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
    assert_eq!(event["tags"].as_object().expect("tags").len(), 200);
    assert_eq!(app.issue("SHOP-1").await["events"], 2);
    // Headers of the request itself: too many are refused, and the next client is served.
    let mut wire = Wire::connect(app.running.address).await;
    let headers = "X-Name: x\r\n".repeat(500);
    wire.send(format!("POST /api/{}/store/ HTTP/1.1\r\nHost: a\r\n{headers}\r\n", shop.id)).await;
    // The server hangs up before it has read all, which may cost the client the answer.
    assert!(wire.answer().await.is_none_or(|answer| answer.status == 431));
    app.send(&shop, &crash("Many")).await;
    assert_eq!(app.issue("SHOP-1").await["events"], 3);
    app.stop().await;
});
