//! One lane: what happened to one task, in order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{LEAST_LEASE, Lease, Outbox};
use crate::domain::effect::Subject;
use crate::domain::project::Project;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::outbox::{EffectState, Lane, StoredEffect};
use crate::tracker::{Connection, TrackerError};

/// A lane that fails is tried again after this, and then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A lane that fails again and again is tried this often at least.
const MOST_PAUSE: Duration = Duration::from_mins(10);

/// Why an effect was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum EffectError {
    /// The tracker.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Effects that are carried out together: those that say nothing need one look.
struct Step {
    effects: Vec<StoredEffect>,
    /// Whether somebody was at it before, and nobody knows how far that came.
    is_unsure: bool,
}

impl Step {
    /// The next of a lane.
    fn next(mut effects: Vec<StoredEffect>) -> Option<Self> {
        let n_silent = effects.iter().take_while(|one| one.effect.say.is_none()).count();
        effects.truncate(n_silent + 1);
        let is_unsure = effects.iter().any(|one| match one.state {
            EffectState::Sending | EffectState::Unsure => true,
            EffectState::Planned | EffectState::Done | EffectState::Parked => false,
        });
        (!effects.is_empty()).then_some(Self { effects, is_unsure })
    }

    /// Since when somebody may have been at it.
    fn unsure_since(&self) -> Option<Timestamp> {
        let first = self.effects.first().filter(|_| self.is_unsure);
        first.map(|effect| effect.created_at)
    }

    fn ids(&self) -> Vec<uuid::Uuid> {
        self.effects.iter().map(|one| one.id.id).collect()
    }
}

impl Outbox {
    /// Carries out what is in a lane until nothing is left, or something fails.
    pub(super) async fn work_lane(
        &self,
        project: &Project,
        tracker: &Connection,
        lane: Lane,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let Lane { subject, n_failures } = lane;
        let fence = lease.fence;
        // A step ends before the lease does: who has it next looks up what was done.
        while lease.until.since(self.clock.now()) >= LEAST_LEASE
            && let Some(step) = self.begin(project, subject, fence).await?
        {
            let (state, error, is_over) = match self
                .carry_out_in_time(project, tracker, subject, &step)
                .await
            {
                Ok(()) => (EffectState::Done, None, false),
                Err(EffectError::Store(error)) => return Err(error),
                Err(EffectError::Tracker(error)) => {
                    let state = match &error {
                        // What nobody knew before, nobody knows now.
                        TrackerError::NotDone { .. } | TrackerError::Later { .. } => {
                            if step.is_unsure { EffectState::Unsure } else { EffectState::Planned }
                        }
                        TrackerError::Ambiguous(_) => EffectState::Unsure,
                        TrackerError::Refused(_) | TrackerError::Gone => EffectState::Parked,
                    };
                    // What is refused holds up nothing that comes after it.
                    (state, Some(error), state != EffectState::Parked)
                }
            };
            let now = self.clock.now();
            let mut tx = self.store.write().await?;
            if !tx.take_lane(project.id, subject, fence).await? {
                return Ok(());
            }
            let cause = error.as_ref().map(ToString::to_string);
            tx.set_effects(project.id, &step.ids(), (state, cause.as_deref()), now).await?;
            let again = match &error {
                Some(TrackerError::Later { after, .. }) => (now.plus(*after), n_failures),
                Some(TrackerError::NotDone { after, .. }) => {
                    let pause = after.unwrap_or_default().max(pause(n_failures));
                    (now.plus(pause), n_failures.saturating_add(1))
                }
                Some(TrackerError::Ambiguous(_)) => {
                    (now.plus(pause(n_failures)), n_failures.saturating_add(1))
                }
                Some(TrackerError::Refused(_) | TrackerError::Gone) | None => (now, 0),
            };
            tx.set_lane(project.id, subject, again).await?;
            tx.commit().await?;
            if let Some(cause) = error.as_ref().filter(|error| !error.is_wait()) {
                tracing::warn!(project = project.slug, %subject, %cause, "an effect was not carried out");
            }
            if is_over {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Marks what is next in a lane as being sent.
    async fn begin(
        &self,
        project: &Project,
        subject: Subject,
        fence: i64,
    ) -> Result<Option<Step>, StoreError> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        if !tx.take_lane(project.id, subject, fence).await? {
            return Ok(None);
        }
        let step = Step::next(tx.list_effects_of(project.id, subject).await?);
        match &step {
            Some(step) => {
                tx.set_effects(project.id, &step.ids(), (EffectState::Sending, None), now).await?;
            }
            None => tx.set_lane(project.id, subject, (now, 0)).await?,
        }
        tx.commit().await?;
        Ok(step)
    }

    async fn carry_out_in_time(
        &self,
        project: &Project,
        tracker: &Connection,
        subject: Subject,
        step: &Step,
    ) -> Result<(), EffectError> {
        let done = self.carry_out(project, tracker, subject, step);
        tokio::time::timeout(LEAST_LEASE, done).await.unwrap_or_else(|_| {
            let seconds = LEAST_LEASE.as_secs();
            Err(TrackerError::Ambiguous(format!("it took longer than {seconds} s")).into())
        })
    }

    async fn carry_out(
        &self,
        project: &Project,
        tracker: &Connection,
        subject: Subject,
        step: &Step,
    ) -> Result<(), EffectError> {
        let task = match subject {
            Subject::Issue(issue) => {
                self.sync_issue(project, tracker, issue, step.unsure_since()).await?
            }
            // They have no tasks yet.
            Subject::Lock(_) | Subject::Deploy(_) => None,
        };
        let Some(remote) = task else { return Ok(()) };
        let said = step.effects.iter().filter_map(|one| Some((one, one.effect.say.as_ref()?)));
        for (effect, text) in said {
            use crate::tracker::Tracker as _;
            let key = effect.id.to_string();
            if !step.is_unsure || !tracker.has_said(&remote.id, &key).await? {
                tracker.say(&remote.id, &key, text).await?;
            }
        }
        Ok(())
    }
}

fn pause(n_failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(n_failures.min(16))).min(MOST_PAUSE)
}
