//! What git histories say, with repositories that git itself made.

mod api;
mod faults;
pub(crate) mod histories;
mod large;
mod pairs;
mod settings;
mod upkeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use airlock::domain::commit::Sha;
use airlock::domain::remote::RemoteUrl;
use airlock::git::command::{Credential, Limits};
use airlock::git::graph_file::Commits;
use airlock::git::mirror::{FetchError, Mirror, Writing};

/// A file of `tests/fixtures/git`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/git").join(name)
}

/// A repository that a script made, and a mirror of it.
pub(crate) struct Repository {
    dir: tempfile::TempDir,
    mirror: Mirror,
    limits: Limits,
}

impl Repository {
    /// An empty one, on the branch `main`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            protocols: "file,https,ssh".parse().expect("protocols"),
            allow_networks: "127.0.0.0/8".parse().expect("networks"),
            ..Limits::default()
        };
        let mirror = Mirror::new(&dir.path().join("mirror"), limits.clone());
        let repository = Self { dir, mirror, limits };
        repository.run("git init -q -b main .");
        repository
    }

    /// Its working copy.
    pub(crate) fn path(&self) -> PathBuf {
        let path = self.dir.path().join("work");
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// Runs a script in it; see `prelude.sh` for its words.
    pub(crate) fn run(&self, script: &str) {
        let prelude = fixture("prelude.sh");
        let output = Command::new("bash")
            .arg("-c")
            .arg(format!(". '{}'\n{script}", prelude.display()))
            .current_dir(self.path())
            .env("NAMES", self.names_file())
            .stdin(Stdio::null())
            .output()
            .expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{said}");
    }

    fn names_file(&self) -> PathBuf {
        self.dir.path().join("names")
    }

    /// The commits that the scripts named.
    pub(crate) fn names(&self) -> BTreeMap<String, Sha> {
        let text = std::fs::read_to_string(self.names_file()).unwrap_or_default();
        let named = text.lines().filter_map(|line| line.split_once(' '));
        named.map(|(name, sha)| (name.to_owned(), sha.parse().expect("a name"))).collect()
    }

    /// Where it is fetched from.
    fn url(&self) -> RemoteUrl {
        url(&self.path(), &self.limits)
    }

    /// Takes the mirror for changing.
    fn writing(&self) -> Writing {
        self.mirror.lock().expect("a lock")
    }

    /// Fetches it into the mirror and reads what is new.
    fn fetch(&self, commits: &mut Commits) -> Result<(), FetchError> {
        let writing = self.writing();
        self.mirror.fetch(&writing, &self.url(), &Credential::default())?;
        commits.extend(&self.mirror, &self.limits, &writing)
    }
}

fn url(path: &Path, limits: &Limits) -> RemoteUrl {
    RemoteUrl::parse(path.to_str().expect("text"), &limits.protocols).expect("an address")
}
