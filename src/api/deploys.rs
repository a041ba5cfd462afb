//! Deploys: started, heard of, ended, recorded.

use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Bearer;
use super::environments::{environment_of, item_of};
use super::extract::{Json, Query, bytes};
use super::gate::{GateResponse, asked, read_locks};
use super::page::{Page, PageQuery, page};
use super::tasks::TaskReference;
use super::{Api, ApiError, Code};
use crate::domain::commit::Sha;
use crate::domain::deploy::{
    Deploy, DeployStatus, InvalidDeploy, MOST_CHUNK_BYTES, MOST_OUTPUT_BYTES, Over, Wish,
};
use crate::domain::effect::Subject;
use crate::domain::gate::{BlockerKind, Judgement, Kind};
use crate::domain::project::{Environment, Project};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::release::deploys::{self, DeployError};
use crate::release::fixes::NamedCommit;

/// A deploy that starts, or one that is over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateDeploy {
    /// 7 to 40 hexadecimal digits.
    commit: String,
    /// The repository's name, where the commit alone does not tell.
    repository: Option<String>,
    /// The release it is called; its events are told by it.
    version: Option<String>,
    /// Where there is more about it.
    url: Option<String>,
    /// Who runs it; the token's name by default.
    by: Option<String>,
    /// It counts as lost when it is silent for longer: 60 to 86400, 600 by default.
    lease_seconds: Option<u32>,
    /// Why locks, freezes and an unknown verdict are to be passed.
    r#override: Option<String>,
    /// Chosen by the client: the same again with the same key is the same deploy, so that a lost
    /// answer costs nothing.
    key: Option<String>,
    /// Of a deploy that is over: `succeeded` or `failed`. It is recorded without asking the gate.
    #[schema(value_type = Option<String>)]
    status: Option<DeployStatus>,
    /// Of a deploy that is over.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// Of a deploy that is over.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Of a deploy that is over.
    exit_code: Option<i32>,
}

/// How a deploy ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishDeploy {
    /// `succeeded` or `failed`.
    #[schema(value_type = String)]
    status: DeployStatus,
    /// What its command said.
    exit_code: Option<i32>,
    /// When, if it was not just now.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// Nothing to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NothingMore {}

/// Where output begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OffsetQuery {
    /// In bytes from the beginning of all output.
    offset: Option<u64>,
}

/// Which deploys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeploysQuery {
    /// Only of this environment.
    environment: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A deploy.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeployResponse {
    id: String,
    /// Counted within the project.
    number: i64,
    project: String,
    environment: String,
    #[schema(value_type = String)]
    commit: Sha,
    repository: Option<String>,
    version: Option<String>,
    url: Option<String>,
    by: String,
    /// `running`, `succeeded`, `failed` or `lost`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    exit_code: Option<i32>,
    /// Whether the gate was asked.
    gated: bool,
    /// Why the gate was overridden.
    r#override: Option<String>,
    /// What the gate said when it started.
    #[schema(value_type = Option<Object>)]
    gate: Option<Judgement>,
    lease_seconds: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    lease_until: Option<Timestamp>,
    /// How many bytes it put out.
    output_bytes: u64,
    /// Since when that is not kept any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    output_gone_at: Option<Timestamp>,
    /// Issues it resolved.
    resolved: Vec<String>,
    /// Locks it released.
    released_locks: Vec<String>,
    /// Issues whose fixes it took back.
    taken_back: Vec<String>,
    /// The task that stands for it; only where deploys are asked for.
    task: Option<TaskReference>,
}

async fn response(
    api: &Api,
    project: &Project,
    deploys: Vec<Deploy>,
) -> Result<Vec<DeployResponse>, ApiError> {
    let mut tx = api.store.read().await?;
    let names = super::releases::names(&mut tx, project).await?;
    let subjects: Vec<Subject> =
        deploys.iter().map(|deploy| Subject::Deploy(deploy.id.id)).collect();
    let mut tasks = tx.list_tasks_of(project.id, &subjects).await?;
    let shown = |deploy: Deploy| {
        let task = tasks.remove(&Subject::Deploy(deploy.id.id)).map(TaskReference::from);
        let outcome = deploy.outcome.unwrap_or_default();
        DeployResponse {
            id: deploy.id.to_string(),
            number: deploy.number,
            project: project.slug.clone(),
            environment: deploy.environment,
            commit: deploy.sha,
            repository: deploy.repository.and_then(|id| names.get(&id).cloned()),
            version: deploy.version,
            url: deploy.url,
            by: deploy.by,
            status: deploy.status.as_str(),
            started_at: deploy.started_at,
            finished_at: deploy.finished_at,
            exit_code: deploy.exit_code,
            gated: deploy.is_gated,
            r#override: deploy.override_reason,
            gate: deploy.gate,
            lease_seconds: deploy.lease_seconds,
            lease_until: deploy.lease_until,
            output_bytes: deploy.n_output,
            output_gone_at: deploy.output_gone_at,
            resolved: outcome.resolved,
            released_locks: outcome.released_locks,
            taken_back: outcome.taken_back,
            task,
        }
    };
    Ok(deploys.into_iter().map(shown).collect())
}

/// The answer to who starts or ends a deploy: the same to the same, so without its task, which follows.
fn said(deploy: DeployResponse) -> DeployResponse {
    DeployResponse { task: None, ..deploy }
}

async fn one(api: &Api, project: &Project, deploy: Deploy) -> Result<DeployResponse, ApiError> {
    let shown = response(api, project, vec![deploy]).await?;
    shown.into_iter().next().ok_or_else(|| ApiError::not_found("the deploy"))
}

/// Starts a deploy if the gate lets it, or records one that is over.
#[utoipa::path(tag = "deploys", request_body = CreateDeploy,
    responses((status = 201, body = DeployResponse), (status = 404), (status = 409),
        (status = 422)))]
#[post("/api/v1/projects/{slug}/environments/{environment}/deploys")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    body: Json<CreateDeploy>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let wanted = body.0;
    if wanted.r#override.is_some() {
        bearer.require(Scope::Override)?;
    }
    let (project, environment) = environment_of(&api, &bearer, &path).await?;
    let named = NamedCommit { commit: wanted.commit, repository: wanted.repository };
    let wish = Wish {
        version: wanted.version,
        url: wanted.url,
        by: wanted.by,
        lease_seconds: wanted.lease_seconds,
        override_reason: wanted.r#override,
        key: wanted.key,
    };
    let there = (&project, &environment);
    let deploy = match wanted.status {
        Some(status) => {
            let over = Over {
                has_succeeded: succeeded(status)?,
                started_at: wanted.started_at,
                finished_at: wanted.finished_at,
                exit_code: wanted.exit_code,
            };
            deploys::record(&api.repositories, there, &named, wish, over, bearer.actor()).await?
        }
        None if wanted.started_at.is_some() || wanted.finished_at.is_some() => {
            return Err(ApiError::invalid(InvalidDeploy::TimesWithoutStatus));
        }
        None => {
            let locks_unread = read_locks(&api, there).await?;
            let asked = asked(&api, there, &named, locks_unread);
            match deploys::start(&api.repositories, &asked, wish, bearer.actor()).await {
                Ok(deploy) => deploy,
                Err(DeployError::Refused(answered)) => {
                    return Err(refused(&api, there, *answered, &named).await?);
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    Ok(HttpResponse::Created().json(said(one(&api, &project, deploy).await?)))
}

fn succeeded(status: DeployStatus) -> Result<bool, ApiError> {
    match status {
        DeployStatus::Succeeded => Ok(true),
        DeployStatus::Failed => Ok(false),
        DeployStatus::Running | DeployStatus::Lost => Err(ApiError::invalid(InvalidDeploy::Status)),
    }
}

/// The gate's no as an error, with the verdict.
async fn refused(
    api: &Api,
    there: (&Project, &Environment),
    answered: crate::domain::gate::Answered,
    named: &NamedCommit,
) -> Result<ApiError, ApiError> {
    let judgement = &answered.judgement;
    let is_running = judgement.blockers.iter().any(|one| one.kind == BlockerKind::DeployRunning);
    let code = match judgement.verdict {
        _ if is_running => Code::DeployRunning,
        Kind::Blocked | Kind::Clear => Code::GateBlocked,
        Kind::Unknown => Code::GateUnknown,
    };
    let detail = DeployError::Refused(Box::new(answered.clone())).to_string();
    let gate = GateResponse::new(api, there, answered, named).await?;
    let gate = serde_json::to_value(gate).unwrap_or_default();
    Ok(ApiError::new(code, detail).with("gate", gate))
}

/// The deploys of a project, the newest first.
#[utoipa::path(tag = "deploys", params(DeploysQuery),
    responses((status = 200, body = Page<DeployResponse>), (status = 404)))]
#[get("/api/v1/projects/{slug}/deploys")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<DeploysQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let DeploysQuery { environment, limit, cursor } = query.0;
    let query = PageQuery { limit, cursor };
    let limit = query.limit()?;
    let before = query.after(|text| text.parse::<i64>().ok())?.unwrap_or(i64::MAX);
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    // One that is gone or was never there has its deploys all the same.
    let name = environment
        .map(|name| project.environment(&name).map_or(name.clone(), |known| known.name.clone()));
    let found = tx.list_deploys(project.id, name.as_deref(), before, limit + 1).await?;
    drop(tx);
    let numbers: Vec<i64> = found.iter().map(|deploy| deploy.number).collect();
    let shown = response(&api, &project, found).await?;
    let rows: Vec<(i64, DeployResponse)> = numbers.into_iter().zip(shown).collect();
    let cursor = |(number, _): &(i64, DeployResponse)| number.to_string();
    Ok(HttpResponse::Ok().json(page(rows, limit, cursor, |(_, deploy)| deploy)))
}

/// A deploy.
#[utoipa::path(tag = "deploys", responses((status = 200, body = DeployResponse), (status = 404)))]
#[get("/api/v1/deploys/{id}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require_any(&[Scope::Read, Scope::Deploy])?;
    let (project, item) = item_of(&api, &bearer, "deploy", &id).await?;
    let found = api.store.read().await?.find_deploy(item).await?;
    let deploy = found.ok_or_else(|| missing(&id))?;
    Ok(HttpResponse::Ok().json(one(&api, &project, deploy).await?))
}

/// The answer about a deploy that a request of its own changed.
async fn changed(
    api: &Api,
    project: &Project,
    id: &str,
    deploy: Option<Deploy>,
) -> Result<DeployResponse, ApiError> {
    Ok(said(one(api, project, deploy.ok_or_else(|| missing(id))?).await?))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("deploy {id:?}"))
}

/// What a deploy put out, from an offset on. What is long comes in parts: the header `Next-Offset` says
/// where to go on.
#[utoipa::path(tag = "deploys", params(OffsetQuery),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404),
        (status = 410)))]
#[get("/api/v1/deploys/{id}/output")]
pub(super) async fn output(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    query: Query<OffsetQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require_any(&[Scope::Read, Scope::Deploy])?;
    let (_, item) = item_of(&api, &bearer, "deploy", &id).await?;
    let from = query.0.offset.unwrap_or_default();
    let mut tx = api.store.read().await?;
    let deploy = tx.find_deploy(item).await?.ok_or_else(|| missing(&id))?;
    if let Some(at) = deploy.output_gone_at {
        let detail = format!(
            "the output of deploy {} was given up at {at}, after the project's retention_days",
            deploy.number
        );
        return Err(ApiError::new(Code::OutputGone, detail));
    }
    let mut text = String::new();
    let mut next = from;
    for (start, piece) in tx.list_output(item, from).await? {
        let end = start + piece.len() as u64;
        if end <= next {
            continue;
        }
        let mut skip = usize::try_from(next.saturating_sub(start)).unwrap_or_default();
        while !piece.is_char_boundary(skip) {
            skip += 1;
        }
        text.push_str(piece.get(skip..).unwrap_or_default());
        next = end;
    }
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("Next-Offset", next.to_string()))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(text))
}

/// Adds to what a deploy put out, at an offset: the same again adds nothing. It renews the lease.
#[utoipa::path(tag = "deploys", params(OffsetQuery),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = DeployResponse), (status = 404), (status = 409),
        (status = 413)))]
#[post("/api/v1/deploys/{id}/output")]
pub(super) async fn append(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    query: Query<OffsetQuery>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (project, item) = item_of(&api, &bearer, "deploy", &id).await?;
    let body: Bytes = bytes(payload.into_inner(), MOST_CHUNK_BYTES).await?.into();
    let text = std::str::from_utf8(&body).map_err(|_| {
        ApiError::new(Code::Malformed, "output is text in UTF-8, cut between characters")
    })?;
    // A zero byte is nothing that a database keeps in a text.
    let text = text.replace('\0', " ");
    let added = deploys::output(&api.repositories, item, (query.0.offset, &text)).await?;
    let shown = changed(&api, &project, &id, added).await?;
    let mut answer = HttpResponse::Ok();
    if shown.output_bytes >= MOST_OUTPUT_BYTES {
        answer.insert_header(("Output-Limit", MOST_OUTPUT_BYTES.to_string()));
    }
    Ok(answer.json(shown))
}

/// A deploy is still under way.
#[utoipa::path(tag = "deploys", request_body = NothingMore,
    responses((status = 200, body = DeployResponse), (status = 404), (status = 409)))]
#[post("/api/v1/deploys/{id}/heartbeat")]
pub(super) async fn heartbeat(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    _body: Json<NothingMore>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (project, item) = item_of(&api, &bearer, "deploy", &id).await?;
    let deploy = deploys::heartbeat(&api.repositories, item).await?;
    Ok(HttpResponse::Ok().json(changed(&api, &project, &id, deploy).await?))
}

/// A deploy is given up: its slot is free.
#[utoipa::path(tag = "deploys", request_body = NothingMore,
    responses((status = 200, body = DeployResponse), (status = 404), (status = 409)))]
#[post("/api/v1/deploys/{id}/abandon")]
pub(super) async fn abandon(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    _body: Json<NothingMore>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (project, item) = item_of(&api, &bearer, "deploy", &id).await?;
    let deploy = deploys::abandon(&api.repositories, item).await?;
    Ok(HttpResponse::Ok().json(changed(&api, &project, &id, deploy).await?))
}

/// A deploy is over. The same again gives the same answer.
#[utoipa::path(tag = "deploys", request_body = FinishDeploy,
    responses((status = 200, body = DeployResponse), (status = 404), (status = 409),
        (status = 422)))]
#[post("/api/v1/deploys/{id}/finish")]
pub(super) async fn finish(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
    body: Json<FinishDeploy>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Deploy)?;
    let (project, item) = item_of(&api, &bearer, "deploy", &id).await?;
    let FinishDeploy { status, exit_code, finished_at } = body.0;
    let has_succeeded = succeeded(status)?;
    let over = Over { has_succeeded, started_at: None, finished_at, exit_code };
    let deploy = deploys::finish(&api.repositories, &project, item, over).await?;
    Ok(HttpResponse::Ok().json(changed(&api, &project, &id, deploy).await?))
}
