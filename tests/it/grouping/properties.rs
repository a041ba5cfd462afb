//! What never changes a fingerprint, and what never breaks it.

use airlock::domain::fingerprint::{Grouping, fingerprint, study};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::labelled::{Labelled, lines, understood};

fn hash_of(event: &Value) -> String {
    fingerprint(&understood(event), &Grouping::default()).hash.to_string()
}

/// The same error at another time, by another user, on another host, in another release.
fn elsewhere(event: &Value, seed: u64) -> Value {
    let mut other = event.clone();
    let fields = json!({
        "event_id": format!("{seed:032x}"),
        "timestamp": seed % 1_000_000_000,
        "user": {"id": seed, "email": format!("u{seed}@x.example")},
        "server_name": format!("web-{seed}"),
        "release": format!("shop@{seed}"),
        "dist": format!("{seed}"),
        "environment": "staging",
        "level": "fatal",
        "tags": {"seed": format!("{seed}")},
        "extra": {"seed": seed},
        "unheard_of": {"seed": [seed]},
    });
    let other_fields = other.as_object_mut().expect("an event");
    other_fields.extend(fields.as_object().expect("fields").clone());
    let is_empty = event.get("exception").is_none() && event.get("logentry").is_none();
    if !is_empty {
        other_fields.insert("transaction".to_owned(), format!("GET /cart/{seed}").into());
        other_fields.insert("logger".to_owned(), format!("logger-{seed}").into());
    }
    let exceptions = other["exception"]["values"].as_array_mut();
    for exception in exceptions.into_iter().flatten() {
        for frame in exception["stacktrace"]["frames"].as_array_mut().into_iter().flatten() {
            let line = frame["lineno"].as_u64().unwrap_or(100);
            let frame = frame.as_object_mut().expect("a frame");
            // Source lines of minified programs are told from others by their place.
            if frame.contains_key("lineno") && !frame.contains_key("colno") {
                frame.insert("lineno".to_owned(), (line + 60 + seed % 40).into());
            }
            frame.insert("vars".to_owned(), json!({ "seed": seed }));
            frame.insert("unheard_of".to_owned(), json!(seed));
        }
    }
    backwards(other)
}

/// The same JSON with the keys of every object in the opposite order.
fn backwards(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<(String, Value)> = object.into_iter().collect();
            pairs.reverse();
            let pairs = pairs.into_iter().map(|(key, value)| (key, backwards(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(backwards).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

#[test]
fn only_what_is_the_error_is_in_its_fingerprint() {
    let events: Vec<Labelled> = lines("labelled.jsonl");
    let chosen = |event: &Value| event.get("fingerprint").is_some();
    for (seed, labelled) in (1..).zip(events.iter().filter(|one| !chosen(&one.event))) {
        let other = elsewhere(&labelled.event, seed * 7_919);
        assert_eq!(hash_of(&labelled.event), hash_of(&other), "{}", labelled.index);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z<>(){}$#:/.\\[\\]_é0-9 -]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let key = prop_oneof![
            Just("values".to_owned()),
            Just("frames".to_owned()),
            Just("stacktrace".to_owned()),
            Just("type".to_owned()),
            Just("value".to_owned()),
            Just("function".to_owned()),
            Just("module".to_owned()),
            Just("filename".to_owned()),
            Just("mechanism".to_owned()),
            Just("context_line".to_owned()),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_event_breaks_it(
        platform in "python|javascript|java|ruby|php|go|csharp|rust|native|cocoa|x",
        exception in any_json(),
        message in any_json(),
        threads in any_json(),
    ) {
        let event = json!({
            "platform": platform, "exception": exception, "logentry": message, "threads": threads,
        });
        let event = understood(&event);
        let grouping = Grouping::default();
        let (explanation, _) = study(&event, &grouping);
        let fingerprint = fingerprint(&event, &grouping);
        prop_assert_eq!(&explanation["items"], &json!(fingerprint.items));
    }

    #[test]
    fn values_of_one_kind_are_one_message(
        numbers in prop::collection::vec(1_000u32..4_000_000_000, 2),
        ids in prop::collection::vec(any::<u128>(), 2),
    ) {
        let message = |number: &u32, id: &u128| {
            let id = uuid::Uuid::from_u128(*id);
            let text = format!("order {number} of {id} at 10.0.0.{} took {number} ms", number % 250);
            hash_of(&json!({"platform": "python", "logentry": {"formatted": text}}))
        };
        prop_assert_eq!(message(&numbers[0], &ids[0]), message(&numbers[1], &ids[1]));
    }
}
