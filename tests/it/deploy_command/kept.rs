//! What cannot be sent is kept and sent later, once.

use std::fs;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Bench, COMMIT, code, stderr, stdout, wrapping};
use crate::support::{FakeAirlock, Mood, until};

/// Runs a deploy whose service dies while it runs, and is not back when it ends.
async fn deploy_alone(bench: &Bench, script: &str) {
    let whole = format!("{script}; read -r line; exit 3");
    let mut deploy = bench.deploy(&[], &whole);
    let mut deploy = deploy.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    until("it begins", async || !bench.server.state().deploys.is_empty()).await;
    bench.server.set(Mood::Drops);
    drop(deploy.stdin.take());
    let done = deploy.wait_with_output().await.expect("it ends");
    assert_eq!(code(&done), 3, "{}", stderr(&done));
    assert!(stderr(&done).contains("airlock deploy flush"), "{}", stderr(&done));
}

/// What `seq` prints.
fn numbers(most: u32) -> String {
    (1..=most).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\n"
}

#[tokio::test]
async fn a_deploy_that_ends_without_the_service_is_recorded_later() {
    let bench = Bench::new().await;
    deploy_alone(&bench, "seq 100000").await;
    assert_eq!(bench.kept(), 1);
    for entry in fs::read_dir(bench.path("spool")).expect("a spool") {
        for file in fs::read_dir(entry.expect("an entry").path()).expect("an entry") {
            let bytes = fs::read(file.expect("a file").path()).expect("readable");
            assert!(!String::from_utf8_lossy(&bytes).contains("a-secret-token"));
        }
    }
    // Another server is told nothing.
    let other = FakeAirlock::start().await;
    let done = bench.command_to(&other.url, &["deploy", "flush"]).output().await.expect("it runs");
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert!(stdout(&done).contains("1 deploy for another server"), "{}", stdout(&done));
    assert!(other.state().asked.is_empty());
    // Nor can this one be while it is away.
    assert_eq!(code(&bench.run(&["deploy", "flush"]).await), 5);
    assert_eq!(bench.kept(), 1);

    bench.server.set(Mood::Well);
    let done = bench.run(&["deploy", "flush", "--json"]).await;
    let flushed: Value = serde_json::from_str(&stdout(&done)).expect("JSON");
    assert_eq!((code(&done), &flushed["sent"]), (0, &1.into()), "{}", stderr(&done));
    let numbers = numbers(100_000);
    assert!(bench.server.output() == numbers);
    let deploy = bench.server.deploy();
    assert_eq!((&deploy["status"], &deploy["exit_code"]), (&"failed".into(), &3.into()));
    assert_eq!(bench.kept(), 0);
    let done = bench.run(&["deploy", "flush"]).await;
    assert_eq!((code(&done), stdout(&done).as_str()), (0, "nothing to send\n"));
}

#[tokio::test]
async fn the_next_deploy_sends_what_the_last_could_not() {
    let bench = Bench::new().await;
    deploy_alone(&bench, "echo before").await;
    bench.server.set(Mood::Well);
    let done = bench.deploy(&[], "echo after").output().await.expect("it runs");
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let state = bench.server.state();
    let said: Vec<_> = state.outputs.values().map(|out| String::from_utf8_lossy(out)).collect();
    assert_eq!(said, ["before\n", "after\n"]);
    let finish = state.asked.iter().position(|asked| asked.path.ends_with("d1/finish"));
    let start = state.asked.iter().rposition(|asked| asked.path.ends_with("production/deploys"));
    assert!(finish < start, "its own earlier deploy would be in its way");
    assert!(state.asked.iter().all(|asked| asked.token == "Bearer a-secret-token"));
}

#[tokio::test]
async fn two_that_flush_at_once_send_nothing_twice() {
    let bench = Bench::new().await;
    deploy_alone(&bench, "seq 200000").await;
    bench.server.set(Mood::Slow);
    let (one, other) =
        tokio::join!(bench.run(&["deploy", "flush"]), bench.run(&["deploy", "flush"]));
    assert_eq!((code(&one), code(&other)), (0, 0), "{} {}", stderr(&one), stderr(&other));
    let numbers = numbers(200_000);
    assert!(bench.server.output() == numbers);
    assert_eq!(bench.server.asked("POST", "/finish").len(), 1);
    let posts = bench.server.asked("POST", "/output");
    let n_sent: usize = posts.iter().map(|post| post.body.len()).sum();
    assert_eq!(n_sent, numbers.len(), "each byte is sent once");
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_client_that_is_killed_leaves_what_was_said() {
    let bench = Bench::new().await;
    let script = "seq 50000; echo end; read -r line";
    let mut deploy = bench.deploy(&[], script);
    let mut deploy = deploy.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    until("it begins", async || !bench.server.state().deploys.is_empty()).await;
    bench.server.set(Mood::Drops);
    let mut lines = BufReader::new(deploy.stdout.take().expect("its stdout")).lines();
    while lines.next_line().await.expect("a line").expect("a line") != "end" {}
    // What the terminal shows is in the spool a moment later.
    let end = "\nend\n";
    until("it is in the spool", async || {
        let entries = fs::read_dir(bench.path("spool")).expect("a spool").flatten();
        let files = entries.flat_map(|entry| fs::read_dir(entry.path()).expect("an entry"));
        let mut texts = files.flatten().filter_map(|file| fs::read_to_string(file.path()).ok());
        texts.any(|text| text.ends_with(end))
    })
    .await;
    let in_use = bench.run(&["deploy", "flush"]).await;
    assert!(stdout(&in_use).contains("1 deploy still running"), "{}", stdout(&in_use));
    deploy.kill().await.expect("it can be killed");
    bench.server.set(Mood::Well);
    let done = bench.run(&["deploy", "flush"]).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert!(stderr(&done).contains("airlock deploy finish d1 --status"), "{}", stderr(&done));
    let numbers = numbers(50_000);
    assert!(bench.server.output() == numbers + "end\n");
    assert_eq!(bench.server.deploy()["status"], "running");
    assert_eq!(bench.kept(), 0);
    let done = bench.run(&["deploy", "finish", "d1", "--status", "failed"]).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert_eq!(bench.server.deploy()["status"], "failed");
}

#[tokio::test]
async fn a_deploy_that_goes_on_unchecked_is_recorded_once() {
    let bench = Bench::new().await;
    bench.server.set(Mood::Drops);
    let allow = ["--on-unavailable", "allow"];
    let done = bench.deploy(&allow, "echo anyway; exit 4").output().await.expect("it runs");
    assert_eq!((code(&done), stdout(&done).as_str()), (4, "anyway\n"));
    assert!(stderr(&done).contains("WARNING"), "{}", stderr(&done));
    assert_eq!(bench.kept(), 1);
    // The record arrives, and nobody learns of it.
    bench.server.set(Mood::DropsAnswers);
    assert_eq!(code(&bench.run(&["deploy", "flush"]).await), 5);
    bench.server.set(Mood::Well);
    let done = bench.run(&["deploy", "flush"]).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let deploy = bench.server.deploy();
    assert_eq!((&deploy["status"], &deploy["gated"]), (&"failed".into(), &false.into()));
    assert_eq!(deploy["commit"], COMMIT);
    assert!(deploy["started_at"].as_str() < deploy["finished_at"].as_str(), "{deploy}");
    assert_eq!(bench.server.output(), "anyway\n");
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_found_again() {
    // Who waits asks again, and it is the same deploy.
    let bench = Bench::new().await;
    bench.server.set(Mood::DropsAnswers);
    let deploy = bench.deploy(&["--wait", "1m"], "echo done").spawn().expect("it runs");
    until("it arrives", async || !bench.server.state().deploys.is_empty()).await;
    bench.server.set(Mood::Well);
    let done = deploy.wait_with_output().await.expect("it ends");
    assert_eq!((code(&done), stdout(&done).as_str()), (0, "done\n"), "{}", stderr(&done));
    assert_eq!(bench.server.deploy()["status"], "succeeded");

    // Who goes on unchecked ends the deploy that he did not hear of.
    let bench = Bench::new().await;
    bench.server.set(Mood::DropsAnswers);
    let allow = ["--on-unavailable", "allow"];
    let done = bench.deploy(&allow, "exit 4").output().await.expect("it runs");
    assert_eq!(code(&done), 4, "{}", stderr(&done));
    assert_eq!(bench.kept(), 1);
    bench.server.set(Mood::Well);
    assert_eq!(code(&bench.run(&["deploy", "flush"]).await), 0);
    assert_eq!((&bench.server.deploy()["status"], bench.kept()), (&"failed".into(), 0));
}

#[tokio::test]
async fn no_home_and_no_place_for_a_spool_break_no_deploy() {
    let bench = Bench::new().await;
    for spool in ["/proc/nowhere", "/dev/null/spool"] {
        let mut deploy = bench.deploy(&[], "echo $HOME; exit 5");
        let done = deploy.env("AIRLOCK_SPOOL", spool).output().await.expect("it runs");
        assert_eq!((code(&done), stdout(&done).as_str()), (5, "\n"), "{}", stderr(&done));
        assert!(stderr(&done).contains("in memory only"), "{}", stderr(&done));
    }
    let mut deploy = bench.deploy(&[], "echo homeless");
    let state = bench.path("state");
    deploy.env_remove("AIRLOCK_SPOOL").env("XDG_STATE_HOME", &state);
    let done = deploy.output().await.expect("it runs");
    assert_eq!((code(&done), stdout(&done).as_str()), (0, "homeless\n"), "{}", stderr(&done));
    assert!(state.join("airlock").is_dir());
    let said: Vec<_> = bench.server.state().outputs.values().cloned().collect();
    assert_eq!(said, [&b"\n"[..], b"\n", b"homeless\n"]);
}

#[tokio::test]
async fn usage_errors_touch_no_spool() {
    let bench = Bench::new().await;
    let line = wrapping(&["--wait", "soon"], "true");
    assert_eq!(code(&bench.run(&line).await), 122);
    assert!(!bench.path("spool").exists());
}
