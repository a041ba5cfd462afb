//! Taking secrets out of an event, before anything of it is stored.
//!
//! Two kinds of evidence: a *name* that says that its value is secret (`password`, `api_key`; see
//! `names`), and a *value* that cannot be mistaken (a card number, a private key, a bearer token;
//! see `text`). Names count wherever they stand: as keys of maps at any depth, in headers and
//! cookies, and inside texts: query strings, forms, JSON and XML within strings, log messages,
//! printed objects, lines of source.
//!
//! What is taken out leaves [`MARK`] in its place, and the event lists where and by which rule: a
//! person sees that there was something. A project adds rules of its own, or relaxes these
//! ([`rules`]).
//!
//! *Invariants*: time is linear in the size of the event, whatever is in it; nothing that looks at
//! an event (fingerprint, title, store) sees it before.
//!
//! To add a kind of secret: a trigger and its reader in `text`, an example in its tests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::event::Event;

mod addresses;
mod beginnings;
mod cards;
mod environ;
mod event;
mod names;
pub mod rules;
mod text;
mod walk;
mod words;

use names::Names;
use rules::{IpAddresses, ScrubRules};
use text::Texts;
use walk::Walk;

/// Stands where something was scrubbed.
pub const MARK: &str = "[scrubbed]";

/// An event lists at most this many scrubbed places; the last then says how many more.
pub const MOST_PLACES: usize = 100;

/// A place in an event, and the rule that scrubbed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scrubbed {
    /// Where: `request.headers.Authorization`, `exceptions[0].frames[3].vars.token`.
    pub at: String,
    /// Why: the name of a built-in rule, or that of a project's own pattern.
    pub rule: String,
}

/// Why something is scrubbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Its name says so.
    Name,
    /// A payment card's number.
    CardNumber,
    /// Credentials of an HTTP request.
    Bearer,
    /// A JSON web token.
    Jwt,
    /// A private key.
    PrivateKey,
    /// A password in an address.
    UrlPassword,
    /// A key of a known service.
    ServiceKey,
    /// A variable of a process's environment that is not known to be harmless.
    Environment,
    /// An IP address, where a project wants none.
    IpAddress,
    /// An IP address, of which the network is kept.
    IpNetwork,
    /// A project's own pattern.
    Pattern(Arc<str>),
}

impl Rule {
    fn as_str(&self) -> &str {
        match self {
            Self::Name => "name",
            Self::CardNumber => "card_number",
            Self::Bearer => "bearer",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::UrlPassword => "url_password",
            Self::ServiceKey => "service_key",
            Self::Environment => "environment",
            Self::IpAddress | Self::IpNetwork => "ip_address",
            Self::Pattern(name) => name,
        }
    }
}

/// An event that is scrubbed in two steps, as it is read in two.
pub struct Scrubbing<'s>(Option<Walk<'s>>);

impl Scrubbing<'_> {
    /// Scrubs what names, groups and counts an event.
    pub fn outline(&mut self, event: &mut Event) {
        if let Some(walk) = &mut self.0 {
            event::scrub_outline(walk, event);
        }
    }

    /// Scrubs the rest of it, and lists what was scrubbed.
    pub fn details(self, event: &mut Event) {
        if let Some(mut walk) = self.0 {
            event::scrub_details(&mut walk, event);
            event.scrubbed.extend(walk.into_places());
        }
    }
}

/// Scrubs events by the rules of one project.
#[derive(Debug)]
pub struct Scrubber {
    names: Names,
    texts: Texts,
    ip_addresses: IpAddresses,
    is_off: bool,
}

impl Default for Scrubber {
    fn default() -> Self {
        Self::of(&ScrubRules::default(), Vec::new())
    }
}

impl Scrubber {
    /// A scrubber for the rules of a project.
    ///
    /// # Errors
    /// [`rules::InvalidRules`] names the rule that makes no sense.
    pub fn new(rules: &ScrubRules) -> Result<Self, rules::InvalidRules> {
        let patterns = rules::check(rules)?;
        Ok(Self::of(rules, patterns))
    }

    fn of(rules: &ScrubRules, patterns: Vec<(Arc<str>, regex::Regex)>) -> Self {
        Self {
            names: Names::new(rules),
            texts: Texts::new(rules, patterns),
            ip_addresses: rules.ip_addresses,
            is_off: *rules == ScrubRules::OFF,
        }
    }

    /// Scrubs an event, and lists what was scrubbed in it.
    pub fn scrub(&self, event: &mut Event) {
        let mut scrubbing = self.begin();
        scrubbing.outline(event);
        scrubbing.details(event);
    }

    /// Begins to scrub an event.
    #[must_use]
    pub fn begin(&self) -> Scrubbing<'_> {
        Scrubbing((!self.is_off).then(|| Walk::new(self)))
    }

    /// Whether a number is that of a card.
    fn has_card(&self, number: &Number) -> bool {
        self.names.has_defaults() && cards::is_card(number)
    }

    /// A text with asterisks instead of what is to be taken out of it. It keeps its length in bytes.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        if self.is_off {
            return text.to_owned();
        }
        let mut masked = String::with_capacity(text.len());
        let mut done = 0;
        for found in self.texts.find(&self.names, text, text::Kind::Prose) {
            masked.push_str(text.get(done..found.at.start).unwrap_or_default());
            masked.extend(std::iter::repeat_n('*', found.at.end.saturating_sub(found.at.start)));
            done = found.at.end;
        }
        masked.push_str(text.get(done..).unwrap_or_default());
        masked
    }

    /// Scrubs JSON as if it were what an application attached to an event: for trying rules out.
    pub fn scrub_json(&self, value: &mut Value) -> Vec<Scrubbed> {
        let mut walk = Walk::new(self);
        walk.value(&walk::Path::Root, value);
        walk.into_places()
    }
}

#[cfg(test)]
mod tests;
