//! Reads rules; what is wrong is said with its place.

use super::glob::{Glob, Subject};
use super::{
    Decision, FingerprintRule, FrameKey, FrameRule, Key, MOST_MATCHERS, MOST_RULES,
    MOST_TEXT_BYTES, Matcher, Matchers, Reach, RuleError,
};

/// A place in a line.
pub(super) struct Cursor<'a> {
    line: &'a str,
    number: usize,
    at: usize,
}

type Parsed<T> = Result<T, RuleError>;

/// Reads a list: one rule in a line; empty lines and those that begin with `#` say nothing.
pub(super) fn list<T>(text: &str, rule: impl Fn(&mut Cursor<'_>) -> Parsed<T>) -> Parsed<Vec<T>> {
    let fault = |line, message| RuleError { line, column: 1, message };
    if text.len() > MOST_TEXT_BYTES {
        let message = format!("{} bytes of rules, at most {MOST_TEXT_BYTES} are read", text.len());
        return Err(fault(1, message));
    }
    let mut rules = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let is_said = !matches!(line.trim().chars().next(), None | Some('#'));
        if !is_said {
            continue;
        }
        if let Some(at) = line.chars().position(|c| c.is_control() && c != '\t') {
            let message = "a control character cannot be part of a rule".to_owned();
            return Err(RuleError { line: number, column: at + 1, message });
        }
        if rules.len() >= MOST_RULES {
            return Err(fault(number, format!("at most {MOST_RULES} rules are read")));
        }
        rules.push(rule(&mut Cursor { line, number, at: 0 })?);
    }
    Ok(rules)
}

/// `matcher… -> value, value … [title="…"]`
pub(super) fn fingerprint_rule(cursor: &mut Cursor<'_>) -> Parsed<FingerprintRule> {
    let matchers = matchers(cursor, |cursor| cursor.rest().starts_with("->"))?;
    if !cursor.take("->") {
        return Err(cursor.fault("`->` and the fingerprint are missing after the conditions"));
    }
    let (mut values, mut title) = (Vec::new(), None);
    loop {
        cursor.skip_spaces();
        if cursor.take("title=") {
            let start = cursor.at;
            let text = cursor.word(char::is_whitespace)?;
            check_variables(cursor, start, &text)?;
            title = Some(text);
            cursor.skip_spaces();
            if !cursor.rest().is_empty() {
                return Err(cursor.fault("nothing can follow the title"));
            }
            break;
        }
        if cursor.rest().is_empty() {
            break;
        }
        values.push(value(cursor)?);
        cursor.skip_spaces();
        let is_over = cursor.rest().is_empty() || cursor.rest().starts_with("title=");
        if !cursor.take(",") && !is_over {
            return Err(cursor.fault("a comma is missing between two values"));
        }
    }
    if values.is_empty() {
        return Err(cursor.fault("the fingerprint is missing: write at least one value"));
    }
    Ok(FingerprintRule { matchers, values, title, text: cursor.line.trim().to_owned() })
}

/// A value runs to the next comma; variables may stand in it.
fn value(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let start = cursor.at;
    if cursor.rest().starts_with('"') {
        let text = cursor.word(|c| c == ',')?;
        check_variables(cursor, start, &text)?;
        return Ok(text);
    }
    let mut words = Vec::new();
    while !matches!(cursor.rest().chars().next(), None | Some(',')) {
        cursor.skip_spaces();
        if cursor.rest().starts_with("title=") {
            break;
        }
        words.push(if cursor.rest().starts_with("{{") {
            variable(cursor)?
        } else {
            cursor.until(|c, rest| c == ',' || c.is_whitespace() || rest.starts_with("{{"))
        });
        let spaces = cursor.until(|c, _| !c.is_whitespace());
        if !spaces.is_empty() {
            words.push(" ".to_owned());
        }
    }
    let value = words.concat().trim().to_owned();
    if value.is_empty() {
        cursor.at = start;
        return Err(cursor.fault("a value is missing here"));
    }
    Ok(value)
}

/// The names of values an event has.
pub(in super::super) const VARIABLES: &[&str] = &[
    "default",
    "type",
    "error.type",
    "value",
    "error.value",
    "message",
    "function",
    "stack.function",
    "module",
    "stack.module",
    "path",
    "stack.abs_path",
    "stack.filename",
    "package",
    "stack.package",
    "transaction",
    "logger",
    "level",
    "release",
    "environment",
];

/// Finds variables in a text of quotes that are none.
fn check_variables(cursor: &mut Cursor<'_>, start: usize, text: &str) -> Parsed<()> {
    let names = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    for (name, _) in names {
        if !is_variable(name.trim()) {
            cursor.at = start;
            return Err(cursor.no_such_value(name.trim()));
        }
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    VARIABLES.contains(&name) || name.strip_prefix("tags.").is_some_and(|tag| !tag.is_empty())
}

fn variable(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let start = cursor.at;
    let Some(end) = cursor.rest().find("}}") else {
        return Err(cursor.fault("`{{` is not closed by `}}`"));
    };
    let name = cursor.rest().get(2..end).unwrap_or_default().trim().to_owned();
    cursor.at += end + 2;
    if is_variable(&name) {
        return Ok(format!("{{{{ {name} }}}}"));
    }
    cursor.at = start;
    Err(cursor.no_such_value(&name))
}

/// `matcher… action…`
pub(super) fn frame_rule(cursor: &mut Cursor<'_>) -> Parsed<FrameRule> {
    let matchers = matchers(cursor, |cursor| action(cursor.peek()).is_some())?;
    let mut actions = Vec::new();
    while !cursor.rest().is_empty() {
        let word = cursor.peek();
        let Some(read) = action(word) else {
            return Err(cursor.fault(
                "an action is expected: +app, -app, +group or -group, with ^ or v before it",
            ));
        };
        cursor.at += word.len();
        actions.push(read);
        cursor.skip_spaces();
    }
    if actions.is_empty() {
        return Err(cursor.fault("an action is missing: +app, -app, +group or -group"));
    }
    Ok(FrameRule { matchers, actions, text: cursor.line.trim().to_owned() })
}

fn action(word: &str) -> Option<(Reach, Decision)> {
    let (reach, word) = match word.chars().next()? {
        '^' => (Reach::TowardsCrash, word.get(1..)?),
        'v' => (Reach::TowardsEntry, word.get(1..)?),
        _ => (Reach::Frame, word),
    };
    let decision = match word {
        "+app" => Decision::InApp(true),
        "-app" => Decision::InApp(false),
        "+group" => Decision::Groups(true),
        "-group" => Decision::Groups(false),
        _ => return None,
    };
    Some((reach, decision))
}

fn matchers(cursor: &mut Cursor<'_>, is_end: impl Fn(&Cursor<'_>) -> bool) -> Parsed<Matchers> {
    let mut matchers = Matchers::default();
    cursor.skip_spaces();
    while !cursor.rest().is_empty() && !is_end(cursor) {
        if matchers.of_event.len() + matchers.of_frame.len() >= MOST_MATCHERS {
            return Err(cursor.fault(&format!("a rule has at most {MOST_MATCHERS} conditions")));
        }
        let matcher = matcher(cursor)?;
        if let Key::Frame(key) = matcher.key {
            matchers.of_frame.push((key, matcher));
        } else {
            matchers.of_event.push(matcher);
        }
        cursor.skip_spaces();
    }
    if matchers.of_event.is_empty() && matchers.of_frame.is_empty() {
        return Err(cursor.fault("a condition is missing, like type:KeyError"));
    }
    Ok(matchers)
}

/// `key:glob`, `!key:glob`
fn matcher(cursor: &mut Cursor<'_>) -> Parsed<Matcher> {
    let is_negated = cursor.take("!");
    let start = cursor.at;
    let name = cursor.until(|c, _| c == ':' || c.is_whitespace());
    if !cursor.take(":") {
        cursor.at = start;
        return Err(cursor.fault(&format!("a condition is written key:value, this is {name:?}")));
    }
    let Some(key) = key(&name) else {
        cursor.at = start;
        return Err(cursor.fault(&format!(
            "there is no condition on {name:?}; known are type, value, message, logger, level, \
             platform, release, environment, transaction, tags.NAME, path, module, function, \
             package, app, and the last five with stack. before them"
        )));
    };
    let start = cursor.at;
    let mut pattern = cursor.word(char::is_whitespace)?;
    let is_path = matches!(
        key,
        Key::Frame(FrameKey::Path | FrameKey::Package)
            | Key::AnyFrame(FrameKey::Path | FrameKey::Package)
    );
    let subject = if is_path { Subject::Path } else { Subject::Text };
    if matches!(key, Key::Frame(FrameKey::App) | Key::AnyFrame(FrameKey::App)) {
        pattern = match pattern.as_str() {
            "yes" | "true" | "1" => "yes".to_owned(),
            "no" | "false" | "0" => "no".to_owned(),
            _ => {
                cursor.at = start;
                return Err(cursor.fault("app is yes or no"));
            }
        };
    }
    if pattern.is_empty() {
        cursor.at = start;
        return Err(cursor.fault("the value of the condition is missing"));
    }
    let Some(glob) = Glob::new(&pattern, subject) else {
        cursor.at = start;
        return Err(cursor.fault("the value of the condition is too long"));
    };
    Ok(Matcher { key, is_negated, glob })
}

fn key(name: &str) -> Option<Key> {
    let frame_key = |name: &str| match name {
        "path" | "abs_path" | "filename" => Some(FrameKey::Path),
        "module" => Some(FrameKey::Module),
        "function" => Some(FrameKey::Function),
        "package" => Some(FrameKey::Package),
        "app" | "in_app" => Some(FrameKey::App),
        _ => None,
    };
    match name {
        "type" | "error.type" => Some(Key::Type),
        "value" | "error.value" => Some(Key::Value),
        "message" => Some(Key::Message),
        "logger" => Some(Key::Logger),
        "level" => Some(Key::Level),
        "platform" | "family" => Some(Key::Platform),
        "release" => Some(Key::Release),
        "environment" => Some(Key::Environment),
        "transaction" => Some(Key::Transaction),
        _ => match (name.strip_prefix("tags."), name.strip_prefix("stack.")) {
            (Some(tag), _) if !tag.is_empty() => Some(Key::Tag(tag.to_owned())),
            (_, Some(name)) => frame_key(name).map(Key::AnyFrame),
            _ => frame_key(name).map(Key::Frame),
        },
    }
}

impl Cursor<'_> {
    fn rest(&self) -> &str {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// The word that comes next.
    fn peek(&self) -> &str {
        self.rest().split(char::is_whitespace).next().unwrap_or_default()
    }

    fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    fn skip_spaces(&mut self) {
        let n_spaces = self.rest().len() - self.rest().trim_start().len();
        self.at += n_spaces;
    }

    /// Takes everything before a character that ends it.
    fn until(&mut self, ends: impl Fn(char, &str) -> bool) -> String {
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|(at, c)| ends(*c, rest.get(*at..).unwrap_or_default()))
            .map_or(rest.len(), |(at, _)| at);
        let taken = rest.get(..end).unwrap_or_default().to_owned();
        self.at += end;
        taken
    }

    /// Takes a word, or a text in quotes in which a backslash makes the next character plain.
    fn word(&mut self, ends: impl Fn(char) -> bool) -> Parsed<String> {
        if !self.rest().starts_with('"') {
            return Ok(self.until(|c, _| ends(c)));
        }
        let start = self.at;
        let mut word = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = start + offset + 1;
                    return match self.rest().chars().next() {
                        Some(next) if !next.is_whitespace() && next != ',' => {
                            Err(self.fault("a space is missing after the closing quote"))
                        }
                        _ => Ok(word),
                    };
                }
                '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
                _ => word.push(character),
            }
        }
        self.at = start;
        Err(self.fault("the quote is not closed"))
    }

    fn no_such_value(&self, name: &str) -> RuleError {
        let known = VARIABLES.join(", ");
        self.fault(&format!("there is no value named {name:?}; known are {known} and tags.NAME"))
    }

    fn fault(&self, message: &str) -> RuleError {
        let before = self.line.get(..self.at).unwrap_or(self.line);
        RuleError {
            line: self.number,
            column: before.chars().count() + 1,
            message: message.to_owned(),
        }
    }
}
