//! A task in the tracker: made once, and kept in line with what it stands for.

use super::lane::EffectError;
use super::{Desk, Outbox};
use crate::domain::effect::Subject;
use crate::domain::task::{BODY_PAUSE, Patch, Wanted};
use crate::store::StoreError;
use crate::store::task::{Remote, Task};
use crate::tracker::{Tracker, TrackerError};

impl Outbox {
    /// The task of a subject as it is known, or as one that nobody began to make.
    pub(super) async fn task_of<T: Tracker>(
        &self,
        desk: &Desk<'_, T>,
        subject: Subject,
    ) -> Result<Task, StoreError> {
        let known = self.store.read().await?.find_task(desk.project.id, subject).await?;
        Ok(known.unwrap_or_else(|| Task {
            subject,
            generation: 1,
            tracker: desk.tracker.kind().to_owned(),
            create_began_at: None,
            remote: None,
            is_done: false,
            written: None,
            body_written_at: None,
            synced_at: None,
            error: None,
            created_at: self.clock.now(),
        }))
    }

    /// Brings a task in line with what it is to be, and makes it first if there is none; `name` is what
    /// it is made for.
    pub(super) async fn sync_task<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        task: &mut Task,
        (name, wanted): (&str, &Wanted),
    ) -> Result<(), EffectError> {
        let written = match task.remote.clone() {
            Some(remote) => self.change(desk, task, &remote, wanted).await,
            None => self.make(desk, task, (name, wanted)).await,
        };
        if !matches!(written, Err(EffectError::Lost)) {
            task.error = written.as_ref().err().map(ToString::to_string);
            self.save(desk, task).await?;
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

    /// Makes a task, unless one was made when nobody heard of it any more.
    async fn make<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        task: &mut Task,
        (name, wanted): (&str, &Wanted),
    ) -> Result<(), EffectError> {
        let key = format!("{name}/{}", task.generation);
        if task.create_began_at.is_some() {
            let mut found = desk.tracker.find(&key).await?.into_iter();
            // The oldest wins, whoever made it.
            if let Some(remote) = found.next() {
                task.remote = Some(remote.clone());
                for twin in found {
                    close_twin(desk.tracker, &twin, &remote).await?;
                }
                return self.change(desk, task, &remote, wanted).await;
            }
            task.create_began_at = None;
        }
        task.create_began_at = Some(self.clock.now());
        self.save(desk, task).await?;
        match desk.tracker.create(&key, wanted).await {
            Ok(remote) => {
                let now = self.clock.now();
                (task.remote, task.written) = (Some(remote), Some(wanted.written()));
                (task.is_done, task.body_written_at, task.synced_at) =
                    (wanted.is_done, Some(now), Some(now));
                Ok(())
            }
            Err(error) => {
                match &error {
                    TrackerError::Ambiguous(_) => {}
                    // It was certainly not made.
                    TrackerError::NotDone { .. }
                    | TrackerError::Refused(_)
                    | TrackerError::Gone => task.create_began_at = None,
                }
                Err(error.into())
            }
        }
    }

    /// Writes what is new of a task.
    async fn change<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        task: &mut Task,
        remote: &Remote,
        wanted: &Wanted,
    ) -> Result<(), EffectError> {
        let now = self.clock.now();
        let may_write_body = task.body_written_at.is_none_or(|at| now.since(at) >= BODY_PAUSE);
        let patch = match &task.written {
            Some(written) => wanted.since(written, may_write_body),
            None => wanted.all(),
        };
        if !patch.is_empty() {
            desk.tracker.update(&remote.id, &patch).await?;
            if patch.body.is_some() {
                task.body_written_at = Some(now);
            }
            let before = task.written.take().unwrap_or_else(|| wanted.written());
            task.written = Some(before.after(&patch, wanted));
            task.is_done = wanted.is_done;
        }
        task.synced_at = Some(now);
        Ok(())
    }
}

/// Closes a second task that was made for the same.
async fn close_twin<T: Tracker + Sync>(
    tracker: &T,
    twin: &Remote,
    kept: &Remote,
) -> Result<(), TrackerError> {
    let key = format!("twin of {}", kept.id);
    if !tracker.has_said(&twin.id, &key).await? {
        tracker.say(&twin.id, &key, &format!("It is the same as {}", kept.url)).await?;
    }
    tracker.update(&twin.id, &Patch { is_done: Some(true), ..Patch::default() }).await
}
