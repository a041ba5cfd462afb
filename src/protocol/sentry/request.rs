//! The HTTP request that was being served.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use super::super::budget::{Budget, Room};
use super::super::json::{Json, Object};
use super::super::lenient;
use crate::domain::event::Request;

/// Characters of an address or a query.
const MOST_URL_CHARS: usize = 4096;

/// Characters of a method.
const MOST_METHOD_CHARS: usize = 32;

/// Headers of one request.
const MOST_HEADERS: usize = 100;

/// Characters of a header's name.
const MOST_HEADER_NAME_CHARS: usize = 128;

/// Characters of a header's value.
const MOST_HEADER_CHARS: usize = 2048;

/// Bytes for the request.
const REQUEST_BYTES: usize = 32 * 1024;

pub(super) fn request(payload: &mut Object<'_>, budget: &mut Budget) -> Option<Request> {
    let claimed = lenient::take(payload, "request")
        .or_else(|| lenient::take(payload, "sentry.interfaces.Http"))?;
    let Json::Object(mut raw) = claimed else {
        budget.mistyped("request", "an object");
        return None;
    };
    let raw = &mut raw;
    let mut room = budget.open("request", REQUEST_BYTES);

    let (url, query_of_url) = split_url(lenient::take_text(raw, "url"));
    let query = lenient::take(raw, "query_string").and_then(query_text).or(query_of_url);
    let request = Request {
        url: url.and_then(|url| room.keep("url", url, MOST_URL_CHARS)),
        method: room.take(raw, "method", MOST_METHOD_CHARS),
        query_string: query.and_then(|query| room.keep("query_string", query, MOST_URL_CHARS)),
        headers: headers(raw, &mut room),
        data: free(raw, "data", &mut room),
        cookies: cookies(raw, &mut room),
        env: room.take_object(raw, "env"),
    };
    budget.close(room);
    Some(request).filter(|request| *request != Request::default())
}

/// Parts an address into itself without query, and the query. A `?` behind a `#` is no query.
fn split_url(url: Option<Cow<'_, str>>) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    let Some(url) = url else { return (None, None) };
    let (address, fragment) = match url.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (&*url, None),
    };
    let Some((address, query)) = address.split_once('?') else { return (Some(url), None) };
    let address = match fragment {
        Some(fragment) => format!("{address}#{fragment}"),
        None => address.to_owned(),
    };
    let query = Some(query.to_owned().into()).filter(|query: &Cow<'_, str>| !query.is_empty());
    (Some(address.into()), query)
}

/// The query as text, from text or from names with values.
fn query_text(value: Json<'_>) -> Option<Cow<'_, str>> {
    let text = if let Json::Text(text) = value {
        match text.strip_prefix('?') {
            Some(query) => query.to_owned().into(),
            None => text,
        }
    } else {
        let pairs = lenient::pairs(value)?;
        let parts: Vec<String> =
            pairs.into_iter().flat_map(|(key, value)| query_parts(&key, value)).collect();
        parts.join("&").into()
    };
    Some(text).filter(|text| !text.is_empty())
}

fn query_parts(key: &str, value: Json<'_>) -> Vec<String> {
    let values = if let Json::List(values) = value { values } else { vec![value] };
    values
        .into_iter()
        .map(|value| {
            let value = lenient::text_or_json(value).unwrap_or_default();
            format!("{}={}", query_word(key), query_word(&value))
        })
        .collect()
}

/// Escapes what would change the meaning of the query, and leaves the rest readable.
fn query_word(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for character in word.chars() {
        match character {
            '&' | '=' | '%' | '+' | '#' | ' ' | '\0'..='\u{1f}' => {
                write!(out, "%{:02X}", u32::from(character)).expect("a String takes any text");
            }
            _ => out.push(character),
        }
    }
    out
}

fn headers(raw: &mut Object<'_>, room: &mut Room) -> Vec<(String, String)> {
    let pairs = lenient::take(raw, "headers").and_then(lenient::pairs).unwrap_or_default();
    if pairs.len() > MOST_HEADERS {
        room.count_cut();
    }
    pairs
        .into_iter()
        .take(MOST_HEADERS)
        .filter_map(|(name, value)| Some((name, header_value(value)?)))
        .map_while(|(name, value)| {
            let name = room.keep("", name, MOST_HEADER_NAME_CHARS)?;
            let value = room.keep("", value, MOST_HEADER_CHARS)?;
            Some((name, value))
        })
        .collect()
}

/// Some SDKs send a list of values for each name.
fn header_value(value: Json<'_>) -> Option<Cow<'_, str>> {
    if let Json::List(values) = value {
        let values: Vec<Cow<'_, str>> = values.into_iter().filter_map(lenient::text).collect();
        Some(values.join(", ").into())
    } else {
        lenient::text(value)
    }
}

/// Text stays text; pairs become an object.
fn cookies(raw: &mut Object<'_>, room: &mut Room) -> Value {
    match lenient::take(raw, "cookies") {
        Some(pairs @ Json::List(_)) => {
            let pairs = lenient::pairs(pairs).unwrap_or_default().into_iter().collect();
            Value::Object(room.object("cookies", pairs))
        }
        Some(value) => room.json("cookies", value),
        None => Value::Null,
    }
}

fn free(raw: &mut Object<'_>, name: &str, room: &mut Room) -> Value {
    lenient::take(raw, name).map_or(Value::Null, |value| room.json(name, value))
}
