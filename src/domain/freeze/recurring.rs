//! Windows that begin when a schedule says and last a number of minutes.

use std::time::Duration;

use super::schedule::Schedule;
use super::span::Span;
use crate::domain::time::Timestamp;

/// A checked recurring window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recurring {
    schedule: Schedule,
    length: Duration,
    /// The windows of a day without a change of the clock, since midnight: those that touch are
    /// one, so that a window for every minute costs no more than one for the day.
    plain_day: Vec<(Duration, Duration)>,
}

impl Recurring {
    pub(super) fn new(schedule: Schedule, length: Duration) -> Self {
        let mut plain_day: Vec<(Duration, Duration)> = Vec::new();
        for time in schedule.times() {
            match plain_day.last_mut() {
                Some((_, end)) if time <= *end => *end = time + length,
                _ => plain_day.push((time, time + length)),
            }
        }
        Self { schedule, length, plain_day }
    }

    pub(super) fn in_utc(&self) -> Self {
        Self { schedule: self.schedule.in_utc(), ..self.clone() }
    }

    pub(super) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// All windows that touch the time between `from` and `until`, and perhaps more.
    pub(super) fn windows(&self, from: Timestamp, until: Timestamp) -> Vec<Span> {
        let mut windows = Vec::new();
        for day in self.schedule.days(from.minus(self.length), until) {
            if let Some(midnight) = day.plain_midnight {
                windows.extend(self.plain_day.iter().map(|(from, until)| Span {
                    from: midnight.plus(*from),
                    until: midnight.plus(*until),
                }));
            } else {
                windows.extend(
                    self.schedule
                        .times_on(&day)
                        .into_iter()
                        .map(|from| Span { from, until: from.plus(self.length) }),
                );
            }
        }
        windows
    }
}
