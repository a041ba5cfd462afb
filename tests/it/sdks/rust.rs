//! The `sentry` crate.

use serde_json::json;

use super::{assert_has, assert_is_of_the_shop, crashes, shop};
use crate::support::{Client, Engine, both};

both!(a_program_panics, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let issues = crashes(&app, &shop, Client::Rust, &["panic"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_is_of_the_shop(&issues[0]);
    assert_has(
        &issues[0],
        &json!({
            "title": "panic: the cart has a total",
            "culprit": "main.rs in checkout",
            "level": "fatal",
            "handled": false,
            "platform": "native",
        }),
    );
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_users_hit_the_same_error() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let issues = crashes(&app, &shop, Client::Rust, &["burst", "30"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    let expected = json!({"title": "SoldOut: sold out", "events": 30, "users": 30});
    assert_has(&issues[0], &expected);
    app.stop().await;
}
