//! Commits that clients submit, for repositories that are not fetched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::messages;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::commit::{Commit, Sha};
use crate::domain::history::{History, Reach, parents_first};
use crate::domain::repository::{Repository, RepositoryId};
use crate::domain::submission::{
    InvalidSubmission, MOST_BRANCHES, MOST_SUBMITTED, Submitted, check,
};
use crate::git::mirror::FetchError;
use crate::git::mirrors::Snapshot;

/// What was submitted to a repository, as it was last read.
#[derive(Debug, Clone, Default)]
struct Read {
    /// How many commits there were.
    n_submitted: u64,
    /// How often such commits had been replaced.
    n_replaced: u64,
    snapshot: Snapshot,
    /// Parents that nobody has.
    missing: Arc<BTreeSet<Sha>>,
    /// Commits whose parents are made up.
    assumed: Arc<BTreeSet<Sha>>,
}

/// What was submitted, in memory: of what comes later only that is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Submissions {
    read: Arc<Mutex<HashMap<RepositoryId, Read>>>,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many commits the repository has now.
    pub n_commits: u64,
    /// How many of those that were sent it had already, as they are.
    pub n_known: u64,
}

impl Submissions {
    fn find(&self, id: RepositoryId) -> Option<Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn keep(&self, id: RepositoryId, read: Read) {
        let mut all = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have read more meanwhile.
        let age = |read: &Read| (read.n_replaced, read.n_submitted);
        if all.get(&id).is_none_or(|known| age(known) < age(&read)) {
            all.insert(id, read);
        }
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
    let snapshot = read(repositories, repository).await?.snapshot;
    Ok(Snapshot { branches: Arc::new(repository.submitted_branches.clone()), ..snapshot })
}

async fn read(
    repositories: &Repositories,
    repository: &Repository,
) -> Result<Read, RepositoryError> {
    let n_replaced = repository.n_replaced;
    let known = repositories.submissions().find(repository.id).unwrap_or_default();
    if (known.n_replaced, known.n_submitted) >= (n_replaced, repository.n_submitted) {
        return Ok(known);
    }
    // Of what was replaced nobody knows which it is: then all is read.
    let known =
        if known.n_replaced < n_replaced { Read { n_replaced, ..Read::default() } } else { known };
    let fresh = list_since(repositories, repository, known.n_submitted).await?;
    // What comes below what is known changes all places: then all is read.
    let is_on_top = !fresh.iter().any(|commit| known.missing.contains(&commit.sha));
    let (known, fresh) = if is_on_top {
        (known, fresh)
    } else {
        (Read { n_replaced, ..Read::default() }, list_since(repositories, repository, 0).await?)
    };
    let made = spawn_blocking(move || known.with(fresh)).await;
    let made = made.map_err(|panic| FetchError::Damaged(panic.to_string()))?;
    repositories.submissions().keep(repository.id, made.clone());
    Ok(made)
}

/// All commits but the first `n_known` that were submitted.
async fn list_since(
    repositories: &Repositories,
    repository: &Repository,
    n_known: u64,
) -> Result<Vec<Submitted>, RepositoryError> {
    let mut commits: Vec<Submitted> = Vec::new();
    let mut after = (n_known, Sha::NULL);
    let mut tx = repositories.store().read().await?;
    loop {
        let page = tx.list_submitted(repository, after).await?;
        let Some((n_before, last)) = page.last() else { return Ok(commits) };
        after = (*n_before, last.sha);
        commits.extend(page.into_iter().map(|(_, submitted)| submitted));
    }
}

impl Read {
    /// With more commits, of which none is a missing parent.
    fn with(self, fresh: Vec<Submitted>) -> Self {
        let n_submitted = self.n_submitted + fresh.len() as u64;
        let mut history = History::clone(&self.snapshot.commits.history);
        let mut listed = (*self.snapshot.listed).clone();
        listed.extend(fresh.iter().filter(|one| one.is_listed).map(|one| one.sha));
        let mut assumed = (*self.assumed).clone();
        assumed.extend(fresh.iter().filter(|one| one.is_assumed).map(|one| one.sha));
        let fresh: Vec<Commit> = fresh.into_iter().map(Submitted::commit).collect();
        let parents: BTreeSet<Sha> =
            fresh.iter().flat_map(|commit| &commit.parents).copied().collect();
        history.extend(parents_first(fresh));
        let mut missing = (*self.missing).clone();
        missing.extend(parents.into_iter().filter(|parent| history.find(parent).is_none()));
        let snapshot = Snapshot { listed: Arc::new(listed), ..Snapshot::of(history) };
        let (missing, assumed) = (Arc::new(missing), Arc::new(assumed));
        Self { n_submitted, n_replaced: self.n_replaced, snapshot, missing, assumed }
    }
}

/// Adds commits to a repository that is not fetched. What is there already stays as it is, unless its
/// parents were made up and are known now.
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
    let (n_new, n_replaced) = tx.insert_submitted(repository, there, &commits).await?;
    let n_commits = there + n_new;
    if n_commits > MOST_SUBMITTED && n_new > 0 {
        return Err(InvalidSubmission::Full.into());
    }
    let taken = Taken { n_commits, n_known: commits.len() as u64 - n_new - n_replaced };
    if n_new + n_replaced == 0 {
        return Ok(taken);
    }
    tx.count_submitted(repository, (n_commits, n_replaced)).await?;
    if n_replaced > 0 {
        tx.delete_answers(project).await?;
        tx.unsettle_all(project, repositories.now()).await?;
        // Whoever was judged by what was believed before does not start.
        if let Some(project) = tx.find_project_by_id(project).await? {
            let names: BTreeSet<&String> =
                project.environments.iter().map(|one| &one.name).collect();
            for name in names {
                tx.raise_gate(project.id, name).await?;
            }
        }
    }
    tx.settle_soon(project, repositories.now()).await?;
    // Somebody else may have added some that are not known here.
    let is_told = n_replaced == 0
        && before.n_submitted == there
        && !commits.iter().any(|commit| before.missing.contains(&commit.sha));
    if !is_told {
        // What is deployed may be told by now of more than before.
        tx.look_again_for_fixes(project, repositories.now()).await?;
    }
    tx.commit().await?;
    repositories.hint();
    Ok(taken)
}

/// Those of these commits that were not submitted yet, or with made-up parents.
///
/// # Errors
/// [`RepositoryError`]: the repository is fetched.
pub async fn wanted(
    repositories: &Repositories,
    repository: &Repository,
    mut commits: Vec<Sha>,
) -> Result<Vec<Sha>, RepositoryError> {
    if repository.url.is_some() {
        return Err(RepositoryError::NotSubmitted);
    }
    let known = read(repositories, repository).await?;
    let history = &known.snapshot.commits.history;
    commits.retain(|sha| history.find(sha).is_none() || known.assumed.contains(sha));
    Ok(commits)
}

/// Notes where a branch is by now, and reads the messages that are new on it. A branch that does not
/// count is none of our business, nor is a step back.
///
/// # Errors
/// [`RepositoryError`]: nobody has its tip.
pub async fn move_branch(
    repositories: &Repositories,
    repository: &Repository,
    (branch, tip): (&str, Sha),
) -> Result<(), RepositoryError> {
    // Whoever moves it meanwhile has moved it on: then it is looked at anew.
    while !try_move(repositories, repository, (branch, tip)).await? {}
    Ok(())
}

/// False when the branches moved between the look and the move.
async fn try_move(
    repositories: &Repositories,
    repository: &Repository,
    (branch, tip): (&str, Sha),
) -> Result<bool, RepositoryError> {
    let project = repository.project_id;
    // As it is now, with what was submitted just now.
    let mut tx = repositories.store().read().await?;
    let found = tx.find_repository(project, &repository.name).await?;
    drop(tx);
    let Some(repository) = found else { return Ok(true) };
    let commits = read(repositories, &repository).await?.snapshot.commits;
    let place = commits.history.find(&tip).ok_or(InvalidSubmission::Tip(tip))?;
    let branches = &repository.submitted_branches;
    let last = branches.get(branch).and_then(|last| commits.history.find(last));
    let is_ahead = last.is_none_or(|last| commits.history.reach(place, last) != Reach::Yes);
    let has_room = last.is_some() || branches.len() < MOST_BRANCHES;
    if !repository.branches.track(branch) || !is_ahead || !has_room {
        return Ok(true);
    }
    // First: what a branch has is not new once it is noted.
    messages::read_submitted(repositories, &repository, (branch, tip)).await?;
    let mut tx = repositories.store().write().await?;
    let found = tx.find_repository_to_change(project, &repository.name).await?;
    let Some(mut found) = found else { return Ok(true) };
    if found.id != repository.id || found.submitted_branches != repository.submitted_branches {
        return Ok(false);
    }
    found.submitted_branches.insert(branch.to_owned(), tip);
    tx.move_submitted_branches(&found).await?;
    tx.settle_soon(project, repositories.now()).await?;
    tx.commit().await?;
    repositories.hint();
    Ok(true)
}
