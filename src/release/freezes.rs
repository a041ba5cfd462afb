//! Freezes of environments: made and removed.

use super::repositories::Repositories;
use crate::domain::freeze::{Freeze, InvalidFreeze, MOST_FREEZES, WishedFreeze};
use crate::domain::id::ProjectItemId;
use crate::domain::project::{Environment, Project};
use crate::store::StoreError;
use crate::store::freeze::StoredFreeze;

/// Why there is no freeze.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// What is wanted makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidFreeze),
    /// It is to wait for what is not there.
    #[error("before_environment: the project has no {0:?}")]
    NoEnvironment(String),
    /// It is to wait for itself.
    #[error("before_environment must be another environment")]
    SameEnvironment,
    /// There are many already.
    #[error("an environment has at most {MOST_FREEZES} freezes; remove one")]
    TooMany,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Closes an environment at times.
///
/// # Errors
/// [`FreezeError`].
pub async fn freeze(
    repositories: &Repositories,
    project: &Project,
    environment: &Environment,
    mut wish: WishedFreeze,
    owner: &str,
) -> Result<StoredFreeze, FreezeError> {
    if let Some(other) = wish.before_environment.take() {
        let Some(found) = project.environment(&other) else {
            return Err(FreezeError::NoEnvironment(other));
        };
        if found.name == environment.name {
            return Err(FreezeError::SameEnvironment);
        }
        wish.before_environment = Some(found.name.clone());
    }
    let new = StoredFreeze {
        id: ProjectItemId { project: project.id, id: repositories.clock().id() },
        environment: environment.name.clone(),
        freeze: Freeze::try_from(wish)?,
        owner: owner.to_owned(),
        created_at: repositories.now(),
    };
    let mut tx = repositories.store().write().await?;
    // Whoever freezes the same environment waits here.
    tx.raise_gate(project.id, &environment.name).await?;
    if tx.list_freezes(project.id, &environment.name).await?.len() >= MOST_FREEZES {
        return Err(FreezeError::TooMany);
    }
    tx.insert_freeze(&new).await?;
    tx.commit().await?;
    Ok(new)
}

/// Removes a freeze; false when there is none.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn unfreeze(
    repositories: &Repositories,
    environment: &Environment,
    id: ProjectItemId,
) -> Result<bool, StoreError> {
    let mut tx = repositories.store().write().await?;
    tx.raise_gate(id.project, &environment.name).await?;
    if !tx.delete_freeze(id, &environment.name).await? {
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}
