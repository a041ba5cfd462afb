//! One event, laid out as its language would: stacks with the newest call last, then the error.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::{self, Verdict};
use super::super::failure::Failure;
use super::super::output::{Ink, Style};
use super::super::span::exact_and_ago;
use super::super::table::fields;
use super::super::text::{lines, one_line};
use super::{handled, indented};
use crate::domain::event::{Breadcrumb, Event, Exception, Frame, Request, User};
use crate::domain::scrub::Scrubbed;
use crate::domain::stack;
use crate::domain::time::Timestamp;

/// Breadcrumbs that are shown: the last ones.
const MOST_BREADCRUMBS: usize = 10;

/// Scrubbed places that are named.
const MOST_SCRUBBED: usize = 5;

/// An event as the API gives it.
pub(super) struct Latest {
    pub(super) event: Event,
    pub(super) about: About,
}

/// What Airlock says of an event.
#[derive(Debug, Default, Deserialize)]
pub(super) struct About {
    verdict: Option<Verdict>,
}

impl Latest {
    /// Reads both from one object.
    pub(super) fn read(json: &Value) -> Result<Self, Failure> {
        Ok(Self { event: answer::read(json)?, about: answer::read(json)? })
    }

    pub(super) fn lines(&self, now: Timestamp, style: Style) -> Vec<String> {
        let event = &self.event;
        let head = format!("Latest event {}", event.event_id);
        let mut out = vec![style.ink(Ink::Bold, &head)];
        out.extend(indented(fields(style, &self.known(now))));
        if let Some(message) = event.message_text() {
            out.extend([String::new(), style.ink(Ink::Bold, "Message")]);
            out.extend(indented(lines(message)));
        }
        out.extend(stacks(event, style));
        if !event.breadcrumbs.is_empty() {
            out.extend([String::new(), style.ink(Ink::Bold, "Before it")]);
            let n_left_out = event.breadcrumbs.len().saturating_sub(MOST_BREADCRUMBS);
            let crumbs = event.breadcrumbs.iter().skip(n_left_out);
            out.extend(crumbs.map(|crumb| breadcrumb(crumb, style)));
        }
        out
    }

    fn known(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let event = &self.event;
        let mut known = vec![("time", exact_and_ago(event.timestamp, now))];
        if let Some(verdict) = &self.about.verdict {
            let reason = verdict.reason.as_deref().filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            known.push(("verdict", one_line(&format!("{}{reason}", verdict.kind))));
        }
        let place = event.server_name.as_deref().map(|server| format!(", server {server}"));
        let place = format!("{}{}", event.environment, place.unwrap_or_default());
        known.push(("environment", one_line(&place)));
        let build = event.dist.as_deref().map(|dist| format!(", build {dist}")).unwrap_or_default();
        let release = event.release.as_deref();
        known.extend(release.map(|one| ("release", one_line(&format!("{one}{build}")))));
        let mechanism = event.raised().and_then(|raised| raised.mechanism.as_ref());
        let caught = mechanism.map(|mechanism| format!("by {}", one_line(&mechanism.kind)));
        let caught: Vec<String> =
            handled(event.handled).map(str::to_owned).into_iter().chain(caught).collect();
        if !caught.is_empty() {
            known.push(("caught", caught.join(", ")));
        }
        known.extend(event.transaction.as_deref().map(|name| ("transaction", one_line(name))));
        let request = event.request.as_ref().map(request).filter(|line| !line.is_empty());
        known.extend(request.map(|line| ("request", line)));
        let user = event.user.as_ref().map(user).filter(|line| !line.is_empty());
        known.extend(user.map(|line| ("user", line)));
        let scrubbed = scrubbed(&event.scrubbed);
        known.extend(scrubbed.map(|line| ("scrubbed", line)));
        known.extend(event.notes.iter().map(|note| ("note", one_line(note))));
        known
    }
}

/// `POST https://shop.example/cart?step=2`
fn request(request: &Request) -> String {
    let query = request.query_string.as_deref().filter(|query| !query.is_empty());
    let query = query.map(|query| format!("?{}", query.trim_start_matches('?')));
    let url = request.url.as_ref().map(|url| format!("{url}{}", query.unwrap_or_default()));
    let parts: Vec<String> = request.method.iter().cloned().chain(url).collect();
    one_line(&parts.join(" "))
}

/// Where secrets were, as far as there is room for it.
fn scrubbed(places: &[Scrubbed]) -> Option<String> {
    let shown: Vec<&str> =
        places.iter().take(MOST_SCRUBBED).map(|place| place.at.as_str()).collect();
    let n_more = places.len().saturating_sub(shown.len());
    let more = if n_more > 0 { format!(" and {n_more} more") } else { String::new() };
    (!shown.is_empty()).then(|| one_line(&format!("{}{more}", shown.join(", "))))
}

fn user(user: &User) -> String {
    let id = user.id.as_ref().map(|id| format!("id {id}"));
    let named = [&user.username, &user.name, &user.email, &user.ip_address].into_iter().flatten();
    let parts: Vec<String> = id.into_iter().chain(named.cloned()).collect();
    one_line(&parts.join(", "))
}

/// The chain of exceptions, oldest cause first; without any, the stack there is.
fn stacks(event: &Event, style: Style) -> Vec<String> {
    let mut out = Vec::new();
    if event.exceptions.is_empty() && event.main_stack().is_empty() {
        return out;
    }
    let head = style.ink(Ink::Bold, "Stack");
    out.extend([String::new(), format!("{head}, newest call last, * marks the application's own")]);
    if event.exceptions.is_empty() {
        out.extend(frames(event.main_stack(), style));
    }
    for (at, exception) in event.exceptions.iter().enumerate() {
        if at > 0 {
            out.extend([String::new(), style.ink(Ink::Dim, "  which led to"), String::new()]);
        }
        out.extend(frames(&exception.frames, style));
        out.extend(error(exception, style));
    }
    out
}

/// `KeyError: 'total'`, and further lines of the value below.
fn error(exception: &Exception, style: Style) -> Vec<String> {
    let value = exception.value.as_deref().unwrap_or_default();
    let kind = exception.kind.as_deref().filter(|kind| !kind.is_empty());
    let text = match kind {
        Some(kind) if value.is_empty() => kind.to_owned(),
        Some(kind) => format!("{kind}: {value}"),
        None => value.to_owned(),
    };
    let mut lines = lines(&text).into_iter();
    let first = lines.next().unwrap_or_default();
    let first = format!("  {}", style.ink(Ink::Red, &first));
    std::iter::once(first).chain(lines.map(|line| format!("    {line}"))).collect()
}

fn frames(frames: &[Frame], style: Style) -> impl Iterator<Item = String> {
    let telling = stack::telling(frames);
    frames.iter().flat_map(move |frame| {
        // SDKs of native code take the runtime for the application's own.
        let is_telling = telling.iter().any(|one| std::ptr::eq(*one, frame));
        let is_own = is_telling && frame.in_app != Some(false);
        let (mark, ink) = if is_own { ('*', Ink::Cyan) } else { (' ', Ink::Dim) };
        let call = format!("  {mark} {}", style.ink(ink, &call(frame)));
        let source = frame.context_line.as_deref().map(|line| line.trim().replace('\t', "    "));
        let source = source.filter(|line| !line.is_empty());
        std::iter::once(call).chain(source.map(|line| format!("        {}", one_line(&line))))
    })
}

/// `shop/cart.py:53 in discount`; without a file what else is known of the call.
fn call(frame: &Frame) -> String {
    let file = frame.filename.as_ref().or(frame.abs_path.as_ref());
    let place = file.or(frame.module.as_ref()).or(frame.package.as_ref());
    let line = frame.lineno.map(|line| format!(":{line}")).unwrap_or_default();
    let column = frame.colno.map(|column| format!(":{column}")).unwrap_or_default();
    let function = frame.function.as_deref().filter(|name| !name.is_empty());
    let address = frame.instruction_addr.as_deref();
    one_line(&match (place, function) {
        (Some(place), Some(function)) => format!("{place}{line}{column} in {function}"),
        (Some(place), None) => format!("{place}{line}{column}"),
        (None, Some(function)) => function.to_owned(),
        (None, None) => address.unwrap_or("unknown").to_owned(),
    })
}

/// `10:22:01  http  GET /cart`
fn breadcrumb(crumb: &Breadcrumb, style: Style) -> String {
    let time = crumb.timestamp.map(|at| at.to_string().chars().skip(11).take(8).collect());
    let time: String = time.unwrap_or_else(|| "        ".to_owned());
    let category = crumb.category.as_ref().or(crumb.kind.as_ref());
    let category = category.map(|category| style.ink(Ink::Cyan, &one_line(category)) + "  ");
    let message = crumb.message.clone().filter(|message| !message.is_empty());
    let facts = || {
        let fact = |(name, value): (&String, &Value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        };
        crumb.data.iter().map(fact).collect::<Vec<_>>().join(" ")
    };
    let text = one_line(&message.unwrap_or_else(facts));
    let line = format!("  {}  {}{text}", style.ink(Ink::Dim, &time), category.unwrap_or_default());
    line.trim_end().to_owned()
}
