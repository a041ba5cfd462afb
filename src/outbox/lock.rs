//! The task of a lock that a person or a script made.

use uuid::Uuid;

use super::inbox::Of;
use super::lane::{Carried, EffectError, Step};
use super::task::Aim;
use super::{Desk, Outbox};
use crate::domain::effect::Subject;
use crate::domain::id::ProjectItemId;
use crate::domain::task::of_lock;
use crate::domain::tracker::Board;
use crate::store::task::Task;
use crate::tracker::Tracker;

impl Outbox {
    /// Brings the task of a lock in line with it, and makes it first if there is none; `None` when the
    /// lock is gone, or an issue's.
    pub(super) async fn sync_lock<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        id: Uuid,
    ) -> Result<Option<(Task, Carried)>, EffectError> {
        let project = desk.project;
        let item = ProjectItemId { project: project.id, id };
        let found = self.store.read().await?.find_lock(item).await?;
        let Some(mut lock) = found else { return Ok(None) };
        let mut task = self.task_of(desk, Subject::Lock(id)).await?;
        if task.n_hints > task.n_read && lock.issue().is_none() {
            self.hear(desk, &mut task, Of::Lock(&lock)).await?;
            lock = self.store.read().await?.find_lock(item).await?.unwrap_or(lock);
        }
        let now = self.clock.now();
        let Some(wanted) = of_lock(&lock, &project.slug, now) else { return Ok(None) };
        let board = Board::Locks(lock.environment.clone());
        if !desk.tracker.has_board(&board) {
            return Ok(None);
        }
        let name = id.simple().to_string();
        // What is over before it has a task needs none.
        let aim = Aim { board, name: &name, wanted: &wanted, is_needed: !wanted.is_done };
        let text_at = self.sync_task(desk, step, &mut task, &aim).await?;
        // It ends by itself.
        let ends_at = lock.expires_at().filter(|_| lock.is_active(now));
        let look_at = [text_at, ends_at].into_iter().flatten().min();
        Ok(Some((task, Carried { look_at, ..Carried::default() })))
    }
}
