//! A secret in a file that only its owner can read.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The secret in the file: the one that is there (a start that broke off left it), else `fresh`.
///
/// # Errors
/// When the file cannot be read or written.
pub fn read_or_write(path: &Path, fresh: &str) -> io::Result<String> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(mut file) => {
            writeln!(file, "{fresh}")?;
            file.sync_all()?;
            Ok(fresh.to_owned())
        }
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            let there = std::fs::read_to_string(path)?;
            let there = there.trim();
            if there.is_empty() {
                std::fs::remove_file(path)?;
                return read_or_write(path, fresh);
            }
            Ok(there.to_owned())
        }
        Err(cause) => Err(cause),
    }
}
