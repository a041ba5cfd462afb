//! The story as a person sees it: `airlock demo`, and the commands against the real server.

use std::path::Path;

use airlock::clock::Clock;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::support::asana::{Asana, Deliveries, PAT, Task};
use crate::support::github::{GitHub, REPOSITORY, TOKEN as GITHUB_TOKEN};
use crate::support::redmine::{KEY, Redmine};
use crate::support::{Process, airlock, pause, until};

/// Ends a server that nobody holds.
struct Left(i32);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

/// A way to a server that may yet start, as from outside.
struct Way {
    url: String,
    _forwarding: tokio::task::JoinSet<()>,
}

impl Way {
    /// To the server that says its address in this file.
    async fn to(address: std::path::PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let mut forwarding = tokio::task::JoinSet::new();
        forwarding.spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let target = std::fs::read_to_string(&address).unwrap_or_default();
                let target = target.trim().trim_start_matches("http://").to_owned();
                open.spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    // An error means that one of them has hung up.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { url, _forwarding: forwarding }
    }
}

/// A demo that was played to its end.
struct Played {
    told: String,
    dir: std::path::PathBuf,
    _folder: tempfile::TempDir,
    _left: Left,
}

impl Played {
    /// With this tracker, or Airlock's own.
    async fn to_its_end(tracker: &[&str], token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::in_folder(folder, &[], tracker, token).await
    }

    async fn in_folder(
        folder: tempfile::TempDir,
        flags: &[&str],
        tracker: &[&str],
        token: &str,
    ) -> Self {
        let dir = folder.path().join("demo");
        let mut demo = airlock();
        demo.args(["demo", "--dir"]).arg(&dir).args(flags);
        if !tracker.is_empty() {
            demo.arg("--").args(tracker).env("AIRLOCK_TRACKER_TOKEN", token);
        }
        demo.env("AIRLOCK_TOKEN", "a-token-of-somebody-else")
            .env("AIRLOCK_URL", "http://127.0.0.1:9");
        let output = demo.output().await.expect("a demo");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}\n{said}");
        let left = Left(word_after(&told, "end it    kill").parse().expect("a process"));
        for line in [
            "$ airlock fix SHOP-1",
            "suppressed: ",
            "airlock: deploy 1 of shop/beta succeeded, resolved SHOP-1",
            "shop/production is blocked for ",
            "was taken back by ",
            "shop/production is clear for ",
            "succeeded, released 1 lock",
        ] {
            assert!(told.contains(line), "{line}\n{told}");
        }
        Self { told, dir, _folder: folder, _left: left }
    }
}

fn word_after(told: &str, name: &str) -> String {
    let (_, rest) = told.rsplit_once(name).expect("a summary");
    rest.split_whitespace().next().expect("a word").trim_end_matches(';').to_owned()
}

#[tokio::test]
async fn the_demo_plays_to_its_end_and_leaves_its_server() {
    let played = Played::to_its_end(&[], "").await;
    let address = word_after(&played.told, "address   ");
    let health =
        crate::support::client().get(format!("{address}/healthz")).send().await.expect("an answer");
    assert!(health.status().is_success());
    // A folder that is there is not taken.
    let again = airlock().args(["demo", "--dir"]).arg(&played.dir).output().await.expect("an end");
    assert_eq!(again.status.code(), Some(1));
}

#[tokio::test]
async fn the_demo_plays_with_tasks_in_asana() {
    let asana = Asana::start(Clock::system()).await;
    let errors = asana.project("Errors");
    let tracker =
        ["asana", "--tracker-url", &asana.url, "--issue-project", &errors, "--create-projects"];
    let _played = Played::to_its_end(&tracker, PAT).await;
    until("its tasks are done", async || {
        let tasks = asana.tasks();
        let is_over = |task: &Task| {
            let is_deploy = task.name.starts_with("Deploy ");
            task.completed && (!is_deploy || asana.files(&task.gid).len() == 1)
        };
        tasks.len() == 5 && tasks.iter().all(is_over)
    })
    .await;
}

#[tokio::test]
async fn the_demo_plays_while_asana_says_what_never_happened() {
    let asana = Asana::start(Clock::system()).await;
    let errors = asana.project("Errors");
    let tracker =
        ["asana", "--tracker-url", &asana.url, "--issue-project", &errors, "--create-projects"];
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("demo");
    let way = Way::to(dir.join("data/address")).await;
    let mut n_delivered = 0;
    let lies = async {
        loop {
            pause(100).await;
            asana.lie();
            // One of them is lost each time, and its sender gives it up.
            let mut knobs = Deliveries {
                lost: 1,
                are_doubled: true,
                are_reversed: true,
                ..Deliveries::default()
            };
            n_delivered += asana.deliver(&mut knobs).await;
        }
    };
    let flags = ["--public-url", way.url.as_str()];
    let _played = tokio::select! {
        played = Played::in_folder(folder, &flags, &tracker, PAT) => played,
        never = lies => never,
    };
    assert!(n_delivered > 10, "{n_delivered}");
    until("its tasks are done", async || {
        let tasks = asana.tasks();
        tasks.len() == 5 && tasks.iter().all(|task| task.completed)
    })
    .await;
}

#[tokio::test]
async fn the_demo_plays_with_tasks_in_github() {
    let github = GitHub::start(Clock::system()).await;
    let tracker =
        ["github", "--tracker-url", &github.url, "--repository", REPOSITORY, "--create-projects"];
    let _played = Played::to_its_end(&tracker, GITHUB_TOKEN).await;
    until("its tasks are done", async || {
        let issues = github.issues();
        issues.len() == 5 && issues.iter().all(|issue| issue.is_closed)
    })
    .await;
}

#[tokio::test]
async fn the_demo_plays_with_tasks_in_redmine() {
    let redmine = Redmine::start().await;
    let (errors, push) = (redmine.project("Errors").await, redmine.project("Push").await);
    let [beta, production] =
        ["beta", "production"].map(|name| format!("--deploy-project={name}={push}"));
    let tracker =
        ["redmine", "--tracker-url", &redmine.url, "--issue-project", &errors, &beta, &production];
    let _played = Played::to_its_end(&tracker, KEY).await;
    until("its tasks are done", async || {
        let tasks = [redmine.issues(&errors).await, redmine.issues(&push).await].concat();
        tasks.len() == 5 && tasks.iter().all(|task| task["status"]["is_closed"] == true)
    })
    .await;
}

/// Runs a command for the server of a data folder, in another folder.
async fn run(data: &Path, within: &Path, arguments: &[&str]) -> (i32, String, String) {
    let ended = airlock()
        .args(arguments)
        .current_dir(within)
        .env("AIRLOCK_DATA", data)
        .env("AIRLOCK_SPOOL", data.join("deploys"))
        .env_remove("AIRLOCK_TOKEN")
        .env_remove("AIRLOCK_URL")
        .output()
        .await
        .expect("a command");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ended.status.code().unwrap_or(-1), text(&ended.stdout), text(&ended.stderr))
}

#[tokio::test]
async fn commands_of_scripts_against_the_real_server() {
    let git = crate::git::Repository::new();
    git.run("c base");
    let work = git.path();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut serve =
        Process::command(&data, &format!("sqlite:{}", data.join("a.db").display()), "warn");
    serve.env("AIRLOCK_GIT_PROTOCOLS", "file");
    let server = Process::start(serve).await;
    let ok = async |arguments: &[&str]| {
        let (code, out, err) = run(&data, &work, arguments).await;
        assert_eq!(code, 0, "{arguments:?}\n{out}\n{err}");
        out
    };
    ok(&["project", "create", "shop"]).await;
    let path = work.display().to_string();
    ok(&["repository", "add", "shop", "web", &path]).await;
    let listed = ok(&["repositories", "shop", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["items"][0]["name"], "web", "{listed}");

    // The exit codes of the gate, from a checkout.
    assert_eq!(run(&data, &work, &["gate", "shop/beta"]).await.0, 0);
    ok(&["lock", "shop/beta", "--reason", "no", "--key", "k"]).await;
    assert_eq!(run(&data, &work, &["gate", "shop/beta"]).await.0, 1);
    assert_eq!(run(&data, &work, &["gate", "shop/beta", "--wait", "1s"]).await.0, 4);
    assert_eq!(run(&data, &work, &["gate", "shop/nowhere"]).await.0, 2);
    let deploy = ["deploy", "shop/beta", "--", "sh", "-c", "echo out; echo err >&2; exit 7"];
    let (code, out, _) = run(&data, &work, &deploy).await;
    assert_eq!((code, out.contains("out\n")), (121, false));
    ok(&["unlock", "shop/beta", "--key", "k"]).await;
    let unknown = ["gate", "shop/beta", "--commit", "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00"];
    assert_eq!(run(&data, &work, &unknown).await.0, 3);

    // Around a command, and for scripts.
    let (code, out, err) = run(&data, &work, &deploy).await;
    assert_eq!((code, out.as_str()), (7, "out\n"));
    assert!(err.contains("err\n"), "{err}");
    let id = ok(&["deploy", "start", "shop/beta"]).await;
    let id = id.trim();
    let log = work.join("push.log");
    std::fs::write(&log, "one\ntwo\n").expect("a log");
    ok(&["deploy", "output", id, &log.display().to_string()]).await;
    ok(&["deploy", "finish", id, "--status", "succeeded"]).await;
    assert!(ok(&["deploy", "show", id]).await.contains("one\ntwo\n"));
    ok(&["deploy", "record", "shop/production", "--status", "succeeded"]).await;
    let deploys = ok(&["deploys", "shop", "--json"]).await;
    let deploys: Value = serde_json::from_str(&deploys).expect("JSON");
    let statuses: Vec<&str> = deploys["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|deploy| deploy["status"].as_str().expect("a status"))
        .collect();
    assert_eq!(statuses, ["succeeded", "succeeded", "failed"]);

    // A service that dies in the middle of a deploy costs the deploy nothing.
    let script = "echo before; while ! [ -e gone ]; do sleep 0.05; done; echo after";
    let until_gone = ["deploy", "shop/beta", "--", "sh", "-c", script];
    let running = run(&data, &work, &until_gone);
    let dying = async {
        until("the deploy runs", async || {
            let deploys = ok(&["deploys", "shop", "--json"]).await;
            deploys.contains("\"running\"")
        })
        .await;
        server.kill().await;
        std::fs::write(work.join("gone"), "").expect("a sign");
    };
    let ((code, out, _), ()) = futures_util::future::join(running, dying).await;
    assert_eq!((code, out.as_str()), (0, "before\nafter\n"));
    assert_eq!(run(&data, &work, &["gate", "shop/beta"]).await.0, 5);
    let mut serve =
        Process::command(&data, &format!("sqlite:{}", data.join("a.db").display()), "warn");
    serve.env("AIRLOCK_GIT_PROTOCOLS", "file");
    let server = Process::start(serve).await;
    // The server has another address now; what was kept is for the old one, and stays.
    let (_, _, err) = run(&data, &work, &["deploy", "flush"]).await;
    assert!(!err.contains("panicked"), "{err}");
    server.terminate().await;
}
