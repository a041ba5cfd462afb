//! Carries out what must happen outside: effects, in the order of their lanes.
//!
//! A lane is one task. Lanes know nothing of each other, and a tracker that is slow or away holds up
//! nobody else's. The tracker of a project is worked by one node at a time, under a lease.
//!
//! *Invariant*: an effect is marked before anything is sent, and again after; what is found marked is
//! *unsure*, and looked up before it is done again.

mod issue;
mod lane;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError};
use crate::tracker::Tracker as _;
use crate::tracker::connections::Trackers;

/// So many lanes of a tracker are worked at a time.
const MOST_LANES: i64 = 8;

/// How long a node has a tracker for itself without a word.
const LEASE: Duration = Duration::from_mins(1);

/// A lease that has less left is renewed before anything else is sent.
const LEAST_LEASE: Duration = Duration::from_secs(40);

/// Carries out effects.
#[derive(Debug, Clone)]
pub struct Outbox {
    store: Store,
    clock: Clock,
    trackers: Trackers,
    public_url: String,
    /// Who this node is.
    holder: Uuid,
    /// Projects whose trackers are worked right now.
    busy: Arc<Mutex<BTreeSet<ProjectId>>>,
    is_stopping: Arc<AtomicBool>,
}

/// That a tracker is this node's for a while.
#[derive(Debug)]
struct Lease {
    name: String,
    fence: i64,
    until: Timestamp,
}

/// That a project is worked on; until it is dropped.
#[derive(Debug)]
pub struct Busy {
    project: ProjectId,
    busy: Arc<Mutex<BTreeSet<ProjectId>>>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.project);
    }
}

impl Outbox {
    /// For effects of this store.
    #[must_use]
    pub fn new(store: Store, clock: Clock, trackers: Trackers, public_url: String) -> Self {
        let holder = clock.id();
        let (busy, is_stopping) = Default::default();
        Self { store, clock, trackers, public_url, holder, busy, is_stopping }
    }

    /// Nothing is begun any more; what is under way ends.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Projects of which something is due and that nobody here works on: they are now.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn due(&self) -> Result<Vec<Busy>, StoreError> {
        let mut tx = self.store.read().await?;
        let projects = tx.list_projects_with_effects(self.clock.now()).await?;
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = projects.into_iter().filter(|project| busy.insert(*project));
        Ok(taken.map(|project| Busy { project, busy: Arc::clone(&self.busy) }).collect())
    }

    /// Carries out what is due of a project, if no other node does.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn work(&self, busy: Busy) -> Result<(), StoreError> {
        let id = busy.project;
        let project = self.store.read().await?.find_project_by_id(id).await?;
        let Some(project) = project else { return Ok(()) };
        let tracker = self.trackers.connect(&project).await?;
        if tracker.rests().is_some() {
            return Ok(());
        }
        let Some(mut lease) = self.claim(id).await? else { return Ok(()) };
        let worked = loop {
            match self.round(&project, &mut lease).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let (mut tx, now) = (self.store.write().await?, self.clock.now());
        let held = (self.holder, lease.fence);
        match tracker.window() {
            // Another node does not know how much was asked.
            Some(window) => {
                tx.renew_lease(&lease.name, held, (now, now.plus(window))).await?;
            }
            None => tx.release_lease(&lease.name, held).await?,
        }
        tx.commit().await?;
        worked
    }

    /// Works some lanes; false when nothing is due any more, or the tracker rests or is another node's.
    async fn round(&self, project: &Project, lease: &mut Lease) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let tracker = &self.trackers.connect(project).await?;
        let lanes = self.store.read().await?.list_lanes(project.id, now, MOST_LANES).await?;
        let is_over = lanes.is_empty() || self.is_stopping.load(Ordering::Relaxed);
        if is_over || tracker.rests().is_some() || !self.renew(lease).await? {
            return Ok(false);
        }
        let lease = &*lease;
        let worked = lanes.into_iter().map(|lane| self.work_lane(project, tracker, lane, lease));
        for done in join_all(worked).await {
            done?;
        }
        Ok(true)
    }

    async fn claim(&self, project: ProjectId) -> Result<Option<Lease>, StoreError> {
        let (name, now) = (format!("tracker/{project}"), self.clock.now());
        let until = now.plus(LEASE);
        let mut tx = self.store.write().await?;
        let fence = tx.claim_lease(&name, self.holder, (now, until)).await?;
        tx.commit().await?;
        Ok(fence.map(|fence| Lease { name, fence, until }))
    }

    async fn renew(&self, lease: &mut Lease) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if lease.until.since(now) >= LEAST_LEASE {
            return Ok(true);
        }
        let until = now.plus(LEASE);
        let mut tx = self.store.write().await?;
        let held = (self.holder, lease.fence);
        let is_held = tx.renew_lease(&lease.name, held, (now, until)).await?;
        tx.commit().await?;
        lease.until = until;
        Ok(is_held)
    }
}
