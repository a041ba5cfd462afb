//! Full disks: the space of a file system of its own runs out at random moments under load.
//!
//! A ballast leaves a random rest, so that now this and now that write is the first that fails:
//! appending to the spool, beginning a segment, its watermark, the store's log or its checkpoint,
//! the files of a start. While it is full, reports must be refused with 429 and the service must say
//! what is wrong; once there is space it must go on by itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::book::Book;
use super::check::check;
use super::disk::{Disk, unavailable};
use super::traffic::Traffic;
use super::victim::Victim;
use super::well::{PATIENCE, trouble, wait_until_well};
use super::{Common, begin};
use crate::Failure;
use crate::events::Random;
use crate::server::Kind;

/// Bytes of the file system.
const DISK_BYTES: u64 = 512 * 1024 * 1024;

/// The ballast leaves less than this.
const MOST_LEFT: u64 = 600_000;

/// Reports sent at most while the disk is full: they are refused fast.
const MOST_REPORTS: u64 = 3_000;

/// How often, and where
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FullArgs {
    /// How often each disk runs full, for each kind of store
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    #[command(flatten)]
    common: Common,
}

/// What is on the disk that runs full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// The data folder and with it everything.
    Everything,
    /// The data folder with the spool; the store has enough space.
    Spool,
    /// The SQLite file; the data folder has enough space.
    Store,
}

pub(crate) fn run(args: &FullArgs) -> Result<(), Failure> {
    if let Some(cause) = unavailable() {
        println!("skipped: {cause}");
        return Ok(());
    }
    let seed = args.common.seed();
    for kind in args.common.kinds() {
        let all: &[Holds] = match kind {
            Kind::Postgres(_) | Kind::Sink => &[Holds::Spool],
            Kind::Sqlite => &[Holds::Everything, Holds::Spool, Holds::Store],
        };
        for holds in all {
            let what = format!("{}, a full disk holds {holds:?}", kind.name());
            println!("{what}: {} times, seed {seed}", args.rounds);
            fill_often(&kind, *holds, &what, args, seed)?;
        }
    }
    Ok(())
}

/// A server, its disk and its clients.
struct Scene {
    traffic: Traffic,
    victim: Victim,
    random: Random,
    /// Where the server listens now.
    address: SocketAddr,
    /// What the service said was wrong.
    said: BTreeSet<String>,
    /// Starts that were refused while the disk was full.
    n_refused_starts: u64,
    /// Dropped when nobody uses it any more.
    disk: Disk,
    _folder: TempDir,
}

impl Scene {
    fn new(kind: &Kind, holds: Holds, common: &Common, seed: u64) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let disk = Disk::new(DISK_BYTES)?;
        let (on_disk, elsewhere) = (disk.path(), folder.path().to_owned());
        let data = if holds == Holds::Store { &elsewhere } else { &on_disk }.join("data");
        let mut victim = Victim::new(kind, folder.path(), data)?;
        victim.arguments = vec!["--spool-least-free-bytes".to_owned(), "0".to_owned()];
        if *kind == Kind::Sqlite && holds != Holds::Everything {
            let folder = if holds == Holds::Store { on_disk } else { elsewhere };
            victim.store = Some(format!("sqlite:{}", folder.join("store.db").display()));
        }
        let path = victim.set_up()?;
        let book = Book::new(seed, common.issues, begin()?);
        let traffic = Traffic::start(book, &path, common.connections);
        let address = victim.start()?;
        Ok(Self {
            traffic,
            victim,
            random: Random::new(seed),
            address,
            said: BTreeSet::new(),
            n_refused_starts: 0,
            disk,
            _folder: folder,
        })
    }

    fn pause(&mut self, most_millis: u64) {
        std::thread::sleep(Duration::from_micros(self.random.below(most_millis * 1_000)));
    }

    /// One time that the disk is full.
    fn round(&mut self, n_reports: u64) -> Result<(), Failure> {
        self.traffic.send(self.address, MOST_REPORTS);
        self.pause(300);
        let n_left = self.random.below(MOST_LEFT);
        let ballast = self.disk.fill(n_left)?;
        self.wait_for_trouble()?;
        self.pause(500);
        let is_up = if self.random.below(3) == 0 { self.restart_while_full()? } else { true };
        drop(ballast);
        if !is_up {
            self.address = self.victim.start()?;
        }
        self.traffic.rest();
        wait_until_well(self.address)?;
        let before = self.traffic.n_acknowledgements();
        self.traffic.send(self.address, n_reports);
        self.traffic.finish();
        let after = self.traffic.n_acknowledgements();
        if after - before < n_reports {
            let n = after - before;
            return Err(
                format!("only {n} of {n_reports} reports are taken with space again").into()
            );
        }
        Ok(())
    }

    /// Waits until the service says that something is wrong.
    fn wait_for_trouble(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let troubles = trouble(self.address)?;
            if !troubles.is_empty() {
                self.said.extend(troubles);
                return Ok(());
            }
            if self.traffic.is_done() {
                self.traffic.send(self.address, MOST_REPORTS);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the disk is full and the service says that all is well".into())
    }

    /// Kills the server and starts it on the full disk; false when it refuses to start.
    fn restart_while_full(&mut self) -> Result<bool, Failure> {
        self.victim.kill()?;
        self.traffic.rest();
        match self.victim.start() {
            Ok(address) => {
                self.address = address;
                self.traffic.send(address, MOST_REPORTS);
                self.pause(500);
                self.said.extend(trouble(self.address)?);
                Ok(true)
            }
            Err(cause) if self.victim.log_end().contains("No space left") => {
                self.n_refused_starts += 1;
                self.victim.kill()?;
                drop(cause);
                Ok(false)
            }
            Err(cause) => Err(cause),
        }
    }
}

fn fill_often(
    kind: &Kind,
    holds: Holds,
    what: &str,
    args: &FullArgs,
    seed: u64,
) -> Result<(), Failure> {
    let mut scene = Scene::new(kind, holds, &args.common, seed)?;
    for _ in 0..args.rounds {
        scene.round(args.common.reports)?;
    }
    println!("{what}: {} starts were refused; the service said:", scene.n_refused_starts);
    for text in &scene.said {
        println!("  {text}");
    }
    let Scene { traffic, mut victim, address, disk: _disk, _folder, .. } = scene;
    let book = traffic.stop()?;
    if holds != Holds::Store && book.n_refusals() == 0 {
        return Err("no report was refused: nothing was tested".into());
    }
    check(&mut victim, address, &book)?.conclude(what, &book)
}
