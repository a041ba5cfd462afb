//! `sentry-sdk`: today's, and the ones of years ago that still run somewhere.

use serde_json::json;

use super::{assert_has, assert_is_of_the_shop, chain, crashes, latest, newest_frame, shop};
use crate::support::{Client, Engine, both};

both!(a_program_crashes, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let issues = crashes(&app, &shop, Client::Python, &["unhandled"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_is_of_the_shop(&issues[0]);
    assert_has(
        &issues[0],
        &json!({
            "title": "KeyError: 'total'",
            "culprit": "shop.cart in checkout",
            "level": "error",
            "handled": false,
            "platform": "python",
            "users": 1,
        }),
    );
    let event = latest(&app, &issues[0]).await;
    assert_eq!(event["user"]["id"], "7");
    assert_eq!(event["breadcrumbs"][0]["message"], "added tea");
    assert_eq!(newest_frame(&event)["context_line"], "    amount = cart[\"total\"]");
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_with_old_versions_crash_the_same_way() {
    for client in [Client::Python1, Client::Python0] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, client, &["unhandled"]).await;
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_is_of_the_shop(&issues[0]);
        assert_has(
            &issues[0],
            &json!({
                "title": "KeyError: 'total'",
                "culprit": "shop.cart in checkout",
                "level": "error",
                "handled": false,
                "users": 1,
            }),
        );
        let event = latest(&app, &issues[0]).await;
        assert_eq!(newest_frame(&event)["context_line"], "    amount = cart[\"total\"]");
        // Years apart, one error: the new version's crash joins.
        Client::Python.run(&shop, &["unhandled"]).await;
        app.digested().await;
        assert_eq!(app.issue("SHOP-1").await["events"], 2, "{client:?}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_reports_a_chain_it_handled() {
    // The oldest says nothing about it.
    let clients = [
        (Client::Python, json!(true)),
        (Client::Python1, json!(true)),
        (Client::Python0, json!(null)),
    ];
    for (client, handled) in clients {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, client, &["handled"]).await;
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_is_of_the_shop(&issues[0]);
        assert_has(
            &issues[0],
            &json!({
                "title": "CheckoutError: order 1007 could not be placed",
                "culprit": "shop.cart in place_order",
                "handled": handled,
            }),
        );
        assert_eq!(chain(&latest(&app, &issues[0]).await), ["KeyError", "CheckoutError"]);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_logs() {
    for client in [Client::Python, Client::Python1, Client::Python0] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, client, &["logging"]).await;
        // Two orders without an address are one error, told twice.
        assert_eq!(issues.len(), 2, "{client:?} {issues:?}");
        assert_has(
            &issues[0],
            &json!({
                "title": "order 1008 has no address",
                "culprit": "shop.orders",
                "level": "error",
                "events": 2,
            }),
        );
        let event = latest(&app, &issues[0]).await;
        assert_has(&event, &json!({"logger": "shop.orders", "transaction": null}));
        assert_has(
            &issues[1],
            &json!({
                "title": "KeyError: 'total'",
                "culprit": "shop.cart in checkout",
                "handled": true,
                "events": 1,
            }),
        );
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_crash() {
    for client in [Client::Python, Client::Python1, Client::Python0] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, client, &["threads"]).await;
        assert_eq!(issues.len(), 1, "{client:?} {issues:?}");
        assert_has(
            &issues[0],
            &json!({"culprit": "shop.cart in checkout", "handled": false, "events": 2}),
        );
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_crash_and_nobody_waits_for_one_of_them() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let issues = crashes(&app, &shop, Client::Python, &["tasks"]).await;
    // Two crashes that somebody waited for, and one that the SDK tells twice: as a crash of a task,
    // and as asyncio's complaint that nobody asked how it went. All are one error.
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_has(
        &issues[0],
        &json!({
            "title": "KeyError: 'total'",
            "culprit": "shop.cart in checkout",
            "handled": false,
            "events": 4,
        }),
    );
    app.stop().await;
}

both!(three_hundred_users_hit_the_same_error, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let issues = crashes(&app, &shop, Client::Python, &["burst", "300"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    let expected = json!({"title": "CheckoutError: sold out", "events": 300, "users": 300});
    assert_has(&issues[0], &expected);
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_crashes() {
    for (framework, view) in [("flask", "order"), ("django", "/orders")] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, Client::PythonWeb, &[framework]).await;
        assert_eq!(issues.len(), 2, "{framework} {issues:?}");
        for issue in &issues {
            assert_is_of_the_shop(issue);
        }
        // Ordered twice by one customer.
        assert_has(
            &issues[0],
            &json!({
                "title": "KeyError: 'total'",
                "culprit": "shop.cart in checkout",
                "level": "error",
                "handled": false,
                "events": 2,
                "users": 1,
            }),
        );
        let event = latest(&app, &issues[0]).await;
        assert_eq!(event["transaction"], view);
        assert_eq!(event["user"]["id"], "7");
        assert_has(
            &event["request"],
            &json!({"method": "POST", "query_string": "coupon=SPRING", "data": {"items": ["tea"]}}),
        );
        let url = event["request"]["url"].as_str().expect("an address");
        assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/orders"), "{url}");

        assert_has(
            &issues[1],
            &json!({"title": "order 1008 is not to be found", "level": "error", "events": 1}),
        );
        let event = latest(&app, &issues[1]).await;
        assert_eq!(event["logger"], "shop");
        assert_eq!(event["request"]["method"], "GET");
        let url = event["request"]["url"].as_str().expect("an address");
        assert!(url.ends_with("/orders/1008"), "{url}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_come_through_when_the_rest_is_not_wanted() {
    let (app, shop) = shop(Engine::Sqlite).await;
    // A transaction, then three with an error in each.
    let issues = crashes(&app, &shop, Client::Python, &["traced"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_has(
        &issues[0],
        &json!({"title": "CheckoutError: order 1007 could not be placed", "events": 3}),
    );
    let outcomes = app.stop_and_count(&shop).await;
    assert_eq!(outcomes.get("skipped transaction"), Some(&1), "{outcomes:?}");
}
