//! The task of a deploy.

use uuid::Uuid;

use super::lane::{Carried, EffectError, Step};
use super::task::Aim;
use super::{Desk, Outbox};
use crate::domain::deploy::{Deploy, DeployStatus};
use crate::domain::effect::Subject;
use crate::domain::id::ProjectItemId;
use crate::domain::task::{DeployFacts, of_deploy};
use crate::domain::tracker::Board;
use crate::store::StoreError;
use crate::store::task::Task;
use crate::tracker::Tracker;

/// So much of the end of a deploy's output is looked at, in bytes.
const TAIL_BYTES: u64 = 16 * 1024;

impl Outbox {
    /// Brings the task of a deploy in line with it, and makes it first if there is none; `None` when the
    /// deploy is gone.
    pub(super) async fn sync_deploy<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        id: Uuid,
    ) -> Result<Option<(Task, Carried)>, EffectError> {
        let project = desk.project;
        let item = ProjectItemId { project: project.id, id };
        let Some(deploy) = self.store.read().await?.find_deploy(item).await? else {
            return Ok(None);
        };
        let board = Board::Deploys(deploy.environment.clone());
        if !desk.tracker.has_board(&board) {
            return Ok(None);
        }
        let tail = self.tail(&deploy).await?;
        let base = self.public_url.trim_end_matches('/');
        let wanted = of_deploy(&DeployFacts {
            deploy: &deploy,
            project: &project.slug,
            tail: &tail,
            url: &format!("{base}/api/v1/deploys/{}", deploy.id),
        });
        let mut task = self.task_of(desk, Subject::Deploy(id)).await?;
        let name = id.simple().to_string();
        let aim = Aim { board, name: &name, wanted: &wanted, is_needed: true };
        let look_at = self.sync_task(desk, step, &mut task, &aim).await?;
        Ok(Some((task, Carried { look_at, ..Carried::default() })))
    }

    /// The end of the output of a deploy that went wrong.
    async fn tail(&self, deploy: &Deploy) -> Result<String, StoreError> {
        match deploy.status {
            DeployStatus::Running | DeployStatus::Succeeded => return Ok(String::new()),
            DeployStatus::Failed | DeployStatus::Lost => {}
        }
        let from = deploy.n_output.saturating_sub(TAIL_BYTES);
        self.store.read().await?.output_from(deploy.id, from).await
    }
}
