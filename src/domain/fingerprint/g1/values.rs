//! Values in messages: ids, numbers, dates, addresses, paths, quoted text, literals.
//!
//! One pass from left to right. Where a value begins, the first of the [`rules`] that
//! matches there says what becomes of it; what no rule matches stays.

mod rules;
mod scan;
mod word;

use std::net::IpAddr;

use self::rules::{Kind, Match};
use self::scan::{Scan, char_before, joins_word};
use super::tables;

/// What stands for a value, whatever kind it is of: an id that happens to be all digits must not be
/// another error.
pub(super) const ANY: &str = "<*>";

/// A quoted text that is longer, in characters, is no quotation.
const MOST_QUOTED_CHARS: usize = 200;

/// A literal that is longer, in characters, is left as it is.
const MOST_LITERAL_CHARS: usize = 4_096;

/// Characters of text that seemed to be literals and are not, before looking for more ends: each
/// unbalanced bracket is read to the end of the message.
const MOST_VAIN_CHARS: usize = 64 * 1024;

/// Quotes within quotes are read this deep.
const MOST_DEPTH: usize = 2;

/// How much of what is written already rules look back at, in characters.
const LOOK_BACK_CHARS: usize = 40;

/// How much of what follows a quoted text rules look at, in characters.
const LOOK_AHEAD_CHARS: usize = 39;

/// The text with every value replaced.
pub(super) fn without_values(text: &str) -> String {
    replace(text, 0)
}

fn replace(text: &str, depth: usize) -> String {
    let scan = Scan::new(text);
    let mut out = Out { text: String::with_capacity(text.len()), last: 0 };
    let mut vain_chars = 0;
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        if matches!(first, '{' | '[')
            && let Some(end) = literal(text, at, &mut vain_chars)
        {
            out.push(ANY);
            at = end;
            continue;
        }
        if matches!(first, '"' | '\'' | '`')
            && depth < MOST_DEPTH
            && let Some(quoted) = quoted(text, at, first)
        {
            let value = quoted_value(text, (at, first), quoted, &out.text, depth);
            out.push(&format!("'{value}'"));
            at += 2 * first.len_utf8() + quoted.len();
            continue;
        }
        if let Some(found) = rules::find(&scan, at) {
            at = take(text, at, &found, &mut out);
        } else {
            let end = at + first.len_utf8();
            out.push(text.get(at..end).unwrap_or_default());
            at = end;
        }
    }
    out.text
}

/// What is written so far.
struct Out {
    text: String,
    /// Where the last piece begins.
    last: usize,
}

impl Out {
    fn push(&mut self, piece: &str) {
        self.last = self.text.len();
        self.text.push_str(piece);
    }

    /// Takes back the sign of a number: a minus that joins nothing.
    fn take_back_sign(&mut self) {
        let before = self.text.get(..self.last).and_then(|text| text.chars().next_back());
        if before.is_none_or(|before| before.is_whitespace() || "(=:".contains(before)) {
            self.text.truncate(self.last);
        }
    }
}

fn last_chars(text: &str, most: usize) -> &str {
    let start = text.char_indices().rev().nth(most.saturating_sub(1)).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or(text)
}

fn first_chars(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

fn is_word(character: char) -> bool {
    joins_word(character) || character == '_'
}

/// Writes what becomes of a match; where to go on.
fn take(text: &str, at: usize, found: &Match, out: &mut Out) -> usize {
    let whole = text.get(at..found.end).unwrap_or_default();
    let after = text.get(found.end..).unwrap_or_default();
    let before = char_before(text, at);
    let word = |word: &str, out: &Out, after: &str| {
        word::replace(word, last_chars(&out.text, LOOK_BACK_CHARS), after)
    };
    match found.kind {
        Kind::Keep => out.push(whole),
        Kind::Value | Kind::Path => out.push(ANY),
        Kind::Ip6 if is_ip6(whole, before, after) => out.push(ANY),
        Kind::Ip6 => {
            let end = rules::word_end(text, at);
            if end > at {
                let after = text.get(end..).unwrap_or_default();
                let word = word(text.get(at..end).unwrap_or_default(), out, after);
                out.push(&word);
                return end;
            }
            let first = whole.chars().next().map_or(0, char::len_utf8);
            out.push(whole.get(..first).unwrap_or_default());
            return at + first;
        }
        Kind::ObjectReference => {
            let name = whole.split('@').next().unwrap_or_default();
            out.push(&format!("{name}@{ANY}"));
        }
        Kind::Representation => {
            out.push(&format!("<{}>", tables::REPR_NOISE.replace_all(whole, "")));
        }
        Kind::Sql => out.push("[SQL]"),
        Kind::InList => out.push(&format!("IN ({ANY})")),
        Kind::Local => out.push("<local>"),
        Kind::Prefixed => match whole.rsplit_once('_') {
            Some((prefix, suffix)) if suffix.bytes().any(|byte| byte.is_ascii_digit()) => {
                out.push(&format!("{prefix}_{ANY}"));
            }
            _ => out.push(whole),
        },
        Kind::Word if joins_word(before) => out.push(whole),
        Kind::Word => {
            let is_constant = before == '='
                && ["true", "false", "null", "none", "nil"]
                    .iter()
                    .any(|constant| whole.eq_ignore_ascii_case(constant));
            let word = if is_constant { ANY.to_owned() } else { word(whole, out, after) };
            if word == ANY && before == '-' && !out.text.is_empty() {
                out.take_back_sign();
            }
            out.push(&word);
        }
    }
    found.end
}

/// Whether a match with colons is an address, and stands by itself.
fn is_ip6(whole: &str, before: char, after: &str) -> bool {
    let next = after.chars().next();
    let stands_alone = !joins_word(before)
        && next.is_none_or(|next| !joins_word(next) && !matches!(next, '(' | '<' | '_'));
    let n_colons = whole.bytes().filter(|byte| *byte == b':').count();
    if !stands_alone || n_colons < 2 || whole.len() < 3 {
        return false;
    }
    let address = whole.trim_start_matches('[').split([']', '/']).next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok()
}

/// The end of a literal of JSON, Python, Ruby or Go that begins here.
fn literal(text: &str, at: usize, vain_chars: &mut usize) -> Option<usize> {
    let rest = text.get(at..)?;
    if *vain_chars > MOST_VAIN_CHARS || !tables::LITERAL.is_match(first_chars(rest, 64)) {
        return None;
    }
    let (mut depth, mut quote) = (0_usize, None);
    let mut characters = rest.char_indices().take(MOST_LITERAL_CHARS).enumerate();
    while let Some((n_chars, (offset, character))) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    let is_errno = rest.starts_with("[Errno") || rest.starts_with("[WinError");
                    return (n_chars > 1 && !is_errno).then_some(at + offset + 1);
                }
            }
            _ => {}
        }
    }
    *vain_chars += rest.len();
    None
}

/// What is between the quote that opens here and the one that closes it.
fn quoted(text: &str, at: usize, quote: char) -> Option<&str> {
    if is_word(char_before(text, at)) {
        return None;
    }
    let body = text.get(at + quote.len_utf8()..)?;
    let body = first_chars(body, MOST_QUOTED_CHARS);
    let closes = |end: usize| {
        // An apostrophe within a word closes nothing.
        let next = text.get(at + end + 2 * quote.len_utf8()..).and_then(|rest| rest.chars().next());
        quote != '\'' || !next.is_some_and(is_word)
    };
    let end = body.match_indices(quote).map(|(end, _)| end).find(|end| closes(*end))?;
    body.get(..end)
}

/// What a quoted text becomes, without its quotes.
fn quoted_value(
    text: &str,
    (at, quote): (usize, char),
    body: &str,
    written: &str,
    depth: usize,
) -> String {
    if body.is_empty() {
        return String::new();
    }
    let left = last_chars(written, LOOK_BACK_CHARS);
    let end = at + 2 * quote.len_utf8() + body.len();
    let rest = text.get(end..).unwrap_or_default();
    let right = first_chars(rest, LOOK_AHEAD_CHARS);
    let before = char_before(text, at);
    let is_value = tables::VALUE_CONTEXT.is_match(left) && !tables::NOUN_AFTER.is_match(right);
    if before == '=' || (quote != '`' && is_value) {
        return ANY.to_owned();
    }
    let n_words = body.split_whitespace().count();
    let is_whole = written.trim().is_empty() && right.trim_matches([' ', '.', ')', ']']).is_empty();
    let is_name = n_words == 1
        && tables::IDENTIFIER.is_match(body)
        && (quote == '`'
            || is_whole
            || tables::NOUN_BEFORE.is_match(left)
            || tables::NOUN_AFTER.is_match(right)
            || tables::CODE_SPELLING.is_match(body));
    if is_name {
        let name = replace(body, depth + 1);
        let is_numbered = name != ANY && tables::NUMBERED_IDENTIFIER.is_match(body);
        return if is_numbered { body.to_owned() } else { name };
    }
    let is_text =
        n_words >= 3 || before == '(' || quote == '`' || tables::MESSAGE_BEFORE.is_match(left);
    if is_text { replace(body, depth + 1) } else { ANY.to_owned() }
}
