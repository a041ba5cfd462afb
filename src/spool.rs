//! The spool: a durable queue between intake, which answers a client as soon as its bytes are on
//! disk, and digest, which makes issues of them when it can.
//!
//! It is a folder of append-only files, the *segments*. Intake [admits](Spool::admit) a report
//! before it reads the body, [appends](Spool::append) it, and answers when that returns: a thread
//! of its own writes everything that waits at once and syncs once. Digest [reads](Reader::next)
//! batches and [acknowledges](Reader::ack) them; the highest acknowledged number, the *watermark*,
//! is kept in a file, and segments below it are removed. The spool knows nothing of what the bytes
//! mean.
//!
//! # Invariants
//!
//! - An append that returned `Ok` is handed out after any crash, until it is acknowledged.
//! - Nothing is handed out that is not durable.
//! - What is acknowledged may be handed out again after a crash. Consuming is idempotent.
//! - A damaged stretch costs the records in it and no others. They are counted and reported.
//! - Disk, memory and queue are bounded. A full spool says so before a body is read.
//! - After a failed write or sync the segment is given up: it is never synced again.
//! - Acknowledged bytes leave the disk soon, as raw reports hold secrets: a drained segment goes
//!   within about a second, one that is partly done is closed after a minute.
//! - One process has the folder open at a time.
//!
//! A torn end of the last segment is what a crash while writing leaves behind; it is cut off when
//! the spool is opened. If the very last record was damaged later, nothing tells it from a torn
//! one, and it is cut off too, with a warning.

mod error;
mod health;
mod ledger;
mod reader;
mod record;
mod recover;
mod room;
mod segment;
mod shared;
mod walk;
mod watermark;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

pub use self::error::{AppendError, Full, FullReason, OpenError, ReadError};
pub use self::health::State;
pub use self::reader::Reader;
pub use self::record::{LONGEST_RECORD, Record};
pub use self::room::Room;
use self::shared::Shared;
use crate::domain::time::Timestamp;

/// The default of [`Settings::segment_bytes`].
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The default of [`Settings::most_bytes`].
pub const MOST_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// The default of [`Settings::least_free_bytes`].
pub const LEAST_FREE_BYTES: u64 = 512 * 1024 * 1024;

/// Room to ask for when nobody knows how long a report is.
pub const USUAL_REPORT_BYTES: u64 = 16 * 1024;

/// The queue to the writer is counted in units of this many bytes.
const QUEUE_UNIT_BYTES: u64 = 1024;

/// So many units may wait for the writer: 64 MiB.
const QUEUE_UNITS: u32 = 64 * 1024;

/// Where the spool is and how large it may grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its folder; made when missing.
    pub dir: PathBuf,
    /// A segment is closed before it grows beyond this.
    pub segment_bytes: u64,
    /// Reports are refused beyond so many bytes on disk and in flight.
    pub most_bytes: u64,
    /// Reports are refused when the disk would have fewer bytes free.
    pub least_free_bytes: u64,
}

impl Settings {
    /// The defaults for a spool in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: SEGMENT_BYTES,
            most_bytes: MOST_BYTES,
            least_free_bytes: LEAST_FREE_BYTES,
        }
    }
}

/// How the spool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Records not acknowledged.
    pub backlog_records: u64,
    /// Their bytes on disk.
    pub backlog_bytes: u64,
    /// About when the oldest of them came: up to a second early, after a restart at worst when its
    /// segment began, until it is read.
    pub oldest: Option<Timestamp>,
    /// Records lost to damage, found since the spool was opened.
    pub skipped_records: u64,
    /// Damaged bytes passed by, since the spool was opened.
    pub skipped_bytes: u64,
    /// Whether it can write.
    pub state: State,
    /// Why it cannot.
    pub last_error: Option<String>,
    /// Bytes on disk.
    pub used_bytes: u64,
    /// As many are allowed.
    pub most_bytes: u64,
    /// Batches made durable since the spool was opened.
    pub n_syncs: u64,
}

/// The producers' end of the spool. Clones share it.
///
/// When the last clone is dropped the writer ends after what is queued, and nobody waits for it;
/// [`close`](Self::close) waits.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
    writer: Arc<writer::Handle>,
    queue: Arc<Semaphore>,
}

/// Opens the spool, or makes it. Blocks: at worst it reads one segment.
///
/// `seed` must come from the operating system's randomness: it keeps payloads from passing for
/// records (see [`Record`]'s format).
///
/// # Errors
/// When another process has it open, its format is unknown, or its files cannot be used.
pub fn open(settings: Settings, seed: u64) -> Result<(Spool, Reader), OpenError> {
    let dir = settings.dir.clone();
    let shared = Shared::open(settings, seed)?;
    let writer = writer::Handle::start(Arc::clone(&shared))
        .map_err(|source| OpenError::Io { path: dir, source })?;
    let reader = Reader::new(Arc::clone(&shared));
    let queue = Arc::new(Semaphore::new(QUEUE_UNITS as usize));
    Ok((Spool { shared, writer: Arc::new(writer), queue }, reader))
}

impl Spool {
    /// Reserves room for a report of about `bytes_hint` bytes. Cheap: call it before reading the
    /// body, and [grow](Room::grow) it when the body turns out longer.
    ///
    /// # Errors
    /// When the spool or its disk is full, or the disk cannot be written to.
    pub fn admit(&self, bytes_hint: u64) -> Result<Room, Full> {
        self.shared.meter.admit(bytes_hint)
    }

    /// Looks whether there is room for a report of about `bytes_hint` bytes, and reserves none of
    /// it: the room [follows](Room::follow) what arrives.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn expect(&self, bytes_hint: u64) -> Result<Room, Full> {
        self.shared.meter.expect(bytes_hint)
    }

    /// Appends records, one behind the other; returns when they are on disk.
    ///
    /// When the future is dropped before, the records may be written nevertheless.
    ///
    /// # Errors
    /// See [`AppendError`]. After an error the records may yet appear: the caller cannot know.
    ///
    /// # Panics
    /// When `room` is another spool's.
    pub async fn append(
        &self,
        mut room: Room,
        records: Vec<Vec<u8>>,
        at: Timestamp,
    ) -> Result<(), AppendError> {
        assert!(room.belongs_to(&self.shared.meter), "room was admitted by another spool");
        let too_long = records.iter().map(|bytes| bytes.len() as u64).find(|n| *n > LONGEST_RECORD);
        if let Some(bytes) = too_long {
            return Err(AppendError::TooLong { bytes });
        }
        if records.is_empty() {
            return Ok(());
        }
        let framed_bytes = records.iter().map(|bytes| record::framed(bytes)).sum::<u64>();
        room.cover(framed_bytes)?;
        let units = framed_bytes.div_ceil(QUEUE_UNIT_BYTES).min(u64::from(QUEUE_UNITS));
        let units = u32::try_from(units).unwrap_or(QUEUE_UNITS);
        let queue = Arc::clone(&self.queue);
        let permit = queue.acquire_many_owned(units).await.map_err(|_| AppendError::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.writer.send(writer::Job { records, framed_bytes, at, room, permit, answer })?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// How the spool is. Cheap.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Takes nothing more, writes what is queued, answers it, and waits until the writer has
    /// ended. The reader can still read and acknowledge what is there.
    pub async fn close(&self) {
        if let Some(thread) = self.writer.stop() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the spool's writer ended with a panic");
            }
        }
    }

    /// Lets another process open the folder, whoever still has a handle for looking at it. The spool
    /// is closed, and its reader gone.
    pub fn give_back(&self) {
        self.shared.unlock();
    }
}

/// A way for a write to fail, in tests.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The disk is full half-way.
    Write,
    /// Everything is written, and the sync fails.
    Sync,
}
