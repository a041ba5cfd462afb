//! The counters of an issue: events by hour, release, environment and verdict; tag values.
//!
//! Written last in a batch, after the issue's row: that row is the lock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json, to_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::event_counts::EventCounts;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::tag_counts::{KnownTags, TagCounts, TagSizes, bounded};

#[derive(Serialize)]
struct CountRow<'a> {
    issue_id: Uuid,
    hour: i64,
    release: &'a str,
    environment: &'a str,
    verdict: &'static str,
    n_events: i64,
}

macro_rules! add_counts {
    ($engine:ident) => {
        concat!(
            "INSERT INTO issue_counts
                (project_id, issue_id, hour, release, environment, verdict, n_events)
            SELECT $1, issue_id, hour, release, environment, verdict, n_events FROM ",
            new_rows!(
                $engine, uuid issue_id, int hour, text release, text environment, text verdict,
                int n_events
            ),
            " WHERE TRUE
            ON CONFLICT (project_id, issue_id, hour, release, environment, verdict)
            DO UPDATE SET n_events = issue_counts.n_events + EXCLUDED.n_events"
        )
    };
}
const ADD_COUNTS_SQLITE: &str = add_counts!(sqlite);
const ADD_COUNTS_POSTGRES: &str = add_counts!(postgres);

/// The table `new` of a statement whose second parameter is `{issue: {tag: {value: n_events}}}`:
/// there are many, and most share their issue.
macro_rules! new_tags {
    (sqlite) => {
        "(SELECT unhex(issue.key, '-') AS issue_id, tag.key AS tag, counted.key AS value,
            counted.atom AS n_events
        FROM jsonb_each($2) AS issue, jsonb_each(issue.value) AS tag,
            json_each(tag.value) AS counted) AS new"
    };
    (postgres) => {
        "(SELECT CAST(issue.key AS UUID) AS issue_id, tag.key AS tag, counted.key AS value,
            CAST(counted.value AS BIGINT) AS n_events
        FROM json_each(CAST($2 AS JSON)) AS issue, json_each(issue.value) AS tag,
            json_each_text(tag.value) AS counted) AS new"
    };
}
macro_rules! list_unknown_tags {
    ($engine:ident) => {
        concat!(
            "SELECT new.issue_id, new.tag, new.value FROM ",
            new_tags!($engine),
            " WHERE (SELECT n_events FROM issue_tags
            WHERE issue_tags.project_id = $1 AND issue_tags.issue_id = new.issue_id
            AND issue_tags.tag = new.tag AND issue_tags.value = new.value) IS NULL"
        )
    };
}
const LIST_UNKNOWN_TAGS_SQLITE: &str = list_unknown_tags!(sqlite);
const LIST_UNKNOWN_TAGS_POSTGRES: &str = list_unknown_tags!(postgres);
const COUNT_VALUES_SQLITE: &str = "SELECT issue_id, tag, COUNT(*) FROM issue_tags
    WHERE project_id = $1 AND issue_id IN (SELECT unhex(value, '-') FROM json_each($2))
    GROUP BY issue_id, tag";
const COUNT_VALUES_POSTGRES: &str = "SELECT wanted.id, found.tag, found.n_values
    FROM UNNEST(CAST($2 AS UUID[])) AS wanted (id)
    CROSS JOIN LATERAL (SELECT tag, COUNT(*) AS n_values FROM issue_tags
        WHERE project_id = $1 AND issue_id = wanted.id GROUP BY tag) AS found";
macro_rules! add_tags {
    ($engine:ident) => {
        concat!(
            "INSERT INTO issue_tags (project_id, issue_id, tag, value, n_events)
            SELECT $1, issue_id, tag, value, n_events FROM ",
            new_tags!($engine),
            " WHERE TRUE ON CONFLICT (project_id, issue_id, tag, value)
            DO UPDATE SET n_events = issue_tags.n_events + EXCLUDED.n_events"
        )
    };
}
const ADD_TAGS_SQLITE: &str = add_tags!(sqlite);
const ADD_TAGS_POSTGRES: &str = add_tags!(postgres);

statements!(
    ADD_COUNTS_SQLITE,
    ADD_COUNTS_POSTGRES,
    LIST_UNKNOWN_TAGS_SQLITE,
    LIST_UNKNOWN_TAGS_POSTGRES,
    COUNT_VALUES_SQLITE,
    COUNT_VALUES_POSTGRES,
    ADD_TAGS_SQLITE,
    ADD_TAGS_POSTGRES,
);

/// A count as the store writes it.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Tags of issues as a statement takes them, sorted by key.
fn tags_json(tags: &BTreeMap<IssueId, TagCounts>) -> String {
    let mut json: BTreeMap<Uuid, BTreeMap<&str, BTreeMap<&str, i64>>> = BTreeMap::new();
    for (issue, counts) in tags {
        let of_issue = json.entry(issue.0).or_default();
        for ((tag, value), n_events) in counts {
            of_issue.entry(tag).or_default().insert(value, count(*n_events));
        }
    }
    to_json(&json)
}

impl Tx {
    /// Adds to the counts of issues by hour, release, environment and verdict.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_counts(
        &mut self,
        project: ProjectId,
        counts: &BTreeMap<IssueId, EventCounts>,
    ) -> Result<(), StoreError> {
        let rows = rows_json(counts.iter().flat_map(|(issue, counts)| {
            counts.iter().map(|(key, n_events)| CountRow {
                issue_id: issue.0,
                hour: key.hour,
                release: &key.release,
                environment: &key.environment,
                verdict: key.verdict.as_str(),
                n_events: count(*n_events),
            })
        }));
        let text = dialect!(self, ADD_COUNTS_SQLITE, ADD_COUNTS_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows))?;
        Ok(())
    }

    /// Adds to the tag counters of issues; what is beyond their bounds is counted together. What
    /// is `known` is not looked up, and what was looked up is known.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_tags(
        &mut self,
        project: ProjectId,
        tags: &BTreeMap<IssueId, TagCounts>,
        known: &mut KnownTags,
    ) -> Result<(), StoreError> {
        let doubtful = |(issue, counts): (&IssueId, &TagCounts)| {
            let is_doubtful = |(key, _): &(&(String, String), &u64)| !known.has(*issue, key);
            let doubtful = counts.iter().filter(is_doubtful);
            (*issue, doubtful.map(|(key, n_events)| (key.clone(), *n_events)).collect())
        };
        let mut doubtful: BTreeMap<IssueId, TagCounts> = tags.iter().map(doubtful).collect();
        doubtful.retain(|_, counts| !counts.is_empty());
        if doubtful.is_empty() {
            return self.upsert_tags(project, tags_json(tags)).await;
        }
        let unknown = self.list_unknown_tags(project, tags_json(&doubtful)).await?;
        let issues = unknown.iter().map(|(issue, ..)| issue.0);
        let mut sizes = self.count_values(project, issues).await?;
        let unknown: BTreeSet<(IssueId, &str, &str)> =
            unknown.iter().map(|(issue, tag, value)| (*issue, &**tag, &**value)).collect();
        let bounded = |(issue, counts): (&IssueId, &TagCounts)| {
            let is_known =
                |(tag, value): &(String, String)| !unknown.contains(&(*issue, tag, value));
            let sizes = sizes.remove(issue).unwrap_or_default();
            (*issue, bounded(sizes, is_known, counts))
        };
        let bounded: BTreeMap<IssueId, TagCounts> = tags.iter().map(bounded).collect();
        for (issue, counts) in &bounded {
            for key in counts.keys() {
                known.add(*issue, key);
            }
        }
        self.upsert_tags(project, tags_json(&bounded)).await
    }

    async fn upsert_tags(&mut self, project: ProjectId, rows: String) -> Result<(), StoreError> {
        let text = dialect!(self, ADD_TAGS_SQLITE, ADD_TAGS_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows))?;
        Ok(())
    }

    /// The tags and values that have no row yet.
    async fn list_unknown_tags(
        &mut self,
        project: ProjectId,
        rows: String,
    ) -> Result<Vec<(IssueId, String, String)>, StoreError> {
        let text = dialect!(self, LIST_UNKNOWN_TAGS_SQLITE, LIST_UNKNOWN_TAGS_POSTGRES);
        let rows: Vec<(Uuid, String, String)> =
            on!(self, |c| sqlx::query_as(text).bind(project.0).bind(rows).fetch_all(c))?;
        Ok(rows.into_iter().map(|(issue, tag, value)| (IssueId(issue), tag, value)).collect())
    }

    /// How many values each tag of these issues has.
    async fn count_values(
        &mut self,
        project: ProjectId,
        issues: impl Iterator<Item = Uuid>,
    ) -> Result<BTreeMap<IssueId, TagSizes>, StoreError> {
        let issues: BTreeSet<Uuid> = issues.collect();
        if issues.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(Uuid, String, i64)> = match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query_as(COUNT_VALUES_SQLITE).bind(project.0);
                query.bind(rows_json(issues)).fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let issues: Vec<Uuid> = issues.into_iter().collect();
                let query = sqlx::query_as(COUNT_VALUES_POSTGRES).bind(project.0);
                query.bind(issues).fetch_all(&mut **tx).await?
            }
        };
        let mut sizes: BTreeMap<IssueId, TagSizes> = BTreeMap::new();
        for (issue, tag, n_values) in rows {
            let n_values = usize::try_from(n_values).unwrap_or(usize::MAX);
            sizes.entry(IssueId(issue)).or_default().insert(tag, n_values);
        }
        Ok(sizes)
    }
}
