//! Git hosts say when something is pushed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use ring::hmac;
use serde_json::json;

use super::Shop;
use crate::git::Repository;
use crate::support::{Answer, Engine, TestApp, both, until};

/// A push of GitHub, as far as it matters here.
const PUSH: &str = r#"{"ref":"refs/heads/main","repository":{"full_name":"shop/web"}}"#;

fn signed(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    tag.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

both!(a_push_that_is_signed_brings_a_fetch_forward, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let hook = shop.app.get("/api/v1/projects/shop/repositories/web/hook").await.ok();
    let secret = hook["secret"].as_str().expect("a secret").to_owned();
    let url = hook["url"].as_str().expect("an address");
    let path = url.split_once("/hooks/").expect("an address of ours").1;
    let send = async |headers: &[(&str, String)], body: &str| {
        let path = format!("/hooks/{path}");
        let mut request = shop.app.request(Method::POST, &path).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        Answer::of(request).await
    };
    let listed = async || {
        let listed = shop.app.get("/api/v1/projects/shop/repositories").await.ok();
        listed["items"][0]["fetched"]["head"].clone()
    };
    let github = |secret: &str| ("x-hub-signature-256", format!("sha256={}", signed(secret, PUSH)));
    for (name, proof) in [
        ("one", github(&secret)),
        ("two", ("x-gitea-signature", signed(&secret, PUSH))),
        ("three", ("x-gitlab-token", secret.clone())),
    ] {
        shop.git.run(&format!("c {name}"));
        assert_eq!(send(&[proof], PUSH).await.status, 202, "{name}");
        until("the push is fetched", async || listed().await == json!(shop.sha(name))).await;
    }
    let refused = (401, "unauthorized".to_owned());
    assert_eq!(send(&[], PUSH).await.problem(), refused);
    assert_eq!(send(&[github("another")], PUSH).await.problem(), refused);
    assert_eq!(send(&[github(&secret)], "{}").await.problem(), refused);
    assert_eq!(send(&[("x-gitlab-token", "x".to_owned())], PUSH).await.problem(), refused);
    for path in ["/hooks/git/x", "/hooks/git/1-0193f0e0f0e07000800000000000000a"] {
        let request = shop.app.request(Method::POST, path).header("x-gitlab-token", &secret);
        assert_eq!(Answer::of(request.body(PUSH)).await.problem(), refused, "{path}");
    }
    shop.stop().await;
});

/// A host of repositories that hangs up on everybody, and counts them.
async fn unfriendly_host() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/shop", listener.local_addr().expect("an address"));
    let n_calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_calls);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, n_calls)
}

both!(what_waits_does_not_hurry_a_repository_that_cannot_be_fetched, |engine: Engine| async move {
    let protocols = "http".parse().expect("protocols");
    let app = TestApp::start_with(engine, |config| config.git_protocols = protocols).await;
    let project = app.create_project("shop").await;
    let shop = Shop { app, project, git: Repository::new() };
    let (url, n_calls) = unfriendly_host().await;
    let repositories = "/api/v1/projects/shop/repositories";
    shop.app.post(repositories, &json!({"name": "web", "url": url})).await.ok();
    until("it is fetched in vain", async || {
        shop.app.clock.advance(Duration::from_secs(1));
        shop.app.get(repositories).await.ok()["items"][0]["failure"].is_object()
    })
    .await;
    let n_calls = || n_calls.load(Ordering::SeqCst);
    let n_of_one = n_calls();
    shop.crash_in("KeyError", "0").await;
    shop.fix("SHOP-1", &"7".repeat(40)).await.ok();
    let event = shop.crash_in("KeyError", "9.9").await;
    assert_eq!(shop.app.verdict(&event).await.0, "undetermined");
    let n_before = n_calls();
    for _ in 0..10 {
        shop.app.clock.advance(Duration::from_secs(6));
        let now = shop.app.clock.now().as_micros();
        let due = format!("SELECT COUNT(*) FROM unsettled WHERE try_at <= {now}");
        until("it is tried", async || shop.app.stored_number(&due).await == 0).await;
    }
    // Who asks for it gets it.
    let fetch = format!("{repositories}/web/fetch");
    assert_eq!(shop.app.post(&fetch, &json!({})).await.problem().0, 502);
    assert_eq!(n_calls(), n_before + n_of_one);
    shop.stop().await;
});
