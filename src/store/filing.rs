//! Which issues are serious.

use std::collections::BTreeSet;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, on, statements};
use crate::domain::filing::{Seen, Window};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::time::Timestamp;

/// So many events are looked at for a window.
const MOST_EVENTS: i64 = 10_000;

#[derive(serde::Serialize)]
struct NameRow<'a> {
    name: &'a str,
}

#[derive(serde::Serialize)]
struct IdRow {
    id: uuid::Uuid,
}

macro_rules! list_seen {
    ($engine:ident) => {
        concat!(
            "SELECT events.occurred_at, events.user_hash FROM issue_hashes CROSS JOIN events
            WHERE issue_hashes.project_id = $1 AND issue_hashes.issue_id = $3
                AND events.project_id = $1 AND events.hash = issue_hashes.hash
                AND events.occurred_at > $4 AND events.occurred_at < $5
                AND events.verdict IN ('new', 'known', 'regression')
                AND ($6 OR lower(events.environment) IN (SELECT new.name FROM ",
            new_rows!($engine, text name),
            ")) LIMIT $7"
        )
    };
}
const LIST_SEEN_SQLITE: &str = list_seen!(sqlite);
const LIST_SEEN_POSTGRES: &str = list_seen!(postgres);
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
    LIST_SEEN_SQLITE,
    LIST_SEEN_POSTGRES,
    SET_SERIOUS_SQLITE,
    SET_SERIOUS_POSTGRES,
    HAS_DEPLOYS
);

impl Tx {
    /// The occurrences of an issue that may be in one window with those from one time to another; at
    /// most 10,000.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_seen(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        window: &Window,
        (first, last): (Timestamp, Timestamp),
    ) -> Result<Vec<Seen>, StoreError> {
        let names = window.environments.iter().flatten().map(|name| NameRow { name });
        let rows = rows_json(names);
        let text = dialect!(self, LIST_SEEN_SQLITE, LIST_SEEN_POSTGRES);
        let seen: Vec<(i64, Option<i64>)> = on!(self, |c| sqlx::query_as(text)
            .bind(project.0)
            .bind(&rows)
            .bind(issue.0)
            .bind(first.minus(window.within).as_micros())
            .bind(last.plus(window.within).as_micros())
            .bind(window.environments.is_none())
            .bind(MOST_EVENTS)
            .fetch_all(c))?;
        Ok(seen.into_iter().map(|(at, user)| (Timestamp::from_micros(at), user)).collect())
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
