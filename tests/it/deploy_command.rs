//! `airlock gate` and `airlock deploy` as scripts use them, before a server that fails.

mod kept;
mod scripts;
mod wrapped;

use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{FakeAirlock, airlock};

/// A commit that is named, as there is no repository.
const COMMIT: &str = "4f2c91a04f2c91a04f2c91a04f2c91a04f2c91a0";

/// A server and a client with its own spool.
struct Bench {
    server: FakeAirlock,
    folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { server: FakeAirlock::start().await, folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A command for a server, as cron would run it: hardly any environment.
    fn command_to(&self, url: &str, words: &[&str]) -> Command {
        let mut command = airlock();
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AIRLOCK_URL", url)
            .env("AIRLOCK_TOKEN", "a-secret-token")
            .env("AIRLOCK_SPOOL", self.path("spool"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn command(&self, words: &[&str]) -> Command {
        self.command_to(&self.server.url, words)
    }

    async fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().await.expect("it runs")
    }

    /// `airlock deploy shop/production … -- sh -c SCRIPT`.
    fn deploy(&self, options: &[&str], script: &str) -> Command {
        self.command(&wrapping(options, script))
    }

    /// The entries of its spool.
    fn kept(&self) -> usize {
        entries(&self.path("spool"))
    }
}

fn wrapping<'a>(options: &[&'a str], script: &'a str) -> Vec<&'a str> {
    let begin = ["deploy", "shop/production", "--commit", COMMIT];
    [&begin, options, &["--", "sh", "-c", script]].concat()
}

fn entries(spool: &Path) -> usize {
    std::fs::read_dir(spool).map_or(0, Iterator::count)
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("its address"))
}
