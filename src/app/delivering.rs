//! Carries out effects: each project by itself, so that none waits for another's tracker.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::housekeeping::is_over;
use crate::clock::Clock;
use crate::health::{Health, PartState};
use crate::outbox::Outbox;
use crate::store::StoreError;

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a store is left alone that does not answer.
const AWAY_PAUSE: Duration = Duration::from_secs(5);

/// Carries out what is due.
pub(super) struct Deliverer {
    pub(super) outbox: Outbox,
    pub(super) health: Health,
    pub(super) clock: Clock,
}

impl Deliverer {
    /// Carries out what is due until told to stop; what is under way then ends. What cannot is *unsure*
    /// after the start.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut working: JoinSet<Result<(), StoreError>> = JoinSet::new();
        loop {
            let mut pause = LOOK_EVERY;
            match self.outbox.due().await {
                Ok(due) => {
                    for busy in due {
                        let outbox = self.outbox.clone();
                        working.spawn(async move { outbox.work(busy).await });
                    }
                    self.health.ok(self.clock.now());
                }
                Err(cause) => {
                    self.failed(&cause);
                    pause = AWAY_PAUSE;
                }
            }
            if is_over(pause, &mut stop).await {
                self.outbox.stop();
                while working.join_next().await.is_some() {}
                return;
            }
            while let Some(ended) = working.try_join_next() {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(cause)) => self.failed(&cause),
                    Err(cause) => tracing::error!(%cause, "work on a tracker ended badly"),
                }
            }
        }
    }

    fn failed(&self, cause: &StoreError) {
        tracing::warn!(%cause, "effects cannot be carried out");
        self.health.failed(PartState::Down, cause, self.clock.now());
    }
}
