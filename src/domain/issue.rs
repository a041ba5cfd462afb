//! An issue: the group of events with one fingerprint, or several after a merge.

use super::event::Level;
use super::id::{IssueId, ProjectId, ShortId};
use super::lifecycle::State;
use super::time::Timestamp;

/// What is known of an issue at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its inner id.
    pub id: IssueId,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// What people call it.
    pub short_id: ShortId,
    /// What the error is called, after its latest event.
    pub title: String,
    /// Where it is, after its latest event.
    pub culprit: String,
    /// How bad the latest event was.
    pub level: Level,
    /// The runtime family.
    pub platform: String,
    /// False as soon as one event was not handled.
    pub handled: Option<bool>,
    /// Where it stands.
    pub state: State,
    /// Raised by every change of its state or place; a decision names the one it was made on.
    pub revision: i64,
    /// Every accepted report counts.
    pub n_events: u64,
    /// Those of them that its fix explains.
    pub n_suppressed: u64,
    /// Those of them for which nobody can tell yet.
    pub n_undetermined: u64,
    /// Different users, exact below 1,024.
    pub n_users: u64,
    /// When the first event happened.
    pub first_seen: Timestamp,
    /// When the last event happened.
    pub last_seen: Timestamp,
    /// The release of the first event.
    pub first_release: Option<String>,
    /// The release of the last event.
    pub last_release: Option<String>,
    /// Whose it is.
    pub assignee: Option<String>,
    /// The issue that took over its events.
    pub merged_into: Option<IssueId>,
    /// Since when its events are dropped.
    pub discarded_at: Option<Timestamp>,
    /// Since when it has, or is to have, a task.
    pub serious_at: Option<Timestamp>,
}

/// Whether events of two kinds were handled: not, as soon as one was not.
#[must_use]
pub fn handled_of_both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (one, other) => one.or(other),
    }
}
