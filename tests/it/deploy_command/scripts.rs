//! The gate, and the parts of a deploy for scripts that cannot wrap a command.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Bench, COMMIT, code, nobody, stderr, stdout};
use crate::support::{Mood, until};

const GATE: [&str; 4] = ["gate", "shop/production", "--commit", COMMIT];

#[tokio::test]
async fn the_gate_says_it_with_its_exit_code() {
    let bench = Bench::new().await;
    for (verdict, options, expected) in [
        ("clear", &[][..], 0),
        ("blocked", &[], 1),
        ("unknown", &[], 3),
        ("blocked", &["--wait", "1s"], 4),
        ("unknown", &["--wait", "1s"], 3),
        ("blocked", &["--on-unavailable", "allow"], 1),
    ] {
        bench.server.state().verdicts = vec![verdict];
        let done = bench.run(&[&GATE[..], options].concat()).await;
        assert_eq!(code(&done), expected, "{verdict} {options:?} {}", stderr(&done));
        assert!(stdout(&done).contains(&format!("shop/production is {verdict}")));
        let done = bench.run(&[&GATE[..], options, &["--json"]].concat()).await;
        let found: Value = serde_json::from_str(&stdout(&done)).expect("one JSON object");
        assert_eq!((code(&done), &found["verdict"]), (expected, &verdict.into()));
    }
    for line in [
        &["gate", "nothing/production", "--commit", COMMIT][..],
        &["gate", "shop"],
        &["gate", "shop/production", "--commit", "no"],
        &["gate", "shop/production"],
    ] {
        let done = bench.run(line).await;
        assert_eq!(code(&done), 2, "{line:?} {}", stderr(&done));
        assert_eq!(stdout(&done), "");
    }
    for mood in [Mood::Drops, Mood::DropsAnswers, Mood::Broken, Mood::Foreign] {
        bench.server.set(mood);
        assert_eq!(code(&bench.run(&GATE).await), 5, "{mood:?}");
        let done = bench.run(&[&GATE[..], &["--wait", "1s"]].concat()).await;
        assert_eq!(code(&done), 5, "{mood:?}");
    }
    let allow = [&GATE[..], &["--on-unavailable", "allow", "--json"]].concat();
    let done = bench.command_to(&nobody().await, &allow).output().await.expect("it runs");
    let found: Value = serde_json::from_str(&stdout(&done)).expect("one JSON object");
    assert_eq!((code(&done), &found["verdict"]), (0, &Value::Null), "{}", stderr(&done));
    assert!(stderr(&done).contains("WARNING"), "{}", stderr(&done));
}

#[tokio::test]
async fn who_waits_before_the_gate_is_told_when_that_changes() {
    let bench = Bench::new().await;
    bench.server.state().verdicts = vec!["blocked", "blocked", "unknown", "clear"];
    let done = bench.run(&[&GATE[..], &["--wait", "1m"]].concat()).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let said = stderr(&done);
    assert_eq!(said.matches("is blocked").count(), 1, "{said}");
    assert_eq!(said.matches("cannot be judged").count(), 1, "{said}");
    let asked = bench.server.asked("GET", "/gate");
    assert_eq!(asked.len(), 4);
    assert!(asked[0].path.ends_with(&format!("/gate?commit={COMMIT}")), "{asked:?}");
    assert!(asked[1].path.ends_with("&wait=55&seen=4"), "{asked:?}");
}

#[tokio::test]
async fn the_commit_is_the_one_that_is_checked_out() {
    let bench = Bench::new().await;
    let git = async |words: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=zoe", "-c", "user.email=zoe@shop.example"]).args(words);
        let done = git.current_dir(bench.folder.path()).output().await.expect("git");
        assert!(done.status.success(), "{words:?}");
        stdout(&done).trim().to_owned()
    };
    git(&["init", "--quiet"]).await;
    let done = bench.run(&["gate", "shop/production"]).await;
    assert_eq!(code(&done), 2, "a repository without a commit: {}", stderr(&done));
    git(&["commit", "--quiet", "--allow-empty", "--message", "one"]).await;
    let head = git(&["rev-parse", "HEAD"]).await;
    let done = bench.run(&["gate", "shop/production", "--repository", "a b"]).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let asked = bench.server.asked("GET", "/gate");
    let expected = format!("/gate?commit={head}&repository=a+b");
    assert!(asked[0].path.ends_with(&expected), "{asked:?}");
}

#[tokio::test]
async fn a_script_starts_adds_output_and_finishes() {
    let bench = Bench::new().await;
    let done = bench
        .run(&[
            "deploy",
            "start",
            "shop/production",
            "--commit",
            COMMIT,
            "--lease",
            "2h",
            "--version",
            "1.4.2",
        ])
        .await;
    assert_eq!((code(&done), stdout(&done).as_str()), (0, "d1\n"), "{}", stderr(&done));
    let mut start = bench.server.asked("POST", "/deploys")[0].json();
    assert_eq!(start["key"].take().as_str().map(str::len), Some(32));
    let expected =
        json!({"commit": COMMIT, "key": null, "lease_seconds": 7_200, "version": "1.4.2"});
    assert_eq!(start, expected);
    std::fs::write(bench.path("log"), b"one gr\xc3\xb6\xff\n").expect("a file");
    let done = bench.run(&["deploy", "output", "d1", "log"]).await;
    assert_eq!((code(&done), stdout(&done).as_str()), (0, ""), "{}", stderr(&done));
    // It goes on at the end; and what stands there already is not added again.
    for words in [&["deploy", "output", "d1"][..], &["deploy", "output", "d1", "--offset", "12"]] {
        let mut output = bench.command(words);
        let mut output = output.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
        let mut stdin = output.stdin.take().expect("its stdin");
        stdin.write_all(b"two\n").await.expect("it reads");
        drop(stdin);
        assert_eq!(output.wait().await.expect("it ends").code(), Some(0));
    }
    assert_eq!(bench.server.output(), "one grö\u{fffd}\ntwo\n");
    let done = bench.run(&["deploy", "finish", "d1", "--status", "succeeded", "--exit-code", "0"]);
    let done = done.await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let said = "deploy 1 of shop/production succeeded, resolved SHOP-42, released 1 lock\n";
    assert_eq!(stdout(&done), said);
    let shown = stdout(&bench.run(&["deploy", "show", "d1"]).await);
    assert!(shown.contains("status    succeeded (exit code 0)"), "{shown}");
    assert!(shown.ends_with("\n\none grö\u{fffd}\ntwo\n"), "{shown}");
    let listed = stdout(&bench.run(&["deploys", "shop", "--environment", "production"]).await);
    assert!(listed.contains("d1"), "{listed}");
    assert_eq!(bench.kept(), 0);
    assert_eq!(code(&bench.run(&["deploy", "finish", "d9", "--status", "failed"]).await), 1);
    bench.server.state().verdicts = vec!["blocked"];
    let again = ["deploy", "start", "shop/production", "--commit", COMMIT];
    assert_eq!(code(&bench.run(&again).await), 1);
    assert_eq!(code(&bench.run(&[&again[..], &["--wait", "1s"]].concat()).await), 4);
}

#[tokio::test]
async fn a_script_goes_on_without_the_service() {
    let bench = Bench::new().await;
    let start = ["deploy", "start", "shop/production", "--commit", COMMIT];
    assert_eq!(code(&bench.run(&start).await), 0);
    std::fs::write(bench.path("log"), "one\n").expect("a file");
    std::fs::write(bench.path("more"), "two\n").expect("a file");
    bench.server.set(Mood::Drops);
    for words in [
        &["deploy", "output", "d1", "log"][..],
        &["deploy", "output", "d1", "more"],
        &["deploy", "finish", "d1", "--status", "succeeded"],
    ] {
        let done = bench.run(words).await;
        assert_eq!(code(&done), 0, "{words:?} {}", stderr(&done));
        assert!(stderr(&done).contains("it is kept"), "{words:?} {}", stderr(&done));
    }
    assert_eq!(bench.kept(), 3);
    bench.server.set(Mood::Well);
    assert_eq!(code(&bench.run(&["deploy", "flush"]).await), 0);
    assert_eq!(bench.server.output(), "one\ntwo\n");
    assert_eq!(bench.server.deploy()["status"], "succeeded");
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_script_that_began_without_the_service_is_recorded_when_it_ends() {
    let bench = Bench::new().await;
    bench.server.set(Mood::Drops);
    let start = ["deploy", "start", "shop/production", "--commit", COMMIT];
    assert_eq!(code(&bench.run(&start).await), 5);
    let done = bench.run(&[&start[..], &["--on-unavailable", "allow"]].concat()).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let id = stdout(&done).trim().to_owned();
    std::fs::write(bench.path("log"), "one\n").expect("a file");
    assert_eq!(code(&bench.run(&["deploy", "output", &id, "log"]).await), 0);
    bench.server.set(Mood::Well);
    assert_eq!(code(&bench.run(&["deploy", "output", &id, "log"]).await), 0);
    let flushed = stdout(&bench.run(&["deploy", "flush"]).await);
    assert!(flushed.contains("1 deploy still running"), "{flushed}");
    let done = bench.run(&["deploy", "finish", &id, "--status", "failed"]).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let deploy = bench.server.deploy();
    assert_eq!((&deploy["status"], &deploy["gated"]), (&json!("failed"), &json!(false)));
    assert_eq!(bench.server.output(), "one\none\n");
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_deploy_is_followed_until_it_is_over() {
    let bench = Bench::new().await;
    let script = "echo begin; read -r line; echo end";
    let mut deploy = bench.deploy(&[], script);
    let mut deploy = deploy.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    until("it says something", async || bench.server.output() == "begin\n").await;
    let follow = bench.command(&["deploy", "show", "d1", "--follow"]).spawn().expect("it runs");
    until("somebody looks", async || !bench.server.asked("GET", "/output").is_empty()).await;
    drop(deploy.stdin.take());
    assert_eq!(deploy.wait().await.expect("it ends").code(), Some(0));
    let done = follow.wait_with_output().await.expect("it ends");
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert!(stdout(&done).ends_with("\n\nbegin\nend\n"), "{}", stdout(&done));
    assert!(stderr(&done).contains("deploy 1 of shop/production succeeded"), "{}", stderr(&done));
}

#[tokio::test]
async fn what_commands_ask_for() {
    let bench = Bench::new().await;
    for (line, method, path, body) in [
        (
            "lock echo/beta --reason no --key k",
            "POST",
            "/projects/echo/environments/beta/locks",
            json!({"reason": "no", "key": "k"}),
        ),
        (
            "lock echo/beta --issue shop-42",
            "POST",
            "/projects/echo/environments/beta/locks",
            json!({"issue": "SHOP-42"}),
        ),
        ("unlock l1 --reason over", "DELETE", "/locks/l1", json!({"reason": "over"})),
        (
            "unlock echo/beta --key k",
            "DELETE",
            "/projects/echo/environments/beta/locks?key=k",
            json!({}),
        ),
        (
            "freeze echo/beta --name n --start 0_3_*_*_* --minutes 9 --timezone UTC",
            "POST",
            "/projects/echo/environments/beta/freezes",
            json!({"name": "n", "start": "0 3 * * *", "minutes": 9, "timezone": "UTC"}),
        ),
        (
            "unfreeze echo/beta f1",
            "DELETE",
            "/projects/echo/environments/beta/freezes/f1",
            Value::Null,
        ),
        (
            "fix SHOP-42 --commit 4f2c91a",
            "PUT",
            "/issues/SHOP-42/fix",
            json!({"commit": "4f2c91a", "source": "cli"}),
        ),
        ("unfix SHOP-42", "DELETE", "/issues/SHOP-42/fix", Value::Null),
        (
            "resolve SHOP-42 --in next_deploy",
            "POST",
            "/issues/SHOP-42/resolve",
            json!({"in": "next_deploy"}),
        ),
        (
            "release echo 1.4.2 --commit 4f2c91a",
            "POST",
            "/projects/echo/releases",
            json!({"commit": "4f2c91a", "version": "1.4.2"}),
        ),
        (
            "repository add echo r https://git.example/r --branch main",
            "POST",
            "/projects/echo/repositories",
            json!({"name": "r", "url": "https://git.example/r", "branches": ["main"]}),
        ),
        ("repository fetch echo r", "POST", "/projects/echo/repositories/r/fetch", json!({})),
        ("repository remove echo r", "DELETE", "/projects/echo/repositories/r", Value::Null),
    ] {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('_', " ")).collect();
        let words: Vec<String> =
            words.into_iter().map(|word| word.replace("next deploy", "next_deploy")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = bench.run(&words).await;
        assert_eq!(code(&done), 0, "{line}: {}", stderr(&done));
        let asked = bench.server.state().asked.pop().expect("a request");
        let path = format!("/api/v1{path}");
        assert_eq!((asked.method.as_str(), asked.path.as_str()), (method, path.as_str()));
        let found = if asked.body.is_empty() { Value::Null } else { asked.json() };
        assert_eq!(found, body, "{line}");
    }
}
