//! What only the store itself can tell, once no server has it open.

use std::collections::BTreeMap;

use sqlx::{ConnectOptions as _, Connection as _};

use crate::Failure;

/// Counted events by the number of their issue and the hour since the epoch.
pub(super) type Hours = BTreeMap<(i64, i64), i64>;

const HOURS: &str = "SELECT issues.number, issue_counts.hour,
    CAST(SUM(issue_counts.n_events) AS BIGINT)
    FROM issue_counts
    JOIN issues ON issues.project_id = issue_counts.project_id AND issues.id = issue_counts.issue_id
    GROUP BY issues.number, issue_counts.hour";

/// The hourly counters. A SQLite file is also checked from its first page to its last.
pub(super) fn look(database: &str) -> Result<Hours, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let rows: Vec<(i64, i64, i64)> =
            match database.parse::<sqlx::sqlite::SqliteConnectOptions>() {
                Ok(options) if database.starts_with("sqlite:") => {
                    let mut connection = options.disable_statement_logging().connect().await?;
                    let check = sqlx::query_scalar("PRAGMA integrity_check");
                    let found: Vec<String> = check.fetch_all(&mut connection).await?;
                    if found != ["ok"] {
                        return Err(format!("the SQLite file is damaged: {found:?}").into());
                    }
                    sqlx::query_as(HOURS).fetch_all(&mut connection).await?
                }
                _ => {
                    let mut connection = sqlx::PgConnection::connect(database).await?;
                    sqlx::query_as(HOURS).fetch_all(&mut connection).await?
                }
            };
        Ok(rows.into_iter().map(|(number, hour, n)| ((number, hour), n)).collect())
    })
}
