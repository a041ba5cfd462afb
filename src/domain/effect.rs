//! What must happen outside Airlock because of a change inside.
//!
//! An effect says which task is to be looked at, not what to do: whoever carries it out reads what is
//! true by then. What people are told is part of it: that is said once for each change.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::IssueId;
use super::lifecycle::{Change, MuteEnd};

/// What a task stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An issue.
    Issue(IssueId),
    /// A lock of a person or a script.
    Lock(Uuid),
    /// A deploy.
    Deploy(Uuid),
    /// Issues that wait for tasks of their own, because there are so many new ones.
    Storm,
}

/// What a storm is called.
const STORM: &str = "storm";

impl Subject {
    /// The subject of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == STORM {
            return Some(Self::Storm);
        }
        let (kind, id) = name.split_once('/')?;
        let id = id.parse().ok()?;
        match kind {
            "issue" => Some(Self::Issue(IssueId(id))),
            "lock" => Some(Self::Lock(id)),
            "deploy" => Some(Self::Deploy(id)),
            _ => None,
        }
    }
}

/// Its name in the store: that of its lane in the outbox.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issue(id) => write!(f, "issue/{}", id.0),
            Self::Lock(id) => write!(f, "lock/{id}"),
            Self::Deploy(id) => write!(f, "deploy/{id}"),
            Self::Storm => f.write_str(STORM),
        }
    }
}

/// Something that must happen outside: kept in the outbox until it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// What people are told on the task, beside what it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// How much a task is wanted where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<Demand>,
}

/// How much a task is wanted where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// The issue came back: a task that somebody deleted is made anew.
    Again,
    /// Somebody wants it: that too, and it is not held because there are so many.
    Now,
}

impl Effect {
    /// What follows from a change of an issue that somebody made.
    #[must_use]
    pub fn of(change: &Change, actor: &str) -> Self {
        Self { say: said(change, actor), demand: change.is_regression().then_some(Demand::Again) }
    }
}

/// What a change tells people who read the task and nothing else. What the task itself shows is not
/// said again.
fn said(change: &Change, actor: &str) -> Option<String> {
    Some(match change {
        Change::Regressed { release, reason, .. } => {
            let release =
                release.as_ref().map(|it| format!(" in release {it}")).unwrap_or_default();
            format!("It came back{release}: {reason}")
        }
        Change::Resolved => format!("{actor} resolved it"),
        Change::FixTagged { commits, problem, .. } => {
            let problem = problem.map(|it| format!(" ({})", it.detail())).unwrap_or_default();
            format!("{actor} says that {} fixes it{problem}", commits.join(", "))
        }
        Change::FixMentioned { commit } => format!("{commit} says to fix it as well"),
        Change::FixRemoved => format!("{actor} says that it is not fixed"),
        Change::FixProblem { problem } => {
            let problem = (*problem)?;
            format!("Its fix: {}", problem.detail())
        }
        Change::FixDeployed { environment, proof, .. } => {
            format!("Its fix is deployed to {environment}: {proof}")
        }
        Change::FixTakenBack { environment, reason, .. } => {
            format!("{environment} has its fix no more: {reason}")
        }
        Change::ResolvedByDeploy { environment, .. } => {
            format!("Done: its fix is deployed to {environment}")
        }
        Change::Locked { environment, .. } => {
            format!("{actor} locked {environment} until the fix is part of what is deployed there")
        }
        Change::Unlocked { environment, reason, .. } => {
            format!("It locks {environment} no more: {reason}")
        }
        Change::LocksRearmed { environments } => {
            format!("It locks {} again", environments.join(" and "))
        }
        Change::Reopened => format!("{actor} opened it again"),
        Change::Muted { until, events } => {
            let until = until.map(|at| format!(" until {at}"));
            let events = events.map(|n| format!(" for {n} more events"));
            format!("{actor} muted it{}", until.or(events).unwrap_or_default())
        }
        Change::Unmuted { ended_by } => match ended_by {
            MuteEnd::Person => format!("{actor} ended its mute"),
            MuteEnd::Time | MuteEnd::Events | MuteEnd::Deploy => "Its mute is over".to_owned(),
        },
        Change::Commented { text } => format!("{actor}: {text}"),
        Change::MergedInto { issue } => format!("{actor} made it part of {issue}"),
        Change::Absorbed { issue } => format!("{issue} is part of it from now on"),
        Change::Unmerged { issue, .. } => format!("A part of it is {issue} from now on"),
        Change::SplitFrom { issue, .. } => format!("It was a part of {issue}"),
        Change::Discarded => format!("{actor} discards its reports"),
        Change::Restored => format!("{actor} wants its reports again"),
        Change::Opened
        | Change::RegressionConfirmed { .. }
        | Change::Assigned { .. }
        | Change::Joined { .. }
        | Change::MergeOffered { .. }
        | Change::BecameSerious { .. } => return None,
    })
}
