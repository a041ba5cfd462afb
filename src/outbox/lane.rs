//! One lane: what happened to one task, in order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::{Desk, LEASE, Outbox};
use crate::clock::Clock;
use crate::domain::effect::{Demand, Subject};
use crate::domain::id::ProjectItemId;
use crate::domain::task::BODY_PAUSE;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::outbox::{EffectState, Lane, StoredEffect};
use crate::store::task::Task;
use crate::tracker::{Tracker, TrackerError};

/// A lane that fails is tried again after this, and then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What nobody knows the end of may still be under way for so long: it is not looked for before.
const SETTLE: Duration = Duration::from_secs(5);

/// A lane that fails again and again is tried this often at least.
const MOST_PAUSE: Duration = Duration::from_mins(10);

/// A lane that waits for others is looked at when they say so.
pub(super) fn never() -> Timestamp {
    Timestamp::from_micros(i64::MAX)
}

/// What is sent has ended before the lease does.
pub(super) const MOST_STEP: Duration = Duration::from_secs(LEASE.as_secs() / 3 * 2);

/// After so many steps it is the turn of other lanes.
const MOST_STEPS: usize = 8;

/// Why an effect was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum EffectError {
    /// The tracker.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another node has the tracker now: here nothing is written any more.
    #[error("another node has the tracker")]
    Lost,
}

/// Effects that are carried out together: those that say nothing need one look. Without any, it is
/// only looked whether the task is in line.
pub(super) struct Step {
    pub(super) effects: Vec<StoredEffect>,
    /// Whether somebody was at it before, and nobody knows how far that came.
    pub(super) is_unsure: bool,
    /// How much a task is wanted if there is none.
    pub(super) demand: Option<Demand>,
    /// How many effects are in the lane.
    n_open: usize,
}

/// What is to come of a lane after effects were carried out.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// It is to be looked at again then.
    pub(super) look_at: Option<Timestamp>,
    /// What the task is in line with: how many events the issue had, or bytes of output the deploy.
    pub(super) n_seen: Option<u64>,
    /// The task waits for others; so do the effects.
    pub(super) is_held: bool,
}

impl Step {
    /// The next of a lane.
    fn next(mut effects: Vec<StoredEffect>) -> Self {
        let n_open = effects.len();
        // Wherever in the lane somebody says so.
        let is_wanted_now = effects.iter().any(|one| one.effect.demand == Some(Demand::Now));
        let n_silent = effects.iter().take_while(|one| one.effect.say.is_none()).count();
        effects.truncate(n_silent + 1);
        let is_unsure = effects.iter().any(|one| match one.state {
            EffectState::Sending | EffectState::Unsure => true,
            EffectState::Planned | EffectState::Done | EffectState::Parked => false,
        });
        let demand = effects.iter().filter_map(|one| one.effect.demand).max();
        let demand = if is_wanted_now { Some(Demand::Now) } else { demand };
        Self { effects, is_unsure, demand, n_open }
    }

    fn ids(&self) -> Vec<uuid::Uuid> {
        self.effects.iter().map(|one| one.id.id).collect()
    }

    /// Where the effects are after one of them failed.
    fn after(&self, error: &EffectError) -> EffectState {
        match error {
            // Who was at it before may still have done it.
            EffectError::Tracker(TrackerError::NotDone { .. } | TrackerError::Later { .. })
                if !self.is_unsure =>
            {
                EffectState::Planned
            }
            EffectError::Tracker(TrackerError::Refused(_) | TrackerError::Gone) => {
                EffectState::Parked
            }
            EffectError::Store(error) if error.is_permanent() => EffectState::Parked,
            EffectError::Tracker(
                TrackerError::NotDone { .. }
                | TrackerError::Later { .. }
                | TrackerError::Ambiguous(_),
            )
            | EffectError::Store(_)
            | EffectError::Lost => EffectState::Unsure,
        }
    }
}

impl Outbox {
    /// Carries out what is in a lane until nothing is left, something fails, or it is the turn of
    /// others; false when the tracker is another node's by now.
    pub(super) async fn work_lane<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        lane: Lane,
    ) -> Result<bool, StoreError> {
        match self.work_steps(desk, lane).await {
            Ok(()) => Ok(true),
            Err(EffectError::Lost) => Ok(false),
            Err(EffectError::Tracker(cause)) => self.postpone(desk, lane, &cause).await,
            Err(EffectError::Store(cause)) => self.postpone(desk, lane, &cause).await,
        }
    }

    async fn work_steps<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        lane: Lane,
    ) -> Result<(), EffectError> {
        for n_done in 0..MOST_STEPS {
            let Some(step) = self.begin(desk, lane.subject, n_done == 0).await? else { break };
            let carried = timeout(MOST_STEP, self.carry_out(desk, lane.subject, &step)).await;
            let too_long = || TrackerError::Ambiguous("it took too long".to_owned());
            let carried = carried.map_err(|_| too_long()).map_err(EffectError::from).flatten();
            let is_over = match carried {
                Ok(carried) if carried.is_held => self.hold_back(desk, lane, &step).await?,
                Ok(carried) => {
                    self.finish(desk, lane, &step, &carried).await?;
                    false
                }
                Err(EffectError::Lost) => return Err(EffectError::Lost),
                Err(error) => self.fail(desk, lane, &step, &error).await?,
            };
            if is_over {
                break;
            }
        }
        Ok(())
    }

    /// Marks what is next in a lane as being sent; `None` when nothing is left. What makes no sense is
    /// parked.
    async fn begin<T>(
        &self,
        desk: &Desk<'_, T>,
        subject: Subject,
        is_first: bool,
    ) -> Result<Option<Step>, EffectError> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (now, project) = (self.clock.now(), desk.project.id);
        let Some(mut tx) = self.hold(&desk.lease).await? else { return Err(EffectError::Lost) };
        if !tx.take_lane(project, subject).await? {
            return Ok(None);
        }
        let mut effects = Vec::new();
        for found in tx.list_effects_of(project, subject).await? {
            match found {
                Ok(effect) => effects.push(effect),
                Err((id, error)) => {
                    tracing::error!(project = desk.project.slug, %error, "an effect is parked");
                    let why = error.to_string();
                    tx.set_effects(project, &[id], (EffectState::Parked, Some(&why)), now).await?;
                }
            }
        }
        let step = Step::next(effects);
        tx.set_effects(project, &step.ids(), (EffectState::Sending, None), now).await?;
        tx.commit().await?;
        // A lane in which nothing is left is due for a look, once.
        Ok((is_first || !step.effects.is_empty()).then_some(step))
    }

    /// Leaves effects alone until there is room for their task.
    async fn hold_back<T>(
        &self,
        desk: &Desk<'_, T>,
        lane: Lane,
        step: &Step,
    ) -> Result<bool, EffectError> {
        let (now, project, subject) = (self.clock.now(), desk.project.id, lane.subject);
        let taken = self.take(&desk.lease, subject).await?;
        let mut tx = taken.ok_or(EffectError::Lost)?;
        tx.set_effects(project, &step.ids(), (EffectState::Planned, None), now).await?;
        // One that was planned meanwhile may be what the task is made for.
        let is_more = tx.list_effects_of(project, subject).await?.len() != step.n_open;
        let at = if is_more { now } else { never() };
        tx.set_lane(project, subject, (at, 0)).await?;
        tx.commit().await?;
        Ok(!is_more)
    }

    /// Notes that effects are carried out. If events or output came since, the task is looked at again.
    async fn finish<T>(
        &self,
        desk: &Desk<'_, T>,
        lane: Lane,
        step: &Step,
        carried: &Carried,
    ) -> Result<(), EffectError> {
        let (now, project) = (self.clock.now(), desk.project.id);
        let mut tx = self.store.write().await?;
        let mut look_at = carried.look_at;
        // Who adds something says so to the lane, and has what it is added to until then.
        let n_there = match lane.subject {
            Subject::Issue(issue) => {
                tx.lock_issue(project, issue).await?;
                tx.count_events_of(project, issue).await?
            }
            Subject::Deploy(id) => {
                let deploy = tx.hold_deploy(ProjectItemId { project, id }).await?;
                deploy.map(|deploy| deploy.n_output)
            }
            Subject::Lock(_) | Subject::Storm => None,
        };
        if carried.n_seen.is_some_and(|n_seen| n_there.is_some_and(|n_there| n_there != n_seen)) {
            let pause = match lane.subject {
                Subject::Issue(_) => BODY_PAUSE,
                Subject::Deploy(_) | Subject::Lock(_) | Subject::Storm => Duration::ZERO,
            };
            look_at = look_at.or(Some(now.plus(pause)));
        }
        let is_held = tx.hold_lease(&desk.lease, now).await?;
        if !is_held || !tx.take_lane(project, lane.subject).await? {
            return Err(EffectError::Lost);
        }
        tx.set_effects(project, &step.ids(), (EffectState::Done, None), now).await?;
        if lane.subject == Subject::Storm
            && tx.count_held_tasks(project, (never(), Subject::Storm)).await? > 0
        {
            look_at = look_at.or(Some(now));
        }
        tx.leave_lane(project, lane.subject, (now, look_at)).await?;
        Ok(tx.commit().await?)
    }

    /// Notes why effects are not carried out; whether the lane has to wait because of it. What is
    /// refused holds up nothing that comes after it.
    async fn fail<T>(
        &self,
        desk: &Desk<'_, T>,
        lane: Lane,
        step: &Step,
        error: &EffectError,
    ) -> Result<bool, EffectError> {
        let (now, project, subject) = (self.clock.now(), desk.project.id, lane.subject);
        let state = step.after(error);
        let again = match error {
            // It was not asked.
            EffectError::Tracker(TrackerError::Later { after, .. }) => {
                (now.plus(*after), lane.n_failures)
            }
            EffectError::Tracker(TrackerError::NotDone { after, .. }) => {
                lane.again(after.unwrap_or_default(), &self.clock)
            }
            EffectError::Tracker(TrackerError::Ambiguous(_)) => lane.again(SETTLE, &self.clock),
            EffectError::Tracker(_) | EffectError::Store(_) | EffectError::Lost => {
                lane.again(Duration::ZERO, &self.clock)
            }
        };
        if !matches!(error, EffectError::Tracker(TrackerError::Later { .. })) {
            tracing::warn!(project = desk.project.slug, %subject, cause = %error,
                "an effect was not carried out");
        }
        let taken = self.take(&desk.lease, subject).await?;
        let mut tx = taken.ok_or(EffectError::Lost)?;
        tx.set_effects(project, &step.ids(), (state, Some(&error.to_string())), now).await?;
        let is_over = state != EffectState::Parked || step.effects.is_empty();
        if is_over {
            tx.set_lane(project, subject, again).await?;
        } else {
            tx.leave_lane(project, subject, (now, None)).await?;
        }
        tx.commit().await?;
        Ok(is_over)
    }

    /// Leaves a lane alone for a while of which the store does not say or take what is in it.
    async fn postpone<T>(
        &self,
        desk: &Desk<'_, T>,
        lane: Lane,
        cause: &(dyn std::error::Error + Sync),
    ) -> Result<bool, StoreError> {
        let (project, subject) = (&desk.project.slug, lane.subject);
        tracing::warn!(project, %subject, %cause, "a lane cannot be worked");
        let Some(mut tx) = self.take(&desk.lease, subject).await? else { return Ok(false) };
        let again = lane.again(Duration::ZERO, &self.clock);
        tx.set_lane(desk.project.id, subject, again).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn carry_out<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        subject: Subject,
        step: &Step,
    ) -> Result<Carried, EffectError> {
        let synced = match subject {
            Subject::Issue(issue) => self.sync_issue(desk, step, issue).await?,
            Subject::Lock(lock) => self.sync_lock(desk, step, lock).await?,
            Subject::Deploy(deploy) => self.sync_deploy(desk, step, deploy).await?,
            Subject::Storm => self.sync_storm(desk, step).await?,
        };
        let Some((mut task, carried)) = synced else { return Ok(Carried::default()) };
        match self.say(desk, step, &task).await {
            Err(TrackerError::Gone) => {
                task.deleted_at = Some(self.clock.now());
                self.save(desk, &task).await?;
            }
            said => said?,
        }
        Ok(carried)
    }

    /// Says what people are told, where there is a task.
    async fn say<T: Tracker + Sync>(
        &self,
        desk: &Desk<'_, T>,
        step: &Step,
        task: &Task,
    ) -> Result<(), TrackerError> {
        let Some(remote) = task.remote.as_ref().filter(|_| task.deleted_at.is_none()) else {
            return Ok(());
        };
        let said = step.effects.iter().filter_map(|one| Some((one, one.effect.say.as_ref()?)));
        for (effect, text) in said {
            let key = effect.id.to_string();
            if !step.is_unsure || !desk.tracker.has_said(&remote.id, &key).await? {
                desk.tracker.say(&remote.id, &key, text).await?;
            }
        }
        Ok(())
    }
}

impl Lane {
    /// When it is tried again after one more failure, and how many there were then.
    fn again(self, asked: Duration, clock: &Clock) -> (Timestamp, u32) {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.n_failures.min(16)));
        let pause = clock.jittered(pause.min(MOST_PAUSE));
        (clock.now().plus(asked.max(pause)), self.n_failures.saturating_add(1))
    }
}
