//! Benchmarks, each with its reference in the same run:
//!
//! ```text
//! cargo run --release -p bench -- scrubbing
//! ```
//!
//! Machines differ and are noisy, so what counts are ratios of CPU time, as medians of several runs
//! that take turns. A benchmark whose goal is missed fails.

#![expect(clippy::print_stdout, reason = "its output is the result")]

mod scrubbing;

use std::time::Duration;

/// The CPU time that this process has used, on all threads.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The middle of several measurements.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let done = match name.as_str() {
        "scrubbing" => scrubbing::run(),
        _ => Err("name a benchmark: scrubbing".into()),
    };
    if let Err(cause) = done {
        println!("bench: {cause}");
        std::process::exit(2);
    }
}
