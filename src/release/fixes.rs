//! Naming the commits that fix an issue, and taking that back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::answers::{Question, answers};
use super::histories::Histories;
use super::landing;
use super::releases;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::commit::{Sha, ShaPrefix};
use crate::domain::fix::{Fix, FixCommit, FixId, FixState, MOST_COMMITS, Problem, Source};
use crate::domain::id::IssueId;
use crate::domain::lifecycle::{ACTOR, Change, InvalidTransition, Order};
use crate::domain::project::Project;
use crate::domain::repository::{Repository, RepositoryId};
use crate::domain::time::Timestamp;
use crate::journal::{MOST_RACES, note};
use crate::store::fix::Kind;
use crate::store::{StoreError, Tx};

/// Whoever names a fix looks where it is deployed; if that is cut off, it is done after this.
const LOOK_AFTER: Duration = Duration::from_secs(30);

/// A commit as a person names it.
#[derive(Debug, Clone)]
pub struct NamedCommit {
    /// Its name, or the beginning of it.
    pub commit: String,
    /// The name of its repository.
    pub repository: Option<String>,
}

/// Why commits are not taken for a fix.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// It is no name of a commit.
    #[error("{0:?} is no commit: 7 to 40 hexadecimal digits")]
    NoCommit(String),
    /// No commit begins so.
    #[error(
        "no repository of the project has a commit {0:?}; name all 40 digits if it comes later"
    )]
    Unknown(String),
    /// Several begin so.
    #[error("{0:?} is the beginning of several commits; name more of it, or its repository")]
    Ambiguous(String),
    /// Nobody has it, and it may be of several repositories.
    #[error("no repository has the commit {0}; name its repository")]
    Unplaced(String),
    /// There is no such repository.
    #[error("the project has no repository {0:?}")]
    NoRepository(String),
    /// None or too many.
    #[error("a fix names 1 to {MOST_COMMITS} commits")]
    NCommits,
    /// There is no such issue.
    #[error("there is no such issue")]
    NotFound,
    /// The issue's state does not allow it.
    #[error(transparent)]
    Transition(InvalidTransition),
    /// The store, or a repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<StoreError> for FixError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

/// A commit as it was found; without a repository where that is not known.
pub type Located = (Option<RepositoryId>, Sha);

/// Finds a commit that a person names; fetches first if nobody knows it.
///
/// # Errors
/// [`FixError`] says why it cannot be told which one is meant.
pub async fn locate(
    repositories: &Repositories,
    histories: &mut Histories,
    project: &Project,
    named: &NamedCommit,
) -> Result<Located, FixError> {
    let text = named.commit.trim();
    let no_commit = |_| FixError::NoCommit(text.chars().take(80).collect());
    let prefix: ShaPrefix = text.parse().map_err(no_commit)?;
    let within = match &named.repository {
        None => None,
        Some(name) => {
            let repository = histories.named(name);
            Some(repository.ok_or_else(|| FixError::NoRepository(name.clone()))?.id)
        }
    };
    let mut found = histories.find(prefix, within);
    if found.is_empty() && histories.refresh(repositories, project.id, text).await? {
        found = histories.find(prefix, within);
    }
    match found.as_slice() {
        [(repository, sha)] => Ok((Some(*repository), *sha)),
        [] => match prefix.whole() {
            Some(sha) => {
                let only = crate::domain::release::Repositories::only(histories);
                Ok((within.or(only), sha))
            }
            None => Err(FixError::Unknown(text.to_owned())),
        },
        _ => Err(FixError::Ambiguous(text.to_owned())),
    }
}

/// Names the commits that fix an issue; then looks at what is deployed.
///
/// # Errors
/// [`FixError`].
pub async fn tag(
    repositories: &Repositories,
    project: &Project,
    number: i64,
    named: &[NamedCommit],
    (actor, source): (&str, Source),
) -> Result<(), FixError> {
    if named.is_empty() || named.len() > MOST_COMMITS {
        return Err(FixError::NCommits);
    }
    let mut histories = Histories::load(repositories, project.id).await?;
    let mut commits = BTreeSet::new();
    for one in named {
        let (repository, sha) = locate(repositories, &mut histories, project, one).await?;
        commits.insert(FixCommit { repository, sha, alternatives: Vec::new() });
    }
    let commits: Vec<FixCommit> = commits.into_iter().collect();
    let issue = {
        let mut tx = repositories.store().read().await?;
        tx.find_issue(project, number).await?.ok_or(FixError::NotFound)?.id
    };
    tag_commits(repositories, &histories, project, (issue, commits), (actor, source), None).await
}

/// Names commits that are found already as the fix of an issue; those that are it change nothing. A
/// commit that says so itself is not asked again.
///
/// # Errors
/// [`FixError`].
pub async fn tag_commits(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    (issue, commits): (IssueId, Vec<FixCommit>),
    (actor, source): (&str, Source),
    said_by: Option<(&Repository, Sha)>,
) -> Result<(), FixError> {
    let mut fix = Fix {
        id: FixId(repositories.clock().id()),
        issue,
        commits,
        by: actor.to_owned(),
        at: named_at(repositories, project).await?,
        source,
        problem: None,
    };
    fix.problem = problem(repositories, histories, project, &fix).await?;
    for _ in 0..MOST_RACES {
        let mut tx = repositories.store().write().await?;
        match write(&mut tx, repositories, project, &fix, said_by).await {
            Ok(false) => return Ok(tx.commit().await?),
            Ok(true) => {
                tx.settle_soon(project.id, repositories.now()).await?;
                tx.commit().await?;
                repositories.hint();
                return Ok(landing::look_at(repositories, histories, project, fix.issue).await?);
            }
            Err(FixError::Repository(RepositoryError::Store(StoreError::Raced))) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Raced.into())
}

/// When a fix is named that is named now: no deploy that has started did so later, even if the clock
/// was set back since.
async fn named_at(repositories: &Repositories, project: &Project) -> Result<Timestamp, StoreError> {
    let mut at = repositories.now();
    let mut tx = repositories.store().read().await?;
    for environment in &project.environments {
        at = tx
            .find_last_start(project.id, &environment.name)
            .await?
            .map_or(at, |last| last.max(at));
    }
    Ok(at)
}

/// Writes a fix; false when it is the issue's already.
async fn write(
    tx: &mut Tx,
    repositories: &Repositories,
    project: &Project,
    fix: &Fix,
    said_by: Option<(&Repository, Sha)>,
) -> Result<bool, FixError> {
    let now = repositories.now();
    tx.lock_issue(project.id, fix.issue).await?;
    if let Some((repository, sha)) = said_by {
        tx.insert_read_messages(repository, &BTreeSet::from([sha]), now).await?;
    }
    let current = tx.list_fixes_of(project.id, &[fix.issue]).await?;
    let is_same = current.get(&fix.issue).is_some_and(|current| {
        current.state == FixState::Standing && current.fix.commits == fix.commits
    });
    if is_same {
        return Ok(false);
    }
    let found = tx.find_issue_by_id(project, fix.issue).await?;
    let mut issue = found.ok_or(FixError::NotFound)?;
    if issue.merged_into.is_some() {
        return Err(StoreError::Raced.into());
    }
    let ordered = issue.state.order(Order::Fix(fix.id), issue.n_events, now);
    (issue.state, _) = ordered.map_err(FixError::Transition)?;
    tx.update_issue_state(&issue).await?;
    tx.insert_fix(project.id, fix, Kind::Fix, Some(now.plus(LOOK_AFTER))).await?;
    let change = Change::FixTagged {
        fix: fix.id,
        commits: fix.commits.iter().map(|commit| commit.sha.to_string()).collect(),
        source: fix.source,
        problem: fix.problem,
    };
    // Gates come before lanes in every transaction.
    tx.raise_gates_of(project.id, &[issue.id]).await?;
    note(tx, repositories.clock(), project.id, issue.id, change, &fix.by).await?;
    Ok(true)
}

/// What is wrong with a fix that is named now.
async fn problem(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    fix: &Fix,
) -> Result<Option<Problem>, RepositoryError> {
    let is_known = |commit: &FixCommit| {
        commit.repository.is_some_and(|one| histories.place(one, &commit.sha).is_some())
    };
    if !fix.commits.iter().all(is_known) {
        return Ok(Some(Problem::UnknownCommit));
    }
    let question = [Question::of(fix, Kind::Fix)];
    let versions = {
        let mut tx = repositories.store().read().await?;
        tx.list_releases_showing(project.id, fix.issue).await?
    };
    for version in versions {
        let release = releases::bound(repositories, histories, project.id, &version).await?;
        let Some(bound) = release.and_then(|release| release.bound) else { continue };
        let said = answers(repositories, histories, project.id, &bound.build, &question).await?;
        if said.get(&fix.id).is_some_and(|answer| answer.containment.is_contained()) {
            return Ok(Some(Problem::SeenInRelease));
        }
    }
    Ok(None)
}

/// Looks again for the commits of a fix that nobody had; true when they are known now.
///
/// # Errors
/// [`RepositoryError`].
pub async fn learn(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    issue: IssueId,
) -> Result<bool, RepositoryError> {
    let current = {
        let mut tx = repositories.store().read().await?;
        tx.list_fixes_of(project.id, &[issue]).await?.remove(&issue)
    };
    let Some(current) = current else { return Ok(false) };
    let mut fix = current.fix;
    for commit in &mut fix.commits {
        match histories.find(commit.sha.into(), commit.repository).as_slice() {
            [(repository, _)] => commit.repository = Some(*repository),
            _ => return Ok(false),
        }
    }
    fix.problem = problem(repositories, histories, project, &fix).await?;
    let mut tx = repositories.store().write().await?;
    tx.lock_issue(project.id, issue).await?;
    // Gates come before fixes in every transaction.
    tx.raise_gates_of(project.id, &[issue]).await?;
    tx.update_fix(project.id, &fix).await?;
    let change = Change::FixProblem { problem: fix.problem };
    note(&mut tx, repositories.clock(), project.id, issue, change, ACTOR).await?;
    tx.settle_soon(project.id, repositories.now()).await?;
    tx.commit().await?;
    landing::look_at(repositories, histories, project, issue).await?;
    Ok(true)
}

/// Takes the fix of an issue away: nobody believes it any more.
///
/// # Errors
/// [`FixError`].
pub async fn unfix(
    repositories: &Repositories,
    project: &Project,
    number: i64,
    actor: &str,
) -> Result<(), FixError> {
    for _ in 0..MOST_RACES {
        let mut tx = repositories.store().write().await?;
        let found = tx.find_issue(project, number).await?;
        let mut issue = found.ok_or(FixError::NotFound)?;
        let (state, change) = issue
            .state
            .order(Order::Unfix, issue.n_events, repositories.now())
            .map_err(FixError::Transition)?;
        issue.state = state;
        match tx.update_issue_state(&issue).await {
            Ok(()) => {}
            Err(StoreError::Raced) => continue,
            Err(error) => return Err(error.into()),
        }
        let clock = repositories.clock();
        tx.raise_gates_of(project.id, &[issue.id]).await?;
        if let Some(change) = change {
            note(&mut tx, clock, project.id, issue.id, change, actor).await?;
        }
        super::rearm::locks(&mut tx, clock, project.id, issue.id, None).await?;
        tx.settle_soon(project.id, repositories.now()).await?;
        tx.commit().await?;
        repositories.hint();
        return Ok(());
    }
    Err(StoreError::Raced.into())
}

/// Resolves an issue for the next deploy: only what is not deployed yet anywhere can bring it back.
/// False when nothing is deployed.
///
/// # Errors
/// [`FixError`].
pub async fn resolve_in_next(
    repositories: &Repositories,
    project: &Project,
    number: i64,
    actor: &str,
) -> Result<bool, FixError> {
    for _ in 0..MOST_RACES {
        let (now, clock) = (repositories.now(), repositories.clock());
        let mut tx = repositories.store().write().await?;
        let mut deployed = BTreeSet::new();
        for environment in &project.environments {
            let there = landing::deployed(&mut tx, project, &environment.name).await?;
            deployed.extend(there.build.0);
        }
        if deployed.is_empty() {
            return Ok(false);
        }
        let found = tx.find_issue(project, number).await?;
        let mut issue = found.ok_or(FixError::NotFound)?;
        let commit = |(repository, sha)| FixCommit {
            repository: Some(repository),
            sha,
            alternatives: Vec::new(),
        };
        let baseline = Fix {
            id: FixId(clock.id()),
            issue: issue.id,
            commits: deployed.into_iter().map(commit).collect(),
            by: actor.to_owned(),
            at: now,
            source: Source::Api,
            problem: None,
        };
        let order = Order::Resolve { baseline: Some(baseline.id) };
        let (state, change) =
            issue.state.order(order, issue.n_events, now).map_err(FixError::Transition)?;
        issue.state = state;
        match tx.update_issue_state(&issue).await {
            Ok(()) => {}
            Err(StoreError::Raced) => continue,
            Err(error) => return Err(error.into()),
        }
        tx.insert_fix(project.id, &baseline, Kind::Baseline, None).await?;
        tx.raise_gates_of(project.id, &[issue.id]).await?;
        if let Some(change) = change {
            note(&mut tx, clock, project.id, issue.id, change, actor).await?;
        }
        if issue.state.standing().is_none() {
            super::locks::release_all_of(&mut tx, clock, project.id, issue.id, actor).await?;
        }
        tx.commit().await?;
        return Ok(true);
    }
    Err(StoreError::Raced.into())
}
