//! What new commits say: which issues they fix, and that tags have moved.

use std::collections::BTreeSet;

use super::fixes::{FixError, tag_commits};
use super::histories::Histories;
use super::releases::note_moved_tags;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::commit::Sha;
use crate::domain::fix::{FixCommit, FixState, Source};
use crate::domain::history::Place;
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
    let Some((project, histories)) = load(repositories, repository).await? else { return Ok(()) };
    note_moved_tags(repositories, &histories, project.id).await?;
    let saying = unread(repositories, &histories, &project, repository).await?;
    // As it is now: another may have fetched it first.
    let is_first =
        histories.repositories.iter().any(|one| one.id == repository.id && one.fetched.is_none());
    if is_first {
        let all = saying.into_iter().map(|(sha, _)| sha).collect();
        return Ok(consume(repositories, repository, all).await?);
    }
    tag(repositories, &histories, &project, repository, saying).await
}

/// Reads what a branch that counts has new when it moves to `tip`, in a repository whose commits are
/// submitted. What any branch had before never names a fix, also if it was submitted only now; nor does
/// what the first branch has, nor what was committed before there was the repository on a branch that
/// is told for the first time.
///
/// # Errors
/// [`RepositoryError::Store`].
pub async fn read_submitted(
    repositories: &Repositories,
    repository: &Repository,
    (branch, tip): (&str, Sha),
) -> Result<(), RepositoryError> {
    let loaded = load(repositories, repository).await?;
    let Some((project, mut histories)) = loaded else { return Ok(()) };
    let Some(history) = histories.history(repository.id) else { return Ok(()) };
    let tips = repository.submitted_branches.values();
    let tips: Vec<Place> = tips.filter_map(|tip| history.find(tip)).collect();
    let before = history.ancestors(&tips);
    let is_first = !repository.submitted_branches.contains_key(branch);
    let began = repository.created_at.as_micros().div_euclid(1_000_000);
    let is_old = |sha: &Sha| {
        let was_there = |place| before.has(place) || (is_first && history.time(place) < began);
        tips.is_empty() || history.find(sha).is_some_and(was_there)
    };
    let saying = unread(repositories, &histories, &project, repository).await?;
    let (old, fresh): (Vec<Saying>, Vec<Saying>) =
        saying.into_iter().partition(|(sha, _)| is_old(sha));
    let old: BTreeSet<Sha> = old.into_iter().map(|(sha, _)| sha).collect();
    if !old.is_empty() {
        consume(repositories, repository, old).await?;
    }
    histories.move_branch(repository.id, branch, tip);
    tag(repositories, &histories, &project, repository, fresh).await
}

/// A commit that says to fix issues.
type Saying = (Sha, Vec<ShortId>);

async fn load(
    repositories: &Repositories,
    repository: &Repository,
) -> Result<Option<(Project, Histories)>, RepositoryError> {
    let found =
        repositories.store().read().await?.find_project_by_id(repository.project_id).await?;
    let Some(project) = found else { return Ok(None) };
    let histories = Histories::load(repositories, project.id).await?;
    Ok(Some((project, histories)))
}

/// Commits that name issues of the project, and were not read yet.
async fn unread(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    repository: &Repository,
) -> Result<Vec<Saying>, RepositoryError> {
    let of_project =
        |name: &String| name.parse().ok().filter(|id: &ShortId| id.prefix == project.prefix);
    let mut saying: Vec<Saying> = Vec::new();
    if let Some(history) = histories.history(repository.id) {
        for (place, names) in history.closing() {
            let issues: Vec<ShortId> = names.iter().filter_map(of_project).collect();
            if !issues.is_empty() {
                saying.push((history.sha(place), issues));
            }
        }
    }
    if !saying.is_empty() {
        let known = repositories.store().read().await?.list_read_messages(repository).await?;
        saying.retain(|(sha, _)| !known.contains(sha));
    }
    Ok(saying)
}

/// Tags those of these commits that are on a branch that counts.
async fn tag(
    repositories: &Repositories,
    histories: &Histories,
    project: &Project,
    repository: &Repository,
    mut saying: Vec<Saying>,
) -> Result<(), RepositoryError> {
    saying.retain(|(sha, _)| {
        let place = histories.place(repository.id, sha);
        place.is_some_and(|place| histories.branch_of(repository.id, place).is_some())
    });
    for (sha, mut issues) in saying {
        // The last one notes that the message was read, with what it says.
        let last = issues.pop();
        let all = issues.into_iter().map(|id| (id, false)).chain(last.map(|id| (id, true)));
        for (id, is_last) in all {
            let said = (repository, sha, is_last);
            match fixes(repositories, histories, project, said, &id).await {
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
