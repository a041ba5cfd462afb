//! The repositories of a project: added, changed and fetched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::answers::Unkept;
use super::messages;
use super::submissions::{self, Submissions, Taken};
use crate::auth::secrets::{Secrets, Unreadable};
use crate::clock::Clock;
use crate::domain::commit::Sha;
use crate::domain::id::{ProjectId, ProjectItemId};
use crate::domain::remote::InvalidUrl;
use crate::domain::repository::{
    Branches, Failure, Fetched, InvalidRepository, MOST_REPOSITORIES, Repository, RepositoryId,
    check_branches, check_credential, check_name,
};
use crate::domain::submission::{InvalidSubmission, Submitted};
use crate::domain::time::Timestamp;
use crate::git::command::Credential;
use crate::git::mirror::FetchError;
use crate::git::mirrors::{Mirrors, Snapshot};
use crate::git::patches::Looked;
use crate::store::{Store, StoreError};

/// What repositories are worked on with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repositories {
    store: Store,
    clock: Clock,
    mirrors: Mirrors,
    secrets: Secrets,
    submissions: Submissions,
    hint: Arc<Notify>,
    pushed: Arc<Pushed>,
    /// What was asked for lately and nobody knew.
    missed: Arc<Mutex<HashMap<(ProjectId, String), Timestamp>>>,
    unkept: Arc<Unkept>,
}

/// So much that nobody knew is remembered before what is old is forgotten.
const MOST_MISSED: usize = 1_000;

/// Repositories that are to be fetched soon.
#[derive(Debug, Default)]
struct Pushed {
    repositories: Mutex<BTreeMap<RepositoryId, Reason>>,
    news: Notify,
}

/// Why a repository is to be fetched before it is due; the stronger reason comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Something waits for what it may have by now.
    Wished,
    /// Its host says that it has something new.
    Pushed,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidRepository),
    /// The address makes no sense.
    #[error("url: {0}")]
    Url(#[from] InvalidUrl),
    /// The host, the network or the mirror.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The credential cannot be read.
    #[error(transparent)]
    Secret(#[from] Unreadable),
    /// There is nothing to fetch.
    #[error("the repository has no url; its commits are submitted")]
    NotFetched,
    /// Nothing is to be submitted.
    #[error("the repository has a url; its commits are fetched from there")]
    NotSubmitted,
    /// What is submitted makes no sense.
    #[error(transparent)]
    Submission(#[from] InvalidSubmission),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a repository is to be. What is `None` stays, or is the default of a new one.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Its name.
    pub name: Option<String>,
    /// Where it is; an empty one takes it away.
    pub url: Option<String>,
    /// Which branches count.
    pub branches: Option<Branches>,
    /// What it is fetched with; an empty one takes it away.
    pub credential: Option<String>,
}

impl Repositories {
    /// With everything that is needed.
    #[must_use]
    pub fn new(store: Store, clock: Clock, mirrors: Mirrors, secrets: Secrets) -> Self {
        Self {
            store,
            clock,
            mirrors,
            secrets,
            submissions: Submissions::default(),
            hint: Arc::default(),
            pushed: Arc::default(),
            missed: Arc::default(),
            unkept: Arc::default(),
        }
    }

    /// Where everything is.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Answers that are to be kept.
    pub(super) fn unkept(&self) -> &Unkept {
        &self.unkept
    }

    /// The time and new ids.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether something was fetched for within `pause`, and nobody had it.
    pub(super) fn was_missed(&self, project: ProjectId, asked: &str, pause: Duration) -> bool {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let at = missed.get(&(project, asked.to_owned()));
        at.is_some_and(|at| at.is_within(pause, self.now()))
    }

    /// Notes what was fetched for.
    pub(super) fn missed(&self, project: ProjectId, asked: &str, pause: Duration) {
        let now = self.now();
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.len() >= MOST_MISSED {
            missed.retain(|_, at| at.is_within(pause, now));
        }
        missed.insert((project, asked.to_owned()), now);
    }

    /// More is known than a moment ago: what waits for it is looked at now.
    pub fn hint(&self) {
        self.hint.notify_one();
    }

    /// Waits until more is known.
    pub async fn hinted(&self) {
        self.hint.notified().await;
    }

    /// What the host of a repository signs its messages with.
    #[must_use]
    pub fn hook_secret(&self, repository: &Repository) -> String {
        self.secrets.hook_secret(&owner(repository))
    }

    /// Somebody says that a repository has something new: it is fetched soon.
    pub fn was_pushed(&self, repository: RepositoryId) {
        self.fetch_soon(repository, Reason::Pushed);
    }

    /// Lets a repository be fetched soon, unless it cannot be fetched: it may have by now what something
    /// waits for.
    pub(super) fn is_wished(&self, repository: RepositoryId) {
        self.fetch_soon(repository, Reason::Wished);
    }

    fn fetch_soon(&self, repository: RepositoryId, reason: Reason) {
        let mut all = self.pushed.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(repository).or_insert(reason);
        *known = reason.max(*known);
        self.pushed.news.notify_one();
    }

    /// The repositories that are to be fetched soon, of those that were named since this was asked last.
    #[must_use]
    pub fn take_pushed(&self) -> BTreeMap<RepositoryId, Reason> {
        let mut all = self.pushed.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut all)
    }

    /// Waits until a repository is to be fetched soon.
    pub async fn pushed(&self) {
        self.pushed.news.notified().await;
    }

    /// The repository of a project with this inner id.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find(&self, id: ProjectItemId) -> Result<Option<Repository>, StoreError> {
        let all = self.list(id.project).await?;
        Ok(all.into_iter().find(|one| one.id.0 == id.id))
    }

    /// The repositories of a project, by name.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list(&self, project: ProjectId) -> Result<Vec<Repository>, StoreError> {
        self.store.read().await?.list_repositories(project).await
    }

    /// What was submitted, as it was last read.
    pub(super) fn submissions(&self) -> &Submissions {
        &self.submissions
    }

    /// What the mirror of a repository held when it was last fetched, or what was submitted to it.
    ///
    /// # Errors
    /// [`RepositoryError`] when it cannot be read.
    pub(super) async fn snapshot(
        &self,
        repository: &Repository,
    ) -> Result<Snapshot, RepositoryError> {
        if repository.url.is_none() {
            return submissions::snapshot(self, repository).await;
        }
        Ok(self.mirrors.snapshot(repository.id).await?)
    }

    /// What stands for commits by its patch; nothing where there is no mirror.
    ///
    /// # Errors
    /// [`FetchError`] when what is on disk cannot be read.
    pub(super) async fn same_patches(
        &self,
        id: RepositoryId,
        snapshot: &Snapshot,
        commits: BTreeSet<Sha>,
        known: BTreeMap<Sha, Looked>,
    ) -> Result<BTreeMap<Sha, Looked>, FetchError> {
        self.mirrors.same_patches(id, snapshot, commits, known).await
    }

    /// Adds a repository.
    ///
    /// # Errors
    /// [`RepositoryError`]: it makes no sense, or its name is taken.
    pub async fn add(&self, project: ProjectId, wish: Wish) -> Result<Repository, RepositoryError> {
        let new = Repository {
            id: RepositoryId(self.clock.id()),
            project_id: project,
            name: String::new(),
            url: None,
            branches: Branches::default(),
            credential: None,
            created_at: self.clock.now(),
            fetched: None,
            failure: None,
            n_submitted: 0,
            n_replaced: 0,
            submitted_branches: BTreeMap::new(),
        };
        let new = self.fulfilled(new, wish)?;
        let mut tx = self.store.write().await?;
        if tx.list_repositories(project).await?.len() >= MOST_REPOSITORIES {
            return Err(InvalidRepository::TooMany.into());
        }
        tx.insert_repository(&new).await?;
        tx.commit().await?;
        Ok(new)
    }

    /// Changes a repository, as it is then; `None` when there is none of this name.
    ///
    /// # Errors
    /// [`RepositoryError`]: it makes no sense, or its new name is taken.
    pub async fn update(
        &self,
        project: ProjectId,
        name: &str,
        wish: Wish,
    ) -> Result<Option<Repository>, RepositoryError> {
        let mut tx = self.store.write().await?;
        let found = tx.find_repository_to_change(project, name).await?;
        let Some(repository) = found else { return Ok(None) };
        let repository = self.fulfilled(repository, wish)?;
        tx.update_repository(&repository).await?;
        tx.commit().await?;
        Ok(Some(repository))
    }

    /// Removes a repository and its mirror; false when there is none of this name.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn remove(&self, project: ProjectId, name: &str) -> Result<bool, RepositoryError> {
        let mut tx = self.store.write().await?;
        let Some(repository) = tx.find_repository(project, name).await? else { return Ok(false) };
        tx.delete_submitted(&repository).await?;
        tx.delete_repository(&repository).await?;
        tx.commit().await?;
        self.submissions.forget(repository.id);
        self.mirrors.remove(repository.id).await?;
        Ok(true)
    }

    /// Adds commits to a repository that is not fetched, and moves the branch of which they are to its
    /// tip if that is said; `None` when there is none of this name.
    ///
    /// # Errors
    /// [`RepositoryError`]: it is fetched, or they make no sense.
    pub async fn submit(
        &self,
        project: ProjectId,
        name: &str,
        commits: Vec<Submitted>,
        branch: Option<(&str, Sha)>,
    ) -> Result<Option<Taken>, RepositoryError> {
        let repository = self.store.read().await?.find_repository(project, name).await?;
        let Some(repository) = repository else { return Ok(None) };
        let taken = submissions::submit(self, &repository, commits).await?;
        if let Some(branch) = branch {
            submissions::move_branch(self, &repository, branch).await?;
        }
        Ok(Some(taken))
    }

    /// Those of these commits that were not submitted to a repository yet; `None` when there is none of
    /// this name.
    ///
    /// # Errors
    /// [`RepositoryError`]: it is fetched.
    pub async fn wanted(
        &self,
        project: ProjectId,
        name: &str,
        commits: Vec<Sha>,
    ) -> Result<Option<Vec<Sha>>, RepositoryError> {
        let repository = self.store.read().await?.find_repository(project, name).await?;
        let Some(repository) = repository else { return Ok(None) };
        submissions::wanted(self, &repository, commits).await.map(Some)
    }

    /// Fetches a repository now; `None` when there is none of this name.
    ///
    /// # Errors
    /// [`RepositoryError`] says why it could not be fetched; so does the repository from then on.
    pub async fn fetch(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<(Repository, Fetched)>, RepositoryError> {
        let repository = self.store.read().await?.find_repository(project, name).await?;
        let Some(repository) = repository else { return Ok(None) };
        if repository.url.is_none() {
            return Err(RepositoryError::NotFetched);
        }
        let fetched = self.fetch_one(&repository).await?;
        Ok(Some((repository, fetched)))
    }

    /// All repositories that are fetched; mirrors of others are removed.
    ///
    /// # Errors
    /// [`RepositoryError`] of the store or the disk.
    pub async fn all_mirrored(&self) -> Result<Vec<Repository>, RepositoryError> {
        // In this order: a repository is there before its mirror is.
        let on_disk = self.mirrors.list()?;
        let all = self.store.read().await?.list_mirrored_repositories().await?;
        let there: BTreeSet<RepositoryId> = all.iter().map(|repository| repository.id).collect();
        for gone in on_disk.into_iter().filter(|id| !there.contains(id)) {
            if let Err(cause) = self.mirrors.remove(gone).await {
                tracing::warn!(%cause, "the mirror of a repository that is gone cannot be removed");
            }
        }
        Ok(all)
    }

    /// Fetches this repository, and notes how it went.
    ///
    /// # Errors
    /// [`RepositoryError`] says why it could not be fetched; so does the repository from then on.
    pub async fn fetch_one(&self, repository: &Repository) -> Result<Fetched, RepositoryError> {
        let snapshot = match self.fetched(repository).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let failure = Failure { at: self.clock.now(), reason: error.to_string() };
                let mut tx = self.store.write().await?;
                tx.repository_failed(repository, &failure).await?;
                tx.commit().await?;
                return Err(error);
            }
        };
        let branches = snapshot.branches.keys().map(String::as_str);
        let first = repository.branches.first(branches);
        let fetched = Fetched {
            at: self.clock.now(),
            head: first.and_then(|first| snapshot.branches.get(first)).copied(),
            n_commits: snapshot.commits.history.len() as u64,
        };
        // First: what was there before the first fetch is not new.
        messages::read(self, repository).await?;
        let mut tx = self.store.write().await?;
        tx.repository_fetched(repository, &fetched).await?;
        tx.settle_soon(repository.project_id, self.clock.now()).await?;
        tx.commit().await?;
        self.hint();
        Ok(fetched)
    }

    async fn fetched(&self, repository: &Repository) -> Result<Snapshot, RepositoryError> {
        let sealed = repository.credential.as_deref();
        let opened = sealed.map(|sealed| self.secrets.open(&owner(repository), sealed));
        let credential = Credential(opened.transpose()?);
        let (project, id) = (repository.project_id, repository.id);
        let pins = self.store.read().await?.list_pins(project, id).await?;
        Ok(self.mirrors.fetch(repository, credential, pins).await?)
    }

    /// The repository as it is wished, if that makes sense.
    fn fulfilled(&self, mut now: Repository, wish: Wish) -> Result<Repository, RepositoryError> {
        if let Some(name) = wish.name {
            now.name = name;
        }
        check_name(&now.name)?;
        if let Some(branches) = wish.branches {
            now.branches = branches;
        }
        check_branches(&now.branches)?;
        let before = now.url.clone();
        if let Some(url) = wish.url {
            now.url = Some(url).filter(|url| !url.is_empty());
        }
        if let Some(url) = &now.url {
            self.mirrors.check_url(url)?;
        }
        if now.url != before {
            // All of it was of the other address.
            (now.credential, now.fetched, now.failure) = (None, None, None);
        }
        if let Some(credential) = wish.credential {
            now.credential = None;
            if !credential.is_empty() {
                check_credential(&credential)?;
                now.credential = Some(self.secrets.seal(&owner(&now), &credential));
            }
        }
        if now.credential.is_some() && now.url.is_none() {
            return Err(InvalidRepository::CredentialWithoutUrl.into());
        }
        Ok(now)
    }
}

/// Whom a credential is sealed for.
fn owner(repository: &Repository) -> String {
    format!("repository {}", repository.id.0)
}
