//! The loop that drains the spool.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::bodies::{Bodies, Trained};
use super::bury;
use super::commit::{self, Committed};
use super::crew::Crew;
use super::prepare::{Poison, Prepared, panic_text, prepare_all, shares};
use super::rules::Rules;
use crate::auth::keys::Keys;
use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::outcome::Outcome;
use crate::domain::tag_counts::KnownTags;
use crate::health::{Health, PartState};
use crate::protocol::report::{Report, ReportMeta};
use crate::spool::{ReadError, Reader, Record, Spool};
use crate::store::{Store, StoreError};

/// What bounds a batch.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records, at most.
    pub most_records: usize,
    /// Records, at least: a slow store makes batches smaller, down to this.
    pub least_records: usize,
    /// Bytes, at most.
    pub most_bytes: usize,
    /// Under load a batch that is not full waits this long for more.
    pub linger: Duration,
    /// A transaction should hold SQLite's one writer no longer than this.
    pub most_hold: Duration,
    /// A transaction should hold the rows of its issues no longer than this, where others can write.
    pub most_shared_hold: Duration,
    /// One attempt at the store takes no longer than this; a peer that is gone never answers.
    pub most_attempt: Duration,
    /// When nothing comes for this long, the store's log is shrunk.
    pub idle: Duration,
    /// The first pause after the store failed; it doubles.
    pub least_pause: Duration,
    /// The longest pause.
    pub most_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            most_records: 1_024,
            least_records: 16,
            most_bytes: 16 * 1024 * 1024,
            linger: Duration::from_millis(200),
            // At 50 ms the database writes a tenth more for each event: the same pages, more often.
            most_hold: Duration::from_millis(150),
            most_shared_hold: Duration::from_millis(250),
            most_attempt: Duration::from_secs(40),
            // Right after a burst a full log is as large as what was stored.
            idle: Duration::from_millis(250),
            least_pause: Duration::from_millis(100),
            most_pause: Duration::from_secs(5),
        }
    }
}

/// After this many panics in a row, the one report that is left is buried.
const MOST_PANICS: u32 = 2;

/// Why a step did not go through.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The process is stopping; what is not acknowledged is read again by the next.
    #[error("stopping")]
    Stopping,
    /// The spool is closed and empty.
    #[error("the spool is drained")]
    Drained,
    /// A defect: digesting panicked. The batch is read again, in ever smaller pieces.
    #[error("digesting panicked: {0}")]
    Panicked(String),
    /// The spool cannot be read; trying again goes on at the same place.
    #[error(transparent)]
    Spool(ReadError),
}

/// Tries until the store answers; what it refuses for good is the result.
macro_rules! until_stored {
    ($digest:expr, $stop:expr, $attempt:expr) => {{
        let mut pause_for = $digest.limits.least_pause;
        loop {
            match tokio::time::timeout($digest.limits.most_attempt, $attempt).await {
                Err(_) => {
                    let cause = "the store does not answer".to_owned();
                    $digest.away(cause, &mut pause_for, $stop).await?;
                }
                Ok(Err(cause)) if !cause.is_permanent() => {
                    $digest.away(cause.to_string(), &mut pause_for, $stop).await?;
                }
                Ok(done) => break done,
            }
        }
    }};
}

/// What became of the records of a share, in their order.
type Understood = Vec<Result<Prepared, Box<Poison>>>;

/// Records on their way to the store.
#[derive(Debug)]
struct Batch {
    /// The number of the last record; `None` when there is none.
    last_seq: Option<u64>,
    n_records: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Digest panics on it.
    Unread(Vec<Bytes>),
    /// Being understood.
    Prepared(Vec<oneshot::Receiver<Understood>>),
}

/// Drains a spool into the store.
#[derive(Debug)]
pub struct Digest {
    store: Store,
    keys: Arc<Keys>,
    clock: Clock,
    spool: Spool,
    reader: Reader,
    health: Health,
    limits: Limits,
    rules: Rules,
    bodies: Arc<Bodies>,
    known_tags: KnownTags,
    training: Option<JoinHandle<Trained>>,
    ahead: Option<Batch>,
    batch_records: usize,
    n_panics: u32,
    last_commit: Option<Instant>,
    /// Whether anything was stored since the store's log was shrunk.
    has_stored: bool,
    crew: Crew,
}

impl Digest {
    /// A digest that reads from `reader`.
    #[must_use]
    pub fn new(
        store: Store,
        keys: Arc<Keys>,
        clock: Clock,
        (spool, reader): (Spool, Reader),
        health: Health,
        limits: Limits,
    ) -> Self {
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let batch_records = limits.most_records / 4;
        Self {
            store,
            keys,
            clock,
            spool,
            reader,
            health,
            limits,
            rules: Rules::default(),
            bodies: Arc::new(Bodies::default()),
            known_tags: KnownTags::default(),
            training: None,
            ahead: None,
            batch_records,
            n_panics: 0,
            last_commit: None,
            has_stored: false,
            crew: Crew::new(n_threads),
        }
    }

    /// Drains until told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let done = AssertUnwindSafe(self.step(&mut stop)).catch_unwind().await;
            match done.unwrap_or_else(|panic| Err(StepError::Panicked(panic_text(panic.as_ref()))))
            {
                Ok(_) => self.n_panics = 0,
                Err(StepError::Stopping | StepError::Drained) => return,
                Err(cause @ StepError::Panicked(_)) => {
                    tracing::error!(%cause, "a defect: digest goes on with one report at a time");
                    self.health.failed(PartState::Degraded, &cause, self.clock.now());
                    self.start_over();
                    self.n_panics += 1;
                    self.batch_records = 1;
                    if pause(self.limits.least_pause, &mut stop).await.is_err() {
                        return;
                    }
                }
                Err(StepError::Spool(cause)) => {
                    tracing::error!(%cause, "the spool cannot be read");
                    self.health.failed(PartState::Down, &cause, self.clock.now());
                    if pause(self.limits.most_pause, &mut stop).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Takes one batch from the spool to the store. Waits for records, and for the store. Under
    /// load the next batch is understood while this one is stored.
    ///
    /// # Errors
    /// [`StepError`]; then nothing is acknowledged.
    pub async fn step(&mut self, stop: &mut watch::Receiver<bool>) -> Result<usize, StepError> {
        let result = self.digest_next(stop).await;
        if result.is_ok() {
            self.health.ok(self.clock.now());
        } else {
            self.start_over();
        }
        result
    }

    /// Goes back to what is not acknowledged, as if it had never been seen.
    fn start_over(&mut self) {
        self.ahead = None;
        self.reader.rewind();
        self.bodies.forget();
    }

    async fn digest_next(&mut self, stop: &mut watch::Receiver<bool>) -> Result<usize, StepError> {
        let batch = match self.ahead.take() {
            Some(batch) => batch,
            None => self.wait_for_batch(stop).await?,
        };
        let Some(last_seq) = batch.last_seq else { return Ok(0) };
        match batch.content {
            Content::Unread(records) => self.bury_unread(records, stop).await?,
            Content::Prepared(shares) => {
                let mut prepared = Vec::with_capacity(batch.n_records);
                for share in shares {
                    let lost = |_| StepError::Panicked("a share of the batch is lost".to_owned());
                    prepared.extend(share.await.map_err(lost)?);
                }
                self.ahead = self.read_ahead(batch.n_records, stop).await?;
                self.store_prepared(prepared, stop).await?;
            }
        }
        self.reader.ack(last_seq).await;
        self.care_for_dictionaries().await;
        Ok(batch.n_records)
    }

    /// Waits for the next batch.
    async fn wait_for_batch(
        &mut self,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Batch, StepError> {
        self.linger(stop).await?;
        let records = loop {
            tokio::select! {
                biased;
                () = stopped(stop) => return Err(StepError::Stopping),
                records = self.reader.next(self.batch_records, self.limits.most_bytes) => {
                    break records;
                }
                () = tokio::time::sleep(self.limits.idle), if self.has_stored => {
                    self.has_stored = false;
                    if let Err(cause) = self.store.shrink_log().await {
                        tracing::debug!(%cause, "the store's log stays as long as it is");
                    }
                }
            }
        };
        let records = records.map_err(|cause| match cause {
            ReadError::Closed => StepError::Drained,
            cause @ ReadError::Io { .. } => StepError::Spool(cause),
        })?;
        self.begin(records, stop).await
    }

    /// The next batch, if there is a full one beyond the `n_records` that are being stored.
    async fn read_ahead(
        &mut self,
        n_records: usize,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<Batch>, StepError> {
        let n_waiting = self.spool.status().backlog_records.saturating_sub(n_records as u64);
        if self.n_panics > 0 || n_waiting < self.batch_records as u64 {
            return Ok(None);
        }
        let records = self.reader.try_next(self.batch_records, self.limits.most_bytes).await;
        // An error is met again, and told, when there is nothing else to do.
        let Ok(records) = records else { return Ok(None) };
        if records.is_empty() { Ok(None) } else { self.begin(records, stop).await.map(Some) }
    }

    /// Begins to understand records.
    async fn begin(
        &mut self,
        records: Vec<Record>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Batch, StepError> {
        let (last_seq, n_records) = (records.last().map(|record| record.seq), records.len());
        let records: Vec<Bytes> = records.into_iter().map(|record| record.bytes).collect();
        if self.n_panics >= MOST_PANICS && n_records == 1 {
            return Ok(Batch { last_seq, n_records, content: Content::Unread(records) });
        }
        // Rules that are unreadable are logged where they are read; the last known ones go on.
        if let Ok(fresh) = until_stored!(self, stop, self.rules.refreshed(&self.store)) {
            self.rules = fresh;
        }
        self.bodies.doubt(self.clock.now());
        let begin = |share| {
            let (rules, bodies) = (self.rules.clone(), Arc::clone(&self.bodies));
            self.crew.begin(move || prepare_all(share, &rules, &bodies))
        };
        let shares = shares(records, self.crew.n_threads).into_iter().map(begin).collect();
        Ok(Batch { last_seq, n_records, content: Content::Prepared(shares) })
    }

    /// Buries a report that digest panics on.
    async fn bury_unread(
        &self,
        records: Vec<Bytes>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), StepError> {
        for record in records {
            let meta = Report::read(&record).ok().map(|(meta, _)| meta);
            let reason = "digesting it panicked; the log says where".to_owned();
            let poison = Poison { meta, record, reason };
            self.bury(poison.project_id(), vec![poison], stop).await?;
        }
        Ok(())
    }

    /// Right after a batch, waits for a fuller one; an idle spool's first report waits for nothing.
    async fn linger(&self, stop: &mut watch::Receiver<bool>) -> Result<(), StepError> {
        let Some(last) = self.last_commit else { return Ok(()) };
        let left = self.limits.linger.saturating_sub(last.elapsed());
        let is_full = self.spool.status().backlog_records >= self.batch_records as u64;
        if left.is_zero() || is_full { Ok(()) } else { pause(left, stop).await }
    }

    async fn store_prepared(
        &mut self,
        prepared: Understood,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), StepError> {
        let mut projects: BTreeMap<ProjectId, Vec<Prepared>> = BTreeMap::new();
        let mut graves: BTreeMap<ProjectId, Vec<Poison>> = BTreeMap::new();
        for mut result in prepared {
            let (meta, n_bytes) = match &mut result {
                Ok(report) => (Some(&mut report.meta), report.record.len()),
                Err(poison) => (poison.meta.as_mut(), poison.record.len()),
            };
            if !self.is_allowed(meta, n_bytes as u64, stop).await? {
                continue;
            }
            match result {
                Ok(report) => projects.entry(report.meta.project_id).or_default().push(report),
                Err(poison) => graves.entry(poison.project_id()).or_default().push(*poison),
            }
        }
        for (project, poisons) in graves {
            self.bury(project, poisons, stop).await?;
        }
        for (project, reports) in projects {
            self.load_dictionary(project).await;
            self.store_all(project, reports, stop).await?;
        }
        Ok(())
    }

    /// Checks the key of a report that came while the store was away, and whether to believe it.
    async fn is_allowed(
        &self,
        meta: Option<&mut ReportMeta>,
        n_bytes: u64,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<bool, StepError> {
        let Some(meta) = meta.filter(|meta| !meta.is_verified) else { return Ok(true) };
        let key = until_stored!(self, stop, bury::find_valid_key(&self.store, meta));
        self.keys.release_unverified(n_bytes);
        let key = key.unwrap_or_default();
        meta.is_trusted = key.as_ref().is_some_and(|key| key.is_trusted);
        let is_allowed = key.is_some();
        if !is_allowed {
            let outcome = Outcome::Refused("unknown_key".to_owned());
            let hour = meta.received_at.hour();
            let counted = until_stored!(self, stop, self.count(hour, &outcome));
            counted.unwrap_or_else(|cause| {
                tracing::error!(%cause, "cannot count a refused report");
            });
        }
        Ok(is_allowed)
    }

    async fn count(&self, hour: i64, outcome: &Outcome) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        tx.add_outcome(ProjectId(0), hour, outcome, 1).await?;
        tx.commit().await
    }

    /// Stores reports of one project. What the store refuses for good is found by halving, and
    /// buried alone.
    async fn store_all(
        &mut self,
        project: ProjectId,
        reports: Vec<Prepared>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), StepError> {
        let mut parts = vec![reports];
        while let Some(mut reports) = parts.pop() {
            let began = Instant::now();
            let stored = until_stored!(
                self,
                stop,
                commit::commit(&self.store, &self.clock, project, &reports, &mut self.known_tags)
            );
            match stored {
                Ok(committed) => self.stored(project, committed, reports.len(), began),
                Err(cause) if reports.len() > 1 => {
                    tracing::error!(%project, %cause, n = reports.len(), "a batch was refused");
                    let rest = reports.split_off(reports.len() / 2);
                    // Popped from the end: the first half goes first, as it was sent first.
                    parts.push(rest);
                    parts.push(reports);
                }
                Err(cause) => {
                    if let Some(report) = reports.pop() {
                        let reason = format!("the store refused it: {cause}");
                        let meta = Some(report.meta);
                        let poison = Poison { meta, record: report.record, reason };
                        self.bury(project, vec![poison], stop).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Without its dictionary the bodies of a project are larger, and that is all.
    async fn load_dictionary(&self, project: ProjectId) {
        let loaded = self.bodies.load(&self.store, project, self.clock.now());
        match tokio::time::timeout(self.limits.most_attempt, loaded).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => tracing::debug!(%cause, "a dictionary could not be read"),
            Err(_) => tracing::debug!("a dictionary could not be read in time"),
        }
    }

    /// Takes a trained dictionary into use, and trains one that is due.
    async fn care_for_dictionaries(&mut self) {
        let now = self.clock.now();
        if let Some(training) = self.training.take_if(|training| training.is_finished())
            && let Ok(trained) = training.await
        {
            let adopted = self.bodies.adopt(&self.store, &trained, now);
            match tokio::time::timeout(self.limits.most_attempt, adopted).await {
                Ok(Ok(())) => {}
                Ok(Err(cause)) => tracing::warn!(%cause, "a dictionary could not be stored"),
                Err(_) => tracing::warn!("a dictionary could not be stored in time"),
            }
        }
        if self.training.is_none() {
            self.training = self.bodies.train(now);
        }
    }

    fn stored(
        &mut self,
        project: ProjectId,
        committed: Committed,
        n_records: usize,
        began: Instant,
    ) {
        self.bodies.learn(project, committed.n_before.into_iter());
        let held = began.elapsed();
        self.last_commit = Some(Instant::now());
        self.has_stored = true;
        let most_hold = if self.store.has_one_writer() {
            self.limits.most_hold
        } else {
            self.limits.most_shared_hold
        };
        if held > most_hold && n_records >= self.batch_records / 2 {
            self.batch_records = (self.batch_records / 2).max(self.limits.least_records);
        } else if held < most_hold * 7 / 10 && n_records >= self.batch_records / 2 {
            let more = self.batch_records + self.batch_records / 8 + 1;
            self.batch_records = more.min(self.limits.most_records);
        }
        metrics::counter!("airlock_digest_events_total").increment(committed.n_accepted);
        metrics::counter!("airlock_digest_duplicates_total").increment(committed.n_duplicates);
        metrics::histogram!("airlock_digest_commit_seconds").record(held);
    }

    /// Buries reports of one project. What the store refuses for good together is tried one by one.
    async fn bury(
        &self,
        project: ProjectId,
        poisons: Vec<Poison>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), StepError> {
        metrics::counter!("airlock_digest_buried_total").increment(poisons.len() as u64);
        let mut pause_for = self.limits.least_pause;
        let mut parts: Vec<&[Poison]> = vec![&poisons];
        while let Some(part) = parts.pop() {
            let bury = || bury::bury(&self.store, &self.clock, project, part);
            let Err(cause) = until_stored!(self, stop, bury()) else { continue };
            if part.len() > 1 {
                parts.extend(part.chunks(1).rev());
                continue;
            }
            // What is neither stored nor buried is never acknowledged: there is no giving up here.
            tracing::error!(%cause, "a report cannot be buried");
            self.away(cause.to_string(), &mut pause_for, stop).await?;
            parts.push(part);
        }
        Ok(())
    }

    async fn away(
        &self,
        cause: String,
        pause_for: &mut Duration,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), StepError> {
        tracing::warn!(cause, "the store is away; digest waits");
        self.health.failed(PartState::Degraded, cause, self.clock.now());
        pause(*pause_for, stop).await?;
        *pause_for = (*pause_for * 2).min(self.limits.most_pause);
        Ok(())
    }
}

/// Waits until told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // When nobody can tell any more, it is over as well.
    let _ = stop.wait_for(|is_stopping| *is_stopping).await;
}

async fn pause(span: Duration, stop: &mut watch::Receiver<bool>) -> Result<(), StepError> {
    tokio::select! {
        biased;
        () = stopped(stop) => Err(StepError::Stopping),
        () = tokio::time::sleep(span) => Ok(()),
    }
}
