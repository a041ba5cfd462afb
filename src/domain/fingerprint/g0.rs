//! Config `g0`: the type and the application's frames; without a stack, the message without its
//! numbers. Deliberately simple.

use super::{Fingerprint, Item, Kind, NO_CONFIG, is_default};
use crate::domain::event::{Event, Frame};
use crate::domain::stack;
use crate::domain::text::{bounded, headline};

const NAME: &str = "g0";

/// The longest value of one item, in characters.
const MOST_ITEM_CHARS: usize = 2_048;

/// The fingerprint under `g0`. The application's own wins.
pub(super) fn fingerprint(event: &Event) -> Fingerprint {
    let custom = &event.fingerprint;
    if custom.iter().all(|entry| is_default(entry)) {
        return by_default(event);
    }
    if !custom.iter().any(|entry| is_default(entry)) {
        let items = custom.iter().map(|entry| item("fp", entry)).collect();
        let reason = "fingerprint set by the application".to_owned();
        return Fingerprint::new(NO_CONFIG, Kind::Custom, reason, items);
    }
    let default = by_default(event);
    let mixed = |entry: &String| {
        if is_default(entry) {
            item("default", &default.hash.to_string())
        } else {
            item("fp", entry)
        }
    };
    let items = custom.iter().map(mixed).collect();
    let reason =
        format!("fingerprint set by the application, with the default: {}", default.reason);
    Fingerprint::new(NAME, Kind::Hybrid, reason, items)
}

fn by_default(event: &Event) -> Fingerprint {
    if let Some(raised) = event.raised() {
        let kind =
            raised.kind.as_deref().filter(|_| !raised.is_synthetic() || raised.frames.is_empty());
        let mut items: Vec<Item> = kind.map(|kind| item("type", kind)).into_iter().collect();
        let frames = frames(stack::telling_of(raised));
        if let Some(value) = raised.value.as_deref().filter(|_| frames.is_empty()) {
            items.push(item("message", &skeleton(value)));
        }
        let reason = reason(frames.len());
        items.extend(frames);
        if !items.is_empty() {
            return Fingerprint::new(NAME, Kind::Exception, reason, items);
        }
    }
    if let Some(text) = event
        .message
        .as_ref()
        .map(|message| message.template.as_deref().unwrap_or(&message.formatted))
    {
        let items = vec![item("message", &skeleton(text))];
        return Fingerprint::new(
            NAME,
            Kind::Message,
            "message without its numbers".to_owned(),
            items,
        );
    }
    let frames = frames(stack::telling(event.main_stack()));
    if !frames.is_empty() {
        return Fingerprint::new(NAME, Kind::Stack, reason(frames.len()), frames);
    }
    let items = [("transaction", &event.transaction), ("logger", &event.logger)]
        .into_iter()
        .filter_map(|(tag, value)| value.as_deref().map(|value| item(tag, value)))
        .collect();
    Fingerprint::new(NAME, Kind::Empty, "nothing but the route and the logger".to_owned(), items)
}

fn reason(n_frames: usize) -> String {
    match n_frames {
        0 => "type and message without its numbers".to_owned(),
        1 => "type and 1 frame".to_owned(),
        n_frames => format!("type and {n_frames} frames"),
    }
}

fn item(tag: &str, value: &str) -> Item {
    (tag.to_owned(), bounded(value, MOST_ITEM_CHARS))
}

/// One item for each telling frame. Line numbers take no part: they move with every edit.
fn frames(frames: Vec<&Frame>) -> Vec<Item> {
    let place = |frame: &Frame| {
        let place = frame.module.as_deref().or(frame.filename.as_deref()).unwrap_or_default();
        let function = frame.function.as_deref().unwrap_or_default();
        item("frame", &format!("{place}|{function}"))
    };
    frames.into_iter().map(place).collect()
}

/// The headline with digits, hex numbers and UUIDs replaced.
fn skeleton(text: &str) -> String {
    let mut out = String::new();
    let headline = headline(text);
    let mut rest = headline.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        let uuid = rest.get(..36).filter(|word| {
            let after = rest.get(36..).and_then(|rest| rest.chars().next());
            uuid::Uuid::try_parse(word).is_ok() && !after.is_some_and(is_word)
        });
        if let Some(word) = uuid {
            out.push_str("<uuid>");
            rest = rest.get(word.len()..).unwrap_or_default();
        } else if is_word(first) {
            let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            push_word(&mut out, word);
            rest = after;
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// The shortest run of hex digits that is taken for an id.
const LEAST_HEX_DIGITS: usize = 8;

fn push_word(out: &mut String, word: &str) {
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let is_hex = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = hex.bytes().any(|byte| byte.is_ascii_digit());
    let has_letter = hex.bytes().any(|byte| byte.is_ascii_alphabetic());
    let prefixed = hex.len() < word.len();
    if is_hex && (prefixed || (hex.len() >= LEAST_HEX_DIGITS && has_digit && has_letter)) {
        out.push_str("<hex>");
        return;
    }
    let mut in_number = false;
    for character in word.chars() {
        let is_digit = character.is_ascii_digit();
        if is_digit && !in_number {
            out.push_str("<int>");
        } else if !is_digit {
            out.push(character);
        }
        in_number = is_digit;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Config;
    use super::super::tests::{crash, message};
    use super::*;
    use crate::domain::fingerprint::{self, Grouping};

    fn of(event: &Event) -> Fingerprint {
        fingerprint::fingerprint(event, &Grouping::of(Config::G0))
    }

    #[test]
    fn skeletons() {
        for (text, expected) in [
            ("order 5512 not found", "order <int> not found"),
            ("user c76085e7-ee72-463e-9476-4d80b9534fff gone", "user <uuid> gone"),
            ("at 0xdeadbeef", "at <hex>"),
            ("commit 7c9e6679a4d3 of sku77", "commit <hex> of sku<int>"),
            ("deadbeef facade", "deadbeef facade"),
            ("größe 12,5 €\nsecond line", "größe <int>,<int> €"),
        ] {
            assert_eq!(skeleton(text), expected);
        }
    }

    #[test]
    fn a_moved_line_is_the_same_error_and_another_function_is_not() {
        let before = of(&crash("KeyError", &[("post", 10), ("total", 20)]));
        let after = of(&crash("KeyError", &[("post", 11), ("total", 25)]));
        let elsewhere = of(&crash("KeyError", &[("post", 10), ("discount", 20)]));
        assert_eq!(before.hash, after.hash);
        assert_ne!(before.hash, elsewhere.hash);
        assert_eq!(before.reason, "type and 2 frames");
    }

    #[test]
    fn messages_differ_by_words_not_by_numbers() {
        let hash = |text: &str| of(&message(text)).hash;
        assert_eq!(hash("order 5512 failed"), hash("order 7 failed"));
        assert_ne!(hash("order 5512 failed"), hash("order 5512 lost"));
    }

    proptest! {
        #[test]
        fn any_text_has_a_skeleton_that_stays(text: String) {
            let once = skeleton(&text);
            prop_assert!(!once.bytes().any(|byte| byte.is_ascii_digit()));
        }
    }
}
