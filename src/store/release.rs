//! Releases and the builds they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::FromRow;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json, to_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::build::Build;
use crate::domain::id::ProjectId;
use crate::domain::release::Rule;
use crate::domain::time::Timestamp;

/// A release of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// What its events call it.
    pub version: String,
    /// What it is.
    pub bound: Option<Bound>,
    /// Whether what it is has become doubtful: its tag means another commit by now.
    pub is_ambiguous: bool,
    /// When its first event happened.
    pub first_event: Option<Timestamp>,
    /// When its last event happened, to the minute.
    pub last_event: Option<Timestamp>,
    /// When a client first spoke of it.
    pub announced_at: Option<Timestamp>,
    /// When a client says that it was finished.
    pub released_at: Option<Timestamp>,
}

/// What a release is, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its commits.
    pub build: Build,
    /// Why.
    pub rule: Rule,
    /// Who registered it.
    pub by: Option<String>,
    /// When that was said.
    pub at: Timestamp,
}

/// When events of a release were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenBetween {
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
}

#[derive(FromRow)]
struct ReleaseRow {
    version: String,
    commits: Option<String>,
    rule: Option<String>,
    is_ambiguous: bool,
    bound_by: Option<String>,
    bound_at: Option<i64>,
    first_event: Option<i64>,
    last_event: Option<i64>,
    announced_at: Option<i64>,
    released_at: Option<i64>,
}

impl ReleaseRow {
    fn release(self) -> Result<Release, StoreError> {
        let corrupt = |column| StoreError::corrupt("releases", column, &self.version);
        let bound = match (&self.commits, &self.rule, self.bound_at) {
            (Some(commits), Some(rule), Some(at)) => Some(Bound {
                build: serde_json::from_str(commits).map_err(|_| corrupt("commits"))?,
                rule: Rule::parse(rule).ok_or_else(|| corrupt("rule"))?,
                by: self.bound_by.clone(),
                at: Timestamp::from_micros(at),
            }),
            _ => None,
        };
        Ok(Release {
            bound,
            is_ambiguous: self.is_ambiguous,
            first_event: self.first_event.map(Timestamp::from_micros),
            last_event: self.last_event.map(Timestamp::from_micros),
            announced_at: self.announced_at.map(Timestamp::from_micros),
            released_at: self.released_at.map(Timestamp::from_micros),
            version: self.version,
        })
    }
}

#[derive(Serialize)]
struct SeenRow<'a> {
    version: &'a str,
    first_event: i64,
    last_event: i64,
}

macro_rules! columns {
    () => {
        "releases.version, releases.commits, releases.rule, releases.is_ambiguous,
        releases.bound_by, releases.bound_at, releases.first_event, releases.last_event,
        releases.announced_at, releases.released_at"
    };
}
const FIND: &str =
    concat!("SELECT ", columns!(), " FROM releases WHERE project_id = $1 AND version = $2");
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM releases WHERE project_id = $1 AND version > $2 ORDER BY version LIMIT $3"
);
const LIST_LATEST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM releases WHERE project_id = $1
    ORDER BY COALESCE(announced_at, bound_at, first_event) DESC, version DESC LIMIT $2"
);
const FIND_BEFORE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM releases WHERE project_id = $1 AND version <> $2 AND rule = 'registered'
        AND bound_at < $3
    ORDER BY bound_at DESC, version DESC LIMIT 1"
);
const ANNOUNCE: &str = "INSERT INTO releases
    (project_id, version, is_ambiguous, announced_at, released_at)
    VALUES ($1, $2, FALSE, $3, $4) ON CONFLICT (project_id, version) DO UPDATE SET
    announced_at = COALESCE(releases.announced_at, EXCLUDED.announced_at),
    released_at = COALESCE(EXCLUDED.released_at, releases.released_at)";
const DELETE: &str = "DELETE FROM releases
    WHERE project_id = $1 AND version = $2 AND first_event IS NULL";
const DELETE_HISTORY: &str = "DELETE FROM release_history WHERE project_id = $1 AND version = $2";
const LIST_TAGGED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM releases WHERE project_id = $1 AND rule = 'tag' AND NOT is_ambiguous
    ORDER BY version"
);
macro_rules! list_of {
    ($engine:ident, $join:literal) => {
        concat!("SELECT ", columns!(), " FROM ", new_rows!($engine, text version), $join)
    };
}
const LIST_OF_SQLITE: &str = list_of!(
    sqlite,
    " CROSS JOIN releases ON releases.project_id = $1 AND releases.version = new.version"
);
const LIST_OF_POSTGRES: &str = list_of!(
    postgres,
    " CROSS JOIN LATERAL (SELECT * FROM releases
        WHERE project_id = $1 AND version = new.version LIMIT 1) AS releases"
);
const BIND: &str = "INSERT INTO releases
    (project_id, version, commits, rule, is_ambiguous, bound_by, bound_at)
    VALUES ($1, $2, $3, $4, FALSE, $5, $6) ON CONFLICT (project_id, version) DO UPDATE SET
    commits = EXCLUDED.commits, rule = EXCLUDED.rule, is_ambiguous = FALSE,
    bound_by = EXCLUDED.bound_by, bound_at = EXCLUDED.bound_at";
const BIND_FOUND: &str = "INSERT INTO releases
    (project_id, version, commits, rule, is_ambiguous, bound_by, bound_at)
    VALUES ($1, $2, $3, $4, FALSE, $5, $6) ON CONFLICT (project_id, version) DO UPDATE SET
    commits = EXCLUDED.commits, rule = EXCLUDED.rule,
    bound_at = EXCLUDED.bound_at WHERE releases.rule IS NULL";
const SET_AMBIGUOUS: &str = "UPDATE releases SET is_ambiguous = TRUE
    WHERE project_id = $1 AND version = $2 AND rule = 'tag'";
const INSERT_HISTORY: &str = "INSERT INTO release_history
    (project_id, version, until, commits, rule, bound_by) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING";
const LIST_HISTORY: &str = "SELECT until, commits, rule, bound_by FROM release_history
    WHERE project_id = $1 AND version = $2 ORDER BY until DESC LIMIT 100";
macro_rules! seen {
    ($engine:ident) => {
        concat!(
            "INSERT INTO releases (project_id, version, is_ambiguous, first_event, last_event)
            SELECT $1, version, FALSE, first_event, last_event FROM ",
            new_rows!($engine, text version, int first_event, int last_event),
            " WHERE TRUE ORDER BY version ON CONFLICT (project_id, version) DO UPDATE SET
            first_event = CASE WHEN releases.first_event <= EXCLUDED.first_event
                THEN releases.first_event ELSE EXCLUDED.first_event END,
            last_event = CASE WHEN releases.last_event >= EXCLUDED.last_event
                THEN releases.last_event ELSE EXCLUDED.last_event END"
        )
    };
}
const SEEN_SQLITE: &str = seen!(sqlite);
const SEEN_POSTGRES: &str = seen!(postgres);

statements!(
    FIND,
    LIST,
    LIST_LATEST,
    FIND_BEFORE,
    ANNOUNCE,
    DELETE,
    DELETE_HISTORY,
    LIST_TAGGED,
    LIST_OF_SQLITE,
    LIST_OF_POSTGRES,
    BIND,
    BIND_FOUND,
    SET_AMBIGUOUS,
    INSERT_HISTORY,
    LIST_HISTORY,
    SEEN_SQLITE,
    SEEN_POSTGRES
);

impl Tx {
    /// A release.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_release(
        &mut self,
        project: ProjectId,
        version: &str,
    ) -> Result<Option<Release>, StoreError> {
        let row: Option<ReleaseRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(project.0).bind(version).fetch_optional(c))?;
        row.map(ReleaseRow::release).transpose()
    }

    /// Releases of a project by name, after one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_releases(
        &mut self,
        project: ProjectId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Release>, StoreError> {
        let rows: Vec<ReleaseRow> = on!(self, |c| sqlx::query_as(LIST)
            .bind(project.0)
            .bind(after)
            .bind(limit)
            .fetch_all(c))?;
        rows.into_iter().map(ReleaseRow::release).collect()
    }

    /// The latest releases of a project.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_latest_releases(
        &mut self,
        project: ProjectId,
        limit: i64,
    ) -> Result<Vec<Release>, StoreError> {
        let rows: Vec<ReleaseRow> =
            on!(self, |c| sqlx::query_as(LIST_LATEST).bind(project.0).bind(limit).fetch_all(c))?;
        rows.into_iter().map(ReleaseRow::release).collect()
    }

    /// The release that was registered last before a time, other than this one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_release_before(
        &mut self,
        project: ProjectId,
        version: &str,
        before: Timestamp,
    ) -> Result<Option<Release>, StoreError> {
        let row: Option<ReleaseRow> = on!(self, |c| sqlx::query_as(FIND_BEFORE)
            .bind(project.0)
            .bind(version)
            .bind(before.as_micros())
            .fetch_optional(c))?;
        row.map(ReleaseRow::release).transpose()
    }

    /// Notes that a client speaks of a release, and that it was finished if it says so.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn announce_release(
        &mut self,
        project: ProjectId,
        version: &str,
        (now, released_at): (Timestamp, Option<Timestamp>),
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(ANNOUNCE)
                .bind(project.0)
                .bind(version)
                .bind(now.as_micros())
                .bind(released_at.map(Timestamp::as_micros))
        )?;
        Ok(())
    }

    /// Forgets a release that no event names; false when one does, or when there is no such release.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_release(
        &mut self,
        project: ProjectId,
        version: &str,
    ) -> Result<bool, StoreError> {
        let n_deleted = execute!(self, sqlx::query(DELETE).bind(project.0).bind(version))?;
        if n_deleted > 0 {
            execute!(self, sqlx::query(DELETE_HISTORY).bind(project.0).bind(version))?;
        }
        Ok(n_deleted > 0)
    }

    /// The releases that are what a tag means.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_tagged_releases(
        &mut self,
        project: ProjectId,
    ) -> Result<Vec<Release>, StoreError> {
        let rows: Vec<ReleaseRow> =
            on!(self, |c| sqlx::query_as(LIST_TAGGED).bind(project.0).fetch_all(c))?;
        rows.into_iter().map(ReleaseRow::release).collect()
    }

    /// What is known of releases of these names.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_releases_named(
        &mut self,
        project: ProjectId,
        versions: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, Release>, StoreError> {
        if versions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = rows_json(versions.iter().map(|version| SeenRow {
            version,
            first_event: 0,
            last_event: 0,
        }));
        let text = dialect!(self, LIST_OF_SQLITE, LIST_OF_POSTGRES);
        let rows: Vec<ReleaseRow> =
            on!(self, |c| sqlx::query_as(text).bind(project.0).bind(&rows).fetch_all(c))?;
        let named = |row: ReleaseRow| row.release().map(|one| (one.version.clone(), one));
        rows.into_iter().map(named).collect()
    }

    /// Says what a release is; what it was before goes to its history.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn bind_release(
        &mut self,
        project: ProjectId,
        version: &str,
        (before, bound): (Option<&Bound>, &Bound),
    ) -> Result<(), StoreError> {
        if let Some(before) = before {
            let commits = to_json(&before.build);
            execute!(
                self,
                sqlx::query(INSERT_HISTORY)
                    .bind(project.0)
                    .bind(version)
                    .bind(bound.at.as_micros())
                    .bind(&commits)
                    .bind(before.rule.as_str())
                    .bind(&before.by)
            )?;
        }
        // What is found by its name gives way to what somebody said meanwhile.
        let text = if bound.rule == Rule::Registered { BIND } else { BIND_FOUND };
        let commits = to_json(&bound.build);
        execute!(
            self,
            sqlx::query(text)
                .bind(project.0)
                .bind(version)
                .bind(&commits)
                .bind(bound.rule.as_str())
                .bind(&bound.by)
                .bind(bound.at.as_micros())
        )?;
        Ok(())
    }

    /// Notes that the tag of a release means something else by now.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_ambiguous(
        &mut self,
        project: ProjectId,
        version: &str,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(SET_AMBIGUOUS).bind(project.0).bind(version))?;
        Ok(())
    }

    /// What a release was before, until when, the latest first; at most 100.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_release_history(
        &mut self,
        project: ProjectId,
        version: &str,
    ) -> Result<Vec<Bound>, StoreError> {
        let rows: Vec<(i64, String, String, Option<String>)> =
            on!(self, |c| sqlx::query_as(LIST_HISTORY).bind(project.0).bind(version).fetch_all(c))?;
        let bound = |(until, commits, rule, by): (i64, String, String, Option<String>)| {
            let corrupt = |column| StoreError::corrupt("release_history", column, version);
            Ok(Bound {
                build: serde_json::from_str(&commits).map_err(|_| corrupt("commits"))?,
                rule: Rule::parse(&rule).ok_or_else(|| corrupt("rule"))?,
                by,
                at: Timestamp::from_micros(until),
            })
        };
        rows.into_iter().map(bound).collect()
    }

    /// Notes that events of releases were seen.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn releases_seen(
        &mut self,
        project: ProjectId,
        seen: &BTreeMap<&str, SeenBetween>,
    ) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let rows = rows_json(seen.iter().map(|(version, seen)| SeenRow {
            version,
            first_event: seen.first.as_micros(),
            last_event: seen.last.as_micros(),
        }));
        let text = dialect!(self, SEEN_SQLITE, SEEN_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows))?;
        Ok(())
    }
}
