//! Numbers of payment cards, in texts.

use std::ops::Range;

use serde_json::Number;

use super::text::is_behind_percent;

/// The digits of the shortest card number.
const LEAST_DIGITS: usize = 13;

/// The digits of the longest.
const MOST_DIGITS: usize = 19;

/// A word that is glued to a card number is shorter than this, in bytes.
const MOST_GLUED_BYTES: usize = 20;

/// From the smallest number of as many digits as a card's to the smallest of more.
const CARDS: Range<f64> = 1e12..1e19;

/// How card numbers are printed in groups.
const GROUPINGS: &[&[usize]] = &[&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3]];

/// The places of all card numbers, in order.
///
/// A number of 13 or more digits covers one of every 13 bytes, so most of a text is not looked at.
pub(super) fn find_all(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut done = 0;
    let mut at = LEAST_DIGITS - 1;
    while let Some(byte) = text.get(at) {
        if !is_part(*byte) {
            at = at.saturating_add(LEAST_DIGITS);
            continue;
        }
        let before = text.get(done..at).unwrap_or_default();
        let start =
            at.saturating_sub(before.iter().rev().take_while(|byte| is_part(**byte)).count());
        let after = text.get(at..).unwrap_or_default();
        let end = at.saturating_add(after.iter().take_while(|byte| is_part(**byte)).count());
        find_in_run(text, start..end, &mut found);
        done = end;
        at = end.saturating_add(LEAST_DIGITS);
    }
    found
}

/// Whether a whole number is that of a card.
pub(super) fn is_card(number: &Number) -> bool {
    let is_candidate = |float: &f64| CARDS.contains(&float.abs()) && float.fract() == 0.0;
    let Some(float) = number.as_f64().filter(is_candidate) else { return false };
    let digits = number.as_u64().map_or_else(|| format!("{float:.0}"), |whole| whole.to_string());
    !find_all(digits.as_bytes()).is_empty()
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'+' | b'%' | b'.')
}

/// Card numbers within digits and what separates them.
fn find_in_run(text: &[u8], run: Range<usize>, found: &mut Vec<Range<usize>>) {
    if run.len() < LEAST_DIGITS {
        return;
    }
    let groups = groups(text, &run);
    let mut rest = groups.as_slice();
    while let Some(group) = rest.first() {
        let whole = GROUPINGS.iter().find_map(|grouping| grouped(text, rest, grouping));
        let (card, n_groups) = match whole {
            Some((card, n_groups)) => (Some(card), n_groups),
            None => (
                Some(group.clone())
                    .filter(|whole| is_card_at(text, whole, std::slice::from_ref(group))),
                1,
            ),
        };
        found.extend(card);
        rest = rest.get(n_groups..).unwrap_or_default();
    }
}

/// A card number that the next groups are, and how many.
fn grouped(
    text: &[u8],
    groups: &[Range<usize>],
    grouping: &[usize],
) -> Option<(Range<usize>, usize)> {
    let groups = groups.get(..grouping.len())?;
    let (first, last) = (groups.first()?, groups.last()?);
    let between = |one: &Range<usize>, next: &Range<usize>| text.get(one.end..next.start);
    let separator = between(first, groups.get(1)?)?;
    let is_even = matches!(separator, b" " | b"-" | b"+" | b"." | b"%20")
        && groups
            .windows(2)
            .all(|pair| matches!(pair, [one, next] if between(one, next) == Some(separator)));
    let has_lengths = groups.iter().map(Range::len).eq(grouping.iter().copied());
    let whole = first.start..last.end;
    (is_even && has_lengths && is_card_at(text, &whole, groups)).then_some((whole, grouping.len()))
}

/// The runs of digits, without those of bytes written as `%20`.
fn groups(text: &[u8], run: &Range<usize>) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut at = run.start;
    while at < run.end {
        match text.get(at) {
            Some(b'%') => at = at.saturating_add(2),
            Some(byte) if byte.is_ascii_digit() => match groups.last_mut() {
                Some(group) if group.end == at => group.end = at.saturating_add(1),
                Some(_) | None => groups.push(at..at.saturating_add(1)),
            },
            Some(_) | None => {}
        }
        at = at.saturating_add(1);
    }
    groups.retain(|group| group.end <= run.end);
    groups
}

/// Whether groups of digits are a card's number; `whole` is where they stand.
fn is_card_at(text: &[u8], whole: &Range<usize>, groups: &[Range<usize>]) -> bool {
    if whole.len() < LEAST_DIGITS {
        return false;
    }
    let n_digits: usize = groups.iter().map(Range::len).sum();
    let is_placed = match surroundings(text, whole) {
        Surroundings::Free => true,
        Surroundings::Word => matches!(n_digits, 15 | 16),
        Surroundings::Larger => false,
    };
    if !is_placed {
        return false;
    }
    let bytes = groups.iter().filter_map(|group| text.get(group.clone())).flatten();
    let digits: Vec<u8> = bytes.map(|byte| byte.saturating_sub(b'0')).collect();
    is_card_number(&digits)
}

/// What digits stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    /// Nothing.
    Free,
    /// Words are glued to them: `VISA4111…`, `4111…USD`.
    Word,
    /// Something larger: an identifier, a decimal number.
    Larger,
}

fn surroundings(text: &[u8], at: &Range<usize>) -> Surroundings {
    let before = |n: usize| at.start.checked_sub(n).and_then(|place| text.get(place)).copied();
    let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
    let is_fraction = before(1) == Some(b'.') && is_digit(before(2));
    if is_fraction || has_fraction(text, at.end) {
        return Surroundings::Larger;
    }
    // The letters of an escape (`\n`, `%3D`) are no letters, nor is that of a card's track (`%B4111…`).
    let is_escape = matches!((before(2), before(1)), (Some(b'\\'), _) | (Some(b'%'), Some(b'B')))
        || is_behind_percent(text, at.start);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
    let first = at.start.saturating_sub(MOST_GLUED_BYTES);
    let start = if is_escape { at.start } else { first };
    let ahead = text.get(start..at.start).unwrap_or_default();
    let n_ahead = ahead.iter().rev().take_while(|byte| is_word(byte)).count();
    let ahead = ahead.get(ahead.len().saturating_sub(n_ahead)..).unwrap_or_default();
    let behind = text.get(at.end..).unwrap_or_default();
    let behind = behind.get(..MOST_GLUED_BYTES.min(behind.len())).unwrap_or_default();
    let n_behind = behind.iter().take_while(|byte| is_word(byte)).count();
    let behind = behind.get(..n_behind).unwrap_or_default();
    match (ahead, behind) {
        ([], []) => Surroundings::Free,
        _ if can_be_glued(without_escape(text, at.start, ahead)) && can_be_glued(behind) => {
            Surroundings::Word
        }
        _ => Surroundings::Larger,
    }
}

/// A word without the letters of the escape it follows.
fn without_escape<'a>(text: &[u8], end: usize, word: &'a [u8]) -> &'a [u8] {
    let start = end.saturating_sub(word.len());
    let is_behind = start.checked_sub(1).and_then(|place| text.get(place)) == Some(&b'%');
    word.get(if is_behind { 2 } else { 0 }..).unwrap_or_default()
}

/// Whether letters can be a word beside a card number, rather than a part of an identifier.
fn can_be_glued(word: &[u8]) -> bool {
    word.is_empty()
        || (2..MOST_GLUED_BYTES).contains(&word.len())
            && word.iter().all(u8::is_ascii_alphabetic)
            && !word.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a decimal fraction follows; one of zeros (`.0`, `.00`) is how tables print whole numbers.
fn has_fraction(text: &[u8], end: usize) -> bool {
    let Some((b'.', rest)) = text.get(end..).unwrap_or_default().split_first() else {
        return false;
    };
    let rest = rest.get(..3.min(rest.len())).unwrap_or_default();
    let n_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_zero = rest.iter().take(n_digits).all(|byte| *byte == b'0');
    n_digits > 0 && !(is_zero && n_digits <= 2)
}

/// Whether these digits are the number of a card: an issuer's, of its length, with the right check
/// digit (Luhn, ISO/IEC 7812-1).
pub(super) fn is_card_number(digits: &[u8]) -> bool {
    if !(LEAST_DIGITS..=MOST_DIGITS).contains(&digits.len()) {
        return false;
    }
    let prefix =
        |n: usize| digits.iter().take(n).fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit));
    let n = digits.len();
    let is_issued = match prefix(1) {
        4 => matches!(n, 13 | 16 | 19),
        5 => n == 16 && (51..=55).contains(&prefix(2)),
        2 => n == 16 && (2_221..=2_720).contains(&prefix(4)),
        3 => match prefix(2) {
            34 | 37 => n == 15,
            36 | 38 => n == 14,
            30 => n == 14 && (300..=305).contains(&prefix(3)),
            35 => n == 16,
            _ => false,
        },
        6 => match prefix(2) {
            60 => n == 16 && prefix(4) == 6_011,
            62 => (16..=19).contains(&n),
            64 | 65 => matches!(n, 16 | 19),
            _ => false,
        },
        _ => false,
    };
    let is_uniform = digits.windows(2).all(|pair| matches!(pair, [one, next] if one == next));
    is_issued && !is_uniform && has_check_digit(digits)
}

fn has_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match digit * 2 {
                _ if place % 2 == 0 => digit,
                doubled if doubled > 9 => doubled - 9,
                doubled => doubled,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        find_all(text.as_bytes()).first().and_then(|at| text.get(at.clone()))
    }

    #[test]
    fn all_of_them_are_found() {
        let text = "4111111111111111 5500005555555559, 4111 1111 1111 1111 4111 1111 1111 1111";
        assert_eq!(find_all(text.as_bytes()).len(), 4);
    }

    #[test]
    fn card_numbers_in_their_many_spellings() {
        for (text, number) in [
            ("4111111111111111", "4111111111111111"),
            ("card=4111111111111111&x", "4111111111111111"),
            ("declined for 4111 1111 1111 1111.", "4111 1111 1111 1111"),
            ("x: 5500-0055-5555-5559,", "5500-0055-5555-5559"),
            ("order 5512 4111 1111 1111 1111", "4111 1111 1111 1111"),
            ("amex 3782 822463 10005", "3782 822463 10005"),
            ("{\\n4111111111111111}", "4111111111111111"),
            ("'4111111111111111'", "4111111111111111"),
            ("%7B%22number%22%3A%224111111111111111%22%7D", "4111111111111111"),
            ("cc%3D4111111111111111", "4111111111111111"),
            ("card=4111+1111+1111+1111&x", "4111+1111+1111+1111"),
            ("card=4111%201111%201111%201111&x", "4111%201111%201111%201111"),
            ("💳 for 4111111111111111", "4111111111111111"),
            ("VISA4111111111111111", "4111111111111111"),
            ("4111111111111111USD", "4111111111111111"),
            ("cc%3DVISA4111111111111111", "4111111111111111"),
            ("%B4111111111111111^DOE/JOHN^2512", "4111111111111111"),
            (";4111111111111111=2512101", "4111111111111111"),
            ("4111.1111.1111.1111", "4111.1111.1111.1111"),
            ("paid with 4111.1111.1111.1111.", "4111.1111.1111.1111"),
            ("4111111111111111.00", "4111111111111111"),
            ("4111111111111111.0,", "4111111111111111"),
            ("total 1.50 4111111111111111", "4111111111111111"),
        ] {
            assert_eq!(found(text), Some(number), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_no_cards() {
        for text in [
            "4111111111111112",
            "0.4111111111111111",
            "4111111111111111.5",
            "a4111111111111111",
            "1795226466700001",
            "00000000-0000-0000-0000-000000000007",
            "41111111111111111111111",
            "4111 11111111 1111",
            "4444444444444448x",
            "4111111111111111.001",
            "1.4111.1111.1111.1111",
            "4111.1111.1111.1111.5",
            "411.11111.1111.1111",
            "deadbeef4111111111111111",
            "4111111111111111cafe",
            "x4111111111111111USD",
            "id4111111111111111k7",
            "7VISA4111111111111111",
            "0x4111111111111111",
            "T4222222222222",
            "IMG4222222222222",
            "4111111111111111aaaaaaaaaaaaaaaaaaaaaaaaaazz",
            "0f4b-4111111111111111a",
            "",
            "123",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
