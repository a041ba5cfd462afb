//! How many events of an issue there were, by hour, release, environment and verdict.

use std::collections::BTreeMap;

use super::lifecycle::Verdict;

/// A batch counts an issue's events of so many different releases and environments by name.
const MOST_NAMES: usize = 100;

/// Stands for names beyond those that are counted one by one.
pub const OTHER: &str = "(other)";

/// What events are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountKey {
    /// The hour they happened in, counted from the epoch.
    pub hour: i64,
    /// Their release as reported; empty for none.
    pub release: String,
    /// Their environment as reported.
    pub environment: String,
    /// What they meant for their issue.
    pub verdict: Verdict,
}

/// Counts of one issue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventCounts(BTreeMap<CountKey, u64>);

impl EventCounts {
    /// Counts an event.
    pub fn add(&mut self, mut key: CountKey) {
        if self.0.len() >= MOST_NAMES && !self.0.contains_key(&key) {
            OTHER.clone_into(&mut key.release);
            OTHER.clone_into(&mut key.environment);
        }
        *self.0.entry(key).or_default() += 1;
    }

    /// The counts, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&CountKey, &u64)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_counted_together() {
        let mut counts = EventCounts::default();
        for n in 0..1_000 {
            counts.add(CountKey {
                hour: 7,
                release: format!("shop@{n}"),
                environment: "production".to_owned(),
                verdict: Verdict::Known,
            });
        }
        assert_eq!(counts.iter().count(), MOST_NAMES + 1);
        assert_eq!(counts.iter().map(|(_, n)| n).sum::<u64>(), 1_000);
    }
}
