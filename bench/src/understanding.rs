//! What digest does with a report before it needs the store, step by step, beside a parser that
//! makes a `serde_json::Value` of the same bytes.

use std::hint::black_box;
use std::time::Duration;

use airlock::domain::fingerprint::{self, Config};
use airlock::domain::id::{EventId, ProjectId};
use airlock::domain::scrub::Scrubber;
use airlock::domain::time::Timestamp;
use airlock::domain::title;
use airlock::protocol::report::{ReportKind, ReportMeta};
use airlock::protocol::sentry::Outline;
use airlock::protocol::understand;
use serde_json::Value;
use uuid::Uuid;

use crate::events::{Events, Shape};
use crate::{Failure, cpu_time, median};

/// Bytes of the events.
const SIZES: [usize; 3] = [3_000, 8_000, 50_000];

/// How often the CPU of a `serde_json::Value` understanding, scrubbing and naming may take together.
const MOST_RATIO: f64 = 2.75;

/// Events of one run.
const N_EVENTS: usize = 300;

/// Runs over the same events.
const N_RUNS: usize = 21;

/// What is measured, in this order.
const STEPS: [&str; 5] =
    ["serde_json::Value", "understand", "scrub", "fingerprint, title", "to JSON"];

/// When the events arrive, in seconds since the epoch.
const BEGIN: u64 = 1_795_219_200;

pub(crate) fn run() -> Result<(), Failure> {
    println!("us of CPU for each event, {N_EVENTS} different ones; medians of {N_RUNS} runs");
    print!("{:<8}", "bytes");
    for name in STEPS {
        print!("{name:>20}");
    }
    println!("{:>20}{:>20}", "all but to JSON", "times a Value");
    let mut missed = Vec::new();
    for n_bytes in SIZES {
        let medians = measure(n_bytes)?;
        print!("{n_bytes:<8}");
        for median in medians {
            print!("{median:>20.1}");
        }
        let [by_serde, understand, scrub, name, _] = medians;
        let sum = understand + scrub + name;
        let ratio = sum / by_serde;
        println!("{sum:>20.1}{ratio:>20.2}");
        if ratio > MOST_RATIO {
            missed.push(format!("{n_bytes} bytes take {ratio:.2} times a Value"));
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ").into()) }
}

/// The microseconds of each step, for one event.
fn measure(n_bytes: usize) -> Result<[f64; 5], Failure> {
    let mut events = Events::new(Shape { n_bytes, n_issues: 100, begin: BEGIN }, 7)?;
    let reports: Vec<(Uuid, Vec<u8>)> = (0..N_EVENTS).map(|_| events.make()).collect();
    let scrubber = Scrubber::default();
    let mut runs: [Vec<f64>; 5] = Default::default();
    for _ in 0..N_RUNS {
        let mut times = [Duration::ZERO; 5];
        for (id, payload) in &reports {
            let meta = meta(*id);
            let [by_serde, understand, scrub, name, write] = &mut times;
            drop(timed(by_serde, || serde_json::from_slice::<Value>(payload))?);
            let mut event =
                timed(understand, || understand::outline(&meta, payload).map(Outline::into_whole))?;
            timed(scrub, || scrubber.scrub(&mut event));
            timed(name, || {
                let fingerprint = fingerprint::fingerprint(&event, Config::NEWEST);
                (fingerprint, title::title(&event), title::culprit(&event))
            });
            timed(write, || serde_json::to_vec(&event))?;
        }
        for (run, time) in runs.iter_mut().zip(times) {
            run.push(time.as_secs_f64() * 1e6 / reports.len() as f64);
        }
    }
    Ok(runs.map(median))
}

fn timed<T>(sum: &mut Duration, step: impl FnOnce() -> T) -> T {
    let before = cpu_time();
    let done = black_box(step());
    *sum += cpu_time().saturating_sub(before);
    done
}

fn meta(id: Uuid) -> ReportMeta {
    ReportMeta {
        kind: ReportKind::SentryEvent,
        project_id: ProjectId(7),
        public_key: "a1b2".to_owned(),
        is_verified: true,
        is_trusted: true,
        event_id: EventId(id),
        received_at: Timestamp::from_micros((BEGIN.cast_signed() + 60) * 1_000_000),
        sent_at: None,
        remote_addr: None,
        client: None,
        n_cut: 0,
    }
}
