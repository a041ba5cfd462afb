//! Repositories of projects.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::fix::sha_of;
use super::rows::{dialect, hex, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::commit::Sha;
use crate::domain::id::ProjectId;
use crate::domain::repository::{Branches, Failure, Fetched, Repository, RepositoryId};
use crate::domain::time::Timestamp;

#[derive(FromRow)]
struct RepositoryRow {
    project_id: i64,
    id: Uuid,
    name: String,
    url: Option<String>,
    branches: String,
    credential: Option<Vec<u8>>,
    created_at: i64,
    fetched_at: Option<i64>,
    head: Option<Vec<u8>>,
    n_commits: i64,
    failed_at: Option<i64>,
    failure: Option<String>,
    n_submitted: i64,
    n_replaced: i64,
    submitted_branches: String,
}

#[derive(Serialize)]
struct ReadRow {
    sha: String,
}

impl RepositoryRow {
    fn repository(self) -> Result<Repository, StoreError> {
        let branches: Branches = serde_json::from_str(&self.branches)
            .map_err(|_| StoreError::corrupt("repositories", "branches", self.id))?;
        let head = self.head.map(|head| <[u8; 20]>::try_from(head).map(Sha)).transpose();
        let head = head.map_err(|_| StoreError::corrupt("repositories", "head", self.id))?;
        let n_commits = self.n_commits.unsigned_abs();
        let corrupt = |_| StoreError::corrupt("repositories", "submitted_branches", self.id);
        let submitted = serde_json::from_str(&self.submitted_branches).map_err(corrupt)?;
        let fetched = self.fetched_at.map(Timestamp::from_micros);
        let failed = self.failed_at.map(Timestamp::from_micros);
        Ok(Repository {
            id: RepositoryId(self.id),
            project_id: ProjectId(self.project_id),
            name: self.name,
            url: self.url,
            branches,
            credential: self.credential,
            created_at: Timestamp::from_micros(self.created_at),
            fetched: fetched.map(|at| Fetched { at, head, n_commits }),
            failure: failed.zip(self.failure).map(|(at, reason)| Failure { at, reason }),
            n_submitted: self.n_submitted.unsigned_abs(),
            n_replaced: self.n_replaced.unsigned_abs(),
            submitted_branches: submitted,
        })
    }
}

const FIND: &str = "SELECT project_id, id, name, url, branches, credential, created_at, fetched_at,
        head, n_commits, failed_at, failure,
        n_submitted, n_replaced, submitted_branches
    FROM repositories WHERE project_id = $1 AND name = $2";
const LIST: &str = "SELECT project_id, id, name, url, branches, credential, created_at, fetched_at,
        head, n_commits, failed_at, failure,
        n_submitted, n_replaced, submitted_branches
    FROM repositories WHERE project_id = $1 ORDER BY name";
const LIST_ALL: &str = "SELECT project_id, id, name, url, branches, credential, created_at,
        fetched_at, head, n_commits, failed_at, failure, n_submitted,
        n_replaced, submitted_branches
    FROM repositories WHERE url IS NOT NULL ORDER BY project_id, id";
const LOCK: &str = "UPDATE repositories SET n_submitted = n_submitted
    WHERE project_id = $1 AND name = $2";
const INSERT: &str = "INSERT INTO repositories
    (project_id, id, name, url, branches, credential, created_at, n_commits, n_submitted,
        n_replaced, submitted_branches)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, '{}')";
const UPDATE: &str = "UPDATE repositories SET name = $3, branches = $5, credential = $6, url = $4,
        fetched_at = CASE WHEN url = $4 THEN fetched_at END,
        head = CASE WHEN url = $4 THEN head END,
        failed_at = CASE WHEN url = $4 THEN failed_at END,
        failure = CASE WHEN url = $4 THEN failure END
    WHERE project_id = $1 AND id = $2";
const LIST_READ: &str = "SELECT sha FROM read_messages
    WHERE project_id = $1 AND repository_id = $2 ORDER BY sha";
macro_rules! insert_read {
    ($engine:ident) => {
        concat!(
            "INSERT INTO read_messages (project_id, repository_id, sha, read_at)
            SELECT $1, $3, sha, $4 FROM ",
            new_rows!($engine, bytes sha),
            " WHERE TRUE ORDER BY sha ON CONFLICT DO NOTHING"
        )
    };
}
const INSERT_READ_SQLITE: &str = insert_read!(sqlite);
const INSERT_READ_POSTGRES: &str = insert_read!(postgres);
const DELETE: &str = "DELETE FROM repositories WHERE project_id = $1 AND id = $2";
// Several processes fetch the same repository: what they found is written in any order, and the newest
// stands.
const FETCHED: &str = "UPDATE repositories
    SET fetched_at = $3, head = $4, n_commits = $5,
        failed_at = CASE WHEN failed_at > $3 THEN failed_at END,
        failure = CASE WHEN failed_at > $3 THEN failure END
    WHERE project_id = $1 AND id = $2 AND url = $6 AND (fetched_at IS NULL OR fetched_at <= $3)";
const FAILED: &str = "UPDATE repositories SET failed_at = $3, failure = $4
    WHERE project_id = $1 AND id = $2 AND url = $5 AND (fetched_at IS NULL OR fetched_at <= $3)
        AND (failed_at IS NULL OR failed_at <= $3)";

statements!(
    FIND,
    LIST,
    LIST_ALL,
    LOCK,
    INSERT,
    UPDATE,
    LIST_READ,
    INSERT_READ_SQLITE,
    INSERT_READ_POSTGRES,
    DELETE,
    FETCHED,
    FAILED
);

fn branches_text(repository: &Repository) -> String {
    super::rows::to_json(&repository.branches)
}

impl Tx {
    /// The repository of a project with this name.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_repository(
        &mut self,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<Repository>, StoreError> {
        let row: Option<RepositoryRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(project.0).bind(name).fetch_optional(c))?;
        row.map(RepositoryRow::repository).transpose()
    }

    /// The same, kept from being changed by others meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_repository_to_change(
        &mut self,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<Repository>, StoreError> {
        execute!(self, sqlx::query(LOCK).bind(project.0).bind(name))?;
        self.find_repository(project, name).await
    }

    /// The repositories of a project, by name.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_repositories(
        &mut self,
        project: ProjectId,
    ) -> Result<Vec<Repository>, StoreError> {
        let rows: Vec<RepositoryRow> =
            on!(self, |c| sqlx::query_as(LIST).bind(project.0).fetch_all(c))?;
        rows.into_iter().map(RepositoryRow::repository).collect()
    }

    /// All repositories that are fetched.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_mirrored_repositories(&mut self) -> Result<Vec<Repository>, StoreError> {
        let rows: Vec<RepositoryRow> = on!(self, |c| sqlx::query_as(LIST_ALL).fetch_all(c))?;
        rows.into_iter().map(RepositoryRow::repository).collect()
    }

    /// Adds a repository.
    ///
    /// # Errors
    /// [`StoreError::Taken`]: the project has one of this name.
    pub async fn insert_repository(&mut self, repository: &Repository) -> Result<(), StoreError> {
        let branches = branches_text(repository);
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(repository.project_id.0)
                .bind(repository.id.0)
                .bind(&repository.name)
                .bind(&repository.url)
                .bind(&branches)
                .bind(&repository.credential)
                .bind(repository.created_at.as_micros())
        )?;
        Ok(())
    }

    /// Writes name, address, branches and credential of a repository. What was fetched from another
    /// address is forgotten.
    ///
    /// # Errors
    /// [`StoreError::Taken`]: the project has another of this name.
    pub async fn update_repository(&mut self, repository: &Repository) -> Result<(), StoreError> {
        let branches = branches_text(repository);
        execute!(
            self,
            sqlx::query(UPDATE)
                .bind(repository.project_id.0)
                .bind(repository.id.0)
                .bind(&repository.name)
                .bind(&repository.url)
                .bind(&branches)
                .bind(&repository.credential)
        )?;
        Ok(())
    }

    /// Removes a repository.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_repository(&mut self, repository: &Repository) -> Result<(), StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        execute!(self, sqlx::query(DELETE).bind(project).bind(id))?;
        Ok(())
    }

    /// The commits of a repository whose messages were read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_read_messages(
        &mut self,
        repository: &Repository,
    ) -> Result<BTreeSet<Sha>, StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        let rows: Vec<(Vec<u8>,)> =
            on!(self, |c| sqlx::query_as(LIST_READ).bind(project).bind(id).fetch_all(c))?;
        rows.iter().map(|(sha,)| sha_of(sha, "read_messages", id)).collect()
    }

    /// Notes that the messages of commits were read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_read_messages(
        &mut self,
        repository: &Repository,
        shas: &BTreeSet<Sha>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = rows_json(shas.iter().map(|sha| ReadRow { sha: hex(&sha.0) }));
        let text = dialect!(self, INSERT_READ_SQLITE, INSERT_READ_POSTGRES);
        execute!(
            self,
            sqlx::query(text)
                .bind(repository.project_id.0)
                .bind(&rows)
                .bind(repository.id.0)
                .bind(now.as_micros())
        )?;
        Ok(())
    }

    /// Notes what a fetch found, unless the repository has another address by now, or a newer fetch
    /// was noted.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn repository_fetched(
        &mut self,
        repository: &Repository,
        fetched: &Fetched,
    ) -> Result<(), StoreError> {
        let head = fetched.head.map(|head| head.0.to_vec());
        execute!(
            self,
            sqlx::query(FETCHED)
                .bind(repository.project_id.0)
                .bind(repository.id.0)
                .bind(fetched.at.as_micros())
                .bind(&head)
                .bind(super::counters::count(fetched.n_commits))
                .bind(&repository.url)
        )?;
        Ok(())
    }

    /// Notes why a fetch did not go well, unless the repository has another address by now, or a newer
    /// fetch was noted.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn repository_failed(
        &mut self,
        repository: &Repository,
        failure: &Failure,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(FAILED)
                .bind(repository.project_id.0)
                .bind(repository.id.0)
                .bind(failure.at.as_micros())
                .bind(&failure.reason)
                .bind(&repository.url)
        )?;
        Ok(())
    }
}
