//! Stretches of time, and how windows that touch become one.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Windows that follow one another for longer than this are taken to do so for ever.
const LONGEST: Duration = Duration::from_hours(400 * 24);

/// So far ahead an opening is looked for: 29 February falls on a given weekday at least every 40
/// years.
const FARTHEST: Duration = Duration::from_hours(41 * 366 * 24);

/// How far to look at first; farther and farther if that is not enough.
const NEAREST: Duration = Duration::from_hours(24);

/// From its beginning until just before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Span {
    pub(super) fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// Windows that follow one another without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) from: Timestamp,
    /// `None` when no end is in sight.
    pub(super) until: Option<Timestamp>,
}

/// The run around `now`, if there is one.
///
/// `windows` gives all windows that overlap or touch the time between its arguments, in any order,
/// none empty, and may give more.
pub(super) fn run_around(
    now: Timestamp,
    windows: impl Fn(Timestamp, Timestamp) -> Vec<Span>,
) -> Option<Run> {
    let (mut back, mut ahead) = (NEAREST, NEAREST);
    loop {
        let (from, until) = (now.minus(back), now.plus(ahead));
        let run = merged(windows(from, until)).into_iter().find(|run| run.holds(now))?;
        let (begins, ends) = (run.from >= from, run.until <= until);
        if (begins || back > LONGEST) && (ends || ahead > LONGEST) {
            return Some(Run { from: run.from, until: ends.then_some(run.until) });
        }
        if !begins && back <= LONGEST {
            back *= 2;
        }
        if !ends && ahead <= LONGEST {
            ahead *= 2;
        }
    }
}

/// When the first window after `now` begins. `windows` is as for [`run_around`].
pub(super) fn first_after(
    now: Timestamp,
    windows: impl Fn(Timestamp, Timestamp) -> Vec<Span>,
) -> Option<Timestamp> {
    let (mut from, mut distance) = (now, NEAREST);
    loop {
        let until = now.plus(distance);
        let begins = windows(from, until).into_iter().map(|window| window.from);
        if let Some(first) = begins.filter(|begin| now < *begin && *begin <= until).min() {
            return Some(first);
        }
        if distance > FARTHEST {
            return None;
        }
        from = until;
        distance *= 2;
    }
}

/// The same times in as few spans as possible, the earliest first.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from <= last.until => last.until = last.until.max(span.until),
            _ => merged.push(span),
        }
    }
    merged
}
