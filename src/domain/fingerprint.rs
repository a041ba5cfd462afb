//! What makes two events the same error.
//!
//! A fingerprint is a list of *items* (a tag and a value each), its kind, and the SHA-256 over
//! them. The rule that chooses the items is a versioned *config*: any change of it is a new config,
//! so that hashes made before keep meaning what they meant. Hashes point to issues; the items are
//! kept with the hash, so that "why are these one issue" can always be answered.
//!
//! To add a config: a module beside [`g0`], a variant of [`Config`], and a golden file of
//! (event → hash) that nobody changes afterwards.

pub mod g0;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::Event;
use super::text::bounded;

/// The version of the rule that chose the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// Type and in-app frames, or a message without its numbers.
    G0,
}

impl Config {
    /// The config of new projects.
    pub const NEWEST: Self = Self::G0;

    /// Its name in the store, in hashes and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::G0 => "g0",
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
    /// A stack without exception or message.
    Stack,
    /// Nothing but the route and the logger.
    Empty,
    /// The application's own fingerprint.
    Custom,
    /// The application's own, with the default one mixed in.
    Hybrid,
}

impl Kind {
    /// Its name in hashes, in the store and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exception => "exception",
            Self::Message => "message",
            Self::Stack => "stack",
            Self::Empty => "empty",
            Self::Custom => "custom",
            Self::Hybrid => "hybrid",
        }
    }
}

/// The SHA-256 of a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

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
}

impl Fingerprint {
    fn new(config: &'static str, kind: Kind, reason: String, items: Vec<Item>) -> Self {
        Self { hash: hash(config, kind, &items), config, kind, reason, items }
    }

    /// The explanation that is kept with the hash.
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
fn hash(config: &str, kind: Kind, items: &[Item]) -> Hash {
    let mut sha = Sha256::new();
    for part in ["grp", config, kind.as_str()] {
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

/// The longest value of one item, in characters.
const MOST_ITEM_CHARS: usize = 2_048;

/// The fingerprint of an event under a config.
///
/// The application's own fingerprint wins. `{{ default }}` in it mixes in what the config would
/// have chosen; alone, or in an empty list, it means the default.
#[must_use]
pub fn fingerprint(event: &Event, config: Config) -> Fingerprint {
    let default = || match config {
        Config::G0 => g0::fingerprint(event),
    };
    let custom = &event.fingerprint;
    if custom.iter().all(|entry| is_default(entry)) {
        return default();
    }
    let item = |entry: &String| ("value".to_owned(), bounded(entry, MOST_ITEM_CHARS));
    if !custom.iter().any(|entry| is_default(entry)) {
        let items = custom.iter().map(item).collect();
        let reason = "fingerprint set by the application".to_owned();
        return Fingerprint::new(NO_CONFIG, Kind::Custom, reason, items);
    }
    let default = default();
    let items = custom
        .iter()
        .map(|entry| {
            if is_default(entry) {
                ("default".to_owned(), default.hash.to_string())
            } else {
                item(entry)
            }
        })
        .collect();
    let reason =
        format!("fingerprint set by the application, with the default: {}", default.reason);
    Fingerprint::new(default.config, Kind::Hybrid, reason, items)
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

    fn of(event: &Event) -> Fingerprint {
        fingerprint(event, Config::G0)
    }

    fn with(entries: &[&str], mut event: Event) -> Event {
        event.fingerprint = entries.iter().map(|entry| (*entry).to_owned()).collect();
        event
    }

    #[test]
    fn an_own_fingerprint_wins_whatever_crashed() {
        let one = of(&with(&["stock-low", "sku-77"], message("a")));
        let other = of(&with(&["stock-low", "sku-77"], crash("KeyError", &[("checkout", 3)])));
        assert_eq!(one.hash, other.hash);
        assert_eq!((one.config, one.kind), ("-", Kind::Custom));
        assert_ne!(one.hash, of(&with(&["stock-low", "sku-78"], message("a"))).hash);
    }

    #[test]
    fn an_empty_list_and_default_alone_mean_the_default() {
        let event = crash("KeyError", &[("checkout", 3)]);
        let default = of(&event);
        for entries in [&[][..], &["{{ default }}"], &["{{default}}", " {{  default }} "]] {
            assert_eq!(of(&with(entries, event.clone())), default);
        }
    }

    #[test]
    fn default_in_a_list_splits_the_default() {
        let event = crash("KeyError", &[("checkout", 3)]);
        let eu = of(&with(&["{{ default }}", "eu"], event.clone()));
        let us = of(&with(&["{{ default }}", "us"], event));
        let elsewhere = of(&with(&["{{ default }}", "eu"], crash("KeyError", &[("refund", 3)])));
        assert_eq!(eu.kind, Kind::Hybrid);
        assert_ne!(eu.hash, us.hash);
        assert_ne!(eu.hash, elsewhere.hash);
    }

    #[test]
    fn no_splicing() {
        let one = with(&["ab", "c"], event());
        let other = with(&["a", "bc"], event());
        assert_ne!(of(&one).hash, of(&other).hash);
    }

    #[test]
    fn the_hash_is_the_specified_one() {
        // printf 'grp\0-\0custom\0\0\0\0\5value\0\0\0\1x' | sha256sum
        assert_eq!(
            of(&with(&["x"], event())).hash.to_string(),
            "677580d56a0ae0e4566f16d19bf9c8a4216e080754cc152c11bad24869a6ef3e"
        );
    }
}
