//! Releases as other trackers' clients announce them: first their names, then their commits, then
//! where they are deployed.

use std::collections::{BTreeMap, BTreeSet};

use super::deploys::{DeployError, record};
use super::fixes::{FixError, NamedCommit, locate};
use super::histories::Histories;
use super::releases;
use super::repositories::{Repositories, RepositoryError, Wish as RepositoryWish};
use super::submissions::submit;
use crate::domain::build::Build;
use crate::domain::commit::Sha;
use crate::domain::deploy::{Deploy, Over, Wish};
use crate::domain::id::ProjectId;
use crate::domain::project::{Environment, Project};
use crate::domain::release::resolve;
use crate::domain::release::{InvalidVersion, checked_version};
use crate::domain::remote::is_same_place;
use crate::domain::repository::{Repository, RepositoryId};
use crate::domain::submission::{Submitted, chained, check};
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::release::Release;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// It cannot be called so.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    /// Nobody knows what it is.
    #[error(
        "nobody knows the commits of release {0:?}: run `sentry-cli releases set-commits` before it \
         is deployed, or put the commit into its name"
    )]
    NoCommits(String),
    /// Neither a commit nor a release.
    #[error("name what was deployed: its revision, or a version whose commits are known")]
    Nothing,
    /// It means another commit by now.
    #[error("the tag of release {0:?} has moved: run `sentry-cli releases set-commits`")]
    Ambiguous(String),
    /// Nobody knows where the commits belong.
    #[error(
        "no repository of the project has commit {0}: push it, or add the repository {1:?} to the \
         project"
    )]
    NowhereToPut(Sha, String),
    /// It is named by events or deploys.
    #[error("release {0:?} is named by events or deploys, and stays")]
    InUse(String),
    /// The deploy.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// A commit.
    #[error(transparent)]
    Commit(#[from] FixError),
}

impl From<StoreError> for AnnounceError {
    fn from(error: StoreError) -> Self {
        Self::Commit(error.into())
    }
}

impl From<RepositoryError> for AnnounceError {
    fn from(error: RepositoryError) -> Self {
        Self::Commit(error.into())
    }
}

/// Notes that there is a release, and that it is finished if its client says so. That is no deploy.
///
/// # Errors
/// [`AnnounceError::Version`].
pub async fn announce(
    repositories: &Repositories,
    project: ProjectId,
    version: &str,
    released_at: Option<Timestamp>,
) -> Result<(), AnnounceError> {
    let version = checked_version(version)?;
    let now = repositories.now();
    let mut tx = repositories.store().write().await?;
    tx.announce_release(project, version, (now, released_at)).await?;
    Ok(tx.commit().await?)
}

/// The release that was registered before this one.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn before(
    repositories: &Repositories,
    project: ProjectId,
    version: &str,
) -> Result<Option<Release>, StoreError> {
    let mut tx = repositories.store().read().await?;
    let release = tx.find_release(project, version).await?;
    let bound_at = release.and_then(|release| release.bound).map(|bound| bound.at);
    let at = bound_at.unwrap_or(Timestamp::from_micros(i64::MAX));
    tx.find_release_before(project, version, at).await
}

/// Where a set of commits is to begin that follows a release: after its commit; where sets are
/// submitted one commit earlier, so that the set has one that is known. `None`: as far back as its
/// client goes.
///
/// # Errors
/// [`RepositoryError::Store`].
pub async fn begin_of_set(
    repositories: &Repositories,
    project: ProjectId,
    before: &Release,
) -> Result<Option<Sha>, RepositoryError> {
    let build = before.bound.as_ref().map(|bound| &bound.build.0);
    let Some((id, last)) = build.and_then(|build| build.iter().next()) else { return Ok(None) };
    let histories = Histories::load(repositories, project).await?;
    if histories.is_mirrored(*id) {
        return Ok(Some(*last));
    }
    let Some(history) = histories.history(*id) else { return Ok(None) };
    let parent = history.find(last).and_then(|place| history.parents(place).max());
    Ok(parent.map(|parent| history.sha(parent)))
}

/// Registers a release as these commits, one of each repository.
///
/// # Errors
/// [`AnnounceError`].
pub async fn set_refs(
    repositories: &Repositories,
    project: &Project,
    version: &str,
    refs: &[NamedCommit],
    actor: &str,
) -> Result<(), AnnounceError> {
    let version = checked_version(version)?;
    let mut histories = Histories::load(repositories, project.id).await?;
    let mut build = Build::default();
    for named in refs {
        let (repository, sha) = locate(repositories, &mut histories, project, named).await?;
        let name = || named.repository.clone().unwrap_or_default();
        let repository = repository.ok_or_else(|| AnnounceError::NowhereToPut(sha, name()))?;
        build = build.with(repository, sha);
    }
    if !build.0.is_empty() {
        releases::register(repositories, project.id, version, &build, actor).await?;
    }
    Ok(())
}

/// Registers a release as the newest of these commits, of each repository; where a repository is not
/// fetched, all of them are submitted to it.
///
/// # Errors
/// [`AnnounceError`].
pub async fn set_commits(
    repositories: &Repositories,
    project: &Project,
    version: &str,
    sets: BTreeMap<String, Vec<Submitted>>,
    actor: &str,
) -> Result<(), AnnounceError> {
    let version = checked_version(version)?;
    for set in sets.values() {
        check(set).map_err(RepositoryError::from)?;
    }
    let mut histories = Histories::load(repositories, project.id).await?;
    let mut build = Build::default();
    for (name, set) in sets {
        let Some(newest) = set.first().map(|commit| commit.sha) else { continue };
        let (id, unfetched) =
            place_of(repositories, &mut histories, project.id, &name, newest).await?;
        if let Some(repository) = unfetched {
            let history = histories.history(id);
            let is_known = |sha: &Sha| history.is_some_and(|history| history.find(sha).is_some());
            let known: BTreeSet<Sha> = set.iter().map(|one| one.sha).filter(is_known).collect();
            submit(repositories, &repository, chained(set, &known)).await?;
        }
        build = build.with(id, newest);
    }
    if !build.0.is_empty() {
        releases::register(repositories, project.id, version, &build, actor).await?;
    }
    Ok(())
}

/// Where commits belong that a client says to be of `name`, which may be what it calls its remote; the
/// repository itself if they are to be submitted to it.
async fn place_of(
    repositories: &Repositories,
    histories: &mut Histories,
    project: ProjectId,
    name: &str,
    newest: Sha,
) -> Result<(RepositoryId, Option<Repository>), AnnounceError> {
    if let Some(named) = histories.named(name) {
        let unfetched = named.url.is_none().then(|| named.clone());
        return Ok((named.id, unfetched));
    }
    let mut found = histories.find(newest.into(), None);
    if found.is_empty() && histories.refresh(repositories, project, &newest.to_string()).await? {
        found = histories.find(newest.into(), None);
    }
    match (found.as_slice(), histories.repositories.as_slice()) {
        ([(id, _)], _) => Ok((*id, None)),
        ([_, _, ..], _) => Err(FixError::Ambiguous(newest.to_string()).into()),
        // It comes with the next push.
        ([], [only]) if only.url.is_some() => Ok((only.id, None)),
        ([], all) if all.iter().any(|one| one.url.is_some()) => {
            Err(AnnounceError::NowhereToPut(newest, name.to_owned()))
        }
        ([], _) => {
            let wish = RepositoryWish { name: Some(name.to_owned()), ..RepositoryWish::default() };
            let added = repositories.add(project, wish).await?;
            Ok((added.id, Some(added)))
        }
    }
}

/// Records that a release was deployed: each of its commits is, without asking the gate.
///
/// # Errors
/// [`AnnounceError::NoCommits`] when nobody knows what it is.
pub async fn deployed(
    repositories: &Repositories,
    (project, environment): (&Project, &Environment),
    version: &str,
    (wish, over): (Wish, Over),
    actor: &str,
) -> Result<Vec<Deploy>, AnnounceError> {
    let version = checked_version(version)?;
    let mut histories = Histories::load(repositories, project.id).await?;
    let mut release = releases::bound(repositories, &histories, project.id, version).await?;
    let is_bound =
        |release: &Option<Release>| release.as_ref().is_some_and(|release| release.bound.is_some());
    if !is_bound(&release) && histories.refresh(repositories, project.id, version).await? {
        release = releases::bound(repositories, &histories, project.id, version).await?;
    }
    if release.as_ref().is_some_and(|release| release.is_ambiguous) {
        return Err(AnnounceError::Ambiguous(version.to_owned()));
    }
    let bound = release.and_then(|release| release.bound).map(|bound| bound.build);
    // What its name says may come with the next push.
    let named = || resolve(version, &histories).map(|binding| Build(binding.commits));
    let build = bound.or_else(named).filter(|build| !build.0.is_empty());
    let build = build.ok_or_else(|| AnnounceError::NoCommits(version.to_owned()))?;
    let mut deploys = Vec::new();
    for (repository, sha) in build.0 {
        let repository = histories.name(repository).map(str::to_owned);
        let commit = NamedCommit { commit: sha.to_string(), repository };
        let wish = Wish { version: Some(version.to_owned()), ..wish.clone() };
        let there = (project, environment);
        deploys.push(record(repositories, there, &commit, wish, over, actor).await?);
    }
    Ok(deploys)
}

/// A deploy as a client announces it that knows no releases.
#[derive(Debug, Clone, Default)]
pub struct Announced {
    /// What was deployed.
    pub revision: Option<String>,
    /// What that is called.
    pub version: Option<String>,
    /// The name of its repository, or the address.
    pub repository: Option<String>,
    /// Who did it.
    pub by: Option<String>,
}

/// Records that a commit was deployed, or the release of a name where no commit is named; without
/// asking the gate.
///
/// # Errors
/// [`AnnounceError`].
pub async fn deployed_as(
    repositories: &Repositories,
    (project, environment): (&Project, &Environment),
    announced: Announced,
    actor: &str,
) -> Result<Vec<Deploy>, AnnounceError> {
    let Announced { revision, version, repository, by } = announced;
    let over = Over { has_succeeded: true, started_at: None, finished_at: None, exit_code: None };
    let there = (project, environment);
    let Some(commit) = revision else {
        let version = version.ok_or(AnnounceError::Nothing)?;
        let wish = Wish { by, ..Wish::default() };
        return deployed(repositories, there, &version, (wish, over), actor).await;
    };
    let version = version.as_deref().map(checked_version).transpose()?.map(str::to_owned);
    // Clients name what they were told, which may be nothing that is known here.
    let all = repositories.list(project.id).await?;
    let is_meant = |one: &&Repository| {
        repository.as_ref().is_some_and(|named| {
            one.name == *named || one.url.as_ref().is_some_and(|url| is_same_place(url, named))
        })
    };
    let repository = all.iter().find(is_meant).map(|one| one.name.clone());
    let wish = Wish { version, by, ..Wish::default() };
    let commit = NamedCommit { commit, repository };
    Ok(vec![record(repositories, there, &commit, wish, over, actor).await?])
}

/// Forgets a release that nothing names; false when there is no such release.
///
/// # Errors
/// [`AnnounceError::InUse`].
pub async fn forget(
    repositories: &Repositories,
    project: ProjectId,
    version: &str,
) -> Result<bool, AnnounceError> {
    let in_use = || AnnounceError::InUse(version.to_owned());
    let mut tx = repositories.store().write().await?;
    if tx.find_release(project, version).await?.is_none() {
        return Ok(false);
    }
    if !tx.list_deploys_of_release(project, version, 1).await?.is_empty()
        || !tx.delete_release(project, version).await?
    {
        return Err(in_use());
    }
    tx.commit().await?;
    Ok(true)
}
