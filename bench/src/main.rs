//! Benchmarks, each with its reference in the same run:
//!
//! ```text
//! cargo build --release --workspace
//! target/release/bench scrubbing
//! target/release/bench understanding
//! target/release/bench grouping
//! target/release/bench load --bytes 8000 --bytes 50000 --postgres postgres://…
//! target/release/bench scale --postgres postgres://…
//! target/release/bench backlog --postgres postgres://…
//! target/release/bench nodes --postgres postgres://…
//! target/release/bench history --commits 1000000
//! target/release/bench gate
//! target/release/bench tasks --postgres postgres://…
//! ```
//!
//! Machines differ and are noisy, so what counts are ratios of CPU time, as medians of several runs
//! that take turns. A benchmark whose goal is missed fails.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is the result")]
#![expect(clippy::indexing_slicing, reason = "it reads JSON of its own fixtures")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of events are small"
)]

mod api;
mod crash;
mod crowd;
mod database;
mod events;
mod gate;
mod grouping;
mod history;
mod load;
mod scale;
mod scrubbing;
mod server;
mod sink;
mod tasks;
mod understanding;
mod wire;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// The server's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

/// Benchmarks of Airlock, each with its reference in the same run
#[derive(Debug, Parser)]
enum Bench {
    /// What scrubbing adds to digest
    Scrubbing,
    /// How long it takes to say which issue a report belongs to
    Grouping,
    /// What understanding, scrubbing and naming a report take, step by step
    Understanding,
    /// How fast reports are accepted and stored, beside a server that only parses them
    Load(load::LoadArgs),
    /// How fast a large store answers while reports come in, and how fast it starts
    Scale(scale::ScaleArgs),
    /// How a backlog is stored that came while the store was away
    Backlog(crowd::BacklogArgs),
    /// Whether many servers on one PostgreSQL count right
    Nodes(crowd::NodesArgs),
    /// What a commit of a large repository contains, beside git
    History(history::HistoryArgs),
    /// How long the gate takes, and what fixes cost digest
    Gate(gate::GateArgs),
    /// How long a report takes to become a task, alone and beside a tracker that is slow
    Tasks(tasks::TasksArgs),
    /// What is left after kills, power cuts, damaged files and full disks
    #[command(subcommand)]
    Crash(crash::Crash),
    /// The server that only parses
    #[command(hide = true)]
    Sink,
}

/// The CPU time that this process has used, on all threads.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The middle of several measurements.
fn median<T: Copy + Default + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() -> ExitCode {
    let done = match Bench::parse() {
        Bench::Scrubbing => scrubbing::run(),
        Bench::Grouping => grouping::run(),
        Bench::Understanding => understanding::run(),
        Bench::Load(args) => load::run(&args),
        Bench::Scale(args) => scale::run(&args),
        Bench::Backlog(args) => crowd::backlog(&args),
        Bench::Nodes(args) => crowd::nodes(&args),
        Bench::Gate(args) => gate::run(&args),
        Bench::Tasks(args) => tasks::run(&args),
        Bench::History(args) => history::run(&args),
        Bench::Crash(crash) => crash::run(&crash),
        Bench::Sink => sink::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            println!("bench: {cause}");
            ExitCode::FAILURE
        }
    }
}
