//! The task of a deploy.

use uuid::Uuid;

use super::lane::{Carried, EffectError, Step};
use super::task::Aim;
use super::{Desk, Outbox};
use crate::domain::deploy::{Deploy, DeployStatus};
use crate::domain::effect::Subject;
use crate::domain::id::ProjectItemId;
use crate::domain::task::{DeployFacts, MOST_TOLD_BYTES, look_pause, of_deploy, of_output};
use crate::domain::tracker::Board;
use crate::store::StoreError;
use crate::store::task::Task;
use crate::tracker::{Tracker, TrackerError};

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
        let text_at = self.sync_task(desk, step, &mut task, &aim).await?;
        match self.tell_output(desk, &deploy, &mut task).await {
            Err(EffectError::Tracker(TrackerError::Gone)) => {
                task.deleted_at = Some(self.clock.now());
                self.save(desk, &task).await?;
            }
            told => told?,
        }
        let now = self.clock.now();
        let told_at = (deploy.status == DeployStatus::Running)
            .then(|| now.plus(look_pause(now.since(deploy.started_at))));
        let look_at = [text_at, told_at].into_iter().flatten().min();
        let n_seen = task.remote.as_ref().map(|_| deploy.n_output);
        Ok(Some((task, Carried { look_at, n_seen, ..Carried::default() })))
    }

    /// Says what is new of the output on the task; of one that has ended, all of it is attached as well.
    async fn tell_output<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        deploy: &Deploy,
        task: &mut Task,
    ) -> Result<(), EffectError> {
        let Some(remote) = task.remote.clone().filter(|_| task.deleted_at.is_none()) else {
            return Ok(());
        };
        while task.n_told < deploy.n_output {
            let began = task.telling_to;
            // What was begun is ended as it was begun: it may be there.
            let end = began.unwrap_or(deploy.n_output);
            let from = task.n_told.max(end.saturating_sub(MOST_TOLD_BYTES));
            let mut new = self.store.read().await?.output_from(deploy.id, from).await?;
            new.truncate(
                new.floor_char_boundary(usize::try_from(end - from).unwrap_or(usize::MAX)),
            );
            if let Some(text) = of_output(&new, from - task.n_told) {
                task.telling_to = Some(end);
                self.save(desk, task).await?;
                let key = format!("output of {} from {}", deploy.id.id.simple(), task.n_told);
                if began.is_none() || !desk.tracker.has_said(&remote.id, &key).await? {
                    let said = desk.tracker.say(&remote.id, &key, &text).await;
                    // What is refused is not said again.
                    if !matches!(said, Err(TrackerError::Refused(_))) {
                        said?;
                    }
                }
            }
            (task.n_told, task.telling_to) = (end, None);
            self.save(desk, task).await?;
        }
        if deploy.status == DeployStatus::Running || deploy.n_output == 0 {
            return Ok(());
        }
        let output = self.store.read().await?.output_from(deploy.id, 0).await?;
        let name = format!("deploy-{}.log", deploy.number);
        let file = (deploy.id.id.to_string(), name);
        Ok(desk.tracker.attach(&remote.id, (&file.0, &file.1), output.as_bytes()).await?)
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
