//! What SDKs get for what they send: keys, encodings, envelopes, refusals, limits.

use std::io::Write as _;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Database, Engine, TestApp, TestProject, Wire, both, until};

const ID: &str = "c76085e7ee72463e94764d80b9534fff";
const OTHER_ID: &str = "5bd2ee4a2a1f4a6c8a3a5b5f0d7e9c11";

/// Bytes of the largest event that is taken.
const MOST_EVENT_BYTES: usize = 4 * 1024 * 1024;

fn event(id: &str, kind: &str) -> String {
    json!({
        "event_id": id,
        "platform": "python",
        "exception": {"values": [{"type": kind, "value": "broken"}]},
    })
    .to_string()
}

/// An envelope of items that say their length.
fn envelope(header: &Value, items: &[(&str, &str)]) -> String {
    let item = |(kind, payload): &(&str, &str)| {
        let header = json!({"type": kind, "length": payload.len()});
        format!("{header}\n{payload}\n")
    };
    format!("{header}\n{}", items.iter().map(item).collect::<Vec<_>>().concat())
}

type Encode = fn(&[u8]) -> Vec<u8>;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip in memory")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("zlib in memory")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("deflate in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).expect("zstd in memory")
}

/// What a browser sends brotli-encoded; Airlock itself only decodes it.
const BROTLI: &[u8] = include_bytes!("../fixtures/captures/python-2.75-br-unhandled/001.bin");

/// The titles of a project's issues with the number of their events, sorted.
async fn issues(app: &TestApp, project: &TestProject) -> Vec<(String, i64)> {
    app.digested().await;
    let page = app.get(&format!("/api/v1/projects/{}/issues?limit=100", project.slug)).await.ok();
    let issue = |issue: &Value| {
        let title = issue["title"].as_str().expect("a title").to_owned();
        (title, issue["events"].as_i64().expect("a number"))
    };
    let mut issues: Vec<_> = page["items"].as_array().expect("items").iter().map(issue).collect();
    issues.sort();
    issues
}

/// A refusal in the form SDKs know: its status and its words.
fn refusal(answer: &Answer) -> (u16, String) {
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(!detail.is_empty() && answer.json()["causes"].is_array(), "{answer:?}");
    assert_eq!(answer.header("x-sentry-error"), Some(detail.as_str()), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
    (answer.status.as_u16(), detail)
}

async fn post(app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    Answer::of(app.request(Method::POST, path).body(body)).await
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_encoding_an_sdk_may_choose_is_read() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let encodings: [(&str, &str, Encode); 8] = [
        ("Gzip", "gzip", gzip),
        ("XGzip", "x-gzip", gzip),
        ("Zlib", "deflate", zlib),
        ("Raw", "deflate", deflate),
        ("Zstd", "zstd", zstd),
        ("Identity", "identity", <[u8]>::to_vec),
        ("Empty", "", <[u8]>::to_vec),
        ("Upper", "GZIP", gzip),
    ];
    for (name, encoding, encode) in encodings {
        for endpoint in ["store", "envelope"] {
            let own = json!({"message": format!("{name} {endpoint}")}).to_string();
            let body = match endpoint {
                "store" => own,
                _ => envelope(&json!({}), &[("event", &own)]),
            };
            let request = app.report(&shop, endpoint).header("Content-Encoding", encoding);
            Answer::of(request.body(encode(body.as_bytes()))).await.ok();
        }
    }
    let request = app.report(&shop, "envelope").header("Content-Encoding", "br").body(BROTLI);
    Answer::of(request).await.ok();

    let titles: Vec<String> =
        issues(&app, &shop).await.into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles.len(), 17, "{titles:?}");
    assert!(titles.contains(&"Raw envelope".to_owned()), "{titles:?}");
    assert!(titles.contains(&"OrderError: order 5512 could not be charged".to_owned()));

    for encoding in ["compress", "gzip, br", "aes128gcm"] {
        let request = app.report(&shop, "store").header("Content-Encoding", encoding);
        let (status, detail) = refusal(&Answer::of(request.body("{}")).await);
        assert_eq!(status, 415);
        assert!(detail.contains(encoding) && detail.contains("use gzip"), "{detail}");
    }
    // What is not what its header says.
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        for endpoint in ["store", "envelope"] {
            let request = app.report(&shop, endpoint).header("Content-Encoding", encoding);
            let (status, detail) = refusal(&Answer::of(request.body(event(ID, "Plain"))).await);
            assert_eq!(status, 400, "{encoding} {endpoint}");
            assert!(detail.starts_with("the body cannot be decoded"), "{encoding}: {detail}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_chunks_is_whole_again() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let body =
        envelope(&json!({"event_id": ID, "dsn": shop.dsn}), &[("event", &event(ID, "Chunked"))]);
    let mut wire = Wire::connect(app.running.address).await;
    let head = format!(
        "POST /api/{}/envelope/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        shop.id
    );
    wire.send(head).await;
    // So small that every border falls into a chunk of its own.
    for piece in body.as_bytes().chunks(3) {
        wire.send(format!("{:x}\r\n", piece.len())).await;
        wire.send(piece).await;
        wire.send("\r\n").await;
    }
    wire.send("0\r\n\r\n").await;
    let answer = wire.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.json()), (200, json!({"id": ID})));
    assert_eq!(issues(&app, &shop).await, [("Chunked: broken".to_owned(), 1)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_body_is_refused_with_what_is_wrong() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    for (endpoint, body, why) in [
        ("store", "", "the body is empty"),
        ("store", " \n ", "the body is empty"),
        ("store", "nonsense", "not a JSON object"),
        ("store", "[]", "not a JSON object"),
        ("store", "[\"c76085e7ee72463e94764d80b9534fff\"]", "not a JSON object"),
        ("store", r#"{"message": "cut o"#, "not a JSON object"),
        ("envelope", "", "the envelope is empty"),
        ("envelope", "nonsense", "the envelope's header is not a JSON object"),
        ("envelope", "[]\n", "the envelope's header is not a JSON object"),
        ("envelope", "{}\nnonsense\n{}", "the header of item 1 is not a JSON object"),
        ("envelope", "{}\n[\"event\"]\n{}", "the header of item 1 is not a JSON object"),
        ("envelope", "{}\n{}\n{}", "item 1 has no type"),
        ("envelope", "{}\n{\"type\":\"event\",\"length\":9}\n{}", "7 of its 9 bytes are missing"),
        ("envelope", "{}\n{\"type\":\"event\"}", "item 1 (event) has no payload"),
        ("envelope", "{}\n{\"type\":\"event\",\"length\":1}\n{}", "longer than the 1 bytes"),
    ] {
        let answer = Answer::of(app.report(&shop, endpoint).body(body)).await;
        assert_eq!(answer.status, 400, "{endpoint} {body:?}");
        let (status, detail) = refusal(&answer);
        assert!(status == 400 && detail.contains(why), "{endpoint} {body:?}: {status} {detail}");
    }
    let own = event(ID, "Truncated");
    let encodings: [(&str, Encode); 4] =
        [("gzip", gzip), ("deflate", zlib), ("deflate", deflate), ("zstd", zstd)];
    for (encoding, encode) in encodings {
        for endpoint in ["store", "envelope"] {
            // Without a length, only the encoding can tell that the end is missing.
            let body = match endpoint {
                "store" => own.clone(),
                _ => format!("{{}}\n{{\"type\":\"event\"}}\n{own}"),
            };
            let mut cut = encode(body.as_bytes());
            cut.truncate(cut.len() - 3);
            let request = app.report(&shop, endpoint).header("Content-Encoding", encoding);
            let (status, detail) = refusal(&Answer::of(request.body(cut)).await);
            assert_eq!(status, 400, "{encoding} {endpoint}: {detail}");
            assert!(detail.starts_with("the body cannot be decoded"), "{detail}");
        }
    }
    assert_eq!(issues(&app, &shop).await, []);
    assert_eq!(app.get("/status.json").await.ok()["refused_24h"], 23);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_without_items_is_fine() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    for (body, expected) in [
        ("{}".to_owned(), json!({})),
        ("{}\n".to_owned(), json!({})),
        (json!({"event_id": ID}).to_string(), json!({"id": ID})),
    ] {
        let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
        assert_eq!(answer.ok(), expected);
    }
    assert_eq!(issues(&app, &shop).await, []);
    app.stop().await;
}

both!(what_is_not_kept_is_counted_and_costs_no_neighbour, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let own = event(ID, "Kept");
    let body = envelope(
        &json!({"event_id": ID}),
        &[
            ("session", r#"{"sid": "1", "status": "crashed"}"#),
            ("attachment", "a\nb\0c"),
            ("event", &own),
            ("transaction", r#"{"type": "transaction"}"#),
            ("session", "{}"),
            ("of_the_future", "\n\n"),
        ],
    );
    let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
    assert_eq!(answer.ok(), json!({"id": ID}));

    // An item that breaks the rest of the envelope does not take the event before it along.
    let broken =
        envelope(&json!({"event_id": OTHER_ID}), &[("event", &event(OTHER_ID, "Survivor"))]);
    let broken = broken + "{\"type\": \"attachment\", \"length\": 1000}\ncut off";
    let answer = Answer::of(app.report(&shop, "envelope").body(broken)).await;
    assert_eq!(answer.ok(), json!({"id": OTHER_ID}));

    let seen = ["Kept", "Survivor"].map(|kind| (format!("{kind}: broken"), 1));
    assert_eq!(issues(&app, &shop).await, seen);
    let mut database = app.counted().await;
    let counted = database.outcomes(shop.id).await;
    let expected = [
        ("accepted", 2),
        ("refused malformed_item", 1),
        ("skipped attachment", 1),
        ("skipped other", 1),
        ("skipped session", 2),
        ("skipped transaction", 1),
    ];
    assert_eq!(counted, expected.map(|(name, n)| (name.to_owned(), n)).into());
    app.stop().await;
});

both!(an_event_that_is_broken_inside_costs_no_neighbour, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let body = envelope(
        &json!({"event_id": ID}),
        &[("event", "{\"message\": \"half"), ("event", &event(OTHER_ID, "Neighbour"))],
    );
    assert_eq!(Answer::of(app.report(&shop, "envelope").body(body)).await.status, 200);
    assert_eq!(issues(&app, &shop).await, [("Neighbour: broken".to_owned(), 1)]);
    // The broken one is not gone: it was set aside for a person to look at.
    let buried = app.get("/api/v1/projects/shop/buried").await.ok();
    assert_eq!(buried["items"].as_array().map(Vec::len), Some(1), "{buried}");
    app.stop().await;
});

both!(ids_with_hyphens_are_the_same_ids, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let hyphenated = "c76085e7-ee72-463e-9476-4d80b9534fff";
    let body = envelope(&json!({"event_id": hyphenated}), &[("event", &event(ID, "Same"))]);
    let answer = Answer::of(app.report(&shop, "envelope").body(body)).await;
    assert_eq!(answer.ok(), json!({"id": ID}));
    let answer = Answer::of(app.report(&shop, "store").body(event(hyphenated, "Same"))).await;
    assert_eq!(answer.ok(), json!({"id": ID}));
    assert_eq!(issues(&app, &shop).await, [("Same: broken".to_owned(), 1)]);
    app.get(&format!("/api/v1/projects/shop/events/{ID}")).await.ok();
    app.stop().await;
});

both!(an_event_sent_again_is_stored_once, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for _ in 0..2 {
        let answer = Answer::of(app.report(&shop, "store").body(event(ID, "Again"))).await;
        assert_eq!(answer.ok(), json!({"id": ID}));
        app.digested().await;
    }
    // And at once, on connections of their own.
    let send = || Answer::of(app.report(&shop, "store").body(event(OTHER_ID, "AtOnce")));
    for answer in <[Answer; 4]>::from(tokio::join!(send(), send(), send(), send())) {
        assert_eq!(answer.ok(), json!({"id": OTHER_ID}));
    }
    let seen = ["Again", "AtOnce"].map(|kind| (format!("{kind}: broken"), 1));
    assert_eq!(issues(&app, &shop).await, seen);
    assert_eq!(app.get("/status.json").await.ok()["accepted_24h"], 2);
    app.stop().await;
});

both!(an_event_without_an_id_gets_one, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let nameless = json!({"message": "who am I"});
    let mut ids = Vec::new();
    for path in ["store", "store/", "envelope", "envelope/"] {
        let body = match path.trim_end_matches('/') {
            "store" => nameless.to_string(),
            _ => envelope(&json!({}), &[("event", &nameless.to_string())]),
        };
        let path = format!("/api/{}/{path}?sentry_key={}", shop.id, shop.key);
        let id = post(&app, &path, body).await.ok()["id"].as_str().expect("an id").to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        ids.push(id);
    }
    assert_eq!(issues(&app, &shop).await, [("who am I".to_owned(), 4)]);
    for id in ids {
        let event = app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
        assert_eq!(event["title"], "who am I");
    }
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sdks_are_told_what_not_to_send_and_never_to_hold_back_errors() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    for (endpoint, body) in
        [("store", event(ID, "Told")), ("envelope", "{}\n{\"type\":\"session\"}\n{}".to_owned())]
    {
        let answer = Answer::of(app.report(&shop, endpoint).body(body)).await;
        assert_eq!(answer.status, 200);
        let limits = answer.header("x-sentry-rate-limits").expect("limits").to_owned();
        let (seconds, rest) = limits.split_once(':').expect("seconds and categories");
        assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds >= 60), "{limits}");
        let (categories, rest) = rest.split_once(':').expect("categories and a scope");
        assert!(rest.starts_with("organization:") && !rest.contains(','), "{limits}");
        let categories: Vec<&str> = categories.split(';').collect();
        for kept_out in
            ["transaction", "span", "session", "profile", "replay", "log_item", "monitor"]
        {
            assert!(categories.contains(&kept_out), "{limits}");
        }
        // An empty category would mean all of them.
        for kept in ["error", "default", "security", "attachment", "feedback", ""] {
            assert!(!categories.contains(&kept), "{limits}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_may_report_from_any_page_and_see_nothing_else() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let path = format!("/api/{}/envelope/?sentry_key={}", shop.id, shop.key);
    let preflight = |path: &str| {
        app.request(Method::OPTIONS, path)
            .header("Origin", "http://shop.example")
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-shop-proxy, content-type")
    };
    let answer = Answer::of(preflight(&path)).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-shop-proxy, content-type"));
    assert!(answer.header("access-control-allow-methods").is_some_and(|all| all.contains("POST")));
    // A preflight has no key, and no project need exist.
    let answer = Answer::of(preflight("/api/4711/store/")).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    let store = format!("/api/{}/store/?sentry_key={}", shop.id, shop.key);
    for (method, path, body, status) in [
        (Method::POST, path.as_str(), "{}", 200),
        (Method::POST, path.as_str(), "nonsense", 400),
        (Method::POST, "/api/4711/envelope/", "{}", 403),
        (Method::GET, path.as_str(), "", 405),
        (Method::POST, store.as_str(), "nonsense", 400),
    ] {
        let request = app.request(method, path).header("Origin", "http://shop.example").body(body);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        for name in ["x-sentry-error", "x-sentry-rate-limits", "retry-after"] {
            assert!(exposed.contains(name), "{answer:?}");
        }
    }

    for path in ["/api/v1/projects", "/api/v1/projects/shop/issues", "/status.json", "/nowhere"] {
        let answers = [
            Answer::of(app.api(Method::GET, path).header("Origin", "http://shop.example")).await,
            Answer::of(preflight(path)).await,
        ];
        for answer in answers {
            assert!(
                !answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")),
                "{path}: {answer:?}"
            );
        }
    }
    app.stop().await;
}

both!(what_sdks_dropped_themselves_is_counted, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let report = json!({"timestamp": 1_795_226_466.5, "discarded_events": [
        {"reason": "ratelimit_backoff", "category": "error", "quantity": 3},
        {"reason": "network_error", "category": "transaction", "quantity": 4},
    ]})
    .to_string();
    let body = envelope(&json!({}), &[("client_report", &report), ("client_report", "nonsense")]);
    assert_eq!(Answer::of(app.report(&shop, "envelope").body(body)).await.ok(), json!({}));
    assert_eq!(app.get("/status.json").await.ok()["discarded_by_clients_24h"], 7);

    let mut database = app.counted().await;
    assert_eq!(app.get("/status.json").await.ok()["discarded_by_clients_24h"], 7);
    let counted = database.outcomes(shop.id).await;
    let expected =
        [("discarded error:ratelimit_backoff", 3), ("discarded transaction:network_error", 4)];
    assert_eq!(counted, expected.map(|(name, n)| (name.to_owned(), n)).into());
    // Without a token, nobody sees how many.
    let open = Answer::of(app.request(Method::GET, "/status.json")).await.ok();
    assert_eq!(open["discarded_by_clients_24h"], Value::Null);
    app.stop().await;
});

/// The notes of a project's only event with this title.
async fn notes(app: &TestApp, project: &TestProject, title: &str) -> Vec<String> {
    app.digested().await;
    let path = format!("/api/v1/projects/{}/issues?limit=100", project.slug);
    let page = app.get(&path).await.ok();
    let issue = page["items"].as_array().expect("items").iter().find(|one| one["title"] == title);
    let id = issue.unwrap_or_else(|| panic!("{title} in {page}"))["id"].as_str().expect("an id");
    let event = app.get(&format!("/api/v1/issues/{id}/events/latest")).await.ok();
    let notes = event["notes"].as_array().cloned().unwrap_or_default();
    notes.iter().map(|note| note.as_str().expect("a note").to_owned()).collect()
}

both!(an_event_that_is_too_long_is_cut_and_not_refused, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let padded = |title: &str, n_bytes: usize| {
        let start = format!(r#"{{"message": "{title}", "extra": {{"list": [1, {{"x": ""#);
        let end = r#""}]}}"#;
        format!("{start}{}{end}", "x".repeat(n_bytes - start.len() - end.len()))
    };
    let long = 30_000_000;
    for (title, n_bytes) in [("whole", MOST_EVENT_BYTES), ("one more", MOST_EVENT_BYTES + 1)] {
        let answer = Answer::of(app.report(&shop, "store").body(padded(title, n_bytes))).await;
        assert_eq!(answer.status, 200, "{title} {answer:?}");
    }
    let own = padded("alone", long);
    Answer::of(app.report(&shop, "store").body(own)).await.ok();
    let bodies = [
        envelope(&json!({}), &[("event", &padded("by length", long)), ("session", "{}")]),
        format!("{{}}\n{{\"type\":\"event\"}}\n{}\n", padded("by line", long)),
    ];
    for body in bodies {
        Answer::of(app.report(&shop, "envelope").body(body)).await.ok();
    }
    // Old Ruby clients encode in their own way: a message that is not worth zlib's while.
    let mut noise = 1_u32;
    let mut next = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from(noise >> 28).expect("four bits"))
    };
    let text: String = std::iter::repeat_with(&mut next).take(9_000_000).collect();
    let own = json!({"message": "encoded", "tags": {}}).to_string();
    let own = own.replace("\"tags\":{}", &format!("\"extra\":{{\"x\":\"{text}\"}}"));
    let encoded = base64::engine::general_purpose::STANDARD.encode(zlib(own.as_bytes()));
    assert!(encoded.len() > MOST_EVENT_BYTES && encoded.starts_with("eJ"));
    Answer::of(app.report(&shop, "store").body(encoded)).await.ok();

    let titles = ["alone", "by length", "by line", "encoded", "one more", "whole"];
    assert_eq!(issues(&app, &shop).await, titles.map(|title| (title.to_owned(), 1)));
    let cut = "the report was 30.0 MB; what was beyond 4 MiB was cut".to_owned();
    for title in ["alone", "by length", "by line"] {
        assert!(notes(&app, &shop, title).await.contains(&cut), "{title}");
    }
    let note = &notes(&app, &shop, "one more").await[0];
    assert_eq!(note, "the report was 4.2 MB; what was beyond 4 MiB was cut");
    assert!(notes(&app, &shop, "encoded").await[0].contains("beyond 4 MiB was cut"));
    let whole = notes(&app, &shop, "whole").await;
    assert!(!whole.iter().any(|note| note.contains("MiB")), "{whole:?}");
    app.stop().await;
});

both!(what_an_event_has_too_much_of_is_cut_and_noted, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let list = |n: usize| json!((0..n).collect::<Vec<_>>()).to_string();
    let tags: serde_json::Map<String, Value> =
        (0..300).map(|n| (format!("tag-{n:03}"), json!(n))).collect();
    let frames: Vec<Value> =
        (0..999).map(|n| json!({"function": format!("f{n}"), "module": "shop"})).collect();
    let bombs = [
        ("deep", format!(r#""extra": {{"x": {}}}"#, deep(1_000_000)), "100 levels deep were cut"),
        ("many", format!(r#""extra": {{"x": {}}}"#, list(500_000)), "more than 100000 values"),
        ("tags", format!(r#""tags": {}"#, json!(tags)), "an event has at most 200"),
        (
            "frames",
            format!(r#""stacktrace": {}"#, json!({"frames": frames})),
            "749 of 999 frames left out",
        ),
        ("text", format!(r#""extra": {{"x": "{}"}}"#, "x".repeat(5_000)), "extra: 1 part was"),
    ];
    for (title, fields, expected) in bombs {
        let body = format!(r#"{{"message": "{title}", "fingerprint": ["{title}"], {fields}}}"#);
        for endpoint in ["store", "envelope"] {
            let body = match endpoint {
                "store" => body.clone(),
                _ => envelope(&json!({}), &[("event", &body)]),
            };
            Answer::of(app.report(&shop, endpoint).body(body)).await.ok();
        }
        let notes = notes(&app, &shop, title).await;
        assert!(notes.iter().any(|note| note.contains(expected)), "{title}: {notes:?}");
    }
    assert_eq!(issues(&app, &shop).await.len(), 5);
    assert_eq!(app.get("/status.json").await.ok()["buried"], 0);
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_body_that_decodes_to_a_huge_one_is_refused() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let encodings: [(&str, Encode); 4] =
        [("gzip", gzip), ("deflate", zlib), ("deflate", deflate), ("zstd", zstd)];
    for (encoding, encode) in encodings {
        let bomb = encode(&vec![b' '; 2 * MOST_EVENT_BYTES]);
        assert!(bomb.len() < 100_000, "{encoding}: {}", bomb.len());
        let request = app.report(&shop, "store").header("Content-Encoding", encoding).body(bomb);
        let (status, detail) = refusal(&Answer::of(request).await);
        let why = "the body decodes to more than 400 bytes for each of its own: it is no report";
        assert_eq!((status, detail.as_str()), (413, why), "{encoding}");
    }
    // Even what is passed over has an end: 201 mebibytes that are worth their wire.
    let start = zstd(b"{}\n{\"type\":\"attachment\",\"length\":1000000000}\n");
    let mixed: Vec<u8> = (0_u32..3_000).flat_map(|n| (n * n).to_le_bytes()).collect();
    let mebibyte = [mixed, vec![0; (1 << 20) - 12_000]].concat();
    let bomb = [start, zstd(&mebibyte).repeat(201)].concat();
    assert!(bomb.len() < 4_000_000, "{}", bomb.len());
    let request = app.report(&shop, "envelope").header("Content-Encoding", "zstd").body(bomb);
    let (status, detail) = refusal(&Answer::of(request).await);
    assert_eq!((status, detail.as_str()), (413, "the decoded body is larger than 209715200 bytes"));
    app.stop().await;
}

/// The head of a request with a body that is announced and never sent.
fn head(project: &TestProject, n_bytes: u64) -> String {
    let (id, key) = (project.id, &project.key);
    format!(
        "POST /api/{id}/store/?sentry_key={key} HTTP/1.1\r\nHost: a\r\nContent-Length: {n_bytes}\r\n\r\n"
    )
}

/// What the spool adds to a record, in bytes.
const RECORD_HEADER: u64 = 32;

/// How many bytes the spool has left, in the words of a refusal.
fn room_left(detail: &Value) -> u64 {
    let words = detail.as_str().expect("words").split(' ');
    let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [used, most] => most - used,
        _ => panic!("{detail} does not say how full the spool is"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let mut wire = Wire::connect(app.running.address).await;
    wire.send(head(&shop, 300 * 1024 * 1024)).await;
    let answer = wire.answer().await.expect("an answer");
    assert_eq!(answer.status, 413, "{answer:?}");
    app.stop().await;
}

both!(a_full_spool_says_so_before_the_body_and_recovers, |engine: Engine| async move {
    let app = TestApp::start_with(engine, |config| config.spool_most_bytes = 64 * 1024).await;
    let shop = app.create_project("shop").await;
    assert_eq!(Answer::of(app.request(Method::GET, "/readyz")).await.status, 200);

    // The store holds digest up, so that what is accepted stays in the spool.
    let mut database = Database::open(app.config.database.as_deref().expect("an address")).await;
    database.hold().await;
    let mut n_accepted = 0;
    let refused = loop {
        let crash = json!({"message": "filler", "extra": {"x": "x".repeat(4_000)}});
        let answer = app.send_event(&shop, &crash).await;
        if !answer.status.is_success() {
            break answer;
        }
        n_accepted += 1;
        assert!(n_accepted < 100, "64 KiB are never full");
    };
    assert!(n_accepted > 5, "{n_accepted}");
    let (status, detail) = refusal(&refused);
    assert_eq!(status, 429, "{detail}");
    assert!(detail.contains("the spool holds"), "{detail}");
    let seconds = refused.header("retry-after").expect("a pause").to_owned();
    assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0), "{seconds}");
    let limits = refused.header("x-sentry-rate-limits").expect("limits");
    assert!(limits.starts_with(&format!("{seconds}::organization")), "{limits}");

    // The next client need not even send its body.
    let mut wire = Wire::connect(app.running.address).await;
    wire.send(head(&shop, 4_000_000)).await;
    let answer = wire.answer().await.expect("an answer before the body");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some(seconds.as_str())));

    // Clients that are still sending take the last room: then nobody should come here.
    let mut sending = Vec::new();
    until("the server to say that it is not ready", async || {
        if Answer::of(app.request(Method::GET, "/readyz")).await.status == 503 {
            return true;
        }
        let mut wire = Wire::connect(app.running.address).await;
        wire.send(head(&shop, 4_000_000)).await;
        let answer = wire.answer().await.expect("an answer before the body");
        let room = room_left(&answer.json()["detail"]);
        let room = room.saturating_sub(RECORD_HEADER);
        let mut wire = Wire::connect(app.running.address).await;
        let begun = "x".repeat(usize::try_from(room).expect("a small room").saturating_sub(1));
        wire.send(head(&shop, room) + &begun).await;
        sending.push(wire);
        false
    })
    .await;
    assert_eq!(app.get("/status.json").await.ok()["parts"]["intake"]["state"], "down");
    drop(sending);

    database.release().await;
    app.digested().await;
    until("the spool to have room again", async || {
        app.send_event(&shop, &json!({"event_id": ID, "message": "after"})).await.status == 200
    })
    .await;
    until("the server to be ready again", async || {
        Answer::of(app.request(Method::GET, "/readyz")).await.status == 200
    })
    .await;
    let seen = [("after".to_owned(), 1), ("filler".to_owned(), n_accepted)];
    assert_eq!(issues(&app, &shop).await, seen);
    assert!(app.get("/status.json").await.ok()["refused_24h"].as_u64() >= Some(2));
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_http_hurts_nobody_else() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    let (id, key) = (shop.id, &shop.key);
    let start = format!("POST /api/{id}/store/?sentry_key={key} HTTP/1.1\r\nHost: a\r\n");
    let body = event(ID, "Malformed");
    let walks: [(&str, String, &[u16]); 8] = [
        (
            "a huge header",
            format!("{start}X-Huge: {}\r\n\r\n", "x".repeat(1 << 20)),
            &[400, 413, 431],
        ),
        ("a body that is not there", format!("{start}\r\n"), &[400]),
        ("a body of no bytes", format!("{start}Content-Length: 0\r\n\r\n"), &[400]),
        ("a body that breaks off", format!("{start}Content-Length: 9999\r\n\r\n{body}"), &[400]),
        (
            "a chunk that breaks off",
            format!("{start}Transfer-Encoding: chunked\r\n\r\nff\r\n{{\"message\""),
            &[400],
        ),
        (
            "a chunk without a size",
            format!("{start}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n"),
            &[400],
        ),
        ("a length that is no number", format!("{start}Content-Length: -1\r\n\r\n{body}"), &[400]),
        ("no HTTP at all", "\0\u{1}\u{2}nonsense\r\n\r\n".to_owned(), &[400]),
    ];
    for (what, bytes, statuses) in walks {
        let mut wire = Wire::connect(app.running.address).await;
        wire.send(bytes).await;
        wire.finish().await;
        // Hanging up is an answer, too.
        if let Some(answer) = wire.answer().await {
            assert!(statuses.contains(&answer.status), "{what}: {answer:?}");
        }
        let alive = Answer::of(app.request(Method::GET, "/healthz")).await;
        assert_eq!(alive.status, 200, "after {what}");
        let next = json!({"message": format!("after {what}")});
        app.send_event(&shop, &next).await.ok();
    }
    let titles: Vec<String> =
        issues(&app, &shop).await.into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles.len(), 8, "{titles:?}");
    assert!(titles.iter().all(|title| title.starts_with("after ")), "{titles:?}");
    app.stop().await;
}
