//! Reports that were set aside.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get, post};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Bearer;
use super::extract::Query;
use super::page::{Page, PageQuery, page};
use super::{Api, ApiError};
use crate::digest::bury::{self, Retried};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::store::buried::BuriedSummary;

/// A report that was set aside. Its bytes may hold secrets and are not shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BuriedResponse {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    buried_at: Timestamp,
    /// Forgotten after this.
    #[schema(value_type = String, format = DateTime)]
    kept_until: Timestamp,
    reason: String,
    /// How often it was tried again.
    tries: i64,
    /// How large it is.
    bytes: u64,
}

/// What became of another try.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetryResponse {
    /// `digested` or `still_buried`.
    result: &'static str,
    reason: Option<String>,
}

/// The reports of a project that were set aside.
#[utoipa::path(tag = "projects", params(PageQuery),
    responses((status = 200, body = Page<BuriedResponse>), (status = 404)))]
#[get("/api/v1/projects/{slug}/buried")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let limit = query.0.limit()?;
    let after = query.0.after(|cursor| Uuid::try_parse(cursor).ok())?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let buried = tx.list_buried(project.id, after, limit + 1).await?;
    let response = |one: BuriedSummary| BuriedResponse {
        id: one.id.simple().to_string(),
        buried_at: one.buried_at,
        kept_until: one.buried_at.plus(bury::KEPT_FOR),
        reason: one.reason,
        tries: one.n_tries,
        bytes: one.n_bytes,
    };
    let cursor = |one: &BuriedSummary| one.id.simple().to_string();
    Ok(HttpResponse::Ok().json(page(buried, limit, cursor, response)))
}

/// Tries a report again.
#[utoipa::path(tag = "projects", responses((status = 200, body = RetryResponse), (status = 404)))]
#[post("/api/v1/projects/{slug}/buried/{id}/retry")]
pub(super) async fn retry(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let (slug, id) = path.into_inner();
    let missing = || ApiError::not_found(format!("buried report {id:?}"));
    let project = {
        let mut tx = api.store.read().await?;
        bearer.project(&mut tx, &slug).await?
    };
    let id = Uuid::try_parse(&id).map_err(|_| missing())?;
    let response = match bury::retry(&api.store, &api.clock, project.id, id).await? {
        Retried::Digested => RetryResponse { result: "digested", reason: None },
        Retried::StillBuried(reason) => {
            RetryResponse { result: "still_buried", reason: Some(reason) }
        }
        Retried::NotFound => return Err(missing()),
    };
    Ok(HttpResponse::Ok().json(response))
}
