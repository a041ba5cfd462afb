//! The file that says up to where the spool is done.
//!
//! It is replaced by rename, without a sync: when it is lost or damaged the oldest segment is
//! handed out again, and replaying changes nothing.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::record::Fields;

const NAME: &str = "watermark";
const NEW_NAME: &str = "watermark.new";
const MAGIC: [u8; 8] = *b"AIRWATER";

/// The number up to which everything is acknowledged; `None` when the file is missing or damaged.
pub(super) fn read(dir: &Path) -> io::Result<Option<u64>> {
    let bytes = match std::fs::read(dir.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let seq = decode(&bytes);
    if seq.is_none() {
        tracing::warn!(
            dir = %dir.display(),
            "the spool's watermark is damaged: the oldest segment is handed out again"
        );
    }
    Ok(seq)
}

/// Replaces the file; `is_synced` also waits until its bytes are on disk.
pub(super) fn write(dir: &Path, seq: u64, is_synced: bool) -> io::Result<()> {
    let new = dir.join(NEW_NAME);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&encode(seq))?;
    if is_synced {
        file.sync_data()?;
    }
    std::fs::rename(&new, dir.join(NAME))
}

fn encode(seq: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&seq.to_le_bytes());
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let mut fields = Fields(bytes);
    let magic = fields.take::<8>()?;
    let seq = fields.u64()?;
    let sum = fields.u32()?;
    let is_sound = magic == MAGIC && fields.0.is_empty() && sum == crc32c::crc32c(bytes.get(..16)?);
    is_sound.then_some(seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_is_noticed() {
        let sound = encode(0x0102_0304_0506_0708);
        assert_eq!(decode(&sound), Some(0x0102_0304_0506_0708));
        for n in 0..sound.len() {
            assert_eq!(decode(&sound[..n]), None, "cut to {n}");
            let mut flipped = sound.clone();
            flipped[n] ^= 1;
            assert_eq!(decode(&flipped), None, "flipped at {n}");
        }
    }

    #[test]
    fn a_missing_file_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        write(dir.path(), 7, true).unwrap();
        write(dir.path(), 8, false).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(8));
    }
}
