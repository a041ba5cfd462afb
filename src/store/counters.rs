//! The counters of an issue: hours, tag values, users; and the numbers people see.
//!
//! Written last in a batch, after the issue's row: that row is the lock.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::tag_counts::TagCounts;
use crate::domain::user_sketch::UserSketch;

const ADD_HOUR: &str = "INSERT INTO issue_hours (project_id, issue_id, hour, n_events)
    VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, issue_id, hour)
    DO UPDATE SET n_events = issue_hours.n_events + EXCLUDED.n_events";
const LIST_TAG_KEYS: &str =
    "SELECT tag, value FROM issue_tags WHERE project_id = $1 AND issue_id = $2";
const ADD_TAG_SQLITE: &str = "INSERT INTO issue_tags (project_id, issue_id, tag, value, n_events)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project_id, issue_id, tag, value)
    DO UPDATE SET n_events = issue_tags.n_events + EXCLUDED.n_events";
const ADD_TAGS_POSTGRES: &str =
    "INSERT INTO issue_tags (project_id, issue_id, tag, value, n_events)
    SELECT $1, $2, * FROM UNNEST(CAST($3 AS TEXT[]), CAST($4 AS TEXT[]), CAST($5 AS BIGINT[]))
    ON CONFLICT (project_id, issue_id, tag, value)
    DO UPDATE SET n_events = issue_tags.n_events + EXCLUDED.n_events";
const FIND_SKETCH: &str = "SELECT sketch FROM issue_users WHERE project_id = $1 AND issue_id = $2";
const UPSERT_SKETCH: &str = "INSERT INTO issue_users (project_id, issue_id, sketch, n_users)
    VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, issue_id)
    DO UPDATE SET sketch = EXCLUDED.sketch, n_users = EXCLUDED.n_users";
const TAKE_NUMBERS: &str = "INSERT INTO project_counters (project_id, name, value)
    VALUES ($1, 'issue_number', $2) ON CONFLICT (project_id, name)
    DO UPDATE SET value = project_counters.value + EXCLUDED.value RETURNING value";
const NUMBER_ISSUE: &str = "UPDATE issues SET number = $3 WHERE project_id = $1 AND id = $2";

statements!(
    ADD_HOUR,
    LIST_TAG_KEYS,
    ADD_TAG_SQLITE,
    ADD_TAGS_POSTGRES,
    FIND_SKETCH,
    UPSERT_SKETCH,
    TAKE_NUMBERS,
    NUMBER_ISSUE,
);

/// A count as the store writes it.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Tx {
    /// Adds to the hourly counters of an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_hours(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        hours: &BTreeMap<i64, u64>,
    ) -> Result<(), StoreError> {
        for (hour, n_events) in hours {
            execute!(
                self,
                sqlx::query(ADD_HOUR)
                    .bind(project.0)
                    .bind(issue.0)
                    .bind(hour)
                    .bind(count(*n_events))
            )?;
        }
        Ok(())
    }

    /// The tags and values of an issue that are counted already.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_tag_keys(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<BTreeSet<(String, String)>, StoreError> {
        let rows: Vec<(String, String)> = on!(self, |c| sqlx::query_as(LIST_TAG_KEYS)
            .bind(project.0)
            .bind(issue.0)
            .fetch_all(c))?;
        Ok(rows.into_iter().collect())
    }

    /// Adds to the tag counters of an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_tags(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        counts: &TagCounts,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => {
                for ((tag, value), n_events) in counts {
                    let query = sqlx::query(ADD_TAG_SQLITE)
                        .bind(project.0)
                        .bind(issue.0)
                        .bind(tag)
                        .bind(value)
                        .bind(count(*n_events));
                    query.execute(&mut **tx).await?;
                }
            }
            Self::Postgres(tx) => {
                let query = sqlx::query(ADD_TAGS_POSTGRES)
                    .bind(project.0)
                    .bind(issue.0)
                    .bind(counts.keys().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>())
                    .bind(counts.keys().map(|(_, value)| value.as_str()).collect::<Vec<_>>())
                    .bind(counts.values().map(|n| count(*n)).collect::<Vec<_>>());
                query.execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    /// The users of an issue. Read it after the issue's row was written: that row is the lock.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_users(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<UserSketch, StoreError> {
        let row: Option<(Vec<u8>,)> = on!(self, |c| sqlx::query_as(FIND_SKETCH)
            .bind(project.0)
            .bind(issue.0)
            .fetch_optional(c))?;
        let Some((sketch,)) = row else { return Ok(UserSketch::default()) };
        UserSketch::from_bytes(&sketch)
            .ok_or_else(|| StoreError::corrupt("issue_users", "sketch", issue.0))
    }

    /// Writes the users of an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_users(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        users: &UserSketch,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(UPSERT_SKETCH)
                .bind(project.0)
                .bind(issue.0)
                .bind(users.to_bytes())
                .bind(count(users.count()))
        )?;
        Ok(())
    }

    /// Gives new issues their numbers, in the order given. The last step of a batch: the counter is
    /// the one row all new issues of a project share.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn number_issues(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<(), StoreError> {
        if issues.is_empty() {
            return Ok(());
        }
        let n_issues = count(issues.len() as u64);
        let (last,): (i64,) = on!(self, |c| sqlx::query_as(TAKE_NUMBERS)
            .bind(project.0)
            .bind(n_issues)
            .fetch_one(c))?;
        for (number, issue) in (last - n_issues + 1..).zip(issues) {
            execute!(self, sqlx::query(NUMBER_ISSUE).bind(project.0).bind(issue.0).bind(number))?;
        }
        Ok(())
    }
}
