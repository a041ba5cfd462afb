//! What is in the spool, kept in memory: which segments there are, how far they are durable, and
//! up to where everything is acknowledged.
//!
//! *Invariant*: it names only what is on disk. The writer tells it of a batch after the sync, and
//! the reader reads nothing that it does not name.

use std::collections::VecDeque;

use super::record::SEGMENT_HEADER;
use super::segment::Name;
use crate::domain::time::Timestamp;

/// Ages are kept for records at least this far apart.
const MARK_EVERY_US: u64 = 1_000_000;

/// The durable part of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub name: Name,
    /// The number after its last record.
    pub end_seq: u64,
    /// Its bytes, with the header.
    pub bytes: u64,
    /// Whether the writer may still append to it.
    pub is_active: bool,
}

/// A place in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The segment's first number.
    pub segment: u64,
    /// The offset in its file.
    pub offset: u64,
}

/// What is in the spool.
#[derive(Debug)]
pub(super) struct Ledger {
    /// In order of their numbers; only the last one can be active.
    extents: VecDeque<Extent>,
    /// The number of the next record.
    next_seq: u64,
    /// Everything up to here is acknowledged.
    acked_seq: u64,
    /// Where the bytes of what is acknowledged end.
    acked_place: Place,
    /// When records came, in order of their numbers.
    marks: VecDeque<(u64, Timestamp)>,
}

impl Ledger {
    pub(super) fn new(
        extents: VecDeque<Extent>,
        next_seq: u64,
        acked_seq: u64,
        marks: VecDeque<(u64, Timestamp)>,
    ) -> Self {
        let acked_place = Place::default();
        let mut ledger = Self { extents, next_seq, acked_seq, acked_place, marks };
        ledger.forget_marks();
        ledger
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(super) fn acked_seq(&self) -> u64 {
        self.acked_seq
    }

    pub(super) fn acked_place(&self) -> Place {
        self.acked_place
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.bytes).sum()
    }

    /// Records not acknowledged.
    pub(super) fn backlog_records(&self) -> u64 {
        self.next_seq.saturating_sub(self.acked_seq.saturating_add(1))
    }

    /// Bytes of records not acknowledged.
    pub(super) fn backlog_bytes(&self) -> u64 {
        let waiting = self.extents.iter().filter(|extent| extent.end_seq > self.acked_seq + 1);
        waiting
            .map(|extent| {
                let is_begun = extent.name.first_seq == self.acked_place.segment;
                let done = if is_begun { self.acked_place.offset } else { SEGMENT_HEADER };
                extent.bytes.saturating_sub(done)
            })
            .sum()
    }

    /// About when the oldest record that is not acknowledged came: never later than it did, and
    /// after a restart at worst when its segment began.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.marks.front().filter(|_| self.backlog_records() > 0).map(|mark| mark.1)
    }

    /// The segment with record `seq`, or else the first one after it.
    pub(super) fn find_extent(&self, seq: u64) -> Option<Extent> {
        let at = self.extents.partition_point(|extent| extent.end_seq <= seq);
        self.extents.get(at).copied()
    }

    /// A batch of `n_records` is durable; its segment now has `bytes`.
    pub(super) fn append(&mut self, name: Name, bytes: u64, n_records: u64, at: Timestamp) {
        let is_far =
            |mark: &(u64, Timestamp)| mark.1.as_micros().abs_diff(at.as_micros()) >= MARK_EVERY_US;
        if self.backlog_records() == 0 {
            self.marks.clear();
        }
        if self.marks.back().is_none_or(is_far) {
            self.marks.push_back((self.next_seq, at));
        }
        self.next_seq += n_records;
        let end_seq = self.next_seq;
        match self.extents.back_mut() {
            Some(extent) if extent.name == name => {
                extent.end_seq = end_seq;
                extent.bytes = bytes;
            }
            _ => self.extents.push_back(Extent { name, end_seq, bytes, is_active: true }),
        }
    }

    /// The writer will not append to its segment any more.
    pub(super) fn close_active(&mut self) {
        if let Some(extent) = self.extents.back_mut() {
            extent.is_active = false;
        }
    }

    /// A record was read: its time is known exactly.
    pub(super) fn note_read(&mut self, seq: u64, at: Timestamp) {
        if seq == self.acked_seq + 1
            && let Some(mark) = self.marks.front_mut()
        {
            *mark = (seq, at);
        }
    }

    /// Everything up to `seq`, whose bytes end at `place`, is done.
    pub(super) fn ack(&mut self, seq: u64, place: Place) {
        if seq >= self.acked_seq {
            self.acked_seq = seq;
            self.acked_place = place;
            self.forget_marks();
        }
    }

    /// The oldest segment, when it is closed and all of it is acknowledged.
    pub(super) fn find_drained(&self) -> Option<Extent> {
        let front = self.extents.front().copied();
        front.filter(|extent| !extent.is_active && extent.end_seq <= self.acked_seq + 1)
    }

    /// The oldest segment's file is gone.
    pub(super) fn remove_drained(&mut self) {
        self.extents.pop_front();
    }

    fn forget_marks(&mut self) {
        let is_past = |mark: &(u64, Timestamp)| mark.0 <= self.acked_seq + 1;
        while self.marks.get(1).is_some_and(is_past) {
            self.marks.pop_front();
        }
    }
}
