//! The board of locks of an environment: each open task that somebody made there by hand is a lock.

use std::time::Duration;

use tokio::time::timeout;

use super::connections::Trackers;
use super::{Connect as _, Tracker, TrackerError};
use crate::clock::Clock;
use crate::domain::effect::Subject;
use crate::domain::id::ProjectItemId;
use crate::domain::project::Project;
use crate::domain::task::{By, Meaning};
use crate::domain::tracker::Board;
use crate::release::locks;
use crate::store::{Store, StoreError};

/// Who asks the gate waits so long for the tracker.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// What was known so long ago serves while the tracker does not answer.
const MOST_AGE: Duration = Duration::from_mins(1);

/// Locks an environment for each of these tasks that is on its board, open, made by hand, and no lock
/// yet.
///
/// # Errors
/// [`TrackerError`].
pub async fn adopt<T: Tracker + Sync>(
    (store, clock): (&Store, &Clock),
    project: &Project,
    (tracker, board): (&T, &Board),
    ids: &[String],
) -> Result<(), TrackerError> {
    let Some(environment) = board.locked() else { return Ok(()) };
    let place = tracker.place();
    let unknown = store.read().await?.list_unknown_tasks((project.id, &place), ids).await?;
    for id in unknown {
        let seen = match tracker.read(&id).await {
            Err(TrackerError::Gone) => continue,
            seen => seen?,
        };
        let is_there = seen.boards.as_ref().is_none_or(|boards| boards.contains(board));
        // What Airlock makes is known soon.
        if !is_there || seen.is_done || seen.author == Some(By::Airlock) {
            continue;
        }
        let mut tx = store.write().await?;
        let (of, from) = ((project.id, environment), (tracker.kind(), place.as_str()));
        let adopted = locks::adopt(&mut tx, clock, of, from, (&id, &seen)).await?;
        tx.commit().await?;
        if let Some(lock) = adopted {
            let by = &lock.owner;
            tracing::info!(project = project.slug, environment, by, "a task locks an environment");
        }
    }
    Ok(())
}

/// Those open tasks on a board that are known, lock nothing yet, and are to: somebody put them there, or
/// opened them again, and it is not done yet.
async fn list_new<T: Tracker + Sync>(
    (store, clock): (&Store, &Clock),
    project: &Project,
    (tracker, environment): (&T, &str),
    ids: &[String],
) -> Result<Vec<String>, TrackerError> {
    let mut found = Vec::new();
    {
        let (mut tx, id) = (store.read().await?, project.id);
        for subject in tx.list_task_subjects((id, &tracker.place()), ids, false).await? {
            let lock = match subject {
                Subject::Issue(issue) => tx.find_lock_by_issue(id, environment, issue).await?,
                Subject::Lock(lock) => {
                    tx.find_lock(ProjectItemId { project: id, id: lock }).await?
                }
                Subject::Deploy(_) | Subject::Storm => None,
            };
            if !lock.is_some_and(|lock| lock.is_active(clock.now())) {
                found.extend(tx.find_task(id, subject).await?);
            }
        }
    }
    let mut new = Vec::new();
    for task in found {
        let (Some(remote), Some(written)) = (task.remote, task.written) else { continue };
        let seen = tracker.read(&remote.id).await?;
        let is_lock = match task.subject {
            Subject::Lock(_) => true,
            Subject::Issue(_) | Subject::Deploy(_) | Subject::Storm => false,
        };
        // What Airlock itself has released is still there for a moment.
        let is_to = |meaning: &Meaning| match meaning {
            Meaning::Lock(name) => name == environment,
            Meaning::Reopen => is_lock,
            Meaning::Resolve | Meaning::Assign(_) | Meaning::Fix(_) | Meaning::Unlock(_) => false,
        };
        if written.meant(&seen).iter().any(|(_, meaning)| is_to(meaning)) {
            new.push(remote.id);
        }
    }
    Ok(new)
}

/// Reads what locks an environment in the tracker of its project, as it is now; says why that is not
/// known, if it is not.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn read(
    trackers: &Trackers,
    (store, clock): (&Store, &Clock),
    project: &Project,
    environment: &str,
) -> Result<Option<String>, StoreError> {
    let board = Board::Locks(environment.to_owned());
    let tracker = trackers.connect(project).await?;
    if tracker.rhythm().is_none() || !tracker.has_board(&board) {
        return Ok(None);
    }
    let listed = async {
        let ids = tracker.list_open(&board).await?;
        adopt((store, clock), project, (&tracker, &board), &ids).await?;
        let new = list_new((store, clock), project, (&tracker, environment), &ids).await?;
        if new.is_empty() {
            return Ok::<_, TrackerError>(None);
        }
        let mut tx = store.write().await?;
        tx.hint_tasks((project.id, &tracker.place()), &new, false, clock.now()).await?;
        tx.commit().await?;
        Ok(Some(format!("somebody locks {environment} in {} right now", tracker.kind())))
    };
    let cause = match timeout(MOST_WAIT, listed).await {
        Ok(Ok(reason)) => return Ok(reason),
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => "it does not answer in time".to_owned(),
    };
    let times = store.read().await?.find_poll_times(project.id).await?;
    let known_at = times.and_then(|times| times.polled_at);
    if known_at.is_some_and(|at| clock.now().since(at) <= MOST_AGE) {
        return Ok(None);
    }
    let kind = tracker.kind();
    Ok(Some(format!("the tasks that lock {environment} in {kind} cannot be listed: {cause}")))
}
