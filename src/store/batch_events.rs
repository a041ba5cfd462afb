//! Storing events and the hashes that lead to them.

use serde::Serialize;
use uuid::Uuid;

use super::batch::{NewEvent, NewHash};
use super::error::StoreError;
use super::rows::{dialect, hex, new_rows, rows_json};
use super::tx::{Tx, execute, statements};
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;

/// An event as a statement takes it. All bodies are one parameter beside it: a body is there from
/// `body_from` (counted from 1) on, `body_length` bytes long.
#[derive(Serialize)]
struct EventRow<'a> {
    id: Uuid,
    hash: String,
    occurred_at: i64,
    received_at: i64,
    release: Option<&'a str>,
    environment: &'a str,
    verdict: &'static str,
    reason: &'a str,
    is_trusted: bool,
    is_client: bool,
    user_hash: Option<i64>,
    body_from: Option<usize>,
    body_length: Option<usize>,
}

#[derive(Serialize)]
struct HashRow<'a> {
    hash: String,
    issue_id: Uuid,
    config: &'a str,
    kind: &'a str,
    how: &'a str,
    reason: &'a str,
    explanation: &'a str,
    first_event: Uuid,
}

macro_rules! insert_events {
    ($engine:ident, $body:literal) => {
        concat!(
            "INSERT INTO events (project_id, id, hash, occurred_at, received_at, release,
                environment, verdict, reason, is_trusted, is_client,
                user_hash, body)
            SELECT $1, id, hash, occurred_at, received_at, release, environment, verdict, reason,
                is_trusted, is_client, user_hash, ",
            $body,
            " FROM ",
            new_rows!(
                $engine, uuid id, bytes hash, int occurred_at, int received_at, text release,
                text environment, text verdict, text reason, bool is_trusted, bool is_client,
                int user_hash, int body_from, int body_length
            ),
            " WHERE TRUE ON CONFLICT (project_id, id) DO NOTHING"
        )
    };
}
const INSERT_EVENTS_SQLITE: &str = insert_events!(sqlite, "substr($3, body_from, body_length)");
const INSERT_EVENTS_POSTGRES: &str = insert_events!(
    postgres,
    "substr(CAST($3 AS BYTEA), CAST(body_from AS INTEGER), CAST(body_length AS INTEGER))"
);

macro_rules! insert_hashes {
    ($engine:ident) => {
        concat!(
            "INSERT INTO issue_hashes
            (project_id, hash, issue_id, origin_id, config, kind, how, reason, explanation,
                first_event, created_at)
            SELECT $1, hash, issue_id, issue_id, config, kind, how, reason, explanation,
                first_event, $3 FROM ",
            new_rows!(
                $engine, bytes hash, uuid issue_id, text config, text kind, text how,
                text reason, text explanation, uuid first_event
            ),
            " WHERE TRUE ON CONFLICT (project_id, hash) DO NOTHING"
        )
    };
}
const INSERT_HASHES_SQLITE: &str = insert_hashes!(sqlite);
const INSERT_HASHES_POSTGRES: &str = insert_hashes!(postgres);

statements!(
    INSERT_EVENTS_SQLITE,
    INSERT_EVENTS_POSTGRES,
    INSERT_HASHES_SQLITE,
    INSERT_HASHES_POSTGRES
);

/// Events and their bodies as parameters.
fn event_rows(events: &[NewEvent]) -> (String, Vec<u8>) {
    let mut bodies = Vec::new();
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        rows.push(EventRow {
            id: event.id.0,
            hash: hex(&event.hash.0),
            occurred_at: event.occurred_at.as_micros(),
            received_at: event.received_at.as_micros(),
            release: event.release.as_deref(),
            environment: &event.environment,
            verdict: event.verdict.as_str(),
            reason: &event.reason,
            is_trusted: event.is_trusted,
            is_client: event.is_client,
            user_hash: event.user,
            body_from: event.body.as_ref().map(|_| bodies.len() + 1),
            body_length: event.body.as_ref().map(Vec::len),
        });
        bodies.extend_from_slice(event.body.as_deref().unwrap_or_default());
    }
    (rows_json(rows), bodies)
}

impl Tx {
    /// Stores events, sorted by id.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when somebody stored one of them meanwhile.
    pub async fn insert_events(
        &mut self,
        project: ProjectId,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let (rows, bodies) = event_rows(events);
        let text = dialect!(self, INSERT_EVENTS_SQLITE, INSERT_EVENTS_POSTGRES);
        let n_rows = execute!(self, sqlx::query(text).bind(project.0).bind(rows).bind(bodies))?;
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
        if hashes.is_empty() {
            return Ok(());
        }
        let rows = rows_json(hashes.iter().map(|hash| HashRow {
            hash: hex(&hash.hash.0),
            issue_id: hash.issue_id.0,
            config: hash.config,
            kind: hash.kind,
            how: hash.how,
            reason: &hash.reason,
            explanation: &hash.explanation,
            first_event: hash.first_event.0,
        }));
        let text = dialect!(self, INSERT_HASHES_SQLITE, INSERT_HASHES_POSTGRES);
        let n_rows =
            execute!(self, sqlx::query(text).bind(project.0).bind(rows).bind(now.as_micros()))?;
        if n_rows == hashes.len() as u64 { Ok(()) } else { Err(StoreError::Raced) }
    }
}
