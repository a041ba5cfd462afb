//! A real Redmine: one for all tests of a run, on a database of its own, with projects for each test.
//!
//! What Airlock asks it goes through [`Redmine::url`], where it fails as one wishes.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

use super::asana::{Asked, Failure, Plan};
use super::{Engine, client, pause};

/// The key of the administrator.
pub(crate) const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// The number of its custom field.
pub(crate) const FIX_FIELD: &str = "1";

/// How long it may take to start, in tenths of a second: its database is made, too.
const START_TENTHS: usize = 3_000;

static SERVER: OnceCell<Server> = OnceCell::const_new();

static ZOE: OnceCell<()> = OnceCell::const_new();

/// The process. It ends with the tests: then nobody has the other end of its standard input.
struct Server {
    url: String,
    child: Mutex<Child>,
    /// Files, and what it says.
    folder: tempfile::TempDir,
}

/// The server as one test sees it.
pub(crate) struct Redmine {
    /// Where Airlock finds it.
    pub(crate) url: String,
    direct: String,
    state: Arc<Mutex<State>>,
    client: reqwest::Client,
}

#[derive(Default)]
struct State {
    plan: Plan,
    log: Vec<Asked>,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = std::env::var("AIRLOCK_TEST_REDMINE");
        let own = own.expect("AIRLOCK_TEST_REDMINE names a Redmine; ./test installs it");
        let rackup = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/clients/redmine/config.ru");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = port.local_addr().expect("its address");
        drop(port);
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let errors = log.try_clone().expect("the same file");
        let lock = std::fs::read_to_string(format!("{own}/Gemfile.lock")).expect("a lock file");
        let child = Command::new("/usr/bin/puma")
            .args(["--environment", "production", "--threads", "1:5", "--workers", "0"])
            .args(["--bind", &format!("tcp://{address}")])
            .arg(rackup)
            .current_dir(&own)
            .env("LC_ALL", "C.UTF-8")
            .env("RAILS_ENV", "production")
            .env("BUNDLER_VERSION", lock.lines().last().unwrap_or_default().trim())
            .env("DATABASE_URL", Engine::Postgres.database(folder.path()).await)
            .env("REDMINE", &own)
            .env("REDMINE_FILES", folder.path())
            .env("REDMINE_KEY", KEY)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .spawn();
        let child = Mutex::new(child.expect("puma can be started; ./test installs it"));
        let server = Self { url: format!("http://{address}"), child, folder };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        let me = format!("{}/users/current.json", self.url);
        for _ in 0..START_TENTHS {
            let asked = client().get(&me).header("X-Redmine-API-Key", KEY).send().await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.lock().expect("nobody panicked").try_wait();
            if !matches!(ended, Ok(None)) {
                break;
            }
            pause(100).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        panic!("Redmine does not start: {}", log.unwrap_or_default());
    }
}

impl Redmine {
    /// The server, which is started if it is not there yet.
    pub(crate) async fn start() -> Self {
        let server = SERVER.get_or_init(Server::start).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (state, client) = (Arc::new(Mutex::new(State::default())), client());
        let (shared, direct, outward) = (Arc::clone(&state), server.url.clone(), client.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, direct.clone(), Arc::clone(&shared), outward.clone()));
            }
        });
        Self { url, direct: server.url.clone(), state, client }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// The next `n` such requests fail; as for Asana.
    pub(crate) fn fail(&self, method: &str, path: &str, n: usize, failure: Failure) {
        self.state().plan.add(method, path, n, failure);
    }

    /// Nothing fails from now on.
    pub(crate) fn heal(&self) {
        self.state().plan.clear();
    }

    /// Such requests that arrived, in their order.
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let state = self.state();
        state.log.iter().filter(|asked| asked.is(method, path)).cloned().collect()
    }

    /// What the administrator does: any request, which no failure touches.
    pub(crate) async fn by_hand(&self, method: &str, path: &str, body: &Value) -> Value {
        self.by("admin", method, path, body).await
    }

    /// What another person does, who is called Zoe Sand.
    pub(crate) async fn by_zoe(&self, method: &str, path: &str, body: &Value) -> Value {
        ZOE.get_or_init(|| async {
            let zoe = json!({"user": {"login": "zoe", "firstname": "Zoe", "lastname": "Sand",
                "mail": "zoe@shop.example", "password": "swordfish!", "admin": true}});
            self.by_hand("POST", "/users.json", &zoe).await;
        })
        .await;
        self.by("zoe", method, path, body).await
    }

    async fn by(&self, who: &str, method: &str, path: &str, body: &Value) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.direct));
        let request = request.header("X-Redmine-API-Key", KEY).header("X-Redmine-Switch-User", who);
        let answer = request.json(body).send().await;
        let answer = answer.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A new project that nobody else has; its identifier.
    pub(crate) async fn project(&self, name: &str) -> String {
        let unique = airlock::clock::Clock::system().id().simple().to_string();
        let identifier = format!("p{unique}");
        let project = json!({"project": {"name": name, "identifier": identifier,
            "is_public": false, "tracker_ids": [1]}});
        self.by_hand("POST", "/projects.json", &project).await;
        // Whoever is to get an issue must be a member.
        let member = json!({"membership": {"user_id": 1, "role_ids": [3]}});
        self.by_hand("POST", &format!("/projects/{identifier}/memberships.json"), &member).await;
        identifier
    }

    /// A new user who is no administrator, with a role in a project; its login and key.
    pub(crate) async fn member(&self, project: &str, role: u64) -> (String, String) {
        let unique = airlock::clock::Clock::system().id().simple().to_string();
        let login: String = unique.chars().skip(20).collect();
        let user = json!({"user": {"login": login, "firstname": "Zoe", "lastname": login,
            "mail": format!("{login}@example.com"), "password": "a-long-password"}});
        let made = self.by_hand("POST", "/users.json", &user).await["user"].clone();
        let member = json!({"membership": {"user_id": made["id"], "role_ids": [role]}});
        self.by_hand("POST", &format!("/projects/{project}/memberships.json"), &member).await;
        (login, made["api_key"].as_str().expect("a key").to_owned())
    }

    /// What a text looks like where this is the text formatting; none where Redmine has no such.
    pub(crate) async fn rendered(&self, format: &str, text: &str) -> Option<String> {
        let request = self.client.post(format!("{}/rendered?{format}", self.direct));
        let answer = request.body(text.to_owned()).send().await.expect("an answer");
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return None;
        }
        let html: Value = answer.json().await.expect("JSON");
        Some(html["html"].as_str().expect("a text").to_owned())
    }

    /// All issues of a project, the oldest first.
    pub(crate) async fn issues(&self, project: &str) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        loop {
            let path = format!(
                "/issues.json?project_id={project}&status_id=*&limit=100&offset={}&sort=id",
                found.len()
            );
            let page = self.by_hand("GET", &path, &Value::Null).await;
            found.extend(page["issues"].as_array().expect("issues").iter().cloned());
            if page["total_count"].as_u64().is_none_or(|total| total <= found.len() as u64) {
                return found;
            }
        }
    }

    /// What Airlock said on an issue, without the lines that name keys and the fences.
    pub(crate) async fn comments(&self, id: &str) -> Vec<String> {
        let path = format!("/issues/{id}.json?include=journals");
        let issue = self.by_hand("GET", &path, &Value::Null).await;
        let journals = issue["issue"]["journals"].as_array().expect("journals").clone();
        let text = |journal: &Value| {
            let notes = journal["notes"].as_str()?.replace('\r', "");
            let (text, mark) = notes.rsplit_once("\n\n")?;
            let is_own = mark.starts_with("Airlock · ");
            is_own.then(|| text.replace("<pre>\n", "").replace("\n</pre>", ""))
        };
        journals.iter().filter_map(text).collect()
    }
}

/// Answers one request as Redmine does, or as is planned.
async fn pass_on(
    mut stream: TcpStream,
    direct: String,
    state: Arc<Mutex<State>>,
    client: reqwest::Client,
) {
    let Some(asked) = Asked::read(&mut stream).await else { return };
    let failure = {
        let mut state = state.lock().expect("nobody panicked");
        state.log.push(asked.clone());
        state.plan.take(&asked)
    };
    let said = match failure {
        Some(Failure::Drop) => return,
        Some(Failure::DropAndDo(seconds)) => {
            tokio::spawn(async move {
                pause(1_000 * seconds).await;
                forward(&direct, &asked, &client).await;
            });
            return;
        }
        Some(Failure::Hang) => std::future::pending().await,
        Some(Failure::Status(status)) => (status, Vec::new()),
        Some(Failure::RateLimited(_)) => (429, Vec::new()),
        Some(
            Failure::DropAnswer | Failure::HangAfter | Failure::StatusAfter(_) | Failure::Late(_),
        )
        | None => forward(&direct, &asked, &client).await,
    };
    let (status, body) = match failure {
        Some(Failure::DropAnswer) => return,
        Some(Failure::HangAfter) => std::future::pending().await,
        Some(Failure::StatusAfter(status)) => (status, Vec::new()),
        Some(Failure::Late(millis)) => {
            pause(millis).await;
            said
        }
        Some(
            Failure::Drop
            | Failure::DropAndDo(_)
            | Failure::Hang
            | Failure::Status(_)
            | Failure::RateLimited(_),
        )
        | None => said,
    };
    let length =
        if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n{length}Connection: close\r\n\r\n"
    );
    // An error means that the client has hung up.
    let _ = stream.write_all(&[head.as_bytes(), body.as_slice()].concat()).await;
    let _ = stream.shutdown().await;
}

async fn forward(direct: &str, asked: &Asked, client: &reqwest::Client) -> (u16, Vec<u8>) {
    let method = reqwest::Method::from_bytes(asked.method.as_bytes()).expect("a method");
    let mut request = client.request(method, format!("{direct}{}", asked.target));
    for name in ["x-redmine-api-key", "content-type"] {
        if let Some(value) = asked.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.body(asked.body.clone()).send().await.expect("Redmine answers");
    let status = answer.status().as_u16();
    (status, answer.bytes().await.expect("a body").to_vec())
}
