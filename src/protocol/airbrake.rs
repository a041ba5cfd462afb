//! Airbrake's notices, version 3, as its notifiers send them.
//!
//! A notice is rewritten as the payload of a Sentry event and read by [`super::sentry`]: so limits,
//! notes and leniency are those of every event. What has no place there stays under the names
//! Airbrake's users know: `params`, `session_values` and `environment` in `extra`, the rest of `context`
//! in `contexts.airbrake`.
//!
//! Source: Airbrake's "Create notice v3", and the notifiers themselves: pybrake, airbrake-js,
//! airbrake-ruby, gobrake, `airbrake` from `PyPI`.

use serde_json::{Value, json};

use super::lenient::{self, Object};
use super::sentry::{self, InvalidEvent, Outline, Received};

mod backtrace;
mod context;
mod errors;
mod history;
mod notifier;

use notifier::Notifier;

/// Reads the JSON of one notice.
///
/// # Errors
/// When the payload is not a JSON object.
pub fn parse_notice<'a>(
    bytes: &'a [u8],
    received: &Received<'a>,
) -> Result<Outline<'a>, InvalidEvent> {
    let (notice, budget) = sentry::object(bytes, received)?;
    Ok(Outline::of(to_payload(notice.into()).into(), received, budget))
}

/// Rewrites a notice as the payload of a Sentry event.
pub(super) fn to_payload(mut notice: Object) -> Object {
    let notice = &mut notice;
    let mut context =
        lenient::take(notice, "context").and_then(lenient::object).unwrap_or_default();
    // The oldest notifiers of version 3 name themselves beside the context.
    let named =
        lenient::take(&mut context, "notifier").or_else(|| lenient::take(notice, "notifier"));
    let notifier = Notifier::read(named.and_then(lenient::object).unwrap_or_default());
    let language = lenient::take_text(&mut context, "language");

    let mut payload = Object::new();
    payload.insert("platform".to_owned(), notifier.platform(language.as_deref()).into());
    errors::put(&mut payload, notice, &mut context, &notifier);
    history::put(&mut payload, &mut context);
    let environment = lenient::take(notice, "environment");
    let environment = context::put(&mut payload, context, environment, language);
    if let Some(sdk) = notifier.into_sdk() {
        payload.insert("sdk".to_owned(), sdk);
    }
    let mut extra = Object::new();
    for (name, value) in [
        ("params", lenient::take(notice, "params")),
        // Under a name of its own, `session` would pass for a secret and be scrubbed as a whole.
        ("session_values", lenient::take(notice, "session")),
        // The scrubber knows whole environments by this name.
        ("environ", environment),
    ] {
        if let Some(value) = value.filter(|value| *value != json!({})) {
            extra.insert(name.to_owned(), value);
        }
    }
    payload.insert("extra".to_owned(), Value::Object(extra));
    payload
}

/// Puts a value that is there.
fn put(object: &mut Object, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests;
