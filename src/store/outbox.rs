//! Effects, written with the change that causes them.

use serde::Serialize;
use uuid::Uuid;

use super::error::StoreError;
use super::rows::{dialect, new_rows, rows_json};
use super::tx::{Tx, execute, statements};
use crate::domain::effect::Effect;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::time::Timestamp;

/// An effect of a change of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEffect {
    /// Its id; later effects have greater ones.
    pub id: Uuid,
    /// The issue that changed: its lane.
    pub issue: IssueId,
    /// What is to happen.
    pub effect: Effect,
}

#[derive(Serialize)]
struct EffectRow {
    id: Uuid,
    lane: String,
    effect: &'static str,
    payload: String,
}

macro_rules! insert {
    ($engine:ident) => {
        concat!(
            "INSERT INTO outbox (project_id, id, lane, effect, payload, state, created_at)
            SELECT $1, id, lane, effect, payload, 'planned', $3 FROM ",
            new_rows!($engine, uuid id, text lane, text effect, text payload)
        )
    };
}
const INSERT_SQLITE: &str = insert!(sqlite);
const INSERT_POSTGRES: &str = insert!(postgres);

statements!(INSERT_SQLITE, INSERT_POSTGRES);

impl Tx {
    /// Plans effects, each in the lane of its issue.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_effects(
        &mut self,
        project: ProjectId,
        effects: &[NewEffect],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        let rows = rows_json(effects.iter().map(|new| EffectRow {
            id: new.id,
            lane: format!("issue/{}", new.issue.0),
            effect: new.effect.as_str(),
            payload: serde_json::json!({ "issue": new.issue }).to_string(),
        }));
        let text = dialect!(self, INSERT_SQLITE, INSERT_POSTGRES);
        execute!(self, sqlx::query(text).bind(project.0).bind(rows).bind(now.as_micros()))?;
        Ok(())
    }
}
