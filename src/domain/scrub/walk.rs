//! Walking through JSON and texts of an event, remembering where one is.

use std::fmt;

use serde_json::{Map, Value};

use super::environ::{self, Variable};
use super::names::Class;
use super::rules::IpAddresses;
use super::text::{self, Kind};
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
        let Scrubber { names, texts, .. } = self.scrubber;
        if names.has_only_hints() && texts.is_dull(name) {
            return Class::Plain;
        }
        names.class_of(name)
    }

    /// Scrubs secrets within a text.
    pub(super) fn text(&mut self, path: &Path<'_>, text: &mut String) {
        self.text_of_kind(path, text, Kind::Prose);
    }

    pub(super) fn text_of_kind(&mut self, path: &Path<'_>, text: &mut String, kind: Kind) {
        let found = self.scrubber.texts.find(&self.scrubber.names, text, kind);
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

    pub(super) fn optional_text(&mut self, path: &Path<'_>, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(path, text);
        }
    }

    /// Scrubs the text that stands under a name.
    pub(super) fn named_text(&mut self, path: &Path<'_>, name: &str, text: &mut String) {
        self.text_of_class(path, self.class_of(name), text);
    }

    fn text_of_class(&mut self, path: &Path<'_>, class: Class, text: &mut String) {
        match class {
            Class::Secret | Class::SecretLine => self.whole_text(path, text, &Rule::Name),
            Class::Suspicious if text::looks_like_key(text.trim_matches(['"', '\''])) => {
                self.whole_text(path, text, &Rule::Name);
            }
            Class::Plain | Class::Suspicious => self.text(path, text),
            Class::IpAddress => self.ip_address(path, text),
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
            Value::Number(number) => {
                let digits = number.as_u64().map(|number| number.to_string());
                let is_card = digits.is_some_and(|digits| self.scrubber.has_card(&digits));
                if is_card {
                    *value = Value::from(MARK);
                    self.note(path, &Rule::CardNumber);
                }
            }
            Value::Array(list) => self.list(path, list),
            Value::Object(object) => self.object(path, object),
            Value::Null | Value::Bool(_) => {}
        }
    }

    pub(super) fn list(&mut self, path: &Path<'_>, list: &mut [Value]) {
        // `["Authorization", "Bearer abc"]`: a header, as a pair; `["--token", "abc"]`: a command.
        let mut is_named = false;
        let n = list.len();
        for (at, entry) in list.iter_mut().enumerate() {
            let here = Path::Entry(path, at);
            if is_named {
                self.all(&here, entry, &Rule::Name);
                is_named = false;
                continue;
            }
            is_named = match entry {
                Value::String(name)
                    if at.saturating_add(1) < n && (n == 2 || name.starts_with("--")) =>
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
            let here = Path::Field(path, name);
            self.named(&here, name, value);
            has_secret_keys |= self.is_secret_text(name);
        }
        self.keys(path, object, has_secret_keys);
    }

    /// `{"name": "password", "value": "abc"}`: forms and headers as lists of pairs.
    fn is_secret_pair(&self, object: &Map<String, Value>) -> bool {
        let name = object.get("name").or_else(|| object.get("key")).and_then(Value::as_str);
        object.contains_key("value")
            && name.is_some_and(|name| {
                matches!(self.class_of(name), Class::Secret | Class::SecretLine)
            })
    }

    fn named(&mut self, here: &Path<'_>, name: &str, value: &mut Value) {
        match (self.class_of(name), &mut *value) {
            (Class::Secret | Class::SecretLine, value) => self.all(here, value, &Rule::Name),
            (class, Value::String(text)) => self.text_of_class(here, class, text),
            (_, Value::Object(object)) if environ::is_name(name) => self.environment(here, object),
            (_, value) => self.value(here, value),
        }
    }

    fn is_secret_text(&self, name: &str) -> bool {
        let Scrubber { names, texts, .. } = self.scrubber;
        !texts.is_dull(name) && !texts.find(names, name, Kind::Key).is_empty()
    }

    /// Scrubs the keys of an object that hold secrets themselves.
    fn keys(&mut self, path: &Path<'_>, object: &mut Map<String, Value>, has_secret_keys: bool) {
        if !has_secret_keys {
            return;
        }
        for (mut name, value) in std::mem::take(object) {
            self.key(path, &mut name);
            // What two keys become the same, stays two.
            let mut number = 2;
            while object.contains_key(&name) {
                name = format!("{name} {number}");
                number += 1;
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
        let is_strict = self.scrubber.names.has_defaults();
        let mut has_secret_keys = false;
        for (name, value) in object.iter_mut() {
            let here = Path::Field(path, name);
            let header = name.strip_prefix("HTTP_").unwrap_or(name);
            let is_safe = self.scrubber.names.is_safe(name);
            match environ::variable(name) {
                Variable::Harmless => self.value(&here, value),
                Variable::OfRequest => self.named(&here, header, value),
                Variable::Unknown if !is_strict || is_safe => self.named(&here, name, value),
                Variable::Unknown => {
                    let is_named = matches!(self.class_of(name), Class::Secret | Class::SecretLine);
                    let rule = if is_named { Rule::Name } else { Rule::Environment };
                    self.all(&here, value, &rule);
                }
            }
            has_secret_keys |= self.is_secret_text(name);
        }
        self.keys(path, object, has_secret_keys);
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

/// The network of an address; [`MARK`] for what is no address.
fn network(text: &str) -> String {
    let text = text.trim();
    match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            std::net::Ipv4Addr::new(a, b, c, 0).to_string()
        }
        Ok(std::net::IpAddr::V6(address)) => {
            let [a, b, c, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
        }
        Err(_) if text::is_nothing(text) => text.to_owned(),
        Err(_) => MARK.to_owned(),
    }
}
