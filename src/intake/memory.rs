//! Large bodies that are in memory at once, together within a limit.
//!
//! Every body has a limit of its own, but a crowd of clients that each send a large one, slowly or
//! well packed, would add up to anything. Small bodies are never counted: usual reports pass, whoever
//! fills the rest. Beyond the limit events are cut at what is free. Who waits for the rest of a body
//! with a large window for decoding is counted too, and the only one who is refused.
//!
//! What takes memory only while it computes takes turns: nobody waits there for a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// What all bodies together may hold beyond [`FREE_BYTES`] each, in bytes.
const MOST_LARGE_BYTES: u64 = 128 * 1024 * 1024;

/// So many bytes of each body are not counted: nearly every report is smaller.
pub(super) const FREE_BYTES: usize = 256 * 1024;

/// A step in which a body is counted, so that counting is rare.
const STEP_BYTES: u64 = 256 * 1024;

/// So many decoders with large windows (`br` and `zstd`, at most 16 MiB each) work at once.
const MOST_WIDE_DECODERS: usize = 4;

/// So many large reports are looked into for their id at once.
const MOST_READERS: usize = 4;

/// Counts what large bodies hold. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    n_large_bytes: AtomicU64,
    wide_decoders: Semaphore,
    readers: Semaphore,
}

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Shared {
            n_large_bytes: AtomicU64::new(0),
            wide_decoders: Semaphore::new(MOST_WIDE_DECODERS),
            readers: Semaphore::new(MOST_READERS),
        }))
    }
}

/// What one body holds; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    memory: Memory,
    n_counted: u64,
}

impl Memory {
    /// The share of a body that holds nothing yet.
    pub(super) fn hold(&self) -> Held {
        Held { memory: self.clone(), n_counted: 0 }
    }

    /// The turn to decode with a large window; it ends when it is dropped.
    pub(super) async fn turn_to_decode(&self) -> Turn<'_> {
        Turn::of(&self.0.wide_decoders).await
    }

    /// The turn to read a large report; it ends when it is dropped.
    pub(super) async fn turn_to_read(&self) -> Turn<'_> {
        Turn::of(&self.0.readers).await
    }
}

/// Somebody's turn.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// `None` if the semaphore were closed, which it never is.
    _permit: Option<SemaphorePermit<'a>>,
}

impl<'a> Turn<'a> {
    async fn of(semaphore: &'a Semaphore) -> Self {
        Self { _permit: semaphore.acquire().await.ok() }
    }
}

impl Held {
    /// The bytes that the body may hold for certain: what is counted of it, and what is free.
    pub(super) fn n_sure(&self) -> usize {
        usize::try_from(self.n_counted).unwrap_or(usize::MAX).saturating_add(FREE_BYTES)
    }

    /// The body holds `n_bytes` now; false when that is more than there is memory for.
    pub(super) fn follow(&mut self, n_bytes: u64) -> bool {
        let wanted = n_bytes.saturating_sub(FREE_BYTES as u64).next_multiple_of(STEP_BYTES);
        let more = wanted.saturating_sub(self.n_counted);
        let take = |sum: u64| sum.checked_add(more).filter(|sum| *sum <= MOST_LARGE_BYTES);
        let counter = &self.memory.0.n_large_bytes;
        let is_taken =
            more == 0 || counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if is_taken {
            self.n_counted = self.n_counted.max(wanted);
        }
        is_taken
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.0.n_large_bytes.fetch_sub(self.n_counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_limit_and_small_ones_always_pass() {
        let memory = Memory::default();
        let mut large: Vec<Held> = Vec::new();
        while large.len() < 1_000 {
            let mut held = memory.hold();
            if !held.follow(4 * 1024 * 1024) {
                break;
            }
            large.push(held);
        }
        assert_eq!(large.len(), 34);
        assert!(memory.hold().follow(FREE_BYTES as u64));
        let mut late = memory.hold();
        assert!(!late.follow(2 * 1024 * 1024));
        assert_eq!(late.n_sure(), FREE_BYTES);
        assert_eq!(large.first().map(Held::n_sure), Some(4 * 1024 * 1024));
        large.clear();
        assert_eq!(memory.0.n_large_bytes.load(Ordering::Relaxed), 0);
    }
}
