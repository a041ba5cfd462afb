//! What the repositories of a project know, as they were last fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::build::Build;
use crate::domain::commit::{Sha, ShaPrefix};
use crate::domain::history::{History, Place};
use crate::domain::id::ProjectId;
use crate::domain::release::Repositories as Known;
use crate::domain::repository::{Repository, RepositoryId};
use crate::git::mirrors::Snapshot;
use crate::release::repositories::{Repositories, RepositoryError};

/// Whoever asks for something unknown waits so long for a fetch.
const FETCH_PATIENCE: Duration = Duration::from_secs(20);

/// What nobody knew is fetched for again after this; what waits by itself looks at fetches that are not
/// older.
const FETCH_PAUSE: Duration = Duration::from_secs(5);

/// The histories of a project's repositories.
#[derive(Debug, Clone, Default)]
pub struct Histories {
    /// Its repositories, by name.
    pub repositories: Vec<Repository>,
    snapshots: BTreeMap<RepositoryId, Snapshot>,
    unreadable: BTreeMap<RepositoryId, String>,
    /// Whether a fetch that was waited for goes on.
    is_fetching: bool,
}

/// Where a commit is.
pub type Found = (RepositoryId, Sha);

impl Histories {
    /// Loads what is known, without waiting for any network.
    ///
    /// # Errors
    /// [`RepositoryError::Store`].
    pub async fn load(
        repositories: &Repositories,
        project: ProjectId,
    ) -> Result<Self, RepositoryError> {
        let all = repositories.list(project).await?;
        let mut histories = Self::default();
        for repository in &all {
            match repositories.snapshot(repository).await {
                Ok(snapshot) => {
                    histories.snapshots.insert(repository.id, snapshot);
                }
                Err(RepositoryError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    histories.unreadable.insert(repository.id, error.to_string());
                }
            }
        }
        histories.repositories = all;
        Ok(histories)
    }

    /// Fetches what may know more by now, and loads it; false when there is nothing to fetch. Whoever
    /// asks for the same again and again gets what there is.
    ///
    /// # Errors
    /// [`RepositoryError::Store`].
    pub async fn refresh(
        &mut self,
        repositories: &Repositories,
        project: ProjectId,
        asked: &str,
    ) -> Result<bool, RepositoryError> {
        if repositories.was_missed(project, asked, FETCH_PAUSE) {
            return Ok(false);
        }
        let due: Vec<Repository> =
            self.repositories.iter().filter(|one| one.url.is_some()).cloned().collect();
        if due.is_empty() {
            return Ok(false);
        }
        let fetches = due.iter().map(|repository| repositories.fetch_one(repository));
        // What takes longer goes on, and is there for who asks next. Failures are noted there.
        let all_done =
            tokio::time::timeout(FETCH_PATIENCE, futures_util::future::join_all(fetches)).await;
        *self = Self::load(repositories, project).await?;
        self.is_fetching = all_done.is_err();
        repositories.missed(project, asked, FETCH_PAUSE);
        Ok(true)
    }

    /// Lets be fetched soon what was not fetched just now, and can be fetched; nobody waits for it.
    pub fn wish_for_fetch(&self, repositories: &Repositories) {
        let now = repositories.now();
        for repository in self.repositories.iter().filter(|one| one.url.is_some()) {
            let failed = repository.failure.as_ref().map(|it| it.at);
            let last = repository.fetched.map(|it| it.at).max(failed);
            if last.is_none_or(|last| !last.is_within(FETCH_PAUSE, now)) {
                repositories.is_wished(repository.id);
            }
        }
    }

    /// How many commits had been replaced in them: with every one more, answers are others.
    #[must_use]
    pub fn n_replaced(&self) -> u64 {
        self.repositories.iter().map(|one| one.n_replaced).sum()
    }

    /// The history of a repository.
    #[must_use]
    pub fn history(&self, repository: RepositoryId) -> Option<&History> {
        self.snapshots.get(&repository).map(|snapshot| &snapshot.commits.history)
    }

    /// What a repository held.
    #[must_use]
    pub fn snapshot(&self, repository: RepositoryId) -> Option<&Snapshot> {
        self.snapshots.get(&repository)
    }

    /// Whether a repository has a mirror, so that changes can be compared.
    #[must_use]
    pub fn is_mirrored(&self, repository: RepositoryId) -> bool {
        self.repositories.iter().any(|one| one.id == repository && one.url.is_some())
    }

    /// Why a repository cannot be read, or could not be fetched the last time: the one of this name, or
    /// the first of all.
    #[must_use]
    pub fn unreadable(&self, name: Option<&str>) -> Option<String> {
        let is_meant = |one: &&Repository| name.is_none_or(|name| one.name == name);
        self.repositories.iter().filter(is_meant).find_map(|one| {
            let mirror = self.unreadable.get(&one.id).map(|cause| format!("{}: {cause}", one.name));
            let failure = one.failure.as_ref();
            let fetch =
                || failure.map(|it| format!("{} cannot be fetched: {}", one.name, it.reason));
            mirror.or_else(fetch)
        })
    }

    /// Whether a fetch that was waited for goes on.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.is_fetching
    }

    /// The repository of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|one| one.name == name)
    }

    /// The name of a repository.
    #[must_use]
    pub fn name(&self, id: RepositoryId) -> Option<&str> {
        self.repositories.iter().find(|one| one.id == id).map(|one| one.name.as_str())
    }

    /// Where a commit stands.
    #[must_use]
    pub fn place(&self, repository: RepositoryId, sha: &Sha) -> Option<Place> {
        self.history(repository)?.find(sha)
    }

    /// Whether a commit was only listed with a release: nobody knows what it descends from.
    #[must_use]
    pub fn is_listed(&self, repository: RepositoryId, sha: &Sha) -> bool {
        self.snapshots.get(&repository).is_some_and(|snapshot| snapshot.listed.contains(sha))
    }

    /// Whether every commit of a build is known.
    #[must_use]
    pub fn knows(&self, build: &Build) -> bool {
        build.0.iter().all(|(repository, sha)| self.place(*repository, sha).is_some())
    }

    /// Commits whose names begin so, in one repository or in all.
    #[must_use]
    pub fn find(&self, prefix: ShaPrefix, within: Option<RepositoryId>) -> Vec<Found> {
        let mut found = Vec::new();
        for (repository, snapshot) in &self.snapshots {
            if within.is_none_or(|within| within == *repository) {
                let history = &snapshot.commits.history;
                let shas = history.matching(prefix).map(|place| (*repository, history.sha(place)));
                found.extend(shas);
            }
        }
        found
    }

    /// Whether any branch has a commit, tracked or not.
    #[must_use]
    pub fn is_on_branch(&self, repository: RepositoryId, place: Place) -> bool {
        self.snapshots.get(&repository).is_some_and(|snapshot| {
            let history = &snapshot.commits.history;
            let tips: Vec<Place> =
                snapshot.branches.values().filter_map(|sha| history.find(sha)).collect();
            history.ancestors(&tips).has(place)
        })
    }

    /// A branch is elsewhere now.
    pub fn move_branch(&mut self, repository: RepositoryId, branch: &str, tip: Sha) {
        if let Some(snapshot) = self.snapshots.get_mut(&repository) {
            Arc::make_mut(&mut snapshot.branches).insert(branch.to_owned(), tip);
        }
    }

    /// The first tracked branch that has a commit.
    #[must_use]
    pub fn branch_of(&self, repository: RepositoryId, place: Place) -> Option<(&str, Place)> {
        let snapshot = self.snapshots.get(&repository)?;
        let history = &snapshot.commits.history;
        let tracked = &self.repositories.iter().find(|one| one.id == repository)?.branches;
        let tips = snapshot.branches.iter().filter(|(name, _)| tracked.track(name));
        let tips: BTreeSet<(&str, Place)> =
            tips.filter_map(|(name, sha)| Some((name.as_str(), history.find(sha)?))).collect();
        let main = tracked.first(tips.iter().map(|(name, _)| *name));
        let has = |tip: Place| history.reach(place, tip) == crate::domain::history::Reach::Yes;
        let first = tips.iter().find(|(name, _)| Some(*name) == main);
        first.into_iter().chain(&tips).copied().find(|(_, tip)| has(*tip))
    }
}

impl Known for Histories {
    fn commits(&self, prefix: ShaPrefix) -> Vec<Found> {
        self.find(prefix, None)
    }

    fn tag(&self, name: &str) -> Vec<Found> {
        let tagged = |(repository, snapshot): (&RepositoryId, &Snapshot)| {
            Some((*repository, *snapshot.tags.get(name)?))
        };
        self.snapshots.iter().filter_map(tagged).collect()
    }

    fn only(&self) -> Option<RepositoryId> {
        match self.repositories.as_slice() {
            [only] => Some(only.id),
            _ => None,
        }
    }
}
