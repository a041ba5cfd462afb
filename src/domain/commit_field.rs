//! The field of an event that carries the commit it was built from, where a project names one.
//!
//! What it carries becomes part of the release's name, `web@1.4.2+commit.4f2c91a`, so that a release
//! of which there are several builds is told apart everywhere, and [resolved](super::release) by it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commit::ShaPrefix;
use super::event::Event;

/// The longest name of a field, in characters.
pub const MOST_FIELD_CHARS: usize = 200;

/// What comes before the commit in the name of a release.
const MARK: &str = "commit.";

/// A field of an event: `tags.git_commit`, `contexts.build.commit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CommitField {
    /// A tag.
    Tag(String),
    /// What is in a context: its name, and the way to the value.
    Context(Vec<String>),
}

/// Why a text names no field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "commit_field must be tags.NAME or contexts.NAME.KEY, at most {MOST_FIELD_CHARS} characters"
)]
pub struct InvalidCommitField;

impl FromStr for CommitField {
    type Err = InvalidCommitField;

    fn from_str(text: &str) -> Result<Self, InvalidCommitField> {
        if text.chars().count() > MOST_FIELD_CHARS {
            return Err(InvalidCommitField);
        }
        if let Some(tag) = text.strip_prefix("tags.").filter(|tag| !tag.is_empty()) {
            return Ok(Self::Tag(tag.to_owned()));
        }
        let way = text.strip_prefix("contexts.").ok_or(InvalidCommitField)?;
        let way: Vec<String> = way.split('.').map(str::to_owned).collect();
        if way.len() < 2 || way.iter().any(String::is_empty) {
            return Err(InvalidCommitField);
        }
        Ok(Self::Context(way))
    }
}

impl TryFrom<String> for CommitField {
    type Error = InvalidCommitField;

    fn try_from(text: String) -> Result<Self, InvalidCommitField> {
        text.parse()
    }
}

impl From<CommitField> for String {
    fn from(field: CommitField) -> Self {
        field.to_string()
    }
}

impl fmt::Display for CommitField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "tags.{tag}"),
            Self::Context(way) => write!(f, "contexts.{}", way.join(".")),
        }
    }
}

impl CommitField {
    /// Whether it is among an event's details, which are not read of every event.
    #[must_use]
    pub fn is_detail(&self) -> bool {
        matches!(self, Self::Context(_))
    }

    /// Makes the commit that an event carries part of its release's name. What is no commit's name
    /// changes nothing.
    pub fn carry(&self, event: &mut Event) {
        let value = match self {
            Self::Tag(tag) => event.tags.get(tag).map(String::as_str),
            Self::Context(way) => way
                .split_first()
                .and_then(|(first, rest)| {
                    rest.iter().try_fold(event.contexts.get(first)?, |value, key| value.get(key))
                })
                .and_then(Value::as_str),
        };
        let Some(commit) = value.map(str::trim).filter(|text| text.parse::<ShaPrefix>().is_ok())
        else {
            return;
        };
        let commit = commit.to_ascii_lowercase();
        event.release = Some(match event.release.take() {
            None => format!("{MARK}{commit}"),
            Some(release) if is_marked(&release, &commit) => release,
            Some(release) => format!("{release}+{MARK}{commit}"),
        });
    }
}

fn is_marked(release: &str, commit: &str) -> bool {
    release.ends_with(&format!("{MARK}{commit}"))
}

/// The commit that was made part of a release's name.
#[must_use]
pub fn carried(version: &str) -> Option<ShaPrefix> {
    let build = version.rsplit_once('+').map_or(version, |(_, build)| build);
    build.strip_prefix(MARK)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::super::event::Level;
    use super::super::id::EventId;
    use super::super::time::Timestamp;
    use super::*;

    fn release(field: &str, release: Option<&str>) -> Option<String> {
        let now = Timestamp::from_micros(0);
        let mut event = Event::new(EventId(Uuid::nil()), now, Level::Error, "other".to_owned());
        event.release = release.map(str::to_owned);
        event.tags.insert("git.commit".to_owned(), " 4F2C91A ".to_owned());
        event.tags.insert("digits".to_owned(), "1234567".to_owned());
        event.tags.insert("word".to_owned(), "main".to_owned());
        let build = json!({"vcs": {"commit": "9a9a9a9a"}, "n": 7});
        event.contexts.insert("build".to_owned(), build);
        field.parse::<CommitField>().expect("a field").carry(&mut event);
        event.release
    }

    #[test]
    fn what_an_event_carries_becomes_part_of_its_release() {
        for (field, before, after) in [
            ("tags.git.commit", Some("web@1.4.2"), Some("web@1.4.2+commit.4f2c91a")),
            ("tags.git.commit", None, Some("commit.4f2c91a")),
            ("tags.git.commit", Some("1+commit.4f2c91a"), Some("1+commit.4f2c91a")),
            ("tags.digits", Some("1+5"), Some("1+5+commit.1234567")),
            ("contexts.build.vcs.commit", Some("1"), Some("1+commit.9a9a9a9a")),
            // Nothing that names a commit.
            ("tags.word", Some("1"), Some("1")),
            ("tags.missing", None, None),
            ("contexts.build.n", Some("1"), Some("1")),
            ("contexts.build.vcs", Some("1"), Some("1")),
            ("contexts.none.at.all", Some("1"), Some("1")),
        ] {
            assert_eq!(release(field, before).as_deref(), after, "{field} {before:?}");
            let is_carried = after.is_some_and(|after| after.contains("commit."));
            assert_eq!(after.and_then(carried).is_some(), is_carried);
        }
    }

    #[test]
    fn fields_are_named_one_way() {
        for text in ["tags.a", "tags.a.b", "contexts.a.b", "contexts.a.b.c"] {
            assert_eq!(text.parse::<CommitField>().expect("a field").to_string(), text);
        }
        let long = format!("tags.{}", "a".repeat(MOST_FIELD_CHARS));
        for text in ["", "tags.", "release", "contexts.a", "contexts.a.", "extra.a", &long] {
            assert_eq!(text.parse::<CommitField>(), Err(InvalidCommitField), "{text}");
        }
    }
}
