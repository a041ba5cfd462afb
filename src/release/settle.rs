//! Events that were undetermined: what they are, as soon as it can be told.

use std::time::Duration;

use super::answers::{Question, answers};
use super::facts::{Facts, Sighting, is_client};
use super::histories::Histories;
use super::repositories::{Repositories, RepositoryError};
use super::{fixes, landing, rearm, releases};
use crate::domain::fix::FixState;
use crate::domain::id::ProjectId;
use crate::domain::issue::Issue;
use crate::domain::lifecycle::{ACTOR, Change, Fact, Occurrence, Verdict, settle};
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::journal::note;
use crate::store::unsettled::{UndeterminedEvent, Unsettled};
use crate::store::{StoreError, Tx};

/// So many events are settled in one transaction.
const MOST_EVENTS: i64 = 500;

/// What cannot be told is tried again after a fraction of how long it waits, within these bounds.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));

/// What waits for less than this lets repositories be fetched.
const FETCHES_FOR: Duration = Duration::from_mins(2);

/// Sees to all that is due: deploys, fixes that nobody knew, undetermined events. Says how much it
/// did.
///
/// # Errors
/// [`RepositoryError`]; what is left is tried again.
pub async fn settle_due(repositories: &Repositories) -> Result<usize, RepositoryError> {
    let now = repositories.now();
    let (deploys, unlooked, unknown, unsettled) = {
        let mut tx = repositories.store().read().await?;
        let deploys = tx.list_deploys_to_settle(now).await?;
        let unlooked = tx.list_unlooked_fixes().await?;
        let unknown = tx.list_unknown_fixes().await?;
        (deploys, unlooked, unknown, tx.list_unsettled(now).await?)
    };
    let mut n_done = 0;
    for deploy in deploys {
        if let Some(project) = find_project(repositories, deploy.id.project).await? {
            landing::settle_deploy(repositories, &project, &deploy).await?;
            n_done += 1;
        }
    }
    let mut loaded: Option<(Project, Histories)> = None;
    for (id, issue) in unlooked {
        let Some((project, histories)) = load(repositories, &mut loaded, id).await? else {
            continue;
        };
        landing::look_at(repositories, histories, project, issue).await?;
        n_done += 1;
    }
    for (id, issue) in unknown {
        let Some((project, histories)) = load(repositories, &mut loaded, id).await? else {
            continue;
        };
        n_done += usize::from(fixes::learn(repositories, histories, project, issue).await?);
    }
    for (id, one, since) in unsettled {
        let Some((project, histories)) = load(repositories, &mut loaded, id).await? else {
            continue;
        };
        let is_settled = settle_one(repositories, histories, project, &one, since).await?;
        n_done += usize::from(is_settled);
    }
    Ok(n_done)
}

async fn find_project(
    repositories: &Repositories,
    id: ProjectId,
) -> Result<Option<Project>, StoreError> {
    repositories.store().read().await?.find_project_by_id(id).await
}

/// A project and its histories, as they were loaded for the one before where that is the same.
async fn load<'a>(
    repositories: &Repositories,
    loaded: &'a mut Option<(Project, Histories)>,
    id: ProjectId,
) -> Result<Option<(&'a Project, &'a mut Histories)>, RepositoryError> {
    if loaded.as_ref().is_none_or(|(project, _)| project.id != id) {
        let Some(project) = find_project(repositories, id).await? else { return Ok(None) };
        let histories = Histories::load(repositories, id).await?;
        *loaded = Some((project, histories));
    }
    Ok(loaded.as_mut().map(|(project, histories)| (&*project, histories)))
}

/// Settles the undetermined events of one issue and release; false when nobody can tell yet.
async fn settle_one(
    repositories: &Repositories,
    histories: &mut Histories,
    project: &Project,
    one: &Unsettled,
    since: Timestamp,
) -> Result<bool, RepositoryError> {
    let now = repositories.now();
    let is_young = now.since(since) < FETCHES_FOR;
    if !one.release.is_empty() {
        let known = releases::bound(repositories, histories, project.id, &one.release).await?;
        if known.is_none_or(|release| release.bound.is_none())
            && is_young
            && histories.refresh(repositories, project.id, None).await?
        {
            releases::bound(repositories, histories, project.id, &one.release).await?;
        }
    }
    loop {
        let (issue, events) = {
            let mut tx = repositories.store().read().await?;
            let issue = tx.find_issue_by_id(project, one.issue).await?;
            (issue, tx.list_undetermined(project.id, one, MOST_EVENTS).await?)
        };
        let Some(issue) = issue else {
            forget(repositories, project.id, one).await?;
            return Ok(true);
        };
        if let Some(survivor) = issue.merged_into {
            let moved = Unsettled { issue: survivor, release: one.release.clone() };
            let mut tx = repositories.store().write().await?;
            tx.insert_unsettled(project.id, &[moved].into(), now).await?;
            tx.delete_unsettled(project.id, one).await?;
            tx.commit().await?;
            return Ok(true);
        }
        if events.is_empty() {
            if forget_if_done(repositories, project.id, one).await? {
                return Ok(true);
            }
            continue;
        }
        let facts = facts_of(repositories, histories, project, &issue, &events).await?;
        let is_known = |fact: &Option<Fact>| !matches!(fact, Some(Fact::Unknown(_)));
        if !facts.iter().any(is_known) {
            let waited = now.since(since) / 4;
            let at = now.plus(waited.clamp(PAUSES.0, PAUSES.1));
            let mut tx = repositories.store().write().await?;
            tx.settle_later(project.id, one, at).await?;
            tx.commit().await?;
            return Ok(false);
        }
        match write(repositories, project, issue, events, &facts).await {
            Ok(()) | Err(StoreError::Raced) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What is known of the builds of events, with what git says where that is missing.
async fn facts_of(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    issue: &Issue,
    events: &[UndeterminedEvent],
) -> Result<Vec<Option<Fact>>, RepositoryError> {
    let Some(question) = issue.state.question() else {
        return Ok(events.iter().map(|_| None).collect());
    };
    let sightings: Vec<Sighting<'_>> = events
        .iter()
        .map(|event| Sighting {
            question,
            is_baseline: issue.state.standing().is_none(),
            release: event.release.as_deref(),
            environment: &event.environment,
            at: event.occurred_at,
            is_client: is_client(&issue.platform),
        })
        .collect();
    let (facts, asked) = {
        let mut tx = repositories.store().read().await?;
        let facts = Facts::load(&mut tx, project, &sightings).await?;
        (facts, tx.find_fix(project.id, question).await?)
    };
    let missing = sightings.iter().flat_map(|one| facts.missing(project, one));
    let missing: std::collections::BTreeMap<_, _> =
        missing.map(|build| (build.key(), build.clone())).collect();
    let Some((fix, kind)) = asked.filter(|_| !missing.is_empty()) else {
        return Ok(sightings.iter().map(|one| Some(facts.of(project, one))).collect());
    };
    let asked = [Question::of(&fix, kind)];
    let mut facts = facts;
    for (key, build) in missing {
        let said = answers(repositories, histories, project.id, &build, &asked).await?;
        for (fix, answer) in said {
            facts.learn(fix, key, answer);
        }
    }
    Ok(sightings.iter().map(|one| Some(facts.of(project, one))).collect())
}

async fn write(
    repositories: &Repositories,
    project: &Project,
    mut issue: Issue,
    events: Vec<UndeterminedEvent>,
    facts: &[Option<Fact>],
) -> Result<(), StoreError> {
    let (clock, now) = (repositories.clock(), repositories.now());
    let believes_all = project.settings.untrusted_keys_rearm_locks;
    let occurrences: Vec<Occurrence<'_>> = events
        .iter()
        .zip(facts)
        .map(|(event, fact)| Occurrence {
            at: event.occurred_at,
            release: event.release.as_deref(),
            is_trusted: event.is_trusted,
            is_enough: event.is_trusted || believes_all,
            fact: fact.as_ref(),
        })
        .collect();
    let observed = settle(issue.state.clone(), &occurrences, now);
    drop(occurrences);
    let mut tx = repositories.store().write().await?;
    // Raises the revision, so that nobody adds an event on what was true before.
    issue.state = observed.state.clone();
    tx.update_issue_state(&issue).await?;
    let settled: Vec<_> = events
        .into_iter()
        .zip(observed.verdicts.clone())
        .filter(|(_, judged)| judged.verdict != Verdict::Undetermined)
        .collect();
    tx.settle_events(project.id, issue.id, &settled).await?;
    let has_come_back = observed.changes.iter().any(Change::is_regression);
    for change in observed.changes.clone() {
        note(&mut tx, clock, project.id, issue.id, change, ACTOR).await?;
    }
    if has_come_back {
        came_back(&mut tx, repositories, &issue, observed.rearms_locks()).await?;
    }
    tx.commit().await
}

async fn came_back(
    tx: &mut Tx,
    repositories: &Repositories,
    issue: &Issue,
    rearms_locks: bool,
) -> Result<(), StoreError> {
    let project = issue.project_id;
    if let Some(fix) = issue.state.fix.filter(|fix| fix.state == FixState::Failed) {
        tx.fix_failed(project, fix.id, repositories.now()).await?;
    }
    if rearms_locks {
        rearm::locks(tx, repositories.clock(), project, issue.id, None).await?;
    }
    tx.raise_gates_of(project, issue.id).await
}

async fn forget(
    repositories: &Repositories,
    project: ProjectId,
    one: &Unsettled,
) -> Result<(), StoreError> {
    let mut tx = repositories.store().write().await?;
    tx.delete_unsettled(project, one).await?;
    tx.commit().await
}

/// Forgets what is done, unless an event came meanwhile.
async fn forget_if_done(
    repositories: &Repositories,
    project: ProjectId,
    one: &Unsettled,
) -> Result<bool, StoreError> {
    let mut tx = repositories.store().write().await?;
    // Digest adds events under this lock.
    tx.lock_issue(project, one.issue).await?;
    if !tx.list_undetermined(project, one, 1).await?.is_empty() {
        return Ok(false);
    }
    tx.delete_unsettled(project, one).await?;
    tx.commit().await?;
    Ok(true)
}
