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
use crate::release::repositories::{Reason, Repositories, RepositoryError};

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// So many repositories are fetched at a time.
const MOST_AT_ONCE: usize = 4;

/// One that fails again and again is tried this often at least.
const MOST_PAUSE: Duration = Duration::from_hours(1);

/// A fetch that ended without a word is repeated after this.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(24);

/// When a repository is fetched next, and how it went.
#[derive(Debug, Default)]
struct Plan {
    at: Timestamp,
    n_failures: u32,
    failure: Option<String>,
}

impl Plan {
    /// Brings the next fetch forward. One that fails is tried early only if its host says that it has
    /// something new: those who wait would have it fetched again and again.
    fn bring_forward(&mut self, reason: Reason, now: Timestamp) {
        match reason {
            Reason::Wished if self.n_failures > 0 => {}
            Reason::Wished | Reason::Pushed => self.at = self.at.min(now),
        }
    }
}

/// The clock was set back: what was planned by it would wait until it is there again.
fn bring_forward(plans: &mut BTreeMap<RepositoryId, Plan>, now: Timestamp) {
    for plan in plans.values_mut() {
        plan.at = plan.at.min(now);
    }
}

/// Waits, or less if something was pushed; true when the process is stopping.
async fn is_over_or(
    repositories: &Repositories,
    span: Duration,
    stop: &mut watch::Receiver<bool>,
) -> bool {
    tokio::select! {
        biased;
        is_over = is_over(span, stop) => is_over,
        () = repositories.pushed() => false,
    }
}

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
        let mut plans: BTreeMap<RepositoryId, Plan> = BTreeMap::new();
        let mut fetching: JoinSet<(RepositoryId, Result<(), RepositoryError>)> = JoinSet::new();
        let mut looked_at = self.clock.now();
        while !is_over_or(&self.repositories, LOOK_EVERY, &mut stop).await {
            let pushed = self.repositories.take_pushed();
            while let Some(done) = fetching.try_join_next() {
                if let Ok((id, done)) = done
                    && let Some(plan) = plans.get_mut(&id)
                {
                    self.conclude(plan, done);
                }
            }
            let all = match self.repositories.all_mirrored().await {
                Ok(all) => all,
                // It is said elsewhere.
                Err(RepositoryError::Store(_)) => continue,
                Err(cause) => {
                    self.health.failed(PartState::Degraded, cause, self.clock.now());
                    continue;
                }
            };
            plans.retain(|id, _| all.iter().any(|one| one.id == *id));
            let now = self.clock.now();
            if now < looked_at {
                bring_forward(&mut plans, now);
            }
            looked_at = now;
            let mut due: Vec<(Timestamp, Repository)> = Vec::new();
            for repository in all {
                // After a start all are due, but not all at once.
                let first =
                    || Plan { at: now.plus(self.clock.jittered(LOOK_EVERY)), ..Plan::default() };
                let plan = plans.entry(repository.id).or_insert_with(first);
                // One that is being fetched is fetched once more afterwards.
                if let Some(reason) = pushed.get(&repository.id) {
                    plan.bring_forward(*reason, now);
                }
                if plan.at <= now {
                    due.push((plan.at, repository));
                }
            }
            // Who waits longest is first; one that hangs holds up no other for long.
            due.sort_by_key(|(at, repository)| (*at, repository.id));
            for (_, repository) in due {
                let Some(plan) = plans.get_mut(&repository.id) else { continue };
                if fetching.len() >= MOST_AT_ONCE {
                    break;
                }
                // Not again before it is done, or has ended badly.
                plan.at = now.plus(GIVEN_UP_AFTER);
                let repositories = self.repositories.clone();
                fetching.spawn(async move {
                    let done = repositories.fetch_one(&repository).await;
                    (repository.id, done.map(|_| ()))
                });
            }
            match plans.values().find_map(|plan| plan.failure.as_ref()) {
                None => self.health.ok(now),
                Some(cause) => self.health.failed(PartState::Degraded, cause, now),
            }
        }
        fetching.shutdown().await;
    }

    /// Plans the next fetch: the later, the more have failed.
    fn conclude(&self, plan: &mut Plan, done: Result<(), RepositoryError>) {
        plan.n_failures = if done.is_ok() { 0 } else { plan.n_failures.saturating_add(1) };
        let pause = self.every * 2_u32.saturating_pow(plan.n_failures.saturating_sub(1));
        let pause = pause.min(MOST_PAUSE.max(self.every));
        plan.at = self.clock.now().plus(self.clock.jittered(pause));
        plan.failure = done.err().map(|cause| cause.to_string());
        if let Some(cause) = &plan.failure {
            tracing::warn!(cause, "a repository cannot be fetched");
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_that_fails_is_not_fetched_before_its_time_because_somebody_waits() {
        let at = Timestamp::from_micros;
        for (n_failures, reason, expected) in [
            (0, Reason::Wished, at(50)),
            (0, Reason::Pushed, at(50)),
            (1, Reason::Wished, at(90)),
            (7, Reason::Wished, at(90)),
            (7, Reason::Pushed, at(50)),
        ] {
            let mut plan = Plan { at: at(90), n_failures, ..Plan::default() };
            plan.bring_forward(reason, at(50));
            assert_eq!(plan.at, expected, "{n_failures} {reason:?}");
        }
        let mut overdue = Plan { at: at(10), ..Plan::default() };
        overdue.bring_forward(Reason::Wished, at(50));
        assert_eq!(overdue.at, at(10));
    }

    #[test]
    fn a_clock_that_is_set_back_holds_up_no_fetch() {
        let at = Timestamp::from_micros;
        let plan = |(number, micros)| {
            let plan = Plan { at: at(micros), ..Plan::default() };
            (RepositoryId(Uuid::from_u128(number)), plan)
        };
        let mut plans = BTreeMap::from([(1, 10), (2, 90)].map(plan));
        bring_forward(&mut plans, at(50));
        assert_eq!(plans.into_values().map(|plan| plan.at).collect::<Vec<_>>(), [at(10), at(50)]);
    }
}
