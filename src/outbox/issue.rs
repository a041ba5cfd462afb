//! The task of an issue.

use super::lane::{Carried, EffectError, Step};
use super::task::Aim;
use super::{Desk, Outbox};
use crate::domain::effect::{Demand, Subject};
use crate::domain::id::{IssueId, ShortId};
use crate::domain::issue::Issue;
use crate::domain::lifecycle::Status;
use crate::domain::project::Project;
use crate::domain::task::{IssueFacts, Wanted, of_issue};
use crate::domain::tracker::Board;
use crate::store::StoreError;
use crate::store::body::Decoded;
use crate::store::task::Task;
use crate::tracker::Tracker;

impl Outbox {
    /// Brings the task of an issue in line with it, and makes it first if there is none; `None` when
    /// the issue is gone.
    pub(super) async fn sync_issue<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        id: IssueId,
    ) -> Result<Option<(Task, Carried)>, EffectError> {
        let issue = self.store.read().await?.find_issue_by_id(desk.project, id).await?;
        let mut task = self.task_of(desk, Subject::Issue(id)).await?;
        let Some(mut issue) = issue else {
            if task.held_at.take().is_some() {
                self.save(desk, &task).await?;
                self.wake_storm(desk).await?;
            }
            return Ok(None);
        };
        if task.n_hints > task.n_read {
            self.hear(desk, &mut task, &issue).await?;
            let found = self.store.read().await?.find_issue_by_id(desk.project, id).await?;
            issue = found.unwrap_or(issue);
        }
        let wanted = self.wanted(desk.project, &issue).await?;
        let is_muted = matches!(issue.state.status, Status::Muted { .. });
        // What is over before it has a task needs none, unless somebody wants it.
        let is_needed = (!wanted.is_done && !is_muted) || step.demand == Some(Demand::Now);
        // Another installation may have an issue of the same short id.
        let name = issue.id.0.simple().to_string();
        let aim = Aim { board: Board::Issues, name: &name, wanted: &wanted, is_needed };
        let look_at = self.sync_task(desk, step, &mut task, &aim).await?;
        let carried = Carried {
            look_at,
            n_events: task.remote.as_ref().map(|_| issue.n_events),
            is_held: task.held_at.is_some(),
        };
        Ok(Some((task, carried)))
    }

    /// Where an issue is shown.
    pub(super) fn url_of(&self, id: &ShortId) -> String {
        format!("{}/api/v1/issues/{id}", self.public_url.trim_end_matches('/'))
    }

    /// What the task is to be by now.
    async fn wanted(&self, project: &Project, issue: &Issue) -> Result<Wanted, StoreError> {
        let mut tx = self.store.read().await?;
        let mut environments = tx.list_environments_of(project.id, &[issue.id]).await?;
        let latest = tx.find_latest_body(project.id, issue.id).await?;
        let latest: Vec<_> = latest.into_iter().collect();
        let decoded = tx.decode(project.id, &latest).await?;
        let fix = tx.list_fixes_of(project.id, &[issue.id]).await?.remove(&issue.id);
        let now = self.clock.now();
        let locks = tx.list_locks_of(project.id, issue.id).await?;
        let locks: Vec<String> = locks
            .into_iter()
            .filter(|lock| lock.is_active(now))
            .map(|lock| lock.environment)
            .collect();
        let url = self.url_of(&issue.short_id);
        Ok(of_issue(&IssueFacts {
            issue,
            environments: &environments.remove(&issue.id).unwrap_or_default(),
            event: decoded.first().and_then(Decoded::event),
            fix: fix.as_ref().map(|current| (&current.fix, current.state)),
            locks: &locks,
            url: &url,
        }))
    }
}
