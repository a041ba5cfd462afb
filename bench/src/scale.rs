//! How fast a large store answers while reports come in, and how fast it starts.
//!
//! A store is filled with many events of many issues through the front door. Then the server is
//! killed and started again: how long until it accepts a report? Then reports come at half the rate
//! at which it was filled, and somebody looks at lists, searches and issues meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use airlock::clock::Clock;
use serde_json::Value;

use crate::events::{Events, Random, Shape};
use crate::load::{percentiles, send_all};
use crate::server::{Kind, Server};
use crate::{Failure, api};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ScaleArgs {
    /// Events in the store
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Issues they are of
    #[arg(long, default_value_t = 10_000)]
    issues: u64,
    /// Bytes of each event as JSON
    #[arg(long, default_value_t = 3_000)]
    bytes: usize,
    /// Seconds during which somebody looks while reports come in
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// A superuser's URL of a PostgreSQL on this machine, to measure that too
    #[arg(long, env = "AIRLOCK_BENCH_POSTGRES")]
    postgres: Option<String>,
}

/// Events that are made and sent at once while the store is filled.
const PORTION: usize = 20_000;

/// Connections that fill the store, and that reports come over later.
const CONNECTIONS: usize = 16;

/// What somebody looks at: what it is called, and the paths of a page that asks for all of it.
/// `{issue}` is any issue, `{word}` a word of its title.
const LOOKS: [(&str, &[&str]); 7] = [
    ("latest issues", &["/api/v1/projects/bench/issues"]),
    ("most events", &["/api/v1/projects/bench/issues?sort=events"]),
    ("in production", &["/api/v1/projects/bench/issues?status=open&environment=production"]),
    ("search, one", &["/api/v1/projects/bench/issues?q={word}"]),
    ("search, none", &["/api/v1/projects/bench/issues?q=nothing-has-this-title"]),
    (
        "issue page",
        &[
            "/api/v1/issues/{issue}",
            "/api/v1/issues/{issue}/events/latest",
            "/api/v1/issues/{issue}/tags",
            "/api/v1/issues/{issue}/activity",
        ],
    ),
    ("issue's events", &["/api/v1/issues/{issue}/events?limit=100"]),
];

pub(crate) fn run(args: &ScaleArgs) -> Result<(), Failure> {
    let mut kinds = vec![Kind::Sqlite];
    kinds.extend(args.postgres.clone().map(Kind::Postgres));
    for kind in &kinds {
        measure(kind, args)?;
    }
    Ok(())
}

fn measure(kind: &Kind, args: &ScaleArgs) -> Result<(), Failure> {
    let now = u64::try_from(Clock::system().now().as_micros() / 1_000_000)?;
    let first = now.saturating_sub(args.events as u64 / 1_000 + 3_600);
    let shape = Shape { n_bytes: args.bytes, n_issues: args.issues, begin: first };
    let mut events = Events::new(shape, 7)?;
    let mut make = |n: usize| -> Result<Vec<Vec<u8>>, Failure> {
        (0..n).map(|_| events.make_body()).collect()
    };
    let mut server = Server::start(kind)?;
    let mut took = Duration::ZERO;
    let mut n_left = args.events;
    while n_left > 0 {
        let bodies = make(n_left.min(PORTION))?;
        n_left -= bodies.len();
        let began = Instant::now();
        send_all(&server, &bodies, CONNECTIONS, None)?;
        server.drain()?;
        took += began.elapsed();
    }
    let rate = args.events as f64 / took.as_secs_f64();
    println!(
        "{}: {} events of {} issues, {} bytes each, stored at {rate:.0}/s, {:.0} bytes of disk each",
        kind.name(),
        args.events,
        args.issues,
        args.bytes,
        server.disk()? as f64 / args.events as f64,
    );

    let mut starts = Vec::new();
    for report in make(5)? {
        starts.push(server.restart(&report)?);
    }
    let starts = starts.iter().map(Duration::as_millis).map(|ms| ms.to_string());
    println!("start until a report is accepted: {} ms", starts.collect::<Vec<_>>().join(", "));

    server.drain()?;
    let issues = issues(&server)?;
    let rate = rate / 2.0;
    let reports = make((rate * args.seconds as f64) as usize)?;
    let is_over = AtomicBool::new(false);
    let (looks, latencies) = std::thread::scope(|scope| {
        let look = scope.spawn(|| look(&server, &issues, &is_over));
        let latencies = send_all(&server, &reports, CONNECTIONS * 4, Some(rate));
        is_over.store(true, Ordering::Relaxed);
        let looks = look.join().map_err(|_| "whoever looks panicked")??;
        Ok::<_, Failure>((looks, latencies?))
    })?;
    let (_, peak) = server.memory()?;
    println!(
        "while {rate:.0} reports come in a second (p99 {:.2} ms), in ms; peak memory {:.0} MB",
        percentiles(latencies)[1],
        peak as f64 / 1e6
    );
    println!("{:<18}{:>8}{:>10}{:>10}{:>10}", "", "looks", "p50", "p95", "p99");
    for ((name, _), mut times) in LOOKS.iter().zip(looks) {
        times.sort();
        let of = |percent: usize| {
            let time = times.get(times.len() * percent / 100).copied().unwrap_or_default();
            time.as_secs_f64() * 1e3
        };
        println!("{name:<18}{:>8}{:>10.2}{:>10.2}{:>10.2}", times.len(), of(50), of(95), of(99));
    }
    println!();
    Ok(())
}

/// Short ids of issues, and a word of each one's title.
fn issues(server: &Server) -> Result<Vec<(String, String)>, Failure> {
    let page = api::get(server.address, "/api/v1/projects/bench/issues?limit=100&sort=users")?;
    let named = |issue: &Value| {
        let id = issue["id"].as_str()?.to_owned();
        let title = issue["title"].as_str()?;
        Some((id, title.split(':').next().unwrap_or(title).to_owned()))
    };
    let found: Vec<_> = page["items"].as_array().into_iter().flatten().filter_map(named).collect();
    if found.is_empty() { Err(format!("no issues: {page}").into()) } else { Ok(found) }
}

/// Looks at one thing after the other until it is over; gives how long each took.
fn look(
    server: &Server,
    issues: &[(String, String)],
    is_over: &AtomicBool,
) -> Result<[Vec<Duration>; LOOKS.len()], Failure> {
    let mut times: [Vec<Duration>; LOOKS.len()] = Default::default();
    let mut random = Random::new(7);
    while !is_over.load(Ordering::Relaxed) {
        for ((_, paths), times) in LOOKS.iter().zip(&mut times) {
            let index = usize::try_from(random.below(issues.len() as u64))?;
            let (issue, word) = &issues[index];
            let began = Instant::now();
            for path in *paths {
                let path = path.replace("{issue}", issue).replace("{word}", word);
                api::get(server.address, &path)?;
            }
            times.push(began.elapsed());
        }
    }
    Ok(times)
}
