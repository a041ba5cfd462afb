//! Use cases on projects and their keys.
//!
//! *Invariant*: whoever changes a key changes it in the store and then in [`Keys`], so that intake
//! on this node knows at once; other nodes learn it within seconds.

use crate::auth::keys::Keys;
use crate::clock::Clock;
use crate::domain::filing::{FilingRules, InvalidFiling};
use crate::domain::fingerprint::settings::{GroupingRules, InvalidGrouping, WishedRules};
use crate::domain::id::ProjectId;
use crate::domain::project::{
    EnvironmentWish, InvalidProject, Project, ProjectKey, Settings, changed_environments,
    check_key, check_name, check_prefix, check_slug, environments, renamed,
};
use crate::domain::rate::RateLimit;
use crate::domain::scrub::rules::{InvalidRules, ScrubRules, tested};
use crate::store::{Store, StoreError};

/// Why something could not be done with a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidProject),
    /// The rules of grouping make no sense.
    #[error(transparent)]
    Grouping(#[from] InvalidGrouping),
    /// The rules of filing make no sense.
    #[error(transparent)]
    Filing(#[from] InvalidFiling),
    /// The rules of scrubbing make no sense.
    #[error(transparent)]
    Scrubbing(#[from] InvalidRules),
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

/// What is to change of a project; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ProjectChange {
    /// Its name for people.
    pub name: Option<String>,
    /// Its settings as a whole.
    pub settings: Option<Settings>,
    /// All its stages in deploy order.
    pub environments: Option<Vec<EnvironmentWish>>,
    /// The stage where a fix completes its issue.
    pub complete_in: Option<String>,
}

/// Changes a project; `None` when it is gone.
///
/// # Errors
/// [`ProjectError`] names what is wrong.
pub async fn update(
    store: &Store,
    keys: &Keys,
    id: ProjectId,
    change: ProjectChange,
) -> Result<Option<Project>, ProjectError> {
    let mut tx = store.write().await?;
    let Some(mut project) = tx.find_project_by_id(id).await? else { return Ok(None) };
    project.name = change.name.map_or(project.name, |name| name.trim().to_owned());
    check_name(&project.name)?;
    project.settings = change.settings.unwrap_or(project.settings);
    project.settings.check()?;
    let renamed =
        renamed(&project.environments, change.environments.as_deref().unwrap_or_default());
    let complete_in = change.complete_in.as_deref();
    project.environments =
        changed_environments(&project.environments, change.environments, complete_in)?;
    tx.update_project(&project).await?;
    tx.rename_environments(id, &renamed).await?;
    tx.commit().await?;
    keys.put_settings(id, project.settings.clone());
    Ok(Some(project))
}

/// Sets the rules of scrubbing of a project, once they do what their examples say; false when it is
/// gone.
///
/// # Errors
/// [`ProjectError`] names what is wrong.
///
/// # Panics
/// When testing the rules does, which is a defect.
pub async fn set_scrub_rules(
    store: &Store,
    clock: &Clock,
    id: ProjectId,
    rules: &ScrubRules,
) -> Result<bool, ProjectError> {
    // Patterns are compiled and run: not on a thread that serves.
    let own = rules.clone();
    tokio::task::spawn_blocking(move || tested(&own).map(|_| ()))
        .await
        .expect("testing rules does not panic, and the runtime runs as long as its requests")?;
    let mut tx = store.write().await?;
    if tx.find_project_by_id(id).await?.is_none() {
        return Ok(false);
    }
    tx.upsert_scrub_rules(id, rules, clock.now()).await?;
    tx.commit().await?;
    Ok(true)
}

/// Sets the rules of filing of a project; false when it is gone.
///
/// # Errors
/// [`ProjectError`] names what is wrong.
pub async fn set_filing_rules(
    store: &Store,
    clock: &Clock,
    id: ProjectId,
    rules: &FilingRules,
) -> Result<bool, ProjectError> {
    rules.check()?;
    let mut tx = store.write().await?;
    if tx.find_project_by_id(id).await?.is_none() {
        return Ok(false);
    }
    tx.upsert_filing_rules(id, rules, clock.now()).await?;
    tx.commit().await?;
    Ok(true)
}

/// Sets the rules of grouping of a project, as they are then; `None` when it is gone.
///
/// # Errors
/// [`ProjectError`] names what is wrong.
///
/// # Panics
/// When reading rules does, which is a defect.
pub async fn set_grouping_rules(
    store: &Store,
    clock: &Clock,
    id: ProjectId,
    rules: WishedRules,
) -> Result<Option<GroupingRules>, ProjectError> {
    let wished = rules.clone();
    tokio::task::spawn_blocking(move || wished.check())
        .await
        .expect("reading rules does not panic, and the runtime runs as long as its requests")?;
    let mut tx = store.write().await?;
    if tx.find_project_by_id(id).await?.is_none() {
        return Ok(None);
    }
    let now = clock.now();
    let before = tx.find_grouping_rules(id).await?.unwrap_or_default();
    let rules = rules.following(&before, now)?;
    tx.upsert_grouping_rules(id, &rules, now).await?;
    tx.commit().await?;
    Ok(Some(rules))
}

/// Deletes a project. What belonged to it is cleared away by and by.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn delete(
    store: &Store,
    clock: &Clock,
    keys: &Keys,
    id: ProjectId,
) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    tx.delete_project(id, clock.now()).await?;
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
        rate_limit: None,
        created_at: clock.now(),
    }
}

/// What is to be said of a key; what is `None` stays, or is the default of a new one.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// What it is for.
    pub label: Option<String>,
    /// Whether its reports may re-arm locks.
    pub is_trusted: Option<bool>,
    /// Whether it may report at all.
    pub is_active: Option<bool>,
    /// Where browsers may report from.
    pub origins: Option<Vec<String>>,
    /// How many reports it may send in a time.
    pub rate_limit: LimitChange,
}

/// What becomes of a limit.
#[derive(Debug, Clone, Copy, Default)]
pub enum LimitChange {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Remove,
    /// It becomes this.
    Set(RateLimit),
}

impl LimitChange {
    fn applied_to(self, limit: Option<RateLimit>) -> Option<RateLimit> {
        match self {
            Self::Keep => limit,
            Self::Remove => None,
            Self::Set(limit) => Some(limit),
        }
    }
}

impl From<Option<RateLimit>> for LimitChange {
    fn from(limit: Option<RateLimit>) -> Self {
        limit.map_or(Self::Remove, Self::Set)
    }
}

impl KeyChange {
    fn applied_to(self, mut key: ProjectKey) -> Result<ProjectKey, InvalidProject> {
        key.label = self.label.map_or(key.label, |label| label.trim().to_owned());
        key.is_trusted = self.is_trusted.unwrap_or(key.is_trusted);
        key.is_active = self.is_active.unwrap_or(key.is_active);
        key.origins = self.origins.unwrap_or(key.origins);
        key.rate_limit = self.rate_limit.applied_to(key.rate_limit);
        check_key(&key)?;
        Ok(key)
    }
}

/// Makes a key for a project.
///
/// # Errors
/// [`ProjectError`] names what is wrong.
pub async fn create_key(
    store: &Store,
    clock: &Clock,
    keys: &Keys,
    project: ProjectId,
    wanted: KeyChange,
) -> Result<ProjectKey, ProjectError> {
    let key = wanted.applied_to(new_key(clock, project, "key".to_owned()))?;
    let mut tx = store.write().await?;
    tx.insert_key(&key).await?;
    tx.commit().await?;
    keys.put(key.clone());
    Ok(key)
}

/// Changes a key of a project; `None` when there is no such key.
///
/// # Errors
/// [`ProjectError`] names what is wrong.
pub async fn update_key(
    store: &Store,
    keys: &Keys,
    project: ProjectId,
    public_key: &str,
    change: KeyChange,
) -> Result<Option<ProjectKey>, ProjectError> {
    let mut tx = store.write().await?;
    let found = tx.find_key(public_key).await?;
    let Some(key) = found.filter(|key| key.project_id == project) else { return Ok(None) };
    let key = change.applied_to(key)?;
    tx.update_key(&key).await?;
    tx.commit().await?;
    keys.put(key.clone());
    Ok(Some(key))
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
