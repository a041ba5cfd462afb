//! Taking up a folder as the last process left it.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use bytes::BytesMut;

use super::error::OpenError;
use super::ledger::{Extent, Ledger};
use super::record::SEGMENT_HEADER;
use super::segment::Name;
use super::walk::{Beginning, OnReadError, Step, Stretch, Walk};
use super::{segment, walk, watermark};
use crate::file_lock::FileLock;

const LOCK_NAME: &str = "lock";

/// Makes the folder where it is missing, and locks it against other processes for as long as the
/// lock is kept.
pub(super) fn lock(dir: &Path) -> Result<FileLock, OpenError> {
    let failed = |source| OpenError::Io { path: dir.to_owned(), source };
    if !dir.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            segment::sync_dir(parent).map_err(failed)?;
        }
    }
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(dir.join(LOCK_NAME)).map_err(failed)?;
    let lock = FileLock::take(file).map_err(failed)?;
    lock.ok_or_else(|| OpenError::InUse { dir: dir.to_owned() })
}

/// Reads what is in the folder. Of the closed segments only the beginnings are looked at; the last
/// one is read whole, to find its end.
pub(super) fn recover(dir: &Path) -> Result<Ledger, OpenError> {
    let failed = |source| OpenError::Io { path: dir.to_owned(), source };
    let stored_mark = watermark::read(dir).map_err(failed)?;
    let mut found = list(dir)?;
    let mut next_seq = stored_mark.unwrap_or(0).saturating_add(1);
    if let Some(last) = found.pop() {
        let (name, beginning) = last;
        next_seq = next_seq.max(name.first_seq);
        if let Some(end_seq) = recover_last(dir, name, beginning).map_err(failed)? {
            next_seq = next_seq.max(end_seq);
            found.push(last);
        }
    }

    let mut extents = VecDeque::new();
    let mut marks = VecDeque::new();
    let mut following = found.iter().skip(1).map(|(name, _)| name.first_seq);
    for (name, beginning) in &found {
        let path = name.path(dir);
        if let Some(version) = beginning.other_version {
            return Err(OpenError::OtherVersion { path, version });
        }
        let bytes = std::fs::metadata(&path).map_err(failed)?.len();
        let end_seq = following.next().unwrap_or(next_seq);
        extents.push_back(Extent { name: *name, end_seq, bytes, is_active: false });
        marks.extend(beginning.first_at.map(|at| (name.first_seq, at)));
    }

    // What lies before the oldest segment was removed because it was done; without any, nothing waits.
    let oldest_seq = found.first().map_or(next_seq, |(name, _)| name.first_seq);
    let done_before = oldest_seq.saturating_sub(1);
    let acked_seq = stored_mark.unwrap_or(0).max(done_before);
    watermark::write(dir, acked_seq, true).map_err(failed)?;
    segment::sync_dir(dir).map_err(failed)?;
    Ok(Ledger::new(extents, next_seq, acked_seq, marks))
}

/// The segments in the folder, in order.
fn list(dir: &Path) -> Result<Vec<(Name, Beginning)>, OpenError> {
    let failed = |source| OpenError::Io { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(OsStr::to_str);
        if let Some(name) = name.and_then(Name::parse) {
            let beginning = walk::read_beginning(&path, name);
            found.push((name, beginning.map_err(|source| OpenError::Io { path, source })?));
        } else if name.is_some_and(segment::is_named_so) {
            return Err(OpenError::OtherName { path });
        }
    }
    found.sort_by_key(|(name, _)| name.first_seq);
    Ok(found)
}

/// Finds the end of the last segment and cuts off what a torn write left behind it; gives the
/// number after its last record, `None` when it has no record and was removed.
fn recover_last(dir: &Path, name: Name, beginning: Beginning) -> io::Result<Option<u64>> {
    let (path, first_seq) = (name.path(dir), name.first_seq);
    if beginning.other_version.is_some() {
        return Ok(Some(first_seq));
    }
    let length = std::fs::metadata(&path)?.len();
    let stretch =
        Stretch { offset: SEGMENT_HEADER, end: length, next_seq: first_seq, end_seq: u64::MAX };
    let mut sound_end = SEGMENT_HEADER;
    let mut end_seq = first_seq;
    if let Some(mut walk) = Walk::open(&path, name, stretch, OnReadError::Fail, BytesMut::new())? {
        while let Step::Record(..) = walk.step(u64::MAX)? {
            sound_end = walk.offset();
            end_seq = walk.next_seq();
        }
    }
    let torn_bytes = length.saturating_sub(sound_end);
    if torn_bytes > 0 {
        tracing::warn!(
            path = %path.display(),
            torn_bytes,
            "the end of the spool was torn, as by a crash while writing, and is cut off"
        );
    }
    if end_seq == first_seq {
        std::fs::remove_file(&path)?;
        return Ok(None);
    }
    if torn_bytes > 0 {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(sound_end)?;
        file.sync_all()?;
    }
    Ok(Some(end_seq))
}
