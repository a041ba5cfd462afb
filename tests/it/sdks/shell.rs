//! `sentry-cli`, for scripts.

use serde_json::json;

use super::{assert_has, assert_is_of_the_shop, crashes, latest, shop};
use crate::support::{Client, Engine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_fails() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let issues = crashes(&app, &shop, Client::Shell, &["hook"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_is_of_the_shop(&issues[0]);
    assert_has(
        &issues[0],
        &json!({
            "title": "BashError: command grep \"^total\" \"$1\" exited with status 1",
            "level": "error",
        }),
    );
    assert_eq!(latest(&app, &issues[0]).await["sdk"]["name"], "sentry-cli");
    app.stop().await;
}
