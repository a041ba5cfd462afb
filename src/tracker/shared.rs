//! A connection to a tracker, shared by all that use it, and what is known of it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::asana;
use super::line::Line;
use crate::domain::tracker::ConnectionId;

/// A connection.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: ConnectionId,
    pub(super) line: Line,
    /// What the tracker calls the user whose the token is, once that is known.
    pub(super) me: OnceLock<String>,
    /// What was learned of Asana, if it is that.
    memory: Mutex<asana::Memory>,
}

impl Shared {
    pub(super) fn new(id: ConnectionId, line: Line) -> Self {
        Self { id, line, me: OnceLock::new(), memory: Mutex::default() }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, asana::Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
