//! Damage to files of a spool, and which reports it hits.
//!
//! *Invariant*: nothing here knows the format of a segment. Which record a byte is of is told from
//! the ids of events before and behind it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::Failure;
use crate::events::Random;

/// How an event's id is announced in a record, more than once.
const ANNOUNCED: &[u8] = b"\"event_id\":\"";

/// Hex digits of an id.
const ID_LENGTH: usize = 32;

/// A record of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: Uuid,
    /// A byte between its first and its last id was changed.
    pub(super) is_surely_hit: bool,
    /// A byte between the last id of the one before and the first of the one behind was.
    pub(super) is_perhaps_hit: bool,
}

/// All segments of a spool, in order.
#[derive(Debug)]
pub(super) struct Segments(Vec<Segment>);

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Each record and from where to where its ids are.
    records: Vec<(Record, Range<usize>)>,
}

impl Segments {
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "spool") {
                let bytes = std::fs::read(&path)?;
                let records = find_records(&bytes);
                segments.push(Segment { path, bytes, records });
            }
        }
        segments.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self(segments))
    }

    /// All records, in order.
    pub(super) fn records(&self) -> Vec<Record> {
        self.0.iter().flat_map(|segment| &segment.records).map(|(record, _)| *record).collect()
    }

    pub(super) fn has(&self, id: Uuid) -> bool {
        self.0.iter().flat_map(|segment| &segment.records).any(|(record, _)| record.id == id)
    }

    /// Damages one of them in one way.
    pub(super) fn damage(&mut self, random: &mut Random) {
        let n = self.0.len() as u64;
        if n == 0 {
            return;
        }
        if let Some(segment) = self.0.get_mut(random.below(n) as usize) {
            segment.damage(random);
        }
    }

    pub(super) fn write(&self) -> Result<(), Failure> {
        for segment in &self.0 {
            std::fs::write(&segment.path, &segment.bytes)?;
        }
        Ok(())
    }
}

impl Segment {
    fn damage(&mut self, random: &mut Random) {
        let length = self.bytes.len();
        if length == 0 {
            return;
        }
        let begin = random.below(length as u64) as usize;
        match random.below(6) {
            0 | 1 => {
                if let Some(byte) = self.bytes.get_mut(begin) {
                    *byte ^= 1 + random.below(255) as u8;
                }
                self.hit(&(begin..begin + 1));
            }
            // What a disk gives back for a sector that it has lost, or that was another file's.
            kind @ (2 | 3) => {
                let begin = begin / 512 * 512;
                let end = (begin + 512 * (1 + random.below(8) as usize)).min(length);
                let mut is_changed = false;
                for byte in self.bytes.get_mut(begin..end).unwrap_or_default() {
                    let other = if kind == 2 { 0 } else { random.next() as u8 };
                    is_changed |= *byte != other;
                    *byte = other;
                }
                if is_changed {
                    self.hit(&(begin..end));
                }
            }
            4 => {
                self.bytes.truncate(begin);
                self.hit(&(begin..length));
            }
            _ => {
                let n = 1 + random.below(5_000);
                self.bytes.extend((0..n).map(|_| random.next() as u8));
            }
        }
    }

    /// Notes which records may or must be damaged by a change of these bytes.
    fn hit(&mut self, changed: &Range<usize>) {
        let spans: Vec<Range<usize>> = self.records.iter().map(|(_, ids)| ids.clone()).collect();
        for (index, (record, ids)) in self.records.iter_mut().enumerate() {
            let before = index.checked_sub(1).and_then(|before| spans.get(before));
            let from = before.map_or(0, |before| before.end);
            let to = spans.get(index + 1).map_or(usize::MAX, |behind| behind.start);
            record.is_perhaps_hit |= changed.start < to && changed.end > from;
            let is_inside = changed.start >= ids.start && changed.end <= ids.end;
            let is_around = changed.start <= ids.start && changed.end >= ids.end;
            record.is_surely_hit |= is_inside || is_around;
        }
    }
}

/// Ids in a row that are the same are one record's.
fn find_records(bytes: &[u8]) -> Vec<(Record, Range<usize>)> {
    let mut records: Vec<(Record, Range<usize>)> = Vec::new();
    let mut from = 0;
    while let Some(found) = bytes
        .get(from..)
        .and_then(|rest| rest.windows(ANNOUNCED.len()).position(|window| window == ANNOUNCED))
    {
        let begin = from + found + ANNOUNCED.len();
        from = begin;
        let id = bytes.get(begin..begin + ID_LENGTH).and_then(|id| Uuid::try_parse_ascii(id).ok());
        let Some(id) = id else { continue };
        let end = begin + ID_LENGTH;
        if let Some((_, ids)) = records.last_mut().filter(|(record, _)| record.id == id) {
            ids.end = end;
        } else {
            let record = Record { id, is_surely_hit: false, is_perhaps_hit: false };
            records.push((record, begin..end));
        }
    }
    records
}

/// Spoils the files beside the segments, which the server can do without.
pub(super) fn spoil_others(data: &Path, random: &mut Random) -> Result<(), Failure> {
    for file in ["spool/watermark", "keys.json", "address", "spool/watermark.new", "keys.new"] {
        let path = data.join(file);
        match random.below(8) {
            0 => std::fs::write(path, b"")?,
            1 => {
                let bytes: Vec<u8> = (0..random.below(100)).map(|_| random.next() as u8).collect();
                std::fs::write(path, bytes)?;
            }
            2 if path.exists() => std::fs::remove_file(path)?,
            _ => {}
        }
    }
    Ok(())
}
