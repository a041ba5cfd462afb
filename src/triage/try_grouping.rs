//! What other grouping rules would make of the events that are stored, before they are saved.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::event::Event;
use crate::domain::fingerprint::settings::{GroupingRules, InvalidGrouping};
use crate::domain::fingerprint::{Grouping, Hash, fingerprint};
use crate::domain::id::IssueId;
use crate::domain::project::Project;
use crate::store::{Store, StoreError};

/// Events that are looked at, at most.
pub const MOST_EVENTS: i64 = 2_000;

/// Why rules could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TryError {
    /// They make no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidGrouping),
    /// The store has no events to show.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What would be different.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tried {
    /// Events that were looked at.
    pub n_events: usize,
    /// Issues they belong to.
    pub n_issues: usize,
    /// Fingerprints they would have.
    pub n_fingerprints: usize,
    /// Issues that would share a fingerprint, by number.
    pub would_merge: BTreeSet<BTreeSet<i64>>,
    /// Issues whose events would have more fingerprints than now, by number; how many now and then.
    pub would_split: BTreeMap<i64, (usize, usize)>,
}

/// Groups the latest events of a project whose bodies are kept, by the rules of now and by others.
///
/// # Errors
/// [`TryError`].
///
/// # Panics
/// When grouping does, which is a defect.
pub async fn try_grouping(
    store: &Store,
    project: &Project,
    (now, then): (GroupingRules, GroupingRules),
    n_events: i64,
) -> Result<Tried, TryError> {
    let mut tx = store.read().await?;
    let stored = tx.list_latest_bodies(project.id, n_events.min(MOST_EVENTS)).await?;
    let mut events: Vec<(IssueId, Event)> = Vec::new();
    let decoded = tx.decode(project.id, &stored).await?;
    for (stored, decoded) in stored.iter().zip(decoded) {
        events.extend(decoded.into_event().map(|event| (stored.issue_id, event)));
    }
    let issues: BTreeSet<IssueId> = events.iter().map(|(issue, _)| *issue).collect();
    let issues: Vec<IssueId> = issues.into_iter().collect();
    let numbers = tx.list_numbers_of(project.id, &issues).await?;
    drop(tx);
    let work = move || {
        let (now, then) = (now.groupings()?.current, then.groupings()?.current);
        Ok(compare(&events, &numbers, &now, &then))
    };
    let tried = tokio::task::spawn_blocking(work).await;
    tried.expect("grouping does not panic, and the runtime runs as long as its requests")
}

fn compare(
    events: &[(IssueId, Event)],
    numbers: &BTreeMap<IssueId, i64>,
    now: &Grouping,
    then: &Grouping,
) -> Tried {
    let mut issues_of: BTreeMap<Hash, BTreeSet<i64>> = BTreeMap::new();
    let mut hashes_of: BTreeMap<i64, (BTreeSet<Hash>, BTreeSet<Hash>)> = BTreeMap::new();
    for (issue, event) in events {
        let Some(number) = numbers.get(issue).copied() else { continue };
        let after = fingerprint(event, then).hash;
        issues_of.entry(after).or_default().insert(number);
        let of_issue = hashes_of.entry(number).or_default();
        of_issue.0.insert(fingerprint(event, now).hash);
        of_issue.1.insert(after);
    }
    Tried {
        n_events: events.len(),
        n_issues: hashes_of.len(),
        n_fingerprints: issues_of.len(),
        would_merge: issues_of.into_values().filter(|issues| issues.len() > 1).collect(),
        would_split: hashes_of
            .into_iter()
            .map(|(number, (before, after))| (number, (before.len(), after.len())))
            .filter(|(_, (before, after))| after > before)
            .collect(),
    }
}
