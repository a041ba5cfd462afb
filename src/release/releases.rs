//! Releases: registered, or found by their names.

use std::collections::BTreeSet;

use super::histories::Histories;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::build::Build;
use crate::domain::id::ProjectId;
use crate::domain::release::{Binding, Repositories as _, Rule, resolve};
use crate::store::release::{Bound, Release};
use crate::store::unsettled::Unsettled;

/// What a release is, found by its name if nobody said; what is found is kept.
///
/// # Errors
/// [`RepositoryError::Store`].
pub async fn bound(
    repositories: &Repositories,
    histories: &Histories,
    project: ProjectId,
    version: &str,
) -> Result<Option<Release>, RepositoryError> {
    let release = repositories.store().read().await?.find_release(project, version).await?;
    if release.as_ref().is_some_and(|release| release.bound.is_some()) {
        return Ok(release);
    }
    let Some(Binding { commits, rule }) = resolve(version, histories) else { return Ok(release) };
    let build = Build(commits);
    if !histories.knows(&build) {
        // It may come with the next push, or never.
        return Ok(release);
    }
    let bound = Bound { build, rule, by: None, at: repositories.now() };
    let mut tx = repositories.store().write().await?;
    tx.bind_release(project, version, (None, &bound)).await?;
    tx.commit().await?;
    Ok(repositories.store().read().await?.find_release(project, version).await?)
}

/// Registers what a release is, in the repositories that are named; true when it was something before.
/// A release of several repositories may be registered one by one. Its events are settled anew.
///
/// # Errors
/// [`RepositoryError::Store`].
pub async fn register(
    repositories: &Repositories,
    project: ProjectId,
    version: &str,
    said: &Build,
    by: &str,
) -> Result<bool, RepositoryError> {
    let now = repositories.now();
    let mut tx = repositories.store().write().await?;
    let before = tx.find_release(project, version).await?;
    let was = before.as_ref().and_then(|release| release.bound.as_ref());
    let registered = was.filter(|was| was.rule == Rule::Registered);
    let mut build = registered.map(|was| was.build.clone()).unwrap_or_default();
    build.0.extend(&said.0);
    let is_same = registered.is_some_and(|was| was.build == build);
    let is_doubtful = before.as_ref().is_some_and(|release| release.is_ambiguous);
    if is_same && !is_doubtful {
        return Ok(true);
    }
    let is_replaced = was.is_some();
    let is_other = was.is_some_and(|was| was.build != build);
    let bound = Bound { build, rule: Rule::Registered, by: Some(by.to_owned()), at: now };
    tx.bind_release(project, version, (was.filter(|_| is_other), &bound)).await?;
    if is_other || !is_replaced {
        let judged = tx.list_judged_in(project, version).await?;
        let anew = |issue| Unsettled { issue, release: version.to_owned() };
        let anew: BTreeSet<Unsettled> = judged.into_iter().map(anew).collect();
        tx.unsettle(project, &anew, now).await?;
    }
    tx.settle_soon(project, now).await?;
    tx.commit().await?;
    repositories.hint();
    Ok(is_replaced)
}

/// Notes which releases have become doubtful because their tags mean something else by now.
///
/// # Errors
/// [`RepositoryError::Store`].
pub async fn note_moved_tags(
    repositories: &Repositories,
    histories: &Histories,
    project: ProjectId,
) -> Result<(), RepositoryError> {
    let tagged = repositories.store().read().await?.list_tagged_releases(project).await?;
    for Release { version, bound, .. } in tagged {
        let Some(bound) = bound else { continue };
        let moved =
            |(repository, sha)| bound.build.0.get(&repository).is_some_and(|was| *was != sha);
        let now = crate::domain::release::tags(&version).map(|name| histories.tag(&name));
        let now = now.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        if now.into_iter().any(moved) {
            let mut tx = repositories.store().write().await?;
            tx.set_ambiguous(project, &version).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}
