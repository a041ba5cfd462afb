//! Real SDKs, in programs of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::TestProject;

/// A program that reports with a stock SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// `sentry-sdk` 2.
    Python,
    /// `sentry-sdk` 2, within Flask or Django.
    PythonWeb,
    /// `sentry-sdk` 1.
    Python1,
    /// `sentry-sdk` 0.
    Python0,
    /// `pybrake`.
    Pybrake,
    /// `airbrake` of Python.
    AirbrakePython,
    /// `@sentry/node`.
    Node,
    /// `@sentry/node`, within Express.
    NodeWeb,
    /// `@sentry/node` 7.
    Node7,
    /// `@sentry/node` 7, within Express.
    Node7Web,
    /// `@airbrake/node`.
    AirbrakeNode,
    /// `airbrake` of npm, which sends XML.
    AirbrakeXml,
    /// `sentry-cli`, in a shell script.
    Shell,
    /// The `sentry` crate.
    Rust,
}

/// How SDKs begin a line of their own log that tells of trouble.
const COMPLAINTS: &[&str] = &[
    "[sentry] WARNING",
    "[sentry] ERROR",
    "Sentry Logger [warn]",
    "Sentry Logger [error]",
    "[sentry] Failed",
    "error: ",
    "airbrake: ",
];

/// What `sentry-sdk` says when it is told what need not be sent.
const NO_COMPLAINT: &str = "Rate-limited via x-sentry-rate-limits";

/// What ./test has found out.
pub(super) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by ./test"))
}

/// A folder of the crash programs.
pub(super) fn programs(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(folder)
}

/// The folder of packages that a setting names.
pub(super) fn node_modules(name: &str) -> PathBuf {
    Path::new(&setting(name)).join("node_modules")
}

fn python(program: &str, packages: Option<&str>) -> Command {
    let mut command = Command::new(setting("AIRLOCK_TEST_PYTHON"));
    command.arg(programs("python").join(program)).env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(packages) = packages {
        command.env("PYTHONPATH", setting(packages));
    }
    command
}

fn node(program: &str, packages: &str) -> Command {
    let mut command = Command::new(setting("AIRLOCK_TEST_NODE"));
    command.arg(programs("node").join(program)).env("NODE_PATH", node_modules(packages));
    command
}

impl Client {
    fn command(self) -> Command {
        match self {
            Self::Python => python("crash.py", None),
            Self::PythonWeb => python("web.py", Some("AIRLOCK_TEST_PYTHON_WEB")),
            Self::Python1 => python("crash.py", Some("AIRLOCK_TEST_PYTHON_SENTRY_1")),
            Self::Python0 => python("crash.py", Some("AIRLOCK_TEST_PYTHON_SENTRY_0")),
            Self::Pybrake => python("notices.py", Some("AIRLOCK_TEST_PYTHON_AIRBRAKE")),
            Self::AirbrakePython => {
                python("plain_notices.py", Some("AIRLOCK_TEST_PYTHON_AIRBRAKE"))
            }
            Self::Node => node("crash.js", "AIRLOCK_TEST_NODE_PATH"),
            Self::NodeWeb => node("web.js", "AIRLOCK_TEST_NODE_PATH"),
            Self::Node7 => node("crash.js", "AIRLOCK_TEST_NODE_7_PATH"),
            Self::Node7Web => node("web.js", "AIRLOCK_TEST_NODE_7_PATH"),
            Self::AirbrakeNode => node("notices.js", "AIRLOCK_TEST_NODE_PATH"),
            Self::AirbrakeXml => {
                let mut command = node("xml_notices.js", "AIRLOCK_TEST_NODE_PATH");
                // As Node.js was in its day: what it cuts off is answered as well, with 400.
                command.env("NODE_OPTIONS", "--insecure-http-parser");
                command
            }
            Self::Shell => {
                let mut command = Command::new("bash");
                command.arg(programs("shell").join("crash.sh"));
                let tools = node_modules("AIRLOCK_TEST_NODE_PATH").join(".bin");
                let path = std::env::var("PATH").unwrap_or_default();
                command.env("PATH", format!("{}:{path}", tools.display()));
                command
            }
            Self::Rust => {
                let binary = Path::new(env!("CARGO_BIN_EXE_airlock"));
                Command::new(binary.with_file_name("crash-client"))
            }
        }
    }

    /// Runs the program to its end; gives the ids of the events it sent. Its SDK must have nothing
    /// to complain about.
    pub(crate) async fn run(self, project: &TestProject, arguments: &[&str]) -> Vec<String> {
        let mut command = self.command();
        command
            .args(arguments)
            .env("SENTRY_DSN", &project.dsn)
            .env("SENTRY_RELEASE", "shop@1.4.2")
            .env("SENTRY_ENVIRONMENT", "production")
            .env("AIRBRAKE_HOST", project.server())
            .env("AIRBRAKE_PROJECT_ID", project.id.to_string())
            .env("AIRBRAKE_PROJECT_KEY", &project.key)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_mins(1), command.output()).await;
        let output = output.expect("the program ends within a minute");
        let output = output.expect("the program can be started; ./test builds and installs it");
        let (said, log) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        let complaints: Vec<&str> =
            said.lines().chain(log.lines()).filter(|line| is_complaint(line)).collect();
        assert!(complaints.is_empty(), "{self:?} complains: {complaints:#?}");
        let ids: Vec<String> =
            said.lines().map(str::trim).filter(|line| is_id(line)).map(str::to_owned).collect();
        assert!(!ids.is_empty(), "{self:?} {arguments:?} sent nothing: {said}\n{log}");
        ids
    }
}

/// A release of `sentry-cli`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SentryCli {
    /// The last of version 2.
    Two,
    /// Version 3.
    Three,
}

impl SentryCli {
    /// Runs it in a folder with a token; gives whether it went well, and all it said.
    pub(crate) async fn run(
        self,
        (folder, server, token): (&Path, &str, &str),
        arguments: &[&str],
    ) -> (bool, String) {
        let packages = match self {
            Self::Two => "AIRLOCK_TEST_NODE_7_PATH",
            Self::Three => "AIRLOCK_TEST_NODE_PATH",
        };
        let mut command = Command::new(node_modules(packages).join(".bin/sentry-cli"));
        command
            .args(arguments)
            .current_dir(folder)
            .env("SENTRY_URL", server)
            .env("SENTRY_AUTH_TOKEN", token)
            .env("SENTRY_ORG", "acme")
            .env("HOME", folder)
            .env_remove("SENTRY_DSN")
            .env_remove("SENTRY_PROJECT")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_mins(1), command.output()).await;
        let output = output.expect("sentry-cli ends within a minute");
        let output = output.expect("sentry-cli can be started; ./test installs it");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }
}

/// Runs a step of what Asana's own client must be able to do; it must go well.
pub(crate) async fn asana_client(step: &str, variables: &[(&str, &str)]) {
    conforms(("asana", "AIRLOCK_TEST_PYTHON_ASANA"), step, variables).await;
}

/// The same of a client of GitHub's API that many use.
pub(crate) async fn github_client(step: &str, variables: &[(&str, &str)]) {
    conforms(("github", "AIRLOCK_TEST_PYTHON_GITHUB"), step, variables).await;
}

async fn conforms((tracker, packages): (&str, &str), step: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(setting("AIRLOCK_TEST_PYTHON"));
    command
        .arg(programs(tracker).join("conformance.py"))
        .arg(step)
        .env("PYTHONPATH", setting(packages))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(1), command.output()).await;
    let output = output.expect("the client ends within a minute");
    let output = output.expect("the client can be started; ./test installs it");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{step}: {log}");
}

fn is_complaint(line: &str) -> bool {
    COMPLAINTS.iter().any(|complaint| line.contains(complaint)) && !line.contains(NO_COMPLAINT)
}

fn is_id(line: &str) -> bool {
    line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}
