//! Fetches repositories by and by, and forgets mirrors of those that are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::housekeeping::is_over;
use crate::clock::Clock;
use crate::domain::repository::{Repository, RepositoryId};
use crate::domain::time::Timestamp;
use crate::health::{Health, PartState};
use crate::release::repositories::{Repositories, RepositoryError};

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// So many repositories are fetched at a time.
const MOST_AT_ONCE: usize = 4;

/// Fetches what is due.
pub(super) struct Fetcher {
    pub(super) repositories: Repositories,
    pub(super) clock: Clock,
    pub(super) health: Health,
    /// Each repository is fetched about this often.
    pub(super) every: Duration,
}

impl Fetcher {
    /// Fetches what is due until told to stop.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut due: BTreeMap<RepositoryId, Timestamp> = BTreeMap::new();
        let mut failures: BTreeMap<RepositoryId, String> = BTreeMap::new();
        let mut fetching: JoinSet<(Repository, Result<(), RepositoryError>)> = JoinSet::new();
        while !is_over(LOOK_EVERY, &mut stop).await {
            while let Some(done) = fetching.try_join_next() {
                let Ok((repository, done)) = done else { continue };
                due.insert(repository.id, self.clock.now().plus(self.jittered(self.every)));
                match done {
                    Ok(()) => _ = failures.remove(&repository.id),
                    Err(cause) => {
                        let name = &repository.name;
                        tracing::warn!(name, %cause, "a repository cannot be fetched");
                        failures.insert(repository.id, format!("{name}: {cause}"));
                    }
                }
            }
            let all = match self.repositories.list_all().await {
                Ok(all) => all,
                // It is said elsewhere.
                Err(RepositoryError::Store(_)) => continue,
                Err(cause) => {
                    self.health.failed(PartState::Degraded, cause, self.clock.now());
                    continue;
                }
            };
            let is_there = |id: &RepositoryId| all.iter().any(|one| one.id == *id);
            due.retain(|id, _| is_there(id));
            failures.retain(|id, _| is_there(id));
            let now = self.clock.now();
            for repository in all {
                // After a start all are due, but not all at once.
                let first = || now.plus(self.jittered(LOOK_EVERY));
                let at = due.entry(repository.id).or_insert_with(first);
                if *at <= now && fetching.len() < MOST_AT_ONCE {
                    // Not again before it is done.
                    *at = now.plus(Duration::from_hours(24));
                    let repositories = self.repositories.clone();
                    fetching.spawn(async move {
                        let done = repositories.fetch_one(&repository).await;
                        (repository, done.map(|_| ()))
                    });
                }
            }
            match failures.values().next() {
                None => self.health.ok(now),
                Some(cause) => self.health.failed(PartState::Degraded, cause, now),
            }
        }
        // A fetch that is under way is ended with the process; the next one goes on.
        fetching.shutdown().await;
    }

    /// Between three quarters and five quarters of a time.
    fn jittered(&self, span: Duration) -> Duration {
        let [random] = self.clock.random::<1>();
        span * 3 / 4 + span * u32::from(random) / 512
    }
}
