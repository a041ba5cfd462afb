//! The commits of a mirror in a file: each is read from the repository once.
//!
//! The file is appended to: frames of commits, parents first, and after each round of reading a
//! frame that says what the repository's refs meant then. A frame has its length and its checksum in
//! front. What a crash left half written is cut off and read again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Split, Write};
use std::iter::Peekable;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use git2::{Odb, Oid, Repository};
use serde::{Deserialize, Serialize};

use super::command::{Credential, Git, Limits, complaint, not_run};
use super::mirror::{FetchError, Mirror, Writing, all_of, commit_of};
use crate::domain::commit::{Commit, Sha, Touched};
use crate::domain::history::History;

/// What the file begins with.
const HEADER: &[u8; 16] = b"airlock commits2";

/// So many commits are written together.
const COMMITS_PER_FRAME: usize = 4_096;

/// A longer frame is none, in bytes.
const MOST_FRAME: u32 = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    Commits(Vec<Commit>),
    /// What refs mean more and no longer; all that any of them descends from is in the file.
    Read {
        more: BTreeSet<Sha>,
        less: BTreeSet<Sha>,
    },
}

/// The commits of a mirror in memory, as far as its file was read. Copies share them until some are
/// added.
#[derive(Debug, Clone, Default)]
pub struct Commits {
    /// They.
    pub history: Arc<History>,
    /// All that these descend from is there.
    tips: BTreeSet<Sha>,
    /// How far the file was read.
    offset: u64,
}

impl From<History> for Commits {
    /// Commits that are in no file.
    fn from(history: History) -> Self {
        Self { history: Arc::new(history), ..Self::default() }
    }
}

impl Commits {
    /// Reads what the file has and memory has not. Blocks.
    ///
    /// # Errors
    /// [`io::Error`]. What makes no sense is no error: it is where the file ends.
    pub fn catch_up(&mut self, mirror: &Mirror) -> io::Result<()> {
        let file = match File::open(mirror.graph()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.offset {
            *self = Self::default();
        }
        let mut file = BufReader::with_capacity(1 << 20, file);
        if self.offset == 0 {
            let mut header = [0; HEADER.len()];
            if !is_read(&mut file, &mut header)? || header != *HEADER {
                return Ok(());
            }
            self.offset = HEADER.len() as u64;
        } else {
            file.seek(SeekFrom::Start(self.offset))?;
        }
        let mut failure = None;
        let frames = std::iter::from_fn(|| match next_frame(&mut file) {
            Ok(Some((frame, n_bytes))) => {
                self.offset += n_bytes;
                match frame {
                    Frame::Commits(commits) => Some(commits),
                    Frame::Read { more, less } => {
                        move_tips(&mut self.tips, more, &less);
                        Some(Vec::new())
                    }
                }
            }
            Ok(None) => None,
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        let mut commits = frames.flatten().peekable();
        if commits.peek().is_some() {
            // All at once: names are sorted once.
            Arc::make_mut(&mut self.history).extend(commits);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Whether the repository means what it meant when it was last read.
    ///
    /// # Errors
    /// [`FetchError::Damaged`].
    pub fn is_current(&self, mirror: &Mirror) -> Result<bool, FetchError> {
        Ok(tips_of(&mirror.open()?)? == self.tips)
    }

    /// Reads the commits that the repository has and the file has not, and adds them to both.
    /// Blocks.
    ///
    /// # Errors
    /// [`FetchError`]; what was read so far is kept.
    pub fn extend(
        &mut self,
        mirror: &Mirror,
        limits: &Limits,
        _writing: &Writing,
    ) -> Result<(), FetchError> {
        self.catch_up(mirror)?;
        let mut file = self.open_for_append(mirror)?;
        let repository = mirror.open()?;
        let objects = repository.odb()?;
        let tips = tips_of(&repository)?;
        if tips == self.tips {
            return Ok(());
        }
        let began = Instant::now();
        let mut listing = Listing::start(mirror, limits, &tips, &self.tips)?;
        let mut fresh = Vec::new();
        while let Some((sha, touched)) = listing.next_commit()? {
            if limits.is_stopping() {
                return Err(FetchError::Stopping);
            }
            if began.elapsed() > limits.fetch_time {
                return Err(FetchError::TimedOut(limits.fetch_time));
            }
            if self.history.find(&sha).is_none() {
                fresh.push(Commit { touched, ..read(&objects, &sha)? });
            }
            if fresh.len() >= COMMITS_PER_FRAME {
                self.append(&mut file, Frame::Commits(std::mem::take(&mut fresh)))?;
            }
        }
        listing.end()?;
        self.append(&mut file, Frame::Commits(fresh))?;
        let more = tips.difference(&self.tips).copied().collect();
        let less = self.tips.difference(&tips).copied().collect();
        self.append(&mut file, Frame::Read { more, less })?;
        Ok(())
    }

    /// The file, without what is not whole at its end.
    fn open_for_append(&mut self, mirror: &Mirror) -> io::Result<File> {
        let mut options = File::options();
        let mut file =
            options.create(true).truncate(false).read(true).write(true).open(mirror.graph())?;
        file.set_len(self.offset)?;
        if self.offset == 0 {
            file.write_all(HEADER)?;
            self.offset = HEADER.len() as u64;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    fn append(&mut self, file: &mut File, frame: Frame) -> Result<(), FetchError> {
        let broken = |error: postcard::Error| FetchError::Io(io::Error::other(error));
        let payload = postcard::to_stdvec(&frame).map_err(broken)?;
        let n_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(payload.len() + 8);
        bytes.extend(n_bytes.to_le_bytes());
        bytes.extend(crc32c::crc32c(&payload).to_le_bytes());
        bytes.extend(payload);
        file.write_all(&bytes)?;
        file.sync_data()?;
        self.offset += bytes.len() as u64;
        match frame {
            Frame::Commits(commits) if commits.is_empty() => {}
            Frame::Commits(commits) => Arc::make_mut(&mut self.history).extend(commits),
            Frame::Read { more, less } => move_tips(&mut self.tips, more, &less),
        }
        Ok(())
    }
}

fn move_tips(tips: &mut BTreeSet<Sha>, more: BTreeSet<Sha>, less: &BTreeSet<Sha>) {
    tips.retain(|tip| !less.contains(tip));
    tips.extend(more);
}

/// Fills the buffer; false when the file ends before.
fn is_read(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The next whole frame and its length with all that is in front of it.
fn next_frame(file: &mut impl Read) -> io::Result<Option<(Frame, u64)>> {
    let (mut n_bytes, mut checksum) = ([0; 4], [0; 4]);
    if !is_read(file, &mut n_bytes)? || !is_read(file, &mut checksum)? {
        return Ok(None);
    }
    let n_bytes = u32::from_le_bytes(n_bytes);
    if n_bytes > MOST_FRAME {
        return Ok(None);
    }
    let mut payload = Vec::new();
    file.by_ref().take(u64::from(n_bytes)).read_to_end(&mut payload)?;
    let is_whole = payload.len() == n_bytes as usize
        && crc32c::crc32c(&payload) == u32::from_le_bytes(checksum);
    let frame = is_whole.then(|| postcard::from_bytes(&payload).ok()).flatten();
    Ok(frame.map(|frame| (frame, u64::from(n_bytes) + 8)))
}

/// The commits that branches, tags and kept commits mean.
fn tips_of(repository: &Repository) -> Result<BTreeSet<Sha>, FetchError> {
    let mut tips = BTreeSet::new();
    for reference in repository.references()? {
        tips.extend(commit_of(repository, &reference?));
    }
    Ok(tips)
}

/// Reads a commit as it lies in the repository: git keeps some that its library calls malformed.
fn read(objects: &Odb<'_>, sha: &Sha) -> Result<Commit, FetchError> {
    let object = objects.read(Oid::from_bytes(&sha.0)?)?;
    let (head, message) = split_at_blank(object.data());
    let mut parents = Vec::new();
    let (mut author, mut time) = (&b""[..], 0);
    for line in head.split(|byte| *byte == b'\n') {
        if let Some(parent) = line.strip_prefix(b"parent ") {
            parents
                .extend(str::from_utf8(parent).ok().and_then(|parent| parent.parse::<Sha>().ok()));
        } else if let Some(signature) = line.strip_prefix(b"author ") {
            author = who(signature);
        } else if let Some(signature) = line.strip_prefix(b"committer ") {
            time = when(signature);
        }
    }
    Ok(Commit::new(*sha, parents, time, author, message))
}

fn split_at_blank(data: &[u8]) -> (&[u8], &[u8]) {
    let blank = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, rest) = data.split_at(blank.unwrap_or(data.len()));
    (head, rest.get(2..).unwrap_or_default())
}

/// Name and address of a signature.
fn who(signature: &[u8]) -> &[u8] {
    let end = signature.iter().rposition(|byte| *byte == b'>').map_or(signature.len(), |at| at + 1);
    signature.get(..end).unwrap_or(signature)
}

/// The seconds of a signature; 0 where it has none.
fn when(signature: &[u8]) -> i64 {
    let rest = signature.get(who(signature).len()..).unwrap_or_default();
    let text = str::from_utf8(rest).unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

/// git, naming commits that are new and the files they touch, parents first.
struct Listing {
    child: Child,
    /// What it complains of, read aside so that it never waits.
    complaints: JoinHandle<Vec<u8>>,
    /// What it says, cut at each NUL.
    parts: Peekable<Split<BufReader<ChildStdout>>>,
}

impl Listing {
    /// What begins the name of a commit, where a path cannot be.
    const COMMIT: u8 = 1;

    fn start(
        mirror: &Mirror,
        limits: &Limits,
        wanted: &BTreeSet<Sha>,
        known: &BTreeSet<Sha>,
    ) -> Result<Self, FetchError> {
        let mut command = Git::new(&mirror.repository(), limits).command();
        command.args(["log", "--topo-order", "--reverse", "--format=%x01%H", "--raw", "-z"]);
        command.args([
            "--no-renames",
            "--no-abbrev",
            "--diff-merges=off",
            "--ignore-submodules=none",
        ]);
        // What is known may be gone by now.
        command.args(["--ignore-missing", "--stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = command.spawn();
        let mut child = started.map_err(|error| FetchError::Refused(not_run(&error)))?;
        if let Some(stdin) = child.stdin.take() {
            let mut stdin = io::BufWriter::new(stdin);
            let wanted = wanted.difference(known).map(|sha| (sha, ""));
            for (sha, sign) in wanted.chain(known.iter().map(|sha| (sha, "^"))) {
                writeln!(stdin, "{sign}{sha}")?;
            }
            stdin.flush()?;
        }
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("git has no output"))?;
        let stderr = child.stderr.take();
        let complaints = std::thread::spawn(move || all_of(stderr));
        let parts = BufReader::with_capacity(1 << 16, stdout).split(0);
        Ok(Self { child, complaints, parts: parts.peekable() })
    }

    /// The next commit, and the files it touches.
    fn next_commit(&mut self) -> Result<Option<(Sha, u64)>, FetchError> {
        let odd = |part: &[u8]| {
            let part = String::from_utf8_lossy(part.get(..80).unwrap_or(part));
            FetchError::Damaged(format!("git lists {part:?}"))
        };
        let Some(named) = self.parts.next().transpose()? else { return Ok(None) };
        let name = named.strip_prefix(&[Self::COMMIT]).and_then(|name| str::from_utf8(name).ok());
        let sha = name.and_then(|name| name.parse().ok()).ok_or_else(|| odd(&named))?;
        let mut touched = Touched::default();
        let is_file = |part: &io::Result<Vec<u8>>| {
            part.as_ref().is_ok_and(|part| part.first() != Some(&Self::COMMIT))
        };
        while self.parts.next_if(is_file).is_some() {
            touched.add(&self.parts.next().transpose()?.ok_or_else(|| odd(b"half a file"))?);
        }
        Ok(Some((sha, touched.signature())))
    }

    fn end(mut self) -> Result<(), FetchError> {
        let is_done = self.child.wait()?.success();
        let complaints = std::mem::replace(&mut self.complaints, std::thread::spawn(Vec::new));
        let said = complaints.join().unwrap_or_default();
        if is_done {
            return Ok(());
        }
        Err(FetchError::Damaged(complaint(&said, &Credential::default())))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        // Given up half way, it must not stay; ended, it does not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
