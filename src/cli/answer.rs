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

/// The task of an issue.
#[derive(Debug, Deserialize)]
pub(super) struct Task {
    pub(super) state: String,
    pub(super) url: Option<String>,
    pub(super) error: Option<String>,
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
    /// The environments that it locks.
    #[serde(default)]
    pub(super) locks: Vec<IssueLock>,
    pub(super) task: Option<Task>,
    pub(super) assignee: Option<String>,
    pub(super) fingerprint: Option<Fingerprint>,
    /// Those it took over.
    #[serde(default)]
    pub(super) merged_fingerprints: Vec<Fingerprint>,
    /// Since when its events are dropped.
    pub(super) discarded_at: Option<Timestamp>,
    /// The issue that some of its fingerprints went to.
    pub(super) unmerged_into: Option<String>,
    pub(super) url: Option<String>,
}

/// Something about an issue that a person should look at.
#[derive(Debug, Deserialize)]
pub(super) struct Flag {
    pub(super) kind: String,
    pub(super) detail: Option<String>,
    pub(super) since: Option<Timestamp>,
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
    pub(super) by: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) source: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub(super) deployed: Vec<Deployed>,
    pub(super) problem: Option<String>,
}

/// A commit of a fix.
#[derive(Debug, Deserialize)]
pub(super) struct Commit {
    pub(super) repository: Option<String>,
    pub(super) commit: String,
}

/// An environment that has a fix, and since when.
#[derive(Debug, Deserialize)]
pub(super) struct Deployed {
    pub(super) environment: String,
    pub(super) commit: Option<String>,
    pub(super) at: Option<Timestamp>,
}

/// A lock that an issue has on an environment.
#[derive(Debug, Deserialize)]
pub(super) struct IssueLock {
    pub(super) id: String,
    pub(super) environment: String,
}

/// What makes the events of an issue the same error.
#[derive(Debug, Deserialize)]
pub(super) struct Fingerprint {
    pub(super) hash: String,
    pub(super) config: Option<String>,
    pub(super) how: Option<String>,
    pub(super) why: Option<Why>,
}

/// Why they are.
#[derive(Debug, Deserialize)]
pub(super) struct Why {
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) items: Vec<(String, String)>,
    #[serde(default)]
    pub(super) components: Vec<Component>,
    #[serde(default)]
    pub(super) ignored: Vec<Ignored>,
}

/// An exception or a stack that takes part.
#[derive(Debug, Deserialize)]
pub(super) struct Component {
    pub(super) r#type: Option<String>,
    pub(super) message: Option<WhyMessage>,
    #[serde(default)]
    pub(super) frames: Vec<WhyFrame>,
    #[serde(default)]
    pub(super) n_more_frames: u64,
}

/// Whether a message takes part.
#[derive(Debug, Deserialize)]
pub(super) struct WhyMessage {
    pub(super) skeleton: String,
    pub(super) used: bool,
    pub(super) why: String,
}

/// Whether a frame takes part.
#[derive(Debug, Deserialize)]
pub(super) struct WhyFrame {
    pub(super) loc: String,
    pub(super) r#fn: String,
    pub(super) app: bool,
    pub(super) why_app: String,
    pub(super) used: bool,
    #[serde(default)]
    pub(super) why: String,
    #[serde(default)]
    pub(super) source: String,
}

/// What takes no part.
#[derive(Debug, Deserialize)]
pub(super) struct Ignored {
    pub(super) what: String,
    pub(super) why: String,
}

/// How two issues compare.
#[derive(Debug, Deserialize)]
pub(super) struct Comparison {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) same: bool,
    pub(super) differences: Vec<Difference>,
    pub(super) shared: u64,
}

/// One side of a comparison.
#[derive(Debug, Deserialize)]
pub(super) struct Side {
    pub(super) issue: String,
    pub(super) title: String,
    pub(super) reason: String,
}

/// In which two issues differ.
#[derive(Debug, Deserialize)]
pub(super) struct Difference {
    pub(super) words: String,
}

/// What a project says about grouping.
#[derive(Debug, Deserialize)]
pub(super) struct GroupingRules {
    pub(super) config: String,
    pub(super) previous: Option<PreviousConfig>,
    pub(super) builtin_off: Vec<String>,
    pub(super) fingerprint_rules: String,
    pub(super) frame_rules: String,
}

/// A config that was followed by another.
#[derive(Debug, Deserialize)]
pub(super) struct PreviousConfig {
    pub(super) config: String,
    pub(super) until: Timestamp,
}

/// What other rules would make of the latest events.
#[derive(Debug, Deserialize)]
pub(super) struct TriedGrouping {
    pub(super) events: u64,
    pub(super) issues: u64,
    pub(super) fingerprints: u64,
    pub(super) would_merge: Vec<Vec<String>>,
    pub(super) would_split: Vec<WouldSplit>,
}

/// An issue that would be several.
#[derive(Debug, Deserialize)]
pub(super) struct WouldSplit {
    pub(super) issue: String,
    pub(super) fingerprints_now: u64,
    pub(super) fingerprints_then: u64,
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
