//! What new commits say: which issues they fix, and that tags have moved.

use std::collections::BTreeSet;

use super::fixes::{FixError, tag_commits};
use super::histories::Histories;
use super::releases::note_moved_tags;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::commit::Sha;
use crate::domain::fix::{FixCommit, FixState, Source};
use crate::domain::id::ShortId;
use crate::domain::issue::Issue;
use crate::domain::lifecycle::{Change, Status};
use crate::domain::project::Project;
use crate::domain::repository::Repository;
use crate::journal::note;
use crate::store::{StoreError, Tx};

/// The actor of what commits say.
const ACTOR: &str = "git";

/// Reads what a repository has new since it was read last. A commit names fixes once, when it is on a
/// branch that counts; what was there at the first fetch never does.
///
/// # Errors
/// [`RepositoryError::Store`].
pub async fn read(
    repositories: &Repositories,
    repository: &Repository,
) -> Result<(), RepositoryError> {
    let found =
        repositories.store().read().await?.find_project_by_id(repository.project_id).await?;
    let Some(project) = found else { return Ok(()) };
    let histories = Histories::load(repositories, project.id).await?;
    note_moved_tags(repositories, &histories, project.id).await?;
    let Some(history) = histories.history(repository.id) else { return Ok(()) };
    let of_project =
        |name: &String| name.parse().ok().filter(|id: &ShortId| id.prefix == project.prefix);
    let mut saying: Vec<(Sha, Vec<ShortId>)> = Vec::new();
    for (place, names) in history.closing() {
        let issues: Vec<ShortId> = names.iter().filter_map(of_project).collect();
        if !issues.is_empty() {
            saying.push((history.sha(place), issues));
        }
    }
    if saying.is_empty() {
        return Ok(());
    }
    let known = repositories.store().read().await?.list_read_messages(repository).await?;
    saying.retain(|(sha, _)| !known.contains(sha));
    // As it is now: another may have fetched it first.
    let is_first =
        histories.repositories.iter().any(|one| one.id == repository.id && one.fetched.is_none());
    if is_first {
        let all = saying.into_iter().map(|(sha, _)| sha).collect();
        return Ok(consume(repositories, repository, all).await?);
    }
    saying.retain(|(sha, _)| {
        let place = history.find(sha);
        place.is_some_and(|place| histories.branch_of(repository.id, place).is_some())
    });
    for (sha, mut issues) in saying {
        // The last one notes that the message was read, with what it says.
        let last = issues.pop();
        let all = issues.into_iter().map(|id| (id, false)).chain(last.map(|id| (id, true)));
        for (id, is_last) in all {
            let said = (repository, sha, is_last);
            match fixes(repositories, &histories, &project, said, &id).await {
                Ok(()) => {}
                Err(FixError::Repository(error)) => return Err(error),
                // A commit may say what it likes.
                Err(error) => tracing::info!(%error, %id, %sha, "a commit names no fix"),
            }
        }
        consume(repositories, repository, BTreeSet::from([sha])).await?;
    }
    Ok(())
}

async fn consume(
    repositories: &Repositories,
    repository: &Repository,
    shas: BTreeSet<Sha>,
) -> Result<(), StoreError> {
    let mut tx = repositories.store().write().await?;
    tx.insert_read_messages(repository, &shas, repositories.now()).await?;
    tx.commit().await
}

/// A commit on a branch that counts says to fix an issue.
async fn fixes(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    (repository, sha, is_last): (&Repository, Sha, bool),
    id: &ShortId,
) -> Result<(), FixError> {
    let (issue, current) = {
        let mut tx = repositories.store().read().await?;
        let Some(issue) = find(&mut tx, project, id).await? else { return Ok(()) };
        let current = tx.list_fixes_of(project.id, &[issue.id]).await?.remove(&issue.id);
        (issue, current)
    };
    if matches!(issue.state.status, Status::Resolved { .. }) {
        let mut tx = repositories.store().write().await?;
        let change = Change::FixMentioned { commit: sha.to_string() };
        note(&mut tx, repositories.clock(), project.id, issue.id, change, ACTOR).await?;
        tx.commit().await?;
        return Ok(());
    }
    let own = FixCommit { repository: Some(repository.id), sha, alternatives: Vec::new() };
    let is_on_branch = |one: &FixCommit| {
        one.repository.is_some_and(|repository| {
            let place = histories.place(repository, &one.sha);
            place.is_some_and(|place| histories.branch_of(repository, place).is_some())
        })
    };
    let standing = current.filter(|current| current.state == FixState::Standing);
    let commits = match standing {
        Some(current) => match current.fix.joined(&own, is_on_branch) {
            Some(commits) => commits,
            None => return Ok(()),
        },
        None => vec![own],
    };
    let named = (issue.id, commits);
    let said_by = is_last.then_some((repository, sha));
    let by = (ACTOR, Source::Trailer);
    tag_commits(repositories, histories, project, named, by, said_by).await
}

async fn find(tx: &mut Tx, project: &Project, id: &ShortId) -> Result<Option<Issue>, StoreError> {
    let Some(issue) = tx.find_issue(project, id.number).await? else { return Ok(None) };
    match issue.merged_into {
        None => Ok(Some(issue)),
        Some(survivor) => tx.find_issue_by_id(project, survivor).await,
    }
}
