//! The environment of a process, which some SDKs send as a whole.
//!
//! Nobody can know by name which variables are secret (`STRIPE_LIVE`, `PGPASSWORD`), so only those
//! known to be harmless are kept.

use std::ops::Range;

use serde_json::{Map, Value};

/// Names under which the whole environment of a process comes, without case and separators.
const NAMES: &[&str] = &["cgidata", "environ", "osenviron", "processenv", "processenvironment"];

/// The same, where other things come under them too: the variables must be named like ones.
const LIKELY_NAMES: &[&str] = &[
    "containerenv",
    "env",
    "environment",
    "environmentvariables",
    "environmentvars",
    "envvariables",
    "envvars",
    "systemenv",
];

/// The longest of these names, with separators, in bytes.
const MOST_NAME_BYTES: usize = 32;

/// Variables every process has: a map with three of them is an environment.
const TELLING: &[&str] = &[
    "HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "SHLVL", "TEMP", "TERM", "TMP",
    "USER", "USERNAME",
];

/// The same on Windows, which knows no cases.
const TELLING_WINDOWS: &[&str] = &[
    "ALLUSERSPROFILE",
    "APPDATA",
    "COMPUTERNAME",
    "COMSPEC",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "NUMBER_OF_PROCESSORS",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PSMODULEPATH",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "USERDOMAIN",
    "USERPROFILE",
    "WINDIR",
];

/// Variables of Windows that say nothing secret, beside those that tell.
const HARMLESS_WINDOWS: &[&str] = &[
    "COMMONPROGRAMFILES",
    "LOGONSERVER",
    "OS",
    "PATH",
    "PROCESSOR_IDENTIFIER",
    "PROCESSOR_LEVEL",
    "PROCESSOR_REVISION",
    "PROGRAMFILES(X86)",
    "PROGRAMW6432",
    "PUBLIC",
    "TEMP",
    "TMP",
];

/// Variables that say something about the machine and the program, and nothing secret.
const HARMLESS: &[&str] = &[
    "APP_ENV",
    "AUTH_TYPE",
    "AWS_REGION",
    "CI",
    "COLORTERM",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "DJANGO_SETTINGS_MODULE",
    "DOCUMENT_ROOT",
    "DYNO",
    "EDITOR",
    "ENV",
    "ENVIRONMENT",
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
    "LOG_LEVEL",
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
    "USERNAME",
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

/// Whether what stands under this name is an environment, given the names in it.
pub(super) fn is_named<'a>(name: &str, variables: impl Iterator<Item = &'a str>) -> bool {
    let has =
        |part: &[u8; 3]| name.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(part));
    if name.len() > MOST_NAME_BYTES || !has(b"env") && !has(b"cgi") {
        return false;
    }
    let letters = name.chars().filter(|letter| !matches!(letter, '_' | '-' | '.' | ' '));
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    NAMES.contains(&name.as_str())
        || LIKELY_NAMES.contains(&name.as_str()) && are_mostly_constants(variables)
}

fn are_mostly_constants<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let (mut n, mut n_constants) = (0_usize, 0_usize);
    for name in names {
        n = n.saturating_add(1);
        n_constants = n_constants.saturating_add(usize::from(is_constant(name)));
    }
    n_constants > 0 && n_constants.saturating_mul(2) >= n
}

/// Whether a name is written like a variable's: `STRIPE_LIVE`.
fn is_constant(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(is_part) && name.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Whether a map is the environment of a process.
pub(super) fn is_process(object: &Map<String, Value>) -> bool {
    object.len() >= 3 && are_telling(object.keys().map(String::as_str))
}

/// Whether names are those of a process's variables: three that every process has, or two of three
/// or more that are all written like variables, if one is `PATH`.
fn are_telling<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let (mut n, mut n_telling) = (0_usize, 0_usize);
    let (mut has_path, mut are_constants) = (false, true);
    for name in names {
        n = n.saturating_add(1);
        // Most keys of most maps begin with a small letter.
        let is_upper = name.bytes().next().is_some_and(|first| first.is_ascii_uppercase());
        n_telling = n_telling.saturating_add(usize::from(is_upper && is_telling(name)));
        has_path |= is_upper && name == "PATH";
        are_constants = are_constants && is_constant(name);
    }
    n_telling >= 3 || n >= 3 && n_telling >= 2 && has_path && are_constants
}

fn is_telling(name: &str) -> bool {
    TELLING.contains(&name) || is_among(TELLING_WINDOWS, name)
}

fn is_among(names: &[&str], name: &str) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// The name of `NAME=value`, and its value.
pub(super) fn assignment(entry: &Value) -> Option<(&str, &str)> {
    let (name, value) = entry.as_str()?.split_once('=')?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'(' | b')');
    (!name.is_empty() && name.bytes().all(is_part)).then_some((name, value))
}

/// Whether a list holds an environment as `NAME=value`, as containers have it. `is_likely`: its name
/// says so.
pub(super) fn is_list(list: &[Value], is_likely: impl Fn(&[&str]) -> bool) -> bool {
    // Most lists hold something else, and are left at the first entry.
    if list.first().and_then(assignment).is_none() {
        return false;
    }
    // Functions of shells and the mark of a list that was cut are no variables.
    let names = list.iter().filter_map(assignment).map(|(name, _)| name).collect::<Vec<&str>>();
    if names.len().saturating_mul(2) < list.len() {
        return false;
    }
    is_likely(&names) || are_telling(names.into_iter())
}

/// The variables of an environment that was printed as a text: `environ({'NAME': 'value', …`,
/// also one that was cut. Each with the place of its value.
pub(super) fn printed(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut variables = Vec::new();
    if !matches!(text.as_bytes(), [b'e' | b'{', ..]) {
        return variables;
    }
    let is_certain = text.starts_with("environ({");
    let Some(begin) = ["environ({", "{"].iter().find(|begin| text.starts_with(**begin)) else {
        return variables;
    };
    let mut at = begin.len();
    while let Some((name, value)) = printed_pair(text, at) {
        at = value.end.saturating_add(1);
        // Nearly all other maps are left at their first name.
        if !is_certain && !name.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Vec::new();
        }
        variables.push((name, value));
        match text.get(at..).and_then(|rest| rest.strip_prefix(',')) {
            Some(rest) => {
                at = at.saturating_add(1).saturating_add(rest.len() - rest.trim_start().len());
            }
            None => break,
        }
    }
    if is_certain || are_telling(variables.iter().map(|(name, _)| *name)) {
        variables
    } else {
        Vec::new()
    }
}

/// `'NAME': 'value'`: the name, and the place of the value.
fn printed_pair(text: &str, at: usize) -> Option<(&str, Range<usize>)> {
    let name = quoted(text, at)?;
    let after = name.end.saturating_add(1);
    let rest = text.get(after..)?;
    let value = rest.strip_prefix(':')?.trim_start_matches(' ');
    let start = after.saturating_add(rest.len().saturating_sub(value.len()));
    Some((text.get(name)?, quoted(text, start)?))
}

/// The inside of the quotes that open at `at`; to the end where nothing closes them.
fn quoted(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text.as_bytes().get(at..)?;
    let (quote, rest) = rest.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    let start = at.saturating_add(1);
    let mut is_escaped = false;
    let n = rest.iter().take_while(|byte| {
        let closes = *byte == quote && !is_escaped;
        is_escaped = **byte == b'\\' && !is_escaped;
        !closes
    });
    Some(start..start.saturating_add(n.count()))
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
    let is_harmless = HARMLESS.contains(&name)
        || is_among(TELLING_WINDOWS, name)
        || is_among(HARMLESS_WINDOWS, name);
    if is_harmless {
        Variable::Harmless
    } else if OF_REQUEST.iter().any(|begin| name.starts_with(begin)) {
        Variable::OfRequest
    } else {
        Variable::Unknown
    }
}
