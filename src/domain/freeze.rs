//! When an environment is closed by a schedule.
//!
//! A [`Freeze`] is a rule of one of three kinds: windows that recur, one window, and windows around
//! the scheduled deploys of another environment. Nothing is written down when a window opens or
//! closes: whether one is on is computed from the rule, the time, and the deploys there were, so a
//! server that was away misses nothing.
//!
//! Windows begin by the clock of an IANA time zone and last elapsed minutes, so a window over a
//! change of the clock is neither longer nor shorter. A window is closed from its beginning until
//! just before its end. Windows of one freeze that overlap or touch are one closed span.
//!
//! `schedule` says what happens when the clock is changed, `before_deploys` which deploy ends which
//! window. To add a kind: its fields in `wish`, its windows in a file here, an arm of `Window`.

mod before_deploys;
mod cron;
mod recurring;
mod schedule;
mod span;
mod wish;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use before_deploys::BeforeDeploys;
pub use before_deploys::DeployTimes;
pub use cron::{InvalidCron, MOST_CRON_BYTES};
use recurring::Recurring;
use span::{Run, Span};
pub use wish::{
    DEPLOY_MINUTES, InvalidFreeze, MOST_DEPLOY_MINUTES, MOST_DEPLOYS_A_DAY, MOST_FREEZES,
    MOST_MINUTES, MOST_NAME_CHARS, SKIP_AFTER_MINUTES, WishedFreeze,
};

/// A rule that closes an environment at times. It reads and writes itself as [`WishedFreeze`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WishedFreeze", into = "WishedFreeze")]
pub struct Freeze {
    name: String,
    window: Window,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Window {
    Recurring(Recurring),
    OneOff(Span),
    BeforeDeploys(BeforeDeploys),
}

/// That a freeze is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Since when.
    pub since: Timestamp,
    /// When it ends if nothing happens; `None` when a deploy that runs decides that. How long that
    /// deploy is waited for is [`Freeze::next_change_at`].
    pub clears_at: Option<Timestamp>,
}

impl Freeze {
    /// What it is called in reasons.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The environment whose deploys it waits for.
    #[must_use]
    pub fn before_environment(&self) -> Option<&str> {
        match &self.window {
            Window::BeforeDeploys(window) => Some(&window.environment),
            Window::Recurring(_) | Window::OneOff(_) => None,
        }
    }

    /// The deploys of the other environment that decide whether it is closed at `now` are those
    /// that started then or later; `None` if it asks for none. Where windows overlap, older ones
    /// can make [`Closed::since`] more exact.
    #[must_use]
    pub fn deploys_since(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.window {
            Window::BeforeDeploys(window) => Some(window.deploys_since(now)),
            Window::Recurring(_) | Window::OneOff(_) => None,
        }
    }

    /// Whether it is closed at `now`. `deploys_of_other` are those of the environment it waits for,
    /// in any order; other kinds ignore them.
    #[must_use]
    pub fn closed(&self, now: Timestamp, deploys_of_other: &[DeployTimes]) -> Option<Closed> {
        let deploys = sorted(deploys_of_other);
        let run = self.window.run(now, &deploys)?;
        let if_all_end = || {
            let ended_at = |one: &DeployTimes| Some(one.ended_at.unwrap_or(now));
            let ended: Vec<_> =
                deploys.iter().map(|one| DeployTimes { ended_at: ended_at(one), ..*one }).collect();
            self.window.run(now, &ended).map_or(Some(now), |run| run.until)
        };
        let nothing_runs = deploys.iter().all(|one| one.ended_at.is_some());
        let is_certain = nothing_runs || if_all_end() == run.until;
        Some(Closed { since: run.from, clears_at: run.until.filter(|_| is_certain) })
    }

    /// The first time after `now` at which it closes or opens if no deploy starts or ends.
    #[must_use]
    pub fn next_change_at(
        &self,
        now: Timestamp,
        deploys_of_other: &[DeployTimes],
    ) -> Option<Timestamp> {
        let deploys = sorted(deploys_of_other);
        match self.window.run(now, &deploys) {
            Some(run) => run.until,
            None => self.window.next_start(now, &deploys),
        }
    }
}

/// The first time after `now` at which any of these freezes closes or opens, each with the deploys
/// it waits for. Then the reasons are others, and it may be open.
#[must_use]
pub fn next_change_at<'a>(
    freezes: impl IntoIterator<Item = (&'a Freeze, &'a [DeployTimes])>,
    now: Timestamp,
) -> Option<Timestamp> {
    freezes.into_iter().filter_map(|(freeze, deploys)| freeze.next_change_at(now, deploys)).min()
}

impl Window {
    /// The closed span around `now`.
    fn run(&self, now: Timestamp, deploys: &[DeployTimes]) -> Option<Run> {
        match self {
            Self::OneOff(span) => {
                span.holds(now).then_some(Run { from: span.from, until: Some(span.until) })
            }
            Self::Recurring(window) => {
                span::run_around(now, |from, until| window.windows(from, until))
            }
            Self::BeforeDeploys(window) => {
                span::run_around(now, |from, until| window.windows(from, until, deploys))
            }
        }
    }

    /// When the first window after `now` begins.
    fn next_start(&self, now: Timestamp, deploys: &[DeployTimes]) -> Option<Timestamp> {
        match self {
            Self::OneOff(span) => (now < span.from).then_some(span.from),
            Self::Recurring(window) => {
                span::first_after(now, |from, until| window.windows(from, until))
            }
            Self::BeforeDeploys(window) => {
                span::first_after(now, |from, until| window.windows(from, until, deploys))
            }
        }
    }

    fn in_utc(&self) -> Self {
        match self {
            Self::Recurring(window) => Self::Recurring(window.in_utc()),
            Self::OneOff(span) => Self::OneOff(*span),
            Self::BeforeDeploys(window) => Self::BeforeDeploys(window.in_utc()),
        }
    }

    /// Whether windows follow one another for years, when no deploy ever starts.
    fn never_opens(&self) -> bool {
        match self {
            Self::OneOff(_) => false,
            Self::Recurring(_) | Self::BeforeDeploys(_) => {
                self.run(Timestamp::default(), &[]).is_some_and(|run| run.until.is_none())
            }
        }
    }
}

fn sorted(deploys: &[DeployTimes]) -> Vec<DeployTimes> {
    let mut deploys = deploys.to_vec();
    deploys.sort_unstable();
    deploys
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
