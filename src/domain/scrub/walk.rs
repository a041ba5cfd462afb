//! Walking through JSON and texts of an event, remembering where one is.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use super::addresses::network;
use super::environ::{self, Variable};
use super::names::{About, Class};
use super::rules::IpAddresses;
use super::text::{self, Found, Kind};
use super::{MARK, MOST_PLACES, Rule, Scrubbed, Scrubber};
use crate::domain::text::bounded;

/// Characters of a place's description.
const MOST_PLACE_CHARS: usize = 200;

/// Where one is: cheap to make at every step, written down only when something is scrubbed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    /// At the top.
    Root,
    /// At a field of what is above.
    Field(&'a Path<'a>, &'a str),
    /// At an entry of the list above.
    Entry(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => formatter.write_str(name),
            Self::Field(above, name) => write!(formatter, "{above}.{name}"),
            Self::Entry(above, index) => write!(formatter, "{above}[{index}]"),
        }
    }
}

/// One walk through an event.
pub(super) struct Walk<'s> {
    scrubber: &'s Scrubber,
    places: Vec<Scrubbed>,
    n_more: usize,
}

impl<'s> Walk<'s> {
    pub(super) fn new(scrubber: &'s Scrubber) -> Self {
        Self { scrubber, places: Vec::new(), n_more: 0 }
    }

    pub(super) fn into_places(mut self) -> Vec<Scrubbed> {
        if self.n_more > 0 {
            let at = format!("and {} more places", self.n_more);
            self.places.push(Scrubbed { at, rule: "…".to_owned() });
        }
        self.places
    }

    fn note(&mut self, path: &Path<'_>, rule: &Rule) {
        if self.places.len() >= MOST_PLACES {
            self.n_more = self.n_more.saturating_add(1);
            return;
        }
        // A secret may be a key as well: what is written down is scrubbed like everything else.
        let at = path.to_string();
        let found = self.scrubber.texts.find(&self.scrubber.names, &at, Kind::Prose);
        let at = bounded(&text::marked(&at, &found), MOST_PLACE_CHARS);
        self.places.push(Scrubbed { at, rule: rule.as_str().to_owned() });
    }

    /// What a name says of its value.
    pub(super) fn class_of(&self, name: &str) -> Class {
        if self.says_nothing(self.scrubber.texts.is_dull(name)) {
            return Class::Plain;
        }
        self.scrubber.names.class_of(name)
    }

    /// Whether a name says nothing of its value, given whether it is dull.
    fn says_nothing(&self, is_dull: bool) -> bool {
        is_dull && self.scrubber.names.has_only_hints()
    }

    /// Scrubs secrets within a text.
    pub(super) fn text(&mut self, path: &Path<'_>, text: &mut String) {
        self.text_of_kind(path, text, Kind::Prose);
    }

    pub(super) fn text_of_kind(&mut self, path: &Path<'_>, text: &mut String, kind: Kind) {
        let mut found = self.scrubber.texts.find(&self.scrubber.names, text, kind);
        self.find_variables(text, &mut found);
        if found.is_empty() {
            return;
        }
        let marked = text::marked(text, &found);
        if marked == *text {
            return;
        }
        let mut noted: Vec<&Rule> = Vec::new();
        for one in &found {
            if !noted.contains(&&one.rule) {
                noted.push(&one.rule);
                self.note(path, &one.rule);
            }
        }
        *text = marked;
    }

    /// Finds the variables of an environment that was printed.
    fn find_variables(&self, text: &str, found: &mut Vec<Found>) {
        let n = found.len();
        for (name, at) in environ::printed(text) {
            let value = text.get(at.clone()).unwrap_or_default();
            let rule = self.rule_of_variable(name).filter(|_| !text::is_nothing(value));
            found.extend(rule.map(|rule| Found { at, rule }));
        }
        if found.len() > n {
            found.sort_by_key(|found| (found.at.start, std::cmp::Reverse(found.at.end)));
            text::merge(found);
        }
    }

    pub(super) fn optional_text(&mut self, path: &Path<'_>, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(path, text);
        }
    }

    /// Scrubs the text that stands under a name.
    pub(super) fn named_text(&mut self, path: &Path<'_>, name: &str, text: &mut String) {
        let judgement = self.judged(name, self.scrubber.texts.is_dull(name));
        self.judged_text(path, name, judgement, text);
    }

    /// What a name says of its value; and of a secret that it only tells about.
    fn judged(&self, name: &str, is_dull: bool) -> (Class, Option<About>) {
        if self.says_nothing(is_dull) {
            return (Class::Plain, None);
        }
        let names = &self.scrubber.names;
        let class = names.class_of(name);
        (class, (class == Class::Plain).then(|| names.about(name)).flatten())
    }

    fn judged_text(
        &mut self,
        path: &Path<'_>,
        name: &str,
        (class, about): (Class, Option<About>),
        text: &mut String,
    ) {
        self.text_of_class(path, name, class, text);
        if let Some(about) = about {
            self.opaque_text(path, about, text);
        }
    }

    fn text_of_class(&mut self, path: &Path<'_>, name: &str, class: Class, text: &mut String) {
        match class {
            Class::Secret | Class::SecretLine => self.whole_text(path, text, &Rule::Name),
            Class::Suspicious if text::can_be_key(name, text.trim_matches(['"', '\''])) => {
                self.whole_text(path, text, &Rule::Name);
            }
            Class::Plain | Class::Suspicious => self.text(path, text),
            Class::IpAddress => self.ip_address(path, text),
        }
    }

    /// Scrubs a text under a name that only tells about a secret, if the text is one all the same.
    fn opaque_text(&mut self, path: &Path<'_>, about: About, text: &mut String) {
        let value = text.trim_matches(['"', '\'']);
        let is_token = about == About::Tokens && value.len() >= 16 && !value.contains(' ');
        if text::is_opaque(value) || is_token && !is_number(value) && value != MARK {
            self.whole_text(path, text, &Rule::Name);
        }
    }

    /// Scrubs the secrets in a list or map whose name only tells about some: of `tokens`, all texts.
    fn opaque(&mut self, path: &Path<'_>, about: About, value: &mut Value) {
        match value {
            Value::String(text) if about == About::Tokens && !is_number(text) => {
                self.whole_text(path, text, &Rule::Name);
            }
            Value::String(text) => self.opaque_text(path, about, text),
            Value::Array(list) => {
                for (at, entry) in list.iter_mut().enumerate() {
                    self.opaque(&Path::Entry(path, at), about, entry);
                }
            }
            Value::Object(object) => {
                for (name, value) in object.iter_mut() {
                    self.opaque(&Path::Field(path, name), about, value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Scrubs a whole text, unless it says nothing.
    pub(super) fn whole_text(&mut self, path: &Path<'_>, text: &mut String, rule: &Rule) {
        if !text::is_nothing(text) {
            MARK.clone_into(text);
            self.note(path, rule);
        }
    }

    /// Does with an IP address what the project wants. A text that is none is scrubbed.
    pub(super) fn ip_address(&mut self, path: &Path<'_>, text: &mut String) {
        match self.scrubber.ip_addresses {
            IpAddresses::Keep => self.text(path, text),
            IpAddresses::Scrub => self.whole_text(path, text, &Rule::IpAddress),
            IpAddresses::Truncate => {
                let truncated: Vec<String> = text.split(',').map(network).collect();
                let truncated = truncated.join(", ");
                if truncated != *text {
                    *text = truncated;
                    self.note(path, &Rule::IpAddress);
                }
            }
        }
    }

    /// Scrubs any JSON.
    pub(super) fn value(&mut self, path: &Path<'_>, value: &mut Value) {
        match value {
            Value::String(text) => self.text(path, text),
            Value::Number(number) if self.scrubber.has_card(number) => {
                *value = Value::from(MARK);
                self.note(path, &Rule::CardNumber);
            }
            Value::Array(list) => self.list(path, list),
            Value::Object(object) => self.object(path, object),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub(super) fn list(&mut self, path: &Path<'_>, list: &mut [Value]) {
        if environ::is_list(list, |_| false) {
            self.environment_list(path, list);
            return;
        }
        // `["Authorization", "Bearer abc"]`: a header, as a pair, and more of them in a flat list;
        // `["--token", "abc"]`: a command.
        let mut is_named = false;
        let n = list.len();
        let are_pairs = n.is_multiple_of(2) && list.iter().all(Value::is_string);
        for (at, entry) in list.iter_mut().enumerate() {
            let here = Path::Entry(path, at);
            if is_named {
                self.all(&here, entry, &Rule::Name);
                is_named = false;
                continue;
            }
            let is_first = n == 2 || are_pairs && at.is_multiple_of(2);
            is_named = match entry {
                Value::String(name)
                    if at.saturating_add(1) < n && (is_first || name.starts_with("--")) =>
                {
                    let is_name = !name.contains(['=', ' ', ':']);
                    is_name && matches!(self.class_of(name), Class::Secret | Class::SecretLine)
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => false,
            };
            self.value(&here, entry);
        }
    }

    pub(super) fn object(&mut self, path: &Path<'_>, object: &mut Map<String, Value>) {
        if environ::is_process(object) {
            self.environment(path, object);
            return;
        }
        if self.is_secret_pair(object)
            && let Some(value) = object.get_mut("value")
        {
            self.all(&Path::Field(path, "value"), value, &Rule::Name);
        }
        let mut has_secret_keys = false;
        for (name, value) in object.iter_mut() {
            let is_dull = self.scrubber.texts.is_dull(name);
            self.named(&Path::Field(path, name), name, is_dull, value);
            has_secret_keys |= !is_dull && self.is_secret_text(name);
        }
        self.keys(path, object, has_secret_keys);
    }

    /// `{"name": "password", "value": "abc"}`: forms and headers as lists of pairs.
    fn is_secret_pair(&self, object: &Map<String, Value>) -> bool {
        // Most maps have no such key.
        if !object.contains_key("value") {
            return false;
        }
        let name = object.get("name").or_else(|| object.get("key")).and_then(Value::as_str);
        name.is_some_and(|name| matches!(self.class_of(name), Class::Secret | Class::SecretLine))
    }

    /// Scrubs what stands under a name, given whether that is dull.
    fn named(&mut self, here: &Path<'_>, name: &str, is_dull: bool, value: &mut Value) {
        let (class, about) = self.judged(name, is_dull);
        match (class, &mut *value) {
            (Class::Secret | Class::SecretLine, value) => self.all(here, value, &Rule::Name),
            (_, Value::String(text)) => self.judged_text(here, name, (class, about), text),
            (_, Value::Object(object))
                if environ::is_named(name, object.keys().map(String::as_str)) =>
            {
                self.environment(here, object);
            }
            (_, Value::Array(list)) if is_environment_list(name, list) => {
                self.environment_list(here, list);
            }
            (_, value) => {
                self.value(here, value);
                if let Some(about) = about {
                    self.opaque(here, about, value);
                }
            }
        }
    }

    fn is_secret_text(&self, name: &str) -> bool {
        let Scrubber { names, texts, .. } = self.scrubber;
        !texts.find(names, name, Kind::Key).is_empty()
    }

    /// Scrubs the keys of an object that hold secrets themselves.
    fn keys(&mut self, path: &Path<'_>, object: &mut Map<String, Value>, has_secret_keys: bool) {
        if !has_secret_keys {
            return;
        }
        // What many keys become the same, stays many: each next one has the next number.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for (mut name, value) in std::mem::take(object) {
            self.key(path, &mut name);
            if object.contains_key(&name) {
                let number = numbers.entry(name.clone()).or_insert(1);
                let base = name;
                name = loop {
                    *number = number.saturating_add(1);
                    let numbered = format!("{base} {number}");
                    if !object.contains_key(&numbered) {
                        break numbered;
                    }
                };
            }
            object.insert(name, value);
        }
    }

    /// Scrubs what is a name itself.
    pub(super) fn key(&mut self, path: &Path<'_>, name: &mut String) {
        self.text_of_kind(&Path::Field(path, "a key"), name, Kind::Key);
    }

    /// Scrubs the variables of a process's environment: all that are not known to be harmless.
    pub(super) fn environment(&mut self, path: &Path<'_>, object: &mut Map<String, Value>) {
        let mut has_secret_keys = false;
        for (name, value) in object.iter_mut() {
            self.variable(&Path::Field(path, name), name, value);
            has_secret_keys |= !self.scrubber.texts.is_dull(name) && self.is_secret_text(name);
        }
        self.keys(path, object, has_secret_keys);
    }

    /// Scrubs an environment that is a list of `NAME=value`.
    fn environment_list(&mut self, path: &Path<'_>, list: &mut [Value]) {
        for (at, entry) in list.iter_mut().enumerate() {
            let here = Path::Entry(path, at);
            let Some((name, value)) = environ::assignment(entry) else {
                self.value(&here, entry);
                continue;
            };
            let mut scrubbed = Value::from(value);
            self.variable(&Path::Field(&here, name), name, &mut scrubbed);
            if let Some(scrubbed) = scrubbed.as_str().filter(|scrubbed| *scrubbed != value) {
                *entry = Value::from(format!("{name}={scrubbed}"));
            }
        }
    }

    fn variable(&mut self, here: &Path<'_>, name: &str, value: &mut Value) {
        if let Some(rule) = self.rule_of_variable(name) {
            self.all(here, value, &rule);
            return;
        }
        let name = match environ::variable(name) {
            Variable::Harmless => return self.value(here, value),
            Variable::OfRequest => header(name),
            Variable::Unknown => name,
        };
        self.named(here, name, self.scrubber.texts.is_dull(name), value);
    }

    /// The rule by which a whole variable is scrubbed, whatever it holds.
    fn rule_of_variable(&self, name: &str) -> Option<Rule> {
        let names = &self.scrubber.names;
        let is_secret = |name| matches!(self.class_of(name), Class::Secret | Class::SecretLine);
        match environ::variable(name) {
            _ if names.is_own(name) => Some(Rule::Name),
            Variable::Harmless => None,
            Variable::OfRequest => is_secret(header(name)).then_some(Rule::Name),
            Variable::Unknown if !names.has_defaults() || names.is_safe(name) => None,
            Variable::Unknown if is_secret(name) => Some(Rule::Name),
            Variable::Unknown => Some(Rule::Environment),
        }
    }

    /// Scrubs a value as a whole, unless it says nothing.
    pub(super) fn all(&mut self, path: &Path<'_>, value: &mut Value, rule: &Rule) {
        let says_something = match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(_) => true,
            Value::String(text) => !text::is_nothing(text),
            Value::Array(list) => !list.is_empty(),
            Value::Object(object) => !object.is_empty(),
        };
        if says_something {
            *value = Value::from(MARK);
            self.note(path, rule);
        }
    }
}

/// The name of a request's header, without what servers put before it.
fn header(name: &str) -> &str {
    name.strip_prefix("HTTP_").unwrap_or(name)
}

fn is_environment_list(name: &str, list: &[Value]) -> bool {
    environ::is_list(list, |names| environ::is_named(name, names.iter().copied()))
}

fn is_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok()
}
