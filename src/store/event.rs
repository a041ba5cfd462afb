//! Stored events and the hashes that lead to them.

use std::collections::HashMap;

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::of_issues;
use super::tx::{Tx, on, statements};
use crate::domain::fingerprint::Hash;
use crate::domain::id::{EventId, IssueId, ProjectId};
use crate::domain::time::Timestamp;

/// An event as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// The client's id.
    pub id: EventId,
    /// The issue it belongs to, through its hash.
    pub issue_id: IssueId,
    /// When it happened, by our clock.
    pub occurred_at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What it meant for its issue.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// The release as reported.
    pub release: Option<String>,
    /// The environment as reported.
    pub environment: String,
    /// Whether its key is to be believed.
    pub is_trusted: bool,
    /// The normalised event, encoded; `None` when it was sampled away.
    pub body: Option<Vec<u8>>,
}

/// A hash of an issue, with what was hashed.
#[derive(Debug, Clone)]
pub struct StoredHash {
    /// The SHA-256.
    pub hash: Hash,
    /// The config that made it.
    pub config: String,
    /// What was hashed and why, as JSON.
    pub explanation: String,
}

#[derive(FromRow)]
struct EventRow {
    id: Uuid,
    issue_id: Uuid,
    occurred_at: i64,
    received_at: i64,
    verdict: String,
    reason: String,
    release: Option<String>,
    environment: String,
    body: Option<Vec<u8>>,
    is_trusted: bool,
}

impl From<EventRow> for StoredEvent {
    fn from(row: EventRow) -> Self {
        Self {
            id: EventId(row.id),
            issue_id: IssueId(row.issue_id),
            occurred_at: Timestamp::from_micros(row.occurred_at),
            received_at: Timestamp::from_micros(row.received_at),
            verdict: row.verdict,
            reason: row.reason,
            release: row.release,
            environment: row.environment,
            body: row.body,
            is_trusted: row.is_trusted,
        }
    }
}

const FIND: &str = "SELECT events.id, issue_hashes.issue_id, events.occurred_at,
    events.received_at, events.verdict, events.reason, events.release, events.environment,
    events.body, events.is_trusted
    FROM events JOIN issue_hashes
    ON issue_hashes.project_id = events.project_id AND issue_hashes.hash = events.hash
    WHERE events.project_id = $1 AND events.id = $2";
const LIST_OF_HASH: &str = "SELECT events.id, issue_hashes.issue_id, events.occurred_at,
    events.received_at, events.verdict, events.reason, events.release, events.environment,
    events.body, events.is_trusted
    FROM events JOIN issue_hashes
    ON issue_hashes.project_id = events.project_id AND issue_hashes.hash = events.hash
    WHERE events.project_id = $1 AND events.hash = $2
    AND (CAST($3 AS BIGINT) IS NULL OR events.occurred_at < $3
        OR (events.occurred_at = $3 AND events.id < $4))
    ORDER BY events.occurred_at DESC, events.id DESC LIMIT $5";
const FIND_LATEST_BODY: &str = "SELECT events.id, issue_hashes.issue_id, events.occurred_at,
    events.received_at, events.verdict, events.reason, events.release, events.environment,
    events.body, events.is_trusted
    FROM events JOIN issue_hashes
    ON issue_hashes.project_id = events.project_id AND issue_hashes.hash = events.hash
    WHERE events.project_id = $1 AND events.hash = $2 AND events.body IS NOT NULL
    ORDER BY events.occurred_at DESC LIMIT 1";
macro_rules! list_hashes {
    ($issues:literal) => {
        concat!(
            "SELECT issue_id, hash, config, explanation FROM issue_hashes
            WHERE project_id = $1 AND issue_id ",
            $issues,
            " ORDER BY created_at, hash"
        )
    };
}
const LIST_HASHES_SQLITE: &str = list_hashes!("IN (SELECT unhex(value, '-') FROM json_each($2))");
const LIST_HASHES_POSTGRES: &str = list_hashes!("= ANY(CAST($2 AS UUID[]))");

statements!(FIND, LIST_OF_HASH, FIND_LATEST_BODY, LIST_HASHES_SQLITE, LIST_HASHES_POSTGRES);

impl Tx {
    /// The event of a project with this id.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_event(
        &mut self,
        project: ProjectId,
        id: EventId,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let row: Option<EventRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(project.0).bind(id.0).fetch_optional(c))?;
        Ok(row.map(StoredEvent::from))
    }

    /// Up to `limit` events of an issue, latest first, that come after the place `after`.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_events(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        after: Option<(Timestamp, EventId)>,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events: Vec<StoredEvent> = Vec::new();
        // One index walk for each hash: an issue has one, or a few after merges.
        for hash in self.list_hashes(project, issue).await? {
            let rows: Vec<EventRow> = on!(self, |c| sqlx::query_as(LIST_OF_HASH)
                .bind(project.0)
                .bind(&hash.hash.0[..])
                .bind(after.map(|(at, _)| at.as_micros()))
                .bind(after.map(|(_, id)| id.0))
                .bind(limit)
                .fetch_all(c))?;
            events.extend(rows.into_iter().map(StoredEvent::from));
        }
        events.sort_by_key(|event| std::cmp::Reverse((event.occurred_at, event.id)));
        events.truncate(usize::try_from(limit).unwrap_or_default());
        Ok(events)
    }

    /// The latest event of an issue whose body was kept.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_latest_body(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let mut latest: Option<StoredEvent> = None;
        for hash in self.list_hashes(project, issue).await? {
            let row: Option<EventRow> = on!(self, |c| sqlx::query_as(FIND_LATEST_BODY)
                .bind(project.0)
                .bind(&hash.hash.0[..])
                .fetch_optional(c))?;
            let found = row.map(StoredEvent::from);
            latest = latest.into_iter().chain(found).max_by_key(|event| event.occurred_at);
        }
        Ok(latest)
    }

    /// The hashes of an issue, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_hashes(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<StoredHash>, StoreError> {
        let mut of_issues = self.list_hashes_of(project, &[issue]).await?;
        Ok(of_issues.remove(&issue).unwrap_or_default())
    }

    /// The hashes of issues, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_hashes_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<HashMap<IssueId, Vec<StoredHash>>, StoreError> {
        let rows: Vec<(Uuid, Vec<u8>, String, String)> =
            of_issues!(self, LIST_HASHES_SQLITE, LIST_HASHES_POSTGRES, project, issues)?;
        let mut hashes: HashMap<IssueId, Vec<StoredHash>> = HashMap::new();
        for (issue, hash, config, explanation) in rows {
            let hash = <[u8; 32]>::try_from(hash.as_slice())
                .map_err(|_| StoreError::corrupt("issue_hashes", "hash", issue))?;
            let stored = StoredHash { hash: Hash(hash), config, explanation };
            hashes.entry(IssueId(issue)).or_default().push(stored);
        }
        Ok(hashes)
    }
}
