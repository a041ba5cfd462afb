//! Windows around the scheduled deploys of another environment.
//!
//! For a scheduled time T the window begins `before` T. The deploy for T is the first that started
//! from `before` T until `skip_after` T, both included. With it the window lasts until it ended,
//! be that before T, and at most until `most` after T; without it until `skip_after` T.
//!
//! A deploy serves one scheduled time only: the one its start is nearest to, of those it could be
//! for, and the earlier of two as near. So with deploys at 9:00 and 10:00, the one that starts at
//! 9:05 does not end the window before 10:00. Where windows overlap it stays closed until the last
//! of them ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use super::span::Span;
use crate::domain::time::Timestamp;

/// When a deploy ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeployTimes {
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended, however it ended; `None` while it runs.
    pub ended_at: Option<Timestamp>,
}

/// A checked window of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BeforeDeploys {
    pub(super) environment: String,
    pub(super) schedule: Schedule,
    pub(super) before: Duration,
    pub(super) skip_after: Duration,
    pub(super) most: Duration,
}

impl BeforeDeploys {
    pub(super) fn in_utc(&self) -> Self {
        Self { schedule: self.schedule.in_utc(), ..self.clone() }
    }

    /// What started earlier has no part in a window that is on at `now`.
    pub(super) fn deploys_since(&self, now: Timestamp) -> Timestamp {
        now.minus(self.most).minus(self.before)
    }

    /// All windows that touch the time between `from` and `until`, and perhaps more. `deploys` are
    /// in the order of their start.
    pub(super) fn windows(
        &self,
        from: Timestamp,
        until: Timestamp,
        deploys: &[DeployTimes],
    ) -> Vec<Span> {
        // Beyond the windows themselves, what is near enough to take a deploy from them.
        let near = self.before + self.skip_after;
        let from = from.minus(self.most).minus(near);
        let times = self.schedule.between(from, until.plus(self.before).plus(near));
        let windows = times.iter().enumerate().map(|(at, time)| {
            let previous = at.checked_sub(1).and_then(|at| times.get(at));
            let next = times.get(at + 1);
            let first = self.first_start(*time, previous.copied());
            let last = self.last_start(*time, next.copied());
            let later = deploys.get(deploys.partition_point(|one| one.started_at < first)..);
            let deploy = later.and_then(<[_]>::first).filter(|one| one.started_at <= last);
            Span { from: time.minus(self.before), until: self.end(*time, deploy) }
        });
        windows.filter(|window| window.from < window.until).collect()
    }

    fn end(&self, time: Timestamp, deploy: Option<&DeployTimes>) -> Timestamp {
        match deploy {
            None => time.plus(self.skip_after),
            Some(DeployTimes { ended_at: None, .. }) => time.plus(self.most),
            Some(DeployTimes { started_at, ended_at: Some(ended_at) }) => {
                (*ended_at).max(*started_at).min(time.plus(self.most))
            }
        }
    }

    /// From when on a start is for `time` rather than for the one before.
    fn first_start(&self, time: Timestamp, previous: Option<Timestamp>) -> Timestamp {
        let first = time.minus(self.before);
        let Some(previous) = previous else { return first };
        let last_of_previous = previous.plus(self.skip_after).min(middle(previous, time));
        first.max(last_of_previous.plus(Duration::from_micros(1)))
    }

    /// Until when a start is for `time` rather than for the next.
    fn last_start(&self, time: Timestamp, next: Option<Timestamp>) -> Timestamp {
        let last = time.plus(self.skip_after);
        let Some(next) = next else { return last };
        let first_of_next = next.minus(self.before);
        last.min(middle(time, next).max(first_of_next.minus(Duration::from_micros(1))))
    }
}

fn middle(earlier: Timestamp, later: Timestamp) -> Timestamp {
    earlier.plus(later.since(earlier) / 2)
}
