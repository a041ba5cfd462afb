//! Releases: announced, given commits, finished.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Call, Refused};
use crate::api::{Api, ApiError};
use crate::domain::commit::Sha;
use crate::domain::project::Project;
use crate::domain::release::checked_version;
use crate::domain::submission::{Submitted, author};
use crate::domain::time::Timestamp;
use crate::release::announced::{self, announce, set_commits, set_refs};
use crate::release::fixes::NamedCommit;
use crate::release::histories::Histories;
use crate::release::releases::bound;
use crate::store::release::Release;

/// So many releases are listed, the latest first.
const MOST_LISTED: i64 = 100;

/// Commits that do not say where they are of are of this repository.
const NAMELESS: &str = "default";

/// What is said of a release.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ReleaseBody {
    version: Option<String>,
    projects: Option<Vec<String>>,
    date_released: Option<Timestamp>,
    refs: Option<Vec<Ref>>,
    commits: Option<Vec<CommitOfSet>>,
}

#[derive(Debug, Deserialize)]
struct Ref {
    repository: String,
    commit: String,
}

#[derive(Debug, Deserialize)]
struct CommitOfSet {
    id: Sha,
    repository: Option<String>,
    #[serde(default)]
    author_name: Option<String>,
    #[serde(default)]
    author_email: Option<String>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
    #[serde(default)]
    message: Option<String>,
}

impl From<Ref> for NamedCommit {
    fn from(named: Ref) -> Self {
        // A range ends with what is released.
        let commit = named.commit.rsplit("..").next().unwrap_or_default().to_owned();
        Self { commit, repository: Some(named.repository) }
    }
}

/// Commits by repository, as they came: the newest first.
fn sets_of(commits: Vec<CommitOfSet>, now: Timestamp) -> BTreeMap<String, Vec<Submitted>> {
    let mut sets: BTreeMap<String, Vec<Submitted>> = BTreeMap::new();
    for commit in commits {
        let named = commit.repository.filter(|name| !name.is_empty());
        let set = sets.entry(named.unwrap_or_else(|| NAMELESS.to_owned())).or_default();
        let text = |text: Option<String>| text.unwrap_or_default();
        set.push(Submitted {
            sha: commit.id,
            parents: Vec::new(),
            author: author(&text(commit.author_name), &text(commit.author_email)),
            at: commit.timestamp.unwrap_or(now),
            message: text(commit.message),
            is_listed: false,
            is_assumed: false,
        });
    }
    sets
}

/// A release as sentry-cli reads it.
fn shown(release: &Release, projects: &[Project]) -> Value {
    let commits = release.bound.as_ref().map(|bound| &bound.build.0);
    let last = commits.and_then(|commits| commits.values().next());
    let bound_at = release.bound.as_ref().map(|bound| bound.at);
    let projects: Vec<Value> = projects
        .iter()
        .map(|project| json!({ "id": project.id.0, "slug": project.slug, "name": project.name }))
        .collect();
    let known_since = release.announced_at.or(bound_at).or(release.first_event);
    json!({
        "version": release.version,
        "shortVersion": release.version,
        "url": null,
        "dateCreated": known_since.unwrap_or_default(),
        "dateReleased": release.released_at,
        "firstEvent": release.first_event,
        "lastEvent": release.last_event,
        "newGroups": 0,
        "commitCount": commits.map_or(0, BTreeMap::len),
        "lastCommit": last.map(|sha| json!({ "id": sha })),
        "status": "open",
        "projects": projects,
    })
}

fn missing(version: &str) -> ApiError {
    ApiError::not_found(format!("release {version:?}"))
}

/// The release with what is known of it by its name.
async fn found(api: &Api, project: &Project, version: &str) -> Result<Release, ApiError> {
    let histories = Histories::load(&api.repositories, project.id).await?;
    let release = bound(&api.repositories, &histories, project.id, version).await?;
    release.ok_or_else(|| missing(version))
}

/// Announces a release of some projects, with what the body says of it.
async fn said(
    call: &Call,
    projects: &[Project],
    version: &str,
    body: ReleaseBody,
) -> Result<Value, ApiError> {
    let repositories = &call.api.repositories;
    let version = checked_version(version).map_err(ApiError::invalid)?;
    let refs: Option<Vec<NamedCommit>> =
        body.refs.map(|refs| refs.into_iter().map(NamedCommit::from).collect());
    if refs.as_ref().is_some_and(Vec::is_empty) {
        let detail = "commits of a release are not taken away; set others";
        return Err(ApiError::invalid(detail));
    }
    let sets = body.commits.map(|commits| sets_of(commits, call.api.clock.now()));
    for project in projects {
        announce(repositories, project.id, version, body.date_released).await?;
        if let Some(refs) = &refs {
            set_refs(repositories, project, version, refs, call.actor()).await?;
        }
        if let Some(sets) = &sets {
            set_commits(repositories, project, version, sets.clone(), call.actor()).await?;
        }
    }
    let first = projects.first().ok_or_else(|| ApiError::not_found("the project"))?;
    Ok(shown(&found(&call.api, first, version).await?, projects))
}

/// `releases new`, and the beginning of `set-commits`.
pub(super) async fn create(call: Call, body: Body<ReleaseBody>) -> Result<HttpResponse, Refused> {
    let mut body = body.0;
    let version = body.version.take().unwrap_or_default();
    let named = body.projects.take().unwrap_or_default();
    let projects = call.projects(&named, Some(&version)).await?;
    Ok(HttpResponse::Created().json(said(&call, &projects, &version, body).await?))
}

/// `set-commits` and `finalize`.
pub(super) async fn update(call: Call, body: Body<ReleaseBody>) -> Result<HttpResponse, Refused> {
    let mut body = body.0;
    let version = &call.place.version;
    let named = body.projects.take().unwrap_or_default();
    let projects = call.projects(&named, Some(version)).await?;
    Ok(HttpResponse::Ok().json(said(&call, &projects, version, body).await?))
}

/// `releases list`.
pub(super) async fn list(call: Call) -> Result<HttpResponse, Refused> {
    let project = call.project(None).await?;
    let mut tx = call.api.store.read().await?;
    let latest = tx.list_latest_releases(project.id, MOST_LISTED).await?;
    let projects = [project];
    let shown: Vec<Value> = latest.iter().map(|release| shown(release, &projects)).collect();
    Ok(HttpResponse::Ok().json(shown))
}

/// `releases info`.
pub(super) async fn show(call: Call) -> Result<HttpResponse, Refused> {
    let version = &call.place.version;
    let project = call.project(Some(version)).await?;
    let release = found(&call.api, &project, version).await?;
    Ok(HttpResponse::Ok().json(shown(&release, &[project])))
}

/// `releases info --show-commits`: one of each repository.
pub(super) async fn commits(call: Call) -> Result<HttpResponse, Refused> {
    let version = &call.place.version;
    let project = call.project(Some(version)).await?;
    let release = found(&call.api, &project, version).await?;
    let build = release.bound.map(|bound| bound.build).unwrap_or_default();
    let commits: Vec<Value> = build.0.values().map(|sha| json!({ "id": sha })).collect();
    Ok(HttpResponse::Ok().json(commits))
}

/// The release before; `{}` when there is none. What is called its last commit is where a set of commits
/// begins: where sets are submitted, one before it, so that the set has a commit that is known.
pub(super) async fn previous(call: Call) -> Result<HttpResponse, Refused> {
    let version = &call.place.version;
    let project = call.project(Some(version)).await?;
    let before = announced::before(&call.api.repositories, project.id, version).await?;
    let Some(release) = before else { return Ok(HttpResponse::Ok().json(json!({}))) };
    let begin = announced::begin_of_set(&call.api.repositories, project.id, &release).await?;
    let mut shown = shown(&release, &[project]);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("lastCommit".to_owned(), json!(begin.map(|sha| json!({ "id": sha }))));
    }
    Ok(HttpResponse::Ok().json(shown))
}

/// `releases delete`: only what nothing names.
pub(super) async fn delete(call: Call) -> Result<HttpResponse, Refused> {
    let version = &call.place.version;
    let projects = call.projects(&[], Some(version)).await?;
    let mut is_gone = false;
    for project in &projects {
        is_gone |= announced::forget(&call.api.repositories, project.id, version).await?;
    }
    if is_gone { Ok(HttpResponse::NoContent().finish()) } else { Err(missing(version).into()) }
}
