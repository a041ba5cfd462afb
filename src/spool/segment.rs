//! The file of a segment, as the writer sees it: begun, appended to, abandoned, removed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::record::{Marker, SEGMENT_HEADER, SegmentHeader};

const SUFFIX: &str = ".spool";

/// The file of the segment that begins with `first_seq`.
pub(super) fn path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}{SUFFIX}"))
}

/// The first sequence number of the segment with this file name; `None` for other files.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
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
    marker: Marker,
    first_seq: u64,
    durable_bytes: u64,
}

impl Segment {
    /// Begins a segment: when this returns, the file, its header and its name are on disk.
    pub(super) fn create(dir: &Path, seed: u64, first_seq: u64) -> io::Result<Self> {
        let path = path(dir, first_seq);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let header = SegmentHeader::new(seed, first_seq);
        let begun = file
            .write_all(&header.encode())
            .and_then(|()| file.sync_data())
            .and_then(|()| sync_dir(dir));
        if let Err(error) = begun {
            remove(&path);
            return Err(error);
        }
        let marker = header.marker();
        Ok(Self { file, path, marker, first_seq, durable_bytes: SEGMENT_HEADER })
    }

    pub(super) fn marker(&self) -> Marker {
        self.marker
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.first_seq
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
