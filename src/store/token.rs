//! API tokens, and what happened once for the installation.

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::token::{Scope, Token};

#[derive(FromRow)]
struct TokenRow {
    id: Uuid,
    name: String,
    scopes: String,
    project_ids: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl TokenRow {
    fn token(self) -> Result<Token, StoreError> {
        let corrupt = |column| StoreError::corrupt("tokens", column, self.id);
        let scopes: Vec<Scope> =
            serde_json::from_str(&self.scopes).map_err(|_| corrupt("scopes"))?;
        let projects: Option<Vec<ProjectId>> = self
            .project_ids
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|_| corrupt("project_ids"))?;
        Ok(Token {
            id: self.id,
            name: self.name,
            scopes: scopes.into_iter().collect(),
            projects: projects.map(|projects| projects.into_iter().collect()),
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: self.expires_at.map(Timestamp::from_micros),
            last_used_at: self.last_used_at.map(Timestamp::from_micros),
        })
    }
}

const FIND_BY_HASH: &str =
    "SELECT id, name, scopes, project_ids, created_at, expires_at, last_used_at
    FROM tokens WHERE secret_hash = $1";
const LIST: &str = "SELECT id, name, scopes, project_ids, created_at, expires_at, last_used_at
    FROM tokens WHERE (CAST($1 AS UUID) IS NULL OR id > $1) ORDER BY id LIMIT $2";
const INSERT: &str = "INSERT INTO tokens
    (id, name, secret_hash, scopes, project_ids, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const DELETE: &str = "DELETE FROM tokens WHERE id = $1";
const TOUCH: &str = "UPDATE tokens SET last_used_at = $2 WHERE id = $1";
const INSERT_ONCE: &str =
    "INSERT INTO once (name, at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const FIND_ONCE: &str = "SELECT at FROM once WHERE name = $1";

statements!(FIND_BY_HASH, LIST, INSERT, DELETE, TOUCH, INSERT_ONCE, FIND_ONCE);

impl Tx {
    /// The token whose secret has this SHA-256.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_token(
        &mut self,
        secret_hash: &[u8; 32],
    ) -> Result<Option<Token>, StoreError> {
        let row: Option<TokenRow> =
            on!(self, |c| sqlx::query_as(FIND_BY_HASH).bind(&secret_hash[..]).fetch_optional(c))?;
        row.map(TokenRow::token).transpose()
    }

    /// Up to `limit` tokens whose id comes after `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_tokens(
        &mut self,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Token>, StoreError> {
        let rows: Vec<TokenRow> =
            on!(self, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c))?;
        rows.into_iter().map(TokenRow::token).collect()
    }

    /// Makes a token. Only the SHA-256 of its secret is kept.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_token(
        &mut self,
        token: &Token,
        secret_hash: &[u8; 32],
    ) -> Result<(), StoreError> {
        let scopes = serde_json::to_string(&token.scopes).unwrap_or_default();
        let projects =
            token.projects.as_ref().map(|ids| serde_json::to_string(ids).unwrap_or_default());
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(token.id)
                .bind(&token.name)
                .bind(&secret_hash[..])
                .bind(&scopes)
                .bind(&projects)
                .bind(token.created_at.as_micros())
                .bind(token.expires_at.map(Timestamp::as_micros))
        )?;
        Ok(())
    }

    /// Revokes a token; says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_token(&mut self, id: Uuid) -> Result<bool, StoreError> {
        Ok(execute!(self, sqlx::query(DELETE).bind(id))? > 0)
    }

    /// Notes that a token was used. The caller sees to it that this is rare.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn touch_token(&mut self, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
        execute!(self, sqlx::query(TOUCH).bind(id).bind(now.as_micros()))?;
        Ok(())
    }

    /// Marks something as having happened; true for the first that says so.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_once(&mut self, name: &str, now: Timestamp) -> Result<bool, StoreError> {
        Ok(execute!(self, sqlx::query(INSERT_ONCE).bind(name).bind(now.as_micros()))? > 0)
    }

    /// When something happened, if it did.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_once(&mut self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(i64,)> =
            on!(self, |c| sqlx::query_as(FIND_ONCE).bind(name).fetch_optional(c))?;
        Ok(row.map(|(at,)| Timestamp::from_micros(at)))
    }
}
