//! What the handle, the reader and the writer's thread share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::error::OpenError;
use super::ledger::Ledger;
use super::room::Meter;
use super::{Settings, Status, recover, segment, watermark};
use crate::file_lock::FileLock;

/// How far the spool is, for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The number after the last durable record.
    pub next_seq: u64,
    /// Whether nothing more will come.
    pub is_closed: bool,
}

/// What the handle, the reader and the writer's thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub settings: Settings,
    pub seed: u64,
    pub meter: Arc<Meter>,
    pub n_syncs: AtomicU64,
    pub skipped_records: AtomicU64,
    pub skipped_bytes: AtomicU64,
    ledger: Mutex<Ledger>,
    progress: watch::Sender<Progress>,
    /// The number in the watermark's file; held while tidying.
    stored_mark: Mutex<u64>,
    /// Locked until the folder is given back, or its last user is gone.
    lock: Mutex<Option<FileLock>>,
    #[cfg(test)]
    faults: Mutex<std::collections::VecDeque<super::Fault>>,
}

impl Shared {
    pub(super) fn open(settings: Settings, seed: u64) -> Result<Arc<Self>, OpenError> {
        let lock = recover::lock(&settings.dir)?;
        let ledger = recover::recover(&settings.dir)?;
        let meter = Arc::new(Meter::new(settings.most_bytes, settings.least_free_bytes));
        meter.add_used(ledger.bytes());
        let next_seq = ledger.next_seq();
        let stored_mark = ledger.acked_seq().into();
        let shared = Arc::new(Self {
            settings,
            seed,
            meter,
            n_syncs: AtomicU64::new(0),
            skipped_records: AtomicU64::new(0),
            skipped_bytes: AtomicU64::new(0),
            ledger: ledger.into(),
            progress: watch::Sender::new(Progress { next_seq, is_closed: false }),
            stored_mark,
            lock: Mutex::new(Some(lock)),
            #[cfg(test)]
            faults: Mutex::default(),
        });
        shared.measure_disk();
        shared.tidy();
        Ok(shared)
    }

    /// Lets another open the folder.
    pub(super) fn unlock(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Wakes the reader: records below `next_seq` are durable.
    pub(super) fn announce(&self, next_seq: u64) {
        self.progress.send_modify(|progress| progress.next_seq = next_seq);
    }

    /// Nothing more will be written.
    pub(super) fn close(&self) {
        self.meter.health.closed();
        self.progress.send_modify(|progress| progress.is_closed = true);
    }

    pub(super) fn measure_disk(&self) {
        match rustix::fs::statvfs(&self.settings.dir) {
            Ok(disk) => self.meter.set_free(disk.f_bavail.saturating_mul(disk.f_frsize)),
            Err(error) => {
                tracing::warn!(%error, dir = %self.settings.dir.display(), "the spool's disk cannot be measured");
            }
        }
    }

    /// Stores the watermark, and removes the segments that are done. Does file I/O.
    pub(super) fn tidy(&self) {
        self.tidy_holding(self.stored_mark.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The same, unless somebody is at it: the writer has better things to do than to wait.
    pub(super) fn tidy_unless_busy(&self) {
        if let Ok(stored_mark) = self.stored_mark.try_lock() {
            self.tidy_holding(stored_mark);
        }
    }

    fn tidy_holding(&self, mut stored_mark: MutexGuard<'_, u64>) {
        let acked_seq = self.ledger().acked_seq();
        if acked_seq != *stored_mark {
            match watermark::write(&self.settings.dir, acked_seq, false) {
                Ok(()) => *stored_mark = acked_seq,
                Err(error) => {
                    tracing::warn!(%error, "the spool's watermark cannot be stored");
                }
            }
        }
        loop {
            let Some(drained) = self.ledger().find_drained() else { return };
            segment::remove(&drained.name.path(&self.settings.dir));
            self.ledger().remove_drained();
            self.meter.sub_used(drained.bytes);
        }
    }

    pub(super) fn status(&self) -> Status {
        let ledger = self.ledger();
        Status {
            backlog_records: ledger.backlog_records(),
            backlog_bytes: ledger.backlog_bytes(),
            oldest: ledger.oldest(),
            skipped_records: self.skipped_records.load(Ordering::Relaxed),
            skipped_bytes: self.skipped_bytes.load(Ordering::Relaxed),
            state: self.meter.health.state(),
            last_error: self.meter.health.last_error(),
            used_bytes: self.meter.used(),
            most_bytes: self.meter.most(),
            n_syncs: self.n_syncs.load(Ordering::Relaxed),
        }
    }

    #[cfg(test)]
    pub(super) fn take_fault(&self) -> Option<super::Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    #[cfg(test)]
    pub(super) fn add_fault(&self, fault: super::Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push_back(fault);
    }
}
