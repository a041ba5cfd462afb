//! Giving some of an issue's hashes to an issue of their own, with the events they have.
//!
//! What event rows say (hours, releases, environments, verdicts) moves exactly; other tags and users
//! are known of the bodies that were kept.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::counters::count;
use super::error::StoreError;
use super::issue::search_text;
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::fingerprint::Hash;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::issue::Issue;
use crate::domain::tag_counts::TagCounts;
use crate::domain::time::Timestamp;

/// When an event happened, and its release.
pub type Seen = (Timestamp, Option<String>);

/// How many events of a hash there are, of one hour, release, environment and verdict.
#[derive(Debug, Clone, FromRow)]
pub struct HashCount {
    /// The hour they happened in, counted from the epoch.
    pub hour: i64,
    /// Their release; empty for none.
    pub release: String,
    /// Their environment.
    pub environment: String,
    /// What they meant for their issue.
    pub verdict: String,
    /// Their number.
    pub n_events: i64,
    /// How many have their bodies.
    pub n_bodies: i64,
    /// When the first happened, in microseconds.
    pub first: i64,
    /// When the last happened, in microseconds.
    pub last: i64,
}

#[derive(Serialize)]
struct CountRow<'a> {
    hour: i64,
    release: &'a str,
    environment: &'a str,
    verdict: &'a str,
    n_events: i64,
}

#[derive(Serialize)]
struct TagRow<'a> {
    tag: &'a str,
    value: &'a str,
    n_events: i64,
}

const LIST_ORIGINS: &str = "SELECT hash, origin_id FROM issue_hashes
    WHERE project_id = $1 AND issue_id = $2";
const REPOINT: &str = "UPDATE issue_hashes SET issue_id = $4
    WHERE project_id = $1 AND hash = $2 AND issue_id = $3";
const COUNT_OF_HASH: &str = "SELECT occurred_at / 3600000000 AS hour,
        COALESCE(release, '') AS release, environment, verdict, COUNT(*) AS n_events,
        COUNT(body) AS n_bodies, MIN(occurred_at) AS first, MAX(occurred_at) AS last
    FROM events WHERE project_id = $1 AND hash = $2
    GROUP BY occurred_at / 3600000000, COALESCE(release, ''), environment, verdict";
const FIRST_OF_HASH: &str = "SELECT occurred_at, release FROM events
    WHERE project_id = $1 AND hash = $2 ORDER BY occurred_at, id LIMIT 1";
const LAST_OF_HASH: &str = "SELECT occurred_at, release FROM events
    WHERE project_id = $1 AND hash = $2 ORDER BY occurred_at DESC, id DESC LIMIT 1";
const INSERT: &str = "INSERT INTO issues (project_id, id, revision, title, culprit, search_text,
        level, platform, status, is_regressed, fix_is_complete, n_events,
        n_suppressed, n_undetermined, n_users, n_bodies, first_seen, last_seen, last_seen_minute)
    SELECT project_id, $3, 1, title, culprit, search_text, level, platform, 'open', FALSE, FALSE, 0, 0,
        0, 0, 0, first_seen, last_seen, last_seen_minute
    FROM issues WHERE project_id = $1 AND id = $2";
const REVIVE: &str = "UPDATE issues SET merged_into = NULL, n_bodies = 0, revision = revision + 1
    WHERE project_id = $1 AND id = $2 AND merged_into = $3";
const UPDATE: &str = "UPDATE issues SET n_events = $3,
        n_bodies = CASE WHEN n_bodies + $4 > 0 THEN n_bodies + $4 ELSE 0 END, first_seen = $5,
        last_seen = $6, last_seen_minute = $7, first_release = $8, last_release = $9, title = $10,
        culprit = $11, search_text = $12, level = $13, platform = $14, handled = $15,
        discarded_at = $16, n_suppressed = $17, n_undetermined = $18, revision = revision + 1
    WHERE project_id = $1 AND id = $2";

macro_rules! add_counts {
    ($engine:ident, $sign:literal) => {
        concat!(
            "INSERT INTO issue_counts
                (project_id, issue_id, hour, release, environment, verdict, n_events)
            SELECT $1, $3, hour, release, environment, verdict, ",
            $sign,
            "n_events FROM ",
            new_rows!(
                $engine, int hour, text release, text environment, text verdict, int n_events
            ),
            " WHERE TRUE
            ON CONFLICT (project_id, issue_id, hour, release, environment, verdict)
            DO UPDATE SET n_events = issue_counts.n_events + EXCLUDED.n_events"
        )
    };
}
const ADD_SQLITE: &str = add_counts!(sqlite, "");
const ADD_POSTGRES: &str = add_counts!(postgres, "");
const SUBTRACT_SQLITE: &str = add_counts!(sqlite, "-");
const SUBTRACT_POSTGRES: &str = add_counts!(postgres, "-");

macro_rules! subtract_tags {
    ($engine:ident) => {
        concat!(
            "INSERT INTO issue_tags (project_id, issue_id, tag, value, n_events)
            SELECT $1, $3, tag, value, -n_events FROM ",
            new_rows!($engine, text tag, text value, int n_events),
            " WHERE TRUE ON CONFLICT (project_id, issue_id, tag, value)
            DO UPDATE SET n_events = issue_tags.n_events + EXCLUDED.n_events"
        )
    };
}
const SUBTRACT_TAGS_SQLITE: &str = subtract_tags!(sqlite);
const SUBTRACT_TAGS_POSTGRES: &str = subtract_tags!(postgres);
const DELETE_EMPTY_COUNTS: &str =
    "DELETE FROM issue_counts WHERE project_id = $1 AND issue_id = $2 AND n_events <= 0";
const DELETE_EMPTY_TAGS: &str =
    "DELETE FROM issue_tags WHERE project_id = $1 AND issue_id = $2 AND n_events <= 0";

statements!(
    LIST_ORIGINS,
    REPOINT,
    COUNT_OF_HASH,
    FIRST_OF_HASH,
    LAST_OF_HASH,
    INSERT,
    REVIVE,
    UPDATE,
    ADD_SQLITE,
    ADD_POSTGRES,
    SUBTRACT_SQLITE,
    SUBTRACT_POSTGRES,
    SUBTRACT_TAGS_SQLITE,
    SUBTRACT_TAGS_POSTGRES,
    DELETE_EMPTY_COUNTS,
    DELETE_EMPTY_TAGS
);

impl Tx {
    /// The hashes of an issue, each with the issue it led to first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_origins(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<BTreeMap<Hash, IssueId>, StoreError> {
        let rows: Vec<(Vec<u8>, Uuid)> =
            on!(self, |c| sqlx::query_as(LIST_ORIGINS).bind(project.0).bind(issue.0).fetch_all(c))?;
        rows.into_iter()
            .map(|(hash, origin)| {
                let hash = <[u8; 32]>::try_from(hash.as_slice())
                    .map_err(|_| StoreError::corrupt("issue_hashes", "hash", issue.0))?;
                Ok((Hash(hash), IssueId(origin)))
            })
            .collect()
    }

    /// Lets a hash of one issue lead to another.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when it is not that issue's any more.
    pub async fn repoint_hash(
        &mut self,
        project: ProjectId,
        hash: Hash,
        (from, into): (IssueId, IssueId),
    ) -> Result<(), StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(REPOINT).bind(project.0).bind(&hash.0[..]).bind(from.0).bind(into.0)
        )?;
        if n_rows == 1 { Ok(()) } else { Err(StoreError::Raced) }
    }

    /// Makes an issue without events, named like another for now, and without a number.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_split(
        &mut self,
        project: ProjectId,
        (from, into): (IssueId, IssueId),
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(INSERT).bind(project.0).bind(from.0).bind(into.0))?;
        Ok(())
    }

    /// Makes an issue that was merged into another one of its own again.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when it is not merged into that one any more.
    pub async fn revive_issue(
        &mut self,
        project: ProjectId,
        (from, into): (IssueId, IssueId),
    ) -> Result<(), StoreError> {
        let n_rows = execute!(self, sqlx::query(REVIVE).bind(project.0).bind(into.0).bind(from.0))?;
        if n_rows == 1 { Ok(()) } else { Err(StoreError::Raced) }
    }

    /// What event rows say of a hash.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_of_hash(
        &mut self,
        project: ProjectId,
        hash: Hash,
    ) -> Result<Vec<HashCount>, StoreError> {
        Ok(on!(self, |c| sqlx::query_as(COUNT_OF_HASH)
            .bind(project.0)
            .bind(&hash.0[..])
            .fetch_all(c))?)
    }

    /// When the first and the last event of a hash happened that are stored, each with its release.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn seen_of_hash(
        &mut self,
        project: ProjectId,
        hash: Hash,
    ) -> Result<Option<(Seen, Seen)>, StoreError> {
        let mut seen = Vec::new();
        for text in [FIRST_OF_HASH, LAST_OF_HASH] {
            let row: Option<(i64, Option<String>)> = on!(self, |c| sqlx::query_as(text)
                .bind(project.0)
                .bind(&hash.0[..])
                .fetch_optional(c))?;
            seen.extend(row.map(|(at, release)| (Timestamp::from_micros(at), release)));
        }
        Ok(seen.pop().and_then(|last| Some((seen.pop()?, last))))
    }

    /// Writes what an issue is called, and what it has, after hashes came or went with so many bodies.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn update_issue_share(
        &mut self,
        issue: &Issue,
        n_bodies: i64,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(UPDATE)
                .bind(issue.project_id.0)
                .bind(issue.id.0)
                .bind(count(issue.n_events))
                .bind(n_bodies)
                .bind(issue.first_seen.as_micros())
                .bind(issue.last_seen.as_micros())
                .bind(issue.last_seen.minute())
                .bind(&issue.first_release)
                .bind(&issue.last_release)
                .bind(&issue.title)
                .bind(&issue.culprit)
                .bind(search_text(&issue.title, &issue.culprit))
                .bind(issue.level.as_str())
                .bind(&issue.platform)
                .bind(issue.handled)
                .bind(issue.discarded_at.map(Timestamp::as_micros))
                .bind(count(issue.n_suppressed))
                .bind(count(issue.n_undetermined))
        )?;
        Ok(())
    }

    /// Moves counts from one issue to another.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn move_counts(
        &mut self,
        project: ProjectId,
        (from, into): (IssueId, IssueId),
        counts: &[HashCount],
    ) -> Result<(), StoreError> {
        let mut sums: BTreeMap<(i64, &str, &str, &str), i64> = BTreeMap::new();
        for one in counts {
            let key = (one.hour, &*one.release, &*one.environment, &*one.verdict);
            *sums.entry(key).or_default() += one.n_events;
        }
        let rows = rows_json(sums.iter().map(|(key, n_events)| CountRow {
            hour: key.0,
            release: key.1,
            environment: key.2,
            verdict: key.3,
            n_events: *n_events,
        }));
        let add = dialect!(self, ADD_SQLITE, ADD_POSTGRES);
        execute!(self, sqlx::query(add).bind(project.0).bind(&rows).bind(into.0))?;
        let subtract = dialect!(self, SUBTRACT_SQLITE, SUBTRACT_POSTGRES);
        execute!(self, sqlx::query(subtract).bind(project.0).bind(&rows).bind(from.0))?;
        execute!(self, sqlx::query(DELETE_EMPTY_COUNTS).bind(project.0).bind(from.0))?;
        Ok(())
    }

    /// Takes tags away from an issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn subtract_tags(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        tags: &TagCounts,
    ) -> Result<(), StoreError> {
        let rows = rows_json(tags.iter().map(|((tag, value), n_events)| TagRow {
            tag,
            value,
            n_events: count(*n_events),
        }));
        let text = dialect!(self, SUBTRACT_TAGS_SQLITE, SUBTRACT_TAGS_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows).bind(issue.0))?;
        execute!(self, sqlx::query(DELETE_EMPTY_TAGS).bind(project.0).bind(issue.0))?;
        Ok(())
    }
}
