//! How long the gate takes on a large repository with many locks, and what fixes cost digest.

use std::path::Path;
use std::time::{Duration, Instant};

use airlock::clock::Clock;
use serde_json::json;

use crate::events::{Events, Shape};
use crate::history::large::{Numbers, make};
use crate::load::send_all;
use crate::server::{Kind, Server};
use crate::{Failure, api};

/// Sizes and numbers.
#[derive(Debug, clap::Args)]
pub(crate) struct GateArgs {
    /// Commits of the repository
    #[arg(long, default_value_t = 220_000)]
    commits: usize,
    /// Locks of issues, each with a fix
    #[arg(long, default_value_t = 1_000)]
    locks: usize,
    /// Events that digest is measured with; 0 for none
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Runs with and without fixes, in turns
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Milliseconds that a verdict may take
    #[arg(long, default_value_t = 50.0)]
    goal: f64,
    /// Milliseconds that the first verdict after a start or a push may take
    #[arg(long, default_value_t = 3_000.0)]
    goal_first: f64,
    /// Megabytes that a server with the repository may take more than one without
    #[arg(long, default_value_t = 150)]
    goal_mb: u64,
}

/// Commits of a push.
const PUSHED: usize = 50;

/// Connections over which reports come.
const CONNECTIONS: usize = 16;

/// Releases that events of the benchmark name.
const RELEASES: u64 = 20;

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn git(origin: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let ended =
        std::process::Command::new("git").arg("--git-dir").arg(origin).args(arguments).output()?;
    Ok(String::from_utf8(ended.stdout)?)
}

pub(crate) fn run(args: &GateArgs) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let origin = dir.path().join("origin.git");
    make(&origin, args.commits)?;
    let all = git(&origin, &["rev-list", "--all"])?;
    let commits: Vec<&str> = all.lines().collect();
    let main = git(&origin, &["rev-list", "--first-parent", "main"])?;
    let main: Vec<&str> = main.lines().collect();
    verdicts(args, &origin, &commits, &main)?;
    if args.events > 0 {
        digest(args, &origin, &main)?;
    }
    Ok(())
}

/// A server that knows the repository, and the bytes of memory that it took before.
fn start(origin: &Path) -> Result<(Server, u64), Failure> {
    let server = Server::start(&Kind::Sqlite)?;
    let ((), bare) = server.most_own_memory(|| std::thread::sleep(Duration::from_secs(1)))?;
    let path = "/api/v1/projects/bench/repositories";
    let wish = json!({ "name": "web", "url": origin });
    api::ask(server.address, "POST", path, &wish)?;
    let began = Instant::now();
    api::ask(server.address, "POST", &format!("{path}/web/fetch"), &json!({}))?;
    println!("fetched and read in {:.1} s", began.elapsed().as_secs_f64());
    Ok((server, bare))
}

/// Adds commits of several authors to the main branch; the last of them.
fn push(origin: &Path, tip: &str, main: &[&str], numbers: &mut Numbers) -> Result<String, Failure> {
    let mut tip = tip.to_owned();
    for number in 0..PUSHED {
        let like = main[numbers.below(main.len() / 2)];
        let author = git(origin, &["log", "-1", "--format=%an%n%ae", like])?;
        let (person, address) = author.trim().split_once('\n').unwrap_or_default();
        let made = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(origin)
            .args(["commit-tree", &format!("{like}^{{tree}}"), "-p", &tip, "-m"])
            .arg(format!("pushed {number}"))
            .envs([("GIT_AUTHOR_NAME", person), ("GIT_AUTHOR_EMAIL", address)])
            .envs([("GIT_COMMITTER_NAME", person), ("GIT_COMMITTER_EMAIL", address)])
            .output()?;
        String::from_utf8(made.stdout)?.trim().clone_into(&mut tip);
    }
    git(origin, &["update-ref", "refs/heads/main", &tip])?;
    Ok(tip)
}

fn verdicts(
    args: &GateArgs,
    origin: &Path,
    commits: &[&str],
    main: &[&str],
) -> Result<(), Failure> {
    let (mut server, bare) = start(origin)?;
    let path = server.head.split(' ').nth(1).unwrap_or_default().replace("envelope", "store");
    for number in 0..args.locks {
        let event = json!({
            "event_id": format!("{number:032x}"), "platform": "other", "level": "error",
            "message": "a lock", "fingerprint": [number.to_string()],
        });
        api::ask(server.address, "POST", &path, &event)?;
    }
    server.drain()?;
    let (idle, _) = server.memory()?;
    let began = Instant::now();
    let mut numbers = Numbers(11);
    let recent = &commits[..commits.len() / 2];
    for number in 1..=args.locks {
        let fix = recent[numbers.below(recent.len())];
        let path = format!("/api/v1/issues/BENCH-{number}/fix");
        api::ask(server.address, "PUT", &path, &json!({ "commit": fix }))?;
    }
    let took = ms(began.elapsed()) / args.locks as f64;
    println!("{} fixes named, {took:.0} ms each", args.locks);
    let environment = "/api/v1/projects/bench/environments/production";
    for number in 1..=args.locks {
        let lock = json!({ "issue": format!("BENCH-{number}") });
        api::ask(server.address, "POST", &format!("{environment}/locks"), &lock)?;
    }
    let ask = |server: &Server, commit: &str| -> Result<f64, Failure> {
        let began = Instant::now();
        let gate = api::get(server.address, &format!("{environment}/gate?commit={commit}"))?;
        let took = ms(began.elapsed());
        let n_blockers = gate["blockers"].as_array().map_or(0, Vec::len);
        let n_cleared = gate["cleared"].as_array().map_or(0, Vec::len);
        if n_blockers + n_cleared != args.locks {
            return Err(format!("{n_blockers} and {n_cleared} of {} locks", args.locks).into());
        }
        Ok(took)
    };
    let fresh: Vec<f64> = (0..11).map(|at| ask(&server, main[at * 7])).collect::<Result<_, _>>()?;
    let again: Vec<f64> = (0..21).map(|_| ask(&server, main[0])).collect::<Result<_, _>>()?;
    let (fresh, again) = (super::median(fresh), super::median(again));
    println!("a new candidate and {} locks: {fresh:.1} ms; again: {again:.1} ms", args.locks);
    let (mut tip, mut pushed) = (main[0].to_owned(), Vec::new());
    for _ in 0..5 {
        tip = push(origin, &tip, main, &mut numbers)?;
        let fetch = "/api/v1/projects/bench/repositories/web/fetch";
        api::ask(server.address, "POST", fetch, &json!({}))?;
        pushed.push(ask(&server, &tip)?);
    }
    let pushed = super::median(pushed);
    println!("a candidate that was just pushed with {PUSHED} commits: {pushed:.1} ms");
    let began = server.start_again(true)?;
    let (asked, own) = server.most_own_memory(|| -> Result<_, Failure> {
        api::get(server.address, "/api/v1/projects/bench")?;
        let ready = ms(began.elapsed());
        let first = ask(&server, main[300])?;
        // Meanwhile it looks what is new, and others ask.
        for at in 0..50 {
            ask(&server, main[400 + at * 7])?;
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok((ready, first))
    })?;
    let (ready, first) = asked?;
    println!("the first after a start: {first:.0} ms, {ready:.0} ms after which it answers");
    let (now, _) = server.memory()?;
    let [bare, idle, now, own] = [bare, idle, now, own].map(|n_bytes| n_bytes >> 20);
    println!(
        "memory: {bare} MB without the repository and mapped files, {own} at most with it after a start; \
         with mapped files {idle} after it was read first, {now} after a start"
    );
    if fresh.max(again) > args.goal {
        return Err(format!("more than {} ms", args.goal).into());
    }
    if first.max(pushed) > args.goal_first {
        return Err(format!("more than {} ms after a push or a start", args.goal_first).into());
    }
    if own.saturating_sub(bare) > args.goal_mb {
        return Err(format!("{} MB more than without the repository", own - bare).into());
    }
    Ok(())
}

/// What digest costs when every issue has a fix and every event a release that is known, beside the
/// same without.
fn digest(args: &GateArgs, origin: &Path, main: &[&str]) -> Result<(), Failure> {
    let (mut plain, mut fixed) = (Vec::new(), Vec::new());
    for run in 0..args.runs {
        let order = if run % 2 == 0 { [false, true] } else { [true, false] };
        for has_fixes in order {
            let cpu = store(args, origin, main, has_fixes)?;
            if has_fixes { fixed.push(cpu) } else { plain.push(cpu) }
        }
    }
    let (plain, fixed) = (super::median(plain), super::median(fixed));
    let kept = plain / fixed;
    println!("CPU of a stored event: {plain:.0} us, with fixes {fixed:.0} us: {kept:.2}");
    if kept < 0.9 {
        return Err("digest keeps less than 0.9 of its throughput".into());
    }
    Ok(())
}

fn store(args: &GateArgs, origin: &Path, main: &[&str], has_fixes: bool) -> Result<f64, Failure> {
    let n_issues = 100;
    let now = u64::try_from(Clock::system().now().as_micros() / 1_000_000)?;
    let shape = Shape { n_bytes: 8_000, n_issues, begin: now - 3_600 };
    let mut events = Events::new(shape, 7)?;
    let (server, _) = start(origin)?;
    let make = |events: &mut Events, n: usize| -> Result<Vec<Vec<u8>>, Failure> {
        (0..n).map(|_| events.make_body()).collect()
    };
    // The issues are there, and so are their fixes.
    send_all(&server, &make(&mut events, 2_000)?, CONNECTIONS, None)?;
    server.drain()?;
    if has_fixes {
        for number in 0..RELEASES {
            let release = json!({ "version": format!("shop@1.{number}.0"), "commit": main[5_000] });
            api::ask(server.address, "POST", "/api/v1/projects/bench/releases", &release)?;
        }
        for issue in api::list(server.address, "/api/v1/projects/bench/issues")? {
            let id = issue["id"].as_str().unwrap_or_default();
            let path = format!("/api/v1/issues/{id}/fix");
            api::ask(server.address, "PUT", &path, &json!({ "commit": main[100] }))?;
        }
        // The first of each is looked up.
        send_all(&server, &make(&mut events, 2_000)?, CONNECTIONS, None)?;
        server.drain()?;
        std::thread::sleep(Duration::from_secs(10));
    }
    let bodies = make(&mut events, args.events)?;
    let before = server.cpu()?;
    send_all(&server, &bodies, CONNECTIONS, None)?;
    server.drain()?;
    let cpu = server.cpu()?.since(before);
    if has_fixes {
        let issues = api::list(server.address, "/api/v1/projects/bench/issues")?;
        let count =
            |name: &str| issues.iter().filter_map(|issue| issue[name].as_u64()).sum::<u64>();
        let (suppressed, undetermined) = (count("suppressed"), count("undetermined"));
        if suppressed < args.events as u64 {
            return Err(format!("{suppressed} suppressed, {undetermined} undetermined").into());
        }
    }
    Ok(cpu.as_secs_f64() * 1e6 / args.events as f64)
}
