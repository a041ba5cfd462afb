//! `airlock serve`: the service itself.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::app;
use crate::clock::Clock;
use crate::config::{BODY_TIMEOUT, Config, GIT_FETCH_EVERY, HEAD_TIMEOUT, Role};
use crate::domain::network::Networks;
use crate::domain::remote::{FETCH_TIME, MOST_BYTES, Protocols};

/// What the service is told.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The folder of the store, the spool and the keys
    #[arg(long, env = "AIRLOCK_DATA", default_value = "./airlock-data", value_name = "DIR")]
    data: PathBuf,
    /// The address to listen on; a socket passed by the service manager is used instead
    #[arg(long, env = "AIRLOCK_LISTEN", default_value = "127.0.0.1:8460", value_name = "ADDR")]
    listen: SocketAddr,
    /// sqlite:PATH or postgres://… [default: SQLite inside the data folder]
    #[arg(long, env = "AIRLOCK_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// The address others reach the service at [default: where it listens]
    #[arg(long, env = "AIRLOCK_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// What this process does
    #[arg(long, value_enum, default_value_t = RoleArg::All)]
    role: RoleArg,
    /// A token with every scope, 20 characters or more
    #[arg(long, env = "AIRLOCK_BOOTSTRAP_TOKEN", hide_env_values = true, hide = true)]
    bootstrap_token: Option<String>,
    /// Bytes the spool may use; reports are refused beyond
    #[arg(long, env = "AIRLOCK_SPOOL_MOST_BYTES", default_value_t = crate::spool::MOST_BYTES, value_name = "BYTES")]
    spool_most_bytes: u64,
    /// Bytes the spool leaves free on its disk; reports are refused beyond
    #[arg(long, env = "AIRLOCK_SPOOL_LEAST_FREE_BYTES", default_value_t = crate::spool::LEAST_FREE_BYTES, value_name = "BYTES")]
    spool_least_free_bytes: u64,
    /// Seconds a client may take for the headers of a request
    #[arg(long, env = "AIRLOCK_HEAD_TIMEOUT", default_value_t = HEAD_TIMEOUT.as_secs(), value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    head_timeout: u64,
    /// Seconds a client may take for a report, unless it sends at least 16 KiB a second
    #[arg(long, env = "AIRLOCK_BODY_TIMEOUT", default_value_t = BODY_TIMEOUT.as_secs(), value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    body_timeout: u64,
    /// The file of the key that seals credentials, the same for all nodes [default: secret.key in the data folder]
    #[arg(long, env = "AIRLOCK_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
    /// Private networks that may be called, as 10.0.0.0/8, with commas between several
    #[arg(long, env = "AIRLOCK_ALLOW_NETWORKS", default_value = "", value_name = "NETWORKS")]
    allow_networks: Networks,
    /// How repositories may be fetched, of https, http, ssh and file
    #[arg(long, env = "AIRLOCK_GIT_PROTOCOLS", default_value = "https,ssh", value_name = "NAMES")]
    git_protocols: Protocols,
    /// Seconds between two fetches of a repository
    #[arg(long, env = "AIRLOCK_GIT_FETCH_EVERY", default_value_t = GIT_FETCH_EVERY.as_secs(), value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..=86_400))]
    git_fetch_every: u64,
    /// Seconds that fetching a repository may take
    #[arg(long, env = "AIRLOCK_GIT_FETCH_TIMEOUT", default_value_t = FETCH_TIME.as_secs(), value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    git_fetch_timeout: u64,
    /// Bytes that the mirror of a repository may take
    #[arg(long, env = "AIRLOCK_GIT_MOST_BYTES", default_value_t = MOST_BYTES, value_name = "BYTES")]
    git_most_bytes: u64,
    /// What to log: a level, or levels by part as in `info,airlock::digest=debug`
    #[arg(
        long,
        env = "AIRLOCK_LOG",
        default_value = "info,actix_server=warn",
        value_name = "FILTER"
    )]
    log: String,
    /// How log lines look
    #[arg(long, env = "AIRLOCK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Everything
    All,
    /// Take reports and digest them
    Intake,
    /// Do what is due in the background
    Worker,
    /// Serve people and scripts
    Web,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// For machines, one JSON object a line
    Json,
}

impl ServeArgs {
    fn config(self) -> Config {
        Config {
            data: self.data,
            listen: self.listen,
            database: self.database,
            public_url: self.public_url,
            role: match self.role {
                RoleArg::All => Role::All,
                RoleArg::Intake => Role::Intake,
                RoleArg::Worker => Role::Worker,
                RoleArg::Web => Role::Web,
            },
            bootstrap_token: self.bootstrap_token,
            spool_most_bytes: self.spool_most_bytes,
            spool_least_free_bytes: self.spool_least_free_bytes,
            head_timeout: Duration::from_secs(self.head_timeout),
            body_timeout: Duration::from_secs(self.body_timeout),
            secret_key_file: self.secret_key_file,
            allow_networks: self.allow_networks,
            git_protocols: self.git_protocols,
            git_fetch_every: Duration::from_secs(self.git_fetch_every),
            git_fetch_time: Duration::from_secs(self.git_fetch_timeout),
            git_most_bytes: self.git_most_bytes,
            tracker_timeout: crate::config::TRACKER_TIMEOUT,
            n_workers: None,
        }
    }

    fn start_log(&self) -> Result<(), String> {
        // It calls every client that sends no HTTP an error: strangers would fill the log.
        let filter = EnvFilter::try_new(format!("actix_http::h1=off,{}", self.log))
            .map_err(|cause| format!("--log {:?} is no filter: {cause}", self.log))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let started = match self.log_format {
            LogFormat::Text => {
                let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
                log.with_ansi(is_terminal).with_target(false).try_init()
            }
            LogFormat::Json => log.json().try_init(),
        };
        started.map_err(|cause| cause.to_string())
    }
}

/// Runs the service until it is told to stop.
pub async fn run(args: ServeArgs) -> ExitCode {
    let say = |text: String| {
        // Whoever started the service may have closed the pipe; that stops nothing.
        let _ = writeln!(std::io::stderr(), "airlock: {text}");
    };
    // Events and reports are nobody else's business, whatever folder they are put in.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    if let Err(cause) = args.start_log() {
        say(cause);
        return ExitCode::from(2);
    }
    // Listening for signals comes first: a stop that comes during the start is not missed.
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(cause), _) | (_, Err(cause)) => {
                say(format!("cannot listen for signals: {cause}"));
                return ExitCode::FAILURE;
            }
        };
    let socket = match listenfd::ListenFd::from_env().take_tcp_listener(0) {
        Ok(socket) => socket,
        Err(cause) => {
            say(format!("the socket passed by the service manager cannot be used: {cause}"));
            return ExitCode::FAILURE;
        }
    };
    let running = match app::start(args.config(), Clock::system(), socket).await {
        Ok(running) => running,
        Err(cause) => {
            say(cause.to_string());
            return ExitCode::FAILURE;
        }
    };
    if let Some(file) = &running.new_admin_token {
        say(format!(
            "first start: an administrator's token is in {} (commands on this machine use it)",
            file.display()
        ));
    }
    let _ = writeln!(std::io::stdout(), "Airlock listens on http://{}", running.address);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    ExitCode::SUCCESS
}
