//! What Redmine answers.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An issue; what it was not asked for is none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Issue {
    /// Its number; 0 is none.
    pub(super) id: u64,
    pub(super) subject: String,
    #[serde(deserialize_with = "text")]
    pub(super) description: String,
    pub(super) status: Named,
    pub(super) author: Option<Named>,
    pub(super) assigned_to: Option<Named>,
    pub(super) custom_fields: Vec<Named>,
    pub(super) updated_on: String,
    /// What the user of the token may set.
    pub(super) allowed_statuses: Vec<Named>,
    pub(super) journals: Vec<Journal>,
    pub(super) attachments: Vec<Attachment>,
}

/// Something that has a number: a status, a user or a field.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) id: u64,
    pub(super) name: String,
    /// Of a status.
    pub(super) is_closed: bool,
    /// Of a field.
    value: Value,
    /// Of a project: 1 is active.
    pub(super) status: Option<u64>,
    login: String,
    mail: String,
    firstname: String,
    lastname: String,
}

/// Whose the key is, and where that user is a member.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    admin: bool,
    memberships: Vec<Membership>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Membership {
    project: Named,
    roles: Vec<Named>,
}

/// What a role may do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) permissions: Vec<String>,
}

/// What happened to an issue, and what was said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Journal {
    pub(super) id: u64,
    pub(super) user: Option<Named>,
    pub(super) created_on: String,
    notes: Option<String>,
    pub(super) details: Vec<Detail>,
}

/// What was changed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    /// `attr` for what every issue has, `cf` for a field.
    pub(super) property: String,
    /// Of a field its number.
    pub(super) name: String,
}

/// A file of an issue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attachment {
    pub(super) filename: String,
}

/// A page of a list.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) records: Vec<Value>,
    /// How many there are on all pages.
    pub(super) n_total: usize,
}

/// A text that may be null.
fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

impl Issue {
    /// The issue of an answer; an empty one where it has none.
    pub(super) fn of(answer: &Value) -> Self {
        answer.get("issue").map_or_else(Self::default, |own| {
            serde_json::from_value(own.clone()).unwrap_or_default()
        })
    }
}

impl User {
    /// The user of an answer.
    pub(super) fn of(answer: &Value) -> Self {
        let own = answer.get("user").cloned().unwrap_or_default();
        serde_json::from_value(own).unwrap_or_default()
    }

    /// Whether this user may do everything.
    pub(super) fn is_admin(&self) -> bool {
        self.admin
    }

    /// The roles in a project of which this user is a member.
    pub(super) fn roles_in(&self, project: u64) -> Option<&[Named]> {
        let found = self.memberships.iter().find(|own| own.project.id == project)?;
        Some(&found.roles)
    }
}

impl Role {
    /// The role of an answer.
    pub(super) fn of(answer: &Value) -> Self {
        let own = answer.get("role").cloned().unwrap_or_default();
        serde_json::from_value(own).unwrap_or_default()
    }
}

impl Named {
    /// What stands under a name in an answer.
    pub(super) fn of(answer: &Value, name: &str) -> Self {
        let own = answer.get(name).cloned().unwrap_or_default();
        serde_json::from_value(own).unwrap_or_default()
    }

    /// The text of a field.
    pub(super) fn text(&self) -> Option<String> {
        self.value.as_str().map(ToOwned::to_owned)
    }

    /// What people call it.
    pub(super) fn shown(&self) -> String {
        if self.name.is_empty() {
            return format!("{} {}", self.firstname, self.lastname).trim().to_owned();
        }
        self.name.clone()
    }

    /// Whether a user is called so: the login, the mail address or the whole name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let names = [&self.login, &self.mail, &self.shown()].map(|own| own.to_lowercase());
        names.iter().any(|own| !own.is_empty() && *own == name)
    }
}

impl Journal {
    /// What was said.
    pub(super) fn notes(&self) -> &str {
        self.notes.as_deref().unwrap_or_default()
    }
}

impl Page {
    /// The records that stand under a name in an answer.
    pub(super) fn of(mut answer: Value, name: &str) -> Self {
        let n_total = answer.get("total_count").and_then(Value::as_u64).unwrap_or_default();
        let records = match answer.get_mut(name).map(Value::take) {
            Some(Value::Array(records)) => records,
            Some(_) | None => Vec::new(),
        };
        Self { records, n_total: usize::try_from(n_total).unwrap_or(usize::MAX) }
    }

    /// Those that are what they should be.
    pub(super) fn all<T: DeserializeOwned>(self) -> Vec<T> {
        self.records.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Errors {
    errors: Vec<String>,
}

/// The longest message of Redmine that is shown, in characters.
const MOST_MESSAGE_CHARS: usize = 300;

/// What Redmine says is wrong.
pub(super) fn message(answer: &Value) -> String {
    let errors = Errors::deserialize(answer).unwrap_or_default().errors;
    let text = errors.join("; ").replace(char::is_control, " ");
    if text.is_empty() {
        return "it does not say why".to_owned();
    }
    text.chars().take(MOST_MESSAGE_CHARS).collect()
}
