//! Where a team has its tasks.
//!
//! A tracker is somebody else's service: it is slow, it fails, and after some failures nobody knows
//! whether it did what it was asked. So each call here is one attempt, and its error says which of these
//! it is. Who calls sees to trying again.
//!
//! *Invariant*: nothing here decides what a task is to be; that is `domain::task`.
//!
//! To add one: implement [`Tracker`], and give it a variant of [`Connection`] and of
//! [`TrackerSettings`](crate::domain::tracker::TrackerSettings).

mod answer;
pub mod asana;
pub mod built_in;
pub mod connections;
pub mod github;
mod hooks;
mod line;
pub mod lock_list;
mod plain;
pub mod redmine;
mod shared;
mod since;

use std::time::Duration;

use crate::domain::project::Project;
use crate::domain::task::{Patch, Seen, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::tracker::{Board, ConnectionId};
use crate::store::StoreError;
use crate::store::task::Remote;
use asana::Asana;
use built_in::BuiltIn;
use github::GitHub;
use redmine::Redmine;

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
    /// It was not asked: it rests, or would be asked more than it allows. That is nobody's failure.
    #[error("it is not asked for a while: {cause}")]
    Later {
        /// Why.
        cause: String,
        /// How long.
        after: Duration,
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

impl TrackerError {
    /// Whether it is only to wait.
    #[must_use]
    pub fn is_wait(&self) -> bool {
        match self {
            Self::Later { .. } => true,
            Self::NotDone { .. } | Self::Ambiguous(_) | Self::Refused(_) | Self::Gone => false,
        }
    }

    /// Whether the same again would be refused again.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Gone => true,
            Self::NotDone { .. } | Self::Later { .. } | Self::Ambiguous(_) => false,
        }
    }
}

/// How often a tracker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// What is new.
    pub poll: Duration,
    /// For everything.
    pub reconcile: Duration,
}

impl Rhythm {
    fn of(poll_seconds: u32, reconcile_seconds: u32) -> Self {
        let [poll, reconcile] =
            [poll_seconds, reconcile_seconds].map(|n| Duration::from_secs(n.into()));
        Self { poll, reconcile }
    }
}

/// What happened on a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Tasks on which something happened.
    pub ids: Vec<String>,
    /// Where the next look goes on.
    pub cursor: String,
    /// Whether more may have happened than it says: all is to be looked through.
    pub is_resync: bool,
}

/// What a tracker cannot tell.
fn untold<T>() -> Result<T, TrackerError> {
    Err(TrackerError::Refused("the tracker cannot tell".to_owned()))
}

/// Where tasks are kept.
pub trait Tracker {
    /// What its tasks are called by in the store and in the API.
    fn kind(&self) -> &'static str;

    /// Where what it calls its tasks means something.
    fn place(&self) -> String;

    /// How long it is not to be asked anything, if that is so.
    fn rests(&self) -> Option<Duration>;

    /// What it keeps limits for, if it has any: all that use it share them.
    fn connection(&self) -> Option<ConnectionId>;

    /// Whether there is such a board.
    fn has_board(&self, board: &Board) -> bool;

    /// How often it is asked what people did; `None` where that is said without.
    fn rhythm(&self) -> Option<Rhythm> {
        None
    }

    /// A task as it is, with what was done on it.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn read(&self, _: &str) -> impl Future<Output = Result<Seen, TrackerError>> + Send {
        async { untold() }
    }

    /// What happened on a board since a look, but for what Airlock did; the first look has no cursor.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn changes(
        &self,
        _: &Board,
        _: Option<&str>,
    ) -> impl Future<Output = Result<Changes, TrackerError>> + Send {
        async { untold() }
    }

    /// All tasks of a board that are open.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn list_open(
        &self,
        _: &Board,
    ) -> impl Future<Output = Result<Vec<String>, TrackerError>> + Send {
        async { untold() }
    }

    /// All tasks of a board that changed at this time or later.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn list_changed(
        &self,
        _: &Board,
        _: Timestamp,
    ) -> impl Future<Output = Result<Vec<String>, TrackerError>> + Send {
        async { untold() }
    }

    /// Tasks that were made for a key on a board, at this time or later, open or done, the oldest first.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn find(
        &self,
        board: &Board,
        key: &str,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<Remote>, TrackerError>> + Send;

    /// Makes a task for a key on a board. One attempt: whoever does not know how it ended looks for the
    /// key.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn create(
        &self,
        board: &Board,
        key: &str,
        wanted: &Wanted,
    ) -> impl Future<Output = Result<Remote, TrackerError>> + Send;

    /// Writes what is new of a task that was made for a key. The same again changes nothing.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn update(
        &self,
        id: &str,
        key: &str,
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

    /// Also puts a task on a board, or takes it off. The same again changes nothing.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn set_board(
        &self,
        id: &str,
        board: &Board,
        is_on: bool,
    ) -> impl Future<Output = Result<(), TrackerError>> + Send;

    /// Attaches a file to a task under a key, unless one of its name is there.
    ///
    /// # Errors
    /// [`TrackerError`].
    fn attach(
        &self,
        id: &str,
        file: (&str, &str),
        bytes: &[u8],
    ) -> impl Future<Output = Result<(), TrackerError>> + Send;
}

/// Whoever knows the trackers of projects.
pub trait Connect: Sync {
    /// Of this kind.
    type Tracker: Tracker + Send + Sync;

    /// The tracker of a project as it is set now.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    fn connect(
        &self,
        project: &Project,
    ) -> impl Future<Output = Result<Self::Tracker, StoreError>> + Send;
}

/// The tracker of a project.
#[derive(Debug, Clone)]
pub enum Connection {
    /// The one that is part of Airlock.
    BuiltIn(BuiltIn),
    /// Asana.
    Asana(Asana),
    /// Redmine.
    Redmine(Redmine),
    /// GitHub.
    GitHub(GitHub),
}

/// The same of each tracker.
macro_rules! each {
    ($connection:expr, $tracker:ident => $call:expr) => {
        match $connection {
            Connection::BuiltIn($tracker) => $call,
            Connection::Asana($tracker) => $call,
            Connection::Redmine($tracker) => $call,
            Connection::GitHub($tracker) => $call,
        }
    };
}

impl Tracker for Connection {
    fn kind(&self) -> &'static str {
        each!(self, tracker => tracker.kind())
    }

    fn place(&self) -> String {
        each!(self, tracker => tracker.place())
    }

    fn rests(&self) -> Option<Duration> {
        each!(self, tracker => tracker.rests())
    }

    fn connection(&self) -> Option<ConnectionId> {
        each!(self, tracker => tracker.connection())
    }

    fn has_board(&self, board: &Board) -> bool {
        each!(self, tracker => tracker.has_board(board))
    }

    fn rhythm(&self) -> Option<Rhythm> {
        each!(self, tracker => tracker.rhythm())
    }

    async fn read(&self, id: &str) -> Result<Seen, TrackerError> {
        each!(self, tracker => tracker.read(id).await)
    }

    async fn changes(&self, board: &Board, cursor: Option<&str>) -> Result<Changes, TrackerError> {
        each!(self, tracker => tracker.changes(board, cursor).await)
    }

    async fn list_open(&self, board: &Board) -> Result<Vec<String>, TrackerError> {
        each!(self, tracker => tracker.list_open(board).await)
    }

    async fn list_changed(
        &self,
        board: &Board,
        since: Timestamp,
    ) -> Result<Vec<String>, TrackerError> {
        each!(self, tracker => tracker.list_changed(board, since).await)
    }

    async fn find(
        &self,
        board: &Board,
        key: &str,
        since: Timestamp,
    ) -> Result<Vec<Remote>, TrackerError> {
        each!(self, tracker => tracker.find(board, key, since).await)
    }

    async fn create(
        &self,
        board: &Board,
        key: &str,
        wanted: &Wanted,
    ) -> Result<Remote, TrackerError> {
        each!(self, tracker => tracker.create(board, key, wanted).await)
    }

    async fn update(&self, id: &str, key: &str, patch: &Patch) -> Result<(), TrackerError> {
        each!(self, tracker => tracker.update(id, key, patch).await)
    }

    async fn has_said(&self, id: &str, key: &str) -> Result<bool, TrackerError> {
        each!(self, tracker => tracker.has_said(id, key).await)
    }

    async fn say(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        each!(self, tracker => tracker.say(id, key, text).await)
    }

    async fn set_board(&self, id: &str, board: &Board, is_on: bool) -> Result<(), TrackerError> {
        each!(self, tracker => tracker.set_board(id, board, is_on).await)
    }

    async fn attach(&self, id: &str, file: (&str, &str), bytes: &[u8]) -> Result<(), TrackerError> {
        each!(self, tracker => tracker.attach(id, file, bytes).await)
    }
}
