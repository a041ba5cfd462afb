//! What is deployed, and what that means for issues with fixes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::answers::{Question, answers};
use super::histories::Histories;
use super::rearm;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::containment::Containment;
use crate::domain::deploy::{Deploy, DeployStatus, Outcome};
use crate::domain::effect::Subject;
use crate::domain::fix::{Answer, FixId, FixState, Problem, Unknown};
use crate::domain::id::{IssueId, ProjectItemId};
use crate::domain::lifecycle::{ACTOR, Change, Landing, Note};
use crate::domain::lock::{Lock, LockFilter, Released};
use crate::domain::project::{Environment, Project};
use crate::domain::repository::RepositoryId;
use crate::domain::time::Timestamp;
use crate::journal::{MOST_RACES, note, plan};
use crate::store::deploy::Deployed;
use crate::store::fix::{Current, Kind, Landed};
use crate::store::{StoreError, Tx};

/// What a deploy means for fixes that nobody can tell of yet is looked at again after this.
const AGAIN: Duration = Duration::from_mins(1);

/// What a deploy means is looked at again for so long.
const GIVE_UP_AFTER: Duration = Duration::from_hours(7 * 24);

/// What is deployed on an environment now: what ended last, even if the clock was set back since.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn deployed(
    tx: &mut Tx,
    project: &Project,
    environment: &str,
) -> Result<Deployed, StoreError> {
    let repositories: Vec<RepositoryId> =
        tx.list_repositories(project.id).await?.into_iter().map(|one| one.id).collect();
    let ever = Timestamp::from_micros(i64::MAX);
    tx.deployed_at(project.id, environment, &repositories, ever).await
}

/// Looks at all that is deployed for one issue, as if it had just been deployed.
///
/// # Errors
/// [`RepositoryError`].
pub async fn look_at(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    issue: IssueId,
) -> Result<(), RepositoryError> {
    let current = {
        let mut tx = repositories.store().read().await?;
        tx.list_fixes_of(project.id, &[issue]).await?.remove(&issue)
    };
    let Some(current) = current else { return Ok(()) };
    let mut is_all = true;
    for environment in &project.environments {
        let (deployed, current) = {
            let mut tx = repositories.store().read().await?;
            let deployed = deployed(&mut tx, project, &environment.name).await?;
            // The environment before may have changed it.
            (deployed, tx.list_fixes_of(project.id, &[issue]).await?)
        };
        let fixes: Vec<Current> = current.into_values().collect();
        is_all &= land(repositories, histories, project, (environment, &deployed, None), fixes)
            .await?
            .is_all;
    }
    // What nobody has is looked for until it is there; and what could not be told comes again.
    if is_all && current.fix.problem != Some(Problem::UnknownCommit) {
        let mut tx = repositories.store().write().await?;
        tx.look_at_fix(project.id, current.fix.id, None).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Sees to what a deploy means for issues, and notes what it did.
///
/// # Errors
/// [`RepositoryError`]; it is tried again then.
pub async fn settle_deploy(
    repositories: &Repositories,
    project: &Project,
    deploy: &Deploy,
) -> Result<Outcome, RepositoryError> {
    let mut outcome = Outcome::default();
    let mut again_at = None;
    if let Some(environment) = project.environment(&deploy.environment)
        && deploy.status == DeployStatus::Succeeded
    {
        let histories = Histories::load(repositories, project.id).await?;
        let (deployed, fixes) = {
            let mut tx = repositories.store().read().await?;
            let deployed = deployed(&mut tx, project, &environment.name).await?;
            (deployed, tx.list_fixes(project.id).await?)
        };
        if !fixes.is_empty() && !histories.knows(&deployed.build) {
            histories.wish_for_fetch(repositories);
        }
        let there = (environment, &deployed, Some(deploy.id));
        let done = land(repositories, &histories, project, there, fixes).await?;
        outcome = done.outcome;
        let now = repositories.now();
        let is_hopeful = now.since(deploy.started_at) < GIVE_UP_AFTER;
        again_at = (!done.is_all && is_hopeful).then(|| now.plus(AGAIN));
    }
    let mut tx = repositories.store().write().await?;
    // Somebody else may have done a part of it at the same time.
    let known = tx.hold_deploy(deploy.id).await?.and_then(|deploy| deploy.outcome);
    let outcome = known.unwrap_or_default().with(outcome);
    tx.set_outcome(deploy.id, &outcome, again_at).await?;
    let (id, subject) = (deploy.id, Subject::Deploy(deploy.id.id));
    plan(&mut tx, repositories.clock(), id.project, subject, None).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// What was done, and whether all of it could be.
#[derive(Debug, Default)]
struct Done {
    outcome: Outcome,
    is_all: bool,
}

/// Lands fixes on an environment; what that does is noted with a deploy, if one is asked about.
async fn land(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    (environment, deployed, asked): (&Environment, &Deployed, Option<ProjectItemId>),
    fixes: Vec<Current>,
) -> Result<Done, RepositoryError> {
    let mut done = Done { is_all: true, ..Done::default() };
    let Some(last) = &deployed.last else { return Ok(done) };
    let counts = |one: &Current| {
        one.state != FixState::Failed && one.fix.is_told_by(|id| deployed.deploys.get(&id))
    };
    let fixes: Vec<Current> = fixes.into_iter().filter(counts).collect();
    if fixes.is_empty() {
        return Ok(done);
    }
    let (landed, locked) = {
        let mut tx = repositories.store().read().await?;
        let landed = tx.list_landed(project.id, &environment.name).await?;
        let filter = (LockFilter::Active, repositories.now());
        let most = (uuid::Uuid::nil(), i64::MAX);
        let locks = tx.list_locks(project.id, &environment.name, filter, most).await?;
        let locked: BTreeSet<IssueId> = locks.iter().filter_map(Lock::issue).collect();
        (landed, locked)
    };
    let questions: Vec<Question> =
        fixes.iter().map(|one| Question::of(&one.fix, Kind::Fix)).collect();
    let said = answers(repositories, histories, project.id, &deployed.build, &questions).await?;
    let completes = project.completes_in(&environment.name);
    for one in fixes {
        let Some(answer) = said.get(&one.fix.id) else { continue };
        let was_there = landed.contains(&one.fix.id);
        let is_due = match answer.containment {
            Containment::Contained { .. } => {
                let is_complete = one.is_complete && one.state == FixState::Standing;
                let is_doubted = one.fix.problem == Some(Problem::Conflicted);
                !was_there
                    || (completes && !is_complete)
                    || is_doubted
                    || locked.contains(&one.fix.issue)
            }
            Containment::Absent | Containment::Reverted { .. } => was_there,
            Containment::Conflicted { .. } => one.fix.problem.is_none(),
            Containment::Unknown => {
                // The rest is known with another deploy, or once the fix is pushed.
                done.is_all &= answer.unknown != Some(Unknown::BuildNotPushed);
                false
            }
        };
        if is_due {
            let environment = &environment.name;
            let site = Site { project, environment, completes, deployed, last, asked };
            done.is_all &= site.land_one(repositories, one, answer, &mut done.outcome).await?;
        }
    }
    Ok(done)
}

/// Where fixes land.
struct Site<'a> {
    project: &'a Project,
    environment: &'a str,
    completes: bool,
    deployed: &'a Deployed,
    last: &'a Deploy,
    asked: Option<ProjectItemId>,
}

impl Site<'_> {
    /// False when something else is deployed by now, of which the answer says nothing.
    async fn land_one(
        &self,
        repositories: &Repositories,
        current: Current,
        answer: &Answer,
        outcome: &mut Outcome,
    ) -> Result<bool, RepositoryError> {
        for _ in 0..MOST_RACES {
            let mut tx = repositories.store().write().await?;
            let mut did = outcome.clone();
            match self.write(&mut tx, repositories, &current, answer, &mut did).await {
                Ok(is_current) => {
                    tx.commit().await?;
                    *outcome = did;
                    return Ok(is_current);
                }
                Err(StoreError::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Raced.into())
    }

    async fn write(
        &self,
        tx: &mut Tx,
        repositories: &Repositories,
        current: &Current,
        answer: &Answer,
        outcome: &mut Outcome,
    ) -> Result<bool, StoreError> {
        let (project, clock) = (self.project.id, repositories.clock());
        // Whoever lands the same fix waits here, and so does digest.
        tx.lock_issue(project, current.fix.issue).await?;
        let found = tx.find_issue_by_id(self.project, current.fix.issue).await?;
        let Some(mut issue) = found else { return Ok(true) };
        // Another fix by now is another question.
        if issue.state.fix.is_none_or(|fix| fix.id != current.fix.id) {
            return Ok(true);
        }
        // Gates come before locks in every transaction. A deploy that ends waits here.
        tx.raise_gates_at(project, issue.id, self.environment).await?;
        let deployed = deployed(tx, self.project, self.environment).await?;
        let is_last = deployed.last.as_ref().is_some_and(|last| last.id == self.last.id);
        if !is_last || deployed.build != self.deployed.build {
            return Ok(false);
        }
        let landings = tx.list_landings(project, current.fix.id).await?;
        let brought = self.deployed.last_of(&current.fix).unwrap_or(self.last);
        let deploy = brought.id.to_string();
        let landing = Landing {
            environment: self.environment,
            deploy: &deploy,
            at: brought.finished_at.unwrap_or(brought.started_at),
            completes: self.completes,
            was_there: landings.iter().any(|one| one.environment == self.environment),
            answer,
        };
        let before = issue.state.clone();
        let (state, noted, changes) = issue.state.clone().land(&landing);
        issue.state = state;
        if issue.state != before {
            tx.update_issue_state(&issue).await?;
        }
        self.write_note(tx, current.fix.id, (brought, landing.at), noted).await?;
        for change in changes {
            if matches!(change, Change::ResolvedByDeploy { .. }) {
                outcome.resolved.push(issue.short_id.to_string());
            }
            if matches!(change, Change::FixTakenBack { .. }) {
                outcome.taken_back.push(issue.short_id.to_string());
            }
            note(tx, clock, project, issue.id, change, ACTOR).await?;
        }
        self.write_problem(tx, repositories, current, answer).await?;
        if answer.containment.is_contained() {
            for lock in tx.list_locks_of(project, issue.id).await? {
                if lock.environment != self.environment || lock.released.is_some() {
                    continue;
                }
                let reason = answer.about(self.environment).to_string();
                let released = Released {
                    at: clock.now(),
                    by: ACTOR.to_owned(),
                    reason: reason.clone(),
                    fix: Some(current.fix.id),
                };
                tx.release_lock(lock.id, &released).await?;
                let id = lock.id.to_string();
                let environment = lock.environment;
                let change = Change::Unlocked { environment, lock: id.clone(), reason };
                note(tx, clock, project, issue.id, change, ACTOR).await?;
                outcome.released_locks.push(id);
            }
        }
        if noted == Note::Ends {
            rearm::locks(tx, clock, project, issue.id, Some(self.environment)).await?;
        }
        // With what it is about, so that a stop in the middle forgets neither.
        let mut deploy = self.asked;
        if deploy.is_none() && !tx.is_deploy_settled(self.last.id).await? {
            // Whoever ends it sees to the rest at this moment.
            deploy = Some(self.last.id);
        }
        if let Some(deploy) = deploy {
            tx.add_deploy_outcome(deploy, outcome.clone()).await?;
        }
        Ok(true)
    }

    async fn write_note(
        &self,
        tx: &mut Tx,
        fix: FixId,
        (brought, at): (&Deploy, Timestamp),
        noted: Note,
    ) -> Result<(), StoreError> {
        let project = self.project.id;
        match noted {
            Note::Stays => Ok(()),
            Note::Ends => tx.delete_landing(project, fix, self.environment).await,
            Note::Begins => {
                let environment = self.environment.to_owned();
                let landed = Landed { environment, deploy: brought.id.id, sha: brought.sha, at };
                tx.insert_landing(project, fix, &landed).await
            }
        }
    }

    /// A conflict is noted, and forgotten once there is none; so is that a fix was seen in a release,
    /// once a later deploy has it.
    async fn write_problem(
        &self,
        tx: &mut Tx,
        repositories: &Repositories,
        current: &Current,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        let problem = match answer.containment {
            Containment::Conflicted { .. } => Some(Problem::Conflicted),
            Containment::Contained { .. } => None,
            Containment::Absent | Containment::Reverted { .. } | Containment::Unknown => {
                return Ok(());
            }
        };
        let Some((fix, _)) = tx.find_fix(self.project.id, current.fix.id).await? else {
            return Ok(());
        };
        // What must be seen to first stays so until it is.
        let is_worse = match fix.problem {
            Some(Problem::UnknownCommit) => true,
            Some(Problem::SeenInRelease) => problem.is_some(),
            Some(Problem::Conflicted) | None => false,
        };
        if problem == fix.problem || is_worse {
            return Ok(());
        }
        let fix = crate::domain::fix::Fix { problem, ..fix };
        tx.update_fix(self.project.id, &fix).await?;
        let change = Change::FixProblem { problem };
        note(tx, repositories.clock(), self.project.id, fix.issue, change, ACTOR).await
    }
}
