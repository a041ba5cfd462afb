//! The server's answers, as far as commands show them. `--json` passes the whole answer on.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::Failure;
use super::text::one_line;
use crate::domain::rate::RateLimit;
use crate::domain::time::Timestamp;

/// Reads an answer; one of another shape is not Airlock's.
pub(super) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|cause| {
        let cause = one_line(&cause.to_string());
        Failure::Unreachable(format!("the answer is not Airlock's, or of another version: {cause}"))
    })
}

/// A list, or some pages of it.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// An issue.
#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) culprit: Option<String>,
    pub(super) level: String,
    pub(super) platform: Option<String>,
    pub(super) handled: Option<bool>,
    pub(super) status: String,
    #[serde(default)]
    pub(super) regressed: bool,
    #[serde(default)]
    pub(super) flags: Vec<Flag>,
    pub(super) events: u64,
    #[serde(default)]
    pub(super) suppressed: u64,
    #[serde(default)]
    pub(super) undetermined: u64,
    pub(super) users: u64,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    #[serde(default)]
    pub(super) environments: Vec<String>,
    pub(super) releases: Option<Releases>,
    pub(super) fix: Option<Fix>,
    pub(super) assignee: Option<String>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) url: Option<String>,
}

/// Something about an issue that a person should look at.
#[derive(Debug, Deserialize)]
pub(super) struct Flag {
    pub(super) kind: String,
    pub(super) detail: Option<String>,
}

/// The releases of an issue's first and last event.
#[derive(Debug, Deserialize)]
pub(super) struct Releases {
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
}

/// The fix of an issue.
#[derive(Debug, Deserialize)]
pub(super) struct Fix {
    pub(super) state: String,
    #[serde(default)]
    pub(super) commits: Vec<Commit>,
    pub(super) problem: Option<String>,
}

/// A commit of a fix.
#[derive(Debug, Deserialize)]
pub(super) struct Commit {
    pub(super) commit: String,
}

/// What makes the events of an issue the same error.
#[derive(Debug, Deserialize)]
pub(super) struct Fingerprint {
    pub(super) hash: String,
    pub(super) config: Option<String>,
    pub(super) why: Option<Why>,
}

/// Why they are.
#[derive(Debug, Deserialize)]
pub(super) struct Why {
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) items: Vec<(String, String)>,
}

/// A tag and its values, most frequent first.
#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    pub(super) tag: String,
    pub(super) values: Vec<TagValue>,
}

/// A value of a tag.
#[derive(Debug, Deserialize)]
pub(super) struct TagValue {
    pub(super) value: String,
    pub(super) events: u64,
}

/// What was decided about an event.
#[derive(Debug, Deserialize)]
pub(super) struct Verdict {
    pub(super) kind: String,
    pub(super) reason: Option<String>,
}

/// A project.
#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) dsn: Option<String>,
    #[serde(default)]
    pub(super) settings: Limits,
    #[serde(default)]
    pub(super) environments: Vec<Environment>,
}

/// How much a project may report; there are other settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) daily_quota: Option<u64>,
    pub(super) monthly_quota: Option<u64>,
    pub(super) security_rate_limit: Option<RateLimit>,
    pub(super) security_daily_quota: Option<u64>,
    pub(super) security_monthly_quota: Option<u64>,
}

/// What became of a project's reports.
#[derive(Debug, Deserialize)]
pub(super) struct Outcomes {
    pub(super) totals: OutcomeCounts,
}

/// How often what happened.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OutcomeCounts {
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) buried: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) skipped: BTreeMap<String, u64>,
    pub(super) discarded: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A stage of a project.
#[derive(Debug, Deserialize)]
pub(super) struct Environment {
    pub(super) name: String,
    #[serde(default)]
    pub(super) complete: bool,
}

/// A DSN key.
#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) dsn: Option<String>,
    pub(super) label: Option<String>,
    pub(super) trusted: bool,
    pub(super) active: bool,
    #[serde(default)]
    pub(super) origins: Vec<String>,
    pub(super) rate_limit: Option<RateLimit>,
}

/// An API token.
#[derive(Debug, Deserialize)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    pub(super) projects: Option<Vec<String>>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
    /// Only in the answer to its creation.
    #[serde(rename = "token")]
    pub(super) secret: Option<String>,
}
