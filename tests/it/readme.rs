//! README's quick start, word for word.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Process, airlock, until};

/// The code blocks of a kind in README's quick start.
fn blocks(kind: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("## Quick start").expect("a quick start");
    let (quick_start, _) = rest.split_once("\n## ").expect("more after it");
    let opening = format!("```{kind}\n");
    quick_start
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
