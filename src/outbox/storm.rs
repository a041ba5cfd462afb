//! Many new issues at once: the one task that names those which wait for tasks of their own.
//!
//! A project has so many new tasks an hour. Who finds no room waits, in order, and wakes this lane; it
//! names those that wait, and wakes them when there is room. The task is done once nobody waits, and
//! the next storm has another one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lane::{Carried, EffectError, Step, never};
use super::task::Aim;
use super::{Desk, Outbox};
use crate::domain::effect::{Demand, Subject};
use crate::domain::id::ProjectId;
use crate::domain::task::{BODY_PAUSE, MOST_NAMED, StormFacts, of_storm};
use crate::domain::time::Timestamp;
use crate::domain::tracker::Board;
use crate::store::task::Task;
use crate::store::{StoreError, Tx};
use crate::tracker::Tracker;

/// New tasks are counted over this time.
const HOUR: Duration = Duration::from_hours(1);

/// How many new tasks a project may have.
struct Room {
    most_per_hour: u32,
    n_free: u64,
    /// When there is room for one more.
    free_at: Timestamp,
}

impl Outbox {
    /// Begins to make a task: notes so on it, or that it has to wait, in a transaction of whoever has
    /// the lease. Nobody else begins one meanwhile.
    pub(super) async fn begin_to_make<T>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        task: &mut Task,
    ) -> Result<bool, EffectError> {
        let (now, project) = (self.clock.now(), desk.project.id);
        let taken = self.take(&desk.lease, task.subject).await?;
        let mut tx = taken.ok_or(EffectError::Lost)?;
        let waits = match task.subject {
            Subject::Issue(_) if step.demand != Some(Demand::Now) => {
                let room = room(&mut tx, project, now).await?;
                let place = (task.held_at.unwrap_or(never()), task.subject);
                room.n_free <= tx.count_held_tasks(project, place).await?
            }
            Subject::Issue(_) | Subject::Lock(_) | Subject::Deploy(_) | Subject::Storm => false,
        };
        let was_held = task.held_at.is_some();
        if waits {
            task.held_at = task.held_at.or(Some(now));
        } else {
            (task.held_at, task.create_began_at) = (None, Some(now));
        }
        tx.upsert_task(project, task).await?;
        if waits && !was_held {
            tx.begin_lane(project, Subject::Storm, now).await?;
        }
        tx.commit().await?;
        Ok(!waits)
    }

    /// One of those that wait waits no more.
    pub(super) async fn wake_storm<T>(&self, desk: &Desk<'_, T>) -> Result<(), EffectError> {
        let mut tx = self.hold(&desk.lease).await?.ok_or(EffectError::Lost)?;
        tx.wake_lane(desk.project.id, Subject::Storm, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Lets go of those for which there is room, and names the others in their task.
    pub(super) async fn sync_storm<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
    ) -> Result<Option<(Task, Carried)>, EffectError> {
        let now = self.clock.now();
        let mut task = self.task_of(desk, Subject::Storm).await?;
        let room = self.let_go(desk).await?;
        let mut tx = self.store.read().await?;
        let n_held = tx.count_held_tasks(desk.project.id, (never(), Subject::Storm)).await?;
        let limit = i64::try_from(MOST_NAMED).unwrap_or(i64::MAX);
        let mut named = Vec::new();
        for subject in tx.list_held_tasks(desk.project.id, limit).await? {
            let Subject::Issue(id) = subject else { continue };
            let Some(issue) = tx.find_issue_by_id(desk.project, id).await? else { continue };
            let id = &issue.short_id;
            named.push((format!("{id} {}", issue.title), self.url_of(id)));
        }
        drop(tx);
        if n_held > 0 && task.is_done {
            task.begin_anew();
        }
        let facts = StormFacts { named: &named, n_held, most_per_hour: room.most_per_hour };
        let name = format!("{}/storm", desk.project.prefix);
        let (board, wanted) = (Board::Issues, of_storm(&facts));
        let aim = Aim { board, name: &name, wanted: &wanted, is_needed: n_held > 0 };
        self.sync_task(desk, step, &mut task, &aim).await?;
        let look_at = (n_held > 0).then(|| room.free_at.min(now.plus(BODY_PAUSE)));
        Ok(Some((task, Carried { look_at, ..Carried::default() })))
    }

    /// Wakes the lanes of those that wait longest, as many as there is room for.
    async fn let_go<T>(&self, desk: &Desk<'_, T>) -> Result<Room, EffectError> {
        let (now, project) = (self.clock.now(), desk.project.id);
        let taken = self.take(&desk.lease, Subject::Storm).await?;
        let mut tx = taken.ok_or(EffectError::Lost)?;
        let room = room(&mut tx, project, now).await?;
        let n_free = i64::try_from(room.n_free).unwrap_or(i64::MAX);
        // In the order in which whoever plans effects takes lanes.
        let woken = tx.list_held_tasks(project, n_free).await?;
        let woken: BTreeMap<String, Subject> =
            woken.into_iter().map(|subject| (subject.to_string(), subject)).collect();
        for subject in woken.into_values() {
            tx.wake_lane(project, subject, now).await?;
        }
        tx.commit().await?;
        Ok(room)
    }
}

/// How many new tasks there may be by now.
async fn room(tx: &mut Tx, project: ProjectId, now: Timestamp) -> Result<Room, StoreError> {
    let rules = tx.find_filing_rules(project).await?.unwrap_or_default();
    let most_per_hour = rules.most_tasks_per_hour;
    let (n_begun, first) = tx.count_begun_tasks(project, now.minus(HOUR)).await?;
    let n_free = u64::from(most_per_hour).saturating_sub(n_begun);
    let free_at = match first {
        Some(first) if n_free == 0 => first.plus(HOUR),
        Some(_) | None => now.plus(BODY_PAUSE),
    };
    Ok(Room { most_per_hour, n_free, free_at })
}
