//! Releases: what SDKs call the builds that report.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Bearer;
use super::extract::{Json, Query};
use super::page::{Page, PageQuery, page};
use super::{Api, ApiError};
use crate::domain::build::Build;
use crate::domain::commit::Sha;
use crate::domain::project::Project;
use crate::domain::release::checked_version;
use crate::domain::repository::RepositoryId;
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::release::fixes::{NamedCommit, locate};
use crate::release::histories::Histories;
use crate::release::releases::{bound, register};
use crate::store::Tx;
use crate::store::release::{Bound, Release};

/// What a release is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterRelease {
    /// What its events call it.
    version: String,
    /// 7 to 40 hexadecimal digits.
    commit: String,
    /// The repository's name, where the commit alone does not tell.
    repository: Option<String>,
}

/// A release.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReleaseResponse {
    version: String,
    commits: Vec<CommitOfBuild>,
    /// Why these are its commits: `registered`, `field`, `sha`, `short_sha` or `tag`; null while
    /// nobody knows them.
    rule: Option<&'static str>,
    /// Who registered it.
    registered_by: Option<String>,
    /// Whether its tag means another commit by now: register it.
    ambiguous: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    first_event: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_event: Option<Timestamp>,
    /// What it was before, the latest first.
    history: Vec<FormerRelease>,
}

/// A commit of what is deployed or released.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CommitOfBuild {
    pub(super) repository: Option<String>,
    #[schema(value_type = String)]
    pub(super) commit: Sha,
}

/// What a release was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FormerRelease {
    commits: Vec<CommitOfBuild>,
    rule: &'static str,
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// The names of a project's repositories.
pub(super) async fn names(
    tx: &mut Tx,
    project: &Project,
) -> Result<BTreeMap<RepositoryId, String>, ApiError> {
    let all = tx.list_repositories(project.id).await?;
    Ok(all.into_iter().map(|one| (one.id, one.name)).collect())
}

/// The commits of a build, by the names of their repositories.
pub(super) fn commits_of(
    build: &Build,
    names: &BTreeMap<RepositoryId, String>,
) -> Vec<CommitOfBuild> {
    let commit = |(repository, commit): (&RepositoryId, &Sha)| CommitOfBuild {
        repository: names.get(repository).cloned(),
        commit: *commit,
    };
    build.0.iter().map(commit).collect()
}

impl ReleaseResponse {
    fn new(release: Release, history: Vec<Bound>, names: &BTreeMap<RepositoryId, String>) -> Self {
        let former = |was: Bound| FormerRelease {
            commits: commits_of(&was.build, names),
            rule: was.rule.as_str(),
            until: was.at,
        };
        let bound = release.bound;
        Self {
            version: release.version,
            commits: bound.as_ref().map(|it| commits_of(&it.build, names)).unwrap_or_default(),
            rule: bound.as_ref().map(|it| it.rule.as_str()),
            registered_by: bound.and_then(|it| it.by),
            ambiguous: release.is_ambiguous,
            first_event: release.first_event,
            last_event: release.last_event,
            history: history.into_iter().map(former).collect(),
        }
    }
}

/// The releases of a project, by name.
#[utoipa::path(tag = "releases", params(PageQuery),
    responses((status = 200, body = Page<ReleaseResponse>), (status = 404)))]
#[get("/api/v1/projects/{slug}/releases")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let limit = query.0.limit()?;
    let after = query.0.cursor.clone().unwrap_or_default();
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let names = names(&mut tx, &project).await?;
    let releases = tx.list_releases(project.id, &after, limit + 1).await?;
    let cursor = |release: &Release| release.version.clone();
    let response = |release| ReleaseResponse::new(release, Vec::new(), &names);
    Ok(HttpResponse::Ok().json(page(releases, limit, cursor, response)))
}

/// Says what a release is. Its events are settled anew.
#[utoipa::path(tag = "releases", request_body = RegisterRelease,
    responses((status = 201, body = ReleaseResponse), (status = 200, body = ReleaseResponse),
        (status = 404), (status = 422)))]
#[post("/api/v1/projects/{slug}/releases")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<RegisterRelease>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let RegisterRelease { version, commit, repository } = body.0;
    let version = checked_version(&version).map_err(ApiError::invalid)?;
    let project = {
        let mut tx = api.store.read().await?;
        bearer.project(&mut tx, &slug).await?
    };
    let mut histories = Histories::load(&api.repositories, project.id).await?;
    let named = NamedCommit { commit, repository };
    let (repository, sha) = locate(&api.repositories, &mut histories, &project, &named).await?;
    let Some(repository) = repository else {
        let detail = "nobody can tell which repository the commit is of: name it";
        return Err(ApiError::invalid(detail));
    };
    let build = Build::default().with(repository, sha);
    let is_replaced =
        register(&api.repositories, project.id, version, &build, bearer.actor()).await?;
    let response = found(&api, &project, &histories, version).await?;
    let mut answer = if is_replaced { HttpResponse::Ok() } else { HttpResponse::Created() };
    Ok(answer.json(response))
}

/// What is known of a release.
#[utoipa::path(tag = "releases",
    responses((status = 200, body = ReleaseResponse), (status = 404)))]
#[get("/api/v1/projects/{slug}/releases/{version:.*}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let (slug, version) = path.into_inner();
    if version.contains('\0') {
        return Err(ApiError::not_found(format!("release {version:?}")));
    }
    let project = {
        let mut tx = api.store.read().await?;
        bearer.project(&mut tx, &slug).await?
    };
    if version.contains('\0') {
        return Err(ApiError::not_found(format!("release {version:?}")));
    }
    let histories = Histories::load(&api.repositories, project.id).await?;
    Ok(HttpResponse::Ok().json(found(&api, &project, &histories, &version).await?))
}

async fn found(
    api: &Api,
    project: &Project,
    histories: &Histories,
    version: &str,
) -> Result<ReleaseResponse, ApiError> {
    let release = bound(&api.repositories, histories, project.id, version).await?;
    let release = release.ok_or_else(|| ApiError::not_found(format!("release {version:?}")))?;
    let mut tx = api.store.read().await?;
    let names = names(&mut tx, project).await?;
    let history = tx.list_release_history(project.id, version).await?;
    Ok(ReleaseResponse::new(release, history, &names))
}
