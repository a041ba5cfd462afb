//! A notice of version 2 in the words of version 3.

use serde_json::{Value, json};

use super::super::lenient::Object;
use super::tree::Element;

/// Rewrites a notice.
pub(super) fn to_version_3(notice: &Element) -> Object {
    let nothing = Element::default();
    let part = |name: &str| notice.child(name).unwrap_or(&nothing);
    let (request, server, user) =
        (part("request"), part("server-environment"), part("current-user"));
    let variables = |name: &str| request.child(name).map(variables);
    let cgi = variables("cgi-data");
    let of_cgi = |name: &str| cgi.as_ref()?.get(name)?.as_str().map(str::to_owned);

    let mut context = Object::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            context.insert(name.to_owned(), value);
        }
    };
    let notifier = part("notifier");
    put(
        "notifier",
        Some(json!({"name": notifier.text_of("name"), "version": notifier.text_of("version")})),
    );
    for (name, value) in [
        ("environment", server.text_of("environment-name")),
        ("rootDirectory", server.text_of("project-root")),
        ("version", server.text_of("app-version")),
        ("hostname", server.text_of("hostname")),
        ("url", request.text_of("url")),
        ("component", request.text_of("component")),
        ("action", request.text_of("action")),
        ("framework", notice.text_of("framework")),
    ] {
        put(name, value.map(Value::from));
    }
    put("httpMethod", of_cgi("REQUEST_METHOD").map(Value::from));
    put("userAgent", of_cgi("HTTP_USER_AGENT").map(Value::from));
    let user: Object = user
        .children
        .iter()
        .filter(|field| !field.text.trim().is_empty())
        .map(|field| (field.name.clone(), field.text.trim().into()))
        .collect();
    put("user", Some(Value::Object(user)).filter(|user| *user != json!({})));

    Object::from_iter([
        ("errors".to_owned(), json!([error(part("error"))])),
        ("context".to_owned(), Value::Object(context)),
        ("params".to_owned(), json!(variables("params"))),
        ("session".to_owned(), json!(variables("session"))),
        ("environment".to_owned(), json!(cgi)),
    ])
}

fn error(error: &Element) -> Value {
    let (class, message) = (error.text_of("class"), error.text_of("message"));
    let lines = error.child("backtrace").map_or(&[][..], |backtrace| &backtrace.children);
    let lines: Vec<Value> = lines.iter().map(|line| json!(line.attributes)).collect();
    json!({"type": class, "message": message, "backtrace": lines})
}

/// `<var key="…">` within each other: those with further ones are objects, the others text.
fn variables(element: &Element) -> Object {
    let variable = |child: &Element| {
        let name = child.attributes.get("key").unwrap_or(&child.name).clone();
        let value = if child.children.is_empty() {
            Value::from(child.text.as_str())
        } else {
            Value::Object(variables(child))
        };
        (name, value)
    };
    element.children.iter().map(variable).collect()
}
