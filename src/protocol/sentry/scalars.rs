//! The short texts of an event: level, platform, release and the like.

use std::borrow::Cow;

use super::super::budget::{Budget, Room};
use super::super::json::{Json, Object};
use super::super::lenient;
use crate::domain::event::{Level, Sdk};

/// Characters of a release; Sentry allows as many.
const MOST_RELEASE_CHARS: usize = 200;

/// Characters of an environment; Sentry allows as many.
const MOST_ENVIRONMENT_CHARS: usize = 64;

/// Characters of a dist; Sentry allows as many.
const MOST_DIST_CHARS: usize = 64;

/// Characters of a platform.
const MOST_PLATFORM_CHARS: usize = 64;

/// Characters of the names of loggers, hosts and SDKs.
pub(super) const MOST_NAME_CHARS: usize = 256;

/// Characters of a transaction: routes can be long.
const MOST_TRANSACTION_CHARS: usize = 512;

/// The environment of reports that name none; so say Sentry's SDKs.
const DEFAULT_ENVIRONMENT: &str = "production";

/// The platform of reports that name none.
const DEFAULT_PLATFORM: &str = "other";

pub(super) fn level(payload: &mut Object<'_>, budget: &mut Budget) -> Level {
    let Some(claimed) = lenient::take(payload, "level") else { return Level::default() };
    let named = match &claimed {
        Json::Text(name) => Level::parse(name),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_) => None,
    };
    // The numbers of Python's `logging`, sent by raven.
    let numbered = || match lenient::integer(&claimed)? {
        10 => Some(Level::Debug),
        20 => Some(Level::Info),
        30 => Some(Level::Warning),
        40 => Some(Level::Error),
        50 => Some(Level::Fatal),
        _ => None,
    };
    named.or_else(numbered).unwrap_or_else(|| {
        match lenient::text(claimed) {
            Some(text) => {
                let name: String = readable(text).chars().take(40).collect();
                budget.note(format!("level \"{name}\" is not known: taken as error"));
            }
            None => budget.mistyped("level", "a name"),
        }
        Level::Error
    })
}

pub(super) fn platform(payload: &mut Object<'_>, room: &mut Room) -> String {
    take_readable(payload, "platform", MOST_PLATFORM_CHARS, room)
        .map_or_else(|| DEFAULT_PLATFORM.to_owned(), |platform| platform.to_lowercase())
}

pub(super) fn environment(payload: &mut Object<'_>, room: &mut Room) -> String {
    take_readable(payload, "environment", MOST_ENVIRONMENT_CHARS, room)
        .unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned())
}

pub(super) fn release(payload: &mut Object<'_>, room: &mut Room) -> Option<String> {
    take_readable(payload, "release", MOST_RELEASE_CHARS, room)
}

pub(super) fn dist(payload: &mut Object<'_>, room: &mut Room) -> Option<String> {
    take_readable(payload, "dist", MOST_DIST_CHARS, room)
}

/// The transaction, or what SDKs called it before there were transactions.
pub(super) fn transaction(payload: &mut Object<'_>, room: &mut Room) -> Option<String> {
    room.take(payload, "transaction", MOST_TRANSACTION_CHARS)
        .or_else(|| room.take(payload, "culprit", MOST_TRANSACTION_CHARS))
}

/// The payload's SDK, else the one that authenticated, written `name/version`.
pub(super) fn sdk(
    payload: &mut Object<'_>,
    authenticated: Option<&str>,
    room: &mut Room,
) -> Option<Sdk> {
    let mut claimed = lenient::take(payload, "sdk").and_then(lenient::object).unwrap_or_default();
    if let Some(name) = room.take(&mut claimed, "name", MOST_NAME_CHARS) {
        let version = room.take(&mut claimed, "version", MOST_NAME_CHARS);
        return Some(Sdk { name, version });
    }
    let authenticated = readable(authenticated?.into());
    let (name, version) = match authenticated.split_once('/') {
        Some((name, version)) => (name, Some(version)),
        None => (&*authenticated, None),
    };
    if name.is_empty() {
        return None;
    }
    let name = room.keep("name", name, MOST_NAME_CHARS)?;
    let version = version
        .filter(|version| !version.is_empty())
        .and_then(|version| room.keep("version", version, MOST_NAME_CHARS));
    Some(Sdk { name, version })
}

/// Takes a text that people read in one line and scripts compare.
fn take_readable(
    object: &mut Object<'_>,
    name: &str,
    most: usize,
    room: &mut Room,
) -> Option<String> {
    let text = readable(lenient::take_text(object, name)?);
    if text.is_empty() { None } else { room.keep(name, text, most) }
}

/// One line without control characters, and without white space around it.
pub(super) fn readable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.trim().len() == text.len() && !text.contains(char::is_control) {
        return text;
    }
    text.trim().replace(char::is_control, " ").trim().to_owned().into()
}
