//! Power cuts at random moments under load, on a file system of its own: see [`super::disk`].
//!
//! The data folder is on it: the spool, and with SQLite the store. A PostgreSQL is elsewhere and
//! keeps what it has; how durable it is by itself is not tested.

use std::time::{Duration, Instant};

use super::book::Book;
use super::check::check;
use super::disk::{Disk, unavailable};
use super::traffic::Traffic;
use super::victim::Victim;
use super::{Common, begin};
use crate::Failure;
use crate::events::Random;
use crate::server::Kind;

/// Bytes of the file system.
const DISK_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The server runs on for so long without a disk, and must not acknowledge anything.
const WITHOUT_POWER: Duration = Duration::from_millis(20);

/// How often, and where
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PowerArgs {
    /// Power cuts, for each kind of store
    #[arg(long, default_value_t = 100)]
    cuts: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(args: &PowerArgs) -> Result<(), Failure> {
    if let Some(cause) = unavailable() {
        println!("skipped: {cause}");
        return Ok(());
    }
    let seed = args.common.seed();
    for kind in args.common.kinds() {
        println!("{}: {} power cuts, seed {seed}", kind.name(), args.cuts);
        cut_often(&kind, args, seed)?;
    }
    Ok(())
}

fn cut_often(kind: &Kind, args: &PowerArgs, seed: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let disk = Disk::new(DISK_BYTES)?;
    let mut victim = Victim::new(kind, folder.path(), disk.path().join("data"))?;
    let path = victim.set_up()?;
    let book = Book::new(seed, args.common.issues, begin()?);
    let traffic = Traffic::start(book, &path, args.common.connections);
    let mut random = Random::new(seed);
    let began = Instant::now();
    for _ in 0..args.cuts {
        cut_once(&mut victim, &disk, &traffic, &mut random, args.common.reports)?;
    }
    let book = traffic.stop()?;
    println!("{}: {} cuts in {:.0} s", kind.name(), args.cuts, began.elapsed().as_secs_f64());
    let address = victim.start()?;
    let found = check(&mut victim, address, &book)?;
    found.conclude(kind.name(), &book)
}

/// From one start to the next time the power is back.
fn cut_once(
    victim: &mut Victim,
    disk: &Disk,
    traffic: &Traffic,
    random: &mut Random,
    n_reports: u64,
) -> Result<(), Failure> {
    if random.below(5) == 0 {
        // While it starts.
        victim.spawn()?;
    } else {
        traffic.send(victim.start()?, n_reports);
    }
    std::thread::sleep(Duration::from_micros(random.below(600_000)));
    let switch = disk.switch()?;
    traffic.power_goes();
    switch.cut()?;
    traffic.power_is_off();
    std::thread::sleep(WITHOUT_POWER);
    victim.kill()?;
    traffic.rest();
    disk.revive()
}
