//! The parts of an event that are scrubbed, and how each is read.

use serde_json::Value;

use super::names::Class;
use super::text::Kind;
use super::walk::{Path, Walk};
use super::{MARK, Rule};
use crate::domain::event::{Event, Exception, Frame, Message, Request, User};

/// Files whose lines are data rather than a program: a bare word is a value.
const DATA_FILES: &[&str] =
    &["bash", "cfg", "conf", "env", "ini", "properties", "sh", "toml", "yaml", "yml", "zsh"];

const ROOT: Path<'static> = Path::Root;

/// Scrubs what names, groups and counts an event, as far as it comes from the application. What
/// identifies it (its id, release, environment, level, platform, SDK) stays as it is.
pub(super) fn scrub_outline(walk: &mut Walk<'_>, event: &mut Event) {
    walk.optional_text(&Path::Field(&ROOT, "logger"), &mut event.logger);
    walk.optional_text(&Path::Field(&ROOT, "transaction"), &mut event.transaction);
    walk.optional_text(&Path::Field(&ROOT, "server_name"), &mut event.server_name);
    if let Some(message) = &mut event.message {
        scrub_message(walk, message);
    }
    let path = Path::Field(&ROOT, "exceptions");
    for (at, exception) in event.exceptions.iter_mut().enumerate() {
        scrub_exception(walk, &Path::Entry(&path, at), exception);
    }
    let path = Path::Field(&ROOT, "threads");
    for (at, thread) in event.threads.iter_mut().enumerate() {
        let here = Path::Entry(&path, at);
        walk.optional_text(&Path::Field(&here, "id"), &mut thread.id);
        walk.optional_text(&Path::Field(&here, "name"), &mut thread.name);
        scrub_frames(walk, &Path::Field(&here, "frames"), &mut thread.frames);
    }
    scrub_frames(walk, &Path::Field(&ROOT, "stacktrace"), &mut event.stacktrace);
    if let Some(user) = &mut event.user {
        scrub_user(walk, user);
    }
    scrub_tags(walk, event);
    scrub_interfaces(walk, event);
    let path = Path::Field(&ROOT, "fingerprint");
    for (at, part) in event.fingerprint.iter_mut().enumerate() {
        walk.text(&Path::Entry(&path, at), part);
    }
}

fn scrub_interfaces(walk: &mut Walk<'_>, event: &mut Event) {
    walk.optional_text(&Path::Field(&ROOT, "checksum"), &mut event.checksum);
    if let Some(csp) = &mut event.csp {
        let path = Path::Field(&ROOT, "csp");
        walk.optional_text(
            &Path::Field(&path, "effective_directive"),
            &mut csp.effective_directive,
        );
        walk.optional_text(&Path::Field(&path, "violated_directive"), &mut csp.violated_directive);
        walk.optional_text(&Path::Field(&path, "blocked_uri"), &mut csp.blocked_uri);
    }
    if let Some(template) = &mut event.template {
        let path = Path::Field(&ROOT, "template");
        walk.optional_text(&Path::Field(&path, "filename"), &mut template.filename);
        walk.optional_text(&Path::Field(&path, "abs_path"), &mut template.abs_path);
        walk.optional_text(&Path::Field(&path, "context_line"), &mut template.context_line);
    }
}

/// Scrubs the details of an event: neighbouring lines and local variables, request, breadcrumbs, contexts,
/// extra, notes. Its modules stay as they are.
pub(super) fn scrub_details(walk: &mut Walk<'_>, event: &mut Event) {
    let path = Path::Field(&ROOT, "exceptions");
    for (at, exception) in event.exceptions.iter_mut().enumerate() {
        let here = Path::Entry(&path, at);
        scrub_details_of(walk, &Path::Field(&here, "frames"), &mut exception.frames);
    }
    let path = Path::Field(&ROOT, "threads");
    for (at, thread) in event.threads.iter_mut().enumerate() {
        let here = Path::Entry(&path, at);
        scrub_details_of(walk, &Path::Field(&here, "frames"), &mut thread.frames);
    }
    scrub_details_of(walk, &Path::Field(&ROOT, "stacktrace"), &mut event.stacktrace);
    if let Some(request) = &mut event.request {
        scrub_request(walk, request);
    }
    let path = Path::Field(&ROOT, "breadcrumbs");
    for (at, breadcrumb) in event.breadcrumbs.iter_mut().enumerate() {
        let here = Path::Entry(&path, at);
        walk.optional_text(&Path::Field(&here, "message"), &mut breadcrumb.message);
        walk.optional_text(&Path::Field(&here, "type"), &mut breadcrumb.kind);
        walk.optional_text(&Path::Field(&here, "category"), &mut breadcrumb.category);
        walk.object(&Path::Field(&here, "data"), &mut breadcrumb.data);
    }
    walk.object(&Path::Field(&ROOT, "contexts"), &mut event.contexts);
    walk.object(&Path::Field(&ROOT, "extra"), &mut event.extra);
    let path = Path::Field(&ROOT, "notes");
    for (at, note) in event.notes.iter_mut().enumerate() {
        walk.text(&Path::Entry(&path, at), note);
    }
}

/// A parameter that was a secret in the message is one by itself.
fn scrub_message(walk: &mut Walk<'_>, message: &mut Message) {
    let path = Path::Field(&ROOT, "message");
    let before = message.formatted.clone();
    walk.text(&Path::Field(&path, "formatted"), &mut message.formatted);
    walk.optional_text(&Path::Field(&path, "template"), &mut message.template);
    let params = Path::Field(&path, "params");
    let was_secret =
        |text: &str| text.len() >= 3 && before.contains(text) && !message.formatted.contains(text);
    for (at, param) in message.params.iter_mut().enumerate() {
        let here = Path::Entry(&params, at);
        let is_secret = match &*param {
            Value::String(text) => was_secret(text),
            Value::Number(number) => was_secret(&number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        };
        if is_secret {
            walk.all(&here, param, &Rule::Name);
        } else {
            walk.value(&here, param);
        }
    }
}

fn scrub_exception(walk: &mut Walk<'_>, here: &Path<'_>, exception: &mut Exception) {
    walk.optional_text(&Path::Field(here, "type"), &mut exception.kind);
    walk.optional_text(&Path::Field(here, "value"), &mut exception.value);
    walk.optional_text(&Path::Field(here, "module"), &mut exception.module);
    walk.optional_text(&Path::Field(here, "thread_id"), &mut exception.thread_id);
    if let Some(mechanism) = &mut exception.mechanism {
        walk.text(&Path::Field(here, "mechanism.type"), &mut mechanism.kind);
        walk.optional_text(&Path::Field(here, "mechanism.source"), &mut mechanism.source);
        walk.object(&Path::Field(here, "mechanism.data"), &mut mechanism.data);
        walk.object(&Path::Field(here, "mechanism.meta"), &mut mechanism.meta);
    }
    scrub_frames(walk, &Path::Field(here, "frames"), &mut exception.frames);
}

fn scrub_frames(walk: &mut Walk<'_>, path: &Path<'_>, frames: &mut [Frame]) {
    for (at, frame) in frames.iter_mut().enumerate() {
        scrub_frame(walk, &Path::Entry(path, at), frame);
    }
}

fn scrub_details_of(walk: &mut Walk<'_>, path: &Path<'_>, frames: &mut [Frame]) {
    for (at, frame) in frames.iter_mut().enumerate() {
        scrub_lines_and_variables(walk, &Path::Entry(path, at), frame);
    }
}

fn scrub_frame(walk: &mut Walk<'_>, here: &Path<'_>, frame: &mut Frame) {
    walk.optional_text(&Path::Field(here, "function"), &mut frame.function);
    walk.optional_text(&Path::Field(here, "module"), &mut frame.module);
    walk.optional_text(&Path::Field(here, "package"), &mut frame.package);
    walk.optional_text(&Path::Field(here, "filename"), &mut frame.filename);
    walk.optional_text(&Path::Field(here, "abs_path"), &mut frame.abs_path);
    walk.optional_text(&Path::Field(here, "platform"), &mut frame.platform);
    walk.optional_text(&Path::Field(here, "instruction_addr"), &mut frame.instruction_addr);
    walk.optional_text(&Path::Field(here, "image_addr"), &mut frame.image_addr);
    let kind = kind_of(frame);
    if let Some(line) = &mut frame.context_line {
        scrub_line(walk, &Path::Field(here, "context_line"), line, kind, &mut is_key_body(line));
    }
}

/// Whether a line can be one of a private key. Its neighbours would tell, but are not read yet.
fn is_key_body(line: &str) -> bool {
    /// No program has so many letters without a sign or a space.
    const LEAST_CHARS: usize = 24;
    let body = line.trim_matches(|c: char| c.is_whitespace() || "\"'`+,;\\".contains(c));
    let body = body.trim_end_matches("\\n");
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let is_all = body.len() >= LEAST_CHARS && body.chars().all(is_base64);
    is_all || line.split(|c| !is_base64(c)).any(is_random)
}

/// Whether no name is so long and so mixed.
fn is_random(word: &str) -> bool {
    /// The lines of keys are longer, names of code shorter.
    const LEAST_CHARS: usize = 48;
    let has = |is_it: fn(&u8) -> bool| word.as_bytes().iter().any(is_it);
    word.len() >= LEAST_CHARS
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

fn scrub_lines_and_variables(walk: &mut Walk<'_>, here: &Path<'_>, frame: &mut Frame) {
    let kind = kind_of(frame);
    let mut is_in_key = false;
    let lines = |lines: &mut [String], name: &str, walk: &mut Walk<'_>, is_in_key: &mut bool| {
        let path = Path::Field(here, name);
        for (at, line) in lines.iter_mut().enumerate() {
            scrub_line(walk, &Path::Entry(&path, at), line, kind, is_in_key);
        }
    };
    lines(&mut frame.pre_context, "pre_context", walk, &mut is_in_key);
    // By itself the line is scrubbed already, and has lost the border of a key it had.
    if let Some(line) = &mut frame.context_line {
        let begins_key =
            line.contains(MARK) && frame.post_context.first().is_some_and(|next| is_key_body(next));
        let ends_key = line.contains("-----END");
        if is_in_key && !line.contains(MARK) {
            walk.whole_text(&Path::Field(here, "context_line"), line, &Rule::PrivateKey);
        }
        is_in_key = (is_in_key || begins_key) && !ends_key;
    }
    lines(&mut frame.post_context, "post_context", walk, &mut is_in_key);
    walk.object(&Path::Field(here, "vars"), &mut frame.vars);
}

/// A private key in source runs over several lines.
fn scrub_line(
    walk: &mut Walk<'_>,
    here: &Path<'_>,
    line: &mut String,
    kind: Kind,
    is_in_key: &mut bool,
) {
    // Most lines have no border of a key.
    let has_border = line.contains('-') && line.contains("-----");
    let ends_key = has_border && line.contains("-----END");
    if *is_in_key {
        walk.whole_text(here, line, &Rule::PrivateKey);
        *is_in_key = !ends_key;
    } else {
        *is_in_key =
            has_border && line.contains("-----BEGIN") && line.contains("PRIVATE KEY") && !ends_key;
        walk.text_of_kind(here, line, kind);
    }
}

fn kind_of(frame: &Frame) -> Kind {
    let file = frame.filename.as_deref().or(frame.abs_path.as_deref()).unwrap_or_default();
    let name = file.rsplit(['/', '\\']).next().unwrap_or_default();
    match name.rsplit_once('.') {
        // Of a name that was scrubbed nobody knows what it was.
        Some((_, end)) if !DATA_FILES.contains(&end) && !file.contains(MARK) => Kind::Source,
        Some(_) | None => Kind::Prose,
    }
}

fn scrub_request(walk: &mut Walk<'_>, request: &mut Request) {
    let path = Path::Field(&ROOT, "request");
    walk.optional_text(&Path::Field(&path, "url"), &mut request.url);
    walk.optional_text(&Path::Field(&path, "method"), &mut request.method);
    walk.optional_text(&Path::Field(&path, "query_string"), &mut request.query_string);
    let headers = Path::Field(&path, "headers");
    for (name, value) in &mut request.headers {
        walk.named_text(&Path::Field(&headers, name), name, value);
        walk.key(&headers, name);
    }
    scrub_cookies(walk, &Path::Field(&path, "cookies"), &mut request.cookies);
    walk.value(&Path::Field(&path, "data"), &mut request.data);
    walk.environment(&Path::Field(&path, "env"), &mut request.env);
}

/// Every cookie can be the one that a session hangs on: only their names are kept.
fn scrub_cookies(walk: &mut Walk<'_>, path: &Path<'_>, cookies: &mut Value) {
    if walk.class_of("cookies") == Class::Plain {
        walk.value(path, cookies);
        return;
    }
    match cookies {
        Value::Object(cookies) => {
            for (name, value) in cookies.iter_mut() {
                walk.all(&Path::Field(path, name), value, &Rule::Name);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            walk.all(path, cookies, &Rule::Name);
        }
    }
}

fn scrub_user(walk: &mut Walk<'_>, user: &mut User) {
    let path = Path::Field(&ROOT, "user");
    walk.optional_text(&Path::Field(&path, "id"), &mut user.id);
    walk.optional_text(&Path::Field(&path, "username"), &mut user.username);
    walk.optional_text(&Path::Field(&path, "email"), &mut user.email);
    walk.optional_text(&Path::Field(&path, "name"), &mut user.name);
    if let Some(address) = &mut user.ip_address {
        walk.ip_address(&Path::Field(&path, "ip_address"), address);
    }
    walk.object(&Path::Field(&path, "data"), &mut user.data);
}

fn scrub_tags(walk: &mut Walk<'_>, event: &mut Event) {
    let path = Path::Field(&ROOT, "tags");
    for (name, value) in &mut event.tags {
        walk.named_text(&Path::Field(&path, name), name, value);
    }
    for (mut name, value) in std::mem::take(&mut event.tags) {
        walk.key(&path, &mut name);
        event.tags.insert(name, value);
    }
}
