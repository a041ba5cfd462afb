//! What happened, for those who ask again and again and for webhooks.

use serde_json::{Value, json};

use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::state::{State, Who, find};

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Who is told: the task and what it is in.
    pub(super) roots: Vec<String>,
    pub(super) body: Value,
}

/// The most events of one sync token.
const MOST_EVENTS: usize = 100;
const TOKEN_US: i64 = 24 * 3600 * 1_000_000;

impl State {
    /// A task, its projects, and the same of its parents.
    fn roots(&self, task: &str) -> Vec<String> {
        let (mut roots, mut next) = (Vec::new(), Some(task.to_owned()));
        while let Some(gid) = next.take() {
            if let Some(task) = self.tasks.iter().find(|task| task.gid == gid) {
                roots.extend(task.memberships.iter().map(|(project, _)| project.clone()));
                next.clone_from(&task.parent);
            }
            roots.push(gid);
        }
        roots
    }

    fn emit(&mut self, who: &Who, roots: Vec<String>, mut body: Value) {
        body["user"] = match &who.user {
            Some(user) => json!({"gid": user, "resource_type": "user"}),
            None => Value::Null,
        };
        body["created_at"] = json!(self.now_text());
        body["type"] = body["resource"]["resource_type"].clone();
        let event = Event { roots, body };
        self.queue(&event);
        self.events.push(event);
    }

    pub(super) fn emit_task(
        &mut self,
        who: &Who,
        gid: &str,
        action: &str,
        parent: Value,
        change: Option<Value>,
    ) {
        let Some(task) = self.tasks.iter().find(|task| task.gid == gid) else { return };
        let resource = json!({
            "gid": gid, "resource_type": "task", "resource_subtype": task.subtype,
            "name": task.name,
        });
        let mut body = json!({"action": action, "resource": resource, "parent": parent});
        if let Some(change) = change {
            body["change"] = change;
        }
        let roots = self.roots(gid);
        self.emit(who, roots, body);
    }

    pub(super) fn emit_story(&mut self, who: &Who, gid: &str, task: &str, action: &str) {
        let story = find(&self.stories, "story", gid);
        let subtype = story.map_or(Value::Null, |story| story["resource_subtype"].clone());
        let resource = json!({
            "gid": gid, "resource_type": "story", "resource_subtype": subtype,
        });
        let parent = json!({"gid": task, "resource_type": "task"});
        let body = json!({"action": action, "resource": resource, "parent": parent});
        let roots = self.roots(task);
        self.emit(who, roots, body);
    }

    /// `epoch:where:when`, in a form that nobody should read.
    fn sync_token(&self, next: usize) -> String {
        format!("{:x}:{next:x}:{:x}", self.sync_epoch, self.now())
    }

    /// Where a token goes on; none for those that are expired or made up.
    fn read_sync(&self, token: &str) -> Option<usize> {
        let mut parts = token.split(':');
        let epoch = usize::from_str_radix(parts.next()?, 16).ok()?;
        let next = usize::from_str_radix(parts.next()?, 16).ok()?;
        let made_at = i64::from_str_radix(parts.next()?, 16).ok()?;
        let is_good = epoch == self.sync_epoch
            && next <= self.events.len()
            && self.now() - made_at < TOKEN_US;
        is_good.then_some(next)
    }

    pub(super) fn list_events(&mut self, who: &Who, asked: &Asked) -> Outcome {
        let resource = asked.query.get("resource");
        let resource = resource.ok_or_else(|| Reply::bad("resource: Missing input"))?;
        let resource = match find(&self.projects, "project", resource) {
            Ok(_) => resource.clone(),
            Err(_) => self.tasks[self.task_index(who, resource)?].gid.clone(),
        };
        let next = asked.query.get("sync").and_then(|sync| self.read_sync(sync));
        let Some(start) = next else {
            let text = "Sync token invalid or too old. If you are attempting to keep resources in \
                        sync, you must fetch the full dataset for this query now and use the new \
                        sync token for the next sync.";
            let mut reply = Reply::error(412, text);
            reply.body["sync"] = json!(self.sync_token(self.events.len()));
            return Err(reply);
        };
        let all = self.events.iter().enumerate().skip(start);
        let own: Vec<(usize, &Event)> =
            all.filter(|(_, event)| event.roots.contains(&resource)).collect();
        let has_more = own.len() > MOST_EVENTS;
        let end = if has_more { own[MOST_EVENTS].0 } else { self.events.len() };
        let shown: Value =
            own.iter().take(MOST_EVENTS).map(|(_, event)| event.body.clone()).collect();
        let mut reply = Reply::ok(&shown);
        reply.body["sync"] = json!(self.sync_token(end));
        reply.body["has_more"] = json!(has_more);
        Ok(reply)
    }
}
