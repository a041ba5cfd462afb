//! What people do to issues.

use super::change::{Change, MuteEnd};
use super::{CurrentFix, State, Status};
use crate::domain::fix::{FixId, FixState};
use crate::domain::time::Timestamp;

/// What a person asked for that the state does not allow.
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
    /// Without a fix there is none to take away.
    #[error("the issue has no fix")]
    NoFix,
}

/// A person's order. Asking for what already is changes nothing and is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is done: what happens from now on is a regression.
    Resolve {
        /// What is deployed: only what newer builds report is a regression.
        baseline: Option<FixId>,
    },
    /// These commits fix it.
    Fix(FixId),
    /// They do not.
    Unfix,
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
            (Order::Resolve { baseline: None }, Status::Resolved { .. })
            | (Order::Reopen, Status::Open) => Ok((self, None)),
            (Order::Resolve { baseline }, _) => {
                let status = Status::Resolved { at: now, baseline };
                let state =
                    Self { status, is_regressed: false, unconfirmed_since: None, fix: self.fix };
                Ok((state, Some(Change::Resolved)))
            }
            (Order::Reopen, _) => {
                // Who says that it is not done says that its fix did not help.
                let fix = self.fix.map(CurrentFix::failed);
                Ok((Self { fix, ..Self::OPEN }, Some(Change::Reopened)))
            }
            // The change names more than is known here.
            (Order::Fix(id), status) => {
                let fix = CurrentFix { id, state: FixState::Standing, is_complete: false };
                let status = match status {
                    Status::Muted { .. } => status.clone(),
                    Status::Open | Status::FixPending { .. } | Status::Resolved { .. } => {
                        Status::PENDING
                    }
                };
                Ok((Self { status, unconfirmed_since: None, fix: Some(fix), ..self }, None))
            }
            (Order::Unfix, _) if self.fix.is_none() => Err(InvalidTransition::NoFix),
            (Order::Unfix, _) => Ok((Self::OPEN, Some(Change::FixRemoved))),
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
                Ok((Self { status: self.at_rest(now), ..self }, Some(change)))
            }
            (Order::Unmute, _) => Err(InvalidTransition::NotMuted),
        }
    }

    /// The state of the survivor of a merge: open when either was, and then without a fix; else the
    /// survivor's. What the two fixes come to is another question.
    #[must_use]
    pub fn merged_with(self, other: &Self) -> Self {
        let merged = match (&self.status, &other.status) {
            (Status::Open, _) => {
                Self { is_regressed: self.is_regressed || other.is_regressed, ..self }
            }
            (_, Status::Open) => other.clone(),
            _ => return self,
        };
        Self { fix: None, ..merged }
    }
}

impl CurrentFix {
    /// It did not help, if it was believed.
    fn failed(self) -> Self {
        let state = match self.state {
            FixState::Standing | FixState::Failed => FixState::Failed,
            FixState::Reverted => FixState::Reverted,
        };
        Self { state, is_complete: false, ..self }
    }
}
