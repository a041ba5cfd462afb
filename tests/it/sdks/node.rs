//! `@sentry/node`: today's, and version 7, which many stay on.

use serde_json::json;

use super::{assert_has, assert_is_of_the_shop, chain, crashes, latest, newest_frame, shop};
use crate::support::{Client, Engine, both};

both!(a_program_crashes, |engine: Engine| async move {
    for client in [Client::Node, Client::Node7] {
        let (app, shop) = shop(engine).await;
        let issues = crashes(&app, &shop, client, &["unhandled"]).await;
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_is_of_the_shop(&issues[0]);
        assert_has(
            &issues[0],
            &json!({
                "title": "TypeError: Cannot read properties of undefined (reading 'amount')",
                "culprit": "cart in checkout",
                // It ends the program.
                "level": "fatal",
                "handled": false,
                "platform": "node",
                "users": 1,
            }),
        );
        let event = latest(&app, &issues[0]).await;
        assert_eq!(event["sdk"]["name"], "sentry.javascript.node");
        assert_eq!(event["user"]["id"], "7");
        assert_eq!(event["breadcrumbs"][0]["message"], "added tea");
        let line = "  return { charged: cart.total.amount, items: cart.items.length };";
        assert_eq!(newest_frame(&event)["context_line"], line);
        app.stop().await;
    }
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_forgets_a_promise() {
    for client in [Client::Node, Client::Node7] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, client, &["rejection"]).await;
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_has(
            &issues[0],
            &json!({"culprit": "cart in checkout", "level": "error", "handled": false}),
        );
        let event = latest(&app, &issues[0]).await;
        let mechanism = event["exceptions"][0]["mechanism"]["type"].as_str().expect("a mechanism");
        assert!(mechanism.contains("rejection"), "{mechanism}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_reports_a_chain_it_handled() {
    for client in [Client::Node, Client::Node7] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, client, &["handled"]).await;
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_is_of_the_shop(&issues[0]);
        assert_has(
            &issues[0],
            &json!({
                "title": "CheckoutError: order 1007 could not be placed",
                "culprit": "cart in placeOrder",
                "handled": true,
            }),
        );
        assert_eq!(chain(&latest(&app, &issues[0]).await), ["TypeError", "CheckoutError"]);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_of_express_crashes() {
    for client in [Client::NodeWeb, Client::Node7Web] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, client, &[]).await;
        // Ordered twice by one customer.
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_is_of_the_shop(&issues[0]);
        assert_has(
            &issues[0],
            &json!({
                "title": "TypeError: Cannot read properties of undefined (reading 'amount')",
                "culprit": "cart in checkout",
                "level": "error",
                "handled": false,
                "events": 2,
                "users": 1,
            }),
        );
        let event = latest(&app, &issues[0]).await;
        assert_eq!(event["transaction"], "POST /orders");
        assert_eq!(event["user"]["id"], "7");
        assert_eq!(event["request"]["method"], "POST");
        let url = event["request"]["url"].as_str().expect("an address");
        assert!(url.starts_with("http://127.0.0.1:") && url.contains("/orders"), "{url}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_come_through_when_the_rest_is_not_wanted() {
    for client in [Client::Node, Client::Node7] {
        let (app, shop) = shop(Engine::Sqlite).await;
        // Four times a session with a transaction, the last three with an error.
        let issues = crashes(&app, &shop, client, &["traced"]).await;
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_has(
            &issues[0],
            &json!({"title": "CheckoutError: order 1007 could not be placed", "events": 3}),
        );
        // What left before the first answer was there: at most the program's own session, the first
        // of the four, and its transaction.
        let outcomes = app.stop_and_count(&shop).await;
        let n_skipped = |item: &str| outcomes.get(&format!("skipped {item}")).copied().unwrap_or(0);
        assert!((1..=2).contains(&n_skipped("session")), "{client:?} {outcomes:?}");
        assert!(n_skipped("transaction") <= 1, "{client:?} {outcomes:?}");
    }
}
