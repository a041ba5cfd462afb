//! Commits that clients submit to repositories that are not fetched.
//!
//! A client says what it knows: commits with their parents, as far as its checkout goes. Where that
//! ends, parents are named that nobody has, and the history is cut: beyond it nobody can tell.
//!
//! Some clients send *sets*: the commits of a release without their parents. They are chained, the
//! newest first, down to the first that is known, so that a release has all of its set and of those
//! before; what is older is beyond the cut. Of a commit within a set nobody knows what it descends from.
//! Whoever names the true parents later is believed.

use std::collections::BTreeSet;

use super::commit::{Commit, Sha};
use super::time::Timestamp;

/// So many commits are taken at a time.
pub const MOST_COMMITS: usize = 5_000;

/// So many commits of a repository are kept.
pub const MOST_SUBMITTED: u64 = 200_000;

/// A commit has at most this many parents.
pub const MOST_PARENTS: usize = 100;

/// The longest message, in bytes. One that is cut might lose the line that takes something back.
pub const MOST_MESSAGE_BYTES: usize = 65_536;

/// The longest name of an author with the address, in bytes.
pub const MOST_AUTHOR_BYTES: usize = 1_000;

/// So many branches of a repository are known from what is submitted.
pub const MOST_BRANCHES: usize = 100;

/// A commit as a client submits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Its name.
    pub sha: Sha,
    /// Its parents, the line it was made on first.
    pub parents: Vec<Sha>,
    /// Who wrote it: `Robin <robin@shop.example>`.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// What it says.
    pub message: String,
    /// Whether it was only listed as a part of a release: nobody knows what it descends from.
    pub is_listed: bool,
    /// Whether its parents are made up, until somebody names them.
    pub is_assumed: bool,
}

/// What is wrong with what is submitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubmission {
    /// Too many at a time.
    #[error(
        "at most {MOST_COMMITS} commits are taken at a time; send them in parts, parents first"
    )]
    TooMany,
    /// Too many in all.
    #[error("a repository keeps at most {MOST_SUBMITTED} submitted commits; let it be fetched")]
    Full,
    /// The name that no commit has.
    #[error("no commit is named by 40 zeros")]
    Null,
    /// Nobody has what a branch is said to end with.
    #[error("the branch ends with commit {0}, which nobody has submitted")]
    Tip(Sha),
    /// Too many parents.
    #[error("commit {0} has more than {MOST_PARENTS} parents")]
    Parents(Sha),
    /// Too long an author.
    #[error("the author of commit {0} is longer than {MOST_AUTHOR_BYTES} bytes")]
    Author(Sha),
    /// Too long a message.
    #[error("the message of commit {0} is longer than {MOST_MESSAGE_BYTES} bytes")]
    Message(Sha),
}

/// An author as git writes one.
#[must_use]
pub fn author(name: &str, email: &str) -> String {
    format!("{} <{}>", name.trim(), email.trim())
}

impl Submitted {
    /// As the history knows commits.
    #[must_use]
    pub fn commit(self) -> Commit {
        let seconds = self.at.as_micros().div_euclid(1_000_000);
        Commit::new(
            self.sha,
            self.parents,
            seconds,
            self.author.as_bytes(),
            self.message.as_bytes(),
        )
    }
}

/// Checks what is submitted.
///
/// # Errors
/// [`InvalidSubmission`].
pub fn check(commits: &[Submitted]) -> Result<(), InvalidSubmission> {
    if commits.len() > MOST_COMMITS {
        return Err(InvalidSubmission::TooMany);
    }
    for commit in commits {
        if commit.sha == Sha::NULL {
            return Err(InvalidSubmission::Null);
        }
        if commit.parents.len() > MOST_PARENTS {
            return Err(InvalidSubmission::Parents(commit.sha));
        }
        if commit.author.len() > MOST_AUTHOR_BYTES {
            return Err(InvalidSubmission::Author(commit.sha));
        }
        if commit.message.len() > MOST_MESSAGE_BYTES {
            return Err(InvalidSubmission::Message(commit.sha));
        }
    }
    Ok(())
}

/// Chains the commits of a release, as a client sends them that names no parents, the newest first: each
/// descends from the next. Commits that are known stay as they are, and are parents of the newer ones.
///
/// A client that did not find the release before sends as many as it was told to, and does not say so:
/// only a known commit in the set proves what it descends from. Without one the chain ends with a parent
/// that nobody has.
#[must_use]
pub fn chained(set: Vec<Submitted>, known: &BTreeSet<Sha>) -> Vec<Submitted> {
    if set.first().is_some_and(|one| known.contains(&one.sha)) {
        // Whatever is sent with it is part of it already, or cannot become so any more.
        return Vec::new();
    }
    let mut chain: Vec<Submitted> = Vec::with_capacity(set.len());
    let mut seen = BTreeSet::new();
    for mut commit in set {
        if !seen.insert(commit.sha) {
            continue;
        }
        if let Some(newer) = chain.last_mut() {
            newer.parents.push(commit.sha);
        }
        if !known.contains(&commit.sha) {
            // What stands between is known: it is an older parent of the one before.
            commit.parents = Vec::new();
            commit.is_assumed = true;
            // The first is the release itself, which has all of them.
            commit.is_listed = seen.len() > 1;
            chain.push(commit);
        }
    }
    if let Some(oldest) = chain.last_mut()
        && oldest.parents.is_empty()
    {
        oldest.parents.push(Sha::NULL);
    }
    for commit in &mut chain {
        // Any of those between leads on; a handful is as good as all.
        commit.parents.truncate(MOST_PARENTS);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::containment::{Containment, Deployed, SamePatch};
    use crate::domain::history::{History, parents_first};

    fn sha(number: u8) -> Sha {
        Sha([number; 20])
    }

    fn set(numbers: &[u8]) -> Vec<Submitted> {
        let commit = |number: &u8| Submitted {
            sha: sha(*number),
            parents: Vec::new(),
            author: author("Robin", "robin@shop.example"),
            at: Timestamp::from_micros(0),
            message: format!("commit {number}"),
            is_listed: false,
            is_assumed: false,
        };
        numbers.iter().map(commit).collect()
    }

    /// Each commit and its parents, by number.
    fn chain(numbers: &[u8], known: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let known = known.iter().map(|number| sha(*number)).collect();
        let number = |sha: &Sha| sha.0[0];
        chained(set(numbers), &known)
            .iter()
            .map(|one| (number(&one.sha), one.parents.iter().map(number).collect()))
            .collect()
    }

    #[test]
    fn a_set_is_a_chain_that_ends_with_what_is_known() {
        let cut = vec![(3, vec![2]), (2, vec![1]), (1, vec![0])];
        assert_eq!(chain(&[3, 2, 1], &[]), cut);
        let linked = vec![(5, vec![4]), (4, vec![3])];
        assert_eq!(chain(&[5, 4, 3], &[1, 2, 3]), linked);
        assert_eq!(chain(&[5, 4, 3, 2, 1], &[1, 2, 3]).last(), Some(&(4, vec![3, 2, 1])));
        let set = chained(set(&[3, 2, 1]), &BTreeSet::new());
        assert_eq!(set.iter().map(|one| one.is_listed).collect::<Vec<_>>(), [false, true, true]);
        // Named twice.
        assert_eq!(chain(&[5, 4, 5, 4, 3], &[1, 2, 3]), linked);
        // The same again.
        assert_eq!(chain(&[3, 2, 1], &[1, 2, 3]), []);
        assert_eq!(chain(&[], &[1]), []);
    }

    #[test]
    fn known_commits_in_a_set_are_parents_of_the_newer_ones() {
        let expected = vec![(9, vec![3, 8]), (8, vec![2, 1])];
        assert_eq!(chain(&[9, 3, 8, 2, 1], &[1, 2, 3]), expected);
    }

    #[test]
    fn a_set_without_a_known_commit_follows_nothing() {
        assert_eq!(chain(&[9, 8], &[1, 2, 3]), vec![(9, vec![8]), (8, vec![0])]);
    }

    #[test]
    fn contained_means_in_a_release_and_those_known_before_it() {
        let mut all = Vec::new();
        let mut known = BTreeSet::new();
        for numbers in [vec![2, 1], vec![4, 3, 2]] {
            let fresh = chained(set(&numbers), &known);
            known.extend(fresh.iter().map(|one| one.sha));
            all.extend(fresh.into_iter().map(Submitted::commit));
        }
        let mut history = History::default();
        history.extend(parents_first(all));
        let (patches, failed) = (SamePatch::new(), BTreeSet::new());
        let said = |tip: u8, fix: u8| {
            let tip = history.find(&sha(tip)).expect("known");
            Deployed::new(&history, tip, &patches, &failed).contains(&sha(fix), &[])
        };
        for (tip, fix) in [(4, 1), (4, 2), (4, 3), (4, 4), (2, 1)] {
            assert!(said(tip, fix).is_contained(), "{fix} in {tip}");
        }
        // What came later is not in it; what is older may be.
        assert_eq!(said(2, 3), Containment::Absent);
        assert_eq!(said(2, 4), Containment::Absent);
        assert_eq!(said(4, 9), Containment::Unknown);
    }

    #[test]
    fn a_long_line_is_read_in_one_go() {
        let name = |number: u32| {
            let mut name = [7; 20];
            name[16..].copy_from_slice(&number.to_be_bytes());
            Sha(name)
        };
        let commit = |number: u32| {
            let parents = number.checked_sub(1).map(name).into_iter().collect();
            Commit::new(name(number), parents, 0, b"", b"")
        };
        let sorted = parents_first((0..50_000).rev().map(commit).collect());
        assert!(sorted.iter().map(|one| one.sha).eq((0..50_000).map(name)));
    }
}
