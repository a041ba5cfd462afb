//! Room for what is not written yet: reserved before a body is read, so that a full spool is told
//! to clients before they have sent everything. A body on its way reserves what has arrived of it
//! and no more: a thousand clients that announce much and send nothing take nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::{Full, FullReason};
use super::health::{Health, State};
use super::record::RECORD_HEADER;

/// When a client may ask again while the spool or its disk is full.
const RETRY_FULL: Duration = Duration::from_mins(1);

/// When a client may ask again while the disk refuses to be written to.
const RETRY_FAILING: Duration = Duration::from_secs(10);

/// Room grows with what arrives by at least so many bytes at a time.
const LEAST_GROWTH: u64 = 16 * 1024;

/// Counts the bytes on disk and those promised.
#[derive(Debug)]
pub(super) struct Meter {
    used: AtomicU64,
    reserved: AtomicU64,
    free: AtomicU64,
    most_bytes: u64,
    least_free_bytes: u64,
    pub(super) health: Health,
}

impl Meter {
    pub(super) fn new(most_bytes: u64, least_free_bytes: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            most_bytes,
            least_free_bytes,
            health: Health::default(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }

    pub(super) fn most(&self) -> u64 {
        self.most_bytes
    }

    /// Bytes came onto the disk.
    pub(super) fn add_used(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::SeqCst);
        let less = |free: u64| Some(free.saturating_sub(bytes));
        let _ = self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// Bytes left the disk.
    pub(super) fn sub_used(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// The disk was measured.
    pub(super) fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::SeqCst);
    }

    /// Reserves room for a body of `bytes_hint` bytes.
    pub(super) fn admit(self: &Arc<Self>, bytes_hint: u64) -> Result<Room, Full> {
        let mut room = self.expect(bytes_hint)?;
        room.grow(bytes_hint)?;
        Ok(room)
    }

    /// Whether a body of `bytes_hint` bytes would have room; none is reserved until it comes.
    pub(super) fn expect(self: &Arc<Self>, bytes_hint: u64) -> Result<Room, Full> {
        if self.health.state() == State::Down {
            let error = self.health.last_error().unwrap_or_default();
            let reason = FullReason::Failing(error);
            return Err(Full { retry_after: RETRY_FAILING, reason });
        }
        let mut room = Room { meter: Arc::clone(self), bytes: 0 };
        self.reserve(RECORD_HEADER, bytes_hint)?;
        room.bytes = RECORD_HEADER;
        Ok(room)
    }

    /// Reserves `bytes` if there is room for them and for `ahead` more.
    fn reserve(&self, bytes: u64, ahead: u64) -> Result<(), Full> {
        let wanted = bytes.saturating_add(ahead);
        let mut refusal = None;
        let taken = self.reserved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |reserved| {
            // Read after `reserved`: what is converted meanwhile counts twice rather than never.
            let used = self.used().saturating_add(reserved);
            let free = self.free.load(Ordering::SeqCst).saturating_sub(reserved);
            refusal = if used.saturating_add(wanted) > self.most_bytes {
                Some(FullReason::Bytes { used, most: self.most_bytes })
            } else if free.saturating_sub(wanted) < self.least_free_bytes {
                Some(FullReason::FreeDisk { free, least: self.least_free_bytes })
            } else {
                None
            };
            refusal.is_none().then(|| reserved.saturating_add(bytes))
        });
        match refusal {
            Some(reason) if taken.is_err() => Err(Full { retry_after: RETRY_FULL, reason }),
            _ => Ok(()),
        }
    }

    fn release(&self, bytes: u64) {
        self.reserved.fetch_sub(bytes, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::SeqCst)
    }
}

/// Room in the spool, held for one append. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "room that is dropped is given back"]
pub struct Room {
    meter: Arc<Meter>,
    bytes: u64,
}

impl Room {
    /// Reserves `bytes` more: a body turned out longer than announced.
    ///
    /// # Errors
    /// When there is no room for them; what was reserved before stays so.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Full> {
        self.meter.reserve(bytes, 0)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Reserves what a body needs of which `n_arrived` bytes have arrived: a little ahead of it, so
    /// that not every piece has to ask.
    ///
    /// # Errors
    /// When there is no room for what has arrived.
    pub fn follow(&mut self, n_arrived: u64) -> Result<(), Full> {
        let needed = n_arrived.saturating_add(RECORD_HEADER);
        match needed.checked_sub(self.bytes) {
            None | Some(0) => Ok(()),
            Some(missing) => self.grow(missing.max(LEAST_GROWTH)).or_else(|_| self.grow(missing)),
        }
    }

    /// Reserves what `bytes` in all need beyond what is reserved.
    pub(super) fn cover(&mut self, bytes: u64) -> Result<(), Full> {
        match bytes.checked_sub(self.bytes) {
            None | Some(0) => Ok(()),
            Some(missing) => self.grow(missing),
        }
    }

    pub(super) fn belongs_to(&self, meter: &Arc<Meter>) -> bool {
        Arc::ptr_eq(&self.meter, meter)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.meter.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(most_bytes: u64, least_free_bytes: u64) -> Arc<Meter> {
        Arc::new(Meter::new(most_bytes, least_free_bytes))
    }

    #[test]
    fn room_is_bounded_and_given_back() {
        let meter = meter(1000, 0);
        let first = meter.admit(500).unwrap();
        let full = meter.admit(500).unwrap_err();
        assert_eq!(full.reason, FullReason::Bytes { used: 532, most: 1000 });
        assert!(full.to_string().contains("--spool-most-bytes"), "{full}");
        drop(first);
        let mut room = meter.admit(500).unwrap();
        room.grow(400).unwrap();
        room.grow(400).unwrap_err();
        assert_eq!(meter.reserved(), 932);
        drop(room);
        assert_eq!(meter.reserved(), 0);
    }

    #[test]
    fn what_is_only_announced_reserves_nothing() {
        let meter = meter(100_000, 0);
        let mut waiting: Vec<Room> =
            (0..1000).map(|_| meter.expect(90_000 - 32 * 1000).unwrap()).collect();
        assert_eq!(meter.reserved(), 32 * 1000);
        let room = waiting.last_mut().unwrap();
        room.follow(1).unwrap();
        assert_eq!(meter.reserved(), 32 * 1000 + LEAST_GROWTH);
        room.follow(LEAST_GROWTH).unwrap();
        assert_eq!(meter.reserved(), 32 * 1000 + LEAST_GROWTH);
        // Near the end, what has arrived counts, not the step.
        room.follow(67_000).unwrap();
        assert_eq!(meter.reserved(), 32 * 1000 + 67_000);
        room.follow(69_000).unwrap_err();
        meter.expect(2_000).unwrap_err();
    }

    #[test]
    fn a_nonsensical_hint_is_refused() {
        assert!(meter(1000, 0).admit(u64::MAX).is_err());
        assert!(meter(u64::MAX, 1).admit(u64::MAX).is_err());
    }

    #[test]
    fn what_is_promised_counts_against_the_disk() {
        let meter = meter(u64::MAX, 100);
        meter.set_free(300);
        let room = meter.admit(100).unwrap();
        let full = meter.admit(100).unwrap_err();
        assert_eq!(full.reason, FullReason::FreeDisk { free: 168, least: 100 });
        assert!(full.to_string().contains("--spool-least-free-bytes"), "{full}");
        drop(room);
        drop(meter.admit(100).unwrap());
    }

    #[test]
    fn a_disk_that_fails_twice_admits_nothing_until_it_was_probed() {
        let meter = meter(1000, 0);
        let error = std::io::Error::other("broken");
        meter.health.failed(&error);
        assert_eq!(meter.health.state(), State::Degraded);
        drop(meter.admit(1).unwrap());
        meter.health.failed(&error);
        let full = meter.admit(1).unwrap_err();
        assert_eq!(full.reason, FullReason::Failing("broken".to_owned()));
        meter.health.probed();
        drop(meter.admit(1).unwrap());
        meter.health.succeeded();
        assert_eq!((meter.health.state(), meter.health.last_error()), (State::Ok, None));
    }
}
