//! What led up to the event.

use super::super::budget::{Budget, Room};
use super::super::json::Object;
use super::super::lenient;
use super::Received;
use crate::domain::event::{Breadcrumb, Level};
use crate::domain::time;

/// Breadcrumbs of one event: the newest.
const MOST_BREADCRUMBS: usize = 100;

/// Characters of a breadcrumb's message.
const MOST_MESSAGE_CHARS: usize = 1024;

/// Characters of a breadcrumb's type and category.
const MOST_WORD_CHARS: usize = 128;

/// Bytes for all breadcrumbs.
const BREADCRUMBS_BYTES: usize = 32 * 1024;

pub(super) fn breadcrumbs(
    payload: &mut Object<'_>,
    received: &Received<'_>,
    budget: &mut Budget,
) -> Vec<Breadcrumb> {
    let Some(claimed) = lenient::take(payload, "breadcrumbs") else { return Vec::new() };
    let Some(mut claimed) = lenient::list(claimed, "values") else {
        budget.mistyped("breadcrumbs", "an object or a list");
        return Vec::new();
    };
    let n_excess = claimed.len().saturating_sub(MOST_BREADCRUMBS);
    if n_excess > 0 {
        budget.note(format!("breadcrumbs: the oldest {n_excess} left out"));
        claimed.drain(..n_excess);
    }
    let mut room = budget.open("breadcrumbs", BREADCRUMBS_BYTES);
    // From the newest back: what matters most first.
    let mut kept: Vec<Breadcrumb> = claimed
        .into_iter()
        .rev()
        .filter_map(lenient::object)
        .map_while(|raw| read_breadcrumb(raw, received, &mut room))
        .filter(|breadcrumb| *breadcrumb != Breadcrumb::default())
        .collect();
    kept.reverse();
    budget.close(room);
    kept
}

/// `None` when there is no room for it.
fn read_breadcrumb(
    mut raw: Object<'_>,
    received: &Received<'_>,
    room: &mut Room,
) -> Option<Breadcrumb> {
    let raw = &mut raw;
    // The price of its time and level.
    if room.is_full() || !room.pay("timestamp level", 48) {
        return None;
    }
    let claimed_at = lenient::take(raw, "timestamp").as_ref().and_then(lenient::time);
    Some(Breadcrumb {
        timestamp: claimed_at
            .map(|at| time::correct(Some(at), received.sent_at, received.received_at).at),
        level: lenient::take_text(raw, "level").and_then(|name| Level::parse(&name)),
        kind: room.take(raw, "type", MOST_WORD_CHARS),
        category: room.take(raw, "category", MOST_WORD_CHARS),
        message: lenient::take(raw, "message")
            .and_then(lenient::text_or_json)
            .filter(|message| !message.is_empty())
            .and_then(|message| room.keep("message", message, MOST_MESSAGE_CHARS)),
        data: room.take_object(raw, "data"),
    })
}
