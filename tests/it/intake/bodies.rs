//! How bodies come: encoded, in chunks, broken, too large.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ID, MOST_EVENT_BYTES, envelope, event, issues, refusal};
use crate::support::{
    Answer, Database, Engine, TestApp, TestProject, Wire, both, gzip, until, zlib,
};

type Encode = fn(&[u8]) -> Vec<u8>;

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("deflate in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).expect("zstd in memory")
}

/// What a browser sends brotli-encoded; Airlock itself only decodes it.
const BROTLI: &[u8] = include_bytes!("../../fixtures/captures/python-2.75-br-unhandled/001.bin");

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
