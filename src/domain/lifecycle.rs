//! The life of an issue: what an occurrence means for it, and what people do to it.
//!
//! Every accepted report gets one [`Verdict`]. It comes from the issue's state and the event's own
//! time, never from the order of arrival.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Where an issue stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Somebody should look.
    Open,
    /// Done: an event that happened after `at` is a regression.
    Resolved {
        /// When it was resolved.
        at: Timestamp,
    },
    /// Counted, but nobody is told, until the condition ends.
    Muted {
        /// Ends at this time.
        until: Option<Timestamp>,
        /// Ends when the issue has had more events than this, counted from its beginning.
        until_n_events: Option<u64>,
    },
}

impl Status {
    /// The status's name in the API and in the store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
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
            Self::Open | Self::Resolved { .. } => false,
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
}

impl State {
    /// An issue nobody has touched.
    pub const OPEN: Self =
        Self { status: Status::Open, is_regressed: false, unconfirmed_since: None };
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

/// A change of an issue: what its activity lists, and what effects follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A new fingerprint opened it.
    Opened,
    /// An event came that the resolution should have prevented.
    Regressed {
        /// When that event happened.
        event_at: Timestamp,
        /// Its release.
        release: Option<String>,
        /// Whether its key is to be believed; a browser's is public.
        #[serde(default = "yes")]
        trusted: bool,
    },
    /// It had come back by the word of untrusted keys alone, and now a trusted one says so too.
    RegressionConfirmed {
        /// When that event happened.
        event_at: Timestamp,
        /// Its release.
        release: Option<String>,
    },
    /// A person resolved it.
    Resolved,
    /// A person opened it again.
    Reopened,
    /// A person muted it.
    Muted {
        /// Ends at this time.
        until: Option<Timestamp>,
        /// Ends after this many more events.
        events: Option<u64>,
    },
    /// The mute ended, by a person or by its condition.
    Unmuted {
        /// `person`, `time` or `events`.
        ended_by: MuteEnd,
    },
    /// It is somebody's, or nobody's.
    Assigned {
        /// Whose.
        to: Option<String>,
    },
    /// Somebody said something.
    Commented {
        /// What.
        text: String,
    },
    /// Its events belong to another issue from now on.
    MergedInto {
        /// The survivor's short id.
        issue: String,
    },
    /// It took over the events of another issue.
    Absorbed {
        /// The other's short id.
        issue: String,
    },
    /// Events with another fingerprint belong to it as well.
    Joined {
        /// The fingerprint's hash.
        hash: String,
        /// How it was found out.
        how: Join,
    },
    /// Under a new grouping config its events are grouped with those of another issue: the two may be
    /// one.
    MergeOffered {
        /// The other's short id.
        issue: String,
    },
    /// Some of its fingerprints belong to another issue from now on.
    Unmerged {
        /// The other's short id.
        issue: String,
        /// Their hashes.
        hashes: Vec<String>,
    },
    /// It was made of fingerprints of another issue, or got them back.
    SplitFrom {
        /// Whether it was there before.
        is_back: bool,
        /// The other's short id.
        issue: String,
        /// Their hashes.
        hashes: Vec<String>,
    },
    /// Its events are dropped from now on.
    Discarded,
    /// Its events count again.
    Restored,
}

/// How a new fingerprint was found to be an issue that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// It is the issue's under the grouping config before.
    Upgraded,
    /// The crashing line was edited.
    EditedLine,
    /// The stack was cut short.
    TruncatedStack,
}

impl Join {
    /// Its name in the store and in explanations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upgraded => "upgraded",
            Self::EditedLine => "edited line",
            Self::TruncatedStack => "truncated stack",
        }
    }
}

fn yes() -> bool {
    true
}

/// What ended a mute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MuteEnd {
    /// Somebody.
    Person,
    /// Its time was over.
    Time,
    /// Its number of events was reached.
    Events,
}

/// What a person asked for that the issue's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransition {
    /// Only a muted issue can be unmuted.
    #[error("the issue is not muted")]
    NotMuted,
    /// A mute whose end lies in the past would end at once.
    #[error("the mute's end is not in the future")]
    MuteEndsInThePast,
    /// A mute for no events would end at once.
    #[error("a mute for a number of events needs at least 1")]
    MuteForNoEvents,
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
}

/// What a row of occurrences made of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The issue's state afterwards.
    pub state: State,
    /// One verdict for each occurrence, in their order.
    pub verdicts: Vec<Judged>,
    /// What changed, in order.
    pub changes: Vec<Change>,
}

/// Judges occurrences of one issue in the order given.
///
/// `before` is the issue's state and its number of events so far; `None` when the fingerprint is
/// new. `now` ends mutes whose time is over.
#[must_use]
pub fn observe(
    before: Option<(State, u64)>,
    occurrences: &[Occurrence<'_>],
    now: Timestamp,
) -> Observed {
    let is_new = before.is_none();
    let (mut state, mut n_events) = before.unwrap_or((State::OPEN, 0));
    let mut changes = Vec::new();
    let mut verdicts = Vec::with_capacity(occurrences.len());
    for (index, occurrence) in occurrences.iter().enumerate() {
        if state.status.mute_is_over(n_events, now) {
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
        Status::Resolved { at } if occurrence.at <= at => {
            let reason = format!("it happened before the issue was resolved at {at}");
            (Judged { verdict: Verdict::Known, reason }, state, None)
        }
        Status::Resolved { at } => {
            let reason = format!("it happened after the issue was resolved at {at}");
            let change = Change::Regressed {
                event_at: occurrence.at,
                release: occurrence.release.map(str::to_owned),
                trusted: occurrence.is_trusted,
            };
            let unconfirmed_since = (!occurrence.is_enough).then_some(at);
            let state = State { status: Status::Open, is_regressed: true, unconfirmed_since };
            (Judged { verdict: Verdict::Regression, reason }, state, Some(change))
        }
    }
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
    (State { status: Status::Open, ..state }, Some(Change::Unmuted { ended_by }))
}

/// A person's order. Asking for what already is changes nothing and is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is done: what happens from now on is a regression.
    Resolve,
    /// It is not done.
    Reopen,
    /// Nobody wants to be told.
    Mute {
        /// Until this time.
        until: Option<Timestamp>,
        /// For this many more events.
        events: Option<u64>,
    },
    /// People want to be told again.
    Unmute,
}

impl State {
    /// Carries out a person's order on an issue that has had `n_events`.
    ///
    /// # Errors
    /// [`InvalidTransition`] when the state does not allow it or the order makes no sense.
    pub fn order(
        self,
        order: Order,
        n_events: u64,
        now: Timestamp,
    ) -> Result<(Self, Option<Change>), InvalidTransition> {
        match (order, &self.status) {
            (Order::Resolve, Status::Resolved { .. }) | (Order::Reopen, Status::Open) => {
                Ok((self, None))
            }
            (Order::Resolve, _) => {
                let status = Status::Resolved { at: now };
                let state = Self { status, is_regressed: false, unconfirmed_since: None };
                Ok((state, Some(Change::Resolved)))
            }
            (Order::Reopen, _) => Ok((Self::OPEN, Some(Change::Reopened))),
            (Order::Mute { until: Some(until), .. }, _) if until <= now => {
                Err(InvalidTransition::MuteEndsInThePast)
            }
            (Order::Mute { events: Some(0), .. }, _) => Err(InvalidTransition::MuteForNoEvents),
            (Order::Mute { until, events }, _) => {
                let until_n_events = events.map(|events| n_events.saturating_add(events));
                let status = Status::Muted { until, until_n_events };
                Ok((Self { status, ..self }, Some(Change::Muted { until, events })))
            }
            (Order::Unmute, Status::Muted { .. }) => {
                let change = Change::Unmuted { ended_by: MuteEnd::Person };
                Ok((Self { status: Status::Open, ..self }, Some(change)))
            }
            (Order::Unmute, _) => Err(InvalidTransition::NotMuted),
        }
    }

    /// The state of the survivor of a merge: open when either was, else the survivor's.
    #[must_use]
    pub fn merged_with(self, other: &Self) -> Self {
        match (&self.status, &other.status) {
            (Status::Open, _) => {
                Self { is_regressed: self.is_regressed || other.is_regressed, ..self }
            }
            (_, Status::Open) => other.clone(),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_micros(minute * 60_000_000)
    }

    fn resolved(minute: i64) -> State {
        State { status: Status::Resolved { at: at(minute) }, ..State::OPEN }
    }

    fn occurrence(minute: i64, is_trusted: bool, believes_all: bool) -> Occurrence<'static> {
        let is_enough = is_trusted || believes_all;
        Occurrence { at: at(minute), release: Some("1.2"), is_trusted, is_enough }
    }

    fn seen(
        before: Option<(State, u64)>,
        minutes: &[i64],
        now: i64,
    ) -> (State, Vec<Verdict>, Vec<Change>) {
        let occurrences: Vec<_> =
            minutes.iter().map(|minute| occurrence(*minute, *minute % 3 != 0, false)).collect();
        let observed = observe(before, &occurrences, at(now));
        (
            observed.state,
            observed.verdicts.iter().map(|judged| judged.verdict).collect(),
            observed.changes,
        )
    }

    #[test]
    fn a_new_fingerprint_opens_an_issue_and_the_rest_is_known() {
        let (state, verdicts, changes) = seen(None, &[1, 2, 3], 4);
        assert_eq!(state, State::OPEN);
        assert_eq!(verdicts, [Verdict::New, Verdict::Known, Verdict::Known]);
        assert_eq!(changes, [Change::Opened]);
    }

    #[test]
    fn only_what_happened_after_the_resolution_is_a_regression() {
        let (state, verdicts, changes) = seen(Some((resolved(10), 5)), &[9, 10, 11, 12], 13);
        assert_eq!(verdicts, [Verdict::Known, Verdict::Known, Verdict::Regression, Verdict::Known]);
        assert_eq!(state, State { is_regressed: true, ..State::OPEN });
        let release = Some("1.2".to_owned());
        let regressed = Change::Regressed { event_at: at(11), release, trusted: true };
        assert_eq!(changes, [regressed]);
    }

    #[test]
    fn what_untrusted_keys_say_is_confirmed_by_the_first_trusted_event_after_the_resolution() {
        let by = |occurrences: &[(i64, bool)], believes_all: bool| {
            let occurrences: Vec<_> = occurrences
                .iter()
                .map(|(minute, is_trusted)| occurrence(*minute, *is_trusted, believes_all))
                .collect();
            let observed = observe(Some((resolved(10), 5)), &occurrences, at(50));
            (observed.state.unconfirmed_since, observed.changes)
        };
        let release = || Some("1.2".to_owned());
        let regressed = |minute, trusted| Change::Regressed {
            event_at: at(minute),
            release: release(),
            trusted,
        };
        let confirmed =
            |minute| Change::RegressionConfirmed { event_at: at(minute), release: release() };
        for (occurrences, believes_all, expected) in [
            (&[(11, false), (12, false)][..], false, (Some(at(10)), vec![regressed(11, false)])),
            // A trusted event from before the resolution says nothing.
            (&[(11, false), (9, true)], false, (Some(at(10)), vec![regressed(11, false)])),
            (
                &[(11, false), (12, true), (13, true)],
                false,
                (None, vec![regressed(11, false), confirmed(12)]),
            ),
            (&[(11, true), (12, false)], false, (None, vec![regressed(11, true)])),
            (&[(11, false), (12, true)], true, (None, vec![regressed(11, false)])),
        ] {
            assert_eq!(by(occurrences, believes_all), expected, "{occurrences:?}");
        }
        // Resolving begins anew.
        let open = State { unconfirmed_since: Some(at(1)), ..State::OPEN };
        let (state, _) = open.order(Order::Resolve, 1, at(20)).expect("an order");
        assert_eq!(state, resolved(20));
    }

    #[test]
    fn a_mute_for_two_events_ends_with_the_third() {
        let (muted, _) = State::OPEN
            .order(Order::Mute { until: None, events: Some(2) }, 7, at(1))
            .expect("a valid mute");
        let (state, verdicts, changes) = seen(Some((muted, 7)), &[2, 3, 4], 5);
        assert_eq!(verdicts, [Verdict::Muted, Verdict::Muted, Verdict::Known]);
        assert_eq!(state, State::OPEN);
        assert_eq!(changes, [Change::Unmuted { ended_by: MuteEnd::Events }]);
    }

    #[test]
    fn a_mute_ends_with_its_time_and_lasts_until_then() {
        let mute = Order::Mute { until: Some(at(10)), events: None };
        let (muted, change) = State::OPEN.order(mute, 0, at(1)).expect("a valid mute");
        assert_eq!(change, Some(Change::Muted { until: Some(at(10)), events: None }));
        assert_eq!(seen(Some((muted.clone(), 1)), &[5], 9).1, [Verdict::Muted]);
        assert_eq!(end_mute(muted.clone(), 1, at(9)), (muted.clone(), None));
        let ended = (State::OPEN, Some(Change::Unmuted { ended_by: MuteEnd::Time }));
        assert_eq!(end_mute(muted, 1, at(10)), ended);
    }

    #[test]
    fn a_mute_without_condition_lasts() {
        let mute = Order::Mute { until: None, events: None };
        let (muted, _) = State::OPEN.order(mute, 0, at(1)).expect("a valid mute");
        assert_eq!(seen(Some((muted.clone(), 900)), &[5], 999_999).0, muted);
    }

    #[test]
    fn asking_for_what_already_is_changes_nothing() {
        assert_eq!(resolved(3).order(Order::Resolve, 1, at(9)), Ok((resolved(3), None)));
        assert_eq!(State::OPEN.order(Order::Reopen, 1, at(9)), Ok((State::OPEN, None)));
    }

    #[test]
    fn orders_that_make_no_sense() {
        for (order, expected) in [
            (Order::Unmute, InvalidTransition::NotMuted),
            (
                Order::Mute { until: Some(at(5)), events: None },
                InvalidTransition::MuteEndsInThePast,
            ),
            (Order::Mute { until: None, events: Some(0) }, InvalidTransition::MuteForNoEvents),
        ] {
            assert_eq!(State::OPEN.order(order, 1, at(5)), Err(expected));
        }
    }

    #[test]
    fn the_survivor_of_a_merge_is_open_if_either_was() {
        assert_eq!(resolved(3).merged_with(&State::OPEN), State::OPEN);
        assert_eq!(State::OPEN.merged_with(&resolved(3)), State::OPEN);
        assert_eq!(resolved(3).merged_with(&resolved(9)), resolved(3));
    }

    proptest! {
        /// However a row of occurrences is cut into batches, the result is the same.
        #[test]
        fn batches_do_not_matter(
            minutes in prop::collection::vec(0i64..40, 1..20),
            cut in 0usize..20,
            start in prop::sample::select(vec![
                None,
                Some(State::OPEN),
                Some(resolved(20)),
                Some(State { status: Status::Muted { until: None, until_n_events: Some(5) }, is_regressed: true, unconfirmed_since: Some(at(7)) }),
            ]),
        ) {
            let before = start.map(|state| (state, 0));
            let whole = seen(before.clone(), &minutes, 50);
            let (first, second) = minutes.split_at(cut.min(minutes.len()));
            if !first.is_empty() {
                let (state, mut verdicts, mut changes) = seen(before, first, 50);
                let rest = seen(Some((state, first.len() as u64)), second, 50);
                verdicts.extend(rest.1);
                changes.extend(rest.2);
                prop_assert_eq!((rest.0, verdicts, changes), whole);
            }
        }
    }
}
