//! Webhooks: the handshake, signed deliveries, heartbeats, and the end of those that fail for a day.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::hmac;
use serde_json::{Value, json};

use super::events::Event;
use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::state::{State, Who, find, needed, time_text};
use super::tasks::Task;

/// A webhook and what it has yet to deliver.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) gid: String,
    pub(crate) secret: String,
    resource: Value,
    target: String,
    filters: Value,
    created_at: i64,
    pub(super) queue: Vec<Value>,
    heartbeat_at: i64,
    attempt_at: i64,
    n_retries: u32,
    failing_since: Option<i64>,
    last_success_at: Option<i64>,
    last_failure: Option<(i64, String)>,
}

/// What deliveries do that they should not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deliveries {
    /// So many are lost.
    pub(crate) lost: usize,
    /// Each comes twice.
    pub(crate) are_doubled: bool,
    /// The last event comes first.
    pub(crate) are_reversed: bool,
    /// The most events of one; 0 for all there are.
    pub(crate) most_events: usize,
    /// How long a receiver may take, where ten seconds are too long for a test.
    pub(crate) timeout: Option<Duration>,
}

const SECOND_US: i64 = 1_000_000;
const HEARTBEAT_US: i64 = 8 * 3600 * SECOND_US;
const GIVE_UP_US: i64 = 24 * 3600 * SECOND_US;
/// How long a receiver may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The hexadecimal HMAC of a body.
pub(super) fn sign(secret: &str, body: &[u8]) -> String {
    use std::fmt::Write as _;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a text takes all");
        hex
    })
}

impl Webhook {
    fn value(&self) -> Value {
        let time = |at: Option<i64>| at.map(time_text);
        let failure = self.last_failure.as_ref();
        let is_failing = self.failing_since.is_some();
        json!({
            "gid": self.gid, "resource_type": "webhook", "active": true,
            "resource": self.resource, "target": self.target, "filters": self.filters,
            "created_at": time_text(self.created_at),
            "last_success_at": time(self.last_success_at),
            "last_failure_at": time(failure.map(|(at, _)| *at)),
            "last_failure_content": failure.map_or("", |(_, content)| content.as_str()),
            "delivery_retry_count": self.n_retries,
            "next_attempt_after": is_failing.then(|| time_text(self.attempt_at)),
            "failure_deletion_timestamp":
                self.failing_since.map(|since| time_text(since + GIVE_UP_US)),
        })
    }

    fn wants(&self, event: &Event) -> bool {
        let resource = self.resource["gid"].as_str().unwrap_or_default();
        if !event.roots.iter().any(|root| root == resource) {
            return false;
        }
        let body = &event.body;
        let fits = |filter: &Value| {
            let is = |name: &str, own: &Value| filter[name].is_null() || filter[name] == *own;
            let field = &body["change"]["field"];
            is("resource_type", &body["resource"]["resource_type"])
                && is("resource_subtype", &body["resource"]["resource_subtype"])
                && is("action", &body["action"])
                && filter["fields"].as_array().is_none_or(|fields| fields.contains(field))
        };
        let filters = self.filters.as_array();
        filters.is_none_or(|filters| filters.is_empty() || filters.iter().any(fits))
    }
}

impl State {
    /// Leaves an event to those webhooks that want it.
    pub(super) fn queue(&mut self, event: &Event) {
        let short = |value: &Value| match value["gid"].as_str() {
            Some(gid) => {
                let mut short = json!({"gid": gid, "resource_type": value["resource_type"]});
                if value["resource_subtype"].is_string() {
                    short["resource_subtype"] = value["resource_subtype"].clone();
                }
                short
            }
            None => Value::Null,
        };
        let mut body = event.body.clone();
        body["resource"] = short(&event.body["resource"]);
        body["parent"] = short(&event.body["parent"]);
        for hook in self.webhooks.iter_mut().filter(|hook| hook.wants(event)) {
            hook.queue.push(body.clone());
        }
    }

    pub(super) fn webhook_index(&self, gid: &str) -> Result<usize, Reply> {
        let index = self.webhooks.iter().position(|hook| hook.gid == gid);
        index.ok_or_else(|| Reply::not_found("webhook", gid))
    }

    pub(super) fn get_webhook(&self, asked: &Asked, gid: &str) -> Outcome {
        Ok(Reply::ok(&Self::one(asked, &self.webhooks[self.webhook_index(gid)?].value())))
    }

    pub(super) fn list_webhooks(&mut self, asked: &Asked) -> Outcome {
        if !asked.query.contains_key("workspace") {
            return Err(Reply::bad("workspace: Missing input"));
        }
        let resource = asked.query.get("resource");
        let is_it = |hook: &&Webhook| {
            resource.is_none_or(|resource| hook.resource["gid"] == resource.as_str())
        };
        let hooks: Vec<Value> = self.webhooks.iter().filter(is_it).map(Webhook::value).collect();
        self.page(asked, &hooks)
    }

    /// The filters are replaced as a whole.
    pub(super) fn update_webhook(&mut self, asked: &Asked, gid: &str) -> Outcome {
        let index = self.webhook_index(gid)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        self.webhooks[index].filters = checked_filters(data.get("filters"))?;
        Ok(Reply::ok(&Self::one(asked, &self.webhooks[index].value())))
    }

    pub(super) fn delete_webhook(&mut self, gid: &str) -> Outcome {
        let index = self.webhook_index(gid)?;
        self.webhooks.remove(index);
        Ok(Reply::empty())
    }

    fn planned_webhook(&mut self, who: &Who, asked: &Asked) -> Result<Webhook, Reply> {
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let resource = needed(&data, "resource")?;
        let target = needed(&data, "target")?.to_owned();
        let resource = if let Ok(project) = find(&self.projects, "resource", resource) {
            project.clone()
        } else {
            let task = &self.tasks[self.task_index(who, resource)?];
            json!({"gid": task.gid, "resource_type": "task", "name": task.name})
        };
        let is_local = ["//localhost", "//127.", "//[::1]"].iter().any(|at| target.contains(at));
        if self.refuses_localhost && is_local {
            return Err(Reply::error(403, "target: Local addresses are not allowed"));
        }
        let (gid, now) = (self.new_gid(), self.now());
        Ok(Webhook {
            secret: sign(&gid, b"secret"),
            gid,
            resource,
            target,
            filters: checked_filters(data.get("filters"))?,
            created_at: now,
            queue: Vec::new(),
            heartbeat_at: now,
            attempt_at: now,
            n_retries: 0,
            failing_since: None,
            last_success_at: None,
            last_failure: None,
        })
    }

    /// What is due: a webhook, the body, and whether it is lost on its way.
    pub(super) fn lie(&mut self) {
        let of = |task: &Task| json!({"gid": task.gid, "resource_type": "task"});
        let all: Vec<Value> = self.tasks.iter().map(of).collect();
        let lies = all.iter().flat_map(|task| {
            ["deleted", "removed", "changed"]
                .map(|action| json!({"user": null, "resource": task, "action": action}))
        });
        let lies: Vec<Value> = lies.collect();
        for hook in &mut self.webhooks {
            hook.queue.extend(lies.iter().cloned());
        }
    }

    fn take_due(&mut self, knobs: &mut Deliveries) -> Vec<Due> {
        let now = self.now();
        self.webhooks.retain(|hook| hook.failing_since.is_none_or(|at| now - at < GIVE_UP_US));
        let mut due = Vec::new();
        for hook in &mut self.webhooks {
            let has_any = !hook.queue.is_empty() || hook.heartbeat_at <= now;
            if hook.attempt_at > now || !has_any {
                continue;
            }
            let most = if knobs.most_events == 0 { usize::MAX } else { knobs.most_events };
            let rest = hook.queue.split_off(hook.queue.len().min(most));
            let mut events = std::mem::replace(&mut hook.queue, rest);
            if events.is_empty() {
                hook.heartbeat_at = now + HEARTBEAT_US;
            }
            let kept = events.clone();
            if knobs.are_reversed {
                events.reverse();
            }
            let is_lost = knobs.lost > 0;
            knobs.lost -= usize::from(is_lost);
            let body = json!({"events": events}).to_string();
            let (gid, target) = (hook.gid.clone(), hook.target.clone());
            let signature = sign(&hook.secret, body.as_bytes());
            due.push(Due { gid, target, body, signature, events: kept, is_lost });
        }
        due
    }

    fn delivered(&mut self, due: Due, outcome: Result<(), String>) {
        let now = self.now();
        let Some(hook) = self.webhooks.iter_mut().find(|hook| hook.gid == due.gid) else { return };
        match outcome {
            Ok(()) => {
                hook.last_success_at = Some(now);
                hook.failing_since = None;
                hook.n_retries = 0;
                hook.attempt_at = now;
            }
            Err(content) => {
                hook.last_failure = Some((now, content));
                hook.failing_since.get_or_insert(now);
                hook.attempt_at = now + ((10 * SECOND_US) << hook.n_retries.min(8));
                hook.n_retries += 1;
                if due.events.is_empty() {
                    hook.heartbeat_at = now;
                }
                hook.queue.splice(0..0, due.events);
            }
        }
    }
}

struct Due {
    gid: String,
    target: String,
    body: String,
    signature: String,
    events: Vec<Value>,
    is_lost: bool,
}

fn checked_filters(filters: Option<&Value>) -> Result<Value, Reply> {
    let filters = filters.cloned().unwrap_or_else(|| json!([]));
    let all = filters.as_array().ok_or_else(|| Reply::bad("filters: Not an array"))?;
    if all.iter().any(|filter| !filter["fields"].is_null() && filter["action"] != "changed") {
        return Err(Reply::bad("filters: fields may only be given with the action changed"));
    }
    Ok(filters)
}

/// `POST /webhooks`: the target is asked while the request waits.
pub(super) async fn create(
    state: &Arc<Mutex<State>>,
    client: &reqwest::Client,
    who: &Who,
    asked: &Asked,
) -> Outcome {
    let hook = state.lock().expect("nobody panicked").planned_webhook(who, asked)?;
    let request = client.post(&hook.target).header("X-Hook-Secret", &hook.secret).json(&json!({}));
    let answer = request.timeout(TIMEOUT).send().await;
    let is_right = answer.is_ok_and(|answer| {
        let echo = answer.headers().get("x-hook-secret");
        matches!(answer.status().as_u16(), 200 | 204)
            && echo.is_some_and(|echo| echo.as_bytes() == hook.secret.as_bytes())
    });
    if !is_right {
        return Err(Reply::bad(
            "target: The remote server did not respond with the handshake secret.",
        ));
    }
    let path = format!("/webhooks/{}", hook.gid);
    let mut reply = Reply::created(&path, &State::one(asked, &hook.value()));
    reply.body["X-Hook-Secret"] = json!(hook.secret);
    state.lock().expect("nobody panicked").webhooks.push(hook);
    Ok(reply)
}

/// Delivers what is due, once; says how many deliveries were tried.
pub(super) async fn deliver(
    state: &Arc<Mutex<State>>,
    client: &reqwest::Client,
    knobs: &mut Deliveries,
) -> usize {
    let due = state.lock().expect("nobody panicked").take_due(knobs);
    let (n_due, timeout) = (due.len(), knobs.timeout.unwrap_or(TIMEOUT));
    for due in due {
        let mut outcome = Ok(());
        let times = if due.is_lost { 0 } else { 1 + usize::from(knobs.are_doubled) };
        for _ in 0..times {
            let request = client
                .post(&due.target)
                .header("X-Hook-Signature", &due.signature)
                .header("Content-Type", "application/json; charset=utf-8")
                .body(due.body.clone());
            outcome = match request.timeout(timeout).send().await {
                Ok(answer) if matches!(answer.status().as_u16(), 200 | 204) => Ok(()),
                Ok(answer) => Err(answer.status().to_string()),
                Err(error) => Err(error.to_string()),
            };
        }
        state.lock().expect("nobody panicked").delivered(due, outcome);
    }
    n_due
}
