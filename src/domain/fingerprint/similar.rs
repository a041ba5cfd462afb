//! Errors that are nearly the same: the crashing line was edited, or a stack was cut short.
//!
//! When a hash is new, this finds the one group its event may belong to all the same. It joins only
//! when there is exactly one such group, and never once a hash is known.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Hash;

/// The least share of words that two versions of one line have in common.
const LEAST_ALIKE: f64 = 0.4;

/// Groups whose crashing lines may be versions of one another are looked at up to this number of
/// hashes.
pub const MOST_CANDIDATES: usize = 50;

/// Lines around the crash that are kept, and characters of each.
pub(super) const MOST_NEAR_LINES: usize = 40;

/// What finds errors that are nearly the same as that of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Similar {
    /// All but the crashing line.
    pub edited: Option<(Hash, Line)>,
    /// The crash, whatever called it.
    pub truncated: Option<(Hash, Window)>,
}

/// A crashing line and its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The line with single spaces.
    pub source: String,
    /// The line that called it, where that line takes part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The lines around both.
    pub near: BTreeSet<String>,
}

impl Line {
    /// Whether both lines can be the same as those of another event, one or the other edited. A line
    /// that stands beside its other version is another line.
    fn is_version_of(&self, other: &Self) -> bool {
        let is_version = |one: &String, two: &String| {
            let stands_beside = self.near.contains(two) || other.near.contains(one);
            one == two || (!stands_beside && alike(one, two) >= LEAST_ALIKE)
        };
        let callers = match (&self.caller, &other.caller) {
            (Some(one), Some(two)) => is_version(one, two),
            (None, None) => true,
            _ => false,
        };
        callers && is_version(&self.source, &other.source)
    }
}

/// The frames that took part, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window(pub Vec<String>);

/// A hash that is known under the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<G, T> {
    /// The group it leads to.
    pub group: G,
    /// Whether the group was seen in the release of the event.
    pub is_of_release: bool,
    /// What it is known by.
    pub by: T,
}

/// The group of which the event shows an edited line. `known` are all hashes under its key, in the
/// order they came; an event without a release joins nothing.
#[must_use]
pub fn edited<G: PartialEq + Copy>(line: &Line, known: &[Known<G, Line>]) -> Option<G> {
    let (first, last) = (known.first()?, known.last()?);
    let is_one = known.iter().all(|other| other.group == first.group);
    if known.len() > MOST_CANDIDATES || !is_one || known.iter().any(|other| other.is_of_release) {
        return None;
    }
    line.is_version_of(&last.by).then_some(first.group)
}

/// The group of which the event shows a stack with fewer or more frames at its outer end.
#[must_use]
pub fn truncated<G: PartialEq + Copy>(window: &Window, known: &[Known<G, Window>]) -> Option<G> {
    let is_end = |one: &[String], other: &[String]| one.ends_with(other) || other.ends_with(one);
    let mut found = known.iter().filter(|other| is_end(&window.0, &other.by.0));
    let first = found.next()?;
    let is_one = known.len() <= MOST_CANDIDATES && found.all(|other| other.group == first.group);
    is_one.then_some(first.group)
}

/// The share of words and signs that two lines have in common (Jaccard), 0 to 1.
fn alike(one: &str, other: &str) -> f64 {
    let (one, other) = (words(one), words(other));
    let n_common = one.intersection(&other).count();
    let n_all = one.union(&other).count().max(1);
    #[expect(clippy::cast_precision_loss, reason = "a line has few words")]
    let share = n_common as f64 / n_all as f64;
    share
}

/// Names, and every sign by itself; numbers say nothing.
fn words(line: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = BTreeSet::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let begins_name = first.is_ascii_alphabetic() || first == '_';
        let end = if begins_name { rest.find(|c| !is_word(c)) } else { Some(first.len_utf8()) };
        let (word, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
        if begins_name || !(is_word(first) || first.is_whitespace()) {
            words.insert(word);
        }
        rest = after;
    }
    words
}
