//! Sentry's event payload, as its SDKs have sent it from raven to today.
//!
//! Fields and their meaning: "Event Payloads" of Sentry's SDK documentation. What is read beyond
//! it (lists without `values`, tags as pairs, `sentry.interfaces.*`, numeric levels) is what older
//! SDKs send.
//!
//! Parts are read in the order of their worth, because they share one [`Budget`]: what names and
//! groups the event first, what merely surrounds it last.

use super::budget::Budget;
use super::json::{self, InvalidJson, Json, MOST_LEVELS, MOST_VALUES, Object};
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;

mod breadcrumbs;
mod exception;
mod frames;
mod interfaces;
mod interpolate;
mod message;
mod outline;
mod request;
mod scalars;
mod tags;
mod threads;
mod user;

pub use outline::Outline;

/// What is known of an event from elsewhere than its payload.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The event's id as intake decided it; wins over the payload's.
    pub event_id: EventId,
    /// When the report arrived, by our clock.
    pub received_at: Timestamp,
    /// When the client sent it, by its own clock: the envelope's `sent_at`.
    pub sent_at: Option<Timestamp>,
    /// The client's address, for users whose address is `{{auto}}`.
    pub remote_addr: Option<&'a str>,
    /// `name/version` of the SDK, from the request's authentication.
    pub sdk: Option<&'a str>,
    /// How many bytes of it were cut off because it was too long.
    pub n_cut: u64,
}

/// Why bytes are no event. Only the client can cause it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// The payload is no JSON, or none that the parser follows.
    #[error("event payload is {0}")]
    Json(#[from] InvalidJson),
    /// The payload is JSON, but not an object.
    #[error("event payload is a JSON {0}, not an object")]
    NotAnObject(&'static str),
    /// The payload should be a notice in XML.
    #[error("event payload is XML without an element `notice`")]
    NoNotice,
}

/// Reads the JSON of one Sentry event: at first what names, groups and counts it.
///
/// Fields that make no sense are left out, and so is what exceeds the limits; the event's notes
/// name what its reader would miss.
///
/// # Errors
///
/// When the payload is not a JSON object.
pub fn parse_event<'a>(
    bytes: &'a [u8],
    received: &Received<'a>,
) -> Result<Outline<'a>, InvalidEvent> {
    let (payload, budget) = object(bytes, received)?;
    Ok(Outline::of(payload, received, budget))
}

/// The JSON object of a payload, and a budget with notes of what was cut from it.
pub(super) fn object<'a>(
    bytes: &'a [u8],
    received: &Received<'_>,
) -> Result<(Object<'a>, Budget), InvalidEvent> {
    let parsed = json::parse(bytes, received.n_cut > 0)?;
    let mut budget = Budget::default();
    if received.n_cut > 0 {
        budget.note(cut_note(bytes.len() as u64, received.n_cut));
    }
    if parsed.n_deep > 0 {
        let n_deep = parsed.n_deep;
        budget.note(format!("{n_deep} parts more than {MOST_LEVELS} levels deep were cut"));
    }
    if parsed.has_too_many {
        budget.note(format!("the report had more than {MOST_VALUES} values; the rest was cut"));
    }
    match parsed.value {
        Json::Object(payload) => Ok((payload, budget)),
        Json::Null => Err(InvalidEvent::NotAnObject("null")),
        Json::Bool(_) => Err(InvalidEvent::NotAnObject("truth value")),
        Json::Number(_) => Err(InvalidEvent::NotAnObject("number")),
        Json::Text(_) => Err(InvalidEvent::NotAnObject("string")),
        Json::List(_) => Err(InvalidEvent::NotAnObject("list")),
    }
}

/// Says how long a report was of which so many bytes were kept.
fn cut_note(n_kept: u64, n_cut: u64) -> String {
    // Tenths of a megabyte, as a file manager would say it.
    let tenths = (n_kept + n_cut).div_ceil(100_000);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let n_kept = n_kept.div_ceil(1024 * 1024);
    format!("the report was {whole}.{tenth} MB; what was beyond {n_kept} MiB was cut")
}

#[cfg(test)]
mod tests;
