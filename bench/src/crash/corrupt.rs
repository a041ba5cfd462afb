//! Damaged files: what waits in the spool is hit while the server is down.
//!
//! Reports are sent while the store is away, so that they wait in several segments. Then bytes are
//! flipped, zeroed, cut off and added in segments, and the watermark, the copy of the keys and the
//! address are spoilt. The server is started with its store: what was not hit must be stored, what
//! was hit must not, and the service must say how many records are lost.

use std::net::SocketAddr;

use serde_json::Value;

use super::book::Book;
use super::check::check;
use super::damage::{Segments, spoil_others};
use super::traffic::Traffic;
use super::victim::Victim;
use super::{Common, begin};
use crate::events::Random;
use crate::server::Kind;
use crate::{Failure, api};

/// Segments that wait when the damage is done, at most; each life of the server begins one.
const MOST_SEGMENTS: u64 = 4;

/// How often, and where
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CorruptArgs {
    /// How often files are damaged, for each kind of store
    #[arg(long, default_value_t = 40)]
    rounds: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(args: &CorruptArgs) -> Result<(), Failure> {
    let seed = args.common.seed();
    for kind in args.common.kinds() {
        println!("{}: files are damaged {} times, seed {seed}", kind.name(), args.rounds);
        damage_often(&kind, args, seed)?;
    }
    Ok(())
}

/// Records that damage cost.
#[derive(Debug, Default)]
struct Toll {
    lost: u64,
    /// Of them, those the service said it skipped.
    skipped: u64,
}

fn damage_often(kind: &Kind, args: &CorruptArgs, seed: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut victim = Victim::new(kind, folder.path(), folder.path().join("data"))?;
    let path = victim.set_up()?;
    let mut book = Book::new(seed, args.common.issues, begin()?);
    // Each report is one record.
    book.sends_again = false;
    let traffic = Traffic::start(book, &path, args.common.connections);
    let mut random = Random::new(seed);
    let mut toll = Toll::default();
    for round in 0..args.rounds {
        fill_spool(&mut victim, &traffic, &mut random)?;
        damage_once(&mut victim, &traffic, &mut random, &mut toll)
            .map_err(|cause| format!("round {round}: {cause}"))?;
    }
    let book = traffic.stop()?;
    println!(
        "{}: {} records lost to damage: {} skipped, {} cut off as a torn end",
        kind.name(),
        toll.lost,
        toll.skipped,
        toll.lost - toll.skipped,
    );
    let address = victim.start()?;
    check(&mut victim, address, &book)?.conclude(kind.name(), &book)
}

/// Some lives of the server without its store.
fn fill_spool(victim: &mut Victim, traffic: &Traffic, random: &mut Random) -> Result<(), Failure> {
    let store = victim.store.replace("sqlite:/nowhere/airlock.db".to_owned());
    for _ in 0..=random.below(MOST_SEGMENTS) {
        traffic.send(victim.start()?, 1 + random.below(60));
        traffic.finish();
        victim.kill()?;
    }
    victim.store = store;
    Ok(())
}

/// Damages what waits, lets the server store the rest, and compares.
fn damage_once(
    victim: &mut Victim,
    traffic: &Traffic,
    random: &mut Random,
    toll: &mut Toll,
) -> Result<(), Failure> {
    let mut segments = Segments::read(&victim.data.join("spool"))?;
    for entry in traffic.book().entries.values() {
        if entry.n_acknowledged > 0 && !entry.is_settled && !segments.has(entry.facts.id) {
            return Err(format!("{} was acknowledged and is in no segment", entry.facts.id).into());
        }
    }
    for _ in 0..=random.below(4) {
        segments.damage(random);
    }
    segments.write()?;
    spoil_others(&victim.data, random)?;

    let address = victim.start()?;
    api::drain(address)?;
    let mut lost = Vec::new();
    for record in segments.records() {
        let path = format!("/api/v1/projects/bench/events/{}", record.id.simple());
        let (status, _) = api::ask_once(address, "GET", &path, &Value::Null)?;
        let is_stored = status == 200;
        if is_stored && record.is_surely_hit {
            return Err(format!("{} is stored, and its record was damaged", record.id).into());
        }
        if !is_stored && !record.is_perhaps_hit {
            return Err(format!("{} is lost, and its record is sound", record.id).into());
        }
        if !is_stored {
            lost.push(record);
        }
    }
    // What nothing follows looks like a write that was cut off by a crash.
    let n_at_end =
        segments.records().iter().rev().take_while(|record| lost.contains(record)).count();
    let n_skipped = skipped(address)?;
    let n_lost = lost.len() as u64;
    if n_skipped > n_lost || n_skipped + (n_at_end as u64) < n_lost {
        return Err(format!(
            "{n_lost} records are lost, {n_at_end} of them at the end, and the service says \
             {n_skipped}"
        )
        .into());
    }
    toll.lost += n_lost;
    toll.skipped += n_skipped;
    traffic.book().settle(lost.iter().map(|record| record.id));
    // Nobody else is cost anything.
    let before = traffic.n_acknowledgements();
    traffic.send(address, 20);
    traffic.finish();
    if traffic.n_acknowledgements() != before + 20 {
        return Err("reports are not taken after damage".into());
    }
    api::drain(address)?;
    traffic.book().settle([]);
    victim.stop()
}

/// How many records the server says that damage cost.
fn skipped(address: SocketAddr) -> Result<u64, Failure> {
    let status = api::get(address, "/status.json")?;
    let spool = &status["parts"]["spool"];
    let (_, metrics) = api::ask_once(address, "GET", "/metrics", &Value::Null)?;
    let metrics = metrics.as_str().unwrap_or_default();
    let line = metrics.lines().find_map(|line| line.strip_prefix("airlock_spool_skipped_records "));
    let n_skipped = line.and_then(|number| number.parse().ok()).ok_or("no such metric")?;
    let expected = if n_skipped > 0 { "degraded" } else { "ok" };
    if spool["state"] != expected {
        return Err(format!("{n_skipped} records were skipped, and the spool is {spool}").into());
    }
    Ok(n_skipped)
}
