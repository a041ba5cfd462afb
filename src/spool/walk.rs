//! Walking over the records of one segment, past what is damaged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::{Buf as _, Bytes, BytesMut};

use super::record::{self, Decoded, Marker, RECORD_HEADER, Record, SEGMENT_HEADER};
use super::segment::Name;
use crate::domain::time::Timestamp;

/// Bytes read at once.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Bytes given up where the disk cannot read: a block of most file systems.
const LOST_BLOCK_BYTES: u64 = 4096;

/// What to make of a place that the operating system cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnReadError {
    /// Report it; it may pass.
    Fail,
    /// Take the place for damaged.
    Skip,
}

/// A stretch of a segment to walk over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// Where the first record is expected.
    pub offset: u64,
    /// Where the durable bytes end.
    pub end: u64,
    /// The number of the first record of interest; those below are passed by.
    pub next_seq: u64,
    /// Records from this number on are the remains of a failed write: the next segment has them.
    pub end_seq: u64,
}

/// Bytes in which no record was found, and how many records they must have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    /// The first number that is missing.
    pub seq: u64,
    /// How many numbers are missing.
    pub n_records: u64,
    /// How many bytes could not be read.
    pub n_bytes: u64,
}

/// What a step led to.
#[derive(Debug)]
pub(super) enum Step {
    /// A sound record, and what was skipped to reach it.
    Record(Record, Option<Hole>),
    /// A sound record follows, with a payload longer than was asked for.
    TooLong,
    /// No sound record follows; this many bytes were left.
    End(u64),
}

/// A walk over one segment.
#[derive(Debug)]
pub(super) struct Walk {
    file: File,
    on_read_error: OnReadError,
    marker: Marker,
    stretch: Stretch,
    /// Bytes of the file from `buffer_at` on.
    buffer: BytesMut,
    buffer_at: u64,
}

impl Walk {
    /// Opens a segment for a walk over `stretch`, with empty memory to read into; `None` when the
    /// file is gone.
    pub(super) fn open(
        path: &Path,
        name: Name,
        stretch: Stretch,
        on_read_error: OnReadError,
        buffer: BytesMut,
    ) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (marker, buffer_at) = (Marker::new(name.salt), stretch.offset);
        Ok(Some(Self { file, on_read_error, marker, stretch, buffer, buffer_at }))
    }

    /// The memory that is left.
    pub(super) fn into_buffer(self) -> BytesMut {
        self.buffer
    }

    /// Where the next record is expected.
    pub(super) fn offset(&self) -> u64 {
        self.stretch.offset
    }

    /// The number the next record should have.
    pub(super) fn next_seq(&self) -> u64 {
        self.stretch.next_seq
    }

    /// Goes to the next sound record, unless its payload is longer than `most_bytes`.
    pub(super) fn step(&mut self, most_bytes: u64) -> io::Result<Step> {
        let mut unreadable_from = None;
        loop {
            let start = self.stretch.offset;
            let Some(Peeked { seq, at, framed }) = self.peek()? else {
                if start < self.stretch.end {
                    unreadable_from.get_or_insert(start);
                    self.seek_marker()?;
                    continue;
                }
                let left = unreadable_from.map_or(0, |from| self.stretch.end.saturating_sub(from));
                return Ok(Step::End(left));
            };
            if seq >= self.stretch.end_seq {
                let left = self.stretch.end.saturating_sub(unreadable_from.unwrap_or(start));
                self.stretch.offset = self.stretch.end;
                return Ok(Step::End(left));
            }
            let expected = self.stretch.next_seq;
            if seq < expected {
                self.stretch.offset += framed;
                unreadable_from = None;
                continue;
            }
            if framed > most_bytes.saturating_add(RECORD_HEADER) {
                // Nothing was taken: the next walk finds the same hole again.
                return Ok(Step::TooLong);
            }
            let record = Record { seq, at, bytes: self.take_payload(framed) };
            self.stretch.next_seq = seq.saturating_add(1);
            let n_bytes = unreadable_from.map_or(0, |from| start.saturating_sub(from));
            let hole = Hole { seq: expected, n_records: seq - expected, n_bytes };
            let is_whole = hole.n_records == 0 && hole.n_bytes == 0;
            return Ok(Step::Record(record, (!is_whole).then_some(hole)));
        }
    }

    /// The sound record at the offset, if there is one.
    fn peek(&mut self) -> io::Result<Option<Peeked>> {
        self.fill(RECORD_HEADER)?;
        let mut needed = 0;
        loop {
            match record::decode(self.marker, self.ahead()) {
                Decoded::Record { seq, at, payload } => {
                    return Ok(Some(Peeked { seq, at, framed: record::framed(payload) }));
                }
                Decoded::Bad => return Ok(None),
                Decoded::Short(more) => {
                    let is_beyond = self.stretch.offset.saturating_add(more) > self.stretch.end;
                    if is_beyond || more <= needed {
                        return Ok(None);
                    }
                    needed = more;
                    self.fill(needed)?;
                }
            }
        }
    }

    /// Takes the payload of the record at the offset, which takes `framed` bytes, and goes past it.
    fn take_payload(&mut self, framed: u64) -> Bytes {
        let before = self.stretch.offset.saturating_sub(self.buffer_at);
        self.stretch.offset += framed;
        let upto = self.stretch.offset.saturating_sub(self.buffer_at);
        // What is buffered is in memory, so it has a length that memory can have.
        let [upto, from] =
            [upto, before + RECORD_HEADER].map(|at| usize::try_from(at).unwrap_or(0));
        self.buffer_at = self.stretch.offset;
        self.buffer.split_to(upto).freeze().slice(from..)
    }

    /// Moves at least one byte on, to the next marker or the end.
    fn seek_marker(&mut self) -> io::Result<()> {
        self.stretch.offset += 1;
        loop {
            self.fill(RECORD_HEADER)?;
            let ahead = self.ahead();
            if let Some(found) = ahead.windows(8).position(|window| window == self.marker.0) {
                self.stretch.offset += found as u64;
                return Ok(());
            }
            let passed = (ahead.len() as u64).saturating_sub(7);
            if passed == 0 {
                self.stretch.offset = self.stretch.end;
                return Ok(());
            }
            self.stretch.offset += passed;
        }
    }

    /// What is buffered from the offset on.
    fn ahead(&self) -> &[u8] {
        let consumed = self.stretch.offset.saturating_sub(self.buffer_at);
        usize::try_from(consumed).ok().and_then(|at| self.buffer.get(at..)).unwrap_or_default()
    }

    /// Buffers at least `needed` bytes from the offset on, or what there is of them.
    fn fill(&mut self, needed: u64) -> io::Result<()> {
        let ahead = self.ahead();
        if ahead.len() as u64 >= needed {
            return Ok(());
        }
        let consumed = self.buffer.len() - ahead.len();
        self.buffer.advance(consumed);
        self.buffer_at = self.stretch.offset;
        let from = self.buffer_at + self.buffer.len() as u64;
        let upto = self.buffer_at.saturating_add(needed.max(CHUNK_BYTES)).min(self.stretch.end);
        read_into(&self.file, self.on_read_error, &mut self.buffer, from, upto)
    }
}

/// A sound record that is buffered.
#[derive(Debug)]
struct Peeked {
    seq: u64,
    at: Timestamp,
    /// Its length on disk.
    framed: u64,
}

/// What a segment says about itself at its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The format it is of, when this build does not know it.
    pub other_version: Option<u32>,
    /// The time of its first record, where it can be read.
    pub first_at: Option<Timestamp>,
}

/// Reads the beginning of a segment, or what the disk gives of it: nothing needs it.
pub(super) fn read_beginning(path: &Path, name: Name) -> io::Result<Beginning> {
    let mut head = BytesMut::new();
    read_into(&File::open(path)?, OnReadError::Skip, &mut head, 0, SEGMENT_HEADER + RECORD_HEADER)?;
    let (header_bytes, first) = head.split_at_checked(24).unwrap_or_default();
    let other_version = record::other_version(header_bytes);
    let first_at = record::read_head(Marker::new(name.salt), first).map(|head| head.2);
    Ok(Beginning { other_version, first_at })
}

/// Appends the bytes of the file from `from` to `upto`, or as many as it has, to `buffer`.
fn read_into(
    file: &File,
    on_read_error: OnReadError,
    buffer: &mut BytesMut,
    from: u64,
    upto: u64,
) -> io::Result<()> {
    let already = buffer.len();
    let wanted = usize::try_from(upto.saturating_sub(from)).unwrap_or(0);
    buffer.resize(already + wanted, 0);
    let mut filled = already;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = from + (filled - already) as u64;
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(n_read) => filled += n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if on_read_error == OnReadError::Fail => return Err(error),
            // The zeros that stand there already fit no checksum.
            Err(_) => {
                let lost = LOST_BLOCK_BYTES - at % LOST_BLOCK_BYTES;
                filled += usize::try_from(lost).map_or(rest.len(), |lost| lost.min(rest.len()));
            }
        }
    }
    buffer.truncate(filled);
    Ok(())
}
