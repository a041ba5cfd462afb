//! What a person wants a freeze to be, as the API takes it and the store keeps it.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::before_deploys::BeforeDeploys;
use super::cron::InvalidCron;
use super::recurring::Recurring;
use super::schedule::{Schedule, find_zone};
use super::span::Span;
use super::{Freeze, Window};
use crate::domain::time::Timestamp;

/// An environment has at most this many freezes.
pub const MOST_FREEZES: usize = 50;

/// The longest name, in characters.
pub const MOST_NAME_CHARS: usize = 100;

/// The longest window: 31 days.
pub const MOST_MINUTES: u32 = 31 * 24 * 60;

/// So long after its schedule a deploy counts as skipped, unless the freeze says otherwise.
pub const SKIP_AFTER_MINUTES: u32 = 30;

/// So long after its schedule a deploy ends no window any more, unless the freeze says otherwise.
pub const DEPLOY_MINUTES: u32 = 240;

/// What a freeze may say instead of [`SKIP_AFTER_MINUTES`] and [`DEPLOY_MINUTES`]: a day.
pub const MOST_DEPLOY_MINUTES: u32 = 24 * 60;

/// Deploys are scheduled at most so many times a day.
pub const MOST_DEPLOYS_A_DAY: usize = 24;

/// What is wrong with a freeze.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFreeze {
    /// The name is shown in reasons.
    #[error(
        "name must have 1 to {MOST_NAME_CHARS} characters, no space around it and no control characters"
    )]
    Name,
    /// Nothing says when.
    #[error(
        "a freeze says when it is closed: `start`, `minutes` and `timezone`, or `from` and `until`, or `before_environment`, `schedule`, `minutes` and `timezone`"
    )]
    When,
    /// Something says when, but not all of it.
    #[error("{field} is missing; it goes with {with}")]
    Missing {
        /// What is missing.
        field: &'static str,
        /// What needs it.
        with: &'static str,
    },
    /// It says too much.
    #[error("{field} does not go with {with}; leave one of them out")]
    Mixed {
        /// What is too much.
        field: &'static str,
        /// What it contradicts.
        with: &'static str,
    },
    /// A cron pattern.
    #[error(transparent)]
    Cron(#[from] InvalidCron),
    /// The time zone.
    #[error("time zone {0:?} is not known; name one like Europe/Berlin, or UTC")]
    TimeZone(String),
    /// A number of minutes.
    #[error("{field} must be 1 to {most}")]
    Minutes {
        /// Which.
        field: &'static str,
        /// The most it can be.
        most: u32,
    },
    /// A window without any time in it.
    #[error("until must be later than from")]
    Order,
    /// Nothing can be both skipped and running.
    #[error(
        "skip_after_minutes ({skip_after}) must not be more than max_minutes ({most}, {DEPLOY_MINUTES} by default)"
    )]
    SkipAfter {
        /// After how many minutes a deploy counts as skipped.
        skip_after: u32,
        /// After how many minutes it is not waited for.
        most: u32,
    },
    /// The other environment.
    #[error("before_environment must name an environment")]
    Environment,
    /// A schedule of deploys that is none.
    #[error(
        "schedule has {n} deploys a day; at most {MOST_DEPLOYS_A_DAY}, name the times of real deploys"
    )]
    TooOften {
        /// How many.
        n: usize,
    },
    /// Windows without a gap.
    #[error("this freeze never opens; make it shorter or rarer, or lock the environment instead")]
    NeverOpens,
}

/// A freeze in the words of the API: one of three kinds, told apart by what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WishedFreeze {
    /// What it is called in reasons.
    pub name: String,
    /// Recurring: a cron pattern says when it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// One-off: when it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// One-off: when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Before deploys: of which environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_environment: Option<String>,
    /// Before deploys: a cron pattern says when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// How long it lasts, or how long before a deploy it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    /// Where the pattern counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Before deploys: so long after its schedule one counts as skipped, [`SKIP_AFTER_MINUTES`] by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_after_minutes: Option<u32>,
    /// Before deploys: so long after its schedule none is waited for, [`DEPLOY_MINUTES`] by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<u32>,
}

impl TryFrom<WishedFreeze> for Freeze {
    type Error = InvalidFreeze;

    fn try_from(wish: WishedFreeze) -> Result<Self, InvalidFreeze> {
        let n_chars = wish.name.chars().count();
        let is_name = (1..=MOST_NAME_CHARS).contains(&n_chars)
            && wish.name.trim() == wish.name
            && !wish.name.contains(char::is_control);
        if !is_name {
            return Err(InvalidFreeze::Name);
        }
        let window = if wish.start.is_some() {
            recurring(&wish)?
        } else if wish.from.is_some() || wish.until.is_some() {
            one_off(&wish)?
        } else if wish.before_environment.is_some() || wish.schedule.is_some() {
            before_deploys(&wish)?
        } else {
            return Err(InvalidFreeze::When);
        };
        if window.in_utc().never_opens() {
            return Err(InvalidFreeze::NeverOpens);
        }
        Ok(Self { name: wish.name, window })
    }
}

fn recurring(wish: &WishedFreeze) -> Result<Window, InvalidFreeze> {
    let key = "start";
    refuse(wish.from.is_some(), "from", key)?;
    refuse(wish.until.is_some(), "until", key)?;
    refuse(wish.before_environment.is_some(), "before_environment", key)?;
    refuse(wish.schedule.is_some(), "schedule", key)?;
    refuse(wish.skip_after_minutes.is_some(), "skip_after_minutes", key)?;
    refuse(wish.max_minutes.is_some(), "max_minutes", key)?;
    let start = need(wish.start.as_ref(), "start", "minutes")?;
    let length = minutes(need(wish.minutes, "minutes", key)?, "minutes", MOST_MINUTES)?;
    let schedule = Schedule::parse(start, zone(wish, key)?)?;
    Ok(Window::Recurring(Recurring::new(schedule, length)))
}

fn one_off(wish: &WishedFreeze) -> Result<Window, InvalidFreeze> {
    let key = if wish.from.is_some() { "from" } else { "until" };
    refuse(wish.before_environment.is_some(), "before_environment", key)?;
    refuse(wish.schedule.is_some(), "schedule", key)?;
    refuse(wish.minutes.is_some(), "minutes", key)?;
    refuse(wish.timezone.is_some(), "timezone", key)?;
    refuse(wish.skip_after_minutes.is_some(), "skip_after_minutes", key)?;
    refuse(wish.max_minutes.is_some(), "max_minutes", key)?;
    let from = need(wish.from, "from", "until")?;
    let until = need(wish.until, "until", "from")?;
    if until <= from {
        return Err(InvalidFreeze::Order);
    }
    Ok(Window::OneOff(Span { from, until }))
}

fn before_deploys(wish: &WishedFreeze) -> Result<Window, InvalidFreeze> {
    let key = "before_environment";
    let environment = need(wish.before_environment.as_ref(), key, "schedule")?;
    let pattern = need(wish.schedule.as_ref(), "schedule", key)?;
    if environment.trim().is_empty() {
        return Err(InvalidFreeze::Environment);
    }
    let before = minutes(need(wish.minutes, "minutes", key)?, "minutes", MOST_MINUTES)?;
    let skip_after = wish.skip_after_minutes.unwrap_or(SKIP_AFTER_MINUTES);
    let most = wish.max_minutes.unwrap_or(DEPLOY_MINUTES);
    let skip_after_span = minutes(skip_after, "skip_after_minutes", MOST_DEPLOY_MINUTES)?;
    let most_span = minutes(most, "max_minutes", MOST_DEPLOY_MINUTES)?;
    if skip_after > most {
        return Err(InvalidFreeze::SkipAfter { skip_after, most });
    }
    let schedule = Schedule::parse(pattern, zone(wish, key)?)?;
    if schedule.times().len() > MOST_DEPLOYS_A_DAY {
        return Err(InvalidFreeze::TooOften { n: schedule.times().len() });
    }
    Ok(Window::BeforeDeploys(BeforeDeploys {
        environment: environment.clone(),
        schedule,
        before,
        skip_after: skip_after_span,
        most: most_span,
    }))
}

fn refuse(is_there: bool, field: &'static str, key: &'static str) -> Result<(), InvalidFreeze> {
    if is_there { Err(InvalidFreeze::Mixed { field, with: key }) } else { Ok(()) }
}

fn need<T>(value: Option<T>, field: &'static str, key: &'static str) -> Result<T, InvalidFreeze> {
    value.ok_or(InvalidFreeze::Missing { field, with: key })
}

fn minutes(value: u32, field: &'static str, most: u32) -> Result<Duration, InvalidFreeze> {
    if (1..=most).contains(&value) {
        Ok(Duration::from_mins(u64::from(value)))
    } else {
        Err(InvalidFreeze::Minutes { field, most })
    }
}

fn zone(wish: &WishedFreeze, key: &'static str) -> Result<TimeZone, InvalidFreeze> {
    let name = need(wish.timezone.as_deref(), "timezone", key)?;
    find_zone(name).ok_or_else(|| InvalidFreeze::TimeZone(name.chars().take(80).collect()))
}

impl From<Freeze> for WishedFreeze {
    fn from(freeze: Freeze) -> Self {
        let wish = Self { name: freeze.name, ..Self::default() };
        let scheduled = |schedule: &Schedule| Some(schedule.pattern().to_owned());
        let zone = |schedule: &Schedule| Some(schedule.zone().to_owned());
        match freeze.window {
            Window::Recurring(window) => Self {
                start: scheduled(window.schedule()),
                minutes: whole_minutes(window.length()),
                timezone: zone(window.schedule()),
                ..wish
            },
            Window::OneOff(span) => Self { from: Some(span.from), until: Some(span.until), ..wish },
            Window::BeforeDeploys(window) => Self {
                schedule: scheduled(&window.schedule),
                minutes: whole_minutes(window.before),
                timezone: zone(&window.schedule),
                skip_after_minutes: whole_minutes(window.skip_after),
                max_minutes: whole_minutes(window.most),
                before_environment: Some(window.environment),
                ..wish
            },
        }
    }
}

fn whole_minutes(span: Duration) -> Option<u32> {
    u32::try_from(span.as_secs() / 60).ok()
}
