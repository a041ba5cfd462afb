//! What real SDKs sent, recorded on the wire and sent again.
//!
//! A capture is whole: it has every request that its client sent to Airlock, also those from which
//! no event comes (sessions, transactions, spans, feedback, preflights). What a page or a program
//! asked of others is left out, and what needs an API token. Where a body names other vendors'
//! products that say nothing here, these are called `Vendor1` and so on.
//!
//! `tests/fixtures/captures/CAPTURE/NNN.json` is a request without its body: method, target, headers
//! in the order they were sent, framing; `NNN.bin` is the body, still encoded. Each capture gets a
//! project of its own, so its number and key are put into addresses and headers; the bodies are
//! sent as they are, but for the DSN of a tunnel. The snapshot holds what a person would see of each: a row is right when its
//! title and culprit are what that person would say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::support::{Engine, TestApp, TestProject, Wire, WireAnswer, both};

/// What stands before the project's number in addresses.
const PLACES_OF_NUMBER: &[&str] = &["/projects/", "/config/", "/api/"];

/// What stands before the key in headers and addresses.
const PLACES_OF_KEY: &[&str] = &["sentry_key=", "?key=", "Bearer "];

/// One request, as it was recorded.
#[derive(Deserialize)]
struct Request {
    #[serde(skip)]
    number: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    framing: String,
    #[serde(skip)]
    body: Vec<u8>,
}

/// The requests of one program, in the order of their arrival.
pub(crate) struct Capture {
    pub(crate) name: String,
    requests: Vec<Request>,
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder of captures");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

pub(crate) fn captures() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let capture = |folder: &PathBuf| {
        let files = sorted(folder);
        let descriptions =
            files.iter().filter(|path| path.extension().is_some_and(|end| end == "json"));
        let request = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).expect("a description");
            let request: Request = serde_json::from_str(&text).expect("a recorded request");
            let body = std::fs::read(path.with_extension("bin")).expect("a body");
            let number = path.file_stem().expect("a number").to_string_lossy().into_owned();
            Request { number, body, ..request }
        };
        Capture { name: name_of(folder), requests: descriptions.map(request).collect() }
    };
    sorted(&folder).iter().map(capture).collect()
}

impl Request {
    /// The number and the key it was recorded with; empty where it names none.
    fn sender(&self) -> (&str, &str) {
        let number = PLACES_OF_NUMBER.iter().find_map(|before| {
            let (_, behind) = self.target.split_once(before)?;
            let number = behind.split('/').next()?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)
        });
        let headers = self.headers.iter().map(|(_, value)| value.as_str());
        let key = headers.chain([self.target.as_str()]).find_map(|place| {
            let behind = PLACES_OF_KEY.iter().find_map(|before| place.split_once(before));
            behind?.1.split(['&', ',', ' ']).next()
        });
        (number.unwrap_or_default(), key.unwrap_or_default())
    }

    /// What its client takes for success.
    fn expected_status(&self) -> u16 {
        if self.target.contains("/api/v3/") {
            201
        } else if self.target.contains("-stats?") {
            204
        } else {
            200
        }
    }

    /// The body; behind a tunnel only the envelope's header names the project, so it gets another.
    fn own_body(&self, project: &TestProject) -> Vec<u8> {
        if !self.target.starts_with("/tunnel") {
            return self.body.clone();
        }
        let text = std::str::from_utf8(&self.body).expect("an envelope that is not encoded");
        let (header, items) = text.split_once('\n').expect("a header");
        let mut header: Value = serde_json::from_str(header).expect("JSON");
        header["dsn"] = project.dsn.as_str().into();
        format!("{header}\n{items}").into_bytes()
    }

    /// The bytes to send, with another project's number and key.
    fn to_bytes(&self, host: &str, project: &TestProject) -> Vec<u8> {
        let (number, key) = self.sender();
        let own_key = |text: &str| {
            if key.is_empty() { text.to_owned() } else { text.replace(key, &project.key) }
        };
        let target = self.target.replace(&format!("/{number}/"), &format!("/{}/", project.id));
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, own_key(&target)).into_bytes();
        let body = self.own_body(project);
        for (name, value) in &self.headers {
            let value = match name.to_ascii_lowercase().as_str() {
                "host" => host.to_owned(),
                "content-length" => body.len().to_string(),
                _ => own_key(value),
            };
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        match self.framing.as_str() {
            "chunked" => bytes.extend_from_slice(&chunked(&body)),
            "content-length" | "none" => bytes.extend_from_slice(&body),
            other => panic!("a framing {other}"),
        }
        bytes
    }
}

/// The body in chunks of 16 KiB, as Node writes them.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(16 * 1024) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Sends a capture to its project, one request behind the other on as few connections as possible.
pub(crate) async fn replay(
    address: SocketAddr,
    project: &TestProject,
    capture: &Capture,
) -> Vec<WireAnswer> {
    let mut connection = None;
    let mut answers = Vec::new();
    for request in &capture.requests {
        let mut wire = match connection.take() {
            Some(wire) => wire,
            None => Wire::connect(address).await,
        };
        wire.send(request.to_bytes(&address.to_string(), project)).await;
        let answer = wire.answer().await;
        let answer = answer.unwrap_or_else(|| panic!("{} {}", capture.name, request.number));
        connection = (!answer.is_last()).then_some(wire);
        answers.push(answer);
    }
    answers
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

/// What a person sees of an event, in one line.
fn row(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let exceptions = event["exceptions"].as_array().cloned().unwrap_or_default();
    let threads = event["threads"].as_array().cloned().unwrap_or_default();
    let n_frames: usize =
        exceptions.iter().chain(&threads).map(|stack| count(&stack["frames"])).sum::<usize>()
            + count(&event["stacktrace"]);
    let handled = match event["handled"].as_bool() {
        Some(true) => "handled",
        Some(false) => "unhandled",
        None => "handled?",
    };
    format!(
        "{} | {} | {} | {handled} | {} | {} | {n_frames} frames | {} exceptions",
        text("title"),
        text("culprit"),
        text("level"),
        text("release"),
        text("environment"),
        exceptions.len(),
    )
}

/// What was scrubbed of an event: each place once, whatever the number of its frame.
fn scrubbed(event: &Value) -> String {
    let mut places = BTreeMap::<String, usize>::new();
    for place in event["scrubbed"].as_array().into_iter().flatten() {
        let at = place["at"].as_str().unwrap_or_default();
        let at: Vec<&str> =
            at.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
        let rule = place["rule"].as_str().unwrap_or_default();
        *places.entry(format!("{} {rule}", at.join("[]"))).or_default() += 1;
    }
    let places: Vec<String> =
        places.into_iter().map(|(place, n)| format!("{place} ×{n}")).collect();
    places.join(", ")
}

both!(what_sdks_sent_is_what_a_person_sees, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let mut sent = Vec::new();
    for capture in captures() {
        let slug = capture.name.replace('.', "-");
        let project = app.create_project(&slug).await;
        let answers = replay(app.running.address, &project, &capture).await;
        sent.push((capture, project, answers));
    }
    app.digested().await;
    let mut database = app.counted().await;

    let mut table = String::new();
    let (mut n_requests, mut n_events) = (0, 0);
    for (capture, project, answers) in &sent {
        writeln!(table, "{}", capture.name).expect("a text");
        let mut n_stored = 0;
        for (request, answer) in capture.requests.iter().zip(answers) {
            n_requests += 1;
            let seen = format!("{} {}: {answer:?}", capture.name, request.number);
            assert_eq!(answer.status, request.expected_status(), "{seen}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{seen}");
            let id = (matches!(answer.status, 200 | 201) && request.method == "POST")
                .then(|| answer.json()["id"].as_str().map(str::to_owned))
                .flatten();
            let mut seen = "no event".to_owned();
            let mut secrets = String::new();
            if let Some(id) = id {
                let slug = &project.slug;
                let event = app.get(&format!("/api/v1/projects/{slug}/events/{id}")).await;
                if event.status == 200 {
                    seen = row(&event.json());
                    secrets = scrubbed(&event.json());
                    n_stored += 1;
                }
            }
            let (number, method, status) = (&request.number, &request.method, answer.status);
            writeln!(table, "  {number} {method} {status} {seen}").expect("a text");
            if !secrets.is_empty() {
                writeln!(table, "      scrubbed: {secrets}").expect("a text");
            }
        }
        let outcomes = database.outcomes(project.id).await;
        for (name, n) in &outcomes {
            writeln!(table, "  {name}: {n}").expect("a text");
        }
        // Nothing was stored that no answer named, and nothing was sent twice or buried.
        assert_eq!(outcomes.get("accepted").copied().unwrap_or(0), n_stored, "{}", capture.name);
        n_events += n_stored;
    }
    assert_eq!((sent.len(), n_requests), (48, 182));
    assert!(n_events >= 40, "{n_events} events");
    assert_eq!(app.get("/status.json").await.ok()["buried"], 0);
    assert_corpus(&table);
    app.stop().await;
});

/// One snapshot for both stores.
fn assert_corpus(table: &str) {
    insta::assert_snapshot!("what_a_person_sees", table);
}
