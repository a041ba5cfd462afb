//! DSN keys.

use sqlx::FromRow;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::project::ProjectKey;
use crate::domain::time::Timestamp;

#[derive(FromRow)]
struct KeyRow {
    public_key: String,
    project_id: i64,
    label: String,
    is_trusted: bool,
    is_active: bool,
    origins: String,
    rate_limit: Option<String>,
    created_at: i64,
}

impl KeyRow {
    fn key(self) -> Result<ProjectKey, StoreError> {
        let origins = serde_json::from_str(&self.origins)
            .map_err(|_| StoreError::corrupt("project_keys", "origins", &self.public_key))?;
        let rate_limit = self.rate_limit.as_deref().map(serde_json::from_str).transpose();
        let rate_limit = rate_limit
            .map_err(|_| StoreError::corrupt("project_keys", "rate_limit", &self.public_key))?;
        Ok(ProjectKey {
            public_key: self.public_key,
            project_id: ProjectId(self.project_id),
            label: self.label,
            is_trusted: self.is_trusted,
            is_active: self.is_active,
            origins,
            rate_limit,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

const FIND: &str =
    "SELECT public_key, project_id, label, is_trusted, is_active, origins, rate_limit,
        created_at
    FROM project_keys WHERE public_key = $1";
const LIST_ALL: &str =
    "SELECT public_key, project_id, label, is_trusted, is_active, origins, rate_limit,
        created_at
    FROM project_keys ORDER BY public_key";
const LIST_OF_PROJECT: &str =
    "SELECT public_key, project_id, label, is_trusted, is_active, origins, rate_limit,
        created_at
    FROM project_keys WHERE project_id = $1 ORDER BY created_at, public_key";
const INSERT: &str = "INSERT INTO project_keys
    (public_key, project_id, label, is_trusted, is_active, origins, rate_limit, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const UPDATE: &str =
    "UPDATE project_keys SET label = $3, is_trusted = $4, is_active = $5, origins = $6,
        rate_limit = $7
    WHERE public_key = $1 AND project_id = $2";
const DELETE: &str = "DELETE FROM project_keys WHERE public_key = $1 AND project_id = $2";

statements!(FIND, LIST_ALL, LIST_OF_PROJECT, INSERT, UPDATE, DELETE);

impl Tx {
    /// The key with this public part.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_key(&mut self, public_key: &str) -> Result<Option<ProjectKey>, StoreError> {
        let row: Option<KeyRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(public_key).fetch_optional(c))?;
        row.map(KeyRow::key).transpose()
    }

    /// All keys of the installation, for the copy beside the spool.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_all_keys(&mut self) -> Result<Vec<ProjectKey>, StoreError> {
        let rows: Vec<KeyRow> = on!(self, |c| sqlx::query_as(LIST_ALL).fetch_all(c))?;
        rows.into_iter().map(KeyRow::key).collect()
    }

    /// The keys of a project, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_keys(&mut self, project: ProjectId) -> Result<Vec<ProjectKey>, StoreError> {
        let rows: Vec<KeyRow> =
            on!(self, |c| sqlx::query_as(LIST_OF_PROJECT).bind(project.0).fetch_all(c))?;
        rows.into_iter().map(KeyRow::key).collect()
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_key(&mut self, key: &ProjectKey) -> Result<(), StoreError> {
        let origins = serde_json::to_string(&key.origins).unwrap_or_default();
        let rate_limit = key.rate_limit.and_then(|rate| serde_json::to_string(&rate).ok());
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(&key.public_key)
                .bind(key.project_id.0)
                .bind(&key.label)
                .bind(key.is_trusted)
                .bind(key.is_active)
                .bind(&origins)
                .bind(&rate_limit)
                .bind(key.created_at.as_micros())
        )?;
        Ok(())
    }

    /// Writes label, trust, activity and origins of a key.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn update_key(&mut self, key: &ProjectKey) -> Result<(), StoreError> {
        let origins = serde_json::to_string(&key.origins).unwrap_or_default();
        let rate_limit = key.rate_limit.and_then(|rate| serde_json::to_string(&rate).ok());
        execute!(
            self,
            sqlx::query(UPDATE)
                .bind(&key.public_key)
                .bind(key.project_id.0)
                .bind(&key.label)
                .bind(key.is_trusted)
                .bind(key.is_active)
                .bind(&origins)
                .bind(&rate_limit)
        )?;
        Ok(())
    }

    /// Deletes a key of a project; says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_key(
        &mut self,
        project: ProjectId,
        public_key: &str,
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(self, sqlx::query(DELETE).bind(public_key).bind(project.0))?;
        Ok(n_rows > 0)
    }
}
