//! DSN keys of a project.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::auth::Bearer;
use super::extract::{Json, Query};
use super::page::{Page, PageQuery};
use super::{Api, ApiError};
use crate::domain::id::ProjectId;
use crate::domain::project::ProjectKey;
use crate::domain::rate::RateLimit;
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::project::{self, KeyChange, LimitChange};
use crate::protocol::dsn::Dsn;

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateKey {
    /// What it is for.
    label: Option<String>,
    /// Whether its reports may re-arm locks; false for a browser's.
    trusted: Option<bool>,
    /// Where browsers may report from: `https://shop.example`, `shop.example` with any scheme and
    /// port, `*.shop.example`. Requests that name no origin, as servers send them, are taken.
    origins: Option<Vec<String>>,
    /// How many reports it may send in a time, each category by itself; no limit if it is null.
    #[schema(value_type = Option<RateLimitRequest>)]
    rate_limit: Option<RateLimit>,
}

/// So many events at once, and as many in every so many seconds thereafter.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes `domain::rate::RateLimit`, which knows no HTTP")]
struct RateLimitRequest {
    events: u64,
    seconds: u32,
}

/// Tells null, which takes a limit away, from a field that is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<LimitChange, D::Error> {
    Option::<RateLimit>::deserialize(value).map(LimitChange::from)
}

/// What is to change; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateKey {
    label: Option<String>,
    trusted: Option<bool>,
    /// Whether it may report at all.
    active: Option<bool>,
    origins: Option<Vec<String>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<RateLimitRequest>)]
    rate_limit: LimitChange,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyResponse {
    public_key: String,
    dsn: Option<String>,
    label: String,
    trusted: bool,
    active: bool,
    origins: Vec<String>,
    #[schema(value_type = Option<RateLimitRequest>)]
    rate_limit: Option<RateLimit>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl KeyResponse {
    fn new(api: &Api, key: ProjectKey) -> Self {
        let dsn = Dsn::at(&api.public_url, &key.public_key, key.project_id);
        Self {
            dsn: dsn.map(|dsn| dsn.to_string()),
            public_key: key.public_key,
            label: key.label,
            trusted: key.is_trusted,
            active: key.is_active,
            origins: key.origins,
            rate_limit: key.rate_limit,
            created_at: key.created_at,
        }
    }
}

fn missing(public_key: &str) -> ApiError {
    ApiError::not_found(format!("key {public_key:?}"))
}

/// What cannot be a key may be what a database cannot compare with one.
fn checked_key(public_key: &str) -> Result<(), ApiError> {
    let is_key = public_key.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_key { Ok(()) } else { Err(missing(public_key)) }
}

pub(super) async fn project_of(
    api: &Api,
    bearer: &Bearer,
    slug: &str,
) -> Result<ProjectId, ApiError> {
    let mut tx = api.store.read().await?;
    Ok(bearer.project(&mut tx, slug).await?.id)
}

/// The keys of a project, oldest first.
#[utoipa::path(tag = "projects", params(PageQuery),
    responses((status = 200, body = Page<KeyResponse>), (status = 404)))]
#[get("/api/v1/projects/{slug}/keys")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let keys = tx.list_keys(project.id).await?;
    let name = |key: &ProjectKey| key.public_key.clone();
    Ok(HttpResponse::Ok().json(query.0.cut(keys, name, |key| KeyResponse::new(&api, key))?))
}

/// Makes a key.
#[utoipa::path(tag = "projects", request_body = CreateKey,
    responses((status = 201, body = KeyResponse), (status = 404), (status = 422)))]
#[post("/api/v1/projects/{slug}/keys")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<CreateKey>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    let CreateKey { label, trusted, origins, rate_limit } = body.0;
    let rate_limit = LimitChange::from(rate_limit);
    let wanted = KeyChange { label, is_trusted: trusted, is_active: None, origins, rate_limit };
    let key = project::create_key(&api.store, &api.clock, &api.keys, project, wanted).await?;
    Ok(HttpResponse::Created().json(KeyResponse::new(&api, key)))
}

/// Changes a key.
#[utoipa::path(tag = "projects", request_body = UpdateKey,
    responses((status = 200, body = KeyResponse), (status = 404), (status = 422)))]
#[patch("/api/v1/projects/{slug}/keys/{public_key}")]
pub(super) async fn update(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<UpdateKey>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let (slug, public_key) = path.into_inner();
    let project = project_of(&api, &bearer, &slug).await?;
    checked_key(&public_key)?;
    let UpdateKey { label, trusted, active, origins, rate_limit } = body.0;
    let change = KeyChange { label, is_trusted: trusted, is_active: active, origins, rate_limit };
    let key = project::update_key(&api.store, &api.keys, project, &public_key, change).await?;
    let key = key.ok_or_else(|| missing(&public_key))?;
    Ok(HttpResponse::Ok().json(KeyResponse::new(&api, key)))
}

/// Deletes a key.
#[utoipa::path(tag = "projects", responses((status = 204), (status = 404)))]
#[delete("/api/v1/projects/{slug}/keys/{public_key}")]
pub(super) async fn delete(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let (slug, public_key) = path.into_inner();
    let project = project_of(&api, &bearer, &slug).await?;
    checked_key(&public_key)?;
    if project::delete_key(&api.store, &api.keys, project, &public_key).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(missing(&public_key))
    }
}
