//! What is left after crashes: nothing that was acknowledged is missing, nothing is there twice,
//! and all counters agree with what is stored.
//!
//! Clients send reports and write down in a [`book`] what was answered; the server is the
//! [`victim`]; at the end a [`check`] compares the book with all that the server tells.

mod book;
mod check;
mod corrupt;
mod damage;
mod disk;
mod full;
mod kills;
mod power;
mod sites;
mod store;
mod traffic;
mod victim;
mod well;

use airlock::clock::Clock;

use crate::Failure;
use crate::server::Kind;

/// What to do to the server
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Crash {
    /// Kill it with SIGKILL at random moments under load
    Kills(kills::KillsArgs),
    /// Cut the power of its disk at random moments under load (only root can)
    Power(power::PowerArgs),
    /// Damage its files while it is down
    Corrupt(corrupt::CorruptArgs),
    /// Let its disk run full at random moments under load (only root can)
    Full(full::FullArgs),
    /// Let each of its writes fail once, one after the other
    Sites(sites::SitesArgs),
}

/// What all have in common
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Reports sent at most between two crashes
    #[arg(long, default_value_t = 300)]
    reports: u64,
    /// Issues the reports are of
    #[arg(long, default_value_t = 20)]
    issues: u64,
    /// Connections
    #[arg(long, default_value_t = 6)]
    connections: usize,
    /// Where the randomness begins; random itself by default
    #[arg(long)]
    seed: Option<u64>,
    /// A superuser's URL of a PostgreSQL, to do the same there
    #[arg(long, env = "AIRLOCK_BENCH_POSTGRES")]
    postgres: Option<String>,
}

impl Common {
    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| u64::from_be_bytes(Clock::system().random()))
    }

    fn kinds(&self) -> Vec<Kind> {
        std::iter::once(Kind::Sqlite).chain(self.postgres.clone().map(Kind::Postgres)).collect()
    }
}

pub(crate) fn run(crash: &Crash) -> Result<(), Failure> {
    match crash {
        Crash::Kills(args) => kills::run(args),
        Crash::Power(args) => power::run(args),
        Crash::Corrupt(args) => corrupt::run(args),
        Crash::Full(args) => full::run(args),
        Crash::Sites(args) => sites::run(args),
    }
}

/// When the first event happens, in seconds since the epoch: some hours ago.
fn begin() -> Result<u64, Failure> {
    let now = Clock::system().now().as_micros() / 1_000_000;
    Ok(u64::try_from(now)?.saturating_sub(5 * 3_600))
}
