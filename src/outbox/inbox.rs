//! What people do in a tracker, done in Airlock.
//!
//! A tracker is asked what is new, and now and then looked through; each only *hints* which tasks may
//! have changed. A task with a hint is read in its own lane, before anything is written to it: so what
//! Airlock wrote last is what it is compared with, and what Airlock does itself means nothing.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::lane::{EffectError, MOST_STEP, never};
use super::{Desk, Outbox};
use crate::domain::effect::Subject;
use crate::domain::fix::Source;
use crate::domain::issue::Issue;
use crate::domain::lifecycle::Order;
use crate::domain::lock::{self, Lock};
use crate::domain::project::Project;
use crate::domain::task::{By, Meaning};
use crate::domain::tracker::Board;
use crate::journal::plan;
use crate::release::fixes::{self, FixError, NamedCommit};
use crate::release::locks::{self, LockError};
use crate::release::repositories::RepositoryError;
use crate::store::StoreError;
use crate::store::lease::Lease;
use crate::store::task::Task;
use crate::store::tracker::PollTimes;
use crate::tracker::lock_list;
use crate::tracker::{Rhythm, Tracker, TrackerError};
use crate::triage::{self, TriageError, Wish};

/// What changed around a time may be listed late, or by another clock.
const OVERLAP: Duration = Duration::from_mins(5);

/// What a task stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    Issue(&'a Issue),
    /// Of a person or a script.
    Lock(&'a Lock),
}

/// What a tracker was asked.
#[derive(Debug)]
struct Polled {
    /// Whether all boards answered.
    is_whole: bool,
    /// Whether all that is open was looked through.
    is_all: bool,
}

/// That a tracker is to be asked what is new.
#[derive(Debug)]
pub(super) struct Look {
    times: PollTimes,
    rhythm: Rhythm,
}

impl Outbox {
    /// When a tracker is to be asked what is new, if that is now.
    pub(super) async fn next_look<T: Tracker>(
        &self,
        (project, tracker, lease): (&Project, &T, Lease),
    ) -> Result<Option<Look>, StoreError> {
        if self.is_stopping.load(Ordering::Relaxed) || tracker.rests().is_some() {
            return Ok(None);
        }
        let found = self.store.read().await?.find_poll_times(project.id).await?;
        let is_due = |times: &PollTimes| times.poll_at <= self.clock.now();
        let Some(times) = found.filter(is_due) else { return Ok(None) };
        if let Some(rhythm) = tracker.rhythm() {
            return Ok(Some(Look { times, rhythm }));
        }
        // There is nothing to ask.
        let now = self.clock.now();
        if let Some(mut tx) = self.hold(&lease).await? {
            tx.set_poll_times(project.id, PollTimes { poll_at: never(), ..times }, now).await?;
            tx.commit().await?;
        }
        Ok(None)
    }

    /// Asks a tracker what is new; false when it is another node's.
    pub(super) async fn look<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        Look { times, rhythm }: Look,
    ) -> Result<bool, StoreError> {
        let asked_at = self.clock.now();
        let Some(mut tx) = self.hold(&desk.lease).await? else { return Ok(false) };
        tx.begin_poll(desk.project.id, asked_at).await?;
        tx.commit().await?;
        let polled = timeout(MOST_STEP, self.poll(desk, rhythm, times)).await;
        let too_long = |_| TrackerError::Ambiguous("it took too long".to_owned()).into();
        let now = self.clock.now();
        let mut next = PollTimes { poll_at: now.plus(rhythm.poll), ..times };
        let mut is_looked_through = false;
        match polled.map_err(too_long).flatten() {
            Ok(Polled { is_whole, is_all }) => {
                next.polled_at = if is_whole { Some(asked_at) } else { times.polled_at };
                is_looked_through = is_all;
                if is_all {
                    next.reconcile_at = now.plus(rhythm.reconcile);
                }
            }
            Err(EffectError::Lost) => return Ok(false),
            Err(EffectError::Store(cause)) => return Err(cause),
            Err(EffectError::Tracker(TrackerError::Later { after, .. })) => {
                next.poll_at = now.plus(after);
            }
            Err(EffectError::Tracker(cause)) => {
                tracing::warn!(project = desk.project.slug, %cause, "a tracker does not say what is new");
            }
        }
        let Some(mut tx) = self.hold(&desk.lease).await? else { return Ok(false) };
        tx.set_poll_times(desk.project.id, next, now).await?;
        tx.commit().await?;
        if is_looked_through {
            let kept = timeout(MOST_STEP, self.trackers.keep_hooks(desk.project)).await;
            // What was begun is done again with the next look through all of it.
            kept.unwrap_or(Ok(()))?;
        }
        Ok(true)
    }

    /// Notes which tasks may have changed.
    async fn poll<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        rhythm: Rhythm,
        times: PollTimes,
    ) -> Result<Polled, EffectError> {
        let (project, place) = (desk.project.id, desk.tracker.place());
        let names = desk.project.environments.iter().map(|one| Board::Locks(one.name.clone()));
        let boards = [Board::Issues].into_iter().chain(names);
        let (mut looked, mut is_whole) = (Vec::new(), true);
        for board in boards.filter(|board| desk.tracker.has_board(board)) {
            let cursor = self.store.read().await?.find_cursor(project, &board).await?;
            match desk.tracker.changes(&board, cursor.as_deref()).await {
                Ok(changes) => looked.push((board, changes)),
                // The others are looked at all the same.
                Err(cause @ (TrackerError::Refused(_) | TrackerError::Gone)) => {
                    let project = &desk.project.slug;
                    tracing::warn!(project, %board, %cause, "a board does not say what is new");
                    is_whole = false;
                }
                Err(cause) => return Err(cause.into()),
            }
        }
        let is_all = looked.iter().any(|(_, changes)| changes.is_resync)
            || times.reconcile_at <= self.clock.now();
        let (mut ids, mut open) = (Vec::new(), Vec::new());
        let with = (&self.store, &self.clock);
        for (board, changes) in &looked {
            let mut found = changes.ids.clone();
            if is_all {
                let since = times.reconcile_at.minus(rhythm.reconcile).minus(OVERLAP);
                found.extend(desk.tracker.list_changed(board, since).await?);
                let listed = desk.tracker.list_open(board).await?;
                lock_list::adopt(with, desk.project, (desk.tracker, board), &listed).await?;
                open.extend(listed);
            }
            lock_list::adopt(with, desk.project, (desk.tracker, board), &found).await?;
            ids.extend(found);
        }
        if is_all && is_whole {
            let listed: BTreeSet<&String> = open.iter().collect();
            let known = self.store.read().await?.list_open_tasks(project, &place).await?;
            ids.extend(known.into_iter().filter(|id| !listed.contains(id)));
        }
        let now = self.clock.now();
        let mut tx = self.hold(&desk.lease).await?.ok_or(EffectError::Lost)?;
        tx.hint_tasks((project, &place), &ids, false, now).await?;
        tx.hint_tasks((project, &place), &open, true, now).await?;
        for (board, changes) in &looked {
            tx.upsert_cursor(project, board, &changes.cursor).await?;
        }
        tx.commit().await?;
        Ok(Polled { is_whole, is_all })
    }

    /// Reads a task that may have changed, and does what people want who changed it.
    pub(super) async fn hear<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        task: &mut Task,
        of: Of<'_>,
    ) -> Result<(), EffectError> {
        let n_hints = task.n_hints;
        let remote = task.remote.as_ref().filter(|_| task.deleted_at.is_none());
        let Some(remote) = remote.filter(|_| n_hints > task.n_read) else { return Ok(()) };
        match desk.tracker.read(&remote.id).await {
            Ok(seen) => {
                if let Some(mut written) = task.written.take() {
                    if let Of::Lock(lock) = of {
                        written = written.on_boards(BTreeSet::from([lock.environment.clone()]));
                    }
                    for (by, meaning) in written.meant(&seen) {
                        let by = match by {
                            By::Person(name) => name.as_str(),
                            By::Nobody | By::Airlock => desk.tracker.kind(),
                        };
                        match of {
                            Of::Issue(issue) => self.follow(desk, issue, meaning, by).await?,
                            Of::Lock(lock) => self.follow_lock(lock, meaning, by).await?,
                        }
                    }
                    task.is_done = seen.is_done;
                    task.written = Some(written.after_reading(&seen));
                }
            }
            Err(TrackerError::Gone) => {
                let board = match of {
                    Of::Issue(_) => Board::Issues,
                    Of::Lock(lock) => Board::Locks(lock.environment.clone()),
                };
                // It is deleted only if it is not the board that nobody shows any more.
                desk.tracker.list_open(&board).await?;
                if let Of::Lock(lock) = of {
                    let (reason, by) = ("its task was deleted", desk.tracker.kind());
                    locks::release(&self.repositories, lock, reason, by).await?;
                }
                task.deleted_at = Some(self.clock.now());
            }
            Err(error) => return Err(error.into()),
        }
        task.n_read = n_hints;
        let taken = self.take(&desk.lease, task.subject).await?;
        let mut tx = taken.ok_or(EffectError::Lost)?;
        tx.upsert_task(desk.project.id, task).await?;
        tx.follow_hints(desk.project.id, task.subject, n_hints).await?;
        Ok(tx.commit().await?)
    }

    /// Does what somebody wants with a lock that is no issue's.
    async fn follow_lock(
        &self,
        lock: &Lock,
        meaning: Meaning,
        by: &str,
    ) -> Result<(), EffectError> {
        let repositories = &self.repositories;
        match meaning {
            Meaning::Resolve => {
                locks::release(repositories, lock, "its task was completed", by).await?;
            }
            Meaning::Unlock(environment) if environment == lock.environment => {
                let reason = "its task was taken off the board";
                locks::release(repositories, lock, reason, by).await?;
            }
            Meaning::Reopen => locks::lock_again(repositories, lock, by).await?,
            Meaning::Assign(to) => match locks::assign(repositories, lock, to).await {
                // It is released.
                Ok(()) | Err(StoreError::Raced) => {}
                Err(cause) => return Err(cause.into()),
            },
            Meaning::Fix(_) | Meaning::Lock(_) | Meaning::Unlock(_) => {}
        }
        Ok(())
    }

    /// Makes an issue lock an environment, or not any more.
    async fn set_lock<T>(
        &self,
        desk: &Desk<'_, T>,
        issue: &Issue,
        (environment, is_on): (&str, bool),
        by: &str,
    ) -> Result<(), EffectError> {
        let project = desk.project;
        let Some(found) = project.environments.iter().find(|one| one.name == environment) else {
            return Ok(());
        };
        if is_on {
            let subject = lock::Subject::Issue(issue.id);
            return match locks::lock(&self.repositories, project, found, subject, by).await {
                Err(LockError::Store(cause)) => Err(cause.into()),
                Ok(_) => Ok(()),
                Err(cause) => self.decline(desk, issue, format!("It locks nothing: {cause}")).await,
            };
        }
        let mut tx = self.store.read().await?;
        let lock = tx.find_lock_by_issue(project.id, environment, issue.id).await?;
        drop(tx);
        if let Some(lock) = lock {
            let reason = "its task was taken off the board";
            locks::release(&self.repositories, &lock, reason, by).await?;
        }
        Ok(())
    }

    /// Says on the task of an issue why what somebody wants is not done.
    async fn decline<T>(
        &self,
        desk: &Desk<'_, T>,
        issue: &Issue,
        said: String,
    ) -> Result<(), EffectError> {
        let Some(mut tx) = self.hold(&desk.lease).await? else { return Err(EffectError::Lost) };
        let subject = Subject::Issue(issue.id);
        plan(&mut tx, &self.clock, desk.project.id, subject, Some(said)).await?;
        Ok(tx.commit().await?)
    }

    /// Does what somebody wants. What cannot be done is said on the task, where that helps.
    async fn follow<T>(
        &self,
        desk: &Desk<'_, T>,
        issue: &Issue,
        meaning: Meaning,
        by: &str,
    ) -> Result<(), EffectError> {
        let wish = match meaning {
            Meaning::Resolve => Wish::Order(Order::Resolve { baseline: None }),
            Meaning::Reopen => Wish::Order(Order::Reopen),
            Meaning::Assign(to) => Wish::Assign(to),
            Meaning::Fix(commits) => return self.tag(desk, issue, &commits, by).await,
            Meaning::Lock(name) => return self.set_lock(desk, issue, (&name, true), by).await,
            Meaning::Unlock(name) => return self.set_lock(desk, issue, (&name, false), by).await,
        };
        let number = issue.short_id.number;
        let (store, clock) = (&self.store, &self.clock);
        match triage::carry_out_in_tracker(store, clock, desk.project, number, &wish, by).await {
            Ok(()) => Ok(()),
            Err(TriageError::Store(cause)) => Err(cause.into()),
            Err(cause) => {
                let (project, issue) = (&desk.project.slug, &issue.short_id);
                tracing::info!(project, %issue, %cause, "an act in the tracker means nothing");
                Ok(())
            }
        }
    }

    async fn tag<T>(
        &self,
        desk: &Desk<'_, T>,
        issue: &Issue,
        commits: &[String],
        by: &str,
    ) -> Result<(), EffectError> {
        let named = |commit: &String| NamedCommit { commit: commit.clone(), repository: None };
        let named: Vec<NamedCommit> = commits.iter().map(named).collect();
        let (who, number) = ((by, Source::Tracker), issue.short_id.number);
        match fixes::tag(&self.repositories, desk.project, number, &named, who).await {
            Ok(()) | Err(FixError::NotFound) => Ok(()),
            Err(FixError::Repository(RepositoryError::Store(cause))) => Err(cause.into()),
            Err(cause) => {
                let said = format!("{by} names a fix, which is not taken: {cause}");
                self.decline(desk, issue, said).await
            }
        }
    }
}
