//! Repositories of a project, as people and scripts see them.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use super::Repository;
use crate::support::{Answer, Engine, TestApp, both, crash, with};

const REPOSITORIES: &str = "/api/v1/projects/shop/repositories";

/// The files of a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

async fn add(app: &TestApp, repository: &Repository) -> Value {
    let wish = json!({"name": "web", "url": repository.path(), "branches": ["main", "release/*"]});
    app.post(REPOSITORIES, &wish).await.ok()
}

both!(a_repository_is_added_fetched_and_removed, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let git = Repository::new();
    git.run("c base; c fix; on release/1; c hot");
    let added = add(&app, &git).await;
    assert_eq!(added["branches"], json!(["main", "release/*"]));
    assert_eq!((&added["fetched"], &added["failure"]), (&Value::Null, &Value::Null));

    let fetch = format!("{REPOSITORIES}/web/fetch");
    let fetched = app.post(&fetch, &json!({})).await.ok();
    let head = git.names()["fix"].to_string();
    assert_eq!((&fetched["head"], &fetched["commits"]), (&json!(head), &json!(3)));
    assert_eq!(fetched["fetched_at"], "2026-11-21T12:00:00Z");
    git.run("git checkout -q main; c more");
    assert_eq!(app.post(&fetch, &json!({})).await.ok()["commits"], 4);
    let listed = app.get(REPOSITORIES).await.ok();
    assert_eq!(listed["items"][0]["fetched"]["head"], git.names()["more"].to_string());

    let taken = json!({"name": "web", "url": git.path()});
    assert_eq!(app.post(REPOSITORIES, &taken).await.problem(), (409, "taken".to_owned()));
    app.post(REPOSITORIES, &json!({"name": "shop/api"})).await.ok();
    let renamed = json!({"name": "web"});
    let path = format!("{REPOSITORIES}/shop%2Fapi");
    let refused = Answer::of(app.api(Method::PATCH, &path).json(&renamed)).await.problem();
    assert_eq!(refused, (409, "taken".to_owned()));
    let no_url = app.post(&format!("{path}/fetch"), &json!({})).await.problem();
    assert_eq!(no_url, (422, "invalid".to_owned()));

    let mirrors = app.config.data.join("git");
    let n_mirrors = || std::fs::read_dir(&mirrors).expect("a folder").count();
    assert_eq!(n_mirrors(), 1);
    let path = format!("{REPOSITORIES}/web");
    Answer::of(app.api(Method::DELETE, &path)).await.ok();
    assert_eq!(n_mirrors(), 0);
    let gone = Answer::of(app.api(Method::DELETE, &path)).await.problem();
    assert_eq!(gone, (404, "not-found".to_owned()));
    assert_eq!(app.post(&fetch, &json!({})).await.problem(), (404, "not-found".to_owned()));
    app.stop().await;
});

both!(why_a_repository_cannot_be_fetched_is_said_and_kept, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let git = Repository::new();
    git.run("c base");
    add(&app, &git).await;
    let fetch = format!("{REPOSITORIES}/web/fetch");
    app.post(&fetch, &json!({})).await.ok();
    std::fs::rename(git.path().join(".git"), git.path().join("gone")).expect("moved");
    let answer = app.post(&fetch, &json!({})).await;
    assert_eq!(answer.problem(), (502, "fetch-failed".to_owned()));
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("does not appear to be a git repository"), "{detail}");
    let listed = app.get(REPOSITORIES).await.ok();
    let repository = &listed["items"][0];
    assert_eq!(repository["failure"]["reason"], detail);
    assert_eq!(repository["fetched"]["commits"], 1, "what was known stays");
    std::fs::rename(git.path().join("gone"), git.path().join(".git")).expect("moved");
    app.post(&fetch, &json!({})).await.ok();
    assert_eq!(app.get(REPOSITORIES).await.ok()["items"][0]["failure"], Value::Null);
    app.stop().await;
});

both!(
    a_mirror_that_a_kill_left_between_two_places_is_known_at_the_start,
    |engine: Engine| async move {
        let app = TestApp::start(engine).await;
        let shop = app.create_project("shop").await;
        let git = Repository::new();
        git.run("c base; git tag v1");
        add(&app, &git).await;
        app.post(&format!("{REPOSITORIES}/web/fetch"), &json!({})).await.ok();
        let mirror = std::fs::read_dir(app.config.data.join("git")).expect("a folder").next();
        let mirror = mirror.expect("a mirror").expect("an entry").path();
        std::fs::create_dir_all(mirror.join("fresh")).expect("a folder");
        let (own, fresh) = (mirror.join("repository.git"), mirror.join("fresh/repository.git"));
        std::fs::rename(own, fresh).expect("moved");
        std::fs::create_dir_all(mirror.join("old.git")).expect("a folder");
        // Nobody can fetch: what is known is what was there.
        std::fs::rename(git.path().join(".git"), git.path().join("gone")).expect("moved");
        let app = app.restart().await;
        let event = with(crash("KeyError"), &json!({"release": "v1"}));
        app.send(&shop, &event).await;
        let release = app.get("/api/v1/projects/shop/releases/v1").await.ok();
        assert_eq!((&release["rule"], &release["ambiguous"]), (&json!("tag"), &json!(false)));
        assert!(mirror.join("repository.git/HEAD").exists() && !mirror.join("old.git").exists());
        app.stop().await;
    }
);

both!(what_was_found_last_stands_in_whatever_order_it_is_written, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let git = Repository::new();
    git.run("c base");
    add(&app, &git).await;
    let fetch = format!("{REPOSITORIES}/web/fetch");
    app.post(&fetch, &json!({})).await.ok();
    let shown = async || {
        let repository = app.get(REPOSITORIES).await.ok()["items"][0].clone();
        (repository["fetched"]["commits"].clone(), repository["failure"]["reason"].clone())
    };
    // Another process fetched it a minute later, and has written that already.
    let now = app.clock.now().as_micros();
    let later = now + 60_000_000;
    let fetched = format!("UPDATE repositories SET head = $1, n_commits = 7, fetched_at = {later}");
    app.change_store(&fetched, &[7; 20]).await;
    app.post(&fetch, &json!({})).await.ok();
    assert_eq!(shown().await, (json!(7), Value::Null));
    std::fs::rename(git.path().join(".git"), git.path().join("gone")).expect("moved");
    assert_eq!(app.post(&fetch, &json!({})).await.problem().0, 502);
    assert_eq!(shown().await, (json!(7), Value::Null));
    // It could not be fetched a minute later.
    let failed = format!(
        "UPDATE repositories SET head = $1, fetched_at = {now}, failed_at = {later}, failure = 'away'"
    );
    app.change_store(&failed, &[7; 20]).await;
    assert_eq!(app.post(&fetch, &json!({})).await.problem().0, 502);
    assert_eq!(shown().await, (json!(7), json!("away")));
    std::fs::rename(git.path().join("gone"), git.path().join(".git")).expect("moved");
    app.post(&fetch, &json!({})).await.ok();
    assert_eq!(shown().await, (json!(1), json!("away")));
    app.clock.advance(std::time::Duration::from_mins(2));
    app.post(&fetch, &json!({})).await.ok();
    assert_eq!(shown().await, (json!(1), Value::Null));
    app.stop().await;
});

both!(two_who_change_a_repository_at_once_are_both_heard, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let wish = json!({"name": "web", "url": "https://127.0.0.1:9/web", "branches": ["main"]});
    app.post(REPOSITORIES, &wish).await.ok();
    let path = format!("{REPOSITORIES}/web");
    for round in 0..10 {
        let branches = json!({"branches": [format!("release/{round}")]});
        let credential = json!({"credential": if round % 2 == 0 { "s3cret" } else { "" }});
        let (one, other) = tokio::join!(app.patch(&path, &branches), app.patch(&path, &credential));
        one.ok();
        other.ok();
        let now = &app.get(REPOSITORIES).await.ok()["items"][0];
        assert_eq!(now["branches"], branches["branches"]);
        assert_eq!(now["has_credential"], round % 2 == 0);
    }
    app.stop().await;
});

both!(a_mirror_survives_a_restart_and_damage, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let git = Repository::new();
    git.run("c base; c fix");
    add(&app, &git).await;
    let fetch = format!("{REPOSITORIES}/web/fetch");
    app.post(&fetch, &json!({})).await.ok();
    let mut app = app.restart().await;
    git.run("c more");
    assert_eq!(app.post(&fetch, &json!({})).await.ok()["commits"], 3);
    let mirror = std::fs::read_dir(app.config.data.join("git")).expect("a folder").next();
    let repository = mirror.expect("a mirror").expect("an entry").path().join("repository.git");
    std::fs::write(repository.join("HEAD"), "nonsense").expect("a file");
    git.run("c still_more");
    assert_eq!(app.post(&fetch, &json!({})).await.ok()["commits"], 4);
    for folder in ["objects", "refs/heads"] {
        for entry in walk(&repository.join(folder)) {
            std::fs::remove_file(&entry).expect("removed");
            std::fs::write(&entry, "nonsense").expect("a file");
        }
        git.run(&format!("c after_{}", folder.len()));
        // What is damaged at its source is not fetched anew all day.
        app = app.restart().await;
        app.post(&fetch, &json!({})).await.ok();
    }
    assert_eq!(app.post(&fetch, &json!({})).await.ok()["commits"], 6);
    app.stop().await;
});

both!(a_credential_is_never_shown_and_stays_with_its_address, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let wish = json!({
        "name": "web",
        "url": "https://127.0.0.1:9/shop/web.git",
        "credential": "s3cret-of-the-host"
    });
    let answer = app.post(REPOSITORIES, &wish).await;
    let added = answer.json();
    assert_eq!(added["has_credential"], true);
    assert!(!added.to_string().contains("s3cret"));
    assert!(!app.get(REPOSITORIES).await.ok().to_string().contains("s3cret"));
    let refused = app.post(&format!("{REPOSITORIES}/web/fetch"), &json!({})).await;
    assert_eq!(refused.problem(), (502, "fetch-failed".to_owned()));
    assert!(!refused.json().to_string().contains("s3cret"));
    let n_plain = app
        .stored_number("SELECT COUNT(*) FROM repositories WHERE credential IS NOT NULL AND length(credential) > 28")
        .await;
    assert_eq!(n_plain, 1);
    let path = format!("{REPOSITORIES}/web");
    let change = async |change: Value| {
        Answer::of(app.api(Method::PATCH, &path).json(&change)).await.ok()["has_credential"].clone()
    };
    assert_eq!(change(json!({"branches": ["*"]})).await, true);
    assert_eq!(change(json!({"url": "https://127.0.0.1:9/other"})).await, false);
    assert_eq!(change(json!({"credential": "another"})).await, true);
    assert_eq!(change(json!({"credential": ""})).await, false);
    app.stop().await;
});

#[tokio::test]
async fn repositories_that_make_no_sense_are_refused() {
    let app = TestApp::start(Engine::Sqlite).await;
    app.create_project("shop").await;
    for wish in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "a b"}),
        json!({"name": "web", "url": "ext::sh -c id"}),
        json!({"name": "web", "url": "--upload-pack=id"}),
        json!({"name": "web", "url": "http://example.com/web"}),
        json!({"name": "web", "url": "https://user:pass@example.com/web"}),
        json!({"name": "web", "url": "https://example.com/web", "branches": []}),
        json!({"name": "web", "url": "https://example.com/web", "branches": ["a b"]}),
        json!({"name": "web", "url": "https://example.com/web", "credential": "a\u{0}b"}),
        json!({"name": "web", "credential": "token"}),
        json!({"name": "web", "color": "red"}),
    ] {
        let refused = app.post(REPOSITORIES, &wish).await.problem();
        assert_eq!(refused, (422, "invalid".to_owned()), "{wish}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_stop_ends_a_fetch_that_hangs() {
    let app = TestApp::start_with(Engine::Sqlite, |config| {
        config.git_protocols = "http".parse().expect("protocols");
    })
    .await;
    app.create_project("shop").await;
    // Accepts connections and never says anything.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let wish = json!({"name": "web", "url": format!("http://{address}/shop")});
    app.post(REPOSITORIES, &wish).await.ok();
    let fetch = app.api(Method::POST, &format!("{REPOSITORIES}/web/fetch"));
    let stop = async {
        let connection = silent.accept().await.expect("git");
        app.stop().await;
        connection
    };
    let (answer, _) = tokio::join!(Answer::of(fetch), stop);
    assert_eq!(answer.problem(), (502, "fetch-failed".to_owned()));
    assert_eq!(answer.json()["detail"], "the service is stopping");
}

both!(nodes_with_one_key_share_credentials, |engine: Engine| async move {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("secret.key");
    let app = TestApp::start_with(engine, |config| config.secret_key_file = Some(key)).await;
    app.create_project("shop").await;
    let git = Repository::new();
    git.run("c base");
    let wish = json!({"name": "web", "url": git.path(), "credential": "s3cret"});
    app.post(REPOSITORIES, &wish).await.ok();
    let fetch = format!("{REPOSITORIES}/web/fetch");
    app.post(&fetch, &json!({})).await.ok();
    // A node with a key of its own says what is wrong.
    let app = app.restart_with(|config| config.secret_key_file = None).await;
    let answer = app.post(&fetch, &json!({})).await;
    assert_eq!(answer.problem(), (502, "fetch-failed".to_owned()));
    assert!(answer.json()["detail"].as_str().expect("a detail").contains("--secret-key-file"));
    app.stop().await;
});

both!(a_repository_that_is_too_large_says_which_setting_allows_more, |engine: Engine| async move {
    let app = TestApp::start_with(engine, |config| config.git_most_bytes = 10).await;
    app.create_project("shop").await;
    let git = Repository::new();
    git.run("c base");
    add(&app, &git).await;
    let answer = app.post(&format!("{REPOSITORIES}/web/fetch"), &json!({})).await;
    assert_eq!(answer.problem(), (502, "fetch-failed".to_owned()));
    let failure = app.get(REPOSITORIES).await.ok()["items"][0]["failure"]["reason"].clone();
    let said = failure.as_str().expect("a reason");
    assert!(said.contains("10 bytes") && said.contains("AIRLOCK_GIT_MOST_BYTES"), "{said}");
    app.stop().await;
});
