//! One crash report in Airlock's own shape, whatever SDK sent it.
//!
//! `protocol` makes it, the fingerprint and the title read it, the store keeps it as JSON and the
//! API shows it under the same names. Lists keep the order of the protocols: frames and exceptions
//! run from oldest to newest, so the crash is last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id::EventId;
use super::scrub::{MARK, Scrubbed};
use super::time::Timestamp;

/// How bad it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For developers.
    Debug,
    /// Worth knowing.
    Info,
    /// Suspicious, but it went on.
    Warning,
    /// Something did not work; also what a report without a level means.
    #[default]
    Error,
    /// The program ended.
    Fatal,
}

impl Level {
    /// The level's name in the API, in the store and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// Reads the names SDKs use, also those of other logging systems.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "debug" | "trace" | "verbose" => Some(Self::Debug),
            "info" | "information" | "log" | "notice" | "sample" => Some(Self::Info),
            "warning" | "warn" => Some(Self::Warning),
            "error" | "err" => Some(Self::Error),
            "fatal" | "critical" | "crit" | "alert" | "emergency" | "panic" => Some(Self::Fatal),
            _ => None,
        }
    }
}

/// One crash report, normalised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The client's id of the event; unique within a project.
    pub event_id: EventId,
    /// When it happened, by our clock.
    pub timestamp: Timestamp,
    /// How bad it is.
    pub level: Level,
    /// The runtime family the SDK names: `python`, `javascript`, `native`, …; `other` without one.
    pub platform: String,
    /// False as soon as one exception says it was not handled; `None` when nobody says anything.
    pub handled: Option<bool>,
    /// The environment as reported; `production` when none was.
    pub environment: String,
    /// The release as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The build of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dist: Option<String>,
    /// The name of the logger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// The route, task or page that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// The host it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// What was logged, when the report is not (only) an exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// The chain of exceptions, oldest cause first: the last is the one that was raised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// The threads at the time, where the SDK sends them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<Thread>,
    /// A stack that belongs to no exception and no thread: where a message was logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stacktrace: Vec<Frame>,
    /// The HTTP request that was being served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// Whom it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Key and value; keys are unique.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What led up to it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breadcrumbs: Vec<Breadcrumb>,
    /// Named groups of facts: `os`, `runtime`, `device`, or the application's own.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub contexts: serde_json::Map<String, Value>,
    /// What the application attached.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, Value>,
    /// Installed packages and their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, String>,
    /// The SDK that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<Sdk>,
    /// The fingerprint the application asked for; empty when it asked for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprint: Vec<String>,
    /// What old clients send to have events grouped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The violated content security policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csp: Option<Csp>,
    /// The template that could not be rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// What normalising changed or left out, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was taken out because it is secret: where, and by which rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scrubbed: Vec<Scrubbed>,
}

/// A log message.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Message {
    /// The text with its parameters filled in.
    pub formatted: String,
    /// The text with placeholders, where the SDK sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What fills the placeholders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Value>,
}

/// A violated content security policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Csp {
    /// The directive that blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_directive: Option<String>,
    /// The directive as it is written in the policy, with its sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violated_directive: Option<String>,
    /// What was blocked: an address without its query, or `inline`, `eval`, `self`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_uri: Option<String>,
}

/// A line of a template.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Template {
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The file's whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abs_path: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineno: Option<u32>,
    /// The line itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_line: Option<String>,
}

/// One exception of the chain.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Exception {
    /// Its class; `None` for what is no class (a signal, a synthetic error).
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The module the class is defined in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The thread it was raised on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// How it was caught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// The stack, outermost call first; the line that raised is last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
}

impl Exception {
    /// Whether the type is the SDK's invention and names nothing.
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.mechanism.as_ref().is_some_and(|mechanism| mechanism.synthetic)
    }
}

/// How an exception came to be reported.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mechanism {
    /// The integration that caught it: `excepthook`, `onunhandledrejection`, `panic`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the application handled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled: Option<bool>,
    /// The type was made up by the SDK.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// Where in its parent it was found: `cause`, `exceptions[0]`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The number of this exception in the tree of exceptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<i64>,
    /// The number of its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<i64>,
    /// Whether it only groups others (Python's `ExceptionGroup`, JavaScript's `AggregateError`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_exception_group: bool,
    /// Facts of the mechanism.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub data: serde_json::Map<String, Value>,
    /// What the operating system says: `signal`, `errno`, `ns_error`, `mach_exception`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub meta: serde_json::Map<String, Value>,
}

impl Mechanism {
    /// Domain and code of an `NSError`.
    #[must_use]
    pub fn ns_error(&self) -> Option<(&str, i64)> {
        let error = self.meta.get("ns_error")?;
        Some((error.get("domain")?.as_str()?, error.get("code")?.as_i64()?))
    }
}

/// One call on a stack.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Frame {
    /// The function's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The module or namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The file, relative to the application where the SDK knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The file's whole path or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abs_path: Option<String>,
    /// The binary or library it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineno: Option<u32>,
    /// The column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colno: Option<u32>,
    /// Whether the frame is the application's own code, as the SDK says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_app: Option<bool>,
    /// The runtime of this frame, where it differs from the event's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The source lines before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_context: Vec<String>,
    /// The source line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_line: Option<String>,
    /// The source lines after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_context: Vec<String>,
    /// Local variables.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub vars: serde_json::Map<String, Value>,
    /// The address of the instruction, in native code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_addr: Option<String>,
    /// Where its binary begins in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_addr: Option<String>,
    /// Whether a source map led from the minified program to this place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_mapped: bool,
}

/// One thread at the time of the crash.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Thread {
    /// The runtime's number or name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it crashed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crashed: bool,
    /// Whether it was the one running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub current: bool,
    /// Its stack, outermost call first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
}

/// The HTTP request that was being served.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Request {
    /// The address, without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_string: Option<String>,
    /// The headers, in the order sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The cookies as the SDK sends them: text or a map.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub cookies: Value,
    /// The body, parsed or not.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// The server's variables for the request.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub env: serde_json::Map<String, Value>,
}

/// Whom it happened to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct User {
    /// The application's id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name to sign in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The address the user came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// The name people call the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Everything else the application says of the user.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub data: serde_json::Map<String, Value>,
}

impl User {
    /// What tells one user from another: the id, else the name, the mail address, the IP address.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        let named = |kind: &str, value: &Option<String>| {
            value
                .as_deref()
                .filter(|value| !value.is_empty() && *value != MARK)
                .map(|value| format!("{kind}:{value}"))
        };
        named("id", &self.id)
            .or_else(|| named("username", &self.username))
            .or_else(|| named("email", &self.email))
            .or_else(|| named("ip", &self.ip_address))
    }
}

/// Something that happened before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Breadcrumb {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// The kind: `default`, `http`, `navigation`, …
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The part of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Facts.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub data: serde_json::Map<String, Value>,
}

/// The SDK that sent the report.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sdk {
    /// `sentry.python`, …
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Event {
    /// An event of which nothing else is known, in production.
    #[must_use]
    pub fn new(event_id: EventId, timestamp: Timestamp, level: Level, platform: String) -> Self {
        Self {
            event_id,
            timestamp,
            level,
            platform,
            handled: None,
            environment: "production".to_owned(),
            release: None,
            dist: None,
            logger: None,
            transaction: None,
            server_name: None,
            message: None,
            exceptions: Vec::new(),
            threads: Vec::new(),
            stacktrace: Vec::new(),
            request: None,
            user: None,
            tags: BTreeMap::new(),
            breadcrumbs: Vec::new(),
            contexts: serde_json::Map::new(),
            extra: serde_json::Map::new(),
            modules: BTreeMap::new(),
            sdk: None,
            fingerprint: Vec::new(),
            checksum: None,
            csp: None,
            template: None,
            notes: Vec::new(),
            scrubbed: Vec::new(),
        }
    }

    /// The exception that was raised: the last of the chain.
    #[must_use]
    pub fn raised(&self) -> Option<&Exception> {
        self.exceptions.last()
    }

    /// The stack people look at first: that of the raised exception, else of the nearest cause
    /// with one, else of the crashed, the current or the only thread, else the event's own.
    #[must_use]
    pub fn main_stack(&self) -> &[Frame] {
        let of_exceptions = self
            .exceptions
            .iter()
            .rev()
            .map(|exception| &exception.frames)
            .find(|frames| !frames.is_empty());
        if let Some(frames) = of_exceptions {
            return frames;
        }
        let with_frames = || self.threads.iter().filter(|thread| !thread.frames.is_empty());
        let thread = with_frames()
            .find(|thread| thread.crashed)
            .or_else(|| with_frames().find(|thread| thread.current))
            .or_else(|| with_frames().next().filter(|_| self.threads.len() == 1));
        thread.map_or(&self.stacktrace, |thread| &thread.frames)
    }

    /// What the report says was logged, filled in.
    #[must_use]
    pub fn message_text(&self) -> Option<&str> {
        self.message
            .as_ref()
            .map(|message| message.formatted.as_str())
            .filter(|text| !text.trim().is_empty())
    }
}
