//! Violations of a content security policy.

use serde_json::{Value, json};

use super::super::lenient::{self, Object};
use super::{Finding, host_of, tags, without_query};

/// What a directive is about, where its own name says it badly.
const NAMES: &[(&str, &str)] = &[("img", "image"), ("form-action", "form")];

/// What stands for the page itself instead of an address.
const OWN: &[&str] = &["", "self", "'self'", "inline", "eval", "wasm-eval"];

/// Reads a report, in the words of either generation: `blocked-uri` or `blockedURL`.
pub(super) fn find(mut body: Object) -> Finding {
    let violated = first(&body, &["violated-directive", "violatedDirective"]);
    // Firefox names no effective directive; a violated one may bring its values.
    let effective = first(&body, &["effective-directive", "effectiveDirective"]);
    let directive = effective.or_else(|| violated.clone()).unwrap_or_default();
    let directive = directive.split_whitespace().next().unwrap_or("unknown").to_owned();
    let blocked = first(&body, &["blocked-uri", "blockedURL", "blocked-url"]).unwrap_or_default();
    let host = if OWN.contains(&blocked.as_str()) { "self".to_owned() } else { host_of(&blocked) };

    let mut take = |names: [&str; 2]| names.iter().find_map(|name| lenient::take(&mut body, name));
    let (url, referrer) = (take(["document-uri", "documentURL"]), take(["referrer", "referer"]));
    Finding {
        logger: "csp",
        message: message(&directive, &blocked, &host),
        culprit: Some(violated.clone().unwrap_or_else(|| directive.clone())),
        tags: tags([
            ("effective-directive", Some(directive.clone())),
            ("blocked-uri", Some(without_query(&blocked)).filter(|blocked| !blocked.is_empty())),
            ("disposition", first(&body, &["disposition"])),
        ]),
        csp: json!({
            "effective_directive": directive,
            "violated_directive": violated,
            "blocked_uri": without_query(&blocked),
        }),
        url,
        referrer,
        report: body,
        ..Finding::default()
    }
}

fn first(body: &Object, names: &[&str]) -> Option<String> {
    let text = |name: &&str| body.get(*name).cloned().filter(Value::is_string);
    names.iter().find_map(text).and_then(lenient::text)
}

/// As Sentry words it: `Blocked 'script' from 'evil.example'`.
fn message(directive: &str, blocked: &str, host: &str) -> String {
    let name = directive.split("-src").next().unwrap_or(directive);
    let name = NAMES.iter().find(|(own, _)| *own == name).map_or(name, |(_, better)| better);
    match blocked {
        "eval" | "wasm-eval" => format!("Blocked eval() '{name}'"),
        blocked if OWN.contains(&blocked) => format!("Blocked inline '{name}'"),
        _ if directive == "form-action" => format!("Blocked '{name}' action to '{host}'"),
        _ => format!("Blocked '{name}' from '{host}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_named_by_what_was_blocked_and_whence() {
        for (directive, blocked, expected) in [
            ("script-src", "https://evil.example/x.js?a=b", "Blocked 'script' from 'evil.example'"),
            (
                "script-src-elem",
                "https://evil.example:8443/",
                "Blocked 'script' from 'evil.example:8443'",
            ),
            ("script-src", "inline", "Blocked inline 'script'"),
            ("script-src", "eval", "Blocked eval() 'script'"),
            ("style-src-attr", "", "Blocked inline 'style'"),
            ("img-src", "data", "Blocked 'image' from 'data'"),
            ("img-src", "data:image/png;base64,AAAA", "Blocked 'image' from 'data'"),
            ("connect-src", "wss://evil.example/s", "Blocked 'connect' from 'wss://evil.example'"),
            ("form-action", "https://evil.example/", "Blocked 'form' action to 'evil.example'"),
            ("frame-ancestors", "https://a.example", "Blocked 'frame-ancestors' from 'a.example'"),
        ] {
            let host = host_of(blocked);
            assert_eq!(message(directive, blocked, &host), expected);
        }
    }
}
