//! Identities. Ids that Airlock makes are `UUIDv7`, save the small numbers people see.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The number of a project; part of every DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub i64);

impl fmt::Display for ProjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The id a client gave its event: 128 bits, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub Uuid);

impl EventId {
    /// Reads 32 hex digits, with or without hyphens.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text.trim()).ok().map(Self)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(formatter)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("an event id is 32 hex digits"))
    }
}

/// The inner id of an issue. People see its [`ShortId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IssueId(pub Uuid);

/// An id that carries its project: `3-0193…`. Opaque to everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectItemId {
    /// The project.
    pub project: ProjectId,
    /// The item of it.
    pub id: Uuid,
}

impl fmt::Display for ProjectItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.project.0, self.id.simple())
    }
}

impl ProjectItemId {
    /// Reads an id; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (project, id) = text.split_once('-')?;
        let project = project.parse().ok().filter(|project| *project > 0)?;
        Some(Self { project: ProjectId(project), id: Uuid::try_parse(id).ok()? })
    }
}

/// What people call an issue: `SHOP-42`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShortId {
    /// The project's prefix, upper case.
    pub prefix: String,
    /// The issue's number within the project, from 1.
    pub number: i64,
}

impl fmt::Display for ShortId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.prefix, self.number)
    }
}

/// Why a text is not a short id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an issue id like SHOP-42")]
pub struct InvalidShortId(String);

impl FromStr for ShortId {
    type Err = InvalidShortId;

    fn from_str(text: &str) -> Result<Self, InvalidShortId> {
        let invalid = || InvalidShortId(text.chars().take(80).collect());
        let (prefix, number) = text.rsplit_once('-').ok_or_else(invalid)?;
        let number = number.parse::<i64>().ok().filter(|number| *number > 0).ok_or_else(invalid)?;
        if prefix.is_empty() {
            return Err(invalid());
        }
        Ok(Self { prefix: prefix.to_uppercase(), number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_with_and_without_hyphens_are_the_same() {
        let hyphenated = EventId::parse("c76085e7-ee72-463e-9476-4d80b9534fff").expect("an id");
        let plain = EventId::parse("C76085E7EE72463E94764D80B9534FFF").expect("an id");
        assert_eq!(hyphenated, plain);
        assert_eq!(plain.to_string(), "c76085e7ee72463e94764d80b9534fff");
        assert_eq!(EventId::parse("c76085e7"), None);
    }

    #[test]
    fn short_ids() {
        let id: ShortId = "shop-web-42".parse().expect("a short id");
        assert_eq!(id, ShortId { prefix: "SHOP-WEB".to_owned(), number: 42 });
        assert_eq!(id.to_string(), "SHOP-WEB-42");
        for bad in ["SHOP", "SHOP-", "-4", "SHOP-0", "SHOP-x", ""] {
            assert!(bad.parse::<ShortId>().is_err(), "{bad}");
        }
    }
}
