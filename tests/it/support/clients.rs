//! Real SDKs, in programs of their own.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

/// A program that reports with a stock SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// `sentry-sdk`.
    Python,
    /// `@sentry/node`.
    Node,
    /// The `sentry` crate.
    Rust,
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by ./test"))
}

/// The folder of the crash programs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

impl Client {
    fn command(self) -> Command {
        match self {
            Self::Python => {
                let mut command = Command::new(setting("AIRLOCK_TEST_PYTHON"));
                command.arg(programs().join("python/crash.py"));
                command
            }
            Self::Node => {
                let mut command = Command::new(setting("AIRLOCK_TEST_NODE"));
                let modules = Path::new(&setting("AIRLOCK_TEST_NODE_PATH")).join("node_modules");
                command.arg(programs().join("node/crash.js")).env("NODE_PATH", modules);
                command
            }
            Self::Rust => {
                let binary = Path::new(env!("CARGO_BIN_EXE_airlock"));
                Command::new(binary.with_file_name("crash-client"))
            }
        }
    }

    /// Runs the program to its end; gives what it printed.
    pub(crate) async fn run(self, dsn: &str, arguments: &[&str]) -> Output {
        let output = self
            .command()
            .args(arguments)
            .env("SENTRY_DSN", dsn)
            .env("SENTRY_RELEASE", "shop@1.4.2")
            .env("SENTRY_ENVIRONMENT", "production")
            .stdin(Stdio::null())
            .output();
        output.await.expect("the program can be started; ./test builds and installs it")
    }

    /// Runs the program; gives the ids of the events it sent.
    pub(crate) async fn event_ids(self, dsn: &str, arguments: &[&str]) -> Vec<String> {
        let output = self.run(dsn, arguments).await;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_id =
            |line: &&str| line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        lines.lines().map(str::trim).filter(is_id).map(str::to_owned).collect()
    }
}
