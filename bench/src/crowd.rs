//! What everybody wants at once: a backlog, and many servers on one database.

use std::time::{Duration, Instant};

use airlock::clock::Clock;
use serde_json::Value;

use crate::events::{Events, Shape};
use crate::load::send_all;
use crate::server::{Kind, Server};
use crate::{Failure, api};

/// Connections to each server.
const CONNECTIONS: usize = 16;

/// A backlog: how large, and of what.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BacklogArgs {
    /// Events that wait
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Issues they are of
    #[arg(long, default_value_t = 100)]
    issues: u64,
    /// Bytes of each event as JSON
    #[arg(long, default_value_t = 8_000)]
    bytes: usize,
    /// A superuser's URL of a PostgreSQL on this machine, to measure that too
    #[arg(long, env = "AIRLOCK_BENCH_POSTGRES")]
    postgres: Option<String>,
}

/// Servers on one PostgreSQL, and what comes to each.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NodesArgs {
    /// Servers
    #[arg(long, default_value_t = 8)]
    nodes: usize,
    /// Events that come to each
    #[arg(long, default_value_t = 5_000)]
    events: usize,
    /// Issues they are of, the same everywhere
    #[arg(long, default_value_t = 5)]
    issues: u64,
    /// Bytes of each event as JSON
    #[arg(long, default_value_t = 3_000)]
    bytes: usize,
    /// A superuser's URL of the PostgreSQL
    #[arg(long, env = "AIRLOCK_BENCH_POSTGRES")]
    postgres: String,
}

fn make(
    n_events: usize,
    n_issues: u64,
    n_bytes: usize,
    seed: u64,
) -> Result<Vec<Vec<u8>>, Failure> {
    let now = u64::try_from(Clock::system().now().as_micros() / 1_000_000)?;
    let begin = now.saturating_sub(n_events as u64 / 1_000 + 60);
    let mut events = Events::new(Shape { n_bytes, n_issues, begin }, seed)?;
    (0..n_events).map(|_| events.make_body()).collect()
}

/// Reports come while the store is away; then it is there again.
pub(crate) fn backlog(args: &BacklogArgs) -> Result<(), Failure> {
    let mut kinds = vec![Kind::Sqlite];
    kinds.extend(args.postgres.clone().map(Kind::Postgres));
    let bodies = make(args.events, args.issues, args.bytes, 7)?;
    for kind in &kinds {
        let mut server = Server::start(kind)?;
        server.start_again(false)?;
        let (began, before) = (Instant::now(), server.cpu()?);
        send_all(&server, &bodies, CONNECTIONS, None)?;
        let accepting = (began.elapsed(), server.cpu()?.since(before), server.memory()?.1);
        server.start_again(true)?;
        let (began, before) = (Instant::now(), server.cpu()?);
        server.drain()?;
        let storing = (began.elapsed(), server.cpu()?.since(before), server.memory()?.1);
        check(&server, bodies.len() as u64, args.issues)?;
        println!(
            "{}: {} events of {} bytes waited; all counts are exact",
            kind.name(),
            bodies.len(),
            args.bytes
        );
        for (what, (took, cpu, peak)) in [("accepted", accepting), ("stored", storing)] {
            println!(
                "{what:<8} {:>6.0}/s {:>6.0} us of CPU an event, peak memory {:.0} MB",
                rate(bodies.len(), took),
                cpu.as_secs_f64() * 1e6 / bodies.len() as f64,
                peak as f64 / 1e6,
            );
        }
    }
    Ok(())
}

/// Many servers digest reports of the same issues into one database.
pub(crate) fn nodes(args: &NodesArgs) -> Result<(), Failure> {
    let first = Server::start(&Kind::Postgres(args.postgres.clone()))?;
    let mut servers = Vec::new();
    for _ in 1..args.nodes {
        servers.push(first.start_beside()?);
    }
    servers.push(first);
    let mut bodies = Vec::new();
    for seed in 0..servers.len() as u64 {
        bodies.push(make(args.events, args.issues, args.bytes, seed)?);
    }
    let n_events = bodies.iter().map(Vec::len).sum();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let send = |(server, bodies): (&Server, &Vec<Vec<u8>>)| -> Result<(), Failure> {
            send_all(server, bodies, CONNECTIONS, None)?;
            Server::drain(server)
        };
        let threads: Vec<_> =
            servers.iter().zip(&bodies).map(|each| scope.spawn(move || send(each))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a sender panicked")?)
    })?;
    let took = began.elapsed();
    let server = servers.last().ok_or("no servers")?;
    check(server, n_events as u64, args.issues)?;
    let database = server.database().ok_or("no database")?;
    let n_servers = servers.len();
    // PostgreSQL counts what a connection saw when that ends.
    drop(servers);
    std::thread::sleep(Duration::from_secs(1));
    let n_deadlocks = database.n_deadlocks()?;
    println!(
        "{n_servers} servers on one PostgreSQL: {n_events} events of {} issues stored at {:.0}/s, \
         {n_deadlocks} deadlocks; all counts are exact",
        args.issues,
        rate(n_events, took),
    );
    if n_deadlocks == 0 { Ok(()) } else { Err("transactions waited for each other".into()) }
}

fn rate(n: usize, took: Duration) -> f64 {
    n as f64 / took.as_secs_f64()
}

/// Whether every event was counted once: by the issues, and by a tag that each has.
fn check(server: &Server, n_events: u64, n_issues: u64) -> Result<(), Failure> {
    let issues = api::list(server.address, "/api/v1/projects/bench/issues")?;
    let mut n_counted = 0;
    for issue in &issues {
        let id = issue["id"].as_str().ok_or("an issue without an id")?;
        let n_of_issue = issue["events"].as_u64().ok_or("no number of events")?;
        let tags = api::get(server.address, &format!("/api/v1/issues/{id}/tags"))?;
        let tags = tags["items"].as_array().ok_or("no tags")?;
        let environments = tags.iter().find(|tag| tag["tag"] == "environment");
        let values = environments.and_then(|tag| tag["values"].as_array()).ok_or("no values")?;
        let n_tagged: u64 =
            values.iter().filter_map(|value: &Value| value["events"].as_u64()).sum();
        if n_of_issue != n_tagged {
            return Err(format!("{id} has {n_of_issue} events and {n_tagged} in tags").into());
        }
        n_counted += n_of_issue;
    }
    if n_counted != n_events || issues.len() as u64 != n_issues {
        let n_found = issues.len();
        return Err(
            format!("{n_counted} of {n_events} events, {n_found} of {n_issues} issues").into()
        );
    }
    Ok(())
}
