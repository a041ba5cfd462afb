//! Sees to what waits for git: undetermined events, fixes that were named, deploys. What the gate found
//! out for those who waited is kept.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::health::{Health, PartState};
use crate::release::answers::keep_unkept;
use crate::release::deploys::lose_silent;
use crate::release::repositories::Repositories;
use crate::release::settle::{Round, settle_due};

/// How often it is looked what is due, when nobody gives a hint.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sees to what is due.
pub(super) struct Settler {
    pub(super) repositories: Repositories,
    pub(super) health: Health,
    pub(super) clock: Clock,
    /// Whether it is this process that does what is due, or only what it was itself asked for.
    pub(super) keeps_time: bool,
}

impl Settler {
    /// Sees to what is due until told to stop.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|is_stopping| *is_stopping) => return,
                () = self.repositories.hinted() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let work = async {
                keep_unkept(&self.repositories).await?;
                if !self.keeps_time {
                    return Ok(Round::Idle);
                }
                lose_silent(&self.repositories).await?;
                settle_due(&self.repositories).await
            };
            let done = tokio::select! {
                biased;
                // What is not committed is undone, and done again after the start.
                _ = stop.wait_for(|is_stopping| *is_stopping) => return,
                done = work => done,
            };
            let now = self.clock.now();
            match done {
                // What failed before is tried later.
                Ok(Round::Idle) if self.health.get().state != PartState::Down => {}
                Ok(Round::Idle | Round::Done) => self.health.ok(now),
                Ok(Round::Failed(cause)) => self.health.failed(PartState::Degraded, cause, now),
                Err(cause) => {
                    tracing::warn!(%cause, "what waits for git cannot be settled");
                    self.health.failed(PartState::Down, cause, now);
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }
}
