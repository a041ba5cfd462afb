//! One exception of a chain, or one stack: which of its parts tell it from others.

use super::family::Family;
use super::frames::{self, FrameCode};
use super::message;
use super::tables;
use crate::domain::event::{Event, Exception, Frame, Mechanism};
use crate::domain::fingerprint::Item;
use crate::domain::fingerprint::rules::FrameRules;

/// Frames that take part: outer ones change with middleware, jobs and routers.
const MOST_FRAMES: usize = 5;

/// The same of a cause.
const MOST_FRAMES_OF_CAUSE: usize = 3;

/// The same of a report that a program hangs: its outer frames are where it happened to be.
const MOST_FRAMES_OF_HANG: usize = 2;

/// Which frames are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// The application's own.
    App,
    /// All that take part, for none is the application's own.
    System,
    /// All there are, without their numbers, for nothing else is known.
    Plumbing,
    /// None.
    Message,
}

impl Variant {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::System => "system",
            Self::Plumbing => "plumbing",
            Self::Message => "message",
        }
    }
}

/// What an exception is made of.
#[derive(Debug)]
pub(super) struct Component<'a> {
    /// The exception; `None` for a stack alone.
    pub(super) exception: Option<&'a Exception>,
    /// Its type as it takes part.
    pub(super) kind: String,
    /// What is hashed of it.
    pub(super) parts: Vec<Item>,
    pub(super) variant: Variant,
    /// Why the message takes part; `None` when it does not.
    pub(super) message_needed: Option<&'static str>,
    /// All frames that were read, outermost first.
    pub(super) frames: Vec<FrameCode<'a>>,
    /// Which of them take part.
    pub(super) window: Vec<usize>,
}

impl<'a> Component<'a> {
    /// The frames that take part, outermost first.
    pub(super) fn window(&self) -> impl DoubleEndedIterator<Item = &FrameCode<'a>> {
        self.window.iter().filter_map(|index| self.frames.get(*index))
    }

    /// The frame of the crash.
    pub(super) fn crash(&self) -> Option<&FrameCode<'a>> {
        self.window().next_back()
    }
}

/// What an exception is read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) event: &'a Event,
    pub(super) family: Family,
    pub(super) rules: &'a FrameRules,
}

fn item(tag: &str, value: impl Into<String>) -> Item {
    (tag.to_owned(), value.into())
}

/// An exception's type without what changes.
pub(super) fn type_name(kind: Option<&str>, family: Family) -> String {
    let kind = kind.unwrap_or_default().trim();
    let kind = if kind.starts_with("class@anonymous") { "class@anonymous" } else { kind };
    let kind = if family == Family::Native {
        tables::TYPE_ADDRESS.replace_all(kind, "")
    } else {
        kind.into()
    };
    let kind = kind.split_once(": ").map_or(&*kind, |(kind, _)| kind);
    tables::TYPE_NUMBER.replace(kind, "").into_owned()
}

impl<'a> Reader<'a> {
    /// Reads the raised exception, or a cause of it.
    pub(super) fn exception(self, exception: &'a Exception, is_cause: bool) -> Component<'a> {
        let frames = if exception.frames.is_empty() && !is_cause {
            self.borrowed_stack(exception)
        } else {
            &exception.frames
        };
        self.component(Some(exception), frames, is_cause)
    }

    /// Reads a stack that belongs to no exception.
    pub(super) fn stack(self, frames: &'a [Frame]) -> Component<'a> {
        self.component(None, frames, false)
    }

    /// The stack of the thread an exception was raised on, else of the one that crashed.
    fn borrowed_stack(self, exception: &Exception) -> &'a [Frame] {
        let threads = &self.event.threads;
        let own = exception.thread_id.as_ref().and_then(|id| {
            threads
                .iter()
                .find(|thread| thread.id.as_ref() == Some(id) && !thread.frames.is_empty())
        });
        let crashed = || threads.iter().find(|thread| thread.crashed && !thread.frames.is_empty());
        own.or_else(crashed).map_or(&[], |thread| &thread.frames)
    }

    fn component(
        self,
        exception: Option<&'a Exception>,
        frames: &'a [Frame],
        is_cause: bool,
    ) -> Component<'a> {
        let mut frames = frames::read(frames, (self.event, self.family), self.rules);
        let value = exception.and_then(|exception| exception.value.as_deref()).unwrap_or_default();
        let mechanism = exception.and_then(|exception| exception.mechanism.as_ref());
        let is_hang = mechanism.is_some_and(|mechanism| {
            tables::HANGS.contains(&&*mechanism.kind.to_ascii_lowercase())
        });
        let (taken, variant) = self.taken(&mut frames, !value.is_empty());
        let most = match (is_hang, is_cause) {
            (true, _) => MOST_FRAMES_OF_HANG,
            (false, true) => MOST_FRAMES_OF_CAUSE,
            (false, false) => MOST_FRAMES,
        };
        let window = taken.get(taken.len().saturating_sub(most)..).unwrap_or_default().to_vec();
        let kind = exception.and_then(|exception| exception.kind.as_deref());
        let mut component = Component {
            exception,
            kind: type_name(kind, self.family),
            parts: Vec::new(),
            variant: if window.is_empty() { Variant::Message } else { variant },
            message_needed: None,
            frames,
            window,
        };
        component.message_needed = self.message_needed(&component, mechanism, variant);
        component.parts = self.parts(&component, (value, mechanism));
        component
    }

    /// The frames that can take part, without repeats.
    fn taken(self, frames: &mut [FrameCode<'_>], has_value: bool) -> (Vec<usize>, Variant) {
        let numbered = || frames.iter().enumerate();
        let used = |code: &FrameCode<'_>| code.dropped.is_none();
        let own: Vec<usize> = numbered()
            .filter(|(_, code)| used(code) && code.in_app)
            .map(|(index, _)| index)
            .collect();
        let own = frames::without_repeats(frames, own);
        if !own.is_empty() {
            return (own, Variant::App);
        }
        let used: Vec<usize> =
            numbered().filter(|(_, code)| used(code)).map(|(index, _)| index).collect();
        let system = frames::without_repeats(frames, self.nearest_to_app(frames, used));
        if !system.is_empty() || has_value {
            return (system, Variant::System);
        }
        frames.iter_mut().for_each(FrameCode::forget_numbers);
        let all = frames
            .iter()
            .enumerate()
            .filter(|(_, code)| code.has_identity())
            .map(|(index, _)| index);
        let all = all.collect();
        (frames::without_repeats(frames, all), Variant::Plumbing)
    }

    /// Of native code, where a frame of the application names nothing, the frames it called.
    fn nearest_to_app(self, frames: &[FrameCode<'_>], used: Vec<usize>) -> Vec<usize> {
        if self.family != Family::Native || !frames.iter().any(|code| code.in_app) {
            return used;
        }
        let in_app = |index: usize| frames.get(index).is_some_and(|code| code.in_app);
        let before = std::iter::once(None).chain(used.iter().copied().map(Some));
        used.iter()
            .copied()
            .zip(before)
            .filter(|(index, before)| before.is_none_or(in_app) || in_app(*index))
            .map(|(index, _)| index)
            .collect()
    }

    /// Why the message tells this error from others although there may be a stack.
    fn message_needed(
        self,
        component: &Component<'_>,
        mechanism: Option<&Mechanism>,
        variant: Variant,
    ) -> Option<&'static str> {
        let Some(crash) = component.crash() else { return Some("no usable frames") };
        let is_synthetic = mechanism.is_some_and(|mechanism| mechanism.synthetic);
        let mechanism = mechanism.map_or("", |mechanism| mechanism.kind.as_str());
        let of_js = self.family == Family::Js;
        if of_js && crash.is_minified {
            return Some("minified crash frame");
        }
        let is_obfuscated = |code: &FrameCode<'_>| {
            code.dropped.is_none() && code.is_weak && code.function.is_empty()
        };
        if self.family == Family::Jvm && component.frames.iter().any(is_obfuscated) {
            return Some("obfuscated frames");
        }
        let is_named = || {
            of_js
                && !crash.place().is_empty()
                && variant == Variant::App
                && component.window().any(|code| !code.function.is_empty())
        };
        if crash.is_weak && !crash.has_source() && !is_named() {
            return Some("anonymous crash frame");
        }
        let is_generic = tables::generic_types(self.family).contains(&&*component.kind);
        if is_generic && !is_synthetic && !crash.source().contains(['\'', '"', '`']) {
            return Some("generic type without its own source line");
        }
        let is_panic = mechanism == "panic";
        let of_go = self.family == Family::Go && !component.kind.starts_with("runtime.");
        let of_rust = self.event.platform == "rust" && !is_synthetic;
        let is_capture_site = !is_panic && (of_go || of_rust);
        is_capture_site.then_some("stack is the capture site")
    }

    fn parts(
        self,
        component: &Component<'_>,
        (value, mechanism): (&str, Option<&Mechanism>),
    ) -> Vec<Item> {
        let is_synthetic = mechanism.is_some_and(|mechanism| mechanism.synthetic);
        let has_window = !component.window.is_empty();
        let mut parts = Vec::new();
        if !(is_synthetic && has_window) {
            parts.push(item("type", &*component.kind));
        }
        let ns_error = mechanism.and_then(Mechanism::ns_error);
        if let Some((domain, code)) = &ns_error {
            parts.push(item("ns", format!("{domain}/{code}")));
        }
        for code in component.window() {
            parts.push(item("frame", format!("{}|{}", code.place(), code.function)));
        }
        let mut inner = component.window().rev();
        if let Some(crash) = inner.next().filter(|crash| crash.has_source()) {
            let source = crash.source();
            let caller = inner.next().filter(|caller| caller.has_source());
            let caller = caller.filter(|_| tables::RAISES.is_match(&source));
            parts.push(item("source", source));
            parts.extend(caller.map(|caller| item("caller", caller.source())));
        }
        if component.message_needed.is_some() && ns_error.is_none() {
            let skeleton = message::skeleton(value, self.family);
            if !skeleton.is_empty() {
                parts.push(item("message", skeleton));
            } else if !has_window {
                parts.push(item("type", &*component.kind));
            }
        }
        parts
    }
}
