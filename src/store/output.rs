//! What deploys print.

use super::counters::count;
use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectItemId;

const SET_OUTPUT: &str = "UPDATE deploys SET n_output = $3
    WHERE project_id = $1 AND id = $2 AND n_output = $4";
const INSERT_OUTPUT: &str = "INSERT INTO deploy_output (project_id, deploy_id, start, output)
    VALUES ($1, $2, $3, $4)";
const LIST_OUTPUT: &str = "SELECT start, output FROM deploy_output
    WHERE project_id = $1 AND deploy_id = $2
        AND start >= COALESCE((SELECT MAX(start) FROM deploy_output
            WHERE project_id = $1 AND deploy_id = $2 AND start <= $3), 0)
    ORDER BY start LIMIT 64";

statements!(SET_OUTPUT, INSERT_OUTPUT, LIST_OUTPUT);

impl Tx {
    /// Appends output to a deploy that has `start` bytes of it.
    ///
    /// # Errors
    /// [`StoreError::Raced`] when it has another number by now.
    pub async fn append_output(
        &mut self,
        id: ProjectItemId,
        start: u64,
        output: &str,
    ) -> Result<(), StoreError> {
        let end = count(start + output.len() as u64);
        let (project, deploy, start) = (id.project.0, id.id, count(start));
        if execute!(self, sqlx::query(SET_OUTPUT).bind(project).bind(deploy).bind(end).bind(start))?
            != 1
        {
            return Err(StoreError::Raced);
        }
        execute!(
            self,
            sqlx::query(INSERT_OUTPUT).bind(project).bind(deploy).bind(start).bind(output)
        )?;
        Ok(())
    }

    /// Output of a deploy from an offset on, or from a little before it: pieces with their offsets,
    /// at most 64.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_output(
        &mut self,
        id: ProjectItemId,
        from: u64,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let rows: Vec<(i64, String)> = on!(self, |c| sqlx::query_as(LIST_OUTPUT)
            .bind(id.project.0)
            .bind(id.id)
            .bind(count(from))
            .fetch_all(c))?;
        Ok(rows.into_iter().map(|(start, text)| (start.unsigned_abs(), text)).collect())
    }

    /// All output of a deploy from an offset on, or from the next character.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn output_from(
        &mut self,
        id: ProjectItemId,
        mut from: u64,
    ) -> Result<String, StoreError> {
        let mut all = String::new();
        loop {
            let pieces = self.list_output(id, from).await?;
            let end = pieces.last().map_or(from, |(start, text)| start + text.len() as u64);
            if end <= from {
                return Ok(all);
            }
            for (start, text) in pieces {
                // The first may begin before.
                let known = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
                let known = (known..text.len()).find(|at| text.is_char_boundary(*at));
                all.push_str(known.and_then(|known| text.get(known..)).unwrap_or_default());
            }
            from = end;
        }
    }
}
