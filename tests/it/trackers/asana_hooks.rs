//! Asana says when something changes, and what it says is no more than a hint.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Connected, TRACKER};
use crate::support::asana::{Asana, Deliveries, Failure, PAT, Task, sign};
use crate::support::{Answer, Engine, TestApp, both, until};

/// The only one that is asked for what nobody polls.
const SELDOM: u32 = 3600;

/// How often everything is looked through.
const RECONCILE: Duration = Duration::from_mins(10);

/// With a server that Asana can reach, and a webhook.
async fn hooked(engine: Engine, poll_seconds: u32) -> Connected {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = free.local_addr().expect("its address");
    drop(free);
    let connected = Connected::start_as(engine, PAT, |config| {
        (config.listen, config.public_url) = (listen, Some(format!("http://{listen}")));
    })
    .await;
    connected.connect(PAT, &json!({"poll_seconds": poll_seconds})).await;
    are_made(&connected.app, &connected.asana, 1).await;
    connected
}

/// Waits until there are so many webhooks.
async fn are_made(app: &TestApp, asana: &Asana, n: i64) {
    until("webhooks are made", async || {
        let made = "SELECT COUNT(secret) FROM tracker_hooks";
        app.stored_number(made).await == n && i64::try_from(asana.n_webhooks()) == Ok(n)
    })
    .await;
}

/// The path of the newest webhook.
fn path_of(asana: &Asana) -> String {
    let asked = asana.asked("POST", "/webhooks");
    let body: Value = serde_json::from_slice(&asked.last().expect("one").body).expect("JSON");
    let target = body["data"]["target"].as_str().expect("a target");
    format!("/hooks/{}", target.split_once("/hooks/").expect("an address of ours").1)
}

/// Sends a message to an address of webhooks.
async fn send(app: &TestApp, path: &str, header: Option<(&str, &str)>, body: &str) -> Answer {
    let request = app.request(Method::POST, path).body(body.to_owned());
    Answer::of(match header {
        Some((name, value)) => request.header(name, value),
        None => request,
    })
    .await
}

/// Whether Asana is asked soon.
async fn is_hinted(app: &TestApp) -> bool {
    app.stored_number("SELECT COUNT(*) FROM trackers WHERE is_hinted").await == 1
}

/// Waits until Asana was asked because of what it said.
async fn heard(connected: &Connected) {
    until("it is heard", async || {
        connected.app.clock.advance(Duration::from_secs(1));
        !is_hinted(&connected.app).await
    })
    .await;
    let asked = "SELECT COUNT(*) FROM trackers WHERE polled_at = asked_at";
    until("Asana answered", async || connected.app.stored_number(asked).await == 1).await;
    connected.delivered().await;
}

both!(a_hint_is_acted_on_before_the_next_poll, |engine: Engine| async move {
    let connected = hooked(engine, SELDOM).await;
    let Connected { app, shop, asana, .. } = &connected;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    // What Airlock does itself comes back, and is no hint; nor is a heartbeat.
    let mut knobs = Deliveries::default();
    while asana.deliver(&mut knobs).await > 0 {}
    assert!(!is_hinted(app).await);
    let path = format!("/tasks/{}", connected.task("SHOP-1").gid);
    asana.by_hand("PUT", &path, &json!({"completed": true}));
    assert_eq!(asana.deliver(&mut knobs).await, 1);
    heard(&connected).await;
    assert_eq!(app.issue("SHOP-1").await["status"], "resolved");
    // Doubled and in another order it is the same.
    let mut knobs = Deliveries { are_doubled: true, are_reversed: true, ..Deliveries::default() };
    asana.by_hand("PUT", &path, &json!({"completed": false}));
    asana.by_hand("POST", &format!("{path}/stories"), &json!({"text": "it is back"}));
    assert_eq!(asana.deliver(&mut knobs).await, 1);
    heard(&connected).await;
    assert_eq!(app.issue("SHOP-1").await["status"], "open");
    let changes = app.changes("SHOP-1").await;
    assert_eq!(changes.iter().filter(|kind| *kind == "reopened").count(), 1, "{changes:?}");
    // However much it says, it is asked once for it, and then left alone for a while.
    let n_asked = asana.asked("GET", "/events").len();
    for name in ["one", "two", "three"] {
        asana.by_hand("PUT", &path, &json!({ "name": name }));
        assert_eq!(asana.deliver(&mut knobs).await, 1);
    }
    heard(&connected).await;
    assert_eq!(asana.asked("GET", "/events").len(), n_asked + 1);
    connected.app.stop().await;
});

both!(a_lost_webhook_is_repaired_by_the_next_poll, |engine: Engine| async move {
    let connected = hooked(engine, 60).await;
    let Connected { app, shop, asana, .. } = &connected;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    connected.polled().await;
    while asana.deliver(&mut Deliveries::default()).await > 0 {}
    let path = format!("/tasks/{}", connected.task("SHOP-1").gid);
    asana.by_hand("PUT", &path, &json!({"completed": true}));
    let mut knobs = Deliveries { lost: 1, ..Deliveries::default() };
    assert_eq!(asana.deliver(&mut knobs).await, 1);
    assert!(!is_hinted(app).await);
    connected.polled().await;
    assert_eq!(app.issue("SHOP-1").await["status"], "resolved");
    connected.app.stop().await;
});

both!(what_lies_or_is_not_signed_changes_nothing, |engine: Engine| async move {
    let connected = hooked(engine, SELDOM).await;
    let Connected { app, shop, asana, .. } = &connected;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    let (path, secret) = (path_of(asana), asana.secret());
    let refused = (401, "unauthorized".to_owned());
    let task = json!({"gid": connected.task("SHOP-1").gid, "resource_type": "task"});
    let event = json!({"user": null, "resource": task, "action": "deleted"});
    let body = &json!({"events": [event]}).to_string();
    let right = sign(&secret, body.as_bytes());
    for header in [
        None,
        Some(("x-hook-signature", sign("another", body.as_bytes()).as_str())),
        Some(("x-hook-signature", sign(&secret, b"{}").as_str())),
        Some(("x-hook-signature", "00")),
        Some(("x-hook-signature", "")),
        Some(("x-hub-signature-256", format!("sha256={right}").as_str())),
        // Nobody expects a handshake any more: the secret stays the one it is.
        Some(("x-hook-secret", "another")),
    ] {
        let answer = send(app, &path, header, body).await;
        assert_eq!(answer.problem(), refused, "{header:?}");
        assert_eq!(answer.header("x-hook-secret"), None);
    }
    let signature = Some(("x-hook-signature", right.as_str()));
    for path in ["x", "1-0193f0e0f0e07000800000000000000a"] {
        let path = format!("/hooks/tracker/{path}");
        assert_eq!(send(app, &path, signature, body).await.problem(), refused);
        let handshake = Some(("x-hook-secret", "mine"));
        assert_eq!(send(app, &path, handshake, "{}").await.problem(), refused);
    }
    let large = "x".repeat(1024 * 1024 + 1);
    let answer = send(app, &path, signature, &large).await;
    assert_eq!(answer.problem(), (413, "too-large".to_owned()));
    assert!(!is_hinted(app).await);

    // What is signed and never happened only makes Airlock look.
    let changes = app.changes("SHOP-1").await;
    assert_eq!(send(app, &path, signature, body).await.status, 204);
    assert!(is_hinted(app).await);
    heard(&connected).await;
    assert_eq!(app.changes("SHOP-1").await, changes);
    assert_eq!(app.issue("SHOP-1").await["task"]["state"], "open");
    connected.app.stop().await;
});

both!(a_webhook_that_is_gone_is_made_anew, |engine: Engine| async move {
    let connected = hooked(engine, 60).await;
    let Connected { app, asana, .. } = &connected;
    let (path, secret) = (path_of(asana), asana.secret());
    let looked_through = async || {
        app.clock.advance(RECONCILE);
        connected.polled().await;
    };
    let n_made = asana.asked("POST", "/webhooks").len();
    looked_through().await;
    assert_eq!(asana.asked("POST", "/webhooks").len(), n_made);
    // Asana gave it up; the answer to the next one is lost on its way.
    let gid = |asana: &Asana| {
        let query = format!("/webhooks?workspace={}", crate::support::asana::WORKSPACE);
        asana.by_hand("GET", &query, &json!({}))[0]["gid"].as_str().map(ToOwned::to_owned)
    };
    let first = gid(asana).expect("a webhook");
    asana.by_hand("DELETE", &format!("/webhooks/{first}"), &json!({}));
    asana.fail("POST", "/webhooks", 1, Failure::DropAnswer);
    looked_through().await;
    until("it is noted", async || {
        app.stored_number("SELECT COUNT(cause) FROM tracker_hooks").await == 1
    })
    .await;
    let check = async || {
        let checked = app.post(&format!("{TRACKER}/check"), &json!({})).await.ok();
        let checks = checked["checks"].as_array().expect("checks").clone();
        checks.into_iter().find(|check| check["name"] == "webhooks").expect("a check")
    };
    let failed = check().await;
    assert_eq!(failed["ok"], false, "{failed}");
    assert!(failed["hint"].as_str().expect("a hint").contains("/hooks/tracker/"), "{failed}");
    looked_through().await;
    are_made(app, asana, 1).await;
    assert_ne!(asana.secret(), secret);
    assert_eq!(check().await["ok"], true);
    // The one of before is nobody's.
    let signature = sign(&secret, b"{}");
    let answer = send(app, &path, Some(("x-hook-signature", &signature)), "{}").await;
    assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
    let signature = sign(&asana.secret(), b"{}");
    let answer = send(app, &path_of(asana), Some(("x-hook-signature", &signature)), "{}").await;
    assert_eq!(answer.status, 204);
    connected.app.stop().await;
});

both!(webhooks_are_where_the_settings_say_so, |engine: Engine| async move {
    let connected = hooked(engine, 60).await;
    let Connected { app, asana, .. } = &connected;
    let lock = asana.project("Lock Beta");
    let environments = json!({"environments": {"beta": {"lock_project": lock}}});
    let set = connected.connect(PAT, &environments).await;
    let last = |set: &Value| set["checks"].as_array().expect("checks").last().cloned();
    assert_eq!(last(&set).expect("one")["name"], "webhooks", "{set}");
    are_made(app, asana, 2).await;
    let hand_made = json!({"name": "the import runs", "projects": [lock]});
    asana.by_hand("POST", "/tasks", &hand_made);
    assert_eq!(asana.deliver(&mut Deliveries::default()).await, 2);
    heard(&connected).await;
    let is_open = |task: &Task| task.is_in(&lock) && !task.completed;
    assert_eq!(asana.tasks().iter().filter(|task| is_open(task)).count(), 1);
    assert_eq!(app.all("/api/v1/projects/shop/environments/beta/locks").await.len(), 1);
    let checked = app.post(&format!("{TRACKER}/check"), &json!({})).await.ok();
    let webhooks = last(&checked).expect("a check");
    assert!(webhooks["detail"].as_str().expect("text").contains("in 2 projects"), "{checked}");

    connected.connect(PAT, &json!({"webhooks": false})).await;
    assert_eq!(asana.n_webhooks(), 0);
    connected.polled().await;
    assert_eq!(asana.n_webhooks(), 0);
    connected.connect(PAT, &json!({})).await;
    are_made(app, asana, 1).await;
    // One that Asana refuses fails nothing else.
    asana.refuse_localhost();
    connected.connect(PAT, &json!({})).await;
    connected.polled().await;
    assert_eq!(asana.n_webhooks(), 0);
    let checked = app.post(&format!("{TRACKER}/check"), &json!({})).await.ok();
    let refused = last(&checked).expect("a check");
    assert!(refused["detail"].as_str().expect("text").contains("not allowed"), "{checked}");
    connected.app.stop().await;
});

both!(who_leaves_ends_the_webhooks, |engine: Engine| async move {
    let connected = hooked(engine, 60).await;
    let Connected { app, asana, .. } = &connected;
    app.delete(TRACKER).await.ok();
    assert_eq!(asana.n_webhooks(), 0);
    connected.connect(PAT, &json!({})).await;
    are_made(app, asana, 1).await;
    app.delete("/api/v1/projects/shop").await.ok();
    assert_eq!(asana.n_webhooks(), 0);
    // A server that nobody can reach has none, and says so.
    let mut connected = connected;
    connected.app = connected.app.restart_with(|config| config.public_url = None).await;
    connected.app.create_project("store").await;
    let settings = json!({
        "kind": "asana", "url": connected.asana.url, "token": PAT, "issue_project": connected.errors,
    });
    let set = connected.app.put("/api/v1/projects/store/tracker", &settings).await.ok();
    let check = set["checks"].as_array().and_then(|checks| checks.last()).expect("a check");
    assert!(check["detail"].as_str().expect("text").contains("--public-url"), "{set}");
    assert_eq!(check["ok"], true);
    connected.app.stop().await;
});
