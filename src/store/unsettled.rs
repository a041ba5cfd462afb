//! Undetermined events: what must be known first, and settling them.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::counters::count;
use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::event_counts::{CountKey, EventCounts, OTHER};
use crate::domain::id::{EventId, IssueId, ProjectId};
use crate::domain::lifecycle::{Judged, Verdict};
use crate::domain::time::Timestamp;

/// Undetermined events of an issue, by what must be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsettled {
    /// The issue.
    pub issue: IssueId,
    /// Their release; empty for those that name none.
    pub release: String,
}

/// An undetermined event.
#[derive(Debug, Clone)]
pub struct UndeterminedEvent {
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Its release.
    pub release: Option<String>,
    /// Its environment.
    pub environment: String,
    /// Whether its key is to be believed.
    pub is_trusted: bool,
}

#[derive(FromRow)]
struct EventRow {
    id: Uuid,
    occurred_at: i64,
    release: Option<String>,
    environment: String,
    is_trusted: bool,
}

#[derive(Serialize)]
struct UnsettledRow<'a> {
    issue_id: Uuid,
    release: &'a str,
}

#[derive(Serialize)]
struct VerdictRow<'a> {
    id: Uuid,
    verdict: &'static str,
    reason: &'a str,
}

macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO unsettled (project_id, issue_id, release, created_at, try_at)
            SELECT $1, issue_id, release, $3, $3 FROM ",
            new_rows!($engine, uuid issue_id, text release),
            " WHERE TRUE ORDER BY issue_id, release ON CONFLICT DO NOTHING"
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);
const LIST_DUE: &str = "SELECT project_id, issue_id, release, created_at FROM unsettled
    WHERE try_at <= $1 ORDER BY try_at, project_id, issue_id, release LIMIT 200";
const DELETE: &str = "DELETE FROM unsettled
    WHERE project_id = $1 AND issue_id = $2 AND release = $3";
const LATER: &str = "UPDATE unsettled SET try_at = $4
    WHERE project_id = $1 AND issue_id = $2 AND release = $3";
const SOONER: &str = "UPDATE unsettled SET try_at = $2 WHERE project_id = $1 AND try_at > $2";
const LIST_OF_ISSUE: &str = "SELECT release, created_at FROM unsettled
    WHERE project_id = $1 AND issue_id = $2 ORDER BY created_at, release LIMIT 100";
const LIST_EVENTS: &str = "SELECT events.id, events.occurred_at, events.release,
        events.environment, events.is_trusted
    FROM issue_hashes JOIN events ON events.project_id = issue_hashes.project_id
        AND events.hash = issue_hashes.hash AND events.verdict = 'undetermined'
    WHERE issue_hashes.project_id = $1 AND issue_hashes.issue_id = $2
        AND COALESCE(events.release, '') = $3
    ORDER BY events.occurred_at, events.id LIMIT $4";
const FORGET_VERDICTS: &str = "UPDATE events SET verdict = 'undetermined', reason = $4
    WHERE project_id = $1 AND verdict = 'suppressed' AND release = $3
        AND hash IN (SELECT hash FROM issue_hashes WHERE project_id = $1 AND issue_id = $2)";
const FORGET_COUNTS: &str = "INSERT INTO issue_counts
        (project_id, issue_id, hour, release, environment, verdict, n_events)
    SELECT project_id, issue_id, hour, release, environment, 'undetermined', n_events
    FROM issue_counts WHERE project_id = $1 AND issue_id = $2 AND release = $3
        AND verdict = 'suppressed'
    ON CONFLICT (project_id, issue_id, hour, release, environment, verdict)
    DO UPDATE SET n_events = issue_counts.n_events + EXCLUDED.n_events";
const DELETE_FORGOTTEN_COUNTS: &str = "DELETE FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2 AND release = $3 AND verdict = 'suppressed'";
const SET_VERDICTS_SQLITE: &str = concat!(
    "UPDATE events SET verdict = new.verdict, reason = new.reason FROM ",
    new_rows!(sqlite, uuid id, text verdict, text reason),
    " WHERE events.project_id = $1 AND events.id = new.id"
);
const SET_VERDICTS_POSTGRES: &str = concat!(
    "UPDATE events SET verdict = new.verdict, reason = new.reason FROM ",
    new_rows!(postgres, uuid id, text verdict, text reason),
    " WHERE events.project_id = $1 AND events.id = new.id"
);
const TAKE_COUNT: &str = "UPDATE issue_counts SET n_events = n_events - $6
    WHERE project_id = $1 AND issue_id = $2 AND hour = $3 AND release = $4 AND environment = $5
        AND verdict = 'undetermined' AND n_events >= $6";
const DELETE_EMPTY_COUNTS: &str = "DELETE FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2 AND verdict = 'undetermined' AND n_events <= 0";
const LIST_RELEASES_OF_ISSUE: &str = "SELECT DISTINCT release FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2 AND release <> '' AND verdict <> 'suppressed'
    ORDER BY release LIMIT 1000";
const LIST_ISSUES_SUPPRESSED_IN: &str = "SELECT DISTINCT counts.issue_id
    FROM issues JOIN issue_counts AS counts
    ON counts.project_id = issues.project_id AND counts.issue_id = issues.id
    WHERE issues.project_id = $1 AND issues.fix_id IS NOT NULL AND counts.release = $2
        AND counts.verdict = 'suppressed'
    ORDER BY counts.issue_id";
const MOVE_TOTALS: &str = "UPDATE issues SET n_suppressed = n_suppressed + $3,
        n_undetermined = n_undetermined + $4, revision = revision + 1
    WHERE project_id = $1 AND id = $2";

statements!(
    INSERT_SQLITE,
    INSERT_POSTGRES,
    LIST_DUE,
    DELETE,
    LATER,
    SOONER,
    LIST_OF_ISSUE,
    LIST_EVENTS,
    FORGET_VERDICTS,
    FORGET_COUNTS,
    DELETE_FORGOTTEN_COUNTS,
    SET_VERDICTS_SQLITE,
    SET_VERDICTS_POSTGRES,
    TAKE_COUNT,
    DELETE_EMPTY_COUNTS,
    LIST_RELEASES_OF_ISSUE,
    LIST_ISSUES_SUPPRESSED_IN,
    MOVE_TOTALS
);

impl Tx {
    /// Notes that issues have undetermined events.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_unsettled(
        &mut self,
        project: ProjectId,
        unsettled: &std::collections::BTreeSet<Unsettled>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if unsettled.is_empty() {
            return Ok(());
        }
        let rows = rows_json(
            unsettled
                .iter()
                .map(|one| UnsettledRow { issue_id: one.issue.0, release: &one.release }),
        );
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows).bind(now.as_micros()))?;
        Ok(())
    }

    /// What is to be tried, of all projects; with since when it waits. At most 200.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_unsettled(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<(ProjectId, Unsettled, Timestamp)>, StoreError> {
        let rows: Vec<(i64, Uuid, String, i64)> =
            on!(self, |c| sqlx::query_as(LIST_DUE).bind(now.as_micros()).fetch_all(c))?;
        let unsettled = |(project, issue, release, at)| {
            let one = Unsettled { issue: IssueId(issue), release };
            (ProjectId(project), one, Timestamp::from_micros(at))
        };
        Ok(rows.into_iter().map(unsettled).collect())
    }

    /// Nothing of it is undetermined any more.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_unsettled(
        &mut self,
        project: ProjectId,
        one: &Unsettled,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(DELETE).bind(project.0).bind(one.issue.0).bind(&one.release))?;
        Ok(())
    }

    /// Tries it again at a time.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn settle_later(
        &mut self,
        project: ProjectId,
        one: &Unsettled,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(LATER)
                .bind(project.0)
                .bind(one.issue.0)
                .bind(&one.release)
                .bind(at.as_micros())
        )?;
        Ok(())
    }

    /// Tries all of a project now: more is known.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn settle_soon(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(SOONER).bind(project.0).bind(now.as_micros()))?;
        Ok(())
    }

    /// Undetermined events of an issue and a release, empty for none, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_undetermined(
        &mut self,
        project: ProjectId,
        one: &Unsettled,
        limit: i64,
    ) -> Result<Vec<UndeterminedEvent>, StoreError> {
        let rows: Vec<EventRow> = on!(self, |c| sqlx::query_as(LIST_EVENTS)
            .bind(project.0)
            .bind(one.issue.0)
            .bind(&one.release)
            .bind(limit)
            .fetch_all(c))?;
        let event = |row: EventRow| UndeterminedEvent {
            id: EventId(row.id),
            occurred_at: Timestamp::from_micros(row.occurred_at),
            release: row.release,
            environment: row.environment,
            is_trusted: row.is_trusted,
        };
        Ok(rows.into_iter().map(event).collect())
    }

    /// Writes verdicts of events that were undetermined, and counts them by these.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn settle_events(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        settled: &[(UndeterminedEvent, Judged)],
    ) -> Result<(), StoreError> {
        if settled.is_empty() {
            return Ok(());
        }
        let rows = rows_json(settled.iter().map(|(event, judged)| VerdictRow {
            id: event.id.0,
            verdict: judged.verdict.as_str(),
            reason: &judged.reason,
        }));
        let text = dialect!(self, SET_VERDICTS_SQLITE, SET_VERDICTS_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows))?;
        let mut counts = EventCounts::default();
        let mut taken: BTreeMap<(i64, &str, &str), u64> = BTreeMap::new();
        for (event, judged) in settled {
            let hour = event.occurred_at.hour();
            let release = event.release.as_deref().unwrap_or_default();
            *taken.entry((hour, release, &event.environment)).or_default() += 1;
            counts.add(CountKey {
                hour,
                release: release.to_owned(),
                environment: event.environment.clone(),
                verdict: judged.verdict,
            });
        }
        for ((hour, release, environment), n) in taken {
            for (release, environment) in [(release, environment), (OTHER, OTHER)] {
                let n_rows = execute!(
                    self,
                    sqlx::query(TAKE_COUNT)
                        .bind(project.0)
                        .bind(issue.0)
                        .bind(hour)
                        .bind(release)
                        .bind(environment)
                        .bind(count(n))
                )?;
                if n_rows > 0 {
                    break;
                }
            }
        }
        execute!(self, sqlx::query(DELETE_EMPTY_COUNTS).bind(project.0).bind(issue.0))?;
        self.add_counts(project, &BTreeMap::from([(issue, counts)])).await?;
        let of = |verdict| settled.iter().filter(|(_, one)| one.verdict == verdict).count();
        let n_suppressed = i64::try_from(of(Verdict::Suppressed)).unwrap_or(i64::MAX);
        let n_settled = i64::try_from(settled.len()).unwrap_or(i64::MAX);
        self.move_totals(project, issue, (n_suppressed, -n_settled)).await
    }

    /// The releases of an issue's undetermined events, and since when they wait; at most 100.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_unsettled_of(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows: Vec<(String, i64)> = on!(self, |c| sqlx::query_as(LIST_OF_ISSUE)
            .bind(project.0)
            .bind(issue.0)
            .fetch_all(c))?;
        let waiting = |(release, since)| (release, Timestamp::from_micros(since));
        Ok(rows.into_iter().map(waiting).collect())
    }

    /// The issues with a fix that explains events of a release.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_suppressed_in(
        &mut self,
        project: ProjectId,
        release: &str,
    ) -> Result<Vec<IssueId>, StoreError> {
        let rows: Vec<(Uuid,)> = on!(self, |c| sqlx::query_as(LIST_ISSUES_SUPPRESSED_IN)
            .bind(project.0)
            .bind(release)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(issue,)| IssueId(issue)).collect())
    }

    /// Makes the suppressed events of an issue and a release undetermined again: the release is
    /// another build.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn unsettle_events(
        &mut self,
        project: ProjectId,
        one: &Unsettled,
        reason: &str,
    ) -> Result<(), StoreError> {
        let (id, issue) = (project.0, one.issue.0);
        let n_events = i64::try_from(execute!(
            self,
            sqlx::query(FORGET_VERDICTS).bind(id).bind(issue).bind(&one.release).bind(reason)
        )?)
        .unwrap_or(i64::MAX);
        execute!(self, sqlx::query(FORGET_COUNTS).bind(id).bind(issue).bind(&one.release))?;
        execute!(
            self,
            sqlx::query(DELETE_FORGOTTEN_COUNTS).bind(id).bind(issue).bind(&one.release)
        )?;
        self.move_totals(project, one.issue, (-n_events, n_events)).await
    }

    async fn move_totals(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        (suppressed, undetermined): (i64, i64),
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(MOVE_TOTALS)
                .bind(project.0)
                .bind(issue.0)
                .bind(suppressed)
                .bind(undetermined)
        )?;
        Ok(())
    }

    /// The releases that showed an issue, without those whose events its fix explained; at most
    /// 1,000.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_releases_showing(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = on!(self, |c| sqlx::query_as(LIST_RELEASES_OF_ISSUE)
            .bind(project.0)
            .bind(issue.0)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(release,)| release).collect())
    }
}
