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
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::effect::Subject;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::domain::tracker::ConnectionId;
use crate::release::repositories::Repositories;
use crate::store::lease::{Lease, TRACKER};
use crate::store::outbox::Lane;
use crate::store::{Store, StoreError, Tx};
use crate::tracker::connections::Trackers;
use crate::tracker::{Connect, Tracker};
use inbox::Look;

/// So many lanes of a tracker are worked at a time.
const MOST_LANES: usize = 8;

/// How often it is looked what is due while lanes are worked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a node has a tracker for itself without a word. What was sent before that counts no more
/// against what trackers allow in a minute.
const LEASE: Duration = Duration::from_mins(1);

/// After so long it is taken for longer, before a step could end later than that.
const EARLY: Duration = Duration::from_secs(LEASE.as_secs() - lane::MOST_STEP.as_secs());

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

/// The connection that this node uses, if its tracker keeps limits, and since when it surely does.
#[derive(Debug, Default)]
struct Using {
    id: Option<ConnectionId>,
    since: Timestamp,
}

/// What is to be done in a tracker.
#[derive(Debug)]
enum Job {
    Lane(Lane),
    /// It is asked what is new there.
    Look(Look),
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

/// Awaits something while lanes are worked: one of them may hold what it waits for. Those that end
/// meanwhile are put into `over`.
async fn beside<S: Stream + Unpin, F: Future>(
    lanes: &mut S,
    over: &mut Vec<S::Item>,
    awaited: F,
) -> F::Output {
    let mut awaited = pin!(awaited);
    loop {
        tokio::select! {
            output = &mut awaited => return output,
            Some(one) = lanes.next() => over.push(one),
        }
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

    /// Projects of which something is due, or whose trackers are to be asked what is new, and that nobody
    /// works on: they are worked on here now.
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
        self.work_with(busy, &self.trackers).await
    }

    /// The same, in a tracker of these.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn work_with<C: Connect>(&self, busy: Busy, trackers: &C) -> Result<(), StoreError> {
        let project = self.store.read().await?.find_project_by_id(busy.project).await?;
        let Some(project) = project else { return Ok(()) };
        let tracker = trackers.connect(&project).await?;
        if tracker.rests().is_some() {
            return Ok(());
        }
        let mut using = Using::default();
        if !self.may_use(&mut using, tracker.connection()).await? {
            return Ok(());
        }
        let Some(lease) = self.claim(project.id).await? else { return Ok(()) };
        let worked = self.work_lanes((&project, trackers), lease, &mut using).await;
        self.claim_connection(&using).await?;
        let mut tx = self.store.write().await?;
        tx.end_lease(&lease).await?;
        tx.commit().await?;
        worked
    }

    /// Whether this node may use a connection; other projects may share it.
    async fn may_use(
        &self,
        using: &mut Using,
        id: Option<ConnectionId>,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if using.id == id && now.since(using.since) < EARLY {
            return Ok(true);
        }
        let wanted = Using { id, since: now };
        let is_held = self.claim_connection(&wanted).await?;
        if is_held {
            *using = wanted;
        }
        Ok(is_held)
    }

    /// Others may have it when what was asked counts no more: they do not know how much that was.
    async fn claim_connection(&self, using: &Using) -> Result<bool, StoreError> {
        let Some(id) = using.id else { return Ok(true) };
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let is_held = tx.claim_connection(&id, self.holder, (now, now.plus(LEASE))).await?;
        tx.commit().await?;
        Ok(is_held)
    }

    /// Works some lanes at a time until nothing is due any more, or the tracker rests or is another
    /// node's. One that takes long holds up no other.
    async fn work_lanes<C: Connect>(
        &self,
        (project, trackers): (&Project, &C),
        lease: Lease,
        using: &mut Using,
    ) -> Result<(), StoreError> {
        let (mut worked, mut busy) = (FuturesUnordered::new(), BTreeSet::new());
        let (mut ended, mut is_looked) = (Ok(true), false);
        let mut over = Vec::new();
        loop {
            if matches!(ended, Ok(true)) && worked.len() >= MOST_LANES {
                let id = using.id;
                ended = beside(&mut worked, &mut over, self.may_use(using, id)).await;
            } else if matches!(ended, Ok(true)) {
                // Its settings may have changed.
                let added = async {
                    let tracker = Arc::new(trackers.connect(project).await?);
                    if !self.may_use(using, tracker.connection()).await? {
                        return Ok(None);
                    }
                    let desk = (project, &*tracker, lease);
                    let looked = if is_looked { None } else { self.next_look(desk).await? };
                    let lanes = self.next_lanes(desk, &busy).await?;
                    Ok(Some((tracker, looked, lanes)))
                };
                match beside(&mut worked, &mut over, added).await {
                    Ok(None) => ended = Ok(false),
                    Ok(Some((tracker, times, lanes))) => {
                        is_looked |= times.is_some();
                        busy.extend(lanes.iter().map(|lane| lane.subject));
                        let jobs = lanes.into_iter().map(Job::Lane).chain(times.map(Job::Look));
                        worked.extend(jobs.map(|job| {
                            let tracker = Arc::clone(&tracker);
                            async move {
                                let desk = Desk { project, tracker: &*tracker, lease };
                                match job {
                                    Job::Lane(lane) => {
                                        (Some(lane.subject), self.work_lane(&desk, lane).await)
                                    }
                                    Job::Look(times) => (None, self.look(&desk, times).await),
                                }
                            }
                        }));
                    }
                    Err(error) => ended = Err(error),
                }
            }
            if over.is_empty() {
                // There is room for what becomes due meanwhile.
                match timeout(LOOK_EVERY, worked.next()).await {
                    Ok(Some(one)) => over.push(one),
                    Ok(None) => return ended.map(drop),
                    Err(_) => {}
                }
            }
            for (subject, held) in over.drain(..) {
                match subject {
                    Some(subject) => {
                        busy.remove(&subject);
                    }
                    None => is_looked = false,
                }
                ended = ended.and_then(|is_held| Ok(held? && is_held));
            }
        }
    }

    /// Lanes in which something is due and nobody is at work, as many as there is room for; none when the
    /// tracker rests.
    async fn next_lanes<T: Tracker>(
        &self,
        (project, tracker, lease): (&Project, &T, Lease),
        busy: &BTreeSet<Subject>,
    ) -> Result<Vec<Lane>, StoreError> {
        if self.is_stopping.load(Ordering::Relaxed) || tracker.rests().is_some() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let found = self.store.read().await?.list_lanes(project.id, now, MOST_LANES).await?;
        let mut lanes = Vec::new();
        for lane in found {
            match lane {
                Ok(lane) if busy.contains(&lane.subject) => {}
                Ok(lane) => lanes.push(lane),
                Err(name) => self.park(&Desk { project, tracker, lease }, &name).await?,
            }
        }
        lanes.truncate(MOST_LANES - busy.len());
        Ok(lanes)
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
        let mut tx = self.store.write().await?;
        let now = self.clock.now();
        let lease = tx.claim_lease((project, TRACKER), self.holder, now, LEASE).await?;
        tx.commit().await?;
        Ok(lease)
    }

    /// A transaction of whoever has the lease, which is held for longer by it; `None` when it is lost.
    async fn hold(&self, lease: &Lease) -> Result<Option<Tx>, StoreError> {
        let mut tx = self.store.write().await?;
        let is_held = tx.hold_lease(lease, self.clock.now()).await?;
        Ok(is_held.then_some(tx))
    }

    /// The same, with a lane in which nobody else plans anything meanwhile.
    async fn take(&self, lease: &Lease, subject: Subject) -> Result<Option<Tx>, StoreError> {
        let Some(mut tx) = self.hold(lease).await? else { return Ok(None) };
        Ok(tx.take_lane(lease.project, subject).await?.then_some(tx))
    }
}
