//! Locks that count again: what a deploy released, and the deploy proved nothing.

use crate::clock::Clock;
use crate::domain::fix::FixState;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::lifecycle::{ACTOR, Change, CurrentFix};
use crate::journal::note;
use crate::store::{StoreError, Tx};

/// What follows when an issue came back: its fix did not help, and its locks count again.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn came_back(
    tx: &mut Tx,
    clock: &Clock,
    (project, issue): (ProjectId, IssueId),
    fix: Option<CurrentFix>,
    rearms_locks: bool,
) -> Result<(), StoreError> {
    if let Some(fix) = fix.filter(|fix| fix.state == FixState::Failed) {
        tx.fix_failed(project, fix.id, clock.now()).await?;
    }
    if rearms_locks {
        return locks(tx, clock, project, issue, None).await;
    }
    tx.raise_gates_of(project, &[issue]).await
}

/// Makes the locks of an issue active again that deploys of its fixes released, on one environment
/// or on all. What a person released stays released.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn locks(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    issue: IssueId,
    environment: Option<&str>,
) -> Result<(), StoreError> {
    // Gates come before locks in every transaction.
    tx.raise_gates_of(project, &[issue]).await?;
    let all = tx.list_locks_of(project, issue).await?;
    let mut environments = Vec::new();
    for lock in &all {
        let is_meant = environment.is_none_or(|name| lock.environment == name);
        let by_deploy = lock.released.as_ref().is_some_and(|released| released.fix.is_some());
        let is_locked = all
            .iter()
            .any(|other| other.environment == lock.environment && other.released.is_none());
        if is_meant && by_deploy && !is_locked && !environments.contains(&lock.environment) {
            tx.rearm_lock(lock.id).await?;
            environments.push(lock.environment.clone());
        }
    }
    if environments.is_empty() {
        return Ok(());
    }
    note(tx, clock, project, issue, Change::LocksRearmed { environments }, ACTOR).await
}
