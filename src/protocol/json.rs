//! Reading the JSON that clients really send.
//!
//! SDKs write what their language's writer lets through: halves of surrogate pairs, NUL, bytes that
//! are no UTF-8, `NaN`, line breaks within strings. A crash report is not refused for that.

mod bound;
mod tree;

use std::fmt::Write as _;
use std::str::Chars;

pub use bound::{MOST_LEVELS, MOST_VALUES};
pub use tree::{Json, Object};

/// What was read, and what it lacks.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<'a> {
    /// What was read.
    pub value: Json<'a>,
    /// Lists and objects left out because they lay deeper than [`MOST_LEVELS`].
    pub n_deep: usize,
    /// Whether there were more than [`MOST_VALUES`] values, and the rest was left out.
    pub has_too_many: bool,
}

/// Why bytes are not JSON.
#[derive(Debug, thiserror::Error)]
pub enum InvalidJson {
    /// Nothing was sent.
    #[error("empty, where JSON was expected")]
    Empty,
    /// Broken in a way that cannot be mended.
    #[error("not JSON: {0}")]
    Syntax(serde_json::Error),
}

/// Reads `bytes` as JSON, mending what clients are known to get wrong.
///
/// What has no text becomes U+FFFD: invalid UTF-8, a surrogate without its other half, and NUL,
/// which PostgreSQL cannot store. Control characters within strings are taken as they are, unknown
/// escapes as their own text, and `NaN`, infinities and numbers too large for 64 bits of floating
/// point become strings. Valid JSON without NUL is read as `serde_json` reads it.
///
/// What `is_cut` ends anywhere: open strings, lists and objects are closed where it does. What lies
/// deeper than [`MOST_LEVELS`], or comes after [`MOST_VALUES`], is left out.
///
/// # Errors
///
/// For anything else that is not JSON; the message says what is wrong and where.
pub fn parse(bytes: &[u8], is_cut: bool) -> Result<Parsed<'_>, InvalidJson> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_text(text, is_cut),
        Err(_) => parse_text(&String::from_utf8_lossy(bytes), is_cut).map(Parsed::into_owned),
    }
}

impl Parsed<'_> {
    fn into_owned(self) -> Parsed<'static> {
        let Self { value, n_deep, has_too_many } = self;
        Parsed { value: value.into_owned(), n_deep, has_too_many }
    }
}

fn parse_text(text: &str, is_cut: bool) -> Result<Parsed<'_>, InvalidJson> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(InvalidJson::Empty);
    }
    if is_cut || bound::may_have_too_many(text) {
        return parse_bounded(text, is_cut);
    }
    match parse_whole(text, true) {
        Ok(value) => Ok(Parsed { value, n_deep: 0, has_too_many: false }),
        // serde_json names this case in its text only.
        Err(error) if error.to_string().starts_with("recursion limit") => {
            parse_bounded(text, is_cut)
        }
        Err(error) => Err(InvalidJson::Syntax(error)),
    }
}

/// Reads a detail, of which nothing but the syntax was looked at. What lies deeper in it than
/// [`MOST_LEVELS`] is left out; whoever keeps details keeps fewer levels.
fn parse_detail(text: &str) -> Json<'_> {
    match parse_whole(text, false) {
        Ok(value) => value,
        Err(_) => parse_bounded(text, false).map(|parsed| parsed.value).unwrap_or_default(),
    }
}

fn parse_bounded(text: &str, is_cut: bool) -> Result<Parsed<'static>, InvalidJson> {
    let bounded = bound::bound(text, is_cut);
    let value = parse_whole(&bounded.text, false).map_err(InvalidJson::Syntax)?.into_owned();
    Ok(Parsed { value, n_deep: bounded.n_deep, has_too_many: bounded.has_too_many })
}

fn parse_whole(text: &str, defers: bool) -> Result<Json<'_>, serde_json::Error> {
    let parse_mended = || Json::read(&mend(text), defers).map(Json::into_owned);
    // The parser stops at what has no text, save at NUL.
    if text.contains("\\u0000") {
        return parse_mended();
    }
    Json::read(text, defers).or_else(|error| {
        let is_mendable = has_surrogate(text);
        parse_mended().map_err(|mended| if is_mendable { mended } else { error })
    })
}

/// Whether there may be an escape of a surrogate.
fn has_surrogate(text: &str) -> bool {
    text.match_indices("\\u").any(|(at, _)| {
        let digits = text.as_bytes().get(at.saturating_add(2)..).unwrap_or_default();
        matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
    })
}

/// A copy of `text` in which everything [`parse`] forgives is written as JSON wants it.
fn mend(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(64));
    let mut rest = text.chars();
    let mut in_string = false;
    while let Some(character) = rest.next() {
        match character {
            '"' => {
                in_string = !in_string;
                out.push(character);
            }
            '\\' if in_string => mend_escape(&mut rest, &mut out),
            '\0' if in_string => out.push('\u{fffd}'),
            '\u{1}'..='\u{1f}' if in_string => {
                push_escape(u32::from(character), &mut out);
            }
            '-' | '0'..='9' | 'N' | 'I' if !in_string => {
                mend_number(character, &mut rest, &mut out);
            }
            _ => out.push(character),
        }
    }
    out
}

/// Mends one escape within a string; its backslash is already read.
fn mend_escape(rest: &mut Chars<'_>, out: &mut String) {
    let ahead = rest.as_str();
    let (mended, n_chars) = match ahead.chars().next() {
        Some('u') => match code_unit(ahead) {
            Some(0 | 0xdc00..=0xdfff) => ("\\ufffd", 5),
            Some(0xd800..=0xdbff) => {
                let low =
                    ahead.get(5..).and_then(|next| next.strip_prefix('\\')).and_then(code_unit);
                if matches!(low, Some(0xdc00..=0xdfff)) {
                    out.push('\\');
                    (ahead.get(..11).unwrap_or_default(), 11)
                } else {
                    ("\\ufffd", 5)
                }
            }
            Some(_) => {
                out.push('\\');
                (ahead.get(..5).unwrap_or_default(), 5)
            }
            None => ("\\\\u", 1),
        },
        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => {
            out.push('\\');
            (ahead.get(..1).unwrap_or_default(), 1)
        }
        // Not an escape JSON knows: the backslash was meant as itself.
        Some(_) | None => ("\\\\", 0),
    };
    out.push_str(mended);
    for _ in 0..n_chars {
        rest.next();
    }
}

fn push_escape(unit: u32, out: &mut String) {
    write!(out, "\\u{unit:04x}").expect("a String takes any text");
}

/// The UTF-16 code unit of an escape, from its `u` on.
fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// Copies a number, as a string when JSON has no such number; `first` is already read.
fn mend_number(first: char, rest: &mut Chars<'_>, out: &mut String) {
    let mut token = String::from(first);
    while let Some(next) = rest.as_str().chars().next() {
        if !(next.is_ascii_alphanumeric() || matches!(next, '.' | '+' | '-')) {
            break;
        }
        token.push(next);
        rest.next();
    }
    let is_no_number = matches!(token.as_str(), "NaN" | "Infinity" | "-Infinity")
        || (first.is_ascii_digit() || first == '-')
            && token.parse::<f64>().is_ok_and(f64::is_infinite)
            && token.chars().all(|digit| !matches!(digit, 'i' | 'I' | 'n' | 'N'));
    if is_no_number {
        out.push('"');
        out.push_str(&token);
        out.push('"');
    } else {
        out.push_str(&token);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parsed(bytes: &[u8]) -> Value {
        parse(bytes, false).expect("JSON, or near enough").value.into()
    }

    fn read(text: &str) -> Value {
        parsed(text.as_bytes())
    }

    #[test]
    fn what_has_no_text_becomes_the_replacement_character() {
        let cases = [
            (r#""a\ud800b""#, "a\u{fffd}b"),
            (r#""\udc00\ud800""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\udcb3 \uD83D\uDCB3""#, "💳 💳"),
            (r#""\ud83d\ud83d\udcb3""#, "\u{fffd}💳"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""a\u0000b""#, "a\u{fffd}b"),
            (r#""\\ud800 \\u0000""#, r"\ud800 \u0000"),
            (r#""\\\ud800""#, "\\\u{fffd}"),
            ("\"a\0b\"", "a\u{fffd}b"),
            ("\"a\tb\nc\u{1}\"", "a\tb\nc\u{1}"),
            (r#""C:\x41 \u00zz \q""#, r"C:\x41 \u00zz \q"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), json!(expected), "{text}");
        }
        assert_eq!(parsed(b"{\"k\xff\": \"\xc3\"}"), json!({"k\u{fffd}": "\u{fffd}"}));
        assert_eq!(read("\u{feff}[1]"), json!([1]));
    }

    #[test]
    fn numbers_that_json_lacks_stay_readable() {
        assert_eq!(
            read("[NaN, -Infinity, 1e999, -4.5e-1, 7, true, null]"),
            json!(["NaN", "-Infinity", "1e999", -0.45, 7, true, null])
        );
        assert_eq!(read("1180591620717411303424"), json!(1_180_591_620_717_411_303_424_f64));
        assert_eq!(
            read("[18446744073709551615, -9223372036854775808]"),
            json!([u64::MAX, i64::MIN])
        );
    }

    #[test]
    fn what_is_wrong_and_where() {
        let message = |text: &str| parse(text.as_bytes(), false).expect_err("not JSON").to_string();
        assert_eq!(message(""), "empty, where JSON was expected");
        assert_eq!(message("{\"a\": \n nope}"), "not JSON: expected ident at line 2 column 3");
        assert_eq!(message("{\"a\""), "not JSON: EOF while parsing an object at line 1 column 4");
        assert!(message(&"[".repeat(4000)).starts_with("not JSON: EOF"));
        assert_eq!(message("[inf]"), "not JSON: expected value at line 1 column 2");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(|text| Value::from(text.replace('\0', "0"))),
        ];
        leaf.prop_recursive(5, 60, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map("[^\0]*", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// As Python writes JSON by default: everything beyond ASCII as escapes.
    fn in_ascii(text: &str) -> String {
        let mut out = String::new();
        for character in text.chars() {
            if character.is_ascii() {
                out.push(character);
            } else {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    push_escape(u32::from(*unit), &mut out);
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, false);
            let _ = parse(&bytes, true);
        }

        #[test]
        fn no_text_of_json_pieces_makes_it_panic(text in r#"([\[\]{}",:\\]|\\u|d8|dc00|é|0|-|e9|N|I|NaN|\n){0,40}"#) {
            let _ = parse(text.as_bytes(), false);
            let _ = parse(text.as_bytes(), true);
        }

        #[test]
        fn valid_json_is_read_as_it_is(value in any_json()) {
            let text = value.to_string();
            let expected: Value = serde_json::from_str(&text).expect("what serde_json wrote");
            prop_assert_eq!(&read(&text), &expected);
            prop_assert_eq!(&read(&in_ascii(&text)), &expected);
            let mended: Value = serde_json::from_str(&mend(&text)).expect("still JSON");
            prop_assert_eq!(&mended, &expected);
        }
    }
}
