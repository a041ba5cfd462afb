//! What breaks around the service, and in the middle of it: nothing accepted is lost, nothing is
//! stored twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tokio::task::JoinSet;

use crate::support::{
    Answer, Engine, Process, Proxy, TOKEN, TestApp, TestProject, both, client, pause, until,
};

/// Something that keeps the store from being written.
enum Outage {
    /// The way to PostgreSQL is cut.
    Cut(Proxy),
    /// Somebody else holds SQLite's write lock.
    Locked { path: String, holder: Option<SqliteConnection> },
}

impl Outage {
    /// A store of this kind that can be made to go away, and its address.
    async fn prepare(engine: Engine, folder: &std::path::Path) -> (Self, String) {
        let database = engine.database(folder).await;
        match engine {
            Engine::Postgres => {
                let (proxy, address) = Proxy::to(&database).await;
                (Self::Cut(proxy), address)
            }
            Engine::Sqlite => (Self::Locked { path: database.clone(), holder: None }, database),
        }
    }

    async fn begin(&mut self) {
        match self {
            Self::Cut(proxy) => proxy.cut(),
            Self::Locked { path, holder } => {
                let mut connection = SqliteConnection::connect(path).await.expect("the file");
                connection.execute("PRAGMA busy_timeout = 10000").await.expect("patience");
                connection.execute("BEGIN EXCLUSIVE").await.expect("the lock");
                *holder = Some(connection);
            }
        }
    }

    async fn end(&mut self) {
        match self {
            Self::Cut(proxy) => proxy.mend(),
            Self::Locked { holder, .. } => {
                let mut connection = holder.take().expect("an outage that began");
                connection.execute("ROLLBACK").await.expect("the lock is given back");
            }
        }
    }
}

fn crash(kind: &str) -> Value {
    json!({
        "platform": "python",
        "user": {"id": 1},
        "exception": {"values": [{"type": kind, "stacktrace": {"frames": [
            {"module": "shop.cart", "function": "checkout", "in_app": true},
        ]}}]},
    })
}

/// A client of a server in another process.
#[derive(Clone)]
struct Remote {
    client: reqwest::Client,
    url: String,
    project: i64,
    key: String,
}

impl Remote {
    /// Makes the project `shop` on a server.
    async fn new(server: &Process) -> Self {
        let client = client();
        let request = client
            .post(format!("{}/api/v1/projects", server.url))
            .bearer_auth(TOKEN)
            .json(&json!({"slug": "shop"}));
        let made = Answer::of(request).await.ok();
        let dsn = made["dsn"].as_str().expect("a DSN");
        let key = dsn.split(['/', '@']).nth(2).expect("a key").to_owned();
        Self { client, url: server.url.clone(), project: made["id"].as_i64().expect("an id"), key }
    }

    fn at(&self, server: &Process) -> Self {
        Self { url: server.url.clone(), ..self.clone() }
    }

    /// Sends a crash; its id if it was accepted, `None` if the connection failed.
    async fn crash(&self, kind: &str) -> Option<String> {
        let url = format!("{}/api/{}/store/?sentry_key={}", self.url, self.project, self.key);
        let response = self.client.post(url).body(crash(kind).to_string()).send().await.ok()?;
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = response.json().await.ok()?;
        answer["id"].as_str().map(str::to_owned)
    }

    async fn get(&self, path: &str) -> Answer {
        let url = format!("{}/api/v1{path}", self.url);
        Answer::of(self.client.get(url).bearer_auth(TOKEN)).await
    }

    async fn digested(&self) {
        until("the spool to be drained", async || {
            let url = format!("{}/status.json", self.url);
            let status = Answer::of(self.client.get(url).bearer_auth(TOKEN)).await.json();
            status["parts"]["spool"]["backlog"] == 0
        })
        .await;
    }

    /// Checks that exactly these events are stored, and that all counters agree.
    async fn has_exactly(&self, ids: &BTreeSet<String>, more_allowed: usize) {
        self.digested().await;
        for id in ids {
            let answer = self.get(&format!("/projects/shop/events/{id}")).await;
            assert_eq!(answer.status, StatusCode::OK, "event {id} was accepted and is lost");
        }
        let issues = self.get("/projects/shop/issues?limit=100").await.ok();
        let mut n_stored = 0;
        for issue in issues["items"].as_array().expect("issues") {
            let id = issue["id"].as_str().expect("an id");
            let mut listed = BTreeSet::new();
            let mut cursor = String::new();
            loop {
                let page = self.get(&format!("/issues/{id}/events?limit=100{cursor}")).await.ok();
                for event in page["items"].as_array().expect("events") {
                    let event = event["event_id"].as_str().expect("an id").to_owned();
                    assert!(listed.insert(event), "an event is listed twice");
                }
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(issue["events"], listed.len(), "the counter of {id} disagrees");
            let tags = self.get(&format!("/issues/{id}/tags")).await.ok();
            let levels = tags["items"].as_array().expect("tags").iter();
            let level = levels.clone().find(|tag| tag["tag"] == "level").expect("the level");
            assert_eq!(level["values"][0]["events"], listed.len(), "the tags of {id} disagree");
            n_stored += listed.len();
        }
        // A request that was cut off before its answer may have been accepted all the same.
        let allowed = ids.len()..=ids.len() + more_allowed;
        assert!(allowed.contains(&n_stored), "{n_stored} stored, {} accepted", ids.len());
    }
}

async fn crashes(app: &TestApp, shop: &TestProject, n: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..n {
        let began = std::time::Instant::now();
        ids.push(app.crash(shop, "KeyError").await);
        let took = began.elapsed();
        assert!(took.as_secs() < 2, "a dead store must not slow intake down, but it took {took:?}");
    }
    ids
}

both!(while_the_store_is_away_intake_goes_on_also_across_a_restart, |engine: Engine| async move {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut outage, database) = Outage::prepare(engine, folder.path()).await;
    let app = TestApp::start_with(engine, |config| config.database = Some(database)).await;
    let shop = app.create_project("shop").await;
    outage.begin().await;
    let mut ids = crashes(&app, &shop, 10).await;
    until("digest to notice", async || {
        app.get("/status.json").await.status != StatusCode::OK
            || app.get("/status.json").await.json()["parts"]["digest"]["state"] == "degraded"
    })
    .await;
    assert_eq!(app.get("/readyz").await.status, StatusCode::OK);

    let app = app.restart().await;
    ids.extend(crashes(&app, &shop, 10).await);
    assert_eq!(app.get("/readyz").await.status, StatusCode::OK);
    let status = Answer::of(app.request(Method::GET, "/status.json")).await.ok();
    assert_eq!(status["parts"]["intake"]["state"], "ok");
    outage.end().await;

    until("the store to be open again", async || {
        app.get("/api/v1/projects/shop/issues").await.status == StatusCode::OK
    })
    .await;
    app.digested().await;
    let issue = app.get("/api/v1/issues/SHOP-1").await.ok();
    assert_eq!(issue["events"], 20);
    for id in ids {
        app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
    }
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_nobody_can_check_are_checked_when_the_store_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut outage, database) = Outage::prepare(Engine::Postgres, folder.path()).await;
    let app =
        TestApp::start_with(Engine::Postgres, |config| config.database = Some(database)).await;
    let shop = app.create_project("shop").await;
    std::fs::remove_file(app.data().join("keys.json")).expect("the copy of the keys");
    outage.begin().await;
    let app = app.restart().await;
    let real = app.crash(&shop, "KeyError").await;
    let stranger = TestProject { key: "0".repeat(32), ..shop.clone() };
    let made_up = app.crash(&stranger, "KeyError").await;
    outage.end().await;

    until("the store to be open again", async || {
        app.get("/api/v1/projects/shop/issues").await.status == StatusCode::OK
    })
    .await;
    app.digested().await;
    app.get(&format!("/api/v1/projects/shop/events/{real}")).await.ok();
    let missing = app.get(&format!("/api/v1/projects/shop/events/{made_up}")).await;
    assert_eq!(missing.problem(), (404, "not-found".to_owned()));
    assert_eq!(app.get("/status.json").await.ok()["refused_24h"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_of_strangers_is_not_buried_when_the_store_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut outage, database) = Outage::prepare(Engine::Postgres, folder.path()).await;
    let app =
        TestApp::start_with(Engine::Postgres, |config| config.database = Some(database)).await;
    let shop = app.create_project("shop").await;
    outage.begin().await;
    let stranger = TestProject { key: "0".repeat(32), ..shop.clone() };
    let garbage = "{}\n{\"type\":\"event\"}\nnot an event";
    for who in [&stranger, &shop] {
        let answer = Answer::of(app.report(who, "envelope").body(garbage)).await;
        assert_eq!(answer.status, StatusCode::OK, "nobody can check the key now");
    }
    outage.end().await;
    app.digested().await;
    let buried = app.get("/api/v1/projects/shop/buried").await.ok();
    assert_eq!(buried["items"].as_array().map(Vec::len), Some(1), "{buried}");
    assert_eq!(app.get("/status.json").await.ok()["refused_24h"], 1);
    app.stop().await;
}

/// Makes a database take no writes, as after a failover to a standby, or take them again.
async fn set_read_only(database: &str, is_read_only: bool) {
    let name = database.rsplit('/').next().expect("a name");
    let mut server =
        sqlx::PgConnection::connect(&crate::support::postgres_server()).await.expect("the server");
    let value = if is_read_only { "on" } else { "off" };
    for statement in [
        format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}"),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
    ] {
        server.execute(sqlx::AssertSqlSafe(statement)).await.expect("a superuser may");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_no_writes_costs_nothing() {
    let app = TestApp::start(Engine::Postgres).await;
    let shop = app.create_project("shop").await;
    let database = app.config.database.clone().expect("a database");
    set_read_only(&database, true).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(app.crash(&shop, "KeyError").await);
    }
    until("digest to notice", async || {
        let status = app.get("/status.json").await.json();
        let digest = &status["parts"]["digest"];
        digest["state"] == "degraded" && digest["last_error"].to_string().contains("read-only")
    })
    .await;
    set_read_only(&database, false).await;
    app.digested().await;
    for id in ids {
        app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
    }
    assert_eq!(app.get("/status.json").await.ok()["buried"], 0);
    app.stop().await;
}

both!(a_kill_between_accept_and_digest_loses_nothing, |engine: Engine| async move {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let (mut outage, database) = Outage::prepare(engine, folder.path()).await;
    let server = Process::serve(&data, &database).await;
    let shop = Remote::new(&server).await;
    outage.begin().await;
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        ids.insert(shop.crash("KeyError").await.expect("accepted"));
    }
    server.kill().await;
    outage.end().await;
    let server = Process::serve(&data, &database).await;
    shop.at(&server).has_exactly(&ids, 0).await;
    assert!(server.terminate().await.success());
});

/// Sends crashes from several clients until told to stop; gives the ids that were accepted.
fn load(remote: &Remote, n_clients: usize) -> (Arc<AtomicBool>, JoinSet<BTreeSet<String>>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..n_clients {
        let (remote, is_over) = (remote.clone(), Arc::clone(&is_over));
        clients.spawn(async move {
            let mut ids = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                match remote.crash(&format!("Error{number}")).await {
                    Some(id) => ids.insert(id),
                    None => break,
                };
            }
            ids
        });
    }
    (is_over, clients)
}

both!(
    kills_in_the_middle_of_digesting_lose_nothing_and_double_nothing,
    |engine: Engine| async move {
        const CLIENTS: usize = 6;
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let database = engine.database(folder.path()).await;
        let mut server = Process::serve(&data, &database).await;
        let shop = Remote::new(&server).await;
        let mut ids = BTreeSet::new();
        // Different moments, so that accepting, digesting and committing are all hit.
        for millis in [120, 230, 310, 270, 190] {
            let (is_over, clients) = load(&shop.at(&server), CLIENTS);
            pause(millis).await;
            server.kill().await;
            is_over.store(true, Ordering::Relaxed);
            ids.extend(clients.join_all().await.into_iter().flatten());
            server = Process::serve(&data, &database).await;
        }
        assert!(ids.len() > 50, "only {} events were accepted: the test tests nothing", ids.len());
        shop.at(&server).has_exactly(&ids, 5 * CLIENTS).await;
        assert!(server.terminate().await.success());
    }
);

both!(a_stop_under_load_answers_and_stores_everything_it_accepted, |engine: Engine| async move {
    const CLIENTS: usize = 6;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let database = engine.database(folder.path()).await;
    let server = Process::serve(&data, &database).await;
    let shop = Remote::new(&server).await;
    let (is_over, clients) = load(&shop, CLIENTS);
    pause(400).await;
    let ended = server.terminate().await;
    is_over.store(true, Ordering::Relaxed);
    assert_eq!(ended.code(), Some(0));
    let ids: BTreeSet<String> = clients.join_all().await.into_iter().flatten().collect();
    assert!(ids.len() > 50, "only {} events were accepted: the test tests nothing", ids.len());
    let left = std::fs::read_dir(data.join("spool")).expect("the spool").flatten();
    let left: Vec<_> =
        left.filter(|file| file.path().extension().is_some_and(|end| end == "spool")).collect();
    assert!(left.is_empty(), "the spool was not drained: {left:?}");

    let server = Process::serve(&data, &database).await;
    // Every request that reached the server was answered: not one more is stored.
    shop.at(&server).has_exactly(&ids, 0).await;
    assert!(server.terminate().await.success());
});

both!(the_same_event_on_two_connections_at_once_is_stored_once, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let mut event = crash("KeyError");
    for round in 0..10 {
        event["event_id"] = json!(format!("{round:032x}"));
        let (one, other) =
            tokio::join!(app.send_event(&shop, &event), app.send_event(&shop, &event));
        assert_eq!(one.ok(), other.ok());
    }
    app.digested().await;
    let again = app.send_event(&shop, &event).await;
    assert_eq!(again.status, StatusCode::OK);
    app.digested().await;
    assert_eq!(app.get("/api/v1/issues/SHOP-1").await.ok()["events"], 10);
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_do_not_share_a_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let database = Engine::Sqlite.database(folder.path()).await;
    let server = Process::serve(&data, &database).await;
    let mut second = crate::support::airlock();
    second.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    let output = second.output().await.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("in use by another process"), "{complaint}");
    assert!(server.terminate().await.success());
}
