//! An application crashes for the first time, and a person sees the issue.

use crate::support::{Engine, TestApp, both};

both!(a_crash_becomes_an_issue, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let event = serde_json::json!({
        "event_id": "c76085e7ee72463e94764d80b9534fff",
        "platform": "python",
        "user": {"id": 7},
        "exception": {"values": [{
            "type": "KeyError",
            "value": "'total'",
            "mechanism": {"type": "excepthook", "handled": false},
            "stacktrace": {"frames": [{"module": "shop.cart", "function": "checkout", "in_app": true}]},
        }]},
    });
    let answer = app.send_event(&shop, &event).await;
    assert_eq!(answer.json(), serde_json::json!({"id": "c76085e7ee72463e94764d80b9534fff"}));
    app.digested().await;

    let issues = app.get("/api/v1/projects/shop/issues").await.ok();
    assert_eq!(issues["items"].as_array().map(Vec::len), Some(1), "{issues}");
    let issue = app.get("/api/v1/issues/SHOP-1").await.ok();
    assert_eq!(issue["title"], "KeyError: 'total'");
    assert_eq!(issue["culprit"], "shop.cart in checkout");
    assert_eq!(issue["handled"], false);
    assert_eq!((&issue["events"], &issue["users"]), (&1.into(), &1.into()));
    let latest = app.get("/api/v1/issues/SHOP-1/events/latest").await.ok();
    assert_eq!(latest["event_id"], "c76085e7ee72463e94764d80b9534fff");
    assert_eq!(latest["verdict"]["kind"], "new");
    app.stop().await;
});
