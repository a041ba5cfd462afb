//! Commits that clients submitted.

use serde::Serialize;
use sqlx::FromRow;

use super::error::StoreError;
use super::rows::{dialect, hex, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::commit::Sha;
use crate::domain::repository::Repository;
use crate::domain::submission::Submitted;
use crate::domain::time::Timestamp;

/// So many are read at a time.
const PAGE: i64 = 1_000;

#[derive(Serialize)]
struct NewRow<'a> {
    sha: String,
    parents: String,
    author: &'a str,
    committed_at: i64,
    message: &'a str,
}

#[derive(FromRow)]
struct SubmittedRow {
    sha: Vec<u8>,
    parents: Vec<u8>,
    author: String,
    committed_at: i64,
    message: String,
}

impl SubmittedRow {
    fn submitted(self, repository: &Repository) -> Result<Submitted, StoreError> {
        let corrupt = |column| StoreError::corrupt("submitted_commits", column, repository.id.0);
        let sha = |bytes: &[u8]| <[u8; 20]>::try_from(bytes).map(Sha);
        let parents: Result<Vec<Sha>, _> = self.parents.chunks(20).map(sha).collect();
        Ok(Submitted {
            sha: sha(&self.sha).map_err(|_| corrupt("sha"))?,
            parents: parents.map_err(|_| corrupt("parents"))?,
            author: self.author,
            at: Timestamp::from_micros(self.committed_at.saturating_mul(1_000_000)),
            message: self.message,
        })
    }
}

const LOCK: &str = "UPDATE repositories SET n_submitted = n_submitted
    WHERE project_id = $1 AND id = $2 AND url IS NULL RETURNING n_submitted";
const COUNT: &str = "UPDATE repositories SET n_submitted = $3 WHERE project_id = $1 AND id = $2";
macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO submitted_commits (project_id, repository_id, sha, parents, author,
                committed_at, message)
            SELECT $1, $3, sha, parents, author, committed_at, message FROM ",
            new_rows!(
                $engine,
                bytes sha,
                bytes parents,
                text author,
                int committed_at,
                text message
            ),
            " WHERE TRUE ORDER BY sha ON CONFLICT (project_id, repository_id, sha) DO NOTHING"
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);
const LIST: &str = "SELECT sha, parents, author, committed_at, message FROM submitted_commits
    WHERE project_id = $1 AND repository_id = $2 AND sha > $3 ORDER BY sha LIMIT $4";
const DELETE: &str = "DELETE FROM submitted_commits WHERE project_id = $1 AND repository_id = $2";

statements!(LOCK, COUNT, INSERT_SQLITE, INSERT_POSTGRES, LIST, DELETE);

impl Tx {
    /// Keeps others from submitting to a repository meanwhile; says how many commits it has. `None`
    /// when it is gone, or has an address.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn lock_submitted(
        &mut self,
        repository: &Repository,
    ) -> Result<Option<u64>, StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        let row: Option<(i64,)> =
            on!(self, |c| sqlx::query_as(LOCK).bind(project).bind(id).fetch_optional(c))?;
        Ok(row.map(|(n_submitted,)| n_submitted.unsigned_abs()))
    }

    /// Adds commits; says how many of them were new. Those that are there stay as they are.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_submitted(
        &mut self,
        repository: &Repository,
        commits: &[Submitted],
    ) -> Result<u64, StoreError> {
        let rows = rows_json(commits.iter().map(|commit| NewRow {
            sha: hex(&commit.sha.0),
            parents: hex(&commit.parents.iter().flat_map(|one| one.0).collect::<Vec<u8>>()),
            author: &commit.author,
            committed_at: commit.at.as_micros().div_euclid(1_000_000),
            message: &commit.message,
        }));
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        let (project, id) = (repository.project_id.0, repository.id.0);
        Ok(execute!(self, sqlx::query(text).bind(project).bind(&rows).bind(id))?)
    }

    /// Notes how many commits were submitted to a repository.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_submitted(
        &mut self,
        repository: &Repository,
        n_submitted: u64,
    ) -> Result<(), StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        let n_submitted = super::counters::count(n_submitted);
        execute!(self, sqlx::query(COUNT).bind(project).bind(id).bind(n_submitted))?;
        Ok(())
    }

    /// The commits that were submitted to a repository after one, by name; the last one of them is
    /// where to go on.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_submitted(
        &mut self,
        repository: &Repository,
        after: Sha,
    ) -> Result<Vec<Submitted>, StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        let rows: Vec<SubmittedRow> = on!(self, |c| sqlx::query_as(LIST)
            .bind(project)
            .bind(id)
            .bind(&after.0[..])
            .bind(PAGE)
            .fetch_all(c))?;
        rows.into_iter().map(|row| row.submitted(repository)).collect()
    }

    /// Forgets the commits that were submitted to a repository.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_submitted(&mut self, repository: &Repository) -> Result<(), StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        execute!(self, sqlx::query(DELETE).bind(project).bind(id))?;
        Ok(())
    }
}
