//! Tasks: made, changed, thrown away and listed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::rich_text;
use super::state::{State, Who, find, needed, text, time_text};

/// A task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Task {
    pub(crate) gid: String,
    pub(crate) name: String,
    pub(crate) notes: String,
    pub(crate) html_notes: Option<String>,
    pub(crate) subtype: String,
    pub(crate) completed: bool,
    pub(crate) completed_at: Option<i64>,
    pub(crate) created_by: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) modified_at: i64,
    pub(crate) assignee: Option<String>,
    pub(crate) followers: Vec<String>,
    pub(crate) due_on: Value,
    pub(crate) due_at: Value,
    /// Projects and sections.
    pub(crate) memberships: Vec<(String, String)>,
    pub(crate) parent: Option<String>,
    /// Values by the gids of fields.
    pub(crate) custom_fields: BTreeMap<String, Value>,
    /// Ids and data by application.
    pub(crate) external: BTreeMap<String, (String, String)>,
    pub(crate) trashed_at: Option<i64>,
}

impl Task {
    /// Whether its texts, fields or external ids hold this.
    pub(crate) fn mentions(&self, marker: &str) -> bool {
        let fields = self.custom_fields.values().filter_map(Value::as_str);
        let external = self.external.values().map(|(gid, _)| gid.as_str());
        let texts = [self.name.as_str(), self.notes.as_str()].into_iter();
        texts.chain(fields).chain(external).any(|text| text.contains(marker))
    }

    pub(crate) fn is_in(&self, project: &str) -> bool {
        self.memberships.iter().any(|(own, _)| own == project)
    }
}

const CREATE_ONLY: &[&str] = &["projects", "memberships", "followers", "tags", "parent"];

impl State {
    /// A task by its gid, or by `external:` and what the asking application calls it.
    pub(super) fn task_index(&self, who: &Who, name: &str) -> Result<usize, Reply> {
        let is_it = |task: &Task| match (name.strip_prefix("external:"), &who.app) {
            (None, _) => task.gid == name,
            (Some(external), Some(app)) => {
                task.external.get(app).is_some_and(|(gid, _)| gid == external)
            }
            (Some(_), None) => false,
        };
        let found = self.tasks.iter().position(|task| task.trashed_at.is_none() && is_it(task));
        found.ok_or_else(|| Reply::not_found("task", name))
    }

    /// Everything about a task that the asking one may see.
    pub(super) fn task_value(&self, who: &Who, task: &Task) -> Value {
        let record = |records: &[Value], gid: &str| find(records, "", gid).cloned().ok();
        let user = |gid: &Option<String>| {
            gid.as_ref().and_then(|gid| record(&self.users, gid)).unwrap_or_default()
        };
        let projects: Vec<Value> = task
            .memberships
            .iter()
            .filter_map(|(project, _)| record(&self.projects, project))
            .collect();
        let membership = |(project, section): &(String, String)| {
            json!({
                "project": record(&self.projects, project),
                "section": record(&self.sections, section),
            })
        };
        let memberships: Vec<Value> = task.memberships.iter().map(membership).collect();
        let followers: Vec<Value> =
            task.followers.iter().filter_map(|gid| record(&self.users, gid)).collect();
        let parent = task.parent.as_ref().map(|parent| {
            let parent = self.tasks.iter().find(|task| &task.gid == parent);
            parent.map(
                |parent| json!({"gid": parent.gid, "resource_type": "task", "name": parent.name}),
            )
        });
        let html = task.html_notes.clone().unwrap_or_else(|| {
            format!("<body>{}</body>", quick_xml::escape::escape(task.notes.as_str()))
        });
        let external = who.app.as_ref().and_then(|app| task.external.get(app));
        let mut value = json!({
            "gid": task.gid, "resource_type": "task", "resource_subtype": task.subtype,
            "name": task.name, "notes": task.notes, "html_notes": html,
            "completed": task.completed, "completed_at": task.completed_at.map(time_text),
            "created_at": time_text(task.created_at), "modified_at": time_text(task.modified_at),
            "created_by": user(&task.created_by), "assignee": user(&task.assignee),
            "followers": followers, "due_on": task.due_on, "due_at": task.due_at,
            "projects": projects, "memberships": memberships, "parent": parent, "tags": [],
            "workspace": self.workspace(), "custom_fields": self.field_values(task),
            "permalink_url": format!("https://app.asana.com/0/0/{}", task.gid),
        });
        if let Some((gid, data)) = external {
            value["external"] = json!({"gid": gid, "data": data});
        }
        value
    }

    pub(super) fn create_task(&mut self, who: &Who, asked: &Asked) -> Outcome {
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let mut places = Vec::new();
        for project in strings(&data, "projects")? {
            let section = self.first_section(&project)?;
            places.push((project, section));
        }
        for membership in data.get("memberships").and_then(Value::as_array).into_iter().flatten() {
            let membership = membership.as_object().cloned().unwrap_or_default();
            let project = needed(&membership, "project")?.to_owned();
            let section = match text(&membership, "section")? {
                Some(section) => self.section_of(&project, section)?,
                None => self.first_section(&project)?,
            };
            places.push((project, section));
        }
        if places.len() > 20 {
            return Err(Reply::bad("projects: A task may be in 20 projects at most"));
        }
        let parent = text(&data, "parent")?;
        let parent = parent.map(|parent| self.task_index(who, parent)).transpose()?;
        let parent = parent.map(|index| self.tasks[index].gid.clone());
        match text(&data, "workspace")? {
            Some(gid) if gid != super::WORKSPACE => return Err(Reply::not_found("workspace", gid)),
            None if places.is_empty() && parent.is_none() => {
                return Err(Reply::bad("workspace: Missing input"));
            }
            _ => {}
        }
        let now = self.now();
        let mut task = Task {
            subtype: text(&data, "resource_subtype")?.unwrap_or("default_task").to_owned(),
            created_by: who.user.clone(),
            created_at: now,
            parent,
            memberships: places,
            ..Task::default()
        };
        for follower in strings(&data, "followers")? {
            task.followers.push(self.user_gid(who, "followers", &follower)?);
        }
        let mut rest = data;
        rest.retain(|name, _| !CREATE_ONLY.contains(&name.as_str()) && name != "workspace");
        self.apply(who, &mut task, &rest)?;
        // Only what is right as a whole is made.
        task.gid = self.new_gid();
        for (_, section) in &task.memberships {
            self.order.entry(section.clone()).or_default().push(task.gid.clone());
        }
        let (gid, projects) = (task.gid.clone(), task.memberships.clone());
        self.tasks.push(task);
        self.touch(&gid);
        for (project, _) in &projects {
            let parent = json!({"gid": project, "resource_type": "project"});
            self.emit_task(who, &gid, "added", parent, None);
        }
        if projects.is_empty() {
            self.emit_task(who, &gid, "added", Value::Null, None);
        }
        let task = self.tasks.last().expect("just made");
        let shown = Self::one(asked, &self.task_value(who, task));
        Ok(Reply::created(&format!("/tasks/{gid}"), &shown))
    }

    pub(super) fn update_task(&mut self, who: &Who, asked: &Asked, name: &str) -> Outcome {
        let index = self.task_index(who, name)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        if let Some(field) = CREATE_ONLY.iter().find(|name| data.contains_key(**name)) {
            return Err(Reply::bad(format!("{field}: Cannot write this property")));
        }
        let before = self.tasks[index].clone();
        let mut task = before.clone();
        self.apply(who, &mut task, &data)?;
        let gid = task.gid.clone();
        self.tasks[index] = task.clone();
        let before = self.task_value(who, &before);
        let after = self.task_value(who, &task);
        let mut changed = Vec::new();
        for field in ["name", "notes", "completed", "assignee", "due_on", "due_at", "custom_fields"]
        {
            if before[field] != after[field] {
                changed.push(field);
            }
        }
        if !changed.is_empty() || before["html_notes"] != after["html_notes"] {
            self.touch(&gid);
        }
        for field in changed {
            let mut change = json!({"field": field, "action": "changed"});
            if after[field]["gid"].is_string() {
                let (gid, kind) = (&after[field]["gid"], &after[field]["resource_type"]);
                change["new_value"] = json!({"gid": gid, "resource_type": kind});
            }
            self.emit_task(who, &gid, "changed", Value::Null, Some(change));
            match (field, task.completed) {
                ("completed", true) => self.system_story(who, &gid, "marked_complete"),
                ("completed", false) => self.system_story(who, &gid, "marked_incomplete"),
                ("assignee", _) => self.system_story(who, &gid, "assigned"),
                ("custom_fields", _) => self.system_story(who, &gid, "text_custom_field_changed"),
                _ => {}
            }
        }
        Ok(Reply::ok(&Self::one(asked, &self.task_value(who, &self.tasks[index]))))
    }

    /// Writes the fields of a body into a task.
    fn apply(&self, who: &Who, task: &mut Task, data: &Map<String, Value>) -> Result<(), Reply> {
        if data.contains_key("notes") && data.contains_key("html_notes") {
            return Err(Reply::bad("notes: Only one of notes and html_notes may be given"));
        }
        for (name, value) in data {
            match name.as_str() {
                "name" => text(data, name)?.unwrap_or_default().clone_into(&mut task.name),
                "notes" => {
                    text(data, name)?.unwrap_or_default().clone_into(&mut task.notes);
                    task.html_notes = None;
                }
                "html_notes" => {
                    let html = text(data, name)?.unwrap_or("<body></body>");
                    task.notes = rich_text::text_of(name, html)?;
                    task.html_notes = Some(html.to_owned());
                }
                "completed" => {
                    // Forms have nothing but texts.
                    let completed = value.as_bool().or_else(|| value.as_str()?.parse().ok());
                    let completed =
                        completed.ok_or_else(|| Reply::bad("completed: Not a boolean"))?;
                    if completed != task.completed {
                        task.completed_at = completed.then(|| self.now());
                    }
                    task.completed = completed;
                }
                "assignee" => {
                    let assignee = text(data, name)?;
                    let gid = assignee.map(|assignee| self.user_gid(who, name, assignee));
                    task.assignee = gid.transpose()?;
                }
                "due_on" => task.due_on = value.clone(),
                "due_at" => task.due_at = value.clone(),
                "custom_fields" => self.write_fields(task, value)?,
                // What a server does that was sent an external id without OAuth is not written
                // anywhere; here it forgets it.
                "external" => {
                    let gid = value["gid"].as_str().unwrap_or_default().to_owned();
                    let blob = value["data"].as_str().unwrap_or_default().to_owned();
                    if gid.chars().count() > 1024 || blob.chars().count() > 32_768 {
                        return Err(Reply::bad("external: Too long"));
                    }
                    if let Some(app) = &who.app {
                        task.external.insert(app.clone(), (gid, blob));
                    }
                }
                "resource_subtype" | "approval_status" | "liked" | "start_on" => {}
                other => {
                    return Err(Reply::bad(format!("{other}: Cannot write this property")));
                }
            }
        }
        Ok(())
    }

    pub(super) fn user_gid(&self, who: &Who, field: &str, name: &str) -> Result<String, Reply> {
        let gid = self.user(who, name).and_then(|user| user["gid"].as_str());
        let message = || Reply::bad(format!("{field}: Not a recognized ID: {name}"));
        gid.map(ToOwned::to_owned).ok_or_else(message)
    }

    /// Says that a task has changed, and lets search know in time.
    pub(super) fn touch(&mut self, gid: &str) {
        let now = self.now();
        if let Some(task) = self.tasks.iter_mut().find(|task| task.gid == gid) {
            task.modified_at = now;
            self.index.push((now, task.clone()));
        }
    }
}

/// A list of texts of a body.
fn strings(data: &Map<String, Value>, name: &str) -> Result<Vec<String>, Reply> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split(',').map(ToOwned::to_owned).collect()),
        Some(Value::Array(all)) => {
            let bad = |value: &Value| Reply::bad(format!("{name}: Not a recognized ID: {value}"));
            let one = |value: &Value| value.as_str().map(ToOwned::to_owned).ok_or(bad(value));
            all.iter().map(one).collect()
        }
        Some(other) => Err(Reply::bad(format!("{name}: Not an array: {other}"))),
    }
}
