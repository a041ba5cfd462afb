//! A task in the tracker: made once, and kept in line with what it stands for.

use super::lane::{EffectError, Step};
use super::{Desk, Outbox};
use crate::domain::effect::Subject;
use crate::domain::task::{BODY_PAUSE, Patch, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::tracker::Board;
use crate::store::StoreError;
use crate::store::task::{Remote, Task};
use crate::tracker::{Tracker, TrackerError};

/// What a task is to be.
pub(super) struct Aim<'a> {
    /// Where it is.
    pub(super) board: Board,
    /// What it is made for.
    pub(super) name: &'a str,
    pub(super) wanted: &'a Wanted,
    /// Whether it is made if there is none.
    pub(super) is_needed: bool,
}

impl Outbox {
    /// The task of a subject as it is known, or as one that nobody began to make.
    pub(super) async fn task_of<T: Tracker>(
        &self,
        desk: &Desk<'_, T>,
        subject: Subject,
    ) -> Result<Task, StoreError> {
        let known = self.store.read().await?.find_task(desk.project.id, subject).await?;
        let (tracker, place) = (desk.tracker.kind().to_owned(), desk.tracker.place());
        if let Some(known) = known {
            if known.place == place {
                return Ok(known);
            }
            // In another tracker it is looked up, however long ago it may have been there.
            return Ok(Task {
                tracker,
                place,
                create_began_at: Some(Timestamp::from_micros(0)),
                remote: None,
                written: None,
                body_written_at: None,
                n_told: 0,
                telling_to: None,
                ..known
            });
        }
        Ok(Task {
            subject,
            generation: 1,
            tracker,
            place,
            held_at: None,
            deleted_at: None,
            create_began_at: None,
            remote: None,
            is_done: false,
            written: None,
            body_written_at: None,
            n_told: 0,
            telling_to: None,
            synced_at: None,
            error: None,
            created_at: self.clock.now(),
            n_hints: 0,
            n_read: 0,
        })
    }

    /// Brings a task in line with what it is to be, and makes it first if there is none and one is
    /// needed; gives the time from which on its text may be written again, if that is left to do.
    pub(super) async fn sync_task<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        task: &mut Task,
        aim: &Aim<'_>,
    ) -> Result<Option<Timestamp>, EffectError> {
        let before = task.clone();
        let written = self.write(desk, step, task, aim).await;
        if !matches!(written, Err(EffectError::Lost)) {
            task.error = written.as_ref().err().map(ToString::to_string);
            // Nothing is written down of one that was never needed.
            if *task != before {
                self.save(desk, task).await?;
            }
            if before.held_at.is_some() && task.held_at.is_none() {
                self.wake_storm(desk).await?;
            }
        }
        written
    }

    /// Writes down what is known of a task.
    pub(super) async fn save<T>(&self, desk: &Desk<'_, T>, task: &Task) -> Result<(), EffectError> {
        let taken = self.take(&desk.lease, task.subject).await?;
        let mut tx = taken.ok_or(EffectError::Lost)?;
        tx.upsert_task(desk.project.id, task).await?;
        Ok(tx.commit().await?)
    }

    async fn write<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        task: &mut Task,
        aim: &Aim<'_>,
    ) -> Result<Option<Timestamp>, EffectError> {
        if task.deleted_at.is_some() {
            if step.demand.is_none() {
                // Somebody wants none.
                task.is_done = aim.wanted.is_done;
                return Ok(None);
            }
            task.begin_anew();
        }
        let Some(remote) = task.remote.clone() else {
            return self.make(desk, step, task, aim).await;
        };
        match self.change(desk, task, &remote, aim).await {
            Err(EffectError::Tracker(TrackerError::Gone)) => {
                task.deleted_at = Some(self.clock.now());
                if step.demand.is_none() {
                    return Ok(None);
                }
                task.begin_anew();
                self.make(desk, step, task, aim).await
            }
            changed => changed,
        }
    }

    /// Makes a task, unless one was made when nobody heard of it any more, or it has to wait.
    async fn make<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        task: &mut Task,
        aim: &Aim<'_>,
    ) -> Result<Option<Timestamp>, EffectError> {
        let Aim { board, wanted, is_needed, .. } = aim;
        let key = aim.key(task);
        if let Some(since) = task.create_began_at {
            let mut found = desk.tracker.find(board, &key, since).await?.into_iter();
            // The oldest wins, whoever made it.
            if let Some(remote) = found.next() {
                task.remote = Some(remote.clone());
                for twin in found {
                    close_twin(desk.tracker, &key, (&twin, &remote)).await?;
                }
                return self.change(desk, task, &remote, aim).await;
            }
            task.create_began_at = None;
        }
        if !is_needed {
            task.held_at = None;
            return Ok(None);
        }
        if !self.begin_to_make(desk, step, task).await? {
            return Ok(None);
        }
        match desk.tracker.create(board, &key, wanted).await {
            Ok(remote) => {
                let now = self.clock.now();
                (task.remote, task.written) = (Some(remote), Some(wanted.written()));
                (task.is_done, task.body_written_at, task.synced_at) =
                    (wanted.is_done, Some(now), Some(now));
                Ok(None)
            }
            Err(error) => {
                match &error {
                    TrackerError::Ambiguous(_) => {}
                    // It was certainly not made.
                    TrackerError::NotDone { .. }
                    | TrackerError::Later { .. }
                    | TrackerError::Refused(_)
                    | TrackerError::Gone => task.create_began_at = None,
                }
                Err(error.into())
            }
        }
    }

    /// Writes what is new of a task; gives the time from which on its text may be written if it must
    /// not be yet.
    async fn change<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        task: &mut Task,
        remote: &Remote,
        aim: &Aim<'_>,
    ) -> Result<Option<Timestamp>, EffectError> {
        let wanted = aim.wanted;
        let now = self.clock.now();
        let may_write_body = task.body_written_at.is_none_or(|at| now.since(at) >= BODY_PAUSE);
        let patch = match &task.written {
            Some(written) => wanted.since(written, may_write_body),
            None => wanted.all(),
        };
        if !patch.is_empty() {
            desk.tracker.update(&remote.id, &aim.key(task), &patch).await?;
            if patch.body.is_some() {
                task.body_written_at = Some(now);
            }
            let before = task.written.take().unwrap_or_else(|| wanted.written());
            task.written = Some(before.after(&patch, wanted));
            task.is_done = wanted.is_done;
        }
        task.synced_at = Some(now);
        let is_left = task.written.as_ref().is_some_and(|it| !wanted.since(it, true).is_empty());
        Ok(task.body_written_at.filter(|_| is_left).map(|at| at.plus(BODY_PAUSE)))
    }
}

impl Aim<'_> {
    /// What the tracker finds a task by.
    fn key(&self, task: &Task) -> String {
        format!("{}/{}", self.name, task.generation)
    }
}

impl Task {
    /// Another one is to stand for the same.
    pub(super) fn begin_anew(&mut self) {
        self.generation = self.generation.saturating_add(1);
        (self.remote, self.written, self.create_began_at) = (None, None, None);
        (self.deleted_at, self.body_written_at, self.is_done) = (None, None, false);
        (self.n_told, self.telling_to) = (0, None);
    }
}

/// Closes a second task that was made for the same.
async fn close_twin<T: Tracker + Sync>(
    tracker: &T,
    key: &str,
    (twin, kept): (&Remote, &Remote),
) -> Result<(), TrackerError> {
    let said = format!("twin of {}", kept.id);
    if !tracker.has_said(&twin.id, &said).await? {
        tracker.say(&twin.id, &said, &format!("It is the same as {}", kept.url)).await?;
    }
    tracker.update(&twin.id, key, &Patch { is_done: Some(true), ..Patch::default() }).await
}
