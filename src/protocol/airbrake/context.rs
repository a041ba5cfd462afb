//! Where and to whom it happened.

use serde_json::{Value, json};

use super::super::lenient::{self, Object};
use super::put as put_value;

/// Words a notifier puts where a name is missing.
const NAMELESS: [&str; 3] = ["<anonymous>", "undefined", "null"];

/// Moves what a notice says of its surroundings into the payload, and returns `environment` when
/// there is no request it could belong to.
pub(super) fn put(
    payload: &mut Object,
    mut context: Object,
    environment: Option<Value>,
    language: Option<String>,
) -> Option<Value> {
    let context = &mut context;
    for (name, own) in
        [("level", "severity"), ("environment", "environment"), ("server_name", "hostname")]
    {
        put_value(payload, name, lenient::take(context, own));
    }
    put_release(payload, context);
    let address = lenient::take_text(context, "userAddr");
    put_user(payload, context, address);
    let method = lenient::take_text(context, "httpMethod");
    put_value(payload, "transaction", transaction(context, method.as_deref()));
    let environment = put_request(payload, context, method, environment);
    put_contexts(payload, context, language);
    environment
}

/// The version is the release; without one the commit is. The commit is also a tag, so that it can
/// be found.
fn put_release(payload: &mut Object, context: &mut Object) {
    let of_checkout = context
        .get("lastCheckout")
        .and_then(|checkout| checkout.get("revision"))
        .cloned()
        .and_then(lenient::text);
    let revision = lenient::take_text(context, "revision").or(of_checkout);
    let revision = revision.filter(|revision| !revision.trim().is_empty());
    let version = lenient::take_text(context, "version");
    if let Some(revision) = &revision {
        payload.insert("tags".to_owned(), json!({"revision": revision}));
    }
    put_value(payload, "release", version.filter(|text| !text.trim().is_empty()).or(revision));
}

/// Version 3 began with `userId`, `userName`, `userUsername` and `userEmail`.
fn put_user(payload: &mut Object, context: &mut Object, address: Option<String>) {
    let mut user = match lenient::take(context, "user") {
        Some(Value::Object(user)) => user,
        Some(id @ (Value::String(_) | Value::Number(_))) => {
            Object::from_iter([("id".to_owned(), id)])
        }
        Some(Value::Null | Value::Bool(_) | Value::Array(_)) | None => Object::new(),
    };
    for (name, own) in [
        ("id", "userId"),
        ("name", "userName"),
        ("username", "userUsername"),
        ("email", "userEmail"),
    ] {
        if let Some(value) = lenient::take(context, own) {
            user.entry(name).or_insert(value);
        }
    }
    if let Some(address) = address {
        user.entry("ip_address").or_insert(address.into());
    }
    if !user.is_empty() {
        payload.insert("user".to_owned(), Value::Object(user));
    }
}

/// The route, else the component and its action.
fn transaction(context: &Object, method: Option<&str>) -> Option<String> {
    let text = |name: &str| {
        let text = context.get(name).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty() && !NAMELESS.contains(text)).map(str::to_owned)
    };
    if let Some(route) = text("route") {
        return Some(match method {
            Some(method) => format!("{method} {route}"),
            None => route,
        });
    }
    match (text("component"), text("action")) {
        (Some(component), Some(action)) => Some(format!("{component}#{action}")),
        (component, action) => component.or(action),
    }
}

fn put_request(
    payload: &mut Object,
    context: &mut Object,
    method: Option<String>,
    environment: Option<Value>,
) -> Option<Value> {
    let mut headers = match lenient::take(context, "headers") {
        Some(Value::Object(headers)) => headers,
        _ => Object::new(),
    };
    for (name, own) in [("User-Agent", "userAgent"), ("Referer", "referer")] {
        if let Some(value) = lenient::take(context, own) {
            headers.entry(name).or_insert(value);
        }
    }
    let mut request = Object::new();
    put_value(&mut request, "url", lenient::take(context, "url"));
    put_value(&mut request, "method", method);
    if !headers.is_empty() {
        request.insert("headers".to_owned(), Value::Object(headers));
    }
    if request.is_empty() {
        return environment;
    }
    put_value(&mut request, "env", environment);
    payload.insert("request".to_owned(), Value::Object(request));
    None
}

fn put_contexts(payload: &mut Object, context: &mut Object, language: Option<String>) {
    let mut contexts = Object::new();
    if let Some(system) = lenient::take_text(context, "os") {
        contexts.insert("os".to_owned(), json!({"raw_description": system}));
    }
    if let Some(language) = language {
        let (name, version) = match language.split_once(['/', ' ']) {
            Some((name, version)) => (name, Some(version)),
            None => (language.as_str(), None),
        };
        contexts.insert("runtime".to_owned(), json!({"name": name, "version": version}));
    }
    let mut rest = std::mem::take(context);
    rest.retain(|_, value| !value.is_null());
    if !rest.is_empty() {
        contexts.insert("airbrake".to_owned(), Value::Object(rest));
    }
    payload.insert("contexts".to_owned(), Value::Object(contexts));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(context: Value, environment: Option<Value>) -> (Value, Option<Value>) {
        let mut payload = Object::new();
        let context = lenient::object(context).expect("an object");
        let rest = put(&mut payload, context, environment, Some("Ruby/3.3.0".to_owned()));
        (Value::Object(payload), rest)
    }

    #[test]
    fn the_release_is_the_version_else_the_commit() {
        for (context, release, revision) in [
            (json!({"version": "1.2", "revision": "abc"}), json!("1.2"), json!("abc")),
            (json!({"version": "", "revision": "abc"}), json!("abc"), json!("abc")),
            (json!({"lastCheckout": {"revision": "def"}}), json!("def"), json!("def")),
            (json!({"version": "1.2"}), json!("1.2"), Value::Null),
            (json!({}), Value::Null, Value::Null),
        ] {
            let (mut payload, _) = read(context.clone(), None);
            assert_eq!(payload["release"].take(), release, "{context}");
            assert_eq!(payload["tags"]["revision"].take(), revision, "{context}");
        }
    }

    #[test]
    fn the_transaction_is_the_route_else_the_component_and_action() {
        for (context, expected) in [
            (json!({"route": "/cart/:id", "httpMethod": "POST"}), json!("POST /cart/:id")),
            (json!({"route": "/cart/:id", "component": "express"}), json!("/cart/:id")),
            (json!({"component": "carts", "action": "show"}), json!("carts#show")),
            (json!({"component": "express", "action": "<anonymous>"}), json!("express")),
            (json!({"component": "  ", "action": 7}), Value::Null),
        ] {
            let (mut payload, _) = read(context.clone(), None);
            assert_eq!(payload["transaction"].take(), expected, "{context}");
        }
    }

    #[test]
    fn the_environment_belongs_to_the_request_if_there_is_one() {
        let variables = json!({"HTTP_HOST": "shop.example"});
        let context = json!({"url": "http://shop.example/", "userAgent": "curl"});
        let (payload, rest) = read(context, Some(variables.clone()));
        assert_eq!((&payload["request"]["env"], rest), (&variables, None));
        assert_eq!(payload["request"]["headers"], json!({"User-Agent": "curl"}));
        let (payload, rest) = read(json!({"severity": "critical"}), Some(variables.clone()));
        assert_eq!((payload.get("request"), rest), (None, Some(variables)));
        assert_eq!(payload["level"], "critical");
    }

    #[test]
    fn users_of_either_generation_are_read() {
        let (payload, _) = read(json!({"userId": 7, "userEmail": "a@b.example"}), None);
        assert_eq!(payload["user"], json!({"id": 7, "email": "a@b.example"}));
        let context = json!({"user": {"id": 8}, "userId": 7, "userAddr": "198.51.100.9"});
        let (payload, _) = read(context, None);
        assert_eq!(payload["user"], json!({"id": 8, "ip_address": "198.51.100.9"}));
    }

    #[test]
    fn what_has_no_place_elsewhere_stays_in_the_context() {
        let context = json!({"os": "Linux", "repository": "shop", "versions": {"rails": "8"}});
        let (payload, _) = read(context, None);
        assert_eq!(
            payload["contexts"],
            json!({
                "os": {"raw_description": "Linux"},
                "runtime": {"name": "Ruby", "version": "3.3.0"},
                "airbrake": {"repository": "shop", "versions": {"rails": "8"}},
            })
        );
    }
}
