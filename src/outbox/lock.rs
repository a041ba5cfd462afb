//! The task of a lock that a person or a script made.

use uuid::Uuid;

use super::lane::EffectError;
use super::{Desk, Outbox};
use crate::domain::effect::Subject;
use crate::domain::id::ProjectItemId;
use crate::domain::task::of_lock;
use crate::store::task::Remote;
use crate::tracker::Tracker;

impl Outbox {
    /// Brings the task of a lock in line with it, and makes it first if there is none; `None` when the
    /// lock is gone, or an issue's.
    pub(super) async fn sync_lock<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        id: Uuid,
    ) -> Result<Option<Remote>, EffectError> {
        let project = desk.project;
        let item = ProjectItemId { project: project.id, id };
        let lock = self.store.read().await?.find_lock(item).await?;
        let wanted = lock.and_then(|lock| of_lock(&lock, &project.slug, self.clock.now()));
        let Some(wanted) = wanted else { return Ok(None) };
        let mut task = self.task_of(desk, Subject::Lock(id)).await?;
        let name = format!("{}/lock/{id}", project.prefix);
        self.sync_task(desk, &mut task, (&name, &wanted)).await?;
        Ok(task.remote)
    }
}
