//! Which of some commits descend from which.

use super::{History, Place};

/// So many commits at a time are told apart: one bit for each.
pub const MOST_LINES: usize = u64::BITS as usize;

/// What each of some commits descends from, found in one pass.
#[derive(Debug)]
pub struct Lines {
    tips: Vec<Place>,
    /// Of each place, which tips have it.
    has: Vec<u64>,
}

impl Lines {
    /// Of these commits, the first [`MOST_LINES`] of them.
    #[must_use]
    pub(super) fn new(history: &History, tips: &[Place]) -> Self {
        let tips: Vec<Place> = tips.iter().copied().take(MOST_LINES).collect();
        let n_places = tips.iter().max().map_or(0, |latest| latest.0 as usize + 1);
        let mut has = vec![0_u64; n_places];
        for (number, tip) in tips.iter().enumerate() {
            if let Some(bits) = has.get_mut(tip.0 as usize) {
                *bits |= 1 << number;
            }
        }
        for place in history.places_from(0).rev() {
            let bits = has.get(place.0 as usize).copied().unwrap_or(0);
            if bits == 0 {
                continue;
            }
            for parent in history.parents(place) {
                if let Some(parent) = has.get_mut(parent.0 as usize) {
                    *parent |= bits;
                }
            }
        }
        Self { tips, has }
    }

    /// Whether one of the tips is a commit or descends from it.
    #[must_use]
    pub fn has(&self, tip: Place, place: Place) -> bool {
        let number = self.tips.iter().position(|one| *one == tip);
        let bits = self.has.get(place.0 as usize).copied().unwrap_or(0);
        number.is_some_and(|number| bits & (1 << number) != 0)
    }
}
