//! Airbrake's own clients.

use serde_json::json;

use super::{assert_has, chain, crashes, latest, newest_frame, shop, stored};
use crate::support::{Browser, Client, Engine, both};

both!(a_python_program_notifies, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let issues = crashes(&app, &shop, Client::Pybrake, &["notify"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_has(
        &issues[0],
        &json!({
            "title": "CheckoutError: order 1007 could not be placed",
            "level": "error",
            "platform": "python",
            "environments": ["production"],
            "releases": {"first": "1.4.2", "last": "1.4.2"},
            "users": 1,
        }),
    );
    assert_eq!(issues[0]["culprit"], "shop/cart.py in place_order");
    let event = latest(&app, &issues[0]).await;
    assert_eq!(chain(&event), ["KeyError", "CheckoutError"]);
    assert_eq!(event["user"]["id"], "7");
    let line =
        "        raise CheckoutError(f\"order {cart['id']} could not be placed\") from cause";
    assert_eq!(newest_frame(&event)["context_line"], line);
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_program_logs() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let issues = crashes(&app, &shop, Client::Pybrake, &["logging"]).await;
    assert_eq!(issues.len(), 2, "{issues:?}");
    // They go out side by side, so either may come first.
    let crashed = issues.iter().find(|issue| issue["title"] == "KeyError: 'total'");
    let told = issues.iter().find(|issue| Some(issue) != crashed.as_ref());
    assert_has(
        crashed.expect("the crash"),
        &json!({"culprit": "shop/cart.py in checkout", "level": "error", "users": 1}),
    );
    assert_has(
        told.expect("the error"),
        &json!({
            "title": "shop.orders: order 1007 has no address",
            "culprit": "notices.py in log",
            "level": "error",
        }),
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_program_whose_backtraces_begin_with_the_outermost_call_crashes() {
    for (how, title, culprit) in [
        ("unhandled", "KeyError: 'total'", "shop/cart.py in checkout"),
        ("handled", "CheckoutError: order 1007 could not be placed", "shop/cart.py in place_order"),
    ] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, Client::AirbrakePython, &[how]).await;
        assert_eq!(issues.len(), 1, "{how} {issues:?}");
        assert_has(
            &issues[0],
            &json!({
                "title": title,
                "culprit": culprit,
                "level": "error",
                "platform": "python",
                "environments": ["production"],
            }),
        );
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_program_crashes() {
    for how in ["unhandled", "rejection"] {
        let (app, shop) = shop(Engine::Sqlite).await;
        let issues = crashes(&app, &shop, Client::AirbrakeNode, &[how]).await;
        assert_eq!(issues.len(), 1, "{how} {issues:?}");
        assert_has(
            &issues[0],
            &json!({
                "title": "TypeError: Cannot read properties of undefined (reading 'amount')",
                "culprit": "node/cart.js in checkout",
                "level": "error",
                "platform": "node",
                "environments": ["production"],
                "releases": {"first": "1.4.2", "last": "1.4.2"},
                "users": 1,
            }),
        );
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_program_notifies_and_learns_that_no_statistics_are_wanted() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let issues = crashes(&app, &shop, Client::AirbrakeNode, &["handled"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_has(
        &issues[0],
        &json!({
            "title": "CheckoutError: order 1007 could not be placed",
            "culprit": "node/cart.js in placeOrder",
        }),
    );
    let event = latest(&app, &issues[0]).await;
    assert_eq!(event["user"]["id"], "7");
    assert_eq!(event["extra"]["params"]["order"], 1007);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_program_that_sends_xml_crashes() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let issues = crashes(&app, &shop, Client::AirbrakeXml, &["unhandled"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_has(
        &issues[0],
        &json!({
            "title": "Error: Cannot read properties of undefined (reading 'amount')",
            "culprit": "cart.js in checkout",
            "level": "error",
            "platform": "node",
            "environments": ["production"],
            "releases": {"first": "1.4.2", "last": "1.4.2"},
        }),
    );
    // It sends all variables of its environment along.
    let event = latest(&app, &issues[0]).await;
    assert_eq!(event["request"]["env"]["AIRBRAKE_PROJECT_KEY"], "[scrubbed]", "{event}");
    assert_eq!(newest_frame(&event)["in_app"], true, "{event}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xml_that_its_client_cuts_is_kept_as_far_as_it_goes() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let issues = crashes(&app, &shop, Client::AirbrakeXml, &["cut"]).await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_eq!(issues[0]["title"], "Error: drei Tassen für Jürgen: 茶茶茶");
    let event = latest(&app, &issues[0]).await;
    assert!(event["notes"].to_string().contains("the XML cannot be read further"), "{event}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_crashes() {
    let (app, shop) = shop(Engine::Sqlite).await;
    let (host, project) = (shop.server(), shop.id.to_string());
    let asked = [("host", host.as_str()), ("project", &project), ("key", &shop.key)];
    let mut browser = Browser::open("airbrake.js", &asked, "").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let told = browser.told().await;
        ids.push(told["id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned());
    }
    let origin = browser.origin.clone();
    let console = browser.close().await;
    // Of the requests that the browser held back there is no word.
    assert_eq!(console.len(), 1, "{console:#?}");
    assert!(console[0].contains("Uncaught TypeError"), "{console:#?}");
    let issues = stored(&app, &ids).await;
    assert_eq!(issues.len(), 2, "{issues:?}");
    for issue in &issues {
        assert_has(
            issue,
            &json!({"platform": "javascript", "environments": ["production"], "users": 1}),
        );
        let event = latest(&app, issue).await;
        let url = event["request"]["url"].as_str().expect("an address");
        assert!(url.starts_with(&origin), "{url}");
    }
    let (crashed, notified): (Vec<_>, Vec<_>) =
        issues.iter().partition(|issue| issue["handled"] == false);
    assert_eq!((crashed.len(), notified.len()), (1, 1), "{issues:?}");
    let crash = "TypeError: Cannot read properties of undefined (reading 'amount')";
    assert_eq!(crashed[0]["title"], crash);
    assert_eq!(notified[0]["title"], "Error: order 1007 could not be placed");
    app.stop().await;
}
