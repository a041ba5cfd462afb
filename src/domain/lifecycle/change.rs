//! What happens to issues.

use serde::{Deserialize, Serialize};

use crate::domain::fix::{FixId, Problem, Source};
use crate::domain::time::Timestamp;

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
        trusted: bool,
        /// The fix that did not help.
        fix: Option<FixId>,
        /// Why it should not have happened.
        reason: String,
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
    /// The commits were named that fix it.
    FixTagged {
        /// The fix.
        fix: FixId,
        /// Its commits.
        commits: Vec<String>,
        /// How they were named.
        source: Source,
        /// What is wrong with them.
        problem: Option<Problem>,
    },
    /// A commit says to fix it, but it is done already.
    FixMentioned {
        /// The commit.
        commit: String,
    },
    /// Its fix is none.
    FixRemoved,
    /// What was not known of its fix is known, or a conflict arose or ended.
    FixProblem {
        /// What is wrong with it from now on.
        problem: Option<Problem>,
    },
    /// A deploy brought its fix.
    FixDeployed {
        /// Where to.
        environment: String,
        /// The deploy.
        deploy: String,
        /// Why it is said to have the fix.
        proof: String,
    },
    /// A deploy took its fix back.
    FixTakenBack {
        /// From where.
        environment: String,
        /// The deploy.
        deploy: String,
        /// Why it is said to lack the fix.
        reason: String,
        /// Whether somebody reverted it; else another line was deployed.
        is_reverted: bool,
    },
    /// Its fix is deployed where fixes complete.
    ResolvedByDeploy {
        /// Where.
        environment: String,
        /// The deploy.
        deploy: String,
    },
    /// It locks an environment.
    Locked {
        /// Which.
        environment: String,
        /// The lock.
        lock: String,
    },
    /// It no longer locks an environment.
    Unlocked {
        /// Which.
        environment: String,
        /// The lock.
        lock: String,
        /// Why.
        reason: String,
    },
    /// Locks that a deploy of its fix released are active again.
    LocksRearmed {
        /// Of which environments.
        environments: Vec<String>,
    },
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
    /// It is serious: it becomes a task.
    BecameSerious {
        /// What makes it so.
        reason: String,
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
    /// A deploy of its fix.
    Deploy,
}

impl Change {
    /// Whether the error came back, or that it did is believed from now on.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        matches!(self, Self::Regressed { .. } | Self::RegressionConfirmed { .. })
    }
}
