//! Reports that could not be digested: their bytes and the reason.

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;

/// A report set aside.
#[derive(Debug, Clone)]
pub struct Buried {
    /// Its id.
    pub id: Uuid,
    /// When it was set aside.
    pub buried_at: Timestamp,
    /// Why.
    pub reason: String,
    /// How often it was tried again.
    pub n_tries: i64,
    /// The spool's record, as it was.
    pub record: Vec<u8>,
}

/// What is told of a report set aside; its bytes are not.
#[derive(Debug, Clone)]
pub struct BuriedSummary {
    /// Its id.
    pub id: Uuid,
    /// When it was set aside.
    pub buried_at: Timestamp,
    /// Why.
    pub reason: String,
    /// How often it was tried again.
    pub n_tries: i64,
    /// How many bytes it has.
    pub n_bytes: u64,
}

/// What a project's grave holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grave {
    /// Reports.
    pub n_reports: u64,
    /// Their bytes.
    pub n_bytes: u64,
}

#[derive(FromRow)]
struct SummaryRow {
    id: Uuid,
    buried_at: i64,
    reason: String,
    n_tries: i64,
    n_bytes: i64,
}

impl From<SummaryRow> for BuriedSummary {
    fn from(row: SummaryRow) -> Self {
        Self {
            id: row.id,
            buried_at: Timestamp::from_micros(row.buried_at),
            reason: row.reason,
            n_tries: row.n_tries,
            n_bytes: row.n_bytes.unsigned_abs(),
        }
    }
}

#[derive(FromRow)]
struct BuriedRow {
    id: Uuid,
    buried_at: i64,
    reason: String,
    n_tries: i64,
    record: Vec<u8>,
}

impl From<BuriedRow> for Buried {
    fn from(row: BuriedRow) -> Self {
        Self {
            id: row.id,
            buried_at: Timestamp::from_micros(row.buried_at),
            reason: row.reason,
            n_tries: row.n_tries,
            record: row.record,
        }
    }
}

const INSERT: &str = "INSERT INTO buried (project_id, id, buried_at, reason, n_tries, record)
    VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (project_id, id) DO NOTHING";
const FIND: &str = "SELECT id, buried_at, reason, n_tries, record FROM buried
    WHERE project_id = $1 AND id = $2";
const LIST: &str = "SELECT id, buried_at, reason, n_tries,
        CAST(length(record) AS BIGINT) AS n_bytes
    FROM buried
    WHERE project_id = $1 AND (CAST($2 AS UUID) IS NULL OR id > $2) ORDER BY id LIMIT $3";
const UPDATE: &str =
    "UPDATE buried SET reason = $3, n_tries = n_tries + 1 WHERE project_id = $1 AND id = $2";
const DELETE: &str = "DELETE FROM buried WHERE project_id = $1 AND id = $2";
const DELETE_BEFORE: &str = "DELETE FROM buried WHERE buried_at < $1";
const COUNT: &str = "SELECT COUNT(*) FROM buried";
const SUM_OF_PROJECT: &str =
    "SELECT COUNT(*), CAST(COALESCE(SUM(length(record)), 0) AS BIGINT) FROM buried
    WHERE project_id = $1";

statements!(INSERT, FIND, LIST, UPDATE, DELETE, DELETE_BEFORE, COUNT, SUM_OF_PROJECT);

impl Tx {
    /// Sets a report aside. The same report again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_buried(
        &mut self,
        project: ProjectId,
        buried: &Buried,
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(INSERT)
                .bind(project.0)
                .bind(buried.id)
                .bind(buried.buried_at.as_micros())
                .bind(&buried.reason)
                .bind(&buried.record)
        )?;
        Ok(n_rows > 0)
    }

    /// One report that was set aside.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_buried(
        &mut self,
        project: ProjectId,
        id: Uuid,
    ) -> Result<Option<Buried>, StoreError> {
        let row: Option<BuriedRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(project.0).bind(id).fetch_optional(c))?;
        Ok(row.map(Buried::from))
    }

    /// Up to `limit` reports that were set aside, by id from `after` on.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_buried(
        &mut self,
        project: ProjectId,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<BuriedSummary>, StoreError> {
        let rows: Vec<SummaryRow> = on!(self, |c| sqlx::query_as(LIST)
            .bind(project.0)
            .bind(after)
            .bind(limit)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(BuriedSummary::from).collect())
    }

    /// Notes another try that did not succeed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn update_buried(
        &mut self,
        project: ProjectId,
        id: Uuid,
        reason: &str,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(UPDATE).bind(project.0).bind(id).bind(reason))?;
        Ok(())
    }

    /// Forgets a report; says whether it was there.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_buried(
        &mut self,
        project: ProjectId,
        id: Uuid,
    ) -> Result<bool, StoreError> {
        Ok(execute!(self, sqlx::query(DELETE).bind(project.0).bind(id))? > 0)
    }

    /// Forgets the reports set aside before a time; says how many.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_buried_before(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(execute!(self, sqlx::query(DELETE_BEFORE).bind(before.as_micros()))?)
    }

    /// What a project's grave holds.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn sum_buried_of(&mut self, project: ProjectId) -> Result<Grave, StoreError> {
        let (n_reports, n_bytes): (i64, i64) =
            on!(self, |c| sqlx::query_as(SUM_OF_PROJECT).bind(project.0).fetch_one(c))?;
        Ok(Grave { n_reports: n_reports.unsigned_abs(), n_bytes: n_bytes.unsigned_abs() })
    }

    /// How many reports are set aside, in all projects.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_buried(&mut self) -> Result<u64, StoreError> {
        let (n,): (i64,) = on!(self, |c| sqlx::query_as(COUNT).fetch_one(c))?;
        Ok(n.unsigned_abs())
    }
}
