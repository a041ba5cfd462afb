//! Why the events of an issue are one issue: every exception, every frame, and what was hashed.

use super::super::answer::{Component, Fingerprint, WhyFrame};
use super::super::output::{Ink, Style};
use super::super::table::fields;
use super::super::text::{counted, one_line};
use super::indented;

/// Other fingerprints that are listed.
const MOST_OTHERS: usize = 10;

/// The explanation of the first fingerprint, and how the others came to be the issue's.
pub(super) fn lines(first: &Fingerprint, others: &[Fingerprint], style: Style) -> Vec<String> {
    let mut lines = vec![String::new(), style.ink(Ink::Bold, "Grouped by")];
    if let Some(why) = &first.why {
        for component in &why.components {
            lines.extend(indented(of_component(component, style)));
        }
        let ignored = why.ignored.iter();
        lines.extend(indented(
            ignored
                .map(|ignored| one_line(&format!("{} left out: {}", ignored.what, ignored.why)))
                .collect(),
        ));
    }
    lines.extend(indented(hashed(first, style)));
    if !others.is_empty() {
        lines.extend([String::new(), style.ink(Ink::Bold, "Other fingerprints")]);
        let shown = others.iter().take(MOST_OTHERS).map(|other| {
            let how = other.how.as_deref().unwrap_or("merged");
            one_line(&format!("{} ({how})", other.hash))
        });
        let mut shown: Vec<String> = shown.collect();
        let n_more = others.len().saturating_sub(MOST_OTHERS);
        if n_more > 0 {
            shown.push(format!("and {n_more} more"));
        }
        lines.extend(indented(shown));
    }
    lines
}

fn of_component(component: &Component, style: Style) -> Vec<String> {
    let kind = component.r#type.as_deref().filter(|kind| !kind.is_empty());
    let mut lines = vec![style.ink(Ink::Bold, &one_line(kind.unwrap_or("stack")))];
    if let Some(message) = &component.message {
        let used = if message.used { "used" } else { "not used" };
        let text = format!("message {:?} {used}: {}", message.skeleton, message.why);
        lines.extend(indented(vec![one_line(&text)]));
    }
    if component.n_more_frames > 0 {
        let outer = counted(component.n_more_frames, "outer frame");
        lines.extend(indented(vec![format!("{outer} not listed")]));
    }
    let frames = component.frames.iter().flat_map(|frame| of_frame(frame, style));
    lines.extend(indented(frames.collect()));
    lines
}

/// `+ shop.cart in checkout (the SDK says so)`, or with a dot in front where it takes no part.
fn of_frame(frame: &WhyFrame, style: Style) -> Vec<String> {
    let function = if frame.r#fn.is_empty() { "?" } else { &frame.r#fn };
    let place = if frame.loc.is_empty() {
        function.to_owned()
    } else {
        format!("{} in {function}", frame.loc)
    };
    let whose = if frame.app { "own code" } else { "not own code" };
    let is_plain = frame.why.is_empty() || frame.why == "not in-app";
    let why = if is_plain { String::new() } else { format!("{}; ", frame.why) };
    let text = one_line(&format!("{place} ({why}{whose}: {})", frame.why_app));
    if !frame.used {
        return vec![style.ink(Ink::Dim, &format!("· {text}"))];
    }
    let mut lines = vec![format!("+ {text}")];
    if !frame.source.is_empty() {
        lines.push(format!("    {}", one_line(&frame.source)));
    }
    lines
}

/// Exactly what was hashed.
fn hashed(fingerprint: &Fingerprint, style: Style) -> Vec<String> {
    let items = fingerprint.why.iter().flat_map(|why| &why.items);
    let items: Vec<_> = items.map(|(tag, value)| (one_line(tag), one_line(value))).collect();
    let mut lines: Vec<_> =
        items.iter().map(|(tag, value)| (tag.as_str(), value.clone())).collect();
    lines.push(("SHA-256", one_line(&fingerprint.hash)));
    let head = [style.ink(Ink::Bold, "hashed")];
    head.into_iter().chain(indented(fields(style, &lines))).collect()
}
