//! The task of an issue.

use std::collections::BTreeSet;

use super::inbox::Of;
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
            self.hear(desk, &mut task, Of::Issue(&issue)).await?;
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
        let now = self.clock.now();
        let done_until = issue.state.status.done_until().filter(|until| *until > now);
        let look_at = [look_at, done_until].into_iter().flatten().min();
        self.put_on_boards(desk, &mut task, &issue).await?;
        let carried = Carried {
            look_at,
            n_seen: task.remote.as_ref().map(|_| issue.n_events),
            is_held: task.held_at.is_some(),
        };
        Ok(Some((task, carried)))
    }

    /// Puts the task of an issue on the boards of the environments it locks, and takes it off others.
    async fn put_on_boards<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        task: &mut Task,
        issue: &Issue,
    ) -> Result<(), EffectError> {
        let (Some(remote), Some(written)) = (&task.remote, &task.written) else { return Ok(()) };
        let (now, project) = (self.clock.now(), desk.project.id);
        let locks = self.store.read().await?.list_locks_of(project, issue.id).await?;
        let active = locks.into_iter().filter(|lock| lock.is_active(now));
        let has_board = |name: &String| desk.tracker.has_board(&Board::Locks(name.clone()));
        let wanted: BTreeSet<String> =
            active.map(|lock| lock.environment).filter(has_board).collect();
        if task.deleted_at.is_some() || wanted == *written.locks() {
            return Ok(());
        }
        for name in wanted.symmetric_difference(written.locks()).filter(|name| has_board(name)) {
            let board = Board::Locks(name.clone());
            desk.tracker.set_board(&remote.id, &board, wanted.contains(name)).await?;
        }
        task.written = task.written.take().map(|written| written.on_boards(wanted));
        self.save(desk, task).await
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
        let locks = tx.list_locks_of(project.id, issue.id).await?.into_iter();
        let active = locks.filter(|lock| lock.is_active(now));
        let locks: Vec<String> = active.map(|lock| lock.environment).collect();
        let url = self.url_of(&issue.short_id);
        Ok(of_issue(&IssueFacts {
            issue,
            environments: &environments.remove(&issue.id).unwrap_or_default(),
            event: decoded.first().and_then(Decoded::event),
            fix: fix.as_ref().map(|current| (&current.fix, current.state)),
            locks: &locks,
            url: &url,
            now,
        }))
    }
}
