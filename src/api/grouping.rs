//! How a project groups its events.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get, post, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Bearer;
use super::extract::Json;
use super::keys::project_of;
use super::{Api, ApiError};
use crate::domain::fingerprint::settings::WishedRules;
use crate::domain::id::ShortId;
use crate::domain::token::Scope;
use crate::project;
use crate::triage::try_grouping::{MOST_EVENTS, try_grouping};

/// Rules to try on the events that are stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TryGrouping {
    /// The rules; those of the project by default.
    #[schema(value_type = Option<Object>)]
    rules: Option<WishedRules>,
    /// How many of the latest events, 1 to 2,000; 500 by default.
    events: Option<i64>,
}

/// What rules would make of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TriedGrouping {
    /// How many events were looked at: those whose bodies are kept.
    events: usize,
    /// The issues they belong to.
    issues: usize,
    /// The fingerprints they would have.
    fingerprints: usize,
    /// Issues that would be one, were they new.
    would_merge: Vec<Vec<String>>,
    /// Issues that would be several.
    would_split: Vec<WouldSplit>,
}

/// An issue that would be several.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WouldSplit {
    issue: String,
    fingerprints_now: usize,
    fingerprints_then: usize,
}

/// The rules of grouping of a project.
#[utoipa::path(tag = "projects",
    responses((status = 200, body = Object, description = "`config`, `previous`, `builtin_off`, \
        `fingerprint_rules`, `frame_rules`"), (status = 404)))]
#[get("/api/v1/projects/{slug}/rules/grouping")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let rules = tx.find_grouping_rules(project.id).await?.unwrap_or_default();
    Ok(HttpResponse::Ok().json(rules))
}

/// Sets the rules of grouping of a project as a whole. They count from the next batch of reports on.
/// With a newer `config` the fingerprints of the old one still lead to their issues for 90 days.
#[utoipa::path(tag = "projects", request_body = Object,
    responses((status = 200, body = Object), (status = 404), (status = 422)))]
#[put("/api/v1/projects/{slug}/rules/grouping")]
pub(super) async fn update(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<WishedRules>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = project_of(&api, &bearer, &slug).await?;
    match project::set_grouping_rules(&api.store, &api.clock, project, body.0).await? {
        Some(rules) => Ok(HttpResponse::Ok().json(rules)),
        None => Err(ApiError::not_found(format!("project {:?}", slug.as_str()))),
    }
}

/// Groups the latest events by other rules, and saves nothing.
#[utoipa::path(tag = "projects", request_body = TryGrouping,
    responses((status = 200, body = TriedGrouping), (status = 404), (status = 422)))]
#[post("/api/v1/projects/{slug}/rules/grouping/try")]
pub(super) async fn try_out(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<TryGrouping>,
) -> Result<HttpResponse, ApiError> {
    const USUAL_EVENTS: i64 = 500;
    // Rules that are not saved cost as much as those that are.
    bearer.require(if body.0.rules.is_some() { Scope::Admin } else { Scope::Read })?;
    let n_events = body.0.events.unwrap_or(USUAL_EVENTS);
    if !(1..=MOST_EVENTS).contains(&n_events) {
        return Err(ApiError::invalid(format!("events must be 1 to {MOST_EVENTS}")));
    }
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let now = tx.find_grouping_rules(project.id).await?.unwrap_or_default();
    drop(tx);
    let then = match body.0.rules {
        Some(rules) => rules.following(&now, api.clock.now()).map_err(ApiError::invalid)?,
        None => now.clone(),
    };
    let tried = try_grouping(&api.store, &project, (now, then), n_events).await?;
    let short = |number: i64| ShortId { prefix: project.prefix.clone(), number }.to_string();
    let merged = tried.would_merge.into_iter();
    let split = tried.would_split.into_iter();
    Ok(HttpResponse::Ok().json(TriedGrouping {
        events: tried.n_events,
        issues: tried.n_issues,
        fingerprints: tried.n_fingerprints,
        would_merge: merged.map(|all| all.into_iter().map(short).collect()).collect(),
        would_split: split
            .map(|(number, (fingerprints_now, fingerprints_then))| WouldSplit {
                issue: short(number),
                fingerprints_now,
                fingerprints_then,
            })
            .collect(),
    }))
}
