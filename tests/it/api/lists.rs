//! Lists: pages, filters and orders.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{invalid, not_found};
use crate::support::{Engine, TestApp, both, crash, with};

const ISSUES: &str = "/api/v1/projects/shop/issues";

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|one| one["id"].as_str().expect("an id")).collect()
}

/// All items of a list in pages of `limit`.
async fn pages(app: &TestApp, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{path}limit={limit}{cursor}")).await.ok();
        let page_items = page["items"].as_array().expect("items");
        items.extend(page_items.iter().cloned());
        let Some(next) = page["next"].as_str() else {
            assert!(page_items.len() <= limit);
            return items;
        };
        assert_eq!(page_items.len(), limit, "a page that is not the last is full");
        cursor = format!("&cursor={next}");
    }
}

both!(sixty_issues_are_paged_without_gap_or_repetition, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for n in 0..60_u64 {
        // Many share a minute, a number of events and a number of users.
        let at = app.clock.now().minus(Duration::from_secs(7 * (n % 20)));
        for event in 0..=(n % 3) {
            let user = json!({"id": event * (n % 2)});
            let fields = json!({"timestamp": at.to_string(), "user": user});
            app.send_event(&shop, &with(crash(&format!("Error{n}")), &fields)).await.ok();
        }
    }
    app.digested().await;
    for (sort, key) in [
        ("last_seen", "last_seen"),
        ("first_seen", "first_seen"),
        ("events", "events"),
        ("users", "users"),
    ] {
        let whole = app.all(&format!("{ISSUES}?sort={sort}")).await;
        assert_eq!(ids(&whole).into_iter().collect::<BTreeSet<_>>().len(), 60, "{sort}");
        let order = |issue: &Value| match key {
            // To the minute.
            "last_seen" => json!(issue[key].as_str().and_then(|at| at.get(..16))),
            _ => issue[key].clone(),
        };
        let keys: Vec<Value> = whole.iter().map(order).collect();
        let falls = |one: &Value, next: &Value| match (one.as_u64(), next.as_u64()) {
            (Some(one), Some(next)) => one >= next,
            _ => one.as_str() >= next.as_str(),
        };
        assert!(keys.is_sorted_by(falls), "{sort}: {keys:?}");
        for limit in [1, 7, 20, 25, 60] {
            let paged = pages(&app, &format!("{ISSUES}?sort={sort}&"), limit).await;
            assert_eq!(ids(&paged), ids(&whole), "{sort} by {limit}");
        }
    }
    let usual = app.get(ISSUES).await.ok();
    assert_eq!(usual["items"].as_array().map(Vec::len), Some(25));
    app.stop().await;
});

both!(every_list_goes_on_where_its_page_ended, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for n in 0..11 {
        app.create_project(&format!("p{n:02}")).await;
        app.post("/api/v1/tokens", &json!({"name": "x", "scopes": ["read"]})).await.ok();
        app.crash(&shop, "KeyError").await;
        let broken = format!("{{}}\n{{\"type\":\"event\"}}\n{{broken {n}\n");
        app.report(&shop, "envelope").body(broken).send().await.expect("an answer");
    }
    app.digested().await;
    for n in 0..10 {
        app.act("SHOP-1", "comment", json!({"text": n.to_string()})).await.ok();
    }
    for (path, key, n_items) in [
        ("/api/v1/projects?", "slug", 12),
        ("/api/v1/tokens?", "id", 12),
        ("/api/v1/issues/SHOP-1/events?", "event_id", 11),
        ("/api/v1/issues/SHOP-1/activity?", "text", 11),
        ("/api/v1/projects/shop/buried?", "id", 11),
    ] {
        let whole = pages(&app, path, 100).await;
        let keys: Vec<&Value> = whole.iter().map(|one| &one[key]).collect();
        let different: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(different.len(), n_items, "{path}");
        for limit in [1, 3, 11] {
            assert_eq!(pages(&app, path, limit).await, whole, "{path} by {limit}");
        }
    }
    app.stop().await;
});

both!(pages_that_make_no_sense_are_refused, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    for list in [
        ISSUES,
        "/api/v1/projects",
        "/api/v1/tokens",
        "/api/v1/issues/SHOP-1/events",
        "/api/v1/issues/SHOP-1/activity",
        "/api/v1/projects/shop/buried",
    ] {
        for limit in ["0", "-1", "101", "many", "99999999999999999999"] {
            let answer = app.get(&format!("{list}?limit={limit}")).await;
            assert_eq!(answer.problem(), invalid(), "{list} {limit}");
        }
        app.get(&format!("{list}?limit=1")).await.ok();
        app.get(&format!("{list}?limit=100")).await.ok();
        for cursor in ["1.2.3", "%00", "9.no-id", "%F0%9F%92%A5"] {
            let answer = app.get(&format!("{list}?cursor={cursor}")).await;
            assert_eq!(answer.problem(), invalid(), "{list} {cursor}");
        }
    }
    for query in [
        "status=closed",
        "sort=title",
        "status=",
        "sort=",
        "q=%00",
        "environment=a%00",
        "status=%00",
    ] {
        assert_eq!(app.get(&format!("{ISSUES}?{query}")).await.problem(), invalid(), "{query}");
    }
    assert_eq!(app.get("/api/v1/projects/nowhere/issues").await.problem(), not_found());
    app.stop().await;
});

both!(issues_are_found_by_status_environment_and_text, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let said = |text: &str, environment: &str| {
        json!({"fingerprint": [format!("own {text}")], "message": text,
        "environment": environment, "transaction": format!("route {text}")})
    };
    for (text, environment) in [
        ("100% of carts", "Production"),
        ("100 of carts", "beta"),
        ("price_total missing", "beta"),
        ("priceXtotal missing", "beta"),
        ("Bang! it went ÄRGERLICH", "beta"),
        ("Bang it went", "beta"),
        (r"back\slash", "beta"),
    ] {
        app.send_event(&shop, &said(text, environment)).await.ok();
    }
    app.send_event(&shop, &said("100 of carts", "Production")).await.ok();
    app.digested().await;
    app.act("SHOP-3", "resolve", json!({})).await.ok();
    app.act("SHOP-4", "mute", json!({})).await.ok();

    for (query, expected) in [
        ("status=open", vec!["SHOP-1", "SHOP-2", "SHOP-5", "SHOP-6", "SHOP-7"]),
        ("status=resolved", vec!["SHOP-3"]),
        ("status=muted", vec!["SHOP-4"]),
        ("status=fix_pending", vec![]),
        ("environment=production", vec!["SHOP-1", "SHOP-2"]),
        ("environment=PRODUCTION&status=open&q=%25", vec!["SHOP-1"]),
        ("environment=nowhere", vec![]),
        ("q=100%25", vec!["SHOP-1"]),
        ("q=100", vec!["SHOP-1", "SHOP-2"]),
        ("q=price_total", vec!["SHOP-3"]),
        ("q=PRICE", vec!["SHOP-3", "SHOP-4"]),
        ("q=!", vec!["SHOP-5"]),
        ("q=%C3%A4rger", vec!["SHOP-5"]),
        ("q=%C3%84RGER+ROUTE", vec!["SHOP-5"]),
        ("q=bang+went", vec!["SHOP-5", "SHOP-6"]),
        ("q=route", vec!["SHOP-1", "SHOP-2", "SHOP-3", "SHOP-4", "SHOP-5", "SHOP-6", "SHOP-7"]),
        ("q=route+price", vec!["SHOP-3", "SHOP-4"]),
        (r"q=k\s", vec!["SHOP-7"]),
        ("q=%27%3B--", vec![]),
        ("q=+", vec!["SHOP-1", "SHOP-2", "SHOP-3", "SHOP-4", "SHOP-5", "SHOP-6", "SHOP-7"]),
    ] {
        let list = app.all(&format!("{ISSUES}?{query}")).await;
        let mut found = ids(&list);
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    app.stop().await;
});
