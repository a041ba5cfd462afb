//! The versions of gates, and the names of the environments they are for.

use std::collections::BTreeSet;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::tracker::Board;

const FIND_GATE: &str = "SELECT version FROM gates WHERE project_id = $1 AND environment = $2";
const RAISE_GATE: &str = "INSERT INTO gates (project_id, environment, version) VALUES ($1, $2, 1)
    ON CONFLICT (project_id, environment) DO UPDATE SET version = gates.version + 1
    RETURNING version";
const LIST_LOCKED_BY: &str = "SELECT environment FROM locks
    WHERE project_id = $1 AND issue_id = $2";
/// Writes nothing new, but holds the row.
const HOLD_GATE: &str = "UPDATE gates SET version = version
    WHERE project_id = $1 AND environment = $2";
macro_rules! rename {
    ($table:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET environment = $3 WHERE project_id = $1 AND environment = $2"
        )
    };
}
const RENAME_IN_LOCKS: &str = rename!("locks");
const RENAME_IN_FREEZES: &str = rename!("freezes");
const RENAME_IN_GATES: &str = rename!("gates");
const RENAME_IN_DEPLOYS: &str = rename!("deploys");
const RENAME_IN_LANDINGS: &str = rename!("fix_landings");
const RENAME_BOARD: &str = "UPDATE built_in_places SET board = $3
    WHERE project_id = $1 AND board = $2";
const FORGET_GATE: &str = "DELETE FROM gates WHERE project_id = $1 AND environment = $2";
const FORGET_LANDINGS: &str = "DELETE FROM fix_landings WHERE project_id = $1 AND environment = $2";

statements!(
    FIND_GATE,
    RAISE_GATE,
    LIST_LOCKED_BY,
    HOLD_GATE,
    RENAME_IN_LOCKS,
    RENAME_IN_FREEZES,
    RENAME_IN_GATES,
    RENAME_IN_DEPLOYS,
    RENAME_IN_LANDINGS,
    RENAME_BOARD,
    FORGET_GATE,
    FORGET_LANDINGS
);

impl Tx {
    /// The version of an environment's gate.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn gate_version(
        &mut self,
        project: ProjectId,
        environment: &str,
    ) -> Result<i64, StoreError> {
        let row: Option<(i64,)> = on!(self, |c| sqlx::query_as(FIND_GATE)
            .bind(project.0)
            .bind(environment)
            .fetch_optional(c))?;
        Ok(row.map_or(0, |(version,)| version))
    }

    /// Raises the version of an environment's gate, and holds it until the transaction ends; gives
    /// the new one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn raise_gate(
        &mut self,
        project: ProjectId,
        environment: &str,
    ) -> Result<i64, StoreError> {
        let (version,): (i64,) = on!(self, |c| sqlx::query_as(RAISE_GATE)
            .bind(project.0)
            .bind(environment)
            .fetch_one(c))?;
        Ok(version)
    }

    /// Raises the versions of the gates of all environments that issues lock or locked.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn raise_gates_of(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<(), StoreError> {
        for environment in self.list_locked_by(project, issues).await? {
            self.raise_gate(project, &environment).await?;
        }
        Ok(())
    }

    /// The same, and holds the gate of one environment until the transaction ends: no deploy starts
    /// or ends there meanwhile. What is not locked is not raised.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn raise_gates_at(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        environment: &str,
    ) -> Result<(), StoreError> {
        let locked = self.list_locked_by(project, &[issue]).await?;
        let mut names = locked.clone();
        names.insert(environment.to_owned());
        for name in names {
            if locked.contains(&name) {
                self.raise_gate(project, &name).await?;
            } else {
                execute!(self, sqlx::query(HOLD_GATE).bind(project.0).bind(&name))?;
            }
        }
        Ok(())
    }

    /// The environments that issues lock or locked, in the order in which everybody takes gates.
    async fn list_locked_by(
        &mut self,
        project: ProjectId,
        issues: &[IssueId],
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut names = BTreeSet::new();
        for issue in issues {
            let rows: Vec<(String,)> = on!(self, |c| sqlx::query_as(LIST_LOCKED_BY)
                .bind(project.0)
                .bind(issue.0)
                .fetch_all(c))?;
            names.extend(rows.into_iter().map(|(environment,)| environment));
        }
        Ok(names)
    }

    /// Lets locks, freezes, deploys, gates and boards of environments go on under their new names.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn rename_environments(
        &mut self,
        project: ProjectId,
        renamed: &[(String, String)],
    ) -> Result<(), StoreError> {
        if renamed.is_empty() {
            return Ok(());
        }
        // By way of names that nothing has: two may change places.
        let aside = |name: &str| format!("\u{1}{name}");
        let away = renamed.iter().map(|(old, _)| (old.clone(), aside(old)));
        let back = renamed.iter().map(|(old, new)| (aside(old), new.clone()));
        let steps: Vec<(String, String)> = away.chain(back).collect();
        for (index, (old, new)) in steps.iter().enumerate() {
            if index >= renamed.len() {
                // An environment that is gone was called so: what was deployed there is not here.
                for text in [FORGET_GATE, FORGET_LANDINGS] {
                    execute!(self, sqlx::query(text).bind(project.0).bind(new))?;
                }
            }
            // Gates come before locks in every transaction.
            for text in [
                RENAME_IN_GATES,
                RENAME_IN_LOCKS,
                RENAME_IN_FREEZES,
                RENAME_IN_DEPLOYS,
                RENAME_IN_LANDINGS,
            ] {
                execute!(self, sqlx::query(text).bind(project.0).bind(old).bind(new))?;
            }
            for board in [Board::Locks, Board::Deploys] {
                let (old, new) = (board(old.clone()), board(new.clone()));
                execute!(
                    self,
                    sqlx::query(RENAME_BOARD)
                        .bind(project.0)
                        .bind(old.to_string())
                        .bind(new.to_string())
                )?;
            }
        }
        self.rename_in_tracker(project, renamed).await?;
        self.rename_in_freezes(project, renamed).await
    }
}
