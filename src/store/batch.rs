//! What digest reads and writes for one batch of one project.
//!
//! Functions take slices: on PostgreSQL one statement writes them all (`UNNEST`), on SQLite a
//! prepared statement runs for each. The order in which digest calls them is fixed (events, hashes,
//! issues, counters, the short-id counter last) and slices are sorted by key, so that two nodes
//! cannot deadlock.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::issue::{StateColumns, StateRow, state_columns};
use super::tx::{Tx, execute, on};
use crate::domain::event::Level;
use crate::domain::fingerprint::Hash;
use crate::domain::id::{EventId, IssueId, ProjectId};
use crate::domain::lifecycle::{State, Verdict};
use crate::domain::tag_counts::TagCounts;
use crate::domain::time::Timestamp;
use crate::domain::user_sketch::UserSketch;

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
    /// Its state, when the batch changed it (always for a new one).
    pub state: Option<State>,
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
    (project_id, id, hash, occurred_at, received_at, verdict, reason, body)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project_id, id) DO NOTHING";
const INSERT_EVENTS_POSTGRES: &str = "INSERT INTO events
    (project_id, id, hash, occurred_at, received_at, verdict, reason, body)
    SELECT $1, * FROM UNNEST(CAST($2 AS UUID[]), CAST($3 AS BYTEA[]), CAST($4 AS BIGINT[]),
        CAST($5 AS BIGINT[]), CAST($6 AS TEXT[]), CAST($7 AS TEXT[]), CAST($8 AS BYTEA[]))
    ON CONFLICT (project_id, id) DO NOTHING";
const INSERT_HASH: &str = "INSERT INTO issue_hashes
    (project_id, hash, issue_id, config, kind, explanation, first_event, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project_id, hash) DO NOTHING";
const INSERT_ISSUE: &str = "INSERT INTO issues
    (project_id, id, title, culprit, level, platform, handled, status, resolved_at, mute_until,
        mute_until_n_events, is_regressed, revision, n_events, first_seen, last_seen,
        last_seen_minute, first_release, last_release)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, $15, $16, $17, $18)";
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
    n_events = n_events + $13
    WHERE project_id = $1 AND id = $2 AND revision = $14 AND merged_into IS NULL";
const UPDATE_ISSUE_STATE: &str = "UPDATE issues SET status = $3, resolved_at = $4, mute_until = $5,
    mute_until_n_events = $6, is_regressed = $7, revision = revision + 1
    WHERE project_id = $1 AND id = $2";
const ADD_HOUR: &str = "INSERT INTO issue_hours (project_id, issue_id, hour, n_events)
    VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, issue_id, hour)
    DO UPDATE SET n_events = issue_hours.n_events + EXCLUDED.n_events";
const LIST_TAG_KEYS: &str =
    "SELECT tag, value FROM issue_tags WHERE project_id = $1 AND issue_id = $2";
const ADD_TAG_SQLITE: &str = "INSERT INTO issue_tags (project_id, issue_id, tag, value, n_events)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project_id, issue_id, tag, value)
    DO UPDATE SET n_events = issue_tags.n_events + EXCLUDED.n_events";
const ADD_TAGS_POSTGRES: &str =
    "INSERT INTO issue_tags (project_id, issue_id, tag, value, n_events)
    SELECT $1, $2, * FROM UNNEST(CAST($3 AS TEXT[]), CAST($4 AS TEXT[]), CAST($5 AS BIGINT[]))
    ON CONFLICT (project_id, issue_id, tag, value)
    DO UPDATE SET n_events = issue_tags.n_events + EXCLUDED.n_events";
const FIND_SKETCH: &str = "SELECT sketch FROM issue_users WHERE project_id = $1 AND issue_id = $2";
const UPSERT_SKETCH: &str = "INSERT INTO issue_users (project_id, issue_id, sketch, n_users)
    VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, issue_id)
    DO UPDATE SET sketch = EXCLUDED.sketch, n_users = EXCLUDED.n_users";
const TAKE_NUMBERS: &str = "INSERT INTO project_counters (project_id, name, value)
    VALUES ($1, 'issue_number', $2) ON CONFLICT (project_id, name)
    DO UPDATE SET value = project_counters.value + EXCLUDED.value RETURNING value";
const NUMBER_ISSUE: &str = "UPDATE issues SET number = $3 WHERE project_id = $1 AND id = $2";

/// A count as the store writes it.
fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

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
                        .bind(&event.body);
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
                    .bind(events.iter().map(|event| &event.body[..]).collect::<Vec<_>>());
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
        )?;
        if n_rows == 0 {
            return Err(StoreError::Raced);
        }
        if let Some(state) = &delta.state {
            let columns = StateColumns::from(state);
            execute!(
                self,
                sqlx::query(UPDATE_ISSUE_STATE)
                    .bind(project.0)
                    .bind(delta.id.0)
                    .bind(columns.status)
                    .bind(columns.resolved_at)
                    .bind(columns.mute_until)
                    .bind(columns.mute_until_n_events)
                    .bind(columns.is_regressed)
            )?;
        }
        Ok(())
    }

    async fn insert_issue(
        &mut self,
        project: ProjectId,
        delta: &IssueDelta,
    ) -> Result<(), StoreError> {
        let columns = StateColumns::from(delta.state.as_ref().unwrap_or(&State::OPEN));
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
        )?;
        Ok(())
    }

    /// Adds to the hourly counters of an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_hours(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        hours: &BTreeMap<i64, u64>,
    ) -> Result<(), StoreError> {
        for (hour, n_events) in hours {
            execute!(
                self,
                sqlx::query(ADD_HOUR)
                    .bind(project.0)
                    .bind(issue.0)
                    .bind(hour)
                    .bind(count(*n_events))
            )?;
        }
        Ok(())
    }

    /// The tags and values of an issue that are counted already.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_tag_keys(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<BTreeSet<(String, String)>, StoreError> {
        let rows: Vec<(String, String)> = on!(self, |c| sqlx::query_as(LIST_TAG_KEYS)
            .bind(project.0)
            .bind(issue.0)
            .fetch_all(c))?;
        Ok(rows.into_iter().collect())
    }

    /// Adds to the tag counters of an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_tags(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        counts: &TagCounts,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => {
                for ((tag, value), n_events) in counts {
                    let query = sqlx::query(ADD_TAG_SQLITE)
                        .bind(project.0)
                        .bind(issue.0)
                        .bind(tag)
                        .bind(value)
                        .bind(count(*n_events));
                    query.execute(&mut **tx).await?;
                }
            }
            Self::Postgres(tx) => {
                let query = sqlx::query(ADD_TAGS_POSTGRES)
                    .bind(project.0)
                    .bind(issue.0)
                    .bind(counts.keys().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>())
                    .bind(counts.keys().map(|(_, value)| value.as_str()).collect::<Vec<_>>())
                    .bind(counts.values().map(|n| count(*n)).collect::<Vec<_>>());
                query.execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    /// The users of an issue. Read it after the issue's row was written: that row is the lock.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_users(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<UserSketch, StoreError> {
        let row: Option<(Vec<u8>,)> = on!(self, |c| sqlx::query_as(FIND_SKETCH)
            .bind(project.0)
            .bind(issue.0)
            .fetch_optional(c))?;
        let Some((sketch,)) = row else { return Ok(UserSketch::default()) };
        UserSketch::from_bytes(&sketch)
            .ok_or_else(|| StoreError::corrupt("issue_users", "sketch", issue.0))
    }

    /// Writes the users of an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_users(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        users: &UserSketch,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(UPSERT_SKETCH)
                .bind(project.0)
                .bind(issue.0)
                .bind(users.to_bytes())
                .bind(count(users.count()))
        )?;
        Ok(())
    }

    /// Gives new issues their numbers, in the order given. The last step of a batch: the counter is
    /// the one row all new issues of a project share.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn number_issues(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<(), StoreError> {
        if issues.is_empty() {
            return Ok(());
        }
        let n_issues = count(issues.len() as u64);
        let (last,): (i64,) = on!(self, |c| sqlx::query_as(TAKE_NUMBERS)
            .bind(project.0)
            .bind(n_issues)
            .fetch_one(c))?;
        for (number, issue) in (last - n_issues + 1..).zip(issues) {
            execute!(self, sqlx::query(NUMBER_ISSUE).bind(project.0).bind(issue.0).bind(number))?;
        }
        Ok(())
    }
}
