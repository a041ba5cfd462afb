//! Locks of environments.

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::fix::FixId;
use crate::domain::id::{IssueId, ProjectId, ProjectItemId};
use crate::domain::lock::{Lock, LockFilter, Released, Subject};
use crate::domain::time::Timestamp;

#[derive(FromRow)]
struct LockRow {
    project_id: i64,
    id: Uuid,
    environment: String,
    issue_id: Option<Uuid>,
    reason: Option<String>,
    assignee: Option<String>,
    key: Option<String>,
    expires_at: Option<i64>,
    owner: String,
    created_at: i64,
    released_at: Option<i64>,
    released_by: Option<String>,
    release_reason: Option<String>,
    released_fix_id: Option<Uuid>,
}

impl From<LockRow> for Lock {
    fn from(row: LockRow) -> Self {
        let subject = match row.issue_id {
            Some(issue) => Subject::Issue(IssueId(issue)),
            None => Subject::Manual {
                reason: row.reason.unwrap_or_default(),
                assignee: row.assignee,
                key: row.key,
                expires_at: row.expires_at.map(Timestamp::from_micros),
            },
        };
        let released = row.released_at.map(|at| Released {
            at: Timestamp::from_micros(at),
            by: row.released_by.unwrap_or_default(),
            reason: row.release_reason.unwrap_or_default(),
            fix: row.released_fix_id.map(FixId),
        });
        Self {
            id: ProjectItemId { project: ProjectId(row.project_id), id: row.id },
            environment: row.environment,
            subject,
            owner: row.owner,
            created_at: Timestamp::from_micros(row.created_at),
            released,
        }
    }
}

/// What was said about a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockComment {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// What.
    pub text: String,
}

macro_rules! columns {
    () => {
        "project_id, id, environment, issue_id, reason, assignee, key, expires_at, owner,
        created_at, released_at, released_by, release_reason, released_fix_id"
    };
}
macro_rules! select {
    ($condition:literal) => {
        concat!("SELECT ", columns!(), " FROM locks WHERE project_id = $1 AND ", $condition)
    };
}
const FIND: &str = select!("id = $2");
const FIND_BY_KEY: &str = select!("environment = $2 AND key = $3 AND released_at IS NULL");
const FIND_BY_ISSUE: &str = select!("issue_id = $3 AND environment = $2 AND released_at IS NULL");
const LIST_ACTIVE: &str = select!(
    "environment = $2 AND released_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
    AND id > $4 ORDER BY id LIMIT $5"
);
const LIST_RELEASED: &str = select!(
    "environment = $2 AND (released_at IS NOT NULL OR expires_at <= $3)
    AND id > $4 ORDER BY id LIMIT $5"
);
const LIST_ALL: &str =
    select!("environment = $2 AND CAST($3 AS BIGINT) IS NOT NULL AND id > $4 ORDER BY id LIMIT $5");
const LIST_OF_ISSUE: &str = select!("issue_id = $2 ORDER BY issue_id, id LIMIT 1000");
const COUNT_ACTIVE: &str = "SELECT COUNT(*) FROM locks
    WHERE project_id = $1 AND environment = $2 AND released_at IS NULL
        AND (expires_at IS NULL OR expires_at > $3)";
const INSERT: &str =
    "INSERT INTO locks (project_id, id, environment, issue_id, reason, assignee, key,
        expires_at, owner, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const REFRESH: &str = "UPDATE locks SET reason = $3, assignee = $4, expires_at = $5
    WHERE project_id = $1 AND id = $2 AND released_at IS NULL";
const RELEASE: &str = "UPDATE locks
    SET released_at = CASE WHEN created_at > $3 THEN created_at ELSE $3 END, released_by = $4, release_reason = $5, released_fix_id = $6
    WHERE project_id = $1 AND id = $2 AND released_at IS NULL";
const REARM: &str = "UPDATE locks SET released_at = NULL, released_by = NULL,
        release_reason = NULL, released_fix_id = NULL
    WHERE project_id = $1 AND id = $2 AND released_at IS NOT NULL";
const INSERT_COMMENT: &str = "INSERT INTO lock_comments (project_id, lock_id, id, at, actor, text)
    VALUES ($1, $2, $3, $4, $5, $6)";
/// One comment on every lock of an environment that blocks.
const INSERT_COMMENTS: &str = "INSERT INTO lock_comments
    (project_id, lock_id, id, at, actor, text)
    SELECT project_id, id, $3, CAST($4 AS BIGINT), $5, $6 FROM locks
    WHERE project_id = $1 AND environment = $2 AND released_at IS NULL
        AND (expires_at IS NULL OR expires_at > $4)";
/// One comment on every lock of an environment that stood at a time that is over.
const INSERT_LATE_COMMENTS: &str = "INSERT INTO lock_comments
    (project_id, lock_id, id, at, actor, text)
    SELECT project_id, id, $3, CAST($4 AS BIGINT), $5, $6 FROM locks
    WHERE project_id = $1 AND environment = $2 AND created_at <= $7
        AND (released_at IS NULL OR released_at > $7)
        AND (expires_at IS NULL OR expires_at > $7)";
const LIST_COMMENTS: &str = "SELECT at, actor, text FROM lock_comments
    WHERE project_id = $1 AND lock_id = $2 ORDER BY id LIMIT 100";

statements!(
    FIND,
    FIND_BY_KEY,
    FIND_BY_ISSUE,
    LIST_ACTIVE,
    LIST_RELEASED,
    LIST_ALL,
    LIST_OF_ISSUE,
    COUNT_ACTIVE,
    INSERT,
    REFRESH,
    RELEASE,
    REARM,
    INSERT_COMMENT,
    INSERT_COMMENTS,
    INSERT_LATE_COMMENTS,
    LIST_COMMENTS,
);

impl Tx {
    /// A lock.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_lock(&mut self, id: ProjectItemId) -> Result<Option<Lock>, StoreError> {
        let row: Option<LockRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(id.project.0).bind(id.id).fetch_optional(c))?;
        Ok(row.map(Lock::from))
    }

    /// The lock of a script, by its key. It may have expired.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_lock_by_key(
        &mut self,
        project: ProjectId,
        environment: &str,
        key: &str,
    ) -> Result<Option<Lock>, StoreError> {
        let row: Option<LockRow> = on!(self, |c| sqlx::query_as(FIND_BY_KEY)
            .bind(project.0)
            .bind(environment)
            .bind(key)
            .fetch_optional(c))?;
        Ok(row.map(Lock::from))
    }

    /// The active lock of an issue on an environment.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_lock_by_issue(
        &mut self,
        project: ProjectId,
        environment: &str,
        issue: IssueId,
    ) -> Result<Option<Lock>, StoreError> {
        let row: Option<LockRow> = on!(self, |c| sqlx::query_as(FIND_BY_ISSUE)
            .bind(project.0)
            .bind(environment)
            .bind(issue.0)
            .fetch_optional(c))?;
        Ok(row.map(Lock::from))
    }

    /// Locks of an environment as they are at `now`, the oldest first, after an id.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_locks(
        &mut self,
        project: ProjectId,
        environment: &str,
        (filter, now): (LockFilter, Timestamp),
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<Lock>, StoreError> {
        let text = match filter {
            LockFilter::Active => LIST_ACTIVE,
            LockFilter::Released => LIST_RELEASED,
            LockFilter::All => LIST_ALL,
        };
        let rows: Vec<LockRow> = on!(self, |c| sqlx::query_as(text)
            .bind(project.0)
            .bind(environment)
            .bind(now.as_micros())
            .bind(after)
            .bind(limit)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(Lock::from).collect())
    }

    /// All locks an issue ever made.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_locks_of(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<Lock>, StoreError> {
        let rows: Vec<LockRow> = on!(self, |c| sqlx::query_as(LIST_OF_ISSUE)
            .bind(project.0)
            .bind(issue.0)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(Lock::from).collect())
    }

    /// How many locks of an environment nobody released.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_locks(
        &mut self,
        project: ProjectId,
        environment: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (n,): (i64,) = on!(self, |c| sqlx::query_as(COUNT_ACTIVE)
            .bind(project.0)
            .bind(environment)
            .bind(now.as_micros())
            .fetch_one(c))?;
        Ok(n.unsigned_abs())
    }

    /// Adds a lock.
    ///
    /// # Errors
    /// [`StoreError::Taken`]: its key is another's.
    pub async fn insert_lock(&mut self, lock: &Lock) -> Result<(), StoreError> {
        let (reason, assignee, key, expires_at) = manual(&lock.subject);
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(lock.id.project.0)
                .bind(lock.id.id)
                .bind(&lock.environment)
                .bind(lock.issue().map(|issue| issue.0))
                .bind(reason)
                .bind(assignee)
                .bind(key)
                .bind(expires_at)
                .bind(&lock.owner)
                .bind(lock.created_at.as_micros())
        )?;
        Ok(())
    }

    /// Writes reason, assignee and expiry of a lock.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when it was released meanwhile.
    pub async fn refresh_lock(&mut self, lock: &Lock) -> Result<(), StoreError> {
        let (reason, assignee, _, expires_at) = manual(&lock.subject);
        let n_rows = execute!(
            self,
            sqlx::query(REFRESH)
                .bind(lock.id.project.0)
                .bind(lock.id.id)
                .bind(reason)
                .bind(assignee)
                .bind(expires_at)
        )?;
        if n_rows == 1 { Ok(()) } else { Err(StoreError::Raced) }
    }

    /// Ends a lock; false when it had ended.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn release_lock(
        &mut self,
        id: ProjectItemId,
        released: &Released,
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(RELEASE)
                .bind(id.project.0)
                .bind(id.id)
                .bind(released.at.as_micros())
                .bind(&released.by)
                .bind(&released.reason)
                .bind(released.fix.map(|fix| fix.0))
        )?;
        Ok(n_rows == 1)
    }

    /// Makes a lock active again.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn rearm_lock(&mut self, id: ProjectItemId) -> Result<(), StoreError> {
        execute!(self, sqlx::query(REARM).bind(id.project.0).bind(id.id))?;
        Ok(())
    }

    /// Adds what was said about a lock.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_lock_comment(
        &mut self,
        lock: ProjectItemId,
        id: Uuid,
        comment: &LockComment,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(INSERT_COMMENT)
                .bind(lock.project.0)
                .bind(lock.id)
                .bind(id)
                .bind(comment.at.as_micros())
                .bind(&comment.actor)
                .bind(&comment.text)
        )?;
        Ok(())
    }

    /// Adds what was said about all locks of an environment that block, or that stood at a time that
    /// is over.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_lock_comments(
        &mut self,
        (project, environment): (ProjectId, &str),
        id: Uuid,
        comment: &LockComment,
        stood_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let (project, at) = (project.0, comment.at.as_micros());
        let said = (&comment.actor, &comment.text);
        match stood_at {
            None => execute!(
                self,
                sqlx::query(INSERT_COMMENTS)
                    .bind(project)
                    .bind(environment)
                    .bind(id)
                    .bind(at)
                    .bind(said.0)
                    .bind(said.1)
            ),
            Some(stood_at) => execute!(
                self,
                sqlx::query(INSERT_LATE_COMMENTS)
                    .bind(project)
                    .bind(environment)
                    .bind(id)
                    .bind(at)
                    .bind(said.0)
                    .bind(said.1)
                    .bind(stood_at.as_micros())
            ),
        }?;
        Ok(())
    }

    /// What was said about a lock, at most 100 comments.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_lock_comments(
        &mut self,
        lock: ProjectItemId,
    ) -> Result<Vec<LockComment>, StoreError> {
        let rows: Vec<(i64, String, String)> = on!(self, |c| sqlx::query_as(LIST_COMMENTS)
            .bind(lock.project.0)
            .bind(lock.id)
            .fetch_all(c))?;
        let comment =
            |(at, actor, text)| LockComment { at: Timestamp::from_micros(at), actor, text };
        Ok(rows.into_iter().map(comment).collect())
    }
}

/// Reason, assignee, key and expiry of a manual lock.
type Manual<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<i64>);

fn manual(subject: &Subject) -> Manual<'_> {
    match subject {
        Subject::Issue(_) => (None, None, None, None),
        Subject::Manual { reason, assignee, key, expires_at } => (
            Some(reason.as_str()),
            assignee.as_deref(),
            key.as_deref(),
            expires_at.map(Timestamp::as_micros),
        ),
    }
}
