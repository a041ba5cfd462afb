//! Where a team has its tasks.
//!
//! A tracker is somebody else's service: it is slow, it fails, and after some failures nobody knows
//! whether it did what it was asked. So each call here is one attempt, and its error says which of these
//! it is. Who calls sees to trying again.
//!
//! *Invariant*: nothing here decides what a task is to be; that is `domain::task`.
//!
//! To add one: implement [`Tracker`], and give it a variant of [`Connection`].

pub mod built_in;

use std::time::Duration;

use crate::domain::task::{Patch, Wanted};
use crate::store::task::Remote;
use built_in::BuiltIn;

/// Why a tracker did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrackerError {
    /// It did nothing: it was not reached, or asks to be left alone for a while.
    #[error("{cause}")]
    NotDone {
        /// Why.
        cause: String,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// Nobody knows whether it did it: the connection ended before the answer came.
    #[error("nobody knows whether it was done: {0}")]
    Ambiguous(String),
    /// It will not do it, however often it is asked.
    #[error("{0}")]
    Refused(String),
    /// There is no such task any more.
    #[error("the task is gone")]
    Gone,
}

/// Where tasks are kept.
pub trait Tracker {
    /// What its tasks are called by in the store and in the API.
    fn kind(&self) -> &'static str;

    /// Tasks that were made for a key, open or done, the oldest first.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn find(&self, key: &str) -> impl Future<Output = Result<Vec<Remote>, TrackerError>> + Send;

    /// Makes a task for a key. One attempt: whoever does not know how it ended looks for the key.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn create(
        &self,
        key: &str,
        wanted: &Wanted,
    ) -> impl Future<Output = Result<Remote, TrackerError>> + Send;

    /// Writes what is new of a task. The same again changes nothing.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn update(
        &self,
        id: &str,
        patch: &Patch,
    ) -> impl Future<Output = Result<(), TrackerError>> + Send;

    /// Whether something was said on a task under a key.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn has_said(
        &self,
        id: &str,
        key: &str,
    ) -> impl Future<Output = Result<bool, TrackerError>> + Send;

    /// Says something on a task, under a key by which it is found. One attempt.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn say(
        &self,
        id: &str,
        key: &str,
        text: &str,
    ) -> impl Future<Output = Result<(), TrackerError>> + Send;
}

/// The tracker of a project.
#[derive(Debug, Clone)]
pub enum Connection {
    /// The one that is part of Airlock.
    BuiltIn(BuiltIn),
}

impl Tracker for Connection {
    fn kind(&self) -> &'static str {
        match self {
            Self::BuiltIn(tracker) => tracker.kind(),
        }
    }

    async fn find(&self, key: &str) -> Result<Vec<Remote>, TrackerError> {
        match self {
            Self::BuiltIn(tracker) => tracker.find(key).await,
        }
    }

    async fn create(&self, key: &str, wanted: &Wanted) -> Result<Remote, TrackerError> {
        match self {
            Self::BuiltIn(tracker) => tracker.create(key, wanted).await,
        }
    }

    async fn update(&self, id: &str, patch: &Patch) -> Result<(), TrackerError> {
        match self {
            Self::BuiltIn(tracker) => tracker.update(id, patch).await,
        }
    }

    async fn has_said(&self, id: &str, key: &str) -> Result<bool, TrackerError> {
        match self {
            Self::BuiltIn(tracker) => tracker.has_said(id, key).await,
        }
    }

    async fn say(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        match self {
            Self::BuiltIn(tracker) => tracker.say(id, key, text).await,
        }
    }
}
