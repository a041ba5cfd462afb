//! How many different users an issue hit, without a row for each.
//!
//! A k-minimum-values sketch: the [`MOST_EXACT`] smallest hashes seen. Below that number of users
//! the count is exact; beyond it the standard error is about 3 % (1/√k).
//! Source: Bar-Yossef et al., "Counting distinct elements in a data stream", 2002.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// Up to this many users are counted exactly.
pub const MOST_EXACT: usize = 1_024;

/// The smallest hashes of the users seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserSketch {
    smallest: BTreeSet<u64>,
}

impl UserSketch {
    /// Counts a user. Returns whether the sketch changed.
    pub fn insert(&mut self, identity: &str) -> bool {
        let digest = Sha256::digest(identity.as_bytes());
        let hash = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.insert_hash(hash)
    }

    fn insert_hash(&mut self, hash: u64) -> bool {
        let is_full = self.smallest.len() >= MOST_EXACT;
        if is_full && self.smallest.last().is_some_and(|largest| hash >= *largest) {
            return false;
        }
        let is_added = self.smallest.insert(hash);
        if self.smallest.len() > MOST_EXACT {
            self.smallest.pop_last();
        }
        is_added
    }

    /// Takes over the users of another sketch. Returns whether this one changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        other.smallest.iter().fold(false, |changed, hash| self.insert_hash(*hash) | changed)
    }

    /// How many different users there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        let n_kept = self.smallest.len() as u64;
        match self.smallest.last() {
            Some(largest) if self.smallest.len() >= MOST_EXACT && *largest > 0 => {
                // k - 1 hashes lie below the largest: that is their density over the whole range.
                let estimate = u128::from(n_kept - 1) * u128::from(u64::MAX) / u128::from(*largest);
                u64::try_from(estimate).unwrap_or(u64::MAX).max(n_kept)
            }
            _ => n_kept,
        }
    }

    /// The sketch as bytes: 8 for each hash, big-endian, ascending.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.smallest.iter().flat_map(|hash| hash.to_be_bytes()).collect()
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<8>();
        let smallest: BTreeSet<u64> = hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect();
        (rest.is_empty() && smallest.len() == hashes.len() && smallest.len() <= MOST_EXACT)
            .then_some(Self { smallest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(users: std::ops::Range<u32>) -> UserSketch {
        let mut sketch = UserSketch::default();
        for user in users {
            sketch.insert(&format!("id:{user}"));
        }
        sketch
    }

    #[test]
    fn a_thousand_users_are_counted_exactly_and_a_hundred_thousand_nearly() {
        assert_eq!(sketch(0..1_000).count(), 1_000);
        let many = sketch(0..100_000).count();
        assert!((90_000..110_000).contains(&many), "{many}");
    }

    #[test]
    fn the_same_user_counts_once() {
        let mut users = sketch(0..5);
        assert!(!users.insert("id:3"));
        assert!(users.insert("id:5"));
        assert_eq!(users.count(), 6);
    }

    #[test]
    fn other_bytes_are_no_sketch() {
        assert_eq!(UserSketch::from_bytes(&[1, 2, 3]), None);
        assert_eq!(UserSketch::from_bytes(&[0; 16]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn merging_is_counting_together(cut in 0u32..3_000) {
            let mut merged = sketch(0..cut);
            merged.merge(&sketch(cut / 2..3_000));
            prop_assert_eq!(&merged, &sketch(0..3_000));
            prop_assert_eq!(UserSketch::from_bytes(&merged.to_bytes()), Some(merged));
        }
    }
}
