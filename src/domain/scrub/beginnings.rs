//! Finding the places where one of many short texts begins, whatever the case of ASCII letters.
//!
//! Nearly every place of nearly every text begins none of them. A table of three bytes says so
//! faster than any automaton that looks for all of them could; the automaton looks only at the
//! places that are left.

use std::ops::Range;

use aho_corasick::{
    AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, Anchored, Input, MatchKind, StartKind,
};

/// The bits of a byte that the table looks at: letters of both cases have the same.
const BYTE_BITS: u32 = 5;

/// Values of these bits.
const N_BYTES: usize = 1 << BYTE_BITS;

/// Values of three bytes.
const N_PLACES: usize = 1 << (3 * BYTE_BITS);

/// Bits of one word of the table.
const WORD_BITS: usize = 64;

/// Texts that are looked for.
#[derive(Debug)]
pub(super) struct Beginnings {
    /// One bit for each value of three bytes: whether a text may begin with them.
    table: Box<[u64; N_PLACES / WORD_BITS]>,
    automaton: AhoCorasick,
}

impl Beginnings {
    /// `None` when there is nothing to look for.
    pub(super) fn new(texts: &[impl AsRef<str>]) -> Option<Self> {
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(StartKind::Anchored)
            .kind(Some(AhoCorasickKind::DFA))
            .build(texts.iter().map(AsRef::as_ref))
            .ok()
            .filter(|_| !texts.is_empty())?;
        let mut table = Box::new([0; N_PLACES / WORD_BITS]);
        for place in texts.iter().flat_map(|text| places(text.as_ref().as_bytes())) {
            if let Some(word) = table.get_mut(place / WORD_BITS) {
                *word |= 1 << (place % WORD_BITS);
            }
        }
        Some(Self { table, automaton })
    }

    /// The first place from `from` on where one of the texts is, the longest of them there, and
    /// which it is.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<(usize, Range<usize>)> {
        let rest = text.as_bytes().get(from..)?;
        let mut place = 0;
        let mut bytes = rest.iter();
        let mut is_possible = |byte: &u8| {
            place = next(place, *byte);
            self.is_possible(place)
        };
        while bytes.any(&mut is_possible) {
            let n_read = rest.len().saturating_sub(bytes.len());
            if let Some(n) = n_read.checked_sub(3)
                && let Some(found) = self.at(text, from.saturating_add(n))
            {
                return Some(found);
            }
        }
        // The last two places, behind which is nothing.
        (0..2).find_map(|n| {
            place = next(place, 0);
            let start = rest.len().saturating_add(n).checked_sub(2)?;
            self.is_possible(place).then(|| self.at(text, from.saturating_add(start)))?
        })
    }

    fn is_possible(&self, place: usize) -> bool {
        let word = self.table.get(place / WORD_BITS).copied().unwrap_or_default();
        word >> (place % WORD_BITS) & 1 == 1
    }

    fn at(&self, text: &str, start: usize) -> Option<(usize, Range<usize>)> {
        let input = Input::new(text).span(start..text.len()).anchored(Anchored::Yes);
        self.automaton.find(input).map(|hit| (hit.pattern().as_usize(), hit.range()))
    }
}

/// The place of three bytes in the table, from that of the three before and the next byte.
fn next(place: usize, byte: u8) -> usize {
    (place << BYTE_BITS | usize::from(byte) & (N_BYTES - 1)) & (N_PLACES - 1)
}

/// The places of all that `text` may begin with: any byte may follow a text of less than three.
fn places(text: &[u8]) -> Vec<usize> {
    let mut places = vec![0];
    for n in 0..3 {
        let bytes = match text.get(n) {
            Some(byte) => *byte..=*byte,
            None => 0..=u8::MAX,
        };
        places = places
            .into_iter()
            .flat_map(|place| bytes.clone().map(move |byte| next(place, byte)))
            .collect();
        places.sort_unstable();
        places.dedup();
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn beginnings(texts: &[&str]) -> Beginnings {
        Beginnings::new(texts).expect("texts")
    }

    #[test]
    fn the_first_place_counts_and_the_longest_text_there() {
        let beginnings = beginnings(&["pw", "pwd", "e", "ünder"]);
        for (text, from, expected) in [
            ("my PWD", 0, Some((1, 3..6))),
            ("my PWD", 4, None),
            ("pw", 0, Some((0, 0..2))),
            ("the", 0, Some((2, 2..3))),
            ("p", 0, None),
            ("", 0, None),
            ("Länder ünder", 7, Some((3, 8..14))),
            ("pw", 9, None),
        ] {
            assert_eq!(beginnings.find(text, from), expected, "{text}");
        }
        assert!(Beginnings::new(&[""; 0]).is_none());
    }

    proptest! {
        #[test]
        fn nothing_is_passed_over(before in "[a-z@`\\{ ]{0,9}", at in 0_usize..4, after in ".{0,9}") {
            let texts = ["pw", "Token", "://", "eyj"];
            let text = format!("{before}{}{after}", texts[at].to_uppercase());
            let first = (0..text.len())
                .find(|at| {
                    let rest = text.get(*at..).unwrap_or_default().to_ascii_lowercase();
                    texts.iter().any(|text| rest.starts_with(&text.to_ascii_lowercase()))
                })
                .expect("it is there");
            let found = beginnings(&texts).find(&text, 0).map(|(_, at)| at.start);
            prop_assert_eq!(found, Some(first));
        }
    }
}
