//! Built-in rules: what is one fault wherever it strikes.

use std::collections::BTreeMap;

use super::exception::type_name;
use super::family::Family;
use super::frames;
use super::message::headline;
use super::tables;
use crate::domain::event::{Event, Exception};
use crate::domain::fingerprint::BuiltinRule;
use crate::domain::fingerprint::rules::FrameRules;

/// A frame that stands on the stack so often belongs to the recursion.
const LEAST_TURNS: usize = 3;

/// Outages by what messages say of them.
fn outage(text: &str) -> Option<&'static str> {
    // One look, for most messages say nothing of the kind.
    if !tables::OUTAGE.is_match(text) {
        return None;
    }
    [
        ("connection-refused", &tables::CONNECTION_REFUSED),
        ("cannot-connect", &tables::CANNOT_CONNECT),
        ("dns", &tables::NO_SUCH_HOST),
        ("too-many-connections", &tables::TOO_MANY_CONNECTIONS),
        ("no-space", &tables::NO_SPACE),
    ]
    .into_iter()
    .find_map(|(kind, pattern)| pattern.is_match(text).then_some(kind))
}

/// The rule that an event falls under, and what is hashed for it.
pub(super) fn find(
    event: &Event,
    family: Family,
    rules: &FrameRules,
    is_on: impl Fn(BuiltinRule) -> bool,
) -> Option<(BuiltinRule, Vec<String>)> {
    let raised = event.raised()?;
    let kind = type_name(raised.kind.as_deref(), family);
    let text = headline(raised.value.as_deref().unwrap_or_default());
    let of_js = family == Family::Js;
    if of_js && is_on(BuiltinRule::ChunkLoadError) && event.exceptions.iter().any(is_chunk_error) {
        return Some((BuiltinRule::ChunkLoadError, vec!["chunk-load-error".to_owned()]));
    }
    let is_out_of_memory =
        tables::OUT_OF_MEMORY.contains(&&*kind) || tables::OUT_OF_MEMORY_TEXT.is_match(&text);
    if is_out_of_memory && is_on(BuiltinRule::OutOfMemory) {
        let parts = ["out-of-memory", family.as_str()].map(str::to_owned).to_vec();
        return Some((BuiltinRule::OutOfMemory, parts));
    }
    let is_overflow = tables::STACK_OVERFLOW.contains(&&*kind)
        || (of_js && tables::STACK_OVERFLOW_TEXT.is_match(&text));
    if is_overflow
        && is_on(BuiltinRule::StackOverflow)
        && let Some(cycle) = recursion(event, raised, family, rules)
    {
        let mut parts = ["stack-overflow", family.as_str()].map(str::to_owned).to_vec();
        parts.extend(cycle);
        return Some((BuiltinRule::StackOverflow, parts));
    }
    if tables::SHUTDOWN.contains(&&*kind) && is_on(BuiltinRule::Shutdown) {
        return Some((BuiltinRule::Shutdown, vec!["shutdown".to_owned(), kind]));
    }
    let outage = outage(&text).filter(|_| is_on(BuiltinRule::Infrastructure))?;
    let port = tables::PORT.captures(&text).and_then(|found| found.get(1));
    let port = port.map(|port| port.as_str().to_owned()).unwrap_or_default();
    let parts = vec!["infra".to_owned(), family.as_str().to_owned(), outage.to_owned(), kind, port];
    Some((BuiltinRule::Infrastructure, parts))
}

fn is_chunk_error(exception: &Exception) -> bool {
    let text = || headline(exception.value.as_deref().unwrap_or_default());
    exception.kind.as_deref() == Some("ChunkLoadError") || tables::CHUNK.is_match(&text())
}

/// The application's frames that stand on the stack again and again, sorted.
fn recursion(
    event: &Event,
    raised: &Exception,
    family: Family,
    rules: &FrameRules,
) -> Option<Vec<String>> {
    let codes = frames::read(&raised.frames, (event, family), rules);
    let mut turns: BTreeMap<String, usize> = BTreeMap::new();
    for code in codes.iter().filter(|code| code.dropped.is_none() && code.in_app) {
        *turns.entry(format!("{}|{}", code.place(), code.function)).or_default() += 1;
    }
    let cycle: Vec<String> =
        turns.into_iter().filter(|(_, n)| *n >= LEAST_TURNS).map(|(frame, _)| frame).collect();
    (!cycle.is_empty()).then_some(cycle)
}
