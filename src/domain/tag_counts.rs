//! How often each tag value occurred in an issue, bounded.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;

/// An issue keeps counts of this many different tags.
pub const MOST_TAGS: usize = 100;

/// A tag of an issue keeps counts of this many different values; the rest is counted together.
pub const MOST_VALUES: usize = 100;

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
            tags.insert(tag.to_owned(), super::text::bounded(value, 200));
        }
    }
    tags.insert("level".to_owned(), event.level.as_str().to_owned());
    tags
}

/// What to add to the stored counts of one issue, so that no bound is exceeded.
///
/// `stored` are the tags and values that have a row already.
#[must_use]
pub fn bounded(stored: &BTreeSet<(String, String)>, added: TagCounts) -> TagCounts {
    let mut n_values: BTreeMap<String, usize> = BTreeMap::new();
    for (tag, _) in stored {
        *n_values.entry(tag.clone()).or_default() += 1;
    }
    let mut out = TagCounts::new();
    for ((tag, value), n_events) in added {
        let key = if stored.contains(&(tag.clone(), value.clone())) {
            (tag, value)
        } else if !n_values.contains_key(&tag) && n_values.len() >= MOST_TAGS {
            continue;
        } else {
            let n_values = n_values.entry(tag.clone()).or_default();
            if *n_values >= MOST_VALUES {
                (tag, OTHER_VALUES.to_owned())
            } else {
                *n_values += 1;
                (tag, value)
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
        let first = bounded(&BTreeSet::new(), counts(0..MOST_VALUES));
        assert_eq!(first.len(), MOST_VALUES);
        let stored: BTreeSet<_> = first.into_keys().collect();
        let second = bounded(&stored, counts(MOST_VALUES - 1..MOST_VALUES + 4));
        let expected: TagCounts = [
            (("tenant".to_owned(), OTHER_VALUES.to_owned()), 4),
            (("tenant".to_owned(), format!("t{:04}", MOST_VALUES - 1)), 1),
        ]
        .into();
        assert_eq!(second, expected);
    }

    #[test]
    fn tags_beyond_the_bound_are_not_counted() {
        let many: TagCounts =
            (0..MOST_TAGS + 5).map(|tag| ((format!("tag{tag:04}"), "x".to_owned()), 2)).collect();
        assert_eq!(bounded(&BTreeSet::new(), many).len(), MOST_TAGS);
    }
}
