//! The server that crashes: one data folder, one store, and one process after the other.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::database::Database;
use crate::server::{Kind, airlock, wait_for_address};
use crate::{Failure, api};

/// Whoever is told to stop gets this long.
const STOP_PATIENCE: Duration = Duration::from_mins(1);

/// The server that crashes.
#[derive(Debug)]
pub(super) struct Victim {
    pub(super) data: PathBuf,
    /// Another store than the one in the data folder.
    pub(super) store: Option<String>,
    /// More arguments of `serve`.
    pub(super) arguments: Vec<String>,
    /// More of its environment.
    pub(super) environment: Vec<(&'static str, OsString)>,
    /// Where all its processes write their log.
    log: PathBuf,
    /// Dropped last, when no process uses it any more.
    process: Option<Child>,
    database: Option<Database>,
}

impl Victim {
    /// One that does not run yet; `folder` is for its log, `data` will be made.
    pub(super) fn new(kind: &Kind, folder: &Path, data: PathBuf) -> Result<Self, Failure> {
        let database = match kind {
            Kind::Postgres(server) => Some(Database::create(server)?),
            Kind::Sqlite | Kind::Sink => None,
        };
        Ok(Self {
            data,
            store: database.as_ref().map(|database| database.url.clone()),
            arguments: Vec::new(),
            environment: Vec::new(),
            log: folder.join("server.log"),
            process: None,
            database,
        })
    }

    /// Starts a process and does not wait for it.
    pub(super) fn spawn(&mut self) -> Result<(), Failure> {
        // What the last process left is not this one's address.
        let _ = std::fs::remove_file(self.data.join("address"));
        let mut command = airlock()?;
        command.arg(&self.data).args(&self.arguments).envs(self.environment.iter().cloned());
        if let Some(store) = &self.store {
            command.args(["--database", store]);
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn()?);
        Ok(())
    }

    /// Starts a process and waits until it accepts connections.
    pub(super) fn start(&mut self) -> Result<SocketAddr, Failure> {
        self.spawn()?;
        let address = self.data.join("address");
        let process = self.process.as_mut().ok_or("no process")?;
        wait_for_address(process, &address)
            .map_err(|cause| format!("{cause}; its log ends:\n{}", self.log_end()).into())
    }

    /// Kills the process as the kernel does when memory runs out.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Asks the process to stop, and does not wait.
    pub(super) fn terminate(&self) -> Result<(), Failure> {
        let process = self.process.as_ref().ok_or("no process")?;
        let id = rustix::process::Pid::from_child(process);
        Ok(rustix::process::kill_process(id, rustix::process::Signal::TERM)?)
    }

    /// Stops the process and waits for its end.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        self.terminate()?;
        let status = self.wait(STOP_PATIENCE)?.ok_or("the server does not stop")?;
        if status.success() { Ok(()) } else { Err(format!("the server ended: {status}").into()) }
    }

    /// Waits for the end of the process; `None` when it goes on.
    pub(super) fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>, Failure> {
        let began = Instant::now();
        let Some(process) = &mut self.process else { return Ok(None) };
        loop {
            if let Some(status) = process.try_wait()? {
                self.process = None;
                return Ok(Some(status));
            }
            if began.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts for the first time, makes the project and stops; gives the path of its reports.
    pub(super) fn set_up(&mut self) -> Result<String, Failure> {
        let address = self.start()?;
        let path = api::make_project(address, "bench")?;
        self.stop()?;
        Ok(path)
    }

    /// Where the store is, as `--database` has it.
    pub(super) fn database(&self) -> String {
        let in_folder = || format!("sqlite:{}", self.data.join("airlock.db").display());
        self.store.clone().unwrap_or_else(in_folder)
    }

    /// The end of what all its processes said.
    pub(super) fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(20)).copied().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It is on its way out either way; the database goes after it.
        let _ = self.kill();
        drop(self.database.take());
    }
}
