//! Values that give themselves away.

use std::ops::Range;

use super::{Found, Trigger, looks_like_key};
use crate::domain::scrub::Rule;

/// Beginnings of services' keys, and how many characters follow at least. From the documentation of
/// the services; those that are public by design (publishable keys) are not here.
const PREFIXES: &[(&str, usize)] = &[
    ("AIza", 30),
    ("SG.", 20),
    ("dop_v1_", 16),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghr_", 16),
    ("ghs_", 16),
    ("ghu_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    ("hf_", 20),
    ("npm_", 20),
    ("pypi-", 40),
    ("rk_live_", 8),
    ("rk_test_", 8),
    ("shpat_", 16),
    ("sk-", 20),
    ("sk_live_", 8),
    ("sk_test_", 8),
    ("sntrys_", 8),
    ("sntryu_", 8),
    ("whsec_", 16),
    ("xapp-", 12),
    ("xoxa-", 12),
    ("xoxb-", 12),
    ("xoxp-", 12),
    ("xoxr-", 12),
    ("xoxs-", 12),
    ("ya29.", 16),
];

/// Beginnings of the ids of AWS access keys.
const AWS_PREFIXES: &[&str] = &["AKIA", "ASIA"];

/// Bytes of an address that are looked at for a password.
const MOST_AUTHORITY_BYTES: usize = 512;

/// Bytes of a service's key that are looked at.
const MOST_KEY_BYTES: usize = 512;

/// A user part without password is scrubbed from this length on: it is a key, not a name.
const LEAST_LONE_USER_BYTES: usize = 16;

pub(super) fn triggers() -> impl Iterator<Item = (String, Trigger)> {
    let schemes = ["bearer", "basic"].map(|scheme| (scheme.to_owned(), Trigger::Scheme));
    let fixed = [
        ("://", Trigger::Url),
        // As JSON may write it.
        (":\\/\\/", Trigger::Url),
        ("@tcp(", Trigger::GoAddress),
        ("@unix(", Trigger::GoAddress),
        ("%3A%2F%2F", Trigger::EncodedUrl),
        ("-----BEGIN", Trigger::Pem),
        ("eyJ", Trigger::Jwt),
    ];
    schemes
        .into_iter()
        .chain(fixed.map(|(text, trigger)| (text.to_owned(), trigger)))
        .chain(PREFIXES.iter().map(|(text, least)| ((*text).to_owned(), Trigger::Prefix(*least))))
        .chain(AWS_PREFIXES.iter().map(|text| ((*text).to_owned(), Trigger::Aws)))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// How many bytes from `start` on are `is`.
pub(super) fn run(bytes: &[u8], start: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes.get(start..).unwrap_or_default().iter().take_while(|byte| is(**byte)).count()
}

/// Whether a word can begin at `at`: the letters of an escape (`\n`, `%3D`) are no letters.
fn begins(bytes: &[u8], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|place| bytes.get(place)).copied();
    is_behind_percent(bytes, at)
        || !before(1).is_some_and(|byte| byte.is_ascii_alphanumeric())
        || before(2) == Some(b'\\')
}

/// Whether a byte written as `%HH` ends before `at`.
pub(in crate::domain::scrub) fn is_behind_percent(bytes: &[u8], at: usize) -> bool {
    let escape = at.checked_sub(3).and_then(|start| bytes.get(start..at));
    matches!(escape, Some([b'%', high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// `Bearer abc123`, `Basic c2hvcDpodW50ZXIy`: what follows the scheme.
pub(super) fn credentials(bytes: &[u8], scheme: Range<usize>) -> Option<Found> {
    if !begins(bytes, scheme.start) {
        return None;
    }
    let n_blanks = run(bytes, scheme.end, |byte| byte == b' ' || byte == b'+');
    let encoded = bytes.get(scheme.end..).unwrap_or_default().starts_with(b"%20");
    let start = scheme.end.saturating_add(if encoded { 3 } else { n_blanks });
    if start == scheme.end || n_blanks > 4 {
        return None;
    }
    let end = start.saturating_add(run(bytes, start, is_token));
    let token = bytes.get(start..end).unwrap_or_default();
    // "basic functionality", "the bearer of" are words.
    let is_mixed = token
        .iter()
        .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'=');
    let is_secret = token.len() >= 20 || token.len() >= 4 && is_mixed && !is_capitalised(token);
    is_secret.then_some(Found { at: start..end, rule: Rule::Bearer })
}

/// A word of prose: `Authentication`.
fn is_capitalised(word: &[u8]) -> bool {
    matches!(word, [first, rest @ ..]
        if first.is_ascii_uppercase() && rest.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'.'))
}

/// The password in `scheme://user:password@host`; `start` is behind the slashes. Also a user that is
/// a key.
pub(super) fn url_password(bytes: &[u8], start: usize) -> Option<Found> {
    let rest = bytes.get(start..).unwrap_or_default();
    let window = rest.get(..MOST_AUTHORITY_BYTES.min(rest.len())).unwrap_or_default();
    let is_end =
        |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`');
    let window = window.split(is_end).next().unwrap_or_default();
    let host = window.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = window.get(..host.unwrap_or(window.len())).unwrap_or_default();
    let found = |from: usize, to: usize| {
        let at = start.saturating_add(from)..start.saturating_add(to);
        (!at.is_empty()).then_some(Found { at, rule: Rule::UrlPassword })
    };
    let colon = authority.iter().position(|byte| *byte == b':');
    if let Some(at) = authority.iter().rposition(|byte| *byte == b'@') {
        return match colon.filter(|colon| *colon < at) {
            Some(colon) => found(colon.saturating_add(1), at),
            None if at >= LEAST_LONE_USER_BYTES => found(0, at),
            None => None,
        };
    }
    // A password with an unescaped slash: what stands behind the colon is no port.
    let colon = colon?;
    let at = window.iter().rposition(|byte| *byte == b'@')?;
    let port = authority.get(colon.saturating_add(1)..).unwrap_or_default();
    let is_port = port.iter().all(u8::is_ascii_digit);
    if is_port { None } else { found(colon.saturating_add(1), at) }
}

/// The password in `user:password@tcp(host)`; `at` is where the `@` is.
/// Source: go-sql-driver/mysql, "DSN (Data Source Name)".
pub(super) fn password_before(bytes: &[u8], at: usize) -> Option<Found> {
    let first = at.saturating_sub(MOST_AUTHORITY_BYTES);
    let before = bytes.get(first..at)?;
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`');
    let word = before.rsplit(is_end).next().unwrap_or_default();
    let user = word.rsplit(|byte| *byte == b'=').next().unwrap_or_default();
    let colon = user.iter().position(|byte| *byte == b':')?;
    let start = at.saturating_sub(user.len()).saturating_add(colon).saturating_add(1);
    (start < at).then_some(Found { at: start..at, rule: Rule::UrlPassword })
}

/// The same in an address that is itself part of one: `scheme%3A%2F%2Fuser%3Apassword%40host`.
pub(super) fn encoded_url_password(bytes: &[u8], start: usize) -> Option<Found> {
    let rest = bytes.get(start..).unwrap_or_default();
    let window = rest.get(..MOST_AUTHORITY_BYTES.min(rest.len())).unwrap_or_default();
    let is_end = |byte: &u8| !is_token(*byte) && *byte != b'%';
    let window = window.split(is_end).next().unwrap_or_default();
    let find = |escape: &[u8]| {
        window.windows(escape.len()).position(|three| three.eq_ignore_ascii_case(escape))
    };
    let (colon, at) = (find(b"%3A")?, find(b"%40")?);
    let from = colon.saturating_add(3);
    let is_password = from < at && find(b"%2F").is_none_or(|slash| slash > at);
    is_password.then(|| Found {
        at: start.saturating_add(from)..start.saturating_add(at),
        rule: Rule::UrlPassword,
    })
}

/// A private key in PEM; to the end of the text when its own end is cut off.
pub(super) fn private_key(text: &str, start: usize) -> Option<Found> {
    let rest = text.get(start..)?;
    let label = rest.get(11..rest.len().min(80)).or_else(|| rest.get(11..))?;
    let label = label.split("-----").next().unwrap_or_default();
    if !label.contains("PRIVATE KEY") {
        return None;
    }
    let end = rest.find("-----END").map_or(rest.len(), |end| {
        let tail = rest.get(end.saturating_add(8)..).unwrap_or_default();
        let close = tail.find("-----").map_or(tail.len(), |close| close.saturating_add(5));
        end.saturating_add(8).saturating_add(close)
    });
    Some(Found { at: start..start.saturating_add(end), rule: Rule::PrivateKey })
}

/// `header.payload.signature`, or what is left of it at the end of a text that was cut.
pub(super) fn jwt(bytes: &[u8], start: usize) -> Option<Found> {
    // The automaton does not tell cases apart. A part of a token begins no other.
    let before = start.checked_sub(1).and_then(|at| bytes.get(at));
    let is_part = before.is_some_and(|byte| matches!(byte, b'-' | b'_' | b'.'));
    if !begins(bytes, start) || is_part || bytes.get(start..)?.get(..3)? != b"eyJ" {
        return None;
    }
    let n = run(bytes, start, |byte| is_word(byte) || byte == b'.');
    let end = start.saturating_add(n);
    let token = bytes.get(start..end)?;
    let n_parts = token.split(|byte| *byte == b'.').filter(|part| part.len() >= 8).count();
    let is_cut = end == bytes.len() || bytes.get(end..)?.starts_with("…".as_bytes());
    let is_jwt = n_parts >= 2 || is_cut && n >= 16;
    is_jwt.then_some(Found { at: start..end, rule: Rule::Jwt })
}

/// A service's key; `prefix` is where its beginning stands.
pub(super) fn prefixed(bytes: &[u8], prefix: Range<usize>, least: usize) -> Option<Found> {
    let start = prefix.start;
    if !begins(bytes, start) || !has_case_of_a_prefix(bytes.get(prefix.clone())?) {
        return None;
    }
    let window = bytes.get(..prefix.end.saturating_add(MOST_KEY_BYTES).min(bytes.len()))?;
    let n = run(window, prefix.end, |byte| is_word(byte) || byte == b'.');
    let end = prefix.end.saturating_add(n);
    let tail = bytes.get(prefix.end..end)?;
    // Words of prose joined by hyphens have no digits.
    let is_mixed = tail.iter().any(u8::is_ascii_digit);
    (n >= least && is_mixed).then_some(Found { at: start..end, rule: Rule::ServiceKey })
}

fn has_case_of_a_prefix(text: &[u8]) -> bool {
    PREFIXES.iter().any(|(prefix, _)| prefix.as_bytes() == text)
}

/// The id of an AWS access key, and the secret that is written behind it.
pub(super) fn aws(bytes: &[u8], prefix: Range<usize>) -> Option<Found> {
    let is_prefix =
        AWS_PREFIXES.iter().any(|text| Some(text.as_bytes()) == bytes.get(prefix.clone()));
    if !is_prefix || !begins(bytes, prefix.start) {
        return None;
    }
    let n = run(bytes, prefix.end, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let mut end = prefix.end.saturating_add(n);
    if n != 16 || bytes.get(end).is_some_and(|byte| is_word(*byte)) {
        return None;
    }
    // `AKIA…:secret`, as tools print the pair.
    if bytes.get(end) == Some(&b':') {
        let start = end.saturating_add(1);
        let secret = run(bytes, start, is_token);
        let text = bytes.get(start..start.saturating_add(secret))?;
        if std::str::from_utf8(text).is_ok_and(looks_like_key) {
            end = start.saturating_add(secret);
        }
    }
    Some(Found { at: prefix.start..end, rule: Rule::ServiceKey })
}
