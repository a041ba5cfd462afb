//! The gate: whether a commit may go to an environment.

use std::time::Duration;

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Bearer;
use super::environments::environment_of;
use super::extract::Query;
use super::{Api, ApiError};
use crate::domain::commit::Sha;
use crate::domain::gate::Answered;
use crate::domain::gate::Judgement;
use crate::domain::project::{Environment, Project};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::release::fixes::NamedCommit;
use crate::release::gate::{Asked, ask};
use crate::tracker::lock_list;

/// The longest wait for another verdict, in seconds.
const MOST_WAIT_SECONDS: u64 = 55;

/// Whoever waits is looked after this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GateQuery {
    /// 7 to 40 hexadecimal digits.
    commit: String,
    /// The repository's name, where the commit alone does not tell.
    repository: Option<String>,
    /// Waits so many seconds, at most 55, for a verdict whose version is not the one in `seen`.
    wait: Option<u64>,
    /// The version of the verdict that is known already.
    seen: Option<String>,
}

/// A verdict with every reason.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GateResponse {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    judgement: Judgement,
    /// Another verdict, or other reasons, have another one.
    version: String,
    project: String,
    environment: String,
    #[schema(value_type = String)]
    commit: String,
    repository: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    checked_at: Timestamp,
}

/// What the gate is asked with.
pub(super) fn asked<'a>(
    api: &'a Api,
    (project, environment): (&'a Project, &'a Environment),
    commit: &'a NamedCommit,
    locks_unread: Option<String>,
) -> Asked<'a> {
    let oldest = api.spool.status().oldest;
    let reports_wait = oldest.map(|oldest| api.clock.now().since(oldest));
    let public_url = &api.public_url;
    Asked { project, environment, commit, reports_wait, locks_unread, public_url }
}

/// Reads the locks in the tracker as they are now; says why they are not known, if they are not.
pub(super) async fn read_locks(
    api: &Api,
    (project, environment): (&Project, &Environment),
) -> Result<Option<String>, ApiError> {
    let with = (&api.store, &api.clock);
    Ok(lock_list::read(&api.trackers, with, project, &environment.name).await?)
}

impl GateResponse {
    /// A verdict as the API shows it.
    pub(super) async fn new(
        api: &Api,
        (project, environment): (&Project, &Environment),
        answered: Answered,
        named: &NamedCommit,
    ) -> Result<Self, ApiError> {
        let mut tx = api.store.read().await?;
        let repositories = super::releases::names(&mut tx, project).await?;
        let sha = answered.commit.map(|sha: Sha| sha.to_string());
        Ok(Self {
            version: answered.judgement.version(),
            judgement: answered.judgement,
            project: project.slug.clone(),
            environment: environment.name.clone(),
            commit: sha.unwrap_or_else(|| named.commit.clone()),
            repository: answered.repository.and_then(|id| repositories.get(&id).cloned()),
            checked_at: api.clock.now(),
        })
    }
}

/// Whether a commit may go to an environment, and every reason.
#[utoipa::path(tag = "deploys", params(GateQuery),
    responses((status = 200, body = GateResponse), (status = 404), (status = 422)))]
#[get("/api/v1/projects/{slug}/environments/{environment}/gate")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    path: Path<(String, String)>,
    query: Query<GateQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require_any(&[Scope::Read, Scope::Deploy])?;
    let GateQuery { commit, repository, wait, seen } = query.0;
    if wait.is_some_and(|wait| wait > MOST_WAIT_SECONDS) {
        return Err(ApiError::invalid(format!("wait must be 0 to {MOST_WAIT_SECONDS}")));
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(wait.unwrap_or_default());
    let named = NamedCommit { commit, repository };
    // Once: who waits has what is asked regularly.
    let locks_unread = {
        let (project, environment) = environment_of(&api, &bearer, &path).await?;
        read_locks(&api, (&project, &environment)).await?
    };
    loop {
        // As they are now: who waits sees what changes.
        let (project, environment) = environment_of(&api, &bearer, &path).await?;
        let there = (&project, &environment);
        let asked = asked(&api, there, &named, locks_unread.clone());
        let answered = ask(&api.repositories, &asked).await?;
        let is_news = seen.as_ref() != Some(&answered.judgement.version());
        if is_news || tokio::time::Instant::now() + LOOK_EVERY > until {
            let response = GateResponse::new(&api, there, answered, &named).await?;
            return Ok(HttpResponse::Ok().json(response));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
