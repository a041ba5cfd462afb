//! `@sentry/browser`, in Chromium.

use serde_json::{Value, json};

use super::{assert_has, assert_is_of_the_shop, chain, latest, shop, stored};
use crate::support::{Browser, Engine, TestApp, TestProject, until};

/// What a page that crashes twice and handles an error once says on its console, and no more: no
/// word of a request that the browser held back.
const CONSOLE: [&str; 2] = [
    "\"Uncaught TypeError: Cannot read properties of undefined (reading 'amount')\"",
    "\"Uncaught (in promise) TypeError: Cannot read properties of undefined (reading 'amount')\"",
];

/// Opens the shop, whose page asks for more; gives its issues and where the page was from.
async fn visited(app: &TestApp, shop: &TestProject, more: &[(&str, &str)]) -> (Vec<Value>, String) {
    let mut asked = vec![("dsn", shop.dsn.as_str())];
    asked.extend(more);
    let mut browser = Browser::open("sentry.js", &asked, "").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let told = browser.told().await;
        ids.push(told["event_id"].as_str().expect("an id").to_owned());
        // The page may see both: the answer, and what need not be sent.
        assert_eq!(told["status"], 200, "{told}");
        let limits = told["limits"].as_str().expect("limits");
        assert!(limits.contains("session") && !limits.contains("error"), "{limits}");
    }
    let origin = browser.origin.clone();
    let console = browser.close().await;
    let said = |line: &str| CONSOLE.iter().any(|expected| line.contains(expected));
    assert!(console.len() == 2 && console.iter().all(|line| said(line)), "{console:#?}");
    (stored(app, &ids).await, origin)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_crashes() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let (issues, origin) = visited(&app, &shop, &[]).await;
    let (crashed, handled): (Vec<_>, Vec<_>) =
        issues.iter().partition(|issue| issue["handled"] == false);
    assert_eq!((crashed.len(), handled.len()), (1, 1), "{issues:?}");
    let script = format!("{}/shop.js", origin.trim_start_matches("http://"));
    // In a handler, and in a promise that nobody waits for.
    assert_is_of_the_shop(crashed[0]);
    assert_has(
        crashed[0],
        &json!({
            "title": "TypeError: Cannot read properties of undefined (reading 'amount')",
            "culprit": format!("{script} in checkout"),
            "level": "error",
            "platform": "javascript",
            "events": 2,
            "users": 1,
        }),
    );
    assert_is_of_the_shop(handled[0]);
    assert_has(
        handled[0],
        &json!({
            "title": "Error: order 1007 could not be placed",
            "culprit": format!("{script} in placeOrder"),
            "handled": true,
        }),
    );
    let event = latest(&app, handled[0]).await;
    assert_eq!(chain(&event), ["TypeError", "Error"]);
    assert_eq!(event["request"]["url"], format!("{origin}/"));
    assert_eq!(event["user"]["id"], "7");
    assert_eq!(event["breadcrumbs"][0]["category"], "ui.click");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_must_ask_before_it_may_send() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let (issues, _) = visited(&app, &shop, &[("header", "x-shop-page")]).await;
    assert_eq!(issues.len(), 2, "{issues:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_sends_through_a_tunnel() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let (issues, _) = visited(&app, &shop, &[("tunnel", &app.url("/tunnel"))]).await;
    assert_eq!(issues.len(), 2, "{issues:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_breaks_its_policy() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let report_to = app.url(&format!("/api/{}/security/?sentry_key={}", shop.id, shop.key));
    let policy = format!(
        "content-security-policy: img-src 'self' data:; report-uri {report_to}&sentry_release=shop@1.4.2\r\n"
    );
    let mut browser = Browser::open("policy.js", &[], &policy).await;
    assert_eq!(browser.told().await["effectiveDirective"], "img-src");
    until("the report", async || !app.all("/api/v1/projects/shop/issues").await.is_empty()).await;
    let origin = browser.origin.clone();
    browser.close().await;
    let issues = app.all("/api/v1/projects/shop/issues").await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_has(&issues[0], &json!({"events": 1}));
    let title = issues[0]["title"].as_str().expect("a title");
    assert!(title.contains("ads.example"), "{title}");
    let event = latest(&app, &issues[0]).await;
    let page = event["request"]["url"].as_str().expect("an address");
    assert!(page.starts_with(&origin), "{page}");
    app.stop().await;
}
