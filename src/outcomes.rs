//! What became of requests, counted in memory and added to the store once a minute.
//!
//! A row for every request is what brought others down; a process that is killed loses at most the
//! last minute of these counts, never a report.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError};

use crate::domain::id::ProjectId;
use crate::domain::outcome::Outcome;
use crate::domain::rate::Category;
use crate::store::{Store, StoreError};

/// Different counters held at most while the store is away.
const MOST_COUNTERS: usize = 10_000;

type Counters = BTreeMap<(ProjectId, i64, Outcome), u64>;

/// Counters of outcomes that are not in the store yet.
#[derive(Debug, Default)]
pub struct Outcomes(Mutex<Counters>);

impl Outcomes {
    /// Counts an outcome of a project in an hour; project 0 when nobody knows which.
    pub fn add(&self, project: ProjectId, hour: i64, outcome: Outcome, n: u64) {
        let (kind, detail) = outcome.parts();
        metrics::counter!("airlock_intake_outcomes_total", "outcome" => kind, "detail" => detail.to_owned())
            .increment(n);
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (project, hour, outcome);
        if counters.len() < MOST_COUNTERS || counters.contains_key(&key) {
            *counters.entry(key).or_default() += n;
        }
    }

    /// Takes back what was counted and did not come about, unless it is in the store already.
    pub fn take_back(&self, project: ProjectId, hour: i64, outcome: Outcome, n: u64) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut counted) = counters.entry((project, hour, outcome)) {
            *counted.get_mut() = counted.get().saturating_sub(n);
            if *counted.get() == 0 {
                counted.remove();
            }
        }
    }

    /// How many requests were refused and items discarded since `first_hour`, not in the store yet.
    #[must_use]
    pub fn pending(&self, first_hour: i64) -> (u64, u64) {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |kind: &str| {
            let of_kind = |((_, hour, outcome), _): &(&(_, i64, Outcome), &u64)| {
                *hour >= first_hour && outcome.parts().0 == kind
            };
            counters.iter().filter(of_kind).map(|(_, n)| *n).sum()
        };
        (sum("refused"), sum("discarded"))
    }

    /// How many reports of a category were taken since `first_hour`, not in the store yet.
    #[must_use]
    pub fn pending_taken(&self, project: ProjectId, category: Category, first_hour: i64) -> u64 {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = Outcome::Taken(category);
        let is_it = |((own, hour, outcome), _): &(&(ProjectId, i64, Outcome), &u64)| {
            *own == project && *hour >= first_hour && *outcome == taken
        };
        counters.iter().filter(is_it).map(|(_, n)| *n).sum()
    }

    /// What a project's reports came to since `first_hour` that is not in the store yet: hour,
    /// outcome and how often.
    #[must_use]
    pub fn pending_of(&self, project: ProjectId, first_hour: i64) -> Vec<(i64, Outcome, u64)> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_project =
            counters.iter().filter(|((own, hour, _), _)| *own == project && *hour >= first_hour);
        of_project.map(|((_, hour, outcome), n)| (*hour, outcome.clone(), *n)).collect()
    }

    /// Adds everything counted to the store. What cannot be added is kept for the next time.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        let counters = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = counters.into_iter().peekable();
        while let Some(((project, _, _), _)) = left.peek() {
            let project = *project;
            let mut of_project = Counters::new();
            while let Some((key, n)) = left.next_if(|((other, _, _), _)| *other == project) {
                of_project.insert(key, n);
            }
            if let Err(error) = Self::add_to_store(store, &of_project).await {
                let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                for (key, n) in of_project.into_iter().chain(left) {
                    *counters.entry(key).or_default() += n;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn add_to_store(store: &Store, counters: &Counters) -> Result<(), StoreError> {
        let mut tx = store.write().await?;
        for ((project, hour, outcome), n) in counters {
            tx.add_outcome(*project, *hour, outcome, *n).await?;
        }
        tx.commit().await
    }
}
