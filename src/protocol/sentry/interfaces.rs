//! Parts of an event that few SDKs send.

use super::super::budget::Room;
use super::super::json::{Json, Object};
use super::super::lenient;
use super::scalars::MOST_NAME_CHARS;
use crate::domain::event::{Csp, Template};

/// Characters of an address or a path.
const MOST_ADDRESS_CHARS: usize = 1024;

/// Characters of a source line.
const MOST_LINE_CHARS: usize = 512;

/// The violated policy, as relays make it of a browser's report.
pub(super) fn csp(payload: &mut Object<'_>, room: &mut Room) -> Option<Csp> {
    let mut raw = take(payload, &["csp", "sentry.interfaces.Csp"])?;
    let csp = Csp {
        effective_directive: room.take(&mut raw, "effective_directive", MOST_NAME_CHARS),
        violated_directive: room.take(&mut raw, "violated_directive", MOST_ADDRESS_CHARS),
        blocked_uri: room.take(&mut raw, "blocked_uri", MOST_ADDRESS_CHARS),
    };
    (csp != Csp::default()).then_some(csp)
}

/// The line of a template, as the SDKs of template engines send it.
pub(super) fn template(payload: &mut Object<'_>, room: &mut Room) -> Option<Template> {
    let mut raw = take(payload, &["template", "sentry.interfaces.Template"])?;
    let template = Template {
        filename: room.take(&mut raw, "filename", MOST_ADDRESS_CHARS),
        abs_path: room.take(&mut raw, "abs_path", MOST_ADDRESS_CHARS),
        lineno: room.take_integer(&mut raw, "lineno"),
        context_line: room.take(&mut raw, "context_line", MOST_LINE_CHARS),
    };
    (template != Template::default()).then_some(template)
}

fn take<'a>(payload: &mut Object<'a>, names: &[&str]) -> Option<Object<'a>> {
    names.iter().find_map(|name| match lenient::take(payload, name) {
        Some(Json::Object(object)) => Some(object),
        _ => None,
    })
}
