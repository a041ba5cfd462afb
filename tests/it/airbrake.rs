//! What Airbrake's notifiers get for what they send.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Engine, TestApp, TestProject, Wire, both};

fn notice() -> Value {
    json!({
        "errors": [{
            "type": "CartError",
            "message": "no total",
            "backtrace": [
                {"file": "/PROJECT_ROOT/lib/cart.rb", "line": 7, "function": "total"},
                {"file": "/GEM_ROOT/rack.rb", "line": 1, "function": "call"},
            ],
        }],
        "context": {
            "notifier": {"name": "airbrake-ruby", "version": "6.2.2"},
            "environment": "beta",
            "severity": "warning",
            "language": "ruby/3.3.0",
        },
    })
}

fn notices(project: &TestProject) -> String {
    format!("/api/v3/projects/{}/notices", project.id)
}

fn post(app: &TestApp, path: &str) -> RequestBuilder {
    app.request(Method::POST, path).body(notice().to_string())
}

/// A refusal in the form notifiers know: its status and its words.
fn refusal(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{answer:?}");
    let message = body["message"].as_str().expect("a message").to_owned();
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
    (answer.status.as_u16(), message)
}

both!(a_notice_is_created_and_can_be_looked_at, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;

    let request = post(&app, &notices(&shop)).bearer_auth(&shop.key);
    let answer = Answer::of(request.header("Content-Type", "text/plain")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let url = answer.json()["url"].as_str().expect("an address").to_owned();
    let path = url.strip_prefix(&app.running.public_url).expect("our own address");

    app.digested().await;
    let event = app.get(path).await.ok();
    assert_eq!((&event["title"], &event["event_id"]), (&json!("CartError: no total"), &json!(id)));
    assert_eq!(
        (&event["culprit"], &event["environment"]),
        (&json!("lib/cart.rb in total"), &json!("beta"),)
    );
    app.stop().await;
});

both!(a_key_is_taken_from_wherever_a_notifier_puts_it, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let path = notices(&shop);
    let alias = format!("/errors/api/v3/projects/{}/create-notice/", shop.id);

    for request in [
        post(&app, &path).bearer_auth(&shop.key),
        post(&app, &path).header("X-Airbrake-Token", &shop.key),
        post(&app, &format!("{path}?key={}", shop.key)),
        post(&app, &format!("{alias}?key={}", shop.key)).bearer_auth(&shop.key),
    ] {
        assert_eq!(Answer::of(request).await.status, 201);
    }
    app.digested().await;
    let issues = app.get("/api/v1/projects/shop/issues").await.ok();
    assert_eq!((&issues["items"][0]["events"], &issues["items"][1]), (&json!(4), &Value::Null));
    app.stop().await;
});

/// Five megabytes of zeros, gzipped.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 5_000_000]).expect("gzip in memory");
    encoder.finish().expect("gzip in memory")
}

both!(what_is_wrong_for_good_has_a_status_that_is_not_tried_again, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;
    let (path, key) = (notices(&shop), &shop.key);
    let no_number = "/api/v3/projects/shop/notices";

    for (request, status, why) in [
        (post(&app, &path), 401, "no key"),
        (post(&app, &path).bearer_auth("f".repeat(32)), 401, "has no such key"),
        (post(&app, &path).bearer_auth(&blog.key), 401, "has no such key"),
        (post(&app, &path).bearer_auth("../etc"), 401, "not a key"),
        (post(&app, &format!("{path}?key={}", blog.key)).bearer_auth(key), 401, "different keys"),
        (post(&app, no_number).bearer_auth(key), 401, "not a number"),
        (post(&app, &path).bearer_auth(key).body("nonsense"), 422, "not a JSON object"),
        (post(&app, &path).bearer_auth(key).body(""), 422, "empty"),
        (post(&app, &path).bearer_auth(key).body("[]"), 422, "not a JSON object"),
        (post(&app, &path).bearer_auth(key).header("Content-Encoding", "lzw"), 422, "lzw"),
        (
            post(&app, &path).bearer_auth(key).header("Content-Encoding", "gzip").body(bomb()),
            413,
            "400 bytes for each",
        ),
    ] {
        let (seen, message) = refusal(&Answer::of(request).await);
        assert!(seen == status && message.contains(why), "{why}: {seen} {message}");
    }
    app.digested().await;
    assert_eq!(app.get("/api/v1/projects/shop/issues").await.ok()["items"], json!([]));
    app.stop().await;
});

#[tokio::test]
async fn a_page_may_send_notices_and_ask_for_its_configuration() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let configuration = format!("/2020-06-18/config/{}/config.json?&language=JavaScript", shop.id);
    for (path, method) in [(notices(&shop), "POST"), (configuration.clone(), "GET")] {
        let asked = app.request(Method::OPTIONS, &path).header("Origin", "http://shop.example");
        let asked = asked.header("Access-Control-Request-Headers", "cache-control");
        let answer = Answer::of(asked).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-headers"), Some("cache-control"));
        let methods = answer.header("access-control-allow-methods").expect("methods");
        assert!(methods.contains(method), "{methods}");
    }

    let answer = Answer::of(app.request(Method::GET, &configuration)).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let body = answer.ok();
    assert_eq!((&body["project_id"], &body["config_route"]), (&json!(shop.id), &json!("")));
    // Errors on, statistics off, and no other place named for either.
    assert_eq!(
        body["settings"],
        json!([
            {"name": "errors", "enabled": true, "endpoint": null},
            {"name": "apm", "enabled": false, "endpoint": null},
        ])
    );
    app.stop().await;
}

both!(statistics_are_counted_and_passed_over, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for (method, kind) in [
        (Method::POST, "routes-stats"),
        (Method::PUT, "routes-stats"),
        (Method::PUT, "routes-breakdowns"),
        (Method::PUT, "queries-stats"),
        (Method::PUT, "queues-stats"),
    ] {
        let path = format!("/api/v5/projects/{}/{kind}?key={}", shop.id, shop.key);
        let answer = Answer::of(app.request(method, &path).body("{\"routes\":[]}")).await;
        assert_eq!((answer.status.as_u16(), answer.body()), (204, ""), "{kind}");
    }
    let path = format!("/api/v5/projects/{}/routes-stats", shop.id);
    let (status, _) = refusal(&Answer::of(app.request(Method::POST, &path)).await);
    assert_eq!(status, 401);

    let outcomes = app.counted().await.outcomes(shop.id).await;
    assert_eq!(outcomes.get("skipped routes-stats"), Some(&2), "{outcomes:?}");
    assert_eq!(outcomes.get("skipped queues-stats"), Some(&1), "{outcomes:?}");
    app.stop().await;
});

both!(a_key_that_may_only_report_announces_no_deploy, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let deploys = format!("/api/v4/projects/{}/deploys", shop.id);
    let releases = "/api/0/organizations/acme/releases/";

    let answer = Answer::of(post(&app, &format!("{deploys}?key={}", shop.key))).await;
    assert_eq!(answer.status, 403);
    assert!(answer.json()["message"].as_str().expect("a message").contains("scope `deploy`"));
    let dsn = format!("DSN {}", shop.dsn);
    let answer = Answer::of(post(&app, releases).header("Authorization", dsn)).await;
    assert_eq!(answer.status, 403);
    assert!(answer.json()["detail"].as_str().expect("a detail").contains("scope `deploy`"));

    for (path, field) in [(deploys.as_str(), "message"), (releases, "detail")] {
        let answer = Answer::of(post(&app, path)).await;
        assert_eq!(answer.status, 401);
        assert!(answer.json()[field].as_str().expect("words").contains("a token that is valid"));
    }
    app.stop().await;
});

#[tokio::test]
async fn a_notifier_learns_when_to_come_again_unless_that_would_break_its_application() {
    let app = TestApp::start_with(Engine::Sqlite, |config| config.spool_most_bytes = 0).await;
    let shop = app.create_project("shop").await;
    for (agent, expects_delay) in [("airbrake-ruby", true), ("Python-urllib/3.11", false)] {
        let request = post(&app, &notices(&shop)).bearer_auth(&shop.key);
        let answer = Answer::of(request.header("User-Agent", agent)).await;
        let (status, message) = refusal(&answer);
        assert!(status == 429 && message.contains("the spool holds"), "{status} {message}");
        let seconds = answer.header("retry-after").expect("a pause");
        let delay = answer.header("x-ratelimit-delay");
        assert_eq!(delay, expects_delay.then_some(seconds), "{agent}");
    }
    app.stop().await;
}

fn xml(key: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><notice version=\"2.0\"><api-key>{key}</api-key>\
         <notifier><name>Airbrake Notifier</name></notifier>\
         <error><class>Boom</class><message>{message}</message></error></notice>"
    )
}

both!(the_xml_of_old_gems_is_taken_by_the_key_in_it, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let request = app.request(Method::POST, "/notifier_api/v2/notices/");
    let answer = Answer::of(request.body(xml(&shop.key, "old"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.body().split(['<', '>']).nth(6).expect("an id").to_owned();
    let path = format!("/api/v1/projects/{}/events/{id}", shop.id);
    let url = format!("<url>{}{path}</url>", app.running.public_url);
    assert!(answer.body().contains(&url), "{answer:?}");
    app.digested().await;
    assert_eq!(app.get(&path).await.ok()["title"], "Boom: old");

    for (body, why) in [
        (xml(&"f".repeat(32), "unknown"), "no project has such a key"),
        ("<notice/>".to_owned(), "no key"),
        (String::new(), "no key"),
        (" ".repeat(100_000) + &xml(&shop.key, "late"), "no key"),
    ] {
        let request = app.request(Method::POST, "/notifier_api/v2/notices");
        let answer = Answer::of(request.body(body)).await;
        assert_eq!(answer.status, 422, "{why}");
        assert!(answer.body().contains(&format!("<errors><error>{why}")), "{answer:?}");
    }
    app.stop().await;
});

/// `airbrake` from npm sends its `Content-Length` in characters, so the rest of the body stands
/// where the next request should begin.
#[tokio::test]
async fn a_body_counted_in_characters_is_answered_and_ends_the_connection() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let body = xml(&shop.key, "für Müller");
    let mut wire = Wire::connect(app.running.address).await;
    wire.send(format!(
        "POST /notifier_api/v2/notices HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}\
         POST /deploys.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        body.chars().count()
    ))
    .await;
    let answer = wire.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.is_last()), (200, true), "{answer:?}");
    // The rest is no request, and nobody waits for one.
    while let Some(answer) = wire.answer().await {
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    app.digested().await;
    let issues = app.get("/api/v1/projects/shop/issues").await.ok();
    assert_eq!(issues["items"][0]["title"], "Boom: für Müller");
    app.stop().await;
}

both!(a_notice_beyond_the_limit_is_told_when_to_come_again, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let limit = json!({"settings": {"rate_limit": {"events": 1, "seconds": 60}}});
    app.patch("/api/v1/projects/shop", &limit).await.ok();
    let path = format!("{}?key={}", notices(&shop), shop.key);
    assert_eq!(Answer::of(post(&app, &path)).await.status, 201);
    for (agent, delay) in [("airbrake-js", Some("60")), ("Python-urllib/3.11", None)] {
        let answer = Answer::of(post(&app, &path).header("User-Agent", agent)).await;
        let words = "the project's rate limit is used up for 60 s".to_owned();
        assert_eq!(refusal(&answer), (429, words));
        assert_eq!(answer.header("retry-after"), Some("60"));
        assert_eq!(answer.header("x-ratelimit-delay"), delay, "{agent}");
    }
    // What browsers say of policies has limits of its own.
    let report = json!({"csp-report": {"violated-directive": "script-src", "blocked-uri": "x"}});
    let security = format!("/api/{}/security/?sentry_key={}", shop.id, shop.key);
    Answer::of(app.request(Method::POST, &security).body(report.to_string())).await.ok();
    app.stop().await;
});
