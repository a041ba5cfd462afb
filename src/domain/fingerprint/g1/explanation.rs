//! Why an event has the fingerprint it has, for people: every exception, every frame, what took part
//! and what did not.

use serde::Serialize;

use super::Analysis;
use super::chain::Chain;
use super::exception::{Component, Variant};
use super::frames::FrameCode;
use super::message;
use crate::domain::text::bounded;

/// Characters of a message that are shown.
const MOST_MESSAGE_CHARS: usize = 300;

/// Frames that are shown of one exception: the innermost.
const MOST_FRAMES: usize = 60;

#[derive(Serialize)]
struct Explanation<'a> {
    config: &'static str,
    kind: &'static str,
    reason: String,
    variant: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<ComponentView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<Ignored>,
    items: &'a [super::Item],
}

#[derive(Serialize)]
struct ComponentView<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frames: Vec<FrameView<'a>>,
    /// Outer frames that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    n_more_frames: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[derive(Serialize)]
struct Message {
    raw: String,
    skeleton: String,
    used: bool,
    why: &'static str,
}

#[derive(Serialize)]
struct FrameView<'a> {
    /// Counted from the outermost, from 1.
    n: usize,
    loc: &'a str,
    r#fn: &'a str,
    app: bool,
    why_app: &'a str,
    used: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
}

#[derive(Serialize)]
struct Ignored {
    what: String,
    why: &'static str,
}

/// The explanation as it is stored and shown.
pub(super) fn of(analysis: &Analysis<'_>) -> serde_json::Value {
    let chain = analysis.chain.as_ref();
    let explanation = Explanation {
        config: analysis.config(),
        kind: analysis.kind.as_str(),
        reason: analysis.reason(),
        variant: analysis.variant,
        decided_by: analysis.decided_by.as_deref(),
        chain: chain.and_then(|chain| chain.how),
        components: chain.map(|chain| components(analysis, chain)).unwrap_or_default(),
        ignored: chain.map(ignored).unwrap_or_default(),
        items: &analysis.items,
    };
    serde_json::to_value(&explanation).unwrap_or_default()
}

fn components<'a>(analysis: &'a Analysis<'_>, chain: &'a Chain<'_>) -> Vec<ComponentView<'a>> {
    chain.components.iter().map(|component| view(analysis, component)).collect()
}

fn view<'a>(analysis: &'a Analysis<'_>, component: &'a Component<'_>) -> ComponentView<'a> {
    let n_hidden = component.frames.len().saturating_sub(MOST_FRAMES);
    let frames = component.frames.iter().enumerate().skip(n_hidden);
    ComponentView {
        r#type: &component.kind,
        message: component
            .exception
            .and_then(|exception| exception.value.as_deref())
            .filter(|value| !value.is_empty())
            .map(|value| Message {
                raw: bounded(value, MOST_MESSAGE_CHARS),
                skeleton: message::skeleton(value, analysis.family),
                used: component.parts.iter().any(|(tag, _)| tag == "message"),
                why: component.message_needed.unwrap_or("the stack tells enough"),
            }),
        frames: frames.map(|(index, code)| frame(component, index, code)).collect(),
        n_more_frames: n_hidden,
    }
}

fn frame<'a>(component: &'a Component<'_>, index: usize, code: &'a FrameCode<'_>) -> FrameView<'a> {
    let used = component.window.contains(&index);
    let is_crash = component.window.last() == Some(&index);
    FrameView {
        n: index + 1,
        loc: code.place(),
        r#fn: &code.function,
        app: code.in_app,
        why_app: &code.why_in_app,
        used,
        why: if used { "" } else { why_not(component, index, code) },
        source: if used && (is_crash || is_caller(component, index)) {
            code.source()
        } else {
            String::new()
        },
    }
}

fn is_caller(component: &Component<'_>, index: usize) -> bool {
    let has_caller = component.parts.iter().any(|(tag, _)| tag == "caller");
    has_caller && component.window.iter().rev().nth(1) == Some(&index)
}

/// Why a frame takes no part.
fn why_not<'a>(component: &'a Component<'_>, index: usize, code: &'a FrameCode<'_>) -> &'a str {
    if let Some(why) = &code.dropped {
        return why;
    }
    if component.variant == Variant::App && !code.in_app {
        return "not in-app";
    }
    match component.window.first() {
        Some(first) if index > *first => "repeated call",
        Some(_) => "outside the window",
        None => "no frame is used",
    }
}

fn ignored(chain: &Chain<'_>) -> Vec<Ignored> {
    chain
        .ignored
        .iter()
        .map(|(exception, why)| Ignored {
            what: format!("exception {}", exception.kind.as_deref().unwrap_or("without type")),
            why,
        })
        .collect()
}
