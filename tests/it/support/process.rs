//! The real binary, in a process that can be killed.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::app::TOKEN;

/// A server in a process of its own.
pub(crate) struct Process {
    child: Child,
    /// Kept open: a server whose stdout is gone is another story.
    _stdout: Lines<BufReader<ChildStdout>>,
    /// Where it listens: `http://127.0.0.1:…`.
    pub(crate) url: String,
}

/// The binary.
pub(crate) fn airlock() -> Command {
    Command::new(env!("CARGO_BIN_EXE_airlock"))
}

impl Process {
    /// `airlock serve` in a data folder, with more arguments to be given.
    pub(crate) fn command(data: &Path, database: &str, log: &str) -> Command {
        let mut serve = airlock();
        serve
            .args(["serve", "--listen", "127.0.0.1:0", "--log", log])
            .arg("--data")
            .arg(data)
            .args(["--database", database])
            .args(["--spool-least-free-bytes", "0"])
            .env("AIRLOCK_BOOTSTRAP_TOKEN", TOKEN);
        serve
    }

    /// Starts `airlock serve` in a data folder and waits until it accepts connections.
    pub(crate) async fn serve(data: &Path, database: &str) -> Self {
        Self::start(Self::command(data, database, "warn")).await
    }

    /// Starts a server and waits until it accepts connections.
    pub(crate) async fn start(mut serve: Command) -> Self {
        serve.stderr(Stdio::null());
        Self::start_logging(serve).await
    }

    /// The same; its log goes where the command says.
    pub(crate) async fn start_logging(mut serve: Command) -> Self {
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = serve.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await.expect("output").expect("a line before it ends");
        let url = line.rsplit(' ').next().expect("an address").to_owned();
        Self { child, _stdout: lines, url }
    }

    /// The most memory it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a number of KiB") * 1024
    }

    /// kill -9.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// SIGTERM; gives how it ended.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw).expect("it runs");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be told");
        self.child.wait().await.expect("it ends")
    }
}
