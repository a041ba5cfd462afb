//! README, word for word.

use std::path::Path;
use std::process::Stdio;

use crate::git::Repository;
use crate::support::{Process, airlock, until};

/// The code blocks of a kind in README's quick start.
fn blocks(kind: &str) -> Vec<String> {
    blocks_of("Quick start", kind)
}

fn blocks_of(section: &str, kind: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(&format!("## {section}\n")).expect("a section");
    let (section, _) = rest.split_once("\n## ").expect("more after it");
    let opening = format!("```{kind}\n");
    section
        .split(&opening)
        .skip(1)
        .filter_map(|block| block.split_once("```").map(|(code, _)| code.to_owned()))
        .collect()
}

/// What README says a person types, in order; comments are for the reader.
fn commands() -> Vec<String> {
    blocks("sh")
        .iter()
        .flat_map(|block| block.lines())
        .map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

async fn shell(folder: &Path, command: &str, environment: &[(&str, &str)]) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_airlock"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.parent().expect("a folder").display());
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    let output = shell.envs(environment.iter().copied()).output().await.expect("a shell");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quick_start_works_word_for_word() {
    let commands = commands();
    let expected = [
        "cargo run --release -- serve",
        "export PATH=\"$PWD/target/release:$PATH\"",
        "airlock project create shop",
        "python3 -m venv venv && venv/bin/pip install sentry-sdk",
        "export SENTRY_DSN=…",
        "venv/bin/python crash.py",
        "airlock issues shop",
        "airlock show SHOP-1",
    ];
    // What differs here: the binary is built already, and so is Python's environment.
    assert_eq!(commands, expected);
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let python = std::env::var("AIRLOCK_TEST_PYTHON").expect("./test sets it");
    let venv = Path::new(&python).parent().and_then(Path::parent).expect("a venv");
    std::os::unix::fs::symlink(venv, folder.join("venv")).expect("a link");
    std::fs::write(folder.join("crash.py"), &blocks("python")[0]).expect("a program");

    let mut serve = airlock();
    serve.arg("serve").current_dir(folder).env("AIRLOCK_LISTEN", "127.0.0.1:0");
    let server = Process::start(serve).await;
    let created = shell(folder, &commands[2], &[]).await;
    let dsn = created.split_whitespace().find(|word| word.starts_with("http://"));
    let dsn = dsn.unwrap_or_else(|| panic!("no DSN is printed: {created}")).to_owned();
    shell(folder, &commands[5], &[("SENTRY_DSN", &dsn)]).await;
    until("the issue", async || shell(folder, &commands[6], &[]).await.contains("SHOP-1")).await;

    let issues = shell(folder, &commands[6], &[]).await;
    let shown = shell(folder, &commands[7], &[]).await;
    let promised = blocks("text");
    assert_eq!(issues.trim_end(), promised[0].trim_end());
    for part in promised[1].split("…\n") {
        assert!(shown.contains(part), "README promises\n{part}\nbut it is\n{shown}");
    }
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fix_is_shipped_word_for_word() {
    let block = blocks_of("Ship the fix", "sh").remove(0);
    let git = Repository::new();
    git.run("c base; c fix");
    let (url, fix) = (git.path().display().to_string(), git.names()["fix"].to_string());
    // What differs here: where the repository is, and what its commit is called.
    assert!(block.contains("https://git.example.com/shop/web.git") && block.contains("4f2c91a"));
    let block =
        block.replace("https://git.example.com/shop/web.git", &url).replace("4f2c91a", &fix);
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("push.sh"), "#!/bin/sh\necho pushing to $1\nsleep 2\n").expect("it");
    shell(folder, "chmod +x push.sh", &[]).await;
    let mut serve = airlock();
    serve.arg("serve").current_dir(folder).env("AIRLOCK_LISTEN", "127.0.0.1:0");
    serve.env("AIRLOCK_GIT_PROTOCOLS", "file");
    let server = Process::start(serve).await;
    let own = [("AIRLOCK_SPOOL", "spool")];
    let created = shell(folder, "airlock project create shop", &own).await;
    let dsn = created.split_whitespace().find(|word| word.starts_with("http://")).expect("a DSN");
    shell(folder, &format!("airlock send {dsn} --message KeyError"), &own).await;
    until("the issue", async || {
        shell(folder, "airlock issues shop", &own).await.contains("SHOP-1")
    })
    .await;
    let mut told = String::new();
    for line in block.lines() {
        let line = line.split(" #").next().unwrap_or(line).trim_end();
        // Somebody looks on while it goes out.
        let is_deploy = line.starts_with("airlock deploy shop/production");
        let look = async {
            if !is_deploy {
                return String::new();
            }
            until("it runs", async || {
                shell(folder, "airlock deploys shop", &own).await.contains("running")
            })
            .await;
            let listed = shell(folder, "airlock deploys shop --json", &own).await;
            let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
            let id = listed["items"][0]["id"].as_str().expect("an id").to_owned();
            shell(folder, &format!("airlock deploy show {id} --follow 2>&1"), &own).await
        };
        let ran = format!("{line} 2>&1; echo \"code $?\"");
        let (said, followed) = tokio::join!(shell(folder, &ran, &own), look);
        assert!(said.ends_with("code 0\n"), "{line}\n{said}");
        if is_deploy {
            assert!(followed.contains("pushing to production\n"), "{followed}");
            assert!(followed.contains("of shop/production succeeded"), "{followed}");
        }
        told.push_str(&said);
    }
    for part in ["resolved SHOP-1", "pushing to beta", "released 1 lock"] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(server.terminate().await.success());
}
