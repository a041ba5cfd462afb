//! What a project adds to the rules of scrubbing, and what it takes out.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Scrubber;
use super::words::Words;

/// Names a project may add, and names it may take out.
pub const MOST_NAMES: usize = 200;

/// Characters of one name.
pub const MOST_NAME_CHARS: usize = 100;

/// Patterns of one project.
pub const MOST_PATTERNS: usize = 50;

/// Characters of one pattern.
pub const MOST_PATTERN_CHARS: usize = 500;

/// Bytes that one pattern may take when compiled.
pub const MOST_COMPILED_BYTES: usize = 64 * 1024;

/// Examples of one project.
pub const MOST_EXAMPLES: usize = 50;

/// Bytes of the JSON of one example, each of its halves.
pub const MOST_EXAMPLE_BYTES: usize = 16 * 1024;

/// What happens to addresses of people's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpAddresses {
    /// They are kept.
    #[default]
    Keep,
    /// The network is kept: 24 bits of an IPv4 address, 48 of an IPv6 address.
    Truncate,
    /// They are scrubbed.
    Scrub,
}

/// The rules of one project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrubRules {
    /// Whether the built-in names and values count.
    pub defaults: bool,
    /// What happens to IP addresses.
    pub ip_addresses: IpAddresses,
    /// Names whose values are secret too. `tax id` is also `taxId` and `customer_tax_id`.
    pub keys: Vec<String>,
    /// Names whose values are not secret, whatever the built-in rules say; whole names.
    pub safe_keys: Vec<String>,
    /// Texts that are secret wherever they stand.
    pub patterns: Vec<Pattern>,
    /// What the rules must do. They are not saved when they do something else.
    pub examples: Vec<Example>,
}

/// A text that is secret wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// What the event says it was scrubbed by.
    pub name: String,
    /// A regular expression in the syntax of the `regex` crate: no look-around, no back-references,
    /// so that it takes linear time. If it has a group, only the first group is scrubbed.
    pub regex: String,
}

/// What the rules must do with some JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What an application attaches to an event: `{"customer": {"tax_id": "12 345"}}`.
    pub given: Value,
    /// What is kept of it: `{"customer": {"tax_id": "[scrubbed]"}}`.
    pub expected: Value,
}

impl Default for ScrubRules {
    fn default() -> Self {
        Self { defaults: true, ..Self::OFF }
    }
}

impl ScrubRules {
    /// Rules that scrub nothing.
    pub const OFF: Self = Self {
        defaults: false,
        ip_addresses: IpAddresses::Keep,
        keys: Vec::new(),
        safe_keys: Vec::new(),
        patterns: Vec::new(),
        examples: Vec::new(),
    };
}

/// Why rules are not taken. Only who wrote them can cause it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// There are too many of something.
    #[error("{what}: {n} are too many, at most {most} are taken")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there are.
        n: usize,
        /// How many there may be.
        most: usize,
    },
    /// A name has no letters or digits, or is too long.
    #[error("{0:?} is no name of a key: 1 to {MOST_NAME_CHARS} characters with a letter or digit")]
    Name(String),
    /// A pattern's name is not usable.
    #[error("{0:?} is no name of a pattern: 1 to 50 lower-case letters, digits and underscores")]
    PatternName(String),
    /// Two patterns have one name.
    #[error("the pattern {0:?} is there twice")]
    PatternTwice(String),
    /// A pattern is no regular expression, or too large a one.
    #[error("the pattern {name:?} cannot be used: {reason}")]
    Pattern {
        /// Its name.
        name: String,
        /// Why, in one line.
        reason: String,
    },
    /// A pattern matches the empty text, so it would match everywhere.
    #[error("the pattern {0:?} matches the empty text: require at least one character")]
    Empty(String),
    /// An example is too large.
    #[error("example {0} is larger than {MOST_EXAMPLE_BYTES} bytes")]
    LargeExample(usize),
    /// An example shows that the rules do something else than expected.
    #[error("example {number} becomes {actual}, not what it expects")]
    Example {
        /// Which, from 1.
        number: usize,
        /// What the rules make of it, as JSON.
        actual: String,
    },
}

fn at_most(what: &'static str, n: usize, most: usize) -> Result<(), InvalidRules> {
    if n <= most { Ok(()) } else { Err(InvalidRules::TooMany { what, n, most }) }
}

/// Checks rules for their form; gives their patterns, ready for use.
pub(super) fn check(rules: &ScrubRules) -> Result<Vec<(Arc<str>, Regex)>, InvalidRules> {
    at_most("keys", rules.keys.len(), MOST_NAMES)?;
    at_most("safe_keys", rules.safe_keys.len(), MOST_NAMES)?;
    at_most("patterns", rules.patterns.len(), MOST_PATTERNS)?;
    at_most("examples", rules.examples.len(), MOST_EXAMPLES)?;
    for name in rules.keys.iter().chain(&rules.safe_keys) {
        if name.chars().count() > MOST_NAME_CHARS || Words::of(name).collapsed.is_empty() {
            return Err(InvalidRules::Name(name.chars().take(MOST_NAME_CHARS).collect()));
        }
    }
    let mut patterns: Vec<(Arc<str>, Regex)> = Vec::new();
    for pattern in &rules.patterns {
        if patterns.iter().any(|(name, _)| **name == *pattern.name) {
            return Err(InvalidRules::PatternTwice(pattern.name.clone()));
        }
        patterns.push((Arc::from(pattern.name.as_str()), compile(pattern)?));
    }
    Ok(patterns)
}

fn compile(pattern: &Pattern) -> Result<Regex, InvalidRules> {
    let name = &pattern.name;
    let is_name = (1..=50).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !is_name {
        return Err(InvalidRules::PatternName(name.chars().take(80).collect()));
    }
    let refused = |reason: String| InvalidRules::Pattern { name: name.clone(), reason };
    if pattern.regex.chars().count() > MOST_PATTERN_CHARS {
        return Err(refused(format!("it is longer than {MOST_PATTERN_CHARS} characters")));
    }
    let regex = RegexBuilder::new(&pattern.regex)
        .size_limit(MOST_COMPILED_BYTES)
        .dfa_size_limit(MOST_COMPILED_BYTES)
        .build()
        .map_err(|cause| {
            // The last line says what is wrong; those before draw where.
            let text = cause.to_string();
            refused(text.lines().last().unwrap_or_default().trim().to_owned())
        })?;
    if regex.is_match("") { Err(InvalidRules::Empty(name.clone())) } else { Ok(regex) }
}

/// A scrubber for rules that do what their examples say.
///
/// # Errors
/// [`InvalidRules`] names what is wrong.
pub fn tested(rules: &ScrubRules) -> Result<Scrubber, InvalidRules> {
    let scrubber = Scrubber::new(rules)?;
    for (number, example) in (1..).zip(&rules.examples) {
        let is_small = |value: &Value| value.to_string().len() <= MOST_EXAMPLE_BYTES;
        if !is_small(&example.given) || !is_small(&example.expected) {
            return Err(InvalidRules::LargeExample(number));
        }
        let mut actual = example.given.clone();
        scrubber.scrub_json(&mut actual);
        if actual != example.expected {
            return Err(InvalidRules::Example { number, actual: actual.to_string() });
        }
    }
    Ok(scrubber)
}
