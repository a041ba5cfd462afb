//! Writing what a batch makes of issues.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use super::batch::IssueDelta;
use super::counters::count;
use super::error::StoreError;
use super::issue::{StateColumns, search_text};
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{IssueId, ProjectId};

/// What a batch makes of an issue as a statement takes it.
#[derive(Serialize)]
struct DeltaRow<'a> {
    id: Uuid,
    revision: i64,
    title: &'a str,
    culprit: &'a str,
    search_text: String,
    level: &'static str,
    platform: &'a str,
    handled: Option<bool>,
    status: &'static str,
    status_since: Option<i64>,
    mute_until: Option<i64>,
    mute_until_n_events: Option<i64>,
    is_regressed: bool,
    unconfirmed_since: Option<i64>,
    baseline_id: Option<Uuid>,
    fix_id: Option<Uuid>,
    fix_state: Option<&'static str>,
    fix_is_complete: bool,
    n_events: i64,
    n_suppressed: i64,
    n_undetermined: i64,
    n_users: i64,
    n_bodies: i64,
    first_seen: i64,
    last_seen: i64,
    last_seen_minute: i64,
    first_release: Option<&'a str>,
    last_release: Option<&'a str>,
}

impl<'a> From<&'a IssueDelta> for DeltaRow<'a> {
    fn from(delta: &'a IssueDelta) -> Self {
        let state = StateColumns::from(&delta.state);
        Self {
            id: delta.id.0,
            revision: delta
                .revision
                .map_or(0, |revision| revision + i64::from(delta.is_state_changed)),
            title: &delta.title,
            culprit: &delta.culprit,
            search_text: search_text(&delta.title, &delta.culprit),
            level: delta.level.as_str(),
            platform: &delta.platform,
            handled: delta.handled,
            status: state.status,
            status_since: state.status_since,
            mute_until: state.mute_until,
            mute_until_n_events: state.mute_until_n_events,
            is_regressed: state.is_regressed,
            unconfirmed_since: state.unconfirmed_since,
            baseline_id: state.baseline_id,
            fix_id: state.fix_id,
            fix_state: state.fix_state,
            fix_is_complete: state.fix_is_complete,
            n_events: count(delta.n_events),
            n_suppressed: count(delta.n_suppressed),
            n_undetermined: count(delta.n_undetermined),
            n_users: count(delta.n_users),
            n_bodies: count(delta.n_bodies),
            first_seen: delta.first_seen.as_micros(),
            last_seen: delta.last_seen.as_micros(),
            last_seen_minute: delta.last_seen.minute(),
            first_release: delta.first_release.as_deref(),
            last_release: delta.last_release.as_deref(),
        }
    }
}

/// Two nodes that lock the same issues do it in the same order.
const LOCK_POSTGRES: &str = "SELECT held.id, held.revision
    FROM UNNEST(CAST($2 AS UUID[])) AS wanted (id)
    CROSS JOIN LATERAL (SELECT id, revision FROM issues
        WHERE project_id = $1 AND id = wanted.id AND merged_into IS NULL
        LIMIT 1 FOR UPDATE) AS held";

macro_rules! upsert_issues {
    ($engine:ident) => {
        concat!(
            "INSERT INTO issues (project_id, id, revision, title, culprit, search_text, level,
                platform, handled, status, status_since, mute_until, mute_until_n_events, is_regressed,
                unconfirmed_since, baseline_id, fix_id, fix_state, fix_is_complete, n_events,
                n_suppressed, n_undetermined, n_users, n_bodies, first_seen, last_seen,
                last_seen_minute, first_release, last_release)
            SELECT $1, id, revision, title, culprit, search_text, level, platform, handled, status,
                status_since, mute_until, mute_until_n_events, is_regressed, unconfirmed_since,
                baseline_id, fix_id, fix_state, fix_is_complete, n_events, n_suppressed,
                n_undetermined, n_users, n_bodies, first_seen, last_seen, last_seen_minute,
                first_release, last_release
            FROM ",
            new_rows!(
                $engine, uuid id, int revision, text title, text culprit, text search_text, text level,
                text platform, bool handled, text status, int status_since, int mute_until,
                int mute_until_n_events, bool is_regressed, int unconfirmed_since,
                uuid baseline_id, uuid fix_id, text fix_state, bool fix_is_complete, int n_events,
                int n_suppressed, int n_undetermined,
                int n_users, int n_bodies, int first_seen, int last_seen, int last_seen_minute,
                text first_release, text last_release
            ),
            " WHERE TRUE ON CONFLICT (project_id, id) DO UPDATE SET
            title = CASE WHEN EXCLUDED.last_seen >= issues.last_seen THEN EXCLUDED.title
                ELSE issues.title END,
            culprit = CASE WHEN EXCLUDED.last_seen >= issues.last_seen THEN EXCLUDED.culprit
                ELSE issues.culprit END,
            search_text = CASE WHEN EXCLUDED.last_seen >= issues.last_seen
                THEN EXCLUDED.search_text ELSE issues.search_text END,
            level = CASE WHEN EXCLUDED.last_seen >= issues.last_seen THEN EXCLUDED.level
                ELSE issues.level END,
            platform = CASE WHEN EXCLUDED.last_seen >= issues.last_seen THEN EXCLUDED.platform
                ELSE issues.platform END,
            first_release = CASE WHEN EXCLUDED.first_seen < issues.first_seen
                THEN EXCLUDED.first_release ELSE issues.first_release END,
            last_release = CASE WHEN EXCLUDED.last_seen >= issues.last_seen
                AND EXCLUDED.last_release IS NOT NULL THEN EXCLUDED.last_release
                ELSE issues.last_release END,
            first_seen = CASE WHEN EXCLUDED.first_seen < issues.first_seen
                THEN EXCLUDED.first_seen ELSE issues.first_seen END,
            last_seen = CASE WHEN EXCLUDED.last_seen > issues.last_seen
                THEN EXCLUDED.last_seen ELSE issues.last_seen END,
            last_seen_minute = CASE WHEN EXCLUDED.last_seen_minute > issues.last_seen_minute
                THEN EXCLUDED.last_seen_minute ELSE issues.last_seen_minute END,
            handled = CASE WHEN EXCLUDED.handled IS NULL OR issues.handled IS FALSE
                THEN issues.handled ELSE EXCLUDED.handled END,
            n_events = issues.n_events + EXCLUDED.n_events,
            n_suppressed = issues.n_suppressed + EXCLUDED.n_suppressed,
            n_undetermined = issues.n_undetermined + EXCLUDED.n_undetermined,
            n_users = CASE WHEN issues.users_below IS NULL
                THEN issues.n_users + EXCLUDED.n_users ELSE issues.n_users END,
            n_bodies = issues.n_bodies + EXCLUDED.n_bodies,
            status = EXCLUDED.status, status_since = EXCLUDED.status_since,
            mute_until = EXCLUDED.mute_until,
            mute_until_n_events = EXCLUDED.mute_until_n_events,
            is_regressed = EXCLUDED.is_regressed,
            unconfirmed_since = EXCLUDED.unconfirmed_since,
            baseline_id = EXCLUDED.baseline_id, fix_id = EXCLUDED.fix_id,
            fix_state = EXCLUDED.fix_state, fix_is_complete = EXCLUDED.fix_is_complete,
            revision = EXCLUDED.revision"
        )
    };
}
const UPSERT_ISSUES_SQLITE: &str = upsert_issues!(sqlite);
const UPSERT_ISSUES_POSTGRES: &str = upsert_issues!(postgres);

const TAKE_NUMBERS: &str = "INSERT INTO project_counters (project_id, name, value)
    VALUES ($1, 'issue_number', $2) ON CONFLICT (project_id, name)
    DO UPDATE SET value = project_counters.value + EXCLUDED.value RETURNING value";

#[derive(Serialize)]
struct NumberRow {
    id: Uuid,
    number: i64,
}

/// By the row's own address, so that no planner can think of reading all issues of the project.
const NUMBER_SQLITE: &str = concat!(
    "WITH found AS MATERIALIZED (SELECT old.rowid AS place, new.number AS number FROM ",
    new_rows!(sqlite, uuid id, int number),
    " CROSS JOIN issues AS old ON old.project_id = $1 AND old.id = new.id)
    UPDATE issues SET number = found.number FROM found WHERE issues.rowid = found.place"
);
const NUMBER_POSTGRES: &str = concat!(
    "UPDATE issues SET number = new.number FROM ",
    new_rows!(postgres, uuid id, int number),
    " CROSS JOIN LATERAL (SELECT ctid AS place FROM issues AS old
        WHERE old.project_id = $1 AND old.id = new.id LIMIT 1) AS found
    WHERE issues.project_id = $1 AND issues.ctid = found.place"
);

statements!(
    LOCK_POSTGRES,
    UPSERT_ISSUES_SQLITE,
    UPSERT_ISSUES_POSTGRES,
    TAKE_NUMBERS,
    NUMBER_SQLITE,
    NUMBER_POSTGRES
);

impl Tx {
    /// Writes what a batch makes of its issues: one row each. [`Self::lock_issues`] comes first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn write_issues(
        &mut self,
        project: ProjectId,
        deltas: &[&IssueDelta],
    ) -> Result<(), StoreError> {
        let rows = rows_json(deltas.iter().map(|delta| DeltaRow::from(*delta)));
        let text = dialect!(self, UPSERT_ISSUES_SQLITE, UPSERT_ISSUES_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows))?;
        Ok(())
    }

    /// Holds issues that exist, sorted by id, at the revisions they were read at: their rows are
    /// the locks of their users and counters. SQLite has one writer: there nobody can have changed
    /// them since the transaction began.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when one changed since the decision was made.
    pub async fn lock_issues(
        &mut self,
        project: ProjectId,
        wanted: &BTreeMap<IssueId, i64>,
    ) -> Result<(), StoreError> {
        let Self::Postgres(tx) = self else { return Ok(()) };
        let wanted: Vec<(Uuid, i64)> =
            wanted.iter().map(|(id, read_at)| (id.0, *read_at)).collect();
        let ids: Vec<Uuid> = wanted.iter().map(|(id, _)| *id).collect();
        let query = sqlx::query_as(LOCK_POSTGRES).bind(project.0).bind(ids);
        let held: Vec<(Uuid, i64)> = query.fetch_all(&mut **tx).await?;
        if held == wanted { Ok(()) } else { Err(StoreError::Raced) }
    }

    /// Holds issues that exist, sorted by id, whatever they are like. SQLite has one writer.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn hold_issues(
        &mut self,
        project: ProjectId,
        issues: &BTreeSet<IssueId>,
    ) -> Result<(), StoreError> {
        let Self::Postgres(tx) = self else { return Ok(()) };
        let ids: Vec<Uuid> = issues.iter().map(|issue| issue.0).collect();
        sqlx::query(LOCK_POSTGRES).bind(project.0).bind(ids).execute(&mut **tx).await?;
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
        let numbered = (last - n_issues + 1..).zip(issues);
        let rows = rows_json(numbered.map(|(number, issue)| NumberRow { id: issue.0, number }));
        let text = dialect!(self, NUMBER_SQLITE, NUMBER_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows))?;
        Ok(())
    }
}
