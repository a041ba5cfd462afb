//! The server inside the test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use airlock::app::{self, Running};
use airlock::clock::Clock;
use airlock::config::{Config, Role};
use airlock::domain::time::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use super::{Database, Engine, until};

/// The token with every scope.
pub(crate) const TOKEN: &str = "a-bootstrap-token-for-tests";

/// A running server with its folder.
pub(crate) struct TestApp {
    pub(crate) running: Running,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    folder: TempDir,
    client: reqwest::Client,
}

/// A project with its first key.
#[derive(Debug, Clone)]
pub(crate) struct TestProject {
    pub(crate) id: i64,
    pub(crate) slug: String,
    pub(crate) key: String,
    pub(crate) dsn: String,
}

impl TestProject {
    /// The project that an answer of the API describes.
    pub(crate) fn of(made: &Value, slug: &str) -> Self {
        let dsn = made["dsn"].as_str().expect("a DSN").to_owned();
        let key = dsn.split(['/', '@']).nth(2).expect("a key").to_owned();
        let id = made["id"].as_i64().expect("a number");
        Self { id, slug: slug.to_owned(), key, dsn }
    }

    /// The address of the server in its DSN.
    pub(crate) fn server(&self) -> String {
        let host = self.dsn.split(['/', '@']).nth(3).expect("a host");
        format!("http://{host}")
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// Sends a request.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a body") }
    }

    /// The JSON of any answer.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The JSON of a 2xx answer; null where there is no body.
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The status and the problem's code.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        (self.status.as_u16(), self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    /// The body as text.
    pub(crate) fn body(&self) -> &str {
        &self.text
    }

    /// A header, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A client that does not follow redirects.
pub(crate) fn client() -> reqwest::Client {
    // Whoever was first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    // The server hangs up on idle connections; one that is given up earlier is never in doubt.
    let builder = builder.pool_idle_timeout(Duration::from_secs(1));
    builder.no_proxy().build().expect("a client")
}

impl TestApp {
    /// A server on a new store, with a clock that stands still in 2026.
    pub(crate) async fn start(engine: Engine) -> Self {
        Self::start_with(engine, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn start_with(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config {
            data: folder.path().join("data"),
            listen: "127.0.0.1:0".parse().expect("an address"),
            database: Some(engine.database(folder.path()).await),
            public_url: None,
            role: Role::All,
            bootstrap_token: Some(TOKEN.to_owned()),
            spool_most_bytes: 1 << 30,
            spool_least_free_bytes: 0,
            head_timeout: airlock::config::HEAD_TIMEOUT,
            body_timeout: airlock::config::BODY_TIMEOUT,
            secret_key_file: None,
            allow_networks: "127.0.0.0/8,::1".parse().expect("networks"),
            git_protocols: "file,https,ssh".parse().expect("protocols"),
            git_fetch_every: airlock::config::GIT_FETCH_EVERY,
            git_fetch_time: airlock::domain::remote::FETCH_TIME,
            git_most_bytes: airlock::domain::remote::MOST_BYTES,
            tracker_timeout: airlock::config::TRACKER_TIMEOUT,
            n_workers: Some(2),
        };
        change(&mut config);
        let start = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        Self::start_in(folder, config, Clock::stopped(start)).await
    }

    async fn start_in(folder: TempDir, config: Config, clock: Clock) -> Self {
        let running = app::start(config.clone(), clock.clone(), None).await.expect("a server");
        Self { running, clock, config, folder, client: client() }
    }

    /// Stops the server and starts it again in the same folder, perhaps on another port.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// Stops the server and starts it again at the same address, once this is over.
    pub(crate) async fn away(mut self, meanwhile: impl Future<Output = ()>) -> Self {
        self.config.listen = self.running.address;
        self.running.stop().await;
        meanwhile.await;
        Self::start_in(self.folder, self.config, self.clock).await
    }

    /// Stops the server and starts it again in the same folder, with other settings.
    pub(crate) async fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.running.stop().await;
        change(&mut self.config);
        Self::start_in(self.folder, self.config, self.clock).await
    }

    /// Stops the server.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// Stops the server; gives what it had counted for a project: `skipped session` and how often.
    pub(crate) async fn stop_and_count(self, project: &TestProject) -> BTreeMap<String, i64> {
        self.running.stop().await;
        let address = self.config.database.as_deref().expect("an address");
        Database::open(address).await.outcomes(project.id).await
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address)
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.config.data.clone()
    }

    /// A request without a token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request of the API.
    pub(crate) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(TOKEN)
    }

    /// `GET` with the token.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.api(Method::GET, path)).await
    }

    /// `POST` with the token and a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.api(Method::POST, path).json(body)).await
    }

    /// `PATCH` with the token and a JSON body.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.api(Method::PATCH, path).json(body)).await
    }

    /// `PUT` JSON with the token.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.api(Method::PUT, path).json(body)).await
    }

    /// `DELETE` with the token.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.api(Method::DELETE, path)).await
    }

    /// Makes a project.
    pub(crate) async fn create_project(&self, slug: &str) -> TestProject {
        let made = self.post("/api/v1/projects", &serde_json::json!({ "slug": slug })).await.ok();
        TestProject::of(&made, slug)
    }

    /// Sends bytes to a project's endpoint, as a client with its key.
    pub(crate) fn report(&self, project: &TestProject, endpoint: &str) -> RequestBuilder {
        let auth =
            format!("Sentry sentry_version=7, sentry_key={}, sentry_client=test/1", project.key);
        self.request(Method::POST, &format!("/api/{}/{endpoint}/", project.id))
            .header("X-Sentry-Auth", auth)
    }

    /// Sends one event to the store endpoint.
    pub(crate) async fn send_event(&self, project: &TestProject, event: &Value) -> Answer {
        Answer::of(self.report(project, "store").body(event.to_string())).await
    }

    /// Sends a crash named `kind` that happened now; gives its event id.
    pub(crate) async fn crash(&self, project: &TestProject, kind: &str) -> String {
        let event = serde_json::json!({
            "timestamp": self.clock.now().to_string(),
            "platform": "python",
            "exception": {"values": [{"type": kind, "value": "broken", "stacktrace": {"frames": [
                {"module": "shop.cart", "function": "checkout", "in_app": true},
            ]}}]},
        });
        self.send_event(project, &event).await.ok()["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until everything counted so far is in the store; gives the test's own way into it.
    pub(crate) async fn counted(&self) -> Database {
        let address = self.config.database.as_deref().expect("an address");
        let mut database = Database::open(address).await;
        // Counts go to the store once a minute, project by project: the newest is the last.
        let last = self.create_project("the-last-one").await;
        let session = "{}\n{\"type\":\"session\"}\n{}";
        Answer::of(self.report(&last, "envelope").body(session)).await.ok();
        self.clock.advance(Duration::from_mins(2));
        until("the counts to reach the store", async || {
            !database.outcomes(last.id).await.is_empty()
        })
        .await;
        database
    }

    /// Waits until everything accepted is digested.
    pub(crate) async fn digested(&self) {
        until("the spool to be drained", async || {
            let status = self.get("/status.json").await.json();
            status["parts"]["spool"]["backlog"] == 0
        })
        .await;
    }
}
