//! Use cases on projects and their keys.
//!
//! *Invariant*: whoever changes a key changes it in the store and then in [`Keys`], so that intake
//! on this node knows at once; other nodes learn it within seconds.

use crate::auth::keys::Keys;
use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::project::{
    Environment, InvalidProject, Project, ProjectKey, Settings, check_environments, check_name,
    check_prefix, check_slug, environments,
};
use crate::store::{Store, StoreError};

/// Why something could not be done with a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidProject),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A project that is to be made.
#[derive(Debug, Clone, Default)]
pub struct NewProject {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people; the slug by default.
    pub name: Option<String>,
    /// What its short ids begin with; the slug in capitals by default.
    pub prefix: Option<String>,
    /// Its stages in deploy order; beta and production by default.
    pub environments: Option<Vec<String>>,
    /// The stage where a fix completes its issue; the first by default.
    pub complete_in: Option<String>,
}

/// Makes a project with its first key.
///
/// # Errors
/// [`ProjectError`]: a name that cannot be used, or is taken.
pub async fn create(
    store: &Store,
    clock: &Clock,
    keys: &Keys,
    new: NewProject,
) -> Result<(Project, ProjectKey), ProjectError> {
    check_slug(&new.slug)?;
    let prefix = new.prefix.unwrap_or_else(|| new.slug.to_uppercase());
    check_prefix(&prefix)?;
    let name = new.name.unwrap_or_else(|| new.slug.clone());
    check_name(&name)?;
    let names =
        new.environments.unwrap_or_else(|| vec!["beta".to_owned(), "production".to_owned()]);
    let mut project = Project {
        id: ProjectId(0),
        slug: new.slug,
        name: name.trim().to_owned(),
        prefix,
        settings: Settings::default(),
        created_at: clock.now(),
        environments: environments(&names, new.complete_in.as_deref())?,
    };
    let mut tx = store.write().await?;
    project.id = tx.insert_project(&project).await?;
    let key = new_key(clock, project.id, "default".to_owned());
    tx.insert_key(&key).await?;
    tx.commit().await?;
    keys.put(key.clone());
    Ok((project, key))
}

/// Writes name, settings and environments of a project.
///
/// # Errors
/// [`ProjectError`] names what is wrong.
pub async fn update(store: &Store, project: &Project) -> Result<(), ProjectError> {
    check_name(&project.name)?;
    check_environments(&project.environments)?;
    let mut tx = store.write().await?;
    tx.update_project(project).await?;
    Ok(tx.commit().await?)
}

/// Applies a wish for the environments of a project: names in deploy order, or whole descriptions.
///
/// # Errors
/// [`InvalidProject`] names what is wrong.
pub fn with_environments(
    mut project: Project,
    wanted: Option<Vec<Environment>>,
    complete_in: Option<&str>,
) -> Result<Project, InvalidProject> {
    if let Some(wanted) = wanted {
        project.environments = wanted;
    }
    check_environments(&project.environments)?;
    if let Some(name) = complete_in {
        if !project.environments.iter().any(|one| one.name.eq_ignore_ascii_case(name)) {
            return Err(InvalidProject::CompleteIn(name.to_owned()));
        }
        for environment in &mut project.environments {
            environment.completes = environment.name.eq_ignore_ascii_case(name);
        }
    }
    if !project.environments.iter().any(|one| one.completes)
        && let Some(first) = project.environments.first_mut()
    {
        first.completes = true;
    }
    Ok(project)
}

/// Deletes a project with everything in it.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn delete(store: &Store, keys: &Keys, id: ProjectId) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    tx.delete_project(id).await?;
    tx.commit().await?;
    keys.remove(|key| key.project_id == id);
    Ok(())
}

/// A key nobody has yet: 128 random bits in hex.
fn new_key(clock: &Clock, project_id: ProjectId, label: String) -> ProjectKey {
    let bytes: [u8; 16] = clock.random();
    ProjectKey {
        public_key: bytes.iter().fold(String::new(), |key, byte| format!("{key}{byte:02x}")),
        project_id,
        label,
        is_trusted: true,
        is_active: true,
        origins: Vec::new(),
        created_at: clock.now(),
    }
}

/// Makes a key for a project.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn create_key(
    store: &Store,
    clock: &Clock,
    keys: &Keys,
    project: ProjectId,
    (label, is_trusted, origins): (String, bool, Vec<String>),
) -> Result<ProjectKey, StoreError> {
    let key = ProjectKey { is_trusted, origins, ..new_key(clock, project, label) };
    let mut tx = store.write().await?;
    tx.insert_key(&key).await?;
    tx.commit().await?;
    keys.put(key.clone());
    Ok(key)
}

/// Writes a key.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn update_key(store: &Store, keys: &Keys, key: ProjectKey) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    tx.update_key(&key).await?;
    tx.commit().await?;
    keys.put(key);
    Ok(())
}

/// Deletes a key; says whether there was one.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn delete_key(
    store: &Store,
    keys: &Keys,
    project: ProjectId,
    public_key: &str,
) -> Result<bool, StoreError> {
    let mut tx = store.write().await?;
    let is_gone = tx.delete_key(project, public_key).await?;
    tx.commit().await?;
    keys.remove(|key| key.public_key == public_key && key.project_id == project);
    Ok(is_gone)
}
