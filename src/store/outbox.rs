//! Effects, written with the change that causes them, in lanes: one for each task.
//!
//! A lane is worked in order. Its row says when it is looked at next; it goes with its last effect.

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json, to_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::effect::{Effect, Subject};
use crate::domain::id::{IssueId, ProjectId, ProjectItemId};
use crate::domain::task::BODY_PAUSE;
use crate::domain::time::Timestamp;

/// So many effects of a lane are taken at a time.
const MOST_TAKEN: i64 = 100;

/// An effect of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffect {
    /// Its id; later effects have greater ones.
    pub id: Uuid,
    /// Whose task: its lane.
    pub subject: Subject,
    /// What is to happen.
    pub effect: Effect,
}

/// Where an effect is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectState {
    /// It is to be carried out.
    Planned,
    /// Somebody is at it.
    Sending,
    /// Somebody was at it, and nobody knows how far that came.
    Unsure,
    /// It was carried out.
    Done,
    /// It cannot be carried out until somebody does something about it.
    Parked,
}

impl EffectState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Planned, Self::Sending, Self::Unsure, Self::Done, Self::Parked];

    /// Its name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Unsure => "unsure",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// An effect as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEffect {
    /// Its id.
    pub id: ProjectItemId,
    /// Whose task.
    pub subject: Subject,
    /// What is to happen.
    pub effect: Effect,
    /// Where it is on its way.
    pub state: EffectState,
    /// How often somebody tried.
    pub n_tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
}

/// A lane in which something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Whose task.
    pub subject: Subject,
    /// How often in a row it failed.
    pub n_failures: u32,
}

#[derive(Serialize)]
struct NewRow {
    id: Uuid,
    lane: String,
    issue_id: Option<Uuid>,
    effect: String,
}

#[derive(Serialize)]
struct LaneRow {
    lane: String,
}

#[derive(Serialize)]
struct IdRow {
    id: Uuid,
}

#[derive(FromRow)]
struct EffectRow {
    id: Uuid,
    lane: String,
    effect: String,
    state: String,
    n_tries: i64,
    error: Option<String>,
    created_at: i64,
    changed_at: i64,
}

impl EffectRow {
    fn effect(self, project: ProjectId) -> Result<StoredEffect, StoreError> {
        let corrupt = |column| StoreError::corrupt("outbox", column, self.id);
        Ok(StoredEffect {
            id: ProjectItemId { project, id: self.id },
            subject: Subject::parse(&self.lane).ok_or_else(|| corrupt("lane"))?,
            effect: serde_json::from_str(&self.effect).map_err(|_| corrupt("effect"))?,
            state: EffectState::parse(&self.state).ok_or_else(|| corrupt("state"))?,
            n_tries: u32::try_from(self.n_tries).unwrap_or(u32::MAX),
            error: self.error,
            created_at: Timestamp::from_micros(self.created_at),
            changed_at: Timestamp::from_micros(self.changed_at),
        })
    }
}

/// Of an issue that is not serious nothing follows.
macro_rules! serious {
    () => {
        " WHERE new.issue_id IS NULL OR EXISTS (SELECT 1 FROM issues
            WHERE issues.project_id = $1 AND issues.id = new.issue_id
                AND issues.serious_at IS NOT NULL)"
    };
}
macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO outbox
                (project_id, id, lane, effect, state, n_tries, created_at, changed_at)
            SELECT $1, new.id, new.lane, new.effect, 'planned', 0, $3, $3 FROM ",
            new_rows!($engine, uuid id, text lane, uuid issue_id, text effect),
            serious!()
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);
/// A lane that failed goes on waiting.
macro_rules! insert_lanes {
    ($engine:ident) => {
        concat!(
            "INSERT INTO lanes (project_id, lane, try_at, n_failures)
            SELECT $1, lane, $3, 0 FROM (SELECT DISTINCT new.lane FROM ",
            new_rows!($engine, text lane, uuid issue_id),
            serious!(),
            ") AS lanes WHERE TRUE ORDER BY lane
            ON CONFLICT (project_id, lane) DO UPDATE SET try_at = CASE
                WHEN lanes.n_failures > 0 OR lanes.try_at < $3 THEN lanes.try_at ELSE $3 END"
        )
    };
}
const INSERT_LANES_SQLITE: &str = insert_lanes!(sqlite);
const INSERT_LANES_POSTGRES: &str = insert_lanes!(postgres);
/// Those on which somebody works are left out. The plus says not to read all lanes for their order.
const LIST_PROJECTS: &str = "SELECT due.project_id FROM
        (SELECT +project_id AS project_id, MIN(try_at) AS try_at FROM lanes WHERE try_at <= $1
        GROUP BY +project_id) AS due
    WHERE NOT EXISTS (SELECT 1 FROM leases
        WHERE leases.project_id = due.project_id AND leases.name = $2
            AND leases.held_until > $1 AND leases.holder <> $3)
    ORDER BY due.try_at, due.project_id LIMIT 1000";
const LIST_LANES: &str = "SELECT lane, n_failures FROM lanes
    WHERE project_id = $1 AND try_at <= $2 ORDER BY try_at, lane LIMIT $3";
/// Holds the row, so that who plans an effect in it waits, or has planned it.
const TAKE_LANE: &str = "UPDATE lanes SET try_at = try_at WHERE project_id = $1 AND lane = $2";
const DELETE_LANE: &str = "DELETE FROM lanes WHERE project_id = $1 AND lane = $2
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.project_id = $1 AND outbox.lane = $2
        AND outbox.state IN ('planned', 'sending', 'unsure'))";
const SET_LANE: &str = "UPDATE lanes SET try_at = $3, n_failures = $4
    WHERE project_id = $1 AND lane = $2";
/// What is left in a lane is due; else it is looked at again at a time.
const LOOK_AGAIN: &str = "UPDATE lanes SET n_failures = 0, try_at = CASE WHEN EXISTS
        (SELECT 1 FROM outbox WHERE outbox.project_id = $1 AND outbox.lane = $2
            AND outbox.state IN ('planned', 'sending', 'unsure')) THEN CAST($3 AS BIGINT) ELSE $4 END
    WHERE project_id = $1 AND lane = $2";
macro_rules! insert_looks {
    ($engine:ident) => {
        concat!(
            "INSERT INTO lanes (project_id, lane, try_at, n_failures)
            SELECT $1, tasks.subject, CASE WHEN COALESCE(tasks.body_written_at, 0) + $4 > $3
                THEN COALESCE(tasks.body_written_at, 0) + $4 ELSE $3 END, 0 FROM ",
            new_rows!($engine, text lane),
            " CROSS JOIN tasks WHERE tasks.project_id = $1 AND tasks.subject = new.lane
                AND tasks.remote_id IS NOT NULL AND tasks.deleted_at IS NULL
            ORDER BY tasks.subject ON CONFLICT (project_id, lane) DO NOTHING"
        )
    };
}
const INSERT_LOOKS_SQLITE: &str = insert_looks!(sqlite);
const INSERT_LOOKS_POSTGRES: &str = insert_looks!(postgres);
const PARK_LANE: &str = "UPDATE outbox SET state = 'parked', changed_at = $3, error = $4
    WHERE project_id = $1 AND lane = $2 AND state IN ('planned', 'sending', 'unsure')";
macro_rules! columns {
    () => {
        "id, lane, effect, state, n_tries, error, created_at, changed_at"
    };
}
const LIST_OF_LANE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM outbox WHERE project_id = $1 AND lane = $2
        AND state IN ('planned', 'sending', 'unsure') ORDER BY id LIMIT $3"
);
const FIND: &str = concat!("SELECT ", columns!(), " FROM outbox WHERE project_id = $1 AND id = $2");
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM outbox WHERE project_id = $1 AND state = $2 AND id > $3 ORDER BY id LIMIT $4"
);
macro_rules! set_state {
    ($engine:ident) => {
        concat!(
            "UPDATE outbox SET state = $3, changed_at = $4, error = $5,
                n_tries = n_tries + CASE WHEN $3 = 'sending' THEN 1 ELSE 0 END
            WHERE project_id = $1 AND id IN (SELECT new.id FROM ",
            new_rows!($engine, uuid id),
            ")"
        )
    };
}
const SET_STATE_SQLITE: &str = set_state!(sqlite);
const SET_STATE_POSTGRES: &str = set_state!(postgres);
/// Nobody knows how far it came before: it is looked up.
const RETRY: &str = "UPDATE outbox SET state = 'unsure', changed_at = $3
    WHERE project_id = $1 AND id = $2 AND state = 'parked' RETURNING lane";
const ADD_LANES: &str = "INSERT INTO lanes (project_id, lane, try_at, n_failures)
    SELECT $1, parked.lane, $2, 0 FROM
        (SELECT DISTINCT lane FROM outbox WHERE project_id = $1 AND state = 'parked') AS parked
    WHERE TRUE ORDER BY parked.lane
    ON CONFLICT (project_id, lane) DO UPDATE SET try_at = EXCLUDED.try_at, n_failures = 0";
const RETRY_ALL: &str = "UPDATE outbox SET state = 'unsure', changed_at = $2
    WHERE project_id = $1 AND state = 'parked'";
const ADD_LANE: &str = "INSERT INTO lanes (project_id, lane, try_at, n_failures)
    VALUES ($1, $2, $3, 0) ON CONFLICT (project_id, lane) DO UPDATE SET
    try_at = EXCLUDED.try_at";
const BEGIN_LANE: &str = "INSERT INTO lanes (project_id, lane, try_at, n_failures)
    VALUES ($1, $2, $3, 0) ON CONFLICT (project_id, lane) DO NOTHING";
const COUNT_OPEN: &str = "SELECT COUNT(*), MIN(created_at) FROM outbox
    WHERE state IN ('planned', 'sending', 'unsure')";
const COUNT_PARKED: &str = "SELECT COUNT(*) FROM outbox WHERE state = 'parked'";
const DELETE_DONE: &str =
    "DELETE FROM outbox WHERE project_id = $1 AND id IN (SELECT id FROM outbox
    WHERE project_id = $1 AND state = 'done' AND changed_at < $2 ORDER BY id LIMIT $3)";

statements!(
    INSERT_SQLITE,
    INSERT_POSTGRES,
    INSERT_LANES_SQLITE,
    INSERT_LANES_POSTGRES,
    LIST_PROJECTS,
    LIST_LANES,
    TAKE_LANE,
    DELETE_LANE,
    SET_LANE,
    LOOK_AGAIN,
    INSERT_LOOKS_SQLITE,
    INSERT_LOOKS_POSTGRES,
    PARK_LANE,
    LIST_OF_LANE,
    FIND,
    LIST,
    SET_STATE_SQLITE,
    SET_STATE_POSTGRES,
    RETRY,
    ADD_LANES,
    RETRY_ALL,
    ADD_LANE,
    BEGIN_LANE,
    COUNT_OPEN,
    COUNT_PARKED,
    DELETE_DONE
);

impl Tx {
    /// Plans effects, each in its lane; those of issues that are not serious are none.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_effects(
        &mut self,
        project: ProjectId,
        effects: &[NewEffect],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        let rows = rows_json(effects.iter().map(|new| NewRow {
            id: new.id,
            lane: new.subject.to_string(),
            issue_id: match new.subject {
                Subject::Issue(issue) => Some(issue.0),
                Subject::Lock(_) | Subject::Deploy(_) | Subject::Storm => None,
            },
            effect: to_json(&new.effect),
        }));
        let text = dialect!(self, INSERT_LANES_SQLITE, INSERT_LANES_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows).bind(now.as_micros()))?;
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows).bind(now.as_micros()))?;
        Ok(())
    }

    /// Projects of which something is due and on which nobody works, what waits longest first; at most
    /// 1,000.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_projects_with_effects(
        &mut self,
        lease: &str,
        holder: Uuid,
        now: Timestamp,
    ) -> Result<Vec<ProjectId>, StoreError> {
        let rows: Vec<(i64,)> = on!(self, |c| sqlx::query_as(LIST_PROJECTS)
            .bind(now.as_micros())
            .bind(lease)
            .bind(holder)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(id,)| ProjectId(id)).collect())
    }

    /// Lanes of a project in which something is due, what waits longest first; the name of one that is
    /// none.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_lanes(
        &mut self,
        project: ProjectId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Result<Lane, String>>, StoreError> {
        let rows: Vec<(String, i64)> = on!(self, |c| sqlx::query_as(LIST_LANES)
            .bind(project.0)
            .bind(now.as_micros())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(c))?;
        let lane = |(lane, n_failures): (String, i64)| {
            let subject = Subject::parse(&lane).ok_or(lane)?;
            Ok(Lane { subject, n_failures: u32::try_from(n_failures).unwrap_or(u32::MAX) })
        };
        Ok(rows.into_iter().map(lane).collect())
    }

    /// What is to be carried out in a lane, in order; at most 100. One that makes no sense is told by
    /// its id.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_effects_of(
        &mut self,
        project: ProjectId,
        subject: Subject,
    ) -> Result<Vec<Result<StoredEffect, (Uuid, StoreError)>>, StoreError> {
        let rows: Vec<EffectRow> = on!(self, |c| sqlx::query_as(LIST_OF_LANE)
            .bind(project.0)
            .bind(subject.to_string())
            .bind(MOST_TAKEN)
            .fetch_all(c))?;
        let effect = |row: EffectRow| (row.id, row.effect(project));
        Ok(rows.into_iter().map(effect).map(|(id, one)| one.map_err(|error| (id, error))).collect())
    }

    /// An effect.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_effect(
        &mut self,
        id: ProjectItemId,
    ) -> Result<Option<StoredEffect>, StoreError> {
        let row: Option<EffectRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(id.project.0).bind(id.id).fetch_optional(c))?;
        row.map(|row| row.effect(id.project)).transpose()
    }

    /// Effects of a project in a state, after one; those that make no sense are left out.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_effects(
        &mut self,
        project: ProjectId,
        state: EffectState,
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<StoredEffect>, StoreError> {
        let rows: Vec<EffectRow> = on!(self, |c| sqlx::query_as(LIST)
            .bind(project.0)
            .bind(state.as_str())
            .bind(after)
            .bind(limit)
            .fetch_all(c))?;
        Ok(rows.into_iter().filter_map(|row| row.effect(project).ok()).collect())
    }

    /// Notes where effects are on their way, and what went wrong.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_effects(
        &mut self,
        project: ProjectId,
        effects: &[Uuid],
        (state, error): (EffectState, Option<&str>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        let rows = rows_json(effects.iter().map(|id| IdRow { id: *id }));
        let text = dialect!(self, SET_STATE_SQLITE, SET_STATE_POSTGRES);
        execute!(
            self,
            sqlx::query(text)
                .bind(project.0)
                .bind(&rows)
                .bind(state.as_str())
                .bind(now.as_micros())
                .bind(error)
        )?;
        Ok(())
    }

    /// Plans a parked effect again, and lets its lane be looked at; false when it is not parked.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn retry_effect(
        &mut self,
        id: ProjectItemId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let lane: Option<(String,)> = on!(self, |c| sqlx::query_as(RETRY)
            .bind(id.project.0)
            .bind(id.id)
            .bind(now.as_micros())
            .fetch_optional(c))?;
        let Some((lane,)) = lane else { return Ok(false) };
        execute!(self, sqlx::query(ADD_LANE).bind(id.project.0).bind(&lane).bind(now.as_micros()))?;
        Ok(true)
    }

    /// The same for all effects of a project that are parked.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn retry_effects(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for text in [ADD_LANES, RETRY_ALL] {
            execute!(self, sqlx::query(text).bind(project.0).bind(now.as_micros()))?;
        }
        Ok(())
    }

    /// Lets a lane be looked at that nobody looks at yet.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn begin_lane(
        &mut self,
        project: ProjectId,
        subject: Subject,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lane = subject.to_string();
        execute!(self, sqlx::query(BEGIN_LANE).bind(project.0).bind(&lane).bind(now.as_micros()))?;
        Ok(())
    }

    /// Lets a lane be looked at now.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn wake_lane(
        &mut self,
        project: ProjectId,
        subject: Subject,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lane = subject.to_string();
        execute!(self, sqlx::query(ADD_LANE).bind(project.0).bind(&lane).bind(now.as_micros()))?;
        Ok(())
    }

    /// Lets the tasks of issues be looked at once their text may be written again; those that wait for
    /// it anyway go on waiting. Whoever says that there is something to look at has the issues locked.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_looks(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if issues.is_empty() {
            return Ok(());
        }
        let rows = rows_json(
            issues.iter().map(|issue| LaneRow { lane: Subject::Issue(*issue).to_string() }),
        );
        let pause = i64::try_from(BODY_PAUSE.as_micros()).unwrap_or(i64::MAX);
        let text = dialect!(self, INSERT_LOOKS_SQLITE, INSERT_LOOKS_POSTGRES);
        execute!(
            self,
            sqlx::query(text).bind(project.0).bind(&rows).bind(now.as_micros()).bind(pause)
        )?;
        Ok(())
    }

    /// Takes a lane: who plans an effect in it waits, or has planned it. False when there is none.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn take_lane(
        &mut self,
        project: ProjectId,
        subject: Subject,
    ) -> Result<bool, StoreError> {
        let lane = subject.to_string();
        let n_rows = execute!(self, sqlx::query(TAKE_LANE).bind(project.0).bind(lane))?;
        Ok(n_rows == 1)
    }

    /// Parks all that is in a lane whose name says nothing, and forgets the lane.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn park_lane(
        &mut self,
        project: ProjectId,
        (lane, reason): (&str, &str),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(PARK_LANE).bind(project.0).bind(lane).bind(now.as_micros()).bind(reason)
        )?;
        execute!(self, sqlx::query(DELETE_LANE).bind(project.0).bind(lane))?;
        Ok(())
    }

    /// A lane that failed so often in a row waits until a time.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_lane(
        &mut self,
        project: ProjectId,
        subject: Subject,
        (at, n_failures): (Timestamp, u32),
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(SET_LANE)
                .bind(project.0)
                .bind(subject.to_string())
                .bind(at.as_micros())
                .bind(i64::from(n_failures))
        )?;
        Ok(())
    }

    /// What is left in a lane is due now; if nothing is, it is looked at again at a time, or over.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn leave_lane(
        &mut self,
        project: ProjectId,
        subject: Subject,
        (now, look_at): (Timestamp, Option<Timestamp>),
    ) -> Result<(), StoreError> {
        let lane = subject.to_string();
        if look_at.is_none() {
            execute!(self, sqlx::query(DELETE_LANE).bind(project.0).bind(&lane))?;
        }
        execute!(
            self,
            sqlx::query(LOOK_AGAIN)
                .bind(project.0)
                .bind(&lane)
                .bind(now.as_micros())
                .bind(look_at.unwrap_or(now).as_micros())
        )?;
        Ok(())
    }

    /// How many effects are to be carried out, and since when the oldest waits.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_open_effects(&mut self) -> Result<(u64, Option<Timestamp>), StoreError> {
        let (n_open, oldest): (i64, Option<i64>) =
            on!(self, |c| sqlx::query_as(COUNT_OPEN).fetch_one(c))?;
        Ok((n_open.unsigned_abs(), oldest.map(Timestamp::from_micros)))
    }

    /// How many effects are parked.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_parked_effects(&mut self) -> Result<u64, StoreError> {
        let (n_parked,): (i64,) = on!(self, |c| sqlx::query_as(COUNT_PARKED).fetch_one(c))?;
        Ok(n_parked.unsigned_abs())
    }

    /// Forgets effects that were carried out before a time; says how many.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_done_effects(
        &mut self,
        project: ProjectId,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(DELETE_DONE).bind(project.0).bind(before.as_micros()).bind(limit)
        )?;
        Ok(n_rows)
    }
}
