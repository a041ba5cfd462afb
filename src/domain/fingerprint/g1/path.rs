//! Where a frame's code is, when no module says it: the last two segments of its path.

use std::borrow::Cow;

use super::family::Family;
use super::tables;
use crate::domain::event::Frame;

/// What stands for a segment that is the hash of its content.
const HASH: &str = "<h>";

/// What stands for the address of a page, in which the code is inline.
pub(super) const PAGE: &str = "<page>";

/// Where bundlers and web views say their files are; each with `://` and a host or none.
const SCHEMES: &[&str] = &[
    "webpack-internal",
    "webpack",
    "turbopack",
    "app",
    "file",
    "rsc",
    "ng",
    "blob:https",
    "blob:http",
    "https",
    "http",
    "capacitor",
    "ionic",
];

/// Of these, those that are written with three slashes and no host.
const HOSTLESS: &[&str] = &["webpack", "webpack-internal", "turbopack", "app", "file", "rsc"];

/// The first text that is not empty.
pub(super) fn first_of<'a>(texts: &[&'a Option<String>]) -> &'a str {
    texts
        .iter()
        .find_map(|text| text.as_deref().filter(|text| !text.is_empty()))
        .unwrap_or_default()
}

/// A path with `/` for every separator.
pub(super) fn slashed(path: &str) -> Cow<'_, str> {
    if path.contains('\\') { path.replace('\\', "/").into() } else { path.into() }
}

/// The last two segments of a frame's path, in small letters, without what changes from one build
/// or deploy to the next.
pub(super) fn short_path(frame: &Frame, family: Family) -> String {
    let path = first_of(&[&frame.abs_path, &frame.filename]);
    let file = frame.filename.as_deref().unwrap_or_default();
    match family {
        Family::Js => match frame.module.as_deref().filter(|module| !module.is_empty()) {
            Some(module) if path.is_empty() => last_two(module).to_lowercase(),
            _ => of_script(&slashed(path)),
        },
        Family::Jvm => {
            let path = slashed(path);
            without_proxy(path.rsplit('/').next().unwrap_or_default()).to_lowercase()
        }
        Family::Python | Family::Ruby if !file.is_empty() && !is_absolute(file) => {
            of_segments(&slashed(file), plain_name)
        }
        Family::Python
        | Family::Ruby
        | Family::Php
        | Family::Go
        | Family::Dotnet
        | Family::Native
        | Family::Other => of_segments(&slashed(path), plain_name),
    }
}

fn is_absolute(path: &str) -> bool {
    let drive = path.get(1..2) == Some(":") && path.starts_with(|c: char| c.is_ascii_alphabetic());
    let path = if drive { path.get(2..).unwrap_or_default() } else { path };
    path.starts_with(['/', '\\'])
}

fn last_two(path: &str) -> &str {
    let start = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    path.get(start..).unwrap_or(path)
}

/// `Cart_$$_jvst1a2.java` → `Cart.java`.
fn without_proxy(name: &str) -> Cow<'_, str> {
    let start = ["_$$_jvst", "_$$_javassist"].iter().filter_map(|mark| name.find(mark)).min();
    let Some(start) = start else { return name.into() };
    let (base, rest) = name.split_at_checked(start).unwrap_or((name, ""));
    let end = rest.find('.').and_then(|dot| rest.get(dot..)).unwrap_or_default();
    format!("{base}{end}").into()
}

fn of_script(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let path = without_origin(path);
    let mut path = Cow::Borrowed(path);
    if path.contains("/(") {
        path = tables::ROUTE_GROUP.replace_all(&path, "/").into_owned().into();
    }
    if path.contains("/./") {
        path = path.replace("/./", "/").into();
    }
    if path.contains("[project]/") {
        path = path.replace("[project]/", "").into();
    }
    if matches!(&*path, "" | "<anonymous>" | "/<anonymous>") {
        return String::new();
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    if has_extension(last) { of_segments(&path, script_name) } else { PAGE.to_owned() }
}

fn has_extension(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        let n_chars = extension.chars().count();
        (1..=5).contains(&n_chars) && extension.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// A path without scheme and host.
fn without_origin(path: &str) -> &str {
    let scheme = SCHEMES
        .iter()
        .find_map(|scheme| Some((scheme, path.strip_prefix(scheme)?.strip_prefix("://")?)));
    let Some((scheme, rest)) = scheme else { return path };
    let is_hostless = HOSTLESS.contains(scheme) && rest.starts_with('/');
    let after = rest.trim_start_matches('/');
    if is_hostless {
        return rest;
    }
    match after.find('/').and_then(|at| after.get(at..)) {
        Some(rest) => rest,
        None if rest.starts_with('/') => {
            // Nothing but slashes and a name: the last slash begins the path.
            rest.get(rest.len() - after.len() - 1..).unwrap_or(rest)
        }
        None => path,
    }
}

/// The last two segments, each made stable.
fn of_segments(path: &str, name: impl Fn(&str) -> Cow<'_, str>) -> String {
    let is_drive = |segment: &str| {
        segment.len() == 2
            && segment.ends_with(':')
            && segment.starts_with(|c: char| c.is_ascii_alphabetic())
    };
    let mut segments = path
        .rsplit('/')
        .filter(|segment| !matches!(*segment, "" | "." | "..") && !is_drive(segment));
    let Some(last) = segments.next() else { return String::new() };
    let last = name(last);
    match segments.next().filter(|folder| !is_of_release(folder)) {
        Some(folder) => lowered([folder, "/", &last].concat()),
        None => lowered(last.into_owned()),
    }
}

fn lowered(mut text: String) -> String {
    if text.is_ascii() {
        text.make_ascii_lowercase();
        return text;
    }
    text.to_lowercase()
}

/// Whether a folder is named after a release or a build.
fn is_of_release(folder: &str) -> bool {
    folder.chars().any(char::is_numeric) && tables::RELEASE_FOLDER.is_match(folder)
}

/// A file's name, of which nothing is left when all of it is a hash.
fn plain_name(file: &str) -> Cow<'_, str> {
    match file.rsplit_once('.') {
        Some((name, extension)) if is_hash(name) || is_long_hex(name) => {
            format!("{HASH}.{extension}").into()
        }
        _ => file.into(),
    }
}

/// A script's name without hashes and numbers of its bundle.
fn script_name(file: &str) -> Cow<'_, str> {
    let Some((name, extension)) = file.rsplit_once('.') else { return file.into() };
    let separators: &[char] = &['.', '-', '~'];
    let is_only = !name.contains(separators);
    let mut out = String::with_capacity(file.len());
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest.find(separators).unwrap_or(rest.len());
        let (part, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let is_noise = is_hash(part) || matches!(part, "min" | "chunk" | "bundle");
        if is_noise && (is_only || !out.is_empty()) {
            out.truncate(out.trim_end_matches(separators).len());
            if out.is_empty() {
                out.push_str(HASH);
            }
        } else if !part.is_empty() && part.chars().all(char::is_numeric) {
            out.push('#');
        } else {
            out.push_str(part);
        }
        let separator = after.chars().next();
        out.extend(separator);
        rest = after.get(separator.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    format!("{out}.{extension}").into()
}

/// Whether a part of a name is the hash of a content.
fn is_hash(part: &str) -> bool {
    let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digit {
        return false;
    }
    let is_lower_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_lower_hex && (5..=64).contains(&part.len()) {
        return true;
    }
    let is_word = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let has_inner_capital = part.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    (7..=12).contains(&part.len()) && is_word && has_inner_capital
}

fn is_long_hex(name: &str) -> bool {
    (32..=64).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
