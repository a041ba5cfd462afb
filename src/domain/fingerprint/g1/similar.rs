//! What finds errors that are nearly the same as that of an event.

use super::Analysis;
use super::chain::is_single;
use super::exception::{Component, Variant};
use super::family::Family;
use super::frames::{FrameCode, folded};
use super::message::skeleton;
use super::tables;
use crate::domain::event::Frame;
use crate::domain::fingerprint::similar::{Line, MOST_NEAR_LINES, Similar, Window};
use crate::domain::fingerprint::{Hash, Item, Kind, hash_of};

/// Only an event with one exception and a stack of the application has anything similar.
pub(super) fn of(analysis: &Analysis<'_>) -> Similar {
    let chain = analysis.chain.as_ref().filter(|_| analysis.kind == Kind::Exception);
    let component = chain.and_then(|chain| chain.components.first());
    let component = component
        .filter(|component| component.variant == Variant::App && is_single(analysis.event));
    let Some(component) = component else { return Similar::default() };
    Similar { edited: edited(analysis, component), truncated: truncated(analysis, component) }
}

/// Everything but the crashing line and its caller's, with the message.
fn edited(analysis: &Analysis<'_>, component: &Component<'_>) -> Option<(Hash, Line)> {
    let crash = component.crash().filter(|crash| crash.has_source())?;
    let is_kept = |(tag, _): &&Item| !matches!(tag.as_str(), "source" | "caller" | "message");
    let mut items: Vec<Item> = component.parts.iter().filter(is_kept).cloned().collect();
    let value = component.exception.and_then(|exception| exception.value.as_deref());
    items.push(("message".to_owned(), skeleton(value.unwrap_or_default(), analysis.family)));
    let has_caller = component.parts.iter().any(|(tag, _)| tag == "caller");
    let caller = component.window().rev().nth(1).filter(|_| has_caller);
    let is_near = |place: &str| {
        place == crash.place() || caller.is_some_and(|caller| place == caller.place())
    };
    let near = component.frames.iter().rev().filter(|code| is_near(code.place()));
    let line = Line {
        source: crash.source(),
        caller: caller.map(FrameCode::source),
        near: near.flat_map(|code| lines_around(code.frame)).take(MOST_NEAR_LINES).collect(),
    };
    Some((hash_of(super::NAME, "edited", &items), line))
}

fn lines_around(frame: &Frame) -> impl Iterator<Item = String> {
    let lines = frame.pre_context.iter().chain(&frame.post_context);
    lines.map(|line| folded(line)).filter(|line| !line.is_empty())
}

/// Type, frame and line of a crash in a script.
fn truncated(analysis: &Analysis<'_>, component: &Component<'_>) -> Option<(Hash, Window)> {
    let is_generic = tables::generic_types(analysis.family).contains(&&*component.kind);
    if analysis.family != Family::Js || is_generic {
        return None;
    }
    let crash = component.crash().filter(|crash| crash.has_source())?;
    let frame = |(place, function): (&str, &str)| format!("{place}|{function}");
    let items = [
        ("type", component.kind.clone()),
        ("frame", frame(crash.key())),
        ("source", crash.source()),
    ];
    let items: Vec<Item> = items.into_iter().map(|(tag, value)| (tag.to_owned(), value)).collect();
    let window = component.window().map(|code| frame(code.key())).collect();
    Some((hash_of(super::NAME, "truncated", &items), Window(window)))
}
