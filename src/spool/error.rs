//! What can go wrong with the spool, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::record::LONGEST_RECORD;

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the spool {} is in use by another process: stop that one first", .dir.display())]
    InUse {
        /// The spool's folder.
        dir: PathBuf,
    },
    /// A segment was written by a version of Airlock that knows another format.
    #[error(
        "{} has format version {version}, which this Airlock does not read: drain the spool with \
         the version that wrote it", .path.display()
    )]
    OtherVersion {
        /// The segment.
        path: PathBuf,
        /// The version its header names.
        version: u32,
    },
    /// A file looks like a segment and is not named like one.
    #[error(
        "{} is not named as this Airlock names the spool's segments: drain the spool with the version \
         that wrote it, or move the file away", .path.display()
    )]
    OtherName {
        /// The file.
        path: PathBuf,
    },
    /// The folder or a file in it cannot be read or written.
    #[error("the spool at {}: {source}", .path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why records were not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// A record is longer than the format allows. The same record will never fit.
    #[error("a record of {bytes} bytes exceeds the longest of {LONGEST_RECORD}")]
    TooLong {
        /// How long it is.
        bytes: u64,
    },
    /// The records take more bytes than were reserved, and there is no room for the rest.
    #[error(transparent)]
    Full(#[from] Full),
    /// The disk refused. Whether some of the bytes were written is unknown.
    #[error("the spool cannot write: {0}")]
    Write(Arc<io::Error>),
    /// The spool is closed or its writer has ended.
    #[error("the spool is closed")]
    Closed,
}

impl AppendError {
    /// Whether the same records may be accepted later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooLong { .. } => false,
            Self::Full(_) | Self::Write(_) | Self::Closed => true,
        }
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A segment could not be read. Trying again continues at the same place.
    #[error("the spool segment {first_seq:020} cannot be read: {source}")]
    Io {
        /// The number its name begins with; the rest of the name is secret.
        first_seq: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// The spool is closed and everything in it was handed out.
    #[error("the spool is closed")]
    Closed,
}

/// There is no room for a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Full {
    /// When it is worth asking again.
    pub retry_after: Duration,
    /// What is exhausted.
    pub reason: FullReason,
}

/// What the spool has run out of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FullReason {
    /// As many bytes wait as the settings allow.
    #[error(
        "the spool holds {used} of at most {most} bytes: see why digest is behind, or raise \
         --spool-most-bytes"
    )]
    Bytes {
        /// Bytes on disk and reserved.
        used: u64,
        /// The setting.
        most: u64,
    },
    /// The disk is nearly full.
    #[error(
        "the spool's disk has {free} bytes free and keeps {least}: free some space, or lower the \
         --spool-least-free-bytes"
    )]
    FreeDisk {
        /// Bytes free, less those reserved.
        free: u64,
        /// The setting.
        least: u64,
    },
    /// The disk refuses to be written to; the spool tries again by itself.
    #[error("the spool cannot write, and tries again every second: {0}")]
    Failing(String),
}
