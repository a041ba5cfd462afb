//! What is given up after its time: events, their bodies, counts, dictionaries, output of deploys; and
//! their space.
//!
//! Every function takes a small step and says how far it got, so that nobody waits for long.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::body::DICTIONARY_SERVES;
use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{IssueId, ProjectId, ProjectItemId};
use crate::domain::sampling::Kept;
use crate::domain::time::Timestamp;

const FIND_RECEIVED_AT: &str = "SELECT received_at FROM events WHERE project_id = $1
    ORDER BY received_at DESC LIMIT 1 OFFSET $2";
const LIST_OLD_EVENTS: &str = "SELECT id, hash, body IS NOT NULL FROM events
    WHERE project_id = $1 AND received_at < $2 ORDER BY received_at LIMIT $3";
macro_rules! delete_events {
    ($engine:ident) => {
        concat!(
            "DELETE FROM events WHERE project_id = $1 AND id IN (SELECT id FROM ",
            new_rows!($engine, uuid id),
            ")"
        )
    };
}
const DELETE_EVENTS_SQLITE: &str = delete_events!(sqlite);
const DELETE_EVENTS_POSTGRES: &str = delete_events!(postgres);
const DELETE_COUNTS: &str = "DELETE FROM issue_counts WHERE project_id = $1 AND issue_id = $2
    AND hour < $3";
const LIST_ISSUES: &str = "SELECT id, n_bodies, EXISTS (SELECT 1 FROM issue_counts
        WHERE issue_counts.project_id = $1 AND issue_counts.issue_id = issues.id
        AND issue_counts.hour < $4)
    FROM issues WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT $3";
const LIST_BODIES: &str = "SELECT events.id, events.occurred_at, events.release, events.environment
    FROM issue_hashes JOIN events
    ON events.project_id = issue_hashes.project_id AND events.hash = issue_hashes.hash
    WHERE issue_hashes.project_id = $1 AND issue_hashes.issue_id = $2
    AND events.body IS NOT NULL
    ORDER BY events.occurred_at, events.id";
const DROP_BODY: &str = "UPDATE events SET body = NULL
    WHERE project_id = $1 AND id = $2 AND body IS NOT NULL";
const COUNT_BODIES: &str = "UPDATE issues SET n_bodies = (SELECT COUNT(*)
        FROM issue_hashes JOIN events
        ON events.project_id = issue_hashes.project_id AND events.hash = issue_hashes.hash
        WHERE issue_hashes.project_id = $1 AND issue_hashes.issue_id = $2
        AND events.body IS NOT NULL)
    WHERE project_id = $1 AND id = $2";
/// Names that events made up, or nobody explained.
const DELETE_RELEASES: &str = "DELETE FROM releases WHERE project_id = $1
    AND version IN (SELECT version FROM releases WHERE project_id = $1 AND rule IS NULL
        AND last_event < $2 AND announced_at IS NULL ORDER BY last_event LIMIT $3)";
const FIND_ISSUE_OF_HASH: &str =
    "SELECT issue_id FROM issue_hashes WHERE project_id = $1 AND hash = $2";
const FIND_OLD_OUTPUT: &str = "SELECT id FROM deploys WHERE project_id = $1 AND n_output > 0
    AND output_gone_at IS NULL AND finished_at < $2 ORDER BY finished_at LIMIT 1";
/// The last first: what is left then is whole up to its end.
const DELETE_OUTPUT: &str = "DELETE FROM deploy_output WHERE project_id = $1 AND deploy_id = $2
    AND start IN (SELECT start FROM deploy_output WHERE project_id = $1 AND deploy_id = $2
        ORDER BY start DESC LIMIT $3)";
const OUTPUT_IS_GONE: &str =
    "UPDATE deploys SET output_gone_at = $3 WHERE project_id = $1 AND id = $2";
const DELETE_DICTIONARIES: &str = "DELETE FROM dictionaries WHERE project_id = $1
    AND EXISTS (SELECT 1 FROM (SELECT $2 + MIN(ends.at) AS at FROM (
            SELECT next.created_at AS at FROM dictionaries AS next
            WHERE next.project_id = $1 AND next.id > dictionaries.id
            UNION ALL SELECT dictionaries.created_at + $3) AS ends) AS used_before
        WHERE used_before.at < $4 AND NOT EXISTS (SELECT 1 FROM events
            WHERE events.project_id = $1 AND events.received_at <= used_before.at))";

statements!(
    FIND_RECEIVED_AT,
    LIST_OLD_EVENTS,
    DELETE_EVENTS_SQLITE,
    DELETE_EVENTS_POSTGRES,
    DELETE_COUNTS,
    LIST_ISSUES,
    LIST_BODIES,
    DROP_BODY,
    COUNT_BODIES,
    DELETE_RELEASES,
    FIND_ISSUE_OF_HASH,
    FIND_OLD_OUTPUT,
    DELETE_OUTPUT,
    OUTPUT_IS_GONE,
    DELETE_DICTIONARIES,
);

/// What is old of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldOfIssue {
    /// The issue.
    pub id: IssueId,
    /// Bodies of its events that are kept.
    pub n_bodies: u64,
    /// Whether it has counts of hours that are over.
    pub has_old_counts: bool,
}

#[derive(Serialize)]
struct OldRow {
    id: Uuid,
}

#[derive(FromRow)]
struct BodyRow {
    id: Uuid,
    occurred_at: i64,
    release: Option<String>,
    environment: String,
}

/// A dictionary may still be in use on another node for this long after the next was made, in
/// microseconds.
const OVERLAP_MICROS: i64 = 3_600_000_000;

impl Tx {
    /// When the event arrived that has `n_newer` newer ones in its project; `None` when there are
    /// not so many.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_received_at(
        &mut self,
        project: ProjectId,
        n_newer: i64,
    ) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(i64,)> = on!(self, |c| sqlx::query_as(FIND_RECEIVED_AT)
            .bind(project.0)
            .bind(n_newer)
            .fetch_optional(c))?;
        Ok(row.map(|(at,)| Timestamp::from_micros(at)))
    }

    /// Deletes events of a project that arrived before a time, the oldest first, at most `limit`.
    /// Says how many.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_events_before(
        &mut self,
        project: ProjectId,
        before: Timestamp,
        limit: i64,
    ) -> Result<usize, StoreError> {
        let old: Vec<(Uuid, Vec<u8>, bool)> = on!(self, |c| sqlx::query_as(LIST_OLD_EVENTS)
            .bind(project.0)
            .bind(before.as_micros())
            .bind(limit)
            .fetch_all(c))?;
        let mut hashes: BTreeMap<&[u8], bool> = BTreeMap::new();
        for (_, hash, has_body) in &old {
            *hashes.entry(hash).or_default() |= has_body;
        }
        let mut issues: BTreeMap<IssueId, bool> = BTreeMap::new();
        for (hash, has_body) in hashes {
            let issue: Option<(Uuid,)> = on!(self, |c| sqlx::query_as(FIND_ISSUE_OF_HASH)
                .bind(project.0)
                .bind(hash)
                .fetch_optional(c))?;
            if let Some((id,)) = issue {
                *issues.entry(IssueId(id)).or_default() |= has_body;
            }
        }
        // Whoever settles events has their issue first; whoever added some has committed before their
        // bodies are counted.
        self.hold_issues(project, &issues.keys().copied().collect()).await?;
        let rows = rows_json(old.iter().map(|(id, ..)| OldRow { id: *id }));
        let text = dialect!(self, DELETE_EVENTS_SQLITE, DELETE_EVENTS_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows))?;
        for (issue, _) in issues.into_iter().filter(|(_, has_body)| *has_body) {
            self.count_bodies(project, issue).await?;
        }
        Ok(old.len())
    }

    /// Deletes releases of a project of which nobody knows more than their name, and whose last event
    /// happened before a time; at most `limit`. Says how many.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_releases_before(
        &mut self,
        project: ProjectId,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        Ok(execute!(
            self,
            sqlx::query(DELETE_RELEASES).bind(project.0).bind(before.as_micros()).bind(limit)
        )?)
    }

    /// Deletes output of the deploy of a project that ended first of those that ended before a time, at
    /// most `limit` pieces, and notes that it is gone when nothing is left. Gives how many rows that
    /// were: none when no such deploy has any.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_output_before(
        &mut self,
        project: ProjectId,
        (before, now): (Timestamp, Timestamp),
        limit: i64,
    ) -> Result<u64, StoreError> {
        let found: Option<(Uuid,)> = on!(self, |c| sqlx::query_as(FIND_OLD_OUTPUT)
            .bind(project.0)
            .bind(before.as_micros())
            .fetch_optional(c))?;
        let Some((id,)) = found else { return Ok(0) };
        // Whoever adds some has committed before, or finds that it is gone.
        self.hold_deploy(ProjectItemId { project, id }).await?;
        let n_deleted =
            execute!(self, sqlx::query(DELETE_OUTPUT).bind(project.0).bind(id).bind(limit))?;
        if n_deleted < limit.unsigned_abs() {
            let now = now.as_micros();
            execute!(self, sqlx::query(OUTPUT_IS_GONE).bind(project.0).bind(id).bind(now))?;
            return Ok(n_deleted + 1);
        }
        Ok(n_deleted)
    }

    /// Counts the bodies of an issue anew, which is held: whatever went wrong before is right again.
    async fn count_bodies(&mut self, project: ProjectId, issue: IssueId) -> Result<(), StoreError> {
        execute!(self, sqlx::query(COUNT_BODIES).bind(project.0).bind(issue.0))?;
        Ok(())
    }

    /// Deletes the counts of an issue's hours before one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_counts_before(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        hour: i64,
    ) -> Result<(), StoreError> {
        // As whoever settles events and counts them.
        self.lock_issue(project, issue).await?;
        execute!(self, sqlx::query(DELETE_COUNTS).bind(project.0).bind(issue.0).bind(hour))?;
        Ok(())
    }

    /// Issues of a project by id, those after `after`; counts before `hour` are old.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_old_of_issues(
        &mut self,
        project: ProjectId,
        (after, limit): (IssueId, i64),
        hour: i64,
    ) -> Result<Vec<OldOfIssue>, StoreError> {
        let rows: Vec<(Uuid, i64, bool)> = on!(self, |c| sqlx::query_as(LIST_ISSUES)
            .bind(project.0)
            .bind(after.0)
            .bind(limit)
            .bind(hour)
            .fetch_all(c))?;
        let old = |(id, n_bodies, has_old_counts): (Uuid, i64, bool)| OldOfIssue {
            id: IssueId(id),
            n_bodies: n_bodies.max(0).unsigned_abs(),
            has_old_counts,
        };
        Ok(rows.into_iter().map(old).collect())
    }

    /// All events of an issue whose bodies are kept, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_kept(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<Kept<Uuid>>, StoreError> {
        let rows: Vec<BodyRow> =
            on!(self, |c| sqlx::query_as(LIST_BODIES).bind(project.0).bind(issue.0).fetch_all(c))?;
        let kept = |row: BodyRow| Kept {
            id: row.id,
            at: Timestamp::from_micros(row.occurred_at),
            release: row.release,
            environment: row.environment,
        };
        Ok(rows.into_iter().map(kept).collect())
    }

    /// Gives up the bodies of events of an issue; their rows stay.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn drop_bodies(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        events: &[Uuid],
    ) -> Result<(), StoreError> {
        // First, as whoever settles events; whoever added some has committed before they are counted.
        self.lock_issue(project, issue).await?;
        for event in events {
            execute!(self, sqlx::query(DROP_BODY).bind(project.0).bind(event))?;
        }
        self.count_bodies(project, issue).await
    }

    /// Deletes dictionaries that no event can need, neither a stored one nor one to come.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_unused_dictionaries(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let serves = i64::try_from(DICTIONARY_SERVES.as_micros()).unwrap_or(i64::MAX);
        execute!(
            self,
            sqlx::query(DELETE_DICTIONARIES)
                .bind(project.0)
                .bind(OVERLAP_MICROS)
                .bind(serves)
                .bind(now.as_micros())
        )?;
        Ok(())
    }
}
