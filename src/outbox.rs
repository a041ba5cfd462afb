//! Carries out what must happen outside: effects, in the order of their lanes; and what people did there.
//!
//! A lane is one task. Lanes know nothing of each other, and a tracker that is slow or away holds up
//! nobody else's. The tracker of a project is worked by one node at a time, under a lease.
//!
//! *Invariant*: an effect is marked before anything is sent, and again after; what is found marked is
//! *unsure*, and looked up before it is done again. That making a task was begun stands on the task
//! itself, until it is there or certainly not.
//!
//! *Invariant*: whatever is written holds the lease in the same transaction.

mod deploy;
mod inbox;
mod issue;
mod lane;
mod lock;
mod storm;
mod task;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::effect::Subject;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::release::repositories::Repositories;
use crate::store::lease::Lease;
use crate::store::{Store, StoreError, Tx};
use crate::tracker::Tracker;
use crate::tracker::connections::Trackers;

/// So many lanes of a tracker are worked at a time.
const MOST_LANES: i64 = 8;

/// How long a node has a tracker for itself without a word.
const LEASE: Duration = Duration::from_mins(1);

/// What the lease of a project's tracker is called.
const TRACKER: &str = "tracker";

/// Carries out effects.
#[derive(Debug, Clone)]
pub struct Outbox {
    store: Store,
    clock: Clock,
    trackers: Trackers,
    repositories: Box<Repositories>,
    public_url: String,
    /// Who this node is.
    holder: Uuid,
    /// Projects whose trackers are worked right now.
    busy: Arc<Mutex<BTreeSet<ProjectId>>>,
    is_stopping: Arc<AtomicBool>,
}

/// A tracker that is this node's for a while.
#[derive(Debug, Clone, Copy)]
struct Desk<'a, T> {
    project: &'a Project,
    tracker: &'a T,
    lease: Lease,
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
    pub fn new(
        (store, clock): (Store, Clock),
        trackers: Trackers,
        repositories: Repositories,
        public_url: String,
    ) -> Self {
        let (holder, repositories) = (clock.id(), Box::new(repositories));
        let (busy, is_stopping) = Default::default();
        Self { store, clock, trackers, repositories, public_url, holder, busy, is_stopping }
    }

    /// The repositories in which it looks for commits, for tests with another node.
    #[must_use]
    pub fn repositories(&self) -> &Repositories {
        &self.repositories
    }

    /// Nothing is begun any more; what is under way ends.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Projects of which something is due, or whose trackers are to be asked what is new, and that nobody works on: they are worked on here now.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn due(&self) -> Result<Vec<Busy>, StoreError> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let mut tx = self.store.read().await?;
        let now = self.clock.now();
        let mut projects = tx.list_projects_with_effects(TRACKER, self.holder, now).await?;
        projects.extend(tx.list_projects_to_poll(TRACKER, self.holder, now).await?);
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = projects.into_iter().filter(|project| busy.insert(*project));
        Ok(taken.map(|project| Busy { project, busy: Arc::clone(&self.busy) }).collect())
    }

    /// Carries out what is due of a project, if no other node does.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn work(&self, busy: Busy) -> Result<(), StoreError> {
        let Some(project) = self.find_project(&busy).await? else { return Ok(()) };
        let tracker = self.trackers.connect(&project).await?;
        if tracker.rests().is_some() {
            return Ok(());
        }
        let Some(lease) = self.claim(project.id).await? else { return Ok(()) };
        let worked = loop {
            // Its settings may have changed.
            let tracker = match self.trackers.connect(&project).await {
                Ok(tracker) => tracker,
                Err(error) => break Err(error),
            };
            match self.round(&Desk { project: &project, tracker: &tracker, lease }).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.leave(&lease, tracker.window()).await?;
        worked
    }

    /// Carries out what is due of a project in this tracker of it.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn work_with<T: Tracker + Sync>(
        &self,
        busy: Busy,
        tracker: impl FnOnce(&Project) -> T,
    ) -> Result<(), StoreError> {
        let Some(project) = self.find_project(&busy).await? else { return Ok(()) };
        let Some(lease) = self.claim(project.id).await? else { return Ok(()) };
        let tracker = tracker(&project);
        let desk = Desk { project: &project, tracker: &tracker, lease };
        let worked = loop {
            match self.round(&desk).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.leave(&lease, tracker.window()).await?;
        worked
    }

    async fn find_project(&self, busy: &Busy) -> Result<Option<Project>, StoreError> {
        self.store.read().await?.find_project_by_id(busy.project).await
    }

    /// Others may have the tracker, at once or when what it was asked counts no more: they do not know
    /// how much that was.
    async fn leave(&self, lease: &Lease, window: Option<Duration>) -> Result<(), StoreError> {
        let until = window.map(|window| self.clock.now().plus(window));
        let mut tx = self.store.write().await?;
        tx.hold_lease(lease, until.unwrap_or(Timestamp::from_micros(0))).await?;
        tx.commit().await
    }

    /// Works some lanes; false when nothing is due any more, or the tracker rests or is another node's.
    async fn round<T: Tracker + Sync>(&self, desk: &Desk<'_, T>) -> Result<bool, StoreError> {
        self.look(desk).await?;
        let (now, project) = (self.clock.now(), desk.project.id);
        let found = self.store.read().await?.list_lanes(project, now, MOST_LANES).await?;
        let is_over = found.is_empty() || self.is_stopping.load(Ordering::Relaxed);
        if is_over || desk.tracker.rests().is_some() {
            return Ok(false);
        }
        let mut lanes = Vec::new();
        for lane in found {
            match lane {
                Ok(lane) => lanes.push(lane),
                Err(name) => self.park(desk, &name).await?,
            }
        }
        let mut is_held = true;
        for worked in join_all(lanes.into_iter().map(|lane| self.work_lane(desk, lane))).await {
            is_held &= worked?;
        }
        Ok(is_held)
    }

    /// Nobody knows what a lane of this name is for.
    async fn park<T>(&self, desk: &Desk<'_, T>, name: &str) -> Result<(), StoreError> {
        tracing::error!(project = desk.project.slug, name, "there is no such lane");
        let Some(mut tx) = self.hold(&desk.lease).await? else { return Ok(()) };
        let parked = (name, "nobody knows whose task it is");
        tx.park_lane(desk.project.id, parked, self.clock.now()).await?;
        tx.commit().await
    }

    async fn claim(&self, project: ProjectId) -> Result<Option<Lease>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let times = (now, now.plus(LEASE));
        let lease = tx.claim_lease((project, TRACKER), self.holder, times).await?;
        tx.commit().await?;
        Ok(lease)
    }

    /// A transaction of whoever has the lease, which is held for longer by it; `None` when it is lost.
    async fn hold(&self, lease: &Lease) -> Result<Option<Tx>, StoreError> {
        let mut tx = self.store.write().await?;
        let is_held = tx.hold_lease(lease, self.clock.now().plus(LEASE)).await?;
        Ok(is_held.then_some(tx))
    }

    /// The same, with a lane in which nobody else plans anything meanwhile.
    async fn take(&self, lease: &Lease, subject: Subject) -> Result<Option<Tx>, StoreError> {
        let Some(mut tx) = self.hold(lease).await? else { return Ok(None) };
        Ok(tx.take_lane(lease.project, subject).await?.then_some(tx))
    }
}
