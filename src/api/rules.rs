//! What a project decides itself.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get, post, put, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Bearer;
use super::extract::Json;
use super::keys::project_of;
use super::{Api, ApiError, Code};
use crate::domain::filing::FilingRules;
use crate::domain::scrub::Scrubbed;
use crate::domain::scrub::rules::{InvalidRules, ScrubRules, tested};
use crate::domain::token::Scope;
use crate::project;

/// Bytes of the JSON that rules are tried on.
const MOST_GIVEN_BYTES: usize = 64 * 1024;

/// Something to try rules of scrubbing on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TryScrubbing {
    /// The rules; those of the project by default.
    #[schema(value_type = Option<Object>)]
    rules: Option<ScrubRules>,
    /// Any JSON, scrubbed as if an application had attached it to an event.
    #[schema(value_type = Object)]
    given: Value,
}

/// What rules of scrubbing did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TriedScrubbing {
    /// What is left.
    #[schema(value_type = Object)]
    kept: Value,
    /// What was scrubbed: where, and by which rule.
    #[schema(value_type = Vec<Object>)]
    scrubbed: Vec<Scrubbed>,
}

/// The rules of scrubbing of a project.
#[utoipa::path(tag = "projects",
    responses((status = 200, body = Object, description = "`defaults`, `ip_addresses` (keep, \
        truncate, scrub), `keys`, `safe_keys`, `patterns`, `examples`"), (status = 404)))]
#[get("/api/v1/projects/{slug}/rules/scrubbing")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let rules = tx.find_scrub_rules(project.id).await?.unwrap_or_default();
    Ok(HttpResponse::Ok().json(rules))
}

/// Sets the rules of scrubbing of a project as a whole. They count from the next batch of reports
/// on, and are not taken when they do something else than their examples say.
#[utoipa::path(tag = "projects", request_body = Object,
    responses((status = 200, body = Object), (status = 404), (status = 422)))]
#[put("/api/v1/projects/{slug}/rules/scrubbing")]
pub(super) async fn update(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<ScrubRules>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    let is_there = project::set_scrub_rules(&api.store, &api.clock, project, &body.0).await?;
    if is_there {
        Ok(HttpResponse::Ok().json(body.0))
    } else {
        Err(ApiError::not_found(format!("project {:?}", slug.as_str())))
    }
}

/// Tries rules of scrubbing, and saves nothing.
#[utoipa::path(tag = "projects", request_body = TryScrubbing,
    responses((status = 200, body = TriedScrubbing), (status = 404), (status = 422)))]
#[post("/api/v1/projects/{slug}/rules/scrubbing/try")]
pub(super) async fn try_out(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<TryScrubbing>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let TryScrubbing { rules, given: mut kept } = body.0;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let rules = match rules {
        Some(rules) => rules,
        None => tx.find_scrub_rules(project.id).await?.unwrap_or_default(),
    };
    drop(tx);
    if kept.to_string().len() > MOST_GIVEN_BYTES {
        let detail = format!("`given` is larger than {MOST_GIVEN_BYTES} bytes");
        return Err(ApiError::new(Code::TooLarge, detail));
    }
    let tried = web::block(move || {
        let scrubber = tested(&rules)?;
        let places = scrubber.scrub_json(&mut kept);
        Ok::<_, InvalidRules>(TriedScrubbing { kept, scrubbed: places })
    });
    let tried = tried.await.map_err(|cause| ApiError::new(Code::Internal, cause))?;
    Ok(HttpResponse::Ok().json(tried.map_err(ApiError::invalid)?))
}

/// The rules of filing of a project: which issues are serious, so that each becomes a task.
#[utoipa::path(tag = "projects",
    responses((status = 200, body = Object, description = "`rules`, `most_tasks_per_hour`"),
        (status = 404)))]
#[get("/api/v1/projects/{slug}/rules/filing")]
pub(super) async fn show_filing(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let rules = tx.find_filing_rules(project.id).await?.unwrap_or_default();
    Ok(HttpResponse::Ok().json(rules))
}

/// Sets the rules of filing of a project as a whole. They count from the next batch of reports on; what
/// has a task keeps it.
#[utoipa::path(tag = "projects", request_body = Object,
    responses((status = 200, body = Object), (status = 404), (status = 422)))]
#[put("/api/v1/projects/{slug}/rules/filing")]
pub(super) async fn update_filing(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<FilingRules>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    if project::set_filing_rules(&api.store, &api.clock, project, &body.0).await? {
        Ok(HttpResponse::Ok().json(body.0))
    } else {
        Err(ApiError::not_found(format!("project {:?}", slug.as_str())))
    }
}
