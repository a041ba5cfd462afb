//! Which tracker has the tasks of a project, and where in it they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::project::Project;

/// Where Asana is.
pub const ASANA_URL: &str = "https://app.asana.com/api/1.0";

/// Where GitHub's API is.
pub const GITHUB_URL: &str = "https://api.github.com";

/// The label of issues in GitHub.
pub const GITHUB_LABEL: &str = "airlock";

/// The longest label, in characters; GitHub has no longer ones.
pub const MOST_LABEL_CHARS: usize = 50;

/// The longest names of an owner and of a repository, in characters; GitHub has no longer ones.
const MOST_REPOSITORY_CHARS: [usize; 2] = [39, 100];

/// The longest address of a tracker, in characters.
pub const MOST_URL_CHARS: usize = 300;

/// The longest token of a tracker, in characters.
pub const MOST_TOKEN_CHARS: usize = 4_000;

/// The longest id that a tracker gives, in characters.
pub const MOST_ID_CHARS: usize = 32;

/// The longest identifier of a project in Redmine, in characters; Redmine has no longer ones.
pub const MOST_IDENTIFIER_CHARS: usize = 100;

/// How often a tracker is asked what is new, in seconds.
pub const POLL_SECONDS: RangeInclusive<u32> = 10..=3_600;

/// How often all of a tracker is looked through, in seconds.
pub const RECONCILE_SECONDS: RangeInclusive<u32> = 60..=86_400;

/// A tracker's address with a token, as a SHA-256 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub [u8; 32]);

/// Where tasks are within a tracker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Board {
    /// Those of issues.
    Issues,
    /// What locks an environment.
    Locks(String),
    /// Deploys to an environment.
    Deploys(String),
}

impl Board {
    /// The environment that what is on it locks.
    #[must_use]
    pub fn locked(&self) -> Option<&str> {
        match self {
            Self::Locks(environment) => Some(environment),
            Self::Issues | Self::Deploys(_) => None,
        }
    }

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
    /// Redmine.
    Redmine(RedmineSettings),
    /// The issues of a repository in GitHub.
    #[serde(rename = "github")]
    GitHub(GitHubSettings),
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
    pub environments: Environments,
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

/// The projects of all environments by their names.
pub type Environments = BTreeMap<String, EnvironmentProjects>;

/// The projects of an environment in a tracker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentProjects {
    /// What locks it.
    pub lock_project: Option<String>,
    /// Deploys to it.
    pub deploy_project: Option<String>,
}

/// Where tasks are in Redmine: projects by their identifiers or numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedmineSettings {
    /// Where it is.
    pub url: String,
    /// The key of a user; the one it was called with so far by default.
    #[serde(default, skip_serializing)]
    pub token: Option<Secret>,
    /// The project that has the tasks of issues.
    pub issue_project: String,
    /// The projects of each environment.
    #[serde(default)]
    pub environments: Environments,
    /// How Redmine reads texts.
    #[serde(default)]
    pub formatting: Formatting,
    /// The custom field that has the commits that fix an issue.
    #[serde(default)]
    pub fix_field: Option<String>,
    /// How often it is asked what is new.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u32,
    /// How often all of it is looked through.
    #[serde(default = "reconcile_seconds")]
    pub reconcile_seconds: u32,
}

/// Where tasks are in GitHub: the issues of one repository, told apart by their labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitHubSettings {
    /// Where its API is.
    #[serde(default = "github_url")]
    pub url: String,
    /// What it is called with; the one it was called with so far by default.
    #[serde(default, skip_serializing)]
    pub token: Option<Secret>,
    /// `owner/name`.
    pub repository: String,
    /// The label of the tasks of issues.
    #[serde(default = "github_label")]
    pub issue_label: String,
    /// The labels of each environment.
    #[serde(default)]
    pub environments: BTreeMap<String, EnvironmentLabels>,
    /// How often it is asked what is new.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u32,
    /// How often all of it is looked through.
    #[serde(default = "reconcile_seconds")]
    pub reconcile_seconds: u32,
}

/// The labels of an environment in a tracker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentLabels {
    /// Of what locks it.
    pub lock_label: Option<String>,
    /// Of deploys to it.
    pub deploy_label: Option<String>,
}

/// How texts are read: Redmine's setting *Text formatting*, which its API does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formatting {
    /// Textile.
    #[default]
    Textile,
    /// Markdown, also the common one.
    Markdown,
}

fn asana_url() -> String {
    ASANA_URL.to_owned()
}

fn github_url() -> String {
    GITHUB_URL.to_owned()
}

fn github_label() -> String {
    GITHUB_LABEL.to_owned()
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
    /// An id.
    #[error("{0} must be an id, which is a number: it is in the address of what it names")]
    Id(String),
    /// A project of Redmine.
    #[error(
        "{0} must be the identifier of a project in Redmine: a-z, 0-9, - and _; it is in the project's address"
    )]
    Identifier(String),
    /// A repository.
    #[error("repository must be the owner and the name of a repository in GitHub: owner/name")]
    Repository,
    /// A label.
    #[error(
        "{0} must be a label of 1 to {MOST_LABEL_CHARS} characters without a comma, and not begin or end with white space"
    )]
    Label(String),
    /// A label twice.
    #[error("label {0:?} is named twice: each board needs one of its own")]
    LabelTwice(String),
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
            Self::Redmine(_) => "redmine",
            Self::GitHub(_) => "github",
        }
    }

    /// Where what it calls its tasks means something: the same place, the same tasks.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::BuiltIn {} => self.kind().to_owned(),
            Self::Asana(asana) => format!("asana {}", asana.url),
            Self::Redmine(redmine) => format!("redmine {}", redmine.url),
            Self::GitHub(github) => github.place(),
        }
    }

    /// The same where environments are called otherwise.
    #[must_use]
    pub fn renamed(self, renamed: &[(String, String)]) -> Self {
        let new_name = |name: String| {
            let new = renamed.iter().find(|(old, _)| *old == name);
            new.map_or(name, |(_, new)| new.clone())
        };
        let rename = |all: Environments| all.into_iter().map(|(name, one)| (new_name(name), one));
        match self {
            Self::BuiltIn {} => self,
            Self::Asana(asana) => {
                let environments = rename(asana.environments).collect();
                Self::Asana(AsanaSettings { environments, ..asana })
            }
            Self::Redmine(redmine) => {
                let environments = rename(redmine.environments).collect();
                Self::Redmine(RedmineSettings { environments, ..redmine })
            }
            Self::GitHub(github) => {
                let all = github.environments.into_iter();
                let environments = all.map(|(name, one)| (new_name(name), one)).collect();
                Self::GitHub(GitHubSettings { environments, ..github })
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
            Self::Redmine(redmine) => Self::Redmine(redmine.checked(project)?),
            Self::GitHub(github) => Self::GitHub(github.checked(project)?),
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
        self.environments = checked_environments(self.environments, project, check_id)?;
        if let Some(field) = &self.fix_field {
            check_id("fix_field", field)?;
        }
        check_pauses(self.poll_seconds, self.reconcile_seconds)?;
        Ok(self)
    }

    /// The project that is a board, if there is one.
    #[must_use]
    pub fn project(&self, board: &Board) -> Option<&str> {
        project_of(board, &self.issue_project, &self.environments)
    }

    /// The boards that a project is.
    #[must_use]
    pub fn boards(&self, project: &str) -> Vec<Board> {
        boards_of(project, &self.issue_project, &self.environments)
    }
}

impl RedmineSettings {
    fn checked(mut self, project: &Project) -> Result<Self, InvalidTracker> {
        self.url = checked_url(&self.url)?;
        if let Some(token) = &self.token {
            check_token(token)?;
        }
        check_identifier("issue_project", &self.issue_project)?;
        self.environments = checked_environments(self.environments, project, check_identifier)?;
        if let Some(field) = &self.fix_field {
            check_id("fix_field", field)?;
        }
        check_pauses(self.poll_seconds, self.reconcile_seconds)?;
        Ok(self)
    }

    /// The project that is a board, if there is one.
    #[must_use]
    pub fn project(&self, board: &Board) -> Option<&str> {
        project_of(board, &self.issue_project, &self.environments)
    }
}

impl GitHubSettings {
    fn checked(mut self, project: &Project) -> Result<Self, InvalidTracker> {
        self.url = checked_url(&self.url)?;
        if let Some(token) = &self.token {
            check_token(token)?;
        }
        check_repository(&self.repository)?;
        let check = |name: &str, labels: &EnvironmentLabels| {
            let both = [("lock_label", &labels.lock_label), ("deploy_label", &labels.deploy_label)];
            both.into_iter().try_for_each(|(what, label)| {
                let label = label.as_deref();
                label.map_or(Ok(()), |label| check_label(&format!("{what} of {name}"), label))
            })
        };
        check_label("issue_label", &self.issue_label)?;
        self.environments = by_names(self.environments, project, check)?;
        // Whatever is on a board is found by its label.
        let mut seen = BTreeSet::new();
        for label in self.labels() {
            if !seen.insert(label.to_lowercase()) {
                return Err(InvalidTracker::LabelTwice(label.to_owned()));
            }
        }
        check_pauses(self.poll_seconds, self.reconcile_seconds)?;
        Ok(self)
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        let all = self.environments.values();
        let all = all.flat_map(|one| [&one.lock_label, &one.deploy_label]).flatten();
        all.map(String::as_str).chain([self.issue_label.as_str()])
    }

    /// The label that is a board, if there is one.
    #[must_use]
    pub fn label(&self, board: &Board) -> Option<&str> {
        match board {
            Board::Issues => Some(&self.issue_label),
            Board::Locks(name) => self.environments.get(name)?.lock_label.as_deref(),
            Board::Deploys(name) => self.environments.get(name)?.deploy_label.as_deref(),
        }
    }

    /// The boards that an issue with such labels is on.
    pub fn boards(&self, has: impl Fn(&str) -> bool) -> BTreeSet<Board> {
        let of_environments = self
            .environments
            .keys()
            .flat_map(|name| [Board::Locks(name.clone()), Board::Deploys(name.clone())]);
        let all = [Board::Issues].into_iter().chain(of_environments);
        all.filter(|board| self.label(board).is_some_and(&has)).collect()
    }

    /// Where the numbers of its issues mean something: in this repository.
    #[must_use]
    pub fn place(&self) -> String {
        format!("github {}/{}", self.url, self.repository.to_lowercase())
    }
}

/// The boards that are a project.
fn boards_of(project: &str, issues: &str, all: &Environments) -> Vec<Board> {
    let of_environments = all.iter().flat_map(|(name, one)| {
        let locks = (one.lock_project.as_deref(), Board::Locks(name.clone()));
        [locks, (one.deploy_project.as_deref(), Board::Deploys(name.clone()))]
    });
    let all = [(Some(issues), Board::Issues)].into_iter().chain(of_environments);
    all.filter(|(own, _)| *own == Some(project)).map(|(_, board)| board).collect()
}

fn project_of<'a>(board: &Board, issues: &'a str, all: &'a Environments) -> Option<&'a str> {
    match board {
        Board::Issues => Some(issues),
        Board::Locks(environment) => all.get(environment)?.lock_project.as_deref(),
        Board::Deploys(environment) => all.get(environment)?.deploy_project.as_deref(),
    }
}

/// Environments by their names, not by their aliases.
fn by_names<T>(
    all: BTreeMap<String, T>,
    project: &Project,
    check: impl Fn(&str, &T) -> Result<(), InvalidTracker>,
) -> Result<BTreeMap<String, T>, InvalidTracker> {
    let mut environments = BTreeMap::new();
    for (name, places) in all {
        let known = project.environment(&name);
        let known = known.ok_or_else(|| InvalidTracker::Environment(name.clone()))?;
        check(&name, &places)?;
        if environments.insert(known.name.clone(), places).is_some() {
            return Err(InvalidTracker::EnvironmentTwice(name));
        }
    }
    Ok(environments)
}

fn checked_environments(
    all: Environments,
    project: &Project,
    check: fn(&str, &str) -> Result<(), InvalidTracker>,
) -> Result<Environments, InvalidTracker> {
    by_names(all, project, |name, places| {
        let both =
            [("lock_project", &places.lock_project), ("deploy_project", &places.deploy_project)];
        both.into_iter().try_for_each(|(what, id)| {
            id.as_deref().map_or(Ok(()), |id| check(&format!("{what} of {name}"), id))
        })
    })
}

fn check_pauses(poll: u32, reconcile: u32) -> Result<(), InvalidTracker> {
    if !POLL_SECONDS.contains(&poll) {
        return Err(InvalidTracker::Poll);
    }
    if !RECONCILE_SECONDS.contains(&reconcile) {
        return Err(InvalidTracker::Reconcile);
    }
    Ok(())
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

fn check_identifier(what: &str, id: &str) -> Result<(), InvalidTracker> {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_good = (1..=MOST_IDENTIFIER_CHARS).contains(&id.len())
        && id.bytes().all(|byte| is_known(byte) || b"-_".contains(&byte));
    if is_good { Ok(()) } else { Err(InvalidTracker::Identifier(what.to_owned())) }
}

fn check_repository(repository: &str) -> Result<(), InvalidTracker> {
    let is_part = |part: &str, most: usize, also: &[u8]| {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
        (1..=most).contains(&part.len()) && part.bytes().all(is_known)
    };
    let [most_owner, most_name] = MOST_REPOSITORY_CHARS;
    let is_good = repository.split_once('/').is_some_and(|(owner, name)| {
        is_part(owner, most_owner, b"-_")
            && is_part(name, most_name, b"-_.")
            && !matches!(name, "." | "..")
    });
    if is_good { Ok(()) } else { Err(InvalidTracker::Repository) }
}

fn check_label(what: &str, label: &str) -> Result<(), InvalidTracker> {
    // Lists of labels are separated by commas where GitHub is asked for those that have one.
    let is_good = (1..=MOST_LABEL_CHARS).contains(&label.chars().count())
        && label.trim() == label
        && !matches!(label, "." | "..")
        && !label.contains(|c: char| c.is_control() || c == ',');
    if is_good { Ok(()) } else { Err(InvalidTracker::Label(what.to_owned())) }
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
    fn repositories_have_an_owner_and_a_name() {
        for good in ["acme/shop", "Acme-2/shop.rs", "a/.github"] {
            assert_eq!(check_repository(good), Ok(()), "{good}");
        }
        for wrong in ["shop", "a/b/c", "/b", "a/", "a/..", "a b/c", "a/b?x", "a/%2e", "é/b"] {
            assert_eq!(check_repository(wrong), Err(InvalidTracker::Repository), "{wrong}");
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
            r#"{"kind": "git_hub", "token": "x", "repository": "a/b"}"#,
            r#"{"kind": "built_in", "token": "x"}"#,
            r#"{"kind": "asana", "issue_project": "7", "board": "x"}"#,
            r#"{"kind": "asana"}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<TrackerSettings>(wrong).is_err(), "{wrong}");
        }
    }
}
