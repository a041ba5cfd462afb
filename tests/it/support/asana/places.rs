//! Projects, their sections, and which tasks are in them.

use serde_json::{Value, json};

use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::state::{State, Who, find, needed, text};

/// In how many projects a task may be.
const MOST_PROJECTS: usize = 20;

impl State {
    /// A new project with its first section.
    pub(super) fn new_project(&mut self, name: &str) -> String {
        let (gid, now) = (self.new_gid(), self.now_text());
        self.projects.push(json!({
            "gid": gid, "resource_type": "project", "name": name, "notes": "", "archived": false,
            "created_at": now, "modified_at": now, "workspace": self.workspace(),
            "permalink_url": format!("https://app.asana.com/0/{gid}"),
        }));
        self.new_section(&gid, "Untitled section");
        gid
    }

    fn new_section(&mut self, project: &str, name: &str) -> String {
        let (gid, now) = (self.new_gid(), self.now_text());
        let project = find(&self.projects, "project", project).cloned().unwrap_or_default();
        self.sections.push(json!({
            "gid": gid, "resource_type": "section", "name": name, "created_at": now,
            "project": project,
        }));
        gid
    }

    pub(super) fn create_project(&mut self, asked: &Asked) -> Outcome {
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let name = needed(&data, "name")?;
        if needed(&data, "workspace")? != super::WORKSPACE {
            return Err(Reply::bad("workspace: Not a recognized ID"));
        }
        let gid = self.new_project(name);
        let project = find(&self.projects, "project", &gid)?;
        Ok(Reply::created(&format!("/projects/{gid}"), &Self::one(asked, project)))
    }

    /// Who is in a project: everybody, and what the bot may do there.
    pub(super) fn list_memberships(&mut self, who: &Who, asked: &Asked, project: &str) -> Outcome {
        let parent = find(&self.projects, "project", project)?.clone();
        let wanted = match asked.query.get("user") {
            None => None,
            Some(name) => {
                let user = self.user(who, name).ok_or_else(|| Reply::not_found("user", name))?;
                Some(user["gid"].clone())
            }
        };
        let level = |user: &Value| {
            let level = self.access.get(project).filter(|_| user["gid"] == super::BOT);
            level.map_or("editor", String::as_str)
        };
        let membership = |user: &Value| {
            let gid = user["gid"].as_str().unwrap_or_default();
            json!({
                "gid": format!("{project}{gid}"), "resource_type": "project_membership",
                "parent": parent, "member": user, "access_level": level(user),
            })
        };
        let is_it = |user: &&Value| wanted.as_ref().is_none_or(|wanted| user["gid"] == *wanted);
        let all: Vec<Value> = self.users.iter().filter(is_it).map(membership).collect();
        self.page(asked, &all)
    }

    pub(super) fn sections_of(&self, project: &str) -> Result<Vec<Value>, Reply> {
        find(&self.projects, "project", project)?;
        let sections = self.sections.iter();
        Ok(sections.filter(|section| section["project"]["gid"] == project).cloned().collect())
    }

    pub(super) fn first_section(&self, project: &str) -> Result<String, Reply> {
        let sections = self.sections_of(project)?;
        Ok(sections[0]["gid"].as_str().unwrap_or_default().to_owned())
    }

    /// A section, which must be of this project.
    pub(super) fn section_of(&self, project: &str, gid: &str) -> Result<String, Reply> {
        let section = find(&self.sections, "section", gid)?;
        if section["project"]["gid"] == project {
            return Ok(gid.to_owned());
        }
        Err(Reply::bad("section: Not a section of the project"))
    }

    pub(super) fn create_section(&mut self, asked: &Asked, project: &str) -> Outcome {
        find(&self.projects, "project", project)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let gid = self.new_section(project, needed(&data, "name")?);
        let section = find(&self.sections, "section", &gid)?;
        Ok(Reply::created(&format!("/sections/{gid}"), &Self::one(asked, section)))
    }

    /// The tasks of a project in the order of its board.
    pub(super) fn tasks_of(&self, project: &str) -> Result<Vec<String>, Reply> {
        let sections = self.sections_of(project)?;
        let gids = sections.iter().filter_map(|section| section["gid"].as_str());
        Ok(gids.flat_map(|gid| self.tasks_in(gid)).collect())
    }

    pub(super) fn tasks_in(&self, section: &str) -> Vec<String> {
        self.order.get(section).cloned().unwrap_or_default()
    }

    /// Takes a task out of a project; says whether it was in there.
    fn take_out(&mut self, gid: &str, project: &str) -> bool {
        let sections = self.sections_of(project).unwrap_or_default();
        for section in sections.iter().filter_map(|section| section["gid"].as_str()) {
            self.order.entry(section.to_owned()).or_default().retain(|task| task != gid);
        }
        let Some(task) = self.tasks.iter_mut().find(|task| task.gid == gid) else { return false };
        let before = task.memberships.len();
        task.memberships.retain(|(own, _)| own != project);
        task.memberships.len() < before
    }

    /// Also how a task moves within a project.
    pub(super) fn add_project(&mut self, who: &Who, asked: &Asked, name: &str) -> Outcome {
        let index = self.task_index(who, name)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let project = needed(&data, "project")?;
        find(&self.projects, "project", project)?;
        let task = &self.tasks[index];
        let is_new = !task.is_in(project);
        if is_new && task.memberships.len() >= MOST_PROJECTS {
            return Err(Reply::bad("project: A task may be in 20 projects at most"));
        }
        let gid = task.gid.clone();
        let neighbour = match (text(&data, "insert_before")?, text(&data, "insert_after")?) {
            (Some(_), Some(_)) => {
                return Err(Reply::bad(
                    "insert_before: Only one of insert_before and insert_after",
                ));
            }
            (Some(before), None) => Some((self.task_index(who, before)?, 0)),
            (None, Some(after)) => Some((self.task_index(who, after)?, 1)),
            (None, None) => None,
        };
        let own = |index: usize| {
            let mut places = self.tasks[index].memberships.iter();
            places.find(|(own, _)| own == project).map(|(_, section)| section.clone())
        };
        let section = match (text(&data, "section")?, neighbour) {
            (Some(section), _) => self.section_of(project, section)?,
            (None, Some((other, _))) => {
                own(other).ok_or_else(|| Reply::bad("insert_before: Not a task of the project"))?
            }
            (None, None) if is_new => self.first_section(project)?,
            (None, None) => own(index).unwrap_or_default(),
        };
        let neighbour = neighbour.map(|(other, offset)| (self.tasks[other].gid.clone(), offset));
        self.take_out(&gid, project);
        let order = self.order.entry(section.clone()).or_default();
        let place = neighbour.and_then(|(other, offset)| {
            order.iter().position(|task| *task == other).map(|place| place + offset)
        });
        // At the top where it is said that nothing comes before it.
        let is_first = data.get("insert_after") == Some(&Value::Null);
        let place = place.unwrap_or(if is_first { 0 } else { order.len() });
        order.insert(place, gid.clone());
        self.tasks[index].memberships.push((project.to_owned(), section));
        self.placed(who, &gid, project, is_new);
        Ok(Reply::empty())
    }

    fn placed(&mut self, who: &Who, gid: &str, project: &str, is_new: bool) {
        self.touch(gid);
        if is_new {
            let parent = json!({"gid": project, "resource_type": "project"});
            self.emit_task(who, gid, "added", parent, None);
            self.system_story(who, gid, "added_to_project");
        } else {
            let change = json!({"field": "memberships", "action": "changed"});
            self.emit_task(who, gid, "changed", Value::Null, Some(change));
            self.system_story(who, gid, "section_changed");
        }
    }

    pub(super) fn remove_project(&mut self, who: &Who, asked: &Asked, name: &str) -> Outcome {
        let index = self.task_index(who, name)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let project = needed(&data, "project")?.to_owned();
        find(&self.projects, "project", &project)?;
        let gid = self.tasks[index].gid.clone();
        if self.tasks[index].is_in(&project) {
            // Those who watch the project are told as well.
            let parent = json!({"gid": project, "resource_type": "project"});
            self.emit_task(who, &gid, "removed", parent, None);
            self.take_out(&gid, &project);
            self.touch(&gid);
            self.system_story(who, &gid, "removed_from_project");
        }
        Ok(Reply::empty())
    }

    /// Into a section, at its top.
    pub(super) fn add_to_section(&mut self, who: &Who, asked: &Asked, section: &str) -> Outcome {
        let found = find(&self.sections, "section", section)?;
        let project = found["project"]["gid"].as_str().unwrap_or_default().to_owned();
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let index = self.task_index(who, needed(&data, "task")?)?;
        let gid = self.tasks[index].gid.clone();
        let is_new = !self.tasks[index].is_in(&project);
        if is_new && self.tasks[index].memberships.len() >= MOST_PROJECTS {
            return Err(Reply::bad("task: A task may be in 20 projects at most"));
        }
        self.take_out(&gid, &project);
        self.order.entry(section.to_owned()).or_default().insert(0, gid.clone());
        self.tasks[index].memberships.push((project.clone(), section.to_owned()));
        self.placed(who, &gid, &project, is_new);
        Ok(Reply::empty())
    }

    /// `addFollowers` and `removeFollowers`.
    pub(super) fn follow(&mut self, who: &Who, asked: &Asked, name: &str, adds: bool) -> Outcome {
        let index = self.task_index(who, name)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let named = data.get("followers").and_then(Value::as_array).cloned();
        let named = named.ok_or_else(|| Reply::bad("followers: Missing input"))?;
        for follower in named.iter().filter_map(Value::as_str) {
            let gid = self.user_gid(who, "followers", follower)?;
            let followers = &mut self.tasks[index].followers;
            followers.retain(|own| *own != gid);
            if adds {
                followers.push(gid);
            }
        }
        let gid = self.tasks[index].gid.clone();
        self.touch(&gid);
        Ok(Reply::ok(&Self::one(asked, &self.task_value(who, &self.tasks[index]))))
    }
}
