//! A repository of a project: where it is, and which of its branches count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::commit::Sha;
use super::id::ProjectId;
use super::time::Timestamp;

/// The longest name of a repository, in characters.
pub const MOST_NAME_CHARS: usize = 100;

/// A repository has at most this many patterns of tracked branches.
pub const MOST_BRANCHES: usize = 20;

/// The longest pattern of a branch, in bytes.
pub const MOST_BRANCH_BYTES: usize = 200;

/// The longest credential, in bytes: a private key of 16,384 bits has 13,000.
pub const MOST_CREDENTIAL_BYTES: usize = 20_000;

/// A project has at most this many repositories.
pub const MOST_REPOSITORIES: usize = 50;

/// The id of a repository within Airlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(pub Uuid);

/// A repository of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its id.
    pub id: RepositoryId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name within the project.
    pub name: String,
    /// Where it is fetched from; none when commits are submitted.
    pub url: Option<String>,
    /// Which branches count.
    pub branches: Branches,
    /// What it is fetched with, sealed.
    pub credential: Option<Vec<u8>>,
    /// When it was added.
    pub created_at: Timestamp,
    /// What the last fetch that went well found.
    pub fetched: Option<Fetched>,
    /// Why the last fetch did not go well, if it did not.
    pub failure: Option<Failure>,
    /// How many commits were submitted to it.
    pub n_submitted: u64,
    /// How often commits of these were replaced, because somebody knows their true parents.
    pub n_replaced: u64,
    /// Where its branches are, as far as clients say of which branch the commits are that they submit.
    pub submitted_branches: BTreeMap<String, Sha>,
}

/// What a fetch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// When.
    pub at: Timestamp,
    /// The tip of the first tracked branch that there is.
    pub head: Option<Sha>,
    /// How many commits are known.
    pub n_commits: u64,
}

/// A fetch that did not go well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Names of tracked branches, the most important first; `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Branches(pub Vec<String>);

impl Default for Branches {
    fn default() -> Self {
        Self(vec!["main".to_owned(), "master".to_owned()])
    }
}

impl Branches {
    /// Whether a branch counts.
    #[must_use]
    pub fn track(&self, branch: &str) -> bool {
        self.0.iter().any(|pattern| is_match(pattern, branch))
    }

    /// The first branch, in the order of the patterns and then of the names.
    #[must_use]
    pub fn first<'a>(&self, branches: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
        let named =
            |pattern: &String| branches.clone().filter(|name| is_match(pattern, name)).min();
        self.0.iter().find_map(named)
    }
}

fn is_match(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// What is wrong with the description of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepository {
    /// The name is part of addresses.
    #[error(
        "name {0:?} is not usable: 1 to {MOST_NAME_CHARS} letters, digits and the characters . _ - /, \
         starting with a letter or digit"
    )]
    Name(String),
    /// A pattern of a branch.
    #[error(
        "branches must be 1 to {MOST_BRANCHES} names like main or release/*, each of at most \
         {MOST_BRANCH_BYTES} bytes without white space"
    )]
    Branches,
    /// The credential.
    #[error(
        "credential is empty, longer than {MOST_CREDENTIAL_BYTES} bytes, or has control characters"
    )]
    Credential,
    /// Nothing to use the credential for.
    #[error("a credential without an address is of no use; name the url")]
    CredentialWithoutUrl,
    /// One too many.
    #[error("a project has at most {MOST_REPOSITORIES} repositories")]
    TooMany,
}

/// Checks the name of a repository.
///
/// # Errors
/// [`InvalidRepository::Name`].
pub fn check_name(name: &str) -> Result<(), InvalidRepository> {
    let is_usable = (1..=MOST_NAME_CHARS).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|one| one.is_ascii_alphanumeric() || "._-/".contains(one));
    if is_usable {
        Ok(())
    } else {
        Err(InvalidRepository::Name(name.chars().take(MOST_NAME_CHARS).collect()))
    }
}

/// Checks patterns of branches.
///
/// # Errors
/// [`InvalidRepository::Branches`].
pub fn check_branches(branches: &Branches) -> Result<(), InvalidRepository> {
    let is_usable = |pattern: &String| {
        (1..=MOST_BRANCH_BYTES).contains(&pattern.len())
            && !pattern.contains(|one: char| one.is_whitespace() || one.is_control())
    };
    let is_number = (1..=MOST_BRANCHES).contains(&branches.0.len());
    if is_number && branches.0.iter().all(is_usable) {
        Ok(())
    } else {
        Err(InvalidRepository::Branches)
    }
}

/// Checks a credential.
///
/// # Errors
/// [`InvalidRepository::Credential`].
pub fn check_credential(credential: &str) -> Result<(), InvalidRepository> {
    let is_odd = |one: char| one.is_control() && one != '\n' && one != '\r';
    let is_usable = !credential.trim().is_empty()
        && credential.len() <= MOST_CREDENTIAL_BYTES
        && !credential.contains(is_odd);
    if is_usable { Ok(()) } else { Err(InvalidRepository::Credential) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branches(patterns: &[&str]) -> Branches {
        Branches(patterns.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn branches_that_count() {
        for (pattern, branch, is_tracked) in [
            ("main", "main", true),
            ("main", "main2", false),
            ("release/*", "release/1.2", true),
            ("release/*", "release/1/2", true),
            ("release/*", "prerelease/1", false),
            ("*", "anything", true),
            ("v*.x", "v1.x", true),
            ("v*.x", "v1.y", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(branches(&[pattern]).track(branch), is_tracked, "{pattern} {branch}");
        }
        let there = ["master", "release/2", "release/1"];
        let first = |patterns: &[&str]| branches(patterns).first(there.into_iter());
        assert_eq!(first(&["main", "master"]), Some("master"));
        assert_eq!(first(&["release/*", "master"]), Some("release/1"));
        assert_eq!(first(&["main"]), None);
    }

    #[test]
    fn names_branches_and_credentials() {
        for (name, is_usable) in [
            ("shop", true),
            ("shop/web.ui_2-x", true),
            ("", false),
            ("/shop", false),
            ("shop web", false),
            ("shöp", false),
        ] {
            assert_eq!(check_name(name).is_ok(), is_usable, "{name}");
        }
        assert!(check_branches(&Branches::default()).is_ok());
        assert!(check_branches(&branches(&[])).is_err());
        assert!(check_branches(&branches(&["a b"])).is_err());
        assert!(check_credential("-----BEGIN KEY-----\nabc\n").is_ok());
        assert!(check_credential(" ").is_err());
        assert!(check_credential("a\0b").is_err());
    }
}
