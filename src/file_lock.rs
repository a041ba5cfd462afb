//! A lock on a file, against other processes.

use std::fs::{File, TryLockError};
use std::io;

/// Held until it is dropped, at the latest until the process ends.
///
/// A process that is just being started shares all open files of its parent for a moment, and a lock
/// lives as long as its file is open anywhere: closing it is not enough to give it back.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Locks the file; `None` if somebody else has it.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn take(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }

    /// What a child keeps open that must hold the lock too, should this process die before it.
    ///
    /// # Errors
    /// What the system says of the file.
    pub fn for_child(&self) -> io::Result<File> {
        self.0.try_clone()
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // What cannot be unlocked is when its last user closes it.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::FileLock;

    #[test]
    fn who_still_has_the_file_open_does_not_hold_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || std::fs::File::create(folder.path().join("lock")).expect("a file");
        let file = open();
        // As a process has it that is just being started.
        let inherited = file.try_clone().expect("a file");
        let lock = FileLock::take(file).expect("a lock");
        assert!(lock.is_some());
        assert!(FileLock::take(open()).expect("no error").is_none());
        drop(lock);
        assert!(FileLock::take(open()).expect("no error").is_some());
        drop(inherited);
    }
}
