//! Which issues are serious: each of them becomes a task.
//!
//! A rule has conditions that all must hold; one rule is enough. What is known of an occurrence alone
//! decides at once; a rule that counts asks how many there were of late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Level;
use super::lifecycle::Verdict;
use super::project::Project;
use super::time::Timestamp;

/// A project has at most so many rules of filing.
pub const MOST_RULES: usize = 20;

/// A rule names at most so many environments.
pub const MOST_ENVIRONMENTS: usize = 20;

/// So many occurrences or users a rule may ask for.
pub const COUNTS: std::ops::RangeInclusive<u32> = 1..=1_000;

/// Within so many minutes.
pub const MINUTES: std::ops::RangeInclusive<u32> = 1..=1_440;

/// So many new tasks an hour may be allowed.
pub const TASKS_PER_HOUR: std::ops::RangeInclusive<u32> = 1..=1_000;

/// Which issues of a project are serious, and how many tasks are to come of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilingRules {
    /// One of them is enough. By default: unhandled, or fatal, or 10 events within 10 minutes.
    pub rules: Vec<FilingRule>,
    /// So many new tasks in an hour; 20 by default. Beyond it issues wait, named in one task.
    pub most_tasks_per_hour: u32,
}

impl Default for FilingRules {
    fn default() -> Self {
        let unhandled = FilingRule { unhandled: Some(true), ..FilingRule::default() };
        let fatal = FilingRule { level: Some(Level::Fatal), ..FilingRule::default() };
        let many = FilingRule { events: Some(10), ..FilingRule::default() };
        Self { rules: vec![unhandled, fatal, many], most_tasks_per_hour: 20 }
    }
}

/// What makes an issue serious: all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilingRule {
    /// It is at least so bad.
    pub level: Option<Level>,
    /// Nothing handled it; or, if false, something did.
    pub unhandled: Option<bool>,
    /// It happened in one of these environments, by name or alias. Without: in any of the project, and
    /// while no deploy is recorded in any at all.
    pub environments: Option<Vec<String>>,
    /// So many events within the time.
    pub events: Option<u32>,
    /// So many users within the time.
    pub users: Option<u32>,
    /// The time for `events` and `users`, in minutes; 10 by default.
    pub within_minutes: u32,
}

impl Default for FilingRule {
    fn default() -> Self {
        Self {
            level: None,
            unhandled: None,
            environments: None,
            events: None,
            users: None,
            within_minutes: 10,
        }
    }
}

/// Why rules make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFiling {
    /// Too many to read.
    #[error("a project has at most {MOST_RULES} rules of filing")]
    NRules,
    /// It would hold for every event.
    #[error("rule {0} has no condition: give it level, unhandled, environments, events or users")]
    Empty(usize),
    /// No such count.
    #[error("rule {number}: {name} must be {} to {}", COUNTS.start(), COUNTS.end())]
    Count {
        /// Which rule, from 1.
        number: usize,
        /// Which count.
        name: &'static str,
    },
    /// No such time.
    #[error("rule {0}: within_minutes must be 1 to 1440")]
    Minutes(usize),
    /// No such list.
    #[error("rule {0}: environments must be 1 to {MOST_ENVIRONMENTS} names")]
    Environments(usize),
    /// Reports are counted whatever they are.
    #[error(
        "rule {0}: events and users count all reports of an issue: leave out level and unhandled, or \
         give them in a rule of their own"
    )]
    Counted(usize),
    /// No such number of tasks.
    #[error("most_tasks_per_hour must be {} to {}", TASKS_PER_HOUR.start(), TASKS_PER_HOUR.end())]
    TasksPerHour,
}

/// An occurrence, as far as filing asks.
#[derive(Debug, Clone, Copy)]
pub struct Occurred<'a> {
    /// How bad it was.
    pub level: Level,
    /// Whether something handled it, if its client says.
    pub handled: Option<bool>,
    /// Where, as reported.
    pub environment: &'a str,
    /// What it meant.
    pub verdict: Verdict,
}

/// What makes an issue serious, so far as occurrences alone tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filing {
    /// Nothing.
    #[default]
    No,
    /// It is, and why.
    Serious(String),
    /// It is if one of these was reached.
    Asks(Vec<Window>),
}

/// How many occurrences there must have been within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The time.
    pub within: Duration,
    /// In these environments, by names and aliases in small letters; `None` for any.
    pub environments: Option<BTreeSet<String>>,
    /// So many events.
    pub n_events: u32,
    /// Of so many users, where the rule says so.
    pub n_users: Option<u32>,
    /// The rule in words.
    pub reason: String,
}

/// An occurrence that counts in a window: when it happened, and the hash of its user.
pub type Seen = (Timestamp, Option<i64>);

impl Window {
    /// Whether there were enough in any time of this length.
    #[must_use]
    pub fn is_reached(&self, mut seen: Vec<Seen>) -> bool {
        seen.sort_unstable();
        let mut recent: VecDeque<Seen> = VecDeque::new();
        let mut users: BTreeMap<i64, u32> = BTreeMap::new();
        for (at, user) in seen {
            while let Some((_, gone)) =
                recent.pop_front_if(|(first, _)| at.since(*first) >= self.within)
            {
                if let Some(user) = gone
                    && let Some(n) = users.get_mut(&user)
                {
                    *n -= 1;
                    if *n == 0 {
                        users.remove(&user);
                    }
                }
            }
            recent.push_back((at, user));
            if let Some(user) = user {
                *users.entry(user).or_default() += 1;
            }
            let are_enough = |n: usize, least: u32| n >= usize::try_from(least).unwrap_or(n + 1);
            if are_enough(recent.len(), self.n_events)
                && self.n_users.is_none_or(|least| are_enough(users.len(), least))
            {
                return true;
            }
        }
        false
    }
}

/// Where occurrences count that no rule places.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The project.
    pub project: &'a Project,
    /// Whether it ever deployed: until then nobody knows which environments are its own.
    pub has_deploys: bool,
}

impl FilingRules {
    /// Checks them.
    ///
    /// # Errors
    /// [`InvalidFiling`] names what is wrong.
    pub fn check(&self) -> Result<(), InvalidFiling> {
        if self.rules.len() > MOST_RULES {
            return Err(InvalidFiling::NRules);
        }
        for (at, rule) in self.rules.iter().enumerate() {
            rule.check(at + 1)?;
        }
        if TASKS_PER_HOUR.contains(&self.most_tasks_per_hour) {
            Ok(())
        } else {
            Err(InvalidFiling::TasksPerHour)
        }
    }

    /// What occurrences make of their issue, which then has `n_events`.
    #[must_use]
    pub fn judge(&self, scope: Scope<'_>, n_events: u64, occurred: &[Occurred<'_>]) -> Filing {
        let mut windows = Vec::new();
        for rule in &self.rules {
            if !occurred.iter().any(|one| rule.is_met(scope, one)) {
                continue;
            }
            let (events, users) = (rule.events.unwrap_or(1), rule.users);
            let least = events.max(users.unwrap_or(1));
            if least == 1 && users.is_none() {
                return Filing::Serious(rule.to_string());
            }
            if n_events >= u64::from(least) {
                windows.push(Window {
                    within: Duration::from_mins(rule.within_minutes.into()),
                    environments: rule.places(scope),
                    n_events: least,
                    n_users: users,
                    reason: rule.to_string(),
                });
            }
        }
        if windows.is_empty() { Filing::No } else { Filing::Asks(windows) }
    }
}

impl FilingRule {
    fn check(&self, number: usize) -> Result<(), InvalidFiling> {
        let is_empty = self.level.is_none()
            && self.unhandled.is_none()
            && self.environments.is_none()
            && self.events.is_none()
            && self.users.is_none();
        if is_empty {
            return Err(InvalidFiling::Empty(number));
        }
        for (name, count) in [("events", self.events), ("users", self.users)] {
            if count.is_some_and(|count| !COUNTS.contains(&count)) {
                return Err(InvalidFiling::Count { number, name });
            }
        }
        let counts = self.events.is_some_and(|n| n > 1) || self.users.is_some();
        if counts && (self.level.is_some() || self.unhandled.is_some()) {
            return Err(InvalidFiling::Counted(number));
        }
        if !MINUTES.contains(&self.within_minutes) {
            return Err(InvalidFiling::Minutes(number));
        }
        let names = self.environments.as_ref();
        if names.is_some_and(|names| !(1..=MOST_ENVIRONMENTS).contains(&names.len())) {
            return Err(InvalidFiling::Environments(number));
        }
        Ok(())
    }

    /// Whether an occurrence is one that the rule speaks of.
    fn is_met(&self, scope: Scope<'_>, one: &Occurred<'_>) -> bool {
        let is_news = match one.verdict {
            Verdict::New | Verdict::Known | Verdict::Regression => true,
            Verdict::Muted | Verdict::Suppressed | Verdict::Undetermined => false,
        };
        is_news
            && self.level.is_none_or(|least| one.level >= least)
            && self.unhandled.is_none_or(|unhandled| (one.handled == Some(false)) == unhandled)
            && self
                .places(scope)
                .is_none_or(|places| places.contains(&one.environment.to_lowercase()))
    }

    /// Names and aliases of the environments where it counts, in small letters; `None` for all.
    fn places(&self, scope: Scope<'_>) -> Option<BTreeSet<String>> {
        let all = |names: &mut dyn Iterator<Item = &str>| -> BTreeSet<String> {
            let mut places = BTreeSet::new();
            for name in names {
                places.insert(name.to_lowercase());
                if let Some(environment) = scope.project.environment(name) {
                    let aliases = environment.aliases.iter().chain([&environment.name]);
                    places.extend(aliases.map(|name| name.to_lowercase()));
                }
            }
            places
        };
        match &self.environments {
            Some(names) => Some(all(&mut names.iter().map(String::as_str))),
            None if scope.has_deploys => {
                let names = scope.project.environments.iter().map(|one| one.name.as_str());
                Some(all(&mut { names }))
            }
            None => None,
        }
    }
}

impl fmt::Display for FilingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.unhandled {
            Some(true) => parts.push("unhandled".to_owned()),
            Some(false) => parts.push("handled".to_owned()),
            None => {}
        }
        parts.extend(self.level.map(|level| format!("level {} or worse", level.as_str())));
        let counts = [(self.events, "events"), (self.users, "users")];
        let counts = counts.into_iter().filter_map(|(n, what)| Some(format!("{} {what}", n?)));
        let counts: Vec<String> = counts.collect();
        if !counts.is_empty() {
            let minutes = self.within_minutes;
            parts.push(format!("{} within {minutes} min", counts.join(" and ")));
        }
        if let Some(names) = &self.environments {
            parts.push(format!("in {}", names.join(" or ")));
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests;
