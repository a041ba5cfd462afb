//! The rules of all projects, ready for use.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use crate::domain::commit_field::CommitField;
use crate::domain::fingerprint::settings::Groupings;
use crate::domain::id::ProjectId;
use crate::domain::scrub::Scrubber;
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError, Tx};

/// Which rules each project wants. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    usual: Arc<Own>,
    own: Arc<BTreeMap<ProjectId, Arc<Own>>>,
    commit_fields: Arc<BTreeMap<ProjectId, CommitField>>,
}

/// The rules of a project.
#[derive(Debug, Default)]
struct Own {
    version: i64,
    scrub_rules_changed_at: Timestamp,
    scrubber: Scrubber,
    groupings: Groupings,
}

impl Own {
    /// What the store has of a project.
    async fn load(
        tx: &mut Tx,
        project: ProjectId,
        (version, scrub_rules_changed_at): (i64, Timestamp),
    ) -> Result<Self, StoreError> {
        let rules = read(tx.find_scrub_rules(project).await)?;
        let scrubber = made(project, "scrubbing", rules, |rules| Scrubber::new(&rules));
        let rules = read(tx.find_grouping_rules(project).await)?;
        let groupings = made(project, "grouping", rules, |rules| rules.groupings());
        Ok(Self { version, scrub_rules_changed_at, scrubber, groupings })
    }
}

/// Rules of the store; what makes no sense is one, and no failure of the store.
fn read<T>(rules: Result<Option<T>, StoreError>) -> Result<Result<Option<T>, String>, StoreError> {
    match rules {
        Err(cause @ StoreError::Corrupt { .. }) => Ok(Err(cause.to_string())),
        rules => rules.map(Ok),
    }
}

/// Rules were tested when they were saved. When they cannot be used all the same, the usual ones
/// are better than none, and other projects must not wait.
fn made<T, R: Default, E: Display>(
    project: ProjectId,
    what: &str,
    rules: Result<Option<T>, String>,
    make: impl FnOnce(T) -> Result<R, E>,
) -> R {
    let rules = rules.and_then(|rules| rules.map(make).transpose().map_err(|e| e.to_string()));
    if let Err(cause) = &rules {
        tracing::error!(%project, cause, "rules of {what} cannot be used");
    }
    rules.ok().flatten().unwrap_or_default()
}

impl Rules {
    /// As the store has them now. What did not change since `self` is not made again.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn refreshed(&self, store: &Store) -> Result<Self, StoreError> {
        let mut tx = store.read().await?;
        let fields = tx.list_commit_fields().await?.into_iter();
        let fields = fields.filter_map(|(id, settings)| Some((id, settings.commit_field?)));
        let commit_fields: Arc<BTreeMap<_, _>> = Arc::new(fields.collect());
        let versions = tx.list_rule_versions().await?;
        let known = |project: ProjectId, version: i64| {
            self.own.get(&project).filter(|own| own.version == version)
        };
        let is_same = versions.len() == self.own.len()
            && versions.iter().all(|(project, version, _)| known(*project, *version).is_some());
        if is_same {
            return Ok(Self { commit_fields, ..self.clone() });
        }
        let mut own = BTreeMap::new();
        for (project, version, changed_at) in versions {
            let rules = match known(project, version) {
                Some(known) => Arc::clone(known),
                None => Arc::new(Own::load(&mut tx, project, (version, changed_at)).await?),
            };
            own.insert(project, rules);
        }
        Ok(Self { usual: Arc::clone(&self.usual), own: Arc::new(own), commit_fields })
    }

    /// As the store has them for one project; others are not looked at.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn for_project(store: &Store, project: ProjectId) -> Result<Self, StoreError> {
        let mut tx = store.read().await?;
        let own = Own::load(&mut tx, project, (0, Timestamp::from_micros(0))).await?;
        let found = tx.find_project_by_id(project).await?;
        let field = found.and_then(|found| found.settings.commit_field);
        let commit_fields = Arc::new(field.map(|field| (project, field)).into_iter().collect());
        let own = Arc::new(BTreeMap::from([(project, Arc::new(own))]));
        Ok(Self { own, commit_fields, ..Self::default() })
    }

    fn of(&self, project: ProjectId) -> &Own {
        self.own.get(&project).unwrap_or(&self.usual)
    }

    /// When the scrub rules of a project last changed; the beginning of time when it has none of its
    /// own.
    #[must_use]
    pub fn scrub_rules_changed_at(&self, project: ProjectId) -> Timestamp {
        self.of(project).scrub_rules_changed_at
    }

    /// The field of a project's events that carries the commit they were built from.
    #[must_use]
    pub fn commit_field(&self, project: ProjectId) -> Option<&CommitField> {
        self.commit_fields.get(&project)
    }

    /// The scrubber of a project.
    #[must_use]
    pub fn scrubber(&self, project: ProjectId) -> &Scrubber {
        &self.of(project).scrubber
    }

    /// How the events of a project are grouped.
    #[must_use]
    pub fn groupings(&self, project: ProjectId) -> &Groupings {
        &self.of(project).groupings
    }
}
