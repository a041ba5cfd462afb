//! What the workspace holds, and who asks.

use std::collections::BTreeMap;
use std::time::Duration;

use airlock::clock::Clock;
use serde_json::{Value, json};

use super::events::Event;
use super::failures::Plan;
use super::limits::Limits;
use super::reply::{Outcome, Reply, default_fields, project};
use super::request::Asked;
use super::tasks::Task;
use super::webhooks::Webhook;

/// The only workspace.
pub(crate) const WORKSPACE: &str = "1100000000000001";
/// Whose token [`super::PAT`] is: the bot.
pub(crate) const BOT: &str = "1100000000000002";
/// A person, who works by hand.
pub(crate) const PERSON: &str = "1100000000000003";

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// None for what rules of the workspace do.
    pub(super) user: Option<String>,
    /// The application of an OAuth token, which has external ids of its own.
    pub(super) app: Option<String>,
}

/// All there is.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) clock: Clock,
    /// By token.
    pub(super) tokens: BTreeMap<String, Who>,
    pub(super) n_made: u64,
    pub(super) users: Vec<Value>,
    pub(super) projects: Vec<Value>,
    /// What the bot may do in projects where it is no editor.
    pub(super) access: BTreeMap<String, String>,
    pub(super) sections: Vec<Value>,
    pub(super) custom_fields: Vec<Value>,
    /// Custom fields by project.
    pub(super) settings: BTreeMap<String, Vec<String>>,
    pub(super) tasks: Vec<Task>,
    /// Tasks by section, in the order of the board.
    pub(super) order: BTreeMap<String, Vec<String>>,
    pub(super) stories: Vec<Value>,
    pub(super) attachments: Vec<Value>,
    /// The bytes of attachments.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) events: Vec<Event>,
    /// Older sync tokens are expired.
    pub(super) sync_epoch: usize,
    pub(super) webhooks: Vec<Webhook>,
    /// Where a page starts, by offset.
    pub(super) offsets: BTreeMap<String, usize>,
    /// What search sees once its lag has passed.
    pub(super) index: Vec<(i64, Task)>,
    pub(super) search_lag: Duration,
    /// A workspace that pays for nothing.
    pub(super) is_free: bool,
    pub(super) refuses_localhost: bool,
    pub(super) limits: Limits,
    pub(super) plan: Plan,
    /// Changes of the API to come, which every answer tells of.
    pub(super) changes: Vec<String>,
    pub(super) log: Vec<Asked>,
}

impl State {
    pub(super) fn new(clock: Clock, tokens: BTreeMap<String, Who>) -> Self {
        let workspace = json!([{
            "gid": WORKSPACE, "resource_type": "workspace", "name": "Shop", "is_organization": true,
        }]);
        let user = |gid: &str, name: &str| {
            json!({
                "gid": gid, "resource_type": "user", "name": name,
                "email": format!("{}@example.com", name.to_lowercase()), "workspaces": workspace,
            })
        };
        Self {
            clock,
            tokens,
            n_made: 0,
            users: vec![user(BOT, "Airlock"), user(PERSON, "Zoe")],
            projects: Vec::new(),
            access: BTreeMap::new(),
            sections: Vec::new(),
            custom_fields: Vec::new(),
            settings: BTreeMap::new(),
            tasks: Vec::new(),
            order: BTreeMap::new(),
            stories: Vec::new(),
            attachments: Vec::new(),
            files: BTreeMap::new(),
            events: Vec::new(),
            sync_epoch: 0,
            webhooks: Vec::new(),
            offsets: BTreeMap::new(),
            index: Vec::new(),
            search_lag: Duration::ZERO,
            is_free: false,
            refuses_localhost: false,
            limits: Limits::default(),
            plan: Plan::default(),
            changes: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }

    /// The time, as Asana writes it.
    pub(super) fn now_text(&self) -> String {
        time_text(self.now())
    }

    /// Nothing is ever given twice.
    pub(super) fn new_gid(&mut self) -> String {
        self.n_made += 1;
        (1_200_000_000_000_000 + self.n_made * 7).to_string()
    }

    pub(super) fn workspace(&self) -> Value {
        self.users[0]["workspaces"][0].clone()
    }

    /// A user by gid, mail address or `me`.
    pub(super) fn user(&self, who: &Who, name: &str) -> Option<&Value> {
        let name = if name == "me" { who.user.as_deref()? } else { name };
        self.users.iter().find(|user| user["gid"] == name || user["email"] == name)
    }

    /// Shows one record.
    pub(super) fn one(asked: &Asked, record: &Value) -> Value {
        let kind = record["resource_type"].as_str().unwrap_or_default();
        match asked.opt_fields() {
            Some(fields) => project(record, &fields),
            None => project(record, default_fields(kind, false)),
        }
    }

    /// Shows a page of a list: all of it up to a thousand when no limit is given.
    pub(super) fn page(&mut self, asked: &Asked, records: &[Value]) -> Outcome {
        let show = |record: &Value| {
            let kind = record["resource_type"].as_str().unwrap_or_default();
            match asked.opt_fields() {
                Some(fields) => project(record, &fields),
                None => project(record, default_fields(kind, true)),
            }
        };
        let Some(limit) = asked.query.get("limit") else {
            return Ok(Reply::ok(&records.iter().take(1000).map(show).collect()));
        };
        let limit = limit.parse::<usize>().ok().filter(|limit| (1..=100).contains(limit));
        let limit = limit.ok_or_else(|| Reply::bad("limit: Must be between 1 and 100"))?;
        let start = match asked.query.get("offset") {
            None => 0,
            Some(offset) => *self.offsets.get(offset).ok_or_else(|| {
                Reply::bad("offset: Your pagination token has expired or is invalid")
            })?,
        };
        let data: Value = records.iter().skip(start).take(limit).map(show).collect();
        let mut reply = Reply::ok(&data);
        reply.body["next_page"] = Value::Null;
        if start + limit < records.len() {
            let offset = format!("eyJ{:x}", self.offsets.len() + 4096);
            self.offsets.insert(offset.clone(), start + limit);
            let is_other = |pair: &&str| !pair.starts_with("offset=");
            let query = asked.target.split('?').nth(1).unwrap_or_default();
            let query: Vec<&str> = query.split('&').filter(is_other).collect();
            let path = format!("{}?{}&offset={offset}", asked.path(), query.join("&"));
            let uri = format!("https://app.asana.com/api/1.0{path}");
            reply.body["next_page"] = json!({"offset": offset, "path": path, "uri": uri});
        }
        Ok(reply)
    }
}

/// A time as Asana writes it: in milliseconds, UTC.
pub(super) fn time_text(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).expect("a time that can be written");
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A record by its gid.
pub(super) fn find<'a>(records: &'a [Value], what: &str, gid: &str) -> Result<&'a Value, Reply> {
    let record = records.iter().find(|record| record["gid"] == gid);
    record.ok_or_else(|| Reply::not_found(what, gid))
}

/// A text of a body; an error where it is something else.
pub(super) fn text<'a>(
    data: &'a serde_json::Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, Reply> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Reply::bad(format!("{name}: Value is not a string: {other}"))),
    }
}

/// A text of a body that must be there.
pub(super) fn needed<'a>(
    data: &'a serde_json::Map<String, Value>,
    name: &str,
) -> Result<&'a str, Reply> {
    text(data, name)?.ok_or_else(|| Reply::bad(format!("{name}: Missing input")))
}
