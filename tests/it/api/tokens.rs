//! Tokens and what they may do.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, as_bearer, get_as, invalid, new_token, not_found};
use crate::support::{Engine, TestApp, both};

/// The token with every scope, as the test server has it.
async fn secret_of(app: &TestApp, wish: &Value) -> String {
    let made = app.post("/api/v1/tokens", wish).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.ok()["token"].as_str().expect("a secret").to_owned()
}

both!(without_a_valid_token_there_is_nothing_to_see, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let path = "/api/v1/projects";
    let unauthorized = (401, "unauthorized".to_owned());
    let answer = Answer::of(app.request(Method::GET, path)).await;
    assert_eq!(answer.problem(), unauthorized);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    for header in ["Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "a-bootstrap-token-for-tests"]
    {
        let request = app.request(Method::GET, path).header("authorization", header);
        assert_eq!(Answer::of(request).await.problem(), unauthorized, "{header}");
    }
    let request = app.request(Method::GET, path);
    let lower = request.header("authorization", "bearer a-bootstrap-token-for-tests");
    assert_eq!(Answer::of(lower).await.status, 200);
    app.stop().await;
});

both!(a_token_may_do_what_its_scopes_say, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    let requests = [
        (Method::GET, "/api/v1/projects", "read"),
        (Method::GET, "/api/v1/projects/shop/buried", "read"),
        (Method::GET, "/api/v1/issues/SHOP-1", "read"),
        (Method::POST, "/api/v1/issues/SHOP-1/resolve", "triage"),
        (Method::POST, "/api/v1/issues/SHOP-1/reopen", "triage"),
        (Method::POST, "/api/v1/issues/SHOP-1/mute", "triage"),
        (Method::POST, "/api/v1/issues/SHOP-1/unmute", "triage"),
        (Method::POST, "/api/v1/issues/SHOP-1/assign", "triage"),
        (Method::PATCH, "/api/v1/projects/shop", "admin"),
        (Method::POST, "/api/v1/projects/shop/keys", "admin"),
        (Method::GET, "/api/v1/tokens", "admin"),
    ];
    for scope in ["read", "triage", "deploy", "override", "admin"] {
        let secret = secret_of(&app, &json!({"name": scope, "scopes": [scope]})).await;
        for (method, path, needed) in requests.clone() {
            let request = as_bearer(&app, &secret, method.clone(), path);
            let request = if method == Method::GET { request } else { request.json(&json!({})) };
            let answer = Answer::of(request).await;
            if needed == scope || needed == "read" {
                assert!(answer.status.is_success(), "{scope} {path}: {answer:?}");
            } else {
                assert_eq!(answer.problem(), (403, "forbidden".to_owned()), "{scope} {path}");
            }
        }
    }
    let forbidden = (403, "forbidden".to_owned());
    let reader = secret_of(&app, &json!({"name": "reader", "scopes": ["read"]})).await;
    for (path, body) in [
        ("/api/v1/issues/SHOP-1/comment", json!({"text": "hi"})),
        ("/api/v1/issues/SHOP-1/merge", json!({"into": "SHOP-2"})),
        ("/api/v1/projects", json!({"slug": "depot"})),
        ("/api/v1/tokens", json!({"name": "more", "scopes": ["read"]})),
    ] {
        let request = as_bearer(&app, &reader, Method::POST, path).json(&body);
        assert_eq!(Answer::of(request).await.problem(), forbidden, "{path}");
    }
    let request = as_bearer(&app, &reader, Method::DELETE, "/api/v1/projects/shop");
    assert_eq!(Answer::of(request).await.problem(), forbidden);
    app.stop().await;
});

both!(a_bound_token_sees_its_projects_and_no_trace_of_others, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let depot = app.create_project("depot").await;
    app.crashed(&shop, "KeyError").await;
    let event = app.crashed(&depot, "KeyError").await;
    let wish = json!({"name": "bound", "scopes": ["admin", "triage"], "projects": ["shop"]});
    let bound = secret_of(&app, &wish).await;
    let list = get_as(&app, &bound, "/api/v1/projects").await.ok();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["items"][0]["slug"], "shop");
    get_as(&app, &bound, "/api/v1/issues/SHOP-1").await.ok();
    for path in [
        "/api/v1/projects/depot",
        "/api/v1/projects/depot/issues",
        "/api/v1/projects/depot/keys",
        "/api/v1/projects/depot/buried",
        &format!("/api/v1/projects/depot/events/{event}"),
        "/api/v1/issues/DEPOT-1",
        "/api/v1/issues/DEPOT-1/events",
        "/api/v1/issues/DEPOT-1/activity",
    ] {
        assert_eq!(get_as(&app, &bound, path).await.problem(), not_found(), "{path}");
        // What does not exist looks the same, save for its name.
        let absent = path.replace("depot", "nowhere").replace("DEPOT", "NOWHERE");
        assert_eq!(get_as(&app, &bound, &absent).await.problem(), not_found(), "{absent}");
    }
    for (method, path) in [
        (Method::POST, "/api/v1/issues/DEPOT-1/resolve"),
        (Method::PATCH, "/api/v1/projects/depot"),
        (Method::DELETE, "/api/v1/projects/depot"),
        (Method::POST, "/api/v1/projects/depot/keys"),
    ] {
        let request = as_bearer(&app, &bound, method, path).json(&json!({}));
        assert_eq!(Answer::of(request).await.problem(), not_found(), "{path}");
    }
    assert_eq!(app.issue("DEPOT-1").await["status"], "open");
    let wish = json!({"slug": "third"});
    let request = as_bearer(&app, &bound, Method::POST, "/api/v1/projects").json(&wish);
    assert_eq!(Answer::of(request).await.problem(), (403, "forbidden".to_owned()));
    assert_eq!(get_as(&app, &bound, "/api/v1/tokens").await.status, 403);
    app.stop().await;
});

both!(a_token_grants_no_more_than_its_maker_has, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    app.create_project("depot").await;
    let end = app.clock.now().plus(Duration::from_hours(2)).to_string();
    let late = app.clock.now().plus(Duration::from_hours(3)).to_string();
    let maker = secret_of(
        &app,
        &json!({"name": "maker", "scopes": ["admin", "triage"], "projects": ["shop"], "expires_at": end}),
    )
    .await;
    let forbidden = (403, "forbidden".to_owned());
    for wish in [
        json!({"name": "x", "scopes": ["deploy"], "expires_at": end}),
        json!({"name": "x", "scopes": ["triage", "override"], "expires_at": end}),
        json!({"name": "x", "scopes": ["triage"], "expires_at": late}),
        json!({"name": "x", "scopes": ["triage"]}),
    ] {
        assert_eq!(new_token(&app, &maker, &wish).await.problem(), forbidden, "{wish}");
    }
    let wish = json!({"name": "x", "scopes": ["read"], "projects": ["depot"], "expires_at": end});
    assert_eq!(new_token(&app, &maker, &wish).await.problem(), not_found());

    // Without a word on projects it is bound as its maker is.
    let wish = json!({"name": "x", "scopes": ["triage", "read"], "expires_at": end});
    let made = new_token(&app, &maker, &wish).await.ok();
    assert_eq!(made["projects"], json!(["shop"]));
    let secret = made["token"].as_str().unwrap();
    assert_eq!(get_as(&app, secret, "/api/v1/projects/depot").await.status, 404);
    app.stop().await;
});

both!(a_token_that_makes_no_sense_is_not_made, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let now = app.clock.now().to_string();
    for wish in [
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "x".repeat(101), "scopes": ["read"]}),
        json!({"name": "a\u{0}b", "scopes": ["read"]}),
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": ["write"]}),
        json!({"name": "x", "scopes": "read"}),
        json!({"name": "x"}),
        json!({"name": "x", "scopes": ["read"], "expires_at": now}),
        json!({"name": "x", "scopes": ["read"], "expires_at": "tomorrow"}),
        json!({"name": "x", "scopes": ["read"], "secret": "mine"}),
    ] {
        assert_eq!(app.post("/api/v1/tokens", &wish).await.problem(), invalid(), "{wish}");
    }
    let wish = json!({"name": "x", "scopes": ["read"], "projects": ["nowhere"]});
    assert_eq!(app.post("/api/v1/tokens", &wish).await.problem(), not_found());
    let names: Vec<Value> =
        app.all("/api/v1/tokens").await.iter().map(|token| token["name"].clone()).collect();
    assert_eq!(names, ["admin.token"]);
    app.stop().await;
});

both!(an_expired_token_is_none, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let end = app.clock.now().plus(Duration::from_mins(10)).to_string();
    let wish = json!({"name": "x", "scopes": ["read"], "expires_at": end});
    let secret = secret_of(&app, &wish).await;
    app.clock.advance(Duration::from_secs(599));
    assert_eq!(get_as(&app, &secret, "/api/v1/projects").await.status, 200);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(get_as(&app, &secret, "/api/v1/projects").await.status, 401);
    app.stop().await;
});

both!(a_revoked_token_stops_at_once, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let made = app.post("/api/v1/tokens", &json!({"name": "x", "scopes": ["read"]})).await.ok();
    let secret = made["token"].as_str().unwrap();
    assert_eq!(get_as(&app, secret, "/api/v1/projects").await.status, 200);
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(get_as(&app, secret, "/api/v1/projects").await.status, 401);
    assert_eq!(app.delete(&path).await.problem(), not_found());
    assert_eq!(app.delete("/api/v1/tokens/no-id").await.problem(), not_found());
    app.stop().await;
});

both!(a_secret_is_shown_once, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let wish = json!({"name": "ci", "scopes": ["deploy", "read"], "projects": ["shop"]});
    let made = app.post("/api/v1/tokens", &wish).await.ok();
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("airlock_") && secret.len() > 40, "{secret}");
    let list = app.get("/api/v1/tokens").await;
    let token = list.ok()["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(token["id"], made["id"]);
    assert_eq!(token["scopes"], json!(["read", "deploy"]));
    assert_eq!(token["projects"], json!(["shop"]));
    assert!(!list.text.contains(secret) && token.get("token").is_none());
    let kept = app.stored_bytes("SELECT secret_hash FROM tokens").await;
    assert!(kept.iter().all(|hash| hash.len() == 32 && hash != secret.as_bytes()));
    app.stop().await;
});

both!(the_use_of_a_token_is_noted_once_a_minute, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let secret = secret_of(&app, &json!({"name": "ci", "scopes": ["read"]})).await;
    let last_used = async || {
        let list = app.all("/api/v1/tokens").await;
        list.last().unwrap()["last_used_at"].clone()
    };
    assert_eq!(last_used().await, Value::Null);
    for (seconds, expected) in [
        (0, "2026-11-21T12:00:00Z"),
        (30, "2026-11-21T12:00:00Z"),
        (29, "2026-11-21T12:00:00Z"),
        (1, "2026-11-21T12:01:00Z"),
        (59, "2026-11-21T12:01:00Z"),
        (600, "2026-11-21T12:11:59Z"),
    ] {
        app.clock.advance(Duration::from_secs(seconds));
        assert_eq!(get_as(&app, &secret, "/api/v1/projects").await.status, 200);
        assert_eq!(last_used().await, expected);
    }
    app.stop().await;
});
