//! Lists of tasks, and the trash, which is in none of them.

use serde_json::Value;

use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::state::{State, Who};
use super::tasks::Task;

const TRASH_US: i64 = 30 * 86_400 * 1_000_000;

impl State {
    pub(super) fn delete_task(&mut self, who: &Who, name: &str) -> Outcome {
        let index = self.task_index(who, name)?;
        let gid = self.tasks[index].gid.clone();
        self.emit_task(who, &gid, "deleted", Value::Null, None);
        self.tasks[index].trashed_at = Some(self.now());
        self.touch(&gid);
        Ok(Reply::empty())
    }

    /// Takes a task out of the trash, where it stays for thirty days.
    pub(super) fn undelete_task(&mut self, who: &Who, gid: &str) -> bool {
        let now = self.now();
        let is_it = |task: &&mut Task| {
            task.gid == gid && task.trashed_at.is_some_and(|at| now - at < TRASH_US)
        };
        let Some(task) = self.tasks.iter_mut().find(is_it) else { return false };
        task.trashed_at = None;
        self.touch(gid);
        self.emit_task(who, gid, "undeleted", Value::Null, None);
        true
    }

    /// `GET /tasks`, and those of a project or a section.
    pub(super) fn list_tasks(&mut self, who: &Who, asked: &Asked, gids: &[String]) -> Outcome {
        let since = |name: &str| -> Result<Option<i64>, Reply> {
            let Some(text) = asked.query.get(name) else { return Ok(None) };
            if text == "now" {
                return Ok(Some(i64::MAX));
            }
            let time = airlock::domain::time::Timestamp::parse(text);
            let time = time.ok_or_else(|| Reply::bad(format!("{name}: Not a datetime: {text}")))?;
            Ok(Some(time.as_micros()))
        };
        let (completed, modified) = (since("completed_since")?, since("modified_since")?);
        let is_wanted = |task: &&Task| {
            let is_open_or_late = completed.is_none_or(|since| {
                !task.completed || task.completed_at.is_some_and(|at| at >= since)
            });
            is_open_or_late && modified.is_none_or(|since| task.modified_at >= since)
        };
        let tasks = gids.iter().filter_map(|gid| {
            self.tasks.iter().find(|task| task.trashed_at.is_none() && &task.gid == gid)
        });
        let records: Vec<Value> =
            tasks.filter(is_wanted).map(|task| self.task_value(who, task)).collect();
        self.page(asked, &records)
    }
}
