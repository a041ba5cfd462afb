//! What a deploy means for an issue with a fix.

use super::change::{Change, MuteEnd};
use super::{CurrentFix, State, Status};
use crate::domain::containment::Containment;
use crate::domain::fix::{Answer, FixState};
use crate::domain::time::Timestamp;

/// What is deployed on an environment, for one fix.
#[derive(Debug, Clone, Copy)]
pub struct Landing<'a> {
    /// The environment's name.
    pub environment: &'a str,
    /// The deploy that brought the last of it.
    pub deploy: &'a str,
    /// When that ended.
    pub at: Timestamp,
    /// Whether fixes complete there.
    pub completes: bool,
    /// Whether the fix was there before.
    pub was_there: bool,
    /// What the build says of the fix.
    pub answer: &'a Answer,
}

/// What is noted about a fix and an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It is there from now on.
    Begins,
    /// It is no longer there.
    Ends,
    /// As before.
    Stays,
}

impl State {
    /// What a deploy makes of the issue.
    #[must_use]
    pub fn land(self, landing: &Landing<'_>) -> (Self, Note, Vec<Change>) {
        let Some(fix) = self.fix.filter(|fix| fix.state != FixState::Failed) else {
            return (self, Note::Stays, Vec::new());
        };
        let said = || landing.answer.about(landing.environment).to_string();
        let (environment, deploy) = (landing.environment.to_owned(), landing.deploy.to_owned());
        match (&landing.answer.containment, landing.was_there) {
            (Containment::Contained { .. }, was_there) => {
                let mut changes = Vec::new();
                if !was_there {
                    let proof = said();
                    changes.push(Change::FixDeployed { environment, deploy, proof });
                }
                let note = if was_there { Note::Stays } else { Note::Begins };
                let (state, more) = self.completed(fix, landing);
                changes.extend(more);
                (state, note, changes)
            }
            (Containment::Reverted { .. }, true) => {
                let reason = said();
                let change =
                    Change::FixTakenBack { environment, deploy, reason, is_reverted: true };
                let state = self.taken_back(fix, FixState::Reverted, landing);
                (state, Note::Ends, vec![change])
            }
            (Containment::Absent, true) => {
                let reason = said();
                let change =
                    Change::FixTakenBack { environment, deploy, reason, is_reverted: false };
                let state = self.taken_back(fix, fix.state, landing);
                (state, Note::Ends, vec![change])
            }
            // What nobody can tell changes nothing.
            (
                Containment::Absent
                | Containment::Reverted { .. }
                | Containment::Conflicted { .. }
                | Containment::Unknown,
                _,
            ) => (self, Note::Stays, Vec::new()),
        }
    }

    /// Where fixes complete, the issue is done.
    fn completed(self, fix: CurrentFix, landing: &Landing<'_>) -> (Self, Vec<Change>) {
        if !landing.completes || (fix.is_complete && fix.state == FixState::Standing) {
            return (self, Vec::new());
        }
        let mut changes = Vec::new();
        if matches!(self.status, Status::Muted { .. }) {
            changes.push(Change::Unmuted { ended_by: MuteEnd::Deploy });
        }
        if !matches!(self.status, Status::Resolved { .. }) {
            changes.push(Change::ResolvedByDeploy {
                environment: landing.environment.to_owned(),
                deploy: landing.deploy.to_owned(),
            });
        }
        let fix = CurrentFix { state: FixState::Standing, is_complete: true, ..fix };
        let status = Status::Resolved { at: landing.at, baseline: None };
        let state = Self { status, is_regressed: false, unconfirmed_since: None, fix: Some(fix) };
        (state, changes)
    }

    /// Where fixes complete, the issue is no longer done.
    fn taken_back(self, fix: CurrentFix, state: FixState, landing: &Landing<'_>) -> Self {
        if !landing.completes {
            return self;
        }
        let status = match (&self.status, state) {
            (Status::Muted { .. }, _) => self.status.clone(),
            (Status::Resolved { .. }, FixState::Standing) => {
                Status::FixPending { absent_since: Some(landing.at) }
            }
            (Status::Open | Status::FixPending { .. }, FixState::Standing) => Status::PENDING,
            (_, FixState::Reverted | FixState::Failed) => Status::Open,
        };
        Self { status, fix: Some(CurrentFix { state, is_complete: false, ..fix }), ..self }
    }
}
