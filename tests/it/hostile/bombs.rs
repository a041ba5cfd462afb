//! Little on the wire, much when it is decoded.

use serde_json::{Value, json};

use super::Target;
use crate::support::{Answer, Wire, gzip, zlib};

/// What one of the largest bombs may cost the server, in bytes.
const MOST_MEMORY: u64 = 20 * 1024 * 1024;

/// What a crowd may cost the server: what is shared, what each has for itself, and digest's work.
const MOST_CROWD_MEMORY: u64 = 600 * 1024 * 1024;

const HEADER: &[u8] = b"{}\n{\"type\":\"attachment\",\"length\":100000000000}\n";

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 19).expect("zstd in memory")
}

/// Ten megabytes that decode to ten gigabytes and more.
fn large_bombs() -> [(&'static str, Vec<u8>); 3] {
    let zeros = vec![0; 10 << 20];
    let (gzipped, zstandard) = (gzip(&zeros), zstd(&zeros));
    [
        ("gzip", [gzip(HEADER), gzipped.repeat(10_000_000 / gzipped.len())].concat()),
        ("zstd", [zstd(HEADER), zstandard.repeat(10_000_000 / zstandard.len())].concat()),
        // One gibibyte of zeros in 1,659 bytes.
        ("br", include_bytes!("../../fixtures/hostile/attachment-of-1-gib.br").to_vec()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_that_would_be_ten_gigabytes_cost_next_to_nothing() {
    let target = Target::start(&[]).await;
    for _ in 0..20 {
        Answer::of(target.report("store").body(r#"{"message": "warm"}"#)).await.ok();
    }
    assert_eq!(target.titles().await, ["warm"]);
    for (encoding, bomb) in large_bombs() {
        let before = target.server.peak_memory();
        let mut wire = Wire::connect(target.address()).await;
        let (id, key, length) = (target.id, &target.key, bomb.len());
        let head = format!(
            "POST /api/{id}/envelope/?sentry_key={key} HTTP/1.1\r\nHost: a\r\n\
             Content-Encoding: {encoding}\r\nContent-Length: {length}\r\n\r\n"
        );
        wire.send(head).await;
        wire.send(bomb).await;
        let answer = wire.answer().await.expect("an answer");
        assert_eq!(answer.status, 413, "{encoding}: {answer:?}");
        assert!(answer.body.contains("400 bytes for each"), "{encoding}: {answer:?}");
        let more = target.server.peak_memory() - before;
        assert!(more < MOST_MEMORY, "{encoding}: {more} bytes");
    }
}

/// An envelope's lines, gzipped.
fn lines(lines: &[&str]) -> Vec<u8> {
    gzip(lines.join("\n").as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_of_every_kind_end_and_good_events_before_them_are_kept() {
    let target = Target::start(&[]).await;
    let good = |title: &str| format!("{{}}\n{{\"type\":\"event\"}}\n{{\"message\":\"{title}\"}}");
    let zeros = "0".repeat(30 << 20);
    let nested = gzip(&gzip(&gzip(zeros.as_bytes())));
    let in_base64 = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        zlib(format!("{{\"message\":\"base64\",\"x\":\"{zeros}\"}}").as_bytes()),
    );
    let session = "{\"type\":\"session\"}\n{}\n";
    let bombs: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("zip in zip", "store", nested, 400),
        ("base64 of zlib", "store", gzip(in_base64.as_bytes()), 200),
        ("empty lines", "envelope", lines(&[&good("newlines"), &"\n".repeat(30 << 20)]), 200),
        ("items", "envelope", lines(&[&good("items"), &session.repeat(5_000)]), 200),
        ("a header line", "envelope", lines(&[&good("header"), &zeros]), 200),
        ("an item behind", "envelope", lines(&[&good("behind"), "{\"type\":\"x\"}", &zeros]), 200),
        ("deep", "store", gzip(format!("{{\"x\":{}", "[".repeat(3 << 20)).as_bytes()), 400),
        ("deep details", "store", deep_details(), 200),
        ("an empty object", "store", gzip(&[b"{}".as_slice(), &vec![b' '; 3 << 20]].concat()), 200),
    ];
    for (what, endpoint, body, status) in bombs {
        let request = target.report(endpoint).header("Content-Encoding", "gzip").body(body);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    let kept = [
        "Report without exception or message",
        "base64",
        "behind",
        "details",
        "header",
        "items",
        "newlines",
    ];
    assert_eq!(target.titles().await, kept);
}

/// Parts that are read late, each in the one before.
fn deep_details() -> Vec<u8> {
    let deep = format!("{}1{}", "{\"vars\":".repeat(50_000), "}".repeat(50_000));
    let message = format!("{{\"message\":\"details\",\"params\":[{deep}]}}");
    gzip(format!("{{\"logentry\":{message}}}").as_bytes())
}

/// Noise that no encoding makes smaller, without a newline.
fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state: u64 = 7;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b'0' + u8::try_from(state >> 58).expect("six bits")
    };
    (0..n_bytes).map(|_| next()).collect()
}

/// Small bodies of large events: the endpoint, how many at once, and one of them.
fn crowds() -> [(&'static str, usize, Vec<u8>); 2] {
    let event =
        format!("{{\"message\":\"large\",\"extra\":{{\"x\":\"{}\"}}}}", "0".repeat(4_190_000));
    // Many small bytes are only allowed beside some that are not.
    let mut envelope = b"{}\n{\"type\":\"attachment\"}\n".to_vec();
    envelope.extend_from_slice(&noise(120_000));
    envelope.extend_from_slice(format!("\n{{\"type\":\"event\"}}\n{event}").repeat(8).as_bytes());
    [("store", 200, gzip(event.as_bytes())), ("envelope", 24, gzip(&envelope))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_small_bodies_with_large_events_shares_a_bounded_memory() {
    for (endpoint, n_clients, body) in crowds() {
        assert!(body.len() < 150_000, "{}", body.len());
        let target = Target::start(&[]).await;
        Answer::of(target.report("store").body(r#"{"message": "warm"}"#)).await.ok();
        let before = target.server.peak_memory();
        let (most, rest) = body.split_at(body.len() - 1);
        let mut crowd = Vec::new();
        for _ in 0..n_clients {
            let mut wire = Wire::connect(target.address()).await;
            let head = format!(
                "POST /api/{}/{endpoint}/?sentry_key={} HTTP/1.1\r\nHost: a\r\n\
                 Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                target.id,
                target.key,
                body.len()
            );
            wire.send(head).await;
            wire.send(most).await;
            crowd.push(wire);
        }
        for wire in &mut crowd {
            wire.send(rest).await;
        }
        Answer::of(target.report("store").body(r#"{"message": "usual"}"#)).await.ok();
        for mut wire in crowd {
            let answer = wire.answer().await.expect("an answer");
            assert_eq!(answer.status, 200, "{endpoint}: {answer:?}");
        }
        let more = target.server.peak_memory() - before;
        assert!(more < MOST_CROWD_MEMORY, "{endpoint}: {more} bytes");
        assert_eq!(target.titles().await, ["large", "usual", "warm"]);
    }
}

/// An event of 4 MiB of the worst JSON costs digest a bounded amount of memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_mebibytes_of_tiny_values_cost_bounded_memory() {
    let target = Target::start(&[]).await;
    Answer::of(target.report("store").body(r#"{"message": "warm"}"#)).await.ok();
    let before = target.server.peak_memory();
    for (title, tiny) in [("objects", "{\"\":{}},"), ("lists", "[[]],"), ("numbers", "1,")] {
        let many = tiny.repeat((4 << 20) / tiny.len() - 20);
        let body = format!("{{\"message\":\"{title}\",\"x\":[{many}0]}}");
        Answer::of(target.report("store").body(body)).await.ok();
    }
    assert_eq!(target.titles().await, ["lists", "numbers", "objects", "warm"]);
    let more = target.server.peak_memory() - before;
    assert!(more < 150 << 20, "{more} bytes");
    let spool: Value = target.get("/status.json").await;
    assert_eq!(spool["buried"], json!(0));
}
