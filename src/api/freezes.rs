//! Freezes of environments.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, post};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Bearer;
use super::environments::environment_of;
use super::extract::{Json, Query};
use super::page::{Page, PageQuery};
use super::{Api, ApiError};
use crate::domain::freeze::WishedFreeze;
use crate::domain::id::ProjectItemId;
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::release::freezes;
use crate::store::freeze::StoredFreeze;

/// A freeze.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FreezeResponse {
    id: String,
    environment: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    freeze: WishedFreeze,
    owner: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<StoredFreeze> for FreezeResponse {
    fn from(stored: StoredFreeze) -> Self {
        Self {
            id: stored.id.to_string(),
            environment: stored.environment,
            freeze: stored.freeze.into(),
            owner: stored.owner,
            created_at: stored.created_at,
        }
    }
}

/// The freezes of an environment.
#[utoipa::path(tag = "locks", params(PageQuery),
    responses((status = 200, body = Page<FreezeResponse>), (status = 404)))]
#[get("/api/v1/projects/{slug}/environments/{environment}/freezes")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let (project, environment) = environment_of(&api, &bearer, &path).await?;
    let freezes = api.store.read().await?.list_freezes(project.id, &environment.name).await?;
    let cursor = |freeze: &StoredFreeze| freeze.id.to_string();
    Ok(HttpResponse::Ok().json(query.0.cut(freezes, cursor, FreezeResponse::from)?))
}

/// Closes an environment at times: by a schedule, once, or before the deploys of another one.
#[utoipa::path(tag = "locks", request_body = Object,
    responses((status = 201, body = FreezeResponse), (status = 404), (status = 422)))]
#[post("/api/v1/projects/{slug}/environments/{environment}/freezes")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<WishedFreeze>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (project, environment) = environment_of(&api, &bearer, &path).await?;
    let (wish, owner) = (body.0, bearer.actor());
    let new = freezes::freeze(&api.repositories, &project, &environment, wish, owner).await?;
    Ok(HttpResponse::Created().json(FreezeResponse::from(new)))
}

/// Removes a freeze.
#[utoipa::path(tag = "locks", responses((status = 204), (status = 404)))]
#[delete("/api/v1/projects/{slug}/environments/{environment}/freezes/{id}")]
pub(super) async fn remove(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (slug, name, id) = path.into_inner();
    let (project, environment) = environment_of(&api, &bearer, &(slug, name)).await?;
    let missing = || ApiError::not_found(format!("freeze {id:?}"));
    let item = ProjectItemId::parse(&id).filter(|item| item.project == project.id);
    let item = item.ok_or_else(missing)?;
    if !freezes::unfreeze(&api.repositories, &environment, item).await? {
        return Err(missing());
    }
    Ok(HttpResponse::NoContent().finish())
}
