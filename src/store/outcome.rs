//! What became of what clients sent, by project and hour.

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::outcome::Outcome;

const ADD: &str = "INSERT INTO outcomes (project_id, hour, outcome, detail, n)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (project_id, hour, outcome, detail) DO UPDATE SET n = outcomes.n + EXCLUDED.n";
const SUM_SINCE: &str = "SELECT outcome, CAST(SUM(n) AS BIGINT) FROM outcomes
    WHERE hour >= $1 GROUP BY outcome ORDER BY outcome";
const DELETE_BEFORE: &str = "DELETE FROM outcomes WHERE hour < $1";

/// How often each kind of outcome happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutcomeSums {
    /// Events stored.
    pub accepted: u64,
    /// Requests refused.
    pub refused: u64,
    /// Items that clients dropped themselves.
    pub discarded: u64,
}

statements!(ADD, SUM_SINCE, DELETE_BEFORE);

impl Tx {
    /// Adds to a counter of outcomes.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_outcome(
        &mut self,
        project: ProjectId,
        hour: i64,
        outcome: &Outcome,
        n: u64,
    ) -> Result<(), StoreError> {
        let (kind, detail) = outcome.parts();
        execute!(
            self,
            sqlx::query(ADD)
                .bind(project.0)
                .bind(hour)
                .bind(kind)
                .bind(detail)
                .bind(i64::try_from(n).unwrap_or(i64::MAX))
        )?;
        Ok(())
    }

    /// The sums of all projects from an hour on.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn sum_outcomes(&mut self, first_hour: i64) -> Result<OutcomeSums, StoreError> {
        let rows: Vec<(String, i64)> =
            on!(self, |c| sqlx::query_as(SUM_SINCE).bind(first_hour).fetch_all(c))?;
        let sum = |kind: &str| {
            rows.iter().filter(|(outcome, _)| outcome == kind).map(|(_, n)| n.unsigned_abs()).sum()
        };
        Ok(OutcomeSums {
            accepted: sum("accepted"),
            refused: sum("refused"),
            discarded: sum("discarded"),
        })
    }

    /// Forgets the hours before `hour`.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_outcomes_before(&mut self, hour: i64) -> Result<(), StoreError> {
        execute!(self, sqlx::query(DELETE_BEFORE).bind(hour))?;
        Ok(())
    }
}
