//! The store past the server: what it holds, and a way to hold it up.

use std::collections::BTreeMap;

use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};

/// A connection of the test's own to the server's database.
pub(crate) enum Database {
    /// To its file.
    Sqlite(SqliteConnection),
    /// To its server.
    Postgres(PgConnection),
}

const OUTCOMES: &str = "SELECT outcome, detail, CAST(SUM(n) AS BIGINT) FROM outcomes
    WHERE project_id = $1 GROUP BY outcome, detail";

impl Database {
    /// Connects.
    pub(crate) async fn open(address: &str) -> Self {
        if address.starts_with("sqlite:") {
            Self::Sqlite(SqliteConnection::connect(address).await.expect("the file"))
        } else {
            Self::Postgres(PgConnection::connect(address).await.expect("the database"))
        }
    }

    /// What was counted for a project: `skipped session` and how often.
    pub(crate) async fn outcomes(&mut self, project: i64) -> BTreeMap<String, i64> {
        let rows: Result<Vec<(String, String, i64)>, _> = match self {
            Self::Sqlite(c) => sqlx::query_as(OUTCOMES).bind(project).fetch_all(c).await,
            Self::Postgres(c) => sqlx::query_as(OUTCOMES).bind(project).fetch_all(c).await,
        };
        let name = |(kind, detail, n)| (format!("{kind} {detail}").trim_end().to_owned(), n);
        rows.expect("outcomes").into_iter().map(name).collect()
    }

    /// Lets nobody else store events until [`Self::release`].
    pub(crate) async fn hold(&mut self) {
        let held = match self {
            Self::Sqlite(c) => c.execute("BEGIN IMMEDIATE").await.map(|_| ()),
            Self::Postgres(c) => {
                let lock = "BEGIN; LOCK TABLE events IN EXCLUSIVE MODE";
                c.execute(lock).await.map(|_| ())
            }
        };
        held.expect("the lock");
    }

    /// Ends a [`Self::hold`].
    pub(crate) async fn release(&mut self) {
        let released = match self {
            Self::Sqlite(c) => c.execute("ROLLBACK").await.map(|_| ()),
            Self::Postgres(c) => c.execute("ROLLBACK").await.map(|_| ()),
        };
        released.expect("the end of the lock");
    }
}
