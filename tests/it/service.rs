//! Running the service: starting, being found, being stopped.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use airlock::config::Role;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Engine, Process, TestApp, airlock, client, until};

/// What a start that fails says, and its exit code.
async fn refused(arguments: &[&str], token: &str) -> (Option<i32>, String) {
    let mut serve = airlock();
    serve.arg("serve").args(arguments).env("AIRLOCK_BOOTSTRAP_TOKEN", token);
    let output = serve.output().await.expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_leaves_a_token_that_only_its_owner_can_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut serve = airlock();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    let server = Process::start(serve).await;
    let address = std::fs::read_to_string(data.join("address")).expect("the address");
    assert_eq!(address.trim(), server.url);
    let file = data.join("admin.token");
    let mode = std::fs::metadata(&file).expect("the token").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).expect("the token");
    let url = format!("{}/api/v1/projects", server.url);
    let list = || client().get(&url).bearer_auth(token.trim());
    Answer::of(list()).await.ok();
    assert!(server.terminate().await.success());

    // The next start makes no other, and the first still counts; revoked, it is gone for good.
    let mut serve = airlock();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    let server = Process::start(serve).await;
    assert_eq!(std::fs::read_to_string(&file).expect("the token"), token);
    let tokens = format!("{}/api/v1/tokens", server.url);
    let listed = Answer::of(client().get(&tokens).bearer_auth(token.trim())).await.ok();
    let id = listed["items"][0]["id"].as_str().expect("an id").to_owned();
    Answer::of(client().delete(format!("{tokens}/{id}")).bearer_auth(token.trim())).await.ok();
    let refused = Answer::of(client().get(&tokens).bearer_auth(token.trim())).await;
    assert_eq!(refused.problem(), (401, "unauthorized".to_owned()));
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_make_no_sense_refuse_to_start_and_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let long = "a-token-that-is-long-enough";
    let with = |more: &[&'static str]| {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(more);
        all
    };
    for (arguments, token, code, part) in [
        (with(&[]), "short", 1, "shorter than 20 characters"),
        (with(&["--database", "mysql://x"]), long, 1, "sqlite:PATH or postgres://"),
        (with(&["--public-url", "errors.example"]), long, 1, "https://errors.example"),
        (with(&["--log", "nonsense=="]), long, 2, "is no filter"),
        (with(&["--role", "king"]), long, 2, "all, intake, worker, web"),
    ] {
        let arguments: Vec<&str> = arguments.into_iter().chain(["--data", data.as_str()]).collect();
        let (status, said) = refused(&arguments, token).await;
        assert_eq!(status, Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let (status, said) = refused(&["--listen", &address, "--data", &data], long).await;
    assert_eq!(status, Some(1));
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_one_sqlite_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("airlock.db");
    let database = format!("sqlite:{}", file.display());
    let first = Process::serve(&folder.path().join("one"), &database).await;
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let data = folder.path().join("other").display().to_string();
    for address in [database.clone(), format!("sqlite:{}", link.display())] {
        let arguments = ["--listen", "127.0.0.1:0", "--data", &data, "--database", &address];
        let (status, said) = refused(&arguments, "a-token-that-is-long-enough").await;
        assert_eq!(status, Some(1), "{said}");
        let says = ["airlock.db is in use by another process", "PostgreSQL"];
        assert!(says.iter().all(|part| said.contains(part)), "{said}");
    }
    // One that was killed keeps nobody out.
    first.kill().await;
    let second = Process::serve(&folder.path().join("other"), &database).await;
    assert!(second.terminate().await.success());
}

/// Binds a socket, makes it descriptor 3 and becomes the service, as a service manager does.
const HAND_OVER: &str = r#"
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
print(listener.getsockname()[1], file=sys.stderr, flush=True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_from_the_service_manager_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let python = std::env::var("AIRLOCK_TEST_PYTHON").expect("./test sets it");
    let mut manager = tokio::process::Command::new(python);
    manager.args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_airlock"), "serve"]);
    // This address is not listened on: the socket is.
    manager.args(["--listen", "127.0.0.1:1", "--data"]).arg(folder.path().join("data"));
    let server = Process::start(manager).await;
    assert!(!server.url.ends_with(":1"));
    let answer = Answer::of(client().get(format!("{}/healthz", server.url))).await;
    assert_eq!(answer.text, "ok\n");
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_address_is_part_of_dsns_and_links() {
    let app = TestApp::start_with(Engine::Sqlite, |config| {
        config.public_url = Some("https://errors.example/team".to_owned());
    })
    .await;
    let shop = app.create_project("shop").await;
    assert_eq!(shop.dsn, format!("https://{}@errors.example/team/{}", shop.key, shop.id));
    app.crash(&shop, "KeyError").await;
    app.digested().await;
    let issue = app.get("/api/v1/issues/SHOP-1").await.ok();
    assert_eq!(issue["url"], "https://errors.example/team/api/v1/issues/SHOP-1");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_serve_only_what_they_are_for() {
    for (role, reports, api) in
        [(Role::Intake, 403, 404), (Role::Web, 404, 401), (Role::Worker, 404, 404)]
    {
        let app = TestApp::start_with(Engine::Sqlite, |config| config.role = role).await;
        let report = app.request(Method::POST, "/api/1/store/").body("{}");
        assert_eq!(Answer::of(report).await.status.as_u16(), reports, "{role:?}");
        let list = app.request(Method::GET, "/api/v1/projects");
        assert_eq!(Answer::of(list).await.status.as_u16(), api, "{role:?}");
        assert_eq!(app.get("/healthz").await.text, "ok\n", "{role:?}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_one_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Engine::Postgres.database(folder.path()).await;
    let one = TestApp::start_with(Engine::Postgres, |config| {
        config.database = Some(database.clone());
    })
    .await;
    let other = TestApp::start_with(Engine::Postgres, |config| {
        config.database = Some(database.clone());
    })
    .await;
    let shop = one.create_project("shop").await;
    // The other node has never seen this key: one look into the store finds it.
    let event = |number: u32| {
        json!({
            "event_id": format!("{number:032x}"),
            "user": {"id": number % 7},
            "exception": {"values": [{"type": "KeyError", "stacktrace": {"frames": [
                {"module": "shop.cart", "function": "checkout"},
            ]}}]},
        })
    };
    for number in 0..100 {
        let event = event(number);
        let (here, there) =
            tokio::join!(one.send_event(&shop, &event), other.send_event(&shop, &event));
        assert_eq!(here.ok(), there.ok());
    }
    one.digested().await;
    other.digested().await;
    let list = other.get("/api/v1/projects/shop/issues").await.ok();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    let issue = &list["items"][0];
    assert_eq!((&issue["events"], &issue["users"]), (&100.into(), &7.into()));

    // What one node switches off, the other stops taking within seconds.
    let key = format!("/api/v1/projects/shop/keys/{}", shop.key);
    one.patch(&key, &json!({"active": false})).await.ok();
    assert_eq!(one.send_event(&shop, &event(500)).await.status.as_u16(), 403);
    until("the other node to know", async || {
        other.send_event(&shop, &event(501)).await.status.as_u16() == 403
    })
    .await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_finds_the_service_of_its_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = airlock();
    serve.arg("serve").current_dir(folder.path()).env("AIRLOCK_LISTEN", "127.0.0.1:0");
    let server = Process::start(serve).await;
    let run = async |folder: &Path, arguments: &[&str]| {
        let mut command = airlock();
        command.args(arguments).current_dir(folder);
        let output = command.output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let result = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), result, said)
    };
    let here = folder.path();
    let (code, created, _) = run(here, &["project", "create", "shop", "--json"]).await;
    assert_eq!(code, Some(0));
    let created: serde_json::Value = serde_json::from_str(&created).expect("JSON");
    let dsn = created["dsn"].as_str().expect("a DSN");

    let (code, id, _) = run(here, &["send", dsn, "--message", "hello"]).await;
    assert_eq!((code, id.trim().len()), (Some(0), 32));
    until("the issue", async || run(here, &["issues", "shop"]).await.1.contains("hello")).await;
    let (code, shown, _) = run(here, &["show", "SHOP-1", "--json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((code, &shown["title"]), (Some(0), &json!("hello")));
    assert_eq!(run(here, &["resolve", "SHOP-1"]).await.0, Some(0));
    let (_, open, _) = run(here, &["issues", "shop", "--status", "open"]).await;
    assert!(!open.contains("SHOP-1"), "{open}");

    let (code, out, said) = run(here, &["project", "create", "shop"]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("taken"), "{said}");
    assert_eq!(run(here, &["show", "SHOP"]).await.0, Some(2));
    // Elsewhere there is neither an address nor a token.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let url = server.url.clone();
    let (code, _, said) = run(elsewhere.path(), &["--url", &url, "issues", "shop"]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("AIRLOCK_TOKEN"), "{said}");

    assert!(server.terminate().await.success());
    assert_eq!(run(here, &["issues", "shop"]).await.0, Some(5));
}
