//! Large bodies that are in memory at once, together within a limit.
//!
//! Every body has a limit of its own, but a crowd of clients that each send a large one slowly would
//! add up to anything. Small bodies are never counted: usual reports pass, whoever fills the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all bodies together may hold beyond [`FREE_BYTES`] each, in bytes.
const MOST_LARGE_BYTES: u64 = 128 * 1024 * 1024;

/// So many bytes of each body are not counted: nearly every report is smaller.
const FREE_BYTES: u64 = 256 * 1024;

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

/// There are too many large bodies at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many large reports are arriving at once: send it again later, or a smaller one")]
pub(super) struct Crowded;

impl Memory {
    /// The share of a body that holds nothing yet.
    pub(super) fn hold(&self) -> Held {
        Held { memory: self.clone(), n_counted: 0 }
    }
}

impl Held {
    /// The body holds `n_bytes` now.
    pub(super) fn follow(&mut self, n_bytes: u64) -> Result<(), Crowded> {
        let wanted = n_bytes.saturating_sub(FREE_BYTES).next_multiple_of(STEP_BYTES);
        let more = wanted.saturating_sub(self.n_counted);
        if more == 0 {
            return Ok(());
        }
        let take = |sum: u64| sum.checked_add(more).filter(|sum| *sum <= MOST_LARGE_BYTES);
        let counter = &self.memory.0;
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|_| Crowded)?;
        self.n_counted = wanted;
        Ok(())
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
            if held.follow(4 * 1024 * 1024).is_err() {
                break;
            }
            large.push(held);
        }
        assert_eq!(large.len(), 34);
        assert_eq!(memory.hold().follow(FREE_BYTES), Ok(()));
        assert_eq!(memory.hold().follow(2 * 1024 * 1024), Err(Crowded));
        large.clear();
        assert_eq!(memory.0.load(Ordering::Relaxed), 0);
    }
}
