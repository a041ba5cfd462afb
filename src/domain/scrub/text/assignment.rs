//! Values that a secret name is given within a text: `password=hunter2`, `"token": "abc"`,
//! `Authorization: Bearer abc`, `<pin>1234</pin>`, `--api-key abc`, `name="pin"⏎⏎1234`.

use std::ops::Range;

use super::statement::Statement;
use super::tokens::run;
use super::{Class, Found, MOST_NAME_BYTES, Names, can_be_key, class_of, is_nothing};
use crate::domain::scrub::{MARK, Rule};

/// What kind of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::domain::scrub) enum Kind {
    /// What programs write for people and each other.
    Prose,
    /// A line of a program: a bare word behind `=` is a variable, not a value.
    Source,
    /// The key of a map: what it assigns is another story (`session:duration`).
    Key,
}

/// Reads assignments in one text.
pub(super) struct Reader<'a> {
    names: &'a Names,
    pub(super) bytes: &'a [u8],
    kind: Kind,
}

/// A placeholder is no longer than this, in bytes.
const MOST_PLACEHOLDER_BYTES: usize = 64;

/// A service's key is no longer than this, in bytes.
const MOST_KEY_BYTES: usize = 512;

/// So far back a line is looked at for the quote that opens a string, in bytes.
const MOST_LINE_BYTES: usize = 2048;

/// What stands between a name and its sign (`"`, `]`, `[first]`) is no longer than this, in bytes.
const MOST_CLOSING_BYTES: usize = 96;

/// Blanks before and behind a sign, at most: columns are padded.
const MOST_BLANKS: usize = 128;

/// The attributes of an element are no longer than this, in bytes.
const MOST_TAG_BYTES: usize = 512;

/// Opens a text of XML that is taken as it is.
const CDATA: &str = "<![CDATA[";

/// How a value is written.
enum Shape {
    /// In quotes.
    Quoted,
    /// Between brackets, or the text of an element.
    Enclosed,
    /// Bare.
    Bare,
}

/// How a name is given its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `name=value`, `"name": "value"`.
    Assigned,
    /// `("name", "value")`: only a value in quotes counts.
    Pair,
    /// `<name>value</name>`
    Element,
    /// `<name><![CDATA[value]]></name>`
    Cdata,
    /// A part of a multipart form: the value is a line of its own.
    Part,
    /// `--name value`
    Flag,
}

impl<'a> Reader<'a> {
    pub(super) fn new(names: &'a Names, bytes: &'a [u8], kind: Kind) -> Self {
        Self { names, bytes, kind }
    }

    /// Reads around a hint; more than one value only where a format string is filled in behind.
    pub(super) fn read(&self, hint: Range<usize>, found: &mut Vec<Found>) -> Option<Found> {
        let name_at = self.name_around(hint);
        let form = self.form(&name_at);
        if form.is_none() && self.kind != Kind::Source {
            return None;
        }
        let name = std::str::from_utf8(self.bytes.get(name_at.clone())?).ok()?;
        let class = class_of(self.names, name);
        match class {
            Class::Plain => return None,
            Class::Secret | Class::SecretLine if self.kind == Kind::Source => {
                let statement = Statement::behind(self, &name_at, name, form);
                if let Some(last) = statement.and_then(|statement| statement.literals(found)) {
                    return Some(last);
                }
            }
            Class::Secret | Class::SecretLine | Class::Suspicious | Class::IpAddress => {}
        }
        let (form, start) = form?;
        let (at, shape) = self.value(form, start, class)?;
        let value = std::str::from_utf8(self.bytes.get(at.clone())?).ok()?;
        if is_placeholder(value) {
            if self.kind == Kind::Source {
                self.fill_ins(at.end, found);
            }
            return None;
        }
        let is_secret = match class {
            Class::Suspicious => can_be_key(name, value),
            Class::Plain | Class::Secret | Class::SecretLine | Class::IpAddress => {
                !is_nothing(value) && self.can_be_literal(&shape, at.start, value)
            }
        };
        let rule = if class == Class::IpAddress { Rule::IpAddress } else { Rule::Name };
        is_secret.then_some(Found { at, rule })
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    pub(super) fn starts_with(&self, at: usize, text: &str) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..text.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(text.as_bytes()))
    }

    /// The name that a hint is a part of.
    fn name_around(&self, hint: Range<usize>) -> Range<usize> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let first = hint.start.saturating_sub(MOST_NAME_BYTES);
        let before = self.bytes.get(first..hint.start).unwrap_or_default();
        let n_before = before.iter().rev().take_while(|byte| is_name(**byte)).count();
        let last = hint.end.saturating_add(MOST_NAME_BYTES).min(self.bytes.len());
        let after = self.bytes.get(hint.end..last).unwrap_or_default();
        let n_after = after.iter().take_while(|byte| is_name(**byte)).count();
        let start = hint.start.saturating_sub(n_before);
        let end = hint.end.saturating_add(n_after);
        // The letter of an escape (`\npassword`) belongs to no name.
        let is_escape = start.checked_sub(1).and_then(|at| self.byte(at)) == Some(b'\\');
        if is_escape && start < hint.start { start.saturating_add(1)..end } else { start..end }
    }

    /// What follows a name: how it is given a value, and where the value starts.
    fn form(&self, name: &Range<usize>) -> Option<(Form, usize)> {
        let before = |n: usize| name.start.checked_sub(n).and_then(|at| self.byte(at));
        let mut at = name.end;
        let mut is_quoted = false;
        // `"name\"`, `'name'`, `user[name]`, `user%5Bname%5D`, and their closing.
        loop {
            let n = match self.byte(at) {
                Some(b'"' | b'\'' | b'`') => {
                    is_quoted = true;
                    1
                }
                Some(b'\\')
                    if matches!(self.byte(at.saturating_add(1)), Some(b'"' | b'\'' | b'\\')) =>
                {
                    1
                }
                Some(b']') => 1,
                Some(b'%') if self.starts_with(at, "%5D") => 3,
                Some(b'[') => self.index(at, 1, "]")?,
                Some(b'%') if self.starts_with(at, "%5B") => self.index(at, 3, "%5D")?,
                Some(b'%') if self.starts_with(at, "%22") => {
                    is_quoted = true;
                    3
                }
                Some(b'&') if self.starts_with(at, "&quot;") => {
                    is_quoted = true;
                    6
                }
                _ => break,
            };
            at = at.saturating_add(n);
            if at > name.end.saturating_add(MOST_CLOSING_BYTES) {
                return None;
            }
        }
        let closed = at;
        at = self.behind_blanks(at);
        let is_tag = self.is_tag(name.start);
        if is_tag && at > closed {
            at = self.end_of_tag(at)?;
        }
        let is_element = self.byte(at) == Some(b'>') && (is_quoted || is_tag);
        let opens_call = is_quoted && matches!(self.before_quote(name.start), Some(b'(' | b'['));
        let n = if self.starts_with(at, "=>")
            || self.starts_with(at, ":=")
            || self.starts_with(at, "==")
        {
            2
        } else if matches!(self.byte(at), Some(b'=' | b':')) || is_element {
            1
        } else if self.starts_with(at, "%3D") || self.starts_with(at, "%3A") {
            3
        } else if let Some(value) = self.behind_value_key(at).filter(|_| is_quoted) {
            return Some((Form::Assigned, value));
        } else if self.byte(at) == Some(b',') && opens_call {
            return Some((Form::Pair, self.behind_blanks(at.saturating_add(1))));
        } else if is_quoted && self.n_line_ends(closed).1 >= 2 {
            let n_bytes = self.n_line_ends(closed).0;
            return Some((Form::Part, self.behind_blanks(closed.saturating_add(n_bytes))));
        } else if before(1) == Some(b'-') || self.bytes.get(name.clone())?.starts_with(b"--") {
            let is_flag = at > closed && self.byte(at).is_some_and(|byte| byte != b'-');
            return is_flag.then_some((Form::Flag, at));
        } else {
            return None;
        };
        let start = self.behind_blanks(at.saturating_add(n));
        Some(match (is_element, self.starts_with(start, CDATA)) {
            (true, true) => (Form::Cdata, start.saturating_add(CDATA.len())),
            (true, false) => (Form::Element, start),
            (false, _) => (Form::Assigned, start),
        })
    }

    /// How many bytes `[first]` takes, `n_open` of them its bracket; none when it is no index.
    fn index(&self, at: usize, n_open: usize, close: &str) -> Option<usize> {
        let is_index = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let inside = at.saturating_add(n_open);
        let n = run(self.bytes, inside, is_index);
        let end = inside.saturating_add(n);
        (n <= MOST_NAME_BYTES && self.starts_with(end, close))
            .then(|| n_open.saturating_add(n).saturating_add(close.len()))
    }

    /// Whether a name is that of an element: `<name`, `<prefix:name`.
    fn is_tag(&self, start: usize) -> bool {
        let before = self.bytes.get(start.saturating_sub(MOST_NAME_BYTES)..start);
        let before = before.unwrap_or_default();
        let prefix = before.strip_suffix(b":").unwrap_or(before);
        let is_prefix = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let n = prefix.iter().rev().take_while(is_prefix).count();
        let open = prefix.len().checked_sub(n.saturating_add(1)).and_then(|at| prefix.get(at));
        (prefix.len() < before.len() || n == 0) && open == Some(&b'<')
    }

    /// Where the `>` behind an element's attributes is; none when it holds nothing.
    fn end_of_tag(&self, at: usize) -> Option<usize> {
        let end = at.saturating_add(MOST_TAG_BYTES).min(self.bytes.len());
        let rest = self.bytes.get(at..end)?;
        let close = rest.iter().position(|byte| matches!(byte, b'<' | b'>'))?;
        let is_empty = close.checked_sub(1).and_then(|before| rest.get(before)) == Some(&b'/');
        (rest.get(close) == Some(&b'>') && !is_empty).then(|| at.saturating_add(close))
    }

    /// `"name": "password", "value": "abc"`: behind the name, where the value starts.
    fn behind_value_key(&self, comma: usize) -> Option<usize> {
        if self.byte(comma) != Some(b',') {
            return None;
        }
        let is_filler = |byte| matches!(byte, b' ' | b'\n' | b'\t' | b'"' | b'\'' | b'\\');
        let filler = |at: usize| at.saturating_add(run(self.bytes, at, is_filler).min(16));
        let key = filler(comma.saturating_add(1));
        if !self.starts_with(key, "value") {
            return None;
        }
        let colon = filler(key.saturating_add("value".len()));
        matches!(self.byte(colon), Some(b':' | b'='))
            .then(|| self.behind_blanks(colon.saturating_add(1)))
    }

    pub(super) fn behind_blanks(&self, at: usize) -> usize {
        let n_blanks = run(self.bytes, at, |byte| byte == b' ' || byte == b'\t');
        at.saturating_add(n_blanks.min(MOST_BLANKS))
    }

    /// The byte before the quote that opens a name.
    fn before_quote(&self, start: usize) -> Option<u8> {
        let quote = start.checked_sub(1).and_then(|at| self.byte(at))?;
        let is_quote = matches!(quote, b'"' | b'\'' | b'`');
        let before = self.bytes.get(start.saturating_sub(6)..start.saturating_sub(1))?;
        let before = before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\\'));
        before.copied().filter(|_| is_quote)
    }

    /// The bytes that line ends take from `at` on, also escaped ones, and how many there are.
    fn n_line_ends(&self, at: usize) -> (usize, usize) {
        let (mut n_bytes, mut n_ends) = (0_usize, 0_usize);
        while n_ends < 4 {
            let place = at.saturating_add(n_bytes);
            n_bytes = n_bytes.saturating_add(match self.byte(place) {
                Some(b'\r') => 1,
                Some(b'\n') => {
                    n_ends = n_ends.saturating_add(1);
                    1
                }
                Some(b'\\') if self.byte(place.saturating_add(1)) == Some(b'r') => 2,
                Some(b'\\') if self.byte(place.saturating_add(1)) == Some(b'n') => {
                    n_ends = n_ends.saturating_add(1);
                    2
                }
                _ => break,
            });
        }
        (n_bytes, n_ends)
    }

    /// Where the value is.
    fn value(&self, form: Form, start: usize, class: Class) -> Option<(Range<usize>, Shape)> {
        if self.starts_with(start, MARK) {
            return None;
        }
        let enclosed = |n: usize| Some((start..start.saturating_add(n), Shape::Enclosed));
        match form {
            Form::Element => return enclosed(run(self.bytes, start, |byte| byte != b'<')),
            Form::Cdata => return Some((start..self.find(start, b"]]>"), Shape::Enclosed)),
            Form::Part => {
                let is_line = |byte| !matches!(byte, b'\r' | b'\n' | b'\\');
                return enclosed(run(self.bytes, start, is_line));
            }
            Form::Assigned | Form::Pair | Form::Flag => {}
        }
        if let Some(at) = self.quoted(start) {
            return Some((at, Shape::Quoted));
        }
        if form == Form::Pair {
            return None;
        }
        let opens = matches!(self.byte(start)?, b'{' | b'[' | b'(');
        if opens && form == Form::Assigned && self.kind == Kind::Prose && class != Class::Suspicious
        {
            return Some((start..self.closing(start), Shape::Enclosed));
        }
        let end = self.bare(start, class);
        let is_short = end <= start.saturating_add(MOST_KEY_BYTES);
        (end > start && (is_short || class != Class::Suspicious))
            .then_some((start..end, Shape::Bare))
    }

    /// The inside of quotes that open at `start`, perhaps behind a prefix or escaped.
    pub(super) fn quoted(&self, start: usize) -> Option<Range<usize>> {
        let n_prefix =
            run(self.bytes, start, |byte| matches!(byte, b'b' | b'r' | b'u' | b'f')).min(3);
        let at = start.saturating_add(n_prefix);
        for entity in ["&quot;", "%22", "&#39;"] {
            if self.starts_with(at, entity) {
                let inside = at.saturating_add(entity.len());
                return Some(inside..self.find(inside, entity.as_bytes()));
            }
        }
        let n_escapes = run(self.bytes, at, |byte| byte == b'\\');
        let place = at.saturating_add(n_escapes);
        let quote = self.byte(place).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
        let inside = place.saturating_add(1);
        if n_escapes > 0 {
            let close = self.bytes.get(at..inside)?;
            return Some(inside..self.find(inside, close));
        }
        let mut end = inside;
        while let Some(byte) = self.byte(end) {
            match byte {
                b'\\' => end = end.saturating_add(2),
                byte if byte == quote => break,
                _ => end = end.saturating_add(1),
            }
        }
        Some(inside..end.min(self.bytes.len()))
    }

    /// Where `close` begins from `start` on; else the end.
    fn find(&self, start: usize, close: &[u8]) -> usize {
        let rest = self.bytes.get(start..).unwrap_or_default();
        // One backslash more, and the quote belongs to the value.
        let closes = |at: usize, window: &[u8]| {
            let is_escaped = close.first() == Some(&b'\\')
                && at.checked_sub(1).and_then(|before| rest.get(before)) == Some(&b'\\');
            window == close && !is_escaped
        };
        let mut windows = rest.windows(close.len().max(1)).enumerate();
        let at = windows.find(|(at, window)| closes(*at, window)).map(|(at, _)| at);
        start.saturating_add(at.unwrap_or(rest.len()))
    }

    /// Behind the bracket that closes the one at `start`; quotes are not looked into.
    fn closing(&self, start: usize) -> usize {
        let mut depth = 0_usize;
        for (n, byte) in self.bytes.get(start..).unwrap_or_default().iter().enumerate() {
            match byte {
                b'{' | b'[' | b'(' => depth = depth.saturating_add(1),
                b'}' | b']' | b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return start.saturating_add(n).saturating_add(1);
            }
        }
        self.bytes.len()
    }

    /// The end of a value without quotes.
    fn bare(&self, start: usize, class: Class) -> usize {
        let is_in_string = class == Class::SecretLine && self.is_in_string(start);
        if class == Class::SecretLine && (self.kind == Kind::Prose || is_in_string) {
            // Within a string the line ends with it; a header's own quotes belong to its value.
            let n = run(self.bytes, start, |byte| match byte {
                b'\r' | b'\n' | b'<' | b'\\' => false,
                b'"' | b'\'' | b'`' => !is_in_string,
                _ => true,
            });
            return start.saturating_add(n);
        }
        let most = if class == Class::Suspicious { MOST_KEY_BYTES } else { usize::MAX };
        let end = self.bare_word(start, most);
        let is_scheme = ["bearer", "basic", "digest", "token"].iter().any(|scheme| {
            self.bytes
                .get(start..end)
                .is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes()))
        });
        if is_scheme && self.byte(end) == Some(b' ') {
            return self.bare_word(end.saturating_add(1), usize::MAX);
        }
        end
    }

    /// The end of a word, or a place beyond `most` bytes of it.
    fn bare_word(&self, start: usize, most: usize) -> usize {
        let mut end = start;
        // `${NAME}`
        if self.starts_with(start, "${") {
            let inside = start.saturating_add(2);
            let n = run(self.bytes, inside, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let close = inside.saturating_add(n);
            if self.byte(close) == Some(b'}') {
                end = close.saturating_add(1);
            }
        }
        while let Some(byte) = self.byte(end) {
            let ends = end.saturating_sub(start) > most
                || byte.is_ascii_whitespace()
                || matches!(
                    byte,
                    b'&' | b','
                        | b';'
                        | b'"'
                        | b'\''
                        | b'<'
                        | b'>'
                        | b')'
                        | b'}'
                        | b']'
                        | b'|'
                        | b'`'
                        | b'\\'
                )
                || byte == b'%' && (self.starts_with(end, "%26") || self.starts_with(end, "%22"));
            if ends {
                break;
            }
            end = end.saturating_add(1);
        }
        end
    }

    /// In a program, a bare word is a value only if it holds a digit and calls nothing, or stands
    /// within a string.
    fn can_be_literal(&self, shape: &Shape, start: usize, value: &str) -> bool {
        match (self.kind, shape) {
            (Kind::Prose | Kind::Key, _) | (_, Shape::Quoted) => true,
            (Kind::Source, Shape::Enclosed | Shape::Bare) => {
                let is_literal = value.bytes().any(|byte| byte.is_ascii_digit())
                    && !value.contains(['(', '[', '.']);
                is_literal || self.is_in_string(start)
            }
        }
    }

    /// Whether a place is within a string of its line.
    pub(super) fn is_in_string(&self, at: usize) -> bool {
        let mut open = None;
        let before = self.bytes.get(at.saturating_sub(MOST_LINE_BYTES)..at).unwrap_or_default();
        let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut bytes = line.iter();
        while let Some(byte) = bytes.next() {
            match (byte, open) {
                (b'\\', _) => {
                    bytes.next();
                }
                (b'"' | b'\'' | b'`', None) => open = Some(*byte),
                (byte, Some(quote)) if *byte == quote => open = None,
                _ => {}
            }
        }
        open.is_some()
    }

    /// `log.warning("password=%s", "hunter2")`: the strings that follow may be the value.
    fn fill_ins(&self, from: usize, found: &mut Vec<Found>) {
        // Leaves the string that holds the placeholder.
        let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'`');
        let mut at =
            from.saturating_add(run(self.bytes, from, |byte| !is_quote(byte))).saturating_add(1);
        while at < self.bytes.len() {
            at = at.saturating_add(run(self.bytes, at, |byte| !is_quote(byte)));
            let Some(inside) = self.quoted(at) else { break };
            at = inside.end.saturating_add(1);
            found.push(Found { at: inside, rule: Rule::Name });
        }
    }
}

/// Whether a value is filled in elsewhere: `%s`, `{}`, `{password}`, `$1`, `$PASSWORD`, `${name}`,
/// `?`. A text that only begins like one (`$2b$12$…`) is a value.
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'', ' ']);
    if value.len() > MOST_PLACEHOLDER_BYTES {
        return false;
    }
    let is_name =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // With digits behind its letters it is rather a password: `$UMMER2024`.
    let is_constant = |text: &str| {
        let is_argument = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        !text.is_empty() && (is_argument || is_name)
    };
    let within = |open: &str, close: &str| {
        value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close))
    };
    matches!(value, "?" | "%s" | "%d" | "%r" | "%v" | "{}")
        || within("%(", ")s").is_some_and(is_name)
        || within("${", "}").is_some_and(is_name)
        || value.strip_prefix('$').is_some_and(is_constant)
        || within("{", "}").is_some_and(is_name)
}
