//! How git is run.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::domain::network::Networks;
use crate::domain::remote::{FETCH_TIME, MOST_BYTES, Protocols};

/// What mirrors may do and take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Networks that may be called although they are private.
    pub allow_networks: Networks,
    /// Protocols that may be used.
    pub protocols: Protocols,
    /// A fetch may take so long.
    pub fetch_time: Duration,
    /// A mirror may take so many bytes on disk.
    pub most_bytes: u64,
    /// The environment that git sees.
    pub environment: Vec<(OsString, OsString)>,
    /// Once it is true, nothing begins and what is under way ends.
    pub is_stopping: Arc<AtomicBool>,
}

impl Limits {
    /// Whether what is under way is to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allow_networks: Networks::default(),
            protocols: Protocols::default(),
            fetch_time: FETCH_TIME,
            most_bytes: MOST_BYTES,
            environment: inherited(),
            is_stopping: Arc::default(),
        }
    }
}

/// What git needs of the environment: where it is, where ssh finds its keys and known hosts, and
/// how to get out of the house. Secrets of this process are none of its business.
fn inherited() -> Vec<(OsString, OsString)> {
    const NAMES: &[&str] = &[
        "ALL_PROXY",
        "HOME",
        "HTTPS_PROXY",
        "NO_PROXY",
        "PATH",
        "SSH_AUTH_SOCK",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    let is_needed = |name: &OsString| name.to_str().is_some_and(|name| NAMES.contains(&name));
    std::env::vars_os().filter(|(name, _)| is_needed(name)).collect()
}

/// What git is told about every repository: nothing of what the machine, the user or the repository
/// would have it do.
const SETTINGS: &[&str] = &[
    "core.attributesFile=/dev/null",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.commitGraph=false",
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    // Elsewhere nobody looked whether the address may be called.
    "http.followRedirects=false",
    // Nobody watches a git whose parent was killed: it gives up by itself.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "maintenance.auto=false",
    "protocol.allow=never",
    "transfer.bundleURI=false",
    "uploadpack.packObjectsHook=",
];

/// ssh as git runs it: it asks nothing, believes no unknown host, and notices when one is gone.
pub(super) const SSH: &str = "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=30 \
    -oServerAliveInterval=15 -oServerAliveCountMax=4 -oControlMaster=no -oControlPath=none";

/// What a fetch is allowed with.
#[derive(Clone, Default)]
pub struct Credential(pub Option<String>);

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.0.is_some() { "Credential(…)" } else { "Credential(none)" })
    }
}

/// git for one bare repository.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    limits: Limits,
}

impl Git {
    /// git for the repository in a folder.
    #[must_use]
    pub fn new(dir: &Path, limits: &Limits) -> Self {
        Self { dir: dir.to_owned(), limits: limits.clone() }
    }

    /// A command, ready for arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .envs(self.limits.environment.iter().map(|(name, value)| (name, value)))
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_SSH_COMMAND", SSH)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C");
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        for protocol in self.limits.protocols.iter() {
            command.arg("-c").arg(format!("protocol.{}.allow=always", protocol.as_str()));
        }
        command.arg("--git-dir").arg(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// The last thing that git said before it gave up, without what nobody should read.
#[must_use]
pub fn complaint(stderr: &[u8], credential: &Credential) -> String {
    const MOST_CHARS: usize = 500;
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
    let fatal =
        text.lines().find(|line| line.starts_with("fatal: ") || line.starts_with("error: "));
    let said = fatal.or_else(|| lines.next()).unwrap_or("git said nothing");
    let mut said: String = said.chars().filter(|one| !one.is_control()).collect();
    let secret = credential.0.as_deref().unwrap_or_default();
    let password = secret.split_once(':').map_or("", |(_, password)| password);
    for secret in [secret, password].into_iter().filter(|secret| !secret.is_empty()) {
        said = said.replace(secret, "[filtered]");
    }
    said.chars().take(MOST_CHARS).collect()
}

/// Why git could not be run at all.
#[must_use]
pub fn not_run(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return "the command git is not installed".to_owned();
    }
    format!("git could not be started: {error}")
}
