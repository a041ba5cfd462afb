//! Some of the commits of a history.

use super::{History, Place, Reach};

const BITS: u32 = u64::BITS;

/// A set of commits, one bit for each place from `least` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Of the first bit; a multiple of the bits of a word.
    first: u32,
    words: Vec<u64>,
    /// Whether there may be more of them beyond where the history ends.
    is_cut: bool,
}

fn bit(place: u32) -> u64 {
    1 << (place % BITS)
}

impl Marks {
    /// The tips and all they descend from, down to a place.
    pub(super) fn sweep(history: &History, tips: &[Place], least: Place) -> Self {
        let first = least.0 - least.0 % BITS;
        let latest = tips.iter().map(|tip| tip.0).max().filter(|latest| *latest >= first);
        let n_words = latest.map_or(0, |latest| (latest - first) / BITS + 1);
        let mut marks = Self { first, words: vec![0; n_words as usize], is_cut: false };
        for tip in tips {
            marks.set(tip.0);
        }
        let mut n_left = marks.words.len();
        while n_left > 0 {
            n_left -= 1;
            // Bits below the one that was looked at: parents have lower places.
            let mut unseen = u64::MAX;
            while let Some(word) = marks.words.get(n_left).map(|word| word & unseen)
                && word != 0
            {
                let highest = BITS - 1 - word.leading_zeros();
                unseen = (1 << highest) - 1;
                let place = first + u32::try_from(n_left).unwrap_or(u32::MAX) * BITS + highest;
                for parent in history.parents(Place(place)) {
                    marks.set(parent.0);
                }
            }
        }
        marks.is_cut = history.is_cut(&marks);
        marks
    }

    fn set(&mut self, place: u32) {
        let at = place.checked_sub(self.first).map(|offset| offset / BITS);
        if let Some(word) = at.and_then(|at| self.words.get_mut(at as usize)) {
            *word |= bit(place);
        }
    }

    fn word(&self, place: u32) -> u64 {
        let at = place.checked_sub(self.first).map(|offset| offset / BITS);
        at.and_then(|at| self.words.get(at as usize)).copied().unwrap_or(0)
    }

    /// Whether a commit is one of them.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.word(place.0) & bit(place.0) != 0
    }

    /// Whether a commit is one of them, as far as can be told.
    #[must_use]
    pub fn reach(&self, place: Place) -> Reach {
        match (self.has(place), self.is_cut) {
            (true, _) => Reach::Yes,
            (false, true) => Reach::Unknown,
            (false, false) => Reach::No,
        }
    }

    /// Whether there may be more of them beyond where the history ends.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}
