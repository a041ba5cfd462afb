//! What is due by time: opening the store when it comes back, counters, keys, mutes, graves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::auth::keys::Keys;
use crate::auth::limiter::Limiter;
use crate::auth::secret_file;
use crate::auth::tokens::Tokens;
use crate::clock::Clock;
use crate::digest::bury;
use crate::domain::time::Timestamp;
use crate::health::{Health, PartState};
use crate::outcomes::Outcomes;
use crate::retention;
use crate::store::{Store, StoreError};
use crate::triage;

/// How often the housekeeper looks: what other nodes changed is known after this.
const EVERY: Duration = Duration::from_secs(5);

/// How often counts of outcomes are added to the store.
const FLUSH_EVERY: Duration = Duration::from_mins(1);

/// How often what is old is deleted.
const DELETE_EVERY: Duration = Duration::from_hours(1);

/// One step takes no longer than this.
const MOST_STEP: Duration = Duration::from_secs(40);

/// Outcomes are kept for this long.
const OUTCOMES_KEPT_FOR: Duration = Duration::from_hours(90 * 24);

/// Opens the store as soon as it answers.
pub(super) struct Opener {
    pub(super) store: Store,
    pub(super) keys: Arc<Keys>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) tokens: Tokens,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) admin_token: PathBuf,
}

impl Opener {
    /// Tries until it is open.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut pause = Duration::from_millis(200);
        while self.step().await.is_err() {
            if is_over(pause, &mut stop).await {
                return;
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        tracing::info!("the store is open");
    }

    /// Opens it once; gives the file of the administrator's token when this was the first start.
    pub(super) async fn step(&self) -> Result<Option<PathBuf>, StoreError> {
        let opened = self.open().await;
        match &opened {
            Ok(_) => self.health.ok(self.clock.now()),
            Err(cause) => {
                tracing::warn!(%cause, "cannot open the store");
                self.health.failed(PartState::Down, cause, self.clock.now());
            }
        }
        opened
    }

    async fn open(&self) -> Result<Option<PathBuf>, StoreError> {
        self.store.open().await?;
        self.keys.refresh().await?;
        self.limiter.refresh(&self.store, self.clock.now()).await?;
        let is_first = self.store.read().await?.find_once("first_token").await?.is_none();
        if !is_first {
            return Ok(None);
        }
        let secret = secret_file::read_or_write(&self.admin_token, &self.tokens.secret())
            .map_err(|cause| StoreError::Away(format!("admin.token cannot be written: {cause}")))?;
        if self.tokens.create_first(&secret).await? {
            tracing::info!(file = %self.admin_token.display(), "wrote an administrator's token");
            return Ok(Some(self.admin_token.clone()));
        }
        // Another node was first: its token counts, not this one.
        let _ = std::fs::remove_file(&self.admin_token);
        Ok(None)
    }
}

/// Does what is due.
pub(super) struct Housekeeper {
    pub(super) store: Store,
    pub(super) keys: Arc<Keys>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) clock: Clock,
    pub(super) outcomes: Arc<Outcomes>,
    pub(super) health: Health,
    pub(super) keeps_time: bool,
}

impl Housekeeper {
    /// Does what is due until told to stop.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut flushed_at = self.clock.now();
        let mut deleted_at = Timestamp::from_micros(0);
        // It may take longer than anything else waits.
        let mut giving_up = JoinSet::new();
        let mut clearing = JoinSet::new();
        while !is_over(EVERY, &mut stop).await {
            if !self.store.is_open() {
                continue;
            }
            let now = self.clock.now();
            let is_flush_due = now.since(flushed_at) >= FLUSH_EVERY;
            let is_delete_due = now.since(deleted_at) >= DELETE_EVERY;
            let mut errors = Vec::new();
            errors.extend(done(self.keys.refresh()).await.err());
            errors.extend(done(self.limiter.refresh(&self.store, now)).await.err());
            if is_flush_due {
                flushed_at = now;
                errors.extend(done(self.outcomes.flush(&self.store)).await.err());
            }
            if self.keeps_time {
                errors.extend(done(triage::end_mutes(&self.store, &self.clock)).await.err());
            }
            while clearing.try_join_next().is_some() {}
            if self.keeps_time && clearing.is_empty() {
                clearing.spawn(clear_deleted(self.store.clone(), now));
            }
            if self.keeps_time && is_delete_due {
                deleted_at = now;
                errors.extend(done(self.delete_old(now)).await.err());
                while giving_up.try_join_next().is_some() {}
                if giving_up.is_empty() {
                    giving_up.spawn(give_up_old(self.store.clone(), now));
                }
            }
            for cause in &errors {
                tracing::warn!(cause, "housekeeping could not be done");
            }
            match errors.pop() {
                None => self.health.ok(now),
                Some(cause) => self.health.failed(PartState::Down, cause, now),
            }
        }
        // What is not committed is undone; the next process goes on.
        giving_up.shutdown().await;
        clearing.shutdown().await;
    }

    async fn delete_old(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        tx.delete_buried_before(now.minus(bury::KEPT_FOR)).await?;
        tx.delete_outcomes_before(now.minus(OUTCOMES_KEPT_FOR).hour()).await?;
        tx.commit().await
    }
}

async fn clear_deleted(store: Store, now: Timestamp) {
    if let Err(cause) = retention::clear_deleted(&store, now).await {
        tracing::warn!(%cause, "a deleted project could not be cleared away");
    }
}

async fn give_up_old(store: Store, now: Timestamp) {
    match retention::give_up_old(&store, now).await {
        Ok(given) => {
            tracing::info!(events = given.n_events, bodies = given.n_bodies, "gave up what is old");
        }
        Err(cause) => tracing::warn!(%cause, "not all that is old could be given up"),
    }
}

/// Does one thing that is due, in bounded time; the others do not wait for it.
async fn done<T>(step: impl Future<Output = Result<T, StoreError>>) -> Result<(), String> {
    match tokio::time::timeout(MOST_STEP, step).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(cause)) => Err(cause.to_string()),
        Err(_) => Err("the store does not answer".to_owned()),
    }
}

/// Waits; true when the process is stopping.
pub(super) async fn is_over(span: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        // Nobody left to say so means the same.
        _ = stop.wait_for(|is_stopping| *is_stopping) => true,
        () = tokio::time::sleep(span) => false,
    }
}
