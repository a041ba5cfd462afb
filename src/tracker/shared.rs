//! A connection to a tracker, shared by all that use it, and what is known of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::asana;
use super::line::Line;

/// A connection.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) line: Line,
    /// What was learned of Asana, if it is that.
    memory: Mutex<asana::Memory>,
}

impl Shared {
    pub(super) fn new(line: Line) -> Self {
        Self { line, memory: Mutex::default() }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, asana::Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
