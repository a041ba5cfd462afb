//! `airlock demo`: the whole story on a throw-away server, each step with the command that a person
//! would type.
//!
//! It runs this very program and `git` as a person would, in a folder of its own, and leaves the server
//! running.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Output as Ended, Stdio};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::Context;
use super::failure::Failure;
use super::output::{Ink, Output};

/// How long something is waited for that should be there at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// A folder for everything; a new one for temporary files by default
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where its server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where a tracker reaches that, so that it says by itself when something changes
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Arguments of `airlock tracker connect`: the tasks are in this tracker, not in Airlock's own
    #[arg(last = true, value_name = "TRACKER")]
    tracker: Vec<String>,
}

/// The folder of a demo and its server.
struct Demo<'a> {
    context: &'a Context,
    program: PathBuf,
    dir: PathBuf,
    /// What connects the tracker, if that is another than Airlock's own.
    tracker: Vec<String>,
    server: Child,
}

pub(super) async fn run(context: &Context, args: DemoArgs) -> Result<(), Failure> {
    let id = context.clock.id().simple().to_string();
    let dir = args.dir.unwrap_or_else(|| std::env::temp_dir().join(format!("airlock-demo-{id}")));
    let program = std::env::current_exe().map_err(|cause| failed("this program", cause))?;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(|cause| failed(&dir.display().to_string(), cause))?;
    fs::create_dir(dir.join("shop")).map_err(|cause| failed("the folder", cause))?;
    let server = serve(&program, &dir, (args.listen, args.public_url))?;
    let mut demo = Demo { context, program, dir, tracker: args.tracker, server };
    let told = tokio::select! {
        told = demo.tell() => told,
        _ = tokio::signal::ctrl_c() => Err(Failure::Unfinished("the demo was ended".to_owned())),
    };
    if let Err(failure) = told {
        // Whoever reads what went wrong has no use for the server.
        let _ = demo.server.kill().await;
        return Err(failure);
    }
    demo.farewell()
}

fn failed(what: &str, cause: std::io::Error) -> Failure {
    Failure::Unfinished(format!("{what}: {cause}"))
}

/// Starts the server; it outlives this program.
fn serve(
    program: &Path,
    dir: &Path,
    (listen, public_url): (SocketAddr, Option<String>),
) -> Result<Child, Failure> {
    let log = File::create(dir.join("server.log")).map_err(|cause| failed("server.log", cause))?;
    let errors = log.try_clone().map_err(|cause| failed("server.log", cause))?;
    let mut command = Command::new(program);
    command
        .args(["serve", "--listen", &listen.to_string(), "--data"])
        .arg(dir.join("data"))
        .env("AIRLOCK_GIT_PROTOCOLS", "file")
        .env_remove("AIRLOCK_DATABASE")
        .env_remove("AIRLOCK_LISTEN")
        .env_remove("AIRLOCK_PUBLIC_URL")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C is meant for the demo.
        .process_group(0);
    if let Some(url) = public_url {
        command.args(["--public-url", &url]);
    }
    command.spawn().map_err(|cause| failed("the server", cause))
}

impl Demo<'_> {
    async fn tell(&mut self) -> Result<(), Failure> {
        self.say("A server of its own, a project, and a repository with one commit.")?;
        self.ready().await?;
        self.git(&["init", "--quiet", "--initial-branch=main", "."]).await?;
        self.commit("cart.py", "total = cart['total']", "A shop").await?;
        let base = self.head().await?;
        self.airlock(&["project", "create", "shop"], 0).await?;
        let repository = self.dir.join("shop").display().to_string();
        self.airlock(&["repository", "add", "shop", "web", &repository], 0).await?;
        if !self.tracker.is_empty() {
            self.say("The team has its tasks in a tracker.")?;
            let mut connect = vec!["tracker", "connect"];
            connect.extend(self.tracker.iter().map(String::as_str));
            connect.extend(["--project", "shop"]);
            self.airlock(&connect, 0).await?;
        }

        self.say("The application crashes. It says which commit it was built from.")?;
        let crash = self.crash(&base).await?;
        let crash: Vec<&str> = crash.iter().map(String::as_str).collect();
        self.airlock(&crash, 0).await?;
        self.until("SHOP-1", |issue| issue.get("events") == Some(&json!(1))).await?;
        self.airlock(&["issues", "shop"], 0).await?;

        self.say("It is serious: production is to wait until the fix is part of it.")?;
        self.airlock(&["lock", "shop/production", "--issue", "SHOP-1"], 0).await?;
        self.until("SHOP-1", |issue| has_task(issue, "open")).await?;

        self.say("An engineer fixes it, and names the commit.")?;
        self.commit("cart.py", "total = cart.get('total', 0)", "Carts may be empty").await?;
        self.airlock(&["fix", "SHOP-1"], 0).await?;

        self.say("What is deployed still crashes: that is expected, and quiet.")?;
        self.airlock(&crash, 0).await?;
        self.until("SHOP-1", |issue| issue.get("suppressed") == Some(&json!(1))).await?;
        self.airlock(&["show", "SHOP-1"], 0).await?;

        self.say("Production is locked for everything without the fix.")?;
        self.airlock(&["gate", "shop/production", "--commit", &base], 1).await?;

        self.say("Beta gets the fix: the issue is resolved, and its task is done.")?;
        self.airlock(&["deploy", "shop/beta", "--", "echo", "pushing to beta"], 0).await?;
        self.until("SHOP-1", |issue| has_come_to(issue, "resolved", "done")).await?;
        self.airlock(&["show", "SHOP-1"], 0).await?;

        self.airlock(&["gate", "shop/production"], 0).await?;

        self.say(
            "Somebody takes the fix back, and beta gets that too: issue and task are open again.",
        )?;
        self.git(&["revert", "--no-edit", "HEAD"]).await?;
        self.airlock(&["deploy", "shop/beta", "--", "echo", "pushing to beta"], 0).await?;
        self.until("SHOP-1", |issue| has_come_to(issue, "open", "open")).await?;
        self.airlock(&["gate", "shop/production"], 1).await?;

        self.say("Landed once more, it is let through.")?;
        self.git(&["revert", "--no-edit", "HEAD"]).await?;
        self.airlock(&["deploy", "shop/beta", "--", "echo", "pushing to beta"], 0).await?;
        self.airlock(&["gate", "shop/production"], 0).await?;
        let push = ["deploy", "shop/production", "--", "echo", "pushing to production"];
        self.airlock(&push, 0).await?;
        self.until("SHOP-1", |issue| has_come_to(issue, "resolved", "done")).await?;
        self.airlock(&["locks", "shop/production"], 0).await?;
        self.airlock(&["deploys", "shop"], 0).await
    }

    /// What is left of it.
    fn farewell(&self) -> Result<(), Failure> {
        let address = self.address().unwrap_or_default();
        let data = self.dir.join("data").display().to_string();
        let pid = self.server.id().unwrap_or_default();
        self.say("That was the story. The server goes on.")?;
        let text = format!(
            "  address   {address}\n  commands  AIRLOCK_DATA={data} airlock issues shop\n  \
             end it    kill {pid}; rm -r {}\n",
            self.dir.display()
        );
        let summary = json!({ "address": address, "pid": pid, "dir": self.dir });
        self.context.output.result(&summary, |_| text)
    }

    /// A line of the story.
    fn say(&self, line: &str) -> Result<(), Failure> {
        let style = self.context.output.style();
        self.print(&format!("\n{}\n\n", style.ink(Ink::Bold, line)))
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        if self.context.output.is_json() {
            return Ok(());
        }
        Output::part(text).map(|_| ())
    }

    /// A command as a person would type it, and what it says.
    fn show(&self, typed: &str, ended: &Ended) -> Result<(), Failure> {
        let style = self.context.output.style();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let typed = style.ink(Ink::Cyan, &format!("$ {typed}"));
        self.print(&format!("{typed}\n{}{}\n", said(&ended.stdout), said(&ended.stderr)))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.join("shop"))
            .stdin(Stdio::null())
            .env("AIRLOCK_DATA", self.dir.join("data"))
            .env("AIRLOCK_SPOOL", self.dir.join("spool"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for name in ["AIRLOCK_URL", "AIRLOCK_TOKEN", "GIT_DIR", "GIT_WORK_TREE"] {
            command.env_remove(name);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Zoe");
            command.env(format!("GIT_{role}_EMAIL"), "zoe@shop.example");
        }
        command
    }

    /// Runs this program, and shows it; it is to end with this code.
    async fn airlock(&self, arguments: &[&str], code: i32) -> Result<(), Failure> {
        let ended = self.command(&self.program).args(arguments).output().await;
        let ended = ended.map_err(|cause| failed("this program", cause))?;
        let typed = format!("airlock {}", typed(arguments));
        self.show(&typed, &ended)?;
        if ended.status.code() == Some(code) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        Err(Failure::Unfinished(format!("{typed}: {}: {said}", ended.status)))
    }

    async fn git(&self, arguments: &[&str]) -> Result<Ended, Failure> {
        let ended = self.command(Path::new("git")).args(arguments).output().await;
        let ended = ended.map_err(|cause| failed("git", cause))?;
        let typed = format!("git {}", typed(arguments));
        let is_asked = arguments.first() == Some(&"rev-parse");
        if !is_asked {
            self.show(&typed, &ended)?;
        }
        if ended.status.success() {
            return Ok(ended);
        }
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        Err(Failure::Unfinished(format!("{typed}: {}: {said}", ended.status)))
    }

    async fn commit(&self, file: &str, line: &str, message: &str) -> Result<(), Failure> {
        let path = self.dir.join("shop").join(file);
        fs::write(path, format!("{line}\n")).map_err(|cause| failed(file, cause))?;
        self.git(&["add", file]).await?;
        self.git(&["commit", "--quiet", "--message", message]).await.map(|_| ())
    }

    async fn head(&self) -> Result<String, Failure> {
        let ended = self.git(&["rev-parse", "HEAD"]).await?;
        Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned())
    }

    /// The address that the server wrote down once it was ready.
    fn address(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join("data/address")).ok()?;
        Some(text.trim().to_owned()).filter(|address| !address.is_empty())
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        let mut waited = Duration::ZERO;
        while self.address().is_none() {
            let ended = self.server.try_wait().map_err(|cause| failed("the server", cause))?;
            if ended.is_some() || waited > PATIENCE {
                let log = self.dir.join("server.log");
                let why = format!("the server did not start; see {}", log.display());
                return Err(Failure::Unfinished(why));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
        Ok(())
    }

    /// The arguments that report a crash of a build, as an SDK would.
    async fn crash(&self, commit: &str) -> Result<Vec<String>, Failure> {
        let project = self.ask(&["project", "show", "shop"]).await?;
        let dsn = project.get("dsn").and_then(Value::as_str).unwrap_or_default().to_owned();
        let release = format!("shop@{commit}");
        let message = "KeyError: 'total'";
        let arguments = ["send", &dsn, "--message", message, "--release", &release];
        Ok(arguments.map(str::to_owned).into())
    }

    /// What a command says for scripts.
    async fn ask(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let ended = self.command(&self.program).args(arguments).arg("--json").output().await;
        let ended = ended.map_err(|cause| failed("this program", cause))?;
        Ok(serde_json::from_slice(&ended.stdout).unwrap_or_default())
    }

    /// Waits until an issue is as it should be.
    async fn until(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Result<(), Failure> {
        let mut waited = Duration::ZERO;
        while !is_so(&self.ask(&["show", id]).await?) {
            if waited > PATIENCE {
                let why = format!("{id} did not become what it should; see `airlock show {id}`");
                return Err(Failure::Unfinished(why));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
        Ok(())
    }
}

/// Whether the task of an issue is there, and is this.
fn has_task(issue: &Value, state: &str) -> bool {
    issue.pointer("/task/state") == Some(&json!(state))
}

/// The same, and the issue is that.
fn has_come_to(issue: &Value, status: &str, task: &str) -> bool {
    issue.get("status") == Some(&json!(status)) && has_task(issue, task)
}

/// Arguments as a person types them in a shell.
fn typed(arguments: &[&str]) -> String {
    let plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@=,".contains(&byte))
    };
    let quoted = |text: &&str| {
        if plain(text) { (*text).to_owned() } else { format!("\"{text}\"") }
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn commands_are_shown_as_they_are_typed() {
        assert_eq!(typed(&["fix", "SHOP-1"]), "fix SHOP-1");
        let message = ["commit", "--message", "Carts may be empty"];
        assert_eq!(typed(&message), "commit --message \"Carts may be empty\"");
    }
}
