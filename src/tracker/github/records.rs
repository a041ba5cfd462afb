//! What GitHub answers.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The longest message of GitHub that is shown, in characters.
const MOST_MESSAGE_CHARS: usize = 300;

/// An issue, or a pull request among issues.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Issue {
    /// Its number in the repository; 0 is none.
    pub(super) number: u64,
    pub(super) html_url: String,
    pub(super) title: String,
    #[serde(deserialize_with = "or_none")]
    pub(super) body: String,
    pub(super) state: String,
    pub(super) updated_at: String,
    pub(super) assignees: Vec<User>,
    /// Text, or records with a name.
    labels: Vec<Value>,
    /// Who made it; nobody who is still there.
    pub(super) user: Option<User>,
    pull_request: Option<IgnoredAny>,
}

/// Somebody.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) login: String,
    /// `User`, `Bot` and others.
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// Something of an issue's timeline: what happened, or what was said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Happened {
    /// What it is called among those of its kind.
    pub(super) id: Option<u64>,
    pub(super) event: String,
    /// Who did it; nobody who is still there.
    pub(super) actor: Option<User>,
    /// Who said it.
    pub(super) user: Option<User>,
    pub(super) created_at: Option<String>,
    pub(super) label: Option<Label>,
    #[serde(deserialize_with = "or_none")]
    pub(super) body: String,
    /// What who said it is to the repository.
    #[serde(deserialize_with = "or_none")]
    author_association: String,
}

/// A label that was put on or taken off.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Label {
    pub(super) name: String,
}

/// What was said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Comment {
    #[serde(deserialize_with = "or_none")]
    pub(super) body: String,
}

/// A repository, and what the user of the token may do in it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Repository {
    pub(super) full_name: String,
    pub(super) has_issues: bool,
    pub(super) archived: bool,
    pub(super) private: bool,
    pub(super) permissions: Permissions,
}

/// Roles; each has those after it, but older servers do not know all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Permissions {
    admin: bool,
    push: bool,
    triage: bool,
}

/// A text that may be null.
fn or_none<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

impl Issue {
    /// Whether it is no pull request.
    pub(super) fn is_issue(&self) -> bool {
        self.pull_request.is_none()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == "closed"
    }

    /// Whether it has a label.
    pub(super) fn has_label(&self, label: &str) -> bool {
        let name = |own: &Value| {
            let name = own.as_str().or_else(|| own.get("name")?.as_str());
            name.map(str::to_lowercase)
        };
        self.labels.iter().filter_map(name).any(|name| name == label.to_lowercase())
    }

    /// Whether somebody made it.
    pub(super) fn is_of(&self, login: &str) -> bool {
        self.user.as_ref().is_some_and(|user| user.login == login)
    }
}

impl Happened {
    /// Whether who said it may change something in the repository, as far as GitHub says.
    pub(super) fn is_by_member(&self) -> bool {
        ["OWNER", "MEMBER", "COLLABORATOR"].contains(&self.author_association.as_str())
    }
}

impl Permissions {
    /// Whether issues may be given labels and be closed.
    pub(super) fn is_enough(&self) -> bool {
        self.admin || self.push || self.triage
    }
}

/// What GitHub says is wrong.
pub(super) fn message(answer: &Value) -> String {
    let text = |one: &Value, name: &str| one.get(name)?.as_str().map(str::to_owned);
    let mut parts: Vec<String> = text(answer, "message").into_iter().collect();
    let errors = answer.get("errors").and_then(Value::as_array);
    parts.extend(errors.into_iter().flatten().filter_map(|error| {
        let said = error.as_str().map(str::to_owned).or_else(|| text(error, "message"));
        said.or_else(|| Some(format!("{} is {}", text(error, "field")?, text(error, "code")?)))
    }));
    let text = parts.join("; ").replace(char::is_control, " ");
    if text.is_empty() {
        return "it does not say why".to_owned();
    }
    text.chars().take(MOST_MESSAGE_CHARS).collect()
}
