//! Answers: the envelope, errors, and which fields of a record are shown.

use serde_json::{Map, Value, json};

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

/// What a request comes to; errors are answers as well.
pub(super) type Outcome = Result<Reply, Reply>;

impl Reply {
    pub(super) fn ok(data: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: json!({"data": data}) }
    }

    pub(super) fn created(path: &str, data: &Value) -> Self {
        let headers = vec![("Location", format!("/api/1.0{path}"))];
        Self { status: 201, headers, body: json!({"data": data}) }
    }

    pub(super) fn empty() -> Self {
        Self::ok(&json!({}))
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        let help = "For more information on API status codes and how to handle them, read the \
                    docs on errors: https://developers.asana.com/docs/errors";
        let body = json!({"errors": [{"message": message, "help": help}]});
        Self { status, headers: Vec::new(), body }
    }

    pub(super) fn bad(message: impl AsRef<str>) -> Self {
        Self::error(400, message.as_ref())
    }

    pub(super) fn not_found(what: &str, gid: &str) -> Self {
        Self::error(404, &format!("{what}: Unknown object: {gid}"))
    }

    pub(super) fn premium() -> Self {
        Self::error(402, "The requested feature is not available to this workspace: upgrade")
    }

    /// The only errors that have a phrase.
    pub(super) fn broken(status: u16) -> Self {
        let phrase = "6 sad squid snuggle softly";
        match status {
            500 => {
                let error = json!({"message": "Server Error", "phrase": phrase});
                Self { status, headers: Vec::new(), body: json!({"errors": [error]}) }
            }
            status => Self::error(status, "Service unavailable"),
        }
    }

    pub(super) fn rate_limited(retry_after: u64) -> Self {
        let text = "You've made too many requests and hit a rate limit. Please retry after the \
                    given amount of time.";
        let mut reply = Self::error(429, text);
        reply.headers.push(("Retry-After", retry_after.to_string()));
        reply
    }
}

/// What lists show of each kind of record, and what a single one shows.
pub(super) fn default_fields(kind: &str, is_list: bool) -> &'static str {
    match (kind, is_list) {
        ("task" | "attachment", true) => "resource_type,name,resource_subtype",
        ("task", false) => {
            "resource_type,resource_subtype,name,notes,completed,completed_at,created_at,\
             modified_at,due_on,due_at,permalink_url,external.(gid|data),tags,\
             assignee.(resource_type|name),followers.(resource_type|name),\
             projects.(resource_type|name),memberships.project.(resource_type|name),\
             memberships.section.(resource_type|name),parent.(resource_type|name),\
             workspace.(resource_type|name),custom_fields.(resource_type|name|resource_subtype|\
             type|text_value|number_value|enum_value.(name|enabled|resource_type)|display_value|\
             enabled)"
        }
        ("user", false) => "resource_type,name,email,workspaces.(resource_type|name)",
        ("workspace", false) => "resource_type,name,is_organization",
        ("project", false) => {
            "resource_type,name,notes,archived,created_at,modified_at,permalink_url,\
             workspace.(resource_type|name)"
        }
        ("section", false) => "resource_type,name,created_at,project.(resource_type|name)",
        ("story", true) => {
            "resource_type,resource_subtype,created_at,type,text,created_by.(resource_type|name)"
        }
        ("story", false) => {
            "resource_type,resource_subtype,created_at,type,text,is_pinned,is_editable,\
             created_by.(resource_type|name),target.(resource_type|name)"
        }
        ("attachment", false) => {
            "resource_type,name,resource_subtype,created_at,host,size,parent.(resource_type|name)"
        }
        ("custom_field", true) => "resource_type,name,resource_subtype,type",
        ("custom_field", false) => {
            "resource_type,name,resource_subtype,type,enum_options.(resource_type|name|enabled),\
             workspace.(resource_type|name)"
        }
        ("project_membership", _) => {
            "resource_type,parent.(resource_type|name),member.(resource_type|name),access_level"
        }
        ("webhook", true) => "resource_type,active,target,resource.(resource_type|name)",
        ("webhook", false) => {
            "resource_type,active,target,resource.(resource_type|name),created_at,\
             last_success_at,last_failure_at,last_failure_content,delivery_retry_count,\
             next_attempt_after,failure_deletion_timestamp,filters"
        }
        _ => "resource_type,name",
    }
}

/// The fields of a record that are asked for, and always its gid.
pub(super) fn project(record: &Value, fields: &str) -> Value {
    let paths: Vec<Vec<String>> = expand(fields);
    let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
    select(record, &paths)
}

/// `a,b.(c|d)` are the paths a, b.c and b.d; `this.` says nothing.
fn expand(fields: &str) -> Vec<Vec<String>> {
    let alternatives = split(fields, &[',']);
    alternatives.iter().flat_map(|path| paths(path)).collect()
}

fn paths(path: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for part in split(path.trim(), &['.']) {
        let inner = part.strip_prefix('(').and_then(|part| part.strip_suffix(')'));
        let ways = match inner {
            Some(inner) => split(inner, &['|']).iter().flat_map(|way| paths(way)).collect(),
            None if part == "this" => vec![Vec::new()],
            None => vec![vec![part.trim().to_owned()]],
        };
        let longer = |start: &Vec<String>| -> Vec<Vec<String>> {
            ways.iter().map(|way| [start.as_slice(), way.as_slice()].concat()).collect()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// Splits outside of groups.
fn split(text: &str, at: &[char]) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 && at.contains(&c) {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("one at least").push(c);
        }
    }
    parts
}

fn select(value: &Value, paths: &[&[String]]) -> Value {
    let record = match value {
        Value::Array(all) => return all.iter().map(|each| select(each, paths)).collect(),
        Value::Object(record) => record,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return value.clone(),
    };
    let mut shown = Map::new();
    if let Some(gid) = record.get("gid") {
        shown.insert("gid".to_owned(), gid.clone());
    }
    for path in paths {
        let Some((first, _)) = path.split_first() else { continue };
        let Some(inner) = record.get(first) else { continue };
        let deeper = paths.iter().filter_map(|path| path.strip_prefix(std::slice::from_ref(first)));
        let deeper: Vec<&[String]> = deeper.filter(|rest| !rest.is_empty()).collect();
        let inner = if deeper.is_empty() { bare(inner) } else { select(inner, &deeper) };
        shown.insert(first.clone(), inner);
    }
    Value::Object(shown)
}

/// A record that is only referred to says what it is and no more.
fn bare(value: &Value) -> Value {
    match value {
        Value::Array(all) => all.iter().map(bare).collect(),
        Value::Object(record) if record.contains_key("gid") && record.contains_key("data") => {
            value.clone()
        }
        Value::Object(record) if record.contains_key("gid") => {
            json!({"gid": record["gid"], "resource_type": record.get("resource_type")})
        }
        Value::Object(record) => {
            record.iter().map(|(name, inner)| (name.clone(), bare(inner))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
