//! What is left after crashes: nothing that was acknowledged is missing, nothing is there twice,
//! and all counters agree with what is stored.
//!
//! Clients send reports and write down in a [`book`] what was answered; the server is the
//! [`victim`]; at the end a [`check`] compares the book with all that the server tells.

mod book;
mod check;
mod kills;
mod store;
mod traffic;
mod victim;

use airlock::clock::Clock;

use crate::Failure;

/// What to do to the server
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Crash {
    /// Kill it with SIGKILL at random moments under load
    Kills(kills::KillsArgs),
}

pub(crate) fn run(crash: &Crash) -> Result<(), Failure> {
    match crash {
        Crash::Kills(args) => kills::run(args),
    }
}

/// When the first event happens, in seconds since the epoch: some hours ago.
fn begin() -> Result<u64, Failure> {
    let now = Clock::system().now().as_micros() / 1_000_000;
    Ok(u64::try_from(now)?.saturating_sub(5 * 3_600))
}
