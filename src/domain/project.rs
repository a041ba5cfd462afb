//! What a project is: names, environments, settings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::commit_field::CommitField;
use super::id::ProjectId;
use super::origin::{InvalidOrigin, check_origin};
use super::rate::{InvalidLimit, RateLimit, check_quota};
use super::time::Timestamp;

/// The longest name of a project or environment, in characters.
pub const MOST_NAME_CHARS: usize = 64;

/// A project has at most this many environments.
pub const MOST_ENVIRONMENTS: usize = 20;

/// The longest label of a key, in characters.
pub const MOST_LABEL_CHARS: usize = 100;

/// A key has at most this many origins.
pub const MOST_ORIGINS: usize = 100;

/// Events are kept at least so many days: what was sent twice is known that long, and so long a
/// verdict can be settled.
pub const LEAST_RETENTION_DAYS: u32 = 30;

/// Events are kept at most so many days.
pub const MOST_RETENTION_DAYS: u32 = 3_650;

/// How many events a project may keep.
pub const EVENTS: std::ops::RangeInclusive<u64> = 1..=100_000_000;

/// How many bodies of an issue may be kept.
pub const BODIES_PER_ISSUE: std::ops::RangeInclusive<u32> = 20..=10_000;

/// What is wrong with the description of a project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProject {
    /// The slug is part of addresses.
    #[error(
        "slug {0:?} is not usable: 1 to 50 lower-case letters, digits and hyphens, starting with a letter"
    )]
    Slug(String),
    /// The prefix is part of short ids.
    #[error(
        "prefix {0:?} is not usable: 1 to 50 capital letters, digits and hyphens, starting with a letter"
    )]
    Prefix(String),
    /// The name is shown to people.
    #[error("name is empty, longer than {MOST_NAME_CHARS} characters, or has control characters")]
    Name,
    /// An environment's name.
    #[error(
        "environment {0:?} is not usable: 1 to {MOST_NAME_CHARS} characters without / or white space"
    )]
    Environment(String),
    /// Two environments answer to one name.
    #[error("environment {0:?} is named twice, as a name or an alias")]
    EnvironmentTwice(String),
    /// Only what exists can be renamed.
    #[error("environment {0:?} does not exist, so it cannot be renamed")]
    NoSuchEnvironment(String),
    /// One environment cannot go on as two.
    #[error("environment {0:?} cannot become two")]
    EnvironmentSplit(String),
    /// The label of a key.
    #[error("label must have 1 to {MOST_LABEL_CHARS} characters")]
    KeyLabel,
    /// A key has too many origins.
    #[error("a key has at most {MOST_ORIGINS} origins")]
    NOrigins,
    /// An origin of a key.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// How long events are kept.
    #[error("retention_days must be {LEAST_RETENTION_DAYS} to {MOST_RETENTION_DAYS}")]
    Retention,
    /// How many events are kept.
    #[error("most_events must be {} to {}", EVENTS.start(), EVENTS.end())]
    Events,
    /// How many bodies of an issue are kept.
    #[error("most_bodies_per_issue must be {} to {}", BODIES_PER_ISSUE.start(), BODIES_PER_ISSUE.end())]
    Bodies,
    /// A rate limit or a quota.
    #[error(transparent)]
    Limit(#[from] InvalidLimit),
    /// Deploys need somewhere to go.
    #[error("a project has 1 to {MOST_ENVIRONMENTS} environments")]
    NEnvironments,
    /// `complete_in` names none of the environments.
    #[error("complete_in {0:?} is none of the project's environments")]
    CompleteIn(String),
}

/// One deployable application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its number, part of every DSN.
    pub id: ProjectId,
    /// Its name in addresses and commands; unique.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What its short ids begin with; unique.
    pub prefix: String,
    /// What can be set.
    pub settings: Settings,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its stages, in deploy order.
    pub environments: Vec<Environment>,
}

impl Project {
    /// The environment that is called so, in small letters or large, or has it as an alias.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        let is_called = |one: &&Environment| one.name.eq_ignore_ascii_case(name);
        let has_alias =
            |one: &&Environment| one.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name));
        let environments = || self.environments.iter();
        environments().find(is_called).or_else(|| environments().find(has_alias))
    }

    /// Whether fixes that are deployed there complete their issues: that environment and those after
    /// it.
    #[must_use]
    pub fn completes_in(&self, environment: &str) -> bool {
        let mut from = self.environments.iter().skip_while(|one| !one.completes);
        from.any(|one| one.name == environment)
    }
}

/// What can be set for a project. Unknown names are an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many errors it may report in a time; no limit by default.
    pub rate_limit: Option<RateLimit>,
    /// How many errors it may report in a day, UTC; no quota by default.
    pub daily_quota: Option<u64>,
    /// How many errors it may report in a month, UTC; no quota by default.
    pub monthly_quota: Option<u64>,
    /// As `rate_limit`, for what browsers say of broken policies.
    pub security_rate_limit: Option<RateLimit>,
    /// As `daily_quota`, for what browsers say of broken policies.
    pub security_daily_quota: Option<u64>,
    /// As `monthly_quota`, for what browsers say of broken policies.
    pub security_monthly_quota: Option<u64>,
    /// Whether a regression counts as certain when only untrusted keys have seen it; false by
    /// default.
    pub untrusted_keys_rearm_locks: bool,
    /// Whether the gate cannot tell while reports wait to be understood; else it only warns.
    pub gate_waits_for_reports: bool,
    /// Events are kept for so many days; 90 by default.
    pub retention_days: u32,
    /// Events beyond so many are given up earlier, the oldest first, though none before it is
    /// [`LEAST_RETENTION_DAYS`] days old; no limit by default.
    pub most_events: Option<u64>,
    /// Of so many events of an issue the body is kept; of the others only what the lists show. 200
    /// by default.
    pub most_bodies_per_issue: u32,
    /// The tag or context field of events that carries the commit they were built from; none by
    /// default.
    pub commit_field: Option<CommitField>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate_limit: None,
            daily_quota: None,
            monthly_quota: None,
            security_rate_limit: None,
            security_daily_quota: None,
            security_monthly_quota: None,
            untrusted_keys_rearm_locks: false,
            gate_waits_for_reports: false,
            retention_days: 90,
            most_events: None,
            most_bodies_per_issue: 200,
            commit_field: None,
        }
    }
}

impl Settings {
    /// Whether anything is counted by day or month.
    #[must_use]
    pub fn has_quota(&self) -> bool {
        self.quotas().iter().any(Option::is_some)
    }

    fn quotas(&self) -> [Option<u64>; 4] {
        [
            self.daily_quota,
            self.monthly_quota,
            self.security_daily_quota,
            self.security_monthly_quota,
        ]
    }

    /// Checks limits, quotas and what is kept.
    ///
    /// # Errors
    /// [`InvalidProject::Limit`], [`InvalidProject::Retention`], [`InvalidProject::Events`],
    /// [`InvalidProject::Bodies`].
    pub fn check(&self) -> Result<(), InvalidProject> {
        for rate in [self.rate_limit, self.security_rate_limit].into_iter().flatten() {
            rate.check()?;
        }
        for quota in self.quotas().into_iter().flatten() {
            check_quota(quota)?;
        }
        if !(LEAST_RETENTION_DAYS..=MOST_RETENTION_DAYS).contains(&self.retention_days) {
            return Err(InvalidProject::Retention);
        }
        if self.most_events.is_some_and(|most| !EVENTS.contains(&most)) {
            return Err(InvalidProject::Events);
        }
        if !BODIES_PER_ISSUE.contains(&self.most_bodies_per_issue) {
            return Err(InvalidProject::Bodies);
        }
        Ok(())
    }
}

/// A key with which an application may report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectKey {
    /// The public part of a DSN: 32 lower-case hex digits.
    pub public_key: String,
    /// The project it reports to.
    pub project_id: ProjectId,
    /// What it is for, in words.
    pub label: String,
    /// Whether its reports may re-arm locks; a browser's key is public and should not.
    pub is_trusted: bool,
    /// Whether it may report at all.
    pub is_active: bool,
    /// The origins browsers may report from with it; empty for any.
    pub origins: Vec<String>,
    /// How many reports it may send in a time, by category.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A stage of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Other names under which reports and deploys may speak of it.
    pub aliases: Vec<String>,
    /// Whether a fix that arrives here completes its issue.
    pub completes: bool,
}

/// Other names of an environment that need no saying.
#[must_use]
pub fn default_aliases(environment: &str) -> Vec<String> {
    match environment.to_lowercase().as_str() {
        "production" => vec!["prod".to_owned(), "live".to_owned()],
        _ => Vec::new(),
    }
}

/// The environments of a new project, in deploy order. `complete_in` is the first by default.
///
/// # Errors
/// [`InvalidProject`] names what is wrong.
pub fn environments(
    names: &[String],
    complete_in: Option<&str>,
) -> Result<Vec<Environment>, InvalidProject> {
    let complete_in = complete_in.or(names.first().map(String::as_str)).unwrap_or_default();
    let taken: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let environment = |name: &String| Environment {
        name: name.clone(),
        aliases: default_aliases(name).into_iter().filter(|alias| !taken.contains(alias)).collect(),
        completes: name.eq_ignore_ascii_case(complete_in),
    };
    let environments: Vec<Environment> = names.iter().map(environment).collect();
    check_environments(&environments)?;
    if !environments.iter().any(|environment| environment.completes) {
        return Err(InvalidProject::CompleteIn(complete_in.to_owned()));
    }
    Ok(environments)
}

/// An environment that a project is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentWish {
    /// Its name.
    pub name: String,
    /// Its other names; as they are when nobody says.
    pub aliases: Option<Vec<String>>,
    /// Its name until now, when it is renamed.
    pub was: Option<String>,
}

/// The environments of a project after a change: what exists goes on under its old or new name.
///
/// # Errors
/// [`InvalidProject`] names what is wrong.
pub fn changed_environments(
    current: &[Environment],
    wishes: Option<Vec<EnvironmentWish>>,
    complete_in: Option<&str>,
) -> Result<Vec<Environment>, InvalidProject> {
    let mut environments = match wishes {
        Some(wishes) => wished(current, wishes)?,
        None => current.to_vec(),
    };
    check_environments(&environments)?;
    if let Some(name) = complete_in {
        for environment in &mut environments {
            environment.completes = environment.name.eq_ignore_ascii_case(name);
        }
        if !environments.iter().any(|one| one.completes) {
            return Err(InvalidProject::CompleteIn(name.to_owned()));
        }
    }
    if !environments.iter().any(|one| one.completes)
        && let Some(first) = environments.first_mut()
    {
        first.completes = true;
    }
    Ok(environments)
}

/// The environments that go on under another name: the old one and the new one.
#[must_use]
pub fn renamed(current: &[Environment], wishes: &[EnvironmentWish]) -> Vec<(String, String)> {
    let before = |wish: &EnvironmentWish| {
        let was = wish.was.as_ref().unwrap_or(&wish.name);
        current.iter().find(|one| one.name.eq_ignore_ascii_case(was))
    };
    let pair = |wish: &EnvironmentWish| Some((before(wish)?.name.clone(), wish.name.clone()));
    wishes.iter().filter_map(pair).filter(|(old, new)| old != new).collect()
}

fn wished(
    current: &[Environment],
    wishes: Vec<EnvironmentWish>,
) -> Result<Vec<Environment>, InvalidProject> {
    let find = |name: &str| current.iter().find(|one| one.name.eq_ignore_ascii_case(name));
    let named: BTreeSet<String> = wishes.iter().map(|wish| wish.name.to_lowercase()).collect();
    let mut continued = BTreeSet::new();
    let environment = |wish: EnvironmentWish| {
        let before = match wish.was {
            Some(was) => Some(find(&was).ok_or(InvalidProject::NoSuchEnvironment(was))?),
            None => find(&wish.name),
        };
        if let Some(before) = before
            && !continued.insert(&before.name)
        {
            return Err(InvalidProject::EnvironmentSplit(before.name.clone()));
        }
        let aliases = wish.aliases.unwrap_or_else(|| {
            // Names that nobody chose give way to those that somebody does.
            let aliases = match before {
                Some(before) => before.aliases.clone(),
                None => default_aliases(&wish.name),
            };
            aliases.into_iter().filter(|alias| !named.contains(&alias.to_lowercase())).collect()
        });
        let completes = before.is_some_and(|before| before.completes);
        Ok(Environment { name: wish.name, aliases, completes })
    };
    wishes.into_iter().map(environment).collect()
}

/// Checks the label, the origins and the rate limit of a key.
///
/// # Errors
/// [`InvalidProject`] names what is wrong.
pub fn check_key(key: &ProjectKey) -> Result<(), InvalidProject> {
    let n_chars = key.label.chars().count();
    let is_label = (1..=MOST_LABEL_CHARS).contains(&n_chars)
        && key.label.trim() == key.label
        && !key.label.chars().any(char::is_control);
    if !is_label {
        return Err(InvalidProject::KeyLabel);
    }
    if key.origins.len() > MOST_ORIGINS {
        return Err(InvalidProject::NOrigins);
    }
    for origin in &key.origins {
        check_origin(origin)?;
    }
    if let Some(rate) = key.rate_limit {
        rate.check()?;
    }
    Ok(())
}

/// Checks names and aliases of a project's environments: usable, and none twice.
///
/// # Errors
/// [`InvalidProject`] names what is wrong.
pub fn check_environments(environments: &[Environment]) -> Result<(), InvalidProject> {
    if environments.is_empty() || environments.len() > MOST_ENVIRONMENTS {
        return Err(InvalidProject::NEnvironments);
    }
    let mut names = BTreeSet::new();
    for name in environments.iter().flat_map(|one| std::iter::once(&one.name).chain(&one.aliases)) {
        let is_usable = !name.is_empty()
            && name.chars().count() <= MOST_NAME_CHARS
            && !name.chars().any(|character| {
                character == '/' || character.is_whitespace() || character.is_control()
            });
        if !is_usable {
            return Err(InvalidProject::Environment(name.clone()));
        }
        if !names.insert(name.to_lowercase()) {
            return Err(InvalidProject::EnvironmentTwice(name.clone()));
        }
    }
    Ok(())
}

/// Checks the slug of a project.
///
/// # Errors
/// [`InvalidProject::Slug`].
pub fn check_slug(slug: &str) -> Result<(), InvalidProject> {
    if is_identifier(slug, |byte| byte.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err(InvalidProject::Slug(slug.chars().take(80).collect()))
    }
}

/// Checks the prefix of a project's short ids.
///
/// # Errors
/// [`InvalidProject::Prefix`].
pub fn check_prefix(prefix: &str) -> Result<(), InvalidProject> {
    if is_identifier(prefix, |byte| byte.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err(InvalidProject::Prefix(prefix.chars().take(80).collect()))
    }
}

/// Checks the name people see.
///
/// # Errors
/// [`InvalidProject::Name`].
pub fn check_name(name: &str) -> Result<(), InvalidProject> {
    let n_chars = name.trim().chars().count();
    let is_usable = (1..=MOST_NAME_CHARS).contains(&n_chars) && !name.contains(char::is_control);
    if is_usable { Ok(()) } else { Err(InvalidProject::Name) }
}

fn is_identifier(text: &str, is_letter: fn(u8) -> bool) -> bool {
    (1..=50).contains(&text.len())
        && text.bytes().next().is_some_and(is_letter)
        && text.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_first_environment_completes_unless_another_is_named() {
        let made = environments(&names(&["beta", "production"]), None).expect("valid");
        assert_eq!(made.iter().map(|one| one.completes).collect::<Vec<_>>(), [true, false]);
        assert_eq!(made[1].aliases, ["prod", "live"]);
        let made =
            environments(&names(&["beta", "production"]), Some("Production")).expect("valid");
        assert_eq!(made.iter().map(|one| one.completes).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn an_environment_called_live_keeps_its_name() {
        let made = environments(&names(&["live", "production"]), None).expect("valid");
        assert_eq!(made[1].aliases, ["prod"]);
    }

    fn wish(name: &str, was: Option<&str>) -> EnvironmentWish {
        EnvironmentWish { name: name.to_owned(), aliases: None, was: was.map(str::to_owned) }
    }

    #[test]
    fn a_renamed_environment_goes_on_and_a_new_one_takes_its_name_from_an_alias() {
        let before = environments(&names(&["beta", "production"]), None).expect("valid");
        let wishes =
            vec![wish("canary", Some("Beta")), wish("live", None), wish("production", None)];
        let after = changed_environments(&before, Some(wishes), None).expect("valid");
        let told: Vec<_> =
            after.iter().map(|one| (one.name.as_str(), one.completes, one.aliases.len())).collect();
        assert_eq!(told, [("canary", true, 0), ("live", false, 0), ("production", false, 1)]);
    }

    #[test]
    fn environments_cannot_be_renamed_from_nothing_or_into_two() {
        let before = environments(&names(&["beta"]), None).expect("valid");
        let change = |wishes| changed_environments(&before, Some(wishes), None);
        assert_eq!(
            change(vec![wish("a", Some("alpha"))]),
            Err(InvalidProject::NoSuchEnvironment("alpha".to_owned()))
        );
        assert_eq!(
            change(vec![wish("a", Some("beta")), wish("b", Some("beta"))]),
            Err(InvalidProject::EnvironmentSplit("beta".to_owned()))
        );
        assert_eq!(
            changed_environments(&before, None, Some("gamma")),
            Err(InvalidProject::CompleteIn("gamma".to_owned()))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let environments = |list: &[&str], complete_in| environments(&names(list), complete_in);
        assert_eq!(environments(&[], None), Err(InvalidProject::NEnvironments));
        assert_eq!(
            environments(&["a", "A"], None),
            Err(InvalidProject::EnvironmentTwice("A".to_owned()))
        );
        assert_eq!(
            environments(&["a/b"], None),
            Err(InvalidProject::Environment("a/b".to_owned()))
        );
        assert_eq!(
            environments(&["a"], Some("b")),
            Err(InvalidProject::CompleteIn("b".to_owned()))
        );
        for slug in ["", "Shop", "1shop", "shop-", "shop web", "shöp", &"x".repeat(51)] {
            assert!(check_slug(slug).is_err(), "{slug}");
        }
        assert_eq!(check_slug("shop-web-2"), Ok(()));
        assert_eq!(check_prefix("SHOP-WEB-2"), Ok(()));
        assert!(check_prefix("Shop").is_err());
        assert!(check_name("  ").is_err());
    }
}
