//! `airlock serve`: the server.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

/// What the server is told.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The folder of the store, the spool and the git mirrors
    #[arg(long, env = "AIRLOCK_DATA", default_value = "./airlock-data", value_name = "DIR")]
    pub data: PathBuf,
    /// The address to listen on
    #[arg(long, env = "AIRLOCK_LISTEN", default_value = "127.0.0.1:8460", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// sqlite:PATH or postgres://… [default: SQLite inside the data folder]
    #[arg(long, env = "AIRLOCK_DATABASE", hide_env_values = true, value_name = "URL")]
    pub database: Option<String>,
    /// The address others reach the server at
    #[arg(long, env = "AIRLOCK_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// What this node does
    #[arg(long, value_enum, default_value_t = Role::All)]
    pub role: Role,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Everything.
    All,
    /// Takes reports and digests them.
    Intake,
    /// Delivers effects, keeps mirrors and timers.
    Worker,
    /// Serves the API and the pages.
    Web,
}

/// Runs the server until it is told to stop.
#[expect(clippy::unused_async, reason = "the server is not part of this build")]
pub async fn run(_args: ServeArgs) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "airlock: the server is not part of this build");
    ExitCode::FAILURE
}
