//! What people did in Asana.

use super::super::Changes;
use super::super::TrackerError;
use super::super::line::{Failure, Pass};
use super::Asana;
use super::records::{Events, Record, Resource};
use crate::domain::task::{Act, By, Did, Seen};
use crate::domain::time::Timestamp;

/// So many pages of what happened are read at a time; the rest is read with the next look.
const MOST_EVENTS_PAGES: usize = 50;

impl Asana {
    /// Whose the token is.
    async fn me(&self) -> Result<String, Failure> {
        if let Some(me) = self.shared.me.get() {
            return Ok(me.clone());
        }
        let found = self.get(Pass::Work, &["users", "me"], &[("opt_fields", "gid")]).await?;
        let Some(me) = found.gid else {
            let cause = "Asana does not say whose the token is".to_owned();
            return Err(Failure::Tracker(TrackerError::NotDone { cause, after: None }));
        };
        Ok(self.shared.me.get_or_init(|| me).clone())
    }

    /// A task as it is, with what was done on it.
    pub(super) async fn seen(&self, id: &str) -> Result<Seen, Failure> {
        let me = self.me().await?;
        // First what was done: what comes between is read again.
        let fields = "resource_subtype,text,created_at,created_by.gid,created_by.name";
        let path = ["tasks", id, "stories"];
        let stories = self.list(Pass::Work, &path, &[("opt_fields", fields)]).await?;
        let fields = "name,permalink_url,completed,assignee.name,created_by.gid,created_by.name,memberships.project.gid,custom_fields.gid,custom_fields.text_value";
        let task = self.get(Pass::Work, &["tasks", id], &[("opt_fields", fields)]).await?;
        let is_own = |field: &Record| field.gid.is_some() && field.gid == self.settings.fix_field;
        let fields = task.custom_fields.unwrap_or_default();
        let places = task.memberships.unwrap_or_default().into_iter();
        let projects = places.filter_map(|place| place.project?.gid);
        let boards = projects.flat_map(|project| self.settings.boards(&project)).collect();
        Ok(Seen {
            url: task.permalink_url.unwrap_or_else(|| format!("https://app.asana.com/0/0/{id}")),
            title: task.name.unwrap_or_default(),
            author: task.created_by.map(|person| by(*person, &me)),
            boards: Some(boards),
            is_done: task.completed.unwrap_or_default(),
            assignee: task.assignee.and_then(|person| person.name),
            fix: fields.into_iter().find(is_own).and_then(|field| field.text_value),
            acts: stories.into_iter().filter_map(|story| act(story, &me)).collect(),
        })
    }

    /// What happened in a project, but for what the token's own user did.
    pub(super) async fn events(
        &self,
        project: &str,
        cursor: Option<&str>,
    ) -> Result<Changes, Failure> {
        let me = self.me().await?;
        let mut sync = cursor.map(ToOwned::to_owned);
        let mut ids = Vec::new();
        for _ in 0..MOST_EVENTS_PAGES {
            let mut query = vec![("resource", project), ("opt_fields", EVENT_FIELDS)];
            query.extend(sync.as_deref().map(|sync| ("sync", sync)));
            let page = match self.read(Pass::Work, &["events"], &query).await {
                Err(Failure::Answer { status: 412, body }) => {
                    let Events { sync: Some(cursor), .. } = events_of(body) else {
                        return Err(no_sync());
                    };
                    return Ok(Changes { ids, cursor, is_resync: true });
                }
                page => events_of(page?),
            };
            let others = |event: &Record| {
                event.user.as_ref().and_then(|user| user.gid.as_ref()) != Some(&me)
            };
            ids.extend(page.data.into_iter().filter(others).filter_map(task_of));
            sync = Some(page.sync.ok_or_else(no_sync)?);
            if !page.has_more {
                break;
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let cursor = sync.ok_or_else(no_sync)?;
        Ok(Changes { ids, cursor, is_resync: false })
    }

    /// The tasks of a project, but for those that a word of a query leaves out.
    pub(super) async fn ids(
        &self,
        project: &str,
        only: (&str, &str),
    ) -> Result<Vec<String>, Failure> {
        let query = [("project", project), only, ("opt_fields", "gid")];
        let tasks = self.list(Pass::Work, &["tasks"], &query).await?;
        Ok(tasks.into_iter().filter_map(|task| task.gid).collect())
    }
}

/// What is asked of events.
const EVENT_FIELDS: &str =
    "user.gid,resource.gid,resource.resource_type,parent.gid,parent.resource_type";

fn events_of(answer: serde_json::Value) -> Events {
    serde_json::from_value(answer).unwrap_or_default()
}

fn no_sync() -> Failure {
    let cause = "Asana does not say where its events go on".to_owned();
    Failure::Tracker(TrackerError::NotDone { cause, after: None })
}

/// The task on which something happened.
fn task_of(event: Record) -> Option<String> {
    let is_task = |one: &Resource| one.resource_type.as_deref() == Some("task");
    let own = event.resource.filter(is_task).or_else(|| event.parent.filter(is_task));
    own?.gid
}

fn by(person: Record, me: &str) -> By {
    if person.gid.as_deref() == Some(me) {
        return By::Airlock;
    }
    person.name.or(person.gid).map_or(By::Nobody, By::Person)
}

fn act(story: Record, me: &str) -> Option<Act> {
    let by = story.created_by.map_or(By::Nobody, |person| by(*person, me));
    let did = match story.resource_subtype.as_deref() {
        Some("marked_complete") => Did::Completed,
        Some("marked_incomplete") => Did::Reopened,
        Some("assigned" | "unassigned") => Did::Assigned,
        Some("text_custom_field_changed") => Did::SetFix,
        Some("added_to_project" | "removed_from_project") => Did::Moved,
        Some("comment_added") => Did::Said(story.text.unwrap_or_default()),
        Some(_) | None => Did::Other,
    };
    Some(Act { at: Timestamp::parse(&story.created_at?)?, id: story.gid?, by, did })
}
