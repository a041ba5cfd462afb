//! Who works on what: one at a time, for a while.
//!
//! Leases are global and never part of a project's transaction. What their holder writes carries the
//! fence, so that whoever lost a lease without noticing writes nothing any more.

use uuid::Uuid;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::time::Timestamp;

const CLAIM: &str = "INSERT INTO leases (name, holder, fence, held_until) VALUES ($1, $2, 1, $4)
    ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, fence = leases.fence + 1,
        held_until = EXCLUDED.held_until
    WHERE leases.held_until <= $3 OR leases.holder = EXCLUDED.holder RETURNING fence";
const RENEW: &str = "UPDATE leases SET held_until = $4
    WHERE name = $1 AND holder = $2 AND fence = $3 AND held_until > $5";
const RELEASE: &str = "UPDATE leases SET held_until = 0
    WHERE name = $1 AND holder = $2 AND fence = $3";

statements!(CLAIM, RENEW, RELEASE);

impl Tx {
    /// Takes a lease that nobody else holds; gives its fence, or `None` when somebody does. One process alone
    /// has a SQLite file: whoever held it before is gone.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn claim_lease(
        &mut self,
        name: &str,
        holder: Uuid,
        (now, until): (Timestamp, Timestamp),
    ) -> Result<Option<i64>, StoreError> {
        let free_until = match self {
            Self::Sqlite(_) => i64::MAX,
            Self::Postgres(_) => now.as_micros(),
        };
        let fence: Option<(i64,)> = on!(self, |c| sqlx::query_as(CLAIM)
            .bind(name)
            .bind(holder)
            .bind(free_until)
            .bind(until.as_micros())
            .fetch_optional(c))?;
        Ok(fence.map(|(fence,)| fence))
    }

    /// Holds a lease for longer; false when it is lost.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn renew_lease(
        &mut self,
        name: &str,
        (holder, fence): (Uuid, i64),
        (now, until): (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(RENEW)
                .bind(name)
                .bind(holder)
                .bind(fence)
                .bind(until.as_micros())
                .bind(now.as_micros())
        )?;
        Ok(n_rows == 1)
    }

    /// Lets others have a lease.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn release_lease(
        &mut self,
        name: &str,
        (holder, fence): (Uuid, i64),
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(RELEASE).bind(name).bind(holder).bind(fence))?;
        Ok(())
    }
}
