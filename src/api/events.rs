//! Looking at events.

use std::slice;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Bearer;
use super::extract::Query;
use super::page::{Page, PageQuery, page};
use super::{Api, ApiError};
use crate::domain::event::{Event, User};
use crate::domain::id::EventId;
use crate::domain::issue::Issue;
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::domain::title;
use crate::domain::token::Scope;
use crate::store::Tx;
use crate::store::body::Decoded;
use crate::store::event::StoredEvent;

/// What an event meant for its issue, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VerdictResponse {
    /// `new`, `known`, `muted`, `suppressed`, `undetermined` or `regression`.
    kind: String,
    reason: String,
    /// The commit its release resolves to.
    release_commit: Option<String>,
}

/// An event at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventSummary {
    event_id: String,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// None without the body.
    title: Option<String>,
    /// None without the body.
    level: Option<&'static str>,
    environment: String,
    release: Option<String>,
    /// `kept` as a whole, `sampled` away, or `damaged`.
    body: &'static str,
    /// What tells its user from others.
    user: Option<String>,
    verdict: VerdictResponse,
    /// Whether the key it was reported with is trusted.
    trusted: bool,
}

/// A whole event: everything that was kept of the report, normalised.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventResponse {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    event: Event,
    title: String,
    culprit: String,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// The short id of its issue.
    issue: String,
    /// `kept` as a whole, `sampled` away, or `damaged`.
    body: &'static str,
    verdict: VerdictResponse,
    /// Whether the key it was reported with is trusted.
    trusted: bool,
}

fn verdict(stored: &StoredEvent) -> VerdictResponse {
    VerdictResponse {
        kind: stored.verdict.clone(),
        reason: stored.reason.clone(),
        release_commit: None,
    }
}

async fn response(
    tx: &mut Tx,
    project: &Project,
    stored: StoredEvent,
) -> Result<EventResponse, ApiError> {
    let issue = tx.find_issue_by_id(project, stored.issue_id).await?;
    let issue = issue.ok_or_else(|| ApiError::not_found("the event's issue"))?;
    let decoded = tx.decode(project.id, slice::from_ref(&stored)).await?;
    let decoded = decoded.into_iter().next().unwrap_or(Decoded::Sampled);
    let body = decoded.as_str();
    let (event, title, culprit) = match decoded {
        Decoded::Kept(event) => {
            let (title, culprit) = (title::title(&event), title::culprit(&event));
            (*event, title, culprit)
        }
        Decoded::Sampled | Decoded::Damaged => {
            let event = without_body(&stored, &issue, &decoded);
            (event, issue.title, issue.culprit)
        }
    };
    Ok(EventResponse {
        event,
        title,
        culprit,
        received_at: stored.received_at,
        issue: issue.short_id.to_string(),
        body,
        verdict: verdict(&stored),
        trusted: stored.is_trusted,
    })
}

/// What is known of an event without its body.
fn without_body(stored: &StoredEvent, issue: &Issue, decoded: &Decoded) -> Event {
    let why = if *decoded == Decoded::Damaged {
        "the body is damaged: the log of the service says more"
    } else {
        "the body was not kept: the issue has enough like it"
    };
    Event {
        environment: stored.environment.clone(),
        release: stored.release.clone(),
        notes: vec![why.to_owned()],
        ..Event::new(stored.id, stored.occurred_at, issue.level, issue.platform.clone())
    }
}

fn summary((stored, decoded): (StoredEvent, Decoded)) -> EventSummary {
    let event = decoded.event();
    EventSummary {
        event_id: stored.id.to_string(),
        timestamp: stored.occurred_at,
        received_at: stored.received_at,
        title: event.map(title::title),
        level: event.map(|event| event.level.as_str()),
        body: decoded.as_str(),
        user: event.and_then(|event| event.user.as_ref()).and_then(User::identity),
        verdict: verdict(&stored),
        trusted: stored.is_trusted,
        environment: stored.environment,
        release: stored.release,
    }
}

/// The events of an issue, latest first.
#[utoipa::path(tag = "issues", params(PageQuery),
    responses((status = 200, body = Page<EventSummary>), (status = 404)))]
#[get("/api/v1/issues/{id}/events")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let limit = query.0.limit()?;
    let after = query.0.after(|cursor| {
        let (at, id) = cursor.split_once('.')?;
        Some((Timestamp::from_micros(at.parse().ok()?), EventId(Uuid::try_parse(id).ok()?)))
    })?;
    let mut tx = api.store.read().await?;
    let (project, issue) = bearer.issue(&mut tx, &request, &id).await?;
    let events = tx.list_events(project.id, issue.id, after, limit + 1).await?;
    let cursor = |one: &StoredEvent| format!("{}.{}", one.occurred_at.as_micros(), one.id);
    let Page { items, next } = page(events, limit, cursor, |stored| stored);
    let decoded = tx.decode(project.id, &items).await?;
    let items = items.into_iter().zip(decoded).map(summary).collect();
    Ok(HttpResponse::Ok().json(Page { items, next }))
}

/// The latest event of an issue whose body was kept.
#[utoipa::path(tag = "issues", responses((status = 200, body = EventResponse), (status = 404)))]
#[get("/api/v1/issues/{id}/events/latest")]
pub(super) async fn latest(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let (project, issue) = bearer.issue(&mut tx, &request, &id).await?;
    let stored = tx.find_latest_body(project.id, issue.id).await?;
    let stored = stored.ok_or_else(|| ApiError::not_found("an event of this issue"))?;
    Ok(HttpResponse::Ok().json(response(&mut tx, &project, stored).await?))
}

/// One event of a project.
#[utoipa::path(tag = "issues", responses((status = 200, body = EventResponse), (status = 404)))]
#[get("/api/v1/projects/{slug}/events/{event_id}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let (slug, event_id) = path.into_inner();
    let missing = || ApiError::not_found(format!("event {event_id:?}"));
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let id = EventId::parse(&event_id).ok_or_else(missing)?;
    let stored = tx.find_event(project.id, id).await?.ok_or_else(missing)?;
    Ok(HttpResponse::Ok().json(response(&mut tx, &project, stored).await?))
}
