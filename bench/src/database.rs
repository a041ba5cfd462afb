//! A database of its own on a PostgreSQL.

use std::process::Command;

use airlock::clock::Clock;

use crate::Failure;

/// A database that is dropped at the end.
#[derive(Debug)]
pub(crate) struct Database {
    server: String,
    name: String,
    pub(crate) url: String,
}

impl Database {
    /// Makes one; `server` is a superuser's URL.
    pub(crate) fn create(server: &str) -> Result<Self, Failure> {
        let name = format!("airlock_bench_{}", Clock::system().id().simple());
        psql(server, &format!("CREATE DATABASE \"{name}\""))?;
        let (before, _) =
            server.rsplit_once('/').ok_or("a URL of PostgreSQL without a database")?;
        Ok(Self { server: server.to_owned(), url: format!("{before}/{name}"), name })
    }

    /// Bytes it takes on disk.
    pub(crate) fn n_bytes(&self) -> Result<u64, Failure> {
        let sql = format!("SELECT pg_database_size('{}')", self.name);
        Ok(psql(&self.server, &sql)?.trim().parse()?)
    }

    /// Deadlocks since it was made.
    pub(crate) fn n_deadlocks(&self) -> Result<u64, Failure> {
        let sql = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{}'", self.name);
        Ok(psql(&self.server, &sql)?.trim().parse()?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        // The server may be gone with it.
        let _ = psql(&self.server, &sql);
    }
}

fn psql(server: &str, sql: &str) -> Result<String, Failure> {
    let output = Command::new("psql").args([server, "-AtXqc", sql]).output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
