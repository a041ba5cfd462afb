//! How fast reports are accepted and stored, beside a server that only parses them.
//!
//! Every run starts each server anew, with an empty store; the servers take turns. A burst of
//! reports comes as fast as the server answers over a few connections (closed loop); then reports
//! come at half the rate at which the burst was stored, each at its own time (open loop): one that
//! has to wait for its turn is as late as its client sees it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use airlock::clock::Clock;

use crate::events::{Events, Shape};
use crate::server::{Kind, Server};
use crate::wire::Wire;
use crate::{Failure, median};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoadArgs {
    /// Bytes of each event as JSON; may be given several times
    #[arg(long = "bytes", default_values_t = [8_000])]
    sizes: Vec<usize>,
    /// Events of a burst
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Issues the events are of
    #[arg(long, default_value_t = 100)]
    issues: u64,
    /// Connections of a burst
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Runs; the results are medians
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seconds of the steady load after each burst
    #[arg(long, default_value_t = 5)]
    steady_seconds: u64,
    /// A superuser's URL of a PostgreSQL on this machine, to measure that too
    #[arg(long, env = "AIRLOCK_BENCH_POSTGRES")]
    postgres: Option<String>,
}

/// What one run came to.
#[derive(Debug, Clone, Default)]
struct Run {
    accepted_per_second: f64,
    stored_per_second: f64,
    /// Of server and database, for each stored event, in microseconds.
    cpu: f64,
    /// Of the database alone.
    cpu_database: f64,
    /// In milliseconds, while the burst came: the median, and of 99 and 99.9 of 100.
    burst: [f64; 3],
    /// The same at half the rate at which the burst was stored.
    steady: [f64; 3],
    idle_memory: f64,
    peak_memory: f64,
    /// Bytes of all files for each stored event.
    disk: f64,
    /// Reports that were synced to disk at once, and events that were stored at once.
    synced_at_once: f64,
    stored_at_once: f64,
}

/// Which values are printed and how: the name, the unit's size, decimals.
type Column = (&'static str, fn(&Run) -> f64, usize);

const COLUMNS: [Column; 15] = [
    ("accepted/s", |run| run.accepted_per_second, 0),
    ("stored/s", |run| run.stored_per_second, 0),
    ("CPU us/event", |run| run.cpu, 0),
    ("of it database", |run| run.cpu_database, 0),
    ("burst p50 ms", |run| run.burst[0], 2),
    ("burst p99 ms", |run| run.burst[1], 2),
    ("burst p99.9 ms", |run| run.burst[2], 2),
    ("steady p50 ms", |run| run.steady[0], 2),
    ("steady p99 ms", |run| run.steady[1], 2),
    ("steady p99.9 ms", |run| run.steady[2], 2),
    ("idle MB", |run| run.idle_memory / 1e6, 1),
    ("peak MB", |run| run.peak_memory / 1e6, 1),
    ("disk bytes/event", |run| run.disk, 0),
    ("events/sync", |run| run.synced_at_once, 1),
    ("events/commit", |run| run.stored_at_once, 1),
];

pub(crate) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let mut kinds = vec![Kind::Sink, Kind::Sqlite];
    kinds.extend(args.postgres.clone().map(Kind::Postgres));
    for n_bytes in &args.sizes {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); kinds.len()];
        for seed in 0..args.runs {
            let now = Clock::system().now().as_micros();
            let begin = u64::try_from(now / 1_000_000)?.saturating_sub(3_600);
            let shape = Shape { n_bytes: *n_bytes, n_issues: args.issues, begin };
            let mut events = Events::new(shape, seed as u64)?;
            let burst: Vec<Vec<u8>> =
                (0..args.events).map(|_| events.make_body()).collect::<Result<_, _>>()?;
            for (kind, runs) in kinds.iter().zip(&mut runs) {
                let run = measure(kind, args, &burst, &mut events)?;
                eprintln!(
                    "{n_bytes} bytes, {}: accepted {:.0}/s, stored {:.0}/s, {:.0} us, p99 {:.2} ms",
                    kind.name(),
                    run.accepted_per_second,
                    run.stored_per_second,
                    run.cpu,
                    run.steady[1],
                );
                runs.push(run);
            }
        }
        print(args, *n_bytes, &kinds, &runs);
    }
    Ok(())
}

fn print(args: &LoadArgs, n_bytes: usize, kinds: &[Kind], runs: &[Vec<Run>]) {
    println!(
        "{n_bytes} bytes an event, gzip, {} events of {} issues, {} connections; medians of {} runs",
        args.events, args.issues, args.connections, args.runs
    );
    print!("{:<18}", "");
    for kind in kinds {
        print!("{:>12}", kind.name());
    }
    for kind in kinds.iter().skip(1) {
        print!("{:>18}", format!("{}/sink", kind.name()));
    }
    println!();
    for (name, of, decimals) in COLUMNS {
        let medians: Vec<f64> =
            runs.iter().map(|runs| median(runs.iter().map(of).collect())).collect();
        print!("{name:<18}");
        for median in &medians {
            print!("{median:>12.decimals$}");
        }
        // What the sink has none of has no ratio.
        if let Some((sink, others)) = medians.split_first().filter(|(sink, _)| **sink >= 1e-9)
            && !name.starts_with("disk")
        {
            for other in others {
                print!("{:>18.2}", other / sink);
            }
        }
        println!();
    }
    println!();
}

fn measure(
    kind: &Kind,
    args: &LoadArgs,
    burst: &[Vec<u8>],
    events: &mut Events,
) -> Result<Run, Failure> {
    let server = Server::start(kind)?;
    std::thread::sleep(Duration::from_millis(500));
    let (idle_memory, _) = server.memory()?;
    let before = server.cpu()?;
    let began = Instant::now();
    let burst_latencies = send_all(&server, burst, args.connections, None)?;
    let accepted = began.elapsed();
    server.drain()?;
    let stored = began.elapsed();
    let after = server.cpu()?;
    let n_events = burst.len() as f64;
    if *kind != Kind::Sink && server.n_stored()? != burst.len() as u64 {
        return Err(format!("{} of {n_events} are stored", server.n_stored()?).into());
    }
    // What is drained is deleted by and by.
    std::thread::sleep(Duration::from_secs(3));
    let disk = server.disk()?;
    let [n_syncs, n_commits] = server.n_writes()?;
    let stored_per_second = n_events / stored.as_secs_f64();
    let rate = stored_per_second / 2.0;
    let n_steady = (rate * args.steady_seconds as f64) as usize;
    let steady: Vec<Vec<u8>> =
        (0..n_steady).map(|_| events.make_body()).collect::<Result<_, _>>()?;
    let steady_latencies = send_all(&server, &steady, args.connections * 4, Some(rate))?;
    server.drain()?;
    let (_, peak_memory) = server.memory()?;
    Ok(Run {
        accepted_per_second: n_events / accepted.as_secs_f64(),
        stored_per_second,
        cpu: after.since(before).as_secs_f64() * 1e6 / n_events,
        cpu_database: after.database.saturating_sub(before.database).as_secs_f64() * 1e6 / n_events,
        burst: percentiles(burst_latencies),
        steady: percentiles(steady_latencies),
        idle_memory: idle_memory as f64,
        peak_memory: peak_memory as f64,
        disk: disk as f64 / n_events,
        synced_at_once: n_events / n_syncs,
        stored_at_once: n_events / n_commits,
    })
}

/// Sends all bodies, each once; gives how long each took. With a rate (per second) each has its time
/// and is as late as it ends, without one the next goes as soon as a connection is free.
pub(crate) fn send_all(
    server: &Server,
    bodies: &[Vec<u8>],
    n_connections: usize,
    rate: Option<f64>,
) -> Result<Vec<Duration>, Failure> {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let send = || -> Result<Vec<Duration>, Failure> {
        let mut wire = Wire::connect(server.address)?;
        let mut latencies = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(body) = bodies.get(index) else { return Ok(latencies) };
            let due = match rate {
                Some(rate) => began + Duration::from_secs_f64(index as f64 / rate),
                None => Instant::now(),
            };
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            let (status, answer) = wire.send(&server.head, body)?;
            if status != 200 {
                let answer = String::from_utf8_lossy(answer);
                return Err(format!("a report was answered with {status}: {answer}").into());
            }
            latencies.push(due.elapsed());
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_connections).map(|_| scope.spawn(send)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a connection's thread panicked")??);
        }
        Ok(all)
    })
}

/// In milliseconds: of 50, 99 and 99.9 of 100.
pub(crate) fn percentiles(mut latencies: Vec<Duration>) -> [f64; 3] {
    latencies.sort();
    [500, 990, 999].map(|share| {
        let index = latencies.len() * share / 1_000;
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    })
}
