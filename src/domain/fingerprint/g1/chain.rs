//! Which exceptions of a chain take part.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::exception::{Component, Reader, Variant, type_name};
use crate::domain::event::{Event, Exception};
use crate::domain::fingerprint::Item;

/// Members of a group of exceptions that take part.
const MOST_MEMBERS: usize = 6;

/// Exceptions of a longer chain that take part: the raised one, its nearest causes, the root cause.
const MOST_CHAINED: usize = 4;

/// Where Python found an exception that was being handled, not a cause.
const CONTEXT: &str = "__context__";

/// The exceptions of an event that take part.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    /// The raised one first.
    pub(super) components: Vec<Component<'a>>,
    /// How they were chosen, when there was a choice.
    pub(super) how: Option<&'static str>,
    /// Exceptions that take no part, and why.
    pub(super) ignored: Vec<(&'a Exception, &'static str)>,
}

/// Chooses. `None` without any exception.
pub(super) fn chain(reader: Reader<'_>) -> Option<Chain<'_>> {
    let raised = reader.event.raised()?;
    if let Some(chain) = group(reader) {
        return Some(chain);
    }
    let raised = reader.exception(raised, false);
    let causes = reader.event.exceptions.split_last().map_or(&[][..], |(_, causes)| causes);
    if causes.is_empty() {
        return Some(Chain { components: vec![raised], how: None, ignored: Vec::new() });
    }
    let (mut components, mut ignored) = (vec![raised], Vec::new());
    for cause in causes.iter().rev() {
        let source = cause.mechanism.as_ref().and_then(|mechanism| mechanism.source.as_deref());
        let is_raised_placed = components.first().is_some_and(|raised| !raised.window.is_empty());
        if source == Some(CONTEXT) && is_raised_placed {
            ignored.push((cause, "it was being handled when the other was raised"));
            continue;
        }
        let component = reader.exception(cause, true);
        if components.iter().any(|other| other.parts == component.parts) {
            ignored.push((cause, "it says the same as another of the chain"));
        } else {
            components.push(component);
        }
    }
    if components.len() > MOST_CHAINED {
        let between = MOST_CHAINED - 1..components.len() - 1;
        let left_out = components.drain(between);
        ignored.extend(
            left_out.filter_map(|component| component.exception).map(|exception| {
                (exception, "it is neither near the raised one nor the root cause")
            }),
        );
    }
    Some(Chain { components, how: Some("chain"), ignored })
}

/// The members of a group of exceptions, in an order that does not depend on theirs.
fn group<'a>(reader: Reader<'a>) -> Option<Chain<'a>> {
    let exceptions = &reader.event.exceptions;
    let by_id = numbered(exceptions)?;
    let root = by_id.get(&0).copied()?;
    let mut children: BTreeMap<i64, Vec<&Exception>> = BTreeMap::new();
    for (id, exception) in &by_id {
        if let Some(parent) = parent_of(exception).filter(|parent| parent != id) {
            children.entry(parent).or_default().push(exception);
        }
    }
    let (mut members, mut seen) = (Vec::new(), BTreeSet::new());
    leaves((0, root), &children, &mut seen, &mut members);
    let mut distinct: BTreeMap<String, Component<'a>> = BTreeMap::new();
    let mut ignored = Vec::new();
    for member in members {
        let component = reader.exception(member, false);
        let content = serde_json::to_string(&component.parts).unwrap_or_default();
        match distinct.entry(content) {
            Entry::Occupied(_) => {
                ignored.push((member, "it says the same as another of the group"));
            }
            Entry::Vacant(place) => {
                place.insert(component);
            }
        }
    }
    let mut components: Vec<Component<'a>> = distinct.into_values().collect();
    match components.len() {
        0 => None,
        1 => Some(Chain {
            components,
            how: Some("exception group with one distinct member"),
            ignored,
        }),
        _ => {
            let surplus = components.drain(MOST_MEMBERS.min(components.len())..);
            ignored.extend(
                surplus
                    .filter_map(|component| component.exception)
                    .map(|exception| (exception, "the group has many others")),
            );
            components.push(root_component(root, reader));
            Some(Chain { components, how: Some("exception group"), ignored })
        }
    }
}

/// The group itself: its type.
fn root_component<'a>(root: &'a Exception, reader: Reader<'a>) -> Component<'a> {
    let kind = type_name(root.kind.as_deref(), reader.family);
    let parts: Vec<Item> = vec![("group".to_owned(), kind.clone())];
    Component {
        exception: Some(root),
        kind,
        parts,
        variant: Variant::App,
        message_needed: None,
        frames: Vec::new(),
        window: Vec::new(),
    }
}

/// The exceptions by their numbers; `None` when this is no group, or the numbers are no tree.
fn numbered(exceptions: &[Exception]) -> Option<BTreeMap<i64, &Exception>> {
    if exceptions.len() < 2 || !exceptions.iter().any(is_group) {
        return None;
    }
    let mut by_id = BTreeMap::new();
    for exception in exceptions {
        let id = exception.mechanism.as_ref()?.exception_id?;
        if by_id.insert(id, exception).is_some() {
            return None;
        }
    }
    Some(by_id)
}

fn is_group(exception: &Exception) -> bool {
    exception.mechanism.as_ref().is_some_and(|mechanism| mechanism.is_exception_group)
}

fn parent_of(exception: &Exception) -> Option<i64> {
    exception.mechanism.as_ref().and_then(|mechanism| mechanism.parent_id)
}

/// Members that are no groups themselves. Each number is visited once, so that circles end.
fn leaves<'a>(
    (id, exception): (i64, &'a Exception),
    children: &BTreeMap<i64, Vec<&'a Exception>>,
    seen: &mut BTreeSet<i64>,
    members: &mut Vec<&'a Exception>,
) {
    let mut open = vec![(id, exception)];
    while let Some((id, exception)) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        if !is_group(exception) {
            members.push(exception);
            continue;
        }
        for child in children.get(&id).into_iter().flatten().rev() {
            let id = child.mechanism.as_ref().and_then(|mechanism| mechanism.exception_id);
            open.extend(id.map(|id| (id, *child)));
        }
    }
}

/// Whether an event has one exception only.
pub(super) fn is_single(event: &Event) -> bool {
    event.exceptions.len() == 1
}
