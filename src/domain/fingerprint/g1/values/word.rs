//! A run of letters, digits and underscores: kept, or a value as a whole or in part.

use super::ANY;
use crate::domain::fingerprint::g1::tables;

/// How much before a number may say that it is a status, in characters.
const STATUS_CHARS: usize = 28;

/// What becomes of a word between `left` and `right`.
pub(super) fn replace(word: &str, left: &str, right: &str) -> String {
    if word.trim_matches('_').contains('_') && !tables::KNOWN_WORD.is_match(word) {
        let parts: Vec<String> = word
            .split('_')
            .map(|part| if part.is_empty() { String::new() } else { replace(part, left, right) })
            .collect();
        return parts.join("_");
    }
    if is_value(word, left, right) {
        return ANY.to_owned();
    }
    match prefix_of_number(word) {
        Some(prefix) if !tables::KNOWN_WORD.is_match(word) => format!("{prefix}{ANY}"),
        _ => word.to_owned(),
    }
}

/// Whether the whole word is a value.
fn is_value(word: &str, left: &str, right: &str) -> bool {
    let bytes = word.as_bytes();
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    if !bytes.iter().any(is_digit) {
        let of =
            |range: std::ops::RangeInclusive<u8>| bytes.iter().all(|byte| range.contains(byte));
        return bytes.len() >= 8 && (of(b'a'..=b'f') || of(b'A'..=b'F'));
    }
    if bytes.iter().all(is_digit) {
        return !is_status(word, left, right) && !is_driver_code(word, left, right);
    }
    if tables::KNOWN_WORD.is_match(word) {
        return false;
    }
    let is_hex = |letters: std::ops::RangeInclusive<u8>| {
        bytes.iter().all(|byte| byte.is_ascii_digit() || letters.contains(byte))
    };
    if bytes.len() >= 4 && (is_hex(b'a'..=b'f') || is_hex(b'A'..=b'F')) {
        return true;
    }
    let n_switches = bytes
        .windows(2)
        .filter(|pair| {
            pair.first().zip(pair.last()).is_some_and(|(one, next)| {
                (one.is_ascii_alphabetic() && is_digit(next))
                    || (is_digit(one) && next.is_ascii_alphabetic())
            })
        })
        .count();
    let n_digits = bytes.iter().filter(|byte| is_digit(byte)).count();
    // A capital at the beginning is that of a sentence.
    let is_mixed = bytes.iter().skip(1).any(u8::is_ascii_uppercase)
        && bytes.iter().any(u8::is_ascii_lowercase);
    let is_random = n_switches >= 3
        || (bytes.len() >= 10 && (n_switches >= 2 || (n_digits >= 2 && is_mixed)))
        || (bytes.len() >= 16 && n_digits >= 2);
    is_random || (prefix_of_number(word).is_none() && is_number_with_unit(word))
}

/// Letters, and then nothing but digits: the letters.
fn prefix_of_number(word: &str) -> Option<&str> {
    let prefix = word.trim_end_matches(|last: char| last.is_ascii_digit());
    let is_prefix = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_prefix && prefix.len() < word.len()).then_some(prefix)
}

/// Digits, and then up to four letters.
fn is_number_with_unit(word: &str) -> bool {
    let unit = word.trim_start_matches(|first: char| first.is_ascii_digit());
    unit.len() < word.len()
        && (1..=4).contains(&unit.len())
        && unit.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// A status of HTTP tells one fault from another.
fn is_status(word: &str, left: &str, right: &str) -> bool {
    let Some(number) = word.parse::<u16>().ok().filter(|_| word.len() == 3) else { return false };
    if !(100..=599).contains(&number) {
        return false;
    }
    let left = super::last_chars(left, STATUS_CHARS);
    let says_status = || {
        let left = left.to_lowercase();
        left.contains("status") || left.contains("http")
    };
    tables::REASON_PHRASE.is_match(right)
        || (tables::STATUS_CONTEXT.is_match(left) && (number >= 400 || says_status()))
}

/// `(1205, 'Lock wait timeout exceeded')`: the number of a database's driver.
fn is_driver_code(word: &str, left: &str, right: &str) -> bool {
    word.len() == 4
        && left.trim().ends_with('(')
        && (right.starts_with(", '") || right.starts_with(", \""))
}
