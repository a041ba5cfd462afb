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

/// Runs it in a folder with a `push.sh` that does this.
async fn run(shop: &Shop, folder: &Path, push: &str) -> Output {
    use std::os::unix::fs::PermissionsExt as _;
    let file = folder.join("push.sh");
    std::fs::write(&file, format!("#!/bin/sh\n{push}\n")).expect("a script");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let binary = Path::new(env!("CARGO_BIN_EXE_airlock")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &script()]).current_dir(folder).stdin(Stdio::null()).env("PATH", path);
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
