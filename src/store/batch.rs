//! What digest reads and writes for one batch of one project.
//!
//! Functions take slices: on PostgreSQL one statement writes them all (`UNNEST`), on SQLite a
//! prepared statement runs for each. The order in which digest calls them is fixed (events, hashes,
//! issues, counters, the short-id counter last) and slices are sorted by key, so that two nodes
//! cannot deadlock.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;
use uuid::Uuid;

use super::counters::count;
use super::error::StoreError;
use super::issue::{StateColumns, StateRow, state_columns};
use super::tx::{Tx, execute, statements};
use crate::domain::event::Level;
use crate::domain::fingerprint::Hash;
use crate::domain::id::{EventId, IssueId, ProjectId};
use crate::domain::lifecycle::{State, Verdict};
use crate::domain::time::Timestamp;

/// What is stored of the issue a hash leads to.
#[derive(Debug, Clone)]
pub struct IssueFacts {
    /// The issue.
    pub id: IssueId,
    /// Where it stands.
    pub state: State,
    /// The revision this was read at.
    pub revision: i64,
    /// How many events it had.
    pub n_events: u64,
}

/// An event to store.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The client's id.
    pub id: EventId,
    /// What it was grouped by.
    pub hash: Hash,
    /// When it happened, by our clock.
    pub occurred_at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What it means for its issue.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The normalised event: JSON, zstd.
    pub body: Vec<u8>,
    /// Whether its key is to be believed.
    pub is_trusted: bool,
}

/// A hash seen for the first time.
#[derive(Debug, Clone)]
pub struct NewHash {
    /// The hash.
    pub hash: Hash,
    /// The issue it leads to.
    pub issue_id: IssueId,
    /// The config that made it.
    pub config: &'static str,
    /// What it was made from.
    pub kind: &'static str,
    /// What was hashed and why, as JSON.
    pub explanation: String,
    /// The event that made it.
    pub first_event: EventId,
}

/// What a batch makes of one issue.
#[derive(Debug, Clone)]
pub struct IssueDelta {
    /// The issue.
    pub id: IssueId,
    /// The revision the decision was made on; `None` for a new issue.
    pub revision: Option<i64>,
    /// Its state afterwards.
    pub state: State,
    /// Whether the batch changed its state.
    pub is_state_changed: bool,
    /// Added events.
    pub n_events: u64,
    /// When the first added event happened.
    pub first_seen: Timestamp,
    /// When the last added event happened.
    pub last_seen: Timestamp,
    /// The release of the first added event.
    pub first_release: Option<String>,
    /// The release of the last added event.
    pub last_release: Option<String>,
    /// The title of the last added event.
    pub title: String,
    /// The culprit of the last added event.
    pub culprit: String,
    /// The level of the last added event.
    pub level: Level,
    /// The platform of the last added event.
    pub platform: String,
    /// False if one added event was not handled, `None` if none says anything.
    pub handled: Option<bool>,
}

#[derive(FromRow)]
struct FactsRow {
    hash: Vec<u8>,
    #[sqlx(flatten)]
    issue: StateRow,
}

const LIST_KNOWN_SQLITE: &str = "SELECT id FROM events WHERE project_id = $1 AND id = $2";
const LIST_KNOWN_POSTGRES: &str = "SELECT id FROM events WHERE project_id = $1 AND id = ANY($2)";

macro_rules! facts {
    ($condition:literal) => {
        concat!(
            "SELECT issue_hashes.hash, ",
            state_columns!(),
            " FROM issue_hashes JOIN issues
            ON issues.project_id = issue_hashes.project_id AND issues.id = issue_hashes.issue_id
            WHERE issue_hashes.project_id = $1 AND issue_hashes.hash ",
            $condition
        )
    };
}
const LIST_FACTS_SQLITE: &str = facts!("= $2");
const LIST_FACTS_POSTGRES: &str = facts!("= ANY($2)");

const INSERT_EVENT_SQLITE: &str = "INSERT INTO events
    (project_id, id, hash, occurred_at, received_at, verdict, reason, body, is_trusted)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (project_id, id) DO NOTHING";
const INSERT_EVENTS_POSTGRES: &str = "INSERT INTO events
    (project_id, id, hash, occurred_at, received_at, verdict, reason, body, is_trusted)
    SELECT $1, * FROM UNNEST(CAST($2 AS UUID[]), CAST($3 AS BYTEA[]), CAST($4 AS BIGINT[]),
        CAST($5 AS BIGINT[]), CAST($6 AS TEXT[]), CAST($7 AS TEXT[]), CAST($8 AS BYTEA[]),
        CAST($9 AS BOOLEAN[]))
    ON CONFLICT (project_id, id) DO NOTHING";
const INSERT_HASH: &str = "INSERT INTO issue_hashes
    (project_id, hash, issue_id, config, kind, explanation, first_event, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project_id, hash) DO NOTHING";
const INSERT_ISSUE: &str = "INSERT INTO issues
    (project_id, id, title, culprit, level, platform, handled, status, resolved_at, mute_until,
        mute_until_n_events, is_regressed, revision, n_events, first_seen, last_seen,
        last_seen_minute, first_release, last_release, unconfirmed_since)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, $15, $16, $17, $18,
        $19)";
const UPDATE_ISSUE: &str = "UPDATE issues SET
    title = CASE WHEN $4 >= last_seen THEN $6 ELSE title END,
    culprit = CASE WHEN $4 >= last_seen THEN $7 ELSE culprit END,
    level = CASE WHEN $4 >= last_seen THEN $8 ELSE level END,
    platform = CASE WHEN $4 >= last_seen THEN $9 ELSE platform END,
    first_release = CASE WHEN $3 < first_seen THEN CAST($10 AS TEXT) ELSE first_release END,
    last_release = CASE WHEN $4 >= last_seen AND CAST($11 AS TEXT) IS NOT NULL
        THEN CAST($11 AS TEXT) ELSE last_release END,
    first_seen = CASE WHEN $3 < first_seen THEN $3 ELSE first_seen END,
    last_seen = CASE WHEN $4 > last_seen THEN $4 ELSE last_seen END,
    last_seen_minute = CASE WHEN $5 > last_seen_minute THEN $5 ELSE last_seen_minute END,
    handled = CASE WHEN CAST($12 AS BOOLEAN) IS NULL OR handled IS FALSE THEN handled
        ELSE CAST($12 AS BOOLEAN) END,
    n_events = n_events + $13, status = $15, resolved_at = $16, mute_until = $17,
    mute_until_n_events = $18, is_regressed = $19, revision = revision + $20,
    unconfirmed_since = $21
    WHERE project_id = $1 AND id = $2 AND revision = $14 AND merged_into IS NULL";

statements!(
    LIST_KNOWN_SQLITE,
    LIST_KNOWN_POSTGRES,
    LIST_FACTS_SQLITE,
    LIST_FACTS_POSTGRES,
    INSERT_EVENT_SQLITE,
    INSERT_EVENTS_POSTGRES,
    INSERT_HASH,
    INSERT_ISSUE,
    UPDATE_ISSUE,
);

impl Tx {
    /// Which of these events are stored already.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_known_events(
        &mut self,
        project: ProjectId,
        ids: &[EventId],
    ) -> Result<BTreeSet<EventId>, StoreError> {
        let mut rows: Vec<(Uuid,)> = Vec::new();
        match self {
            Self::Sqlite(tx) => {
                for id in ids {
                    let query = sqlx::query_as(LIST_KNOWN_SQLITE).bind(project.0).bind(id.0);
                    let row: Option<(Uuid,)> = query.fetch_optional(&mut **tx).await?;
                    rows.extend(row);
                }
            }
            Self::Postgres(tx) => {
                let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
                let query = sqlx::query_as(LIST_KNOWN_POSTGRES).bind(project.0).bind(ids);
                rows = query.fetch_all(&mut **tx).await?;
            }
        }
        Ok(rows.into_iter().map(|(id,)| EventId(id)).collect())
    }

    /// The issues these hashes lead to.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_issue_facts(
        &mut self,
        project: ProjectId,
        hashes: &BTreeSet<Hash>,
    ) -> Result<BTreeMap<Hash, IssueFacts>, StoreError> {
        let mut rows: Vec<FactsRow> = Vec::new();
        match self {
            Self::Sqlite(tx) => {
                for hash in hashes {
                    let query = sqlx::query_as(LIST_FACTS_SQLITE).bind(project.0).bind(&hash.0[..]);
                    rows.extend(query.fetch_optional(&mut **tx).await?);
                }
            }
            Self::Postgres(tx) => {
                let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
                let query = sqlx::query_as(LIST_FACTS_POSTGRES).bind(project.0).bind(hashes);
                rows = query.fetch_all(&mut **tx).await?;
            }
        }
        let fact = |row: FactsRow| {
            let hash = <[u8; 32]>::try_from(row.hash.as_slice())
                .map_err(|_| StoreError::corrupt("issue_hashes", "hash", row.issue.id))?;
            let facts = IssueFacts {
                id: IssueId(row.issue.id),
                state: row.issue.state()?,
                revision: row.issue.revision,
                n_events: row.issue.n_events.unsigned_abs(),
            };
            Ok((Hash(hash), facts))
        };
        rows.into_iter().map(fact).collect()
    }

    /// Stores events, sorted by id.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when somebody stored one of them meanwhile.
    pub async fn insert_events(
        &mut self,
        project: ProjectId,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let mut n_rows = 0;
        match self {
            Self::Sqlite(tx) => {
                for event in events {
                    let query = sqlx::query(INSERT_EVENT_SQLITE)
                        .bind(project.0)
                        .bind(event.id.0)
                        .bind(&event.hash.0[..])
                        .bind(event.occurred_at.as_micros())
                        .bind(event.received_at.as_micros())
                        .bind(event.verdict.as_str())
                        .bind(&event.reason)
                        .bind(&event.body)
                        .bind(event.is_trusted);
                    n_rows += query.execute(&mut **tx).await?.rows_affected();
                }
            }
            Self::Postgres(tx) => {
                let column = |of: fn(&NewEvent) -> Timestamp| -> Vec<i64> {
                    events.iter().map(|event| of(event).as_micros()).collect()
                };
                let query = sqlx::query(INSERT_EVENTS_POSTGRES)
                    .bind(project.0)
                    .bind(events.iter().map(|event| event.id.0).collect::<Vec<_>>())
                    .bind(events.iter().map(|event| &event.hash.0[..]).collect::<Vec<_>>())
                    .bind(column(|event| event.occurred_at))
                    .bind(column(|event| event.received_at))
                    .bind(events.iter().map(|event| event.verdict.as_str()).collect::<Vec<_>>())
                    .bind(events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>())
                    .bind(events.iter().map(|event| &event.body[..]).collect::<Vec<_>>())
                    .bind(events.iter().map(|event| event.is_trusted).collect::<Vec<_>>());
                n_rows = query.execute(&mut **tx).await?.rows_affected();
            }
        }
        if n_rows == events.len() as u64 { Ok(()) } else { Err(StoreError::Raced) }
    }

    /// Stores new hashes, sorted by hash.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when somebody stored one of them meanwhile.
    pub async fn insert_hashes(
        &mut self,
        project: ProjectId,
        hashes: &[NewHash],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for hash in hashes {
            let n_rows = execute!(
                self,
                sqlx::query(INSERT_HASH)
                    .bind(project.0)
                    .bind(&hash.hash.0[..])
                    .bind(hash.issue_id.0)
                    .bind(hash.config)
                    .bind(hash.kind)
                    .bind(&hash.explanation)
                    .bind(hash.first_event.0)
                    .bind(now.as_micros())
            )?;
            if n_rows == 0 {
                return Err(StoreError::Raced);
            }
        }
        Ok(())
    }

    /// Writes what a batch makes of one issue: one row.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when its state changed since the decision was made.
    pub async fn write_issue(
        &mut self,
        project: ProjectId,
        delta: &IssueDelta,
    ) -> Result<(), StoreError> {
        let Some(revision) = delta.revision else {
            return self.insert_issue(project, delta).await;
        };
        let columns = StateColumns::from(&delta.state);
        let n_rows = execute!(
            self,
            sqlx::query(UPDATE_ISSUE)
                .bind(project.0)
                .bind(delta.id.0)
                .bind(delta.first_seen.as_micros())
                .bind(delta.last_seen.as_micros())
                .bind(delta.last_seen.minute())
                .bind(&delta.title)
                .bind(&delta.culprit)
                .bind(delta.level.as_str())
                .bind(&delta.platform)
                .bind(&delta.first_release)
                .bind(&delta.last_release)
                .bind(delta.handled)
                .bind(count(delta.n_events))
                .bind(revision)
                .bind(columns.status)
                .bind(columns.resolved_at)
                .bind(columns.mute_until)
                .bind(columns.mute_until_n_events)
                .bind(columns.is_regressed)
                .bind(i64::from(delta.is_state_changed))
                .bind(columns.unconfirmed_since)
        )?;
        if n_rows == 1 { Ok(()) } else { Err(StoreError::Raced) }
    }

    async fn insert_issue(
        &mut self,
        project: ProjectId,
        delta: &IssueDelta,
    ) -> Result<(), StoreError> {
        let columns = StateColumns::from(&delta.state);
        execute!(
            self,
            sqlx::query(INSERT_ISSUE)
                .bind(project.0)
                .bind(delta.id.0)
                .bind(&delta.title)
                .bind(&delta.culprit)
                .bind(delta.level.as_str())
                .bind(&delta.platform)
                .bind(delta.handled)
                .bind(columns.status)
                .bind(columns.resolved_at)
                .bind(columns.mute_until)
                .bind(columns.mute_until_n_events)
                .bind(columns.is_regressed)
                .bind(count(delta.n_events))
                .bind(delta.first_seen.as_micros())
                .bind(delta.last_seen.as_micros())
                .bind(delta.last_seen.minute())
                .bind(&delta.first_release)
                .bind(&delta.last_release)
                .bind(columns.unconfirmed_since)
        )?;
        Ok(())
    }
}
