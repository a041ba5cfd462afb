//! The users of an issue: the smallest of their hashes.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::counters::count;
use super::error::StoreError;
use super::rows::{dialect, to_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::user_sketch::{MOST_KEPT, count_users};

/// From a parameter `{issue: [hash]}`.
macro_rules! insert {
    ($columns:literal) => {
        concat!(
            "INSERT INTO issue_users (project_id, issue_id, user_hash) SELECT $1, ",
            $columns,
            " WHERE TRUE ON CONFLICT (project_id, issue_id, user_hash) DO NOTHING
            RETURNING issue_id"
        )
    };
}
const INSERT_SQLITE: &str = insert!(
    "unhex(issue.key, '-'), user.atom FROM jsonb_each($2) AS issue, json_each(issue.value) AS user"
);
const INSERT_POSTGRES: &str = insert!(
    "CAST(issue.key AS UUID), CAST(user_hash AS BIGINT) FROM json_each(CAST($2 AS JSON)) AS issue,
        json_array_elements_text(issue.value) AS user_hash"
);
const LIST_SMALLEST: &str = "SELECT user_hash FROM issue_users
    WHERE project_id = $1 AND issue_id = $2 ORDER BY user_hash LIMIT $3";
const DELETE_ABOVE: &str = "DELETE FROM issue_users
    WHERE project_id = $1 AND issue_id = $2 AND user_hash > $3";
const UPDATE_COUNT: &str = "UPDATE issues SET n_users = $3, users_below = $4
    WHERE project_id = $1 AND id = $2";
const REPOINT: &str = "INSERT INTO issue_users (project_id, issue_id, user_hash)
    SELECT project_id, $3, user_hash FROM issue_users WHERE project_id = $1 AND issue_id = $2
    ON CONFLICT (project_id, issue_id, user_hash) DO NOTHING";
const DELETE_BEYOND_BOTH: &str = "DELETE FROM issue_users
    WHERE project_id = $1 AND issue_id = $2
    AND user_hash > (SELECT MIN(users_below) FROM issues WHERE project_id = $1 AND id IN ($2, $3))";

statements!(
    INSERT_SQLITE,
    INSERT_POSTGRES,
    LIST_SMALLEST,
    DELETE_ABOVE,
    UPDATE_COUNT,
    REPOINT,
    DELETE_BEYOND_BOTH
);

impl Tx {
    /// Stores the hashes of users, by issue; gives how many were new to each.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_users(
        &mut self,
        project: ProjectId,
        users: &BTreeMap<IssueId, BTreeSet<i64>>,
    ) -> Result<BTreeMap<IssueId, u64>, StoreError> {
        let mut n_new = BTreeMap::new();
        let users: BTreeMap<Uuid, &BTreeSet<i64>> = users
            .iter()
            .filter(|(_, hashes)| !hashes.is_empty())
            .map(|(issue, hashes)| (issue.0, hashes))
            .collect();
        if users.is_empty() {
            return Ok(n_new);
        }
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        let inserted: Vec<(Uuid,)> =
            on!(self, |c| sqlx::query_as(text).bind(project.0).bind(to_json(&users)).fetch_all(c))?;
        for (issue,) in inserted {
            *n_new.entry(IssueId(issue)).or_default() += 1;
        }
        Ok(n_new)
    }

    /// Counts the users of an issue anew, and forgets those that are beyond the smallest. Its row
    /// must have been written before: that row is the lock.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_users(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<(), StoreError> {
        let rows: Vec<(i64,)> = on!(self, |c| sqlx::query_as(LIST_SMALLEST)
            .bind(project.0)
            .bind(issue.0)
            .bind(count(MOST_KEPT as u64))
            .fetch_all(c))?;
        let smallest: Vec<i64> = rows.into_iter().map(|(hash,)| hash).collect();
        let counted = count_users(&smallest);
        if let Some(below) = counted.below {
            execute!(self, sqlx::query(DELETE_ABOVE).bind(project.0).bind(issue.0).bind(below))?;
        }
        execute!(
            self,
            sqlx::query(UPDATE_COUNT)
                .bind(project.0)
                .bind(issue.0)
                .bind(count(counted.n_users))
                .bind(counted.below)
        )?;
        Ok(())
    }

    /// Adds the users of one issue to those of another. Both rows must be locked.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(super) async fn merge_users(
        &mut self,
        project: ProjectId,
        (from, into): (IssueId, IssueId),
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(REPOINT).bind(project.0).bind(from.0).bind(into.0))?;
        // What one of them has forgotten, nobody knows of the other either.
        execute!(self, sqlx::query(DELETE_BEYOND_BOTH).bind(project.0).bind(into.0).bind(from.0))?;
        self.count_users(project, into).await
    }
}
