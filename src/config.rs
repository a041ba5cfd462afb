//! What the service is told: flags and environment, as one typed value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::network::Networks;
use crate::domain::remote::Protocols;

/// A client must send its headers within this time, if nothing else is said.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A client must send its body within this time, if nothing else is said and it is not at least
/// steady.
pub const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Each repository is fetched so often, if nothing else is said.
pub const GIT_FETCH_EVERY: Duration = Duration::from_mins(5);

/// A tracker must answer within this time, if nothing else is said: before a node's lease on it ends.
pub const TRACKER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// Takes reports and digests them.
    Intake,
    /// Works in the background.
    Worker,
    /// Serves people and scripts.
    Web,
}

impl Role {
    /// Whether the process takes and digests reports.
    #[must_use]
    pub fn takes_reports(self) -> bool {
        matches!(self, Self::All | Self::Intake)
    }

    /// Whether the process serves the API.
    #[must_use]
    pub fn serves_api(self) -> bool {
        matches!(self, Self::All | Self::Web)
    }

    /// Whether the process answers from the history of repositories, and so keeps mirrors.
    #[must_use]
    pub fn reads_history(self) -> bool {
        matches!(self, Self::All | Self::Worker | Self::Web)
    }

    /// Whether the process does what is due by time.
    #[must_use]
    pub fn keeps_time(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

/// What the service is told.
#[derive(Clone)]
pub struct Config {
    /// The data folder: store, spool, keys, tokens.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The store's address; SQLite in the data folder by default.
    pub database: Option<String>,
    /// The address others reach it at; where it listens by default.
    pub public_url: Option<String>,
    /// What the process is for.
    pub role: Role,
    /// One more token with every scope.
    pub bootstrap_token: Option<String>,
    /// Bytes the spool may use.
    pub spool_most_bytes: u64,
    /// Bytes the spool leaves free on its disk.
    pub spool_least_free_bytes: u64,
    /// How long a client may take for its headers.
    pub head_timeout: Duration,
    /// How long a client may take for its body, unless it keeps up the least rate.
    pub body_timeout: Duration,
    /// The file of the key that seals secrets; in the data folder by default.
    pub secret_key_file: Option<PathBuf>,
    /// Networks that may be called although they are private.
    pub allow_networks: Networks,
    /// How repositories may be reached.
    pub git_protocols: Protocols,
    /// How often each repository is fetched.
    pub git_fetch_every: Duration,
    /// How long fetching a repository may take.
    pub git_fetch_time: Duration,
    /// Bytes that the mirror of a repository may take.
    pub git_most_bytes: u64,
    /// How long a tracker may take to answer.
    pub tracker_timeout: Duration,
    /// Threads that serve requests; as many as cores by default.
    pub n_workers: Option<usize>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The database's address and the token are secrets.
        formatter
            .debug_struct("Config")
            .field("data", &self.data)
            .field("listen", &self.listen)
            .field("public_url", &self.public_url)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
