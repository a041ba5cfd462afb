//! Which request does what; searches and batches.

use serde_json::{Map, Value, json};

use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::state::{State, Who, find};
use super::tasks::Task;

impl State {
    /// Does what is asked. Only `POST /webhooks` is elsewhere: it waits for others.
    pub(super) fn route(&mut self, who: &Who, asked: &Asked) -> Outcome {
        let parts: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
        match (asked.method.as_str(), parts.as_slice()) {
            (_, ["tasks" | "stories" | "sections", ..]) => self.route_tasks(who, asked, &parts),
            ("GET", ["users", "me"]) if who.user.is_none() => Err(Reply::error(403, "Not a user")),
            ("GET", ["users"]) => self.page(asked, &self.users.clone()),
            ("GET", ["users", name]) => {
                let user = self.user(who, name);
                let user = user.ok_or_else(|| Reply::not_found("user", name))?;
                Ok(Reply::ok(&Self::one(asked, user)))
            }
            ("GET", ["workspaces"]) => self.page(asked, &[self.workspace()]),
            (_, ["workspaces", gid, ..]) if *gid != super::WORKSPACE => {
                Err(Reply::not_found("workspace", gid))
            }
            ("GET", ["workspaces", _]) => Ok(Reply::ok(&Self::one(asked, &self.workspace()))),
            ("GET", ["workspaces", _, "projects"] | ["projects"]) => {
                self.page(asked, &self.projects.clone())
            }
            ("GET", ["workspaces", _, "custom_fields"]) => {
                self.must_pay()?;
                self.page(asked, &self.custom_fields.clone())
            }
            ("GET", ["workspaces", _, "tasks", "search"]) => self.search(who, asked),
            ("POST", ["projects"]) => self.create_project(asked),
            ("GET", ["projects", gid]) => {
                Ok(Reply::ok(&Self::one(asked, find(&self.projects, "project", gid)?)))
            }
            ("GET", ["projects", gid, "tasks"]) => {
                let gids = self.tasks_of(gid)?;
                self.list_tasks(who, asked, &gids)
            }
            ("GET", ["projects", gid, "sections"]) => {
                let sections = self.sections_of(gid)?;
                self.page(asked, &sections)
            }
            ("POST", ["projects", gid, "sections"]) => self.create_section(asked, gid),
            ("POST", ["projects", gid, "addCustomFieldSetting"]) => self.add_setting(asked, gid),
            ("GET", ["projects", gid, "project_memberships"]) => {
                self.list_memberships(who, asked, gid)
            }
            ("GET", ["projects", gid, "custom_field_settings"]) => self.list_settings(asked, gid),
            ("POST", ["custom_fields"]) => self.create_field(asked),
            ("GET", ["custom_fields", gid]) => {
                let field = find(&self.custom_fields, "custom_field", gid)?;
                Ok(Reply::ok(&Self::one(asked, field)))
            }
            ("POST", ["custom_fields", gid, "enum_options"]) => self.create_option(asked, gid),
            ("GET", ["events"]) => self.list_events(who, asked),
            ("GET", ["webhooks"]) => self.list_webhooks(asked),
            ("GET", ["webhooks", gid]) => self.get_webhook(asked, gid),
            ("PUT", ["webhooks", gid]) => self.update_webhook(asked, gid),
            ("DELETE", ["webhooks", gid]) => self.delete_webhook(gid),
            ("GET", ["attachments"]) => self.list_attachments(who, asked),
            ("POST", ["attachments"]) => self.create_attachment(who, asked),
            ("GET", ["attachments", gid]) => {
                Ok(Reply::ok(&Self::one(asked, find(&self.attachments, "attachment", gid)?)))
            }
            ("POST", ["batch"]) => self.batch(who, asked),
            _ => Err(Reply::error(404, "No matching route for request")),
        }
    }

    fn route_tasks(&mut self, who: &Who, asked: &Asked, parts: &[&str]) -> Outcome {
        match (asked.method.as_str(), parts) {
            ("POST", ["tasks"]) => self.create_task(who, asked),
            ("GET", ["tasks"]) => {
                let gids = match (asked.query.get("project"), asked.query.get("section")) {
                    (Some(project), _) => self.tasks_of(project)?,
                    (None, Some(section)) => {
                        find(&self.sections, "section", section)?;
                        self.tasks_in(section)
                    }
                    (None, None) => return Err(Reply::bad("workspace: Missing input")),
                };
                self.list_tasks(who, asked, &gids)
            }
            ("GET", ["tasks", name]) => {
                let task = &self.tasks[self.task_index(who, name)?];
                Ok(Reply::ok(&Self::one(asked, &self.task_value(who, task))))
            }
            ("PUT", ["tasks", name]) => self.update_task(who, asked, name),
            ("DELETE", ["tasks", name]) => self.delete_task(who, name),
            ("POST", ["tasks", name, "addProject"]) => self.add_project(who, asked, name),
            ("POST", ["tasks", name, "removeProject"]) => self.remove_project(who, asked, name),
            ("POST", ["tasks", name, "addFollowers"]) => self.follow(who, asked, name, true),
            ("POST", ["tasks", name, "removeFollowers"]) => self.follow(who, asked, name, false),
            ("POST", ["tasks", name, "stories"]) => self.create_story(who, asked, name),
            ("GET", ["tasks", name, "stories"]) => self.list_stories(who, asked, name),
            ("GET", ["tasks", name, "projects"]) => {
                let task = &self.tasks[self.task_index(who, name)?];
                let projects = self.task_value(who, task)["projects"].as_array().cloned();
                self.page(asked, &projects.unwrap_or_default())
            }
            ("GET", ["stories", gid]) => {
                Ok(Reply::ok(&Self::one(asked, find(&self.stories, "story", gid)?)))
            }
            ("PUT", ["stories", gid]) => self.update_story(who, asked, gid),
            ("DELETE", ["stories", gid]) => self.delete_story(who, gid),
            ("GET", ["sections", gid]) => {
                Ok(Reply::ok(&Self::one(asked, find(&self.sections, "section", gid)?)))
            }
            ("GET", ["sections", gid, "tasks"]) => {
                find(&self.sections, "section", gid)?;
                let gids = self.tasks_in(gid);
                self.list_tasks(who, asked, &gids)
            }
            ("POST", ["sections", gid, "addTask"]) => self.add_to_section(who, asked, gid),
            _ => Err(Reply::error(404, "No matching route for request")),
        }
    }

    /// Sees tasks as they were when the lag began, in no order to be relied on.
    fn search(&mut self, who: &Who, asked: &Asked) -> Outcome {
        self.must_pay()?;
        if asked.query.contains_key("offset") {
            return Err(Reply::bad("offset: Searches have no pages"));
        }
        let lag = i64::try_from(self.search_lag.as_micros()).unwrap_or(i64::MAX);
        let seen_until = self.now().saturating_sub(lag);
        let mut seen: Vec<&Task> = Vec::new();
        for (at, task) in &self.index {
            if *at <= seen_until {
                seen.retain(|known| known.gid != task.gid);
                seen.insert(0, task);
            }
        }
        let fits = |task: &&Task| {
            task.trashed_at.is_none()
                && asked.query.iter().all(|(name, wanted)| match name.as_str() {
                    "text" => task.name.contains(wanted) || task.notes.contains(wanted),
                    "completed" => task.completed == (wanted == "true"),
                    "projects.any" => wanted.split(',').any(|project| task.is_in(project)),
                    name => {
                        let field = name.strip_prefix("custom_fields.");
                        let field = field.and_then(|field| field.strip_suffix(".value"));
                        field.is_none_or(|field| {
                            task.custom_fields.get(field).is_some_and(|value| *value == **wanted)
                        })
                    }
                })
        };
        let found = seen.into_iter().filter(fits);
        let found: Vec<Value> = found.map(|task| self.task_value(who, task)).collect();
        let mut reply = self.page(asked, &found)?;
        if let Some(body) = reply.body.as_object_mut() {
            body.remove("next_page");
        }
        Ok(reply)
    }

    /// Up to ten requests in one, done in no order to be relied on.
    fn batch(&mut self, who: &Who, asked: &Asked) -> Outcome {
        let data = asked.data().unwrap_or_default();
        let actions = data.get("actions").and_then(Value::as_array).cloned();
        let actions = actions.ok_or_else(|| Reply::bad("actions: Missing input"))?;
        if actions.len() > 10 {
            return Err(Reply::bad("actions: More than 10"));
        }
        let now = self.now();
        // The outer request has been counted as one.
        self.limits.count(asked, now, actions.len().saturating_sub(1))?;
        let mut results = vec![Value::Null; actions.len()];
        for (action, result) in actions.iter().zip(&mut results).rev() {
            let path = action["relative_path"].as_str().unwrap_or_default();
            let method = action["method"].as_str().unwrap_or_default().to_uppercase();
            if ["/batch", "/attachments", "/webhooks"].iter().any(|no| path.starts_with(no)) {
                return Err(Reply::bad(format!("relative_path: {path} cannot be in a batch")));
            }
            let mut inner = action["data"].as_object().cloned().unwrap_or_default();
            let query = if method == "GET" { std::mem::take(&mut inner) } else { Map::new() };
            let options = &action["options"];
            let body = json!({"data": inner, "options": options}).to_string();
            let mut one = Asked::new(&method, path, body.into_bytes());
            for (name, value) in query {
                let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                one.query.insert(name, text);
            }
            let (Ok(reply) | Err(reply)) = self.route(who, &one);
            let headers: Map<String, Value> = reply
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            *result = json!({"status_code": reply.status, "headers": headers, "body": reply.body});
        }
        Ok(Reply::ok(&json!(results)))
    }
}
