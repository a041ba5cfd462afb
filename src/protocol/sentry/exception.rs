//! The chain of exceptions, and how they were caught.

use std::borrow::Cow;

use super::super::budget::{Budget, Room};
use super::super::json::{Json, Object};
use super::super::lenient;
use super::frames::{self, Stacks};
use crate::domain::event::{Exception, Mechanism};

/// Exceptions of one chain; of a longer one the raised and its nearest causes are kept.
const MOST_EXCEPTIONS: usize = 50;

/// Characters of an exception's message.
const MOST_VALUE_CHARS: usize = 8192;

/// Characters of a type or module.
const MOST_NAME_CHARS: usize = 512;

/// Characters of a mechanism's type and source.
const MOST_WORD_CHARS: usize = 128;

/// Bytes for all exceptions, without their frames.
const EXCEPTIONS_BYTES: usize = 40 * 1024;

/// The type of a mechanism that does not name itself; so do Sentry's SDKs.
const DEFAULT_MECHANISM: &str = "generic";

/// A chain as far as it is read.
#[derive(Debug, Default)]
pub(super) struct Chain<'a> {
    pub(super) exceptions: Vec<Exception>,
    /// Of each exception's frames.
    pub(super) unread: Vec<frames::Unread<'a>>,
    /// Whether the application handled it.
    pub(super) handled: Option<bool>,
}

/// Reads the chain, without source lines and variables.
pub(super) fn exceptions<'a>(
    payload: &mut Object<'a>,
    stacks: &mut Stacks,
    budget: &mut Budget,
) -> Chain<'a> {
    let claimed = lenient::take(payload, "exception")
        .or_else(|| lenient::take(payload, "sentry.interfaces.Exception"));
    let Some(mut claimed) = claimed else { return Chain::default() };
    let of_chain = chain_mechanism(&mut claimed);
    let Some(mut chain) = lenient::list(claimed, "values") else {
        budget.mistyped("exception", "an object or a list");
        return Chain::default();
    };
    let n_claimed = chain.len();
    chain.retain(|exception| matches!(exception, Json::Object(_)));
    let n_shapeless = n_claimed.saturating_sub(chain.len());
    if n_shapeless > 0 {
        budget.note(format!("exception: {n_shapeless} left out, they are no objects"));
    }
    if let Some(Json::Object(raised)) = chain.last_mut()
        && let Some(mechanism) = of_chain
        && raised.get("mechanism").is_none_or(Json::is_null)
    {
        raised.insert("mechanism", mechanism);
    }
    let handled = handled(&chain);
    let n_excess = chain.len().saturating_sub(MOST_EXCEPTIONS);
    if n_excess > 0 {
        budget.note(format!("exception: {n_excess} of {} causes left out", chain.len()));
        chain.drain(..n_excess);
    }

    let mut room = budget.open("exception", EXCEPTIONS_BYTES);
    // From the raised one back: what matters most first.
    let (mut exceptions, mut unread): (Vec<Exception>, Vec<frames::Unread<'a>>) = chain
        .into_iter()
        .rev()
        .filter_map(lenient::object)
        .map_while(|raw| read_exception(raw, &mut room, stacks, budget))
        .filter(|(exception, _)| *exception != Exception::default())
        .unzip();
    exceptions.reverse();
    unread.reverse();
    budget.close(room);
    Chain { exceptions, unread, handled }
}

/// raven-js names the mechanism beside the values: it is that of the raised exception.
fn chain_mechanism<'a>(claimed: &mut Json<'a>) -> Option<Json<'a>> {
    let Json::Object(claimed) = claimed else { return None };
    claimed.get("values")?;
    lenient::take(claimed, "mechanism")
}

/// One exception nobody handled makes the chain unhandled, wherever it stands: browsers put it on
/// the cause.
fn handled(chain: &[Json<'_>]) -> Option<bool> {
    chain
        .iter()
        .filter_map(|exception| lenient::flag(exception.get("mechanism")?.get("handled")?))
        .reduce(|all, one| all && one)
}

/// `None` when there is no room for it.
fn read_exception<'a>(
    mut raw: Object<'a>,
    room: &mut Room,
    stacks: &mut Stacks,
    budget: &mut Budget,
) -> Option<(Exception, frames::Unread<'a>)> {
    let raw = &mut raw;
    if room.is_full() || !room.pay("frames", 2) {
        return None;
    }
    let mut exception = Exception {
        kind: room.take(raw, "type", MOST_NAME_CHARS),
        value: lenient::take(raw, "value")
            .and_then(lenient::text_or_json)
            .filter(|value| !value.is_empty())
            .and_then(|value| room.keep("value", value, MOST_VALUE_CHARS)),
        module: room.take(raw, "module", MOST_NAME_CHARS),
        thread_id: room.take(raw, "thread_id", MOST_WORD_CHARS),
        mechanism: lenient::take(raw, "mechanism").and_then(|raw| read_mechanism(raw, room)),
        frames: Vec::new(),
    };
    let (frames, unread) = frames::take_stack(raw, stacks, budget);
    exception.frames = frames;
    Some((exception, unread))
}

fn read_mechanism(raw: Json<'_>, room: &mut Room) -> Option<Mechanism> {
    let mut raw = match raw {
        Json::Object(raw) => raw,
        kind @ Json::Text(_) => Object::from_iter([("type".into(), kind)]),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) => return None,
    };
    let raw = &mut raw;
    if raw.is_empty() || !room.pay("mechanism", 2) {
        return None;
    }
    let kind = lenient::take_text(raw, "type").unwrap_or(Cow::Borrowed(DEFAULT_MECHANISM));
    Some(Mechanism {
        kind: room.keep("type", kind, MOST_WORD_CHARS)?,
        handled: room.take_flag(raw, "handled"),
        synthetic: room.take_flag(raw, "synthetic").unwrap_or_default(),
        source: room.take(raw, "source", MOST_WORD_CHARS),
        exception_id: room.take_integer(raw, "exception_id"),
        parent_id: room.take_integer(raw, "parent_id"),
        is_exception_group: room.take_flag(raw, "is_exception_group").unwrap_or_default(),
        data: room.take_object(raw, "data"),
        meta: room.take_object(raw, "meta"),
    })
}
