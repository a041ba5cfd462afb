//! What is deployed, or would be: a commit of each repository.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::commit::Sha;
use super::repository::RepositoryId;

/// A commit of each repository that is part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Build(pub BTreeMap<RepositoryId, Sha>);

/// What a build is found by: SHA-256 of its repositories and commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildKey(pub [u8; 32]);

impl Build {
    /// What it is found by.
    #[must_use]
    pub fn key(&self) -> BuildKey {
        let mut hasher = Sha256::new();
        for (repository, sha) in &self.0 {
            hasher.update(repository.0.as_bytes());
            hasher.update(sha.0);
        }
        BuildKey(hasher.finalize().into())
    }

    /// The same with another commit of one repository.
    #[must_use]
    pub fn with(&self, repository: RepositoryId, sha: Sha) -> Self {
        let mut commits = self.0.clone();
        commits.insert(repository, sha);
        Self(commits)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn builds_are_told_apart_by_their_repositories_and_commits() {
        let repository = |number| RepositoryId(Uuid::from_u128(number));
        let one = Build::default().with(repository(1), Sha([1; 20]));
        let two = one.with(repository(2), Sha([2; 20]));
        let swapped =
            Build::default().with(repository(2), Sha([1; 20])).with(repository(1), Sha([2; 20]));
        assert_eq!(one.key(), one.clone().key());
        assert_eq!(two.with(repository(2), Sha([2; 20])).key(), two.key());
        let keys = [Build::default().key(), one.key(), two.key(), swapped.key()];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }
}
