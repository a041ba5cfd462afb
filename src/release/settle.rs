//! Events that were undetermined: what they are, as soon as it can be told.

use std::time::Duration;

use super::answers::{Question, answers};
use super::facts::{DEPLOYS_OF_SETTLING, Facts};
use super::histories::Histories;
use super::repositories::{Repositories, RepositoryError};
use super::{fixes, landing, rearm, releases};
use crate::clock::Clock;
use crate::domain::filing::{Occurred, Scope};
use crate::domain::fix::Problem;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::issue::Issue;
use crate::domain::lifecycle::{
    ACTOR, Change, Fact, Judged, Observed, Occurrence, Verdict, settle,
};
use crate::domain::project::Project;
use crate::domain::sighting::{REST, Sighting};
use crate::domain::time::Timestamp;
use crate::journal::{note, note_serious, reached};
use crate::store::fix::ToLookAt;
use crate::store::unsettled::{Due, JudgedEvent, Unsettled};
use crate::store::{StoreError, Tx};

/// So many events are settled in one transaction.
const MOST_EVENTS: i64 = 500;

/// What cannot be told is tried again after a fraction of how long it waits, within these bounds.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));

/// A fix of which nobody can tell whether it is deployed is looked at again after this at most.
const MOST_FIX_PAUSE: Duration = Duration::from_hours(1);

/// What waits for less than this lets repositories be fetched.
const FETCHES_FOR: Duration = Duration::from_mins(2);

/// What a round came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// Nothing was due.
    Idle,
    /// All that was due was seen to, as far as anybody can tell.
    Done,
    /// Some of it could not be, the last for this reason; it is tried again.
    Failed(String),
}

/// Sees to all that is due: deploys, fixes that were named, undetermined events. What fails is tried
/// later, and holds up nothing else.
///
/// # Errors
/// [`StoreError`]: the store does not answer.
pub async fn settle_due(repositories: &Repositories) -> Result<Round, StoreError> {
    let now = repositories.now();
    let (deploys, fixes, unsettled) = {
        let mut tx = repositories.store().read().await?;
        let deploys = tx.list_deploys_to_settle(now).await?;
        (deploys, tx.list_fixes_to_look_at(now).await?, tx.list_unsettled(now).await?)
    };
    if deploys.is_empty() && fixes.is_empty() && unsettled.is_empty() {
        return Ok(Round::Idle);
    }
    // First it is said when to try again: what becomes known from now on brings that forward.
    let later =
        |since: Timestamp, most: Duration| now.plus((now.since(since) / 4).clamp(PAUSES.0, most));
    // One transaction touches one project.
    let mut projects: Vec<ProjectId> = (deploys.iter().map(|deploy| deploy.id.project))
        .chain(fixes.iter().map(|fix| fix.project))
        .chain(unsettled.iter().map(|due| due.project))
        .collect();
    projects.sort_unstable();
    projects.dedup();
    for project in projects {
        let mut tx = repositories.store().write().await?;
        for deploy in deploys.iter().filter(|deploy| deploy.id.project == project) {
            let at = later(deploy.finished_at.unwrap_or(now), PAUSES.1);
            tx.settle_deploy_at(deploy.id, at).await?;
        }
        for fix in fixes.iter().filter(|fix| fix.project == project) {
            let at = later(fix.named_at, MOST_FIX_PAUSE);
            tx.look_at_fix(project, fix.fix, Some(at)).await?;
        }
        for due in unsettled.iter().filter(|due| due.project == project) {
            let at = later(due.since, PAUSES.1);
            tx.settle_later(project, &due.unsettled, at).await?;
        }
        tx.commit().await?;
    }
    let mut round = Round::Done;
    for deploy in deploys {
        let Some(project) = find_project(repositories, deploy.id.project).await? else { continue };
        let done = landing::settle_deploy(repositories, &project, &deploy).await;
        round.add("a deploy", done.map(|_| ()))?;
    }
    let mut loaded: Option<(Project, Histories)> = None;
    for fix in fixes {
        round.add("a fix", look_at(repositories, &mut loaded, fix).await)?;
    }
    for due in unsettled {
        let done = settle_one(repositories, &mut loaded, &due).await;
        round.add("undetermined events", done)?;
    }
    Ok(round)
}

impl Round {
    /// What went wrong with one thing is said; when the store is away everything waits.
    fn add(&mut self, what: &str, done: Result<(), RepositoryError>) -> Result<(), StoreError> {
        match done {
            Ok(()) => {}
            Err(RepositoryError::Store(error)) if error.is_transient() => return Err(error),
            Err(cause) => {
                tracing::warn!(%cause, what, "cannot be settled, and is tried again");
                *self = Self::Failed(format!("{what} cannot be settled: {cause}"));
            }
        }
        Ok(())
    }
}

/// Looks where a fix is deployed that was named.
async fn look_at(
    repositories: &Repositories,
    loaded: &mut Option<(Project, Histories)>,
    fix: ToLookAt,
) -> Result<(), RepositoryError> {
    let current = {
        let mut tx = repositories.store().read().await?;
        tx.list_fixes_of(fix.project, &[fix.issue]).await?.remove(&fix.issue)
    };
    let is_current = current.as_ref().is_some_and(|current| current.fix.id == fix.fix);
    let there = load(repositories, loaded, fix.project).await?;
    let (Some((project, histories)), true) = (there, is_current) else {
        // Another one counts by now, or the issue is another's.
        let mut tx = repositories.store().write().await?;
        tx.look_at_fix(fix.project, fix.fix, None).await?;
        return Ok(tx.commit().await?);
    };
    let is_unknown = current.is_some_and(|one| one.fix.problem == Some(Problem::UnknownCommit));
    if is_unknown && fixes::learn(repositories, histories, project, fix.issue).await? {
        return Ok(());
    }
    landing::look_at(repositories, histories, project, fix.issue).await
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

/// Settles the undetermined events of one issue and release, as far as anybody can tell.
async fn settle_one(
    repositories: &Repositories,
    loaded: &mut Option<(Project, Histories)>,
    due: &Due,
) -> Result<(), RepositoryError> {
    let (one, now) = (&due.unsettled, repositories.now());
    let Some((project, histories)) = load(repositories, loaded, due.project).await? else {
        return Ok(());
    };
    if let Some(since) = due.anew_at {
        unsettle(repositories, project, one, since).await?;
    }
    if !one.release.is_empty() && one.release != REST {
        let known = releases::bound(repositories, histories, project.id, &one.release).await?;
        let is_bound = known.is_some_and(|release| release.bound.is_some());
        if !is_bound && now.since(due.since) < FETCHES_FOR {
            histories.wish_for_fetch(repositories);
        }
    }
    let mut last: Option<JudgedEvent> = None;
    let mut is_left = false;
    loop {
        let (issue, events) = {
            let mut tx = repositories.store().read().await?;
            let issue = tx.find_issue_by_id(project, one.issue).await?;
            let page = (last.as_ref(), MOST_EVENTS);
            // Where nothing is asked of a build, everything can be told.
            let is_all = issue.as_ref().is_none_or(|issue| issue.state.question().is_none());
            (issue, tx.list_undetermined(project.id, one, page, is_all).await?)
        };
        let Some(issue) = issue else {
            return Ok(forget(repositories, project.id, one).await?);
        };
        if let Some(survivor) = issue.merged_into {
            return Ok(move_to(repositories, survivor, due).await?);
        }
        if one.release == REST {
            return Ok(list_rest(repositories, project, one).await?);
        }
        let Some(end) = events.last().cloned() else {
            if is_left {
                return Ok(());
            }
            let is_all = issue.state.question().is_none();
            if forget_if_done(repositories, project.id, one).await? || !is_all {
                return Ok(());
            }
            // One came meanwhile.
            last = None;
            continue;
        };
        let facts = facts_of(repositories, histories, project, &issue, &events).await?;
        let observed = observe(repositories, project, &issue, &events, &facts);
        let is_open = |judged: &Judged| judged.verdict == Verdict::Undetermined;
        is_left |= observed.verdicts.iter().any(is_open);
        let mut judged = events.iter().zip(&observed.verdicts);
        let is_new =
            judged.any(|(event, judged)| !is_open(judged) || event.reason != judged.reason);
        if !is_new && !one.release.is_empty() {
            // Of one release all is known, or nothing.
            return Ok(());
        }
        if is_new {
            match write(repositories, project, issue, events, observed).await {
                Ok(()) => {}
                // Digest added one: the same page again.
                Err(StoreError::Raced) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        last = Some(end);
    }
}

/// The issue became part of another one.
async fn move_to(
    repositories: &Repositories,
    survivor: IssueId,
    Due { project, unsettled, anew_at, .. }: &Due,
) -> Result<(), StoreError> {
    let moved = [Unsettled { issue: survivor, release: unsettled.release.clone() }].into();
    let mut tx = repositories.store().write().await?;
    if anew_at.is_some() {
        tx.unsettle(*project, &moved, repositories.now()).await?;
    } else {
        tx.insert_unsettled(*project, &moved, repositories.now()).await?;
    }
    tx.delete_unsettled(*project, unsettled).await?;
    tx.commit().await
}

/// Looks at releases one by one for which there was no room.
async fn list_rest(
    repositories: &Repositories,
    project: &Project,
    one: &Unsettled,
) -> Result<(), StoreError> {
    let (issue, found, is_all) = {
        let mut tx = repositories.store().read().await?;
        let issue = tx.find_issue_by_id(project, one.issue).await?;
        let (found, is_all) = tx.list_unlisted(project.id, one.issue).await?;
        (issue, found, is_all)
    };
    let mut tx = repositories.store().write().await?;
    // Whoever adds an event waits, or has added it.
    tx.lock_issue(project.id, one.issue).await?;
    let now = tx.find_issue_by_id(project, one.issue).await?;
    tx.insert_unsettled(project.id, &found, repositories.now()).await?;
    let revision = |issue: Option<Issue>| issue.map(|issue| issue.revision);
    if is_all && revision(issue) == revision(now) {
        tx.delete_unsettled(project.id, one).await?;
    }
    tx.commit().await
}

/// Makes the suppressed events of an issue and a release, or of all, undetermined again, page by page.
async fn unsettle(
    repositories: &Repositories,
    project: &Project,
    one: &Unsettled,
    since: Timestamp,
) -> Result<(), StoreError> {
    let reason = if one.release == REST {
        "the parents of commits are others than was believed"
    } else {
        "the release was registered anew"
    };
    let mut last: Option<JudgedEvent> = None;
    loop {
        let (issue, events) = {
            let mut tx = repositories.store().read().await?;
            let issue = tx.find_issue_by_id(project, one.issue).await?;
            let page = (last.as_ref(), MOST_EVENTS);
            (issue, tx.list_suppressed(project.id, one, page).await?)
        };
        let end = events.last().cloned();
        let mut tx = repositories.store().write().await?;
        let (Some(issue), Some(end)) = (issue, end) else {
            tx.anew_is_done(project.id, one, since).await?;
            return tx.commit().await;
        };
        // Nobody else took these on meanwhile.
        match tx.update_issue_state(&issue).await {
            Ok(()) => {}
            Err(StoreError::Raced) => continue,
            Err(error) => return Err(error),
        }
        let release = |event: &JudgedEvent| event.release.clone().unwrap_or_default();
        let open =
            events.iter().map(|event| Unsettled { issue: issue.id, release: release(event) });
        tx.insert_unsettled(project.id, &open.collect(), repositories.now()).await?;
        tx.unsettle_events(project.id, issue.id, events, reason).await?;
        tx.commit().await?;
        last = Some(end);
    }
}

/// What is known of the builds of events, with what git says where that is missing.
async fn facts_of(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    issue: &Issue,
    events: &[JudgedEvent],
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
            is_client: event.is_client,
        })
        .collect();
    let (facts, asked) = {
        let mut tx = repositories.store().read().await?;
        let facts = Facts::load(&mut tx, project, &sightings, DEPLOYS_OF_SETTLING).await?;
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

/// What events are, now that this is known.
fn observe(
    repositories: &Repositories,
    project: &Project,
    issue: &Issue,
    events: &[JudgedEvent],
    facts: &[Option<Fact>],
) -> Observed {
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
    settle(issue.state.clone(), &occurrences, repositories.now())
}

async fn write(
    repositories: &Repositories,
    project: &Project,
    mut issue: Issue,
    events: Vec<JudgedEvent>,
    observed: Observed,
) -> Result<(), StoreError> {
    let clock = repositories.clock();
    let mut tx = repositories.store().write().await?;
    // Raises the revision, so that nobody adds an event on what was true before.
    issue.state = observed.state.clone();
    tx.update_issue_state(&issue).await?;
    let judged = events.into_iter().zip(observed.verdicts.clone());
    let (open, settled): (Vec<_>, Vec<_>) =
        judged.partition(|(_, judged)| judged.verdict == Verdict::Undetermined);
    tx.settle_events(project.id, issue.id, &settled).await?;
    tx.explain_events(project.id, &open).await?;
    let has_come_back = observed.changes.iter().any(Change::is_regression);
    if has_come_back {
        // Gates come before lanes in every transaction.
        tx.raise_gates_of(project.id, &[issue.id]).await?;
    }
    file(&mut tx, (clock, project), &issue, &settled).await?;
    for change in observed.changes.clone() {
        note(&mut tx, clock, project.id, issue.id, change, ACTOR).await?;
    }
    if has_come_back {
        let id = (project.id, issue.id);
        let rearms = observed.rearms_locks();
        rearm::came_back(&mut tx, repositories.clock(), id, issue.state.fix, rearms).await?;
    }
    tx.commit().await
}

/// What is news after all may make its issue serious.
async fn file(
    tx: &mut Tx,
    (clock, project): (&Clock, &Project),
    issue: &Issue,
    settled: &[(JudgedEvent, Judged)],
) -> Result<(), StoreError> {
    let times = || settled.iter().map(|(event, _)| event.occurred_at);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(()) };
    if issue.serious_at.is_some() {
        return Ok(());
    }
    let rules = tx.find_filing_rules(project.id).await?.unwrap_or_default();
    let scope = Scope { project, has_deploys: tx.has_deploys(project.id).await? };
    // Of an event's own level nothing is known any more.
    let occurred: Vec<Occurred<'_>> = settled
        .iter()
        .map(|(event, judged)| Occurred {
            level: issue.level,
            handled: issue.handled,
            environment: &event.environment,
            verdict: judged.verdict,
        })
        .collect();
    let of = (project.id, issue.id);
    let filing = rules.judge(scope, issue.n_events, &occurred);
    if let Some(reason) = reached(tx, of, filing, (first, last)).await? {
        note_serious(tx, clock, of, reason, ACTOR).await?;
    }
    Ok(())
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
    if !tx.list_undetermined(project, one, (None, 1), true).await?.is_empty() {
        return Ok(false);
    }
    tx.delete_unsettled(project, one).await?;
    tx.commit().await?;
    Ok(true)
}
