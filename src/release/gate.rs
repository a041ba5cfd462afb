//! Asking the gate: everything that a verdict depends on is gathered, then judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::answers::{Question, answers_at_once};
use super::fixes::{FixError, NamedCommit, locate};
use super::histories::Histories;
use super::landing::deployed;
use super::repositories::Repositories;
use crate::domain::build::Build;
use crate::domain::commit::Sha;
use crate::domain::containment::Containment;
use crate::domain::fix::{Answer, FixId, FixState};
use crate::domain::freeze::next_change_at;
use crate::domain::gate::{
    Answered, Candidate, Facts, FixFacts, Frozen, LockFacts, LockedIssue, Running,
};
use crate::domain::history::Reach;
use crate::domain::id::{IssueId, ShortId};
use crate::domain::issue::Issue;
use crate::domain::lock::{Lock, LockFilter, MOST_LOCKS};
use crate::domain::project::{Environment, Project};
use crate::domain::repository::RepositoryId;
use crate::domain::time::Timestamp;
use crate::store::deploy::Deployed;
use crate::store::fix::{Current, Kind};
use crate::store::{StoreError, Tx};

/// So many blockers get a hint where their fix is.
const MOST_HINTS: usize = 10;

/// How far ahead of the candidate a fix is looked for, in commits.
const MOST_AHEAD: usize = 10_000;

/// So many deploys of another environment are looked at for a freeze.
const LOOK_BACK: Duration = Duration::from_hours(48);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The project.
    pub project: &'a Project,
    /// Where to.
    pub environment: &'a Environment,
    /// What.
    pub commit: &'a NamedCommit,
    /// How long the oldest report waits to be understood.
    pub reports_wait: Option<Duration>,
    /// Why the locks in the tracker are not known, if they are not.
    pub locks_unread: Option<String>,
    /// The address of the service, for links.
    pub public_url: &'a str,
}

/// Rows that a verdict depends on.
struct Rows {
    gate_version: i64,
    locks: Vec<Lock>,
    issues: BTreeMap<IssueId, Issue>,
    fixes: BTreeMap<IssueId, Current>,
    deployed: Deployed,
    running: Option<crate::domain::deploy::Deploy>,
    freezes: Vec<Frozen>,
    freezes_change_at: Option<Timestamp>,
}

/// Asks the gate.
///
/// # Errors
/// [`FixError`] when the commit makes no sense, or the store does not answer.
pub async fn ask(repositories: &Repositories, asked: &Asked<'_>) -> Result<Answered, FixError> {
    let Asked { project, environment, .. } = *asked;
    let mut histories = Histories::load(repositories, project.id).await?;
    let located = match locate(repositories, &mut histories, project, asked.commit).await {
        Ok((repository, sha)) => Some((repository, sha)),
        Err(FixError::Unknown(_)) => None,
        Err(error) => return Err(error),
    };
    let now = repositories.now();
    let rows = {
        let mut tx = repositories.store().read().await?;
        rows(&mut tx, project, environment, now).await?
    };
    let (repository, sha) = located.unzip();
    let repository = repository.flatten();
    let name = sha.map_or_else(|| asked.commit.commit.clone(), |sha| sha.short());
    let candidate = match (repository, sha) {
        (Some(repository), Some(sha)) if histories.place(repository, &sha).is_some() => {
            Candidate::Known
        }
        _ => match histories.unreadable(asked.commit.repository.as_deref()) {
            Some(cause) => Candidate::Unreadable(cause),
            None if histories.repositories.is_empty() => {
                Candidate::Unknown("the project has no repository".to_owned())
            }
            None if histories.is_fetching() => Candidate::Unknown(format!(
                "no repository has the commit {name} yet, and a fetch goes on that takes long"
            )),
            None => Candidate::Unknown(format!("no repository has the commit {name}")),
        },
    };
    let build = match (repository, sha) {
        (Some(repository), Some(sha)) => rows.deployed.build.with(repository, sha),
        _ => Build::default(),
    };
    let candidate_at = repository.zip(sha);
    let locks = lock_facts(repositories, &histories, asked, &rows, (&build, candidate_at)).await?;
    let taken_back = if candidate == Candidate::Known {
        taken_back(repositories, &histories, asked, &build).await?
    } else {
        Vec::new()
    };
    let unresolved_reverts = match candidate_at {
        Some((repository, sha)) => {
            unresolved_reverts(&histories, repository, &sha, rows.deployed.build.0.get(&repository))
        }
        None => Vec::new(),
    };
    let expiries = rows.locks.iter().filter_map(Lock::expires_at);
    let running = rows.running.filter(|deploy| deploy.is_holding(now));
    let lease = running.as_ref().and_then(|deploy| deploy.lease_until);
    let next = expiries.chain(rows.freezes_change_at).chain(lease).min();
    let url = |path: &str| format!("{}/api/v1{path}", asked.public_url.trim_end_matches('/'));
    let facts = Facts {
        name,
        candidate,
        locks,
        freezes: rows.freezes,
        running: running.map(|deploy| Running {
            number: deploy.number,
            url: url(&format!("/deploys/{}", deploy.id)),
            since: deploy.started_at,
            lease_until: deploy.lease_until.unwrap_or(now),
            by: deploy.by,
        }),
        taken_back,
        reports_wait: asked.reports_wait,
        waits_for_reports: project.settings.gate_waits_for_reports,
        unresolved_reverts,
        locks_unread: asked.locks_unread.clone(),
        are_locks_cut: rows.locks.len() as u64 > MOST_LOCKS,
        next_change_at: next,
    };
    Ok(Answered::judged(&facts, (sha, repository), rows.gate_version))
}

async fn rows(
    tx: &mut Tx,
    project: &Project,
    environment: &Environment,
    now: Timestamp,
) -> Result<Rows, StoreError> {
    let name = environment.name.as_str();
    // First: what changes later raises it.
    let gate_version = tx.gate_version(project.id, name).await?;
    let most = i64::try_from(MOST_LOCKS).unwrap_or(i64::MAX);
    let page = (uuid::Uuid::nil(), most.saturating_add(1));
    let locks = tx.list_locks(project.id, name, (LockFilter::Active, now), page).await?;
    let ids: Vec<IssueId> = locks.iter().filter_map(Lock::issue).collect();
    let issues = tx.list_issues_by_id(project, &ids).await?;
    let fixes = tx.list_fixes_of(project.id, &ids).await?;
    let deployed = deployed(tx, project, name).await?;
    let running = tx.find_running_deploy(project.id, name).await?;
    let mut freezes = Vec::new();
    let mut windows = Vec::new();
    for stored in tx.list_freezes(project.id, name).await? {
        let others = match stored.freeze.before_environment() {
            None => Vec::new(),
            Some(other) => {
                let since = stored.freeze.deploys_since(now).unwrap_or(now).minus(LOOK_BACK);
                tx.list_deploy_times(project.id, other, since).await?
            }
        };
        if let Some(closed) = stored.freeze.closed(now, &others) {
            let name = stored.freeze.name().to_owned();
            freezes.push(Frozen { name, owner: stored.owner.clone(), closed });
        }
        windows.push((stored.freeze, others));
    }
    let windows = windows.iter().map(|(freeze, others)| (freeze, others.as_slice()));
    let freezes_change_at = next_change_at(windows, now);
    Ok(Rows { gate_version, locks, issues, fixes, deployed, running, freezes, freezes_change_at })
}

async fn lock_facts(
    repositories: &Repositories,
    histories: &Histories,
    asked: &Asked<'_>,
    rows: &Rows,
    (build, candidate): (&Build, Option<(RepositoryId, Sha)>),
) -> Result<Vec<LockFacts>, FixError> {
    let fixes: BTreeMap<FixId, &Current> =
        rows.fixes.values().map(|current| (current.fix.id, current)).collect();
    let questions: Vec<Question> =
        fixes.values().map(|current| Question::of(&current.fix, Kind::Fix)).collect();
    let said =
        answers_at_once(repositories, histories, asked.project.id, build, &questions).await?;
    let is_first = asked.project.environments.first() == Some(asked.environment);
    let mut n_hints = 0;
    let mut facts = Vec::new();
    for lock in &rows.locks {
        let issue = lock.issue().and_then(|id| rows.issues.get(&id)).map(|issue| {
            let current = lock.issue().and_then(|id| rows.fixes.get(&id));
            let fix = current.and_then(|current| {
                let answer = said.get(&current.fix.id)?.clone();
                let wants_hint = answer.containment == Containment::Absent
                    && current.state != FixState::Failed
                    && n_hints < MOST_HINTS;
                n_hints += usize::from(wants_hint);
                let ahead = if wants_hint { ahead(histories, candidate, &answer) } else { None };
                Some(FixFacts {
                    state: current.state,
                    commits: current.fix.commits.iter().map(|commit| commit.sha).collect(),
                    problem: current.fix.problem,
                    is_proven: current.fix.may_pass(is_first),
                    answer,
                    ahead,
                })
            });
            let url = asked.public_url.trim_end_matches('/');
            LockedIssue {
                url: format!("{url}/api/v1/issues/{}", issue.short_id),
                short_id: issue.short_id.clone(),
                title: issue.title.clone(),
                assignee: issue.assignee.clone(),
                fix,
            }
        });
        facts.push(LockFacts { lock: lock.clone(), issue });
    }
    Ok(facts)
}

/// On which branch a missing fix is, and how many commits after the candidate.
fn ahead(
    histories: &Histories,
    candidate: Option<(RepositoryId, Sha)>,
    answer: &Answer,
) -> Option<(String, usize)> {
    let (repository, sha) = candidate?;
    let history = histories.history(repository)?;
    let (candidate, fix) = (history.find(&sha)?, history.find(&answer.commit?)?);
    // Most fixes are not ahead: branches are asked last.
    if history.reach(candidate, fix) != Reach::Yes {
        return None;
    }
    let (branch, _) = histories.branch_of(repository, fix)?;
    Some((branch.to_owned(), history.between(candidate, fix, MOST_AHEAD)?.len()))
}

/// Issues whose fixes are deployed there, and are not in the candidate.
async fn taken_back(
    repositories: &Repositories,
    histories: &Histories,
    asked: &Asked<'_>,
    build: &Build,
) -> Result<Vec<ShortId>, FixError> {
    let Asked { project, environment, .. } = *asked;
    let fixes: Vec<Current> = {
        let mut tx = repositories.store().read().await?;
        let landed: BTreeSet<FixId> = tx.list_landed(project.id, &environment.name).await?;
        if landed.is_empty() {
            return Ok(Vec::new());
        }
        let all = tx.list_fixes(project.id).await?;
        let counts = |one: &Current| one.state != FixState::Failed && landed.contains(&one.fix.id);
        all.into_iter().filter(counts).collect()
    };
    let questions: Vec<Question> =
        fixes.iter().map(|one| Question::of(&one.fix, Kind::Fix)).collect();
    let said = answers_at_once(repositories, histories, project.id, build, &questions).await?;
    let is_gone = |one: &&Current| {
        said.get(&one.fix.id).is_some_and(|answer| match answer.containment {
            Containment::Absent | Containment::Reverted { .. } | Containment::Conflicted { .. } => {
                true
            }
            Containment::Contained { .. } | Containment::Unknown => false,
        })
    };
    let id = |one: &Current| ShortId { prefix: project.prefix.clone(), number: one.number };
    Ok(fixes.iter().filter(is_gone).map(id).collect())
}

/// So many reverts of nobody knows what are named.
const MOST_UNRESOLVED: usize = 5;

/// What a candidate brings that says to revert something, and nobody knows what; the latest.
fn unresolved_reverts(
    histories: &Histories,
    repository: RepositoryId,
    candidate: &Sha,
    deployed: Option<&Sha>,
) -> Vec<Sha> {
    let Some(history) = histories.history(repository) else { return Vec::new() };
    let Some(tip) = history.find(candidate) else { return Vec::new() };
    if history.unresolved_reverts().next().is_none() {
        return Vec::new();
    }
    let before =
        deployed.and_then(|sha| history.find(sha)).map(|place| history.ancestors(&[place]));
    let marks = history.ancestors(&[tip]);
    let is_new = |place: &crate::domain::history::Place| {
        marks.has(*place) && before.as_ref().is_none_or(|before| !before.has(*place))
    };
    let new: Vec<Sha> =
        history.unresolved_reverts().filter(is_new).map(|place| history.sha(place)).collect();
    new.into_iter().rev().take(MOST_UNRESOLVED).collect()
}
