//! A look behind the API, and the few changes that only a hand in the store can make.

use airlock::store::Tx;
use sqlx::AssertSqlSafe;

use super::TestApp;

/// Runs one text on whichever engine the transaction is on.
macro_rules! on {
    ($tx:expr, |$connection:ident| $query:expr) => {
        match $tx {
            Tx::Sqlite(tx) => {
                let $connection = &mut **tx;
                $query.await
            }
            Tx::Postgres(tx) => {
                let $connection = &mut **tx;
                $query.await
            }
        }
    };
}

impl TestApp {
    /// The one column of texts that a query gives.
    pub(crate) async fn stored_texts(&self, sql: &str) -> Vec<String> {
        let mut tx = self.running.store().read().await.expect("a transaction");
        let sql = || AssertSqlSafe(sql.to_owned());
        let rows: Vec<(String,)> =
            on!(&mut tx, |c| sqlx::query_as(sql()).fetch_all(c)).expect("an answer");
        rows.into_iter().map(|(text,)| text).collect()
    }

    /// The one number that a query gives; sums are `CAST(… AS BIGINT)`.
    pub(crate) async fn stored_number(&self, sql: &str) -> i64 {
        let mut tx = self.running.store().read().await.expect("a transaction");
        let sql = || AssertSqlSafe(sql.to_owned());
        let (number,): (i64,) =
            on!(&mut tx, |c| sqlx::query_as(sql()).fetch_one(c)).expect("an answer");
        number
    }

    /// The one column of bytes that a query gives.
    pub(crate) async fn stored_bytes(&self, sql: &str) -> Vec<Vec<u8>> {
        let mut tx = self.running.store().read().await.expect("a transaction");
        let sql = || AssertSqlSafe(sql.to_owned());
        let rows: Vec<(Vec<u8>,)> =
            on!(&mut tx, |c| sqlx::query_as(sql()).fetch_all(c)).expect("an answer");
        rows.into_iter().map(|(bytes,)| bytes).collect()
    }

    /// Changes the store by hand, with bytes for `$1`.
    pub(crate) async fn change_store(&self, sql: &str, bytes: &[u8]) {
        let mut tx = self.running.store().write().await.expect("a transaction");
        let sql = || AssertSqlSafe(sql.to_owned());
        match &mut tx {
            Tx::Sqlite(tx) => {
                sqlx::query(sql()).bind(bytes).execute(&mut **tx).await.expect("a change");
            }
            Tx::Postgres(tx) => {
                sqlx::query(sql()).bind(bytes).execute(&mut **tx).await.expect("a change");
            }
        }
        tx.commit().await.expect("a commit");
    }
}
