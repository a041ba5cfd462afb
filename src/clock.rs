//! The one source of time, ids and randomness.
//!
//! `app` makes it and hands it to the workers and edges; below them time and ids are arguments.
//! A test makes a [`Clock::stopped`] one and moves it itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::domain::time::Timestamp;

/// Time, ids and randomness.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The time in a test, in microseconds; `None` for the wall clock.
    stopped_at: Option<AtomicI64>,
    /// Milliseconds and a counter of the last id, so that ids ascend.
    last_id: AtomicU64,
}

/// Bits of an id's counter within one millisecond.
const COUNTER_BITS: u32 = 12;

impl Clock {
    /// The wall clock.
    #[must_use]
    pub fn system() -> Self {
        Self { inner: Arc::new(Inner { stopped_at: None, last_id: AtomicU64::new(0) }) }
    }

    /// A clock that stands still until it is moved.
    #[must_use]
    pub fn stopped(at: Timestamp) -> Self {
        let stopped_at = Some(AtomicI64::new(at.as_micros()));
        Self { inner: Arc::new(Inner { stopped_at, last_id: AtomicU64::new(0) }) }
    }

    /// Moves a stopped clock; the wall clock does not care.
    pub fn advance(&self, span: Duration) {
        if let Some(stopped_at) = &self.inner.stopped_at {
            let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
            stopped_at.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// Sets a stopped clock back; the wall clock does not care.
    pub fn set_back(&self, span: Duration) {
        if let Some(stopped_at) = &self.inner.stopped_at {
            let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
            stopped_at.fetch_sub(micros, Ordering::Relaxed);
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.inner.stopped_at {
            Some(stopped_at) => Timestamp::from_micros(stopped_at.load(Ordering::Relaxed)),
            #[expect(clippy::disallowed_methods, reason = "this is where the wall clock is read")]
            None => Timestamp::from_micros(jiff::Timestamp::now().as_microsecond()),
        }
    }

    /// Random bytes from the operating system.
    ///
    /// # Panics
    /// When the operating system has none: nothing safe can be done without.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[expect(clippy::disallowed_methods, reason = "this is where randomness comes from")]
        getrandom::fill(&mut bytes).expect("the operating system provides randomness");
        bytes
    }

    /// Between three quarters and five quarters of a time, so that what began together does not go on
    /// together.
    #[must_use]
    pub fn jittered(&self, span: Duration) -> Duration {
        let [random] = self.random::<1>();
        span * 3 / 4 + span * u32::from(random) / 512
    }

    /// A new `UUIDv7`, greater than every one this clock gave before.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let millis = u64::try_from(self.now().as_micros() / 1_000).unwrap_or_default();
        let earliest = millis << COUNTER_BITS;
        let next = |last: u64| last.saturating_add(1).max(earliest);
        let last = &self.inner.last_id;
        let before = last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .unwrap_or_else(|last| last);
        let id = next(before);
        let mut tail: [u8; 10] = self.random();
        let counter = u16::try_from(id & ((1 << COUNTER_BITS) - 1)).unwrap_or_default();
        if let Some(head) = tail.first_chunk_mut::<2>() {
            *head = counter.to_be_bytes();
        }
        uuid::Builder::from_unix_timestamp_millis(id >> COUNTER_BITS, &tail).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_even_while_the_clock_stands_still() {
        let clock = Clock::stopped(Timestamp::from_micros(1_795_226_466_000_000));
        let ids: Vec<Uuid> = (0..10_000).map(|_| clock.id()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert_eq!(ids[0].get_version_num(), 7);
        clock.advance(Duration::from_mins(1));
        assert_eq!(clock.now(), Timestamp::from_micros(1_795_226_526_000_000));
    }
}
