//! Commits that clients submit, for repositories that are not fetched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::repositories::{Repositories, RepositoryError};
use crate::domain::commit::{Commit, Sha};
use crate::domain::history::{History, parents_first};
use crate::domain::repository::{Repository, RepositoryId};
use crate::domain::submission::{InvalidSubmission, MOST_SUBMITTED, Submitted, check};
use crate::git::mirror::FetchError;
use crate::git::mirrors::Snapshot;

/// What was submitted to a repository, as it was last read.
#[derive(Debug, Clone)]
struct Read {
    /// How many commits there were.
    n_submitted: u64,
    snapshot: Snapshot,
    /// Parents that nobody has.
    missing: Arc<BTreeSet<Sha>>,
}

/// What was submitted, in memory: it is read again when there is more of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Submissions {
    read: Arc<Mutex<HashMap<RepositoryId, Read>>>,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many commits the repository has now.
    pub n_commits: u64,
    /// How many of those that were sent it had already.
    pub n_known: u64,
}

impl Submissions {
    fn find(&self, repository: &Repository) -> Option<Read> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(&repository.id).filter(|it| it.n_submitted == repository.n_submitted).cloned()
    }

    fn keep(&self, id: RepositoryId, read: Read) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(id, read);
    }

    /// Forgets what is gone.
    pub(super) fn forget(&self, id: RepositoryId) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// What was submitted to a repository.
///
/// # Errors
/// [`RepositoryError::Store`].
pub(super) async fn snapshot(
    repositories: &Repositories,
    repository: &Repository,
) -> Result<Snapshot, RepositoryError> {
    Ok(read(repositories, repository).await?.snapshot)
}

async fn read(
    repositories: &Repositories,
    repository: &Repository,
) -> Result<Read, RepositoryError> {
    if let Some(known) = repositories.submissions().find(repository) {
        return Ok(known);
    }
    let mut commits: Vec<Commit> = Vec::new();
    let mut after = Sha::NULL;
    let mut tx = repositories.store().read().await?;
    loop {
        let page = tx.list_submitted(repository, after).await?;
        let Some(last) = page.last() else { break };
        after = last.sha;
        commits.extend(page.into_iter().map(Submitted::commit));
    }
    drop(tx);
    // Somebody may have added to it meanwhile: then it is read again.
    let n_submitted = (commits.len() as u64).min(repository.n_submitted);
    let made = spawn_blocking(move || {
        let names: BTreeSet<Sha> = commits.iter().map(|commit| commit.sha).collect();
        let parents = commits.iter().flat_map(|commit| &commit.parents);
        let missing = parents.filter(|parent| !names.contains(*parent)).copied().collect();
        let mut history = History::default();
        history.extend(parents_first(commits));
        Read { n_submitted, snapshot: Snapshot::of(history), missing: Arc::new(missing) }
    });
    let panicked = |panic: tokio::task::JoinError| FetchError::Damaged(panic.to_string());
    let made = made.await.map_err(panicked)?;
    repositories.submissions().keep(repository.id, made.clone());
    Ok(made)
}

/// Adds commits to a repository that is not fetched. What is there already stays as it is.
///
/// # Errors
/// [`RepositoryError`]: it is fetched, or they make no sense.
pub async fn submit(
    repositories: &Repositories,
    repository: &Repository,
    commits: Vec<Submitted>,
) -> Result<Taken, RepositoryError> {
    if repository.url.is_some() {
        return Err(RepositoryError::NotSubmitted);
    }
    check(&commits)?;
    // Whoever names one twice means one; of two that differ nobody knows which is right.
    let commits: BTreeMap<Sha, Submitted> =
        commits.into_iter().rev().map(|commit| (commit.sha, commit)).collect();
    let commits: Vec<Submitted> = commits.into_values().collect();
    let before = read(repositories, repository).await?;
    let project = repository.project_id;
    let mut tx = repositories.store().write().await?;
    let Some(there) = tx.lock_submitted(repository).await? else {
        return Err(RepositoryError::NotSubmitted);
    };
    let n_new = tx.insert_submitted(repository, &commits).await?;
    let n_commits = there + n_new;
    if n_commits > MOST_SUBMITTED && n_new > 0 {
        return Err(InvalidSubmission::Full.into());
    }
    let taken = Taken { n_commits, n_known: commits.len() as u64 - n_new };
    if n_new == 0 {
        return Ok(taken);
    }
    tx.count_submitted(repository, n_commits).await?;
    tx.settle_soon(project, repositories.now()).await?;
    // Somebody else may have added some that are not known here.
    let is_told = before.n_submitted == there
        && !commits.iter().any(|commit| before.missing.contains(&commit.sha));
    if !is_told {
        // What is deployed may be told by now of more than before.
        tx.look_again_for_fixes(project, repositories.now()).await?;
    }
    tx.commit().await?;
    repositories.hint();
    Ok(taken)
}
