//! Which tracker has the tasks of a project, and where in it they are.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::project::Project;

/// Where Asana is.
pub const ASANA_URL: &str = "https://app.asana.com/api/1.0";

/// The longest address of a tracker, in characters.
pub const MOST_URL_CHARS: usize = 300;

/// The longest token of a tracker, in characters.
pub const MOST_TOKEN_CHARS: usize = 4_000;

/// The longest id that a tracker gives, in characters.
pub const MOST_ID_CHARS: usize = 32;

/// How often a tracker is asked what is new, in seconds.
pub const POLL_SECONDS: RangeInclusive<u32> = 10..=3_600;

/// How often all of a tracker is looked through, in seconds.
pub const RECONCILE_SECONDS: RangeInclusive<u32> = 60..=86_400;

/// Where tasks are within a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Board {
    /// Those of issues.
    Issues,
    /// What locks an environment.
    Locks(String),
    /// Deploys to an environment.
    Deploys(String),
}

impl Board {
    /// The board of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once('/') {
            None if name == "issues" => Some(Self::Issues),
            Some(("locks", environment)) => Some(Self::Locks(environment.to_owned())),
            Some(("deploys", environment)) => Some(Self::Deploys(environment.to_owned())),
            Some(_) | None => None,
        }
    }
}

/// Its name in the store and in the API.
impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issues => f.write_str("issues"),
            Self::Locks(environment) => write!(f, "locks/{environment}"),
            Self::Deploys(environment) => write!(f, "deploys/{environment}"),
        }
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The tracker of a project. A token is read and never written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrackerSettings {
    /// The one that is part of Airlock.
    BuiltIn {},
    /// Asana.
    Asana(AsanaSettings),
}

/// Where tasks are in Asana.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsanaSettings {
    /// Where its API is.
    #[serde(default = "asana_url")]
    pub url: String,
    /// What it is called with; the one it was called with so far by default.
    #[serde(default, skip_serializing)]
    pub token: Option<Secret>,
    /// The project that has the tasks of issues.
    pub issue_project: String,
    /// The projects of each environment.
    #[serde(default)]
    pub environments: BTreeMap<String, AsanaEnvironment>,
    /// The custom field that has the commits that fix an issue.
    #[serde(default)]
    pub fix_field: Option<String>,
    /// Whether Asana is to say when something changes.
    #[serde(default = "yes")]
    pub webhooks: bool,
    /// How often it is asked what is new.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u32,
    /// How often all of it is looked through.
    #[serde(default = "reconcile_seconds")]
    pub reconcile_seconds: u32,
}

/// The projects of an environment in Asana.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AsanaEnvironment {
    /// What locks it.
    pub lock_project: Option<String>,
    /// Deploys to it.
    pub deploy_project: Option<String>,
}

fn asana_url() -> String {
    ASANA_URL.to_owned()
}

fn yes() -> bool {
    true
}

fn poll_seconds() -> u32 {
    60
}

fn reconcile_seconds() -> u32 {
    600
}

/// What is wrong with the settings of a tracker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTracker {
    /// The address.
    #[error(
        "url must be an address like {ASANA_URL}, without a name, a query or white space, of at most {MOST_URL_CHARS} characters"
    )]
    Url,
    /// There is no token yet.
    #[error("token is missing: make one in the tracker's settings and give it once")]
    NoToken,
    /// The token.
    #[error("token must have 1 to {MOST_TOKEN_CHARS} visible characters without white space")]
    Token,
    /// An id of Asana.
    #[error("{0} must be an id of Asana, which is a number: it is in the address of what it names")]
    Id(String),
    /// An environment.
    #[error("environment {0:?} is none of the project's environments")]
    Environment(String),
    /// An environment twice, by its name and an alias.
    #[error("environment {0:?} is named twice, as a name or an alias")]
    EnvironmentTwice(String),
    /// How often it is asked.
    #[error("poll_seconds must be {} to {}", POLL_SECONDS.start(), POLL_SECONDS.end())]
    Poll,
    /// How often all is looked through.
    #[error("reconcile_seconds must be {} to {}", RECONCILE_SECONDS.start(), RECONCILE_SECONDS.end())]
    Reconcile,
}

impl TrackerSettings {
    /// What its tasks are called by in the store and in the API.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BuiltIn {} => "built_in",
            Self::Asana(_) => "asana",
        }
    }

    /// Where what it calls its tasks means something: the same place, the same tasks.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::BuiltIn {} => self.kind().to_owned(),
            Self::Asana(asana) => format!("asana {}", asana.url),
        }
    }

    /// The same where environments are called otherwise.
    #[must_use]
    pub fn renamed(self, renamed: &[(String, String)]) -> Self {
        match self {
            Self::BuiltIn {} => self,
            Self::Asana(mut asana) => {
                let new_name = |name: String| {
                    let new = renamed.iter().find(|(old, _)| *old == name);
                    new.map_or(name, |(_, new)| new.clone())
                };
                let all = std::mem::take(&mut asana.environments).into_iter();
                asana.environments = all.map(|(name, one)| (new_name(name), one)).collect();
                Self::Asana(asana)
            }
        }
    }

    /// The settings of a project as they are kept, with the names of its environments.
    ///
    /// # Errors
    /// [`InvalidTracker`].
    pub fn checked(self, project: &Project) -> Result<Self, InvalidTracker> {
        Ok(match self {
            Self::BuiltIn {} => self,
            Self::Asana(asana) => Self::Asana(asana.checked(project)?),
        })
    }
}

impl AsanaSettings {
    fn checked(mut self, project: &Project) -> Result<Self, InvalidTracker> {
        self.url = checked_url(&self.url)?;
        if let Some(token) = &self.token {
            check_token(token)?;
        }
        check_id("issue_project", &self.issue_project)?;
        let mut environments = BTreeMap::new();
        for (name, places) in std::mem::take(&mut self.environments) {
            let known = project.environment(&name);
            let known = known.ok_or_else(|| InvalidTracker::Environment(name.clone()))?;
            for (what, id) in
                [("lock_project", &places.lock_project), ("deploy_project", &places.deploy_project)]
            {
                if let Some(id) = id {
                    check_id(&format!("{what} of {name}"), id)?;
                }
            }
            if environments.insert(known.name.clone(), places).is_some() {
                return Err(InvalidTracker::EnvironmentTwice(name));
            }
        }
        self.environments = environments;
        if let Some(field) = &self.fix_field {
            check_id("fix_field", field)?;
        }
        if !POLL_SECONDS.contains(&self.poll_seconds) {
            return Err(InvalidTracker::Poll);
        }
        if !RECONCILE_SECONDS.contains(&self.reconcile_seconds) {
            return Err(InvalidTracker::Reconcile);
        }
        Ok(self)
    }

    /// The project that is a board, if there is one.
    #[must_use]
    pub fn project(&self, board: &Board) -> Option<&str> {
        let of = |environment: &str| self.environments.get(environment);
        match board {
            Board::Issues => Some(&self.issue_project),
            Board::Locks(environment) => of(environment)?.lock_project.as_deref(),
            Board::Deploys(environment) => of(environment)?.deploy_project.as_deref(),
        }
    }
}

/// An address as it is kept: without a slash at its end.
///
/// # Errors
/// [`InvalidTracker::Url`].
pub fn checked_url(url: &str) -> Result<String, InvalidTracker> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "?#@\\".contains(c);
    let is_good = rest.is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty())
        && url.chars().count() <= MOST_URL_CHARS
        && !url.contains(is_bad);
    if is_good { Ok(url.trim_end_matches('/').to_owned()) } else { Err(InvalidTracker::Url) }
}

/// Checks a token: it becomes a part of a header.
///
/// # Errors
/// [`InvalidTracker::Token`].
pub fn check_token(token: &Secret) -> Result<(), InvalidTracker> {
    let is_good = (1..=MOST_TOKEN_CHARS).contains(&token.0.len())
        && token.0.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good { Ok(()) } else { Err(InvalidTracker::Token) }
}

fn check_id(what: &str, id: &str) -> Result<(), InvalidTracker> {
    let is_good =
        (1..=MOST_ID_CHARS).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    if is_good { Ok(()) } else { Err(InvalidTracker::Id(what.to_owned())) }
}

/// What somebody looked at in a tracker, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// How it is.
    pub detail: String,
    /// What to do about it, if it does not work.
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_have_names() {
        let beta = || "beta".to_owned();
        for board in [Board::Issues, Board::Locks(beta()), Board::Deploys(beta())] {
            assert_eq!(Board::parse(&board.to_string()), Some(board));
        }
        assert_eq!(Board::parse("freezes/beta"), None);
        assert_eq!(Board::parse("locks"), None);
    }

    #[test]
    fn addresses_are_those_of_http() {
        assert_eq!(checked_url("https://a.example/api/"), Ok("https://a.example/api".to_owned()));
        for wrong in
            ["", "ftp://a", "https://", "https:///x", "https://u@a", "https://a/?x", "https://a b"]
        {
            assert_eq!(checked_url(wrong), Err(InvalidTracker::Url), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_never_written() {
        let text = r#"{"kind": "asana", "token": "s3cret", "issue_project": "7"}"#;
        let read: TrackerSettings = serde_json::from_str(text).expect("settings");
        let written = serde_json::to_string(&read).expect("JSON");
        assert!(!format!("{read:?}{written}").contains("s3cret"), "{read:?} {written}");
        for wrong in [
            r#"{"kind": "github", "token": "x"}"#,
            r#"{"kind": "built_in", "token": "x"}"#,
            r#"{"kind": "asana", "issue_project": "7", "board": "x"}"#,
            r#"{"kind": "asana"}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<TrackerSettings>(wrong).is_err(), "{wrong}");
        }
    }
}
