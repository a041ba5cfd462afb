//! An issue as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::locks::of_issue;
use super::releases::{CommitOfBuild, names};
use super::tasks::TaskReference;
use super::{Api, ApiError};
use crate::domain::commit::Sha;
use crate::domain::effect::Subject;
use crate::domain::fix::{FixCommit, Problem};
use crate::domain::flag::{Facts, Flag, flags};
use crate::domain::id::{IssueId, ProjectItemId};
use crate::domain::issue::Issue;
use crate::domain::lifecycle::Status;
use crate::domain::project::Project;
use crate::domain::repository::RepositoryId;
use crate::domain::time::Timestamp;
use crate::release::branches::{Doubt, doubt};
use crate::store::Tx;
use crate::store::event::StoredHash;
use crate::store::fix::{Current, Landed};

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
    flags: Vec<Flag>,
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
    fix: Option<FixResponse>,
    #[schema(value_type = Vec<Object>)]
    locks: Vec<serde_json::Value>,
    /// The task that stands for it, once it is serious.
    task: Option<TaskReference>,
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

/// The commits that fix an issue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FixResponse {
    /// `standing`, `reverted` or `failed`.
    state: &'static str,
    commits: Vec<CommitOfBuild>,
    by: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `api`, `cli`, `page`, `trailer`, `tracker` or `merge`.
    source: &'static str,
    /// Where it is deployed; in lists empty.
    deployed: Vec<LandedResponse>,
    /// `unknown-commit`, `seen-in-release` or `conflicted`.
    problem: Option<&'static str>,
}

/// That a fix is deployed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LandedResponse {
    environment: String,
    deploy: String,
    #[schema(value_type = String)]
    commit: Sha,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl FixResponse {
    fn new(
        project: &Project,
        current: &Current,
        landed: Vec<Landed>,
        names: &BTreeMap<RepositoryId, String>,
    ) -> Self {
        let fix = &current.fix;
        let commit = |one: &FixCommit| CommitOfBuild {
            repository: one.repository.and_then(|id| names.get(&id).cloned()),
            commit: one.sha,
        };
        let landed = landed.into_iter().map(|one| LandedResponse {
            environment: one.environment,
            deploy: ProjectItemId { project: project.id, id: one.deploy }.to_string(),
            commit: one.sha,
            at: one.at,
        });
        Self {
            state: current.state.as_str(),
            commits: fix.commits.iter().map(commit).collect(),
            by: fix.by.clone(),
            at: fix.at,
            source: fix.source.as_str(),
            deployed: landed.collect(),
            problem: fix.problem.map(Problem::as_str),
        }
    }
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
        let subjects: Vec<Subject> = ids.iter().map(|id| Subject::Issue(*id)).collect();
        let mut tasks = tx.list_tasks_of(project.id, &subjects).await?;
        let fixes = tx.list_fixes_of(project.id, &ids).await?;
        let names = if fixes.is_empty() { BTreeMap::new() } else { names(tx, project).await? };
        let response = |issue: Issue| {
            let environments = environments.remove(&issue.id).unwrap_or_default();
            let hashes = hashes.remove(&issue.id).unwrap_or_default();
            let fix = fixes.get(&issue.id);
            let fix = fix.map(|fix| FixResponse::new(project, fix, Vec::new(), &names));
            let task = tasks.remove(&Subject::Issue(issue.id)).map(TaskReference::from);
            Self { fix, task, ..Self::new(api, project, issue, environments, hashes) }
        };
        Ok(issues.into_iter().map(response).collect())
    }

    /// Loads what belongs to an issue. The transaction ends before the history is asked.
    pub(super) async fn load_one(
        api: &Api,
        mut tx: Tx,
        project: &Project,
        issue: Issue,
    ) -> Result<Self, ApiError> {
        let id = issue.id;
        let mut environments = tx.list_environments_of(project.id, &[id]).await?;
        let environments = environments.remove(&id).unwrap_or_default();
        let hashes = tx.list_hashes(project.id, id).await?;
        let locks = of_issue(&mut tx, project, id).await?;
        let task = tx.find_task(project.id, Subject::Issue(id)).await?.map(TaskReference::from);
        let current = tx.list_fixes_of(project.id, &[id]).await?.remove(&id);
        let landed = match &current {
            Some(current) => tx.list_landings(project.id, current.fix.id).await?,
            None => Vec::new(),
        };
        let unsettled = if issue.n_undetermined > 0 {
            tx.list_unsettled_of(project.id, id).await?
        } else {
            Vec::new()
        };
        let names =
            if current.is_some() { names(&mut tx, project).await? } else { BTreeMap::new() };
        drop(tx);
        let is_deployed = !landed.is_empty();
        let doubt = match &current {
            Some(current) => doubt(&api.repositories, project, current, is_deployed).await?,
            None => Doubt::default(),
        };
        let facts = Facts {
            fix: current.as_ref().map(|current| (&current.fix, current.state)),
            is_deployed,
            unsettled: &unsettled,
            reverted_on: doubt.reverted_on.as_ref().map(|(branch, by)| (&**branch, &**by)),
            has_vanished: doubt.has_vanished,
        };
        let flags = flags(&issue, &facts, api.clock.now());
        let fix = current.map(|current| FixResponse::new(project, &current, landed, &names));
        Ok(Self { flags, fix, locks, task, ..Self::new(api, project, issue, environments, hashes) })
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
            Status::Open | Status::FixPending { .. } => (None, None),
            Status::Resolved { at, .. } => (Some(*at), None),
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
            suppressed: issue.n_suppressed,
            undetermined: issue.n_undetermined,
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
