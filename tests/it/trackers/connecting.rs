//! `airlock tracker`, as a person uses it.

use std::process::Output;

use serde_json::{Value, json};

use super::TRACKER;
use crate::support::asana::{Asana, PAT};
use crate::support::github::{GitHub, REPOSITORY, TOKEN as GITHUB_TOKEN};
use crate::support::{Engine, TOKEN, TestApp, airlock, both};

/// Runs a command against a server; its code, stdout and stderr.
async fn run(app: &TestApp, arguments: &[&str], token: Option<&str>) -> (i32, String, String) {
    let mut command = airlock();
    command.args(arguments).env("AIRLOCK_URL", app.url("")).env("AIRLOCK_TOKEN", TOKEN);
    if let Some(token) = token {
        command.env("AIRLOCK_TRACKER_TOKEN", token);
    }
    let Output { status, stdout, stderr } = command.output().await.expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

both!(a_person_connects_asana_alone, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let asana = Asana::start(app.clock.clone()).await;
    let bugs = asana.project("Bugs");
    let connect = ["tracker", "connect", "asana", "--project", "shop", "--tracker-url", &asana.url];
    let (code, _, said) = run(&app, &connect, None).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("AIRLOCK_TRACKER_TOKEN"), "{said}");
    let (code, _, said) = run(&app, &connect, Some("wrong")).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("make a new one") && !said.contains("wrong\""), "{said}");

    // It says what there is to choose from.
    let (code, _, said) = run(&app, &connect, Some(PAT)).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(&format!("{bugs}  Bugs")) && said.contains("--issue-project"), "{said}");
    assert_eq!(app.get(TRACKER).await.ok()["kind"], "built_in");

    let more = [connect.as_slice(), &["--issue-project", "bugs", "--create-projects"]].concat();
    let (code, told, said) = run(&app, &more, Some(PAT)).await;
    assert_eq!(code, 0, "{told}{said}");
    assert!(said.contains("made the project Lock Production Release (shop)"), "{said}");
    assert!(told.contains("production.deploy_project") && told.contains("Prod Push Tasks (shop)"));
    let settings = app.get(TRACKER).await.ok();
    assert_eq!(settings["issue_project"], json!(bugs));
    assert_eq!(asana.asked("POST", "/projects").len(), 4);
    // Again: everything is there.
    let (code, told, said) = run(&app, &more, Some(PAT)).await;
    assert_eq!(code, 0, "{told}{said}");
    assert_eq!(asana.asked("POST", "/projects").len(), 4);
    assert_eq!(app.get(TRACKER).await.ok(), settings);

    let (code, told, _) = run(&app, &["tracker", "check", "shop", "--json"], None).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((code, &told["checks"][0]["ok"]), (0, &json!(true)));
    asana.revoke(PAT);
    let (code, told, said) = run(&app, &["tracker", "check", "shop"], None).await;
    assert_eq!(code, 1, "{said}");
    assert!(told.contains("failed") && told.contains("make a new one"), "{told}");
    let (code, _, _) = run(&app, &["tracker", "check", "nowhere"], None).await;
    assert_eq!(code, 1);
    let back = ["tracker", "connect", "built_in", "--project", "shop"];
    assert_eq!(run(&app, &back, None).await.0, 0);
    assert_eq!(app.get(TRACKER).await.ok()["kind"], "built_in");
    app.stop().await;
});

both!(a_person_connects_github_alone, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let github = GitHub::start(app.clock.clone()).await;
    let connect =
        ["tracker", "connect", "github", "--project", "shop", "--tracker-url", &github.url];
    let (code, _, said) = run(&app, &connect, Some(GITHUB_TOKEN)).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--repository OWNER/NAME"), "{said}");
    let named = [connect.as_slice(), &["--repository", REPOSITORY]].concat();
    let (code, _, said) = run(&app, &named, None).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("AIRLOCK_TRACKER_TOKEN") && said.contains("GitHub"), "{said}");
    let other = [named.as_slice(), &["--markdown"]].concat();
    assert_eq!(run(&app, &other, Some(GITHUB_TOKEN)).await.0, 2);

    let (code, told, said) = run(&app, &named, Some(GITHUB_TOKEN)).await;
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.contains("airlock, made now") && !told.contains(GITHUB_TOKEN), "{told}");
    assert_eq!(app.get(TRACKER).await.ok()["environments"], json!({}));

    let more = ["--create-projects", "--lock-project", "beta=locks", "--issue-project", "bug"];
    let (code, told, said) = run(&app, &[&named, &more[..]].concat(), Some(GITHUB_TOKEN)).await;
    assert_eq!(code, 0, "{told}{said}");
    let settings = app.get(TRACKER).await.ok();
    assert_eq!(
        (&settings["issue_label"], &settings["environments"]),
        (
            &json!("bug"),
            &json!({
                "beta": {"lock_label": "locks", "deploy_label": "airlock: deploy beta"},
                "production": {
                    "lock_label": "airlock: lock production",
                    "deploy_label": "airlock: deploy production",
                },
            })
        )
    );
    assert_eq!(github.labels().len(), 6, "{:?}", github.labels());

    github.set(|repository| repository.has_issues = false);
    let (code, told, _) = run(&app, &["tracker", "check", "shop"], None).await;
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("turn them on under Settings"), "{told}");
    app.stop().await;
});
