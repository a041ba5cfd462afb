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

    /// Whether the data itself is refused, so that the same again can never succeed. Whoever holds
    /// something that must not be lost waits for everything else: a standby that takes no writes, a
    /// changed password, a broken file are mended by people.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Away(_) | Self::Raced => false,
            Self::Taken(_) | Self::Corrupt { .. } => true,
            Self::Database(error) => is_permanent(error),
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
            let taken = TAKEN.into_iter().find(|(part, _)| message.contains(part));
            if let Some((_, taken)) = taken {
                return Self::Taken(taken);
            }
        }
        Self::Database(error)
    }
}

/// What databases call what people choose and must be unique, and what people call it.
const TAKEN: [(&str, &str); 5] = [
    ("slug", "slug"),
    ("prefix", "prefix"),
    ("repositories", "the name of the repository"),
    ("deploys", "the environment's slot"),
    ("locks", "the key"),
];

/// SQLite's primary result codes that pass: BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN.
const SQLITE_TRANSIENT: [i64; 7] = [5, 6, 7, 8, 10, 13, 14];

/// PostgreSQL's SQLSTATE classes that pass: connection, transaction rollback (serialization,
/// deadlock), insufficient resources, lock not available, operator intervention, system error.
const POSTGRES_TRANSIENT: [&str; 6] = ["08", "40", "53", "55", "57", "58"];

/// SQLite's primary result codes that are about the data: TOOBIG, CONSTRAINT, MISMATCH, RANGE.
const SQLITE_PERMANENT: [i64; 4] = [18, 19, 20, 25];

/// PostgreSQL's SQLSTATE classes that are about the data: cardinality, data exception, integrity,
/// program limit exceeded.
const POSTGRES_PERMANENT: [&str; 4] = ["21", "22", "23", "54"];

fn is_permanent(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(cause) = error {
        return is_one_of(cause.as_ref(), &SQLITE_PERMANENT, &POSTGRES_PERMANENT);
    }
    matches!(
        error,
        sqlx::Error::Encode(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::InvalidArgument(_)
    )
}

/// Whether a database's error has one of these primary codes, or a code of one of these classes.
fn is_one_of(cause: &dyn sqlx::error::DatabaseError, sqlite: &[i64], postgres: &[&str]) -> bool {
    let code = cause.code().unwrap_or_default();
    if cause.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The low byte is the primary code, the rest says more.
        code.parse::<i64>().is_ok_and(|code| sqlite.contains(&(code & 0xff)))
    } else {
        postgres.iter().any(|class| code.starts_with(class))
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(cause) = error {
        return is_one_of(cause.as_ref(), &SQLITE_TRANSIENT, &POSTGRES_TRANSIENT);
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
