//! What is indexed or compared: tags, the fingerprint, the installed modules.

use std::collections::BTreeMap;

use super::super::budget::{Budget, Room};
use super::super::json::{Json, Object};
use super::super::lenient;
use super::scalars::readable;

/// Tags of one event.
const MOST_TAGS: usize = 200;

/// Characters of a tag's key and of its value.
const MOST_TAG_CHARS: usize = 200;

/// Bytes for all tags.
const TAGS_BYTES: usize = 24 * 1024;

/// Parts of a fingerprint.
const MOST_FINGERPRINT_PARTS: usize = 32;

/// Characters of one part of a fingerprint.
const MOST_FINGERPRINT_CHARS: usize = 512;

/// Modules of one event.
const MOST_MODULES: usize = 500;

/// Characters of a module's name and of its version.
const MOST_MODULE_CHARS: usize = 200;

/// Bytes for all modules.
const MODULES_BYTES: usize = 24 * 1024;

/// Tags without a key or a value are dropped in silence, since SDKs send them by themselves; a tag
/// whose value is a list or an object was somebody's intent, so that is noted. Of two tags with
/// one key the later wins.
pub(super) fn tags(payload: &mut Object<'_>, budget: &mut Budget) -> BTreeMap<String, String> {
    let Some(claimed) = lenient::take(payload, "tags") else { return BTreeMap::new() };
    let Some(pairs) = lenient::pairs(claimed) else {
        budget.mistyped("tags", "an object or a list of pairs");
        return BTreeMap::new();
    };
    let mut room = budget.open("tags", TAGS_BYTES);
    let mut tags = BTreeMap::new();
    let mut n_shapeless = 0_usize;
    let mut n_excess = 0_usize;
    for (key, value) in pairs {
        let key = readable(key);
        if key.is_empty() || value.is_null() {
            continue;
        }
        let Some(value) = lenient::text(value) else {
            n_shapeless = n_shapeless.saturating_add(1);
            continue;
        };
        let value = readable(value);
        if value.is_empty() {
            continue;
        }
        if tags.len() >= MOST_TAGS || room.is_full() {
            n_excess = n_excess.saturating_add(1);
            continue;
        }
        if let Some(key) = room.keep("", key, MOST_TAG_CHARS)
            && let Some(value) = room.keep("", value, MOST_TAG_CHARS)
        {
            tags.insert(key, value);
        }
    }
    budget.close(room);
    if n_shapeless > 0 {
        budget.note(format!("tags: {n_shapeless} left out, their values are no plain values"));
    }
    if n_excess > 0 {
        budget.note(format!("tags: {n_excess} left out, an event has at most {MOST_TAGS}"));
    }
    tags
}

/// Strings, and numbers and truth values as their text; nothing else has a stable text. Source:
/// "Fingerprint" of Sentry's event payload, where an empty list is the same as none.
pub(super) fn fingerprint(
    payload: &mut Object<'_>,
    room: &mut Room,
    budget: &mut Budget,
) -> Vec<String> {
    let parts = match lenient::take(payload, "fingerprint") {
        Some(Json::List(parts)) => parts,
        Some(part @ (Json::Text(_) | Json::Number(_) | Json::Bool(_))) => vec![part],
        Some(_) => {
            budget.mistyped("fingerprint", "a list");
            return Vec::new();
        }
        None => return Vec::new(),
    };
    if parts.len() > MOST_FINGERPRINT_PARTS {
        budget.note(format!(
            "fingerprint: {} parts left out, it has at most {MOST_FINGERPRINT_PARTS}",
            parts.len().saturating_sub(MOST_FINGERPRINT_PARTS)
        ));
    }
    parts
        .into_iter()
        .take(MOST_FINGERPRINT_PARTS)
        .filter_map(lenient::text)
        .map_while(|part| room.keep("", part, MOST_FINGERPRINT_CHARS))
        .collect()
}

pub(super) fn modules(payload: &mut Object<'_>, budget: &mut Budget) -> BTreeMap<String, String> {
    let Some(claimed) = lenient::take(payload, "modules") else { return BTreeMap::new() };
    let Some(pairs) = lenient::pairs(claimed) else {
        budget.mistyped("modules", "an object");
        return BTreeMap::new();
    };
    let mut room = budget.open("modules", MODULES_BYTES);
    let mut modules = BTreeMap::new();
    for (name, version) in pairs {
        if modules.len() >= MOST_MODULES {
            room.count_cut();
            break;
        }
        let version = lenient::text(version).unwrap_or_default();
        let Some(name) = room.keep("", name, MOST_MODULE_CHARS) else { break };
        let Some(version) = room.keep("", version, MOST_MODULE_CHARS) else { break };
        modules.insert(name, version);
    }
    budget.close(room);
    modules
}
