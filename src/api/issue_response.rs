//! An issue as the API shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, ApiError};
use crate::domain::id::IssueId;
use crate::domain::issue::Issue;
use crate::domain::lifecycle::Status;
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::store::Tx;
use crate::store::event::StoredHash;

/// An issue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IssueResponse {
    id: String,
    project: String,
    title: String,
    culprit: String,
    level: &'static str,
    platform: String,
    /// False as soon as one event was not handled; null when no event says.
    handled: Option<bool>,
    /// `open`, `fix_pending`, `resolved` or `muted`.
    status: &'static str,
    regressed: bool,
    /// Since when its events are dropped.
    #[schema(value_type = Option<String>, format = DateTime)]
    discarded_at: Option<Timestamp>,
    /// When it was resolved.
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Timestamp>,
    /// What ends the mute.
    mute: Option<MuteResponse>,
    /// What a person should look at.
    #[schema(value_type = Vec<Object>)]
    flags: Vec<serde_json::Value>,
    /// Every accepted report counts.
    events: u64,
    suppressed: u64,
    undetermined: u64,
    /// Different users; exact up to 1,024.
    users: u64,
    #[schema(value_type = String, format = DateTime)]
    first_seen: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_seen: Timestamp,
    /// Where it was seen, most frequent first.
    environments: Vec<String>,
    releases: Releases,
    #[schema(value_type = Option<Object>)]
    fix: Option<serde_json::Value>,
    #[schema(value_type = Vec<Object>)]
    locks: Vec<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    task: Option<serde_json::Value>,
    assignee: Option<String>,
    /// What makes its events one issue.
    fingerprint: Option<FingerprintResponse>,
    /// Other fingerprints it took over by merging.
    merged_fingerprints: Vec<FingerprintResponse>,
    url: String,
}

/// The first and the last release that showed it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Releases {
    first: Option<String>,
    last: Option<String>,
}

/// What ends a mute; nothing when it is for ever.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MuteResponse {
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// How many more events.
    events: Option<u64>,
}

/// A fingerprint with its reason.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FingerprintResponse {
    hash: String,
    config: String,
    /// How it was found to be the issue's: `new`, `upgraded`, `edited line`, `truncated stack`,
    /// `merged`.
    how: String,
    /// What was hashed, and why; in lists only the reason.
    #[schema(value_type = Object)]
    why: serde_json::Value,
}

impl IssueResponse {
    /// Loads what belongs to issues.
    pub(super) async fn load(
        api: &Api,
        tx: &mut Tx,
        project: &Project,
        issues: Vec<Issue>,
    ) -> Result<Vec<Self>, ApiError> {
        let ids: Vec<IssueId> = issues.iter().map(|issue| issue.id).collect();
        let mut environments = tx.list_environments_of(project.id, &ids).await?;
        let mut hashes = tx.list_hashes_of(project.id, &ids).await?;
        let response = |issue: Issue| {
            let environments = environments.remove(&issue.id).unwrap_or_default();
            let hashes = hashes.remove(&issue.id).unwrap_or_default();
            Self::new(api, project, issue, environments, hashes)
        };
        Ok(issues.into_iter().map(response).collect())
    }

    /// Loads what belongs to an issue.
    pub(super) async fn load_one(
        api: &Api,
        tx: &mut Tx,
        project: &Project,
        issue: Issue,
    ) -> Result<Self, ApiError> {
        let id = issue.id;
        let mut environments = tx.list_environments_of(project.id, &[id]).await?;
        let environments = environments.remove(&id).unwrap_or_default();
        let hashes = tx.list_hashes(project.id, id).await?;
        Ok(Self::new(api, project, issue, environments, hashes))
    }

    fn new(
        api: &Api,
        project: &Project,
        issue: Issue,
        environments: Vec<String>,
        hashes: Vec<StoredHash>,
    ) -> Self {
        let fingerprint = |hash: StoredHash| FingerprintResponse {
            hash: hash.hash.to_string(),
            config: hash.config,
            how: hash.how,
            why: match hash.explanation {
                Some(explanation) => serde_json::from_str(&explanation).unwrap_or_default(),
                None => serde_json::json!({ "reason": hash.reason }),
            },
        };
        let mut fingerprints = hashes.into_iter().map(fingerprint);
        let (resolved_at, mute) = match &issue.state.status {
            Status::Open => (None, None),
            Status::Resolved { at } => (Some(*at), None),
            Status::Muted { until, until_n_events } => {
                let events = until_n_events.map(|most| most.saturating_sub(issue.n_events));
                (None, Some(MuteResponse { until: *until, events }))
            }
        };
        Self {
            url: api.url(&format!("/api/v1/issues/{}", issue.short_id)),
            id: issue.short_id.to_string(),
            project: project.slug.clone(),
            title: issue.title,
            culprit: issue.culprit,
            level: issue.level.as_str(),
            platform: issue.platform,
            handled: issue.handled,
            status: issue.state.status.as_str(),
            regressed: issue.state.is_regressed,
            discarded_at: issue.discarded_at,
            resolved_at,
            mute,
            flags: Vec::new(),
            events: issue.n_events,
            suppressed: 0,
            undetermined: 0,
            users: issue.n_users,
            first_seen: issue.first_seen,
            last_seen: issue.last_seen,
            environments,
            releases: Releases { first: issue.first_release, last: issue.last_release },
            fix: None,
            locks: Vec::new(),
            task: None,
            assignee: issue.assignee,
            fingerprint: fingerprints.next(),
            merged_fingerprints: fingerprints.collect(),
        }
    }
}
