//! The tracker of a project.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, post, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Bearer;
use super::extract::Json;
use super::{Api, ApiError};
use crate::domain::project::Project;
use crate::domain::token::Scope;
use crate::domain::tracker::{ASANA_URL, Check, Secret, TrackerSettings};

/// The longest name of a project that is made in a tracker, in characters.
const MOST_NAME_CHARS: usize = 200;

/// The tracker of a project: its `kind` and what else that has, but no secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TrackerResponse {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    settings: TrackerSettings,
    /// What works, and what to do about what does not; only where it was looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    checks: Option<Vec<Check>>,
}

/// What is to be seen with a token that is not kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscoverTracker {
    /// `asana`.
    kind: Kind,
    url: Option<String>,
    #[schema(value_type = String)]
    token: Secret,
}

/// A project that is to be made in a tracker.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTrackerProject {
    /// `asana`.
    kind: Kind,
    url: Option<String>,
    #[schema(value_type = String)]
    token: Secret,
    /// The id of its workspace.
    workspace: String,
    /// The id of its team; organizations want one.
    team: Option<String>,
    name: String,
}

/// Trackers in which there is something to choose from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Asana,
}

async fn project_of(api: &Api, bearer: &Bearer, slug: &str) -> Result<Project, ApiError> {
    let mut tx = api.store.read().await?;
    bearer.project(&mut tx, slug).await
}

/// The tracker of a project.
#[utoipa::path(tag = "tasks", responses((status = 200, body = TrackerResponse), (status = 404)))]
#[get("/api/v1/projects/{slug}/tracker")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let project = project_of(&api, &bearer, &slug).await?;
    let settings = api.trackers.get(project.id).await?;
    Ok(HttpResponse::Ok().json(TrackerResponse { settings, checks: None }))
}

/// Sets the tracker of a project as a whole, and looks whether it works. Without a token, the one of the
/// same address stays.
#[utoipa::path(tag = "tasks", request_body(content = Object, description = "`{\"kind\": \"built_in\"}`, or \
        `{\"kind\": \"asana\", \"token\", \"issue_project\", \"environments\": {\"beta\": \
        {\"lock_project\", \"deploy_project\"}}, \"fix_field\", …}`, or \
        `{\"kind\": \"redmine\", \"url\", \"formatting\": \"textile\", …}` and the same"),
    responses((status = 200, body = TrackerResponse), (status = 404), (status = 422)))]
#[put("/api/v1/projects/{slug}/tracker")]
pub(super) async fn update(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<TrackerSettings>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    let settings = api.trackers.set(&project, body.0).await?;
    let checks = Some(api.trackers.check(&project).await?);
    Ok(HttpResponse::Ok().json(TrackerResponse { settings, checks }))
}

/// Lets a project have Airlock's own tracker again.
#[utoipa::path(tag = "tasks", responses((status = 204), (status = 404)))]
#[delete("/api/v1/projects/{slug}/tracker")]
pub(super) async fn delete(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    api.trackers.set(&project, TrackerSettings::BuiltIn {}).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Looks whether the tracker of a project works.
#[utoipa::path(tag = "tasks", responses((status = 200, body = TrackerResponse), (status = 404)))]
#[post("/api/v1/projects/{slug}/tracker/check")]
pub(super) async fn check(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    let settings = api.trackers.get(project.id).await?;
    let checks = Some(api.trackers.check(&project).await?);
    Ok(HttpResponse::Ok().json(TrackerResponse { settings, checks }))
}

/// What a token of a tracker sees: `user`, and `workspaces` with their `projects`. The token is not kept.
#[utoipa::path(tag = "tasks", request_body = DiscoverTracker,
    responses((status = 200, body = Object), (status = 404), (status = 422), (status = 502)))]
#[post("/api/v1/projects/{slug}/tracker/discover")]
pub(super) async fn discover(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<DiscoverTracker>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    project_of(&api, &bearer, &slug).await?;
    let DiscoverTracker { kind: Kind::Asana, url, token } = body.0;
    let asana = api.trackers.asana(url.as_deref().unwrap_or(ASANA_URL), &token);
    let found = asana.map_err(ApiError::invalid)?.discover().await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Makes a project in a tracker. The token is not kept.
#[utoipa::path(tag = "tasks", request_body = CreateTrackerProject,
    responses((status = 201, body = Object, description = "`id`, `name`"), (status = 404),
        (status = 422), (status = 502)))]
#[post("/api/v1/projects/{slug}/tracker/projects")]
pub(super) async fn create_project(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<CreateTrackerProject>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    project_of(&api, &bearer, &slug).await?;
    let CreateTrackerProject { kind: Kind::Asana, url, token, workspace, team, name } = body.0;
    let is_name = !name.trim().is_empty() && name.chars().count() <= MOST_NAME_CHARS;
    if !is_name || name.contains(char::is_control) {
        let detail = format!("name must have 1 to {MOST_NAME_CHARS} characters");
        return Err(ApiError::invalid(detail));
    }
    let asana = api.trackers.asana(url.as_deref().unwrap_or(ASANA_URL), &token);
    let asana = asana.map_err(ApiError::invalid)?;
    let made = asana.create_project((&workspace, team.as_deref()), &name).await?;
    Ok(HttpResponse::Created().json(made))
}
