//! Repositories of a project.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Bearer;
use super::extract::{Json, Query};
use super::keys::project_of;
use super::page::{Page, PageQuery};
use super::{Api, ApiError};
use crate::domain::commit::Sha;
use crate::domain::id::ProjectItemId;
use crate::domain::repository::{Branches, MOST_BRANCH_BYTES, Repository};
use crate::domain::submission::{Submitted, author};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::release::repositories::Wish;

/// A repository that is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRepository {
    /// Its name within the project.
    name: String,
    /// Where it is fetched from: `https://…`, `ssh://…` or `user@host:path`. Without one its commits
    /// are submitted.
    url: Option<String>,
    /// Names of branches that count, the most important first; `*` stands for any text. `main` and
    /// `master` by default.
    #[schema(value_type = Option<Vec<String>>)]
    branches: Option<Branches>,
    /// What it is fetched with: for https a token or `name:password`, for ssh a private key. It is
    /// never shown again.
    credential: Option<String>,
}

/// What is to change; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateRepository {
    name: Option<String>,
    /// A new address forgets the credential of the old one; an empty one takes it away.
    url: Option<String>,
    #[schema(value_type = Option<Vec<String>>)]
    branches: Option<Branches>,
    /// An empty one takes it away.
    credential: Option<String>,
}

/// A repository.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RepositoryResponse {
    name: String,
    url: Option<String>,
    #[schema(value_type = Vec<String>)]
    branches: Branches,
    /// Whether there is one.
    has_credential: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// What the last fetch that went well found.
    fetched: Option<FetchedResponse>,
    /// Why the last fetch did not go well, if it did not.
    failure: Option<FailureResponse>,
    /// How many commits were submitted to it.
    submitted: u64,
}

/// A commit that is submitted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitCommit {
    /// 40 hexadecimal digits.
    #[schema(value_type = String)]
    sha: Sha,
    /// The line it was made on first; none for a first commit. Beyond parents that nobody has nothing
    /// can be told.
    #[schema(value_type = Vec<String>)]
    parents: Vec<Sha>,
    #[serde(default)]
    author: String,
    #[serde(default)]
    email: String,
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// All of it: it says what is picked and what is taken back.
    message: String,
}

impl From<SubmitCommit> for Submitted {
    fn from(commit: SubmitCommit) -> Self {
        Self {
            sha: commit.sha,
            parents: commit.parents,
            author: author(&commit.author, &commit.email),
            at: commit.time,
            message: commit.message,
            is_listed: false,
            is_assumed: false,
        }
    }
}

/// What became of submitted commits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SubmittedResponse {
    /// How many commits the repository has now.
    commits: u64,
    /// How many of those that were sent it had already, as they are.
    known: u64,
}

/// What a fetch found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FetchedResponse {
    /// The tip of the first tracked branch that there is.
    #[schema(value_type = Option<String>)]
    head: Option<Sha>,
    /// How many commits are known.
    commits: u64,
    #[schema(value_type = String, format = DateTime)]
    fetched_at: Timestamp,
}

/// A fetch that did not go well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FailureResponse {
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    failed_at: Timestamp,
}

impl From<crate::domain::repository::Fetched> for FetchedResponse {
    fn from(fetched: crate::domain::repository::Fetched) -> Self {
        Self { head: fetched.head, commits: fetched.n_commits, fetched_at: fetched.at }
    }
}

impl From<Repository> for RepositoryResponse {
    fn from(repository: Repository) -> Self {
        let failure = repository.failure;
        Self {
            name: repository.name,
            url: repository.url,
            branches: repository.branches,
            has_credential: repository.credential.is_some(),
            created_at: repository.created_at,
            fetched: repository.fetched.map(FetchedResponse::from),
            failure: failure
                .map(|failure| FailureResponse { reason: failure.reason, failed_at: failure.at }),
            submitted: repository.n_submitted,
        }
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::not_found(format!("repository {name:?}"))
}

/// The repositories of a project, by name.
#[utoipa::path(tag = "repositories", params(PageQuery),
    responses((status = 200, body = Page<RepositoryResponse>), (status = 404)))]
#[get("/api/v1/projects/{slug}/repositories")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let repositories = tx.list_repositories(project.id).await?;
    let name = |repository: &Repository| repository.name.clone();
    Ok(HttpResponse::Ok().json(query.0.cut(repositories, name, RepositoryResponse::from)?))
}

/// Adds a repository. It is fetched for the first time when somebody asks.
#[utoipa::path(tag = "repositories", request_body = CreateRepository,
    responses((status = 201, body = RepositoryResponse), (status = 404), (status = 409), (status = 422)))]
#[post("/api/v1/projects/{slug}/repositories")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<CreateRepository>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    let CreateRepository { name, url, branches, credential } = body.0;
    let wish = Wish { name: Some(name), url, branches, credential };
    let repository = api.repositories.add(project, wish).await?;
    Ok(HttpResponse::Created().json(RepositoryResponse::from(repository)))
}

/// Changes a repository.
#[utoipa::path(tag = "repositories", request_body = UpdateRepository,
    responses((status = 200, body = RepositoryResponse), (status = 404), (status = 409), (status = 422)))]
#[patch("/api/v1/projects/{slug}/repositories/{name}")]
pub(super) async fn update(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<UpdateRepository>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let (slug, name) = path.into_inner();
    let project = project_of(&api, &bearer, &slug).await?;
    let UpdateRepository { name: new_name, url, branches, credential } = body.0;
    let wish = Wish { name: new_name, url, branches, credential };
    let repository = api.repositories.update(project, &name, wish).await?;
    let repository = repository.ok_or_else(|| missing(&name))?;
    Ok(HttpResponse::Ok().json(RepositoryResponse::from(repository)))
}

/// Removes a repository and its mirror.
#[utoipa::path(tag = "repositories", responses((status = 204), (status = 404)))]
#[delete("/api/v1/projects/{slug}/repositories/{name}")]
pub(super) async fn delete(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let (slug, name) = path.into_inner();
    let project = project_of(&api, &bearer, &slug).await?;
    if api.repositories.remove(project, &name).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(missing(&name))
    }
}

/// Fetches a repository, and answers once it is fresh.
#[utoipa::path(tag = "repositories",
    responses((status = 200, body = FetchedResponse), (status = 404), (status = 422), (status = 502)))]
#[post("/api/v1/projects/{slug}/repositories/{name}/fetch")]
pub(super) async fn fetch(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (slug, name) = path.into_inner();
    let project = project_of(&api, &bearer, &slug).await?;
    let fetched = api.repositories.fetch(project, &name).await?;
    let (_, fetched) = fetched.ok_or_else(|| missing(&name))?;
    Ok(HttpResponse::Ok().json(FetchedResponse::from(fetched)))
}

/// What the host of a repository is told, so that it says when something is pushed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HookResponse {
    /// Where GitHub, GitLab, Gitea or Forgejo send their push events.
    url: String,
    /// What they sign them with.
    secret: String,
}

/// What the host of a repository is told, so that it says when something is pushed.
#[utoipa::path(tag = "repositories",
    responses((status = 200, body = HookResponse), (status = 404)))]
#[get("/api/v1/projects/{slug}/repositories/{name}/hook")]
pub(super) async fn hook(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let (slug, name) = path.into_inner();
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let repository = tx.find_repository(project.id, &name).await?;
    let repository = repository.ok_or_else(|| missing(&name))?;
    let id = ProjectItemId { project: project.id, id: repository.id.0 };
    let url = api.url(&format!("/hooks/git/{id}"));
    let secret = api.repositories.hook_secret(&repository);
    Ok(HttpResponse::Ok().json(HookResponse { url, secret }))
}

/// Of which branch submitted commits are.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SubmitQuery {
    /// The name of the branch. Messages on a branch that counts name fixes.
    branch: Option<String>,
    /// The commit that the branch ends with: one of these, or of those that were sent before.
    #[param(value_type = Option<String>)]
    tip: Option<Sha>,
}

impl SubmitQuery {
    fn branch(&self) -> Result<Option<(&str, Sha)>, ApiError> {
        match (self.branch.as_deref(), self.tip) {
            (None, None) => Ok(None),
            (Some(branch), Some(tip)) if (1..=MOST_BRANCH_BYTES).contains(&branch.len()) => {
                Ok(Some((branch, tip)))
            }
            (Some(_), Some(_)) => {
                let detail = format!("branch must have 1 to {MOST_BRANCH_BYTES} bytes");
                Err(ApiError::invalid(detail))
            }
            _ => Err(ApiError::invalid("branch and tip belong together")),
        }
    }
}

/// Submits commits to a repository without a url. Those it has stay as they are.
#[utoipa::path(tag = "repositories", params(SubmitQuery), request_body = Vec<SubmitCommit>,
    responses((status = 200, body = SubmittedResponse), (status = 404), (status = 413), (status = 422)))]
#[post("/api/v1/projects/{slug}/repositories/{name}/commits")]
pub(super) async fn submit(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    query: Query<SubmitQuery>,
    body: Json<Vec<SubmitCommit>>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (slug, name) = path.into_inner();
    let project = project_of(&api, &bearer, &slug).await?;
    let commits = body.0.into_iter().map(Submitted::from).collect();
    let branch = query.0.branch()?;
    let taken = api.repositories.submit(project, &name, commits, branch).await?;
    let taken = taken.ok_or_else(|| missing(&name))?;
    let response = SubmittedResponse { commits: taken.n_commits, known: taken.n_known };
    Ok(HttpResponse::Ok().json(response))
}

/// Commits that were not submitted yet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WantedResponse {
    /// Those, in the order of the question.
    #[schema(value_type = Vec<String>)]
    wanted: Vec<Sha>,
}

/// Says which of some commits a repository without a url does not have yet.
#[utoipa::path(tag = "repositories", request_body = Vec<String>,
    responses((status = 200, body = WantedResponse), (status = 404), (status = 413), (status = 422)))]
#[post("/api/v1/projects/{slug}/repositories/{name}/commits/wanted")]
pub(super) async fn wanted(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<Vec<Sha>>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (slug, name) = path.into_inner();
    let project = project_of(&api, &bearer, &slug).await?;
    let wanted = api.repositories.wanted(project, &name, body.0).await?;
    let wanted = wanted.ok_or_else(|| missing(&name))?;
    Ok(HttpResponse::Ok().json(WantedResponse { wanted }))
}
