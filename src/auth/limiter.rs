//! Counts what keys and projects send, and says when it is enough.
//!
//! All of it is in memory, beside the keys: the store may be away. What quotas have used is read
//! from the counters in the store every few seconds, so that it survives a restart and nodes learn
//! of each other; between two looks each node counts for itself, so that n nodes may take a little
//! more than a quota. Rate limits are each node's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::keys::Keys;
use crate::domain::id::ProjectId;
use crate::domain::outcome::Outcome;
use crate::domain::project::{ProjectKey, Settings};
use crate::domain::rate::{Category, Limited, Rules, Usage, decide, give_back};
use crate::domain::time::Timestamp;
use crate::outcomes::Outcomes;
use crate::store::{Store, StoreError};

/// What keys and projects have sent.
#[derive(Debug)]
pub struct Limiter {
    keys: Arc<Keys>,
    outcomes: Arc<Outcomes>,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    keys: HashMap<(String, Category), Timestamp>,
    projects: HashMap<(ProjectId, Category), ProjectUsage>,
}

#[derive(Debug, Clone, Copy, Default)]
struct ProjectUsage {
    full_at: Timestamp,
    day: i64,
    today: u64,
    month: i64,
    this_month: u64,
}

impl ProjectUsage {
    /// Counts from the beginning when a day or a month has begun. Whoever looked at the clock just
    /// before midnight does not turn it back.
    fn at(mut self, now: Timestamp) -> Self {
        if self.day < now.day() {
            (self.day, self.today) = (now.day(), 0);
        }
        if self.month < now.month() {
            (self.month, self.this_month) = (now.month(), 0);
        }
        self
    }
}

impl Limiter {
    /// A limiter that has seen nothing yet.
    #[must_use]
    pub fn new(keys: Arc<Keys>, outcomes: Arc<Outcomes>) -> Self {
        Self { keys, outcomes, used: Mutex::default() }
    }

    /// Takes one report of a key into account.
    ///
    /// # Errors
    /// [`Limited`] when it is one too many; then it is not counted.
    pub fn admit(
        &self,
        key: &ProjectKey,
        category: Category,
        now: Timestamp,
    ) -> Result<(), Limited> {
        let settings = self.keys.settings(key.project_id);
        let rules = rules(key, &settings, category);
        if rules == Rules::default() {
            return Ok(());
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let project = used.projects.get(&(key.project_id, category)).copied();
        let project = project.unwrap_or_default().at(now);
        let of_key = (key.public_key.clone(), category);
        let usage = Usage {
            key_full_at: used.keys.get(&of_key).copied().unwrap_or_default(),
            project_full_at: project.full_at,
            today: project.today,
            this_month: project.this_month,
        };
        let usage = decide(rules, usage, now)?;
        used.keys.insert(of_key, usage.key_full_at);
        let project = ProjectUsage {
            full_at: usage.project_full_at,
            today: usage.today,
            this_month: usage.this_month,
            ..project
        };
        used.projects.insert((key.project_id, category), project);
        drop(used);
        if rules.daily.is_some() || rules.monthly.is_some() {
            self.outcomes.add(key.project_id, now.hour(), Outcome::Taken(category), 1);
        }
        Ok(())
    }

    /// Gives back what a report used up that [`Self::admit`] took into account `now` and that was
    /// not taken after all.
    pub fn give_back(&self, key: &ProjectKey, category: Category, now: Timestamp) {
        let settings = self.keys.settings(key.project_id);
        let rules = rules(key, &settings, category);
        if rules == Rules::default() {
            return;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = &mut *used;
        let of_key = used.keys.get_mut(&(key.public_key.clone(), category));
        let of_project = used.projects.get_mut(&(key.project_id, category));
        if let (Some(key_full_at), Some(project)) = (of_key, of_project) {
            let usage = Usage {
                key_full_at: *key_full_at,
                project_full_at: project.full_at,
                today: project.today,
                this_month: project.this_month,
            };
            let usage = give_back(rules, usage);
            (*key_full_at, project.full_at) = (usage.key_full_at, usage.project_full_at);
            // A day or a month may have begun since.
            if project.day == now.day() {
                project.today = usage.today;
            }
            if project.month == now.month() {
                project.this_month = usage.this_month;
            }
        }
        if rules.daily.is_some() || rules.monthly.is_some() {
            self.outcomes.take_back(key.project_id, now.hour(), Outcome::Taken(category), 1);
        }
    }

    /// Reads what quotas have used, before a restart and on other nodes.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away; the counts stay as they are.
    pub async fn refresh(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let projects = self.keys.projects_with_quotas();
        if projects.is_empty() {
            return Ok(());
        }
        let mut tx = store.read().await?;
        for project in projects {
            let (month, day) = (now.month_start().hour(), now.day_start().hour());
            let taken = tx.list_taken(project, month, day).await?;
            for category in [Category::Error, Category::Security] {
                let stored = taken.get(category.as_str()).copied().unwrap_or_default();
                let this_month = stored.0 + self.outcomes.pending_taken(project, category, month);
                let today = stored.1 + self.outcomes.pending_taken(project, category, day);
                let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
                let usage = used.projects.entry((project, category)).or_default();
                *usage = usage.at(now);
                usage.today = usage.today.max(today);
                usage.this_month = usage.this_month.max(this_month);
            }
        }
        Ok(())
    }
}

fn rules(key: &ProjectKey, settings: &Settings, category: Category) -> Rules {
    let key_rate = key.rate_limit;
    match category {
        Category::Error => Rules {
            key_rate,
            project_rate: settings.rate_limit,
            daily: settings.daily_quota,
            monthly: settings.monthly_quota,
        },
        Category::Security => Rules {
            key_rate,
            project_rate: settings.security_rate_limit,
            daily: settings.security_daily_quota,
            monthly: settings.security_monthly_quota,
        },
    }
}
