//! What was raised, and what caused it.

use serde_json::{Value, json};

use super::super::lenient::{self, Object};
use super::backtrace::{Layout, frames};
use super::notifier::Notifier;
use super::put as put_value;

/// Flags of the context that say nobody handled the error, and how it was noticed.
///
/// Source: airbrake-js, which hooks `window.onerror` and `onunhandledrejection`.
const UNHANDLED: [(&str, &str); 2] =
    [("windowError", "onerror"), ("unhandledRejection", "onunhandledrejection")];

/// Moves the errors of a notice into the payload.
///
/// `errors[0]` is what was raised, its causes follow; Sentry's order is the reverse. An error
/// without a type that nobody's hook noticed is a message somebody sent on purpose.
pub(super) fn put(
    payload: &mut Object,
    notice: &mut Object,
    context: &mut Object,
    notifier: &Notifier,
) {
    let unhandled = UNHANDLED.iter().find(|(flag, _)| {
        lenient::take(context, flag).as_ref().and_then(lenient::flag).unwrap_or_default()
    });
    let pattern = lenient::take_text(context, "messagePattern");
    let layout = Layout::new(context, notifier);
    let errors = lenient::take(notice, "errors").and_then(|errors| lenient::list(errors, "error"));
    let mut errors: Vec<Object> =
        errors.unwrap_or_default().into_iter().filter_map(lenient::object).collect();

    if errors.len() == 1
        && unhandled.is_none()
        && let Some(mut only) = errors.pop_if(|error| is_untyped(error))
    {
        let formatted = lenient::take(&mut only, "message").and_then(lenient::text_or_json);
        payload.insert("logentry".to_owned(), json!({"formatted": formatted, "message": pattern}));
        put_frames(payload, &mut only, &layout);
        return;
    }
    if let Some(pattern) = pattern {
        payload.insert("logentry".to_owned(), json!({"message": pattern}));
    }
    let mut values: Vec<Value> = Vec::with_capacity(errors.len());
    for (position, mut error) in errors.into_iter().enumerate() {
        let mut value = Object::new();
        let kind = lenient::take_text(&mut error, "type");
        let mut message = lenient::take(&mut error, "message");
        if let (Some(kind), Some(Value::String(message))) = (&kind, &mut message) {
            cut_kind(message, kind);
        }
        put_value(&mut value, "type", kind);
        put_value(&mut value, "value", message);
        if let Some((_, mechanism)) = unhandled.filter(|_| position == 0) {
            let mechanism = json!({"type": mechanism, "handled": false});
            value.insert("mechanism".to_owned(), mechanism);
        }
        put_frames(&mut value, &mut error, &layout);
        values.push(Value::Object(value));
    }
    values.reverse();
    if !values.is_empty() {
        payload.insert("exception".to_owned(), json!({"values": values}));
    }
}

fn is_untyped(error: &Object) -> bool {
    error.get("type").is_none_or(|kind| kind.as_str().is_none_or(|kind| kind.trim().is_empty()))
}

/// Takes the error's type away from the beginning of its message, also with the modules it is in.
///
/// Source: `airbrake` from `PyPI` sends the last line of a traceback, and Ruby's gems up to version 4
/// send `type: message`.
fn cut_kind(message: &mut String, kind: &str) {
    let is_kind = |name: &str| {
        name.strip_suffix(kind).is_some_and(|modules| modules.is_empty() || modules.ends_with('.'))
    };
    if let Some((name, rest)) = message.split_once(": ")
        && is_kind(name)
    {
        *message = rest.to_owned();
    }
}

fn put_frames(owner: &mut Object, error: &mut Object, layout: &Layout) {
    let backtrace = lenient::take(error, "backtrace");
    let frames = backtrace.map(|backtrace| frames(backtrace, layout)).unwrap_or_default();
    if !frames.is_empty() {
        owner.insert("stacktrace".to_owned(), json!({"frames": frames}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_begin_with_its_type() {
        for (message, kind, expected) in [
            ("KeyError: 'total'", "KeyError", "'total'"),
            ("shop.cart.CheckoutError: sold: out", "CheckoutError", "sold: out"),
            ("Shop::SoldOut: no tea", "Shop::SoldOut", "no tea"),
            ("MyKeyError: 'total'", "KeyError", "MyKeyError: 'total'"),
            ("KeyError", "KeyError", "KeyError"),
            ("a: b", "", "a: b"),
        ] {
            let mut message = message.to_owned();
            cut_kind(&mut message, kind);
            assert_eq!(message, expected);
        }
    }
}
