//! What a part of the program says of itself, for `/status.json`.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::domain::time::Timestamp;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartState {
    /// It does what it is for.
    Ok,
    /// It does, but something was lost, is slow or is retried.
    Degraded,
    /// It does not.
    Down,
}

/// A part's word on itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHealth {
    /// How it is.
    pub state: PartState,
    /// Since when.
    pub since: Timestamp,
    /// The last thing that went wrong, if anything ever did.
    pub last_error: Option<String>,
}

/// The shared word of one part.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<PartHealth>>);

impl Health {
    /// A part that is well from `now` on.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let health = PartHealth { state: PartState::Ok, since: now, last_error: None };
        Self(Arc::new(Mutex::new(health)))
    }

    /// The part is well again, or still.
    pub fn ok(&self, now: Timestamp) {
        self.set(PartState::Ok, None, now);
    }

    /// The part is not well.
    pub fn failed(&self, state: PartState, error: impl ToString, now: Timestamp) {
        self.set(state, Some(error.to_string()), now);
    }

    fn set(&self, state: PartState, error: Option<String>, now: Timestamp) {
        let mut health = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if health.state != state {
            health.state = state;
            health.since = now;
        }
        if error.is_some() {
            health.last_error = error;
        }
    }

    /// What the part says now.
    #[must_use]
    pub fn get(&self) -> PartHealth {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
