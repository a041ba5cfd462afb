//! Which keys may report, and where SDKs put them.

use reqwest::Method;
use serde_json::json;

use super::{ID, OTHER_ID, envelope, event, issues, post, refusal};
use crate::support::{Answer, Engine, TestApp, both};

both!(a_key_is_taken_from_wherever_an_sdk_puts_it, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let (id, key) = (shop.id, shop.key.as_str());

    let in_header = app.report(&shop, "store").body(event(ID, "InHeader"));
    assert_eq!(Answer::of(in_header).await.ok(), json!({"id": ID}));

    let path =
        format!("/api/{id}/envelope/?sentry_version=7&sentry_key={key}&sentry_client=js%2F11");
    let body = envelope(&json!({}), &[("event", &event(OTHER_ID, "InQuery"))]);
    assert_eq!(post(&app, &path, body).await.ok(), json!({"id": OTHER_ID}));

    let made = "00000000000040008000000000000001";
    let header = json!({"event_id": made, "dsn": shop.dsn});
    let body = envelope(&header, &[("event", &event(made, "InDsn"))]);
    assert_eq!(post(&app, &format!("/api/{id}/envelope/"), body).await.ok(), json!({"id": made}));

    // Old SDKs spell it all out, in another order and with a secret nobody needs.
    let made = "00000000000040008000000000000002";
    let auth = format!(
        "Sentry sentry_timestamp=1795226466.7, sentry_client=raven-python/6.10.0, \
         sentry_version=6, sentry_key={key}, sentry_secret=hunter2"
    );
    let request = app.request(Method::POST, &format!("/api/{id}/store/"));
    let request = request.header("X-Sentry-Auth", auth).body(event(made, "OldHeader"));
    assert_eq!(Answer::of(request).await.ok(), json!({"id": made}));

    let seen = ["InDsn", "InHeader", "InQuery", "OldHeader"];
    assert_eq!(issues(&app, &shop).await, seen.map(|kind| (format!("{kind}: broken"), 1)));
    app.stop().await;
});

both!(whoever_has_no_right_key_is_refused, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;
    let made_up = "f".repeat(32);
    let path = |project: &str, key: &str| format!("/api/{project}/store/?sentry_key={key}");
    let shop_id = shop.id.to_string();

    for (path, why) in [
        (path(&shop_id, &made_up), "has no such key"),
        (path("4711", &made_up), "project 4711 does not exist"),
        (path("4711", &shop.key), "project 4711 does not exist"),
        (path(&shop_id, &blog.key), "has no such key"),
        (path("shop", &shop.key), "not a number"),
        (path("0", &shop.key), "not a number"),
        (path(&shop_id, ""), "not a key"),
        (path(&shop_id, "..%2Fetc"), "not a key"),
        (format!("/api/{shop_id}/store/"), "no key"),
        (format!("/api/{shop_id}/envelope/"), "no key"),
    ] {
        let (status, detail) = refusal(&post(&app, &path, event(ID, "Refused")).await);
        assert!(status == 403 && detail.contains(why), "{path}: {status} {detail}");
    }

    let key = format!("/api/v1/projects/shop/keys/{}", shop.key);
    app.patch(&key, &json!({"active": false})).await.ok();
    let answer = post(&app, &path(&shop_id, &shop.key), event(ID, "Refused")).await;
    assert_eq!(refusal(&answer), (403, "the key is switched off".to_owned()));
    app.patch(&key, &json!({"active": true})).await.ok();
    post(&app, &path(&shop_id, &shop.key), event(ID, "Taken")).await.ok();

    assert_eq!(issues(&app, &shop).await, [("Taken: broken".to_owned(), 1)]);
    assert_eq!(issues(&app, &blog).await, []);
    assert_eq!(app.get("/status.json").await.ok()["refused_24h"], 11);
    app.stop().await;
});

both!(keys_that_contradict_each_other_are_refused, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;
    let own = event(ID, "Refused");

    // The header says one key, the query another.
    let path = format!("/api/{}/store/?sentry_key={}", shop.id, blog.key);
    let auth = format!("Sentry sentry_version=7, sentry_key={}", shop.key);
    let request = app.request(Method::POST, &path).header("X-Sentry-Auth", auth).body(own.clone());
    let (status, detail) = refusal(&Answer::of(request).await);
    assert_eq!((status, detail.as_str()), (403, "the request names two different keys"));

    // The header says one key, the envelope's DSN another.
    let other_key = shop.dsn.replace(&shop.key, &blog.key);
    for (dsn, why) in [
        (other_key.as_str(), "the request names two different keys"),
        (&blog.dsn, "the envelope's dsn names another project"),
        (&shop.dsn.replace(&format!("/{}", shop.id), "/shop"), "the project is not a number"),
        ("nonsense", "not a DSN"),
    ] {
        let body = envelope(&json!({"dsn": dsn}), &[("event", &own)]);
        let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
        let (status, detail) = refusal(&answer);
        assert!(status == 403 && detail.contains(why), "{dsn}: {status} {detail}");
    }
    // Only the DSN names a key, and it is another project's.
    let body = envelope(&json!({"dsn": blog.dsn}), &[("event", &own)]);
    let (status, _) = refusal(&post(&app, &format!("/api/{}/envelope/", shop.id), body).await);
    assert_eq!(status, 403);

    // The same key in all three places is no contradiction.
    let path = format!("/api/{}/envelope/?sentry_key={}", shop.id, shop.key);
    let auth = format!("Sentry sentry_version=7, sentry_key={}", shop.key);
    let body = envelope(&json!({"dsn": shop.dsn}), &[("event", &event(ID, "Taken"))]);
    let request = app.request(Method::POST, &path).header("X-Sentry-Auth", auth).body(body);
    Answer::of(request).await.ok();

    assert_eq!(issues(&app, &shop).await, [("Taken: broken".to_owned(), 1)]);
    assert_eq!(issues(&app, &blog).await, []);
    app.stop().await;
});

both!(a_new_key_works_at_once_and_a_deleted_one_no_more, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let made = app.post("/api/v1/projects/shop/keys", &json!({"label": "browser"})).await.ok();
    let key = made["public_key"].as_str().expect("a key").to_owned();
    let path = format!("/api/{}/store/?sentry_key={key}", shop.id);

    post(&app, &path, event(ID, "Before")).await.ok();
    app.delete(&format!("/api/v1/projects/shop/keys/{key}")).await.ok();
    let (status, _) = refusal(&post(&app, &path, event(OTHER_ID, "After")).await);
    assert_eq!(status, 403);
    // The other key of the project is none the worse.
    app.send_event(&shop, &json!({"message": "still here"})).await.ok();
    let seen = [("Before: broken".to_owned(), 1), ("still here".to_owned(), 1)];
    assert_eq!(issues(&app, &shop).await, seen);
    app.stop().await;
});
