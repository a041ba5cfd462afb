//! Projects.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Bearer;
use super::extract::{Json, Query};
use super::page::{Page, PageQuery, page};
use super::releases::{CommitOfBuild, commits_of, names};
use super::{Api, ApiError};
use crate::domain::project::{
    Environment, EnvironmentWish, Project, ProjectKey, Settings, check_slug,
};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::project::{self, NewProject, ProjectChange};
use crate::protocol::dsn::Dsn;
use crate::release::landing::deployed;
use crate::store::Tx;

/// A project that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateProject {
    /// Its name in addresses: lower-case letters, digits and hyphens.
    slug: String,
    /// Its name for people.
    name: Option<String>,
    /// What its short ids begin with.
    prefix: Option<String>,
    /// Its stages in deploy order.
    environments: Option<Vec<String>>,
    /// The stage where a fix completes its issue.
    complete_in: Option<String>,
}

/// What is to change; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateProject {
    name: Option<String>,
    /// The settings as a whole.
    #[schema(value_type = Option<Object>)]
    settings: Option<Settings>,
    /// All stages in deploy order, by name or with aliases. `was` renames one.
    environments: Option<Vec<WishedEnvironment>>,
    complete_in: Option<String>,
}

/// A stage, wished for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum WishedEnvironment {
    /// By name.
    Name(String),
    /// With other names.
    Described(EnvironmentDescription),
}

/// A stage, described.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentDescription {
    name: String,
    /// Other names reports and deploys may use.
    aliases: Option<Vec<String>>,
    /// Its name until now, when it is renamed.
    was: Option<String>,
}

impl From<WishedEnvironment> for EnvironmentWish {
    fn from(wish: WishedEnvironment) -> Self {
        match wish {
            WishedEnvironment::Name(name) => Self { name, aliases: None, was: None },
            WishedEnvironment::Described(EnvironmentDescription { name, aliases, was }) => {
                Self { name, aliases, was }
            }
        }
    }
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectResponse {
    id: i64,
    slug: String,
    name: String,
    prefix: String,
    /// Where its applications report to: its first active key.
    dsn: Option<String>,
    #[schema(value_type = Object)]
    settings: Settings,
    environments: Vec<EnvironmentResponse>,
}

/// A stage of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EnvironmentResponse {
    name: String,
    position: usize,
    /// Whether a fix that arrives here completes its issue.
    complete: bool,
    aliases: Vec<String>,
    /// What is deployed there; null while no deploy is recorded.
    deployed: Option<DeployedResponse>,
}

/// What is deployed on an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeployedResponse {
    /// Of each repository, the one that was deployed last.
    commits: Vec<CommitOfBuild>,
    /// The deploy that ended last.
    deploy: String,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl ProjectResponse {
    async fn load(
        api: &Api,
        tx: &mut Tx,
        project: Project,
        keys: &[ProjectKey],
    ) -> Result<Self, ApiError> {
        let names = names(tx, &project).await?;
        let mut shown = Vec::new();
        for environment in &project.environments {
            let there = deployed(tx, &project, &environment.name).await?;
            let Some(last) = there.last else {
                shown.push(None);
                continue;
            };
            let mut commits = commits_of(&there.build, &names);
            if commits.is_empty() {
                commits.push(CommitOfBuild { repository: None, commit: last.sha });
            }
            let at = last.finished_at.unwrap_or(last.started_at);
            shown.push(Some(DeployedResponse { commits, deploy: last.id.to_string(), at }));
        }
        let mut response = Self::new(api, project, keys);
        for (environment, deployed) in response.environments.iter_mut().zip(shown) {
            environment.deployed = deployed;
        }
        Ok(response)
    }

    fn new(api: &Api, project: Project, keys: &[ProjectKey]) -> Self {
        let key = keys.iter().find(|key| key.is_active);
        let dsn = key.and_then(|key| Dsn::at(&api.public_url, &key.public_key, project.id));
        let environment = |(position, environment): (usize, Environment)| EnvironmentResponse {
            name: environment.name,
            position,
            complete: environment.completes,
            aliases: environment.aliases,
            deployed: None,
        };
        Self {
            id: project.id.0,
            slug: project.slug,
            name: project.name,
            prefix: project.prefix,
            dsn: dsn.map(|dsn| dsn.to_string()),
            settings: project.settings,
            environments: project.environments.into_iter().enumerate().map(environment).collect(),
        }
    }
}

/// Makes a project with its first key.
#[utoipa::path(tag = "projects", request_body = CreateProject,
    responses((status = 201, body = ProjectResponse), (status = 409), (status = 422)))]
#[post("/api/v1/projects")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    body: Json<CreateProject>,
) -> Result<HttpResponse, ApiError> {
    bearer.require_everywhere(Scope::Admin)?;
    let CreateProject { slug, name, prefix, environments, complete_in } = body.0;
    let new = NewProject { slug, name, prefix, environments, complete_in };
    let (project, key) = project::create(&api.store, &api.clock, &api.keys, new).await?;
    let response = ProjectResponse::new(&api, project, &[key]);
    Ok(HttpResponse::Created().json(response))
}

/// The projects the token may see, by slug.
#[utoipa::path(tag = "projects", params(PageQuery),
    responses((status = 200, body = Page<ProjectResponse>)))]
#[get("/api/v1/projects")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let limit = query.0.limit()?;
    let mut after = query
        .0
        .after(|cursor| check_slug(cursor).is_ok().then(|| cursor.to_owned()))?
        .unwrap_or_default();
    let mut tx = api.store.read().await?;
    let mut projects = Vec::new();
    loop {
        let rows = tx.list_projects(&after, limit + 1).await?;
        let is_last = i64::try_from(rows.len()).unwrap_or_default() <= limit;
        if let Some(last) = rows.last() {
            after.clone_from(&last.slug);
        }
        let covered = |project: &Project| bearer.0.token.covers(project.id);
        projects.extend(rows.into_iter().filter(covered));
        if is_last || i64::try_from(projects.len()).unwrap_or_default() > limit {
            break;
        }
    }
    let mut keys = BTreeMap::new();
    for project in &projects {
        keys.insert(project.id, tx.list_keys(project.id).await?);
    }
    let page = page(projects, limit, |project| project.slug.clone(), |project| project);
    let mut items = Vec::new();
    for project in page.items {
        let keys = keys.get(&project.id).map(Vec::as_slice).unwrap_or_default();
        items.push(ProjectResponse::load(&api, &mut tx, project, keys).await?);
    }
    Ok(HttpResponse::Ok().json(Page { items, next: page.next }))
}

/// One project.
#[utoipa::path(tag = "projects", responses((status = 200, body = ProjectResponse), (status = 404)))]
#[get("/api/v1/projects/{slug}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let keys = tx.list_keys(project.id).await?;
    let response = ProjectResponse::load(&api, &mut tx, project, &keys).await?;
    Ok(HttpResponse::Ok().json(response))
}

/// Changes a project.
#[utoipa::path(tag = "projects", request_body = UpdateProject,
    responses((status = 200, body = ProjectResponse), (status = 404), (status = 422)))]
#[patch("/api/v1/projects/{slug}")]
pub(super) async fn update(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    body: Json<UpdateProject>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let (project, keys) = {
        let mut tx = api.store.read().await?;
        let project = bearer.project(&mut tx, &slug).await?;
        let keys = tx.list_keys(project.id).await?;
        (project, keys)
    };
    let UpdateProject { name, settings, environments, complete_in } = body.0;
    let environments =
        environments.map(|wishes| wishes.into_iter().map(EnvironmentWish::from).collect());
    let change = ProjectChange { name, settings, environments, complete_in };
    let project = project::update(&api.store, &api.keys, project.id, change).await?;
    let project =
        project.ok_or_else(|| ApiError::not_found(format!("project {:?}", slug.as_str())))?;
    let mut tx = api.store.read().await?;
    let response = ProjectResponse::load(&api, &mut tx, project, &keys).await?;
    Ok(HttpResponse::Ok().json(response))
}

/// Deletes a project with everything in it.
#[utoipa::path(tag = "projects", responses((status = 204), (status = 404)))]
#[delete("/api/v1/projects/{slug}")]
pub(super) async fn delete(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let project = {
        let mut tx = api.store.read().await?;
        bearer.project(&mut tx, &slug).await?
    };
    api.trackers.leave(project.id).await?;
    project::delete(&api.store, &api.clock, &api.keys, project.id).await?;
    Ok(HttpResponse::NoContent().finish())
}
