//! Stored events and the hashes that lead to them.

use std::collections::{BTreeMap, HashMap};

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
    /// How it was found to be the issue's.
    pub how: String,
    /// What decided, in words.
    pub reason: String,
    /// The event that made it.
    pub first_event: EventId,
    /// What was hashed and why, as JSON; `None` where it was not asked for.
    pub explanation: Option<String>,
}

#[derive(FromRow)]
struct HashRow {
    issue_id: Uuid,
    hash: Vec<u8>,
    config: String,
    how: String,
    reason: String,
    first_event: Uuid,
    explanation: Option<String>,
}

impl TryFrom<HashRow> for StoredHash {
    type Error = StoreError;

    fn try_from(row: HashRow) -> Result<Self, StoreError> {
        let hash = <[u8; 32]>::try_from(row.hash.as_slice())
            .map_err(|_| StoreError::corrupt("issue_hashes", "hash", row.issue_id))?;
        Ok(Self {
            hash: Hash(hash),
            config: row.config,
            how: row.how,
            reason: row.reason,
            first_event: EventId(row.first_event),
            explanation: row.explanation,
        })
    }
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
const LIST_BODIES_OF_HASH: &str = "SELECT events.id, issue_hashes.issue_id, events.occurred_at,
    events.received_at, events.verdict, events.reason, events.release, events.environment,
    events.body, events.is_trusted
    FROM events JOIN issue_hashes
    ON issue_hashes.project_id = events.project_id AND issue_hashes.hash = events.hash
    WHERE events.project_id = $1 AND events.hash = $2 AND events.body IS NOT NULL
    ORDER BY events.occurred_at DESC LIMIT $3";
macro_rules! list_hashes {
    ($explanation:literal, $issues:literal) => {
        concat!(
            "SELECT issue_id, hash, config, CASE WHEN issue_id = origin_id THEN how
                ELSE 'merged' END AS how, reason, first_event, ",
            $explanation,
            " AS explanation FROM issue_hashes WHERE project_id = $1 AND issue_id ",
            $issues,
            " ORDER BY created_at, hash"
        )
    };
}
/// The rows that are looked through for bodies are as many as the last parameter says.
const LIST_LATEST_BODIES: &str = "SELECT latest.id, issue_hashes.issue_id, latest.occurred_at,
    latest.received_at, latest.verdict, latest.reason, latest.release, latest.environment,
    latest.body, latest.is_trusted
    FROM (SELECT events.id, events.hash, events.occurred_at, events.received_at, events.verdict,
            events.reason, events.release, events.environment, events.body, events.is_trusted
        FROM events
        WHERE events.project_id = $1 ORDER BY events.received_at DESC LIMIT $3) AS latest
    JOIN issue_hashes ON issue_hashes.project_id = $1 AND issue_hashes.hash = latest.hash
    WHERE latest.body IS NOT NULL ORDER BY latest.received_at DESC LIMIT $2";
const LIST_NUMBERS_SQLITE: &str = "SELECT id, number FROM issues
    WHERE project_id = $1 AND id IN (SELECT unhex(value, '-') FROM json_each($2))";
const LIST_NUMBERS_POSTGRES: &str = "SELECT id, number FROM issues
    WHERE project_id = $1 AND id = ANY(CAST($2 AS UUID[]))";
const LIST_HASHES_SQLITE: &str =
    list_hashes!("explanation", "IN (SELECT unhex(value, '-') FROM json_each($2))");
const LIST_HASHES_POSTGRES: &str = list_hashes!("explanation", "= ANY(CAST($2 AS UUID[]))");
const LIST_REASONS_SQLITE: &str =
    list_hashes!("CAST(NULL AS TEXT)", "IN (SELECT unhex(value, '-') FROM json_each($2))");
const LIST_REASONS_POSTGRES: &str = list_hashes!("CAST(NULL AS TEXT)", "= ANY(CAST($2 AS UUID[]))");

statements!(
    FIND,
    LIST_OF_HASH,
    LIST_BODIES_OF_HASH,
    LIST_LATEST_BODIES,
    LIST_NUMBERS_SQLITE,
    LIST_NUMBERS_POSTGRES,
    LIST_HASHES_SQLITE,
    LIST_HASHES_POSTGRES,
    LIST_REASONS_SQLITE,
    LIST_REASONS_POSTGRES
);

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
            let found = self.list_bodies_of_hash(project, hash.hash, 1).await?;
            latest = latest.into_iter().chain(found).max_by_key(|event| event.occurred_at);
        }
        Ok(latest)
    }

    /// Up to `limit` events of a hash whose bodies are kept, latest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_bodies_of_hash(
        &mut self,
        project: ProjectId,
        hash: Hash,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let rows: Vec<EventRow> = on!(self, |c| sqlx::query_as(LIST_BODIES_OF_HASH)
            .bind(project.0)
            .bind(&hash.0[..])
            .bind(limit)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(StoredEvent::from).collect())
    }

    /// Up to `limit` events whose bodies are kept among the latest of a project, latest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_latest_bodies(
        &mut self,
        project: ProjectId,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        /// Rows that are looked through for each body that is wanted.
        const ROWS_PER_BODY: i64 = 50;
        let rows: Vec<EventRow> = on!(self, |c| sqlx::query_as(LIST_LATEST_BODIES)
            .bind(project.0)
            .bind(limit)
            .bind(limit.saturating_mul(ROWS_PER_BODY))
            .fetch_all(c))?;
        Ok(rows.into_iter().map(StoredEvent::from).collect())
    }

    /// The numbers of issues.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_numbers_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<BTreeMap<IssueId, i64>, StoreError> {
        let rows: Vec<(Uuid, Option<i64>)> =
            of_issues!(self, LIST_NUMBERS_SQLITE, LIST_NUMBERS_POSTGRES, project, issues)?;
        Ok(rows.into_iter().filter_map(|(id, number)| Some((IssueId(id), number?))).collect())
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
        let issues = [issue];
        let rows: Vec<HashRow> =
            of_issues!(self, LIST_HASHES_SQLITE, LIST_HASHES_POSTGRES, project, issues)?;
        rows.into_iter().map(StoredHash::try_from).collect()
    }

    /// The hashes of issues, oldest first, without their explanations.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_hashes_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<HashMap<IssueId, Vec<StoredHash>>, StoreError> {
        let rows: Vec<HashRow> =
            of_issues!(self, LIST_REASONS_SQLITE, LIST_REASONS_POSTGRES, project, issues)?;
        let mut hashes: HashMap<IssueId, Vec<StoredHash>> = HashMap::new();
        for row in rows {
            let issue = IssueId(row.issue_id);
            hashes.entry(issue).or_default().push(StoredHash::try_from(row)?);
        }
        Ok(hashes)
    }
}
