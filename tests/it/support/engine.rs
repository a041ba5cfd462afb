//! The two stores every test of the store runs on.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A file.
    Sqlite,
    /// A database of its own on the server that `./test` starts.
    Postgres,
}

/// The PostgreSQL server that `./test` starts.
pub(crate) fn postgres_server() -> String {
    std::env::var("AIRLOCK_TEST_POSTGRES")
        .expect("AIRLOCK_TEST_POSTGRES names a PostgreSQL server; ./test starts one and sets it")
}

impl Engine {
    /// The address of a new, empty database.
    pub(crate) async fn database(self, folder: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", folder.join("airlock.db").display()),
            Self::Postgres => {
                let server = postgres_server();
                let mut connection = PgConnection::connect(&server).await.expect("a connection");
                let name = format!("t{}", airlock::clock::Clock::system().id().simple());
                let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
                connection.execute(create).await.expect("a new database");
                let (address, _) = server.rsplit_once('/').expect("an address with a database");
                format!("{address}/{name}")
            }
        }
    }
}

/// `both!(name, |engine: Engine| async move { … })` makes `name::sqlite` and `name::postgres`.
macro_rules! both {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let body = $body;
                body($crate::support::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let body = $body;
                body($crate::support::Engine::Postgres).await;
            }
        }
    };
}
pub(crate) use both;
