//! Issues: finding, listing and changing them one at a time.

use std::collections::BTreeMap;

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::of_issues;
use super::tx::{Tx, execute, on, statements};
use crate::domain::event::Level;
use crate::domain::fix::{FixId, FixState};
use crate::domain::id::{IssueId, ProjectId, ShortId};
use crate::domain::issue::Issue;
use crate::domain::lifecycle::{CurrentFix, State, Status};
use crate::domain::project::Project;
use crate::domain::time::Timestamp;

/// The columns of an issue that the lifecycle depends on.
#[derive(FromRow)]
pub(super) struct StateRow {
    pub(super) id: Uuid,
    status: String,
    status_since: Option<i64>,
    mute_until: Option<i64>,
    mute_until_n_events: Option<i64>,
    is_regressed: bool,
    unconfirmed_since: Option<i64>,
    baseline_id: Option<Uuid>,
    fix_id: Option<Uuid>,
    fix_state: Option<String>,
    fix_is_complete: bool,
    pub(super) revision: i64,
    pub(super) n_events: i64,
}

#[derive(FromRow)]
struct IssueRow {
    #[sqlx(flatten)]
    state: StateRow,
    number: Option<i64>,
    title: String,
    culprit: String,
    level: String,
    platform: String,
    handled: Option<bool>,
    n_suppressed: i64,
    n_undetermined: i64,
    n_users: i64,
    first_seen: i64,
    last_seen: i64,
    first_release: Option<String>,
    last_release: Option<String>,
    assignee: Option<String>,
    merged_into: Option<Uuid>,
    discarded_at: Option<i64>,
    serious_at: Option<i64>,
}

/// The columns of a [`StateRow`].
macro_rules! state_columns {
    () => {
        "issues.id, issues.status, issues.status_since, issues.mute_until,
        issues.mute_until_n_events, issues.is_regressed, issues.unconfirmed_since,
        issues.baseline_id, issues.fix_id, issues.fix_state, issues.fix_is_complete,
        issues.revision, issues.n_events"
    };
}
/// The columns of an [`IssueRow`].
macro_rules! columns {
    () => {
        concat!(
            state_columns!(),
            ", issues.number, issues.title, issues.culprit, issues.level, issues.platform,
            issues.handled, issues.n_suppressed, issues.n_undetermined, issues.n_users,
            issues.first_seen,
            issues.last_seen, issues.first_release, issues.last_release, issues.assignee,
            issues.merged_into, issues.discarded_at, issues.serious_at"
        )
    };
}
pub(super) use state_columns;

impl StateRow {
    pub(super) fn state(&self) -> Result<State, StoreError> {
        let status = match (self.status.as_str(), self.status_since) {
            ("open", _) => Status::Open,
            ("fix_pending", since) => {
                Status::FixPending { absent_since: since.map(Timestamp::from_micros) }
            }
            ("resolved", Some(at)) => Status::Resolved {
                at: Timestamp::from_micros(at),
                baseline: self.baseline_id.map(FixId),
            },
            ("muted", _) => Status::Muted {
                until: self.mute_until.map(Timestamp::from_micros),
                until_n_events: self.mute_until_n_events.map(i64::unsigned_abs),
            },
            _ => return Err(StoreError::corrupt("issues", "status", self.id)),
        };
        let unconfirmed_since = self.unconfirmed_since.map(Timestamp::from_micros);
        let fix = match (self.fix_id, self.fix_state.as_deref().and_then(FixState::parse)) {
            (Some(id), Some(state)) => {
                Some(CurrentFix { id: FixId(id), state, is_complete: self.fix_is_complete })
            }
            (None, None) => None,
            _ => return Err(StoreError::corrupt("issues", "fix_state", self.id)),
        };
        Ok(State { status, is_regressed: self.is_regressed, unconfirmed_since, fix })
    }
}

impl IssueRow {
    fn issue(self, project: ProjectId, prefix: &str) -> Result<Issue, StoreError> {
        let id = self.state.id;
        let state = self.state.state()?;
        let level =
            Level::parse(&self.level).ok_or_else(|| StoreError::corrupt("issues", "level", id))?;
        let number = self.number.ok_or_else(|| StoreError::corrupt("issues", "number", id))?;
        Ok(Issue {
            id: IssueId(id),
            project_id: project,
            short_id: ShortId { prefix: prefix.to_owned(), number },
            title: self.title,
            culprit: self.culprit,
            level,
            platform: self.platform,
            handled: self.handled,
            state,
            revision: self.state.revision,
            n_events: self.state.n_events.unsigned_abs(),
            n_suppressed: self.n_suppressed.unsigned_abs(),
            n_undetermined: self.n_undetermined.unsigned_abs(),
            n_users: self.n_users.unsigned_abs(),
            first_seen: Timestamp::from_micros(self.first_seen),
            last_seen: Timestamp::from_micros(self.last_seen),
            first_release: self.first_release,
            last_release: self.last_release,
            assignee: self.assignee,
            merged_into: self.merged_into.map(IssueId),
            discarded_at: self.discarded_at.map(Timestamp::from_micros),
            serious_at: self.serious_at.map(Timestamp::from_micros),
        })
    }
}

/// The columns of `issues` that hold a [`State`].
pub(super) struct StateColumns {
    pub(super) status: &'static str,
    pub(super) status_since: Option<i64>,
    pub(super) mute_until: Option<i64>,
    pub(super) mute_until_n_events: Option<i64>,
    pub(super) is_regressed: bool,
    pub(super) unconfirmed_since: Option<i64>,
    pub(super) baseline_id: Option<Uuid>,
    pub(super) fix_id: Option<Uuid>,
    pub(super) fix_state: Option<&'static str>,
    pub(super) fix_is_complete: bool,
}

impl From<&State> for StateColumns {
    fn from(state: &State) -> Self {
        let (status_since, mute_until, mute_until_n_events) = match &state.status {
            Status::Open => (None, None, None),
            Status::FixPending { absent_since } => {
                (absent_since.map(Timestamp::as_micros), None, None)
            }
            Status::Resolved { at, .. } => (Some(at.as_micros()), None, None),
            Status::Muted { until, until_n_events } => {
                let events = until_n_events.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
                (None, until.map(Timestamp::as_micros), events)
            }
        };
        Self {
            status: state.status.as_str(),
            status_since,
            mute_until,
            mute_until_n_events,
            is_regressed: state.is_regressed,
            unconfirmed_since: state.unconfirmed_since.map(Timestamp::as_micros),
            baseline_id: match state.status {
                Status::Resolved { baseline, .. } => baseline.map(|id| id.0),
                Status::Open | Status::FixPending { .. } | Status::Muted { .. } => None,
            },
            fix_id: state.fix.map(|fix| fix.id.0),
            fix_state: state.fix.map(|fix| fix.state.as_str()),
            fix_is_complete: state.fix.is_some_and(|fix| fix.is_complete),
        }
    }
}

/// What a list of issues is sorted by, greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The minute of the last event.
    #[default]
    LastSeen,
    /// The first event.
    FirstSeen,
    /// The number of events.
    Events,
    /// The number of users.
    Users,
}

/// Which issues, in which order.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only with this status.
    pub status: Option<String>,
    /// Those that were discarded, instead of the others.
    pub is_discarded: bool,
    /// Only with this text in title or culprit.
    pub text: Option<String>,
    /// Only seen in this environment.
    pub environment: Option<String>,
    /// The order.
    pub sort: Sort,
    /// Only what comes after this place in the order.
    pub after: Option<Place>,
}

/// A place in a sorted list: the sort key and the id that breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The sort key.
    pub key: i64,
    /// The issue.
    pub id: Uuid,
}

impl Sort {
    /// Where an issue stands in this order.
    #[must_use]
    pub fn place(self, issue: &Issue) -> Place {
        let key = match self {
            Self::LastSeen => issue.last_seen.minute(),
            Self::FirstSeen => issue.first_seen.as_micros(),
            Self::Events => i64::try_from(issue.n_events).unwrap_or(i64::MAX),
            Self::Users => i64::try_from(issue.n_users).unwrap_or(i64::MAX),
        };
        Place { key, id: issue.id.0 }
    }

    /// The statement that lists issues in this order, of one environment or of all.
    fn text(self, of_environment: bool) -> &'static str {
        match (self, of_environment) {
            (Self::LastSeen, false) => LIST_BY_LAST_SEEN,
            (Self::LastSeen, true) => LIST_SEEN_IN_BY_LAST_SEEN,
            (Self::FirstSeen, false) => LIST_BY_FIRST_SEEN,
            (Self::FirstSeen, true) => LIST_SEEN_IN_BY_FIRST_SEEN,
            (Self::Events, false) => LIST_BY_EVENTS,
            (Self::Events, true) => LIST_SEEN_IN_BY_EVENTS,
            (Self::Users, false) => LIST_BY_USERS,
            (Self::Users, true) => LIST_SEEN_IN_BY_USERS,
        }
    }
}

const FIND_BY_NUMBER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM issues WHERE issues.project_id = $1 AND issues.number = $2"
);
const LIST_BY_ID_SQLITE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM issues WHERE issues.project_id = $1
    AND issues.id IN (SELECT unhex(value, '-') FROM json_each($2))"
);
const LIST_BY_ID_POSTGRES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM issues WHERE issues.project_id = $1 AND issues.id = ANY (CAST($2 AS UUID[]))"
);
const FIND_BY_ID: &str =
    concat!("SELECT ", columns!(), " FROM issues WHERE issues.project_id = $1 AND issues.id = $2");

macro_rules! list {
    ($key:literal) => {
        list!($key, " AND CAST($7 AS TEXT) IS NULL")
    };
    ($key:literal, $environment:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM issues WHERE issues.project_id = $1 AND issues.merged_into IS NULL
            AND (issues.discarded_at IS NOT NULL) = $8
            AND (CAST($2 AS TEXT) IS NULL OR issues.status = $2)
            AND (CAST($3 AS TEXT) IS NULL OR issues.search_text LIKE $3 ESCAPE '!')
            AND (",
            $key,
            ", issues.id) < ($4, $5)",
            $environment,
            " ORDER BY ",
            $key,
            " DESC, issues.id DESC LIMIT $6"
        )
    };
}
// With `OFFSET` it is a look at the index for each issue, and never a join over all of them, which a
// planner that has not analysed the tables yet prefers.
macro_rules! list_seen_in {
    ($key:literal) => {
        list!(
            $key,
            " AND EXISTS (SELECT 1 FROM issue_tags WHERE issue_tags.project_id = $1
                AND issue_tags.tag = 'environment' AND lower(issue_tags.value) = lower($7)
                AND issue_tags.issue_id = issues.id LIMIT 1 OFFSET 0)"
        )
    };
}
const LIST_BY_LAST_SEEN: &str = list!("issues.last_seen_minute");
const LIST_BY_FIRST_SEEN: &str = list!("issues.first_seen");
const LIST_BY_EVENTS: &str = list!("issues.n_events");
const LIST_BY_USERS: &str = list!("issues.n_users");
const LIST_SEEN_IN_BY_LAST_SEEN: &str = list_seen_in!("issues.last_seen_minute");
const LIST_SEEN_IN_BY_FIRST_SEEN: &str = list_seen_in!("issues.first_seen");
const LIST_SEEN_IN_BY_EVENTS: &str = list_seen_in!("issues.n_events");
const LIST_SEEN_IN_BY_USERS: &str = list_seen_in!("issues.n_users");

const LIST_MUTES_OVER: &str = "SELECT project_id, id FROM issues
    WHERE mute_until IS NOT NULL AND mute_until <= $1
    ORDER BY project_id, mute_until, id LIMIT 100";
const UPDATE_STATE: &str = "UPDATE issues SET status = $4, status_since = $5, mute_until = $6,
    mute_until_n_events = $7, is_regressed = $8, assignee = $9, unconfirmed_since = $10,
    discarded_at = $11, baseline_id = $12, fix_id = $13, fix_state = $14, fix_is_complete = $15,
    revision = revision + 1
    WHERE project_id = $1 AND id = $2 AND revision = $3";

/// What a search looks into. Databases differ in what they take for a small letter, and are slow at
/// it.
pub(super) fn search_text(title: &str, culprit: &str) -> String {
    format!("{title}\n{culprit}").to_lowercase()
}

/// Text for `LIKE … ESCAPE '!'` that finds `text` anywhere, its words in order.
fn like(text: &str) -> String {
    let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let words: Vec<&str> = escaped.split_whitespace().collect();
    format!("%{}%", words.join("%"))
}

statements!(
    FIND_BY_NUMBER,
    FIND_BY_ID,
    LIST_BY_ID_SQLITE,
    LIST_BY_ID_POSTGRES,
    LIST_BY_LAST_SEEN,
    LIST_BY_FIRST_SEEN,
    LIST_BY_EVENTS,
    LIST_BY_USERS,
    LIST_SEEN_IN_BY_LAST_SEEN,
    LIST_SEEN_IN_BY_FIRST_SEEN,
    LIST_SEEN_IN_BY_EVENTS,
    LIST_SEEN_IN_BY_USERS,
    LIST_MUTES_OVER,
    UPDATE_STATE
);

impl Tx {
    /// The issue of a project with this number, merged ones too.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_issue(
        &mut self,
        project: &Project,
        number: i64,
    ) -> Result<Option<Issue>, StoreError> {
        let row: Option<IssueRow> = on!(self, |c| sqlx::query_as(FIND_BY_NUMBER)
            .bind(project.id.0)
            .bind(number)
            .fetch_optional(c))?;
        row.map(|row| row.issue(project.id, &project.prefix)).transpose()
    }

    /// The issue of a project with this inner id.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_issue_by_id(
        &mut self,
        project: &Project,
        id: IssueId,
    ) -> Result<Option<Issue>, StoreError> {
        let row: Option<IssueRow> = on!(self, |c| sqlx::query_as(FIND_BY_ID)
            .bind(project.id.0)
            .bind(id.0)
            .fetch_optional(c))?;
        row.map(|row| row.issue(project.id, &project.prefix)).transpose()
    }

    /// The issues with these inner ids, merged ones too.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_issues_by_id(
        &mut self,
        project: &Project,
        ids: &[IssueId],
    ) -> Result<BTreeMap<IssueId, Issue>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<IssueRow> =
            of_issues!(self, LIST_BY_ID_SQLITE, LIST_BY_ID_POSTGRES, project.id, ids)?;
        let issue =
            |row: IssueRow| row.issue(project.id, &project.prefix).map(|issue| (issue.id, issue));
        rows.into_iter().map(issue).collect()
    }

    /// Up to `limit` issues of a project.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_issues(
        &mut self,
        project: &Project,
        filter: &Filter,
        limit: i64,
    ) -> Result<Vec<Issue>, StoreError> {
        let text = filter.sort.text(filter.environment.is_some());
        let after = filter.after.unwrap_or(Place { key: i64::MAX, id: Uuid::max() });
        let pattern = filter.text.as_deref().map(like);
        let rows: Vec<IssueRow> = on!(self, |c| sqlx::query_as(text)
            .bind(project.id.0)
            .bind(&filter.status)
            .bind(pattern)
            .bind(after.key)
            .bind(after.id)
            .bind(limit)
            .bind(&filter.environment)
            .bind(filter.is_discarded)
            .fetch_all(c))?;
        rows.into_iter().map(|row| row.issue(project.id, &project.prefix)).collect()
    }

    /// Issues whose mute ended by time, at most 100.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_mutes_over(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<(ProjectId, IssueId)>, StoreError> {
        let rows: Vec<(i64, Uuid)> =
            on!(self, |c| sqlx::query_as(LIST_MUTES_OVER).bind(now.as_micros()).fetch_all(c))?;
        Ok(rows.into_iter().map(|(project, id)| (ProjectId(project), IssueId(id))).collect())
    }

    /// Writes an issue's state, its assignee and whether it is discarded, if nobody changed it since it was read.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when somebody did.
    pub async fn update_issue_state(&mut self, issue: &Issue) -> Result<(), StoreError> {
        let columns = StateColumns::from(&issue.state);
        let n_rows = execute!(
            self,
            sqlx::query(UPDATE_STATE)
                .bind(issue.project_id.0)
                .bind(issue.id.0)
                .bind(issue.revision)
                .bind(columns.status)
                .bind(columns.status_since)
                .bind(columns.mute_until)
                .bind(columns.mute_until_n_events)
                .bind(columns.is_regressed)
                .bind(&issue.assignee)
                .bind(columns.unconfirmed_since)
                .bind(issue.discarded_at.map(Timestamp::as_micros))
                .bind(columns.baseline_id)
                .bind(columns.fix_id)
                .bind(columns.fix_state)
                .bind(columns.fix_is_complete)
        )?;
        if n_rows == 1 { Ok(()) } else { Err(StoreError::Raced) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_text_is_taken_literally() {
        assert_eq!(like("100%  a_b!"), "%100!%%a!_b!!%");
    }
}
