//! The scrubbers of all projects, ready for use.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::id::ProjectId;
use crate::domain::scrub::Scrubber;
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError, Tx};

/// Which scrubber each project wants. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Scrubbers {
    usual: Arc<Scrubber>,
    own: Arc<BTreeMap<ProjectId, Own>>,
}

/// The scrubber of a project with rules of its own.
#[derive(Debug, Clone)]
struct Own {
    version: i64,
    changed_at: Timestamp,
    scrubber: Arc<Scrubber>,
}

impl Own {
    /// None when the project has no rules of its own.
    async fn load(
        tx: &mut Tx,
        project: ProjectId,
        (version, changed_at): (i64, Timestamp),
    ) -> Result<Option<Self>, StoreError> {
        let rules = match tx.find_scrub_rules(project).await {
            Ok(Some(rules)) => Scrubber::new(&rules).map_err(|cause| cause.to_string()),
            Ok(None) => return Ok(None),
            Err(cause @ StoreError::Corrupt { .. }) => Err(cause.to_string()),
            Err(cause) => return Err(cause),
        };
        let scrubber = rules.unwrap_or_else(|cause| {
            // They were tested when they were saved. The usual ones are better than none, and other
            // projects must not wait.
            tracing::error!(%project, cause, "rules of scrubbing cannot be used");
            Scrubber::default()
        });
        Ok(Some(Self { version, changed_at, scrubber: Arc::new(scrubber) }))
    }
}

impl Scrubbers {
    /// As the store has them now. What did not change since `self` is not made again.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn refreshed(&self, store: &Store) -> Result<Self, StoreError> {
        let mut tx = store.read().await?;
        let versions = tx.list_scrub_versions().await?;
        let is_same = versions.len() == self.own.len()
            && versions.iter().all(|(project, version, _)| {
                self.own.get(project).is_some_and(|own| own.version == *version)
            });
        if is_same {
            return Ok(self.clone());
        }
        let mut own = BTreeMap::new();
        for (project, version, changed_at) in versions {
            let known = self.own.get(&project).filter(|own| own.version == version);
            let made = match known {
                Some(known) => Some(known.clone()),
                None => Own::load(&mut tx, project, (version, changed_at)).await?,
            };
            own.extend(made.map(|made| (project, made)));
        }
        Ok(Self { usual: Arc::clone(&self.usual), own: Arc::new(own) })
    }

    /// As the store has them for one project; others are not looked at.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn for_project(store: &Store, project: ProjectId) -> Result<Self, StoreError> {
        let mut tx = store.read().await?;
        let made = Own::load(&mut tx, project, (0, Timestamp::from_micros(0))).await?;
        let own = made.into_iter().map(|made| (project, made)).collect();
        Ok(Self { usual: Arc::default(), own: Arc::new(own) })
    }

    /// When the rules of a project last changed; the beginning of time when it has none of its own.
    #[must_use]
    pub fn changed_at(&self, project: ProjectId) -> Timestamp {
        self.own.get(&project).map_or(Timestamp::from_micros(0), |own| own.changed_at)
    }

    /// The scrubber of a project.
    #[must_use]
    pub fn of(&self, project: ProjectId) -> &Scrubber {
        self.own.get(&project).map_or(&*self.usual, |own| &*own.scrubber)
    }
}
