//! What a person should look at, because nothing else would tell.
//!
//! A fix makes reports quiet. So that quiet does not become a grave, doubtful ones are flagged.

use std::time::Duration;

use serde::Serialize;

use super::fix::{Fix, FixState, Problem};
use super::issue::Issue;
use super::sighting::REST;
use super::time::Timestamp;

/// A fix that is nowhere deployed is flagged after this.
pub const NOT_DEPLOYED_AFTER: Duration = Duration::from_hours(14 * 24);

/// A fix that no repository knows is flagged after this.
pub const UNKNOWN_AFTER: Duration = Duration::from_hours(24);

/// So many undetermined events are flagged.
pub const MANY_UNDETERMINED: u64 = 100;

/// What kind of doubt it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// The fix is deployed nowhere.
    FixNotDeployed,
    /// No repository has the fix.
    FixUnknown,
    /// A release that has the fix showed the error before it was named.
    FixSeenInRelease,
    /// The fix is alive on one line and taken back on another.
    FixConflicted,
    /// A branch that counts takes the fix back; what is deployed does not yet.
    RevertedOnBranch,
    /// No branch that counts has the fix any more.
    FixVanished,
    /// Many events wait for what their releases are.
    ManyUndetermined,
    /// Nobody knows what releases are that report it.
    RegisterRelease,
}

/// What a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag {
    /// What kind.
    pub kind: FlagKind,
    /// In words, with what to do.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
}

/// A release that undetermined events of an issue name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What they call it; empty for those that name none, [`REST`] for all that have no row.
    pub release: String,
    /// Since when they wait.
    pub since: Timestamp,
    /// Whether it is known which commits it is, and something else is missing.
    pub is_known: bool,
}

/// What is known of an issue beside its own row.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its fix, and what became of it.
    pub fix: Option<(&'a Fix, FixState)>,
    /// Whether the fix is deployed anywhere.
    pub is_deployed: bool,
    /// Releases that undetermined events name.
    pub unsettled: &'a [Waiting],
    /// The commit that takes the fix back on a branch that counts, and that branch.
    pub reverted_on: Option<(&'a str, &'a str)>,
    /// Whether the fix was on branches and is on none that counts any more.
    pub has_vanished: bool,
}

/// What a person should look at about an issue.
#[must_use]
pub fn flags(issue: &Issue, facts: &Facts<'_>, now: Timestamp) -> Vec<Flag> {
    let mut flags = Vec::new();
    if let Some((fix, FixState::Standing)) = facts.fix {
        let short = fix.short();
        let age = now.since(fix.at);
        let mut add = |kind, detail| flags.push(Flag { kind, detail, since: fix.at });
        match fix.problem {
            Some(Problem::UnknownCommit) if age >= UNKNOWN_AFTER => add(
                FlagKind::FixUnknown,
                format!("no repository has {short}: push it, or name another commit"),
            ),
            Some(Problem::SeenInRelease) => add(
                FlagKind::FixSeenInRelease,
                format!("a release with {short} showed the error before it was named as the fix"),
            ),
            Some(Problem::Conflicted) => add(
                FlagKind::FixConflicted,
                format!("{short} is alive on one line and taken back on another"),
            ),
            Some(Problem::UnknownCommit) | None => {}
        }
        if fix.problem != Some(Problem::UnknownCommit)
            && !facts.is_deployed
            && age >= NOT_DEPLOYED_AFTER
        {
            let days = age.as_secs() / 86_400;
            let detail = format!("{short} was named {days} days ago and is deployed nowhere");
            add(FlagKind::FixNotDeployed, detail);
        }
        if let Some((branch, by)) = facts.reverted_on {
            let detail = format!("{by} on {branch} takes {short} back");
            add(FlagKind::RevertedOnBranch, detail);
        }
        if facts.has_vanished {
            let detail = format!(
                "no branch that counts has {short} any more: the next release will not have it"
            );
            add(FlagKind::FixVanished, detail);
        }
    }
    let named: Vec<&Waiting> = (facts.unsettled.iter())
        .filter(|one| !one.release.is_empty() && one.release != REST && !one.is_known)
        .collect();
    if let Some(since) = named.iter().map(|one| one.since).min() {
        let shown: Vec<&str> = named.iter().take(3).map(|one| one.release.as_str()).collect();
        let more = named.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let detail = format!(
            "nobody knows which commits these releases are: {}{more}; register them",
            shown.join(", ")
        );
        flags.push(Flag { kind: FlagKind::RegisterRelease, detail, since });
    }
    if issue.n_undetermined >= MANY_UNDETERMINED {
        let detail = format!(
            "of {} events nobody can tell whether the fix explains them",
            issue.n_undetermined
        );
        let since = facts.unsettled.iter().map(|one| one.since).min().unwrap_or(now);
        flags.push(Flag { kind: FlagKind::ManyUndetermined, detail, since });
    }
    flags
}

#[cfg(test)]
mod tests;
