//! From a verdict to the right to start a deploy.

use super::{Blocker, Facts, Judgement, Kind, judge};
use crate::domain::commit::Sha;
use crate::domain::repository::RepositoryId;

/// So many blockers a refusal names.
const MOST_NAMED: usize = 3;

/// What the gate says of a commit.
#[derive(Debug, Clone)]
pub struct Answered {
    /// With every reason.
    pub judgement: Judgement,
    /// The commit; `None` when no repository knows the beginning of its name.
    pub commit: Option<Sha>,
    /// Where it is.
    pub repository: Option<RepositoryId>,
    /// The version of the gate this was judged at.
    gate_version: i64,
}

/// That a deploy may start: only a verdict gives it.
#[derive(Debug)]
pub struct Pass {
    /// The commit.
    pub sha: Sha,
    /// Where it is.
    pub repository: Option<RepositoryId>,
    /// What the gate said.
    pub judgement: Judgement,
    /// Why it was overridden.
    pub override_reason: Option<String>,
    gate_version: i64,
}

impl Pass {
    /// The version of the gate it was given at: at another one it is worth nothing.
    #[must_use]
    pub fn gate_version(&self) -> i64 {
        self.gate_version
    }
}

impl Answered {
    /// Judges a commit, and where it is, by what was true at a version of the gate.
    #[must_use]
    pub fn judged(
        facts: &Facts,
        (commit, repository): (Option<Sha>, Option<RepositoryId>),
        gate_version: i64,
    ) -> Self {
        Self { judgement: judge(facts), commit, repository, gate_version }
    }

    /// Lets a deploy start, if the gate is clear or somebody who may overrides it; gives the verdict
    /// back if not.
    ///
    /// # Errors
    /// What the gate says against it.
    pub fn pass(self, override_reason: Option<String>) -> Result<Pass, Box<Self>> {
        let is_forced = override_reason.is_some()
            && self.judgement.blockers.iter().all(|one| one.kind.can_be_overridden());
        let is_clear = self.judgement.verdict == Kind::Clear;
        let Some(sha) = self.commit.filter(|_| is_clear || is_forced) else {
            return Err(Box::new(self));
        };
        Ok(Pass {
            sha,
            repository: self.repository,
            override_reason: override_reason.filter(|_| !is_clear),
            judgement: self.judgement,
            gate_version: self.gate_version,
        })
    }

    /// The same when nobody can tell any more, because it keeps changing.
    #[must_use]
    pub fn unsettled(mut self) -> Self {
        let reason = "locks, freezes and deploys of the environment keep changing; try again";
        self.judgement.blockers.push(Blocker::locks_unreadable(reason.to_owned()));
        self.judgement.verdict = Kind::Unknown;
        self
    }

    /// Why it is refused, in words.
    #[must_use]
    pub fn refusal(&self) -> String {
        let blockers = &self.judgement.blockers;
        let reasons: Vec<&str> =
            blockers.iter().take(MOST_NAMED).map(|blocker| blocker.reason.as_str()).collect();
        let more = blockers.len().saturating_sub(reasons.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let verdict = match self.judgement.verdict {
            Kind::Unknown => "nobody can tell whether it may go",
            Kind::Clear | Kind::Blocked => "it may not go",
        };
        format!("{verdict}: {}{more}", reasons.join("; "))
    }
}
