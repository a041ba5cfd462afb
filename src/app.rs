//! Wiring: makes the parts, starts them, and stops them in order. Owns the clock.
//!
//! *Invariants*: the service accepts reports whether the store is there or not; every task is in
//! [`Running`] and is waited for; stopping goes accepting → requests → spool → digest → store, so
//! that what was accepted is on disk, and in the store if it answers.

mod delivering;
mod fetching;
mod housekeeping;
mod server;
mod settling;
mod tasks;
mod unread;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::sync::watch;

use crate::api::Api;
use crate::auth::keys::Keys;
use crate::auth::limiter::Limiter;
use crate::auth::secrets::{KEY_FILE, Secrets};
use crate::auth::tokens::{LEAST_BOOTSTRAP_CHARS, Tokens};
use crate::clock::Clock;
use crate::config::Config;
use crate::digest::{Digest, Limits};
use crate::git::command::Limits as GitLimits;
use crate::git::mirrors::Mirrors;
use crate::health::{Health, PartState};
use crate::intake::{Intake, Memory};
use crate::outbox::Outbox;
use crate::outcomes::Outcomes;
use crate::release::repositories::Repositories;
use crate::spool::{self, Spool};
use crate::store::{Location, Store};
use crate::tracker::connections::Trackers;
use tasks::Tasks;

/// The start waits this long for the store, then goes on without.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// Stopping waits this long for digest to drain the spool; the rest is digested after the next
/// start.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// Stopping does not wait longer than this for a store that does not answer. Connections that were
/// opened on the server's threads end with them, so one failure is no reason to give up.
const AWAY_PATIENCE: Duration = Duration::from_secs(2);

/// Everything else gets this long to end.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// The last counts are tried this often: see [`AWAY_PATIENCE`].
const FLUSH_TRIES: usize = 3;

/// How often stopping looks whether digest still gets on.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("the data folder {path} cannot be used: {cause}")]
    Data {
        /// The folder.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The database's address makes no sense.
    #[error(transparent)]
    Database(#[from] crate::store::InvalidLocation),
    /// Another process has the database.
    #[error(transparent)]
    DatabaseInUse(#[from] crate::store::InUse),
    /// The public address makes no sense.
    #[error("--public-url must be an address like https://errors.example")]
    PublicUrl,
    /// The key of stored secrets cannot be used.
    #[error(transparent)]
    Secrets(#[from] crate::auth::secrets::KeyError),
    /// The bootstrap token is too easy to guess.
    #[error("AIRLOCK_BOOTSTRAP_TOKEN is shorter than {LEAST_BOOTSTRAP_CHARS} characters")]
    WeakBootstrapToken,
    /// The spool cannot be opened.
    #[error("the spool cannot be opened: {0}")]
    Spool(#[from] spool::OpenError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The metrics cannot be set up.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// What mirrors may do and take.
fn git_limits(config: &Config) -> GitLimits {
    GitLimits {
        allow_networks: config.allow_networks.clone(),
        protocols: config.git_protocols.clone(),
        fetch_time: config.git_fetch_time,
        most_bytes: config.git_most_bytes,
        ..GitLimits::default()
    }
}

/// A service that runs.
#[derive(Debug)]
pub struct Running {
    /// The address it listens on.
    pub address: SocketAddr,
    /// The address others reach it at.
    pub public_url: String,
    /// The file of the administrator's token, when this was the very first start.
    pub new_admin_token: Option<std::path::PathBuf>,
    server: ServerHandle,
    spool: Spool,
    store: Store,
    outcomes: Arc<Outcomes>,
    mirrors: Mirrors,
    outbox: Outbox,
    digest_health: Health,
    stop: watch::Sender<bool>,
    digest: Option<tokio::task::JoinHandle<()>>,
    tasks: Tasks,
}

/// Starts the service. It accepts connections when this returns.
///
/// # Errors
/// [`StartError`]: what was told makes no sense, or the machine does not have it.
#[expect(
    clippy::too_many_lines,
    reason = "the wiring, in the order in which parts need each other"
)]
pub async fn start(
    config: Config,
    clock: Clock,
    socket: Option<TcpListener>,
) -> Result<Running, StartError> {
    check(&config)?;
    make_folder(&config.data)?;
    server::raise_file_limit();
    let metrics = server::recorder().map_err(StartError::Metrics)?;
    let (spool, reader) = open_spool(&config, &clock)?;
    let store = find_store(&config)?;
    let (listener, address) = listen(&config, socket)?;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let keys = Arc::new(Keys::load(store.clone(), clock.clone(), config.data.join("keys.json")));
    let tokens = Tokens::new(store.clone(), clock.clone(), config.bootstrap_token.as_deref());
    let key = config.secret_key_file.clone().unwrap_or_else(|| config.data.join(KEY_FILE));
    let secrets = Secrets::load(&key, &clock)?;
    let mirrors = Mirrors::new(&config.data.join("git"), git_limits(&config));
    let trackers = Trackers::new(
        (store.clone(), clock.clone()),
        secrets.clone(),
        (public_url.clone(), config.public_url.clone()),
        config.tracker_timeout,
    );
    let repositories = Repositories::new(store.clone(), clock.clone(), mirrors.clone(), secrets);
    let git_health = Health::new(clock.now());
    let settling_health = Health::new(clock.now());
    let outbox_health = Health::new(clock.now());
    let outcomes = Arc::new(Outcomes::default());
    let limiter = Arc::new(Limiter::new(Arc::clone(&keys), Arc::clone(&outcomes)));
    let spool_health = Health::new(clock.now());
    let digest_health = Health::new(clock.now());
    let store_health = Health::new(clock.now());
    let (stop, stopping) = watch::channel(false);

    let opener = housekeeping::Opener {
        store: store.clone(),
        keys: Arc::clone(&keys),
        limiter: Arc::clone(&limiter),
        tokens: tokens.clone(),
        clock: clock.clone(),
        health: store_health.clone(),
        admin_token: config.data.join("admin.token"),
    };
    // The store is mostly there at once; then the first request finds everything in place.
    let first_try = tokio::time::timeout(OPEN_PATIENCE, opener.step()).await;
    let is_opened = matches!(first_try, Ok(Ok(_)));
    let new_admin_token = first_try.ok().and_then(Result::ok).flatten();

    let mut tasks = Tasks::default();
    if !is_opened {
        tracing::warn!("the store is away; reports are accepted and wait");
        tasks.spawn(opener.run(stopping.clone()));
    }
    let digest = config.role.takes_reports().then(|| {
        let digest = Digest::new(
            store.clone(),
            Arc::clone(&keys),
            clock.clone(),
            (spool.clone(), reader),
            digest_health.clone(),
            Limits::default(),
        );
        tasks::spawn(digest.run(stopping.clone()))
    });
    let housekeeper = housekeeping::Housekeeper {
        store: store.clone(),
        keys: Arc::clone(&keys),
        limiter: Arc::clone(&limiter),
        clock: clock.clone(),
        outcomes: Arc::clone(&outcomes),
        health: store_health.clone(),
        keeps_time: config.role.keeps_time(),
    };
    tasks.spawn(housekeeper.run(stopping.clone()));
    if config.role.reads_history() {
        let fetcher = fetching::Fetcher {
            repositories: repositories.clone(),
            clock: clock.clone(),
            health: git_health.clone(),
            every: config.git_fetch_every,
        };
        tasks.spawn(fetcher.run(stopping.clone()));
    }
    let outbox = Outbox::new(
        (store.clone(), clock.clone()),
        trackers.clone(),
        repositories.clone(),
        public_url.clone(),
    );
    if config.role.keeps_time() {
        let deliverer = delivering::Deliverer {
            outbox: outbox.clone(),
            health: outbox_health.clone(),
            clock: clock.clone(),
        };
        tasks.spawn(deliverer.run(stopping.clone()));
    }
    if config.role.reads_history() {
        let settler = settling::Settler {
            repositories: repositories.clone(),
            health: settling_health.clone(),
            clock: clock.clone(),
            keeps_time: config.role.keeps_time(),
        };
        tasks.spawn(settler.run(stopping.clone()));
    }

    let intake = Intake {
        spool: spool.clone(),
        keys: Arc::clone(&keys),
        limiter,
        outcomes: Arc::clone(&outcomes),
        clock: clock.clone(),
        memory: Memory::default(),
        limits: limits(&config),
        public_url: public_url.clone(),
    };
    let api = Api {
        store: store.clone(),
        keys,
        tokens,
        repositories,
        trackers,
        clock,
        public_url: public_url.clone(),
        spool: spool.clone(),
        outcomes: Arc::clone(&outcomes),
        spool_health,
        digest_health: digest_health.clone(),
        store_health,
        git_health,
        settling_health,
        outbox_health,
        metrics,
    };
    let server = server::run(listener, &config, intake, api)
        .map_err(|cause| StartError::Listen { address, cause })?;
    let handle = server.handle();
    tasks.spawn(async move {
        if let Err(cause) = server.await {
            tracing::error!(%cause, "the server stopped");
        }
    });
    write_address(&config.data, &address)?;
    Ok(Running {
        address,
        public_url,
        new_admin_token,
        server: handle,
        spool,
        store,
        outcomes,
        mirrors,
        outbox,
        digest_health,
        stop,
        digest,
        tasks,
    })
}

impl Running {
    /// Stops accepting, finishes what it holds, and returns.
    pub async fn stop(mut self) {
        // A fetch may take long; the next process does it.
        self.mirrors.stop();
        self.server.stop(true).await;
        self.spool.close().await;
        if let Some(mut digest) = self.digest.take()
            && !self.drained(&mut digest).await
        {
            tracing::warn!("the spool is not drained; the rest waits for the next start");
            self.stop.send_replace(true);
            if tokio::time::timeout(END_PATIENCE, &mut digest).await.is_err() {
                // What it holds is free when this returns.
                digest.abort();
                let _ = digest.await;
            }
        }
        self.stop.send_replace(true);
        if tokio::time::timeout(END_PATIENCE, self.tasks.join()).await.is_err() {
            tracing::warn!("a task does not end; the process ends without it");
            self.tasks.abort().await;
        }
        for tries_left in (0..FLUSH_TRIES).rev() {
            let flushed = tokio::time::timeout(END_PATIENCE, self.outcomes.flush(&self.store));
            match flushed.await {
                Ok(Ok(())) => break,
                Ok(Err(_)) if tries_left > 0 => {}
                Ok(Err(cause)) => {
                    tracing::warn!(%cause, "the last counts of refused requests are lost");
                }
                Err(_) => {
                    tracing::warn!("the last counts of refused requests are lost");
                    break;
                }
            }
        }
        // A worker that served may not have let go yet.
        self.spool.give_back();
        // A peer that is gone never says goodbye.
        let _ = tokio::time::timeout(END_PATIENCE, self.store.close()).await;
    }

    /// Waits until digest has drained the spool, as long as there is hope.
    async fn drained(&self, digest: &mut tokio::task::JoinHandle<()>) -> bool {
        let began = std::time::Instant::now();
        let mut well_at = began;
        while began.elapsed() < DRAIN_PATIENCE && well_at.elapsed() < AWAY_PATIENCE {
            if tokio::time::timeout(DRAIN_LOOK, &mut *digest).await.is_ok() {
                return true;
            }
            if self.digest_health.get().state == PartState::Ok {
                well_at = std::time::Instant::now();
            }
        }
        false
    }

    /// The outbox, for tests that carry out what is in it themselves.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The store, for tests that look behind the API.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    if config
        .bootstrap_token
        .as_ref()
        .is_some_and(|token| token.chars().count() < LEAST_BOOTSTRAP_CHARS)
    {
        return Err(StartError::WeakBootstrapToken);
    }
    let is_address = |url: &String| {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@', ' ']))
    };
    if config.public_url.as_ref().is_some_and(|url| !is_address(url)) {
        return Err(StartError::PublicUrl);
    }
    Ok(())
}

/// What a body may be.
fn limits(config: &Config) -> crate::intake::Limits {
    let usual = crate::intake::Limits::default();
    crate::intake::Limits { body_timeout: config.body_timeout, ..usual }
}

fn open_spool(config: &Config, clock: &Clock) -> Result<(Spool, spool::Reader), StartError> {
    let mut settings = spool::Settings::new(config.data.join("spool"));
    settings.most_bytes = config.spool_most_bytes;
    settings.least_free_bytes = config.spool_least_free_bytes;
    Ok(spool::open(settings, u64::from_be_bytes(clock.random()))?)
}

fn find_store(config: &Config) -> Result<Store, StartError> {
    let location = match &config.database {
        Some(address) => address.parse()?,
        None => Location::Sqlite(config.data.join("airlock.db")),
    };
    let store = Store::new(&location)?;
    store.claim()?;
    Ok(store)
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| StartError::Data { path: path.display().to_string(), cause })
}

fn listen(
    config: &Config,
    socket: Option<TcpListener>,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |cause| StartError::Listen { address: config.listen, cause };
    let listener = match socket {
        Some(socket) => socket,
        None => TcpListener::bind(config.listen).map_err(failed)?,
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn write_address(data: &Path, address: &SocketAddr) -> Result<(), StartError> {
    let path = data.join("address");
    let fresh = data.join("address.new");
    let written = std::fs::write(&fresh, format!("http://{address}\n"))
        .and_then(|()| std::fs::rename(&fresh, &path));
    written.map_err(|cause| StartError::Data { path: path.display().to_string(), cause })
}
