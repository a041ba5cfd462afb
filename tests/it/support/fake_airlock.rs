//! A server that answers the client's commands about deploys as the contract says, and fails in
//! every way that one wishes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::pause;

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Ends each connection before it answers, and does nothing.
    Drops,
    /// Does what it is asked to, and ends the connection before it answers.
    DropsAnswers,
    /// 500, with a problem.
    Broken,
    /// 503, from something before it.
    Foreign,
    /// Answers late.
    Slow,
    /// Takes requests and never answers.
    Hangs,
}

/// A request that arrived as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) token: String,
    pub(crate) body: String,
}

impl Asked {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// What it knows, and what is to be answered.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mood: Mood,
    /// What the gate says, one after the other; the last for ever.
    pub(crate) verdicts: Vec<&'static str>,
    pub(crate) lease_seconds: u64,
    /// Whether it takes output.
    pub(crate) wants_output: bool,
    /// By id.
    pub(crate) deploys: BTreeMap<String, Value>,
    pub(crate) outputs: BTreeMap<String, Vec<u8>>,
    pub(crate) n_heartbeats: usize,
    pub(crate) asked: Vec<Asked>,
}

/// A server that forgets nothing and is not to be relied on.
pub(crate) struct FakeAirlock {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl FakeAirlock {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Well,
            verdicts: vec!["clear"],
            lease_seconds: 600,
            wants_output: true,
            deploys: BTreeMap::new(),
            outputs: BTreeMap::new(),
            n_heartbeats: 0,
            asked: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// The only deploy.
    pub(crate) fn deploy(&self) -> Value {
        let state = self.state();
        assert_eq!(state.deploys.len(), 1, "{:?}", state.deploys);
        state.deploys.values().next().expect("a deploy").clone()
    }

    /// The output of the only deploy.
    pub(crate) fn output(&self) -> String {
        let state = self.state();
        assert!(state.outputs.len() < 2, "{:?}", state.outputs.keys());
        let output = state.outputs.values().next().cloned().unwrap_or_default();
        String::from_utf8(output).expect("only text is sent")
    }

    /// The requests to such paths.
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let state = self.state();
        let is_it = |asked: &&Asked| asked.method == method && asked.path.contains(path);
        state.asked.iter().filter(is_it).cloned().collect()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    if state.lock().expect("nobody panicked").mood == Mood::Drops {
        return;
    }
    let Some(asked) = read(&mut stream).await else { return };
    let mood = state.lock().expect("nobody panicked").mood;
    match mood {
        Mood::Slow => pause(300).await,
        Mood::Hangs => std::future::pending().await,
        Mood::Well | Mood::Drops | Mood::DropsAnswers | Mood::Broken | Mood::Foreign => {}
    }
    let (status, kind, body) = match mood {
        Mood::Broken => problem(500, "internal", None),
        Mood::Foreign => (503, "text/html", "<h1>Bad gateway</h1>".to_owned()),
        Mood::Well | Mood::Slow | Mood::DropsAnswers | Mood::Drops | Mood::Hangs => {
            let mut state = state.lock().expect("nobody panicked");
            state.asked.push(asked.clone());
            state.answer(&asked)
        }
    };
    if mood == Mood::DropsAnswers {
        return;
    }
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length =
                header("content-length").map_or(0, |length| length.parse().expect("a length"));
            let body = &bytes[end + 4..];
            if body.len() >= length {
                let mut words = head.split(' ');
                return Some(Asked {
                    method: words.next()?.to_owned(),
                    path: words.next()?.to_owned(),
                    token: header("authorization").unwrap_or_default(),
                    body: String::from_utf8(body.to_vec()).expect("text"),
                });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

type Answer = (u16, &'static str, String);

fn problem(status: u16, code: &str, gate: Option<Value>) -> Answer {
    let mut body = json!({
        "type": "about:blank", "title": "No", "status": status, "detail": "no", "code": code,
        "request_id": "r1",
    });
    if let Some(gate) = gate {
        body["gate"] = gate;
    }
    (status, "application/problem+json", body.to_string())
}

fn ok(body: &Value) -> Answer {
    (200, "application/json", body.to_string())
}

impl State {
    fn verdict(&mut self) -> Value {
        let verdict = self.verdicts[0];
        let version = self.verdicts.len().to_string();
        if self.verdicts.len() > 1 {
            self.verdicts.remove(0);
        }
        let kind = if verdict == "unknown" { "commit_unknown" } else { "manual_lock" };
        let blocker = json!({"kind": kind, "reason": "the sale runs", "owner": "zoe"});
        json!({
            "verdict": verdict, "version": version, "project": "shop",
            "environment": "production", "commit": "4f".repeat(20),
            "checked_at": "2026-11-21T12:00:00Z",
            "blockers": if verdict == "clear" { json!([]) } else { json!([blocker]) },
            "cleared": [], "warnings": [], "next_change_at": null,
        })
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
        let place = "projects/shop/environments/production";
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", _) if path == format!("/api/v1/{place}/gate") => ok(&self.verdict()),
            ("POST", _) if path == format!("/api/v1/{place}/deploys") => self.start(&asked.json()),
            ("GET", ["projects", "shop", "deploys"]) => {
                let deploys: Vec<&Value> = self.deploys.values().rev().collect();
                ok(&json!({"items": deploys, "next": null}))
            }
            (_, ["deploys", id, rest @ ..]) if self.deploys.contains_key(*id) => {
                self.of_deploy(id, rest, asked, query)
            }
            (_, ["projects", "echo", ..] | ["locks" | "issues", ..]) => {
                let issue = json!({
                    "id": "SHOP-42", "title": "broken", "level": "error", "status": "open",
                    "events": 1, "users": 0, "first_seen": "2026-11-21T12:00:00Z",
                    "last_seen": "2026-11-21T12:00:00Z", "kind": "manual", "name": "echo",
                    "environment": "beta", "reason": "no", "created_at": "2026-11-21T12:00:00Z",
                    "commits": 3, "fetched_at": "2026-11-21T12:00:00Z",
                });
                ok(&issue)
            }
            _ => problem(404, "not-found", None),
        }
    }

    fn start(&mut self, body: &Value) -> Answer {
        let is_over = body["status"].is_string();
        let same = |deploy: &&mut Value| !body["key"].is_null() && deploy["key"] == body["key"];
        if let Some(known) = self.deploys.values_mut().find(same) {
            if is_over && known["status"] == "running" {
                known["status"] = body["status"].clone();
            }
            return (201, "application/json", known.to_string());
        }
        let id = format!("d{}", self.deploys.len() + 1);
        if !is_over && body["override"].is_null() {
            let verdict = self.verdict();
            match verdict["verdict"].as_str() {
                Some("blocked") => return problem(409, "gate-blocked", Some(verdict)),
                Some("unknown") => return problem(409, "gate-unknown", Some(verdict)),
                _ => {}
            }
        }
        let now = "2026-11-21T12:00:00Z";
        let deploy = json!({
            "id": id, "number": self.deploys.len() + 1, "project": "shop",
            "environment": "production", "commit": body["commit"],
            "status": if is_over { body["status"].clone() } else { json!("running") },
            "by": "ci", "gated": !is_over, "gate": null, "lease_seconds": self.lease_seconds,
            "started_at": body["started_at"].as_str().unwrap_or(now),
            "finished_at": body["finished_at"], "override": body["override"],
            "output_bytes": 0, "key": body["key"],
        });
        self.deploys.insert(id.clone(), deploy.clone());
        self.outputs.insert(id, Vec::new());
        (201, "application/json", deploy.to_string())
    }

    fn of_deploy(&mut self, id: &str, rest: &[&str], asked: &Asked, query: &str) -> Answer {
        let offset = query.split('&').find_map(|pair| pair.strip_prefix("offset="));
        let offset = offset.map_or(0, |offset| offset.parse::<usize>().expect("an offset"));
        let output = self.outputs.get_mut(id).expect("its output");
        let deploy = self.deploys.get_mut(id).expect("a deploy");
        match (asked.method.as_str(), rest) {
            ("GET", []) => ok(deploy),
            ("GET", ["output"]) => {
                // In parts, as what is long.
                let rest = output.get(offset..).unwrap_or_default();
                let text = String::from_utf8_lossy(rest).chars().take(7).collect();
                (200, "text/plain; charset=utf-8", text)
            }
            ("POST", ["output"]) if !self.wants_output => problem(413, "too-large", None),
            ("POST", ["output"]) => {
                if offset > output.len() {
                    return problem(409, "offset", None);
                }
                let sent = asked.body.as_bytes();
                let known = output.len().min(offset + sent.len()) - offset;
                assert_eq!(&output[offset..offset + known], &sent[..known], "sent otherwise");
                output.extend_from_slice(&sent[known..]);
                deploy["output_bytes"] = json!(output.len());
                ok(&json!({"output_bytes": output.len()}))
            }
            ("POST", ["heartbeat"]) => {
                self.n_heartbeats += 1;
                ok(deploy)
            }
            ("POST", ["abandon"]) => {
                deploy["status"] = json!("abandoned");
                ok(deploy)
            }
            ("POST", ["finish"]) => {
                let finish = asked.json();
                for name in ["status", "exit_code", "finished_at"] {
                    deploy[name] = finish[name].clone();
                }
                deploy["resolved"] = json!(["SHOP-42"]);
                deploy["released_locks"] = json!(["l1"]);
                ok(deploy)
            }
            _ => problem(404, "not-found", None),
        }
    }
}
