//! The one consumer: reads what is durable, in order, and says what is done.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::error::ReadError;
use super::ledger::{Extent, Place};
use super::record::{Record, SEGMENT_HEADER};
use super::shared::{Progress, Shared};
use super::walk::{Hole, OnReadError, Step, Stretch, Walk};

/// A place that the disk failed to read so often in a row is taken for damaged: one bad block must
/// not hold up everything behind it for ever.
const MOST_READ_FAILURES: u32 = 10;

/// The consumer's end of the spool.
///
/// What it hands out stays in the spool until it is acknowledged: after [`rewind`](Self::rewind),
/// and after a restart, it is handed out again.
///
/// Dropping a future of this type half-way loses nothing.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    cursor: Cursor,
    /// Where each record that is handed out and not acknowledged ends.
    handed_out: VecDeque<(u64, Place)>,
    /// Holes below this number are counted.
    counted_seq: u64,
    /// How often in a row reading failed.
    n_failures: u32,
    memory: Memory,
}

/// What is read into, in turns: while one batch is digested the next is read. Fresh memory for each
/// would cost more than reading does.
#[derive(Debug, Default)]
struct Memory {
    used_last: BytesMut,
    used_before: BytesMut,
    /// Bytes that the last batch took.
    n_last: usize,
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    /// The number of the next record.
    seq: u64,
    /// Where it is, when that segment was begun to be read.
    place: Place,
}

/// How much to read at once, and how hard to try.
#[derive(Debug, Clone, Copy)]
struct Limits {
    most_records: usize,
    most_bytes: usize,
    on_read_error: OnReadError,
    /// Bytes that it will probably be.
    expected_bytes: usize,
}

/// What was read at once, from one segment.
#[derive(Debug)]
struct Read {
    records: Vec<(Record, Place)>,
    holes: Vec<Hole>,
    cursor: Cursor,
    memory: BytesMut,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let ledger = shared.ledger();
        let cursor = Cursor { seq: ledger.acked_seq() + 1, place: ledger.acked_place() };
        drop(ledger);
        let progress = shared.subscribe();
        Self {
            shared,
            progress,
            cursor,
            handed_out: VecDeque::new(),
            counted_seq: 0,
            n_failures: 0,
            memory: Memory::default(),
        }
    }

    /// The next records, at most `most_records` and (save for a single longer one) `most_bytes` of
    /// payload. Waits until there is one.
    ///
    /// # Errors
    /// When a segment cannot be read, or when the spool is closed and nothing is left.
    pub async fn next(
        &mut self,
        most_records: usize,
        most_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        loop {
            let progress = *self.progress.borrow_and_update();
            let records = self.try_next(most_records.max(1), most_bytes).await?;
            if !records.is_empty() {
                return Ok(records);
            }
            self.memory = Memory::default();
            if progress.is_closed || self.progress.changed().await.is_err() {
                return Err(ReadError::Closed);
            }
        }
    }

    /// Like [`next`](Self::next), but gives none instead of waiting for one.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub async fn try_next(
        &mut self,
        most_records: usize,
        most_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        loop {
            let Some(extent) = self.shared.ledger().find_extent(self.cursor.seq) else {
                return Ok(Vec::new());
            };
            let read = self.read_from(extent, most_records, most_bytes).await;
            self.n_failures = if read.is_ok() { 0 } else { self.n_failures.saturating_add(1) };
            let read =
                read.map_err(|source| ReadError::Io { first_seq: extent.name.first_seq, source })?;
            let records = self.take(read);
            if !records.is_empty() || most_records == 0 {
                return Ok(records);
            }
        }
    }

    /// Everything up to and including record `seq` is done and will not be handed out again. What
    /// was not handed out yet cannot be acknowledged.
    pub async fn ack(&mut self, seq: u64) {
        let mut done = None;
        while let Some(first) = self.handed_out.pop_front_if(|first| first.0 <= seq) {
            done = Some(first);
        }
        if let Some((seq, place)) = done {
            self.shared.ledger().ack(seq, place);
        }
        self.pass_holes();
        let shared = Arc::clone(&self.shared);
        // It can only fail by a panic or a stopping runtime; the watermark is then older, and
        // replaying changes nothing.
        let _ = spawn_blocking(move || shared.tidy()).await;
    }

    /// Goes back to the first record that is not acknowledged.
    pub fn rewind(&mut self) {
        self.handed_out.clear();
        let ledger = self.shared.ledger();
        self.cursor = Cursor { seq: ledger.acked_seq() + 1, place: ledger.acked_place() };
    }

    /// Reads on in a segment, on a thread that may block.
    async fn read_from(
        &mut self,
        extent: Extent,
        most_records: usize,
        most_bytes: usize,
    ) -> std::io::Result<Read> {
        let cursor = self.cursor;
        let path = extent.name.path(&self.shared.settings.dir);
        let is_hopeless = self.n_failures >= MOST_READ_FAILURES;
        let on_read_error = if is_hopeless { OnReadError::Skip } else { OnReadError::Fail };
        let expected_bytes = self.memory.n_last.min(most_bytes);
        let limits = Limits { most_records, most_bytes, on_read_error, expected_bytes };
        let memory = std::mem::take(&mut self.memory.used_before);
        let mut read = spawn_blocking(move || read_segment(&path, extent, cursor, limits, memory))
            .await
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))?;
        let mut used = std::mem::take(&mut read.memory);
        let n_read = read.records.iter().map(|(record, _)| record.bytes.len()).sum();
        if n_read > most_bytes {
            // A single long record; the next is not.
            used = BytesMut::new();
        }
        self.memory.used_before = std::mem::replace(&mut self.memory.used_last, used);
        self.memory.n_last = n_read;
        Ok(read)
    }

    /// Takes over what was read.
    fn take(&mut self, read: Read) -> Vec<Record> {
        for hole in read.holes {
            self.report(hole);
        }
        self.cursor = read.cursor;
        if let Some((first, _)) = read.records.first() {
            self.shared.ledger().note_read(first.seq, first.at);
        }
        let mut records = Vec::with_capacity(read.records.len());
        for (record, end) in read.records {
            self.handed_out.push_back((record.seq, end));
            records.push(record);
        }
        self.pass_holes();
        records
    }

    /// When all that was handed out is done, so is what was skipped behind it.
    fn pass_holes(&self) {
        if self.handed_out.is_empty() {
            self.shared.ledger().ack(self.cursor.seq.saturating_sub(1), self.cursor.place);
        }
    }

    fn report(&mut self, hole: Hole) {
        let Hole { seq, n_records, n_bytes } = hole;
        if n_records == 0 {
            tracing::warn!(seq, n_bytes, "passed the remains of a failed write to the spool");
        } else if seq >= self.counted_seq {
            self.counted_seq = seq + n_records;
            self.shared.skipped_records.fetch_add(n_records, Ordering::Relaxed);
            self.shared.skipped_bytes.fetch_add(n_bytes, Ordering::Relaxed);
            tracing::error!(
                first_seq = seq,
                n_records,
                n_bytes,
                "records in the spool are damaged and lost: check the disk"
            );
        }
    }
}

/// Reads from one segment.
fn read_segment(
    path: &Path,
    extent: Extent,
    cursor: Cursor,
    limits: Limits,
    mut memory: BytesMut,
) -> std::io::Result<Read> {
    let first_seq = extent.name.first_seq;
    let is_begun = cursor.place.segment == first_seq;
    let stretch = Stretch {
        offset: if is_begun { cursor.place.offset } else { SEGMENT_HEADER },
        end: extent.bytes,
        next_seq: cursor.seq,
        end_seq: extent.end_seq,
    };
    memory.clear();
    // With some room, so that not every second batch is a little too large.
    memory.reserve(limits.expected_bytes.saturating_add(limits.expected_bytes / 4));
    let mut read = Read { records: Vec::new(), holes: Vec::new(), cursor, memory: BytesMut::new() };
    let mut unreadable_bytes = extent.bytes.saturating_sub(stretch.offset);
    if let Some(mut walk) = Walk::open(path, extent.name, stretch, limits.on_read_error, memory)? {
        let end = read_records(&mut walk, extent, limits, &mut read);
        read.memory = walk.into_buffer();
        let Some(n_bytes) = end? else { return Ok(read) };
        unreadable_bytes = n_bytes;
    }
    let seq = read.cursor.seq.max(cursor.seq);
    let hole =
        Hole { seq, n_records: extent.end_seq.saturating_sub(seq), n_bytes: unreadable_bytes };
    if hole.n_records > 0 || hole.n_bytes > 0 {
        read.holes.push(hole);
    }
    let place = Place { segment: first_seq, offset: extent.bytes };
    read.cursor = Cursor { seq: extent.end_seq, place };
    Ok(read)
}

/// Reads records until there are enough, or to the end: then gives how many bytes before it could
/// not be read.
fn read_records(
    walk: &mut Walk,
    extent: Extent,
    limits: Limits,
    read: &mut Read,
) -> std::io::Result<Option<u64>> {
    let mut bytes_left = limits.most_bytes as u64;
    while read.records.len() < limits.most_records {
        let most_next = if read.records.is_empty() { u64::MAX } else { bytes_left };
        match walk.step(most_next)? {
            Step::Record(record, hole) => {
                let place = Place { segment: extent.name.first_seq, offset: walk.offset() };
                bytes_left = bytes_left.saturating_sub(record.bytes.len() as u64);
                read.cursor = Cursor { seq: walk.next_seq(), place };
                read.holes.extend(hole);
                read.records.push((record, place));
            }
            Step::TooLong => return Ok(None),
            Step::End(n_bytes) => return Ok(Some(n_bytes)),
        }
    }
    Ok(None)
}
