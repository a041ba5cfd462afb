//! Addresses without a project: a page's own tunnel, and the oldest clients.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Engine, TestApp, both};

const ID: &str = "c76085e7ee72463e94764d80b9534fff";
const OTHER_ID: &str = "5bd2ee4a2a1f4a6c8a3a5b5f0d7e9c11";

fn event(id: &str) -> String {
    json!({"event_id": id, "exception": {"values": [{"type": "Boom", "value": "broken"}]}})
        .to_string()
}

fn envelope(header: &Value, id: &str) -> String {
    format!("{header}\n{{\"type\":\"event\"}}\n{}", event(id))
}

async fn post(app: &TestApp, path: &str, body: String) -> Answer {
    Answer::of(app.request(Method::POST, path).body(body)).await
}

both!(behind_a_tunnel_the_envelope_alone_says_whose_it_is, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;

    for (path, project, id) in
        [("/tunnel", &shop, ID), ("/tunnel/", &blog, ID), ("/monitoring/tunnel", &shop, OTHER_ID)]
    {
        let body = envelope(&json!({"event_id": id, "dsn": project.dsn}), id);
        assert_eq!(post(&app, path, body).await.ok(), json!({"id": id}), "{path}");
    }
    app.digested().await;
    for (slug, n_events) in [("shop", 2), ("blog", 1)] {
        let page = app.get(&format!("/api/v1/projects/{slug}/issues")).await.ok();
        assert_eq!(page["items"][0]["events"], n_events, "{slug}");
    }
    app.stop().await;
});

both!(a_tunnel_takes_nothing_without_a_right_dsn, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;
    let of_another = shop.dsn.replace(&shop.key, &blog.key);
    let made_up = shop.dsn.replace(&shop.key, &"f".repeat(32));

    for (header, path, why) in [
        (json!({}), "/tunnel", "no key"),
        (json!({"dsn": "http://somewhere"}), "/tunnel", "not a DSN"),
        (json!({"dsn": of_another}), "/tunnel", "has no such key"),
        (json!({"dsn": made_up}), "/tunnel", "has no such key"),
        (json!({"dsn": shop.dsn}), "/tunnel?sentry_key=BLOG", "another project"),
    ] {
        let path = path.replace("BLOG", &blog.key);
        let answer = post(&app, &path, envelope(&header, ID)).await;
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 403 && detail.contains(why), "{header}: {answer:?}");
    }
    app.digested().await;
    assert_eq!(app.get("/api/v1/projects/shop/issues").await.ok()["items"], json!([]));
    app.stop().await;
});

#[tokio::test]
async fn a_page_may_ask_first_whether_it_may_use_the_tunnel() {
    let app = TestApp::start(Engine::Sqlite).await;
    for path in ["/tunnel", "/monitoring/tunnel/", "/api/store/"] {
        let asked = app.request(Method::OPTIONS, path).header("Origin", "http://shop.example");
        let asked = asked.header("Access-Control-Request-Headers", "x-shop-proxy");
        let answer = Answer::of(asked).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-headers"), Some("x-shop-proxy"));
    }
    app.stop().await;
}

both!(the_oldest_clients_leave_the_project_to_the_key, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;

    for (path, id) in [("/api/store/", ID), ("/team/api/store", OTHER_ID)] {
        let auth = format!("Sentry sentry_version=5, sentry_key={}", shop.key);
        let request = app.request(Method::POST, path).header("X-Sentry-Auth", auth);
        assert_eq!(Answer::of(request.body(event(id))).await.ok(), json!({"id": id}), "{path}");
    }
    let path = format!("/api/store/?sentry_key={}", "f".repeat(32));
    let answer = post(&app, &path, event(ID)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["causes"][0]), (403, &json!("unknown_key")));

    app.digested().await;
    let page = app.get("/api/v1/projects/shop/issues").await.ok();
    assert_eq!(page["items"][0]["events"], 2);
    app.stop().await;
});
