//! Looking at issues.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::auth::Bearer;
use super::extract::Query;
use super::issue_response::IssueResponse;
use super::page::{Page, PageQuery, page};
use super::{Api, ApiError};
use crate::domain::id::ShortId;
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::store::activity::Activity;
use crate::store::issue::{Filter, Place, Sort};

/// Which issues.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct IssuesQuery {
    /// `open`, `fix_pending`, `resolved` or `muted`; all by default.
    status: Option<String>,
    /// Text in title or culprit.
    q: Option<String>,
    /// Only issues seen in this environment.
    environment: Option<String>,
    /// `last_seen` (default), `first_seen`, `events` or `users`; greatest first.
    sort: Option<String>,
    /// How many items, 1 to 100; 25 by default.
    limit: Option<i64>,
    /// Where to go on: the `next` of the page before.
    cursor: Option<String>,
}

impl IssuesQuery {
    fn filter(&self, page: &PageQuery) -> Result<Filter, ApiError> {
        let is_status =
            |status: &str| matches!(status, "open" | "fix_pending" | "resolved" | "muted");
        let is_discarded = self.status.as_deref() == Some("discarded");
        let status = self.status.clone().filter(|_| !is_discarded);
        if status.as_deref().is_some_and(|status| !is_status(status)) {
            let detail = "status is none of open, fix_pending, resolved, muted, discarded";
            return Err(ApiError::invalid(detail));
        }
        let sort = match self.sort.as_deref() {
            None | Some("last_seen") => Sort::LastSeen,
            Some("first_seen") => Sort::FirstSeen,
            Some("events") => Sort::Events,
            Some("users") => Sort::Users,
            Some(_) => {
                let detail = "sort is none of last_seen, first_seen, events, users";
                return Err(ApiError::invalid(detail));
            }
        };
        let after = page.after(|cursor| {
            let (key, id) = cursor.split_once('.')?;
            Some(Place { key: key.parse().ok()?, id: Uuid::try_parse(id).ok()? })
        })?;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        Ok(Filter {
            status,
            is_discarded,
            text: given(&self.q),
            environment: given(&self.environment),
            sort,
            after,
        })
    }
}

/// The issues of a project.
#[utoipa::path(tag = "issues", params(IssuesQuery),
    responses((status = 200, body = Page<IssueResponse>), (status = 404), (status = 422)))]
#[get("/api/v1/projects/{slug}/issues")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<IssuesQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let paging = PageQuery { limit: query.0.limit, cursor: query.0.cursor.clone() };
    let limit = paging.limit()?;
    let filter = query.0.filter(&paging)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let issues = tx.list_issues(&project, &filter, limit + 1).await?;
    let cursor = |issue: &crate::domain::issue::Issue| {
        let place = filter.sort.place(issue);
        format!("{}.{}", place.key, place.id.simple())
    };
    let Page { items, next } = page(issues, limit, cursor, |issue| issue);
    let items = IssueResponse::load(&api, &mut tx, &project, items).await?;
    Ok(HttpResponse::Ok().json(Page { items, next }))
}

/// One issue.
#[utoipa::path(tag = "issues",
    responses((status = 200, body = IssueResponse), (status = 307), (status = 404)))]
#[get("/api/v1/issues/{id}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let (project, issue) = bearer.issue(&mut tx, &request, &id).await?;
    let response = IssueResponse::load_one(&api, tx, &project, issue).await?;
    Ok(HttpResponse::Ok().json(response))
}

/// One change of an issue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ActivityResponse {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The token's name, or `airlock` for what happened by itself.
    by: String,
    /// The issue it happened to: this one, or one that was merged into it.
    of: String,
    /// What changed: its `kind` and what belongs to it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    change: serde_json::Value,
}

/// Every change of an issue, latest first.
#[utoipa::path(tag = "issues", params(PageQuery),
    responses((status = 200, body = Page<ActivityResponse>), (status = 404)))]
#[get("/api/v1/issues/{id}/activity")]
pub(super) async fn activity(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let limit = query.0.limit()?;
    let before = query.0.after(|cursor| Uuid::try_parse(cursor).ok())?;
    let mut tx = api.store.read().await?;
    let (project, issue) = bearer.issue(&mut tx, &request, &id).await?;
    let activity = tx.list_activity(project.id, issue.id, before, limit + 1).await?;
    let response = |(number, one): (i64, Activity)| ActivityResponse {
        at: one.at,
        by: one.actor,
        of: ShortId { prefix: project.prefix.clone(), number }.to_string(),
        change: serde_json::to_value(&one.change).unwrap_or_default(),
    };
    let cursor = |(_, one): &(i64, Activity)| one.id.simple().to_string();
    Ok(HttpResponse::Ok().json(page(activity, limit, cursor, response)))
}

/// A tag of an issue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagResponse {
    tag: String,
    /// Its values, most frequent first.
    values: Vec<TagValueResponse>,
}

/// A value of a tag.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagValueResponse {
    value: String,
    events: u64,
}

/// The tags of an issue, by name.
#[utoipa::path(tag = "issues",
    responses((status = 200, body = Page<TagResponse>), (status = 404)))]
#[get("/api/v1/issues/{id}/tags")]
pub(super) async fn tags(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let (project, issue) = bearer.issue(&mut tx, &request, &id).await?;
    let mut items: Vec<TagResponse> = Vec::new();
    for count in tx.list_tags(project.id, issue.id).await? {
        let value = TagValueResponse { value: count.value, events: count.n_events };
        match items.last_mut().filter(|last| last.tag == count.tag) {
            Some(last) => last.values.push(value),
            None => items.push(TagResponse { tag: count.tag, values: vec![value] }),
        }
    }
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}
