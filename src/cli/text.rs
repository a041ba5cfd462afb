//! Text from outside, made fit for a terminal.
//!
//! Reports come from anybody who knows a DSN. What they say must not move the cursor, change
//! colours, set titles, or make a line read otherwise than it is.

use std::fmt::Write;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character would do something instead of showing something: control characters, line
/// separators and what turns the direction of writing.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// One line without active characters: a line feed becomes `\n`, an escape `\u{1b}`.
pub(super) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => out.extend(character.escape_default()),
            active if is_active(active) => out.extend(active.escape_unicode()),
            other => out.push(other),
        }
    }
    out
}

/// The lines of a text, each without active characters; tabs become blanks.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| one_line(&line.replace('\t', "    "))).collect()
}

/// Text of many lines without active characters but line feeds and tabs; other line ends become
/// line feeds.
pub(super) fn printed(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_active(character) && !matches!(character, '\n' | '\t') {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// JSON in one line, without active characters: inside strings they are escaped as JSON does it.
pub(super) fn json_line(value: &Value) -> String {
    let json = value.to_string();
    let mut out = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if is_active(character) {
            // All active characters lie in the basic plane: one unit each.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// A text in at most `most` columns; what is cut ends in `…`.
pub(super) fn fit(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or_default();
        if used + 1 > most {
            break;
        }
        out.push(character);
    }
    out.push('…');
    out
}

/// `1 event`, `2 events`.
pub(super) fn counted(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_instead() {
        for (text, expected) in [
            ("größer 在庫 🥲", "größer 在庫 🥲"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("two\nlines\r\n\tand a tab", "two\\nlines\\r\\n\\tand a tab"),
            ("C:\\temp\\new", "C:\\temp\\new"),
            ("\u{202e}txt.exe\u{9b}2J\u{7f}", "\\u{202e}txt.exe\\u{9b}2J\\u{7f}"),
        ] {
            assert_eq!(one_line(text), expected);
        }
        assert_eq!(lines("a\n\tb\x1b\r\nc\n\n"), ["a", "    b\\u{1b}", "c"]);
    }

    #[test]
    fn what_a_program_printed_keeps_its_lines() {
        let progress = "10%\r20%\r\n\tdone\x1b[0m";
        assert_eq!(printed(progress), "10%\n20%\n\tdone\\u{1b}[0m");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(fit("在庫不足", 8), "在庫不足");
        assert_eq!(fit("在庫不足", 7), "在庫不…");
        assert_eq!(fit("在庫不足", 6), "在庫…");
        assert_eq!(fit("abcdef", 4), "abc…");
    }

    /// Any text, with active characters more often than chance gives them.
    fn hostile() -> impl Strategy<Value = String> {
        let active = prop::sample::select(vec!['\x1b', '\n', '\u{9b}', '\u{202e}', '\u{2028}']);
        prop::collection::vec(prop_oneof![any::<char>(), active], 0..60)
            .prop_map(|characters| characters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_line_holds_anything_active(text in hostile()) {
            prop_assert!(!one_line(&text).chars().any(is_active));
            prop_assert!(!lines(&text).iter().any(|line| line.chars().any(is_active)));
        }

        #[test]
        fn json_stays_the_same_value(text in hostile()) {
            let value = serde_json::json!({ text.clone(): [text] });
            let line = json_line(&value);
            prop_assert!(!line.chars().any(is_active));
            prop_assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON"), value);
        }

        #[test]
        fn what_is_fitted_fits(text in hostile(), most in 1usize..30) {
            prop_assert!(width(&fit(&one_line(&text), most)) <= most);
        }
    }
}
