//! Reasons not to deploy to an environment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fix::FixId;
use super::id::{IssueId, ProjectItemId, ShortId};
use super::time::Timestamp;

/// The longest reason, in characters.
pub const MOST_REASON_CHARS: usize = 2_000;

/// The longest key of a script's lock, in characters.
pub const MOST_KEY_CHARS: usize = 200;

/// The longest time a lock expires in.
pub const MOST_EXPIRY: Duration = Duration::from_hours(366 * 24);

/// An environment has at most this many active locks.
pub const MOST_LOCKS: u64 = 10_000;

/// What a lock is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An issue: it blocks until what is deployed has the issue's fix.
    Issue(IssueId),
    /// Whatever its owner says: it blocks until somebody releases it.
    Manual {
        /// What.
        reason: String,
        /// Who takes care of it.
        assignee: Option<String>,
        /// What a script finds it by.
        key: Option<String>,
        /// When it ends by itself.
        expires_at: Option<Timestamp>,
    },
}

/// A reason not to deploy to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Its id.
    pub id: ProjectItemId,
    /// What it locks.
    pub environment: String,
    /// What it is about.
    pub subject: Subject,
    /// Who made it.
    pub owner: String,
    /// When.
    pub created_at: Timestamp,
    /// That it is over.
    pub released: Option<Released>,
}

/// That a lock is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Since when.
    pub at: Timestamp,
    /// Who released it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The fix whose deploy released it: should that fail or be taken back, the lock is active again.
    pub fix: Option<FixId>,
}

impl Lock {
    /// Whether it blocks at `now`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.released.is_none() && self.expires_at().is_none_or(|at| at > now)
    }

    /// When it ends by itself.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match &self.subject {
            Subject::Issue(_) => None,
            Subject::Manual { expires_at, .. } => *expires_at,
        }
    }

    /// The issue it is about.
    #[must_use]
    pub fn issue(&self) -> Option<IssueId> {
        match &self.subject {
            Subject::Issue(issue) => Some(*issue),
            Subject::Manual { .. } => None,
        }
    }
}

/// Which locks of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockFilter {
    /// Those that block.
    #[default]
    Active,
    /// Those that are over.
    Released,
    /// Both.
    All,
}

/// Why a lock makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLock {
    /// Nobody can tell what to do about it.
    #[error("reason must have 1 to {MOST_REASON_CHARS} characters")]
    Reason,
    /// It would never be found again.
    #[error("key must have 1 to {MOST_KEY_CHARS} characters")]
    Key,
    /// It would be over at once, or never.
    #[error("expires_at must be in the future, and at most 366 days from now")]
    Expiry,
    /// Too many.
    #[error(
        "the environment has {MOST_LOCKS} active locks, which is the limit; release some first"
    )]
    TooMany,
    /// It is somebody else's issue.
    #[error("{0} is an issue of another project")]
    OtherProject(ShortId),
}

/// Checks what a person or script wants a lock for.
///
/// # Errors
/// [`InvalidLock`] names what is wrong.
pub fn check(subject: &Subject, now: Timestamp) -> Result<(), InvalidLock> {
    let Subject::Manual { reason, key, expires_at, .. } = subject else { return Ok(()) };
    let is_short = |text: &str, most| (1..=most).contains(&text.trim().chars().count());
    if !is_short(reason, MOST_REASON_CHARS) {
        return Err(InvalidLock::Reason);
    }
    if key.as_deref().is_some_and(|key| !is_short(key, MOST_KEY_CHARS)) {
        return Err(InvalidLock::Key);
    }
    if expires_at.is_some_and(|at| at <= now || at > now.plus(MOST_EXPIRY)) {
        return Err(InvalidLock::Expiry);
    }
    Ok(())
}
