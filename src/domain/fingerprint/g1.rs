//! Config `g1`.
//!
//! An event is looked at in this order: what a rule of the project or the application itself says it
//! is, what a built-in rule knows, and else what it is made of: the violated policy, the chain of
//! exceptions with the frames nearest to the crash, the message without its values, the template,
//! the stack. Whatever differs between two events of one error takes no part: line numbers, ids,
//! users, routes, releases, hosts.
//!
//! *Invariant*: the time to read an event is in proportion to its size, and no pattern of
//! [`tables`] or [`values`] can take longer.

mod builtin;
mod chain;
mod exception;
mod explanation;
mod family;
mod frames;
mod message;
mod names;
mod overrides;
mod path;
mod similar;
mod tables;
mod values;

use self::chain::Chain;
use self::exception::{Component, Reader, Variant};
use self::family::Family;
use self::path::{first_of, slashed};
use super::similar::Similar;
use super::{BuiltinRule, Fingerprint, Grouping, Item, Kind, NO_CONFIG};
use crate::domain::event::{Csp, Event, Frame, Template};

const NAME: &str = "g1";

/// The fingerprint under `g1`.
pub(super) fn fingerprint(event: &Event, grouping: &Grouping) -> Fingerprint {
    analyse(event, grouping).fingerprint()
}

/// The explanation of the fingerprint, and what finds errors that are nearly the same.
pub(super) fn study(event: &Event, grouping: &Grouping) -> (serde_json::Value, Similar) {
    let analysis = analyse(event, grouping);
    (explanation::of(&analysis), similar::of(&analysis))
}

/// How an event was read.
#[derive(Debug)]
struct Analysis<'a> {
    event: &'a Event,
    family: Family,
    kind: Kind,
    items: Vec<Item>,
    /// What decided, where it was not the default.
    decided_by: Option<String>,
    /// What issues are called, where a rule says so.
    title: Option<String>,
    /// The exceptions or the stack that were read.
    chain: Option<Chain<'a>>,
    variant: &'static str,
}

impl Analysis<'_> {
    fn config(&self) -> &'static str {
        if matches!(self.kind, Kind::Custom | Kind::Builtin) { NO_CONFIG } else { NAME }
    }

    /// In words: `stack: 2 frames of the application`.
    fn reason(&self) -> String {
        let default = match (&self.chain, self.kind) {
            (Some(chain), _) => reason_of(chain),
            (None, Kind::Csp) => "violated policy and its source".to_owned(),
            (None, Kind::Message) => "message without its values".to_owned(),
            (None, Kind::Template) => "template and its line".to_owned(),
            (None, _) => "nothing but the route and the logger".to_owned(),
        };
        match (&self.decided_by, self.kind) {
            (None, _) => default,
            (Some(by), Kind::Hybrid) => format!("{by}, with the default mixed in"),
            (Some(by), _) => by.clone(),
        }
    }

    fn fingerprint(self) -> Fingerprint {
        let reason = self.reason();
        let fingerprint = Fingerprint::new(self.config(), self.kind, reason, self.items);
        Fingerprint { title: self.title, ..fingerprint }
    }
}

fn reason_of(chain: &Chain<'_>) -> String {
    let Some(first) = chain.components.first() else { return String::new() };
    let n_frames = match first.window.len() {
        1 => "1 frame".to_owned(),
        n => format!("{n} frames"),
    };
    let what = match first.variant {
        Variant::App => format!("stack: {n_frames} of the application"),
        Variant::System => format!("stack: {n_frames}, none of the application"),
        Variant::Plumbing => format!("stack: {n_frames} that name nothing"),
        Variant::Message => "type and message without its values".to_owned(),
    };
    let message = if first.message_needed.is_some() && first.variant != Variant::Message {
        " and the message without its values"
    } else {
        ""
    };
    match chain.components.len() {
        1 => format!("{what}{message}"),
        n => format!("{what}{message}, and {} more of the chain", n - 1),
    }
}

fn item(tag: &str, value: impl Into<String>) -> Item {
    (tag.to_owned(), value.into())
}

fn analyse<'a>(event: &'a Event, grouping: &'a Grouping) -> Analysis<'a> {
    let family = Family::of(&event.platform);
    if let Some(analysis) = overrides::custom(event, family, grouping) {
        return analysis;
    }
    by_itself(event, family, grouping)
}

/// What a built-in rule or the default makes of an event.
fn by_itself<'a>(event: &'a Event, family: Family, grouping: &'a Grouping) -> Analysis<'a> {
    let is_on = |rule: BuiltinRule| !grouping.builtin_off.contains(&rule);
    let Some((rule, parts)) = builtin::find(event, family, &grouping.frame_rules, is_on) else {
        return by_default(event, family, grouping);
    };
    Analysis {
        event,
        family,
        kind: Kind::Builtin,
        items: parts.into_iter().map(|part| item("rule", part)).collect(),
        decided_by: Some(format!("built-in rule: {}", rule.as_str())),
        title: None,
        chain: None,
        variant: "builtin",
    }
}

fn by_default<'a>(event: &'a Event, family: Family, grouping: &'a Grouping) -> Analysis<'a> {
    let made = |kind: Kind, items, variant| Analysis {
        event,
        family,
        kind,
        items,
        decided_by: None,
        title: None,
        chain: None,
        variant,
    };
    if let Some(csp) = &event.csp {
        return made(Kind::Csp, of_policy(csp), "csp");
    }
    let of_family = || item("family", family.as_str());
    let reader = Reader { event, family, rules: &grouping.frame_rules };
    if let Some(chain) = chain::chain(reader) {
        let mut items = vec![of_family()];
        for (ordinal, component) in chain.components.iter().enumerate() {
            items.push(item("exc", ordinal.to_string()));
            items.extend(component.parts.iter().cloned());
        }
        let variant = variant_of(&chain);
        return Analysis { chain: Some(chain), ..made(Kind::Exception, items, variant) };
    }
    let message = event
        .message
        .as_ref()
        .map(|message| message.template.as_deref().unwrap_or(&message.formatted))
        .filter(|message| !message.trim().is_empty());
    if let Some(message) = message {
        let skeleton = message::skeleton(message, family);
        return made(Kind::Message, vec![of_family(), item("message", skeleton)], "message");
    }
    if let Some(template) = &event.template {
        let mut items = vec![of_family()];
        items.extend(of_template(template));
        return made(Kind::Template, items, "template");
    }
    let stack = lone_stack(event);
    if !stack.is_empty() {
        let component = reader.stack(stack);
        let mut items = vec![of_family()];
        items.extend(component.parts.iter().filter(|(_, value)| !value.is_empty()).cloned());
        let chain = Chain { components: vec![component], how: None, ignored: Vec::new() };
        let variant = variant_of(&chain);
        return Analysis { chain: Some(chain), ..made(Kind::Stack, items, variant) };
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let items = vec![
        of_family(),
        item("transaction", text(&event.transaction)),
        item("logger", text(&event.logger)),
    ];
    made(Kind::Empty, items, "empty")
}

fn variant_of(chain: &Chain<'_>) -> &'static str {
    chain.components.first().map_or("empty", |component: &Component<'_>| component.variant.as_str())
}

/// The violated directive, and the host of what was blocked.
fn of_policy(csp: &Csp) -> Vec<Item> {
    let violated = csp.violated_directive.as_deref().unwrap_or_default();
    let directive = first_of(&[&csp.effective_directive, &csp.violated_directive]);
    let directive = directive.split(' ').next().unwrap_or_default();
    let inline =
        || ["unsafe-eval", "unsafe-inline"].into_iter().find(|word| violated.contains(word));
    let blocked = csp.blocked_uri.as_deref().filter(|blocked| !blocked.is_empty());
    let blocked = blocked.or_else(inline).unwrap_or("self");
    let host = tables::HOST.captures(blocked).and_then(|found| found.get(1));
    let source = match host {
        Some(host) => host.as_str(),
        None => blocked.trim_matches('\'').split([':', '\'']).next().unwrap_or_default(),
    };
    let source = if source.is_empty() { "self" } else { source };
    vec![item("directive", directive), item("source", source.to_lowercase())]
}

fn of_template(template: &Template) -> [Item; 2] {
    let file = slashed(first_of(&[&template.filename, &template.abs_path])).to_lowercase();
    let line = template.context_line.as_deref().unwrap_or_default();
    [item("file", file), item("source", frames::folded(line))]
}

/// The stack of an event without exceptions: its own, else that of the crashed, the current or the
/// only thread.
fn lone_stack(event: &Event) -> &[Frame] {
    if !event.stacktrace.is_empty() {
        return &event.stacktrace;
    }
    let marked = |thread: &&crate::domain::event::Thread| thread.crashed || thread.current;
    let with_frames = || event.threads.iter().filter(|thread| !thread.frames.is_empty());
    let only = || event.threads.first().filter(|_| event.threads.len() == 1);
    with_frames().find(marked).or_else(only).map_or(&[], |thread| &thread.frames)
}
