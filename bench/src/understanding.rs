//! What digest does with a report before it needs the store, step by step, beside a parser that
//! makes a `serde_json::Value` of the same bytes.

use std::hint::black_box;
use std::time::Duration;

use airlock::domain::fingerprint::{self, Grouping};
use airlock::domain::id::{EventId, ProjectId};
use airlock::domain::scrub::Scrubber;
use airlock::domain::time::Timestamp;
use airlock::domain::title;
use airlock::protocol::report::{ReportKind, ReportMeta};
use airlock::protocol::understand;
use serde_json::Value;
use uuid::Uuid;

use crate::events::{Events, Shape};
use crate::{Failure, cpu_time, median};

/// Bytes of the events.
const SIZES: [usize; 3] = [3_000, 8_000, 50_000];

/// How often the CPU of a `serde_json::Value` it may take to understand, scrub and name a report whose
/// body is sampled away; and one whose body is kept, as JSON.
const MOST_RATIOS: [f64; 2] = [1.25, 3.25];

/// Events of one run.
const N_EVENTS: usize = 300;

/// Runs over the same events.
const N_RUNS: usize = 21;

/// What is measured, in this order.
const STEPS: [&str; 7] =
    ["Value", "outline", "scrub it", "fingerprint", "details", "scrub them", "to JSON"];

/// When the events arrive, in seconds since the epoch.
const BEGIN: u64 = 1_795_219_200;

pub(crate) fn run() -> Result<(), Failure> {
    println!("us of CPU for each event, {N_EVENTS} different ones; medians of {N_RUNS} runs");
    print!("{:<8}", "bytes");
    for name in STEPS {
        print!("{name:>12}");
    }
    println!("{:>24}{:>20}", "sampled, times a Value", "kept, times a Value");
    let mut missed = Vec::new();
    for n_bytes in SIZES {
        let medians = measure(n_bytes)?;
        print!("{n_bytes:<8}");
        for median in medians {
            print!("{median:>12.1}");
        }
        let [by_serde, outline, scrub, name, details, scrub_details, to_json] = medians;
        let sampled = outline + scrub + name;
        let kept = sampled + details + scrub_details + to_json;
        let ratios = [sampled / by_serde, kept / by_serde];
        println!("{:>24.2}{:>20.2}", ratios[0], ratios[1]);
        for (ratio, most) in ratios.iter().zip(MOST_RATIOS) {
            if *ratio > most {
                missed.push(format!("{n_bytes} bytes take {ratio:.2} times a Value"));
            }
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ").into()) }
}

/// The microseconds of each step, for one event.
fn measure(n_bytes: usize) -> Result<[f64; 7], Failure> {
    let mut events = Events::new(Shape { n_bytes, n_issues: 100, begin: BEGIN }, 7)?;
    let reports: Vec<(Uuid, Vec<u8>)> = (0..N_EVENTS).map(|_| events.make()).collect();
    let scrubber = Scrubber::default();
    let grouping = Grouping::default();
    let mut runs: [Vec<f64>; 7] = Default::default();
    for _ in 0..N_RUNS {
        let mut times = [Duration::ZERO; 7];
        for (id, payload) in &reports {
            let meta = meta(*id);
            let [by_serde, outline, scrub, name, details, scrub_details, write] = &mut times;
            drop(timed(by_serde, || serde_json::from_slice::<Value>(payload))?);
            let mut read = timed(outline, || understand::outline(&meta, payload))?;
            let mut scrubbing = scrubber.begin();
            timed(scrub, || scrubbing.outline(&mut read.event));
            timed(name, || {
                let fingerprint = fingerprint::fingerprint(&read.event, &grouping);
                (fingerprint, title::title(&read.event), title::culprit(&read.event))
            });
            let mut event = timed(details, || read.into_whole());
            timed(scrub_details, || scrubbing.details(&mut event));
            timed(write, || serde_json::to_vec(&event))?;
        }
        for (run, time) in runs.iter_mut().zip(times) {
            run.push(time.as_secs_f64() * 1e6 / reports.len() as f64);
        }
    }
    Ok(runs.map(median))
}

pub(crate) fn timed<T>(sum: &mut Duration, step: impl FnOnce() -> T) -> T {
    let before = cpu_time();
    let done = black_box(step());
    *sum += cpu_time().saturating_sub(before);
    done
}

pub(crate) fn meta(id: Uuid) -> ReportMeta {
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
