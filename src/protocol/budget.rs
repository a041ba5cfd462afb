//! Keeping events small: every part of an event is paid for in bytes of its JSON.
//!
//! A [`Budget`] is what the whole event may take. Its parts are read in the order of their worth;
//! each opens a [`Room`] with its own limit, pays for what it keeps, and closes the room, which
//! gives back what is left. So one huge part cannot push out the others, and the sum is bounded
//! whatever arrives. What is cut is counted and said in one note for each room.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::json::{Json, Object};
use super::lenient;
use crate::domain::text;

/// The JSON of a normalised event is smaller than this.
pub const MOST_EVENT_BYTES: usize = 256 * 1024;

/// What the rooms of an event may take together. The rest is for notes, for the fields every event
/// has, and for the marks where something was cut.
const MOST_ROOM_BYTES: usize = 236 * 1024;

/// Notes beyond this number are left out.
const MOST_NOTES: usize = 32;

/// The characters of one note.
const MOST_NOTE_CHARS: usize = 240;

/// Levels of lists and objects within each other in free JSON.
pub const MOST_DEPTH: usize = 8;

/// Entries of one list or object in free JSON.
pub const MOST_ENTRIES: usize = 200;

/// Characters of one text in free JSON.
pub const MOST_TEXT_CHARS: usize = 4096;

/// Characters of one key in free JSON.
pub const MOST_KEY_CHARS: usize = 200;

/// Stands where something was cut from free JSON; in objects it is the key of a count.
pub const CUT: &str = "[cut]";

/// Quotes, colon, comma and the like around one field, beside its name and its text.
const FIELD_BYTES: usize = 6;

/// A text is left out rather than cut to fewer bytes than this.
const LEAST_TEXT_BYTES: usize = 16;

/// What an event may still take, and the notes about what it could not.
#[derive(Debug)]
pub struct Budget {
    left: usize,
    notes: Vec<String>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: MOST_ROOM_BYTES, notes: Vec::new() }
    }
}

impl Budget {
    /// Opens a room of at most `most` bytes. `name` is what notes call it.
    pub fn open(&mut self, name: &'static str, most: usize) -> Room {
        let size = most.min(self.left);
        self.left = self.left.saturating_sub(size);
        Room { name, left: size, unused: 0, n_cut: 0 }
    }

    /// Takes back what the room did not use, and notes what it cut.
    #[expect(clippy::needless_pass_by_value, reason = "a closed room cannot be used again")]
    pub fn close(&mut self, room: Room) {
        let Room { name, left, unused, n_cut } = room;
        self.left = self.left.saturating_add(left).saturating_add(unused);
        if n_cut > 0 {
            let parts = if n_cut == 1 { "part was" } else { "parts were" };
            self.note(format!("{name}: {n_cut} {parts} too large and cut"));
        }
    }

    /// Adds a note for the event's page.
    pub fn note(&mut self, note: impl AsRef<str>) {
        let note = text::bounded(note.as_ref(), MOST_NOTE_CHARS);
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Notes that the field `name` was left out because it is not `expected`.
    pub fn mistyped(&mut self, name: &str, expected: &str) {
        self.note(format!("{name} left out: it is not {expected}"));
    }

    /// The notes taken.
    #[must_use]
    pub fn into_notes(self) -> Vec<String> {
        self.notes
    }
}

/// The space of one part of an event.
///
/// Once something does not fit, nothing more does: what is kept is the beginning of what was
/// offered, so offer what matters first.
#[derive(Debug)]
pub struct Room {
    name: &'static str,
    left: usize,
    /// What was left when the room was declared full; it goes back to the budget.
    unused: usize,
    n_cut: usize,
}

impl Room {
    /// Whether nothing more fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Counts a part that the caller cut for another reason than bytes.
    pub fn count_cut(&mut self) {
        self.n_cut = self.n_cut.saturating_add(1);
    }

    /// Pays for a field `name` whose value takes `n_bytes`; false when it does not fit.
    pub fn pay(&mut self, name: &str, n_bytes: usize) -> bool {
        let cost = name.len().saturating_add(FIELD_BYTES).saturating_add(n_bytes);
        let Some(left) = self.left.checked_sub(cost) else {
            self.fill();
            return false;
        };
        self.left = left;
        true
    }

    fn fill(&mut self) {
        self.count_cut();
        self.unused = self.unused.saturating_add(self.left);
        self.left = 0;
    }

    /// Keeps a text as the field `name` (empty within a list), cut to `most` characters and to
    /// what fits. `None` when nothing of it fits.
    pub fn keep<'a>(
        &mut self,
        name: &str,
        text: impl Into<Cow<'a, str>>,
        most: usize,
    ) -> Option<String> {
        let mut text: Cow<'a, str> = text.into();
        let mut is_plain = is_plain(&text);
        // Most texts are short and go through unchanged.
        if text.len() > most || !is_plain && text.contains('\0') {
            if text.chars().nth(most).is_some() {
                self.count_cut();
            }
            text = text::bounded(&text, most).into();
            is_plain = false;
        }
        let n_bytes = if is_plain { text.len() } else { json_bytes(&text) };
        let cost = name.len().saturating_add(FIELD_BYTES);
        if cost.saturating_add(n_bytes) <= self.left {
            self.left = self.left.saturating_sub(cost.saturating_add(n_bytes));
            return Some(text.into_owned());
        }
        let space = self.left.saturating_sub(cost);
        if space < LEAST_TEXT_BYTES {
            self.fill();
            return None;
        }
        self.count_cut();
        self.left = 0;
        Some(cut_to_bytes(&text, space))
    }

    /// Takes the text of the field `name` out of `object` and keeps it; empty counts as absent.
    pub fn take(&mut self, object: &mut Object<'_>, name: &str, most: usize) -> Option<String> {
        lenient::take_text(object, name).and_then(|text| self.keep(name, text, most))
    }

    /// Takes a whole number that fits `T` out of `object`.
    pub fn take_integer<T: TryFrom<i64>>(
        &mut self,
        object: &mut Object<'_>,
        name: &str,
    ) -> Option<T> {
        let number = T::try_from(lenient::take_integer(object, name)?).ok()?;
        self.pay(name, 20).then_some(number)
    }

    /// Takes a truth value out of `object`.
    pub fn take_flag(&mut self, object: &mut Object<'_>, name: &str) -> Option<bool> {
        let flag = lenient::take_flag(object, name)?;
        self.pay(name, 5).then_some(flag)
    }

    /// Takes an object of free JSON out of `object`; anything else counts as absent.
    pub fn take_object(&mut self, object: &mut Object<'_>, name: &str) -> Map<String, Value> {
        lenient::take(object, name)
            .and_then(lenient::object)
            .map(|value| self.object(name, value))
            .unwrap_or_default()
    }

    /// Keeps an object of free JSON as the field `name`, cut to [`MOST_DEPTH`], [`MOST_ENTRIES`]
    /// and [`MOST_TEXT_CHARS`] and to what fits.
    pub fn object(&mut self, name: &str, object: Object<'_>) -> Map<String, Value> {
        if object.is_empty() || !self.pay(name, 2) {
            return Map::new();
        }
        self.entries(object, 1)
    }

    /// Keeps a list of free JSON as the field `name`, cut like [`Room::object`].
    pub fn list(&mut self, name: &str, list: Vec<Json<'_>>) -> Vec<Value> {
        if list.is_empty() || !self.pay(name, 2) {
            return Vec::new();
        }
        self.elements(list, 1)
    }

    /// Keeps free JSON as the field `name`, cut like [`Room::object`]; null when nothing fits.
    pub fn json(&mut self, name: &str, value: Json<'_>) -> Value {
        self.json_at(name, value, 0).unwrap_or_default()
    }

    fn json_at(&mut self, name: &str, value: Json<'_>, depth: usize) -> Option<Value> {
        match value {
            Json::Null => self.pay(name, 5).then_some(Value::Null),
            Json::Bool(flag) => self.pay(name, 5).then_some(Value::Bool(flag)),
            Json::Number(number) => {
                let n_bytes = match number.as_u64() {
                    Some(number) => number.checked_ilog10().map_or(1, |log| log as usize + 1),
                    None => 24,
                };
                self.pay(name, n_bytes).then_some(Value::Number(number))
            }
            Json::Text(text) => self.keep(name, text, MOST_TEXT_CHARS).map(Value::String),
            Json::List(ref entries) if depth >= MOST_DEPTH && !entries.is_empty() => {
                self.too_deep(name)
            }
            Json::Object(ref entries) if depth >= MOST_DEPTH && !entries.is_empty() => {
                self.too_deep(name)
            }
            Json::List(entries) => {
                self.pay(name, 2).then(|| Value::Array(self.elements(entries, depth + 1)))
            }
            Json::Object(object) => {
                self.pay(name, 2).then(|| Value::Object(self.entries(object, depth + 1)))
            }
        }
    }

    fn too_deep(&mut self, name: &str) -> Option<Value> {
        self.count_cut();
        self.keep(name, CUT, CUT.len()).map(Value::String)
    }

    fn elements(&mut self, elements: Vec<Json<'_>>, depth: usize) -> Vec<Value> {
        let n_elements = elements.len();
        let mut kept = Vec::with_capacity(n_elements.min(MOST_ENTRIES));
        for element in elements.into_iter().take(MOST_ENTRIES) {
            let Some(element) = self.json_at("", element, depth) else { break };
            kept.push(element);
        }
        // The mark is not paid for: at most one for each open level of a room that is full, and
        // one for each list that has paid for so many entries.
        if let Some(n_more) = n_elements.checked_sub(kept.len()).filter(|n_more| *n_more > 0) {
            self.count_cut();
            kept.push(Value::from(format!("{CUT} {n_more} more")));
        }
        kept
    }

    fn entries(&mut self, object: Object<'_>, depth: usize) -> Map<String, Value> {
        let fields = object.into_sorted();
        let n_entries = fields.len();
        let mut kept = Vec::with_capacity(n_entries.min(MOST_ENTRIES).saturating_add(1));
        for (key, value) in fields.into_iter().take(MOST_ENTRIES) {
            let Some(key) = self.keep("", key, MOST_KEY_CHARS) else { break };
            let Some(value) = self.json_at("", value, depth) else { break };
            kept.push((key, value));
        }
        if let Some(n_more) = n_entries.checked_sub(kept.len()).filter(|n_more| *n_more > 0) {
            self.count_cut();
            kept.push((CUT.to_owned(), Value::from(format!("{n_more} more"))));
        }
        kept.into_iter().collect()
    }
}

/// Whether no character of a text is escaped in JSON. Written so that it looks at many at once.
fn is_plain(text: &str) -> bool {
    let has_escape = |byte: u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
    !text.bytes().fold(false, |has_any, byte| has_any | has_escape(byte))
}

/// The bytes of a text in JSON, without its quotes.
fn json_bytes(text: &str) -> usize {
    text.bytes().map(escaped_bytes).fold(0, usize::saturating_add)
}

fn escaped_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    }
}

/// The beginning of `text` that takes at most `most` bytes in JSON, with `…` at its end.
fn cut_to_bytes(text: &str, most: usize) -> String {
    let mut left = most.saturating_sub('…'.len_utf8());
    let mut kept = String::new();
    for character in text.chars() {
        let cost = u8::try_from(character).ok().filter(u8::is_ascii).map(escaped_bytes);
        match left.checked_sub(cost.unwrap_or_else(|| character.len_utf8())) {
            Some(rest) => left = rest,
            None => break,
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn room(most: usize) -> Room {
        Budget::default().open("extra", most)
    }

    #[test]
    fn what_fits_is_kept_as_it_is() {
        let value = json!({"a": [1, -2, 1.5, null, true, "x"], "b": {"c": {}}});
        assert_eq!(room(1000).json("extra", value.clone().into()), value);
    }

    #[test]
    fn deep_wide_and_long_parts_are_marked() {
        let mut deep = json!("bottom");
        for _ in 0..12 {
            deep = json!([deep]);
        }
        assert_eq!(room(1000).json("", deep.into()).to_string(), r#"[[[[[[[["[cut]"]]]]]]]]"#);

        let wide = room(9999).json("", Value::from((0..250).collect::<Vec<_>>()).into());
        assert_eq!(wide.as_array().expect("a list").len(), MOST_ENTRIES + 1);
        assert_eq!(wide[MOST_ENTRIES], json!("[cut] 50 more"));

        let long = room(9999).json("", Value::from("x".repeat(5000)).into());
        assert_eq!(long.as_str().expect("a text").chars().count(), MOST_TEXT_CHARS);

        let three = json!({"a": "x".repeat(30), "b": "y".repeat(30), "c": 1});
        let full = room(60).json("", three.into());
        assert_eq!(
            full,
            json!({"a": "x".repeat(30), "[cut]": "2 more"}),
            "the room is full after the first entry"
        );
    }

    #[test]
    fn a_closed_room_gives_back_what_it_did_not_use() {
        let mut budget = Budget::default();
        let mut extra = budget.open("extra", MOST_EVENT_BYTES);
        assert!(extra.pay("a", 100));
        budget.close(extra);
        assert_eq!(budget.open("tags", MOST_EVENT_BYTES).left, MOST_ROOM_BYTES - 107);
        assert_eq!(budget.into_notes(), Vec::<String>::new());
    }

    #[test]
    fn what_was_cut_is_noted_once() {
        let mut budget = Budget::default();
        let mut extra = budget.open("extra", 100);
        extra.keep("", "x".repeat(50), 10);
        extra.keep("", "x".repeat(500), 1000);
        budget.close(extra);
        assert_eq!(budget.into_notes(), ["extra: 2 parts were too large and cut"]);
    }

    proptest! {
        #[test]
        fn a_kept_text_fits(text: String, most in 0_usize..40, size in 0_usize..120) {
            let mut room = room(size);
            if let Some(kept) = room.keep("name", text, most) {
                prop_assert!(kept.chars().count() <= most.max(1));
                prop_assert!(serde_json::to_string(&kept).expect("JSON").len() + 7 <= size);
            }
        }
    }
}
