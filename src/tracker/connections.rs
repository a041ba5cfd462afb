//! The tracker of each project: set, checked and connected to.
//!
//! What uses the same address with the same token uses one line, and so keeps its limits together.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::asana::{self, Asana};
use super::built_in::BuiltIn;
use super::github::{self, GitHub};
use super::line::{Line, Service};
use super::redmine::{self, Redmine};
use super::shared::Shared;
use super::{Connect, Connection};
use crate::auth::secrets::Secrets;
use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::domain::tracker::{
    AsanaSettings, Check, ConnectionId, GitHubSettings, InvalidTracker, RedmineSettings, Secret,
    TrackerSettings, check_token, checked_url,
};
use crate::health::PartHealth;
use crate::store::lease::TRACKER;
use crate::store::tracker::StoredTracker;
use crate::store::{Store, StoreError};

/// Why a tracker was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// It makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidTracker),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The trackers of all projects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trackers {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) secrets: Secrets,
    public_url: String,
    /// The address at which others can reach the service, if that is known.
    pub(super) reached_at: Option<String>,
    /// How long a request may take.
    timeout: Duration,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    /// Those that somebody uses, or used within a minute.
    known: HashMap<ConnectionId, Arc<Shared>>,
    /// What projects used last, with its kind.
    of_projects: HashMap<ProjectId, (&'static str, Arc<Shared>)>,
}

impl Trackers {
    /// With everything that is needed: among that the address of the service for links, and the one at
    /// which others can reach it, if that is known.
    #[must_use]
    pub fn new(
        (store, clock): (Store, Clock),
        secrets: Secrets,
        (public_url, reached_at): (String, Option<String>),
        timeout: Duration,
    ) -> Self {
        Self { store, clock, secrets, public_url, reached_at, timeout, lines: Arc::default() }
    }

    /// The tracker of a project, without its token.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn get(&self, project: ProjectId) -> Result<TrackerSettings, StoreError> {
        let stored = self.store.read().await?.find_tracker(project).await?;
        Ok(stored.map_or(TrackerSettings::BuiltIn {}, |stored| stored.settings))
    }

    /// Sets the tracker of a project; without a token, it keeps the one of the same place. What waits
    /// or was refused is tried at once.
    ///
    /// # Errors
    /// [`SetError`].
    pub async fn set(
        &self,
        project: &Project,
        settings: TrackerSettings,
    ) -> Result<TrackerSettings, SetError> {
        let settings = settings.checked(project)?;
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        // Whoever is at work there finds out with the old settings nothing that holds for the new ones.
        tx.revoke_lease((project.id, TRACKER)).await?;
        let before = tx.find_tracker(project.id).await?;
        // They are made anew, by whoever the token is of then.
        let (hooks, maker) = (tx.take_hooks(project.id).await?, before.clone());
        match &settings {
            TrackerSettings::BuiltIn {} => tx.delete_tracker(project.id).await?,
            TrackerSettings::Asana(AsanaSettings { token, .. })
            | TrackerSettings::Redmine(RedmineSettings { token, .. })
            | TrackerSettings::GitHub(GitHubSettings { token, .. }) => {
                let token = match (token, before) {
                    (Some(token), _) => self.secrets.seal(&owner(project.id, &settings), &token.0),
                    (None, Some(before)) if before.settings.place() == settings.place() => {
                        before.token
                    }
                    (None, _) => return Err(InvalidTracker::NoToken.into()),
                };
                let stored = StoredTracker { settings: settings.clone(), token };
                tx.upsert_tracker(project.id, &stored, now).await?;
            }
        }
        tx.wake_lanes(project.id, now).await?;
        tx.retry_effects(project.id, now).await?;
        tx.commit().await?;
        self.end_hooks(project.id, maker, &hooks).await;
        Ok(settings)
    }

    /// Looks whether the tracker of a project works. What waits for that or was refused is tried at once then.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn check(&self, project: &Project) -> Result<Vec<Check>, StoreError> {
        let connection = self.connect(project).await?;
        let mut checks = match &connection {
            Connection::BuiltIn(_) => {
                let detail = "part of Airlock".to_owned();
                vec![Check { name: "tracker".to_owned(), ok: true, detail, hint: None }]
            }
            Connection::Asana(asana) => asana.check().await,
            Connection::Redmine(redmine) => redmine.check().await,
            Connection::GitHub(github) => github.check().await,
        };
        if checks.iter().all(|check| check.ok) {
            let mut tx = self.store.write().await?;
            tx.wake_lanes(project.id, self.clock.now()).await?;
            tx.retry_effects(project.id, self.clock.now()).await?;
            tx.commit().await?;
        }
        // Nothing waits for those.
        match &connection {
            Connection::Asana(asana) if checks.first().is_some_and(|token| token.ok) => {
                checks.extend(self.check_hooks(project, asana).await?);
            }
            Connection::Asana(_)
            | Connection::BuiltIn(_)
            | Connection::Redmine(_)
            | Connection::GitHub(_) => {}
        }
        Ok(checks)
    }

    /// Asana with a token that is not kept, to look what there is.
    ///
    /// # Errors
    /// [`InvalidTracker`].
    pub fn asana(&self, url: &str, token: &Secret) -> Result<Asana, InvalidTracker> {
        check_token(token)?;
        let settings = AsanaSettings {
            url: checked_url(url)?,
            token: None,
            issue_project: String::new(),
            environments: BTreeMap::new(),
            fix_field: None,
            webhooks: false,
            poll_seconds: 0,
            reconcile_seconds: 0,
        };
        let shared = self.line(asana::SERVICE, &settings.url, Ok(token.0.clone()));
        Ok(Asana { shared, settings })
    }

    /// Asana as a project had it.
    pub(super) fn asana_of(&self, project: ProjectId, stored: &StoredTracker) -> Option<Asana> {
        let TrackerSettings::Asana(settings) = &stored.settings else { return None };
        let token = self.secrets.open(&owner(project, &stored.settings), &stored.token).ok()?;
        let shared = self.line(asana::SERVICE, &settings.url, Ok(token));
        Some(Asana { shared, settings: settings.clone() })
    }

    /// What the tracker of a project calls the user whose the token is, if that is known here.
    pub(super) fn user_of(&self, project: ProjectId) -> Option<String> {
        self.lines().of_projects.get(&project)?.1.me.get().cloned()
    }

    /// How connections that are used are: by kind, the worst of each.
    #[must_use]
    pub fn health(&self) -> BTreeMap<&'static str, PartHealth> {
        let mut worst: BTreeMap<&'static str, PartHealth> = BTreeMap::new();
        for (kind, shared) in self.lines().of_projects.values() {
            let health = shared.line.health().get();
            if worst.get(kind).is_none_or(|known| known.state < health.state) {
                worst.insert(kind, health);
            }
        }
        worst
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of a project, with the token that is sealed for it.
    fn shared(
        &self,
        project: ProjectId,
        settings: &TrackerSettings,
        (service, url): (Service, &str),
        token: &[u8],
    ) -> Arc<Shared> {
        let token = self.secrets.open(&owner(project, settings), token);
        let shared = self.line(service, url, token.map_err(|unreadable| unreadable.to_string()));
        self.lines().of_projects.insert(project, (settings.kind(), Arc::clone(&shared)));
        shared
    }

    fn line(&self, service: Service, url: &str, token: Result<String, String>) -> Arc<Shared> {
        let secret = token.as_deref().unwrap_or_default();
        let id = Sha256::digest(format!("{}\n{url}\n{secret}", service.name));
        let id = ConnectionId(id.into());
        let mut lines = self.lines();
        if let Some(known) = lines.known.get(&id) {
            return Arc::clone(known);
        }
        lines.known.retain(|_, known| Arc::strong_count(known) > 1 || !known.line.is_idle());
        let line = Line::new(service, url, token, (&self.clock, self.timeout));
        let shared = Arc::new(Shared::new(id, line));
        lines.known.insert(id, Arc::clone(&shared));
        shared
    }

    fn built_in(&self, project: &Project) -> BuiltIn {
        BuiltIn {
            store: self.store.clone(),
            clock: self.clock.clone(),
            project: project.id,
            slug: project.slug.clone(),
            public_url: self.public_url.clone(),
        }
    }
}

impl Connect for Trackers {
    type Tracker = Connection;

    async fn connect(&self, project: &Project) -> Result<Connection, StoreError> {
        let stored = self.store.read().await?.find_tracker(project.id).await?;
        let none = || StoredTracker { settings: TrackerSettings::BuiltIn {}, token: Vec::new() };
        let StoredTracker { settings, token } = stored.unwrap_or_else(none);
        match &settings {
            TrackerSettings::BuiltIn {} => {
                self.lines().of_projects.remove(&project.id);
                Ok(Connection::BuiltIn(self.built_in(project)))
            }
            TrackerSettings::Asana(asana) => {
                let shared =
                    self.shared(project.id, &settings, (asana::SERVICE, &asana.url), &token);
                Ok(Connection::Asana(Asana { shared, settings: asana.clone() }))
            }
            TrackerSettings::Redmine(own) => {
                let shared =
                    self.shared(project.id, &settings, (redmine::SERVICE, &own.url), &token);
                Ok(Connection::Redmine(Redmine { shared, settings: own.clone() }))
            }
            TrackerSettings::GitHub(own) => {
                let shared =
                    self.shared(project.id, &settings, (github::SERVICE, &own.url), &token);
                Ok(Connection::GitHub(GitHub { shared, settings: own.clone() }))
            }
        }
    }
}

/// Whom a token is sealed for: it is of no use at another address.
fn owner(project: ProjectId, settings: &TrackerSettings) -> String {
    format!("tracker of {project} at {}", settings.place())
}
