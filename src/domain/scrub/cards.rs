//! Numbers of payment cards, in texts.

use std::ops::Range;

use super::text::is_behind_percent;

/// The digits of the shortest card number.
const LEAST_DIGITS: usize = 13;

/// The digits of the longest.
const MOST_DIGITS: usize = 19;

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

fn is_part(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'+' | b'%')
}

/// Card numbers within digits, blanks and hyphens.
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
                    .filter(|whole| is_card(text, whole, std::slice::from_ref(group))),
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
    let is_even = matches!(separator, b" " | b"-" | b"+" | b"%20")
        && groups
            .windows(2)
            .all(|pair| matches!(pair, [one, next] if between(one, next) == Some(separator)));
    let has_lengths = groups.iter().map(Range::len).eq(grouping.iter().copied());
    let whole = first.start..last.end;
    (is_even && has_lengths && is_card(text, &whole, groups)).then_some((whole, grouping.len()))
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
fn is_card(text: &[u8], whole: &Range<usize>, groups: &[Range<usize>]) -> bool {
    if whole.len() < LEAST_DIGITS || !stands_alone(text, whole) {
        return false;
    }
    let bytes = groups.iter().filter_map(|group| text.get(group.clone())).flatten();
    let digits: Vec<u8> = bytes.map(|byte| byte.saturating_sub(b'0')).collect();
    is_card_number(&digits)
}

/// Whether the digits belong to nothing larger: an identifier, a decimal number.
fn stands_alone(text: &[u8], at: &Range<usize>) -> bool {
    let before = |n: usize| at.start.checked_sub(n).and_then(|place| text.get(place)).copied();
    let after = |n: usize| text.get(at.end.saturating_add(n)).copied();
    let is_letter = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
    let is_point = |byte: Option<u8>| byte == Some(b'.');
    // The letters of an escape (`\n`, `%3D`) are no letters.
    let is_escape = before(2) == Some(b'\\') || is_behind_percent(text, at.start);
    let follows_letter = is_letter(before(1)) && !is_escape;
    let is_fraction = is_point(before(1)) && is_digit(before(2));
    let has_fraction = is_point(after(0)) && is_digit(after(1));
    !follows_letter && !is_letter(after(0)) && !is_fraction && !has_fraction
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
            "",
            "123",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
