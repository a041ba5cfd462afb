//! One transaction on either engine.

use sqlx::{Postgres, Sqlite, Transaction};

use super::error::StoreError;

/// A transaction. What is not committed is undone when it is dropped.
#[derive(Debug)]
pub enum Tx {
    /// On the one writer, or a reader, of a SQLite file.
    Sqlite(Transaction<'static, Sqlite>),
    /// On a connection to PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Makes everything done in the transaction durable.
    ///
    /// # Errors
    /// [`StoreError`]; a transient one leaves open whether the transaction was carried out.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// Runs one text on whichever engine the transaction is on: `on!(tx, |c| query(SQL).execute(c))`.
macro_rules! on {
    ($tx:expr, |$connection:ident| $query:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                let $connection = &mut **tx;
                $query.await
            }
            $crate::store::Tx::Postgres(tx) => {
                let $connection = &mut **tx;
                $query.await
            }
        }
    };
}

/// Runs a statement on whichever engine the transaction is on; gives the number of rows it wrote.
macro_rules! execute {
    ($tx:expr, $query:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                $query.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            $crate::store::Tx::Postgres(tx) => {
                $query.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        }
    };
}

/// Lists the statements of a file by name, for the test that prepares every one on its engines.
macro_rules! statements {
    ($($name:ident),+ $(,)?) => {
        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(super) use {execute, on, statements};
