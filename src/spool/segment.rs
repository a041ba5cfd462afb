//! The file of a segment, as the writer sees it: begun, appended to, abandoned, removed.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::record::{self, Marker, SEGMENT_HEADER};

const SUFFIX: &str = ".spool";

/// Whether a file is named like a segment of some version.
pub(super) fn is_named_so(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

/// The name of a segment: what must be known to read it, were its first bytes lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    /// The number of its first record.
    pub first_seq: u64,
    /// What the marker of its records comes from.
    pub salt: u64,
}

impl Name {
    /// Reads the name of a file; `None` for those that are no segments.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (first_seq, salt) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let read =
            Self { first_seq: first_seq.parse().ok()?, salt: u64::from_str_radix(salt, 16).ok()? };
        (read.to_string() == name).then_some(read)
    }

    /// Its file.
    pub(super) fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:020}-{:016x}{SUFFIX}", self.first_seq, self.salt)
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The segment that is being written.
///
/// *Invariant*: after an error nothing more is written to it, and it is never synced again: the
/// kernel may have dropped the bytes of a failed sync and report success the next time.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    name: Name,
    marker: Marker,
    durable_bytes: u64,
}

impl Segment {
    /// Begins a segment: when this returns, the file, its header and its name are on disk.
    pub(super) fn create(dir: &Path, seed: u64, first_seq: u64) -> io::Result<Self> {
        let name = Name { first_seq, salt: record::draw_salt(seed, first_seq) };
        let path = name.path(dir);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let begun = file
            .write_all(&record::encode_header(first_seq))
            .and_then(|()| file.sync_data())
            .and_then(|()| sync_dir(dir));
        if let Err(error) = begun {
            remove(&path);
            return Err(error);
        }
        let marker = Marker::new(name.salt);
        Ok(Self { file, path, name, marker, durable_bytes: SEGMENT_HEADER })
    }

    pub(super) fn marker(&self) -> Marker {
        self.marker
    }

    pub(super) fn name(&self) -> Name {
        self.name
    }

    pub(super) fn durable_bytes(&self) -> u64 {
        self.durable_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.durable_bytes == SEGMENT_HEADER
    }

    /// Writes `bytes` and returns when they are on disk.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.durable_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Gives the segment up after a failed write. What was durable before stays; the rest is cut
    /// as far as the disk lets us (a reader stops at the next segment's first number anyway).
    pub(super) fn abandon(self) {
        if self.is_empty() {
            remove(&self.path);
        } else if let Err(error) = self.file.set_len(self.durable_bytes) {
            tracing::warn!(path = %self.path.display(), %error, "a failed write could not be cut off");
        }
    }

    /// Writes like [`append`](Self::append), but breaks on the way.
    #[cfg(test)]
    pub(super) fn append_broken(&mut self, bytes: &[u8], fault: super::Fault) -> io::Result<()> {
        match fault {
            super::Fault::Write => {
                self.file.write_all(bytes.split_at(bytes.len() / 2).0)?;
                Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()))
            }
            super::Fault::Sync => {
                self.file.write_all(bytes)?;
                Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()))
            }
        }
    }
}

/// Removes a segment's file. What cannot be removed is found again when the spool is next opened.
pub(super) fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a drained segment could not be removed");
        }
    }
}
