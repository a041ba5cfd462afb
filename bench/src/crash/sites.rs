//! Every single write fails once, as on a full disk: none is left to chance.
//!
//! A library that is loaded before all others (`fault.c`) counts the calls that need space in the data
//! folder, and makes one of them fail. Lives of the server follow each other: in the first its first
//! such call fails, in the second its second, until a life has no more. Each starts, takes reports,
//! must be well again by itself and take more, and stops.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::book::Book;
use super::check::check;
use super::traffic::Traffic;
use super::victim::Victim;
use super::well::wait_until_well;
use super::{Common, begin};
use crate::server::Kind;
use crate::{Failure, api};

/// Reports that must be taken after the failure.
const N_AFTERWARDS: u64 = 5;

/// Which writes, and where
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SitesArgs {
    /// Only every so manieth write fails
    #[arg(long, default_value_t = 1)]
    stride: usize,
    #[command(flatten)]
    common: Common,
}

/// Calls that failed: what they were, and how often.
type Sites = BTreeMap<String, u64>;

pub(crate) fn run(args: &SitesArgs) -> Result<(), Failure> {
    if cfg!(not(target_os = "linux")) {
        println!("skipped: only Linux loads a library before others this way");
        return Ok(());
    }
    let seed = args.common.seed();
    for kind in args.common.kinds() {
        println!("{}: one write after the other fails, seed {seed}", kind.name());
        let folder = tempfile::tempdir()?;
        let library = build(folder.path())?;
        let mut sites = Sites::new();
        let n_first = fail_first_starts(&kind, &library, args, &mut sites)?;
        println!("{}: {n_first} first starts", kind.name());
        fail_lives(&kind, &library, args, seed, &mut sites)?;
        for (site, n_times) in &sites {
            println!("  {n_times:>4} times: {site}");
        }
    }
    Ok(())
}

fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/crash/fault.c");
    let library = folder.join("fault.so");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    if cc.status()?.success() { Ok(library) } else { Err("cc cannot build fault.c".into()) }
}

/// A failure to come: the library, the log of calls, the number of the one that fails.
struct Fault<'a> {
    library: &'a Path,
    log: PathBuf,
    at: usize,
}

impl Fault<'_> {
    fn arm(&self, victim: &mut Victim) -> Result<(), Failure> {
        std::fs::write(&self.log, b"")?;
        victim.environment = vec![
            ("LD_PRELOAD", self.library.into()),
            ("FAULT_FOLDER", victim.data.clone().into()),
            ("FAULT_LOG", self.log.clone().into()),
            ("FAULT_AT", OsString::from(self.at.to_string())),
        ];
        Ok(())
    }

    /// Notes which call failed; false when there were not so many.
    fn disarm(&self, victim: &mut Victim, sites: &mut Sites) -> Result<bool, Failure> {
        victim.environment.clear();
        let log = std::fs::read_to_string(&self.log)?;
        let failed = log.lines().find_map(|line| line.strip_prefix('!'));
        if let Some(failed) = failed {
            *sites.entry(site(failed)).or_default() += 1;
        }
        Ok(failed.is_some())
    }
}

/// Segments have numbers in their names.
fn site(call: &str) -> String {
    let (what, path) = call.split_once(' ').unwrap_or((call, ""));
    let path = if path.contains(".spool") { "/spool/SEGMENT.spool" } else { path };
    let path = if path.is_empty() { "the folder" } else { path.trim_start_matches('/') };
    format!("{what} {path}")
}

/// The very first start, of an empty folder, in which something fails; the next must find its way.
fn fail_first_starts(
    kind: &Kind,
    library: &Path,
    args: &SitesArgs,
    sites: &mut Sites,
) -> Result<usize, Failure> {
    let mut n_starts = 0;
    for at in (0..).step_by(args.stride) {
        let folder = tempfile::tempdir()?;
        let mut victim = Victim::new(kind, folder.path(), folder.path().join("data"))?;
        let fault = Fault { library, log: folder.path().join("calls.log"), at };
        fault.arm(&mut victim)?;
        // It starts, or says why not.
        if let Err(cause) = victim.start()
            && !has_said_why(&victim)
        {
            return Err(format!("first start, call {at}: {cause}").into());
        }
        victim.kill()?;
        let is_hit = fault.disarm(&mut victim, sites)?;
        let set_up = victim.set_up();
        set_up.map_err(|cause| format!("after a first start with call {at} failing: {cause}"))?;
        if !is_hit {
            break;
        }
        n_starts += 1;
    }
    Ok(n_starts)
}

fn has_said_why(victim: &Victim) -> bool {
    let said = victim.log_end();
    ["No space left", "disk is full"].iter().any(|reason| said.contains(reason))
}

fn fail_lives(
    kind: &Kind,
    library: &Path,
    args: &SitesArgs,
    seed: u64,
    sites: &mut Sites,
) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut victim = Victim::new(kind, folder.path(), folder.path().join("data"))?;
    let path = victim.set_up()?;
    let book = Book::new(seed, args.common.issues, begin()?);
    let traffic = Traffic::start(book, &path, args.common.connections);
    let (mut n_lives, mut n_refused_starts) = (0, 0);
    for at in (0..).step_by(args.stride) {
        let fault = Fault { library, log: folder.path().join("calls.log"), at };
        fault.arm(&mut victim)?;
        let has_started = live(&mut victim, &traffic, args.common.reports)
            .map_err(|cause| format!("call {at} failed: {cause}"))?;
        n_refused_starts += u64::from(!has_started);
        if !fault.disarm(&mut victim, sites)? {
            break;
        }
        n_lives += 1;
    }
    println!("{}: {n_lives} lives, {n_refused_starts} refused to start", kind.name());
    let book = traffic.stop()?;
    let address = victim.start()?;
    check(&mut victim, address, &book)?.conclude(kind.name(), &book)
}

/// One life; false when it refused to start, and said why.
fn live(victim: &mut Victim, traffic: &Traffic, n_reports: u64) -> Result<bool, Failure> {
    let address = match victim.start() {
        Ok(address) => address,
        Err(_) if has_said_why(victim) => {
            victim.kill()?;
            return Ok(false);
        }
        Err(cause) => return Err(cause),
    };
    traffic.send(address, n_reports);
    traffic.finish();
    let taken_afterwards = || -> Result<u64, Failure> {
        wait_until_well(address)?;
        let before = traffic.n_acknowledgements();
        traffic.send(address, N_AFTERWARDS);
        traffic.finish();
        Ok(traffic.n_acknowledgements() - before)
    };
    let mut n_taken = taken_afterwards()?;
    if n_taken < N_AFTERWARDS {
        // The one write that fails may have been one of these.
        n_taken = taken_afterwards()?;
    }
    if n_taken < N_AFTERWARDS {
        return Err(format!("only {n_taken} of {N_AFTERWARDS} reports are taken later").into());
    }
    api::drain(address)?;
    victim.stop()?;
    Ok(true)
}
