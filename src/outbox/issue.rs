//! The task of an issue: made once, and kept in line with it.

use std::time::Duration;

use super::Outbox;
use super::lane::EffectError;
use crate::domain::effect::Subject;
use crate::domain::id::IssueId;
use crate::domain::issue::Issue;
use crate::domain::project::Project;
use crate::domain::task::{IssueFacts, Wanted, of_issue};
use crate::domain::time::Timestamp;
use crate::domain::tracker::Board;
use crate::store::StoreError;
use crate::store::body::Decoded;
use crate::store::task::{Remote, Task};
use crate::tracker::{Connection, Tracker as _};

/// The text of a task, which counts events, is written again after this at the earliest.
const BODY_PAUSE: Duration = Duration::from_mins(5);

impl Outbox {
    /// Brings the task of an issue in line with it, and makes it first if there is none; `None` when
    /// the issue is gone.
    pub(super) async fn sync_issue(
        &self,
        project: &Project,
        tracker: &Connection,
        id: IssueId,
        unsure_since: Option<Timestamp>,
    ) -> Result<Option<Remote>, EffectError> {
        let subject = Subject::Issue(id);
        let (issue, task) = {
            let mut tx = self.store.read().await?;
            let issue = tx.find_issue_by_id(project, id).await?;
            (issue, tx.find_task(project.id, subject).await?)
        };
        let Some(issue) = issue else { return Ok(None) };
        let wanted = self.wanted(project, &issue).await?;
        let now = self.clock.now();
        let mut task = task.unwrap_or_else(|| Task {
            subject,
            generation: 1,
            tracker: tracker.kind().to_owned(),
            place: tracker.place(),
            remote: None,
            is_done: false,
            written: None,
            body_written_at: None,
            synced_at: None,
            error: None,
            created_at: now,
        });
        // In another tracker it is looked up, however long ago it may have been there.
        let moved = (task.place != tracker.place()).then(|| task.clone());
        let lookup = moved.as_ref().map_or(unsure_since, |_| Some(Timestamp::from_micros(0)));
        if moved.is_some() {
            (task.tracker, task.place) = (tracker.kind().to_owned(), tracker.place());
            (task.remote, task.written) = (None, None);
        }
        let written = self.write(tracker, &issue, &mut task, &wanted, lookup).await;
        if let Some(before) = moved.filter(|_| task.remote.is_none()) {
            task = before;
        }
        task.error = written.as_ref().err().map(ToString::to_string);
        let mut tx = self.store.write().await?;
        tx.upsert_task(project.id, &task).await?;
        tx.commit().await?;
        written?;
        Ok(task.remote)
    }

    /// Makes or changes the task in the tracker.
    async fn write(
        &self,
        tracker: &Connection,
        issue: &Issue,
        task: &mut Task,
        wanted: &Wanted,
        lookup: Option<Timestamp>,
    ) -> Result<(), EffectError> {
        let now = self.clock.now();
        // Another installation may have an issue of the same short id.
        let key = format!("{}/{}", issue.id.0.simple(), task.generation);
        let Some(remote) = &task.remote else {
            let found = match lookup {
                Some(since) => tracker.find(&Board::Issues, &key, since).await?,
                None => Vec::new(),
            };
            let is_found = !found.is_empty();
            // The oldest wins, whoever made it.
            let remote = match found.into_iter().next() {
                Some(remote) => remote,
                None => tracker.create(&Board::Issues, &key, wanted).await?,
            };
            if is_found {
                let all = wanted.all();
                tracker.update(&remote.id, &key, &all).await?;
            }
            task.remote = Some(remote);
            task.written = Some(wanted.written());
            (task.is_done, task.body_written_at, task.synced_at) =
                (wanted.is_done, Some(now), Some(now));
            return Ok(());
        };
        let may_write_body = task.body_written_at.is_none_or(|at| now.since(at) >= BODY_PAUSE);
        let patch = match &task.written {
            Some(written) => wanted.since(written, may_write_body),
            None => wanted.all(),
        };
        if !patch.is_empty() {
            tracker.update(&remote.id, &key, &patch).await?;
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
