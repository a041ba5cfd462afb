//! What the documentation tells scripts to do.

use std::path::Path;
use std::process::{Output, Stdio};

use super::Shop;
use crate::support::{Engine, TOKEN, both};

/// The script for who cannot wrap a command, word for word.
fn script() -> String {
    let docs = include_str!("../../../docs/deploys.md");
    let (_, rest) = docs.split_once("Scripts that cannot wrap a command:\n\n```sh\n").expect("it");
    rest.split_once("```").expect("its end").0.to_owned()
}

fn executable(file: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, format!("#!/bin/sh\n{script}\n")).expect("a script");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// Where programs are, this one among them.
fn path() -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_airlock")).parent().expect("a folder");
    format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default())
}

/// Runs it in a folder with a `push.sh` that does this.
async fn run(shop: &Shop, folder: &Path, push: &str) -> Output {
    executable(&folder.join("push.sh"), push);
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &script()]).current_dir(folder).stdin(Stdio::null()).env("PATH", path());
    shell.env("AIRLOCK_URL", shop.app.url("")).env("AIRLOCK_TOKEN", TOKEN);
    shell.env("AIRLOCK_SPOOL", folder.join("spool")).env("SHA", shop.sha("base"));
    shell.output().await.expect("a shell")
}

both!(a_script_that_cannot_wrap_tells_how_it_ended, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let folder = tempfile::tempdir().expect("a folder");
    for (push, status) in [("echo pushed", "succeeded"), ("echo broken; exit 7", "failed")] {
        let output = run(&shop, folder.path(), push).await;
        assert!(output.status.success(), "{output:?}");
        let deploys = shop.app.all("/api/v1/projects/shop/deploys?environment=production").await;
        assert_eq!(deploys[0]["status"], status, "{output:?}");
        let id = deploys[0]["id"].as_str().expect("an id");
        let shown = shop.app.get(&format!("/api/v1/deploys/{id}/output")).await.text;
        assert!(push.contains(shown.trim()), "{shown}");
        shop.app.clock.advance(std::time::Duration::from_mins(1));
    }
    // Who is not let through runs nothing.
    shop.lock("production", &serde_json::json!({"reason": "wait"})).await;
    let output = run(&shop, folder.path(), "touch ran").await;
    assert!(!output.status.success() && !folder.path().join("ran").exists(), "{output:?}");
    shop.stop().await;
});

both!(the_line_for_cron_deploys, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let docs = include_str!("../../../docs/deploys.md");
    let (_, rest) = docs.split_once("```cron\n").expect("a crontab");
    let crontab = rest.split_once("```").expect("its end").0;
    let [url, line] = crontab.lines().collect::<Vec<_>>()[..] else { panic!("{crontab}") };
    assert!(url.starts_with("AIRLOCK_URL="), "{url}");
    // Five fields of time, and who runs it.
    let command = line.splitn(7, ' ').nth(6).expect("a command").replace("\\%", "%");

    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let mut here = command.clone();
    for (there, name) in [
        ("/etc/airlock/deploy.token", "deploy.token"),
        ("/srv/next", "next"),
        ("/srv/push.sh", "push.sh"),
        ("/var/log/push.log", "push.log"),
    ] {
        assert!(here.contains(there), "{there} in {command}");
        here = here.replace(there, at(name).to_str().expect("a path"));
    }
    std::fs::write(at("deploy.token"), format!("{TOKEN}\n")).expect("a token");
    std::fs::write(at("next"), format!("{}\n", shop.sha("base"))).expect("a commit");
    executable(&at("push.sh"), "echo pushed");
    let mut shell = tokio::process::Command::new("/bin/sh");
    shell.args(["-c", &here]).current_dir("/").stdin(Stdio::null());
    shell.env_clear().env("PATH", path()).env("AIRLOCK_URL", shop.app.url(""));
    let output = shell.output().await.expect("a shell");
    let log = std::fs::read_to_string(at("push.log")).expect("a log");
    assert!(output.status.success() && log.contains("pushed"), "{output:?} {log}");
    let deploys = shop.app.all("/api/v1/projects/shop/deploys?environment=production").await;
    assert_eq!(deploys[0]["status"], "succeeded", "{log}");
    shop.stop().await;
});
