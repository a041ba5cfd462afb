//! JSON in memory that borrows its texts from where it was read.
//!
//! Of most reports nearly all texts are kept or dropped as they are, so none is copied before that
//! is decided. Objects are lists: those of reports are small, and most are asked for a few names.
//! What most reports have and few are asked for ([`is_detail`]) is read when it is taken.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// Any JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// A JSON object. Of fields with the same name the last counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object<'a> {
    /// In the order sent.
    fields: Vec<(Cow<'a, str>, Field<'a>)>,
    /// One bit for each name: a name without its bit is not there.
    names: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Field<'a> {
    /// It was taken out.
    Taken,
    Here(Json<'a>),
    /// The text of JSON that is to be read.
    Unread(Cow<'a, str>),
}

/// Whether a field of this name is a detail of an event: most are never looked at.
fn is_detail(name: &str) -> bool {
    matches!(
        name,
        "breadcrumbs"
            | "contexts"
            | "debug_meta"
            | "extra"
            | "modules"
            | "post_context"
            | "pre_context"
            | "request"
            | "vars"
    )
}

impl<'a> Field<'a> {
    /// What it is; `None` when it was taken out.
    fn into_json(self) -> Option<Json<'a>> {
        match self {
            Self::Taken => None,
            Self::Here(json) => Some(json),
            Self::Unread(Cow::Borrowed(text)) => Some(super::parse_detail(text)),
            Self::Unread(Cow::Owned(text)) => Some(super::parse_detail(&text).into_owned()),
        }
    }

    fn into_owned(self) -> Field<'static> {
        match self {
            Self::Taken => Field::Taken,
            Self::Here(json) => Field::Here(json.into_owned()),
            Self::Unread(text) => Field::Unread(Cow::Owned(text.into_owned())),
        }
    }
}

/// The bit of a name. Most names that are asked for are not there, and have a bit of their own.
fn bit(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    let ends = ends.map_or(0, |(first, last)| usize::from(*first) ^ usize::from(*last) << 2);
    1 << ((name.len().wrapping_mul(5) ^ ends) & 63)
}

impl Json<'_> {
    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The field `name`, if it is an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(name),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The same with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(flag),
            Self::Number(number) => Json::Number(number),
            Self::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Self::List(list) => Json::List(list.into_iter().map(Json::into_owned).collect()),
            Self::Object(object) => {
                let Object { fields, names } = object;
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()));
                Json::Object(Object { fields: fields.collect(), names })
            }
        }
    }
}

impl<'a> Object<'a> {
    /// The field `name`. Details can only be taken: of those there is none to look at.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        if self.names & bit(name) == 0 {
            return None;
        }
        match self.fields.iter().rev().find(|(own, _)| own == name)? {
            (_, Field::Here(value)) => Some(value),
            (_, Field::Taken | Field::Unread(_)) => None,
        }
    }

    /// Takes the field `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Json<'a>> {
        if self.names & bit(name) == 0 {
            return None;
        }
        let mut fields = self.fields.iter_mut().rev().filter(|(own, _)| own == name);
        let (_, last) = fields.next()?;
        let last = std::mem::replace(last, Field::Taken);
        fields.for_each(|(_, value)| *value = Field::Taken);
        last.into_json()
    }

    /// Sets the field `name`.
    pub fn insert(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Json<'a>>) {
        let name = name.into();
        self.names |= bit(&name);
        self.fields.push((name, Field::Here(value.into())));
    }

    /// Sets all fields of another object.
    pub fn extend(&mut self, other: Self) {
        self.names |= other.names;
        self.fields.extend(other.fields.into_iter().filter(|(_, value)| *value != Field::Taken));
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.iter().all(|(_, value)| *value == Field::Taken)
    }

    /// The fields by their names, each name once.
    #[must_use]
    pub fn into_sorted(self) -> Vec<(Cow<'a, str>, Json<'a>)> {
        let fields = self.fields.into_iter();
        let mut fields: Vec<_> =
            fields.filter_map(|(name, value)| Some((name, value.into_json()?))).collect();
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        fields.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        fields
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Object<'a> {
    fn from_iter<T: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(fields: T) -> Self {
        let mut object = Self::default();
        for (name, value) in fields {
            object.insert(name, value);
        }
        object
    }
}

impl<'a> From<Object<'a>> for Json<'a> {
    fn from(object: Object<'a>) -> Self {
        Self::Object(object)
    }
}

impl From<Map<String, Value>> for Object<'_> {
    fn from(object: Map<String, Value>) -> Self {
        object.into_iter().map(|(name, value)| (Cow::Owned(name), Json::from(value))).collect()
    }
}

impl From<Object<'_>> for Map<String, Value> {
    fn from(object: Object<'_>) -> Self {
        let fields = object.into_sorted().into_iter();
        fields.map(|(name, value)| (name.into_owned(), Value::from(value))).collect()
    }
}

impl From<Value> for Json<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(list) => Self::List(list.into_iter().map(Self::from).collect()),
            Value::Object(object) => Self::Object(object.into()),
        }
    }
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => Self::Number(number),
            Json::Text(text) => Self::String(text.into_owned()),
            Json::List(list) => Self::Array(list.into_iter().map(Self::from).collect()),
            Json::Object(object) => Self::Object(object.into()),
        }
    }
}

impl<'a> Json<'a> {
    /// Reads JSON. With `defers` its details are read when they are taken: theirs are not, so that
    /// the parser's limit of levels holds for all of it.
    ///
    /// # Errors
    /// The parser's.
    pub(super) fn read(text: &'a str, defers: bool) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let json = JsonVisitor { defers }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(json)
    }
}

#[derive(Clone, Copy)]
struct JsonVisitor {
    defers: bool,
}

impl<'de> DeserializeSeed<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element_seed(self)? {
            list.push(entry);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut object = Object::default();
        while let Some(name) = entries.next_key_seed(Name)? {
            if self.defers && is_detail(&name) {
                let text = entries.next_value::<&RawValue>()?.get();
                object.names |= bit(&name);
                object.fields.push((name, Field::Unread(Cow::Borrowed(text))));
            } else {
                object.insert(name, entries.next_value_seed(self)?);
            }
        }
        Ok(Json::Object(object))
    }
}

/// Reads the name of a field.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(text: &str) -> Object<'_> {
        let Json::Object(object) = Json::read(text, true).expect("JSON") else {
            panic!("{text} is no object")
        };
        object
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let object = object(r#"{"a": "plain", "b": "two\nlines"}"#);
        assert!(matches!(object.get("a"), Some(Json::Text(Cow::Borrowed("plain")))));
        assert!(
            matches!(object.get("b"), Some(Json::Text(Cow::Owned(text))) if text == "two\nlines")
        );
    }

    #[test]
    fn the_last_of_the_same_names_counts() {
        let text = r#"{"b": 1, "a": 2, "b": 3}"#;
        assert_eq!(Value::from(Json::Object(object(text))), json!({"a": 2, "b": 3}));
        let mut object = object(text);
        assert_eq!(object.get("b"), Some(&Json::from(json!(3))));
        assert_eq!(object.remove("b"), Some(json!(3).into()));
        assert_eq!(object.get("b"), None);
        assert_eq!(object.remove("b"), None);
        assert!(!object.is_empty());
        object.remove("a");
        assert!(object.is_empty());
        object.insert("c", json!(null));
        assert_eq!(object.into_sorted(), [("c".into(), Json::Null)]);
    }

    #[test]
    fn details_are_read_when_they_are_taken() {
        let text = r#"{"extra": {"vars": {"a": [1]}}, "b": 2, "extra": {"vars": {"a": [3]}}}"#;
        let mut object = object(text);
        assert!(!object.is_empty());
        assert_eq!(object.get("extra"), None);
        assert_eq!(
            Value::from(Json::Object(object.clone())),
            json!({"b": 2, "extra": {"vars": {"a": [3]}}})
        );
        let owned = Json::Object(object.clone()).into_owned();
        assert_eq!(Value::from(owned), json!({"b": 2, "extra": {"vars": {"a": [3]}}}));
        assert_eq!(object.remove("extra").map(Value::from), Some(json!({"vars": {"a": [3]}})));
        assert_eq!(object.remove("extra"), None);
    }

    #[test]
    fn it_becomes_a_value_and_back() {
        let value = json!({"a": [1, -2, 1.5, null, true, "x"], "b": {"c": {}}});
        assert_eq!(Value::from(Json::from(value.clone()).into_owned()), value);
    }
}
