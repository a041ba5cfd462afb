//! What scrubbing adds to digest: the same events of real SDKs, digested with and without it.

use std::path::Path;
use std::time::Duration;

use airlock::clock::Clock;
use airlock::digest::Bodies;
use airlock::digest::rules::Rules;
use airlock::digest::{commit, prepare};
use airlock::domain::id::{EventId, ProjectId};
use airlock::domain::project::{Project, Settings, environments};
use airlock::domain::scrub::Scrubber;
use airlock::domain::scrub::rules::ScrubRules;
use airlock::domain::tag_counts::KnownTags;
use airlock::protocol::report::{Report, ReportKind, ReportMeta};
use airlock::store::{Location, Store};
use serde_json::Value;

use crate::{Failure, cpu_time, median};

/// Events of one measurement.
const N_EVENTS: u32 = 2_000;

/// Events of one batch, as digest takes them.
const N_BATCH: usize = 500;

/// Measurements of each kind.
const N_RUNS: usize = 15;

/// The share of CPU that scrubbing may add to digest.
const MOST_ADDED: f64 = 1.0 / 3.0;

/// How often the time of a text four times as long may be that of the text; between linear, which is
/// 4, and quadratic, which is 16.
const MOST_RATIO: f64 = 8.0;

pub(crate) fn run() -> Result<(), Failure> {
    let payloads = payloads()?;
    let n_bytes: usize = payloads.iter().map(Vec::len).sum();
    println!(
        "{} different events of real SDKs, {} bytes each on average; {N_EVENTS} a run, \
         medians of {N_RUNS} runs that take turns",
        payloads.len(),
        n_bytes / payloads.len().max(1)
    );
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(&payloads))
}

/// The events in the tests' fixtures.
fn payloads() -> Result<Vec<Vec<u8>>, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/events");
    let mut paths: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths.iter().map(std::fs::read).collect::<Result<_, _>>()?)
}

async fn measure(payloads: &[Vec<u8>]) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let address = format!("sqlite:{}", folder.path().join("bench.db").display());
    let store = Store::new(&address.parse::<Location>()?)?;
    store.open().await?;
    let clock = Clock::system();
    let with = project(&store, &clock, "with", None).await?;
    let without = project(&store, &clock, "without", Some(&ScrubRules::OFF)).await?;
    let scrubbers = Rules::default().refreshed(&store).await?;

    let mut times = [Times::default(), Times::default()];
    for _ in 0..N_RUNS {
        for (project, times) in [without, with].into_iter().zip(&mut times) {
            one_run(&store, &clock, &scrubbers, payloads, project, times).await?;
        }
    }
    let [without, with] = times.map(Times::medians);
    let mut missed = Vec::new();
    println!("CPU for each event       without       with     adds");
    for (name, without, with) in
        [("understanding it", without.0, with.0), ("digesting it, SQLite", without.1, with.1)]
    {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(N_EVENTS);
        let added = with.as_secs_f64() / without.as_secs_f64() - 1.0;
        println!(
            "{name:<22} {:>7.1} us {:>7.1} us {:>7.1} %",
            each(without),
            each(with),
            added * 100.0
        );
    }
    let added = with.1.as_secs_f64() / without.1.as_secs_f64() - 1.0;
    if added > MOST_ADDED {
        missed.push(format!("scrubbing adds {added:.2} to digest"));
    }
    store.close().await;
    missed.extend(hostile());
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ").into()) }
}

/// Texts made to be slow: four times the text may take four times the time, not sixteen. Gives what
/// takes longer.
fn hostile() -> Vec<String> {
    let mut missed = Vec::new();
    println!("CPU for a hostile text     64 KiB    256 KiB    ratio (4 is linear)");
    let scrubber = Scrubber::default();
    for piece in [
        "password",
        "password=",
        "key=",
        "Cookie: $",
        "token={",
        "token\">$",
        "key={",
        "key=\"",
        "\"token\" ",
        "://",
        "://a:b",
        "eyJ.",
        "sk-",
        "basic ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY",
        "4111 1111 1111 1112 ",
        "4 ",
        "--token ",
        "'pin'\r\n",
        "<pin>",
        "password=%s ",
        "\\\"",
        "Cookie: ",
    ] {
        let time = |n_bytes: usize| {
            let text = Value::from(piece.repeat(n_bytes / piece.len()));
            let once = || {
                let mut text = text.clone();
                let before = cpu_time();
                scrubber.scrub_json(&mut text);
                cpu_time().saturating_sub(before)
            };
            median((0..5).map(|_| once()).collect()).as_secs_f64() * 1e6
        };
        let (small, large) = (time(64 * 1024), time(256 * 1024));
        println!("{piece:<22?} {small:>8.0} us {large:>8.0} us {:>8.1}", large / small);
        if large / small > MOST_RATIO {
            missed.push(format!("{piece:?} takes {:.1} times the time", large / small));
        }
    }
    missed
}

#[derive(Default)]
struct Times {
    prepare: Vec<Duration>,
    digest: Vec<Duration>,
}

impl Times {
    fn medians(self) -> (Duration, Duration) {
        (median(self.prepare), median(self.digest))
    }
}

async fn one_run(
    store: &Store,
    clock: &Clock,
    scrubbers: &Rules,
    payloads: &[Vec<u8>],
    project: ProjectId,
    times: &mut Times,
) -> Result<(), Failure> {
    let records: Vec<Vec<u8>> = payloads
        .iter()
        .cycle()
        .take(N_EVENTS as usize)
        .map(|payload| record(clock, project, payload))
        .collect();
    let mut prepare_time = Duration::ZERO;
    let began = cpu_time();
    let mut known = KnownTags::default();
    for batch in records.chunks(N_BATCH) {
        let records = batch.iter().cloned().map(Into::into).collect();
        let before = cpu_time();
        let prepared = prepare::prepare_all(records, scrubbers, &Bodies::default());
        prepare_time += cpu_time().saturating_sub(before);
        let prepared: Vec<_> = prepared.into_iter().filter_map(Result::ok).collect();
        let committed = commit::commit(store, clock, project, &prepared, &mut known).await?;
        if committed.n_accepted != batch.len() as u64 {
            return Err(format!("{committed:?} of {}", batch.len()).into());
        }
    }
    times.digest.push(cpu_time().saturating_sub(began));
    times.prepare.push(prepare_time);
    Ok(())
}

fn record(clock: &Clock, project_id: ProjectId, payload: &[u8]) -> Vec<u8> {
    let meta = ReportMeta {
        kind: ReportKind::SentryEvent,
        project_id,
        public_key: "a1b2".to_owned(),
        is_verified: true,
        is_trusted: true,
        event_id: EventId(clock.id()),
        received_at: clock.now(),
        sent_at: None,
        remote_addr: None,
        client: None,
        n_cut: 0,
    };
    Report { meta, payload: payload.to_vec() }.into_record()
}

async fn project(
    store: &Store,
    clock: &Clock,
    slug: &str,
    rules: Option<&ScrubRules>,
) -> Result<ProjectId, Failure> {
    let project = Project {
        id: ProjectId(0),
        slug: slug.to_owned(),
        name: slug.to_owned(),
        prefix: slug.to_uppercase(),
        settings: Settings::default(),
        created_at: clock.now(),
        environments: environments(&["production".to_owned()], None)?,
    };
    let mut tx = store.write().await?;
    let id = tx.insert_project(&project).await?;
    if let Some(rules) = rules {
        tx.upsert_scrub_rules(id, rules, clock.now()).await?;
    }
    tx.commit().await?;
    Ok(id)
}
