//! Many rows in one statement.
//!
//! A statement that costs a round trip for each row is what makes a store slow. Rows go to either
//! engine as one parameter, a JSON array of objects, and come out as the table `new`: through
//! `jsonb_each` on SQLite, through `json_to_recordset` on PostgreSQL. Bytes are hexadecimal there.

use serde::Serialize;

/// One column of `new` on SQLite.
macro_rules! sqlite_column {
    (uuid $name:ident) => {
        concat!("unhex(value ->> '", stringify!($name), "', '-') AS ", stringify!($name))
    };
    (bytes $name:ident) => {
        concat!("unhex(value ->> '", stringify!($name), "', '\\x') AS ", stringify!($name))
    };
    ($kind:ident $name:ident) => {
        concat!("value ->> '", stringify!($name), "' AS ", stringify!($name))
    };
}

/// One column of `new` on PostgreSQL.
macro_rules! postgres_column {
    (uuid $name:ident) => {
        concat!(stringify!($name), " UUID")
    };
    (bytes $name:ident) => {
        concat!(stringify!($name), " BYTEA")
    };
    (int $name:ident) => {
        concat!(stringify!($name), " BIGINT")
    };
    (bool $name:ident) => {
        concat!(stringify!($name), " BOOLEAN")
    };
    (text $name:ident) => {
        concat!(stringify!($name), " TEXT")
    };
}

/// The table `new` of a statement whose second parameter has the rows:
/// `new_rows!(sqlite, uuid id, text title)`. Kinds are `uuid`, `bytes`, `int`, `bool` and `text`.
macro_rules! new_rows {
    (sqlite, $kind:ident $name:ident $(, $kinds:ident $names:ident)* $(,)?) => {
        concat!(
            "(SELECT ", $crate::store::rows::sqlite_column!($kind $name),
            $(", ", $crate::store::rows::sqlite_column!($kinds $names),)*
            " FROM jsonb_each($2)) AS new"
        )
    };
    (postgres, $kind:ident $name:ident $(, $kinds:ident $names:ident)* $(,)?) => {
        concat!(
            "json_to_recordset(CAST($2 AS JSON)) AS new (",
            $crate::store::rows::postgres_column!($kind $name),
            $(", ", $crate::store::rows::postgres_column!($kinds $names),)*
            ")"
        )
    };
}

/// The text of whichever engine a transaction is on.
macro_rules! dialect {
    ($tx:expr, $sqlite:expr, $postgres:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(_) => $sqlite,
            $crate::store::Tx::Postgres(_) => $postgres,
        }
    };
}

/// The rows of a statement whose second parameter names issues: an array on PostgreSQL, JSON on
/// SQLite.
macro_rules! of_issues {
    ($tx:expr, $sqlite:expr, $postgres:expr, $project:expr, $issues:expr) => {{
        let ids: Vec<Uuid> = $issues.iter().map(|issue| issue.0).collect();
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                let query = sqlx::query_as($sqlite)
                    .bind($project.0)
                    .bind($crate::store::rows::to_json(&ids));
                query.fetch_all(&mut **tx).await
            }
            $crate::store::Tx::Postgres(tx) => {
                let query = sqlx::query_as($postgres).bind($project.0).bind(ids);
                query.fetch_all(&mut **tx).await
            }
        }
    }};
}

pub(super) use {dialect, new_rows, of_issues, postgres_column, sqlite_column};

/// Rows as the parameter of a statement.
pub(super) fn rows_json<T: Serialize>(rows: impl IntoIterator<Item = T>) -> String {
    to_json(&rows.into_iter().collect::<Vec<T>>())
}

/// A parameter of texts, numbers and ids.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and ids can be written as JSON")
}

/// Bytes as they stand in rows.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    let mut out = String::with_capacity(2 + bytes.len() * 2);
    out.push_str("\\x");
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn bytes_are_hexadecimal() {
        assert_eq!(hex(&[0, 0x5a, 255]), "\\x005aff");
    }
}
