//! Where trackers say that something changed: one address for each place that they are to speak of.

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{ProjectId, ProjectItemId};
use crate::domain::time::Timestamp;

/// A webhook of a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What of the tracker it is for.
    pub place: String,
    /// Part of the address that it is sent to.
    pub id: ProjectItemId,
    /// How far it is.
    pub state: HookState,
}

/// How far a webhook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookState {
    /// The tracker is asked to make it, and may shake hands until then.
    Expected(Timestamp),
    /// It is there.
    Made {
        /// What the tracker calls it.
        remote: String,
        /// What it signs with, sealed.
        secret: Vec<u8>,
    },
    /// It could not be made.
    Failed(String),
}

impl Hook {
    /// What the tracker calls it, if it is there.
    #[must_use]
    pub fn remote(&self) -> Option<&str> {
        match &self.state {
            HookState::Made { remote, .. } => Some(remote),
            HookState::Expected(_) | HookState::Failed(_) => None,
        }
    }
}

#[derive(FromRow)]
struct HookRow {
    project_id: i64,
    place: String,
    id: Uuid,
    expected_until: Option<i64>,
    remote: Option<String>,
    secret: Option<Vec<u8>>,
    cause: Option<String>,
}

impl From<HookRow> for Hook {
    fn from(row: HookRow) -> Self {
        let state = match (row.remote, row.secret, row.expected_until) {
            (Some(remote), Some(secret), _) => HookState::Made { remote, secret },
            (_, _, Some(until)) => HookState::Expected(Timestamp::from_micros(until)),
            (_, _, None) => HookState::Failed(row.cause.unwrap_or_default()),
        };
        let id = ProjectItemId { project: ProjectId(row.project_id), id: row.id };
        Self { place: row.place, id, state }
    }
}

const FIND: &str = "SELECT project_id, place, id, expected_until, remote, secret, cause
    FROM tracker_hooks WHERE project_id = $1 AND id = $2";
const LIST: &str = "SELECT project_id, place, id, expected_until, remote, secret, cause
    FROM tracker_hooks WHERE project_id = $1 ORDER BY place";
const EXPECT: &str = "INSERT INTO tracker_hooks (project_id, place, id, expected_until)
    VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, place) DO UPDATE SET id = EXCLUDED.id,
        expected_until = EXCLUDED.expected_until, remote = NULL, secret = NULL, cause = NULL";
const SET: &str = "UPDATE tracker_hooks
    SET expected_until = NULL, remote = $3, secret = $4, cause = $5
    WHERE project_id = $1 AND id = $2";
const DELETE: &str = "DELETE FROM tracker_hooks WHERE project_id = $1 AND id = $2";
const DELETE_ALL: &str = "DELETE FROM tracker_hooks WHERE project_id = $1";

statements!(FIND, LIST, EXPECT, SET, DELETE, DELETE_ALL);

impl Tx {
    /// A webhook by the id in its address.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_hook(&mut self, id: ProjectItemId) -> Result<Option<Hook>, StoreError> {
        let row: Option<HookRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(id.project.0).bind(id.id).fetch_optional(c))?;
        Ok(row.map(Hook::from))
    }

    /// The webhooks of a project, one for each place.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_hooks(&mut self, project: ProjectId) -> Result<Vec<Hook>, StoreError> {
        let rows: Vec<HookRow> = on!(self, |c| sqlx::query_as(LIST).bind(project.0).fetch_all(c))?;
        Ok(rows.into_iter().map(Hook::from).collect())
    }

    /// Expects the webhook of a place until a time, under a new id.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn expect_hook(
        &mut self,
        id: ProjectItemId,
        place: &str,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(EXPECT).bind(id.project.0).bind(place).bind(id.id).bind(until.as_micros())
        )?;
        Ok(())
    }

    /// Notes that the tracker made a webhook, and what it calls it and signs with; or why it did not.
    /// False when nobody wants it any more.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_hook(
        &mut self,
        id: ProjectItemId,
        made: Result<(&str, &[u8]), &str>,
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(SET)
                .bind(id.project.0)
                .bind(id.id)
                .bind(made.ok().map(|(remote, _)| remote))
                .bind(made.ok().map(|(_, secret)| secret))
                .bind(made.err())
        )?;
        Ok(n_rows == 1)
    }

    /// Forgets a webhook: what it says is refused from now on.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_hook(&mut self, id: ProjectItemId) -> Result<(), StoreError> {
        execute!(self, sqlx::query(DELETE).bind(id.project.0).bind(id.id))?;
        Ok(())
    }

    /// Forgets all webhooks of a project, and gives those it had.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn take_hooks(&mut self, project: ProjectId) -> Result<Vec<Hook>, StoreError> {
        let hooks = self.list_hooks(project).await?;
        execute!(self, sqlx::query(DELETE_ALL).bind(project.0))?;
        Ok(hooks)
    }
}
