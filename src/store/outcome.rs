//! What became of what clients sent, by project and hour.

use std::collections::BTreeMap;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::outcome::Outcome;

const ADD: &str = "INSERT INTO outcomes (project_id, hour, outcome, detail, n)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (project_id, hour, outcome, detail) DO UPDATE SET n = outcomes.n + EXCLUDED.n";
const SUM_SINCE: &str = "SELECT outcome, CAST(SUM(n) AS BIGINT) FROM outcomes
    WHERE hour >= $1 GROUP BY outcome ORDER BY outcome";
const LIST_TAKEN: &str = "SELECT detail, CAST(SUM(n) AS BIGINT),
        CAST(SUM(CASE WHEN hour >= $3 THEN n ELSE 0 END) AS BIGINT)
    FROM outcomes WHERE project_id = $1 AND hour >= $2 AND outcome = 'taken'
    GROUP BY detail ORDER BY detail";
const LIST_OF_PROJECT: &str = "SELECT hour, outcome, detail, n FROM outcomes
    WHERE project_id = $1 AND hour >= $2 ORDER BY hour, outcome, detail";
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

statements!(ADD, SUM_SINCE, LIST_TAKEN, LIST_OF_PROJECT, DELETE_BEFORE);

/// What happened how often in an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedOutcome {
    /// The hour, since the epoch.
    pub hour: i64,
    /// Its kind, as `Outcome::parts` has it.
    pub kind: String,
    /// Its detail.
    pub detail: String,
    /// How often.
    pub n: u64,
}

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

    /// How many reports of each category a project with quotas has sent: since the hour `month`, and
    /// of these since the hour `day`.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_taken(
        &mut self,
        project: ProjectId,
        month: i64,
        day: i64,
    ) -> Result<BTreeMap<String, (u64, u64)>, StoreError> {
        let rows: Vec<(String, i64, i64)> = on!(self, |c| sqlx::query_as(LIST_TAKEN)
            .bind(project.0)
            .bind(month)
            .bind(day)
            .fetch_all(c))?;
        let counts = |(category, month, day): (String, i64, i64)| {
            (category, (month.unsigned_abs(), day.unsigned_abs()))
        };
        Ok(rows.into_iter().map(counts).collect())
    }

    /// What became of a project's reports since the hour `first`, by hour.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_outcomes(
        &mut self,
        project: ProjectId,
        first: i64,
    ) -> Result<Vec<CountedOutcome>, StoreError> {
        let rows: Vec<(i64, String, String, i64)> = on!(self, |c| sqlx::query_as(LIST_OF_PROJECT)
            .bind(project.0)
            .bind(first)
            .fetch_all(c))?;
        let counted = |(hour, kind, detail, n): (i64, String, String, i64)| CountedOutcome {
            hour,
            kind,
            detail,
            n: n.unsigned_abs(),
        };
        Ok(rows.into_iter().map(counted).collect())
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
