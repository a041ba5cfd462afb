//! Deploys as Airbrake's clients announce them.
//!
//! Errors are `{"message": …}`. The protocol is not ours, so it is not part of `/openapi.json`.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER};
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use serde::Deserialize;
use serde_json::json;

use super::auth::{Bearer, bearer_in};
use super::environments::environment_in;
use super::extract::{Query, json_of};
use super::{Api, ApiError};
use crate::domain::token::Scope;
use crate::release::announced::{Announced, deployed_as};

/// The largest body, in bytes.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// Where a client may put its token, beside the header.
#[derive(Debug, Deserialize)]
struct KeyQuery {
    key: Option<String>,
}

/// A deploy that is over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeployBody {
    environment: Option<String>,
    username: Option<String>,
    repository: Option<String>,
    revision: Option<String>,
    version: Option<String>,
}

/// The calls.
pub(super) fn routes(config: &mut ServiceConfig) {
    const DEPLOYS: [&str; 2] =
        ["/api/v4/projects/{project}/deploys", "/api/v4/projects/{project}/deploys/"];
    config.service(web::resource(DEPLOYS).post(create));
}

/// Records a deploy as succeeded, without asking the gate.
async fn create(
    api: Data<Api>,
    request: HttpRequest,
    project: Path<String>,
    query: Query<KeyQuery>,
    payload: Payload,
) -> HttpResponse {
    let created = async {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = header.and_then(bearer_in).or(query.0.key.as_deref());
        let bearer = Bearer::of(&api, secret).await?;
        bearer.require(Scope::Deploy)?;
        let body = json_of(payload.into_inner(), MOST_BODY_BYTES).await?;
        record(&api, &bearer, &project, body).await
    };
    created.await.unwrap_or_else(|error: ApiError| refused(&error))
}

async fn record(
    api: &Api,
    bearer: &Bearer,
    project: &str,
    body: DeployBody,
) -> Result<HttpResponse, ApiError> {
    let project = {
        let mut tx = api.store.read().await?;
        bearer.project(&mut tx, project).await?
    };
    let environment = environment_in(&project, body.environment.as_deref().unwrap_or_default())?;
    let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let announced = Announced {
        revision: said(body.revision),
        version: said(body.version),
        repository: said(body.repository),
        by: said(body.username),
    };
    let there = (&project, environment);
    let deploys = deployed_as(&api.repositories, there, announced, bearer.actor()).await?;
    let first = deploys.first();
    Ok(HttpResponse::Created().json(json!({
        "id": first.map(|deploy| deploy.id.to_string()),
        "environment": environment.name,
        "username": first.map(|deploy| &deploy.by),
        "revision": first.map(|deploy| deploy.sha),
        "version": first.and_then(|deploy| deploy.version.as_ref()),
    })))
}

fn refused(error: &ApiError) -> HttpResponse {
    let status = error.status_code();
    let mut response = HttpResponse::build(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((RETRY_AFTER, "5"));
    }
    response.json(json!({ "message": error.to_string() }))
}
