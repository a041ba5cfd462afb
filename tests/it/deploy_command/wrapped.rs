//! A command, and the deploy around it.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Bench, COMMIT, code, nobody, stderr, stdout, wrapping};
use crate::support::{Mood, until};

#[tokio::test]
async fn bytes_go_through_unchanged_and_are_recorded_as_text() {
    let bench = Bench::new().await;
    // Every byte, in ever different company, five megabytes of it, and no line feed at the end.
    let some = |n: u32| n.wrapping_mul(2_654_435_761).to_le_bytes()[2];
    let mut bytes: Vec<u8> = (0..5_000_000).map(some).collect();
    bytes.extend_from_slice("größer".as_bytes());
    std::fs::write(bench.path("bytes"), &bytes).expect("a file");
    let done = bench.deploy(&[], "cat bytes").output().await.expect("it runs");
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert!(done.stdout == bytes);
    assert!(bench.server.output() == String::from_utf8_lossy(&bytes));
    let deploy = bench.server.deploy();
    assert_eq!((&deploy["status"], &deploy["exit_code"]), (&"succeeded".into(), &0.into()));
    assert_eq!(bench.kept(), 0);

    let done = bench.deploy(&[], "printf 'to stdout'; printf '\\377' >&2").output().await;
    let done = done.expect("it runs");
    assert_eq!(done.stdout, b"to stdout");
    assert!(done.stderr.contains(&0xff));
    assert!(!stdout(&done).contains("airlock"));
}

#[tokio::test]
async fn the_exit_code_is_the_commands_own() {
    let bench = Bench::new().await;
    let plain = bench.path("plain");
    std::fs::write(&plain, "no program").expect("a file");
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    for (script, expected) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
        let done = bench.deploy(&[], script).output().await.expect("it runs");
        assert_eq!(code(&done), expected, "{}", stderr(&done));
    }
    for (script, expected) in [("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        let done = bench.deploy(&[], script).output().await.expect("it runs");
        assert_eq!(code(&done), expected, "{}", stderr(&done));
    }
    for (program, expected) in [("./missing", 127), ("no-such-program", 127), ("./plain", 126)] {
        let line = ["deploy", "shop/production", "--commit", COMMIT, "--", program];
        let done = bench.run(&line).await;
        assert_eq!(code(&done), expected, "{}", stderr(&done));
    }
    let state = bench.server.state();
    let ends: Vec<_> = state
        .deploys
        .values()
        .map(|deploy| (deploy["status"].as_str().unwrap(), deploy["exit_code"].as_i64().unwrap()))
        .collect();
    assert_eq!(ends.len(), 8);
    let is_true = |(status, code): &(&str, i64)| (*code == 0) == (*status == "succeeded");
    assert!(ends.iter().all(is_true), "{ends:?}");
    drop(state);
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_command_that_may_not_run_does_not() {
    let bench = Bench::new().await;
    let touch = |options: &[&'static str]| wrapping(options, "touch ran");
    for (verdict, options, expected) in [
        ("blocked", &[][..], 121),
        ("unknown", &[], 123),
        ("blocked", &["--wait", "1s"], 124),
        ("unknown", &["--wait", "1s"], 123),
    ] {
        bench.server.state().verdicts = vec![verdict];
        let done = bench.run(&touch(options)).await;
        assert_eq!(code(&done), expected, "{}", stderr(&done));
        let said = stderr(&done);
        assert!(said.contains("the command was not run"), "{said}");
        assert_eq!(said.matches("the sale runs").count(), 1, "{said}");
    }
    for line in [
        &["deploy", "nothing/production", "--commit", COMMIT, "--", "touch", "ran"][..],
        &["deploy", "shop/production", "--", "touch", "ran"],
        &["deploy", "shop", "--commit", COMMIT, "--", "touch", "ran"],
        &["deploy", "shop/production", "--commit", "HEAD~1", "--", "touch", "ran"],
        &["deploy", "shop/production", "--wat", "--", "touch", "ran"],
    ] {
        let done = bench.run(line).await;
        assert_eq!(code(&done), 122, "{line:?} {}", stderr(&done));
    }
    let mut without_token = bench.command(&touch(&[]));
    let done = without_token.env_remove("AIRLOCK_TOKEN").output().await.expect("it runs");
    assert_eq!(code(&done), 122, "{}", stderr(&done));
    for mood in [Mood::Drops, Mood::Broken, Mood::Foreign] {
        bench.server.set(mood);
        let done = bench.run(&touch(&[])).await;
        assert_eq!(code(&done), 125, "{mood:?} {}", stderr(&done));
    }
    let done = bench.command_to(&nobody().await, &touch(&[])).output().await.expect("it runs");
    assert_eq!(code(&done), 125, "{}", stderr(&done));
    assert!(!bench.path("ran").exists());
    assert!(bench.server.state().deploys.is_empty());
}

#[tokio::test]
async fn who_waits_is_told_once_and_deploys_when_it_is_clear() {
    let bench = Bench::new().await;
    bench.server.state().verdicts = vec!["blocked", "blocked", "blocked", "clear"];
    let done = bench.deploy(&["--wait", "1m"], "echo deployed").output().await.expect("it runs");
    assert_eq!((code(&done), stdout(&done).as_str()), (0, "deployed\n"), "{}", stderr(&done));
    let said = stderr(&done);
    assert_eq!(said.matches("the sale runs").count(), 1, "{said}");
    let polls = bench.server.asked("GET", "/gate");
    assert!(polls.iter().all(|poll| poll.path.contains("wait=") && poll.path.contains("seen=")));
    assert_eq!(bench.server.asked("POST", "/environments/production/deploys").len(), 2);

    // It goes on although the service was away for a while.
    bench.server.set(Mood::Drops);
    let mut waits = bench.deploy(&["--wait", "1m"], "echo deployed").spawn().expect("it runs");
    let mut lines = BufReader::new(waits.stderr.take().expect("its stderr")).lines();
    while !lines.next_line().await.expect("a line").expect("a line").contains("trying again") {}
    bench.server.set(Mood::Slow);
    let done = waits.wait_with_output().await.expect("it ends");
    assert_eq!((code(&done), stdout(&done).as_str()), (0, "deployed\n"));
}

#[tokio::test]
async fn an_override_passes_the_gate_and_says_why() {
    let bench = Bench::new().await;
    bench.server.state().verdicts = vec!["blocked"];
    let done = bench.deploy(&["--override", "it burns"], "true").output().await.expect("it runs");
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert_eq!(bench.server.deploy()["override"], "it burns");
}

#[tokio::test]
async fn signals_are_the_commands() {
    let bench = Bench::new().await;
    let script = "for s in INT TERM HUP QUIT; do trap \"echo got $s; exit 9\" $s; done
        echo ready; while :; do sleep 0.05; done";
    for (signal, name) in
        [(Signal::INT, "INT"), (Signal::TERM, "TERM"), (Signal::HUP, "HUP"), (Signal::QUIT, "QUIT")]
    {
        let mut deploy = bench.deploy(&[], script).spawn().expect("it runs");
        let pid = deploy.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut lines = BufReader::new(deploy.stdout.take().expect("its stdout")).lines();
        assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("ready"));
        kill_process(pid.expect("it runs"), signal).expect("it can be told");
        let got = format!("got {name}");
        assert_eq!(lines.next_line().await.expect("a line"), Some(got));
        assert_eq!(deploy.wait().await.expect("it ends").code(), Some(9));
    }
    let state = bench.server.state();
    assert!(state.deploys.values().all(|deploy| deploy["exit_code"] == 9), "{state:?}");
}

#[tokio::test]
async fn who_is_interrupted_while_waiting_deploys_nothing() {
    let bench = Bench::new().await;
    bench.server.state().verdicts = vec!["blocked"];
    let mut waits = bench.deploy(&["--wait", "1m"], "touch ran").spawn().expect("it runs");
    let pid = waits.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut lines = BufReader::new(waits.stderr.take().expect("its stderr")).lines();
    while !lines.next_line().await.expect("a line").expect("a line").contains("the sale runs") {}
    kill_process(pid.expect("it runs"), Signal::INT).expect("it can be told");
    assert_eq!(waits.wait().await.expect("it ends").code(), Some(130));
    assert!(!bench.path("ran").exists() && bench.server.state().deploys.is_empty());
}

#[tokio::test]
async fn a_service_that_dies_and_comes_back_misses_nothing() {
    let bench = Bench::new().await;
    let script = "while read -r line; do echo \"$line\"; done";
    let mut deploy = bench.deploy(&[], script);
    let mut deploy = deploy.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    let mut stdin = deploy.stdin.take().expect("its stdin");
    let mut lines = BufReader::new(deploy.stdout.take().expect("its stdout")).lines();
    let mut expected = String::new();
    for (mood, line) in [
        (Mood::Well, "one"),
        (Mood::Drops, "two"),
        (Mood::Broken, "three"),
        (Mood::DropsAnswers, "four"),
        (Mood::Foreign, "five"),
        (Mood::Well, "six"),
    ] {
        bench.server.set(mood);
        stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
        // The terminal has it, whether the service is there or not.
        assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some(line));
        expected = expected + line + "\n";
        if mood == Mood::DropsAnswers {
            until("it was sent without an answer", async || {
                bench.server.output().ends_with("four\n")
            })
            .await;
        }
    }
    until("all of it has arrived", async || bench.server.output() == expected).await;
    drop(stdin);
    assert_eq!(deploy.wait().await.expect("it ends").code(), Some(0));
    assert_eq!(bench.server.output(), expected);
    assert_eq!(bench.server.deploy()["status"], "succeeded");
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_deploy_that_is_silent_keeps_its_environment() {
    let bench = Bench::new().await;
    bench.server.state().lease_seconds = 1;
    let mut deploy = bench.deploy(&[], "read -r line");
    let mut deploy = deploy.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    until("some heartbeats", async || bench.server.state().n_heartbeats > 2).await;
    drop(deploy.stdin.take());
    assert_eq!(deploy.wait().await.expect("it ends").code(), Some(1));
}

#[tokio::test]
async fn what_outlives_the_command_does_not_hold_it() {
    let bench = Bench::new().await;
    let done = bench.deploy(&[], "(read -r line; sleep 60) & echo done").output();
    let done = tokio::time::timeout(std::time::Duration::from_secs(20), done);
    let done = done.await.expect("soon").expect("it runs");
    assert_eq!((code(&done), stdout(&done).as_str()), (0, "done\n"));
}

#[tokio::test]
async fn a_reader_that_is_gone_ends_the_command_as_without_us() {
    let bench = Bench::new().await;
    let mut deploy = bench.deploy(&[], "exec yes").spawn().expect("it runs");
    let mut stdout = deploy.stdout.take().expect("its stdout");
    let mut some = [0; 4];
    stdout.read_exact(&mut some).await.expect("some");
    assert_eq!(&some, b"y\ny\n");
    drop(stdout);
    // 141: SIGPIPE.
    assert_eq!(deploy.wait().await.expect("it ends").code(), Some(141));
}

#[tokio::test]
async fn a_service_that_wants_no_output_breaks_no_deploy() {
    let bench = Bench::new().await;
    bench.server.state().wants_output = false;
    let script = "for n in 1 2 3 4 5; do echo $n; sleep 0.3; done; exit 6";
    let done = bench.deploy(&[], script).output().await.expect("it runs");
    assert_eq!((code(&done), stdout(&done).as_str()), (6, "1\n2\n3\n4\n5\n"));
    assert_eq!(stderr(&done).matches("is not recorded").count(), 1, "{}", stderr(&done));
    assert_eq!(bench.server.deploy()["exit_code"], 6);
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_service_that_hangs_holds_a_deploy_for_some_seconds_at_most() {
    let bench = Bench::new().await;
    let mut deploy = bench.deploy(&[], "read -r line; seq 200000; exit 6");
    let mut deploy = deploy.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    until("it begins", async || !bench.server.state().deploys.is_empty()).await;
    bench.server.set(Mood::Hangs);
    drop(deploy.stdin.take());
    let done = tokio::time::timeout(std::time::Duration::from_secs(20), deploy.wait_with_output());
    let done = done.await.expect("soon").expect("it ends");
    assert_eq!((code(&done), done.stdout.len()), (6, 1_288_895), "{}", stderr(&done));
    assert_eq!(bench.kept(), 1);
    bench.server.set(Mood::Well);
    assert_eq!(code(&bench.run(&["deploy", "flush"]).await), 0);
    assert_eq!(bench.server.output().len(), 1_288_895);
}
