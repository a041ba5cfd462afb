//! How long it takes to say which issue a report belongs to.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use airlock::domain::event::{Event, Level};
use airlock::domain::fingerprint::{self, Grouping};
use airlock::domain::id::EventId;
use airlock::domain::time::Timestamp;
use airlock::protocol::understand;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::understanding::{meta, timed};
use crate::{Failure, median};

/// Frames of an event.
const N_FRAMES: usize = 30;

/// Events of a platform.
const N_EVENTS: usize = 200;

/// Runs over the same events.
const N_RUNS: usize = 21;

/// An event with [`N_FRAMES`] frames takes no longer, on one core.
const MOST_MICROS: f64 = 1e6 / 20_000.0;

/// Nor does an event, whatever is in it.
const MOST_MICROS_AT_WORST: f64 = 2_000.0;

/// Bytes of the worst messages.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Platforms with enough labelled frames to make events of.
const PLATFORMS: [&str; 7] = ["python", "javascript", "java", "go", "php", "ruby", "native"];

pub(crate) fn run() -> Result<(), Failure> {
    let missed = [usual()?, worst()].concat();
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ").into()) }
}

/// Events of the frames of labelled events.
fn usual() -> Result<Vec<String>, Failure> {
    println!("us of CPU for an event with {N_FRAMES} frames; medians of {N_RUNS} runs");
    println!(
        "{:<12}{:>12}{:>12}{:>12}{:>14}",
        "platform", "fingerprint", "Value", "outline", "events/s"
    );
    let frames = labelled_frames()?;
    let mut missed = Vec::new();
    for platform in PLATFORMS {
        let frames = frames.get(platform).ok_or("a platform has no labelled frames")?;
        let payloads: Vec<Vec<u8>> = (0..N_EVENTS)
            .map(|n| serde_json::to_vec(&payload(platform, frames, n)))
            .collect::<Result<_, _>>()?;
        let mut runs: [Vec<f64>; 3] = Default::default();
        for _ in 0..N_RUNS {
            let [by_serde, by_outline, by_grouping] = measure(&payloads)?;
            for (run, time) in runs.iter_mut().zip([by_serde, by_outline, by_grouping]) {
                run.push(time.as_secs_f64() * 1e6 / N_EVENTS as f64);
            }
        }
        let [by_serde, by_outline, by_grouping] = runs.map(median);
        println!(
            "{platform:<12}{by_grouping:>12.1}{by_serde:>12.1}{by_outline:>12.1}{:>14.0}",
            1e6 / by_grouping
        );
        if by_grouping > MOST_MICROS {
            missed.push(format!("{platform} takes {by_grouping:.1} us, at most {MOST_MICROS}"));
        }
    }
    Ok(missed)
}

fn measure(payloads: &[Vec<u8>]) -> Result<[Duration; 3], Failure> {
    let grouping = Grouping::default();
    let mut times = [Duration::ZERO; 3];
    let [by_serde, by_outline, by_grouping] = &mut times;
    for payload in payloads {
        let meta = meta(Uuid::from_u128(7));
        drop(timed(by_serde, || serde_json::from_slice::<Value>(payload))?);
        let read = timed(by_outline, || understand::outline(&meta, payload))?;
        timed(by_grouping, || fingerprint::fingerprint(&read.event, &grouping));
    }
    Ok(times)
}

fn labelled_frames() -> Result<BTreeMap<String, Vec<Value>>, Failure> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/grouping/labelled.jsonl");
    let mut frames: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let event: Value = serde_json::from_str::<Value>(line)?["event"].take();
        let platform = event["platform"].as_str().unwrap_or_default().to_owned();
        for exception in event["exception"]["values"].as_array().into_iter().flatten() {
            let stack = exception["stacktrace"]["frames"].as_array().into_iter().flatten();
            frames.entry(platform.clone()).or_default().extend(stack.cloned());
        }
    }
    Ok(frames)
}

fn payload(platform: &str, frames: &[Value], number: usize) -> Value {
    let frames: Vec<&Value> = frames.iter().cycle().skip(number * 7).take(N_FRAMES).collect();
    json!({
        "platform": platform,
        "exception": {"values": [{
            "type": "RuntimeException",
            "value": format!("order {number} of user 550e8400-e29b-41d4-a716-44665544{number:04} \
                at 10.0.0.1:5432 could not be charged: 'card' after 1.5 s"),
            "mechanism": {"type": "generic", "handled": false},
            "stacktrace": {"frames": frames},
        }]},
    })
}

/// Messages and stacks that are as slow as possible.
fn worst() -> Vec<String> {
    println!("\nus at worst, medians of {N_RUNS} runs; {MESSAGE_BYTES} bytes each, 10,000 frames");
    let grouping = Grouping::default();
    let mut missed = Vec::new();
    let messages = PIECES.iter().map(|piece| {
        let text = piece.repeat(MESSAGE_BYTES / piece.len() + 1);
        (format!("{piece:?}"), message(&text))
    });
    for (name, event) in messages.chain(stacks()) {
        let mut runs = Vec::new();
        for _ in 0..N_RUNS {
            let mut time = Duration::ZERO;
            timed(&mut time, || black_box(fingerprint::fingerprint(black_box(&event), &grouping)));
            runs.push(time.as_secs_f64() * 1e6);
        }
        let micros = median(runs);
        println!("{name:<28}{micros:>10.1}");
        if micros > MOST_MICROS_AT_WORST {
            missed.push(format!("{name} takes {micros:.0} us, at most {MOST_MICROS_AT_WORST}"));
        }
    }
    missed
}

/// Messages are made of one of these over and over.
const PIECES: &[&str] = &[
    "a",
    "1",
    "1,",
    "1.",
    "1.1.",
    "a.",
    "a1.",
    "a-",
    "a_",
    "a@",
    "a.a@ab ",
    "'a ",
    "'",
    "\"a",
    "`a",
    "{a:",
    "[1,",
    "{\"a\":[",
    "in(a,",
    "/a",
    "a/b",
    "a:",
    "::",
    "::1 ",
    "1:",
    "é",
    "é1.",
    "é ",
    "日本",
    "<",
    "<a ",
    "#<A",
    "0x",
    "$",
    "-1",
    "--",
    "2024-01-01T",
    "Jan 1, 2020 (",
    "datetime.datetime(",
    "a1b2",
    "eyJaaaaaa.",
    "x://",
    "data:a/b,",
    "\n",
    " ",
    "1 ms",
    "5µs",
    "\u{1b}[31m",
    "\u{1b}[",
    "é.pdf1",
    "a1é.",
    "~/",
    "\\\\a\\",
    "P1D",
    "1,1,1,1 x ",
    "a.a.a.a.xyz ",
    "<*>-",
];

fn event(platform: &str) -> Event {
    let at = Timestamp::from_micros(0);
    Event::new(EventId(Uuid::from_u128(7)), at, Level::Error, platform.to_owned())
}

fn message(text: &str) -> Event {
    let message =
        airlock::domain::event::Message { formatted: text.to_owned(), ..Default::default() };
    Event { message: Some(message), ..event("python") }
}

/// Stacks of 10,000 frames: all alike, all different, a long cycle.
fn stacks() -> Vec<(String, Event)> {
    let deep = |name: &str, platform: &str, function: fn(usize) -> String| {
        let frame = |number| airlock::domain::event::Frame {
            function: Some(function(number)),
            filename: Some(format!("src/shop/cart{}.rs", number % 3)),
            abs_path: Some("https://shop.example/static/js/main.3f2a1b9c.chunk.js?v=3".repeat(8)),
            context_line: Some("total = cart['total']".to_owned()),
            ..Default::default()
        };
        let exception = airlock::domain::event::Exception {
            kind: Some("RangeError".to_owned()),
            frames: (0..10_000).map(frame).collect(),
            ..Default::default()
        };
        (format!("{platform}, {name}"), Event { exceptions: vec![exception], ..event(platform) })
    };
    let mut stacks = Vec::new();
    for platform in PLATFORMS {
        stacks.push(deep("one function", platform, |_| "run".to_owned()));
        stacks.push(deep("others each", platform, |n| {
            format!("Map<Vec<A>>::f{n}(B<C>)::{{{{closure}}}}")
        }));
        stacks.push(deep("a cycle", platform, |n| format!("lambda$f{}$1", n % 9)));
    }
    stacks
}
