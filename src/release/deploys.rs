//! Deploys: started through the gate, or recorded when they are over.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::fixes::{FixError, NamedCommit, locate};
use super::gate::{Asked, ask};
use super::histories::Histories;
use super::repositories::{Repositories, RepositoryError};
use super::{landing, releases};
use crate::clock::Clock;
use crate::domain::build::Build;
use crate::domain::commit::{Sha, ShaPrefix};
use crate::domain::deploy::{
    Deploy, DeployStatus, InvalidDeploy, MOST_OUTPUT_BYTES, NewDeploy, Origin, Outcome, Over, Wish,
    ended_at, times,
};
use crate::domain::effect::Subject;
use crate::domain::gate::{Answered, Pass};
use crate::domain::id::{ProjectId, ProjectItemId};
use crate::domain::lock::LockFilter;
use crate::domain::project::{Environment, Project};
use crate::domain::repository::RepositoryId;
use crate::domain::scrub::Scrubber;
use crate::domain::time::Timestamp;
use crate::journal::plan;
use crate::store::lock::LockComment;
use crate::store::{StoreError, Tx};

/// A verdict is made anew this often when what it was made on changes meanwhile.
const MOST_JUDGEMENTS: usize = 3;

/// Whoever ends a deploy sees to what it means; if that is cut off, it is done after this.
const SETTLE_AFTER: Duration = Duration::from_secs(30);

/// What a deploy did in spite of locks is told on at most so many of their tasks.
const MOST_TOLD: i64 = 100;

/// So much of a line that output ended with is looked at again when it goes on, in bytes.
const MOST_BEGUN_BYTES: u64 = 4 * 1024;

/// Why there is no deploy.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// What is wanted makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidDeploy),
    /// The gate says no, or cannot tell.
    #[error("{}", .0.refusal())]
    Refused(Box<Answered>),
    /// It ended otherwise.
    #[error("the deploy has ended as {}", .0.as_str())]
    Ended(DeployStatus),
    /// Output between what is there and this is missing.
    #[error("the deploy has {0} bytes of output: send what follows")]
    Gap(u64),
    /// The commit.
    #[error(transparent)]
    Commit(#[from] FixError),
}

impl From<StoreError> for DeployError {
    fn from(error: StoreError) -> Self {
        Self::Commit(error.into())
    }
}

impl From<RepositoryError> for DeployError {
    fn from(error: RepositoryError) -> Self {
        Self::Commit(error.into())
    }
}

/// The environments whose gates change with a deploy: its own, and those with freezes that wait for
/// it. In the order in which everybody takes them.
async fn gates(
    tx: &mut Tx,
    project: ProjectId,
    environment: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let mut names: BTreeSet<String> =
        tx.list_frozen_for(project, environment).await?.into_iter().collect();
    names.insert(environment.to_owned());
    Ok(names)
}

/// Raises the gates that change with a deploy; gives the version of its own.
async fn raise(tx: &mut Tx, project: ProjectId, environment: &str) -> Result<i64, StoreError> {
    let mut own = 0;
    for name in gates(tx, project, environment).await? {
        let version = tx.raise_gate(project, &name).await?;
        if name == environment {
            own = version;
        }
    }
    Ok(own)
}

/// Starts a deploy, if the gate lets it.
///
/// # Errors
/// [`DeployError::Refused`] with the verdict.
pub async fn start(
    repositories: &Repositories,
    asked: &Asked<'_>,
    wish: Wish,
    actor: &str,
) -> Result<Deploy, DeployError> {
    wish.check()?;
    let mut last = None;
    let same = (asked.project.id, asked.environment.name.as_str(), asked.commit);
    for _ in 0..MOST_JUDGEMENTS {
        if let Some(known) = asked_before(repositories, same, &wish).await? {
            return Ok(known);
        }
        let answered = ask(repositories, asked).await?;
        let unsure = answered.clone();
        let pass = match answered.pass(wish.override_reason.clone()) {
            Ok(pass) => pass,
            Err(refused) => {
                // The same may have been asked for at the same time, and runs now.
                let known = asked_before(repositories, same, &wish).await?;
                return known.ok_or(DeployError::Refused(refused));
            }
        };
        if pass.repository.is_none() {
            let known = repositories.list(asked.project.id).await?;
            if known.len() > 1 {
                return Err(FixError::Unplaced(asked.commit.commit.clone()).into());
            }
        }
        match take(repositories, asked, &wish, pass, actor).await {
            Ok(deploy) => return Ok(deploy),
            Err(StoreError::Raced) => last = Some(unsure),
            Err(error) => return Err(error.into()),
        }
    }
    let answered = last.ok_or(StoreError::Raced)?;
    Err(DeployError::Refused(Box::new(answered.unsettled())))
}

/// The deploy that was asked for with the same key: an answer may have been lost.
async fn asked_before(
    repositories: &Repositories,
    (project, environment, commit): (ProjectId, &str, &NamedCommit),
    wish: &Wish,
) -> Result<Option<Deploy>, DeployError> {
    let Some(key) = &wish.key else { return Ok(None) };
    let found = repositories.store().read().await?.find_deploy_by_key(project, key).await?;
    let Some(known) = found else { return Ok(None) };
    let prefix = commit.commit.parse::<ShaPrefix>();
    if known.environment != environment || !prefix.is_ok_and(|prefix| prefix.is_of(&known.sha)) {
        return Err(InvalidDeploy::KeyOfAnother(known.number).into());
    }
    Ok(Some(known))
}

/// Takes the slot, if nothing changed since the gate was asked.
///
/// # Errors
/// [`StoreError::Raced`] when something did: the pass is worth nothing any more.
pub async fn take(
    repositories: &Repositories,
    asked: &Asked<'_>,
    wish: &Wish,
    pass: Pass,
    actor: &str,
) -> Result<Deploy, StoreError> {
    let (project, environment) = (asked.project.id, asked.environment.name.as_str());
    let now = repositories.now();
    let mut tx = repositories.store().write().await?;
    let is_as_judged = raise(&mut tx, project, environment).await? == pass.gate_version() + 1;
    // What begins or ends by the clock alone raises nothing.
    let is_over = pass.judgement.next_change_at.is_some_and(|at| at <= now);
    if !is_as_judged || is_over {
        return Err(StoreError::Raced);
    }
    if let Some(running) = tx.find_running_deploy(project, environment).await? {
        // Held: it may be heard of at this very moment.
        let held = tx.hold_deploy(running.id).await?;
        if held.is_some_and(|deploy| deploy.is_holding(now)) {
            return Err(StoreError::Raced);
        }
        lose(&mut tx, repositories.clock(), running.id).await?;
    }
    let last = tx.find_last_deploy(project, environment).await?;
    let origin = Origin {
        id: ProjectItemId { project, id: repositories.clock().id() },
        number: tx.take_deploy_number(project).await?,
        environment,
        wish,
        actor,
    };
    let new = NewDeploy::start(pass, &origin, last.as_ref(), now);
    tx.insert_deploy(&new, wish.key.as_deref(), None).await?;
    let deploy = new.into_deploy();
    if let Some(reason) = &deploy.override_reason {
        let text =
            format!("{} overrode the gate for deploy {}: {reason}", deploy.by, deploy.number);
        tell_locks(&mut tx, repositories, (&deploy, None), text, actor).await?;
    }
    plan_task(&mut tx, repositories.clock(), deploy.id).await?;
    tx.commit().await?;
    Ok(deploy)
}

/// Has the task of a deploy looked at.
async fn plan_task(tx: &mut Tx, clock: &Clock, id: ProjectItemId) -> Result<(), StoreError> {
    plan(tx, clock, id.project, Subject::Deploy(id.id), None).await
}

/// A deploy that nobody heard of is lost.
async fn lose(tx: &mut Tx, clock: &Clock, id: ProjectItemId) -> Result<(), StoreError> {
    tx.lose_deploy(id, clock.now()).await?;
    plan_task(tx, clock, id).await
}

/// Notes something on every lock that a deploy passed: those that stand, or stood when it started.
/// What it passed just now, and is no issue's, is told on its task as well.
async fn tell_locks(
    tx: &mut Tx,
    repositories: &Repositories,
    (deploy, stood_at): (&Deploy, Option<Timestamp>),
    text: String,
    actor: &str,
) -> Result<(), StoreError> {
    let clock = repositories.clock();
    let comment = LockComment { at: clock.now(), actor: actor.to_owned(), text };
    let (project, environment) = (deploy.id.project, deploy.environment.as_str());
    tx.insert_lock_comments((project, environment), clock.id(), &comment, stood_at).await?;
    if stood_at.is_some() {
        return Ok(());
    }
    let (filter, most) = ((LockFilter::Active, clock.now()), (Uuid::nil(), MOST_TOLD));
    for lock in tx.list_locks(project, environment, filter, most).await? {
        if lock.issue().is_none() {
            let said = Some(comment.text.clone());
            plan(tx, clock, project, Subject::Lock(lock.id.id), said).await?;
        }
    }
    Ok(())
}

/// Records a deploy that is over, without asking the gate.
///
/// # Errors
/// [`DeployError`].
pub async fn record(
    repositories: &Repositories,
    (project, environment): (&Project, &Environment),
    commit: &NamedCommit,
    wish: Wish,
    over: Over,
    actor: &str,
) -> Result<Deploy, DeployError> {
    wish.check()?;
    let same = (project.id, environment.name.as_str(), commit);
    if let Some(known) = asked_before(repositories, same, &wish).await? {
        return over_at_last(repositories, project, known, over).await;
    }
    let now = repositories.now();
    times(over.started_at, over.finished_at, now)?;
    let mut histories = Histories::load(repositories, project.id).await?;
    let (repository, sha) = locate(repositories, &mut histories, project, commit).await?;
    if repository.is_none() && histories.repositories.len() > 1 {
        return Err(FixError::Unplaced(commit.commit.clone()).into());
    }
    let by = wish.by.as_deref().unwrap_or(actor);
    let told = (wish.version.as_deref(), repository, sha);
    register(repositories, project.id, told, over, by).await?;
    let mut tx = repositories.store().write().await?;
    raise(&mut tx, project.id, &environment.name).await?;
    let last = tx.find_last_deploy(project.id, &environment.name).await?;
    let origin = Origin {
        id: ProjectItemId { project: project.id, id: repositories.clock().id() },
        number: tx.take_deploy_number(project.id).await?,
        environment: &environment.name,
        wish: &wish,
        actor,
    };
    let new = NewDeploy::record((repository, sha), &origin, over, last.as_ref(), now)?;
    let settle_at = over.has_succeeded.then(|| now.plus(SETTLE_AFTER));
    match tx.insert_deploy(&new, wish.key.as_deref(), settle_at).await {
        Err(StoreError::Raced) => {
            drop(tx);
            let known = asked_before(repositories, same, &wish).await?;
            let Some(known) = known else { return Err(StoreError::Raced.into()) };
            return over_at_last(repositories, project, known, over).await;
        }
        inserted => inserted?,
    }
    let deploy = new.into_deploy();
    let text = format!("deploy {} was recorded without asking the gate", deploy.number);
    // Without a time it ran just now, past the locks that stand, whatever the clock says.
    let stood_at = over.started_at.or(over.finished_at).map(|_| deploy.started_at);
    tell_locks(&mut tx, repositories, (&deploy, stood_at), text, actor).await?;
    plan_task(&mut tx, repositories.clock(), deploy.id).await?;
    tx.settle_soon(project.id, now).await?;
    tx.commit().await?;
    ended(repositories, project, deploy).await
}

/// A deploy that is recorded and known: the answer to its start was lost, or that to its record.
async fn over_at_last(
    repositories: &Repositories,
    project: &Project,
    known: Deploy,
    over: Over,
) -> Result<Deploy, DeployError> {
    Ok(finish(repositories, project, known.id, over).await?.unwrap_or(known))
}

/// Ends a deploy. The same again gives the same answer.
///
/// # Errors
/// [`DeployError::Ended`] when it ended otherwise.
pub async fn finish(
    repositories: &Repositories,
    project: &Project,
    id: ProjectItemId,
    over: Over,
) -> Result<Option<Deploy>, DeployError> {
    let status = if over.has_succeeded { DeployStatus::Succeeded } else { DeployStatus::Failed };
    let found = repositories.store().read().await?.find_deploy(id).await?;
    let is_open =
        |deploy: &Deploy| matches!(deploy.status, DeployStatus::Running | DeployStatus::Lost);
    if let Some(deploy) = found.filter(is_open) {
        let told = (deploy.version.as_deref(), deploy.repository, deploy.sha);
        register(repositories, id.project, told, over, &deploy.by).await?;
    }
    let mut tx = repositories.store().write().await?;
    let Some(deploy) = hold(&mut tx, id).await? else { return Ok(None) };
    match deploy.status {
        DeployStatus::Running | DeployStatus::Lost => {}
        ended if ended != status => return Err(DeployError::Ended(ended)),
        DeployStatus::Succeeded | DeployStatus::Failed => {
            drop(tx);
            // Whoever ended it may have been cut off before it was seen to.
            return ended_again(repositories, project, deploy).await.map(Some);
        }
    }
    let now = repositories.now();
    let finished_at = ended_at(deploy.started_at, over.finished_at, now);
    let deploy = Deploy {
        status,
        exit_code: over.exit_code,
        finished_at: Some(finished_at),
        lease_until: None,
        ..deploy
    };
    tx.finish_deploy(&deploy, now.plus(SETTLE_AFTER)).await?;
    plan_task(&mut tx, repositories.clock(), id).await?;
    tx.settle_soon(id.project, now).await?;
    tx.commit().await?;
    ended(repositories, project, deploy).await.map(Some)
}

/// Registers the release that a deploy brings. Before it ends: who is cut off in between ends it again,
/// and what somebody says of the release after its end stands.
async fn register(
    repositories: &Repositories,
    project: ProjectId,
    (version, repository, sha): (Option<&str>, Option<RepositoryId>, Sha),
    over: Over,
    by: &str,
) -> Result<(), RepositoryError> {
    if let (Some(version), Some(repository), true) = (version, repository, over.has_succeeded) {
        let build = Build::default().with(repository, sha);
        releases::register(repositories, project, version, &build, by).await?;
    }
    Ok(())
}

/// A deploy that is about to end, as it is once nobody else can end it or take its slot.
async fn hold(tx: &mut Tx, id: ProjectItemId) -> Result<Option<Deploy>, StoreError> {
    let Some(deploy) = tx.find_deploy(id).await? else { return Ok(None) };
    if matches!(deploy.status, DeployStatus::Succeeded | DeployStatus::Failed) {
        return Ok(Some(deploy));
    }
    // Gates come before deploys in every transaction.
    raise(tx, id.project, &deploy.environment).await?;
    tx.hold_deploy(id).await
}

async fn ended_again(
    repositories: &Repositories,
    project: &Project,
    deploy: Deploy,
) -> Result<Deploy, DeployError> {
    // What is noted may be only the beginning; once it is all, that is the answer, not what was read.
    let mut tx = repositories.store().read().await?;
    if tx.is_deploy_settled(deploy.id).await? {
        return Ok(tx.find_deploy(deploy.id).await?.unwrap_or(deploy));
    }
    drop(tx);
    ended(repositories, project, deploy).await
}

/// What follows when a deploy has ended.
async fn ended(
    repositories: &Repositories,
    project: &Project,
    deploy: Deploy,
) -> Result<Deploy, DeployError> {
    if deploy.status != DeployStatus::Succeeded {
        return Ok(Deploy { outcome: Some(Outcome::default()), ..deploy });
    }
    let outcome = landing::settle_deploy(repositories, project, &deploy).await?;
    repositories.hint();
    Ok(Deploy { outcome: Some(outcome), ..deploy })
}

/// Gives a deploy up: its slot is free.
///
/// # Errors
/// [`DeployError::Ended`] when it has ended.
pub async fn abandon(
    repositories: &Repositories,
    id: ProjectItemId,
) -> Result<Option<Deploy>, DeployError> {
    let mut tx = repositories.store().write().await?;
    let Some(deploy) = hold(&mut tx, id).await? else { return Ok(None) };
    match deploy.status {
        DeployStatus::Lost => return Ok(Some(deploy)),
        DeployStatus::Succeeded | DeployStatus::Failed => {
            return Err(DeployError::Ended(deploy.status));
        }
        DeployStatus::Running => {}
    }
    lose(&mut tx, repositories.clock(), id).await?;
    tx.commit().await?;
    Ok(repositories.store().read().await?.find_deploy(id).await?)
}

/// Notes which deploys were not heard of for too long.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn lose_silent(repositories: &Repositories) -> Result<(), StoreError> {
    let now = repositories.now();
    let silent = repositories.store().read().await?.list_lost_deploys(now).await?;
    for deploy in silent {
        let mut tx = repositories.store().write().await?;
        // As it is now: it may have been heard of.
        let current = hold(&mut tx, deploy.id).await?;
        if current
            .is_some_and(|deploy| deploy.status == DeployStatus::Running && !deploy.is_holding(now))
        {
            lose(&mut tx, repositories.clock(), deploy.id).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// Renews the lease of a deploy.
///
/// # Errors
/// [`DeployError::Ended`] when it does not run any more: another may have its slot.
pub async fn heartbeat(
    repositories: &Repositories,
    id: ProjectItemId,
) -> Result<Option<Deploy>, DeployError> {
    let mut tx = repositories.store().write().await?;
    let Some(deploy) = tx.hold_deploy(id).await? else { return Ok(None) };
    if deploy.status != DeployStatus::Running {
        return Err(DeployError::Ended(deploy.status));
    }
    let until = repositories.now().plus(Duration::from_secs(deploy.lease_seconds.into()));
    tx.renew_deploy(id, until).await?;
    tx.commit().await?;
    Ok(Some(Deploy { lease_until: Some(until), ..deploy }))
}

/// Appends output at an offset; what is there already is not added again. Secrets in it are masked.
///
/// # Errors
/// [`DeployError::Gap`] when output before it is missing.
pub async fn output(
    repositories: &Repositories,
    id: ProjectItemId,
    (offset, text): (Option<u64>, &str),
) -> Result<Option<Deploy>, DeployError> {
    let rules = repositories.store().read().await?.find_scrub_rules(id.project).await?;
    let scrubber = Scrubber::new(&rules.unwrap_or_default()).unwrap_or_default();
    let mut tx = repositories.store().write().await?;
    // Held: the same output may be sent again while it is written.
    let Some(deploy) = tx.hold_deploy(id).await? else { return Ok(None) };
    if deploy.output_gone_at.is_some() {
        // Nobody would see the rest of it.
        return Ok(Some(deploy));
    }
    let there = deploy.n_output;
    let offset = offset.unwrap_or(there);
    if offset > there {
        return Err(DeployError::Gap(there));
    }
    let known = usize::try_from(there - offset).unwrap_or(usize::MAX);
    let new = text.get(known..).unwrap_or_default();
    let room = MOST_OUTPUT_BYTES.saturating_sub(there);
    let new = bounded(new, usize::try_from(room).unwrap_or(usize::MAX));
    let until = repositories.now().plus(Duration::from_secs(deploy.lease_seconds.into()));
    if deploy.status == DeployStatus::Running {
        tx.renew_deploy(id, until).await?;
    }
    if !new.is_empty() {
        // A secret may have been cut in two: what came before on the same line is looked at again.
        let before = begun_line(&mut tx, id, there).await?;
        let masked = scrubber.masked(&format!("{before}{new}"));
        let masked = masked.get(before.len()..).unwrap_or_default();
        tx.append_output(id, there, masked).await?;
        if deploy.status != DeployStatus::Running {
            tx.begin_lane(id.project, Subject::Deploy(id.id), repositories.now()).await?;
        }
    }
    tx.commit().await?;
    Ok(repositories.store().read().await?.find_deploy(id).await?)
}

/// The line that output ends with so far, at most its last 4 KiB.
async fn begun_line(tx: &mut Tx, id: ProjectItemId, end: u64) -> Result<String, StoreError> {
    let text = tx.output_from(id, end.saturating_sub(MOST_BEGUN_BYTES)).await?;
    Ok(text.rsplit('\n').next().unwrap_or_default().to_owned())
}

/// The beginning of a text, at most so many bytes.
fn bounded(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
