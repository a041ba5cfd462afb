//! IP addresses, in texts.
//!
//! Four numbers with points between them may be a version as well: what follows a letter, or a
//! letter and a hyphen, is taken for one (`v1.2.3.4`, `shop-1.2.3.4.jar`).

use std::net::IpAddr;
use std::ops::Range;

use super::MARK;
use super::text::{is_behind_percent, is_nothing};

/// The bytes of the shortest address.
pub(super) const LEAST_BYTES: usize = 7;

/// The bytes of the longest.
const MOST_BYTES: usize = 45;

/// The places of all addresses, in order. Those of nobody (`127.0.0.1`, `0.0.0.0`) are left out.
pub(super) fn find_all(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    if bytes.len() < LEAST_BYTES {
        return found;
    }
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if !is_part(*byte) {
            at = at.saturating_add(1);
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let end = at.saturating_add(rest.iter().take_while(|byte| is_part(**byte)).count());
        find_in_run(text, at..end, &mut found);
        at = end;
    }
    found
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

/// Addresses in hexadecimal digits, points and colons.
fn find_in_run(text: &str, run: Range<usize>, found: &mut Vec<Range<usize>>) {
    if run.len() < LEAST_BYTES {
        return;
    }
    let bytes = text.as_bytes();
    // The letters of an escape (`%3D`, `\b`) belong to no address.
    let mut start = run.start;
    let escape = run.start.saturating_add(2);
    if is_behind_percent(bytes, escape) {
        start = escape;
    } else if start.checked_sub(1).and_then(|place| bytes.get(place)) == Some(&b'\\') {
        start = start.saturating_add(1);
    }
    let whole = trimmed(text, start..run.end);
    if is_ip_v6(text, &whole) {
        found.push(whole);
        return;
    }
    let mut from = start;
    for part in text.get(start..run.end).unwrap_or_default().split(':') {
        let at = trimmed(text, from..from.saturating_add(part.len()));
        if is_ip_v4(text, &at) {
            found.push(at);
        }
        from = from.saturating_add(part.len()).saturating_add(1);
    }
}

/// Without the points and single colons around it, which belong to a sentence.
fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let part = text.get(at.clone()).unwrap_or_default();
    let part = part.trim_end_matches('.');
    let end = if part.ends_with("::") { part } else { part.trim_end_matches(':') };
    let inside = end.trim_start_matches('.');
    let inside = if inside.starts_with("::") { inside } else { inside.trim_start_matches(':') };
    let start = at.start.saturating_add(end.len().saturating_sub(inside.len()));
    start..start.saturating_add(inside.len())
}

fn parsed(text: &str, at: &Range<usize>) -> Option<IpAddr> {
    if at.len() > MOST_BYTES || !stands_alone(text.as_bytes(), at) {
        return None;
    }
    text.get(at.clone())?.parse().ok()
}

fn is_ip_v4(text: &str, at: &Range<usize>) -> bool {
    match parsed(text, at) {
        // `120.0.0.0` is the version of a browser.
        Some(IpAddr::V4(address)) => {
            !address.is_loopback() && !matches!(address.octets(), [_, _, 0, 0])
        }
        Some(IpAddr::V6(_)) | None => false,
    }
}

fn is_ip_v6(text: &str, at: &Range<usize>) -> bool {
    let Some(IpAddr::V6(_)) = parsed(text, at) else { return false };
    // `Abc::Def` is a path of names.
    let part = text.get(at.clone()).unwrap_or_default();
    let n_digits = part.bytes().filter(u8::is_ascii_digit).count();
    part.split(':').filter(|group| !group.is_empty()).count() >= 2 && n_digits >= 2
}

fn stands_alone(text: &[u8], at: &Range<usize>) -> bool {
    let before = |n: usize| at.start.checked_sub(n).and_then(|place| text.get(place)).copied();
    let is_word =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_escape = before(2) == Some(b'\\') || is_behind_percent(text, at.start);
    let is_version = before(1) == Some(b'-')
        && before(2).is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let follows_word = is_word(before(1)) && !is_escape;
    !follows_word && !is_version && !is_word(text.get(at.end).copied())
}

/// The network of an address; [`MARK`] for what is no address.
pub(super) fn network(text: &str) -> String {
    let text = text.trim();
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            std::net::Ipv4Addr::new(a, b, c, 0).to_string()
        }
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
        }
        Err(_) if is_nothing(text) => text.to_owned(),
        Err(_) => MARK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_within_texts() {
        for (text, expected) in [
            ("request from 203.0.113.7", vec!["203.0.113.7"]),
            ("203.0.113.7: refused, 198.51.100.4.", vec!["203.0.113.7", "198.51.100.4"]),
            ("connect 203.0.113.7:8080 failed", vec!["203.0.113.7"]),
            (r#"{"client_ip":"203.0.113.7"}"#, vec!["203.0.113.7"]),
            ("a=1&ip=203.0.113.7&b=2", vec!["203.0.113.7"]),
            ("next=%2Fa%3Fip%3D203.0.113.7%26b", vec!["203.0.113.7"]),
            (r"from\n203.0.113.7", vec!["203.0.113.7"]),
            (r"from\b203.0.113.7", vec!["203.0.113.7"]),
            ("http://203.0.113.7/x", vec!["203.0.113.7"]),
            ("203.0.113.7-203.0.113.9", vec!["203.0.113.7", "203.0.113.9"]),
            ("from [2001:db8:1:2::3]:443", vec!["2001:db8:1:2::3"]),
            ("ip:2001:db8::1.", vec!["2001:db8::1"]),
            ("fe80::1 and ::ffff:203.0.113.7", vec!["fe80::1", "::ffff:203.0.113.7"]),
            ("💳203.0.113.7💳", vec!["203.0.113.7"]),
        ] {
            let found: Vec<_> = find_all(text).into_iter().filter_map(|at| text.get(at)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            "12:30:45 on 2026-01-02",
            "v1.2.3.4 and shop-1.2.3.4.jar",
            "1.2.3.4.5 and 1.2.3",
            "HeadlessChrome/120.0.0.0 Safari/537.36",
            "300.1.2.3",
            "00:1a:2b:3c:4d:5e",
            "std::abc::Def, Bad::Face and ::1",
            "connect ECONNREFUSED 127.0.0.1:5432 at 0.0.0.0",
            "0.4111111111111111",
            "deadbeef:cafe",
        ] {
            assert!(find_all(text).is_empty(), "{text}");
        }
    }
}
