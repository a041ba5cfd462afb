//! Clients that take for ever.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Target;
use crate::support::{Answer, Wire, WireAnswer, pause, until};

/// Clients that hang, of all kinds together.
const N_SLOW: usize = 2_000;

/// How a slow client begins, and whether it goes on byte by byte.
fn beginning(kind: usize, id: i64, key: &str) -> (String, bool) {
    let post = format!("POST /api/{id}/envelope/");
    let chunked = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    match kind % 5 {
        0 => ("POST /api/1/store/ HTTP/1.1\r\nHost: a\r\nX-Slow: ".to_owned(), true),
        1 => (format!("{post}?sentry_key={key} HTTP/1.1\r\nHost: a\r\n"), false),
        2 => {
            let length = "Host: a\r\nContent-Length: 4000000\r\n\r\n";
            (format!("{post}?sentry_key={key} HTTP/1.1\r\n{length}"), true)
        }
        3 => (format!("{post} HTTP/1.1\r\n{chunked}"), false),
        _ => (format!("{post}?sentry_key={key} HTTP/1.1\r\n{chunked}1\r\n"), false),
    }
}

/// Sends a byte now and then until the server ends the connection; gives when that was.
async fn hang(mut wire: Wire, goes_on: bool, began: Instant) -> Duration {
    if goes_on {
        while !wire.is_over_within(Duration::from_millis(500)).await {
            wire.send("x").await;
        }
    } else {
        while wire.answer().await.is_some() {}
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_slow_clients_hold_up_nobody_and_are_ended() {
    let limits = ["--head-timeout", "2", "--body-timeout", "3"];
    // Together they announce 1.6 GB, far more than the spool has.
    let spool = ["--spool-most-bytes", "100000000", "--role", "all"];
    let target = Target::start(&[limits, spool].concat()).await;
    let mut slow = JoinSet::new();
    let began = Instant::now();
    for kind in 0..N_SLOW {
        let mut wire = Wire::connect(target.address()).await;
        let (bytes, goes_on) = beginning(kind, target.id, &target.key);
        wire.send(bytes).await;
        slow.spawn(hang(wire, goes_on, began));
    }
    let all_there = began.elapsed();
    while began.elapsed() < all_there + Duration::from_secs(1) {
        let sent = Instant::now();
        let report = target.report("store").body(json!({"message": "normal"}).to_string());
        Answer::of(report).await.ok();
        assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
        pause(100).await;
    }
    assert_eq!(target.titles().await, ["normal"]);
    assert_eq!(slow.len(), N_SLOW);
    let mut last = Duration::ZERO;
    while let Some(ended) = slow.join_next().await {
        last = last.max(ended.expect("a client that ends"));
    }
    assert!(last < all_there + Duration::from_secs(6), "{last:?} {all_there:?}");
}

/// Sends a report up to its last part, that byte by byte until told to end; gives the answer.
async fn linger(
    mut wire: Wire,
    head: String,
    body: String,
    mut end: watch::Receiver<bool>,
) -> WireAnswer {
    let (most, rest) = body.split_at(body.len() - 100_000);
    wire.send(head).await;
    wire.send(most).await;
    let mut rest = rest.as_bytes();
    while !*end.borrow_and_update() {
        let (byte, left) = rest.split_at(1);
        wire.send(byte).await;
        rest = left;
        tokio::select! {
            _ = end.changed() => {}
            () = pause(500) => {}
        }
    }
    wire.send(rest).await;
    wire.answer().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_large_bodies_leaves_room_for_usual_reports() {
    let target = Target::start(&[]).await;
    let large = format!("{{\"message\":\"large\",\"extra\":\"{}\"}}", "x".repeat(3_900_000));
    let head = format!(
        "POST /api/{}/store/?sentry_key={} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        target.id,
        target.key,
        large.len()
    );
    let (end, _) = watch::channel(false);
    let mut crowd = JoinSet::new();
    let mut join = async || {
        let wire = Wire::connect(target.address()).await;
        crowd.spawn(linger(wire, head.clone(), large.clone(), end.subscribe()));
    };
    for _ in 0..40 {
        join().await;
    }
    Answer::of(target.report("store").body(json!({"message": "usual"}).to_string())).await.ok();
    // 34 of the crowd fit, or fewer, for whoever is cut while all grow leaves room that nobody
    // takes; when it is full, of whoever comes then as much as always fits is an event.
    until("a large report to be cut", async || {
        join().await;
        let answer = Answer::of(target.report("store").body(large.clone())).await.ok();
        assert_eq!(target.titles().await, ["large", "usual"]);
        let id = answer["id"].as_str().expect("an id");
        let event = target.get(&format!("/api/v1/projects/shop/events/{id}")).await;
        event["notes"].to_string().contains("the report was 4.0 MB")
    })
    .await;
    end.send_replace(true);
    while let Some(answer) = crowd.join_next().await {
        let answer = answer.expect("a client that ends");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(target.titles().await, ["large", "usual"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_arrived_whole_is_kept_when_the_rest_never_comes() {
    let target = Target::start(&["--body-timeout", "1"]).await;
    let send = async |title: &str| {
        let mut wire = Wire::connect(target.address()).await;
        let event = json!({ "message": title }).to_string();
        let body = format!(
            "{{}}\n{{\"type\":\"event\",\"length\":{}}}\n{event}\n{{\"type\":\"attachment\",\"length\":9000000}}\nabc",
            event.len()
        );
        let head = format!(
            "POST /api/{}/envelope/?sentry_key={} HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n",
            target.id, target.key
        );
        wire.send(head).await;
        wire.send(body).await;
        wire
    };
    // The process ends in the middle of an attachment, or its network is too slow for it.
    drop(send("hung up").await);
    let mut slow = send("too slow").await;
    assert_eq!(slow.answer().await.expect("an answer").status, 200);
    until("both events to be issues", async || target.titles().await == ["hung up", "too slow"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_wide_decoders_leaves_room_for_usual_reports() {
    let target = Target::start(&[]).await;
    let report = json!({"message": "usual"}).to_string();
    let usual = zstd::bulk::compress(report.as_bytes(), 3).expect("zstd in memory");
    let large = zstd::bulk::compress(&report.repeat(1_000).into_bytes(), 3).expect("zstd");
    let beginning = &large[..large.len() - 4];
    let mut crowd = Vec::new();
    for _ in 0..40 {
        let mut wire = Wire::connect(target.address()).await;
        let head = format!(
            "POST /api/{}/store/?sentry_key={} HTTP/1.1\r\nHost: a\r\nContent-Encoding: zstd\r\n\
             Content-Length: 1000\r\n\r\n",
            target.id, target.key
        );
        wire.send(head).await;
        wire.send(beginning).await;
        crowd.push(wire);
    }
    until("somebody to be refused", async || {
        target.get("/status.json").await["refused_24h"].as_u64().is_some_and(|n| n >= 20)
    })
    .await;
    let sent = target.report("store").header("Content-Encoding", "zstd").body(usual);
    Answer::of(sent).await.ok();
    assert_eq!(target.titles().await, ["usual"]);
    drop(crowd);
}
