//! What environments, deploys and locks share: finding them.

use super::auth::Bearer;
use super::{Api, ApiError};
use crate::domain::id::ProjectItemId;
use crate::domain::project::{Environment, Project};

/// A project and one of its environments, by name or alias.
pub(super) async fn environment_of(
    api: &Api,
    bearer: &Bearer,
    (slug, name): &(String, String),
) -> Result<(Project, Environment), ApiError> {
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, slug).await?;
    let environment = project.environment(name).cloned();
    let environment =
        environment.ok_or_else(|| ApiError::not_found(format!("environment {name:?}")))?;
    Ok((project, environment))
}

/// One of the environments of a project that a body names, by name or alias; says which there are.
pub(super) fn environment_in<'a>(
    project: &'a Project,
    name: &str,
) -> Result<&'a Environment, ApiError> {
    project.environment(name).ok_or_else(|| {
        let names: Vec<&str> =
            project.environments.iter().map(|environment| environment.name.as_str()).collect();
        let detail = format!(
            "project {} has no environment {name:?}; it has {}",
            project.slug,
            names.join(", ")
        );
        ApiError::invalid(detail)
    })
}

/// An id that carries its project, and that project.
pub(super) async fn item_of(
    api: &Api,
    bearer: &Bearer,
    what: &str,
    id: &str,
) -> Result<(Project, ProjectItemId), ApiError> {
    let missing = || ApiError::not_found(format!("{what} {id:?}"));
    let id = ProjectItemId::parse(id).ok_or_else(missing)?;
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &id.project.0.to_string()).await;
    Ok((project.map_err(|_| missing())?, id))
}
