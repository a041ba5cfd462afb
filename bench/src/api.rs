//! Asking a server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::wire::Wire;

/// The token of the servers that are started here.
pub(crate) const TOKEN: &str = "a-token-for-the-benchmark";

/// Nobody is waited for longer.
const PATIENCE: Duration = Duration::from_mins(10);

/// Asks once; gives the status and the answer.
pub(crate) fn ask_once(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<(u16, Value), Failure> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\n"
    );
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut wire = Wire::connect(address)?;
    let (status, answer) = wire.send(&head, body.as_bytes())?;
    let as_text = || String::from_utf8_lossy(answer).into_owned().into();
    Ok((status, serde_json::from_slice(answer).unwrap_or_else(|_| as_text())))
}

/// Asks until the store is open.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, Failure> {
    let began = Instant::now();
    loop {
        match ask_once(address, method, path, body)? {
            (200..300, answer) => return Ok(answer),
            (503, _) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            (status, answer) => return Err(format!("{method} {path}: {status} {answer}").into()),
        }
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Value, Failure> {
    ask(address, "GET", path, &Value::Null)
}

/// All items of a list, page by page.
pub(crate) fn list(address: SocketAddr, path: &str) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut page = get(address, &format!("{path}?limit=100{cursor}"))?;
        let Value::Array(found) = page["items"].take() else {
            return Err(format!("{path} is no list").into());
        };
        items.extend(found);
        let Some(next) = page["next"].as_str() else { return Ok(items) };
        cursor = format!("&cursor={next}");
    }
}

/// Makes a project; gives the path that its reports go to.
pub(crate) fn make_project(address: SocketAddr, slug: &str) -> Result<String, Failure> {
    let made = ask(address, "POST", "/api/v1/projects", &json!({ "slug": slug }))?;
    let dsn = made["dsn"].as_str().ok_or("a project without a DSN")?;
    let key = dsn.split(['/', '@']).nth(2).unwrap_or_default();
    Ok(format!("/api/{}/envelope/?sentry_key={key}", made["id"]))
}

/// Waits until everything that was accepted is stored.
pub(crate) fn drain(address: SocketAddr) -> Result<(), Failure> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let status = get(address, "/status.json")?;
        if status["parts"]["spool"]["backlog"] == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err("the spool is not drained".into())
}
