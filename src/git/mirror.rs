//! A bare, full copy of a repository, and fetching into it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::command::{Credential, Git, Limits, SSH, complaint, not_run};
use crate::domain::commit::Sha;
use crate::domain::remote::{Protocol, RemoteUrl};
use crate::file_lock::FileLock;

/// Refs of ours: commits that are kept whatever their repository does.
pub(super) const KEEP: &str = "refs/airlock/keep";

/// The file of a key for ssh, as long as a fetch lasts.
const KEY: &str = "key";

/// How often a fetch is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often its size is looked at, in looks.
const LOOKS_PER_SIZE: u32 = 10;

/// Of what git says so much is read, in bytes.
const MOST_SAID: u64 = 64 * 1024;

/// Why a repository could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// git says no: the address, the right to read, the connection.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error(
        "git took longer than {} s and was ended; where the host is only slow, \
         AIRLOCK_GIT_FETCH_TIMEOUT allows more seconds",
        .0.as_secs()
    )]
    TimedOut(Duration),
    /// It is too large.
    #[error(
        "the repository takes more than {0} bytes, which is the limit of a mirror; \
         AIRLOCK_GIT_MOST_BYTES allows more"
    )]
    TooLarge(u64),
    /// Its history is cut, so what it says would be wrong.
    #[error(
        "the repository is shallow; its whole history is needed to tell what a commit contains: name \
         the url of a whole one, or run `git fetch --unshallow` in it"
    )]
    Shallow,
    /// Its object names are of another kind.
    #[error(
        "the repository has SHA-256 object names, which are not supported: name the url of one that was \
         made with `git init --object-format=sha1`"
    )]
    Sha256,
    /// The host is in a network that must not be called.
    #[error(
        "{0} is a private address; AIRLOCK_ALLOW_NETWORKS names the private networks that may be called"
    )]
    Private(IpAddr),
    /// The mirror on this disk is no repository any more.
    #[error("the mirror on disk is damaged: {0}")]
    Damaged(String),
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
    /// Somebody asked for the same at the same time, and this is what came of it.
    #[error("{0}")]
    Shared(String),
    /// Somebody else fetches it.
    #[error("the mirror is being fetched by another process")]
    Busy,
    /// The disk.
    #[error("the mirror's folder cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl From<git2::Error> for FetchError {
    fn from(error: git2::Error) -> Self {
        Self::Damaged(error.message().to_owned())
    }
}

/// A mirror of one repository in a folder of its own.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub(super) dir: PathBuf,
    pub(super) limits: Limits,
}

/// Whoever has it is the only one who changes a mirror.
#[derive(Debug)]
pub struct Writing(FileLock);

impl Mirror {
    /// The mirror in a folder, which need not be there yet.
    #[must_use]
    pub fn new(dir: &Path, limits: Limits) -> Self {
        Self { dir: dir.to_owned(), limits }
    }

    /// The folder of the repository itself.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.dir.join("repository.git")
    }

    /// The file that holds its commits.
    #[must_use]
    pub fn graph(&self) -> PathBuf {
        self.dir.join("commits")
    }

    pub(super) fn git(&self) -> Git {
        Git::new(&self.repository(), &self.limits)
    }

    /// The repository for reading. No settings are read: those of the machine and of the user would
    /// change what the same patch is.
    ///
    /// # Errors
    /// [`FetchError::Damaged`] when there is none.
    pub fn open(&self) -> Result<git2::Repository, FetchError> {
        let repository = git2::Repository::open_bare(self.repository())?;
        repository.set_config(&git2::Config::new()?)?;
        Ok(repository)
    }

    /// Takes the mirror for changing, whole again if a kill left it half renewed. Several processes may
    /// share the folder.
    ///
    /// # Errors
    /// [`FetchError::Busy`] when somebody has it.
    pub fn lock(&self) -> Result<Writing, FetchError> {
        fs::create_dir_all(&self.dir)?;
        let file =
            File::options().create(true).read(true).append(true).open(self.dir.join("lock"))?;
        let lock = FileLock::take(file)?.ok_or(FetchError::Busy)?;
        // Of one that was killed.
        remove_file(&self.dir.join(KEY))?;
        self.end_renewal()?;
        Ok(Writing(lock))
    }

    /// Brings the mirror up to date: all branches and tags, whatever became of them. Blocks.
    ///
    /// # Errors
    /// [`FetchError`]; what was there stays.
    pub fn fetch(
        &self,
        writing: &Writing,
        url: &RemoteUrl,
        credential: &Credential,
    ) -> Result<(), FetchError> {
        self.make()?;
        let heads = "+refs/heads/*:refs/heads/*";
        let tags = "+refs/tags/*:refs/tags/*";
        self.run_fetch(writing, (url, credential), &["--prune", "--no-tags"], &[heads, tags])?;
        if self.open()?.is_shallow() {
            return Err(FetchError::Shallow);
        }
        Ok(())
    }

    /// Fetches commits that no branch or tag may have any more, where the host gives them; all or
    /// none.
    ///
    /// # Errors
    /// [`FetchError`]; what was there stays.
    pub fn fetch_commits<'a>(
        &self,
        writing: &Writing,
        url: &RemoteUrl,
        credential: &Credential,
        shas: impl IntoIterator<Item = &'a Sha>,
    ) -> Result<(), FetchError> {
        self.make()?;
        let kept = |sha: &Sha| format!("+{sha}:{KEEP}/{sha}");
        let refspecs: Vec<String> = shas.into_iter().map(kept).collect();
        let refspecs: Vec<&str> = refspecs.iter().map(String::as_str).collect();
        self.run_fetch(writing, (url, credential), &["--no-tags"], &refspecs)
    }

    /// Keeps commits that are there from being forgotten.
    ///
    /// # Errors
    /// [`FetchError::Damaged`].
    pub fn keep<'a>(
        &self,
        _writing: &Writing,
        shas: impl IntoIterator<Item = &'a Sha>,
    ) -> Result<(), FetchError> {
        let repository = self.open()?;
        for sha in shas {
            let (name, oid) = (format!("{KEEP}/{sha}"), git2::Oid::from_bytes(&sha.0)?);
            let is_kept = repository.refname_to_id(&name).is_ok_and(|kept| kept == oid);
            if !is_kept && repository.find_commit(oid).is_ok() {
                repository.reference(&name, oid, true, "")?;
            }
        }
        Ok(())
    }

    /// The branches, by name, as the last fetch found them.
    ///
    /// # Errors
    /// [`FetchError::Damaged`].
    pub fn branches(&self) -> Result<BTreeMap<String, Sha>, FetchError> {
        self.refs("refs/heads/")
    }

    /// The tags, by name, with the commits they mean.
    ///
    /// # Errors
    /// [`FetchError::Damaged`].
    pub fn tags(&self) -> Result<BTreeMap<String, Sha>, FetchError> {
        self.refs("refs/tags/")
    }

    /// The refs of a folder. While another process moves refs into one file, one may be in neither
    /// place that is looked at: then they are read again.
    fn refs(&self, folder: &str) -> Result<BTreeMap<String, Sha>, FetchError> {
        let packed = || fs::metadata(self.repository().join("packed-refs")).ok();
        let stamp = || packed().map(|file| (file.modified().ok(), file.len(), file.ino()));
        loop {
            let before = stamp();
            let refs = self.read_refs(folder)?;
            if stamp() == before {
                return Ok(refs);
            }
        }
    }

    fn read_refs(&self, folder: &str) -> Result<BTreeMap<String, Sha>, FetchError> {
        let repository = self.open()?;
        let mut refs = BTreeMap::new();
        for reference in repository.references_glob(&format!("{folder}*"))? {
            let reference = reference?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if let Some(commit) = commit_of(&repository, &reference)
                && let Some(name) = name.strip_prefix(folder)
            {
                refs.insert(name.to_owned(), commit);
            }
        }
        Ok(refs)
    }

    /// Whether there is a repository on disk.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.open().is_ok()
    }

    /// Removes the mirror with all that belongs to it.
    ///
    /// # Errors
    /// [`FetchError::Io`].
    pub fn remove(&self, _writing: Writing) -> Result<(), FetchError> {
        remove_all(&self.dir)
    }

    /// Makes the repository, where it is not there or was only half made.
    fn make(&self) -> Result<(), FetchError> {
        fs::create_dir_all(&self.dir)?;
        tidy(&self.repository())?;
        if self.open().is_ok() {
            return self.set_attributes();
        }
        if self.repository().join("refs").exists() {
            return Err(FetchError::Damaged("it is no repository any more".to_owned()));
        }
        let mut command = self.git().command();
        command.args(["init", "--quiet", "--bare", "--template=", "--object-format=sha1"]);
        let output = command.output().map_err(|error| FetchError::Refused(not_run(&error)))?;
        if !output.status.success() {
            return Err(FetchError::Damaged(complaint(&output.stderr, &Credential::default())));
        }
        self.set_attributes()
    }

    /// Says what files are before the machine or the user can: nobody's attributes make a text binary.
    fn set_attributes(&self) -> Result<(), FetchError> {
        const ATTRIBUTES: &str = "* !diff\n";
        let path = self.repository().join("info/attributes");
        if fs::read_to_string(&path).is_ok_and(|text| text == ATTRIBUTES) {
            return Ok(());
        }
        fs::create_dir_all(self.repository().join("info"))?;
        Ok(fs::write(path, ATTRIBUTES)?)
    }

    fn run_fetch(
        &self,
        writing: &Writing,
        (url, credential): (&RemoteUrl, &Credential),
        options: &[&str],
        refspecs: &[&str],
    ) -> Result<(), FetchError> {
        let place = self.place(url)?;
        let mut command = self.git().command();
        let mut ssh = SSH.to_owned();
        if let Some((host, port, address)) = place {
            // git calls the address that was looked at, whatever the name means a moment later.
            let shown =
                if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            command.arg("-c").arg(format!("http.curloptResolve={host}:{port}:{shown}"));
            let alias = if port == 22 { host.clone() } else { format!("[{host}]:{port}") };
            write!(ssh, " -oHostName={address} -oHostKeyAlias={}", quoted(&alias)).ok();
        }
        let key = self.give(credential, url.protocol(), &mut command)?;
        if let Some(key) = &key {
            let path = quoted(&key.display().to_string());
            write!(ssh, " -oIdentitiesOnly=yes -i {path}").ok();
        }
        command.env("GIT_SSH_COMMAND", ssh);
        command.args(["fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules"]);
        command.args(options).arg("--end-of-options").arg(url.as_str()).args(refspecs);
        let done = self.run(writing, command, credential, self.limits.fetch_time);
        if let Some(key) = key {
            remove_file(&key)?;
        }
        done
    }

    /// The host of an address, its port, and the address to call it at; nothing where names are none
    /// of our business: on this machine, and where a proxy looks them up.
    fn place(&self, url: &RemoteUrl) -> Result<Option<(String, u16, IpAddr)>, FetchError> {
        let Some((host, port)) = url.host() else { return Ok(None) };
        let is_proxy = |name: &OsStr| name.to_string_lossy().to_lowercase().ends_with("s_proxy");
        let has_proxy = self.limits.environment.iter().any(|(name, _)| is_proxy(name));
        if has_proxy && url.protocol() != Protocol::Ssh {
            return Ok(None);
        }
        let found = match (host, port).to_socket_addrs() {
            Ok(found) => found,
            // ssh may know the name from its own settings.
            Err(_) if url.protocol() == Protocol::Ssh => return Ok(None),
            Err(error) => return Err(FetchError::Refused(format!("{host} is not found: {error}"))),
        };
        let mut refused = None;
        for address in found.map(|found| found.ip()) {
            if self.limits.allow_networks.allow(address) {
                return Ok(Some((host.to_owned(), port, address)));
            }
            refused = Some(address);
        }
        refused.map_or(Ok(None), |address| Err(FetchError::Private(address)))
    }

    /// Gives the credential to git so that nobody sees it: neither in arguments nor in addresses.
    /// The file of a key for ssh is to be removed afterwards.
    fn give(
        &self,
        credential: &Credential,
        protocol: Protocol,
        command: &mut Command,
    ) -> Result<Option<PathBuf>, FetchError> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt;

        use base64::Engine;

        let Some(secret) = credential.0.as_deref() else { return Ok(None) };
        match protocol {
            Protocol::Https | Protocol::Http => {
                // A token alone is a password, for any name.
                let pair = if secret.contains(':') {
                    secret.to_owned()
                } else {
                    format!("x-access-token:{secret}")
                };
                let basic = base64::engine::general_purpose::STANDARD.encode(pair);
                command
                    .env("GIT_CONFIG_COUNT", "1")
                    .env("GIT_CONFIG_KEY_0", "http.extraHeader")
                    .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"));
                Ok(None)
            }
            Protocol::Ssh => {
                let path = self.dir.join(KEY);
                remove_file(&path)?;
                let mut file =
                    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                writeln!(file, "{}", secret.trim_end())?;
                Ok(Some(path))
            }
            Protocol::File => Ok(None),
        }
    }

    /// Runs what changes the mirror, within its limits.
    pub(super) fn run(
        &self,
        writing: &Writing,
        mut command: Command,
        credential: &Credential,
        time: Duration,
    ) -> Result<(), FetchError> {
        // git holds the lock too: should this process die, nobody else begins before git has ended.
        command.stdin(writing.0.for_child()?);
        command.process_group(0).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.map_err(|error| FetchError::Refused(not_run(&error)))?;
        let stderr = child.stderr.take();
        // Read aside, so that git never waits for it.
        let said = std::thread::spawn(move || all_of(stderr));
        let began = Instant::now();
        let mut n_looks = 0_u32;
        let ended = loop {
            if let Some(status) = child.try_wait()? {
                break Ok(status);
            }
            if began.elapsed() > time {
                break Err(FetchError::TimedOut(time));
            }
            if self.limits.is_stopping() {
                break Err(FetchError::Stopping);
            }
            if n_looks.is_multiple_of(LOOKS_PER_SIZE)
                && size_of(&self.repository()) > self.limits.most_bytes
            {
                break Err(FetchError::TooLarge(self.limits.most_bytes));
            }
            n_looks += 1;
            std::thread::sleep(LOOK_EVERY);
        };
        if ended.is_err() {
            end(&mut child);
            tidy(&self.repository())?;
        }
        let said = said.join().unwrap_or_default();
        let status = ended?;
        let text = String::from_utf8_lossy(&said);
        if text.contains("shallow roots are not allowed")
            || text.contains("shallow update not allowed")
        {
            return Err(FetchError::Shallow);
        }
        if status.success() {
            // It may have been done before anybody looked.
            let is_small = size_of(&self.repository()) <= self.limits.most_bytes;
            return is_small.then_some(()).ok_or(FetchError::TooLarge(self.limits.most_bytes));
        }
        let own = format!("not a git repository: '{}", self.repository().display());
        if is_damage(&text) || text.contains(&own) {
            return Err(FetchError::Damaged(complaint(&said, credential)));
        }
        if text.contains("mismatched algorithms") || text.contains("unsupported object format") {
            return Err(FetchError::Sha256);
        }
        Err(FetchError::Refused(complaint(&said, credential)))
    }
}

/// All that git complains of, up to a bound.
pub(super) fn all_of(stderr: Option<ChildStderr>) -> Vec<u8> {
    let mut said = Vec::new();
    if let Some(mut stderr) = stderr {
        // What cannot be read was not said.
        let _ = (&mut stderr).take(MOST_SAID).read_to_end(&mut said);
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    said
}

/// Ends git and all it started.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

/// A text as one word for the shell that git gives it to.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether git complains of the copy on this disk, and not of the other side.
fn is_damage(said: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "error: object file ",
        "error: packfile ",
        "error: refs/heads/",
        "fatal: bad object ",
        "fatal: loose object ",
        "fatal: packed object ",
        "fatal: unable to read ",
    ];
    said.lines().any(|line| SIGNS.iter().any(|sign| line.starts_with(sign)))
}

/// Removes what a git that was killed left behind, so that the next one is not held up by it. Nobody
/// else is at work.
fn tidy(repository: &Path) -> io::Result<()> {
    // A branch may be called tmp_…, but none ends with .lock.
    remove_within(repository, &|name| name.ends_with(b".lock"))?;
    let is_begun = |name: &[u8]| name.starts_with(b"tmp_") || name.starts_with(b".tmp-");
    remove_within(&repository.join("objects"), &is_begun)?;
    remove_file(&repository.join("packed-refs.new"))
}

/// Removes files with such names from a folder and those below it.
fn remove_within(dir: &Path, is_meant: &impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_within(&entry.path(), is_meant)?;
        } else if is_meant(entry.file_name().as_encoded_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn remove_all(dir: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// What the files of a folder take, in bytes, as far as they can be read.
fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(known) if known.is_dir() => size_of(&entry.path()),
            Ok(known) => known.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The commit that a ref means, if it means one: a tag may mean anything, also another tag.
pub(super) fn commit_of(
    repository: &git2::Repository,
    reference: &git2::Reference<'_>,
) -> Option<Sha> {
    let mut target = reference.target()?;
    while let Ok(tag) = repository.find_tag(target) {
        target = tag.target_id();
    }
    // The commit itself may be malformed.
    let (_, kind) = repository.odb().ok()?.read_header(target).ok()?;
    let name = target.as_bytes().try_into().ok()?;
    (kind == git2::ObjectType::Commit).then_some(Sha(name))
}
