//! What a commit contains, beside git itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use airlock::domain::commit::Sha;
use airlock::domain::containment::{Deployed, SamePatch};
use airlock::domain::history::{Place, Reach};
use airlock::domain::remote::RemoteUrl;
use airlock::git::command::{Credential, Limits};
use airlock::git::graph_file::Commits;
use airlock::git::mirror::Mirror;
use airlock::git::patches::Patches;

use super::Failure;
use large::{Numbers, make};

#[path = "../../tests/it/git/large.rs"]
pub(crate) mod large;

/// Sizes and numbers.
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Commits of the repository
    #[arg(long, default_value_t = 220_000)]
    commits: usize,
    /// Pairs that are compared with git
    #[arg(long, default_value_t = 10_000)]
    pairs: usize,
    /// Fixes that one candidate is asked about
    #[arg(long, default_value_t = 1_000)]
    fixes: usize,
}

/// Memory of this process, in MB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn run(args: &HistoryArgs) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let origin = dir.path().join("origin.git");
    let began = Instant::now();
    make(&origin, args.commits)?;
    println!("made {} commits in {:.1} s", args.commits, began.elapsed().as_secs_f64());
    let limits = Limits { protocols: "file".parse()?, ..Limits::default() };
    let mirror = Mirror::new(&dir.path().join("mirror"), limits.clone());
    let url = RemoteUrl::parse(&origin.display().to_string(), &limits.protocols)?;
    let writing = mirror.lock()?;
    let began = Instant::now();
    mirror.fetch(&writing, &url, &Credential::default())?;
    println!("fetched in {:.1} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    Commits::default().extend(&mirror, &limits, &writing)?;
    let file = std::fs::metadata(mirror.graph())?.len();
    println!("read in {:.1} s, a file of {} MB", began.elapsed().as_secs_f64(), file >> 20);
    let began = Instant::now();
    let before = memory();
    let mut commits = Commits::default();
    commits.catch_up(&mirror)?;
    println!("loaded in {:.0} ms, {:.0} MB more", ms(began.elapsed()), memory() - before);
    let places: Vec<Place> = commits.history.places_from(0).collect();
    pairs(args, &commits, &places, &origin)?;
    fixes(args, &commits, &places, &mirror)
}

/// Ancestry of random pairs, with and without git.
fn pairs(
    args: &HistoryArgs,
    commits: &Commits,
    places: &[Place],
    origin: &Path,
) -> Result<(), Failure> {
    let git = || {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(origin);
        git
    };
    git().args(["commit-graph", "write", "--reachable"]).output()?;
    let mut numbers = Numbers(7);
    let pairs: Vec<(Place, Place)> = (0..args.pairs)
        .map(|_| (places[numbers.below(places.len())], places[numbers.below(places.len())]))
        .collect();
    let history = &commits.history;
    let began = Instant::now();
    let ours: Vec<bool> =
        pairs.iter().map(|(one, other)| history.reach(*one, *other) == Reach::Yes).collect();
    let took = began.elapsed();
    let began = Instant::now();
    for ((one, other), ours) in pairs.iter().zip(&ours) {
        let (one, other) = (history.sha(*one).to_string(), history.sha(*other).to_string());
        let status = git().args(["merge-base", "--is-ancestor", &one, &other]).status()?;
        if status.success() != *ours {
            return Err(format!("{one} in {other}: git says {}", status.success()).into());
        }
    }
    let git_took = began.elapsed();
    let ratio = git_took.as_secs_f64() / took.as_secs_f64();
    println!(
        "{} pairs: {:.0} us each, git {:.0} us, {ratio:.0} times",
        pairs.len(),
        ms(took) * 1e3 / pairs.len() as f64,
        ms(git_took) * 1e3 / pairs.len() as f64
    );
    if ratio < 20.0 {
        return Err("less than 20 times as fast as git".into());
    }
    Ok(())
}

/// One candidate and many fixes.
fn fixes(
    args: &HistoryArgs,
    commits: &Commits,
    places: &[Place],
    mirror: &Mirror,
) -> Result<(), Failure> {
    let history = &commits.history;
    let mut numbers = Numbers(11);
    let recent = places.len() / 2;
    let fixes: Vec<Sha> = (0..args.fixes)
        .map(|_| history.sha(places[recent + numbers.below(places.len() - recent)]))
        .collect();
    let repository = mirror.open()?;
    let began = Instant::now();
    let sought = fixes.iter().copied().take(100);
    let same = Patches::new(&repository, history).same(sought, &BTreeMap::new())?;
    println!("patches like those of 100 fixes: {} in {:.0} ms", same.len(), ms(began.elapsed()));
    let tip = mirror.branches()?.get("main").and_then(|sha| history.find(sha)).ok_or("no main")?;
    let (patches, failed) = (SamePatch::new(), BTreeSet::new());
    let mut times = Vec::new();
    let mut n_contained = 0;
    for _ in 0..11 {
        let began = Instant::now();
        let deployed = Deployed::new(history, tip, &patches, &failed);
        let contained = fixes.iter().filter(|fix| deployed.contains(fix, &[]).is_contained());
        n_contained = contained.count();
        times.push(ms(began.elapsed()));
    }
    println!("{} fixes, {n_contained} contained: {:.1} ms", fixes.len(), super::median(times));
    Ok(())
}
