//! A project's own rules: what is one issue, and which frames are the application's.
//!
//! One language, two lists. A fingerprint rule says what events that match are grouped by; the first
//! that matches decides. A frame rule says of frames that match whether they are the application's
//! own, and whether they take part; the last that matches decides.
//!
//! ```text
//! type:ConnectionError tags.region:eu-* -> connection-lost, {{ tags.region }} title="Connection lost"
//! path:**/generated/** -app -group
//! ```
//!
//! The text is kept as it was written, and read when it is saved and when it is used.

mod glob;
mod parse;

use self::glob::Glob;
use super::super::event::{Event, Frame};

/// Rules in one list.
pub const MOST_RULES: usize = 200;

/// Bytes of one list.
pub const MOST_TEXT_BYTES: usize = 32 * 1024;

/// Conditions of one rule.
pub const MOST_MATCHERS: usize = 20;

/// What is wrong with a rule, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct RuleError {
    /// The line, from 1.
    pub line: usize,
    /// The character, from 1.
    pub column: usize,
    /// What is wrong there, and what to do.
    pub message: String,
}

/// A part of a frame that a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKey {
    Path,
    Module,
    Function,
    Package,
    App,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Type,
    Value,
    Message,
    Logger,
    Level,
    Platform,
    Release,
    Environment,
    Transaction,
    Tag(String),
    /// The frame in question.
    Frame(FrameKey),
    /// Any frame of the stack.
    AnyFrame(FrameKey),
}

/// A condition.
#[derive(Debug, Clone)]
struct Matcher {
    key: Key,
    is_negated: bool,
    glob: Glob,
}

/// A frame that is judged.
struct Judged<'a> {
    frame: &'a Frame,
    in_app: bool,
    /// With `/` for every separator, as they are and from the root.
    paths: Vec<String>,
}

impl<'a> Judged<'a> {
    fn new((frame, in_app): (&'a Frame, bool)) -> Self {
        let mut paths: Vec<String> = Vec::new();
        for path in [&frame.abs_path, &frame.filename].into_iter().flatten() {
            let path = path.replace('\\', "/");
            if !path.starts_with('/') {
                paths.push(format!("/{path}"));
            }
            paths.push(path);
        }
        paths.dedup();
        Self { frame, in_app, paths }
    }
}

/// A stack that is judged, and the event it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Stack<'a> {
    /// The event.
    pub event: &'a Event,
    /// The family of its platform.
    pub family: &'a str,
    /// The frames, outermost first.
    pub frames: &'a [Frame],
    /// Of each frame, whether it is the application's own.
    pub in_app: &'a [bool],
}

impl Stack<'_> {
    fn frames(&self) -> Vec<Judged<'_>> {
        self.frames.iter().zip(self.in_app.iter().copied()).map(Judged::new).collect()
    }
}

impl Matcher {
    /// Whether an event matches; for a frame's part any frame will do.
    fn matches(&self, stack: &Stack<'_>, frames: &[Judged<'_>]) -> bool {
        let event = stack.event;
        let text =
            |text: &Option<String>| text.as_deref().is_some_and(|text| self.glob.matches(text));
        let found = match &self.key {
            Key::Type => event.exceptions.iter().any(|exception| text(&exception.kind)),
            Key::Value => event.exceptions.iter().any(|exception| text(&exception.value)),
            Key::Message => {
                event.exceptions.iter().any(|exception| text(&exception.value))
                    || event.message_text().is_some_and(|text| self.glob.matches(text))
            }
            Key::Logger => text(&event.logger),
            Key::Level => self.glob.matches(event.level.as_str()),
            Key::Platform => self.glob.matches(&event.platform) || self.glob.matches(stack.family),
            Key::Release => text(&event.release),
            Key::Environment => self.glob.matches(&event.environment),
            Key::Transaction => text(&event.transaction),
            Key::Tag(name) => event.tags.get(name).is_some_and(|value| self.glob.matches(value)),
            Key::Frame(key) | Key::AnyFrame(key) => {
                frames.iter().any(|frame| self.glob_matches(*key, frame))
            }
        };
        found != self.is_negated
    }

    fn matches_frame(&self, key: FrameKey, frame: &Judged<'_>) -> bool {
        self.glob_matches(key, frame) != self.is_negated
    }

    fn glob_matches(&self, key: FrameKey, judged: &Judged<'_>) -> bool {
        let frame = judged.frame;
        let text =
            |text: &Option<String>| text.as_deref().is_some_and(|text| self.glob.matches(text));
        match key {
            FrameKey::Path => judged.paths.iter().any(|path| self.glob.matches(path)),
            FrameKey::Module => text(&frame.module),
            FrameKey::Function => text(&frame.function),
            FrameKey::Package => text(&frame.package),
            FrameKey::App => self.glob.matches(if judged.in_app { "yes" } else { "no" }),
        }
    }
}

/// Conditions that must all hold.
#[derive(Debug, Clone, Default)]
struct Matchers {
    of_event: Vec<Matcher>,
    of_frame: Vec<(FrameKey, Matcher)>,
}

impl Matchers {
    fn matches_event(&self, stack: &Stack<'_>, frames: &[Judged<'_>]) -> bool {
        self.of_event.iter().all(|matcher| matcher.matches(stack, frames))
    }

    fn matches_frame(&self, frame: &Judged<'_>) -> bool {
        self.of_frame.iter().all(|(key, matcher)| matcher.matches_frame(*key, frame))
    }
}

/// What events that match are grouped by.
#[derive(Debug, Clone)]
pub struct FingerprintRule {
    matchers: Matchers,
    /// The parts of the fingerprint; `{{ type }}` and the like stand for values of the event.
    pub values: Vec<String>,
    /// What issues are called that it makes.
    pub title: Option<String>,
    /// The rule as written.
    pub text: String,
}

/// The fingerprint rules of a project.
#[derive(Debug, Clone, Default)]
pub struct FingerprintRules {
    rules: Vec<FingerprintRule>,
}

impl FingerprintRules {
    /// Reads rules.
    ///
    /// # Errors
    /// [`RuleError`] at the first place that makes no sense.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        parse::list(text, parse::fingerprint_rule).map(|rules| Self { rules })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first rule that an event matches. Conditions on frames must all hold for one frame.
    #[must_use]
    pub fn find(&self, stack: &Stack<'_>) -> Option<&FingerprintRule> {
        let frames = stack.frames();
        self.rules.iter().find(|rule| {
            rule.matchers.matches_event(stack, &frames)
                && (rule.matchers.of_frame.is_empty()
                    || frames.iter().any(|frame| rule.matchers.matches_frame(frame)))
        })
    }
}

/// How far an action reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Frame,
    /// The frame and all it called.
    TowardsCrash,
    /// The frame and all that called it.
    TowardsEntry,
}

/// What an action decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    InApp(bool),
    Groups(bool),
}

/// Which frames are the application's own, and which take part.
#[derive(Debug, Clone)]
struct FrameRule {
    matchers: Matchers,
    actions: Vec<(Reach, Decision)>,
    text: String,
}

/// What rules say of a frame, each with the rule that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameVerdict<'a> {
    /// Whether it is the application's own.
    pub in_app: Option<(bool, &'a str)>,
    /// Whether it takes part.
    pub groups: Option<(bool, &'a str)>,
}

/// The frame rules of a project.
#[derive(Debug, Clone, Default)]
pub struct FrameRules {
    rules: Vec<FrameRule>,
}

impl FrameRules {
    /// Reads rules.
    ///
    /// # Errors
    /// [`RuleError`] at the first place that makes no sense.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        parse::list(text, parse::frame_rule).map(|rules| Self { rules })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the rules say of each frame of a stack. `app:` looks at what earlier rules said.
    #[must_use]
    pub fn judge<'a>(&'a self, stack: &Stack<'_>) -> Vec<FrameVerdict<'a>> {
        let mut verdicts = vec![FrameVerdict::default(); stack.frames.len()];
        let mut frames = stack.frames();
        for rule in &self.rules {
            if !rule.matchers.matches_event(stack, &frames) {
                continue;
            }
            let matched: Vec<usize> = frames
                .iter()
                .enumerate()
                .filter(|(_, frame)| rule.matchers.matches_frame(frame))
                .map(|(index, _)| index)
                .collect();
            let (Some(outermost), Some(innermost)) = (matched.first(), matched.last()) else {
                continue;
            };
            for (reach, decision) in &rule.actions {
                let is_reached = |index: usize| match reach {
                    Reach::Frame => matched.binary_search(&index).is_ok(),
                    Reach::TowardsCrash => index >= *outermost,
                    Reach::TowardsEntry => index <= *innermost,
                };
                let reached =
                    verdicts.iter_mut().enumerate().filter(|(index, _)| is_reached(*index));
                for (_, verdict) in reached {
                    match decision {
                        Decision::InApp(is_own) => verdict.in_app = Some((*is_own, &rule.text)),
                        Decision::Groups(groups) => verdict.groups = Some((*groups, &rule.text)),
                    }
                }
            }
            for (frame, verdict) in frames.iter_mut().zip(&verdicts) {
                frame.in_app = verdict.in_app.map_or(frame.in_app, |(in_app, _)| in_app);
            }
        }
        verdicts
    }
}
