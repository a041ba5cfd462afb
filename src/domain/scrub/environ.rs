//! The environment of a process, which some SDKs send as a whole.
//!
//! Nobody can know by name which variables are secret (`STRIPE_LIVE`, `PGPASSWORD`), so only those
//! known to be harmless are kept.

use serde_json::{Map, Value};

/// Names under which SDKs send the whole environment.
const NAMES: &[&str] = &["cgi-data", "cgi_data", "environ", "process_env", "processenv"];

/// Variables every process has: a map with three of them is an environment.
const TELLING: &[&str] =
    &["HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "SHLVL", "TERM", "USER"];

/// Variables that say something about the machine and the program, and nothing secret.
const HARMLESS: &[&str] = &[
    "AUTH_TYPE",
    "CI",
    "COLORTERM",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "DJANGO_SETTINGS_MODULE",
    "DOCUMENT_ROOT",
    "DYNO",
    "EDITOR",
    "FLASK_APP",
    "FLASK_ENV",
    "GATEWAY_INTERFACE",
    "GOPATH",
    "GOROOT",
    "HOME",
    "HOSTNAME",
    "HTTPS",
    "JAVA_HOME",
    "KUBERNETES_SERVICE_HOST",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "MIX_ENV",
    "NODE_ENV",
    "OLDPWD",
    "PATH",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "PORT",
    "PWD",
    "PYTHONPATH",
    "QUERY_STRING",
    "RACK_ENV",
    "RAILS_ENV",
    "RUBY_VERSION",
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "SENTRY_ENVIRONMENT",
    "SENTRY_RELEASE",
    "SHELL",
    "SHLVL",
    "SSL_CERT_FILE",
    "TERM",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "WERKZEUG_RUN_MAIN",
    "_",
];

/// Beginnings of variables that belong to a request, or to the program that serves it.
const OF_REQUEST: &[&str] = &[
    "HTTP_",
    "LC_",
    "REMOTE_",
    "REQUEST_",
    "SERVER_",
    "XDG_",
    "rack.",
    "werkzeug.",
    "wsgi.",
    "action_dispatch.",
    "puma.",
];

/// Whether what stands under this name is an environment.
pub(super) fn is_name(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether a map is the environment of a process.
pub(super) fn is_process(object: &Map<String, Value>) -> bool {
    object.len() >= 3 && TELLING.iter().filter(|name| object.contains_key(**name)).count() >= 3
}

/// What is known of a variable by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    /// It is harmless.
    Harmless,
    /// It belongs to a request: its name says what a header's or parameter's would.
    OfRequest,
    /// Nothing.
    Unknown,
}

/// What is known of a variable by its name.
pub(super) fn variable(name: &str) -> Variable {
    if HARMLESS.contains(&name) {
        Variable::Harmless
    } else if OF_REQUEST.iter().any(|begin| name.starts_with(begin)) {
        Variable::OfRequest
    } else {
        Variable::Unknown
    }
}
