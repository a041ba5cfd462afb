//! What happened to an issue, its tags and its hours.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, new_rows, of_issues, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::lifecycle::Change;
use crate::domain::time::Timestamp;

/// One change of an issue.
#[derive(Debug, Clone)]
pub struct Activity {
    /// Its id; later changes have greater ones.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who: a token's name, or `airlock`.
    pub actor: String,
    /// What.
    pub change: Change,
}

#[derive(FromRow)]
struct ActivityRow {
    number: Option<i64>,
    id: Uuid,
    at: i64,
    actor: String,
    change: String,
}

/// How often a value of a tag occurred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagCount {
    /// The tag.
    pub tag: String,
    /// The value.
    pub value: String,
    /// The number of events.
    pub n_events: u64,
}

#[derive(Serialize)]
struct NewRow<'a> {
    issue_id: Uuid,
    id: Uuid,
    at: i64,
    actor: &'a str,
    change: String,
}

macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO issue_activity (project_id, issue_id, id, at, actor, change)
            SELECT $1, issue_id, id, at, actor, change FROM ",
            new_rows!($engine, uuid issue_id, uuid id, int at, text actor, text change)
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);
const LIST: &str = "SELECT issues.number, issue_activity.id, issue_activity.at,
    issue_activity.actor, issue_activity.change
    FROM issues JOIN issue_activity
    ON issue_activity.project_id = issues.project_id AND issue_activity.issue_id = issues.id
    WHERE issues.project_id = $1 AND (issues.id = $2 OR issues.merged_into = $2)
    AND (CAST($3 AS UUID) IS NULL OR issue_activity.id < $3)
    ORDER BY issue_activity.id DESC LIMIT $4";
const FIND: &str = "SELECT 1 FROM issue_activity
    WHERE project_id = $1 AND issue_id = $2 AND change = $3 LIMIT 1";
const LIST_TAGS: &str = "SELECT tag, value, n_events FROM issue_tags
    WHERE project_id = $1 AND issue_id = $2 ORDER BY tag, n_events DESC, value";
const LIST_ENVIRONMENTS_SQLITE: &str = "SELECT issue_id, value FROM issue_tags
    WHERE project_id = $1 AND tag = 'environment'
    AND issue_id IN (SELECT unhex(value, '-') FROM json_each($2))
    ORDER BY n_events DESC, value";
// One look at the index for each: with `OFFSET` it is never turned into a join.
const LIST_ENVIRONMENTS_POSTGRES: &str = "SELECT wanted.id, found.value
    FROM UNNEST(CAST($2 AS UUID[])) AS wanted (id)
    CROSS JOIN LATERAL (SELECT value, n_events FROM issue_tags
        WHERE project_id = $1 AND issue_id = wanted.id AND tag = 'environment' OFFSET 0) AS found
    ORDER BY found.n_events DESC, found.value";
const LIST_HOURS: &str = "SELECT hour, CAST(SUM(n_events) AS BIGINT) FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2 AND hour >= $3 GROUP BY hour ORDER BY hour";

statements!(
    FIND,
    INSERT_SQLITE,
    INSERT_POSTGRES,
    LIST,
    LIST_TAGS,
    LIST_ENVIRONMENTS_SQLITE,
    LIST_ENVIRONMENTS_POSTGRES,
    LIST_HOURS
);

impl Tx {
    /// Whether an issue's activity has a change already.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn has_change(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        change: &Change,
    ) -> Result<bool, StoreError> {
        let row: Option<(i32,)> = on!(self, |c| sqlx::query_as(FIND)
            .bind(project.0)
            .bind(issue.0)
            .bind(super::rows::to_json(change))
            .fetch_optional(c))?;
        Ok(row.is_some())
    }

    /// Notes changes of issues.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_activity(
        &mut self,
        project: ProjectId,
        changes: &[(IssueId, Activity)],
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let rows = rows_json(changes.iter().map(|(issue, activity)| NewRow {
            issue_id: issue.0,
            id: activity.id,
            at: activity.at.as_micros(),
            actor: &activity.actor,
            change: serde_json::to_string(&activity.change).unwrap_or_default(),
        }));
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows))?;
        Ok(())
    }

    /// Up to `limit` changes of an issue and of those merged into it, each with the number of the
    /// issue it happened to, latest first, from before `before`.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_activity(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<(i64, Activity)>, StoreError> {
        let rows: Vec<ActivityRow> = on!(self, |c| sqlx::query_as(LIST)
            .bind(project.0)
            .bind(issue.0)
            .bind(before)
            .bind(limit)
            .fetch_all(c))?;
        let activity = |row: ActivityRow| {
            let change = serde_json::from_str(&row.change)
                .map_err(|_| StoreError::corrupt("issue_activity", "change", row.id))?;
            let at = Timestamp::from_micros(row.at);
            let activity = Activity { id: row.id, at, actor: row.actor, change };
            Ok((row.number.unwrap_or_default(), activity))
        };
        rows.into_iter().map(activity).collect()
    }

    /// The tags of an issue, by name; the most frequent values first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_tags(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<TagCount>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            on!(self, |c| sqlx::query_as(LIST_TAGS).bind(project.0).bind(issue.0).fetch_all(c))?;
        let count =
            |(tag, value, n): (_, _, i64)| TagCount { tag, value, n_events: n.unsigned_abs() };
        Ok(rows.into_iter().map(count).collect())
    }

    /// The environments issues were seen in, most frequent first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_environments_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<HashMap<IssueId, Vec<String>>, StoreError> {
        let rows: Vec<(Uuid, String)> = of_issues!(
            self,
            LIST_ENVIRONMENTS_SQLITE,
            LIST_ENVIRONMENTS_POSTGRES,
            project,
            issues
        )?;
        let mut environments: HashMap<IssueId, Vec<String>> = HashMap::new();
        for (issue, environment) in rows {
            environments.entry(IssueId(issue)).or_default().push(environment);
        }
        Ok(environments)
    }

    /// The hours of an issue from `first` on, with their numbers of events.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_hours(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        first: i64,
    ) -> Result<Vec<(i64, u64)>, StoreError> {
        let rows: Vec<(i64, i64)> = on!(self, |c| sqlx::query_as(LIST_HOURS)
            .bind(project.0)
            .bind(issue.0)
            .bind(first)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(hour, n)| (hour, n.unsigned_abs())).collect())
    }
}
