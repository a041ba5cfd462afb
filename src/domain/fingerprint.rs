//! What makes two events the same error.
//!
//! A fingerprint is a list of *items* (a tag and a value each), its kind, and the SHA-256 over
//! them. The rule that chooses the items is a versioned *config*: any change of it is a new config,
//! so that hashes made before keep meaning what they meant. Hashes point to issues; the items are
//! kept with the hash, so that "why are these one issue" can always be answered.
//!
//! To add a config: a module beside `g0` and `g1`, a variant of [`Config`], and a golden file of
//! (event → hash) that nobody changes afterwards.

pub mod compare;
mod g0;
mod g1;
pub mod rules;
pub mod settings;
pub mod similar;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::rules::{FingerprintRules, FrameRules};
use self::similar::Similar;
use super::event::Event;

/// The version of the rule that chose the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// Type and in-app frames, or a message without its numbers. No project starts on it: it is kept
    /// so that there is something to upgrade from.
    G0,
    /// Chains, frames near the crash, messages without their values.
    G1,
}

impl Config {
    /// The config of new projects.
    pub const NEWEST: Self = Self::G1;

    /// The config of projects of which no grouping rules are stored.
    pub const WITHOUT_RULES: Self = Self::G1;

    /// Its name in the store, in hashes and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::G0 => "g0",
            Self::G1 => "g1",
        }
    }
}

/// A rule that Airlock brings along. Each can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltinRule {
    /// A part of a web page could not be loaded, as after a deploy: one issue.
    ChunkLoadError,
    /// Memory ran out: one issue for a runtime, wherever it happened to strike.
    OutOfMemory,
    /// Endless recursion: one issue for the functions that call each other.
    StackOverflow,
    /// Somebody stopped the program.
    Shutdown,
    /// A service cannot be reached or a disk is full: one issue for the outage, not one for each
    /// place in the code that noticed.
    Infrastructure,
}

impl BuiltinRule {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ChunkLoadError,
        Self::OutOfMemory,
        Self::StackOverflow,
        Self::Shutdown,
        Self::Infrastructure,
    ];

    /// Its name in the API and in explanations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChunkLoadError => "chunk-load-error",
            Self::OutOfMemory => "out-of-memory",
            Self::StackOverflow => "stack-overflow",
            Self::Shutdown => "shutdown",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// How the events of a project are grouped.
#[derive(Debug, Clone)]
pub struct Grouping {
    /// The config.
    pub config: Config,
    /// Built-in rules that are switched off.
    pub builtin_off: BTreeSet<BuiltinRule>,
    /// The project's own fingerprints.
    pub fingerprint_rules: FingerprintRules,
    /// What the project says of frames.
    pub frame_rules: FrameRules,
}

impl Default for Grouping {
    fn default() -> Self {
        Self::of(Config::NEWEST)
    }
}

impl Grouping {
    /// A config without any rules of the project.
    #[must_use]
    pub fn of(config: Config) -> Self {
        Self {
            config,
            builtin_off: BTreeSet::new(),
            fingerprint_rules: FingerprintRules::default(),
            frame_rules: FrameRules::default(),
        }
    }
}

/// What a fingerprint was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An exception.
    Exception,
    /// A message.
    Message,
    /// A violated content security policy.
    Csp,
    /// A template that could not be rendered.
    Template,
    /// A stack without exception or message.
    Stack,
    /// Nothing but the route and the logger.
    Empty,
    /// A built-in rule.
    Builtin,
    /// The fingerprint of the application or of a rule of the project.
    Custom,
    /// The same, with the default one mixed in.
    Hybrid,
}

impl Kind {
    /// Its name in hashes, in the store and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exception => "exception",
            Self::Message => "message",
            Self::Csp => "csp",
            Self::Template => "template",
            Self::Stack => "stack",
            Self::Empty => "empty",
            Self::Builtin => "builtin",
            Self::Custom => "custom",
            Self::Hybrid => "hybrid",
        }
    }
}

/// The SHA-256 of a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl std::str::FromStr for Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a fingerprint has 64 hexadecimal digits";
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return Err(WRONG);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or(WRONG)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One part of a fingerprint: what it is, and its value.
pub type Item = (String, String);

/// What makes an event the same error as others, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// What events of one error share.
    pub hash: Hash,
    /// The config's name, `-` for what no config influences.
    pub config: &'static str,
    /// What it was made from.
    pub kind: Kind,
    /// In words, for people: `stack: 2 frames`.
    pub reason: String,
    /// Exactly what was hashed.
    pub items: Vec<Item>,
    /// What the issue is called, where a rule of the project says so; as long as a title may be.
    pub title: Option<String>,
}

impl Fingerprint {
    fn new(config: &'static str, kind: Kind, reason: String, items: Vec<Item>) -> Self {
        Self {
            hash: hash_of(config, kind.as_str(), &items),
            config,
            kind,
            reason,
            items,
            title: None,
        }
    }

    /// As much of the explanation as the fingerprint itself knows; [`study`] tells all.
    #[must_use]
    pub fn explanation(&self) -> serde_json::Value {
        serde_json::json!({
            "config": self.config,
            "kind": self.kind,
            "reason": self.reason,
            "items": self.items,
        })
    }
}

/// `SHA-256("grp\0" config "\0" kind "\0" then for each item: u32be len(tag) tag u32be len(value)
/// value)`. The lengths make splicing impossible: no two lists of items share their bytes.
fn hash_of(config: &str, kind: &str, items: &[Item]) -> Hash {
    let mut sha = Sha256::new();
    for part in ["grp", config, kind] {
        sha.update(part.as_bytes());
        sha.update([0]);
    }
    for text in items.iter().flat_map(|(tag, value)| [tag, value]) {
        sha.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        sha.update(text.as_bytes());
    }
    Hash(sha.finalize().into())
}

/// The config's name in hashes that no config influences, so that an upgrade leaves them alone.
const NO_CONFIG: &str = "-";

/// The fingerprint of an event. Its outline is enough.
#[must_use]
pub fn fingerprint(event: &Event, grouping: &Grouping) -> Fingerprint {
    match grouping.config {
        Config::G0 => g0::fingerprint(event),
        Config::G1 => g1::fingerprint(event, grouping),
    }
}

/// Why an event has its fingerprint, and what finds errors that are nearly the same. The whole event
/// is looked at.
#[must_use]
pub fn study(event: &Event, grouping: &Grouping) -> (serde_json::Value, Similar) {
    match grouping.config {
        Config::G0 => (g0::fingerprint(event).explanation(), Similar::default()),
        Config::G1 => g1::study(event, grouping),
    }
}

/// `{{ default }}`, with any white space inside.
fn is_default(entry: &str) -> bool {
    entry
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .is_some_and(|name| name.trim() == "default")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::event::{Exception, Frame, Level, Message};
    use super::super::id::EventId;
    use super::super::time::Timestamp;
    use super::*;

    /// An event that says nothing.
    pub(in super::super) fn event() -> Event {
        let id = EventId(uuid::Uuid::from_u128(1));
        Event::new(id, Timestamp::from_micros(0), Level::Error, "python".to_owned())
    }

    pub(in super::super) fn message(text: &str) -> Event {
        let message = Message { formatted: text.to_owned(), ..Message::default() };
        Event { message: Some(message), ..event() }
    }

    pub(crate) fn crash(kind: &str, functions: &[(&str, u32)]) -> Event {
        let frame = |(function, lineno): &(&str, u32)| Frame {
            module: Some("shop.cart".to_owned()),
            function: Some((*function).to_owned()),
            lineno: Some(*lineno),
            in_app: Some(true),
            ..Frame::default()
        };
        let exception = Exception {
            kind: Some(kind.to_owned()),
            frames: functions.iter().map(frame).collect(),
            ..Exception::default()
        };
        Event { exceptions: vec![exception], ..event() }
    }

    pub(super) fn with(entries: &[&str], mut event: Event) -> Event {
        event.fingerprint = entries.iter().map(|entry| (*entry).to_owned()).collect();
        event
    }

    fn of(event: &Event) -> Fingerprint {
        fingerprint(event, &Grouping::default())
    }

    #[test]
    fn no_splicing() {
        let one = with(&["ab", "c"], event());
        let other = with(&["a", "bc"], event());
        assert_ne!(of(&one).hash, of(&other).hash);
    }

    #[test]
    fn the_hash_is_the_specified_one() {
        // printf 'grp\0-\0custom\0\0\0\0\2fp\0\0\0\1x' | sha256sum
        assert_eq!(
            of(&with(&["x"], event())).hash.to_string(),
            "4d6a843c08c008fc6df83295650c841edc94098115b5f8b6d28f31cfa1274207"
        );
    }
}
