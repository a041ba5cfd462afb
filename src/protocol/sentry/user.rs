//! Whom it happened to.

use serde_json::Value;

use super::super::budget::Budget;
use super::super::lenient::{self, Object};
use crate::domain::event::User;

/// Characters of a user's id, names and addresses.
const MOST_NAME_CHARS: usize = 256;

/// Bytes for the user.
const USER_BYTES: usize = 8 * 1024;

/// What clients send that do not know their own address.
const AUTO_ADDRESS: &str = "{{auto}}";

pub(super) fn user(
    payload: &mut Object,
    remote_addr: Option<&str>,
    budget: &mut Budget,
) -> Option<User> {
    let claimed = lenient::take(payload, "user")
        .or_else(|| lenient::take(payload, "sentry.interfaces.User"))?;
    let mut raw = match claimed {
        Value::Object(raw) => raw,
        // Just the id.
        id @ (Value::String(_) | Value::Number(_)) => Object::from_iter([("id".to_owned(), id)]),
        Value::Null | Value::Bool(_) | Value::Array(_) => {
            budget.mistyped("user", "an object");
            return None;
        }
    };
    let raw = &mut raw;
    if let Some(Value::String(address)) = raw.get_mut("ip_address")
        && address.trim() == AUTO_ADDRESS
    {
        remote_addr.unwrap_or_default().clone_into(address);
    }
    let mut room = budget.open("user", USER_BYTES);
    let mut user = User {
        id: room.take(raw, "id", MOST_NAME_CHARS),
        username: room.take(raw, "username", MOST_NAME_CHARS),
        email: room.take(raw, "email", MOST_NAME_CHARS),
        ip_address: room.take(raw, "ip_address", MOST_NAME_CHARS),
        name: room.take(raw, "name", MOST_NAME_CHARS),
        data: Object::new(),
    };
    let mut data = lenient::take(raw, "data").and_then(lenient::object).unwrap_or_default();
    data.extend(std::mem::take(raw));
    // Fields that are known but empty say nothing.
    data.retain(|_, value| !value.is_null());
    user.data = room.object("data", data);
    budget.close(room);
    Some(user).filter(|user| *user != User::default())
}
