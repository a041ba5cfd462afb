//! Fixes of issues, what builds say of them, and where they are deployed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, hex, new_rows, of_issues, rows_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::build::BuildKey;
use crate::domain::commit::Sha;
use crate::domain::fix::{Answer, Fix, FixCommit, FixId, FixState, Problem, Source};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::repository::RepositoryId;
use crate::domain::time::Timestamp;

/// What a row of `fixes` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The fix of an issue.
    Fix,
    /// What was deployed when an issue was resolved for the next deploy.
    Baseline,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fix => "fix",
            Self::Baseline => "baseline",
        }
    }
}

/// The fix of an issue as it counts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// It.
    pub fix: Fix,
    /// What became of it.
    pub state: FixState,
    /// Whether it is deployed where fixes complete.
    pub is_complete: bool,
    /// The number in its issue's short id.
    pub number: i64,
}

/// A fix of which it is to be looked where it is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToLookAt {
    /// Of which project.
    pub project: ProjectId,
    /// Of which issue.
    pub issue: IssueId,
    /// It.
    pub fix: FixId,
    /// When it was named.
    pub named_at: Timestamp,
}

/// That a fix is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Where.
    pub environment: String,
    /// The deploy.
    pub deploy: Uuid,
    /// The commit that was deployed.
    pub sha: Sha,
    /// Since when.
    pub at: Timestamp,
}

#[derive(FromRow)]
struct FixRow {
    id: Uuid,
    issue_id: Uuid,
    kind: String,
    commits: String,
    named_by: String,
    named_at: i64,
    source: String,
    problem: Option<String>,
}

impl FixRow {
    fn fix(self) -> Result<(Fix, Kind), StoreError> {
        let corrupt = |column| StoreError::corrupt("fixes", column, self.id);
        let kind = [Kind::Fix, Kind::Baseline].into_iter().find(|one| one.as_str() == self.kind);
        let problem = self.problem.as_deref().map(|name| Problem::parse(name).ok_or(name));
        let fix = Fix {
            id: FixId(self.id),
            issue: IssueId(self.issue_id),
            commits: serde_json::from_str(&self.commits).map_err(|_| corrupt("commits"))?,
            at: Timestamp::from_micros(self.named_at),
            source: Source::parse(&self.source).ok_or_else(|| corrupt("source"))?,
            problem: problem.transpose().map_err(|_| corrupt("problem"))?,
            by: self.named_by,
        };
        Ok((fix, kind.ok_or_else(|| StoreError::corrupt("fixes", "kind", self.id))?))
    }
}

#[derive(FromRow)]
struct CurrentRow {
    #[sqlx(flatten)]
    fix: FixRow,
    fix_state: String,
    fix_is_complete: bool,
    number: Option<i64>,
}

#[derive(Serialize)]
struct AnswerRow {
    fix_id: Uuid,
    build: String,
    answer: String,
}

macro_rules! columns {
    () => {
        "fixes.id, fixes.issue_id, fixes.kind, fixes.commits, fixes.named_by, fixes.named_at,
        fixes.source, fixes.problem"
    };
}
const INSERT: &str =
    "INSERT INTO fixes (project_id, id, issue_id, kind, commits, named_by, named_at,
        source, problem, look_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const FIND: &str =
    concat!("SELECT ", columns!(), " FROM fixes WHERE fixes.project_id = $1 AND fixes.id = $2");
const LIST_CURRENT: &str = concat!(
    "SELECT ",
    columns!(),
    ", issues.fix_state, issues.fix_is_complete, issues.number FROM issues JOIN fixes
    ON fixes.project_id = issues.project_id AND fixes.id = issues.fix_id
    WHERE issues.project_id = $1 AND issues.fix_id IS NOT NULL AND issues.merged_into IS NULL
    ORDER BY issues.fix_id"
);
macro_rules! of_issues_with_fix {
    ($among:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", issues.fix_state, issues.fix_is_complete, issues.number FROM issues JOIN fixes
            ON fixes.project_id = issues.project_id AND fixes.id = issues.fix_id
            WHERE issues.project_id = $1 AND issues.id ",
            $among
        )
    };
}
const LIST_OF_SQLITE: &str =
    of_issues_with_fix!("IN (SELECT unhex(value, '-') FROM json_each($2))");
const LIST_OF_POSTGRES: &str = of_issues_with_fix!("= ANY (CAST($2 AS UUID[]))");
const LIST_TO_LOOK_AT: &str = "SELECT fixes.project_id, fixes.issue_id, fixes.id, fixes.named_at
    FROM fixes WHERE fixes.look_at IS NOT NULL AND fixes.look_at <= $1
    ORDER BY fixes.look_at, fixes.project_id, fixes.id LIMIT 200";
const LOOK_AT: &str = "UPDATE fixes SET look_at = $3 WHERE project_id = $1 AND id = $2";
const LOOK_AGAIN: &str = "UPDATE fixes SET look_at = $2 WHERE project_id = $1
    AND id IN (SELECT fix_id FROM issues WHERE project_id = $1 AND fix_id IS NOT NULL
        AND merged_into IS NULL)";
const SET_PROBLEM: &str = "UPDATE fixes SET problem = $3, commits = $4
    WHERE project_id = $1 AND id = $2";
const SET_FAILED: &str = "UPDATE fixes SET failed_at = $3 WHERE project_id = $1 AND id = $2";
const LIST_FAILED: &str = "SELECT commits FROM fixes
    WHERE project_id = $1 AND failed_at IS NOT NULL ORDER BY id";
const INSERT_ANSWERS_SQLITE: &str = concat!(
    "INSERT INTO fix_answers (project_id, fix_id, build, answer)
    SELECT $1, fix_id, build, answer FROM ",
    new_rows!(sqlite, uuid fix_id, bytes build, text answer),
    " WHERE TRUE ON CONFLICT (project_id, fix_id, build) DO UPDATE SET answer = EXCLUDED.answer"
);
const INSERT_ANSWERS_POSTGRES: &str = concat!(
    "INSERT INTO fix_answers (project_id, fix_id, build, answer)
    SELECT $1, fix_id, build, answer FROM ",
    new_rows!(postgres, uuid fix_id, bytes build, text answer),
    " ORDER BY fix_id, build
    ON CONFLICT (project_id, fix_id, build) DO UPDATE SET answer = EXCLUDED.answer"
);
/// Writes nothing new, but holds the rows: who replaces commits waits, or has replaced them.
const HOLD_HISTORIES: &str = "UPDATE repositories SET n_replaced = n_replaced
    WHERE project_id = $1 AND url IS NULL";
const SUM_REPLACED: &str = "SELECT CAST(COALESCE(SUM(n_replaced), 0) AS BIGINT) FROM repositories
    WHERE project_id = $1";
const DELETE_ANSWERS: &str = "DELETE FROM fix_answers WHERE project_id = $1";
const LIST_ANSWERS_SQLITE: &str = concat!(
    "SELECT known.fix_id, known.build, known.answer FROM ",
    new_rows!(sqlite, uuid fix_id, bytes build),
    " CROSS JOIN fix_answers AS known
    ON known.project_id = $1 AND known.fix_id = new.fix_id AND known.build = new.build"
);
const LIST_ANSWERS_POSTGRES: &str = concat!(
    "SELECT found.fix_id, found.build, found.answer FROM ",
    new_rows!(postgres, uuid fix_id, bytes build),
    " CROSS JOIN LATERAL (SELECT fix_id, build, answer FROM fix_answers
        WHERE project_id = $1 AND fix_id = new.fix_id AND build = new.build LIMIT 1) AS found"
);
const LIST_LANDINGS: &str = "SELECT environment, deploy_id, sha, landed_at FROM fix_landings
    WHERE project_id = $1 AND fix_id = $2 ORDER BY landed_at, environment";
const LIST_LANDED: &str = "SELECT fix_id FROM fix_landings
    WHERE project_id = $1 AND environment = $2 ORDER BY fix_id";
const INSERT_LANDING: &str = "INSERT INTO fix_landings
    (project_id, fix_id, environment, deploy_id, sha, landed_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING";
const DELETE_LANDING: &str = "DELETE FROM fix_landings
    WHERE project_id = $1 AND fix_id = $2 AND environment = $3";

const LIST_DEPLOYED: &str = "SELECT DISTINCT sha FROM deploys
    WHERE project_id = $1 AND repository_id = $2";
const LIST_NAMED: &str = "SELECT id, commits FROM fixes WHERE project_id = $1";

statements!(
    LIST_DEPLOYED,
    LIST_NAMED,
    INSERT,
    FIND,
    LIST_CURRENT,
    LIST_TO_LOOK_AT,
    LOOK_AT,
    LOOK_AGAIN,
    LIST_OF_SQLITE,
    LIST_OF_POSTGRES,
    SET_PROBLEM,
    SET_FAILED,
    LIST_FAILED,
    INSERT_ANSWERS_SQLITE,
    INSERT_ANSWERS_POSTGRES,
    HOLD_HISTORIES,
    SUM_REPLACED,
    DELETE_ANSWERS,
    LIST_ANSWERS_SQLITE,
    LIST_ANSWERS_POSTGRES,
    LIST_LANDINGS,
    LIST_LANDED,
    INSERT_LANDING,
    DELETE_LANDING
);

fn commits_text(commits: &[FixCommit]) -> String {
    super::rows::to_json(&commits)
}

fn current(row: CurrentRow) -> Result<Current, StoreError> {
    let id = row.fix.id;
    let state = FixState::parse(&row.fix_state)
        .ok_or_else(|| StoreError::corrupt("issues", "fix_state", row.fix.issue_id))?;
    let number = row.number.ok_or_else(|| StoreError::corrupt("issues", "number", id))?;
    let is_complete = row.fix_is_complete;
    Ok(Current { fix: row.fix.fix()?.0, state, is_complete, number })
}

/// The bytes of a commit's name.
pub(super) fn sha_of(bytes: &[u8], table: &'static str, id: Uuid) -> Result<Sha, StoreError> {
    let bytes = <[u8; 20]>::try_from(bytes);
    bytes.map(Sha).map_err(|_| StoreError::corrupt(table, "sha", id))
}

impl Tx {
    /// Adds a fix or a baseline, and says when it is to be looked where it is deployed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_fix(
        &mut self,
        project: ProjectId,
        fix: &Fix,
        kind: Kind,
        look_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let commits = commits_text(&fix.commits);
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(project.0)
                .bind(fix.id.0)
                .bind(fix.issue.0)
                .bind(kind.as_str())
                .bind(&commits)
                .bind(&fix.by)
                .bind(fix.at.as_micros())
                .bind(fix.source.as_str())
                .bind(fix.problem.map(Problem::as_str))
                .bind(look_at.map(Timestamp::as_micros))
        )?;
        Ok(())
    }

    /// A fix or a baseline.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_fix(
        &mut self,
        project: ProjectId,
        id: FixId,
    ) -> Result<Option<(Fix, Kind)>, StoreError> {
        let row: Option<FixRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(project.0).bind(id.0).fetch_optional(c))?;
        row.map(FixRow::fix).transpose()
    }

    /// The commits of a repository that fixes and deploys name: they are kept, whatever becomes of their
    /// branches.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_pins(
        &mut self,
        project: ProjectId,
        repository: RepositoryId,
    ) -> Result<BTreeSet<Sha>, StoreError> {
        let deployed: Vec<(Vec<u8>,)> = on!(self, |c| sqlx::query_as(LIST_DEPLOYED)
            .bind(project.0)
            .bind(repository.0)
            .fetch_all(c))?;
        let sha = |(bytes,): (Vec<u8>,)| sha_of(&bytes, "deploys", repository.0);
        let mut pins: BTreeSet<Sha> = deployed.into_iter().map(sha).collect::<Result<_, _>>()?;
        let named: Vec<(Uuid, String)> =
            on!(self, |c| sqlx::query_as(LIST_NAMED).bind(project.0).fetch_all(c))?;
        for (id, commits) in named {
            let commits: Vec<FixCommit> = serde_json::from_str(&commits)
                .map_err(|_| StoreError::corrupt("fixes", "commits", id))?;
            let here = commits.into_iter().filter(|commit| commit.repository == Some(repository));
            pins.extend(here.flat_map(|one| std::iter::once(one.sha).chain(one.alternatives)));
        }
        Ok(pins)
    }

    /// The fixes of all issues of a project, failed ones too.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_fixes(&mut self, project: ProjectId) -> Result<Vec<Current>, StoreError> {
        let rows: Vec<CurrentRow> =
            on!(self, |c| sqlx::query_as(LIST_CURRENT).bind(project.0).fetch_all(c))?;
        rows.into_iter().map(current).collect()
    }

    /// Fixes of which it is due to look where they are deployed, of all projects; at most 200.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_fixes_to_look_at(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<ToLookAt>, StoreError> {
        let rows: Vec<(i64, Uuid, Uuid, i64)> =
            on!(self, |c| sqlx::query_as(LIST_TO_LOOK_AT).bind(now.as_micros()).fetch_all(c))?;
        let fix = |(project, issue, fix, named_at)| ToLookAt {
            project: ProjectId(project),
            issue: IssueId(issue),
            fix: FixId(fix),
            named_at: Timestamp::from_micros(named_at),
        };
        Ok(rows.into_iter().map(fix).collect())
    }

    /// Says when it is to be looked where a fix is deployed; never again without a time.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn look_at_fix(
        &mut self,
        project: ProjectId,
        id: FixId,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let at = at.map(Timestamp::as_micros);
        execute!(self, sqlx::query(LOOK_AT).bind(project.0).bind(id.0).bind(at))?;
        Ok(())
    }

    /// Lets it be looked again where the fixes of a project are deployed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn look_again_for_fixes(
        &mut self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(LOOK_AGAIN).bind(project.0).bind(now.as_micros()))?;
        Ok(())
    }

    /// The fixes of these issues, failed ones too.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_fixes_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<BTreeMap<IssueId, Current>, StoreError> {
        let rows: Vec<CurrentRow> =
            of_issues!(self, LIST_OF_SQLITE, LIST_OF_POSTGRES, project, issues)?;
        rows.into_iter().map(|row| current(row).map(|one| (one.fix.issue, one))).collect()
    }

    /// Writes what is wrong with a fix, and where its commits were found.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn update_fix(&mut self, project: ProjectId, fix: &Fix) -> Result<(), StoreError> {
        let commits = commits_text(&fix.commits);
        let problem = fix.problem.map(Problem::as_str);
        execute!(
            self,
            sqlx::query(SET_PROBLEM).bind(project.0).bind(fix.id.0).bind(problem).bind(&commits)
        )?;
        Ok(())
    }

    /// Notes that a fix did not help.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn fix_failed(
        &mut self,
        project: ProjectId,
        id: FixId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(SET_FAILED).bind(project.0).bind(id.0).bind(now.as_micros()))?;
        Ok(())
    }

    /// The commits of all fixes that did not help.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_failed_commits(
        &mut self,
        project: ProjectId,
    ) -> Result<BTreeSet<Sha>, StoreError> {
        let rows: Vec<(String,)> =
            on!(self, |c| sqlx::query_as(LIST_FAILED).bind(project.0).fetch_all(c))?;
        let mut failed = BTreeSet::new();
        for (commits,) in rows {
            let commits: Vec<FixCommit> = serde_json::from_str(&commits)
                .map_err(|_| StoreError::corrupt("fixes", "commits", project.0))?;
            failed.extend(commits.into_iter().map(|commit| commit.sha));
        }
        Ok(failed)
    }

    /// What is known of fixes and builds, without what rests on commits that did not help.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_answers(
        &mut self,
        project: ProjectId,
        wanted: &BTreeSet<(FixId, BuildKey)>,
    ) -> Result<BTreeMap<(FixId, BuildKey), Answer>, StoreError> {
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = rows_json(wanted.iter().map(|(fix, build)| AnswerRow {
            fix_id: fix.0,
            build: hex(&build.0),
            answer: String::new(),
        }));
        let text = dialect!(self, LIST_ANSWERS_SQLITE, LIST_ANSWERS_POSTGRES);
        let rows: Vec<(Uuid, Vec<u8>, String)> =
            on!(self, |c| sqlx::query_as(text).bind(project.0).bind(&rows).fetch_all(c))?;
        let parsed = |(fix, build, answer): (Uuid, Vec<u8>, String)| {
            let corrupt = |column| StoreError::corrupt("fix_answers", column, fix);
            let build = <[u8; 32]>::try_from(build).map_err(|_| corrupt("build"))?;
            let answer = serde_json::from_str(&answer).map_err(|_| corrupt("answer"))?;
            Ok(((FixId(fix), BuildKey(build)), answer))
        };
        let mut answers: BTreeMap<(FixId, BuildKey), Answer> =
            rows.into_iter().map(parsed).collect::<Result<_, StoreError>>()?;
        if answers.values().any(|answer| answer.rests_on().is_some()) {
            let failed = self.list_failed_commits(project).await?;
            answers.retain(|_, answer| !answer.rests_on().is_some_and(|on| failed.contains(&on)));
        }
        Ok(answers)
    }

    /// Forgets what builds of a project say of fixes: the history is not what it was taken for.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_answers(&mut self, project: ProjectId) -> Result<(), StoreError> {
        execute!(self, sqlx::query(DELETE_ANSWERS).bind(project.0))?;
        Ok(())
    }

    /// Keeps what builds say of fixes, by histories in which so many commits had been replaced; where
    /// more were replaced since, it is worth nothing.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_answers(
        &mut self,
        project: ProjectId,
        answers: &BTreeMap<(FixId, BuildKey), Answer>,
        n_replaced: u64,
    ) -> Result<(), StoreError> {
        if answers.is_empty() {
            return Ok(());
        }
        execute!(self, sqlx::query(HOLD_HISTORIES).bind(project.0))?;
        let (now,): (i64,) =
            on!(self, |c| sqlx::query_as(SUM_REPLACED).bind(project.0).fetch_one(c))?;
        if now.unsigned_abs() != n_replaced {
            return Ok(());
        }
        let rows = rows_json(answers.iter().map(|((fix, build), answer)| AnswerRow {
            fix_id: fix.0,
            build: hex(&build.0),
            answer: super::rows::to_json(answer),
        }));
        let text = dialect!(self, INSERT_ANSWERS_SQLITE, INSERT_ANSWERS_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(&rows))?;
        Ok(())
    }

    /// Where a fix is deployed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_landings(
        &mut self,
        project: ProjectId,
        fix: FixId,
    ) -> Result<Vec<Landed>, StoreError> {
        let rows: Vec<(String, Uuid, Vec<u8>, i64)> =
            on!(self, |c| sqlx::query_as(LIST_LANDINGS).bind(project.0).bind(fix.0).fetch_all(c))?;
        let landed = |(environment, deploy, sha, at): (String, Uuid, Vec<u8>, i64)| {
            let sha = sha_of(&sha, "fix_landings", fix.0)?;
            Ok(Landed { environment, deploy, sha, at: Timestamp::from_micros(at) })
        };
        rows.into_iter().map(landed).collect()
    }

    /// The fixes that are deployed on an environment.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_landed(
        &mut self,
        project: ProjectId,
        environment: &str,
    ) -> Result<BTreeSet<FixId>, StoreError> {
        let rows: Vec<(Uuid,)> = on!(self, |c| sqlx::query_as(LIST_LANDED)
            .bind(project.0)
            .bind(environment)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(fix,)| FixId(fix)).collect())
    }

    /// Notes that a fix is deployed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_landing(
        &mut self,
        project: ProjectId,
        fix: FixId,
        landed: &Landed,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            sqlx::query(INSERT_LANDING)
                .bind(project.0)
                .bind(fix.0)
                .bind(&landed.environment)
                .bind(landed.deploy)
                .bind(&landed.sha.0[..])
                .bind(landed.at.as_micros())
        )?;
        Ok(())
    }

    /// Notes that a fix is no longer deployed on an environment.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_landing(
        &mut self,
        project: ProjectId,
        fix: FixId,
        environment: &str,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(DELETE_LANDING).bind(project.0).bind(fix.0).bind(environment))?;
        Ok(())
    }
}
