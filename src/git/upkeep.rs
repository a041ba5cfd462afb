//! Keeps the files of a mirror few, however often it is fetched.
//!
//! A fetch leaves one more pack, or each object in a file of its own, and each ref in another. Once they
//! are many, git joins them: the packs in a geometric row, so that what is large is hardly ever
//! written again, and the refs in one file.
//!
//! Nothing is thrown away, also what no ref leads to. Whoever reads meanwhile goes on: git removes
//! what it has joined only when the new files are there, and git's library looks for new files before
//! it calls an object missing. It would not with an index over several packs, so none is written.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::command::Credential;
use super::mirror::{FetchError, Mirror, Writing};

/// More packs than this are joined.
pub const MOST_PACKS: usize = 50;

/// More objects in files of their own are joined.
pub const MOST_LOOSE_OBJECTS: usize = 2_000;

/// More refs in files of their own are joined.
pub const MOST_LOOSE_REFS: usize = 500;

/// Joining takes no longer: a fetch may wait for it, and other processes wait two minutes.
pub const UPKEEP_TIME: Duration = Duration::from_mins(1);

/// The files of a mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Files {
    /// Packs.
    pub packs: usize,
    /// Objects in files of their own.
    pub loose_objects: usize,
    /// Refs in files of their own.
    pub loose_refs: usize,
}

impl Files {
    fn are_objects_many(self) -> bool {
        self.packs > MOST_PACKS || self.loose_objects > MOST_LOOSE_OBJECTS
    }

    fn are_refs_many(self) -> bool {
        self.loose_refs > MOST_LOOSE_REFS
    }

    /// Whether there is something to join.
    #[must_use]
    pub fn are_many(self) -> bool {
        self.are_objects_many() || self.are_refs_many()
    }
}

impl Mirror {
    /// Counts the files of the mirror, as far as they can be read.
    #[must_use]
    pub fn files(&self) -> Files {
        let objects = self.repository().join("objects");
        let is_pack = |name: &str| {
            Path::new(name).extension().is_some_and(|end| end == "pack")
                && name.starts_with("pack-")
        };
        let folders = (0..=u8::MAX).map(|first| objects.join(format!("{first:02x}")));
        Files {
            packs: names(&objects.join("pack")).filter(|name| is_pack(name)).count(),
            loose_objects: folders.map(|folder| names(&folder).count()).sum(),
            loose_refs: n_files(&self.repository().join("refs")),
        }
    }

    /// Joins files where they are too many; says whether they were. Blocks.
    ///
    /// # Errors
    /// [`FetchError`]; nothing is lost then, and it can be tried again.
    pub fn tend(&self, writing: &Writing) -> Result<bool, FetchError> {
        let files = self.files();
        if files.are_refs_many() {
            self.run_upkeep(writing, &["pack-refs", "--all", "--prune"])?;
        }
        if files.are_objects_many() {
            // Without bitmaps, and the lists that dumb servers need.
            self.run_upkeep(writing, &["repack", "-d", "-n", "-q", "--geometric=2"])?;
        }
        Ok(files.are_many())
    }

    fn run_upkeep(&self, writing: &Writing, arguments: &[&str]) -> Result<(), FetchError> {
        let mut command = self.git().command();
        for setting in ["core.multiPackIndex=false", "pack.threads=1", "repack.writeBitmaps=false"]
        {
            command.arg("-c").arg(setting);
        }
        command.args(arguments);
        let done = self.run(writing, command, &Credential::default(), UPKEEP_TIME);
        if let Err(FetchError::TimedOut(time)) = done {
            let said =
                format!("git took longer than {} s to join them and was ended", time.as_secs());
            return Err(FetchError::Refused(said));
        }
        done
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// How many files are in a folder and those below it.
fn n_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { n_files(&entry.path()) } else { 1 }
        })
        .sum()
}
