//! Merging one issue into another: hashes are repointed, counters added up. No event is touched.

use super::error::StoreError;
use super::issue::search_text;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::issue::{Issue, handled_of_both};

/// Writes nothing new, but holds the row.
const LOCK: &str = "UPDATE issues SET revision = revision WHERE project_id = $1 AND id = $2";
const REPOINT_HASHES: &str =
    "UPDATE issue_hashes SET issue_id = $3 WHERE project_id = $1 AND issue_id = $2";
const LIST_MERGED: &str = "SELECT id FROM issues WHERE project_id = $1 AND merged_into = $2";
const REPOINT_MERGED: &str =
    "UPDATE issues SET merged_into = $3 WHERE project_id = $1 AND merged_into = $2";
const REPOINT_LOCKS: &str =
    "UPDATE locks SET issue_id = $3 WHERE project_id = $1 AND issue_id = $2";
const MARK_MERGED: &str = "UPDATE issues SET merged_into = $3, mute_until = NULL,
    revision = revision + 1
    WHERE project_id = $1 AND id = $2 AND revision = $4 AND merged_into IS NULL";
const ABSORB: &str = "UPDATE issues SET
    n_events = n_events + (SELECT other.n_events FROM issues AS other
        WHERE other.project_id = $1 AND other.id = $2),
    n_suppressed = n_suppressed + (SELECT other.n_suppressed FROM issues AS other
        WHERE other.project_id = $1 AND other.id = $2),
    n_undetermined = n_undetermined + (SELECT other.n_undetermined FROM issues AS other
        WHERE other.project_id = $1 AND other.id = $2),
    n_bodies = n_bodies + (SELECT other.n_bodies FROM issues AS other
        WHERE other.project_id = $1 AND other.id = $2),
    first_seen = $5, last_seen = $6, last_seen_minute = $7, first_release = $8, last_release = $9,
    handled = $10, title = $11, culprit = $12, level = $13, platform = $14, search_text = $15,
    revision = revision + 1
    WHERE project_id = $1 AND id = $3 AND revision = $4 AND merged_into IS NULL";
const ADD_COUNTS: &str = "INSERT INTO issue_counts
    (project_id, issue_id, hour, release, environment, verdict, n_events)
    SELECT project_id, $3, hour, release, environment, verdict, n_events FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2
    ON CONFLICT (project_id, issue_id, hour, release, environment, verdict)
    DO UPDATE SET n_events = issue_counts.n_events + EXCLUDED.n_events";
const ADD_TAGS: &str = "INSERT INTO issue_tags (project_id, issue_id, tag, value, n_events)
    SELECT project_id, $3, tag, value, n_events FROM issue_tags
    WHERE project_id = $1 AND issue_id = $2
    ON CONFLICT (project_id, issue_id, tag, value)
    DO UPDATE SET n_events = issue_tags.n_events + EXCLUDED.n_events";
const DELETE_COUNTS: &str = "DELETE FROM issue_counts WHERE project_id = $1 AND issue_id = $2";
const DELETE_TAGS: &str = "DELETE FROM issue_tags WHERE project_id = $1 AND issue_id = $2";
const DELETE_USERS: &str = "DELETE FROM issue_users WHERE project_id = $1 AND issue_id = $2";

statements!(
    LOCK,
    REPOINT_HASHES,
    LIST_MERGED,
    REPOINT_MERGED,
    REPOINT_LOCKS,
    MARK_MERGED,
    ABSORB,
    ADD_COUNTS,
    ADD_TAGS,
    DELETE_COUNTS,
    DELETE_TAGS,
    DELETE_USERS
);

impl Tx {
    /// Keeps everybody else from writing an issue until the transaction ends. Whoever locks several
    /// does it by ascending id.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn lock_issue(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(LOCK).bind(project.0).bind(issue.0))?;
        Ok(())
    }

    /// The issues that were merged into an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_merged_into(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<IssueId>, StoreError> {
        let rows: Vec<(uuid::Uuid,)> =
            on!(self, |c| sqlx::query_as(LIST_MERGED).bind(project.0).bind(issue.0).fetch_all(c))?;
        Ok(rows.into_iter().map(|(id,)| IssueId(id)).collect())
    }

    /// Gives everything of `merged` to `survivor`, whose state is written separately. Both must be
    /// as they were read: lock them first, since events are added without raising a revision.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when one of them changed meanwhile.
    pub async fn merge_issues(
        &mut self,
        merged: &Issue,
        survivor: &Issue,
    ) -> Result<(), StoreError> {
        let project = merged.project_id;
        let (from, into) = (merged.id.0, survivor.id.0);
        execute!(self, sqlx::query(REPOINT_HASHES).bind(project.0).bind(from).bind(into))?;
        self.mark_merged(merged, survivor).await?;
        self.absorb(merged, survivor).await?;
        for text in [REPOINT_MERGED, REPOINT_LOCKS] {
            execute!(self, sqlx::query(text).bind(project.0).bind(from).bind(into))?;
        }
        for text in [ADD_COUNTS, ADD_TAGS] {
            execute!(self, sqlx::query(text).bind(project.0).bind(from).bind(into))?;
        }
        self.merge_users(project, (merged.id, survivor.id)).await?;
        for text in [DELETE_COUNTS, DELETE_TAGS, DELETE_USERS] {
            execute!(self, sqlx::query(text).bind(project.0).bind(from))?;
        }
        Ok(())
    }

    async fn mark_merged(&mut self, merged: &Issue, survivor: &Issue) -> Result<(), StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(MARK_MERGED)
                .bind(merged.project_id.0)
                .bind(merged.id.0)
                .bind(survivor.id.0)
                .bind(merged.revision)
        )?;
        if n_rows == 1 { Ok(()) } else { Err(StoreError::Raced) }
    }

    async fn absorb(&mut self, merged: &Issue, survivor: &Issue) -> Result<(), StoreError> {
        let is_older = merged.first_seen < survivor.first_seen;
        let is_newer = merged.last_seen > survivor.last_seen;
        let first = if is_older { merged } else { survivor };
        let last = if is_newer { merged } else { survivor };
        let n_rows = execute!(
            self,
            sqlx::query(ABSORB)
                .bind(survivor.project_id.0)
                .bind(merged.id.0)
                .bind(survivor.id.0)
                .bind(survivor.revision)
                .bind(first.first_seen.as_micros())
                .bind(last.last_seen.as_micros())
                .bind(last.last_seen.minute())
                .bind(&first.first_release)
                .bind(&last.last_release)
                .bind(handled_of_both(survivor.handled, merged.handled))
                .bind(&last.title)
                .bind(&last.culprit)
                .bind(last.level.as_str())
                .bind(&last.platform)
                .bind(search_text(&last.title, &last.culprit))
        )?;
        if n_rows == 1 { Ok(()) } else { Err(StoreError::Raced) }
    }
}
