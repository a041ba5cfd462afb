//! What can go wrong with the store, and whether trying again helps.

use std::fmt;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not connected, or its schema is not there yet.
    #[error("the store is not reachable: {0}")]
    Away(String),
    /// Something with the same unique value exists.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// Somebody else changed what the decision was made on; decide again.
    #[error("changed by somebody else meanwhile")]
    Raced,
    /// A row makes no sense.
    #[error("table {table}, column {column}, row {id}: value makes no sense")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key, for finding it.
        id: String,
    },
    /// The database refused or failed.
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same again may succeed: the database is away, busy, full or restarting.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Away(_) | Self::Raced => true,
            Self::Taken(_) | Self::Corrupt { .. } => false,
            Self::Database(error) => is_transient(error),
        }
    }

    /// A row that makes no sense.
    pub(super) fn corrupt(
        table: &'static str,
        column: &'static str,
        id: impl fmt::Display,
    ) -> Self {
        Self::Corrupt { table, column, id: id.to_string() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(cause) = &error
            && cause.is_unique_violation()
        {
            let message = cause.message();
            if let Some(taken) = TAKEN.into_iter().find(|name| message.contains(name)) {
                return Self::Taken(taken);
            }
        }
        Self::Database(error)
    }
}

/// Columns whose values people choose and that must be unique.
const TAKEN: [&str; 2] = ["slug", "prefix"];

/// SQLite's primary result codes that pass: BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN.
const SQLITE_TRANSIENT: [i64; 7] = [5, 6, 7, 8, 10, 13, 14];

/// PostgreSQL's SQLSTATE classes that pass: connection, transaction rollback (serialization,
/// deadlock), insufficient resources, lock not available, operator intervention, system error.
const POSTGRES_TRANSIENT: [&str; 6] = ["08", "40", "53", "55", "57", "58"];

fn is_transient(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(cause) = error {
        let code = cause.code().unwrap_or_default();
        return if cause.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
            // The low byte is the primary code, the rest says more.
            code.parse::<i64>().is_ok_and(|code| SQLITE_TRANSIENT.contains(&(code & 0xff)))
        } else {
            POSTGRES_TRANSIENT.iter().any(|class| code.starts_with(class))
        };
    }
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
    )
}
