//! Which tracker has the tasks of a project. A project without a row has Airlock's own.

use std::time::Duration;

use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, to_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::tracker::{Board, TrackerSettings};

/// A tracker that says that something changed is asked at most this often because of it.
pub const HINT_PAUSE: Duration = Duration::from_secs(5);

/// A tracker that is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTracker {
    /// What it is, without its token.
    pub settings: TrackerSettings,
    /// What it is called with, sealed.
    pub token: Vec<u8>,
}

const FIND: &str = "SELECT settings, token FROM trackers WHERE project_id = $1";
/// It is looked through anew.
const UPSERT: &str = "INSERT INTO trackers
        (project_id, settings, token, changed_at, poll_at, reconcile_at)
    VALUES ($1, $2, $3, $4, $4, $4)
    ON CONFLICT (project_id) DO UPDATE SET settings = EXCLUDED.settings, token = EXCLUDED.token,
        changed_at = EXCLUDED.changed_at, poll_at = EXCLUDED.poll_at,
        reconcile_at = EXCLUDED.reconcile_at, polled_at = NULL";
const RENAME: &str = "UPDATE trackers SET settings = $2 WHERE project_id = $1";
const DELETE: &str = "DELETE FROM trackers WHERE project_id = $1";
const DELETE_CURSORS: &str = "DELETE FROM tracker_cursors WHERE project_id = $1";
/// Those that another node works on are left out.
const LIST_POLLED: &str = "SELECT project_id FROM trackers WHERE poll_at <= $1
        AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.project_id = trackers.project_id
            AND leases.name = $2 AND leases.held_until > $1 AND leases.holder <> $3 AND $4)
    ORDER BY poll_at LIMIT 1000";
const FIND_POLL: &str =
    "SELECT poll_at, reconcile_at, polled_at FROM trackers WHERE project_id = $1";
const BEGIN_POLL: &str =
    "UPDATE trackers SET asked_at = $2, is_hinted = FALSE WHERE project_id = $1";
/// What it said meanwhile may not be in its answer.
const SET_POLL: &str = "UPDATE trackers SET
        poll_at = CASE WHEN is_hinted AND CAST($2 AS BIGINT) > $5 THEN CAST($5 AS BIGINT) ELSE $2 END,
        reconcile_at = $3, polled_at = $4
    WHERE project_id = $1";
/// Written at most once for each time it is asked.
const HINT: &str = "UPDATE trackers SET is_hinted = TRUE,
        poll_at = CASE WHEN poll_at <= $2 OR poll_at <= asked_at + $3 THEN poll_at
            WHEN asked_at + $3 > $2 THEN asked_at + $3 ELSE $2 END
    WHERE project_id = $1 AND NOT is_hinted";
const FIND_CURSOR: &str = "SELECT cursor FROM tracker_cursors WHERE project_id = $1 AND board = $2";
const UPSERT_CURSOR: &str = "INSERT INTO tracker_cursors (project_id, board, cursor)
    VALUES ($1, $2, $3) ON CONFLICT (project_id, board) DO UPDATE SET cursor = EXCLUDED.cursor";
/// In order: who works on several takes them in the same.
const WAKE_LANES_SQLITE: &str = "UPDATE lanes SET try_at = $2, n_failures = 0
    WHERE project_id = $1 AND try_at > $2";
const WAKE_LANES_POSTGRES: &str = "WITH waiting AS (SELECT lane FROM lanes
        WHERE project_id = $1 AND try_at > $2 ORDER BY lane FOR UPDATE)
    UPDATE lanes SET try_at = $2, n_failures = 0
    WHERE project_id = $1 AND lane IN (SELECT lane FROM waiting)";

statements!(
    FIND,
    UPSERT,
    RENAME,
    DELETE,
    DELETE_CURSORS,
    LIST_POLLED,
    FIND_POLL,
    BEGIN_POLL,
    SET_POLL,
    HINT,
    FIND_CURSOR,
    UPSERT_CURSOR,
    WAKE_LANES_SQLITE,
    WAKE_LANES_POSTGRES
);

/// When a tracker is asked what is new, and when all of it is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollTimes {
    /// The former.
    pub poll_at: Timestamp,
    /// The latter.
    pub reconcile_at: Timestamp,
    /// When it was last asked and answered.
    pub polled_at: Option<Timestamp>,
}

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
        execute!(self, sqlx::query(DELETE_CURSORS).bind(project.0))?;
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
        execute!(self, sqlx::query(DELETE_CURSORS).bind(project.0))?;
        execute!(self, sqlx::query(DELETE).bind(project.0))?;
        Ok(())
    }

    /// Projects whose trackers are to be asked what is new, and on which no other node works; at most
    /// 1,000.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_projects_to_poll(
        &mut self,
        lease: &str,
        holder: Uuid,
        now: Timestamp,
    ) -> Result<Vec<ProjectId>, StoreError> {
        // One process alone has a SQLite file.
        let has_others = dialect!(self, false, true);
        let rows: Vec<(i64,)> = on!(self, |c| sqlx::query_as(LIST_POLLED)
            .bind(now.as_micros())
            .bind(lease)
            .bind(holder)
            .bind(has_others)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(id,)| ProjectId(id)).collect())
    }

    /// When the tracker of a project is asked; `None` for the one that is part of Airlock.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_poll_times(
        &mut self,
        project: ProjectId,
    ) -> Result<Option<PollTimes>, StoreError> {
        let row: Option<(i64, i64, Option<i64>)> =
            on!(self, |c| sqlx::query_as(FIND_POLL).bind(project.0).fetch_optional(c))?;
        Ok(row.map(|(poll_at, reconcile_at, polled_at)| PollTimes {
            poll_at: Timestamp::from_micros(poll_at),
            reconcile_at: Timestamp::from_micros(reconcile_at),
            polled_at: polled_at.map(Timestamp::from_micros),
        }))
    }

    /// Notes that the tracker of a project is asked now: what it says from here on is not in its answer.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn begin_poll(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(BEGIN_POLL).bind(project.0).bind(now.as_micros()))?;
        Ok(())
    }

    /// The tracker of a project says that something changed: it is asked soon, but not twice within
    /// [`HINT_PAUSE`].
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn hint_tracker(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let pause = i64::try_from(HINT_PAUSE.as_micros()).unwrap_or(i64::MAX);
        execute!(self, sqlx::query(HINT).bind(project.0).bind(now.as_micros()).bind(pause))?;
        Ok(())
    }

    /// Sets when the tracker of a project is asked next; it is asked sooner if it said since it was last
    /// asked that something changed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_poll_times(
        &mut self,
        project: ProjectId,
        times: PollTimes,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(SET_POLL)
                .bind(project.0)
                .bind(times.poll_at.as_micros())
                .bind(times.reconcile_at.as_micros())
                .bind(times.polled_at.map(Timestamp::as_micros))
                .bind(now.plus(HINT_PAUSE).as_micros())
        )?;
        Ok(())
    }

    /// How far what happened on a board is known.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_cursor(
        &mut self,
        project: ProjectId,
        board: &Board,
    ) -> Result<Option<String>, StoreError> {
        let board = board.to_string();
        let row: Option<(String,)> = on!(self, |c| sqlx::query_as(FIND_CURSOR)
            .bind(project.0)
            .bind(&board)
            .fetch_optional(c))?;
        Ok(row.map(|(cursor,)| cursor))
    }

    /// Notes how far what happened on a board is known.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_cursor(
        &mut self,
        project: ProjectId,
        board: &Board,
        cursor: &str,
    ) -> Result<(), StoreError> {
        let board = board.to_string();
        execute!(self, sqlx::query(UPSERT_CURSOR).bind(project.0).bind(&board).bind(cursor))?;
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
        let text = dialect!(self, WAKE_LANES_SQLITE, WAKE_LANES_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(now.as_micros()))?;
        Ok(())
    }
}
