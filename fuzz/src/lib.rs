//! The rooms that read what strangers send, compiled by themselves.
//!
//! `domain` and `protocol` know nothing of the rest of Airlock, so fuzzing them needs no server, no
//! database and no HTTP, and a build takes a minute. Links lead to their sources.

#![allow(dead_code, unreachable_pub)]

pub mod domain;
pub mod protocol;

use std::collections::BTreeMap;

use domain::event::Event;
use domain::fingerprint::{self, Fingerprint, Grouping};
use domain::id::EventId;
use domain::scrub::Scrubber;
use domain::tag_counts::tags_of;
use domain::time::Timestamp;
use domain::title;
use protocol::budget::MOST_EVENT_BYTES;
use protocol::sentry::{Outline, Received};

thread_local! {
    static SCRUBBER: Scrubber = Scrubber::default();
}

/// What a report arrives with.
pub fn received() -> Received<'static> {
    Received {
        event_id: EventId(uuid::Uuid::from_u128(7)),
        received_at: Timestamp::from_micros(1_795_226_466_000_000),
        sent_at: None,
        remote_addr: Some("198.51.100.7"),
        sdk: Some("fuzz/1"),
        n_cut: 0,
    }
}

/// What must hold for every event, whoever sent it; and everything digest does with one.
pub fn check(outline: Outline<'_>) {
    let mut known = outline.event.clone();
    SCRUBBER.with(|scrubber| scrubber.begin().outline(&mut known));
    let known = named(&known);
    let mut event = outline.into_whole();
    let text = serde_json::to_string(&event).expect("events are JSON");
    assert!(text.len() < MOST_EVENT_BYTES, "{} bytes", text.len());
    let escapes = text.replace("\\\\", "");
    assert!(!escapes.contains("\\u0000"), "PostgreSQL cannot store NUL");
    let read: Event = serde_json::from_str(&text).expect("events are read again");
    assert_eq!(read, event, "what is stored is what was understood");
    SCRUBBER.with(|scrubber| scrubber.scrub(&mut event));
    // A mark is longer than the shortest secret; no text grows by more.
    let n_bytes = serde_json::to_string(&event).expect("events are JSON").len();
    assert!(n_bytes < 4 * MOST_EVENT_BYTES, "{n_bytes} bytes when scrubbed");
    assert!(title::title(&event).chars().count() <= title::MOST_TITLE_CHARS);
    let _ = title::culprit(&event);
    // Only the neighbours of a line can tell that it is in a private key.
    let is_in_key = event.scrubbed.iter().any(|place| place.rule == "private_key");
    assert!(is_in_key || named(&event) == known, "details of an event do not name or group it");
}

/// What an event is called, counted and grouped by.
fn named(event: &Event) -> (String, String, BTreeMap<String, String>, Fingerprint) {
    let fingerprint = fingerprint::fingerprint(event, &Grouping::default());
    (title::title(event), title::culprit(event), tags_of(event), fingerprint)
}
