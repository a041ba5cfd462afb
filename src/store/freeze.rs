//! Freezes of environments.

use uuid::Uuid;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::freeze::{Freeze, WishedFreeze};
use crate::domain::id::{ProjectId, ProjectItemId};
use crate::domain::time::Timestamp;

/// A freeze of an environment, and who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFreeze {
    /// Its id.
    pub id: ProjectItemId,
    /// The environment it closes.
    pub environment: String,
    /// When it does.
    pub freeze: Freeze,
    /// Who made it.
    pub owner: String,
    /// When it was made.
    pub created_at: Timestamp,
}

const INSERT_FREEZE: &str = "INSERT INTO freezes
    (project_id, id, environment, definition, owner, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
const LIST_FREEZES: &str = "SELECT id, definition, owner, created_at FROM freezes
    WHERE project_id = $1 AND environment = $2 ORDER BY id";
const LIST_FROZEN_FOR: &str = "SELECT environment, definition FROM freezes
    WHERE project_id = $1 ORDER BY environment, id";
const UPDATE_FREEZE: &str = "UPDATE freezes SET definition = $3 WHERE project_id = $1 AND id = $2";
const LIST_ALL_FREEZES: &str =
    "SELECT id, definition FROM freezes WHERE project_id = $1 ORDER BY id";
const DELETE_FREEZE: &str = "DELETE FROM freezes
    WHERE project_id = $1 AND environment = $2 AND id = $3";

statements!(
    INSERT_FREEZE,
    LIST_FREEZES,
    LIST_FROZEN_FOR,
    UPDATE_FREEZE,
    LIST_ALL_FREEZES,
    DELETE_FREEZE
);

impl Tx {
    /// Adds a freeze.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_freeze(&mut self, new: &StoredFreeze) -> Result<(), StoreError> {
        let freeze = super::rows::to_json(&new.freeze);
        execute!(
            self,
            sqlx::query(INSERT_FREEZE)
                .bind(new.id.project.0)
                .bind(new.id.id)
                .bind(&new.environment)
                .bind(&freeze)
                .bind(&new.owner)
                .bind(new.created_at.as_micros())
        )?;
        Ok(())
    }

    /// The freezes of an environment, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_freezes(
        &mut self,
        project: ProjectId,
        environment: &str,
    ) -> Result<Vec<StoredFreeze>, StoreError> {
        let rows: Vec<(Uuid, String, String, i64)> = on!(self, |c| sqlx::query_as(LIST_FREEZES)
            .bind(project.0)
            .bind(environment)
            .fetch_all(c))?;
        let stored = |(id, freeze, owner, created_at): (Uuid, String, String, i64)| {
            let freeze = serde_json::from_str(&freeze)
                .map_err(|_| StoreError::corrupt("freezes", "definition", id))?;
            let id = ProjectItemId { project, id };
            let environment = environment.to_owned();
            let created_at = Timestamp::from_micros(created_at);
            Ok(StoredFreeze { id, environment, freeze, owner, created_at })
        };
        rows.into_iter().map(stored).collect()
    }

    /// The environments that have freezes waiting for deploys of another one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_frozen_for(
        &mut self,
        project: ProjectId,
        other: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String, String)> =
            on!(self, |c| sqlx::query_as(LIST_FROZEN_FOR).bind(project.0).fetch_all(c))?;
        let mut environments = Vec::new();
        for (environment, freeze) in rows {
            let freeze: Freeze = serde_json::from_str(&freeze)
                .map_err(|_| StoreError::corrupt("freezes", "definition", &environment))?;
            let waits = freeze.before_environment().is_some_and(|name| name == other);
            if waits && !environments.contains(&environment) {
                environments.push(environment);
            }
        }
        Ok(environments)
    }

    /// Removes a freeze; false when there was none.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_freeze(
        &mut self,
        id: ProjectItemId,
        environment: &str,
    ) -> Result<bool, StoreError> {
        Ok(execute!(
            self,
            sqlx::query(DELETE_FREEZE).bind(id.project.0).bind(environment).bind(id.id)
        )? == 1)
    }

    /// Lets freezes wait for environments under their new names.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(super) async fn rename_in_freezes(
        &mut self,
        project: ProjectId,
        renamed: &[(String, String)],
    ) -> Result<(), StoreError> {
        let rows: Vec<(Uuid, String)> =
            on!(self, |c| sqlx::query_as(LIST_ALL_FREEZES).bind(project.0).fetch_all(c))?;
        for (id, text) in rows {
            let corrupt = || StoreError::corrupt("freezes", "definition", id);
            let mut wish: WishedFreeze = serde_json::from_str(&text).map_err(|_| corrupt())?;
            let other = wish.before_environment.as_ref();
            let new = renamed.iter().find(|(old, _)| Some(old) == other).map(|(_, new)| new);
            if let Some(new) = new {
                wish.before_environment = Some(new.clone());
                let text = super::rows::to_json(&wish);
                execute!(self, sqlx::query(UPDATE_FREEZE).bind(project.0).bind(id).bind(&text))?;
            }
        }
        Ok(())
    }
}
