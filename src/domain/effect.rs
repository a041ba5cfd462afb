//! What must happen outside Airlock because of a change inside.

use serde::{Deserialize, Serialize};

use super::lifecycle::Change;

/// Something that must happen outside: kept in the outbox until it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// People hear of a new issue; a serious one becomes a task.
    IssueOpened,
    /// People hear that it came back; its task is opened again.
    IssueRegressed,
    /// Its task is completed.
    IssueResolved,
    /// Its task is opened again.
    IssueReopened,
    /// Its task changes hands.
    IssueAssigned,
    /// Its task gets the comment.
    IssueCommented,
    /// Its task is completed as a duplicate.
    IssueMerged,
    /// Its task is completed: nobody wants to hear of it.
    IssueDiscarded,
    /// Its task hears of its fix, of deploys of it and of its locks.
    FixNoted,
}

impl Effect {
    /// The effect's name in the outbox.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IssueOpened => "issue_opened",
            Self::IssueRegressed => "issue_regressed",
            Self::IssueResolved => "issue_resolved",
            Self::IssueReopened => "issue_reopened",
            Self::IssueAssigned => "issue_assigned",
            Self::IssueCommented => "issue_commented",
            Self::IssueMerged => "issue_merged",
            Self::IssueDiscarded => "issue_discarded",
            Self::FixNoted => "fix_noted",
        }
    }

    /// What follows from a change of an issue, if anything does.
    #[must_use]
    pub fn of(change: &Change) -> Option<Self> {
        match change {
            Change::Opened | Change::SplitFrom { is_back: false, .. } => Some(Self::IssueOpened),
            Change::Regressed { .. } => Some(Self::IssueRegressed),
            Change::Resolved | Change::ResolvedByDeploy { .. } => Some(Self::IssueResolved),
            Change::Reopened
            | Change::FixRemoved
            | Change::FixTakenBack { is_reverted: true, .. }
            | Change::Restored
            | Change::SplitFrom { is_back: true, .. } => Some(Self::IssueReopened),
            Change::Assigned { .. } => Some(Self::IssueAssigned),
            Change::Commented { .. } => Some(Self::IssueCommented),
            Change::MergedInto { .. } => Some(Self::IssueMerged),
            Change::FixTagged { .. }
            | Change::FixMentioned { .. }
            | Change::FixProblem { .. }
            | Change::FixDeployed { .. }
            | Change::FixTakenBack { is_reverted: false, .. }
            | Change::Locked { .. }
            | Change::Unlocked { .. }
            | Change::LocksRearmed { .. } => Some(Self::FixNoted),
            Change::RegressionConfirmed { .. }
            | Change::Muted { .. }
            | Change::Unmuted { .. }
            | Change::Absorbed { .. }
            | Change::Joined { .. }
            | Change::MergeOffered { .. }
            | Change::Unmerged { .. } => None,
            Change::Discarded => Some(Self::IssueDiscarded),
        }
    }
}
