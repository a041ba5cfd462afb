//! A server under load, as a process of its own, and what it costs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::database::Database;
use crate::wire::Wire;
use crate::{Failure, api};

/// Nobody is waited for longer.
const PATIENCE: Duration = Duration::from_mins(10);

/// The command that serves, up to the data folder.
pub(crate) fn airlock() -> Result<Command, Failure> {
    let airlock = std::env::current_exe()?.with_file_name("airlock");
    if !airlock.exists() {
        return Err("no server beside this program: cargo build --workspace".into());
    }
    let mut command = Command::new(airlock);
    command.env("AIRLOCK_BOOTSTRAP_TOKEN", api::TOKEN);
    command.env("AIRLOCK_GIT_PROTOCOLS", "file");
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]);
    Ok(command)
}

/// Waits until a server accepts connections; `file` is where it says its address.
pub(crate) fn wait_for_address(child: &mut Child, file: &Path) -> Result<SocketAddr, Failure> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let said = std::fs::read_to_string(file).unwrap_or_default();
        if let Some(address) = said.trim().strip_prefix("http://") {
            let address = address.parse()?;
            if Wire::connect(address).is_ok() {
                return Ok(address);
            }
        }
        if let Some(status) = child.try_wait()? {
            return Err(format!("the server ended: {status}").into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err("the server does not start".into())
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The reference.
    Sink,
    /// Airlock on a SQLite file.
    Sqlite,
    /// Airlock on a database of its own on the PostgreSQL of this URL.
    Postgres(String),
}

impl Kind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// What every report's request begins with.
    pub(crate) head: String,
    pub(crate) folder: TempDir,
    kind: Kind,
    child: Child,
    database: Option<Arc<Database>>,
}

impl Server {
    /// Starts a server with an empty store and the project `bench`.
    pub(crate) fn start(kind: &Kind) -> Result<Self, Failure> {
        let database = match kind {
            Kind::Postgres(server) => Some(Database::create(server)?.into()),
            Kind::Sink | Kind::Sqlite => None,
        };
        let mut server = Self::begin(kind, database)?;
        let path = if *kind == Kind::Sink {
            "/".to_owned()
        } else {
            api::make_project(server.address, "bench")?
        };
        server.head = format!("POST {path} HTTP/1.1\r\nContent-Encoding: gzip\r\n");
        Ok(server)
    }

    /// Starts another server on the same database.
    pub(crate) fn start_beside(&self) -> Result<Self, Failure> {
        let mut other = Self::begin(&self.kind, self.database.clone())?;
        other.head.clone_from(&self.head);
        Ok(other)
    }

    fn begin(kind: &Kind, database: Option<Arc<Database>>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let store = database.as_ref().map(|database| database.url.as_str());
        let mut child = spawn(kind, folder.path(), store)?;
        let address = wait_for_address(&mut child, &said(kind, folder.path()))?;
        Ok(Self { address, head: String::new(), folder, kind: kind.clone(), child, database })
    }

    /// Ends the server at once, and starts it on what it has stored; gives how long it took from
    /// then until it accepted a report.
    pub(crate) fn restart(&mut self, report: &[u8]) -> Result<Duration, Failure> {
        let began = self.start_again(true)?;
        let (status, _) = Wire::connect(self.address)?.send(&self.head, report)?;
        if status == 200 {
            Ok(began.elapsed())
        } else {
            Err(format!("the first report was answered with {status}").into())
        }
    }

    /// Ends the server at once, and starts it on what it has stored, or without its store; says when
    /// it was started.
    pub(crate) fn start_again(&mut self, with_store: bool) -> Result<Instant, Failure> {
        self.child.kill()?;
        self.child.wait()?;
        let said = said(&self.kind, self.folder.path());
        std::fs::remove_file(&said)?;
        let own = self.database.as_ref().map(|database| database.url.as_str());
        let store = if with_store { own } else { Some("sqlite:/nowhere/airlock.db") };
        let began = Instant::now();
        self.child = spawn(&self.kind, self.folder.path(), store)?;
        self.address = wait_for_address(&mut self.child, &said)?;
        Ok(began)
    }

    /// Waits until everything that was accepted is stored.
    pub(crate) fn drain(&self) -> Result<(), Failure> {
        if self.kind == Kind::Sink {
            return Ok(());
        }
        api::drain(self.address)
    }

    /// How many events are stored, by the counts of the issues.
    pub(crate) fn n_stored(&self) -> Result<u64, Failure> {
        let issues = api::list(self.address, "/api/v1/projects/bench/issues")?;
        let n_events = |issue: &Value| issue["events"].as_u64().ok_or("no number of events");
        Ok(issues.iter().map(n_events).sum::<Result<u64, _>>()?)
    }

    /// Its database, if it has one of its own.
    pub(crate) fn database(&self) -> Option<Arc<Database>> {
        self.database.clone()
    }

    /// How often the spool was synced to disk, and how often a batch was stored.
    pub(crate) fn n_writes(&self) -> Result<[f64; 2], Failure> {
        if self.kind == Kind::Sink {
            return Ok([f64::INFINITY; 2]);
        }
        let metrics = api::get(self.address, "/metrics")?;
        let lines = || metrics.as_str().unwrap_or_default().lines();
        let value = |name: &str| {
            let value = lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("no metric {name}"))
        };
        Ok([value("airlock_spool_syncs")?, value("airlock_digest_commit_seconds_count")?])
    }

    /// The CPU time used since the start, by the server and its database.
    pub(crate) fn cpu(&self) -> Result<Cpu, Failure> {
        let database = match self.database {
            Some(_) => postgres_cpu()?,
            None => Duration::ZERO,
        };
        Ok(Cpu { server: process_cpu(self.child.id())?, database })
    }

    /// The memory of the server: now, and at its peak, in bytes.
    pub(crate) fn memory(&self) -> Result<(u64, u64), Failure> {
        let process = self.child.id();
        Ok((memory_of(process, "VmRSS:")?, memory_of(process, "VmHWM:")?))
    }

    /// The most memory of its own, without files that it looks at, that the server has while something is
    /// done, in bytes.
    pub(crate) fn most_own_memory<A>(&self, what: impl FnOnce() -> A) -> Result<(A, u64), Failure> {
        let (process, is_over) = (self.child.id(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let sampled = scope.spawn(|| {
                let mut most = 0;
                while !is_over.load(Ordering::Relaxed) {
                    most = most.max(memory_of(process, "RssAnon:").unwrap_or_default());
                    std::thread::sleep(Duration::from_millis(5));
                }
                most
            });
            let done = what();
            is_over.store(true, Ordering::Relaxed);
            let most = sampled.join().map_err(|_| "the sampler panicked")?;
            Ok((done, most))
        })
    }

    /// Bytes on disk: all files of the data folder, and the database.
    pub(crate) fn disk(&self) -> Result<u64, Failure> {
        let files = size_of_folder(self.folder.path())?;
        let Some(database) = &self.database else { return Ok(files) };
        Ok(files + database.n_bytes()?)
    }
}

/// What the system says of the memory of a process, in bytes.
fn memory_of(process: u32, name: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let n_bytes = kib.and_then(|kib| kib.parse::<u64>().ok()).map(|kib| kib * 1024);
    n_bytes.ok_or_else(|| format!("no {name}").into())
}

/// The file where a server says its address.
fn said(kind: &Kind, folder: &Path) -> PathBuf {
    folder.join(if *kind == Kind::Sink { "bench.out" } else { "address" })
}

/// Starts a server on a folder, which may have been used before, and on another store than the one
/// in there.
fn spawn(kind: &Kind, folder: &Path, store: Option<&str>) -> Result<Child, Failure> {
    let mut command = match kind {
        Kind::Sink => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("sink");
            command
        }
        Kind::Sqlite | Kind::Postgres(_) => {
            let mut command = airlock()?;
            command.arg(folder);
            command
        }
    };
    if let Some(store) = store {
        command.args(["--database", store]);
    }
    let out = std::fs::File::create(folder.join("bench.out"))?;
    Ok(command.stdout(out).stderr(Stdio::null()).stdin(Stdio::null()).spawn()?)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is on its way out either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a server and of its database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) server: Duration,
    pub(crate) database: Duration,
}

impl Cpu {
    pub(crate) fn since(self, before: Self) -> Duration {
        self.server.saturating_sub(before.server) + self.database.saturating_sub(before.database)
    }
}

/// Source: proc(5). Children that ended count when they are `true`.
fn stat_cpu(stat: &str, with_children: bool) -> Option<Duration> {
    // The name in brackets may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<u64> =
        rest.split(' ').skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let ticks: u64 = fields.iter().take(if with_children { 4 } else { 2 }).sum();
    let tick = rustix::param::clock_ticks_per_second();
    Some(Duration::from_micros(ticks * 1_000_000 / tick))
}

fn process_cpu(id: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    stat_cpu(&stat, false).ok_or_else(|| format!("/proc/{id}/stat: {stat}").into())
}

/// The CPU time of all processes of PostgreSQL on this machine, of those that ended too.
fn postgres_cpu() -> Result<Duration, Failure> {
    let mut sum = Duration::ZERO;
    for entry in std::fs::read_dir("/proc")? {
        let stat: PathBuf = entry?.path().join("stat");
        // Processes end while one looks.
        let Ok(stat) = std::fs::read_to_string(stat) else { continue };
        if stat.contains("(postgres) ") {
            sum += stat_cpu(&stat, true).unwrap_or_default();
        }
    }
    Ok(sum)
}

fn size_of_folder(folder: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Files end while one looks.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { size_of_folder(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
