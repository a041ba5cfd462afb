//! The bytes of a record, and of the header of a segment.
//!
//! A segment is a header followed by records. All numbers are little-endian:
//!
//! ```text
//! segment header   magic 8 | version u32 | first sequence number u64 | crc32c u32
//! record           marker 8 | length u32 | sequence number u64 | at i64 (µs) | crc32c u32 | payload
//! ```
//!
//! Every version of the format keeps the header's layout, so that an older Airlock can tell a newer
//! segment from a damaged one.
//!
//! Each checksum covers everything before it, that of a record its payload too. The marker comes
//! from the segment's salt, which nobody outside ever sees: a payload cannot contain the beginning
//! of a record of its own segment, so a reader that lost its place finds the next true one. The
//! salt stands in the name of the file, where no damage to its bytes can take it away.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::domain::time::Timestamp;

/// Bytes of a record before its payload.
pub(super) const RECORD_HEADER: u64 = 32;

/// Bytes of a segment before its first record.
pub(super) const SEGMENT_HEADER: u64 = 24;

/// The longest payload of one record: with its header it fills 64 MiB.
pub const LONGEST_RECORD: u64 = 64 * 1024 * 1024 - RECORD_HEADER;

const MAGIC: [u8; 8] = *b"AIRSPOOL";

/// The version of the format that this build writes, and the only one it reads.
const VERSION: u32 = 1;

/// One record, as handed to the consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number; acknowledge with it.
    pub seq: u64,
    /// When it was appended, as the caller said.
    pub at: Timestamp,
    /// What was appended. Records that were read together share their memory.
    pub bytes: Bytes,
}

/// How many bytes a payload takes on disk.
pub(super) fn framed(payload: &[u8]) -> u64 {
    RECORD_HEADER.saturating_add(payload.len() as u64)
}

/// The beginning of every record of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker(pub(super) [u8; 8]);

impl Marker {
    /// The marker of the records of the segment with this salt.
    pub(super) fn new(salt: u64) -> Self {
        let salt = salt.to_le_bytes();
        Self(first_eight(&Sha256::new().chain_update(b"record").chain_update(salt).finalize()))
    }
}

/// The salt of the segment that begins with `first_seq`, drawn from `seed`, which must come from the
/// operating system's randomness.
pub(super) fn draw_salt(seed: u64, first_seq: u64) -> u64 {
    let digest = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(first_seq.to_le_bytes())
        .finalize();
    u64::from_le_bytes(first_eight(&digest))
}

/// The header of the segment that begins with `first_seq`.
pub(super) fn encode_header(first_seq: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&first_seq.to_le_bytes());
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// The format that the header at the beginning of `bytes` names, when this build does not know it. A
/// header that is torn or damaged names none, and nothing else in it is needed.
pub(super) fn other_version(bytes: &[u8]) -> Option<u32> {
    let mut fields = Fields(bytes);
    let magic = fields.take::<8>()?;
    let version = fields.u32()?;
    let _first_seq = fields.u64()?;
    let sum = fields.u32()?;
    let is_sound = magic == MAGIC && sum == crc32c::crc32c(bytes.get(..20)?);
    (is_sound && version != VERSION).then_some(version)
}

fn first_eight(digest: &[u8]) -> [u8; 8] {
    digest.first_chunk::<8>().copied().unwrap_or_default()
}

/// Appends one record to `out`.
pub(super) fn encode(out: &mut Vec<u8>, marker: Marker, seq: u64, at: Timestamp, payload: &[u8]) {
    let length =
        u32::try_from(payload.len()).expect("`append` refuses what exceeds LONGEST_RECORD");
    let start = out.len();
    out.extend_from_slice(&marker.0);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&at.as_micros().to_le_bytes());
    let head = out.get(start..).unwrap_or_default();
    let sum = sum(head, payload);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(payload);
}

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoded<'a> {
    /// A sound record.
    Record {
        /// Its sequence number.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// Its payload.
        payload: &'a [u8],
    },
    /// It may be one; telling takes this many bytes in all.
    Short(u64),
    /// No record.
    Bad,
}

/// Reads the record at the beginning of `bytes`.
pub(super) fn decode(marker: Marker, bytes: &[u8]) -> Decoded<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<28>() else {
        return Decoded::Short(RECORD_HEADER);
    };
    let Some((sum_bytes, rest)) = rest.split_first_chunk::<4>() else {
        return Decoded::Short(RECORD_HEADER);
    };
    let Some((length, seq, at)) = read_head(marker, head) else { return Decoded::Bad };
    let Some(payload) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Decoded::Short(RECORD_HEADER + length);
    };
    if u32::from_le_bytes(*sum_bytes) != sum(head, payload) {
        return Decoded::Bad;
    }
    Decoded::Record { seq, at, payload }
}

/// Length, sequence number and time of a record, unchecked save for marker and length.
pub(super) fn read_head(marker: Marker, head: &[u8]) -> Option<(u64, u64, Timestamp)> {
    let mut fields = Fields(head);
    if fields.take::<8>()? != marker.0 {
        return None;
    }
    let length = u64::from(fields.u32()?);
    let seq = fields.u64()?;
    let at = Timestamp::from_micros(i64::from_le_bytes(fields.take::<8>()?));
    (length <= LONGEST_RECORD).then_some((length, seq, at))
}

fn sum(head: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), payload)
}

/// Takes numbers off the front of some bytes.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
