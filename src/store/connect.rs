//! Finding the database, also when it is away at first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, PgPool, SqlitePool};

use super::alone::{Alone, InUse};
use super::error::StoreError;
use super::tx::{Tx, statements};

static SQLITE_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// Nobody waits longer than this for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// No statement runs longer than this.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections to SQLite that read; one more writes.
const SQLITE_READERS: u32 = 4;

/// Memory for pages of the SQLite connection that writes, in KiB: what a batch changes fits, so that
/// no page is written before the commit.
const SQLITE_CACHE_KIB: u32 = 16 * 1024;

/// The same for each connection that reads: the issues of a project fit, so that a search does not
/// fetch them anew each time.
const SQLITE_READER_CACHE_KIB: u32 = 8 * 1024;

/// Pages of SQLite's log after which a commit moves them to the database: 8 MB. What is changed again
/// and again is moved once.
const SQLITE_LOG_PAGES: u32 = 2_000;

/// Connections to PostgreSQL of one process.
const POSTGRES_CONNECTIONS: u32 = 10;

/// What readers still need stays; the rest is moved to the database.
const SHRINK_LOG_SQLITE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

const COUNT_FREE_SQLITE: &str = "PRAGMA freelist_count";
const SHRINK_SQLITE: &str = "PRAGMA incremental_vacuum(200)";

/// Pages of SQLite's file that may be free: 4 MB.
const MOST_FREE_PAGES: i64 = 1_000;

const WAIT_FOR_NOBODY_SQLITE: &str = "PRAGMA busy_timeout = 0";
/// As [`ACQUIRE_TIMEOUT`].
const WAIT_AGAIN_SQLITE: &str = "PRAGMA busy_timeout = 5000";

statements!(
    WAIT_FOR_NOBODY_SQLITE,
    WAIT_AGAIN_SQLITE,
    SHRINK_LOG_SQLITE,
    COUNT_FREE_SQLITE,
    SHRINK_SQLITE
);

/// Where the store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A `postgres://` address.
    Postgres(String),
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            // The address may hold a password.
            Self::Postgres(_) => formatter.write_str("postgres"),
        }
    }
}

/// A database address that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("database must be sqlite:PATH or postgres://USER@HOST/NAME{0}")]
pub struct InvalidLocation(String);

impl FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(InvalidLocation(": the path is missing".to_owned()));
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            PgConnectOptions::from_str(text)
                .map_err(|cause| InvalidLocation(format!(": {cause}")))?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err(InvalidLocation(String::new()))
    }
}

#[derive(Debug)]
enum Db {
    Sqlite { reader: SqlitePool, writer: SqlitePool },
    Postgres(PgPool),
}

/// The store. It may be away: then every use says so, and [`Store::open`] can be tried again.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Db,
    is_open: AtomicBool,
    alone: Alone,
}

impl Store {
    /// A handle on the store at `location`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`InvalidLocation`] when the address cannot be understood.
    pub fn new(location: &Location) -> Result<Self, InvalidLocation> {
        let db = match location {
            Location::Sqlite(path) => sqlite(path),
            Location::Postgres(address) => postgres(address)?,
        };
        let alone = Alone::of(location);
        Ok(Self { inner: Arc::new(Inner { db, is_open: AtomicBool::new(false), alone }) })
    }

    /// Keeps other processes from the same SQLite file until this one is closed. Where the file cannot
    /// be locked, because its folder is not there yet, it is tried again when it is opened.
    ///
    /// # Errors
    /// [`InUse`].
    pub fn claim(&self) -> Result<(), InUse> {
        self.inner.alone.claim()
    }

    /// Connects, and brings the schema up to date. Does nothing once it has succeeded.
    ///
    /// # Errors
    /// [`StoreError::Away`] with the cause, to be tried again.
    pub async fn open(&self) -> Result<(), StoreError> {
        if self.is_open() {
            return Ok(());
        }
        self.claim().map_err(|in_use| StoreError::Away(in_use.to_string()))?;
        let migrated = match &self.inner.db {
            Db::Sqlite { writer, .. } => SQLITE_MIGRATIONS.run(writer).await,
            Db::Postgres(pool) => POSTGRES_MIGRATIONS.run(pool).await,
        };
        migrated.map_err(|cause| StoreError::Away(cause.to_string()))?;
        self.inner.is_open.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether a transaction that writes keeps everybody else from writing.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        matches!(self.inner.db, Db::Sqlite { .. })
    }

    /// Gives back the space of SQLite's log, which otherwise stays as large as it ever was.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn shrink_log(&self) -> Result<(), StoreError> {
        if let Db::Sqlite { writer, .. } = &self.inner.db {
            let mut connection = writer.acquire().await?;
            // Whoever reads is not waited for: there will be another time.
            sqlx::query(WAIT_FOR_NOBODY_SQLITE).execute(&mut *connection).await?;
            let shrunk = sqlx::query(SHRINK_LOG_SQLITE).execute(&mut *connection).await;
            sqlx::query(WAIT_AGAIN_SQLITE).execute(&mut *connection).await?;
            shrunk?;
        }
        Ok(())
    }

    /// Gives space of SQLite's file that nothing is in back to the disk, in small steps; a little
    /// stays for what comes next. PostgreSQL does the like by itself.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn give_space_back(&self) -> Result<(), StoreError> {
        let Db::Sqlite { writer, .. } = &self.inner.db else { return Ok(()) };
        let mut last = i64::MAX;
        loop {
            let (n_free,): (i64,) = sqlx::query_as(COUNT_FREE_SQLITE).fetch_one(writer).await?;
            // What was created before it could shrink never does.
            if n_free <= MOST_FREE_PAGES || n_free >= last {
                return Ok(());
            }
            last = n_free;
            sqlx::query(SHRINK_SQLITE).execute(writer).await?;
        }
    }

    /// Whether [`Self::open`] has succeeded.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.inner.is_open.load(Ordering::Acquire)
    }

    fn require_open(&self) -> Result<(), StoreError> {
        if self.is_open() {
            Ok(())
        } else {
            Err(StoreError::Away("it has not been opened yet".to_owned()))
        }
    }

    /// Begins a transaction that cannot write.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        self.require_open()?;
        Ok(match &self.inner.db {
            Db::Sqlite { reader, .. } => Tx::Sqlite(reader.begin().await?),
            Db::Postgres(pool) => Tx::Postgres(pool.begin_with("BEGIN READ ONLY").await?),
        })
    }

    /// Begins a transaction that can write. SQLite has one at a time.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        self.require_open()?;
        Ok(match &self.inner.db {
            Db::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Db::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Closes all connections; what runs is finished first.
    pub async fn close(&self) {
        match &self.inner.db {
            Db::Sqlite { reader, writer } => {
                reader.close().await;
                writer.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
        self.inner.alone.release();
    }
}

fn sqlite(path: &Path) -> Db {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(ACQUIRE_TIMEOUT)
        .statement_cache_capacity(200);
    let writing = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Space that is free can be given back.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        // A spool record is acknowledged after the commit, so the commit must be on disk.
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", format!("{SQLITE_LOG_PAGES}"))
        .pragma("cache_size", format!("-{SQLITE_CACHE_KIB}"))
        // What is deleted (buried bytes, keys) must not stay readable in free pages.
        .pragma("secure_delete", "ON");
    let reading =
        options.read_only(true).pragma("cache_size", format!("-{SQLITE_READER_CACHE_KIB}"));
    // A full or failing disk makes SQLite roll back by itself. The driver does not notice and takes
    // the connection for one within a transaction for ever: such a one is replaced.
    let pool = || {
        SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).before_acquire(|connection, _| {
            Box::pin(std::future::ready(Ok(!connection.is_in_transaction())))
        })
    };
    Db::Sqlite {
        reader: pool().max_connections(SQLITE_READERS).connect_lazy_with(reading),
        writer: pool().max_connections(1).connect_lazy_with(writing),
    }
}

fn postgres(address: &str) -> Result<Db, InvalidLocation> {
    let timeout = STATEMENT_TIMEOUT.as_millis().to_string();
    // A spool record is acknowledged after the commit, so the commit must be on disk, whatever the
    // role's default is.
    let options = PgConnectOptions::from_str(address)
        .map_err(|cause| InvalidLocation(format!(": {cause}")))?
        .application_name("airlock")
        .options([
            ("statement_timeout", timeout.as_str()),
            ("lock_timeout", "10000"),
            ("synchronous_commit", "on"),
            // PostgreSQL cannot know how short the lists in parameters are. For what it takes them
            // for it would compile statements, which takes a hundred times what they take.
            ("jit", "off"),
        ]);
    let pool = PgPoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_connections(POSTGRES_CONNECTIONS)
        .connect_lazy_with(options);
    Ok(Db::Postgres(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let sqlite = |path: &str| Ok(Location::Sqlite(PathBuf::from(path)));
        assert_eq!("sqlite:a/b.db".parse(), sqlite("a/b.db"));
        assert_eq!("sqlite:///var/a.db".parse(), sqlite("/var/a.db"));
        assert!("postgres://me:secret@db/airlock".parse::<Location>().is_ok());
        for bad in ["", "mysql://x", "sqlite:", "a.db"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_rolled_back_by_itself_is_not_the_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(&Location::Sqlite(folder.path().join("airlock.db"))).expect("valid");
        store.open().await.expect("a store");
        for _ in 0..3 {
            let Tx::Sqlite(mut tx) = store.write().await.expect("a transaction") else { return };
            // What SQLite does on its own when the disk is full.
            sqlx::query("ROLLBACK").execute(&mut *tx).await.expect("rolled back");
        }
        store.write().await.expect("a transaction").commit().await.expect("committed");
    }

    #[test]
    fn a_password_is_not_printed() {
        let location: Location = "postgres://me:secret@db/airlock".parse().expect("valid");
        assert!(!format!("{location:?}").contains("secret"));
    }
}
