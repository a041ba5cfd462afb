//! What Asana answers.

use serde::Deserialize;
use serde_json::Value;

/// A record of any kind; what it does not have, or was not asked for, is none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// Its id.
    pub(super) gid: Option<String>,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    /// Of a task.
    pub(super) notes: Option<String>,
    /// Of a story.
    pub(super) text: Option<String>,
    pub(super) resource_subtype: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) permalink_url: Option<String>,
    pub(super) archived: Option<bool>,
    /// What the application that asks calls it.
    pub(super) external: Option<Reference>,
    pub(super) workspace: Option<Reference>,
    /// Of a task: the projects it is in.
    pub(super) memberships: Option<Vec<Record>>,
    /// Of a membership.
    pub(super) project: Option<Reference>,
    pub(super) completed: Option<bool>,
    pub(super) assignee: Option<Box<Record>>,
    pub(super) custom_fields: Option<Vec<Record>>,
    /// Of a custom field.
    pub(super) text_value: Option<String>,
    /// Of a story.
    pub(super) created_by: Option<Box<Record>>,
    /// Of an event.
    pub(super) user: Option<Reference>,
    pub(super) resource: Option<Resource>,
    pub(super) parent: Option<Resource>,
    /// Of a webhook: the address it goes to, and how that is.
    pub(super) target: Option<String>,
    pub(super) active: Option<bool>,
    pub(super) last_failure_content: Option<String>,
    pub(super) next_attempt_after: Option<String>,
    /// Of who is in a project.
    pub(super) access_level: Option<String>,
    /// Of a setting.
    pub(super) custom_field: Option<Box<Record>>,
}

/// What is only referred to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) gid: Option<String>,
}

/// What something happened to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    pub(super) gid: Option<String>,
    pub(super) resource_type: Option<String>,
}

/// What happened, and where the next look goes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Events {
    pub(super) data: Vec<Record>,
    pub(super) sync: Option<String>,
    pub(super) has_more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct One {
    data: Record,
}

/// A page of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    data: Vec<Record>,
    next_page: Option<NextPage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NextPage {
    offset: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Errors {
    errors: Vec<Message>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    message: Option<String>,
}

impl Record {
    /// The record of an answer; an empty one where it has none.
    pub(super) fn of(answer: Value) -> Self {
        serde_json::from_value::<One>(answer).unwrap_or_default().data
    }
}

impl Page {
    /// The records of an answer, and where the next page begins.
    pub(super) fn of(answer: Value) -> (Vec<Record>, Option<String>) {
        let page: Self = serde_json::from_value(answer).unwrap_or_default();
        (page.data, page.next_page.and_then(|next| next.offset))
    }
}

/// The longest message of Asana that is shown, in characters.
const MOST_MESSAGE_CHARS: usize = 300;

/// What Asana says is wrong.
pub(super) fn message(answer: &Value) -> String {
    let errors = Errors::deserialize(answer).unwrap_or_default().errors;
    let texts: Vec<String> = errors.into_iter().filter_map(|error| error.message).collect();
    let text = texts.join("; ").replace(char::is_control, " ");
    if text.is_empty() {
        return "it does not say why".to_owned();
    }
    text.chars().take(MOST_MESSAGE_CHARS).collect()
}
