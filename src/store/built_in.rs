//! The tasks of the tracker that is part of Airlock.

use std::collections::BTreeMap;

use sqlx::FromRow;

use super::error::StoreError;
use super::rows::to_json;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::task::{Block, Did, Patch, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::tracker::Board;

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltInTask {
    /// Its number within the project, from 1.
    pub number: i64,
    /// What it was made for.
    pub key: String,
    /// What people see in lists.
    pub title: String,
    /// What people read.
    pub body: Vec<Block>,
    /// Whether it is done.
    pub is_done: bool,
    /// Whose it is.
    pub assignee: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// What was said or done on a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltInAct {
    /// What tells it from others.
    pub key: String,
    /// Who; `None` for Airlock.
    pub author: Option<String>,
    /// What was done.
    pub did: Did,
    /// When.
    pub at: Timestamp,
}

#[derive(FromRow)]
struct TaskRow {
    number: i64,
    key: String,
    title: String,
    body: String,
    is_done: bool,
    assignee: Option<String>,
    created_at: i64,
    changed_at: i64,
}

impl TaskRow {
    fn task(self) -> Result<BuiltInTask, StoreError> {
        let body = serde_json::from_str(&self.body)
            .map_err(|_| StoreError::corrupt("built_in_tasks", "body", self.number))?;
        Ok(BuiltInTask {
            number: self.number,
            key: self.key,
            title: self.title,
            body,
            is_done: self.is_done,
            assignee: self.assignee,
            created_at: Timestamp::from_micros(self.created_at),
            changed_at: Timestamp::from_micros(self.changed_at),
        })
    }
}

macro_rules! columns {
    () => {
        "number, key, title, body, is_done, assignee, created_at, changed_at"
    };
}
const FIND: &str =
    concat!("SELECT ", columns!(), " FROM built_in_tasks WHERE project_id = $1 AND number = $2");
const FIND_BY_KEY: &str =
    concat!("SELECT ", columns!(), " FROM built_in_tasks WHERE project_id = $1 AND key = $2");
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM built_in_tasks WHERE project_id = $1 AND is_done = $2 AND number < $3
        AND (CAST($5 AS TEXT) IS NULL OR number IN (SELECT number FROM built_in_places
            WHERE project_id = $1 AND board = $5))
    ORDER BY number DESC LIMIT $4"
);
const TAKE_NUMBER: &str = "INSERT INTO project_counters (project_id, name, value)
    VALUES ($1, 'task_number', 1) ON CONFLICT (project_id, name)
    DO UPDATE SET value = project_counters.value + 1 RETURNING value";
const INSERT: &str = "INSERT INTO built_in_tasks
    (project_id, number, key, title, body, is_done, assignee, created_at, changed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
const UPDATE: &str = "UPDATE built_in_tasks SET title = $3, body = $4, is_done = $5, assignee = $6,
    changed_at = $7 WHERE project_id = $1 AND number = $2";
const TOUCH: &str = "UPDATE built_in_tasks SET changed_at = $3
    WHERE project_id = $1 AND number = $2";
const DELETE: &str = "DELETE FROM built_in_tasks WHERE project_id = $1 AND number = $2";
const DELETE_PLACES: &str = "DELETE FROM built_in_places WHERE project_id = $1 AND number = $2";
const DELETE_COMMENTS: &str = "DELETE FROM built_in_comments WHERE project_id = $1 AND number = $2";
const INSERT_COMMENT: &str = "INSERT INTO built_in_comments
        (project_id, number, key, author, did, text, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
const LIST_COMMENTS: &str = "SELECT key, author, did, text, at FROM built_in_comments
    WHERE project_id = $1 AND number = $2 ORDER BY at, key LIMIT 1000";

const ADD_PLACE: &str = "INSERT INTO built_in_places (project_id, number, board)
    VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const REMOVE_PLACE: &str =
    "DELETE FROM built_in_places WHERE project_id = $1 AND number = $2 AND board = $3";
const LIST_PLACES: &str = "SELECT number, board FROM built_in_places
    WHERE project_id = $1 AND number BETWEEN $2 AND $3 ORDER BY number, board";

statements!(
    FIND,
    FIND_BY_KEY,
    LIST,
    TAKE_NUMBER,
    INSERT,
    UPDATE,
    TOUCH,
    DELETE,
    DELETE_PLACES,
    DELETE_COMMENTS,
    INSERT_COMMENT,
    LIST_COMMENTS,
    ADD_PLACE,
    REMOVE_PLACE,
    LIST_PLACES
);

impl Tx {
    /// A task by its number.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_built_in_task(
        &mut self,
        project: ProjectId,
        number: i64,
    ) -> Result<Option<BuiltInTask>, StoreError> {
        let row: Option<TaskRow> =
            on!(self, |c| sqlx::query_as(FIND).bind(project.0).bind(number).fetch_optional(c))?;
        row.map(TaskRow::task).transpose()
    }

    /// A task by what it was made for.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_built_in_task_by_key(
        &mut self,
        project: ProjectId,
        key: &str,
    ) -> Result<Option<BuiltInTask>, StoreError> {
        let row: Option<TaskRow> =
            on!(self, |c| sqlx::query_as(FIND_BY_KEY).bind(project.0).bind(key).fetch_optional(c))?;
        row.map(TaskRow::task).transpose()
    }

    /// Tasks of a project, done or not, on a board or on any, before a number, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_built_in_tasks(
        &mut self,
        project: ProjectId,
        (is_done, board): (bool, Option<&Board>),
        (before, limit): (i64, i64),
    ) -> Result<Vec<BuiltInTask>, StoreError> {
        let rows: Vec<TaskRow> = on!(self, |c| sqlx::query_as(LIST)
            .bind(project.0)
            .bind(is_done)
            .bind(before)
            .bind(limit)
            .bind(board.map(Board::to_string))
            .fetch_all(c))?;
        rows.into_iter().map(TaskRow::task).collect()
    }

    /// Makes a task on a board; gives its number.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_built_in_task(
        &mut self,
        project: ProjectId,
        board: &Board,
        (key, wanted): (&str, &Wanted),
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let (number,): (i64,) =
            on!(self, |c| sqlx::query_as(TAKE_NUMBER).bind(project.0).fetch_one(c))?;
        let body = to_json(&wanted.body);
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(project.0)
                .bind(number)
                .bind(key)
                .bind(&wanted.title)
                .bind(&body)
                .bind(wanted.is_done)
                .bind(&wanted.assignee)
                .bind(now.as_micros())
        )?;
        self.set_built_in_place((project, number), board, true).await?;
        Ok(number)
    }

    /// Puts a task on a board, or takes it off.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn set_built_in_place(
        &mut self,
        (project, number): (ProjectId, i64),
        board: &Board,
        is_on: bool,
    ) -> Result<(), StoreError> {
        let text = if is_on { ADD_PLACE } else { REMOVE_PLACE };
        let board = board.to_string();
        execute!(self, sqlx::query(text).bind(project.0).bind(number).bind(board))?;
        Ok(())
    }

    /// The boards of tasks from one number to another, by their numbers.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_built_in_places(
        &mut self,
        project: ProjectId,
        (first, last): (i64, i64),
    ) -> Result<BTreeMap<i64, Vec<String>>, StoreError> {
        let rows: Vec<(i64, String)> = on!(self, |c| sqlx::query_as(LIST_PLACES)
            .bind(project.0)
            .bind(first)
            .bind(last)
            .fetch_all(c))?;
        let mut places: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (number, board) in rows {
            places.entry(number).or_default().push(board);
        }
        Ok(places)
    }

    /// Notes that a task changes, whose acts nobody else writes until the transaction ends; false when it
    /// is gone.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn touch_built_in_task(
        &mut self,
        project: ProjectId,
        number: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let n_rows =
            execute!(self, sqlx::query(TOUCH).bind(project.0).bind(number).bind(now.as_micros()))?;
        Ok(n_rows == 1)
    }

    /// Changes a task; false when it is gone.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn update_built_in_task(
        &mut self,
        project: ProjectId,
        number: i64,
        patch: &Patch,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if !self.touch_built_in_task(project, number, now).await? {
            return Ok(false);
        }
        let Some(task) = self.find_built_in_task(project, number).await? else { return Ok(false) };
        let body = to_json(patch.body.as_ref().unwrap_or(&task.body));
        let n_rows = execute!(
            self,
            sqlx::query(UPDATE)
                .bind(project.0)
                .bind(number)
                .bind(patch.title.as_ref().unwrap_or(&task.title))
                .bind(&body)
                .bind(patch.is_done.unwrap_or(task.is_done))
                .bind(patch.assignee.as_ref().unwrap_or(&task.assignee))
                .bind(now.as_micros())
        )?;
        Ok(n_rows == 1)
    }

    /// Deletes a task and what was said on it; false when it is gone.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_built_in_task(
        &mut self,
        project: ProjectId,
        number: i64,
    ) -> Result<bool, StoreError> {
        for text in [DELETE_COMMENTS, DELETE_PLACES] {
            execute!(self, sqlx::query(text).bind(project.0).bind(number))?;
        }
        let n_rows = execute!(self, sqlx::query(DELETE).bind(project.0).bind(number))?;
        Ok(n_rows == 1)
    }

    /// Notes what was said or done on a task, once for each key.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_built_in_act(
        &mut self,
        project: ProjectId,
        number: i64,
        act: &BuiltInAct,
    ) -> Result<(), StoreError> {
        let text = match &act.did {
            Did::Said(text) => text,
            Did::Completed
            | Did::Reopened
            | Did::Assigned
            | Did::SetFix
            | Did::Moved
            | Did::Other => "",
        };
        execute!(
            self,
            sqlx::query(INSERT_COMMENT)
                .bind(project.0)
                .bind(number)
                .bind(&act.key)
                .bind(&act.author)
                .bind(act.did.as_str())
                .bind(text)
                .bind(act.at.as_micros())
        )?;
        Ok(())
    }

    /// What was said and done on a task, the oldest first; at most 1,000.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_built_in_acts(
        &mut self,
        project: ProjectId,
        number: i64,
    ) -> Result<Vec<BuiltInAct>, StoreError> {
        let rows: Vec<(String, Option<String>, String, String, i64)> =
            on!(self, |c| sqlx::query_as(LIST_COMMENTS).bind(project.0).bind(number).fetch_all(c))?;
        let act = |(key, author, did, text, at): (_, _, String, _, _)| {
            let did = Did::parse(&did, text);
            let did = did.ok_or_else(|| StoreError::corrupt("built_in_comments", "did", number))?;
            Ok(BuiltInAct { key, author, did, at: Timestamp::from_micros(at) })
        };
        rows.into_iter().map(act).collect()
    }
}
