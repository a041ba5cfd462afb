//! Tasks of trackers, by what they stand for.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json, to_json};
use super::tx::{Tx, execute, on, statements};
use crate::domain::effect::Subject;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::task::Written;
use crate::domain::time::Timestamp;

/// A task of a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What it stands for.
    pub subject: Subject,
    /// How many there were of it before.
    pub generation: u32,
    /// The kind of its tracker.
    pub tracker: String,
    /// Where what the tracker calls it means something.
    pub place: String,
    /// What the tracker calls it; `None` until it is there.
    pub remote: Option<Remote>,
    /// Whether it is done.
    pub is_done: bool,
    /// What Airlock wrote last.
    pub written: Option<Written>,
    /// When its text was last written.
    pub body_written_at: Option<Timestamp>,
    /// When it was last in line with what it stands for.
    pub synced_at: Option<Timestamp>,
    /// Why it is not.
    pub error: Option<String>,
    /// When it was first wanted.
    pub created_at: Timestamp,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What its tracker calls it.
    pub id: String,
    /// Where people see it.
    pub url: String,
}

#[derive(FromRow)]
struct TaskRow {
    subject: String,
    generation: i64,
    tracker: String,
    place: String,
    remote_id: Option<String>,
    url: Option<String>,
    is_done: bool,
    written: Option<String>,
    body_written_at: Option<i64>,
    synced_at: Option<i64>,
    error: Option<String>,
    created_at: i64,
}

impl TaskRow {
    fn task(self) -> Result<Task, StoreError> {
        let corrupt = |column| StoreError::corrupt("tasks", column, &self.subject);
        let written = self.written.as_deref().map(serde_json::from_str).transpose();
        Ok(Task {
            subject: Subject::parse(&self.subject).ok_or_else(|| corrupt("subject"))?,
            generation: u32::try_from(self.generation).map_err(|_| corrupt("generation"))?,
            written: written.map_err(|_| corrupt("written"))?,
            remote: self.remote_id.zip(self.url).map(|(id, url)| Remote { id, url }),
            tracker: self.tracker,
            place: self.place,
            is_done: self.is_done,
            body_written_at: self.body_written_at.map(Timestamp::from_micros),
            synced_at: self.synced_at.map(Timestamp::from_micros),
            error: self.error,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

#[derive(Serialize)]
struct SubjectRow {
    subject: String,
}

macro_rules! columns {
    () => {
        "tasks.subject, tasks.generation, tasks.tracker, tasks.place, tasks.remote_id, tasks.url,
        tasks.is_done, tasks.written, tasks.body_written_at, tasks.synced_at, tasks.error, tasks.created_at"
    };
}
const FIND: &str =
    concat!("SELECT ", columns!(), " FROM tasks WHERE project_id = $1 AND subject = $2");
macro_rules! list_of {
    ($engine:ident, $join:literal) => {
        concat!("SELECT ", columns!(), " FROM ", new_rows!($engine, text subject), $join)
    };
}
const LIST_OF_SQLITE: &str =
    list_of!(sqlite, " CROSS JOIN tasks ON tasks.project_id = $1 AND tasks.subject = new.subject");
const LIST_OF_POSTGRES: &str = list_of!(
    postgres,
    " CROSS JOIN LATERAL (SELECT * FROM tasks
        WHERE project_id = $1 AND subject = new.subject LIMIT 1) AS tasks"
);
const UPSERT: &str =
    "INSERT INTO tasks (project_id, subject, generation, tracker, place, remote_id,
        url, is_done, written, body_written_at, synced_at, error, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (project_id, subject) DO UPDATE SET
        generation = EXCLUDED.generation, tracker = EXCLUDED.tracker,
        place = EXCLUDED.place,
        remote_id = EXCLUDED.remote_id, url = EXCLUDED.url, is_done = EXCLUDED.is_done,
        written = EXCLUDED.written, body_written_at = EXCLUDED.body_written_at,
        synced_at = EXCLUDED.synced_at, error = EXCLUDED.error";

statements!(FIND, LIST_OF_SQLITE, LIST_OF_POSTGRES, UPSERT);

impl Tx {
    /// The task of a subject.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_task(
        &mut self,
        project: ProjectId,
        subject: Subject,
    ) -> Result<Option<Task>, StoreError> {
        let row: Option<TaskRow> = on!(self, |c| sqlx::query_as(FIND)
            .bind(project.0)
            .bind(subject.to_string())
            .fetch_optional(c))?;
        row.map(TaskRow::task).transpose()
    }

    /// The tasks of issues.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_tasks_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<BTreeMap<IssueId, Task>, StoreError> {
        if issues.is_empty() {
            return Ok(BTreeMap::new());
        }
        let subject = |issue: &IssueId| SubjectRow { subject: Subject::Issue(*issue).to_string() };
        let rows = rows_json(issues.iter().map(subject));
        let text = dialect!(self, LIST_OF_SQLITE, LIST_OF_POSTGRES);
        let rows: Vec<TaskRow> =
            on!(self, |c| sqlx::query_as(text).bind(project.0).bind(&rows).fetch_all(c))?;
        let mut tasks = BTreeMap::new();
        for row in rows {
            let task = row.task()?;
            if let Subject::Issue(issue) = task.subject {
                tasks.insert(issue, task);
            }
        }
        Ok(tasks)
    }

    /// Writes down what is known of a task.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_task(&mut self, project: ProjectId, task: &Task) -> Result<(), StoreError> {
        let written = task.written.as_ref().map(to_json);
        execute!(
            self,
            sqlx::query(UPSERT)
                .bind(project.0)
                .bind(task.subject.to_string())
                .bind(i64::from(task.generation))
                .bind(&task.tracker)
                .bind(&task.place)
                .bind(task.remote.as_ref().map(|remote| &remote.id))
                .bind(task.remote.as_ref().map(|remote| &remote.url))
                .bind(task.is_done)
                .bind(&written)
                .bind(task.body_written_at.map(Timestamp::as_micros))
                .bind(task.synced_at.map(Timestamp::as_micros))
                .bind(&task.error)
                .bind(task.created_at.as_micros())
        )?;
        Ok(())
    }
}
