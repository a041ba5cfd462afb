//! One process at a time on a SQLite file.
//!
//! SQLite itself lets several processes in. Each of ours believes what it remembers of the store, which
//! nobody else writes then.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::connect::Location;
use crate::file_lock::FileLock;

/// Another process has the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database {} is in use by another process: stop that one first, or let several servers share \
     one on PostgreSQL (--database postgres://USER@HOST/NAME)",
    .0.display()
)]
pub struct InUse(PathBuf);

/// That nobody else has the file.
#[derive(Debug)]
pub(super) struct Alone {
    /// The file; `None` where several processes may share the database.
    path: Option<PathBuf>,
    held: Mutex<Option<FileLock>>,
}

impl Alone {
    pub(super) fn of(location: &Location) -> Self {
        let path = match location {
            Location::Sqlite(path) => Some(path.clone()),
            Location::Postgres(_) => None,
        };
        Self { path, held: Mutex::default() }
    }

    /// Takes the file, if it can be taken; again and again is as good as once.
    pub(super) fn claim(&self) -> Result<(), InUse> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        // By whatever name it is called.
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        // A folder that is not there or cannot be written to has no database that is written to.
        let Ok(file) = lock_file(&path) else { return Ok(()) };
        match FileLock::take(file) {
            Ok(Some(lock)) => {
                *held = Some(lock);
                Ok(())
            }
            Ok(None) => Err(InUse(path)),
            Err(cause) => {
                tracing::warn!(%cause, "nobody can tell whether another process has the database");
                Ok(())
            }
        }
    }

    /// Gives the file back.
    pub(super) fn release(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A file beside the database: closing any handle of the database itself would take SQLite's own locks
/// away.
fn lock_file(path: &Path) -> std::io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).open(PathBuf::from(name))
}
