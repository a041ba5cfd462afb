//! How many different users an issue hit, without a row for each.
//!
//! A k-minimum-values sketch: of the hashes of all users, the [`MOST_KEPT`] smallest are kept, one
//! row each, so that a batch writes only the users that are new. Below that number of users the
//! count is exact; beyond it the standard error is about 3 % (1/√k).
//! Source: Bar-Yossef et al., "Counting distinct elements in a data stream", 2002.

use sha2::{Digest, Sha256};

/// So many hashes of an issue are kept; fewer users than that are counted exactly.
pub const MOST_KEPT: usize = 1_024;

/// The hash of a user: evenly spread over all numbers, negative ones too.
#[must_use]
pub fn user_hash(identity: &str) -> i64 {
    let digest = Sha256::digest(identity.as_bytes());
    digest.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// How many users an issue has, by the smallest hashes of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserCount {
    /// How many there are, or about how many.
    pub n_users: u64,
    /// Only users with a smaller hash still change anything; `None` while all are kept.
    pub below: Option<i64>,
}

/// Counts users. `smallest` are the smallest hashes that are known, ascending, each once, at most
/// [`MOST_KEPT`].
#[must_use]
pub fn count_users(smallest: &[i64]) -> UserCount {
    let n_kept = smallest.len() as u64;
    match smallest.last() {
        Some(largest) if smallest.len() >= MOST_KEPT => {
            // k - 1 hashes lie below the largest: that is their density over the whole range.
            let position = u128::from(largest.abs_diff(i64::MIN)).max(1);
            let estimate = u128::from(n_kept - 1) * u128::from(u64::MAX) / position;
            let n_users = u64::try_from(estimate).unwrap_or(u64::MAX).max(n_kept);
            UserCount { n_users, below: Some(*largest) }
        }
        _ => UserCount { n_users: n_kept, below: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(n_users: u32) -> UserCount {
        let mut hashes: Vec<i64> = (0..n_users).map(|n| user_hash(&format!("id:{n}"))).collect();
        hashes.sort_unstable();
        hashes.truncate(MOST_KEPT);
        count_users(&hashes)
    }

    #[test]
    fn a_thousand_users_are_counted_exactly_and_a_hundred_thousand_nearly() {
        assert_eq!(counted(1_000), UserCount { n_users: 1_000, below: None });
        let many = counted(100_000);
        assert!((90_000..110_000).contains(&many.n_users), "{many:?}");
        assert!(many.below.is_some());
    }

    #[test]
    fn nobody_is_nobody() {
        assert_eq!(count_users(&[]), UserCount { n_users: 0, below: None });
    }
}
