//! Locks of environments: made, refreshed, released.

use super::repositories::Repositories;
use crate::clock::Clock;
use crate::domain::effect::Subject as Effects;
use crate::domain::id::{IssueId, ProjectId, ProjectItemId, ShortId};
use crate::domain::issue::Issue;
use crate::domain::lifecycle::Change;
use crate::domain::lock::{
    InvalidLock, Lock, MOST_LOCKS, MOST_REASON_CHARS, Released, Subject, check,
};
use crate::domain::project::{Environment, Project};
use crate::domain::task::{By, Seen, Written};
use crate::domain::text::bounded;
use crate::journal::{note, note_serious, plan};
use crate::store::lock::LockComment;
use crate::store::task::{Remote, Task};
use crate::store::{StoreError, Tx};

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// What is wanted makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidLock),
    /// There is no such issue.
    #[error("there is no issue {0}")]
    NoIssue(ShortId),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Locks an environment for a person or a script; false when a lock of the same key is refreshed.
///
/// # Errors
/// [`LockError`].
pub async fn lock(
    repositories: &Repositories,
    project: &Project,
    environment: &Environment,
    subject: Subject,
    owner: &str,
) -> Result<(Lock, bool), LockError> {
    let now = repositories.now();
    check(&subject, now)?;
    let mut tx = repositories.store().write().await?;
    // Issues come before gates in every transaction.
    if let Subject::Issue(issue) = &subject {
        tx.lock_issue(project.id, *issue).await?;
    }
    // Whoever locks the same environment waits here.
    tx.raise_gate(project.id, &environment.name).await?;
    let mut expired = None;
    if let Some(mut known) = find(&mut tx, project, environment, &subject).await? {
        if known.is_active(now) {
            if matches!(subject, Subject::Manual { .. }) {
                known.subject = subject;
                tx.refresh_lock(&known).await?;
                tell(&mut tx, repositories.clock(), known.id, None).await?;
            }
            tx.commit().await?;
            return Ok((known, false));
        }
        let released = Released {
            at: known.expires_at().unwrap_or(now),
            by: known.owner.clone(),
            reason: "expired".to_owned(),
            fix: None,
        };
        tx.release_lock(known.id, &released).await?;
        expired = Some(known.id);
    }
    if tx.count_locks(project.id, &environment.name, now).await? >= MOST_LOCKS {
        return Err(InvalidLock::TooMany.into());
    }
    let lock = Lock {
        id: ProjectItemId { project: project.id, id: repositories.clock().id() },
        environment: environment.name.clone(),
        subject,
        owner: owner.to_owned(),
        created_at: now,
        released: None,
    };
    tx.insert_lock(&lock).await?;
    if let Some(issue) = lock.issue() {
        let (environment, lock) = (environment.name.clone(), lock.id.to_string());
        let (of, reason) = ((project.id, issue), format!("it locks {environment}"));
        note_serious(&mut tx, repositories.clock(), of, reason, owner).await?;
        let change = Change::Locked { environment, lock };
        note(&mut tx, repositories.clock(), project.id, issue, change, owner).await?;
    } else {
        tell(&mut tx, repositories.clock(), lock.id, None).await?;
    }
    if let Some(expired) = expired {
        tell(&mut tx, repositories.clock(), expired, Some("It expired".to_owned())).await?;
    }
    tx.commit().await?;
    Ok((lock, true))
}

/// Has the task of a lock that is no issue's looked at, and something said on it.
async fn tell(
    tx: &mut Tx,
    clock: &Clock,
    lock: ProjectItemId,
    say: Option<String>,
) -> Result<(), StoreError> {
    plan(tx, clock, lock.project, Effects::Lock(lock.id), say).await
}

async fn find(
    tx: &mut Tx,
    project: &Project,
    environment: &Environment,
    subject: &Subject,
) -> Result<Option<Lock>, StoreError> {
    match subject {
        Subject::Issue(issue) => tx.find_lock_by_issue(project.id, &environment.name, *issue).await,
        Subject::Manual { key: Some(key), .. } => {
            tx.find_lock_by_key(project.id, &environment.name, key).await
        }
        Subject::Manual { key: None, .. } => Ok(None),
    }
}

/// The issue that is to lock an environment of its project.
///
/// # Errors
/// [`LockError::NoIssue`], [`InvalidLock::OtherProject`].
pub async fn issue_of(tx: &mut Tx, project: &Project, id: ShortId) -> Result<Issue, LockError> {
    if id.prefix != project.prefix {
        return Err(InvalidLock::OtherProject(id).into());
    }
    let found = tx.find_issue(project, id.number).await?;
    let Some(issue) = found else { return Err(LockError::NoIssue(id)) };
    let Some(survivor) = issue.merged_into else { return Ok(issue) };
    let survivor = tx.find_issue_by_id(project, survivor).await?;
    survivor.ok_or(LockError::NoIssue(id))
}

/// Releases a lock; whoever releases what is released changes nothing.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn release(
    repositories: &Repositories,
    lock: &Lock,
    reason: &str,
    by: &str,
) -> Result<(), StoreError> {
    let mut tx = repositories.store().write().await?;
    let project = lock.id.project;
    // Gates come before locks in every transaction.
    tx.raise_gate(project, &lock.environment).await?;
    let at = repositories.now();
    let released = Released { at, by: by.to_owned(), reason: reason.to_owned(), fix: None };
    let clock = repositories.clock();
    if tx.release_lock(lock.id, &released).await? {
        if let Some(issue) = lock.issue() {
            let (environment, lock) = (lock.environment.clone(), lock.id.to_string());
            let change = Change::Unlocked { environment, lock, reason: reason.to_owned() };
            note(&mut tx, clock, project, issue, change, by).await?;
        } else {
            let said = format!("{by} released it: {reason}");
            tell(&mut tx, clock, lock.id, Some(said)).await?;
        }
    }
    tx.commit().await
}

/// Locks an environment anew by a lock that was released: somebody opened its task again. Where a script
/// has made another of its key, that one stands.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn lock_again(
    repositories: &Repositories,
    lock: &Lock,
    by: &str,
) -> Result<(), StoreError> {
    let Subject::Manual { key, .. } = &lock.subject else { return Ok(()) };
    let (project, environment) = (lock.id.project, lock.environment.as_str());
    let mut tx = repositories.store().write().await?;
    tx.raise_gate(project, environment).await?;
    if let Some(key) = key
        && tx.find_lock_by_key(project, environment, key).await?.is_some()
    {
        return Ok(());
    }
    tx.rearm_lock(lock.id).await?;
    tell(&mut tx, repositories.clock(), lock.id, Some(format!("{by} locked it again"))).await?;
    tx.commit().await
}

/// Locks an environment for a task that somebody made by hand on its board of locks. There is none where
/// the task stands for something already, or nothing more can be locked.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn adopt(
    tx: &mut Tx,
    clock: &Clock,
    (project, environment): (ProjectId, &str),
    (tracker, place): (&str, &str),
    (id, seen): (&str, &Seen),
) -> Result<Option<Lock>, StoreError> {
    // Whoever locks the same environment waits here.
    tx.raise_gate(project, environment).await?;
    let now = clock.now();
    let is_known = tx.list_unknown_tasks((project, place), &[id.to_owned()]).await?.is_empty();
    if is_known || tx.count_locks(project, environment, now).await? >= MOST_LOCKS {
        return Ok(None);
    }
    let title = if seen.title.trim().is_empty() { "no reason is given" } else { &seen.title };
    let owner = match &seen.author {
        Some(By::Person(name)) => name.as_str(),
        Some(By::Airlock | By::Nobody) | None => tracker,
    };
    let lock = Lock {
        id: ProjectItemId { project, id: clock.id() },
        environment: environment.to_owned(),
        subject: Subject::Manual {
            reason: bounded(title, MOST_REASON_CHARS),
            assignee: seen.assignee.clone(),
            key: None,
            expires_at: None,
        },
        owner: owner.to_owned(),
        created_at: now,
        released: None,
    };
    tx.insert_lock(&lock).await?;
    let task = Task {
        subject: Effects::Lock(lock.id.id),
        generation: 1,
        tracker: tracker.to_owned(),
        place: place.to_owned(),
        held_at: None,
        deleted_at: None,
        create_began_at: None,
        remote: Some(Remote { id: id.to_owned(), url: seen.url.clone() }),
        is_done: false,
        written: Some(Written::theirs(seen, environment)),
        body_written_at: None,
        n_told: 0,
        telling_to: None,
        synced_at: Some(now),
        error: None,
        created_at: now,
        n_hints: 0,
        n_read: 0,
    };
    tx.upsert_task(project, &task).await?;
    Ok(Some(lock))
}

/// Releases all locks of an issue.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn release_all_of(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    issue: IssueId,
    by: &str,
) -> Result<(), StoreError> {
    let reason = "the issue was resolved";
    tx.raise_gates_of(project, &[issue]).await?;
    for lock in tx.list_locks_of(project, issue).await? {
        let at = clock.now();
        let released = Released { at, by: by.to_owned(), reason: reason.to_owned(), fix: None };
        if tx.release_lock(lock.id, &released).await? {
            let (environment, lock) = (lock.environment, lock.id.to_string());
            let change = Change::Unlocked { environment, lock, reason: reason.to_owned() };
            note(tx, clock, project, issue, change, by).await?;
        }
    }
    Ok(())
}

/// Gives a lock to somebody.
///
/// # Errors
/// [`StoreError::Raced`] when it is released.
pub async fn assign(
    repositories: &Repositories,
    lock: &Lock,
    to: Option<String>,
) -> Result<(), StoreError> {
    let Subject::Manual { reason, key, expires_at, .. } = lock.subject.clone() else {
        return Ok(());
    };
    let subject = Subject::Manual { reason, key, expires_at, assignee: to };
    let mut tx = repositories.store().write().await?;
    tx.raise_gate(lock.id.project, &lock.environment).await?;
    tx.refresh_lock(&Lock { subject, ..lock.clone() }).await?;
    tell(&mut tx, repositories.clock(), lock.id, None).await?;
    tx.commit().await
}

/// Says something about a lock.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn comment(
    repositories: &Repositories,
    lock: &Lock,
    text: String,
    actor: &str,
) -> Result<(), StoreError> {
    let mut tx = repositories.store().write().await?;
    let clock = repositories.clock();
    let comment = LockComment { at: clock.now(), actor: actor.to_owned(), text };
    tx.insert_lock_comment(lock.id, clock.id(), &comment).await?;
    if lock.issue().is_none() {
        tell(&mut tx, clock, lock.id, Some(format!("{actor}: {}", comment.text))).await?;
    }
    tx.commit().await
}
