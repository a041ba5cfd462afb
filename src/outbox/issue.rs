//! The task of an issue.

use super::lane::EffectError;
use super::{Desk, Outbox};
use crate::domain::effect::Subject;
use crate::domain::id::IssueId;
use crate::domain::issue::Issue;
use crate::domain::project::Project;
use crate::domain::task::{IssueFacts, Wanted, of_issue};
use crate::store::StoreError;
use crate::store::body::Decoded;
use crate::store::task::Remote;
use crate::tracker::Tracker;

impl Outbox {
    /// Brings the task of an issue in line with it, and makes it first if there is none; `None` when
    /// the issue is gone.
    pub(super) async fn sync_issue<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        id: IssueId,
    ) -> Result<Option<Remote>, EffectError> {
        let issue = self.store.read().await?.find_issue_by_id(desk.project, id).await?;
        let Some(issue) = issue else { return Ok(None) };
        let wanted = self.wanted(desk.project, &issue).await?;
        let mut task = self.task_of(desk, Subject::Issue(id)).await?;
        self.sync_task(desk, &mut task, (&issue.short_id.to_string(), &wanted)).await?;
        Ok(task.remote)
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
        let url =
            format!("{}/api/v1/issues/{}", self.public_url.trim_end_matches('/'), issue.short_id);
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
