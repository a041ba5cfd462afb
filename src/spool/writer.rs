//! The thread that writes. It takes everything that waits, writes it at once, syncs once, and
//! answers all: many requests share one sync.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::AppendError;
use super::health::State;
use super::record::{self, SEGMENT_HEADER};
use super::room::Room;
use super::segment::Segment;
use super::shared::Shared;
use crate::domain::time::Timestamp;

/// A batch takes no more jobs once it has this many bytes.
const MOST_BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// When the last batch had so many jobs, as many are probably on their way again.
const CROWD: usize = 4;

/// So long a crowd is waited for, at most; never longer than the last batch took to be on disk.
const MOST_GATHERING: Duration = Duration::from_micros(500);

/// A buffer that grew beyond this for one long record is not kept.
const MOST_KEPT_BUFFER: usize = 8 * 1024 * 1024;

/// How often the disk is measured, and segments that are done are removed.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A segment of which something is done is closed at this age, so that what is done leaves the
/// disk even while a trickle never lets the spool run dry.
const MOST_SEGMENT_AGE: Duration = Duration::from_mins(1);

/// The records of one append.
#[derive(Debug)]
pub(super) struct Job {
    pub records: Vec<Vec<u8>>,
    pub framed_bytes: u64,
    pub at: Timestamp,
    pub room: Room,
    /// Its share of the queue.
    pub permit: OwnedSemaphorePermit,
    pub answer: oneshot::Sender<Result<(), AppendError>>,
}

/// What the thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    buffer: Vec<u8>,
    checked_at: Instant,
    last: LastBatch,
}

#[derive(Debug, Default)]
struct LastBatch {
    n_jobs: usize,
    took: Duration,
}

#[derive(Debug)]
struct Active {
    segment: Segment,
    begun_at: Instant,
}

/// Tells everyone when the thread ends, be it by a panic.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let checked_at = Instant::now();
        let last = LastBatch::default();
        Self { shared, active: None, buffer: Vec::new(), checked_at, last }
    }

    /// Works until every sender is gone and the queue is empty.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let _farewell = Farewell(Arc::clone(&self.shared));
        loop {
            let pause = CHECK_EVERY.saturating_sub(self.checked_at.elapsed());
            match jobs.recv_timeout(pause) {
                Ok(first) => {
                    let batch = self.gather(first, jobs);
                    let (n_jobs, begun_at) = (batch.len(), Instant::now());
                    self.commit(batch);
                    self.last = LastBatch { n_jobs, took: begun_at.elapsed() };
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.checked_at.elapsed() >= CHECK_EVERY {
                self.check();
                self.checked_at = Instant::now();
            }
        }
        self.close_active();
        self.shared.tidy();
    }

    /// Everything that waits, up to a bound; and of a crowd also those who are about to: a sync
    /// costs the same for all.
    fn gather(&self, first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
        let mut batch = vec![first];
        let n_bytes = take_waiting(&mut batch, jobs);
        let is_crowd = self.last.n_jobs >= CROWD && batch.len() < self.last.n_jobs;
        if is_crowd && n_bytes < MOST_BATCH_BYTES {
            std::thread::sleep(self.last.took.min(MOST_GATHERING));
            take_waiting(&mut batch, jobs);
        }
        batch
    }

    /// Makes a batch durable and answers its callers.
    fn commit(&mut self, batch: Vec<Job>) {
        let result = self.write(&batch).map_err(Arc::new);
        match &result {
            Ok(()) => self.shared.meter.health.succeeded(),
            Err(error) => {
                self.abandon_active();
                self.shared.meter.health.failed(error);
            }
        }
        for Job { room, permit, answer, .. } in batch {
            // On disk it counts as used already.
            drop((room, permit));
            // The caller may be gone; its records are then simply there, or not.
            let _ = answer.send(result.clone().map_err(AppendError::Write));
        }
    }

    fn write(&mut self, batch: &[Job]) -> io::Result<()> {
        let batch_bytes = batch.iter().map(|job| job.framed_bytes).sum::<u64>();
        self.make_active(batch_bytes)?;
        let Some(Active { segment, .. }) = &mut self.active else {
            return Err(io::Error::other("no segment was begun"));
        };
        let first_seq = self.shared.ledger().next_seq();

        self.buffer.clear();
        self.buffer.shrink_to(MOST_KEPT_BUFFER);
        let mut seq = first_seq;
        for job in batch {
            for payload in &job.records {
                record::encode(&mut self.buffer, segment.marker(), seq, job.at, payload);
                seq += 1;
            }
        }

        #[cfg(test)]
        if let Some(fault) = self.shared.take_fault() {
            return segment.append_broken(&self.buffer, fault);
        }
        let header_bytes = if segment.is_empty() { SEGMENT_HEADER } else { 0 };
        segment.append(&self.buffer)?;

        let oldest = batch.iter().map(|job| job.at).min().unwrap_or(Timestamp::from_micros(0));
        self.shared.meter.add_used(batch_bytes + header_bytes);
        self.shared.ledger().append(
            segment.name(),
            segment.durable_bytes(),
            seq - first_seq,
            oldest,
        );
        self.shared.n_syncs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.shared.announce(seq);
        Ok(())
    }

    /// Makes sure that there is a segment, with room for a batch.
    fn make_active(&mut self, batch_bytes: u64) -> io::Result<()> {
        let is_full = |active: &Active| {
            let segment = &active.segment;
            let after = segment.durable_bytes() + batch_bytes;
            !segment.is_empty() && after > self.shared.settings.segment_bytes
        };
        if self.active.as_ref().is_some_and(is_full) {
            self.close_active();
            self.measure();
        }
        if self.active.is_none() {
            let first_seq = self.shared.ledger().next_seq();
            let settings = &self.shared.settings;
            let segment = Segment::create(&settings.dir, self.shared.seed, first_seq)?;
            self.active = Some(Active { segment, begun_at: Instant::now() });
        }
        Ok(())
    }

    /// What is due about every second.
    fn check(&mut self) {
        self.measure();
        if self.shared.meter.health.state() == State::Down {
            match self.make_active(0) {
                Ok(()) => self.shared.meter.health.probed(),
                Err(error) => self.shared.meter.health.failed(&error),
            }
        }
        if let Some(active) = self.active.as_ref().filter(|active| !active.segment.is_empty()) {
            let ledger = self.shared.ledger();
            let is_begun = ledger.acked_seq() >= active.segment.name().first_seq;
            let is_drained = ledger.backlog_records() == 0;
            drop(ledger);
            // Nothing is appended between this look and the closing: only this thread appends.
            if is_drained || (is_begun && active.begun_at.elapsed() >= MOST_SEGMENT_AGE) {
                self.close_active();
            }
        }
        self.shared.tidy_unless_busy();
    }

    /// Closes the segment: the next batch begins a new one.
    fn close_active(&mut self) {
        if let Some(Active { segment, .. }) = self.active.take() {
            if segment.is_empty() {
                segment.abandon();
            } else {
                self.shared.ledger().close_active();
            }
        }
    }

    /// Gives the segment up after a failed write.
    fn abandon_active(&mut self) {
        if let Some(Active { segment, .. }) = self.active.take() {
            if !segment.is_empty() {
                self.shared.ledger().close_active();
            }
            segment.abandon();
        }
    }

    fn measure(&self) {
        self.shared.measure_disk();
    }
}

/// Adds what waits to a batch, until it is large; gives its bytes.
fn take_waiting(batch: &mut Vec<Job>, jobs: &Receiver<Job>) -> u64 {
    let mut bytes = batch.iter().map(|job| job.framed_bytes).fold(0, u64::saturating_add);
    while bytes < MOST_BATCH_BYTES
        && let Ok(job) = jobs.try_recv()
    {
        bytes = bytes.saturating_add(job.framed_bytes);
        batch.push(job);
    }
    bytes
}

/// The caller's side of the thread.
#[derive(Debug)]
pub(super) struct Handle {
    sender: std::sync::Mutex<Option<std::sync::mpsc::Sender<Job>>>,
    thread: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Handle {
    /// Starts the thread.
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (sender, jobs) = std::sync::mpsc::channel();
        let writer = Writer::new(shared);
        let thread = std::thread::Builder::new()
            .name("spool-writer".to_owned())
            .spawn(move || writer.run(&jobs))?;
        Ok(Self { sender: Some(sender).into(), thread: Some(thread).into() })
    }

    /// Queues a job. Its permit bounds the queue.
    pub(super) fn send(&self, job: Job) -> Result<(), AppendError> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.and_then(|sender| sender.send(job).ok()).ok_or(AppendError::Closed)
    }

    /// Takes no more jobs, and gives the thread to wait for; `None` when that was done before.
    pub(super) fn stop(&self) -> Option<std::thread::JoinHandle<()>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
