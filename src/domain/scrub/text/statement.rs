//! Literals that a line of a program gives to a secret name: `password: str = "hunter2"`,
//! `set_password("hunter2")`, `auth=("shop", "hunter2")`, `secret = env.SECRET || "hunter2"`.

use std::ops::Range;

use super::assignment::{Form, Reader, is_placeholder};
use super::tokens::run;
use super::{Found, is_nothing};
use crate::domain::scrub::Rule;
use crate::domain::scrub::words::Words;

/// So much of a line is looked at behind a name, in bytes.
const MOST_STATEMENT_BYTES: usize = 512;

/// A type between a name and its value is no longer than this, in bytes.
const MOST_TYPE_BYTES: usize = 64;

/// Brackets within each other, at most.
const MOST_DEPTH: usize = 16;

/// What begins with these asks for a secret by a name, which is none: `get_password("shop")`.
const ASKS: &[&str] = &[
    "ask", "column", "describe", "env", "fetch", "field", "find", "get", "has", "header", "input",
    "is", "load", "lookup", "param", "prompt", "query", "read", "require",
];

/// What ends in these is told something about a secret: `TokenError("expired")`,
/// `start_session(mode="test")`.
const TELLS: &[&str] = &["error", "exception", "fault", "session", "warning"];

/// What stands before a place in a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The beginning of the value, or what joins values: `||`, `,`, `or`.
    Joint,
    /// A bracket; whether strings right behind it are values.
    Bracket(bool),
    /// A word; whether it makes a value of strings it is called with.
    Word(bool),
    /// Anything else.
    Other,
}

/// What a name is given in a line of a program.
pub(super) struct Statement<'r, 'a> {
    reader: &'r Reader<'a>,
    start: usize,
    is_call: bool,
}

impl<'r, 'a> Statement<'r, 'a> {
    /// What stands behind a name, if it is given something there, outside of strings.
    pub(super) fn behind(
        reader: &'r Reader<'a>,
        name_at: &Range<usize>,
        name: &str,
        form: Option<(Form, usize)>,
    ) -> Option<Self> {
        let (start, is_call) = match form {
            Some((Form::Assigned, start)) => (start, false),
            None if reader.byte(name_at.end) == Some(b'(') && !asks(name) && !tells(name) => {
                (name_at.end.saturating_add(1), true)
            }
            Some(_) | None => return None,
        };
        if reader.is_in_string(start) {
            return None;
        }
        let start = if is_call { start } else { behind_type(reader, start) };
        Some(Self { reader, start, is_call })
    }

    /// Finds the literals; gives the last of them, and pushes those before.
    pub(super) fn literals(self, found: &mut Vec<Found>) -> Option<Found> {
        let Self { reader, start, is_call } = self;
        let end = start.saturating_add(MOST_STATEMENT_BYTES).min(reader.bytes.len());
        let mut brackets = vec![is_call];
        let mut before = if is_call { Before::Bracket(true) } else { Before::Joint };
        let mut last: Option<Found> = None;
        let mut at = start;
        while let Some(byte) = reader.byte(at).filter(|_| at < end) {
            let next = reader.byte(at.saturating_add(1));
            let mut n = 1;
            before = match byte {
                b' ' | b'\t' => before,
                b'"' | b'\'' | b'`' => {
                    let Some(inside) = reader.quoted(at) else { break };
                    n = inside.end.saturating_add(1).saturating_sub(at);
                    let behind = reader.behind_blanks(inside.end.saturating_add(1));
                    let is_key = brackets.len() > 1 && reader.byte(behind) == Some(b':');
                    let is_value = matches!(before, Before::Joint | Before::Bracket(true));
                    if is_value && !is_key && says_something(reader, &inside) {
                        found.extend(last.replace(Found { at: inside, rule: Rule::Name }));
                    }
                    Before::Other
                }
                b'(' | b'[' | b'{' if brackets.len() < MOST_DEPTH => {
                    let makes = before == Before::Word(true) && byte == b'(';
                    let is_own = matches!(before, Before::Joint | Before::Bracket(true)) || makes;
                    brackets.push(is_own);
                    Before::Bracket(is_own)
                }
                b')' | b']' | b'}' => {
                    brackets.pop();
                    if brackets.is_empty() {
                        break;
                    }
                    Before::Other
                }
                b',' if brackets.len() == 1 && !is_call => break,
                b';' | b'\r' | b'\n' | b'#' => break,
                b'/' if next == Some(b'/') => break,
                b'=' if next == Some(b'=') => {
                    n = 2;
                    Before::Other
                }
                b',' | b'|' | b'?' | b'+' | b':' | b'=' => Before::Joint,
                byte if is_word(byte) => {
                    n = word_len(reader, at);
                    let behind = reader.byte(at.saturating_add(n));
                    match reader.bytes.get(at..at.saturating_add(n)).unwrap_or_default() {
                        b"new" | b"await" => before,
                        // `b"…"`, `f'…'`
                        _ if n <= 2 && matches!(behind, Some(b'"' | b'\'')) => before,
                        b"or" | b"else" | b"return" => Before::Joint,
                        word => Before::Word(makes_value(word)),
                    }
                }
                _ => Before::Other,
            };
            at = at.saturating_add(n);
        }
        last
    }
}

/// Behind `str =` in `password: str = "hunter2"`; else where it was.
fn behind_type(reader: &Reader<'_>, start: usize) -> usize {
    let is_type = |byte: u8| is_word(byte) || b" &'<>[]|?!:".contains(&byte);
    let n = run(reader.bytes, start, is_type);
    let sign = start.saturating_add(n);
    let is_assigned = n > 0
        && n <= MOST_TYPE_BYTES
        && reader.byte(sign) == Some(b'=')
        && !matches!(reader.byte(sign.saturating_add(1)), Some(b'=' | b'>'));
    if is_assigned { reader.behind_blanks(sign.saturating_add(1)) } else { start }
}

/// How long `std::env::var` is.
fn word_len(reader: &Reader<'_>, start: usize) -> usize {
    let mut n = 0;
    loop {
        n += run(reader.bytes, start.saturating_add(n), is_word);
        let behind = start.saturating_add(n);
        if n > MOST_STATEMENT_BYTES || !reader.starts_with(behind, "::") {
            return n;
        }
        n += 2;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$') || byte >= 0x80
}

fn says_something(reader: &Reader<'_>, at: &Range<usize>) -> bool {
    let text = reader.bytes.get(at.clone()).and_then(|text| std::str::from_utf8(text).ok());
    text.is_some_and(|text| !is_nothing(text) && !is_placeholder(text))
}

/// Whether a call makes a value of the strings in it: `HTTPBasicAuth("shop", "hunter2")`,
/// `Buffer.from("hunter2")`; types begin with a capital.
fn makes_value(callee: &[u8]) -> bool {
    let Ok(callee) = std::str::from_utf8(callee) else { return false };
    let last = callee.rsplit(['.', ':']).next().unwrap_or_default();
    callee.starts_with(|first: char| first.is_uppercase()) && !asks(last)
}

fn asks(name: &str) -> bool {
    let last = name.rsplit(['.', ':']).next().unwrap_or_default();
    let words = Words::of(last);
    let first = words.all().first();
    ASKS.contains(&first) || first.starts_with("getenv")
}

fn tells(name: &str) -> bool {
    TELLS.contains(&Words::of(name).all().last())
}
