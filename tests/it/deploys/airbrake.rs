//! Airbrake's clients announce deploys.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, active};
use crate::support::{Answer, Client, Engine, TOKEN, TestProject, both};

/// As airbrake-ruby does: the token twice, and all that it knows.
async fn announce(shop: &Shop, token: &str, deploy: &Value) -> Answer {
    let path = format!("/api/v4/projects/{}/deploys?key={token}", shop.project.id);
    let request = shop.app.request(Method::POST, &path).bearer_auth(token);
    let request = request.header("User-Agent", "airbrake-ruby/6.2.2 Ruby/3.3.0");
    Answer::of(request.header("Content-Type", "application/json").body(deploy.to_string())).await
}

both!(a_deploy_that_is_announced_is_recorded, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix; git tag v1.2").await;
    shop.crash_at("KeyError", "base").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let deploy = json!({
        "environment": "Prod",
        "username": "robin",
        "repository": shop.git.path(),
        "revision": shop.sha("fix"),
        "version": "1.2",
    });
    let answer = announce(&shop, TOKEN, &deploy).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["environment"], "production");
    let recorded = &shop.app.all("/api/v1/projects/shop/deploys").await[0];
    assert_eq!((&recorded["by"], &recorded["gated"]), (&json!("robin"), &json!(false)));
    assert_eq!((&recorded["repository"], &recorded["version"]), (&json!("web"), &json!("1.2")));
    assert!(active(&shop.app, "production").await.is_empty());
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");

    // Without a revision the version says it; without a header the query has the token.
    let path = format!("/api/v4/projects/shop/deploys/?key={TOKEN}");
    let deploy = json!({"environment": "beta", "version": "v1.2", "revision": ""});
    let request = shop.app.request(Method::POST, &path).body(deploy.to_string());
    let answer = Answer::of(request).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["revision"]),
        (201, &json!(shop.sha("fix")))
    );
    shop.stop().await;
});

both!(a_deploy_that_makes_no_sense_is_refused_in_airbrakes_words, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    for (deploy, status, why) in [
        (json!("beta"), 422, "invalid type"),
        (json!({}), 422, "it has beta, production"),
        (json!({"environment": "mars", "revision": base}), 422, "it has beta, production"),
        (json!({"environment": "beta"}), 422, "its revision, or a version"),
        (json!({"environment": "beta", "revision": "main"}), 422, "40 hexadecimal digits"),
        (json!({"environment": "beta", "revision": "1234567"}), 422, "no repository"),
        (json!({"environment": "beta", "version": "unheard-of"}), 422, "nobody knows the commits"),
        (json!({"environment": "beta", "version": "a\tb"}), 422, "control characters"),
        (json!({"environment": "beta", "revision": base, "version": "a\u{0}"}), 422, "NUL"),
        (
            json!({"environment": "beta", "revision": base, "username": "x".repeat(501)}),
            422,
            "by must have",
        ),
        (json!({"environment": "x".repeat(65_536)}), 413, "larger than"),
    ] {
        let answer = announce(&shop, TOKEN, &deploy).await;
        let message = answer.json()["message"].as_str().expect("a message").to_owned();
        let short: String = deploy.to_string().chars().take(100).collect();
        let is_said = answer.status.as_u16() == status && message.contains(why);
        assert!(is_said, "{short}: {answer:?}");
    }
    let reader = json!({"name": "reader", "scopes": ["read"]});
    let token = shop.app.post("/api/v1/tokens", &reader).await.ok()["token"].clone();
    let deploy = json!({"environment": "beta", "revision": base});
    let answer = announce(&shop, token.as_str().expect("a secret"), &deploy).await;
    assert_eq!(answer.status, 403);
    assert_eq!(announce(&shop, "airlock_wrong", &deploy).await.status, 401);
    assert_eq!(announce(&shop, &shop.project.key, &deploy).await.status, 403);
    assert!(shop.app.all("/api/v1/projects/shop/deploys").await.is_empty());
    shop.stop().await;
});

both!(a_python_program_announces_its_deploy, |engine: Engine| async move {
    let mut shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    let fix = shop.sha("fix");
    shop.fix("SHOP-1", &fix).await.ok();
    // Its key is a token here.
    shop.project = TestProject { key: TOKEN.to_owned(), ..shop.project };
    Client::AirbrakePython.run(&shop.project, &["deploy", &fix]).await;
    let recorded = &shop.app.all("/api/v1/projects/shop/deploys").await[0];
    assert_eq!((&recorded["commit"], &recorded["environment"]), (&json!(fix), &json!("beta")));
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");
    shop.stop().await;
});
