//! Bodies in, problems out.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, invalid, not_found};
use crate::support::{Engine, TestApp, both, crash, until, with};

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    let send = async |path: &str, body: &str| {
        Answer::of(app.api(Method::POST, path).body(body.to_owned())).await.problem()
    };
    let malformed = (400, "malformed".to_owned());
    let too_large = (413, "too-large".to_owned());
    let deep = "[".repeat(200_000);
    for path in [
        "/api/v1/projects",
        "/api/v1/tokens",
        "/api/v1/projects/shop/keys",
        "/api/v1/issues/SHOP-1/resolve",
        "/api/v1/issues/SHOP-1/reopen",
        "/api/v1/issues/SHOP-1/mute",
        "/api/v1/issues/SHOP-1/unmute",
        "/api/v1/issues/SHOP-1/assign",
        "/api/v1/issues/SHOP-1/comment",
        "/api/v1/issues/SHOP-1/merge",
    ] {
        for body in ["{", "hello", "{\"a\":}", "{} {}", &deep] {
            assert_eq!(send(path, body).await, malformed, "{path}");
        }
        for body in ["7", "\"x\"", "null", "{\"no_such_field\": 1}"] {
            assert_eq!(send(path, body).await, invalid(), "{path} {body}");
        }
        let large = format!("\"{}\"", "x".repeat(1024 * 1024));
        assert_eq!(send(path, &large).await, too_large, "{path}");
    }
    for (path, body) in [
        ("/api/v1/issues/SHOP-1/resolve", json!({"in": 7})),
        ("/api/v1/issues/SHOP-1/mute", json!({"events": -1})),
        ("/api/v1/issues/SHOP-1/mute", json!({"events": 1.5})),
        ("/api/v1/issues/SHOP-1/mute", json!({"until": 1_795_226_466})),
        ("/api/v1/issues/SHOP-1/assign", json!({"to": ["robin"]})),
        ("/api/v1/issues/SHOP-1/comment", json!({})),
        ("/api/v1/issues/SHOP-1/merge", json!({})),
        ("/api/v1/projects", json!({"slug": ["shop"]})),
        ("/api/v1/projects/shop/keys", json!({"origins": "https://shop.example"})),
    ] {
        assert_eq!(send(path, &body.to_string()).await, invalid(), "{path} {body}");
    }
    assert_eq!(app.changes("SHOP-1").await, ["opened"]);
    // Nothing to say needs no body.
    Answer::of(app.api(Method::POST, "/api/v1/issues/SHOP-1/resolve")).await.ok();
    app.stop().await;
}

#[tokio::test]
async fn a_problem_says_what_is_wrong_and_names_its_request() {
    let app = TestApp::start(Engine::Sqlite).await;
    app.create_project("shop").await;
    for (answer, code, title) in [
        (app.get("/api/v1/projects/nowhere").await, "not-found", "Not found"),
        (app.get("/nowhere").await, "not-found", "Not found"),
        (app.post("/api/v1/projects", &json!({})).await, "invalid", "This makes no sense"),
        (
            app.post("/api/v1/projects", &json!({"slug": "shop"})).await,
            "taken",
            "The name is taken",
        ),
        (
            Answer::of(app.request(Method::GET, "/api/v1/projects")).await,
            "unauthorized",
            "A valid token is needed",
        ),
    ] {
        let (status, _) = answer.problem();
        let problem = answer.json();
        let mut members: Vec<&String> = problem.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["code", "detail", "request_id", "status", "title", "type"]);
        assert_eq!(problem["type"], format!("urn:airlock:problem:{code}"));
        assert_eq!((&problem["code"], &problem["title"]), (&json!(code), &json!(title)));
        assert_eq!(problem["status"], status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        let request_id = problem["request_id"].as_str().unwrap();
        assert_eq!(Some(request_id), answer.header("x-request-id"));
        assert_eq!(request_id.len(), 32);
    }
    let one = app.get("/healthz").await;
    let other = app.get("/healthz").await;
    assert!(one.header("x-request-id").is_some());
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
    app.stop().await;
}

#[tokio::test]
async fn where_nothing_is_there_is_a_problem() {
    let app = TestApp::start(Engine::Sqlite).await;
    for path in [
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nowhere",
        "/api/v1/projects/shop/nowhere",
        "/api/v1/issues/SHOP-1/nowhere",
        "/api/v2/projects",
        "/%00",
        "/%FF%FE",
        "/a/../../etc/passwd",
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let answer = Answer::of(app.api(method.clone(), path)).await;
            assert_eq!(answer.problem(), not_found(), "{method} {path}");
        }
    }
    // Nor where something is, but not this.
    let answer = Answer::of(app.api(Method::PUT, "/api/v1/projects")).await;
    assert_eq!(answer.problem(), not_found());
    for id in ["SHOP-1", "SHOP-0", "SHOP--1", "SHOP", "-1", "1", "SHOP-99999999999999999999"] {
        assert_eq!(app.get(&format!("/api/v1/issues/{id}")).await.problem(), not_found(), "{id}");
    }
    app.stop().await;
}

both!(a_character_no_database_can_hold_is_nobodys_fault, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    for path in [
        "/api/v1/projects/%00",
        "/api/v1/projects/sh%00op/issues",
        "/api/v1/projects/%FF",
        "/api/v1/issues/%00-1",
        "/api/v1/issues/SHOP%00-1",
        "/api/v1/projects/shop/events/%00",
        "/api/v1/projects/shop/releases/%00",
        "/api/v1/projects/shop/environments/%00/locks",
        "/api/v1/locks/%00",
        "/api/v1/deploys/1-%00",
    ] {
        assert_eq!(app.get(path).await.problem(), not_found(), "{path}");
    }
    for (path, body) in [
        ("/api/v1/projects/shop/keys", json!({"label": "a\u{0}b"})),
        ("/api/v1/issues/SHOP-1/assign", json!({"to": "a\u{0}b"})),
        ("/api/v1/issues/SHOP-1/comment", json!({"text": "a\u{0}b"})),
        ("/api/v1/issues/SHOP-1/merge", json!({"into": "\u{0}-1"})),
        ("/api/v1/projects/shop/environments/beta/locks", json!({"reason": "a\u{0}b"})),
        ("/api/v1/projects/shop/environments/beta/locks", json!({"reason": "a", "key": "\u{0}"})),
        (
            "/api/v1/projects/shop/environments/beta/freezes",
            json!({"name": "\u{0}", "start": "0 0 * * 6", "minutes": 60, "timezone": "UTC"}),
        ),
        (
            "/api/v1/projects/shop/environments/beta/deploys",
            json!({"commit": "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00", "status": "failed",
                "by": "a\u{0}", "version": "\u{0}", "url": "\u{0}"}),
        ),
        (
            "/api/v1/projects/shop/releases",
            json!({"version": "\u{0}", "commit": "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00"}),
        ),
    ] {
        let answer = app.post(path, &body).await;
        assert!(!answer.status.is_server_error(), "{path}: {answer:?}");
    }
    let key = "/api/v1/projects/shop/keys/%00";
    assert_eq!(app.patch(key, &json!({})).await.problem(), not_found());
    assert_eq!(app.delete(key).await.problem(), not_found());
    let wish = json!({"name": "x", "scopes": ["read"], "projects": ["\u{0}"]});
    assert_eq!(app.post("/api/v1/tokens", &wish).await.problem(), invalid());

    let texts = json!({"release": "1\u{0}", "environment": "a\u{0}", "tags": {"a\u{0}": "b\u{0}"},
        "transaction": "\u{0}", "user": {"id": "\u{0}"}, "server_name": "\u{0}", "level": "\u{0}",
        "fingerprint": ["\u{0}"], "message": "\u{0}", "extra": {"\u{0}": "\u{0}"}});
    let id = app.send(&shop, &with(crash("Key\u{0}Error"), &texts)).await;
    app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
    app.stop().await;
});

#[tokio::test]
async fn the_api_sets_no_cookie() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let sent = app.send_event(&shop, &crash("KeyError")).await;
    app.digested().await;
    let mut answers = vec![
        sent,
        app.post("/api/v1/tokens", &json!({"name": "x", "scopes": ["read"]})).await,
        app.act("SHOP-1", "resolve", json!({})).await,
    ];
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/status",
        "/status.json",
        "/openapi.json",
        "/nowhere",
        "/api/v1/projects",
        "/api/v1/projects/shop/issues",
        "/api/v1/issues/SHOP-1",
    ] {
        answers.push(app.get(path).await);
        answers.push(Answer::of(app.request(Method::GET, path)).await);
    }
    for answer in answers {
        assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    }
    // Nor does it believe one.
    let request = app.request(Method::GET, "/api/v1/projects");
    let answer = Answer::of(request.header("cookie", "token=a-bootstrap-token-for-tests")).await;
    assert_eq!(answer.status, 401);
    app.stop().await;
}

/// The routes that the handlers name: `GET /api/v1/projects`.
fn routes_of_the_source() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let mut routes = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            for method in ["get", "post", "put", "patch", "delete"] {
                let begin = format!("#[{method}(\"");
                let paths = text.lines().filter_map(|line| line.trim().strip_prefix(&begin));
                routes.extend(paths.map(|rest| {
                    let path = rest.split('"').next().expect("a path").replace(":.*", "");
                    format!("{} {path}", method.to_uppercase())
                }));
            }
        }
    }
    routes.sort();
    assert!(routes.len() > 30, "the handlers are looked for in the wrong way: {routes:?}");
    routes
}

#[tokio::test]
async fn the_description_has_every_route_and_what_it_takes_and_gives() {
    let app = TestApp::start(Engine::Sqlite).await;
    let document = app.get("/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{}", document["openapi"]);
    assert_eq!(document["info"]["title"], "Airlock");
    let mut described = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let route = format!("{} {path}", method.to_uppercase());
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{route}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|one| one["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{route} describes its path");
            described.push(route);
        }
    }
    described.sort();
    // What other services call has their protocols.
    let mut own = routes_of_the_source();
    own.retain(|route| !route.contains(" /hooks/"));
    assert_eq!(described, own);

    // Every reference leads somewhere.
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    app.stop().await;
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.push(reference.clone());
            }
            members.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn whatever_is_described_needs_a_token() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let rules = json!({"rules": [{"events": 1}]});
    app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
    let event = app.crashed(&shop, "KeyError").await;
    until("there is a task", async || {
        app.stored_number("SELECT COUNT(*) FROM built_in_tasks").await == 1
    })
    .await;
    app.post("/api/v1/projects/shop/repositories", &json!({"name": "web"})).await.ok();
    let commit = "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00";
    let release = json!({"version": "1.4.2", "commit": commit});
    app.post("/api/v1/projects/shop/releases", &release).await.ok();
    let beta = "/api/v1/projects/shop/environments/beta";
    let lock = app.post(&format!("{beta}/locks"), &json!({"reason": "a reason"})).await.ok();
    let over = json!({"commit": commit, "status": "failed"});
    let deploy = app.post(&format!("{beta}/deploys"), &over).await.ok();
    let open = ["/healthz", "/readyz", "/status", "/status.json"];
    let mut n_closed = 0;
    for route in routes_of_the_source() {
        let (method, path) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let path = path
            .replace("{slug}", "shop")
            .replace("{event_id}", &event)
            .replace("{a}/compare/{b}", "SHOP-1/compare/SHOP-1")
            .replace("{name}", "web")
            .replace("{number}", "1")
            .replace("{public_key}", &shop.key);
        let id = match path.split('/').nth(3) {
            Some("issues") => "SHOP-1",
            Some("locks") => lock["id"].as_str().unwrap(),
            Some("deploys") => deploy["id"].as_str().unwrap(),
            _ => "1",
        };
        let path = path.replace("{id}", id);
        let path = path.replace("{environment}", "beta").replace("{version}", "1.4.2");
        let path = path.replace("/gate", &format!("/gate?commit={commit}"));
        assert!(!path.contains('{'), "say what stands in {path}");
        let answer = Answer::of(app.request(method.clone(), &path)).await;
        if open.contains(&path.as_str()) {
            assert_eq!(answer.status, 200, "{route}");
        } else {
            assert_eq!(answer.problem(), (401, "unauthorized".to_owned()), "{route}");
            n_closed += 1;
        }
        if method == Method::GET {
            let answer = app.get(&path).await;
            assert_eq!(answer.status, 200, "{route}: {answer:?}");
        }
    }
    assert!(n_closed > 25);
    app.stop().await;
}
