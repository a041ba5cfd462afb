//! What digest reads and writes for one batch of one project.
//!
//! Functions take slices, and one statement writes them all. The order in which digest calls them
//! is fixed (events, hashes, issues, users, counters, the short-id counter last) and slices are
//! sorted by key, so that two nodes cannot deadlock.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::issue::{StateRow, state_columns};
use super::rows::{hex, rows_json};
use super::tx::{Tx, statements};
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
    /// How many users it had.
    pub n_users: u64,
    /// Only users with a smaller hash change that number; `None` while every user is kept.
    pub users_below: Option<i64>,
    /// The number in its short id; `None` in the transaction that makes it.
    pub number: Option<i64>,
    /// Whether its events are dropped.
    pub is_discarded: bool,
    /// Whether it has, or is to have, a task.
    pub is_serious: bool,
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
    /// The release as reported.
    pub release: Option<String>,
    /// The environment as reported.
    pub environment: String,
    /// What it means for its issue.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Whether its key is to be believed.
    pub is_trusted: bool,
    /// Whether it runs at its users', where what is deployed says nothing.
    pub is_client: bool,
    /// Whom it hit, as a hash.
    pub user: Option<i64>,
    /// The normalised event as [`super::body`] has it; `None` when it is sampled away.
    pub body: Option<Vec<u8>>,
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
    /// How it was found to be the issue's: `new`, or the name of a [`Join`](crate::domain::lifecycle::Join).
    pub how: &'static str,
    /// What decided, in words.
    pub reason: String,
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
    /// Those of them that a fix explains.
    pub n_suppressed: u64,
    /// Those of them for which nobody can tell yet.
    pub n_undetermined: u64,
    /// Added users.
    pub n_users: u64,
    /// Added events whose body is kept.
    pub n_bodies: u64,
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
    n_users: i64,
    users_below: Option<i64>,
    number: Option<i64>,
    discarded_at: Option<i64>,
    serious_at: Option<i64>,
}

const LIST_KNOWN_SQLITE: &str = "SELECT id FROM events
    WHERE project_id = $1 AND id IN (SELECT unhex(value, '-') FROM json_each($2))";
// One look at the index for each, whatever the planner believes of a table it has not analysed yet:
// what is `LATERAL` and limited is never turned into a join.
const LIST_KNOWN_POSTGRES: &str = "SELECT found.id FROM UNNEST(CAST($2 AS UUID[])) AS wanted (id)
    CROSS JOIN LATERAL (SELECT id FROM events
        WHERE project_id = $1 AND id = wanted.id LIMIT 1) AS found";

macro_rules! facts {
    ($condition:literal) => {
        concat!(
            "SELECT issue_hashes.hash, ",
            state_columns!(),
            ", issues.n_users, issues.users_below, issues.number, issues.discarded_at,
                issues.serious_at
            FROM issue_hashes JOIN issues
            ON issues.project_id = issue_hashes.project_id AND issues.id = issue_hashes.issue_id
            WHERE issue_hashes.project_id = $1 AND issue_hashes.hash ",
            $condition
        )
    };
}
const LIST_FACTS_SQLITE: &str = facts!("IN (SELECT unhex(value, '\\x') FROM json_each($2))");
const LIST_FACTS_POSTGRES: &str = concat!(
    "SELECT found.* FROM UNNEST(CAST($2 AS BYTEA[])) AS wanted (hash) CROSS JOIN LATERAL (",
    facts!("= wanted.hash LIMIT 1"),
    ") AS found"
);

statements!(LIST_KNOWN_SQLITE, LIST_KNOWN_POSTGRES, LIST_FACTS_SQLITE, LIST_FACTS_POSTGRES);

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
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<(Uuid,)> = match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query_as(LIST_KNOWN_SQLITE).bind(project.0).bind(rows_json(ids));
                query.fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let query = sqlx::query_as(LIST_KNOWN_POSTGRES).bind(project.0).bind(ids);
                query.fetch_all(&mut **tx).await?
            }
        };
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
        let rows: Vec<FactsRow> = match self {
            Self::Sqlite(tx) => {
                let hashes = rows_json(hashes.iter().map(|hash| hex(&hash.0)));
                let query = sqlx::query_as(LIST_FACTS_SQLITE).bind(project.0).bind(hashes);
                query.fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
                let query = sqlx::query_as(LIST_FACTS_POSTGRES).bind(project.0).bind(hashes);
                query.fetch_all(&mut **tx).await?
            }
        };
        let fact = |row: FactsRow| {
            let hash = <[u8; 32]>::try_from(row.hash.as_slice())
                .map_err(|_| StoreError::corrupt("issue_hashes", "hash", row.issue.id))?;
            let facts = IssueFacts {
                id: IssueId(row.issue.id),
                state: row.issue.state()?,
                revision: row.issue.revision,
                n_events: row.issue.n_events.unsigned_abs(),
                n_users: row.n_users.unsigned_abs(),
                users_below: row.users_below,
                number: row.number,
                is_discarded: row.discarded_at.is_some(),
                is_serious: row.serious_at.is_some(),
            };
            Ok((Hash(hash), facts))
        };
        rows.into_iter().map(fact).collect()
    }
}
