//! How often each tag value occurred in an issue, bounded.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::event::Event;
use super::id::{IssueId, ProjectId};

/// An issue keeps counts of this many different tags.
pub const MOST_TAGS: usize = 100;

/// A tag of an issue keeps counts of this many different values; the rest is counted together.
pub const MOST_VALUES: usize = 100;

/// A value is counted by so many characters of it.
pub const MOST_VALUE_CHARS: usize = 200;

/// Stands for all values of a tag beyond [`MOST_VALUES`].
pub const OTHER_VALUES: &str = "(other)";

/// Tag and value → number of events.
pub type TagCounts = BTreeMap<(String, String), u64>;

/// Every tag an event counts for: its own, and the facts people filter by.
#[must_use]
pub fn tags_of(event: &Event) -> BTreeMap<String, String> {
    let mut tags = event.tags.clone();
    let facts = [
        ("environment", Some(&event.environment)),
        ("release", event.release.as_ref()),
        ("server_name", event.server_name.as_ref()),
        ("transaction", event.transaction.as_ref()),
    ];
    for (tag, value) in facts {
        if let Some(value) = value {
            tags.insert(tag.to_owned(), super::text::bounded(value, MOST_VALUE_CHARS));
        }
    }
    tags.insert("level".to_owned(), event.level.as_str().to_owned());
    tags
}

/// Tag → number of values that are counted.
pub type TagSizes = BTreeMap<String, usize>;

/// Of this many tag values up to twice as many it is remembered that they are counted.
const MOST_REMEMBERED: usize = 100_000;

/// Tag values of issues that are counted already, and releases that were seen. Whoever remembers them
/// need not look them up.
///
/// It may be wrong about some (those of an issue that was merged, or of another node), and then an
/// issue has a few values more than its bound.
#[derive(Debug, Default)]
pub struct KnownTags {
    recent: HashSet<u64>,
    older: HashSet<u64>,
    /// Counted in a transaction that is not over.
    pending: Vec<u64>,
}

impl KnownTags {
    /// Whether a value is counted already.
    #[must_use]
    pub fn has(&self, issue: IssueId, key: &(String, String)) -> bool {
        let hash = hash_of(issue, key);
        self.recent.contains(&hash) || self.older.contains(&hash)
    }

    /// Notes a value that is counted once the transaction is committed.
    pub fn add(&mut self, issue: IssueId, key: &(String, String)) {
        self.pending.push(hash_of(issue, key));
    }

    /// Whether it is noted already that a release was seen in these minutes.
    #[must_use]
    pub fn has_release(&self, project: ProjectId, release: &str, minutes: (i64, i64)) -> bool {
        let hash = hash_of_release(project, release, minutes);
        self.recent.contains(&hash) || self.older.contains(&hash)
    }

    /// Notes that a release was seen, once the transaction is committed.
    pub fn add_release(&mut self, project: ProjectId, release: &str, minutes: (i64, i64)) {
        self.pending.push(hash_of_release(project, release, minutes));
    }

    /// A transaction begins: whatever another one noted came to nothing.
    pub fn begin(&mut self) {
        self.pending.clear();
    }

    /// The transaction is committed.
    pub fn settle(&mut self) {
        for hash in self.pending.drain(..) {
            if self.recent.len() >= MOST_REMEMBERED {
                self.older = std::mem::take(&mut self.recent);
            }
            self.recent.insert(hash);
        }
    }
}

fn hash_of(issue: IssueId, key: &(String, String)) -> u64 {
    let mut hasher = DefaultHasher::new();
    (issue.0, key).hash(&mut hasher);
    hasher.finish()
}

fn hash_of_release(project: ProjectId, release: &str, minutes: (i64, i64)) -> u64 {
    let mut hasher = DefaultHasher::new();
    (project.0, release, minutes).hash(&mut hasher);
    hasher.finish()
}

/// What to add to the stored counts of one issue, so that no bound is exceeded.
///
/// `sizes` are those of all stored tags; `is_known` says which tags and values have a row already.
#[must_use]
pub fn bounded(
    mut sizes: TagSizes,
    is_known: impl Fn(&(String, String)) -> bool,
    added: &TagCounts,
) -> TagCounts {
    let mut out = TagCounts::new();
    for (key, n_events) in added {
        let (tag, _) = key;
        let key = if is_known(key) {
            key.clone()
        } else if !sizes.contains_key(tag) && sizes.len() >= MOST_TAGS {
            continue;
        } else {
            let size = sizes.entry(tag.clone()).or_default();
            if *size >= MOST_VALUES {
                (tag.clone(), OTHER_VALUES.to_owned())
            } else {
                *size += 1;
                key.clone()
            }
        };
        *out.entry(key).or_default() += n_events;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(values: std::ops::Range<usize>) -> TagCounts {
        values.map(|value| (("tenant".to_owned(), format!("t{value:04}")), 1)).collect()
    }

    #[test]
    fn values_beyond_the_bound_are_counted_together() {
        let first = bounded(TagSizes::new(), |_| false, &counts(0..MOST_VALUES));
        assert_eq!(first.len(), MOST_VALUES);
        let sizes: TagSizes = [("tenant".to_owned(), MOST_VALUES - 1)].into();
        let is_known = |(_, value): &(String, String)| value == "t0099";
        let second = bounded(sizes, is_known, &counts(MOST_VALUES - 1..MOST_VALUES + 5));
        let expected: TagCounts = [
            (("tenant".to_owned(), OTHER_VALUES.to_owned()), 4),
            (("tenant".to_owned(), "t0099".to_owned()), 1),
            (("tenant".to_owned(), "t0100".to_owned()), 1),
        ]
        .into();
        assert_eq!(second, expected);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stays() {
        let mut known = KnownTags::default();
        let issue = IssueId(uuid::Uuid::from_u128(7));
        let key = |n: usize| ("tenant".to_owned(), n.to_string());
        for n in 0..3 * MOST_REMEMBERED {
            known.add(issue, &key(n));
            assert!(!known.has(issue, &key(n)));
            known.settle();
            assert!(known.recent.len() + known.older.len() <= 2 * MOST_REMEMBERED);
        }
        assert!(!known.has(issue, &key(0)));
        known.add(issue, &key(0));
        known.begin();
        known.settle();
        assert!(!known.has(issue, &key(0)), "what was not committed is not known");
        assert!((2 * MOST_REMEMBERED..3 * MOST_REMEMBERED).all(|n| known.has(issue, &key(n))));
        assert!(!known.has(IssueId(uuid::Uuid::from_u128(8)), &key(3 * MOST_REMEMBERED - 1)));
    }

    #[test]
    fn tags_beyond_the_bound_are_not_counted() {
        let many: TagCounts =
            (0..MOST_TAGS + 5).map(|tag| ((format!("tag{tag:04}"), "x".to_owned()), 2)).collect();
        assert_eq!(bounded(TagSizes::new(), |_| false, &many).len(), MOST_TAGS);
    }
}
