//! Locks of environments.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::auth::Bearer;
use super::environments::{environment_of, item_of};
use super::extract::{Json, Query};
use super::page::{Page, PageQuery};
use super::tasks::TaskReference;
use super::{Api, ApiError};
use crate::domain::effect::Subject as Stands;
use crate::domain::id::ProjectItemId;
use crate::domain::lock::{Lock, LockFilter, MOST_REASON_CHARS, Subject};
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::release::locks;
use crate::store::Tx;
use crate::store::lock::LockComment;
use crate::triage::{MOST_ASSIGNEE_CHARS, MOST_COMMENT_CHARS};

/// A lock that is to be made: of an issue, or for a reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateLock {
    /// The short id of an issue of the project.
    issue: Option<String>,
    /// Why nobody may deploy.
    reason: Option<String>,
    /// Who takes care of it.
    assignee: Option<String>,
    /// The same key again refreshes the lock.
    key: Option<String>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Why it is released.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseLock {
    reason: Option<String>,
}

/// Whose it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssignLock {
    to: Option<String>,
}

/// Something to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommentLock {
    text: String,
}

/// Which locks.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LocksQuery {
    /// `active` (default), `released` or `all`.
    #[param(value_type = Option<String>)]
    state: Option<LockFilter>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The lock of this key.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyQuery {
    key: String,
}

/// A lock.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LockResponse {
    id: String,
    /// `issue` or `manual`.
    kind: &'static str,
    environment: String,
    issue: Option<String>,
    reason: String,
    owner: String,
    assignee: Option<String>,
    key: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    released_at: Option<Timestamp>,
    released_by: Option<String>,
    release_reason: Option<String>,
    /// The task that stands for it, or for its issue.
    task: Option<TaskReference>,
    /// What was said about it; only where one lock is asked for.
    comments: Vec<LockCommentResponse>,
}

/// What was said about a lock.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LockCommentResponse {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    by: String,
    text: String,
}

impl From<LockComment> for LockCommentResponse {
    fn from(said: LockComment) -> Self {
        Self { at: said.at, by: said.actor, text: said.text }
    }
}

impl LockResponse {
    /// Loads what belongs to locks.
    async fn load(
        tx: &mut Tx,
        project: &Project,
        locks: Vec<Lock>,
        now: Timestamp,
    ) -> Result<Vec<Self>, ApiError> {
        let ids: Vec<_> = locks.iter().filter_map(Lock::issue).collect();
        let issues = tx.list_issues_by_id(project, &ids).await?;
        let of = |lock: &Lock| lock.issue().map_or(Stands::Lock(lock.id.id), Stands::Issue);
        let subjects: Vec<Stands> = locks.iter().map(of).collect();
        let tasks = tx.list_tasks_of(project.id, &subjects).await?;
        let response = |lock: Lock| {
            let issue = lock.issue().and_then(|id| issues.get(&id));
            let task = tasks.get(&of(&lock)).cloned().map(TaskReference::from);
            let expired = lock.expires_at().filter(|at| *at <= now && lock.released.is_none());
            let id = lock.id.to_string();
            let (reason, assignee, key, expires_at) = match lock.subject {
                Subject::Issue(_) => {
                    let title = issue.map(|issue| issue.title.clone()).unwrap_or_default();
                    (title, issue.and_then(|issue| issue.assignee.clone()), None, None)
                }
                Subject::Manual { reason, assignee, key, expires_at } => {
                    (reason, assignee, key, expires_at)
                }
            };
            let released = lock.released;
            Self {
                id,
                kind: if ids.is_empty() || issue.is_none() { "manual" } else { "issue" },
                environment: lock.environment,
                issue: issue.map(|issue| issue.short_id.to_string()),
                reason,
                owner: lock.owner,
                assignee,
                key,
                created_at: lock.created_at,
                expires_at,
                released_at: released.as_ref().map(|it| it.at).or(expired),
                released_by: released.as_ref().map(|it| it.by.clone()),
                release_reason: released
                    .map(|it| it.reason)
                    .or_else(|| expired.map(|_| "expired".to_owned())),
                task,
                comments: Vec::new(),
            }
        };
        Ok(locks.into_iter().map(response).collect())
    }
}

async fn answer(api: &Api, project: &Project, id: ProjectItemId) -> Result<LockResponse, ApiError> {
    let mut tx = api.store.read().await?;
    let missing = || ApiError::not_found(format!("lock {:?}", id.to_string()));
    let lock = tx.find_lock(id).await?.ok_or_else(missing)?;
    let comments = tx.list_lock_comments(id).await?;
    let loaded = LockResponse::load(&mut tx, project, vec![lock], api.clock.now()).await?;
    let response = loaded.into_iter().next().ok_or_else(missing)?;
    let comments = comments.into_iter().map(LockCommentResponse::from).collect();
    Ok(LockResponse { comments, ..response })
}

async fn lock_of(api: &Api, bearer: &Bearer, id: &str) -> Result<(Project, Lock), ApiError> {
    let (project, id) = item_of(api, bearer, "lock", id).await?;
    let lock = api.store.read().await?.find_lock(id).await?;
    let lock = lock.ok_or_else(|| ApiError::not_found(format!("lock {:?}", id.to_string())))?;
    Ok((project, lock))
}

/// The locks of an environment, the oldest first.
#[utoipa::path(tag = "locks", params(LocksQuery),
    responses((status = 200, body = Page<LockResponse>), (status = 404)))]
#[get("/api/v1/projects/{slug}/environments/{environment}/locks")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    query: Query<LocksQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let LocksQuery { state, limit, cursor } = query.0;
    let query = PageQuery { limit, cursor };
    let limit = query.limit()?;
    let after = query.after(|text| Uuid::try_parse(text).ok())?.unwrap_or_default();
    let (project, environment) = environment_of(&api, &bearer, &path).await?;
    let now = api.clock.now();
    let mut tx = api.store.read().await?;
    let filter = (state.unwrap_or_default(), now);
    let mut locks =
        tx.list_locks(project.id, &environment.name, filter, (after, limit + 1)).await?;
    let has_more = locks.len() > usize::try_from(limit).unwrap_or_default();
    locks.truncate(usize::try_from(limit).unwrap_or_default());
    let next = locks.last().filter(|_| has_more).map(|lock| lock.id.id.simple().to_string());
    let items = LockResponse::load(&mut tx, &project, locks, now).await?;
    Ok(HttpResponse::Ok().json(Page { items, next }))
}

/// Locks an environment: for an issue, until what is deployed has its fix; or for a reason, until
/// somebody releases it.
#[utoipa::path(tag = "locks", request_body = CreateLock,
    responses((status = 201, body = LockResponse), (status = 200, body = LockResponse),
        (status = 404), (status = 422)))]
#[post("/api/v1/projects/{slug}/environments/{environment}/locks")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<CreateLock>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (project, environment) = environment_of(&api, &bearer, &path).await?;
    let subject = match body.0 {
        CreateLock {
            issue: Some(issue),
            reason: None,
            assignee: None,
            key: None,
            expires_at: None,
        } => {
            let id = issue.parse().map_err(ApiError::invalid)?;
            let mut tx = api.store.read().await?;
            Subject::Issue(locks::issue_of(&mut tx, &project, id).await?.id)
        }
        CreateLock { issue: Some(_), .. } => {
            let detail = "an issue's lock has no reason, assignee, key or expiry of its own";
            return Err(ApiError::invalid(detail));
        }
        CreateLock { issue: None, reason, assignee, key, expires_at } => {
            check_assignee(assignee.as_deref())?;
            let reason = reason.map(|text| text.trim().to_owned()).unwrap_or_default();
            Subject::Manual { reason, assignee, key, expires_at }
        }
    };
    let (lock, is_new) =
        locks::lock(&api.repositories, &project, &environment, subject, bearer.actor()).await?;
    let response = answer(&api, &project, lock.id).await?;
    let mut status = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(status.json(response))
}

fn check_assignee(assignee: Option<&str>) -> Result<(), ApiError> {
    let is_usable = |name: &str| (1..=MOST_ASSIGNEE_CHARS).contains(&name.trim().chars().count());
    if assignee.is_none_or(is_usable) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("assignee must have 1 to {MOST_ASSIGNEE_CHARS} characters")))
}

fn reason_of(body: ReleaseLock) -> Result<String, ApiError> {
    let reason = body.reason.unwrap_or_default();
    if reason.chars().count() > MOST_REASON_CHARS {
        return Err(ApiError::invalid(format!(
            "reason has at most {MOST_REASON_CHARS} characters"
        )));
    }
    Ok(reason)
}

/// One lock, with what was said about it.
#[utoipa::path(tag = "locks", responses((status = 200, body = LockResponse), (status = 404)))]
#[get("/api/v1/locks/{id}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let (project, lock) = lock_of(&api, &bearer, &id).await?;
    Ok(HttpResponse::Ok().json(answer(&api, &project, lock.id).await?))
}

/// Releases a lock.
#[utoipa::path(tag = "locks", request_body = ReleaseLock,
    responses((status = 200, body = LockResponse), (status = 404)))]
#[delete("/api/v1/locks/{id}")]
pub(super) async fn release(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    body: Json<ReleaseLock>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let reason = reason_of(body.0)?;
    let (project, lock) = lock_of(&api, &bearer, &id).await?;
    locks::release(&api.repositories, &lock, &reason, bearer.actor()).await?;
    Ok(HttpResponse::Ok().json(answer(&api, &project, lock.id).await?))
}

/// Releases the lock of a key.
#[utoipa::path(tag = "locks", params(KeyQuery), request_body = ReleaseLock,
    responses((status = 200, body = LockResponse), (status = 404)))]
#[delete("/api/v1/projects/{slug}/environments/{environment}/locks")]
pub(super) async fn release_key(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    query: Query<KeyQuery>,
    body: Json<ReleaseLock>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let reason = reason_of(body.0)?;
    let (project, environment) = environment_of(&api, &bearer, &path).await?;
    let key = query.0.key;
    let found = {
        let mut tx = api.store.read().await?;
        tx.find_lock_by_key(project.id, &environment.name, &key).await?
    };
    let missing = || ApiError::not_found(format!("an active lock with the key {key:?}"));
    let lock = found.ok_or_else(missing)?;
    locks::release(&api.repositories, &lock, &reason, bearer.actor()).await?;
    Ok(HttpResponse::Ok().json(answer(&api, &project, lock.id).await?))
}

/// Says something about a lock.
#[utoipa::path(tag = "locks", request_body = CommentLock,
    responses((status = 200, body = LockResponse), (status = 404), (status = 422)))]
#[post("/api/v1/locks/{id}/comment")]
pub(super) async fn comment(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    body: Json<CommentLock>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let text = body.0.text;
    if text.trim().is_empty() || text.chars().count() > MOST_COMMENT_CHARS {
        let detail = format!("text must have 1 to {MOST_COMMENT_CHARS} characters");
        return Err(ApiError::invalid(detail));
    }
    let (project, lock) = lock_of(&api, &bearer, &id).await?;
    locks::comment(&api.repositories, &lock, text, bearer.actor()).await?;
    Ok(HttpResponse::Ok().json(answer(&api, &project, lock.id).await?))
}

/// Gives a lock to somebody.
#[utoipa::path(tag = "locks", request_body = AssignLock,
    responses((status = 200, body = LockResponse), (status = 404), (status = 409), (status = 422)))]
#[post("/api/v1/locks/{id}/assign")]
pub(super) async fn assign(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    body: Json<AssignLock>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    check_assignee(body.0.to.as_deref())?;
    let (project, lock) = lock_of(&api, &bearer, &id).await?;
    if lock.issue().is_some() {
        return Err(ApiError::invalid("this is an issue's lock: assign the issue"));
    }
    locks::assign(&api.repositories, &lock, body.0.to).await?;
    Ok(HttpResponse::Ok().json(answer(&api, &project, lock.id).await?))
}

/// The active locks of an issue, for its page.
pub(super) async fn of_issue(
    tx: &mut Tx,
    project: &Project,
    issue: crate::domain::id::IssueId,
) -> Result<Vec<serde_json::Value>, ApiError> {
    let locks = tx.list_locks_of(project.id, issue).await?;
    let active = locks.into_iter().filter(|lock| lock.released.is_none());
    let shown = active.map(
        |lock| serde_json::json!({ "id": lock.id.to_string(), "environment": lock.environment }),
    );
    Ok(shown.collect())
}
