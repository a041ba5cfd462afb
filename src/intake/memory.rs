//! Large bodies that are in memory at once, together within a limit.
//!
//! Every body has a limit of its own, but a crowd of clients that each send a large one slowly would
//! add up to anything. Small bodies are never counted: usual reports pass, whoever fills the rest.
//! Beyond the limit events are cut at what is free; only who needs a large window for decoding is
//! refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all bodies together may hold beyond [`FREE_BYTES`] each, in bytes.
const MOST_LARGE_BYTES: u64 = 128 * 1024 * 1024;

/// So many bytes of each body are not counted: nearly every report is smaller.
pub(super) const FREE_BYTES: usize = 256 * 1024;

/// A step in which a body is counted, so that counting is rare.
const STEP_BYTES: u64 = 256 * 1024;

/// Counts what large bodies hold. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<AtomicU64>);

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
}

impl Held {
    /// The body holds `n_bytes` now; false when that is more than there is memory for.
    pub(super) fn follow(&mut self, n_bytes: u64) -> bool {
        let wanted = n_bytes.saturating_sub(FREE_BYTES as u64).next_multiple_of(STEP_BYTES);
        let more = wanted.saturating_sub(self.n_counted);
        let take = |sum: u64| sum.checked_add(more).filter(|sum| *sum <= MOST_LARGE_BYTES);
        let counter = &self.memory.0;
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
        self.memory.0.fetch_sub(self.n_counted, Ordering::Relaxed);
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
        assert!(!memory.hold().follow(2 * 1024 * 1024));
        large.clear();
        assert_eq!(memory.0.load(Ordering::Relaxed), 0);
    }
}
