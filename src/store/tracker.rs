//! Which tracker has the tasks of a project. A project without a row has Airlock's own.

use super::error::StoreError;
use super::rows::to_json;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::tracker::TrackerSettings;

/// A tracker that is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTracker {
    /// What it is, without its token.
    pub settings: TrackerSettings,
    /// What it is called with, sealed.
    pub token: Vec<u8>,
}

const FIND: &str = "SELECT settings, token FROM trackers WHERE project_id = $1";
const UPSERT: &str = "INSERT INTO trackers (project_id, settings, token, changed_at)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (project_id) DO UPDATE SET settings = EXCLUDED.settings, token = EXCLUDED.token,
        changed_at = EXCLUDED.changed_at";
const RENAME: &str = "UPDATE trackers SET settings = $2 WHERE project_id = $1";
const DELETE: &str = "DELETE FROM trackers WHERE project_id = $1";
/// In order: who works on several takes them in the same.
const WAKE_LANES_SQLITE: &str = "UPDATE lanes SET try_at = $2, n_failures = 0
    WHERE project_id = $1 AND try_at > $2";
const WAKE_LANES_POSTGRES: &str = "WITH waiting AS (SELECT lane FROM lanes
        WHERE project_id = $1 AND try_at > $2 ORDER BY lane FOR UPDATE)
    UPDATE lanes SET try_at = $2, n_failures = 0
    WHERE project_id = $1 AND lane IN (SELECT lane FROM waiting)";

statements!(FIND, UPSERT, RENAME, DELETE, WAKE_LANES_SQLITE, WAKE_LANES_POSTGRES);

impl Tx {
    /// The tracker of a project, where it is not Airlock's own.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_tracker(
        &mut self,
        project: ProjectId,
    ) -> Result<Option<StoredTracker>, StoreError> {
        let row: Option<(String, Vec<u8>)> =
            on!(self, |c| sqlx::query_as(FIND).bind(project.0).fetch_optional(c))?;
        let Some((settings, token)) = row else { return Ok(None) };
        let settings = serde_json::from_str(&settings)
            .map_err(|_| StoreError::corrupt("trackers", "settings", project.0))?;
        Ok(Some(StoredTracker { settings, token }))
    }

    /// Sets the tracker of a project.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_tracker(
        &mut self,
        project: ProjectId,
        tracker: &StoredTracker,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let settings = to_json(&tracker.settings);
        execute!(
            self,
            sqlx::query(UPSERT)
                .bind(project.0)
                .bind(&settings)
                .bind(&tracker.token)
                .bind(now.as_micros())
        )?;
        Ok(())
    }

    /// Lets the projects of environments in a tracker be theirs under their new names.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(super) async fn rename_in_tracker(
        &mut self,
        project: ProjectId,
        renamed: &[(String, String)],
    ) -> Result<(), StoreError> {
        let Some(StoredTracker { settings, .. }) = self.find_tracker(project).await? else {
            return Ok(());
        };
        let settings = to_json(&settings.renamed(renamed));
        execute!(self, sqlx::query(RENAME).bind(project.0).bind(&settings))?;
        Ok(())
    }

    /// Lets a project have Airlock's own tracker again.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_tracker(&mut self, project: ProjectId) -> Result<(), StoreError> {
        execute!(self, sqlx::query(DELETE).bind(project.0))?;
        Ok(())
    }

    /// Lanes of a project that wait are looked at now.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn wake_lanes(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = super::rows::dialect!(self, WAKE_LANES_SQLITE, WAKE_LANES_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(now.as_micros()))?;
        Ok(())
    }
}
