//! Which issues are serious.

use std::collections::BTreeSet;

use sqlx::FromRow;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, on, statements};
use crate::domain::filing::Window;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::time::Timestamp;

/// So many events are looked at for the users of a window.
const MOST_EVENTS: i64 = 10_000;

#[derive(serde::Serialize)]
struct NameRow<'a> {
    name: &'a str,
}

#[derive(serde::Serialize)]
struct IdRow {
    id: uuid::Uuid,
}

#[derive(FromRow)]
struct ReachedRow {
    n_events: i64,
    n_users: i64,
}

macro_rules! count_recent {
    ($engine:ident) => {
        concat!(
            "SELECT COUNT(*) AS n_events, COUNT(DISTINCT user_hash) AS n_users FROM (
            SELECT events.user_hash FROM issue_hashes CROSS JOIN events
            WHERE issue_hashes.project_id = $1 AND issue_hashes.issue_id = $3
                AND events.project_id = $1 AND events.hash = issue_hashes.hash
                AND events.occurred_at > $4 AND events.occurred_at <= $5
                AND events.verdict IN ('new', 'known', 'regression')
                AND ($6 OR lower(events.environment) IN (SELECT new.name FROM ",
            new_rows!($engine, text name),
            ")) LIMIT $7) AS recent"
        )
    };
}
const COUNT_RECENT_SQLITE: &str = count_recent!(sqlite);
const COUNT_RECENT_POSTGRES: &str = count_recent!(postgres);
macro_rules! set_serious {
    ($engine:ident) => {
        concat!(
            "UPDATE issues SET serious_at = $3
            WHERE project_id = $1 AND serious_at IS NULL AND id IN (SELECT new.id FROM ",
            new_rows!($engine, uuid id),
            ") RETURNING id"
        )
    };
}
const SET_SERIOUS_SQLITE: &str = set_serious!(sqlite);
const SET_SERIOUS_POSTGRES: &str = set_serious!(postgres);
const HAS_DEPLOYS: &str = "SELECT 1 FROM deploys WHERE project_id = $1 LIMIT 1";

statements!(
    COUNT_RECENT_SQLITE,
    COUNT_RECENT_POSTGRES,
    SET_SERIOUS_SQLITE,
    SET_SERIOUS_POSTGRES,
    HAS_DEPLOYS
);

impl Tx {
    /// Whether so many occurrences of an issue happened in a window that ends then.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn is_reached(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        window: &Window,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let names = window.environments.iter().flatten().map(|name| NameRow { name });
        let rows = rows_json(names);
        let most = window.n_users.map_or(i64::from(window.n_events), |_| MOST_EVENTS);
        let text = dialect!(self, COUNT_RECENT_SQLITE, COUNT_RECENT_POSTGRES);
        let found: ReachedRow = on!(self, |c| sqlx::query_as(text)
            .bind(project.0)
            .bind(&rows)
            .bind(issue.0)
            .bind(until.minus(window.within).as_micros())
            .bind(until.as_micros())
            .bind(window.environments.is_none())
            .bind(most)
            .fetch_one(c))?;
        Ok(found.n_events >= i64::from(window.n_events)
            && window.n_users.is_none_or(|users| found.n_users >= i64::from(users)))
    }

    /// Marks issues as serious from now on; gives those that were not before.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_serious(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
        now: Timestamp,
    ) -> Result<BTreeSet<IssueId>, StoreError> {
        let rows = rows_json(issues.iter().map(|issue| IdRow { id: issue.0 }));
        let text = dialect!(self, SET_SERIOUS_SQLITE, SET_SERIOUS_POSTGRES);
        let set: Vec<(uuid::Uuid,)> = on!(self, |c| sqlx::query_as(text)
            .bind(project.0)
            .bind(&rows)
            .bind(now.as_micros())
            .fetch_all(c))?;
        Ok(set.into_iter().map(|(id,)| IssueId(id)).collect())
    }

    /// Whether a project ever deployed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn has_deploys(&mut self, project: ProjectId) -> Result<bool, StoreError> {
        let found: Option<(i32,)> =
            on!(self, |c| sqlx::query_as(HAS_DEPLOYS).bind(project.0).fetch_optional(c))?;
        Ok(found.is_some())
    }
}
