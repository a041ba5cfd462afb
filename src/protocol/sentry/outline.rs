//! An event in two steps: first what names, groups and counts it, then what merely surrounds it.
//!
//! Of an issue that is reported over and over the first step is all that is needed of most reports.
//! Both steps together are what one would be: parts that share a room are read in the same order, save
//! for frames that have nothing but details, which are read at once.

use serde_json::{Map, Value};

use super::super::budget::Budget;
use super::super::json::{Json, Object};
use super::super::lenient;
use super::frames::{self, Stacks};
use super::{
    Received, breadcrumbs, exception, interfaces, message, request, scalars, tags, threads, user,
};
use crate::domain::event::Event;
use crate::domain::time::{self, Timestamp};

/// Bytes for the short texts of an event, and for its fingerprint.
const SCALAR_BYTES: usize = 20 * 1024;

/// Bytes for `contexts`.
const CONTEXTS_BYTES: usize = 32 * 1024;

/// Bytes for `extra`.
const EXTRA_BYTES: usize = 32 * 1024;

/// An event of which the outline is read.
#[derive(Debug)]
pub struct Outline<'a> {
    /// The event without its [details](Outline::into_whole).
    pub event: Event,
    received: Received<'a>,
    budget: Budget,
    stacks: Stacks,
    /// What was sent and is not read yet.
    payload: Object<'a>,
    exceptions: Vec<frames::Unread<'a>>,
    threads: Vec<frames::Unread<'a>>,
    stacktrace: frames::Unread<'a>,
}

impl<'a> Outline<'a> {
    /// Reads the outline of a payload, whoever made the payload.
    pub(in super::super) fn of(
        mut sent: Object<'a>,
        received: &Received<'a>,
        mut budget: Budget,
    ) -> Self {
        let payload = &mut sent;
        let mut room = budget.open("names", SCALAR_BYTES);
        let mut event = Event::new(
            received.event_id,
            happened_at(payload, received, &mut budget),
            scalars::level(payload, &mut budget),
            scalars::platform(payload, &mut room),
        );
        event.environment = scalars::environment(payload, &mut room);
        event.release = scalars::release(payload, &mut room);
        event.dist = scalars::dist(payload, &mut room);
        event.logger = room.take(payload, "logger", scalars::MOST_NAME_CHARS);
        event.transaction = scalars::transaction(payload, &mut room);
        event.server_name = room.take(payload, "server_name", scalars::MOST_NAME_CHARS);
        event.sdk = scalars::sdk(payload, received.sdk, &mut room);
        event.fingerprint = tags::fingerprint(payload, &mut room, &mut budget);
        event.checksum = room.take(payload, "checksum", scalars::MOST_NAME_CHARS);
        event.csp = interfaces::csp(payload, &mut room);
        event.template = interfaces::template(payload, &mut room);
        budget.close(room);

        event.message = message::message(payload, &mut budget);
        event.tags = tags::tags(payload, &mut budget);
        event.user = user::user(payload, received.remote_addr, &mut budget);

        let mut stacks = Stacks::open(&mut budget);
        let chain = exception::exceptions(payload, &mut stacks, &mut budget);
        event.exceptions = chain.exceptions;
        event.handled = chain.handled;
        let (found, threads) = threads::threads(payload, &mut stacks, &mut budget);
        event.threads = found;
        let (found, stacktrace) = frames::take_stack(payload, &mut stacks, &mut budget);
        event.stacktrace = found;
        Self {
            event,
            received: *received,
            budget,
            stacks,
            payload: sent,
            exceptions: chain.unread,
            threads,
            stacktrace,
        }
    }

    /// Reads the details as well: neighbouring lines and local variables of frames, request, breadcrumbs,
    /// contexts, extra, modules, and the notes of what was changed or left out.
    #[must_use]
    pub fn into_whole(self) -> Event {
        let Self { mut event, received, mut budget, mut stacks, mut payload, .. } = self;
        for (exception, unread) in event.exceptions.iter_mut().zip(self.exceptions).rev() {
            frames::read_details(&mut exception.frames, unread, &mut stacks);
        }
        threads::read_details(&mut event.threads, self.threads, &mut stacks);
        frames::read_details(&mut event.stacktrace, self.stacktrace, &mut stacks);
        stacks.close(&mut budget);

        event.request = request::request(&mut payload, &mut budget);
        event.breadcrumbs = breadcrumbs::breadcrumbs(&mut payload, &received, &mut budget);
        event.contexts = free_object(&mut payload, "contexts", CONTEXTS_BYTES, &mut budget);
        event.extra = free_object(&mut payload, "extra", EXTRA_BYTES, &mut budget);
        event.modules = tags::modules(&mut payload, &mut budget);
        event.notes = budget.into_notes();
        event
    }
}

fn happened_at(
    payload: &mut Object<'_>,
    received: &Received<'_>,
    budget: &mut Budget,
) -> Timestamp {
    let claimed = lenient::take(payload, "timestamp");
    let read = claimed.as_ref().and_then(lenient::time);
    if claimed.is_some() && read.is_none() {
        budget.note("timestamp cannot be read: the time of arrival was taken");
    }
    let corrected = time::correct(read, received.sent_at, received.received_at);
    if let Some(note) = corrected.note {
        budget.note(note);
    }
    corrected.at
}

fn free_object(
    payload: &mut Object<'_>,
    name: &'static str,
    most: usize,
    budget: &mut Budget,
) -> Map<String, Value> {
    match lenient::take(payload, name) {
        Some(Json::Object(object)) => {
            let mut room = budget.open(name, most);
            let kept = room.object(name, object);
            budget.close(room);
            kept
        }
        Some(_) => {
            budget.mistyped(name, "an object");
            Map::new()
        }
        None => Map::new(),
    }
}
