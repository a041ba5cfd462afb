//! Whether the spool can write.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether the spool can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// The last write succeeded.
    #[default]
    Ok,
    /// The last write failed; the next one goes to a new segment.
    Degraded,
    /// That failed too, or the spool is closed: nothing is admitted until a new segment could be
    /// begun.
    Down,
}

/// The state and its reason.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: State,
    last_error: Option<String>,
    is_closed: bool,
}

impl Health {
    pub(super) fn state(&self) -> State {
        self.lock().state
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// A write failed.
    pub(super) fn failed(&self, error: &std::io::Error) {
        let mut inner = self.lock();
        inner.state = match inner.state {
            State::Ok => State::Degraded,
            State::Degraded | State::Down => State::Down,
        };
        let error = error.to_string();
        if inner.last_error.as_ref() != Some(&error) {
            tracing::error!(%error, "the spool cannot write");
            inner.last_error = Some(error);
        }
    }

    /// A new segment could be begun: the next write may be tried.
    pub(super) fn probed(&self) {
        let mut inner = self.lock();
        if !inner.is_closed && inner.state == State::Down {
            inner.state = State::Degraded;
        }
    }

    /// A write succeeded.
    pub(super) fn succeeded(&self) {
        let mut inner = self.lock();
        if !inner.is_closed && inner.state != State::Ok {
            tracing::info!("the spool writes again");
            inner.state = State::Ok;
            inner.last_error = None;
        }
    }

    /// The writer has ended.
    pub(super) fn closed(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.state = State::Down;
        inner.last_error.get_or_insert_with(|| "the spool is closed".to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
