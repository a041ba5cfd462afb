//! A request as it came, and what it means.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// A request that arrived as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Below `/api/1.0`, as it was sent, with the query.
    pub(crate) target: String,
    /// Decoded.
    pub(crate) segments: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// How it was answered; none where the connection was ended or is held.
    pub(crate) status: Option<u16>,
}

impl Asked {
    /// A request out of its parts.
    pub(super) fn new(method: &str, target: &str, body: Vec<u8>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix("/api/1.0").unwrap_or(path);
        let parts = path.split('/').filter(|part| !part.is_empty());
        Self {
            method: method.to_owned(),
            target: target.strip_prefix("/api/1.0").unwrap_or(target).to_owned(),
            segments: parts.map(|part| decode(part, false)).collect(),
            query: pairs(query),
            headers: BTreeMap::new(),
            body,
            status: None,
        }
    }

    /// Reads one; none when the other side hangs up before its end.
    pub(in crate::support) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let mut lines = head.split("\r\n");
                let first = lines.next()?.to_owned();
                let headers: BTreeMap<String, String> = lines
                    .filter_map(|line| line.split_once(':'))
                    .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                    .collect();
                let length = headers.get("content-length");
                let length = length.map_or(0, |length| length.parse().expect("a length"));
                if bytes.len() >= end + 4 + length {
                    let mut words = first.split(' ');
                    let (method, target) = (words.next()?, words.next()?);
                    let body = bytes[end + 4..end + 4 + length].to_vec();
                    return Some(Self { headers, ..Self::new(method, target, body) });
                }
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// The path, undecoded.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it is such a request: `GET`, or `*` for any; `/tasks/*/stories`, or `*` for any.
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        if method != "*" && method != self.method {
            return false;
        }
        let wanted: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let fits = |(wanted, own): (&&str, &String)| *wanted == "*" || *wanted == own;
        path == "*"
            || (wanted.len() == self.segments.len() && wanted.iter().zip(&self.segments).all(fits))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(super) fn token(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").unwrap_or_default()
    }

    /// The fields of the body: of JSON `{"data": {…}}`, or of a form. None where it is neither.
    pub(super) fn data(&self) -> Option<Map<String, Value>> {
        if self.header("content-type").starts_with("application/x-www-form-urlencoded") {
            let fields = pairs(&String::from_utf8_lossy(&self.body)).into_iter();
            let fields = fields.filter(|(name, _)| !name.starts_with("opt_"));
            return Some(fields.map(|(name, value)| (name, json!(value))).collect());
        }
        if self.body.is_empty() {
            return Some(Map::new());
        }
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        match body.get("data") {
            Some(Value::Object(data)) => Some(data.clone()),
            Some(_) => None,
            None => body.is_object().then(Map::new),
        }
    }

    /// The fields that are asked for, in the query, the body's options or the form.
    pub(super) fn opt_fields(&self) -> Option<String> {
        if let Some(fields) = self.query.get("opt_fields") {
            return Some(fields.clone());
        }
        if self.header("content-type").starts_with("application/x-www-form-urlencoded") {
            return pairs(&String::from_utf8_lossy(&self.body)).remove("opt_fields");
        }
        let body = self.json();
        let fields = body["options"]["fields"].as_array()?;
        let fields: Vec<&str> = fields.iter().filter_map(Value::as_str).collect();
        Some(fields.join(","))
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name, true), decode(value, true))
    };
    pairs.map(pair).collect()
}

/// Takes `%3A` and the like apart, in forms and queries also `+`.
fn decode(text: &str, is_form: bool) -> String {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], byte) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) if is_form => decoded.push(b' '),
            (other, _) => decoded.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
