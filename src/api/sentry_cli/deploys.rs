//! Deploys of a release.

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Call, Refused};
use crate::api::environments::environment_in;
use crate::domain::deploy::Over;
use crate::domain::deploy::{Deploy, DeployStatus, Wish};
use crate::domain::time::Timestamp;
use crate::release::announced::deployed;

/// So many deploys are listed, the latest first.
const MOST_LISTED: i64 = 100;

/// A deploy that is over.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DeployBody {
    environment: Option<String>,
    projects: Option<Vec<String>>,
    url: Option<String>,
    date_started: Option<Timestamp>,
    date_finished: Option<Timestamp>,
}

fn shown(deploy: &Deploy) -> Value {
    json!({
        "id": deploy.id.to_string(),
        "environment": deploy.environment,
        "name": format!("deploy {}", deploy.number),
        "url": deploy.url,
        "dateStarted": deploy.started_at,
        "dateFinished": deploy.finished_at,
    })
}

/// `deploys new`: recorded as succeeded, without asking the gate.
pub(super) async fn create(call: Call, body: Body<DeployBody>) -> Result<HttpResponse, Refused> {
    let body = body.0;
    let version = &call.place.version;
    let projects = call.projects(&body.projects.unwrap_or_default(), Some(version)).await?;
    let name = body.environment.unwrap_or_default();
    // All of them are there before anything is recorded.
    let environments: Result<Vec<_>, _> =
        projects.iter().map(|project| environment_in(project, &name)).collect();
    let mut first = None;
    for (project, environment) in projects.iter().zip(environments?) {
        let over = Over {
            has_succeeded: true,
            started_at: body.date_started,
            finished_at: body.date_finished,
            exit_code: None,
        };
        let wish = Wish { url: body.url.clone(), ..Wish::default() };
        let there = (project, environment);
        let deploys =
            deployed(&call.api.repositories, there, version, (wish, over), call.actor()).await?;
        first = first.or_else(|| deploys.first().map(shown));
    }
    Ok(HttpResponse::Created().json(first))
}

/// `deploys list`.
pub(super) async fn list(call: Call) -> Result<HttpResponse, Refused> {
    let version = &call.place.version;
    let project = call.project(Some(version)).await?;
    let mut tx = call.api.store.read().await?;
    let deploys = tx.list_deploys_of_release(project.id, version, MOST_LISTED).await?;
    let succeeded = deploys.iter().filter(|one| one.status == DeployStatus::Succeeded);
    Ok(HttpResponse::Ok().json(succeeded.map(shown).collect::<Vec<Value>>()))
}
