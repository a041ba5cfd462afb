//! Secrets within a text.
//!
//! One pass finds places that may matter: beginnings of secret names (`…password…`) and of values
//! that give themselves away (`eyJ`, `://`, `AKIA`); see `beginnings`. A small reader looks at each
//! place and says what to take out. Every reader moves forward over bytes that are
//! then done with, or looks a bounded number of bytes back, so the whole is linear.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use super::beginnings::Beginnings;
use super::names::{self, Class, Names};
use super::rules::{IpAddresses, ScrubRules};
use super::words::Words;
use super::{MARK, Rule, addresses, cards};

mod assignment;
mod statement;
mod tokens;

pub(super) use assignment::Kind;
pub(super) use tokens::is_behind_percent;

/// How far back a name is looked for from a hint within it, in bytes.
const MOST_NAME_BYTES: usize = 64;

/// Matches of one of the project's patterns in one text, at most; then the rest of the text goes.
const MOST_MATCHES: usize = 100;

/// What a place that may matter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// A part of a name.
    Hint,
    /// The scheme of credentials, before a blank.
    Scheme,
    /// `://`
    Url,
    /// `://`, encoded.
    EncodedUrl,
    /// `@tcp(`, behind user and password in Go's addresses of databases.
    GoAddress,
    /// `-----BEGIN`
    Pem,
    /// `eyJ`, the beginning of a JSON object in base64.
    Jwt,
    /// The beginning of a service's keys: how many characters follow at least.
    Prefix(usize),
    /// The beginning of an AWS key id: 16 capitals and digits follow.
    Aws,
}

/// Something to take out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: Range<usize>,
    pub(super) rule: Rule,
}

/// Finds secrets in texts.
#[derive(Debug)]
pub(super) struct Texts {
    beginnings: Option<Beginnings>,
    triggers: Vec<Trigger>,
    has_cards: bool,
    ip_rule: Option<Rule>,
    has_wide_keys: bool,
    patterns: Vec<(Arc<str>, Regex)>,
}

impl Texts {
    pub(super) fn new(rules: &ScrubRules, patterns: Vec<(Arc<str>, Regex)>) -> Self {
        let mut beginnings: Vec<(String, Trigger)> = Vec::new();
        if rules.defaults {
            beginnings.extend(names::HINTS.iter().map(|hint| ((*hint).to_owned(), Trigger::Hint)));
            beginnings.extend(tokens::triggers());
        }
        // A name may be written with any separators, or none: its first word is the hint.
        let first_word = |key: &String| {
            Some(Words::of(key).all().first().to_owned()).filter(|word| !word.is_empty())
        };
        let own = rules.keys.iter().filter_map(first_word).flat_map(spellings);
        beginnings.extend(own.map(|word| (word, Trigger::Hint)));
        let (texts, triggers): (Vec<String>, Vec<Trigger>) = beginnings.into_iter().unzip();
        let beginnings = Beginnings::new(&texts);
        let ip_rule = match rules.ip_addresses {
            IpAddresses::Keep => None,
            IpAddresses::Truncate => Some(Rule::IpNetwork),
            IpAddresses::Scrub => Some(Rule::IpAddress),
        };
        let has_wide_keys = !rules.keys.iter().all(|key| key.is_ascii());
        Self { beginnings, triggers, has_cards: rules.defaults, ip_rule, has_wide_keys, patterns }
    }

    /// Whether a name holds nothing that could matter, so that it need not be looked at.
    pub(super) fn is_dull(&self, name: &str) -> bool {
        let least = if self.ip_rule.is_some() { addresses::LEAST_BYTES } else { 13 };
        // Only the cases of ASCII are known.
        let is_readable = !self.has_wide_keys || name.is_ascii();
        let has_hit = || self.beginnings.as_ref().is_some_and(|all| all.find(name, 0).is_some());
        name.len() < least && self.patterns.is_empty() && is_readable && !has_hit()
    }

    /// What is to be taken out of a text: in order, without overlaps.
    pub(super) fn find(&self, names: &Names, text: &str, kind: Kind) -> Vec<Found> {
        let mut found = self.find_triggered(names, text, kind);
        if self.has_cards && text.len() >= 13 {
            let cards = cards::find_all(text.as_bytes()).into_iter();
            found.extend(cards.map(|at| Found { at, rule: Rule::CardNumber }));
        }
        if let Some(rule) = &self.ip_rule {
            let addresses = addresses::find_all(text).into_iter();
            found.extend(addresses.map(|at| Found { at, rule: rule.clone() }));
        }
        for (name, regex) in &self.patterns {
            find_matches(text, name, regex, &mut found);
        }
        if found.len() > 1 {
            found.sort_by_key(|found| (found.at.start, std::cmp::Reverse(found.at.end)));
            merge(&mut found);
        }
        found
    }

    fn find_triggered(&self, names: &Names, text: &str, kind: Kind) -> Vec<Found> {
        let mut found = Vec::new();
        let Some(beginnings) = &self.beginnings else { return found };
        let bytes = text.as_bytes();
        let mut from = 0;
        // A form or JSON that was sent as something else arrives as one key.
        let is_name = kind == Kind::Key && !text.contains(['{', '=', '&']);
        let reader = assignment::Reader::new(names, bytes, kind);
        while let Some((which, hit)) = beginnings.find(text, from) {
            let trigger = self.triggers.get(which).copied().unwrap_or(Trigger::Hint);
            from = hit.end;
            let one = match trigger {
                Trigger::Hint if is_name => None,
                Trigger::Hint => reader.read(hit.clone(), &mut found),
                Trigger::Scheme => tokens::credentials(bytes, hit.clone())
                    .or_else(|| reader.read(hit.clone(), &mut found)),
                Trigger::GoAddress => tokens::password_before(bytes, hit.start),
                Trigger::Url => tokens::url_password(bytes, hit.end),
                Trigger::EncodedUrl => tokens::encoded_url_password(bytes, hit.end),
                Trigger::Pem => tokens::private_key(text, hit.start),
                Trigger::Jwt => tokens::jwt(bytes, hit.start),
                Trigger::Prefix(least) => tokens::prefixed(bytes, hit.clone(), least),
                Trigger::Aws => tokens::aws(bytes, hit.clone()),
            };
            if let Some(one) = one {
                // What looks like a value may be the name of the next: `pw= "password": "…"`.
                if !is_quoted_name(bytes, &one.at) {
                    from = from.max(one.at.end);
                }
                found.push(one);
            }
        }
        found
    }
}

/// Whether a quoted value is short, and followed by a colon as a name is.
fn is_quoted_name(bytes: &[u8], at: &Range<usize>) -> bool {
    const MOST_BYTES: usize = 64;
    let behind = bytes.get(at.end..).unwrap_or_default();
    let behind = behind.strip_prefix(b"\\").unwrap_or(behind);
    let Some(behind) = behind.strip_prefix(b"\"").or_else(|| behind.strip_prefix(b"'")) else {
        return false;
    };
    at.len() <= MOST_BYTES && behind.trim_ascii_start().first() == Some(&b':')
}

/// A word as it may be written: only the cases of ASCII are known.
fn spellings(word: String) -> Vec<String> {
    if word.is_ascii() {
        return vec![word];
    }
    let mut letters = word.chars();
    let capitalised = letters.next().map(|first| first.to_uppercase().chain(letters).collect());
    let mut all = vec![word.to_uppercase()];
    all.extend(capitalised);
    all.push(word);
    all
}

fn find_matches(text: &str, name: &Arc<str>, regex: &Regex, found: &mut Vec<Found>) {
    for (n, captures) in regex.captures_iter(text).enumerate() {
        let Some(hit) = captures.get(1).or_else(|| captures.get(0)) else { continue };
        let rule = Rule::Pattern(Arc::clone(name));
        if n >= MOST_MATCHES {
            found.push(Found { at: hit.start()..text.len(), rule });
            return;
        }
        found.push(Found { at: hit.range(), rule });
    }
}

/// Joins what overlaps; the first rule names it.
pub(super) fn merge(found: &mut Vec<Found>) {
    found.retain(|found| !found.at.is_empty());
    found.dedup_by(|later, earlier| {
        let overlaps = later.at.start < earlier.at.end;
        if overlaps {
            earlier.at.end = earlier.at.end.max(later.at.end);
        }
        overlaps
    });
}

/// The text with marks instead of what was found.
pub(super) fn marked(text: &str, found: &[Found]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for Found { at, rule } in found {
        out.push_str(text.get(done..at.start).unwrap_or_default());
        if *rule == Rule::IpNetwork {
            out.push_str(&addresses::network(text.get(at.clone()).unwrap_or_default()));
        } else {
            out.push_str(MARK);
        }
        done = at.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Whether a value says nothing: an SDK or we scrubbed it already, or it is none.
pub(super) fn is_nothing(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'', ' ']);
    matches!(
        value,
        "" | "[scrubbed]"
            | "[Filtered]"
            | "[FILTERED]"
            | "[REDACTED]"
            | "[redacted]"
            | "None"
            | "null"
            | "nil"
            | "undefined"
            | "true"
            | "false"
            | "True"
            | "False"
    ) || value.bytes().all(|byte| byte == b'*')
}

/// Whether a value can be a key of a service: long, of one piece, letters and digits mixed.
pub(super) fn looks_like_key(value: &str) -> bool {
    let n_digits = value.bytes().filter(u8::is_ascii_digit).count();
    let n_letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_one_piece = value.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/' | b'=' | b'.')
    });
    value.len() >= 16 && n_digits >= 4 && n_letters >= 4 && is_one_piece
}

/// Whether the value of a suspicious name can be a secret.
pub(super) fn can_be_key(name: &str, value: &str) -> bool {
    if names::is_signature(name) { looks_like_signature(value) } else { looks_like_key(value) }
}

/// Names of methods of signing: a short value that holds one is no signature.
const ALGORITHMS: &[&str] = &["25519", "dsa", "md5", "rsa", "sha"];

/// Whether a value can be a signature: of one piece, and neither a word nor the number of a signal.
fn looks_like_signature(value: &str) -> bool {
    let is_one_piece = value.bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'+' | b'/' | b'=' | b'.' | b'~' | b'%' | b',')
    });
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    let has_letter = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    if !is_one_piece || !has_letter || value.len() < 6 {
        return false;
    }
    if value.len() >= 20 {
        return has_digit || value.len() >= 32;
    }
    let value = value.to_ascii_lowercase();
    has_digit && !ALGORITHMS.iter().any(|name| value.contains(name))
}

/// Whether a value is a secret whatever its name tells about: letters and digits mixed in one run.
pub(super) fn is_opaque(value: &str) -> bool {
    let is_run = |run: &str| run.len() >= 16 && looks_like_key(run);
    looks_like_key(value)
        && !value.contains('/')
        && value.split(|character: char| !character.is_ascii_alphanumeric()).any(is_run)
}

/// The class of a name in a text.
fn class_of(names: &Names, name: &str) -> Class {
    let name = name.trim_end_matches(['.', '-', '_']);
    // A long name is judged by its end.
    let start = name.len().saturating_sub(MOST_NAME_BYTES);
    names.class_of(name.get(start..).unwrap_or(name))
}

#[cfg(test)]
mod tests;
