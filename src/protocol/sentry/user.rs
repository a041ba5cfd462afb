//! Whom it happened to.

use serde_json::Map;

use super::super::budget::Budget;
use super::super::json::{Json, Object};
use super::super::lenient;
use crate::domain::event::User;

/// Characters of a user's id, names and addresses.
const MOST_NAME_CHARS: usize = 256;

/// Bytes for the user.
const USER_BYTES: usize = 8 * 1024;

/// What clients send that do not know their own address.
const AUTO_ADDRESS: &str = "{{auto}}";

pub(super) fn user(
    payload: &mut Object<'_>,
    remote_addr: Option<&str>,
    budget: &mut Budget,
) -> Option<User> {
    let claimed = lenient::take(payload, "user")
        .or_else(|| lenient::take(payload, "sentry.interfaces.User"))?;
    let mut raw = match claimed {
        Json::Object(raw) => raw,
        // Just the id.
        id @ (Json::Text(_) | Json::Number(_)) => Object::from_iter([("id".into(), id)]),
        Json::Null | Json::Bool(_) | Json::List(_) => {
            budget.mistyped("user", "an object");
            return None;
        }
    };
    let raw = &mut raw;
    if let Some(Json::Text(address)) = raw.get("ip_address")
        && address.trim() == AUTO_ADDRESS
    {
        raw.insert("ip_address", Json::Text(remote_addr.unwrap_or_default().into()));
    }
    let mut room = budget.open("user", USER_BYTES);
    let mut user = User {
        id: room.take(raw, "id", MOST_NAME_CHARS),
        username: room.take(raw, "username", MOST_NAME_CHARS),
        email: room.take(raw, "email", MOST_NAME_CHARS),
        ip_address: room.take(raw, "ip_address", MOST_NAME_CHARS),
        name: room.take(raw, "name", MOST_NAME_CHARS),
        data: Map::new(),
    };
    let mut data = lenient::take(raw, "data").and_then(lenient::object).unwrap_or_default();
    data.extend(std::mem::take(raw));
    // Fields that are known but empty say nothing.
    let data = data.into_sorted().into_iter().filter(|(_, value)| !value.is_null());
    user.data = room.object("data", data.collect());
    budget.close(room);
    Some(user).filter(|user| *user != User::default())
}
