//! Whether a commit may go to an environment: the verdict, with every reason.
//!
//! One certain blocker makes it [`Kind::Blocked`]; otherwise one uncertainty makes it
//! [`Kind::Unknown`]; otherwise it is [`Kind::Clear`]. What nobody can tell never clears.

mod pass;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::containment::Containment;
use super::fix::{Answer, FixState, Problem, Unknown, shas};
use super::freeze::Closed;
use super::id::ShortId;
use super::lock::{Lock, Subject};
use super::time::Timestamp;
use crate::domain::commit::Sha;

pub use pass::{Answered, Pass};

/// Reports that wait longer than this are not yet part of what is known.
pub const REPORTS_PATIENCE: Duration = Duration::from_mins(1);

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It may go.
    Clear,
    /// It may not.
    Blocked,
    /// Nobody can tell.
    Unknown,
}

/// Why a deploy is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockerKind {
    /// An issue whose fix is not part of it.
    IssueLock,
    /// A person or a script says so.
    ManualLock,
    /// The environment is closed at this time.
    Freeze,
    /// Another deploy is under way.
    DeployRunning,
    /// An issue's fix is alive on one line and taken back on another.
    Conflicted,
    /// No repository has the candidate.
    CommitUnknown,
    /// A repository cannot be read, or its history does not go back far enough.
    RepositoryUnreadable,
    /// Locks cannot be trusted to be all.
    LocksUnreadable,
    /// Reports wait to be understood, and the project wants to know them first.
    ReportsPending,
}

impl BlockerKind {
    /// Whether it only says that nobody can tell.
    #[must_use]
    pub fn is_uncertain(self) -> bool {
        match self {
            Self::CommitUnknown
            | Self::RepositoryUnreadable
            | Self::LocksUnreadable
            | Self::ReportsPending => true,
            Self::IssueLock
            | Self::ManualLock
            | Self::Freeze
            | Self::DeployRunning
            | Self::Conflicted => false,
        }
    }

    /// Whether a person with the right may go on all the same.
    #[must_use]
    pub fn can_be_overridden(self) -> bool {
        self != Self::DeployRunning
    }
}

/// One reason against a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// What kind.
    pub kind: BlockerKind,
    /// The lock's id.
    pub lock: Option<String>,
    /// The issue's short id.
    pub issue: Option<String>,
    /// What is the matter.
    pub reason: String,
    /// Whom to ask.
    pub owner: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Where there is more.
    pub url: Option<String>,
    /// The commit of the fix that is missing.
    pub fix: Option<Sha>,
    /// What to do.
    pub hint: Option<String>,
    /// When it ends by itself.
    pub clears_at: Option<Timestamp>,
}

/// A lock that the candidate clears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The lock's id.
    pub lock: String,
    /// The issue's short id.
    pub issue: String,
    /// The commit that decides.
    pub fix: Option<Sha>,
    /// Why.
    pub proof: String,
}

/// What does not block, but should be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// Fixes that are deployed would no longer be.
    TakesBack,
    /// Reports wait to be understood.
    ReportsPending,
    /// A commit says that it reverts something that nobody can find.
    UnresolvedRevert,
}

/// What does not block, but should be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What kind.
    pub kind: WarningKind,
    /// In words.
    pub detail: String,
    /// The issues it is about.
    pub issues: Vec<String>,
}

/// What the gate says, with every reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What it says.
    pub verdict: Kind,
    /// Why not, what is certain first.
    pub blockers: Vec<Blocker>,
    /// Locks that do not count because of the candidate.
    pub cleared: Vec<Cleared>,
    /// What else should be known.
    pub warnings: Vec<Warning>,
    /// When time alone changes something.
    pub next_change_at: Option<Timestamp>,
}

impl Judgement {
    /// What tells it from another verdict, or the same for other reasons; not what merely goes by.
    #[must_use]
    pub fn version(&self) -> String {
        let blockers = self.blockers.iter().map(|one| {
            (one.kind, &one.lock, &one.issue, &one.reason, one.fix, &one.owner, one.clears_at)
        });
        let cleared = self.cleared.iter().map(|one| (&one.lock, one.fix));
        let warnings = self.warnings.iter().map(|one| (one.kind, &one.issues));
        let all = (
            self.verdict,
            blockers.collect::<Vec<_>>(),
            cleared.collect::<Vec<_>>(),
            warnings.collect::<Vec<_>>(),
        );
        let text = serde_json::to_vec(&all).unwrap_or_default();
        let hash = Sha256::digest(&text);
        hash.iter().take(8).fold(String::new(), |version, byte| format!("{version}{byte:02x}"))
    }
}

/// What is known of the candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// Its history is known.
    Known,
    /// No repository has it.
    Unknown(String),
    /// Its repository cannot be read.
    Unreadable(String),
}

/// A fix, for the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixFacts {
    /// What became of it.
    pub state: FixState,
    /// Its commits.
    pub commits: Vec<Sha>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
    /// Whether a deploy that started after it was named has it.
    pub is_proven: bool,
    /// What the candidate says of it.
    pub answer: Answer,
    /// Where the missing commit is: a branch, and how many commits after the candidate.
    pub ahead: Option<(String, usize)>,
}

/// A lock, and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFacts {
    /// It.
    pub lock: Lock,
    /// The issue it is about.
    pub issue: Option<LockedIssue>,
}

/// The issue of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedIssue {
    /// Its short id.
    pub short_id: ShortId,
    /// What it is called.
    pub title: String,
    /// Who takes care of it.
    pub assignee: Option<String>,
    /// Where it is.
    pub url: String,
    /// Its fix.
    pub fix: Option<FixFacts>,
}

/// A deploy that has the environment's slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its number.
    pub number: i64,
    /// Who runs it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Where it is.
    pub url: String,
    /// When it counts as lost unless it is heard of.
    pub lease_until: Timestamp,
}

/// A freeze that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// What it is called.
    pub name: String,
    /// Who made it.
    pub owner: String,
    /// Since when, until when.
    pub closed: Closed,
}

/// Everything the verdict depends on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What is asked for, in words: `4f2c91a`.
    pub name: String,
    /// What is known of it.
    pub candidate: Candidate,
    /// The locks that are active.
    pub locks: Vec<LockFacts>,
    /// The freezes that are on.
    pub freezes: Vec<Frozen>,
    /// The deploy that runs.
    pub running: Option<Running>,
    /// Issues whose fixes are deployed and would no longer be.
    pub taken_back: Vec<ShortId>,
    /// How long the oldest report waits.
    pub reports_wait: Option<Duration>,
    /// Whether waiting reports make it unknown.
    pub waits_for_reports: bool,
    /// Whether there are more locks than these.
    pub are_locks_cut: bool,
    /// Why the locks in the tracker are not known, if they are not.
    pub locks_unread: Option<String>,
    /// Commits of the candidate that say to revert what nobody finds.
    pub unresolved_reverts: Vec<Sha>,
    /// When time alone changes something.
    pub next_change_at: Option<Timestamp>,
}

/// Judges a candidate.
#[must_use]
pub fn judge(facts: &Facts) -> Judgement {
    let mut blockers = Vec::new();
    let mut cleared = Vec::new();
    let mut warnings = Vec::new();
    blockers.extend(facts.candidate.blocker(&facts.name));
    blockers.extend(facts.running.iter().map(Running::blocker));
    blockers.extend(facts.freezes.iter().map(Frozen::blocker));
    if facts.are_locks_cut {
        let reason = "the environment has more locks than can be looked at".to_owned();
        blockers.push(Blocker::locks_unreadable(reason));
    }
    blockers.extend(facts.locks_unread.clone().map(Blocker::locks_unreadable));
    for lock in &facts.locks {
        match lock.judge(facts) {
            Ok(one) => cleared.push(one),
            Err(blocker) => blockers.push(*blocker),
        }
    }
    if !facts.taken_back.is_empty() {
        let issues: Vec<String> = facts.taken_back.iter().map(ToString::to_string).collect();
        let detail = format!("fixes that are deployed are not in {}", facts.name);
        warnings.push(Warning { kind: WarningKind::TakesBack, detail, issues });
    }
    if !facts.unresolved_reverts.is_empty() {
        let detail = format!(
            "{} in {} say to revert something that no repository knows by that name",
            shas(facts.unresolved_reverts.iter().copied()),
            facts.name
        );
        let kind = WarningKind::UnresolvedRevert;
        warnings.push(Warning { kind, detail, issues: Vec::new() });
    }
    if let Some(wait) = facts.reports_wait.filter(|wait| *wait > REPORTS_PATIENCE) {
        let detail = format!("reports have been waiting for {} s to be understood", wait.as_secs());
        if facts.waits_for_reports {
            let hint = "wait until they are, or see `airlock status`".to_owned();
            let reason = detail.clone();
            blockers.push(Blocker {
                hint: Some(hint),
                ..Blocker::new(BlockerKind::ReportsPending, reason)
            });
        }
        warnings.push(Warning { kind: WarningKind::ReportsPending, detail, issues: Vec::new() });
    }
    blockers.sort_by_key(|blocker| (blocker.kind.is_uncertain(), blocker.kind));
    let verdict = match blockers.first() {
        None => Kind::Clear,
        Some(blocker) if blocker.kind.is_uncertain() => Kind::Unknown,
        Some(_) => Kind::Blocked,
    };
    Judgement { verdict, blockers, cleared, warnings, next_change_at: facts.next_change_at }
}

impl Blocker {
    fn new(kind: BlockerKind, reason: String) -> Self {
        Self {
            kind,
            lock: None,
            issue: None,
            reason,
            owner: None,
            since: None,
            url: None,
            fix: None,
            hint: None,
            clears_at: None,
        }
    }

    /// The list of locks cannot be trusted.
    #[must_use]
    pub fn locks_unreadable(reason: String) -> Self {
        Self::new(BlockerKind::LocksUnreadable, reason)
    }
}

impl Candidate {
    fn blocker(&self, name: &str) -> Option<Blocker> {
        match self {
            Self::Known => None,
            Self::Unknown(reason) => {
                let hint = format!("push {name}, or name a commit that is pushed");
                let blocker = Blocker::new(BlockerKind::CommitUnknown, reason.clone());
                Some(Blocker { hint: Some(hint), ..blocker })
            }
            Self::Unreadable(reason) => {
                let hint = "see `airlock repositories` for what is wrong with it".to_owned();
                let blocker = Blocker::new(BlockerKind::RepositoryUnreadable, reason.clone());
                Some(Blocker { hint: Some(hint), ..blocker })
            }
        }
    }
}

impl Running {
    fn blocker(&self) -> Blocker {
        let reason = format!("deploy {} is running", self.number);
        Blocker {
            owner: Some(self.by.clone()),
            since: Some(self.since),
            url: Some(self.url.clone()),
            hint: Some(format!(
                "wait until it ends; if it is lost, its slot is free from {}",
                self.lease_until
            )),
            ..Blocker::new(BlockerKind::DeployRunning, reason)
        }
    }
}

impl Frozen {
    fn blocker(&self) -> Blocker {
        let hint = match self.closed.clears_at {
            Some(at) => format!("wait until {at}"),
            None => "wait until the deploy it waits for has ended".to_owned(),
        };
        Blocker {
            owner: Some(self.owner.clone()),
            since: Some(self.closed.since),
            hint: Some(hint),
            clears_at: self.closed.clears_at,
            ..Blocker::new(BlockerKind::Freeze, self.name.clone())
        }
    }
}

impl LockFacts {
    /// Whether the candidate clears the lock, and why; or why not.
    fn judge(&self, facts: &Facts) -> Result<Cleared, Box<Blocker>> {
        let lock = self.lock.id.to_string();
        let issue = match (&self.lock.subject, &self.issue) {
            (Subject::Issue(_), Some(issue)) => issue,
            (Subject::Issue(_), None) => {
                let reason = "the issue of this lock is gone".to_owned();
                return Err(Box::new(Blocker {
                    lock: Some(lock),
                    owner: Some(self.lock.owner.clone()),
                    since: Some(self.lock.created_at),
                    hint: Some("release the lock".to_owned()),
                    ..Blocker::new(BlockerKind::IssueLock, reason)
                }));
            }
            (Subject::Manual { reason, assignee, expires_at, .. }, _) => {
                let owner = assignee.as_ref().unwrap_or(&self.lock.owner);
                return Err(Box::new(Blocker {
                    hint: Some(format!("ask {owner}; `airlock unlock {lock}` releases it")),
                    lock: Some(lock),
                    owner: Some(owner.clone()),
                    since: Some(self.lock.created_at),
                    clears_at: *expires_at,
                    ..Blocker::new(BlockerKind::ManualLock, reason.clone())
                }));
            }
        };
        let blocker = |kind, hint: String| {
            Box::new(Blocker {
                lock: Some(lock.clone()),
                issue: Some(issue.short_id.to_string()),
                owner: Some(issue.assignee.clone().unwrap_or_else(|| self.lock.owner.clone())),
                since: Some(self.lock.created_at),
                url: Some(issue.url.clone()),
                fix: issue.fix.as_ref().and_then(|fix| fix.answer.commit),
                hint: Some(hint),
                ..Blocker::new(kind, issue.title.clone())
            })
        };
        let locks = |hint| Err(blocker(BlockerKind::IssueLock, hint));
        let Some(fix) = &issue.fix else {
            let id = &issue.short_id;
            return locks(format!("nobody named its fix: `airlock fix {id} --commit SHA`"));
        };
        let commits = shas(fix.commits.iter().copied());
        if fix.state == FixState::Failed {
            return locks(format!("{commits} did not help; name the commit that does"));
        }
        let said = fix.answer.about(&facts.name).to_string();
        match (&fix.answer.containment, fix.answer.unknown) {
            (Containment::Contained { .. }, _)
                if fix.problem == Some(Problem::SeenInRelease) && !fix.is_proven =>
            {
                locks(format!(
                    "{commits} was in a release that showed the error; a deploy with it that starts \
                     from now on must prove it"
                ))
            }
            (Containment::Contained { .. }, _) => Ok(Cleared {
                lock,
                issue: issue.short_id.to_string(),
                fix: fix.answer.commit,
                proof: said,
            }),
            (Containment::Absent, _) => locks(match &fix.ahead {
                Some((branch, n)) => {
                    let s = if *n == 1 { "" } else { "s" };
                    format!("fixed by {commits}, on {branch} {n} commit{s} after the candidate")
                }
                None => format!("fixed by {commits}, which is not in {}", facts.name),
            }),
            (Containment::Reverted { .. }, _)
            | (Containment::Unknown, Some(Unknown::FixNotPushed)) => locks(said),
            (Containment::Conflicted { .. }, _) => {
                Err(blocker(BlockerKind::Conflicted, format!("{said}; look which one counts")))
            }
            (Containment::Unknown, _) => {
                let kind = match facts.candidate {
                    Candidate::Unknown(_) => BlockerKind::CommitUnknown,
                    Candidate::Known | Candidate::Unreadable(_) => {
                        BlockerKind::RepositoryUnreadable
                    }
                };
                Err(blocker(kind, said))
            }
        }
    }
}

#[cfg(test)]
mod tests;
