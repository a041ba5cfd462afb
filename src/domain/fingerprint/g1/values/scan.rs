//! Cheap looks at a place of a message, so that most patterns need not be tried there.
//!
//! Each look may say yes where there is no match, and never no where there is one. What depends on
//! a whole run of characters is found once for the run: no message costs more than its length.

use std::cell::Cell;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

/// A run of characters of one class, and what is in it.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    end: usize,
    /// Where what was looked for begins last.
    mark: Option<usize>,
}

/// A message that is looked at.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    /// Every pattern is tried everywhere.
    pub(super) sees_everything: bool,
    has_digit: bool,
    has_underscore: bool,
    /// Where `>` comes next.
    bracket: Cell<Run>,
    /// Where `://` comes next.
    scheme: Cell<Run>,
    reference: Cell<Run>,
    email: Cell<Run>,
    file: Cell<Run>,
    host: Cell<Run>,
    number: Cell<Run>,
}

/// The end of a host that is known.
static TOP_LEVEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\.(?:com|net|org|io|dev|app|cloud|internal|local|lan|edu|gov|info|biz|de|uk|fr|nl|eu|ch|at|it|es|pl|se|no|fi|dk|jp|cn|br|au|ca|us|ru|kr|example|test)\b").expect("it is compiled by a test")
});

/// The end of a file that has data in it.
static EXTENSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\.(?i:jpe?g|png|gif|webp|tiff?|bmp|svg|pdf|csv|tsv|xlsx?|docx?|pptx?|zip|gz|tgz|tar|bz2|zst|mp[34]|mov|avi|wav|json|jsonl|ndjson|xml|ya?ml|txt|log|html?|parquet|avro|bak|tmp|dat|bin|dump|sqlite|db)\b").expect("it is compiled by a test")
});

/// A unit or currency right after the digits of a number.
static UNIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:[eE][+-]?\d+)? ?(?:(?i:ns|µs|us|ms|s|m|h|d|w|b|[kmgtp]|r|q|px|pt|em)|USD|EUR|GBP|JPY|CHF|SEK|NOK|DKK|PLN|CAD|AUD|INR|BRL|CNY|zł|€|£)").expect("it is compiled by a test")
});

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            sees_everything: false,
            has_digit: text.chars().any(char::is_numeric),
            has_underscore: text.contains('_'),
            bracket: Cell::default(),
            scheme: Cell::default(),
            reference: Cell::default(),
            email: Cell::default(),
            file: Cell::default(),
            host: Cell::default(),
            number: Cell::default(),
        }
    }

    /// The same, without sparing a pattern.
    #[cfg(test)]
    pub(super) fn seeing_everything(text: &'a str) -> Self {
        Self { sees_everything: true, ..Self::new(text) }
    }

    /// Whether a word of another alphabet goes on here.
    pub(super) fn continues_word(&self, at: usize) -> bool {
        let before = self.text.get(..at).and_then(|before| before.chars().next_back());
        before.is_some_and(is_foreign_letter) && self.has_byte(at, is_word)
    }

    /// Whether what ends here goes on with a letter of another alphabet.
    pub(super) fn is_continued_by_letter(&self, at: usize) -> bool {
        self.text.get(at..).and_then(|rest| rest.chars().next()).is_some_and(is_foreign_letter)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn has_byte(&self, at: usize, is_it: impl Fn(u8) -> bool) -> bool {
        self.byte(at).is_some_and(is_it)
    }

    /// Whether one of these bytes is here.
    pub(super) fn is(&self, at: usize, bytes: &[u8]) -> bool {
        self.has_byte(at, |byte| bytes.contains(&byte))
    }

    /// Whether a prefix and an underscore can begin here.
    pub(super) fn can_begin_prefix(&self, at: usize) -> bool {
        self.has_underscore && self.has_byte(at, |byte| byte.is_ascii_lowercase())
    }

    pub(super) fn starts_with(&self, at: usize, beginning: &str) -> bool {
        self.text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(beginning.as_bytes()))
    }

    pub(super) fn is_digit(&self, at: usize) -> bool {
        // A digit of another script is not seen here, but a pattern knows it.
        self.has_byte(at, |byte| byte.is_ascii_digit() || !byte.is_ascii()) && self.has_digit
    }

    pub(super) fn is_hex(&self, at: usize) -> bool {
        self.has_byte(at, |byte| byte.is_ascii_hexdigit())
    }

    fn is_letter(&self, at: usize) -> bool {
        self.has_byte(at, |byte| byte.is_ascii_alphabetic())
    }

    /// Whether no word goes on here.
    pub(super) fn begins_word(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.byte(before));
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_')
    }

    pub(super) fn can_begin_code(&self, at: usize) -> bool {
        if self.is(at, b"S") {
            return true;
        }
        self.has_digit && (self.is(at, b"[0") || self.is_letter(at))
    }

    pub(super) fn can_begin_url(&self, at: usize) -> bool {
        // The longest scheme after the longest word before it.
        const MOST_BYTES: usize = 40;
        if !self.is_letter(at) || !self.begins_word(at) {
            return false;
        }
        let scheme = |from: usize| self.text.get(from..).and_then(|rest| rest.find("://"));
        let next = self.next(&self.scheme, at, scheme);
        next.is_some_and(|next| next - at <= MOST_BYTES) || self.starts_with(at, "data:")
    }

    /// Where something comes next; it is looked for once, for all places before it.
    fn next(
        &self,
        cell: &Cell<Run>,
        at: usize,
        find: impl Fn(usize) -> Option<usize>,
    ) -> Option<usize> {
        let mut run = cell.get();
        if run.end <= at {
            run.mark = find(at).map(|next| at + next);
            run.end = run.mark.map_or(self.text.len(), |next| next + 1);
            cell.set(run);
        }
        run.mark
    }

    /// The run of bytes of a class at a place: it is found once, for all places in it.
    fn run(
        &self,
        cell: &Cell<Run>,
        at: usize,
        is_in: impl Fn(u8) -> bool,
        mark: impl Fn(usize, usize) -> Option<usize>,
    ) -> Run {
        let known = cell.get();
        if at < known.end {
            return known;
        }
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let end = at + rest.iter().take_while(|byte| is_in(**byte)).count();
        let run = Run { end, mark: mark(at, end) };
        cell.set(run);
        run
    }

    pub(super) fn can_begin_object_reference(&self, at: usize) -> bool {
        let is_in = |byte: u8| is_word(byte) || byte == b'.' || byte == b'$';
        if !self.has_byte(at, |byte| is_in(byte) && byte != b'.' && !byte.is_ascii_digit()) {
            return false;
        }
        let run = self.run(&self.reference, at, is_in, |_, end| {
            let has_hash = self.is(end, b"@") && (1..=4).all(|next| self.is_hex(end + next));
            has_hash.then_some(end)
        });
        run.mark.is_some()
    }

    pub(super) fn can_begin_email(&self, at: usize) -> bool {
        let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte);
        if !self.has_byte(at, is_in) {
            return false;
        }
        let run = self.run(&self.email, at, is_in, |_, end| self.is(end, b"@").then_some(end));
        run.mark.is_some()
    }

    /// The last match of a pattern that lies in a range.
    fn last(&self, pattern: &Regex, range: std::ops::Range<usize>) -> Option<usize> {
        let input = Input::new(self.text).range(range);
        pattern.find_iter(input).last().map(|found| found.start())
    }

    pub(super) fn can_begin_file(&self, at: usize) -> bool {
        let is_in = |byte: u8| is_word(byte) || b".%()+-".contains(&byte);
        if !self.has_digit || !self.has_byte(at, is_in) {
            return false;
        }
        let run = self.run(&self.file, at, is_in, |start, end| {
            // A name needs a digit.
            let name = self.text.as_bytes().get(start..self.last(&EXTENSION, start..end)?)?;
            name.iter()
                .rposition(|byte| byte.is_ascii_digit() || !byte.is_ascii())
                .map(|at| start + at)
        });
        run.mark.is_some_and(|mark| mark >= at)
    }

    pub(super) fn can_begin_host(&self, at: usize) -> bool {
        let is_in = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        if !self.has_byte(at, |byte| byte.is_ascii_alphanumeric()) || !self.begins_word(at) {
            return false;
        }
        let run = self.run(&self.host, at, is_in, |start, end| self.last(&TOP_LEVEL, start..end));
        run.mark.is_some_and(|mark| mark > at)
    }

    /// Dates begin with a digit, or with the name of a month or day.
    pub(super) fn can_begin_date(&self, at: usize) -> bool {
        const NAMES: &[u8] = b"jJfFmMaAsSoOnNdDeEgGlLtTwW";
        self.has_digit && (self.is_digit(at) || self.is(at, NAMES))
    }

    /// Up to four digits of hex and a colon.
    pub(super) fn can_begin_ip6(&self, at: usize) -> bool {
        let at = if self.is(at, b"[") { at + 1 } else { at };
        let n_digits = (0..=4).take_while(|next| self.is_hex(at + next)).count();
        n_digits <= 4 && self.is(at + n_digits, b":")
    }

    pub(super) fn is_currency(&self, at: usize) -> bool {
        ["€", "£", "¥", "₹"].iter().any(|sign| self.starts_with(at, sign))
    }

    /// A path after a word is a fraction, or a list of alternatives.
    pub(super) fn can_begin_path(&self, at: usize) -> bool {
        self.is(at, b"~./") && !joins_path(char_before(self.text, at))
    }

    /// Both end in `>`.
    pub(super) fn can_begin_representation(&self, at: usize) -> bool {
        if !self.is(at, b"<") && !self.starts_with(at, "#<") {
            return false;
        }
        let is_ended = |from: usize| self.text.get(from..).and_then(|rest| rest.find('>'));
        self.next(&self.bracket, at, is_ended).is_some()
    }

    fn number_start(&self, at: usize) -> usize {
        if self.is(at, b"+-") { at + 1 } else { at }
    }

    pub(super) fn can_begin_number(&self, at: usize) -> bool {
        self.is_digit(self.number_start(at))
    }

    /// Whether a number begins here after which a unit comes.
    pub(super) fn ends_in_unit(&self, at: usize) -> bool {
        let start = self.number_start(at);
        if !self.is_digit(start) {
            return false;
        }
        let is_in = |byte: u8| byte.is_ascii_digit() || !byte.is_ascii() || b".,".contains(&byte);
        let run = self.run(&self.number, start, is_in, |start, end| {
            let is_ascii = self.text.as_bytes().get(start..end).is_some_and(<[u8]>::is_ascii);
            let input = Input::new(self.text).range(end..).anchored(Anchored::Yes);
            (!is_ascii || UNIT.is_match(input)).then_some(end)
        });
        run.mark.is_some()
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// A letter or digit that ASCII does not have, of a script that puts spaces between words.
fn is_foreign_letter(character: char) -> bool {
    !character.is_ascii() && character.is_alphanumeric() && !is_spaceless(character)
}

/// Chinese, Japanese and Korean: a number stands right beside a word there.
fn is_spaceless(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..)
}

/// Whether a word, or what stands for one, ends with this character.
pub(super) fn joins_word(character: char) -> bool {
    character.is_alphanumeric() && !is_spaceless(character)
}

/// Whether what comes after this character goes on and is no path.
pub(super) fn joins_path(character: char) -> bool {
    joins_word(character) || "_)<>*".contains(character)
}

pub(super) fn char_before(text: &str, at: usize) -> char {
    text.get(..at).and_then(|before| before.chars().next_back()).unwrap_or(' ')
}
