//! A project says itself what is one issue.

use serde_json::{Value, json};

use super::crash_at;
use crate::support::{Engine, TestApp, both, with};

const PATH: &str = "/api/v1/projects/shop/rules/grouping";
const LINE: &str = "    prices = cart['total']";

both!(a_rule_of_the_project_is_stronger_than_everything_else, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let rules = "# everything of the cart in one place\n\
        type:Key* module:shop.cart -> cart, {{ level }} title=\"Cart: {{ type }} in {{ function }}\"";
    app.put(PATH, &json!({ "fingerprint_rules": rules })).await.ok();
    app.send(&shop, &crash_at("post", LINE, "1")).await;
    app.send(&shop, &crash_at("get", LINE, "1")).await;
    let own = json!({"fingerprint": ["mine"]});
    app.send(&shop, &with(crash_at("put", LINE, "1"), &own)).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["events"], &issue["title"]), (&json!(3), &json!("Cart: KeyError in total")));
    let why = &issue["fingerprint"]["why"];
    assert_eq!(why["items"], json!([["fp", "cart"], ["fp", "error"]]));
    assert!(
        why["reason"].as_str().is_some_and(|why| why.starts_with("rule of the project: type:Key*"))
    );
    assert_eq!(app.get(PATH).await.ok()["fingerprint_rules"], rules);
    app.stop().await;
});

both!(frames_that_a_rule_takes_out_take_no_part, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let rules = json!({"frame_rules": "module:shop.views -group\nfunction:total +app"});
    app.put(PATH, &rules).await.ok();
    app.send(&shop, &crash_at("post", LINE, "1")).await;
    app.send(&shop, &crash_at("get", LINE, "1")).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!(issue["events"], 2);
    let frames = &issue["fingerprint"]["why"]["components"][0]["frames"];
    assert_eq!(
        (&frames[0]["used"], &frames[0]["why"]),
        (&json!(false), &json!("module:shop.views -group"))
    );
    assert_eq!(
        (&frames[1]["used"], &frames[1]["why_app"]),
        (&json!(true), &json!("function:total +app"))
    );
    app.stop().await;
});

both!(a_rule_that_makes_no_sense_is_refused_with_its_place, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    for (rules, place) in [
        (json!({"fingerprint_rules": "type:X"}), "fingerprint_rules, line 1, column 7: `->`"),
        (
            json!({"fingerprint_rules": "\ntipe:X -> y"}),
            "line 2, column 1: there is no condition on \"tipe\"",
        ),
        (
            json!({"fingerprint_rules": "type:X -> {{ colour }}"}),
            "line 1, column 11: there is no value named \"colour\"",
        ),
        (
            json!({"fingerprint_rules": "type:\"X -> y"}),
            "line 1, column 6: the quote is not closed",
        ),
        (
            json!({"frame_rules": "path:**/x ++app"}),
            "frame_rules, line 1, column 11: a condition is written key:value",
        ),
        (
            json!({"fingerprint_rules": "type:X -> \"{{ colour }}\""}),
            "line 1, column 11: there is no value named \"colour\"",
        ),
        (
            json!({"fingerprint_rules": "type:X -> \"a\" \"b\""}),
            "line 1, column 15: a comma is missing",
        ),
        (
            json!({"fingerprint_rules": "type:X -> a\u{1}"}),
            "line 1, column 12: a control character",
        ),
        (json!({"frame_rules": "+app"}), "line 1, column 1: a condition is missing"),
    ] {
        let refused = app.put(PATH, &rules).await;
        assert_eq!(refused.problem().0, 422, "{rules}");
        assert!(refused.body().contains(&place.replace('"', "\\\"")), "{} {place}", refused.body());
    }
    let unknown = app.put(PATH, &json!({"builtin_off": ["shutdwon"]})).await;
    assert_eq!(unknown.problem().0, 422);
    app.stop().await;
});

both!(an_outage_is_one_issue_unless_that_is_switched_off, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let outage = |caller: &str, host: &str| {
        let mut event = crash_at(caller, LINE, "1");
        let value = format!("connection to {host}:5432 failed: Connection refused");
        event["exception"]["values"][0]["value"] = value.into();
        event
    };
    app.send(&shop, &outage("post", "db-1")).await;
    app.send(&shop, &outage("get", "db-2")).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!(issue["events"], 2);
    assert_eq!(issue["fingerprint"]["why"]["reason"], "built-in rule: infrastructure");
    assert_eq!(issue["fingerprint"]["config"], "-");
    app.put(PATH, &json!({"builtin_off": ["infrastructure"]})).await.ok();
    app.send(&shop, &outage("post", "db-1")).await;
    app.send(&shop, &outage("get", "db-2")).await;
    assert_eq!(app.issue("SHOP-3").await["events"], 1);
    app.stop().await;
});

both!(rules_can_be_tried_before_they_count, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for caller in ["post", "get", "put"] {
        app.send(&shop, &crash_at(caller, LINE, "1")).await;
    }
    let same = app.post(&format!("{PATH}/try"), &json!({})).await.ok();
    assert_eq!((&same["events"], &same["issues"]), (&json!(3), &json!(3)));
    assert_eq!((&same["would_merge"], &same["would_split"]), (&json!([]), &json!([])));
    let rules = json!({"fingerprint_rules": "function:get -> x\nfunction:put -> x"});
    let tried = app.post(&format!("{PATH}/try"), &json!({ "rules": rules })).await.ok();
    assert_eq!(tried["would_merge"], json!([["SHOP-2", "SHOP-3"]]));
    app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})).await.ok();
    let split = json!({"rules": {"fingerprint_rules": "tags.a:b -> {{ tags.a }}"}, "events": 1});
    let tried = app.post(&format!("{PATH}/try"), &split).await.ok();
    assert_eq!((&tried["events"], &tried["would_split"]), (&json!(1), &json!([])));
    assert_eq!(app.get(PATH).await.ok()["fingerprint_rules"], Value::from(""));
    let wrong = app.post(&format!("{PATH}/try"), &json!({"events": 0})).await;
    assert_eq!(wrong.problem().0, 422);
    app.stop().await;
});
