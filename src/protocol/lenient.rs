//! Taking values out of JSON without insisting on their shape.
//!
//! All functions take ownership, so that texts are moved into the event and not copied. JSON null
//! is the same as absent everywhere.

use serde_json::{Map, Value};

use crate::domain::time::Timestamp;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Takes the field `key` out of `object`; null counts as absent.
pub fn take(object: &mut Object, key: &str) -> Option<Value> {
    object.remove(key).filter(|value| !value.is_null())
}

/// The text of a string, number or truth value.
#[must_use]
pub fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => match number.as_f64() {
            // Integers beyond 64 bits arrive as floats; people want to see digits.
            Some(float) if number.is_f64() && float.abs() >= 1e16 && float.abs() < 1e40 => {
                Some(float.to_string())
            }
            _ => Some(number.to_string()),
        },
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Like [`text`]; lists and objects become their JSON.
#[must_use]
pub fn text_or_json(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        value @ (Value::Array(_) | Value::Object(_)) => Some(value.to_string()),
        value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => text(value),
    }
}

/// Takes the text of the field `key`; an empty one counts as absent.
pub fn take_text(object: &mut Object, key: &str) -> Option<String> {
    take(object, key).and_then(text).filter(|text| !text.is_empty())
}

/// Takes a truth value: also 0 and 1, and as text.
pub fn take_flag(object: &mut Object, key: &str) -> Option<bool> {
    flag(&take(object, key)?)
}

/// A truth value: also 0 and 1, and as text.
#[must_use]
pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Takes a whole number: also a float without a fraction, and as text.
pub fn take_integer(object: &mut Object, key: &str) -> Option<i64> {
    integer(&take(object, key)?)
}

/// A whole number: also a float without a fraction, and as text.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            #[expect(clippy::cast_possible_truncation, reason = "within 53 bits, so exact")]
            number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 9e15)
                .map(|float| float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A point in time: RFC 3339, or seconds since the epoch as a number or as text.
#[must_use]
pub fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => number.as_f64().and_then(Timestamp::from_seconds),
        Value::String(text) => Timestamp::parse(text)
            .or_else(|| text.trim().parse().ok().and_then(Timestamp::from_seconds)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An object; `None` for anything else.
#[must_use]
pub fn object(value: Value) -> Option<Object> {
    match value {
        Value::Object(object) => Some(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

/// A list, written as a list, as an object that holds one under `key`, or as its only entry.
///
/// `None` for what is none of these. Entries that are null are dropped.
#[must_use]
pub fn list(value: Value, key: &str) -> Option<Vec<Value>> {
    let mut entries = match value {
        Value::Array(entries) => entries,
        Value::Object(mut object) => match object.remove(key) {
            Some(Value::Array(entries)) => entries,
            Some(Value::Null) => Vec::new(),
            Some(entry @ Value::Object(_)) => vec![entry],
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => return None,
            None if object.is_empty() => Vec::new(),
            None => vec![Value::Object(object)],
        },
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    entries.retain(|entry| !entry.is_null());
    Some(entries)
}

/// Names with values, written as an object, as a list of pairs, or as a list of
/// `{"key": …, "value": …}`; null is none.
///
/// `None` for what is none of these. Entries of other shapes are dropped.
#[must_use]
pub fn pairs(value: Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Object(object) => Some(object.into_iter().collect()),
        Value::Array(entries) => Some(entries.into_iter().filter_map(pair).collect()),
        Value::Null => Some(Vec::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn pair(entry: Value) -> Option<(String, Value)> {
    match entry {
        Value::Array(pair) => {
            let mut pair = pair.into_iter();
            Some((text(pair.next()?)?, pair.next()?))
        }
        Value::Object(mut object) => {
            let key = take_text(&mut object, "key").or_else(|| take_text(&mut object, "name"))?;
            Some((key, object.remove("value")?))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_values_have_a_text() {
        let cases = [
            (json!("a"), Some("a")),
            (json!(42), Some("42")),
            (json!(1.5), Some("1.5")),
            (json!(true), Some("true")),
            (json!(1_180_591_620_717_411_303_424_f64), Some("1180591620717411300000")),
            (json!(1e300), Some("1e+300")),
            (json!(null), None),
            (json!([1]), None),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value).as_deref(), expected);
        }
        assert_eq!(text_or_json(json!({"a": [1]})).as_deref(), Some(r#"{"a":[1]}"#));
    }

    #[test]
    fn truth_and_numbers_come_in_many_types() {
        for yes in [json!(true), json!(1), json!("True")] {
            assert_eq!(flag(&yes), Some(true));
        }
        assert_eq!(flag(&json!("maybe")), None);
        for seven in [json!(7), json!(7.0), json!(" 7 ")] {
            assert_eq!(integer(&seven), Some(7));
        }
        for none in [json!(7.5), json!("7x"), json!([7]), json!(1e300)] {
            assert_eq!(integer(&none), None, "{none}");
        }
    }

    #[test]
    fn times_are_text_or_seconds() {
        let expected = Timestamp::from_micros(1_262_304_000_500_000);
        for value in
            [json!("2010-01-01T00:00:00.5Z"), json!(1_262_304_000.5), json!("1262304000.5")]
        {
            assert_eq!(time(&value), Some(expected), "{value}");
        }
        assert_eq!(time(&json!("soon")), None);
        assert_eq!(time(&json!("NaN")), None);
    }

    #[test]
    fn lists_are_written_in_three_ways() {
        let one = vec![json!({"a": 1})];
        assert_eq!(list(json!({"values": [{"a": 1}, null]}), "values"), Some(one.clone()));
        assert_eq!(list(json!([{"a": 1}]), "values"), Some(one.clone()));
        assert_eq!(list(json!({"a": 1}), "values"), Some(one.clone()));
        assert_eq!(list(json!({"values": {"a": 1}}), "values"), Some(one));
        assert_eq!(list(json!({"values": null}), "values"), Some(vec![]));
        assert_eq!(list(json!({}), "values"), Some(vec![]));
        assert_eq!(list(json!("boom"), "values"), None);
    }

    #[test]
    fn pairs_are_written_in_three_ways() {
        let expected = Some(vec![("a".to_owned(), json!(1))]);
        assert_eq!(pairs(json!({"a": 1})), expected);
        assert_eq!(pairs(json!([["a", 1], ["b"], null])), expected);
        assert_eq!(pairs(json!([{"key": "a", "value": 1}, {"key": "b"}])), expected);
        assert_eq!(pairs(json!(7)), None);
    }
}
