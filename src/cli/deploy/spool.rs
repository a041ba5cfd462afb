//! The folder where what could not be sent waits: `$AIRLOCK_SPOOL`, else `airlock` in the user's
//! folder for state, else one for this user among the temporary files.
//!
//! *Invariants*: nobody else can read it or put anything into it; it holds no token; it is bounded.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::output::Output;
use super::entry::{About, Entry};
use super::log::MOST_KEPT;
use crate::clock::Clock;

/// The most that all deploys together may keep.
const MOST_OF_ALL: u64 = 256 << 20;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(in crate::cli) struct SpoolArgs {
    #[arg(
        long,
        env = "AIRLOCK_SPOOL",
        global = true,
        value_name = "DIR",
        help = "Where what cannot be sent waits [default: ~/.local/state/airlock]"
    )]
    spool: Option<OsString>,
    /// The user's folder for state; only the environment has this setting.
    #[arg(long = "environment-state", env = "XDG_STATE_HOME", global = true, hide = true)]
    state: Option<OsString>,
}

impl SpoolArgs {
    /// Where it may be, the best place first.
    fn places(&self) -> Vec<PathBuf> {
        let given = |text: &Option<OsString>| {
            text.as_ref().filter(|text| !text.is_empty()).map(PathBuf::from)
        };
        if let Some(spool) = given(&self.spool) {
            return vec![spool];
        }
        let state = given(&self.state).filter(|state| state.is_absolute());
        let home = || std::env::home_dir().filter(|home| home.is_absolute());
        let state = state.or_else(|| home().map(|home| home.join(".local/state")));
        let user = rustix::process::geteuid().as_raw();
        let temporary = std::env::temp_dir().join(format!("airlock-{user}"));
        state.map(|state| state.join("airlock")).into_iter().chain([temporary]).collect()
    }
}

/// The folder where what could not be sent waits.
#[derive(Debug)]
pub(super) struct Spool {
    places: Vec<PathBuf>,
}

impl Spool {
    pub(super) fn new(args: &SpoolArgs) -> Self {
        Self { places: args.places() }
    }

    /// A new entry, in the first place where that is possible; in memory where none is.
    pub(super) fn create(&self, clock: &Clock, about: About) -> Entry {
        let name = clock.id().to_string();
        let mut why = None;
        for place in &self.places {
            let made = private_folder(place).and_then(|()| {
                let most = MOST_KEPT.min(MOST_OF_ALL.saturating_sub(size(place)));
                Entry::create(place, &name, about.clone(), most)
            });
            match made {
                Ok(entry) => return entry,
                Err(cause) => why = why.or(Some(format!("{}: {cause}", place.display()))),
            }
        }
        if let Some(why) = why {
            Output::note(&format!("airlock: what cannot be sent is kept in memory only: {why}"));
        }
        Entry::in_memory(about)
    }

    /// The folder of an entry.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.entries().into_iter().find(|entry| entry.file_name() == Some(OsStr::new(name)))
    }

    /// The folders of all entries, the oldest first.
    pub(super) fn entries(&self) -> Vec<PathBuf> {
        let mut entries = Vec::new();
        for place in &self.places {
            // What others could have written is nothing to send.
            if std::fs::metadata(place).is_ok_and(|about| is_private(&about)) {
                let names = folders(place).filter(|path| {
                    let name = path.file_name().and_then(|name| name.to_str());
                    name.is_some_and(|name| !name.starts_with('.'))
                });
                entries.extend(names);
            }
        }
        entries.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
        entries
    }
}

/// Makes a folder for this user only, or sees to it that it is one.
fn private_folder(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => return Err(cause),
        Ok(()) | Err(_) => {}
    }
    if is_private(&std::fs::metadata(path)?) {
        Ok(())
    } else {
        Err(std::io::Error::other("it is not a folder that only this user can write to"))
    }
}

fn is_private(about: &std::fs::Metadata) -> bool {
    about.is_dir()
        && about.uid() == rustix::process::geteuid().as_raw()
        && about.mode() & 0o022 == 0
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(path).ok().into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|one| one.path())
}

/// The bytes of all files in the entries of a spool.
fn size(spool: &Path) -> u64 {
    let files = folders(spool)
        .flat_map(|entry| std::fs::read_dir(entry).ok().into_iter().flatten())
        .filter_map(|file| file.ok()?.metadata().ok());
    files.map(|about| about.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn about() -> About {
        About::deploy("http://127.0.0.1:8460/", "d1")
    }

    #[test]
    fn the_place_that_is_named_is_the_only_one() {
        let args = SpoolArgs { spool: Some("/spool".into()), state: Some("/state".into()) };
        assert_eq!(args.places(), [PathBuf::from("/spool")]);
        let args = SpoolArgs { spool: Some("".into()), state: Some("/state".into()) };
        assert_eq!(args.places()[0], PathBuf::from("/state/airlock"));
        let args = SpoolArgs { spool: None, state: Some("relative".into()) };
        assert!(args.places().iter().all(|place| place.is_absolute()), "{args:?}");
        assert!(!SpoolArgs::default().places().is_empty());
    }

    #[test]
    fn an_entry_is_private_and_taken_by_one_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("state/airlock");
        let args = SpoolArgs { spool: Some(place.clone().into()), state: None };
        let (spool, clock) = (Spool::new(&args), Clock::system());
        assert!(spool.entries().is_empty());
        let mut entry = spool.create(&clock, about());
        entry.append("a line\n");
        let path = entry.folder().expect("a folder").to_owned();
        for (path, mode) in [(&place, 0o700), (&path, 0o700), (&path.join("about.json"), 0o600)] {
            let found = std::fs::metadata(path).expect("it is there").permissions().mode();
            assert_eq!(found & 0o777, mode, "{}", path.display());
        }
        assert_eq!(spool.entries(), std::slice::from_ref(&path));
        assert!(Entry::take(&path).expect("readable").is_none());
        drop(entry);
        let taken = Entry::take(&path).expect("readable").expect("nobody has it");
        assert_eq!(taken.n_unsent(), 7);
        assert!(Entry::take(&path).expect("readable").is_none());
        taken.remove();
        assert!(spool.entries().is_empty());
        assert!(Entry::take(&path).expect("nothing").is_none());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_no_spool() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("its mode");
        std::fs::create_dir(folder.path().join("planted")).expect("a folder");
        let spool = Spool { places: vec![folder.path().to_owned()] };
        assert!(spool.entries().is_empty());
        assert!(spool.create(&Clock::system(), about()).folder().is_none());
    }
}
