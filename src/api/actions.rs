//! What people do to issues.

use std::collections::BTreeSet;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Bearer;
use super::extract::Json;
use super::issue_response::IssueResponse;
use super::{Api, ApiError};
use crate::domain::fingerprint::Hash;
use crate::domain::id::ShortId;
use crate::domain::lifecycle::Order;
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::release::fixes::resolve_in_next;
use crate::triage::unmerge::unmerge as give_away;
use crate::triage::{self, MOST_ASSIGNEE_CHARS, MOST_COMMENT_CHARS, Wish};

/// How to resolve.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolve {
    /// `now` (default): an event that happens later is a regression. `next_deploy`: only one of a
    /// release that is not deployed yet is.
    r#in: Option<String>,
}

/// Until when to mute; for ever without conditions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mute {
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// For this many more events.
    events: Option<u64>,
}

/// Whose it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assign {
    /// Null for nobody.
    to: Option<String>,
}

/// Something to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Comment {
    text: String,
}

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Merge {
    /// The short id of the survivor.
    into: String,
}

/// Nothing to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

async fn carry_out(
    api: &Api,
    bearer: &Bearer,
    request: &HttpRequest,
    id: &str,
    wish: Wish,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let (project, issue) = {
        let mut tx = api.store.read().await?;
        bearer.issue(&mut tx, request, id).await?
    };
    let number = issue.short_id.number;
    triage::carry_out(&api.store, &api.clock, &project, number, &wish, bearer.actor()).await?;
    answer(api, bearer, request, id).await
}

pub(super) async fn answer(
    api: &Api,
    bearer: &Bearer,
    request: &HttpRequest,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    let mut tx = api.store.read().await?;
    let (project, issue) = bearer.issue(&mut tx, request, id).await?;
    let response = IssueResponse::load_one(api, tx, &project, issue).await?;
    Ok(HttpResponse::Ok().json(response))
}

/// It is done.
#[utoipa::path(tag = "issues", request_body = Resolve,
    responses((status = 200, body = IssueResponse), (status = 404), (status = 422)))]
#[post("/api/v1/issues/{id}/resolve")]
pub(super) async fn resolve(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    body: Json<Resolve>,
) -> Result<HttpResponse, ApiError> {
    match body.0.r#in.as_deref() {
        None | Some("now") => {}
        Some("next_deploy") => {
            bearer.require(Scope::Triage)?;
            let (project, issue) = {
                let mut tx = api.store.read().await?;
                bearer.issue(&mut tx, &request, &id).await?
            };
            let number = issue.short_id.number;
            let is_done =
                resolve_in_next(&api.repositories, &project, number, bearer.actor()).await?;
            if !is_done {
                let detail = "no deploy of a known commit is recorded, so there is no next one to \
                    wait for; resolve it in \"now\"";
                return Err(ApiError::invalid(detail));
            }
            return answer(&api, &bearer, &request, &id).await;
        }
        Some(_) => return Err(ApiError::invalid("in is neither now nor next_deploy")),
    }
    carry_out(&api, &bearer, &request, &id, Wish::Order(Order::Resolve { baseline: None })).await
}

/// It is not done.
#[utoipa::path(tag = "issues", request_body = Nothing,
    responses((status = 200, body = IssueResponse), (status = 404)))]
#[post("/api/v1/issues/{id}/reopen")]
pub(super) async fn reopen(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    _body: Json<Nothing>,
) -> Result<HttpResponse, ApiError> {
    carry_out(&api, &bearer, &request, &id, Wish::Order(Order::Reopen)).await
}

/// Counted, but nobody is told.
#[utoipa::path(tag = "issues", request_body = Mute,
    responses((status = 200, body = IssueResponse), (status = 404), (status = 422)))]
#[post("/api/v1/issues/{id}/mute")]
pub(super) async fn mute(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    body: Json<Mute>,
) -> Result<HttpResponse, ApiError> {
    let Mute { until, events } = body.0;
    carry_out(&api, &bearer, &request, &id, Wish::Order(Order::Mute { until, events })).await
}

/// People want to be told again.
#[utoipa::path(tag = "issues", request_body = Nothing,
    responses((status = 200, body = IssueResponse), (status = 404), (status = 409)))]
#[post("/api/v1/issues/{id}/unmute")]
pub(super) async fn unmute(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    _body: Json<Nothing>,
) -> Result<HttpResponse, ApiError> {
    carry_out(&api, &bearer, &request, &id, Wish::Order(Order::Unmute)).await
}

/// It becomes a task, whatever the rules of filing say.
#[utoipa::path(tag = "issues", request_body = Nothing,
    responses((status = 200, body = IssueResponse), (status = 404)))]
#[post("/api/v1/issues/{id}/file")]
pub(super) async fn file(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    _body: Json<Nothing>,
) -> Result<HttpResponse, ApiError> {
    carry_out(&api, &bearer, &request, &id, Wish::File).await
}

/// Its events are dropped from now on, until it is reopened. Those that are stored stay.
#[utoipa::path(tag = "issues", request_body = Nothing,
    responses((status = 200, body = IssueResponse), (status = 404)))]
#[post("/api/v1/issues/{id}/discard")]
pub(super) async fn discard(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    _body: Json<Nothing>,
) -> Result<HttpResponse, ApiError> {
    carry_out(&api, &bearer, &request, &id, Wish::Discard).await
}

/// Gives it to somebody, or to nobody.
#[utoipa::path(tag = "issues", request_body = Assign,
    responses((status = 200, body = IssueResponse), (status = 404), (status = 422)))]
#[post("/api/v1/issues/{id}/assign")]
pub(super) async fn assign(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    body: Json<Assign>,
) -> Result<HttpResponse, ApiError> {
    let to = body.0.to.map(|name| name.trim().to_owned());
    let is_usable = |name: &String| (1..=MOST_ASSIGNEE_CHARS).contains(&name.chars().count());
    if to.as_ref().is_some_and(|name| !is_usable(name)) {
        let detail = format!("to must have 1 to {MOST_ASSIGNEE_CHARS} characters, or be null");
        return Err(ApiError::invalid(detail));
    }
    carry_out(&api, &bearer, &request, &id, Wish::Assign(to)).await
}

/// Says something.
#[utoipa::path(tag = "issues", request_body = Comment,
    responses((status = 200, body = IssueResponse), (status = 404), (status = 422)))]
#[post("/api/v1/issues/{id}/comment")]
pub(super) async fn comment(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    body: Json<Comment>,
) -> Result<HttpResponse, ApiError> {
    let text = body.0.text;
    if text.trim().is_empty() || text.chars().count() > MOST_COMMENT_CHARS {
        let detail = format!("text must have 1 to {MOST_COMMENT_CHARS} characters");
        return Err(ApiError::invalid(detail));
    }
    carry_out(&api, &bearer, &request, &id, Wish::Comment(text)).await
}

/// Which fingerprints.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unmerge {
    /// As the issue shows them; some of its own must be left.
    hashes: Vec<String>,
}

/// The issue that is left, and where the rest went.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unmerged {
    #[serde(flatten)]
    issue: IssueResponse,
    /// The short id of the issue that has the fingerprints now.
    unmerged_into: String,
}

/// Some of its fingerprints, with their events, belong to an issue of their own: the one they led to
/// before a merge, else a new one.
#[utoipa::path(tag = "issues", request_body = Unmerge,
    responses((status = 200, body = Unmerged), (status = 404), (status = 422)))]
#[post("/api/v1/issues/{id}/unmerge")]
pub(super) async fn unmerge(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    body: Json<Unmerge>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let hashes: Result<BTreeSet<Hash>, _> = body.0.hashes.iter().map(|hash| hash.parse()).collect();
    let hashes = hashes.map_err(ApiError::invalid)?;
    let (project, issue) = {
        let mut tx = api.store.read().await?;
        bearer.issue(&mut tx, &request, &id).await?
    };
    let number = issue.short_id.number;
    let number =
        give_away(&api.store, &api.clock, &project, number, &hashes, bearer.actor()).await?;
    let mut tx = api.store.read().await?;
    let (project, issue) = bearer.issue(&mut tx, &request, &id).await?;
    let unmerged_into = ShortId { prefix: project.prefix.clone(), number }.to_string();
    let issue = IssueResponse::load_one(&api, tx, &project, issue).await?;
    Ok(HttpResponse::Ok().json(Unmerged { issue, unmerged_into }))
}

/// Its events, past and coming, belong to another issue of the project.
#[utoipa::path(tag = "issues", request_body = Merge,
    responses((status = 200, body = IssueResponse, description = "The survivor"), (status = 404), (status = 422)))]
#[post("/api/v1/issues/{id}/merge")]
pub(super) async fn merge(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    body: Json<Merge>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let (project, merged) = {
        let mut tx = api.store.read().await?;
        bearer.issue(&mut tx, &request, &id).await?
    };
    let into: ShortId = body.0.into.parse().map_err(ApiError::invalid)?;
    if into.prefix != project.prefix {
        return Err(ApiError::invalid("issues of different projects cannot be merged"));
    }
    let survivor = {
        let mut tx = api.store.read().await?;
        let found = tx.find_issue(&project, into.number).await?;
        let found =
            found.ok_or_else(|| ApiError::invalid(format!("issue {into} does not exist")))?;
        match found.merged_into {
            Some(survivor) => tx.find_issue_by_id(&project, survivor).await?.unwrap_or(found),
            None => found,
        }
    };
    let numbers = (merged.short_id.number, survivor.short_id.number);
    triage::merge(&api.store, &api.clock, &project, numbers, bearer.actor()).await?;
    answer(&api, &bearer, &request, &survivor.short_id.to_string()).await
}
