//! The fix of an issue: its commits, and what a build says of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::commit::Sha;
use super::containment::Containment;
use super::deploy::Deploy;
use super::id::IssueId;
use super::repository::RepositoryId;
use super::time::Timestamp;

/// A fix names at most this many commits.
pub const MOST_COMMITS: usize = 20;

/// The id of a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FixId(pub Uuid);

/// What became of a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixState {
    /// It is believed.
    Standing,
    /// A deploy took it back; it counts again where it is live again.
    Reverted,
    /// A release that has it still shows the error: it counts nowhere.
    Failed,
}

impl FixState {
    /// Its name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::Reverted => "reverted",
            Self::Failed => "failed",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Standing, Self::Reverted, Self::Failed].into_iter().find(|one| one.as_str() == name)
    }
}

/// Who named a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A script.
    Api,
    /// A person, in a terminal.
    Cli,
    /// A person, on a page.
    Page,
    /// The commit's own message.
    Trailer,
    /// A person, in the tracker.
    Tracker,
    /// Two issues with fixes became one.
    Merge,
}

impl Source {
    /// Its name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
            Self::Page => "page",
            Self::Trailer => "trailer",
            Self::Tracker => "tracker",
            Self::Merge => "merge",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Api, Self::Cli, Self::Page, Self::Trailer, Self::Tracker, Self::Merge];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

/// What is wrong with a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// No repository has one of its commits.
    UnknownCommit,
    /// A release that has it showed the error before it was named.
    SeenInRelease,
    /// It is alive on one line and taken back on another.
    Conflicted,
}

impl Problem {
    /// Its name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCommit => "unknown-commit",
            Self::SeenInRelease => "seen-in-release",
            Self::Conflicted => "conflicted",
        }
    }

    /// What it means, in words.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::UnknownCommit => "no repository has the commit yet",
            Self::SeenInRelease => "a release that has it showed the error before",
            Self::Conflicted => "it is alive on one line and taken back on another",
        }
    }

    /// Of two problems the one that must be seen to first: each of the others is found again.
    #[must_use]
    pub fn worse(self, other: Option<Self>) -> Self {
        let weight = |problem: Self| match problem {
            Self::UnknownCommit => 2,
            Self::SeenInRelease => 1,
            Self::Conflicted => 0,
        };
        other.filter(|other| weight(*other) > weight(self)).unwrap_or(self)
    }

    /// The problem of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::UnknownCommit, Self::SeenInRelease, Self::Conflicted];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

/// A commit of a fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FixCommit {
    /// Where it is; `None` while no repository has it and several may.
    pub repository: Option<RepositoryId>,
    /// It.
    pub sha: Sha,
    /// Commits that say themselves that they fix the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Sha>,
}

/// The commits that fix an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Its id: other commits are another fix.
    pub id: FixId,
    /// Its issue.
    pub issue: IssueId,
    /// All of them are needed.
    pub commits: Vec<FixCommit>,
    /// Who named it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// How.
    pub source: Source,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}

impl Fix {
    /// Whether what is deployed tells anything: where a release that has it showed the error, only deploys
    /// of its repositories after it was named do. `deployed` gives the last deploy of a repository.
    #[must_use]
    pub fn is_told_by<'a>(&self, deployed: impl Fn(RepositoryId) -> Option<&'a Deploy>) -> bool {
        let is_later = |one: &FixCommit| {
            let deploy = one.repository.and_then(&deployed);
            deploy.is_some_and(|deploy| deploy.started_at > self.at)
        };
        self.problem != Some(Problem::SeenInRelease) || self.commits.iter().all(is_later)
    }

    /// Whether a candidate that has it may pass a lock: where a release that has it showed the error,
    /// only in the first environment, where nothing can be proven before it is deployed.
    #[must_use]
    pub fn may_pass(&self, is_first_environment: bool) -> bool {
        self.problem != Some(Problem::SeenInRelease) || is_first_environment
    }

    /// Its commits once another one says that it fixes the same; `None` when that is part of it
    /// already.
    ///
    /// Where none of them is on a branch that counts, they were squashed into it, and it stands for all
    /// of its repository from now on, or for the first that no repository has yet. Else it comes later,
    /// and replaces them.
    #[must_use]
    pub fn joined(
        &self,
        own: &FixCommit,
        is_on_branch: impl Fn(&FixCommit) -> bool,
    ) -> Option<Vec<FixCommit>> {
        let is_own = |one: &FixCommit| one.sha == own.sha || one.alternatives.contains(&own.sha);
        if self.commits.iter().any(is_own) {
            return None;
        }
        if self.commits.iter().any(is_on_branch) {
            return Some(vec![own.clone()]);
        }
        let mut commits = self.commits.clone();
        if !commits.iter().any(|one| one.repository == own.repository) {
            // Of the others nobody knows where they belong.
            let unplaced = commits.iter_mut().find(|one| one.repository.is_none());
            let Some(first) = unplaced else { return Some(vec![own.clone()]) };
            first.repository = own.repository;
        }
        for one in commits.iter_mut().filter(|one| one.repository == own.repository) {
            one.alternatives.push(own.sha);
        }
        Some(commits)
    }

    /// Its commits, shortened, for people.
    #[must_use]
    pub fn short(&self) -> String {
        shas(self.commits.iter().map(|commit| commit.sha))
    }
}

/// Commits, shortened, for people.
#[must_use]
pub fn shas(commits: impl IntoIterator<Item = Sha>) -> String {
    let short: Vec<String> = commits.into_iter().map(|sha| sha.short()).collect();
    short.join(", ")
}

/// What a build says of a fix: what it says of the commit that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The commit of the fix that decides; `None` when it is not about one.
    pub commit: Option<Sha>,
    /// What is said of it.
    pub containment: Containment,
    /// Why nobody can tell, where that is known better than the history knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
}

/// Why nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// No repository has the commit of the fix.
    FixNotPushed,
    /// No repository has the commit of the build.
    BuildNotPushed,
    /// The commit of the build was only listed with a release.
    BuildListed,
    /// The build says nothing of the fix's repository.
    RepositoryMissing,
}

impl Answer {
    /// Nobody can tell, and why.
    #[must_use]
    pub fn unknown(commit: Option<Sha>, why: Unknown) -> Self {
        Self { commit, containment: Containment::Unknown, unknown: Some(why) }
    }

    /// The answer for a fix of several commits: all of them must be part of it, and what certainly is
    /// not decides.
    #[must_use]
    pub fn of_all(answers: impl IntoIterator<Item = Self>) -> Self {
        let nothing = || Self { commit: None, containment: Containment::Unknown, unknown: None };
        answers.into_iter().min_by_key(|answer| answer.containment.weight()).unwrap_or_else(nothing)
    }

    /// Whether it will always be the same.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.containment != Containment::Unknown
    }

    /// What it is true of beside the fix itself: a commit that stands for it. Once that is known not to
    /// help, the answer is worth nothing.
    #[must_use]
    pub fn rests_on(&self) -> Option<Sha> {
        let commit = match &self.containment {
            Containment::Contained { commit, .. }
            | Containment::Reverted { commit, .. }
            | Containment::Conflicted { commit, .. } => Some(*commit),
            Containment::Absent | Containment::Unknown => None,
        };
        commit.filter(|commit| self.commit != Some(*commit))
    }

    /// The answer in words, about a build that people call `name`.
    #[must_use]
    pub fn about<'a>(&'a self, name: &'a str) -> About<'a> {
        About { answer: self, name }
    }
}

/// An [`Answer`] in words.
#[derive(Debug)]
pub struct About<'a> {
    answer: &'a Answer,
    name: &'a str,
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use super::containment::Rule;
        let Answer { commit, containment, unknown } = self.answer;
        let fix = commit.map_or_else(|| "the fix".to_owned(), |sha| sha.short());
        let name = self.name;
        match (containment, unknown) {
            (Containment::Contained { rule: Rule::Same, .. }, _) => write!(f, "{fix} is in {name}"),
            (Containment::Contained { commit, rule }, _) => {
                let how = match rule {
                    Rule::Same | Rule::Picked => "picked from it",
                    Rule::SamePatch => "the same change",
                    Rule::Squashed => "its branch in one commit",
                    Rule::Named => "which says that it fixes the same",
                };
                write!(f, "{fix} is in {name}: {}, {how}", commit.short())
            }
            (Containment::Absent, _) => write!(f, "{fix} is not in {name}"),
            (Containment::Reverted { commit, by }, _) => {
                write!(f, "{} was taken back by {} in {name}", commit.short(), by.short())
            }
            (Containment::Conflicted { commit, by }, _) => write!(
                f,
                "{name} has {} and, on another line, {} that takes it back",
                commit.short(),
                by.short()
            ),
            (Containment::Unknown, Some(Unknown::FixNotPushed)) => {
                write!(f, "{fix} is not pushed: no repository has it")
            }
            (Containment::Unknown, Some(Unknown::BuildNotPushed)) => {
                write!(f, "no repository has the commit of {name}")
            }
            (Containment::Unknown, Some(Unknown::BuildListed)) => write!(
                f,
                "the commit of {name} was only listed with a release: nobody knows what it descends from"
            ),
            (Containment::Unknown, Some(Unknown::RepositoryMissing)) => {
                write!(f, "{name} says nothing of the repository of {fix}")
            }
            (Containment::Unknown, None) => {
                write!(f, "the history of {name} does not go back far enough to tell of {fix}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::containment::Rule;
    use super::*;

    #[test]
    fn answers_in_words() {
        let (fix, other) = (Sha([0x4f; 20]), Sha([0x9a; 20]));
        let said = |containment| {
            let answer = Answer { commit: Some(fix), containment, unknown: None };
            answer.about("release 1.4.2").to_string()
        };
        for (containment, expected) in [
            (Containment::Absent, "4f4f4f4 is not in release 1.4.2"),
            (
                Containment::Contained { commit: fix, rule: Rule::Same },
                "4f4f4f4 is in release 1.4.2",
            ),
            (
                Containment::Contained { commit: other, rule: Rule::Picked },
                "4f4f4f4 is in release 1.4.2: 9a9a9a9, picked from it",
            ),
            (
                Containment::Reverted { commit: fix, by: other },
                "4f4f4f4 was taken back by 9a9a9a9 in release 1.4.2",
            ),
        ] {
            assert_eq!(said(containment), expected);
        }
    }

    #[test]
    fn what_certainly_is_not_part_of_it_decides() {
        let answer = |byte: u8, containment| Answer {
            commit: Some(Sha([byte; 20])),
            containment,
            unknown: None,
        };
        let all = Answer::of_all([
            Answer::unknown(Some(Sha([1; 20])), Unknown::FixNotPushed),
            answer(2, Containment::Absent),
            answer(3, Containment::Contained { commit: Sha([3; 20]), rule: Rule::Same }),
        ]);
        assert_eq!(all, answer(2, Containment::Absent));
        assert!(!Answer::of_all([]).is_final());
    }

    fn commit(repository: Option<u128>, byte: u8) -> FixCommit {
        let repository = repository.map(|number| RepositoryId(Uuid::from_u128(number)));
        FixCommit { repository, sha: Sha([byte; 20]), alternatives: Vec::new() }
    }

    fn fix(commits: &[FixCommit]) -> Fix {
        Fix {
            id: FixId(Uuid::nil()),
            issue: IssueId(Uuid::nil()),
            commits: commits.to_vec(),
            by: "ann".to_owned(),
            at: Timestamp::from_micros(0),
            source: Source::Cli,
            problem: None,
        }
    }

    #[test]
    fn a_commit_on_a_branch_stands_for_those_that_were_squashed_into_it() {
        let (own, never) = (commit(Some(1), 9), |_: &FixCommit| false);
        let squashed = FixCommit { alternatives: vec![own.sha], ..commit(Some(1), 5) };
        let other = FixCommit { alternatives: vec![own.sha], ..commit(Some(1), 6) };
        let elsewhere = commit(Some(2), 7);
        let joined =
            fix(&[commit(Some(1), 5), commit(Some(1), 6), elsewhere.clone()]).joined(&own, never);
        assert_eq!(joined, Some(vec![squashed.clone(), other, elsewhere.clone()]));
        // Nobody knows where the others belong.
        let joined = fix(&[elsewhere.clone(), commit(None, 5), commit(None, 6)]);
        let expected = vec![elsewhere, squashed.clone(), commit(None, 6)];
        assert_eq!(joined.joined(&own, never), Some(expected));
        // What is on a branch itself was not squashed; and another repository's is another fix.
        assert_eq!(fix(&[commit(Some(1), 5)]).joined(&own, |_| true), Some(vec![own.clone()]));
        assert_eq!(fix(&[commit(Some(2), 5)]).joined(&own, never), Some(vec![own.clone()]));
        // The same again says nothing new.
        for known in [own.clone(), squashed] {
            assert_eq!(fix(&[known]).joined(&own, never), None);
        }
    }

    #[test]
    fn where_a_release_with_the_fix_showed_the_error_only_what_comes_later_tells() {
        let doubtful = Fix { problem: Some(Problem::SeenInRelease), ..fix(&[commit(None, 5)]) };
        assert!(doubtful.may_pass(true) && !doubtful.may_pass(false));
        assert!(fix(&[]).may_pass(false));
    }

    #[test]
    fn answers_are_kept_as_they_are() {
        let unknown = Answer::unknown(Some(Sha([7; 20])), Unknown::RepositoryMissing);
        let containment = Containment::Contained { commit: Sha([9; 20]), rule: Rule::Picked };
        let contained = Answer { commit: Some(Sha([7; 20])), containment, unknown: None };
        for answer in [unknown, contained] {
            let text = serde_json::to_string(&answer).expect("JSON");
            assert_eq!(serde_json::from_str::<Answer>(&text).expect("the same"), answer);
        }
    }
}
