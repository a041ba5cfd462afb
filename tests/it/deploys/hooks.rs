//! Git hosts say when something is pushed.

use reqwest::Method;
use ring::hmac;
use serde_json::json;

use super::Shop;
use crate::support::{Answer, Engine, both, until};

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
