//! What happens to issues is written down with what follows from it outside, in one transaction; of locks
//! and deploys only the latter.
//!
//! *Invariant*: no change of an issue without its line in the activity and, if it has or is to have a
//! task, its effect in the outbox.

use crate::clock::Clock;
use crate::domain::effect::{Demand, Effect, Subject};
use crate::domain::filing::Filing;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::lifecycle::Change;
use crate::domain::time::Timestamp;
use crate::store::activity::Activity;
use crate::store::outbox::NewEffect;
use crate::store::{StoreError, Tx};

/// A decision is made anew this often when somebody else changes the issue meanwhile.
pub const MOST_RACES: usize = 10;

/// Plans that the task of a lock or a deploy is looked at, and what is said on it.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn plan(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    subject: Subject,
    say: Option<String>,
) -> Result<(), StoreError> {
    let planned = NewEffect { id: clock.id(), subject, effect: Effect { say, demand: None } };
    tx.insert_effects(project, &[planned], clock.now()).await
}

/// Writes down a change of an issue, with what follows outside.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn note(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    issue: IssueId,
    change: Change,
    actor: &str,
) -> Result<(), StoreError> {
    let effect = Effect::of(&change, actor);
    write(tx, clock, (project, issue), (change, effect), actor).await
}

/// The same of what was done on the task, where nothing is said of it.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn note_untold(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    issue: IssueId,
    change: Change,
    actor: &str,
) -> Result<(), StoreError> {
    write(tx, clock, (project, issue), (change, Effect::default()), actor).await
}

async fn write(
    tx: &mut Tx,
    clock: &Clock,
    (project, issue): (ProjectId, IssueId),
    (change, effect): (Change, Effect),
    actor: &str,
) -> Result<(), StoreError> {
    let now = clock.now();
    let planned = NewEffect { id: clock.id(), subject: Subject::Issue(issue), effect };
    tx.insert_effects(project, &[planned], now).await?;
    let activity = Activity { id: clock.id(), at: now, actor: actor.to_owned(), change };
    tx.insert_activity(project, &[(issue, activity)]).await
}

/// An issue is serious from now on, if it was not before: it becomes a task.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn note_serious(
    tx: &mut Tx,
    clock: &Clock,
    (project, issue): (ProjectId, IssueId),
    reason: String,
    actor: &str,
) -> Result<(), StoreError> {
    if tx.set_serious(project, &[issue], clock.now()).await?.is_empty() {
        return Ok(());
    }
    note(tx, clock, project, issue, Change::BecameSerious { reason }, actor).await
}

/// Somebody wants a task of a serious issue, however many new ones there are.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn demand_task(
    tx: &mut Tx,
    clock: &Clock,
    (project, issue): (ProjectId, IssueId),
) -> Result<(), StoreError> {
    let effect = Effect { say: None, demand: Some(Demand::Now) };
    let planned = NewEffect { id: clock.id(), subject: Subject::Issue(issue), effect };
    tx.insert_effects(project, &[planned], clock.now()).await
}

/// What makes an issue serious, once it is known how often it happened around the occurrences from one
/// time to another.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn reached(
    tx: &mut Tx,
    (project, issue): (ProjectId, IssueId),
    filing: Filing,
    times: (Timestamp, Timestamp),
) -> Result<Option<String>, StoreError> {
    match filing {
        Filing::No => Ok(None),
        Filing::Serious(why) => Ok(Some(why)),
        Filing::Asks(windows) => {
            for window in windows {
                let seen = tx.list_seen(project, issue, &window, times).await?;
                if window.is_reached(seen) {
                    return Ok(Some(window.reason));
                }
            }
            Ok(None)
        }
    }
}
