//! Deploys.

use std::collections::BTreeMap;

use sqlx::FromRow;
use uuid::Uuid;

use super::error::StoreError;
use super::fix::sha_of;
use super::tx::{Tx, execute, on, statements};
use crate::domain::build::Build;
use crate::domain::deploy::{Deploy, DeployStatus, NewDeploy, Outcome};
use crate::domain::fix::Fix;
use crate::domain::freeze::DeployTimes;
use crate::domain::id::{ProjectId, ProjectItemId};
use crate::domain::repository::RepositoryId;
use crate::domain::time::Timestamp;

#[derive(FromRow)]
struct DeployRow {
    project_id: i64,
    id: Uuid,
    number: i64,
    environment: String,
    repository_id: Option<Uuid>,
    sha: Vec<u8>,
    version: Option<String>,
    url: Option<String>,
    run_by: String,
    status: String,
    is_gated: bool,
    override_reason: Option<String>,
    gate: Option<String>,
    lease_seconds: i64,
    lease_until: Option<i64>,
    started_at: i64,
    finished_at: Option<i64>,
    exit_code: Option<i64>,
    n_output: i64,
    output_gone_at: Option<i64>,
    outcome: Option<String>,
}

impl DeployRow {
    fn deploy(self) -> Result<Deploy, StoreError> {
        let id = self.id;
        let corrupt = |column| StoreError::corrupt("deploys", column, id);
        let gate = self.gate.map(|gate| serde_json::from_str(&gate)).transpose();
        let outcome = self.outcome.map(|outcome| serde_json::from_str(&outcome)).transpose();
        Ok(Deploy {
            id: ProjectItemId { project: ProjectId(self.project_id), id },
            number: self.number,
            environment: self.environment,
            repository: self.repository_id.map(RepositoryId),
            sha: sha_of(&self.sha, "deploys", id)?,
            version: self.version,
            url: self.url,
            by: self.run_by,
            status: DeployStatus::parse(&self.status).ok_or_else(|| corrupt("status"))?,
            is_gated: self.is_gated,
            override_reason: self.override_reason,
            gate: gate.map_err(|_| corrupt("gate"))?,
            lease_seconds: u32::try_from(self.lease_seconds)
                .map_err(|_| corrupt("lease_seconds"))?,
            lease_until: self.lease_until.map(Timestamp::from_micros),
            started_at: Timestamp::from_micros(self.started_at),
            finished_at: self.finished_at.map(Timestamp::from_micros),
            exit_code: self.exit_code.and_then(|code| i32::try_from(code).ok()),
            n_output: self.n_output.unsigned_abs(),
            output_gone_at: self.output_gone_at.map(Timestamp::from_micros),
            outcome: outcome.map_err(|_| corrupt("outcome"))?,
        })
    }
}

/// What is deployed on an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployed {
    /// Its commits.
    pub build: Build,
    /// The deploy that ended last.
    pub last: Option<Deploy>,
    /// The deploy of each repository that ended last.
    pub deploys: BTreeMap<RepositoryId, Deploy>,
}

impl Deployed {
    /// The deploy that ended last of those of a fix's repositories.
    #[must_use]
    pub fn last_of(&self, fix: &Fix) -> Option<&Deploy> {
        let repositories = fix.commits.iter().filter_map(|commit| commit.repository);
        let deploys = repositories.filter_map(|repository| self.deploys.get(&repository));
        deploys.max_by_key(|deploy| (deploy.finished_at, deploy.number))
    }
}

macro_rules! columns {
    () => {
        "project_id, id, number, environment, repository_id, sha, version, url, run_by, status,
        is_gated, override_reason, gate, lease_seconds, lease_until, started_at, finished_at,
        exit_code, n_output, output_gone_at, outcome"
    };
}
macro_rules! select {
    ($condition:literal) => {
        concat!("SELECT ", columns!(), " FROM deploys WHERE project_id = $1 AND ", $condition)
    };
}
const FIND: &str = select!("id = $2");
const FIND_BY_KEY: &str = select!("key = $2");
const FIND_RUNNING: &str = select!("environment = $2 AND status = 'running'");
const LIST: &str = select!("number < $2 ORDER BY number DESC LIMIT $3");
const LIST_OF: &str = select!("environment = $4 AND number < $2 ORDER BY number DESC LIMIT $3");
const LIST_OF_RELEASE: &str = select!("version = $2 ORDER BY number DESC LIMIT $3");
/// Without what the gate said, which may be long.
macro_rules! select_brief {
    ($condition:literal) => {
        concat!(
            "SELECT project_id, id, number, environment, repository_id, sha, version, url, run_by,
                status, is_gated, override_reason, CAST(NULL AS TEXT) AS gate, lease_seconds,
                lease_until, started_at, finished_at, exit_code, n_output, output_gone_at, outcome
            FROM deploys WHERE project_id = $1 AND ",
            $condition
        )
    };
}
const FIND_DEPLOYED: &str = select_brief!(
    "environment = $2 AND repository_id = $3 AND status = 'succeeded' AND finished_at <= $4
    ORDER BY finished_at DESC, number DESC LIMIT 1"
);
const FIND_LAST: &str = select_brief!(
    "environment = $2 AND status = 'succeeded' AND finished_at <= $3
    ORDER BY finished_at DESC, number DESC LIMIT 1"
);
const FIND_LAST_START: &str = "SELECT started_at FROM deploys
    WHERE project_id = $1 AND environment = $2 ORDER BY started_at DESC LIMIT 1";
const LIST_TIMES: &str = "SELECT started_at, finished_at FROM deploys
    WHERE project_id = $1 AND environment = $2 AND started_at >= $3 ORDER BY started_at";
const LIST_ENDS: &str = "SELECT finished_at FROM deploys
    WHERE project_id = $1 AND environment = $2 AND status = 'succeeded' AND finished_at > $3
        AND finished_at <= $4 ORDER BY finished_at DESC LIMIT $5";
const INSERT: &str = "INSERT INTO deploys (project_id, id, number, environment, repository_id, sha,
        version, url, run_by, status, is_gated, override_reason, gate, lease_seconds, lease_until,
        started_at, finished_at, exit_code, n_output, settle_at, key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0,
        $19, $20)";
const TAKE_NUMBER: &str = "INSERT INTO project_counters (project_id, name, value)
    VALUES ($1, 'deploy_number', 1) ON CONFLICT (project_id, name)
    DO UPDATE SET value = project_counters.value + 1 RETURNING value";
/// Whatever the clock says now, it did not end before it started.
const LOSE: &str = "UPDATE deploys SET status = 'lost', lease_until = NULL,
        finished_at = CASE WHEN started_at > $3 THEN started_at ELSE $3 END
    WHERE project_id = $1 AND id = $2 AND status = 'running'";
const FINISH: &str = "UPDATE deploys SET status = $3, exit_code = $4, finished_at = $5,
        lease_until = NULL, settle_at = $6
    WHERE project_id = $1 AND id = $2 AND status IN ('running', 'lost')";
const RENEW: &str = "UPDATE deploys SET lease_until = $3
    WHERE project_id = $1 AND id = $2 AND status = 'running'";
const SETTLE_AT: &str = "UPDATE deploys SET settle_at = $3 WHERE project_id = $1 AND id = $2";
/// Writes nothing new, but holds the row.
const HOLD: &str = "UPDATE deploys SET status = status WHERE project_id = $1 AND id = $2";
const ADD_OUTCOME: &str = "UPDATE deploys SET outcome = $3 WHERE project_id = $1 AND id = $2";
const FIND_SETTLED: &str = "SELECT number FROM deploys
    WHERE project_id = $1 AND id = $2 AND outcome IS NOT NULL AND settle_at IS NULL";
const SET_OUTCOME: &str = "UPDATE deploys SET outcome = $3, settle_at = $4
    WHERE project_id = $1 AND id = $2";
const LIST_TO_SETTLE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM deploys WHERE settle_at IS NOT NULL AND settle_at <= $1
    ORDER BY settle_at, project_id, number LIMIT 100"
);
const LIST_LOST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM deploys WHERE status = 'running' AND lease_until <= $1
    ORDER BY project_id, id LIMIT 100"
);

statements!(
    FIND,
    FIND_BY_KEY,
    FIND_RUNNING,
    LIST,
    LIST_OF,
    LIST_OF_RELEASE,
    FIND_DEPLOYED,
    FIND_LAST,
    FIND_LAST_START,
    LIST_TIMES,
    LIST_ENDS,
    INSERT,
    TAKE_NUMBER,
    FINISH,
    LOSE,
    RENEW,
    SETTLE_AT,
    HOLD,
    ADD_OUTCOME,
    FIND_SETTLED,
    SET_OUTCOME,
    LIST_TO_SETTLE,
    LIST_LOST,
);

impl Tx {
    /// A deploy.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_deploy(&mut self, id: ProjectItemId) -> Result<Option<Deploy>, StoreError> {
        let row: Option<DeployRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(id.project.0).bind(id.id).fetch_optional(c))?;
        row.map(DeployRow::deploy).transpose()
    }

    /// The deploy that was asked for with a key.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_deploy_by_key(
        &mut self,
        project: ProjectId,
        key: &str,
    ) -> Result<Option<Deploy>, StoreError> {
        let row: Option<DeployRow> =
            on!(self, |c| sqlx::query_as(FIND_BY_KEY).bind(project.0).bind(key).fetch_optional(c))?;
        row.map(DeployRow::deploy).transpose()
    }

    /// The deploy that has the slot of an environment, even if its lease is over.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_running_deploy(
        &mut self,
        project: ProjectId,
        environment: &str,
    ) -> Result<Option<Deploy>, StoreError> {
        let row: Option<DeployRow> = on!(self, |c| sqlx::query_as(FIND_RUNNING)
            .bind(project.0)
            .bind(environment)
            .fetch_optional(c))?;
        row.map(DeployRow::deploy).transpose()
    }

    /// Deploys of a project, or of one environment of it, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_deploys(
        &mut self,
        project: ProjectId,
        environment: Option<&str>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Deploy>, StoreError> {
        let rows: Vec<DeployRow> = match environment {
            Some(environment) => on!(self, |c| sqlx::query_as(LIST_OF)
                .bind(project.0)
                .bind(before)
                .bind(limit)
                .bind(environment)
                .fetch_all(c))?,
            None => on!(self, |c| sqlx::query_as(LIST)
                .bind(project.0)
                .bind(before)
                .bind(limit)
                .fetch_all(c))?,
        };
        rows.into_iter().map(DeployRow::deploy).collect()
    }

    /// The latest deploys of a release.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_deploys_of_release(
        &mut self,
        project: ProjectId,
        version: &str,
        limit: i64,
    ) -> Result<Vec<Deploy>, StoreError> {
        let rows: Vec<DeployRow> = on!(self, |c| sqlx::query_as(LIST_OF_RELEASE)
            .bind(project.0)
            .bind(version)
            .bind(limit)
            .fetch_all(c))?;
        rows.into_iter().map(DeployRow::deploy).collect()
    }

    /// The deploy of an environment that succeeded last.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_last_deploy(
        &mut self,
        project: ProjectId,
        environment: &str,
    ) -> Result<Option<Deploy>, StoreError> {
        let row: Option<DeployRow> = on!(self, |c| sqlx::query_as(FIND_LAST)
            .bind(project.0)
            .bind(environment)
            .bind(i64::MAX)
            .fetch_optional(c))?;
        row.map(DeployRow::deploy).transpose()
    }

    /// When the deploy of an environment started that started last.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_last_start(
        &mut self,
        project: ProjectId,
        environment: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(i64,)> = on!(self, |c| sqlx::query_as(FIND_LAST_START)
            .bind(project.0)
            .bind(environment)
            .fetch_optional(c))?;
        Ok(row.map(|(at,)| Timestamp::from_micros(at)))
    }

    /// What was deployed on an environment at a time, of these repositories.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn deployed_at(
        &mut self,
        project: ProjectId,
        environment: &str,
        repositories: &[RepositoryId],
        at: Timestamp,
    ) -> Result<Deployed, StoreError> {
        let last: Option<DeployRow> = on!(self, |c| sqlx::query_as(FIND_LAST)
            .bind(project.0)
            .bind(environment)
            .bind(at.as_micros())
            .fetch_optional(c))?;
        let Some(last) = last else { return Ok(Deployed::default()) };
        let last = last.deploy()?;
        let mut deploys = BTreeMap::new();
        for repository in repositories {
            if last.repository == Some(*repository) {
                deploys.insert(*repository, last.clone());
                continue;
            }
            let row: Option<DeployRow> = on!(self, |c| sqlx::query_as(FIND_DEPLOYED)
                .bind(project.0)
                .bind(environment)
                .bind(repository.0)
                .bind(at.as_micros())
                .fetch_optional(c))?;
            if let Some(row) = row {
                deploys.insert(*repository, row.deploy()?);
            }
        }
        let build = Build(deploys.iter().map(|(id, deploy)| (*id, deploy.sha)).collect());
        Ok(Deployed { build, last: Some(last), deploys })
    }

    /// When deploys of an environment succeeded, after one time and not after another, the latest
    /// first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_deploy_ends(
        &mut self,
        project: ProjectId,
        environment: &str,
        (after, until): (Timestamp, Timestamp),
        limit: i64,
    ) -> Result<Vec<Timestamp>, StoreError> {
        let rows: Vec<(i64,)> = on!(self, |c| sqlx::query_as(LIST_ENDS)
            .bind(project.0)
            .bind(environment)
            .bind(after.as_micros())
            .bind(until.as_micros())
            .bind(limit)
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(at,)| Timestamp::from_micros(at)).collect())
    }

    /// When deploys of an environment ran that started at a time or later.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_deploy_times(
        &mut self,
        project: ProjectId,
        environment: &str,
        since: Timestamp,
    ) -> Result<Vec<DeployTimes>, StoreError> {
        let rows: Vec<(i64, Option<i64>)> = on!(self, |c| sqlx::query_as(LIST_TIMES)
            .bind(project.0)
            .bind(environment)
            .bind(since.as_micros())
            .fetch_all(c))?;
        let times = |(started, ended): (i64, Option<i64>)| DeployTimes {
            started_at: Timestamp::from_micros(started),
            ended_at: ended.map(Timestamp::from_micros),
        };
        Ok(rows.into_iter().map(times).collect())
    }

    /// The number of the next deploy of a project. Whoever asks next waits for this transaction.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn take_deploy_number(&mut self, project: ProjectId) -> Result<i64, StoreError> {
        let (number,): (i64,) =
            on!(self, |c| sqlx::query_as(TAKE_NUMBER).bind(project.0).fetch_one(c))?;
        Ok(number)
    }

    /// Adds a deploy, and when it is to be seen what it means for issues.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when another has the slot, or its key.
    pub async fn insert_deploy(
        &mut self,
        new: &NewDeploy,
        key: Option<&str>,
        settle_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let deploy = new.deploy();
        let gate = deploy.gate.as_ref().map(super::rows::to_json);
        let inserted = execute!(
            self,
            sqlx::query(INSERT)
                .bind(deploy.id.project.0)
                .bind(deploy.id.id)
                .bind(deploy.number)
                .bind(&deploy.environment)
                .bind(deploy.repository.map(|repository| repository.0))
                .bind(&deploy.sha.0[..])
                .bind(&deploy.version)
                .bind(&deploy.url)
                .bind(&deploy.by)
                .bind(deploy.status.as_str())
                .bind(deploy.is_gated)
                .bind(&deploy.override_reason)
                .bind(&gate)
                .bind(i64::from(deploy.lease_seconds))
                .bind(deploy.lease_until.map(Timestamp::as_micros))
                .bind(deploy.started_at.as_micros())
                .bind(deploy.finished_at.map(Timestamp::as_micros))
                .bind(deploy.exit_code.map(i64::from))
                .bind(settle_at.map(Timestamp::as_micros))
                .bind(key)
        );
        match inserted.map_err(StoreError::from) {
            Ok(_) => Ok(()),
            Err(StoreError::Taken("the environment's slot")) => Err(StoreError::Raced),
            Err(error) => Err(error),
        }
    }

    /// Ends a deploy that runs or was lost, and says when it is to be seen what that means; false when
    /// it had ended already.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn finish_deploy(
        &mut self,
        deploy: &Deploy,
        settle_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let has_succeeded = deploy.status == DeployStatus::Succeeded;
        let settle_at = has_succeeded.then_some(settle_at.as_micros());
        let n_rows = execute!(
            self,
            sqlx::query(FINISH)
                .bind(deploy.id.project.0)
                .bind(deploy.id.id)
                .bind(deploy.status.as_str())
                .bind(deploy.exit_code.map(i64::from))
                .bind(deploy.finished_at.map(Timestamp::as_micros))
                .bind(settle_at)
        )?;
        Ok(n_rows == 1)
    }

    /// Notes that a deploy is lost, or was given up; false when it had ended already.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn lose_deploy(
        &mut self,
        id: ProjectItemId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(execute!(self, sqlx::query(LOSE).bind(id.project.0).bind(id.id).bind(now.as_micros()))?
            == 1)
    }

    /// Renews the lease of a deploy; false when it does not run any more.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn renew_deploy(
        &mut self,
        id: ProjectItemId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(execute!(
            self,
            sqlx::query(RENEW).bind(id.project.0).bind(id.id).bind(until.as_micros())
        )? == 1)
    }

    /// Looks at a time again what a deploy means for issues.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn settle_deploy_at(
        &mut self,
        id: ProjectItemId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(SETTLE_AT).bind(id.project.0).bind(id.id).bind(at.as_micros()))?;
        Ok(())
    }

    /// A deploy that nobody else changes until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn hold_deploy(&mut self, id: ProjectItemId) -> Result<Option<Deploy>, StoreError> {
        execute!(self, sqlx::query(HOLD).bind(id.project.0).bind(id.id))?;
        self.find_deploy(id).await
    }

    /// Notes what a deploy did so far, beside what is noted; there may be more to do for it.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn add_deploy_outcome(
        &mut self,
        id: ProjectItemId,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let known = self.hold_deploy(id).await?.and_then(|deploy| deploy.outcome);
        let outcome = super::rows::to_json(&known.unwrap_or_default().with(outcome));
        execute!(self, sqlx::query(ADD_OUTCOME).bind(id.project.0).bind(id.id).bind(&outcome))?;
        Ok(())
    }

    /// Whether all is done that a deploy means for issues.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn is_deploy_settled(&mut self, id: ProjectItemId) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = on!(self, |c| sqlx::query_as(FIND_SETTLED)
            .bind(id.project.0)
            .bind(id.id)
            .fetch_optional(c))?;
        Ok(row.is_some())
    }

    /// Notes what a deploy did, and when to look again; never when nothing is left to do for it.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_outcome(
        &mut self,
        id: ProjectItemId,
        outcome: &Outcome,
        again_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let outcome = super::rows::to_json(outcome);
        execute!(
            self,
            sqlx::query(SET_OUTCOME)
                .bind(id.project.0)
                .bind(id.id)
                .bind(&outcome)
                .bind(again_at.map(Timestamp::as_micros))
        )?;
        Ok(())
    }

    /// Deploys of which it is due to see what they mean for issues, of all projects.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_deploys_to_settle(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<Deploy>, StoreError> {
        let rows: Vec<DeployRow> =
            on!(self, |c| sqlx::query_as(LIST_TO_SETTLE).bind(now.as_micros()).fetch_all(c))?;
        rows.into_iter().map(DeployRow::deploy).collect()
    }

    /// Deploys that run and were not heard of for longer than their lease, of all projects.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_lost_deploys(&mut self, now: Timestamp) -> Result<Vec<Deploy>, StoreError> {
        let rows: Vec<DeployRow> =
            on!(self, |c| sqlx::query_as(LIST_LOST).bind(now.as_micros()).fetch_all(c))?;
        rows.into_iter().map(DeployRow::deploy).collect()
    }
}
