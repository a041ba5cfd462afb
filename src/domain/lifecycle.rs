//! The life of an issue: what an occurrence means for it, and what people do to it.
//!
//! Every accepted report gets one [`Verdict`]. It comes from the state and the event's own
//! release and time, never from the order of arrival.

mod change;
mod landing;
mod order;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use change::{Change, Join, MuteEnd};
pub use landing::{Landing, Note};
pub use order::{InvalidTransition, Order};

use super::fix::{FixId, FixState};
use super::time::Timestamp;

/// The actor of what happens by itself.
pub const ACTOR: &str = "airlock";

/// Where an issue stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Somebody should look.
    Open,
    /// Its fix is not where fixes complete.
    FixPending {
        /// When a deploy there without it took that back which had been done.
        absent_since: Option<Timestamp>,
    },
    /// Done. Its standing fix tells which event is a regression; without one it is what happened
    /// after `at`, or what a build newer than the baseline reports.
    Resolved {
        /// When it was resolved.
        at: Timestamp,
        /// What was deployed then, when it was resolved for the next deploy.
        baseline: Option<FixId>,
    },
    /// Counted, but nobody is told, until the condition ends.
    Muted {
        /// Ends at this time.
        until: Option<Timestamp>,
        /// Ends when the issue has had more events than this, counted from its beginning.
        until_n_events: Option<u64>,
    },
}

/// A fix that a deploy lacks which it had before may be back within this time: until then it is no news.
const ABSENT_PAUSE: Duration = Duration::from_hours(24);

impl Status {
    /// With a fix that is named and not deployed yet.
    pub const PENDING: Self = Self::FixPending { absent_since: None };

    /// Until when an issue that is not done any more is left as if it were.
    #[must_use]
    pub fn done_until(&self) -> Option<Timestamp> {
        match self {
            Self::FixPending { absent_since } => absent_since.map(|at| at.plus(ABSENT_PAUSE)),
            Self::Open | Self::Resolved { .. } | Self::Muted { .. } => None,
        }
    }

    /// The status's name in the API and in the store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::FixPending { .. } => "fix_pending",
            Self::Resolved { .. } => "resolved",
            Self::Muted { .. } => "muted",
        }
    }

    /// Whether a mute is over at `now`, with `n_events` counted so far.
    fn mute_is_over(&self, n_events: u64, now: Timestamp) -> bool {
        match self {
            Self::Muted { until, until_n_events } => {
                until.is_some_and(|until| until <= now)
                    || until_n_events.is_some_and(|most| n_events >= most)
            }
            Self::Open | Self::FixPending { .. } | Self::Resolved { .. } => false,
        }
    }
}

/// What the lifecycle of an issue depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// Whether it came back after it was resolved, and is open for that reason.
    pub is_regressed: bool,
    /// It came back, but only keys that are not trusted say so: when it had been resolved. A trusted
    /// event after that time confirms it.
    pub unconfirmed_since: Option<Timestamp>,
    /// Its fix, if one is named.
    pub fix: Option<CurrentFix>,
}

/// The fix of an issue, as far as its state depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentFix {
    /// It.
    pub id: FixId,
    /// What became of it.
    pub state: FixState,
    /// Whether it is deployed where fixes complete.
    pub is_complete: bool,
}

impl State {
    /// An issue nobody has touched.
    pub const OPEN: Self =
        Self { status: Status::Open, is_regressed: false, unconfirmed_since: None, fix: None };

    /// The fix that is believed.
    #[must_use]
    pub fn standing(&self) -> Option<FixId> {
        self.fix.filter(|fix| fix.state == FixState::Standing).map(|fix| fix.id)
    }

    /// What must be known of the build that reports an event, before the event is judged.
    #[must_use]
    pub fn question(&self) -> Option<FixId> {
        match self.status {
            Status::Open | Status::Muted { .. } => None,
            Status::FixPending { .. } => self.standing(),
            Status::Resolved { baseline, .. } => self.standing().or(baseline),
        }
    }

    /// Where an issue stands that nobody mutes and nothing reopened: where its fix is.
    fn at_rest(&self, now: Timestamp) -> Status {
        match self.fix {
            Some(CurrentFix { state: FixState::Standing, is_complete: true, .. }) => {
                Status::Resolved { at: now, baseline: None }
            }
            Some(CurrentFix { state: FixState::Standing, .. }) => Status::PENDING,
            _ => Status::Open,
        }
    }
}

/// What one report means for its issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first of its fingerprint.
    New,
    /// One more of an open issue, or a late one of a resolved issue.
    Known,
    /// One more of a muted issue.
    Muted,
    /// The fix explains it: its release does not have it.
    Suppressed,
    /// Nobody can tell yet whether its release has the fix.
    Undetermined,
    /// It should not have happened any more.
    Regression,
}

impl Verdict {
    /// The verdict's name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Muted => "muted",
            Self::Suppressed => "suppressed",
            Self::Undetermined => "undetermined",
            Self::Regression => "regression",
        }
    }
}

/// A verdict and the reason that is shown with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What the report means.
    pub verdict: Verdict,
    /// Why, in words for people.
    pub reason: String,
}

/// One occurrence of an issue, as the lifecycle sees it.
#[derive(Debug, Clone, Copy)]
pub struct Occurrence<'a> {
    /// When it happened.
    pub at: Timestamp,
    /// The release that reported it.
    pub release: Option<&'a str>,
    /// Whether its key is to be believed.
    pub is_trusted: bool,
    /// Whether a regression needs no other word than this one: its key is trusted, or the project
    /// believes all of its keys.
    pub is_enough: bool,
    /// What is known of its build, where the state asks ([`State::question`]).
    pub fact: Option<&'a Fact>,
}

/// What is known of the build that reported an event, and how that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It has the fix; or it is newer than the baseline.
    Has(String),
    /// It has not.
    Lacks(String),
    /// Nobody can tell yet.
    Unknown(String),
}

/// What a row of occurrences made of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The state afterwards.
    pub state: State,
    /// One verdict for each occurrence, in their order.
    pub verdicts: Vec<Judged>,
    /// What changed, in order.
    pub changes: Vec<Change>,
}

impl Observed {
    /// Whether locks that a deploy released are active again: the error came back, and somebody who
    /// is to be believed says so.
    #[must_use]
    pub fn rearms_locks(&self) -> bool {
        self.state.unconfirmed_since.is_none() && self.changes.iter().any(Change::is_regression)
    }
}

/// Judges occurrences of one issue in the order given.
///
/// `before` is the state and its number of events so far; `None` when the fingerprint is
/// new. `now` ends mutes whose time is over.
#[must_use]
pub fn observe(
    before: Option<(State, u64)>,
    occurrences: &[Occurrence<'_>],
    now: Timestamp,
) -> Observed {
    observe_all(before, occurrences, now, true)
}

/// Judges occurrences anew that were counted as undetermined: what they are, now that more is known.
///
/// As [`observe`], but they count no second time.
#[must_use]
pub fn settle(before: State, occurrences: &[Occurrence<'_>], now: Timestamp) -> Observed {
    observe_all(Some((before, 0)), occurrences, now, false)
}

fn observe_all(
    before: Option<(State, u64)>,
    occurrences: &[Occurrence<'_>],
    now: Timestamp,
    counts: bool,
) -> Observed {
    let is_new = before.is_none();
    let (mut state, mut n_events) = before.unwrap_or((State::OPEN, 0));
    let mut changes = Vec::new();
    let mut verdicts = Vec::with_capacity(occurrences.len());
    for (index, occurrence) in occurrences.iter().enumerate() {
        if counts && state.status.mute_is_over(n_events, now) {
            let (ended, change) = end_mute(state, n_events, now);
            state = ended;
            changes.extend(change);
        }
        let judged = if is_new && index == 0 {
            changes.push(Change::Opened);
            Judged { verdict: Verdict::New, reason: "the first report of this error".to_owned() }
        } else {
            let (judged, after, change) = observe_one(state, *occurrence);
            state = after;
            changes.extend(change);
            judged
        };
        verdicts.push(judged);
        n_events = n_events.saturating_add(1);
    }
    Observed { state, verdicts, changes }
}

fn observe_one(state: State, occurrence: Occurrence<'_>) -> (Judged, State, Option<Change>) {
    match state.status {
        Status::Open => {
            let (state, change) = confirmed(state, occurrence);
            (
                Judged { verdict: Verdict::Known, reason: "the issue is open".to_owned() },
                state,
                change,
            )
        }
        Status::Muted { .. } => {
            let (state, change) = confirmed(state, occurrence);
            (
                Judged { verdict: Verdict::Muted, reason: "the issue is muted".to_owned() },
                state,
                change,
            )
        }
        Status::FixPending { .. } | Status::Resolved { .. } if state.question().is_some() => {
            judge_by_build(state, occurrence)
        }
        // A pending fix is a standing one.
        Status::FixPending { .. } => (known("the issue is open"), state, None),
        Status::Resolved { at, .. } if occurrence.at <= at => {
            (known(&format!("it happened before the issue was resolved at {at}")), state, None)
        }
        Status::Resolved { at, .. } => regressed(
            state,
            occurrence,
            at,
            format!("it happened after the issue was resolved at {at}"),
        ),
    }
}

fn known(reason: &str) -> Judged {
    Judged { verdict: Verdict::Known, reason: reason.to_owned() }
}

/// Of an issue with a standing fix, or resolved for the next deploy.
fn judge_by_build(state: State, occurrence: Occurrence<'_>) -> (Judged, State, Option<Change>) {
    let judged = |verdict, reason: &str| Judged { verdict, reason: reason.to_owned() };
    match occurrence.fact {
        Some(Fact::Has(reason)) => regressed(state, occurrence, occurrence.at, reason.clone()),
        Some(Fact::Lacks(reason)) => {
            let has_fix = state.standing().is_some();
            let verdict = if has_fix { Verdict::Suppressed } else { Verdict::Known };
            (judged(verdict, reason), state, None)
        }
        Some(Fact::Unknown(reason)) => (judged(Verdict::Undetermined, reason), state, None),
        None => (judged(Verdict::Undetermined, "its build was not looked at yet"), state, None),
    }
}

/// It should not have happened: what was believed to prevent it did not.
fn regressed(
    state: State,
    occurrence: Occurrence<'_>,
    since: Timestamp,
    reason: String,
) -> (Judged, State, Option<Change>) {
    let failed = state.standing();
    let change = Change::Regressed {
        event_at: occurrence.at,
        release: occurrence.release.map(str::to_owned),
        trusted: occurrence.is_trusted,
        fix: failed,
        reason: reason.clone(),
    };
    let fix = state.fix.map(|fix| CurrentFix {
        state: if fix.state == FixState::Standing { FixState::Failed } else { fix.state },
        is_complete: false,
        ..fix
    });
    let unconfirmed_since = (!occurrence.is_enough).then_some(since);
    let state = State { status: Status::Open, is_regressed: true, unconfirmed_since, fix };
    (Judged { verdict: Verdict::Regression, reason }, state, Some(change))
}

/// Takes a trusted event for the confirmation of a regression that untrusted ones began.
fn confirmed(state: State, occurrence: Occurrence<'_>) -> (State, Option<Change>) {
    let is_awaited = state.unconfirmed_since.is_some_and(|since| occurrence.at > since);
    if !is_awaited || !occurrence.is_trusted {
        return (state, None);
    }
    let change = Change::RegressionConfirmed {
        event_at: occurrence.at,
        release: occurrence.release.map(str::to_owned),
    };
    (State { unconfirmed_since: None, ..state }, Some(change))
}

/// Ends a mute whose condition is met; anything else stays as it is.
#[must_use]
pub fn end_mute(state: State, n_events: u64, now: Timestamp) -> (State, Option<Change>) {
    if !state.status.mute_is_over(n_events, now) {
        return (state, None);
    }
    let by_time = matches!(state.status, Status::Muted { until: Some(until), .. } if until <= now);
    let ended_by = if by_time { MuteEnd::Time } else { MuteEnd::Events };
    (State { status: state.at_rest(now), ..state }, Some(Change::Unmuted { ended_by }))
}
