//! Who works on what: one at a time, for a while.
//!
//! Whoever writes as the holder of a lease holds it in the same transaction first: who lost it without
//! noticing writes nothing any more, and those who have it write one after the other.

use std::time::Duration;

use uuid::Uuid;

use super::error::StoreError;
use super::rows::dialect;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::tracker::ConnectionId;

const CLAIM: &str = "INSERT INTO leases (project_id, name, holder, fence, held_until)
    VALUES ($1, $2, $3, 1, $5) ON CONFLICT (project_id, name) DO UPDATE SET
        holder = EXCLUDED.holder, fence = leases.fence + 1, held_until = EXCLUDED.held_until
    WHERE leases.held_until <= $4 OR leases.holder = EXCLUDED.holder RETURNING fence";
const HOLD: &str = "UPDATE leases SET held_until = $5
    WHERE project_id = $1 AND name = $2 AND holder = $3 AND fence = $4";
const REVOKE: &str = "UPDATE leases SET fence = fence + 1, held_until = 0
    WHERE project_id = $1 AND name = $2";
const CLAIM_CONNECTION: &str = "INSERT INTO connections (id, holder, held_until)
    VALUES ($1, $2, $4) ON CONFLICT (id) DO UPDATE SET
        holder = EXCLUDED.holder, held_until = EXCLUDED.held_until
    WHERE connections.held_until <= $3 OR connections.holder = EXCLUDED.holder";

statements!(CLAIM, HOLD, REVOKE, CLAIM_CONNECTION);

/// What the lease of a project's tracker is called.
pub const TRACKER: &str = "tracker";

/// Something of a project that one node at a time works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub project: ProjectId,
    /// What of it.
    pub name: &'static str,
    /// The node.
    pub holder: Uuid,
    /// Greater than those of all who had it before.
    pub fence: i64,
    /// How long it is held without a word.
    time: Duration,
}

impl Tx {
    /// Takes a lease that nobody else holds; `None` when somebody does. It is held for this time without a
    /// word, unless one process alone has the database: whoever held it before is gone then.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn claim_lease(
        &mut self,
        (project, name): (ProjectId, &'static str),
        holder: Uuid,
        now: Timestamp,
        time: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let time = dialect!(self, Duration::ZERO, time);
        let fence: Option<(i64,)> = on!(self, |c| sqlx::query_as(CLAIM)
            .bind(project.0)
            .bind(name)
            .bind(holder)
            .bind(now.as_micros())
            .bind(now.plus(time).as_micros())
            .fetch_optional(c))?;
        Ok(fence.map(|(fence,)| Lease { project, name, holder, fence, time }))
    }

    /// Holds a lease for longer, and keeps everybody else from it until the transaction ends; false when it
    /// is lost.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn hold_lease(&mut self, lease: &Lease, now: Timestamp) -> Result<bool, StoreError> {
        self.hold_lease_until(lease, now.plus(lease.time)).await
    }

    /// Holds it no longer.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn end_lease(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        self.hold_lease_until(lease, Timestamp::from_micros(0)).await
    }

    /// Takes a lease from whoever has it: what they still do they do not note any more.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn revoke_lease(
        &mut self,
        (project, name): (ProjectId, &'static str),
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(REVOKE).bind(project.0).bind(name))?;
        Ok(())
    }

    /// Takes a connection to a tracker that nobody else has, or has it for longer; false when somebody else
    /// has it.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn claim_connection(
        &mut self,
        id: &ConnectionId,
        holder: Uuid,
        (now, until): (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(CLAIM_CONNECTION)
                .bind(id.0.as_slice())
                .bind(holder)
                .bind(now.as_micros())
                .bind(until.as_micros())
        )?;
        Ok(n_rows == 1)
    }

    async fn hold_lease_until(
        &mut self,
        lease: &Lease,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(HOLD)
                .bind(lease.project.0)
                .bind(lease.name)
                .bind(lease.holder)
                .bind(lease.fence)
                .bind(until.as_micros())
        )?;
        Ok(n_rows == 1)
    }
}
