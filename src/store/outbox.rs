//! Effects, written with the change that causes them.

use uuid::Uuid;

use super::error::StoreError;
use super::tx::{Tx, execute, statements};
use crate::domain::effect::Effect;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::time::Timestamp;

const INSERT: &str = "INSERT INTO outbox
    (project_id, id, lane, effect, payload, state, created_at)
    VALUES ($1, $2, $3, $4, $5, 'planned', $6)";

statements!(INSERT);

impl Tx {
    /// Plans an effect in the lane of its issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_effect(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        id: Uuid,
        effect: Effect,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let payload = serde_json::json!({ "issue": issue }).to_string();
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(project.0)
                .bind(id)
                .bind(format!("issue/{}", issue.0))
                .bind(effect.as_str())
                .bind(&payload)
                .bind(now.as_micros())
        )?;
        Ok(())
    }
}
