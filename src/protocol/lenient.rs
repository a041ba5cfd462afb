//! Taking values out of JSON without insisting on their shape.
//!
//! All functions take ownership, so that texts are moved into the event and not copied. JSON null
//! is the same as absent everywhere.
//!
//! JSON is a [`Tree`] of either kind: as it was read ([`Json`]), or as it was made of another
//! protocol ([`Value`]).

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::json::{self, Json};
use crate::domain::time::Timestamp;

/// A JSON object that was made.
pub type Object = Map<String, Value>;

/// JSON in memory.
pub trait Tree: From<Self::Object> + Into<Value> {
    /// Its texts.
    type Text: From<String> + AsRef<str>;
    /// Its objects.
    type Object: Fields<Tree = Self>;

    /// What it is.
    fn shape(self) -> Shape<Self>;

    /// What it is, if it is a plain value.
    fn plain(&self) -> Plain<'_>;
}

/// A JSON object.
pub trait Fields: Sized {
    /// What its fields are.
    type Tree: Tree<Object = Self>;

    /// Takes the field `key` out, whatever it is.
    fn remove(&mut self, key: &str) -> Option<Self::Tree>;

    /// Whether there are no fields.
    fn is_empty(&self) -> bool;
}

/// What JSON is.
#[derive(Debug)]
pub enum Shape<T: Tree> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(T::Text),
    /// A list.
    List(Vec<T>),
    /// An object.
    Object(T::Object),
}

/// A plain value.
#[derive(Debug, Clone, Copy)]
pub enum Plain<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(&'a Number),
    /// A string.
    Text(&'a str),
    /// No plain value: a list or an object.
    None,
}

impl Tree for Value {
    type Text = String;
    type Object = Object;

    fn shape(self) -> Shape<Self> {
        match self {
            Self::Null => Shape::Null,
            Self::Bool(flag) => Shape::Bool(flag),
            Self::Number(number) => Shape::Number(number),
            Self::String(text) => Shape::Text(text),
            Self::Array(list) => Shape::List(list),
            Self::Object(object) => Shape::Object(object),
        }
    }

    fn plain(&self) -> Plain<'_> {
        match self {
            Self::Null => Plain::Null,
            Self::Bool(flag) => Plain::Bool(*flag),
            Self::Number(number) => Plain::Number(number),
            Self::String(text) => Plain::Text(text),
            Self::Array(_) | Self::Object(_) => Plain::None,
        }
    }
}

impl Fields for Object {
    type Tree = Value;

    fn remove(&mut self, key: &str) -> Option<Value> {
        Self::remove(self, key)
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

impl<'a> Tree for Json<'a> {
    type Text = Cow<'a, str>;
    type Object = json::Object<'a>;

    fn shape(self) -> Shape<Self> {
        match self {
            Self::Null => Shape::Null,
            Self::Bool(flag) => Shape::Bool(flag),
            Self::Number(number) => Shape::Number(number),
            Self::Text(text) => Shape::Text(text),
            Self::List(list) => Shape::List(list),
            Self::Object(object) => Shape::Object(object),
        }
    }

    fn plain(&self) -> Plain<'_> {
        match self {
            Self::Null => Plain::Null,
            Self::Bool(flag) => Plain::Bool(*flag),
            Self::Number(number) => Plain::Number(number),
            Self::Text(text) => Plain::Text(text),
            Self::List(_) | Self::Object(_) => Plain::None,
        }
    }
}

impl<'a> Fields for json::Object<'a> {
    type Tree = Json<'a>;

    fn remove(&mut self, key: &str) -> Option<Json<'a>> {
        Self::remove(self, key)
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

/// The text of a tree that an object is of.
type TextOf<O> = <<O as Fields>::Tree as Tree>::Text;

/// Whether a value is null.
pub fn is_null<T: Tree>(value: &T) -> bool {
    matches!(value.plain(), Plain::Null)
}

/// Takes the field `key` out of `object`; null counts as absent.
pub fn take<O: Fields>(object: &mut O, key: &str) -> Option<O::Tree> {
    object.remove(key).filter(|value| !is_null(value))
}

/// The text of a string, number or truth value.
#[must_use]
pub fn text<T: Tree>(value: T) -> Option<T::Text> {
    match value.shape() {
        Shape::Text(text) => Some(text),
        Shape::Number(number) => Some(number_text(&number).into()),
        Shape::Bool(flag) => Some(flag.to_string().into()),
        Shape::Null | Shape::List(_) | Shape::Object(_) => None,
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        // Integers beyond 64 bits arrive as floats; people want to see digits.
        Some(float) if number.is_f64() && float.abs() >= 1e16 && float.abs() < 1e40 => {
            float.to_string()
        }
        _ => number.to_string(),
    }
}

/// Like [`text`]; lists and objects become their JSON.
#[must_use]
pub fn text_or_json<T: Tree>(value: T) -> Option<T::Text> {
    match value.plain() {
        Plain::Null => None,
        Plain::None => {
            let value: Value = value.into();
            Some(value.to_string().into())
        }
        Plain::Bool(_) | Plain::Number(_) | Plain::Text(_) => text(value),
    }
}

/// Takes the text of the field `key`; an empty one counts as absent.
pub fn take_text<O: Fields>(object: &mut O, key: &str) -> Option<TextOf<O>> {
    take(object, key).and_then(text).filter(|text| !text.as_ref().is_empty())
}

/// Takes a truth value: also 0 and 1, and as text.
pub fn take_flag<O: Fields>(object: &mut O, key: &str) -> Option<bool> {
    flag(&take(object, key)?)
}

/// A truth value: also 0 and 1, and as text.
#[must_use]
pub fn flag<T: Tree>(value: &T) -> Option<bool> {
    match value.plain() {
        Plain::Bool(flag) => Some(flag),
        Plain::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Plain::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Plain::Null | Plain::None => None,
    }
}

/// Takes a whole number: also a float without a fraction, and as text.
pub fn take_integer<O: Fields>(object: &mut O, key: &str) -> Option<i64> {
    integer(&take(object, key)?)
}

/// A whole number: also a float without a fraction, and as text.
#[must_use]
pub fn integer<T: Tree>(value: &T) -> Option<i64> {
    match value.plain() {
        Plain::Number(number) => number.as_i64().or_else(|| {
            #[expect(clippy::cast_possible_truncation, reason = "within 53 bits, so exact")]
            number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 9e15)
                .map(|float| float as i64)
        }),
        Plain::Text(text) => text.trim().parse().ok(),
        Plain::Null | Plain::Bool(_) | Plain::None => None,
    }
}

/// A point in time: RFC 3339, or seconds since the epoch as a number or as text.
#[must_use]
pub fn time<T: Tree>(value: &T) -> Option<Timestamp> {
    match value.plain() {
        Plain::Number(number) => number.as_f64().and_then(Timestamp::from_seconds),
        Plain::Text(text) => Timestamp::parse(text)
            .or_else(|| text.trim().parse().ok().and_then(Timestamp::from_seconds)),
        Plain::Null | Plain::Bool(_) | Plain::None => None,
    }
}

/// An object; `None` for anything else.
#[must_use]
pub fn object<T: Tree>(value: T) -> Option<T::Object> {
    match value.shape() {
        Shape::Object(object) => Some(object),
        Shape::Null | Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) | Shape::List(_) => None,
    }
}

/// A list, written as a list, as an object that holds one under `key`, or as its only entry.
///
/// `None` for what is none of these. Entries that are null are dropped.
#[must_use]
pub fn list<T: Tree>(value: T, key: &str) -> Option<Vec<T>> {
    let mut entries = match value.shape() {
        Shape::List(entries) => entries,
        Shape::Object(mut object) => match object.remove(key).map(T::shape) {
            Some(Shape::List(entries)) => entries,
            Some(Shape::Null) => Vec::new(),
            Some(Shape::Object(entry)) => vec![entry.into()],
            Some(Shape::Bool(_) | Shape::Number(_) | Shape::Text(_)) => return None,
            None if object.is_empty() => Vec::new(),
            None => vec![object.into()],
        },
        Shape::Null => Vec::new(),
        Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) => return None,
    };
    entries.retain(|entry| !is_null(entry));
    Some(entries)
}

/// Names with values, written as an object, as a list of pairs, or as a list of
/// `{"key": …, "value": …}`; null is none.
///
/// `None` for what is none of these. Entries of other shapes are dropped.
#[must_use]
pub fn pairs(value: Json<'_>) -> Option<Vec<(Cow<'_, str>, Json<'_>)>> {
    match value {
        Json::Object(object) => Some(object.into_sorted()),
        Json::List(entries) => Some(entries.into_iter().filter_map(pair).collect()),
        Json::Null => Some(Vec::new()),
        Json::Bool(_) | Json::Number(_) | Json::Text(_) => None,
    }
}

fn pair(entry: Json<'_>) -> Option<(Cow<'_, str>, Json<'_>)> {
    match entry {
        Json::List(pair) => {
            let mut pair = pair.into_iter();
            Some((text(pair.next()?)?, pair.next()?))
        }
        Json::Object(mut object) => {
            let key = take_text(&mut object, "key").or_else(|| take_text(&mut object, "name"))?;
            Some((key, object.remove("value")?))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => None,
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
        let pairs = |value: Value| pairs(value.into());
        let expected = Some(vec![("a".into(), json!(1).into())]);
        assert_eq!(pairs(json!({"a": 1})), expected);
        assert_eq!(pairs(json!([["a", 1], ["b"], null])), expected);
        assert_eq!(pairs(json!([{"key": "a", "value": 1}, {"key": "b"}])), expected);
        assert_eq!(pairs(json!(7)), None);
    }
}
