//! What happens to issues is written down with what follows from it outside, in one transaction.
//!
//! *Invariant*: no change of an issue without its line in the activity and, if it has or is to have a
//! task, its effect in the outbox.

use crate::clock::Clock;
use crate::domain::effect::{Effect, Subject};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::lifecycle::Change;
use crate::store::activity::Activity;
use crate::store::outbox::NewEffect;
use crate::store::{StoreError, Tx};

/// A decision is made anew this often when somebody else changes the issue meanwhile.
pub const MOST_RACES: usize = 10;

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
    let now = clock.now();
    let effect = Effect::of(&change, actor);
    let planned = NewEffect { id: clock.id(), subject: Subject::Issue(issue), effect };
    tx.insert_effects(project, &[planned], now).await?;
    let activity = Activity { id: clock.id(), at: now, actor: actor.to_owned(), change };
    tx.insert_activity(project, &[(issue, activity)]).await
}
