//! Network errors that a browser met at a host of ours.

use serde_json::Value;

use super::super::lenient::{self, Object};
use super::{Finding, host_of, tags};

/// Reads the body of a `network-error`.
pub(super) fn find(body: Object, url: Option<&Value>) -> Finding {
    let text = |name: &str| body.get(name).cloned().and_then(lenient::text);
    let kind = text("type").unwrap_or_else(|| "unknown".to_owned());
    let host = url.and_then(Value::as_str).map(host_of).unwrap_or_default();
    Finding {
        logger: "nel",
        message: format!("Network error {kind} at '{host}'"),
        culprit: Some(host.clone()),
        tags: tags([
            ("type", Some(kind.clone())),
            ("phase", text("phase")),
            ("protocol", text("protocol")),
            ("status_code", text("status_code").filter(|status| status != "0")),
        ]),
        fingerprint: vec!["nel".to_owned(), kind, host],
        referrer: body.get("referrer").cloned(),
        report: body,
        ..Finding::default()
    }
}
