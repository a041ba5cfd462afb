//! What finds the issue of an error that is nearly the same as one that is known.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, hex, new_rows, of_issues, rows_json};
use super::tx::{Tx, execute, statements};
use crate::domain::fingerprint::Hash;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::time::Timestamp;

/// A hash that is known under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimilarHash {
    /// The key.
    pub key: Hash,
    /// The hash.
    pub hash: Hash,
    /// What it is known by, as JSON.
    pub known_by: String,
}

#[derive(Serialize)]
struct NewRow<'a> {
    key: String,
    hash: String,
    known_by: &'a str,
}

macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO similar_hashes (project_id, key, hash, known_by, created_at)
            SELECT $1, key, hash, known_by, $3 FROM ",
            new_rows!($engine, bytes key, bytes hash, text known_by),
            " WHERE TRUE ON CONFLICT (project_id, key, hash) DO NOTHING"
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);
const LIST_SQLITE: &str = "SELECT key, hash, known_by FROM similar_hashes
    WHERE project_id = $1 AND key IN (SELECT unhex(value, '\\x') FROM json_each($2))
    ORDER BY key, created_at, hash";
const LIST_POSTGRES: &str = "SELECT key, hash, known_by FROM similar_hashes
    WHERE project_id = $1 AND key = ANY(CAST($2 AS BYTEA[]))
    ORDER BY key, created_at, hash";
const LIST_RELEASES_SQLITE: &str = "SELECT issue_id, value FROM issue_tags
    WHERE project_id = $1 AND tag = 'release'
    AND issue_id IN (SELECT unhex(value, '-') FROM json_each($2))";
const LIST_RELEASES_POSTGRES: &str = "SELECT issue_id, value FROM issue_tags
    WHERE project_id = $1 AND tag = 'release' AND issue_id = ANY(CAST($2 AS UUID[]))";

statements!(
    INSERT_SQLITE,
    INSERT_POSTGRES,
    LIST_SQLITE,
    LIST_POSTGRES,
    LIST_RELEASES_SQLITE,
    LIST_RELEASES_POSTGRES
);

fn hash(bytes: &[u8], project: ProjectId) -> Result<Hash, StoreError> {
    let bytes = <[u8; 32]>::try_from(bytes);
    bytes.map(Hash).map_err(|_| StoreError::corrupt("similar_hashes", "hash", project.0))
}

impl Tx {
    /// The hashes that are known under these keys, of each key the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_similar(
        &mut self,
        project: ProjectId,
        keys: &BTreeSet<Hash>,
    ) -> Result<Vec<SimilarHash>, StoreError> {
        let rows: Vec<(Vec<u8>, Vec<u8>, String)> = match self {
            Self::Sqlite(tx) => {
                let keys = rows_json(keys.iter().map(|key| hex(&key.0)));
                let query = sqlx::query_as(LIST_SQLITE).bind(project.0).bind(keys);
                query.fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let keys: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
                let query = sqlx::query_as(LIST_POSTGRES).bind(project.0).bind(keys);
                query.fetch_all(&mut **tx).await?
            }
        };
        rows.into_iter()
            .map(|(key, of, known_by)| {
                Ok(SimilarHash { key: hash(&key, project)?, hash: hash(&of, project)?, known_by })
            })
            .collect()
    }

    /// The releases in which issues were seen, as far as they are counted one by one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_releases_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<BTreeMap<IssueId, BTreeSet<String>>, StoreError> {
        let rows: Vec<(Uuid, String)> =
            of_issues!(self, LIST_RELEASES_SQLITE, LIST_RELEASES_POSTGRES, project, issues)?;
        let mut releases: BTreeMap<IssueId, BTreeSet<String>> = BTreeMap::new();
        for (issue, release) in rows {
            releases.entry(IssueId(issue)).or_default().insert(release);
        }
        Ok(releases)
    }

    /// Notes under which keys hashes are known, sorted by key and hash.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_similar(
        &mut self,
        project: ProjectId,
        similar: &[SimilarHash],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if similar.is_empty() {
            return Ok(());
        }
        let rows = rows_json(similar.iter().map(|similar| NewRow {
            key: hex(&similar.key.0),
            hash: hex(&similar.hash.0),
            known_by: &similar.known_by,
        }));
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows).bind(now.as_micros()))?;
        Ok(())
    }
}
