//! Commits with the same patch as those of fixes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::StoreError;
use super::fix::sha_of;
use super::rows::{dialect, hex, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::commit::Sha;
use crate::domain::id::ProjectId;
use crate::domain::repository::RepositoryId;

/// What was found of the patch of a commit, and how much of the history was looked through.
#[derive(Debug, Clone)]
pub struct LookedThrough {
    /// How many commits were looked at.
    pub n_looked: u64,
    /// The last of them: where another stands in its place, the history is another one.
    pub last_looked: Sha,
    /// The same patch as JSON, as the caller has it.
    pub same: String,
}

#[derive(Serialize)]
struct LookedRow {
    sha: String,
    n_looked: i64,
    last_looked: String,
    same: String,
}

const LIST_LOOKED: &str = "SELECT sha, n_looked, last_looked, same FROM same_patches
    WHERE project_id = $1 AND repository_id = $2 ORDER BY sha";
macro_rules! upsert_looked {
    ($engine:ident) => {
        concat!(
            "INSERT INTO same_patches (project_id, repository_id, sha, n_looked, last_looked, same)
            SELECT $1, $3, sha, n_looked, last_looked, same FROM ",
            new_rows!($engine, bytes sha, int n_looked, bytes last_looked, text same),
            " WHERE TRUE ORDER BY sha ON CONFLICT (project_id, repository_id, sha) DO UPDATE SET
            n_looked = EXCLUDED.n_looked, last_looked = EXCLUDED.last_looked, same = EXCLUDED.same"
        )
    };
}
const UPSERT_LOOKED_SQLITE: &str = upsert_looked!(sqlite);
const UPSERT_LOOKED_POSTGRES: &str = upsert_looked!(postgres);

statements!(LIST_LOOKED, UPSERT_LOOKED_SQLITE, UPSERT_LOOKED_POSTGRES);

impl Tx {
    /// What was found of patches in a repository.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_looked(
        &mut self,
        project: ProjectId,
        repository: RepositoryId,
    ) -> Result<BTreeMap<Sha, LookedThrough>, StoreError> {
        let rows: Vec<(Vec<u8>, i64, Vec<u8>, String)> =
            on!(self, |c| sqlx::query_as(LIST_LOOKED)
                .bind(project.0)
                .bind(repository.0)
                .fetch_all(c))?;
        let looked = |(sha, n_looked, last, same): (Vec<u8>, i64, Vec<u8>, String)| {
            let sha = sha_of(&sha, "same_patches", repository.0)?;
            let last_looked = sha_of(&last, "same_patches", repository.0)?;
            let n_looked = n_looked.unsigned_abs();
            Ok((sha, LookedThrough { n_looked, last_looked, same }))
        };
        rows.into_iter().map(looked).collect()
    }

    /// Keeps what was found of patches.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_looked(
        &mut self,
        project: ProjectId,
        repository: RepositoryId,
        looked: &BTreeMap<Sha, LookedThrough>,
    ) -> Result<(), StoreError> {
        if looked.is_empty() {
            return Ok(());
        }
        let rows = rows_json(looked.iter().map(|(sha, looked)| LookedRow {
            sha: hex(&sha.0),
            n_looked: super::counters::count(looked.n_looked),
            last_looked: hex(&looked.last_looked.0),
            same: looked.same.clone(),
        }));
        let text = dialect!(self, UPSERT_LOOKED_SQLITE, UPSERT_LOOKED_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows).bind(repository.0))?;
        Ok(())
    }
}
