//! What a message says, without what differs from one event to the next.

use std::borrow::Cow;

use super::family::Family;
use super::tables;
use super::values::{self, ANY};

/// Only so much of a message is read, in characters.
const MOST_CHARS: usize = 2_048;

/// A first line that is shorter, in characters, says too little alone.
const LEAST_CHARS: usize = 12;

/// Words of a skeleton.
const MOST_WORDS: usize = 48;

/// The first line that says something; with the next one when it says too little.
pub(super) fn headline(text: &str) -> String {
    // What can reach into the headline; colours and quotes only make it shorter.
    let text = text.trim_start();
    let plain =
        if text.contains('\x1b') { tables::ANSI.replace_all(text, "") } else { text.into() };
    let is_break = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = plain
        .split(is_break)
        .map(|line| line.trim_matches(|c: char| c.is_whitespace() || c == '\u{a0}'))
        .filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return String::new() };
    let is_short = first.chars().take(LEAST_CHARS).count() < LEAST_CHARS;
    let second = if is_short || first.ends_with(':') { lines.next() } else { None };
    let characters = |line: &str| line.chars().map(plain_quote).collect::<String>();
    let mut headline: String = first.chars().take(MOST_CHARS).map(plain_quote).collect();
    if let Some(second) = second {
        headline.push(' ');
        headline.push_str(&characters(second));
        if let Some((end, _)) = headline.char_indices().nth(MOST_CHARS) {
            headline.truncate(end);
        }
    }
    headline
}

fn plain_quote(character: char) -> char {
    match character {
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' => '"',
        '\u{a0}' => ' ',
        _ => character,
    }
}

/// A message in which every value is replaced: the same for every event of one error.
pub(super) fn skeleton(text: &str, family: Family) -> String {
    let headline = headline(text);
    if headline.is_empty() {
        return headline;
    }
    if family == Family::Js
        && let Some(canonical) = canonical_script_error(&headline)
    {
        return canonical;
    }
    if let Some(found) = tables::ERRNO.captures(&headline) {
        let group = |at| found.get(at).map_or("", |group: regex::Match<'_>| group.as_str());
        return format!("[{} {}]", group(1), group(2));
    }
    let text = of_family(&headline, family);
    joined(&values::without_values(&text))
}

/// What every browser and engine words differently.
fn canonical_script_error(text: &str) -> Option<String> {
    let first_group = |found: regex::Captures<'_>| {
        let mut groups = found.iter().skip(1).flatten().map(|group| group.as_str().to_owned());
        groups.find(|group| !group.is_empty()).unwrap_or_default()
    };
    let nullish = |name: String| Some(format!("js:nullish {name}"));
    if let Some(found) = tables::JS_NULLISH.captures(text) {
        return nullish(first_group(found));
    }
    if let Some(found) = tables::JS_NULLISH_SAFARI.captures(text) {
        let expression = first_group(found);
        let expression = expression.split('(').next().unwrap_or_default();
        return nullish(expression.rsplit('.').next().unwrap_or_default().to_owned());
    }
    if let Some(found) = tables::JS_NULLISH_FIREFOX.captures(text) {
        return nullish(first_group(found));
    }
    if tables::JS_NULLISH_PLAIN.is_match(text) {
        return Some("js:nullish".to_owned());
    }
    if let Some(found) = tables::JS_NOT_A_FUNCTION.captures(text) {
        let expression = first_group(found);
        let function = expression.rsplit('.').next().unwrap_or_default();
        return Some(format!("js:not-a-function {function}"));
    }
    if let Some(found) = tables::JS_NOT_DEFINED.captures(text) {
        return Some(format!("js:not-defined {}", first_group(found)));
    }
    if tables::JS_FETCH_FAILED.is_match(text) {
        return Some("js:fetch-failed".to_owned());
    }
    if text.starts_with("ResizeObserver loop ") {
        return Some("js:resize-observer-loop".to_owned());
    }
    if tables::JS_JSON_PARSE.is_match(text) {
        return Some("js:json-parse".to_owned());
    }
    tables::JS_STACK_OVERFLOW.is_match(text).then(|| "js:stack-overflow".to_owned())
}

/// What the versions of one runtime word differently.
fn of_family(text: &str, family: Family) -> Cow<'_, str> {
    match family {
        Family::Ruby => {
            let text = tables::RUBY_QUOTE.replace_all(text, "'$1'");
            let text = text.replace("for nil:NilClass", "for nil");
            let text = tables::RUBY_RECEIVER.replace_all(&text, "for $1$2");
            tables::RUBY_CLASS.replace_all(&text, "for class $1$2").into_owned().into()
        }
        Family::Python => match tables::PYTHON_HINT.find(text) {
            Some(hint) => text.get(..hint.start()).unwrap_or(text).into(),
            None => text.into(),
        },
        Family::Native => tables::RUST_OS_ERROR.replace_all(text, "Os($1)"),
        Family::Js | Family::Jvm | Family::Php | Family::Go | Family::Dotnet | Family::Other => {
            text.into()
        }
    }
}

/// Placeholders that belong together become one; words after them lose their number.
fn joined(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    if text.contains(ANY) {
        if text.contains('-') {
            let name = |found: &regex::Captures<'_>| {
                let name = found.get(0).map_or("", |name| name.as_str());
                if name.contains(ANY) { ANY } else { name }.to_owned()
            };
            text = tables::KEBAB.replace_all(&text, name).into_owned().into();
        }
        text = tables::PLACEHOLDER_RUN.replace_all(&text, ANY).into_owned().into();
        text = tables::WRAPPED_PLACEHOLDER.replace_all(&text, ANY).into_owned().into();
        text = tables::PLACEHOLDER_RUN.replace_all(&text, ANY).into_owned().into();
    }
    let mut out = String::with_capacity(text.len());
    let mut since_value = usize::MAX;
    for (n_words, word) in text.split_whitespace().enumerate() {
        if n_words >= MOST_WORDS {
            break;
        }
        if n_words > 0 {
            out.push(' ');
        }
        let word = if since_value < 2 { singular(word) } else { word };
        since_value = if word == ANY { 0 } else { since_value.saturating_add(1) };
        out.push_str(word);
    }
    out.truncate(out.trim_end_matches([' ', '.', ':', ';', ',', '!', '…']).len());
    out
}

/// "1 error was" and "3 errors were" are one message.
fn singular(word: &str) -> &str {
    match word {
        "are" => "is",
        "were" => "was",
        _ => match word.strip_suffix('s') {
            Some(rest) if !rest.ends_with('s') && word.chars().count() >= 4 => rest,
            _ => word,
        },
    }
}
