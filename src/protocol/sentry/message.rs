//! What was logged.

use serde_json::Value;

use super::super::budget::Budget;
use super::super::json::{Json, Object};
use super::super::lenient;
use super::interpolate::interpolate;
use crate::domain::event::Message;

/// Characters of a message.
const MOST_MESSAGE_CHARS: usize = 8192;

/// Bytes for the message, its template and its parameters.
const MESSAGE_BYTES: usize = 24 * 1024;

/// The fields a message comes in, the most telling first; older SDKs send the last two together.
const MESSAGE_FIELDS: [&str; 3] = ["logentry", "sentry.interfaces.Message", "message"];

pub(super) fn message(payload: &mut Object<'_>, budget: &mut Budget) -> Option<Message> {
    MESSAGE_FIELDS
        .iter()
        .find_map(|name| lenient::take(payload, name).and_then(|raw| read_message(raw, budget)))
}

/// The parameters of a map become one parameter that is an object.
fn read_message(raw: Json<'_>, budget: &mut Budget) -> Option<Message> {
    let mut raw = match raw {
        Json::Object(raw) => raw,
        Json::List(_) => {
            budget.mistyped("message", "a text or an object");
            return None;
        }
        text @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_)) => {
            Object::from_iter([("formatted".into(), text)])
        }
    };
    let formatted = lenient::take_text(&mut raw, "formatted");
    let template = lenient::take_text(&mut raw, "message");
    let params = match lenient::take(&mut raw, "params") {
        Some(Json::List(params)) => params,
        Some(params) => vec![params],
        None => Vec::new(),
    };
    let (formatted, template) = match (formatted, template) {
        (Some(formatted), template) => (formatted, template),
        (None, Some(template)) => {
            let params: Vec<Value> = params.iter().cloned().map(Value::from).collect();
            (interpolate(&template, &params, MOST_MESSAGE_CHARS).into(), Some(template))
        }
        (None, None) => return None,
    };
    // Without parameters the template is the message.
    let template = template.filter(|template| !params.is_empty() || *template != formatted);

    let mut room = budget.open("message", MESSAGE_BYTES);
    let message = room.keep("formatted", formatted, MOST_MESSAGE_CHARS).map(|formatted| Message {
        formatted,
        template: template.and_then(|template| room.keep("template", template, MOST_MESSAGE_CHARS)),
        params: room.list("params", params),
    });
    budget.close(room);
    message
}
