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
    is_listed: bool,
    is_assumed: bool,
}

#[derive(FromRow)]
struct SubmittedRow {
    n_before: i64,
    sha: Vec<u8>,
    parents: Vec<u8>,
    author: String,
    committed_at: i64,
    message: String,
    is_listed: bool,
    is_assumed: bool,
}

impl SubmittedRow {
    fn submitted(self, repository: &Repository) -> Result<(u64, Submitted), StoreError> {
        let corrupt = |column| StoreError::corrupt("submitted_commits", column, repository.id.0);
        let sha = |bytes: &[u8]| <[u8; 20]>::try_from(bytes).map(Sha);
        let parents: Result<Vec<Sha>, _> = self.parents.chunks(20).map(sha).collect();
        let submitted = Submitted {
            sha: sha(&self.sha).map_err(|_| corrupt("sha"))?,
            parents: parents.map_err(|_| corrupt("parents"))?,
            author: self.author,
            at: Timestamp::from_micros(self.committed_at.saturating_mul(1_000_000)),
            message: self.message,
            is_listed: self.is_listed,
            is_assumed: self.is_assumed,
        };
        Ok((self.n_before.unsigned_abs(), submitted))
    }
}

const LOCK: &str = "UPDATE repositories SET n_submitted = n_submitted
    WHERE project_id = $1 AND id = $2 AND url IS NULL RETURNING n_submitted";
const COUNT: &str = "UPDATE repositories
    SET n_submitted = $3, n_replaced = n_replaced + $4 WHERE project_id = $1 AND id = $2";
const MOVE_BRANCHES: &str = "UPDATE repositories SET submitted_branches = $3
    WHERE project_id = $1 AND id = $2";
macro_rules! columns {
    ($engine:ident) => {
        new_rows!(
            $engine,
            bytes sha,
            bytes parents,
            text author,
            int committed_at,
            text message,
            bool is_listed,
            bool is_assumed
        )
    };
}
macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO submitted_commits (project_id, repository_id, sha, parents, author,
                committed_at, message, is_listed, is_assumed, n_before)
            SELECT $1, $3, sha, parents, author, committed_at, message, is_listed, is_assumed, $4
            FROM ",
            columns!($engine),
            " WHERE TRUE ORDER BY sha ON CONFLICT (project_id, repository_id, sha) DO NOTHING"
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);
/// What was made up gives way to what somebody knows; by the rows' own addresses, so that no planner
/// can think of reading all commits of the repository.
const REPLACE_SQLITE: &str = concat!(
    "WITH found AS MATERIALIZED (SELECT old.rowid AS place, new.parents AS parents,
        new.author AS author, new.committed_at AS committed_at, new.message AS message FROM ",
    columns!(sqlite),
    " CROSS JOIN submitted_commits AS old
        ON old.project_id = $1 AND old.repository_id = $3 AND old.sha = new.sha
        WHERE old.is_assumed AND NOT new.is_assumed)
    UPDATE submitted_commits SET parents = found.parents, author = found.author,
        committed_at = found.committed_at, message = found.message, is_listed = FALSE,
        is_assumed = FALSE
    FROM found WHERE submitted_commits.rowid = found.place"
);
const REPLACE_POSTGRES: &str = concat!(
    "UPDATE submitted_commits SET parents = new.parents, author = new.author,
        committed_at = new.committed_at, message = new.message, is_listed = FALSE,
        is_assumed = FALSE
    FROM ",
    columns!(postgres),
    " WHERE submitted_commits.project_id = $1 AND submitted_commits.repository_id = $3
        AND submitted_commits.sha = new.sha
        AND submitted_commits.is_assumed AND NOT new.is_assumed"
);
const LIST: &str = "SELECT n_before, sha, parents, author, committed_at, message, is_listed,
        is_assumed
    FROM submitted_commits
    WHERE project_id = $1 AND repository_id = $2 AND (n_before, sha) > ($3, $4)
    ORDER BY n_before, sha LIMIT $5";
const DELETE: &str = "DELETE FROM submitted_commits WHERE project_id = $1 AND repository_id = $2";

statements!(
    LOCK,
    COUNT,
    MOVE_BRANCHES,
    INSERT_SQLITE,
    INSERT_POSTGRES,
    REPLACE_SQLITE,
    REPLACE_POSTGRES,
    LIST,
    DELETE
);

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

    /// Adds commits to the `n_before` that a repository has; says how many of them were new, and how
    /// many are there as they should be, where parents were made up before. All others that are there
    /// stay as they are.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_submitted(
        &mut self,
        repository: &Repository,
        n_before: u64,
        commits: &[Submitted],
    ) -> Result<(u64, u64), StoreError> {
        let rows = rows_json(commits.iter().map(|commit| NewRow {
            sha: hex(&commit.sha.0),
            parents: hex(&commit.parents.iter().flat_map(|one| one.0).collect::<Vec<u8>>()),
            author: &commit.author,
            committed_at: commit.at.as_micros().div_euclid(1_000_000),
            message: &commit.message,
            is_listed: commit.is_listed,
            is_assumed: commit.is_assumed,
        }));
        let (project, id) = (repository.project_id.0, repository.id.0);
        let text = dialect!(self, REPLACE_SQLITE, REPLACE_POSTGRES);
        let n_replaced = execute!(self, sqlx::query(text).bind(project).bind(&rows).bind(id))?;
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        let n_before = super::counters::count(n_before);
        let n_new =
            execute!(self, sqlx::query(text).bind(project).bind(&rows).bind(id).bind(n_before))?;
        Ok((n_new, n_replaced))
    }

    /// Notes how many commits were submitted to a repository, and how many more were replaced.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_submitted(
        &mut self,
        repository: &Repository,
        (n_submitted, n_replaced): (u64, u64),
    ) -> Result<(), StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        let [n_submitted, n_replaced] = [n_submitted, n_replaced].map(super::counters::count);
        execute!(
            self,
            sqlx::query(COUNT).bind(project).bind(id).bind(n_submitted).bind(n_replaced)
        )?;
        Ok(())
    }

    /// Notes where the branches of a repository are from which commits were submitted.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn move_submitted_branches(
        &mut self,
        repository: &Repository,
    ) -> Result<(), StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        let branches = super::rows::to_json(&repository.submitted_branches);
        execute!(self, sqlx::query(MOVE_BRANCHES).bind(project).bind(id).bind(&branches))?;
        Ok(())
    }

    /// The commits that were submitted to a repository after one, in the order in which they came, and
    /// how many there were before each. The last one is where to go on.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_submitted(
        &mut self,
        repository: &Repository,
        (n_before, after): (u64, Sha),
    ) -> Result<Vec<(u64, Submitted)>, StoreError> {
        let (project, id) = (repository.project_id.0, repository.id.0);
        let rows: Vec<SubmittedRow> = on!(self, |c| sqlx::query_as(LIST)
            .bind(project)
            .bind(id)
            .bind(super::counters::count(n_before))
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
