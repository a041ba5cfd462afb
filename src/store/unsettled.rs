//! Undetermined events: what must be known first, and settling them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::event_counts::{CountKey, EventCounts, OTHER};
use crate::domain::flag::Waiting;
use crate::domain::id::{EventId, IssueId, ProjectId};
use crate::domain::lifecycle::{Judged, Verdict};
use crate::domain::sighting::{MOST_UNSETTLED, REST};
use crate::domain::time::Timestamp;

/// Undetermined events of an issue, by what must be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsettled {
    /// The issue.
    pub issue: IssueId,
    /// Their release; empty for those that name none, [`REST`] for all that have no row.
    pub release: String,
}

/// What is to be settled now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Of which project.
    pub project: ProjectId,
    /// What.
    pub unsettled: Unsettled,
    /// Since when it waits.
    pub since: Timestamp,
    /// Since when suppressed events are to be judged anew as well, if they are.
    pub anew_at: Option<Timestamp>,
}

/// An event that is to be judged anew.
#[derive(Debug, Clone)]
pub struct JudgedEvent {
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
    /// Whether it runs at its users', where what is deployed says nothing.
    pub is_client: bool,
    /// Why it was judged as it was.
    pub reason: String,
}

#[derive(FromRow)]
struct EventRow {
    id: Uuid,
    occurred_at: i64,
    release: Option<String>,
    environment: String,
    is_trusted: bool,
    is_client: bool,
    reason: String,
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

/// Beyond so many releases of an issue one row stands for the rest.
macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO unsettled (project_id, issue_id, release, created_at, try_at)
            SELECT $1, issue_id, release, $3, $3 FROM (SELECT DISTINCT new.issue_id,
                CASE WHEN new.release = ''
                    OR EXISTS (SELECT 1 FROM unsettled AS same WHERE same.project_id = $1
                        AND same.issue_id = new.issue_id AND same.release = new.release)
                    OR (SELECT COUNT(*) FROM (SELECT 1 FROM unsettled AS one
                        WHERE one.project_id = $1 AND one.issue_id = new.issue_id
                        LIMIT $4) AS few) < $4
                THEN new.release ELSE $5 END AS release FROM ",
            new_rows!($engine, uuid issue_id, text release),
            ") AS placed WHERE TRUE ORDER BY issue_id, release
            ON CONFLICT (project_id, issue_id, release) DO NOTHING"
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);
macro_rules! insert_anew {
    ($engine:ident) => {
        concat!(
            "INSERT INTO unsettled (project_id, issue_id, release, created_at, try_at, anew_at)
            SELECT $1, issue_id, release, $3, $3, $3 FROM ",
            new_rows!($engine, uuid issue_id, text release),
            " WHERE TRUE ORDER BY issue_id, release
            ON CONFLICT (project_id, issue_id, release) DO UPDATE SET
            anew_at = EXCLUDED.anew_at, try_at = EXCLUDED.try_at"
        )
    };
}
const INSERT_ANEW_SQLITE: &str = insert_anew!(sqlite);
const INSERT_ANEW_POSTGRES: &str = insert_anew!(postgres);
const COUNT_OF_ISSUE: &str = "SELECT COUNT(*) FROM unsettled
    WHERE project_id = $1 AND issue_id = $2";
/// Releases of undetermined events that have no row of their own.
const LIST_UNLISTED: &str = "SELECT DISTINCT events.release FROM issue_hashes CROSS JOIN events
    WHERE issue_hashes.project_id = $1 AND issue_hashes.issue_id = $2
        AND events.project_id = $1 AND events.hash = issue_hashes.hash
        AND events.verdict = 'undetermined' AND events.release IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM unsettled WHERE unsettled.project_id = $1
            AND unsettled.issue_id = $2 AND unsettled.release = events.release)
    LIMIT $3";
const LIST_DUE: &str = "SELECT project_id, issue_id, release, created_at, anew_at FROM unsettled
    WHERE try_at <= $1 ORDER BY try_at, project_id, issue_id, release LIMIT 200";
const DELETE: &str = "DELETE FROM unsettled
    WHERE project_id = $1 AND issue_id = $2 AND release = $3";
const LATER: &str = "UPDATE unsettled SET try_at = $4
    WHERE project_id = $1 AND issue_id = $2 AND release = $3";
const SOONER: &str = "UPDATE unsettled SET try_at = $2 WHERE project_id = $1 AND try_at > $2";
const LOOK_SOONER: &str = "UPDATE fixes SET look_at = $2
    WHERE project_id = $1 AND problem = 'unknown-commit' AND look_at > $2";
const ANEW_IS_DONE: &str = "UPDATE unsettled SET anew_at = NULL
    WHERE project_id = $1 AND issue_id = $2 AND release = $3 AND anew_at = $4";
const LIST_OF_ISSUE: &str = "SELECT unsettled.release, unsettled.created_at,
        releases.rule IS NOT NULL AND NOT releases.is_ambiguous AS is_known
    FROM unsettled LEFT JOIN releases ON releases.project_id = unsettled.project_id
        AND releases.version = unsettled.release
    WHERE unsettled.project_id = $1 AND unsettled.issue_id = $2
    ORDER BY unsettled.created_at, unsettled.release LIMIT 100";
/// A page of each hash, so that no more is read and sorted than is shown; hashes come first, whatever a
/// planner believes: of a project there are very many events.
macro_rules! list_events {
    (sqlite, $condition:literal) => {
        list_events!("JOIN events ON events.rowid IN (SELECT one.rowid", $condition, ")")
    };
    (postgres, $condition:literal) => {
        list_events!("CROSS JOIN LATERAL (SELECT one.*", $condition, ") AS events")
    };
    ($begin:literal, $condition:literal, $end:literal) => {
        concat!(
            "SELECT events.id, events.occurred_at, events.release, events.environment,
                events.is_trusted, events.is_client, events.reason
            FROM issue_hashes
            CROSS JOIN (SELECT FALSE AS is_client UNION ALL SELECT TRUE WHERE $7) AS runs ",
            $begin,
            " FROM events AS one
                WHERE one.project_id = $1 AND one.hash = issue_hashes.hash
                    AND one.is_client = runs.is_client AND ",
            $condition,
            " AND (one.occurred_at, one.id) > ($4, $5)
                ORDER BY one.occurred_at, one.id LIMIT $6",
            $end,
            " WHERE issue_hashes.project_id = $1 AND issue_hashes.issue_id = $2
            ORDER BY events.occurred_at, events.id LIMIT $6"
        )
    };
}
macro_rules! list_undetermined {
    ($engine:ident) => {
        list_events!($engine, "one.verdict = 'undetermined' AND COALESCE(one.release, '') = $3")
    };
}
macro_rules! list_suppressed {
    ($engine:ident) => {
        list_events!(
            $engine,
            "one.verdict = 'suppressed'
                AND COALESCE(one.release, '') = COALESCE($3, one.release, '')"
        )
    };
}
const LIST_UNDETERMINED_SQLITE: &str = list_undetermined!(sqlite);
const LIST_UNDETERMINED_POSTGRES: &str = list_undetermined!(postgres);
const LIST_SUPPRESSED_SQLITE: &str = list_suppressed!(sqlite);
const LIST_SUPPRESSED_POSTGRES: &str = list_suppressed!(postgres);
/// By the rows' own addresses, so that no planner can think of reading all events of the project.
const SET_VERDICTS_SQLITE: &str = concat!(
    "WITH found AS MATERIALIZED (SELECT old.rowid AS place, new.verdict AS verdict,
        new.reason AS reason FROM ",
    new_rows!(sqlite, uuid id, text verdict, text reason),
    " CROSS JOIN events AS old ON old.project_id = $1 AND old.id = new.id)
    UPDATE events SET verdict = found.verdict, reason = found.reason FROM found
    WHERE events.rowid = found.place"
);
const SET_VERDICTS_POSTGRES: &str = concat!(
    "UPDATE events SET verdict = new.verdict, reason = new.reason FROM ",
    new_rows!(postgres, uuid id, text verdict, text reason),
    " WHERE events.project_id = $1 AND events.id = new.id"
);
const FIND_COUNT: &str = "SELECT n_events FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2 AND hour = $3 AND release = $4 AND environment = $5
        AND verdict = $6";
const TAKE_COUNT: &str = "UPDATE issue_counts SET n_events = n_events - $7
    WHERE project_id = $1 AND issue_id = $2 AND hour = $3 AND release = $4 AND environment = $5
        AND verdict = $6";
const DELETE_EMPTY_COUNTS: &str = "DELETE FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2 AND n_events <= 0";
const LIST_RELEASES_OF_ISSUE: &str = "SELECT DISTINCT release FROM issue_counts
    WHERE project_id = $1 AND issue_id = $2 AND release <> ''
    ORDER BY release LIMIT 1000";
const LIST_ISSUES_JUDGED_IN: &str = "SELECT issue_id FROM issue_counts
    WHERE project_id = $1 AND release = $2 AND verdict IN ('suppressed', 'undetermined')
    UNION SELECT issue_id FROM issue_counts
    WHERE project_id = $1 AND release = $3 AND verdict IN ('suppressed', 'undetermined')
    ORDER BY issue_id";
const UNSETTLE_ALL: &str = "INSERT INTO unsettled
        (project_id, issue_id, release, created_at, try_at, anew_at)
    SELECT $1, issue_id, $3, $2, $2, $2 FROM (SELECT DISTINCT issue_id FROM issue_counts
        WHERE project_id = $1 AND verdict IN ('suppressed', 'undetermined')) AS judged
    WHERE TRUE ORDER BY issue_id
    ON CONFLICT (project_id, issue_id, release) DO UPDATE SET
    anew_at = EXCLUDED.anew_at, try_at = EXCLUDED.try_at";
const MOVE_TOTALS: &str = "UPDATE issues SET n_suppressed = n_suppressed + $3,
        n_undetermined = n_undetermined + $4, revision = revision + 1
    WHERE project_id = $1 AND id = $2";

statements!(
    INSERT_SQLITE,
    INSERT_POSTGRES,
    INSERT_ANEW_SQLITE,
    INSERT_ANEW_POSTGRES,
    COUNT_OF_ISSUE,
    LIST_UNLISTED,
    LIST_DUE,
    DELETE,
    LATER,
    SOONER,
    LOOK_SOONER,
    ANEW_IS_DONE,
    LIST_OF_ISSUE,
    LIST_UNDETERMINED_SQLITE,
    LIST_UNDETERMINED_POSTGRES,
    LIST_SUPPRESSED_SQLITE,
    LIST_SUPPRESSED_POSTGRES,
    FIND_COUNT,
    SET_VERDICTS_SQLITE,
    SET_VERDICTS_POSTGRES,
    TAKE_COUNT,
    DELETE_EMPTY_COUNTS,
    LIST_RELEASES_OF_ISSUE,
    LIST_ISSUES_JUDGED_IN,
    UNSETTLE_ALL,
    MOVE_TOTALS
);

fn new(unsettled: &BTreeSet<Unsettled>) -> String {
    rows_json(
        unsettled.iter().map(|one| UnsettledRow { issue_id: one.issue.0, release: &one.release }),
    )
}

impl Tx {
    /// Notes that issues have undetermined events.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_unsettled(
        &mut self,
        project: ProjectId,
        unsettled: &BTreeSet<Unsettled>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if unsettled.is_empty() {
            return Ok(());
        }
        let (rows, text) = (new(unsettled), dialect!(self, INSERT_SQLITE, INSERT_POSTGRES));
        let most = i64::from(MOST_UNSETTLED);
        execute!(
            self,
            sqlx::query(text)
                .bind(project.0)
                .bind(&rows)
                .bind(now.as_micros())
                .bind(most)
                .bind(REST)
        )?;
        Ok(())
    }

    /// Notes that undetermined and suppressed events are to be judged anew.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn unsettle(
        &mut self,
        project: ProjectId,
        unsettled: &BTreeSet<Unsettled>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if unsettled.is_empty() {
            return Ok(());
        }
        let text = dialect!(self, INSERT_ANEW_SQLITE, INSERT_ANEW_POSTGRES);
        let rows = new(unsettled);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows).bind(now.as_micros()))?;
        Ok(())
    }

    /// Releases of an issue's undetermined events that have no row of their own yet, as far as there is
    /// room for them; and whether these are all.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_unlisted(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<(BTreeSet<Unsettled>, bool), StoreError> {
        let (n_listed,): (i64,) = on!(self, |c| sqlx::query_as(COUNT_OF_ISSUE)
            .bind(project.0)
            .bind(issue.0)
            .fetch_one(c))?;
        let room = i64::from(MOST_UNSETTLED) - n_listed;
        if room <= 0 {
            return Ok((BTreeSet::new(), false));
        }
        let found: Vec<(String,)> = on!(self, |c| sqlx::query_as(LIST_UNLISTED)
            .bind(project.0)
            .bind(issue.0)
            .bind(room)
            .fetch_all(c))?;
        let is_all = i64::try_from(found.len()).unwrap_or(i64::MAX) < room;
        Ok((found.into_iter().map(|(release,)| Unsettled { issue, release }).collect(), is_all))
    }

    /// What is to be tried, of all projects. At most 200.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_unsettled(&mut self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let rows: Vec<(i64, Uuid, String, i64, Option<i64>)> =
            on!(self, |c| sqlx::query_as(LIST_DUE).bind(now.as_micros()).fetch_all(c))?;
        let due = |(project, issue, release, at, anew_at): (_, _, _, _, Option<i64>)| Due {
            project: ProjectId(project),
            unsettled: Unsettled { issue: IssueId(issue), release },
            since: Timestamp::from_micros(at),
            anew_at: anew_at.map(Timestamp::from_micros),
        };
        Ok(rows.into_iter().map(due).collect())
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
        execute!(self, sqlx::query(LOOK_SOONER).bind(project.0).bind(now.as_micros()))?;
        execute!(self, sqlx::query(SOONER).bind(project.0).bind(now.as_micros()))?;
        Ok(())
    }

    /// Undetermined events of an issue and a release, empty for none, the oldest first, after one: all,
    /// or those of which something may tell what reported them.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_undetermined(
        &mut self,
        project: ProjectId,
        one: &Unsettled,
        page: (Option<&JudgedEvent>, i64),
        is_all: bool,
    ) -> Result<Vec<JudgedEvent>, StoreError> {
        let text = dialect!(self, LIST_UNDETERMINED_SQLITE, LIST_UNDETERMINED_POSTGRES);
        // Nothing will ever tell which build runs at users' if that does not say so itself.
        let is_all = is_all || !one.release.is_empty();
        let of = (one.issue, Some(one.release.as_str()));
        self.list_judged(text, (project, of), page, is_all).await
    }

    /// Suppressed events of an issue and a release, or of all releases, the oldest first, after one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_suppressed(
        &mut self,
        project: ProjectId,
        one: &Unsettled,
        page: (Option<&JudgedEvent>, i64),
    ) -> Result<Vec<JudgedEvent>, StoreError> {
        let text = dialect!(self, LIST_SUPPRESSED_SQLITE, LIST_SUPPRESSED_POSTGRES);
        let of = (one.issue, Some(one.release.as_str()).filter(|release| *release != REST));
        self.list_judged(text, (project, of), page, true).await
    }

    async fn list_judged(
        &mut self,
        text: &'static str,
        (project, (issue, release)): (ProjectId, (IssueId, Option<&str>)),
        (after, limit): (Option<&JudgedEvent>, i64),
        with_clients: bool,
    ) -> Result<Vec<JudgedEvent>, StoreError> {
        let at = after.map_or(i64::MIN, |event| event.occurred_at.as_micros());
        let id = after.map_or(Uuid::nil(), |event| event.id.0);
        let rows: Vec<EventRow> = on!(self, |c| sqlx::query_as(text)
            .bind(project.0)
            .bind(issue.0)
            .bind(release)
            .bind(at)
            .bind(id)
            .bind(limit)
            .bind(with_clients)
            .fetch_all(c))?;
        let event = |row: EventRow| JudgedEvent {
            id: EventId(row.id),
            occurred_at: Timestamp::from_micros(row.occurred_at),
            release: row.release,
            environment: row.environment,
            is_trusted: row.is_trusted,
            is_client: row.is_client,
            reason: row.reason,
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
        settled: &[(JudgedEvent, Judged)],
    ) -> Result<(), StoreError> {
        let of = |verdict| settled.iter().filter(|(_, one)| one.verdict == verdict).count();
        let n_suppressed = i64::try_from(of(Verdict::Suppressed)).unwrap_or(i64::MAX);
        let n_settled = i64::try_from(settled.len()).unwrap_or(i64::MAX);
        self.rewrite(project, issue, settled, Verdict::Undetermined).await?;
        self.move_totals(project, issue, (n_suppressed, -n_settled)).await
    }

    /// Says why events are still undetermined.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn explain_events(
        &mut self,
        project: ProjectId,
        open: &[(JudgedEvent, Judged)],
    ) -> Result<(), StoreError> {
        self.set_verdicts(project, open).await
    }

    /// Makes suppressed events of an issue undetermined again.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn unsettle_events(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        events: Vec<JudgedEvent>,
        reason: &str,
    ) -> Result<(), StoreError> {
        let judged = Judged { verdict: Verdict::Undetermined, reason: reason.to_owned() };
        let doubtful: Vec<_> = events.into_iter().map(|event| (event, judged.clone())).collect();
        self.rewrite(project, issue, &doubtful, Verdict::Suppressed).await?;
        let n_events = i64::try_from(doubtful.len()).unwrap_or(i64::MAX);
        self.move_totals(project, issue, (-n_events, n_events)).await
    }

    /// No suppressed events are left that were to be judged anew since then.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn anew_is_done(
        &mut self,
        project: ProjectId,
        one: &Unsettled,
        since: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(ANEW_IS_DONE)
                .bind(project.0)
                .bind(one.issue.0)
                .bind(&one.release)
                .bind(since.as_micros())
        )?;
        Ok(())
    }

    async fn set_verdicts(
        &mut self,
        project: ProjectId,
        judged: &[(JudgedEvent, Judged)],
    ) -> Result<(), StoreError> {
        if judged.is_empty() {
            return Ok(());
        }
        let rows = rows_json(judged.iter().map(|(event, judged)| VerdictRow {
            id: event.id.0,
            verdict: judged.verdict.as_str(),
            reason: &judged.reason,
        }));
        let text = dialect!(self, SET_VERDICTS_SQLITE, SET_VERDICTS_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows))?;
        Ok(())
    }

    /// Writes verdicts of events that had another one, and moves their counts.
    async fn rewrite(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        judged: &[(JudgedEvent, Judged)],
        before: Verdict,
    ) -> Result<(), StoreError> {
        if judged.is_empty() {
            return Ok(());
        }
        self.set_verdicts(project, judged).await?;
        let mut counts = EventCounts::default();
        let mut taken: BTreeMap<(i64, &str, &str), i64> = BTreeMap::new();
        for (event, judged) in judged {
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
        for ((hour, release, environment), mut n) in taken {
            // Some may have been counted under a name of their own, and some with others.
            for (release, environment) in [(release, environment), (OTHER, OTHER)] {
                let there: Option<(i64,)> = on!(self, |c| sqlx::query_as(FIND_COUNT)
                    .bind(project.0)
                    .bind(issue.0)
                    .bind(hour)
                    .bind(release)
                    .bind(environment)
                    .bind(before.as_str())
                    .fetch_optional(c))?;
                let taken = there.map_or(0, |(there,)| there.min(n));
                if taken > 0 {
                    execute!(
                        self,
                        sqlx::query(TAKE_COUNT)
                            .bind(project.0)
                            .bind(issue.0)
                            .bind(hour)
                            .bind(release)
                            .bind(environment)
                            .bind(before.as_str())
                            .bind(taken)
                    )?;
                    n -= taken;
                }
            }
        }
        execute!(self, sqlx::query(DELETE_EMPTY_COUNTS).bind(project.0).bind(issue.0))?;
        self.add_counts(project, &BTreeMap::from([(issue, counts)])).await
    }

    /// The releases of an issue's undetermined events, and since when they wait; at most 100.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_unsettled_of(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<Waiting>, StoreError> {
        let rows: Vec<(String, i64, Option<bool>)> = on!(self, |c| sqlx::query_as(LIST_OF_ISSUE)
            .bind(project.0)
            .bind(issue.0)
            .fetch_all(c))?;
        let waiting = |(release, since, is_known): (_, _, Option<bool>)| Waiting {
            release,
            since: Timestamp::from_micros(since),
            is_known: is_known.unwrap_or(false),
        };
        Ok(rows.into_iter().map(waiting).collect())
    }

    /// The issues that may have events of a release that were judged by what the release is.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_judged_in(
        &mut self,
        project: ProjectId,
        release: &str,
    ) -> Result<Vec<IssueId>, StoreError> {
        let rows: Vec<(Uuid,)> = on!(self, |c| sqlx::query_as(LIST_ISSUES_JUDGED_IN)
            .bind(project.0)
            .bind(release)
            .bind(OTHER)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(issue,)| IssueId(issue)).collect())
    }

    /// Notes that all undetermined and suppressed events of a project are to be judged anew.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn unsettle_all(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(UNSETTLE_ALL).bind(project.0).bind(now.as_micros()).bind(REST))?;
        Ok(())
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

    /// The releases that showed an issue; at most 1,000.
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
