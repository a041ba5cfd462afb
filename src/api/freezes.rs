//! Freezes of environments.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, post};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Bearer;
use super::environments::environment_of;
use super::extract::{Json, Query};
use super::page::{Page, PageQuery, page};
use super::{Api, ApiError};
use crate::domain::freeze::{Freeze, WishedFreeze};
use crate::domain::id::ProjectItemId;
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::store::freeze::StoredFreeze;

/// An environment has at most this many freezes.
const MOST_FREEZES: usize = 50;

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
    let limit = query.0.limit()?;
    let (project, environment) = environment_of(&api, &bearer, &path).await?;
    let mut tx = api.store.read().await?;
    let mut freezes = tx.list_freezes(project.id, &environment.name).await?;
    let position = |cursor: &str| freezes.iter().position(|one| one.id.to_string() == cursor);
    if let Some(last) = query.0.after(position)? {
        freezes.drain(..=last);
    }
    let cursor = |freeze: &StoredFreeze| freeze.id.to_string();
    Ok(HttpResponse::Ok().json(page(freezes, limit, cursor, FreezeResponse::from)))
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
    let mut wish = body.0;
    if let Some(other) = &wish.before_environment {
        let found = project.environment(other);
        let found = found.ok_or_else(|| {
            ApiError::invalid(format!("before_environment: the project has no {other:?}"))
        })?;
        if found.name == environment.name {
            return Err(ApiError::invalid("before_environment must be another environment"));
        }
        wish.before_environment = Some(found.name.clone());
    }
    let freeze = Freeze::try_from(wish).map_err(ApiError::invalid)?;
    let new = StoredFreeze {
        id: ProjectItemId { project: project.id, id: api.clock.id() },
        environment: environment.name.clone(),
        freeze,
        owner: bearer.actor().to_owned(),
        created_at: api.clock.now(),
    };
    let mut tx = api.store.write().await?;
    tx.raise_gate(project.id, &environment.name).await?;
    if tx.list_freezes(project.id, &environment.name).await?.len() >= MOST_FREEZES {
        let detail = format!("an environment has at most {MOST_FREEZES} freezes; remove one");
        return Err(ApiError::invalid(detail));
    }
    tx.insert_freeze(&new).await?;
    tx.commit().await?;
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
    let mut tx = api.store.write().await?;
    if !tx.delete_freeze(item.ok_or_else(missing)?, &environment.name).await? {
        return Err(missing());
    }
    tx.raise_gate(project.id, &environment.name).await?;
    tx.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}
