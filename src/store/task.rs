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
    /// Since when it waits because there are so many new ones.
    pub held_at: Option<Timestamp>,
    /// When somebody is known to have deleted it.
    pub deleted_at: Option<Timestamp>,
    /// When making it was begun, as far as nobody knows that it was not made.
    pub create_began_at: Option<Timestamp>,
    /// What the tracker calls it; `None` until it is there.
    pub remote: Option<Remote>,
    /// Whether it is done.
    pub is_done: bool,
    /// What Airlock wrote last.
    pub written: Option<Written>,
    /// When its text was last written.
    pub body_written_at: Option<Timestamp>,
    /// So much of the output of a deploy is said on it, in bytes.
    pub n_told: u64,
    /// What is said next was to reach to here, if that was begun and nobody knows how it ended.
    pub telling_to: Option<u64>,
    /// When it was last in line with what it stands for.
    pub synced_at: Option<Timestamp>,
    /// Why it is not.
    pub error: Option<String>,
    /// When it was first wanted.
    pub created_at: Timestamp,
    /// How often somebody said that it may have changed in the tracker.
    pub n_hints: i64,
    /// How many of them were followed.
    pub n_read: i64,
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
    held_at: Option<i64>,
    create_began_at: Option<i64>,
    deleted_at: Option<i64>,
    remote_id: Option<String>,
    url: Option<String>,
    is_done: bool,
    written: Option<String>,
    body_written_at: Option<i64>,
    n_told: i64,
    telling_to: Option<i64>,
    synced_at: Option<i64>,
    error: Option<String>,
    created_at: i64,
    n_hints: i64,
    n_read: i64,
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
            held_at: self.held_at.map(Timestamp::from_micros),
            create_began_at: self.create_began_at.map(Timestamp::from_micros),
            deleted_at: self.deleted_at.map(Timestamp::from_micros),
            is_done: self.is_done,
            body_written_at: self.body_written_at.map(Timestamp::from_micros),
            n_told: self.n_told.unsigned_abs(),
            telling_to: self.telling_to.map(i64::unsigned_abs),
            synced_at: self.synced_at.map(Timestamp::from_micros),
            error: self.error,
            created_at: Timestamp::from_micros(self.created_at),
            n_hints: self.n_hints,
            n_read: self.n_read,
        })
    }
}

#[derive(Serialize)]
struct RemoteRow<'a> {
    remote_id: &'a str,
}

#[derive(Serialize)]
struct SubjectRow {
    subject: String,
}

macro_rules! columns {
    () => {
        "tasks.subject, tasks.generation, tasks.tracker, tasks.place, tasks.held_at,
        tasks.create_began_at, tasks.deleted_at, tasks.remote_id, tasks.url, tasks.is_done,
        tasks.written, tasks.body_written_at, tasks.n_told, tasks.telling_to, tasks.synced_at,
        tasks.error, tasks.created_at, tasks.n_hints, tasks.n_read"
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
/// Where a task is is never forgotten, until another one stands for the same.
const UPSERT: &str = "INSERT INTO tasks (project_id, subject, generation, tracker, create_began_at,
        remote_id, url, is_done, written, body_written_at, synced_at, error, created_at, held_at,
        deleted_at, place, n_told, telling_to)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
    ON CONFLICT (project_id, subject) DO UPDATE SET
        generation = EXCLUDED.generation, tracker = EXCLUDED.tracker, place = EXCLUDED.place,
        create_began_at = EXCLUDED.create_began_at,
        remote_id = CASE WHEN EXCLUDED.remote_id IS NULL
                AND EXCLUDED.generation = tasks.generation AND EXCLUDED.place = tasks.place
            THEN tasks.remote_id ELSE EXCLUDED.remote_id END,
        url = CASE WHEN EXCLUDED.url IS NULL AND EXCLUDED.generation = tasks.generation
                AND EXCLUDED.place = tasks.place
            THEN tasks.url ELSE EXCLUDED.url END,
        held_at = EXCLUDED.held_at, deleted_at = EXCLUDED.deleted_at, is_done = EXCLUDED.is_done,
        written = EXCLUDED.written, body_written_at = EXCLUDED.body_written_at,
        n_told = EXCLUDED.n_told, telling_to = EXCLUDED.telling_to,
        synced_at = EXCLUDED.synced_at, error = EXCLUDED.error";

/// How many were begun after a time, and the first of them.
const COUNT_BEGUN: &str = "SELECT COUNT(*), MIN(create_began_at) FROM tasks
    WHERE project_id = $1 AND create_began_at > $2 AND subject <> 'storm'";
const COUNT_HELD: &str = "SELECT COUNT(*) FROM tasks WHERE project_id = $1
    AND held_at IS NOT NULL AND (held_at < $2 OR (held_at = $2 AND subject < $3))";
const LIST_HELD: &str = "SELECT subject FROM tasks
    WHERE project_id = $1 AND held_at IS NOT NULL ORDER BY held_at, subject LIMIT $2";
const COUNT_EVENTS: &str = "SELECT n_events FROM issues WHERE project_id = $1 AND id = $2";

macro_rules! find_remote {
    ($engine:ident) => {
        concat!(
            "SELECT tasks.subject FROM ",
            new_rows!($engine, text remote_id),
            " CROSS JOIN tasks WHERE tasks.project_id = $1 AND tasks.remote_id = new.remote_id
                AND tasks.place = $3 AND (tasks.subject LIKE 'issue/%' OR tasks.subject LIKE 'lock/%')
                AND (tasks.is_done OR NOT $4)
            ORDER BY tasks.subject"
        )
    };
}
const FIND_REMOTE_SQLITE: &str = find_remote!(sqlite);
const FIND_REMOTE_POSTGRES: &str = find_remote!(postgres);
macro_rules! list_unknown {
    ($engine:ident) => {
        concat!(
            "SELECT new.remote_id FROM ",
            new_rows!($engine, text remote_id),
            " WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.project_id = $1
                AND tasks.remote_id = new.remote_id AND tasks.place = $3)
            ORDER BY new.remote_id"
        )
    };
}
const LIST_UNKNOWN_SQLITE: &str = list_unknown!(sqlite);
const LIST_UNKNOWN_POSTGRES: &str = list_unknown!(postgres);
const HINT: &str = "UPDATE tasks SET n_hints = n_hints + 1 WHERE project_id = $1 AND subject = $2";
const FOLLOW: &str = "UPDATE tasks SET n_read = $3 WHERE project_id = $1 AND subject = $2";
const LIST_OPEN: &str = "SELECT remote_id FROM tasks WHERE project_id = $1 AND place = $2
    AND remote_id IS NOT NULL AND NOT is_done AND deleted_at IS NULL
    AND (subject LIKE 'issue/%' OR subject LIKE 'lock/%') ORDER BY remote_id";

statements!(
    FIND,
    FIND_REMOTE_SQLITE,
    FIND_REMOTE_POSTGRES,
    LIST_UNKNOWN_SQLITE,
    LIST_UNKNOWN_POSTGRES,
    HINT,
    FOLLOW,
    LIST_OPEN,
    LIST_OF_SQLITE,
    LIST_OF_POSTGRES,
    UPSERT,
    COUNT_BEGUN,
    COUNT_HELD,
    LIST_HELD,
    COUNT_EVENTS
);

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

    /// The tasks of subjects.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_tasks_of(
        &mut self,
        project: ProjectId,
        subjects: &[Subject],
    ) -> Result<BTreeMap<Subject, Task>, StoreError> {
        if subjects.is_empty() {
            return Ok(BTreeMap::new());
        }
        let row = |subject: &Subject| SubjectRow { subject: subject.to_string() };
        let rows = rows_json(subjects.iter().map(row));
        let text = dialect!(self, LIST_OF_SQLITE, LIST_OF_POSTGRES);
        let rows: Vec<TaskRow> =
            on!(self, |c| sqlx::query_as(text).bind(project.0).bind(&rows).fetch_all(c))?;
        let task = |row: TaskRow| row.task().map(|task| (task.subject, task));
        rows.into_iter().map(task).collect()
    }

    /// Which of these tasks of a tracker stand for nothing.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_unknown_tasks(
        &mut self,
        (project, place): (ProjectId, &str),
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = rows_json(ids.iter().map(|id| RemoteRow { remote_id: id }));
        let text = dialect!(self, LIST_UNKNOWN_SQLITE, LIST_UNKNOWN_POSTGRES);
        let found: Vec<(String,)> = on!(self, |c| sqlx::query_as(text)
            .bind(project.0)
            .bind(&rows)
            .bind(place)
            .fetch_all(c))?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// Notes that tasks of issues or locks may have changed in their tracker, or only those that are done as far
    /// as is known; they are read soon.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn hint_tasks(
        &mut self,
        (project, place): (ProjectId, &str),
        ids: &[String],
        only_done: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        // In the order in which whoever plans effects takes lanes; a lane comes before its task.
        for subject in self.list_task_subjects((project, place), ids, only_done).await? {
            self.wake_lane(project, subject, now).await?;
            execute!(self, sqlx::query(HINT).bind(project.0).bind(subject.to_string()))?;
        }
        Ok(())
    }

    /// The issues and locks for which these tasks stand, or only those of them that are done as far as is
    /// known.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_task_subjects(
        &mut self,
        (project, place): (ProjectId, &str),
        ids: &[String],
        only_done: bool,
    ) -> Result<Vec<Subject>, StoreError> {
        let rows = rows_json(ids.iter().map(|id| RemoteRow { remote_id: id }));
        let text = dialect!(self, FIND_REMOTE_SQLITE, FIND_REMOTE_POSTGRES);
        let found: Vec<(String,)> = on!(self, |c| sqlx::query_as(text)
            .bind(project.0)
            .bind(&rows)
            .bind(place)
            .bind(only_done)
            .fetch_all(c))?;
        let subject = |(name,): (String,)| {
            Subject::parse(&name).ok_or_else(|| StoreError::corrupt("tasks", "subject", &name))
        };
        found.into_iter().map(subject).collect()
    }

    /// Notes that a task was read after so many hints.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn follow_hints(
        &mut self,
        project: ProjectId,
        subject: Subject,
        n_hints: i64,
    ) -> Result<(), StoreError> {
        let subject = subject.to_string();
        execute!(self, sqlx::query(FOLLOW).bind(project.0).bind(&subject).bind(n_hints))?;
        Ok(())
    }

    /// What a tracker calls the tasks of issues and locks that are open as far as is known.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_open_tasks(
        &mut self,
        project: ProjectId,
        place: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> =
            on!(self, |c| sqlx::query_as(LIST_OPEN).bind(project.0).bind(place).fetch_all(c))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// How many tasks of issues were begun after a time, and when the first of them was.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_begun_tasks(
        &mut self,
        project: ProjectId,
        after: Timestamp,
    ) -> Result<(u64, Option<Timestamp>), StoreError> {
        let (n_begun, first): (i64, Option<i64>) = on!(self, |c| sqlx::query_as(COUNT_BEGUN)
            .bind(project.0)
            .bind(after.as_micros())
            .fetch_one(c))?;
        Ok((n_begun.unsigned_abs(), first.map(Timestamp::from_micros)))
    }

    /// How many tasks have been held for longer than one that is held since then.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_held_tasks(
        &mut self,
        project: ProjectId,
        (since, subject): (Timestamp, Subject),
    ) -> Result<u64, StoreError> {
        let (n_held,): (i64,) = on!(self, |c| sqlx::query_as(COUNT_HELD)
            .bind(project.0)
            .bind(since.as_micros())
            .bind(subject.to_string())
            .fetch_one(c))?;
        Ok(n_held.unsigned_abs())
    }

    /// What the tasks that are held stand for, what waits longest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_held_tasks(
        &mut self,
        project: ProjectId,
        limit: i64,
    ) -> Result<Vec<Subject>, StoreError> {
        let rows: Vec<(String,)> =
            on!(self, |c| sqlx::query_as(LIST_HELD).bind(project.0).bind(limit).fetch_all(c))?;
        let subject = |(name,): (String,)| {
            Subject::parse(&name).ok_or_else(|| StoreError::corrupt("tasks", "subject", name))
        };
        rows.into_iter().map(subject).collect()
    }

    /// How many events an issue has; `None` when it is gone.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_events_of(
        &mut self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Option<u64>, StoreError> {
        let row: Option<(i64,)> = on!(self, |c| sqlx::query_as(COUNT_EVENTS)
            .bind(project.0)
            .bind(issue.0)
            .fetch_optional(c))?;
        Ok(row.map(|(n_events,)| n_events.unsigned_abs()))
    }

    /// Writes down what is known of a task. [`Self::hold_lease`] comes first.
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
                .bind(task.create_began_at.map(Timestamp::as_micros))
                .bind(task.remote.as_ref().map(|remote| &remote.id))
                .bind(task.remote.as_ref().map(|remote| &remote.url))
                .bind(task.is_done)
                .bind(&written)
                .bind(task.body_written_at.map(Timestamp::as_micros))
                .bind(task.synced_at.map(Timestamp::as_micros))
                .bind(&task.error)
                .bind(task.created_at.as_micros())
                .bind(task.held_at.map(Timestamp::as_micros))
                .bind(task.deleted_at.map(Timestamp::as_micros))
                .bind(&task.place)
                .bind(task.n_told.cast_signed())
                .bind(task.telling_to.map(u64::cast_signed))
        )?;
        Ok(())
    }
}
