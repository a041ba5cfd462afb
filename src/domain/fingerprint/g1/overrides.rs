//! Fingerprints that somebody chose: a rule of the project, the application, a checksum.

use super::exception::type_name;
use super::family::Family;
use super::frames::{self, FrameCode};
use super::message::skeleton;
use super::{Analysis, by_itself, item};
use crate::domain::event::Event;
use crate::domain::fingerprint::rules::Stack;
use crate::domain::fingerprint::{Grouping, Item, Kind, hash_of, is_default};
use crate::domain::text::bounded;

/// The longest part of a chosen fingerprint, in characters.
const MOST_PART_CHARS: usize = 2_048;

/// So much of a rule is quoted, in characters.
const MOST_RULE_CHARS: usize = 200;

/// What somebody chose for an event; `None` when nobody did.
pub(super) fn custom<'a>(
    event: &'a Event,
    family: Family,
    grouping: &'a Grouping,
) -> Option<Analysis<'a>> {
    let values = Values { event, family, grouping };
    if let Some((parts, title, rule)) = values.by_rule() {
        return Some(values.chosen(
            &parts,
            title,
            format!("rule of the project: {}", bounded(rule, MOST_RULE_CHARS)),
        ));
    }
    let own = &event.fingerprint;
    if !own.iter().all(|part| is_default(part)) {
        let parts: Vec<String> = own.iter().map(|part| values.part(part)).collect();
        return Some(values.chosen(&parts, None, "fingerprint set by the application".to_owned()));
    }
    let checksum = event.checksum.clone().filter(|sum| !sum.is_empty())?;
    Some(values.chosen(&[checksum], None, "checksum set by the application".to_owned()))
}

/// The values of an event by their names.
#[derive(Clone, Copy)]
struct Values<'a> {
    event: &'a Event,
    family: Family,
    grouping: &'a Grouping,
}

impl<'a> Values<'a> {
    /// The fingerprint of these parts, of which `{{ default }}` is one or not.
    fn chosen(self, parts: &[String], title: Option<String>, by: String) -> Analysis<'a> {
        let custom = |kind, items, variant| Analysis {
            event: self.event,
            family: self.family,
            kind,
            items,
            decided_by: Some(by.clone()),
            title: title.clone(),
            chain: None,
            variant,
        };
        if !parts.iter().any(|part| is_default(part)) {
            let items = parts.iter().map(|part| item("fp", bounded(part, MOST_PART_CHARS)));
            return custom(Kind::Custom, items.collect(), "custom");
        }
        let default = by_itself(self.event, self.family, self.grouping);
        if parts.iter().all(|part| is_default(part)) {
            return Analysis { title, ..default };
        }
        let hash = hash_of(default.config(), default.kind.as_str(), &default.items);
        let mixed = |part: &String| -> Item {
            if is_default(part) {
                item("default", hash.to_string())
            } else {
                item("fp", bounded(part, MOST_PART_CHARS))
            }
        };
        let items = parts.iter().map(mixed).collect();
        Analysis { chain: default.chain, ..custom(Kind::Hybrid, items, default.variant) }
    }

    /// What the first matching rule of the project says, and the rule.
    fn by_rule(self) -> Option<(Vec<String>, Option<String>, &'a str)> {
        let rules = &self.grouping.fingerprint_rules;
        if rules.is_empty() {
            return None;
        }
        let codes = self.codes();
        let in_app: Vec<bool> = codes.iter().map(|code| code.in_app).collect();
        let stack = self.event.main_stack();
        let start = stack.len().saturating_sub(codes.len());
        let frames = stack.get(start..).unwrap_or_default();
        let rule = rules.find(&Stack {
            event: self.event,
            family: self.family.as_str(),
            frames,
            in_app: &in_app,
        })?;
        let parts = rule.values.iter().map(|value| self.expanded(value)).collect();
        let title = rule
            .title
            .as_ref()
            .map(|title| bounded(&self.expanded(title), crate::domain::title::MOST_TITLE_CHARS));
        Some((parts, title.filter(|title| !title.is_empty()), &rule.text))
    }

    /// The code of the frames people look at first.
    fn codes(self) -> Vec<FrameCode<'a>> {
        let stack = self.event.main_stack();
        frames::read(stack, (self.event, self.family), &self.grouping.frame_rules)
    }

    /// A part of an application's own fingerprint. SDK users paste messages: these lose their
    /// values.
    fn part(self, part: &str) -> String {
        match variable(part) {
            Some(name) => self.value(name).unwrap_or_else(|| part.to_owned()),
            None if self.is_message(part) => skeleton(part, self.family),
            None => part.to_owned(),
        }
    }

    fn is_message(self, text: &str) -> bool {
        let message = self.event.message.as_ref();
        self.event.exceptions.iter().any(|exception| exception.value.as_deref() == Some(text))
            || message.is_some_and(|message| {
                message.formatted == text || message.template.as_deref() == Some(text)
            })
    }

    /// A text of a rule with its variables filled in.
    fn expanded(self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { break };
            out.push_str(before);
            let value = self.value(name.trim());
            out.push_str(&value.unwrap_or_else(|| format!("{{{{{name}}}}}")));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// The value of a name; `None` for `default`, which is no text.
    fn value(self, name: &str) -> Option<String> {
        let raised = self.event.raised();
        let or_no = |value: Option<String>, name: &str| {
            value.filter(|value| !value.is_empty()).unwrap_or_else(|| format!("<no-{name}>"))
        };
        Some(match name {
            "default" => return None,
            "type" | "error.type" => {
                let kind = raised.and_then(|raised| raised.kind.as_deref());
                or_no(Some(type_name(kind, self.family)), "type")
            }
            "message" | "value" | "error.value" => or_no(self.message(), "message"),
            "transaction" => or_no(self.event.transaction.clone(), name),
            "logger" => or_no(self.event.logger.clone(), name),
            "level" => self.event.level.as_str().to_owned(),
            "release" => or_no(self.event.release.clone(), name),
            "environment" => or_no(Some(self.event.environment.clone()), name),
            _ => match name.strip_prefix("tags.") {
                Some(tag) => or_no(self.event.tags.get(tag).cloned(), "tag"),
                None => self.of_frame(name),
            },
        })
    }

    fn message(self) -> Option<String> {
        let of_exception = self.event.raised().and_then(|raised| raised.value.as_deref());
        let message = self.event.message.as_ref();
        let logged =
            || message.map(|message| message.template.as_deref().unwrap_or(&message.formatted));
        let text = of_exception.filter(|text| !text.is_empty()).or_else(logged)?;
        Some(skeleton(text, self.family))
    }

    /// A value of the frame people look at first.
    fn of_frame(self, name: &str) -> String {
        let codes = self.codes();
        let own = codes.iter().rev().find(|code| code.in_app && code.dropped.is_none());
        let Some(code) = own.or(codes.last()) else { return "<no-frame>".to_owned() };
        let value = match name {
            "function" | "stack.function" => code.function.as_ref(),
            "module" | "stack.module" | "path" | "stack.abs_path" | "stack.filename" => {
                code.place()
            }
            "package" | "stack.package" => {
                let package = code.frame.package.as_deref().unwrap_or_default();
                package.rsplit(['/', '\\']).next().unwrap_or_default()
            }
            _ => return format!("<unknown-{name}>"),
        };
        if value.is_empty() { format!("<no-{name}>") } else { value.to_owned() }
    }
}

/// The name in `{{ name }}`.
fn variable(part: &str) -> Option<&str> {
    let name = part.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}
