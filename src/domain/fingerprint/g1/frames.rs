//! What identifies the code of a frame, and whether the frame takes part at all.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::family::Family;
use super::names::{self, jvm};
use super::path::{self, PAGE, first_of, slashed};
use super::tables;
use crate::domain::event::{Event, Frame};
use crate::domain::fingerprint::rules::{FrameRules, Stack};

/// Only so many frames are read, from the crash outwards.
pub(super) const MOST_FRAMES: usize = 250;

/// The longest source line that takes part, in characters.
const MOST_LINE_CHARS: usize = 200;

/// A longer source line, in characters, is that of a minified program.
const MOST_WRITTEN_LINE_CHARS: usize = 300;

/// What bundlers leave where they cut a line.
const SNIP: &str = "{snip}";

/// The code of a frame. What only frames that take part need is found when it is asked for.
#[derive(Debug, Clone)]
pub(super) struct FrameCode<'a> {
    /// The frame as reported.
    pub(super) frame: &'a Frame,
    family: Family,
    /// Where the code is, once it is known.
    place: OnceCell<Cow<'a, str>>,
    /// The function.
    pub(super) function: Cow<'a, str>,
    /// The name does not tell one piece of code from another.
    pub(super) is_weak: bool,
    /// The program is minified here and no source map helped.
    pub(super) is_minified: bool,
    /// Why the frame never takes part.
    pub(super) dropped: Option<Cow<'a, str>>,
    /// Whether it is the application's own code.
    pub(super) in_app: bool,
    /// What said so.
    pub(super) why_in_app: Cow<'a, str>,
    /// The source line as reported; empty when it takes no part.
    line: &'a str,
}

impl<'a> FrameCode<'a> {
    /// Where the code is: a module or a short path.
    pub(super) fn place(&self) -> &str {
        self.place.get_or_init(|| path::short_path(self.frame, self.family).into())
    }

    fn set_place(&mut self, place: impl Into<Cow<'a, str>>) {
        self.place = OnceCell::from(place.into());
    }

    /// What tells it from other frames.
    pub(super) fn key(&self) -> (&str, &str) {
        (self.place(), &self.function)
    }

    /// Whether it names any code.
    pub(super) fn has_identity(&self) -> bool {
        !self.function.is_empty() || !self.place().is_empty()
    }

    /// Whether its source line takes part.
    pub(super) fn has_source(&self) -> bool {
        !self.line.is_empty()
    }

    /// The source line with single spaces; empty when it takes no part.
    pub(super) fn source(&self) -> String {
        folded(self.line)
    }

    /// Leaves out what changes from build to build where nothing else is known.
    pub(super) fn forget_numbers(&mut self) {
        if self.place().contains(char::is_numeric) {
            self.set_place(without_digits(self.place()));
        }
    }
}

/// Every run of digits becomes `#`.
fn without_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_numeric() {
            out.push(character);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}

/// The code of a stack's frames, outermost first.
pub(super) fn read<'a>(
    frames: &'a [Frame],
    (event, family): (&Event, Family),
    rules: &'a FrameRules,
) -> Vec<FrameCode<'a>> {
    let start = frames.len().saturating_sub(MOST_FRAMES);
    let frames = frames.get(start..).unwrap_or_default();
    let mut codes: Vec<FrameCode<'a>> =
        frames.iter().map(|frame| read_frame(frame, family)).collect();
    if !rules.is_empty() {
        let said: Vec<bool> = codes.iter().map(|code| code.in_app).collect();
        let verdicts =
            rules.judge(&Stack { event, frames, in_app: &said, family: family.as_str() });
        for (code, verdict) in codes.iter_mut().zip(verdicts) {
            if let Some((in_app, rule)) = verdict.in_app {
                (code.in_app, code.why_in_app) = (in_app, rule.into());
            }
            match verdict.groups {
                Some((false, rule)) => code.dropped = Some(rule.into()),
                Some((true, _)) if code.has_identity() => code.dropped = None,
                Some((true, _)) | None => {}
            }
        }
    }
    codes
}

fn read_frame(frame: &Frame, of_event: Family) -> FrameCode<'_> {
    let own = frame.platform.as_deref().map(Family::of);
    let family = own.filter(|family| *family != Family::Other).unwrap_or(of_event);
    let path = slashed(first_of(&[&frame.abs_path, &frame.filename, &frame.module]));
    let name = names::name(frame, family, &path);
    let (in_app, why_in_app) = in_app(frame, family);
    let place = if !name.module.is_empty() {
        Some(name.module)
    } else if !name.is_qualified || (family == Family::Php && name.is_weak) {
        None
    } else {
        Some("".into())
    };
    let is_obfuscated = family == Family::Jvm && place.as_deref().is_some_and(jvm::is_obfuscated);
    let mut code = FrameCode {
        frame,
        family,
        place: place.map_or_else(OnceCell::new, OnceCell::from),
        function: name.function,
        is_weak: name.is_weak,
        is_minified: is_minified(frame, family),
        dropped: None,
        in_app,
        why_in_app: why_in_app.into(),
        line: source_line(frame, family),
    };
    if code.is_minified {
        code.is_weak = true;
        code.line = "";
        let is_noise = code.function.chars().count() < 5
            || tables::JS_MINIFIED_NAMES.contains(&&*code.function);
        if is_noise {
            code.function = "".into();
            code.set_place("");
        }
    }
    if is_obfuscated {
        code.is_weak = true;
        code.function = "".into();
        code.set_place("");
    }
    if family == Family::Native && !code.has_identity() {
        code.set_place(offset(frame).unwrap_or_default());
    }
    let why_not = name.dropped.or_else(|| is_nameless(&code, family).then_some("no identity"));
    code.dropped = why_not.map(Cow::Borrowed);
    code
}

/// Whether neither function nor place say which code it is.
fn is_nameless(code: &FrameCode<'_>, family: Family) -> bool {
    if !code.function.is_empty() {
        return false;
    }
    let has_line = code.has_source();
    let place_is_enough = matches!(family, Family::Js | Family::Native) || !code.is_weak;
    let place = code.place();
    place.is_empty() || !(has_line || place_is_enough) || (place == PAGE && !has_line)
}

/// Whether a frame is the application's own code, and what says so.
fn in_app(frame: &Frame, family: Family) -> (bool, &'static str) {
    if is_in_library(frame) {
        return (false, "library path");
    }
    let module = frame.module.as_deref().unwrap_or_default();
    let of_library = match family {
        Family::Jvm => jvm::is_library(module),
        Family::Dotnet => tables::DOTNET_LIBRARY.is_match(module),
        Family::Python => tables::PYTHON_LIBRARY.is_match(module),
        Family::Go => tables::GO_LIBRARY.is_match(module),
        Family::Js | Family::Ruby | Family::Php | Family::Native | Family::Other => false,
    };
    if of_library {
        return (false, "library module");
    }
    let package = frame.package.as_deref().unwrap_or_default();
    let function = frame.function.as_deref().unwrap_or_default();
    if family == Family::Native {
        if tables::NATIVE_LIBRARY.is_match(function) {
            return (false, "library symbol");
        }
        if tables::SYSTEM_IMAGE.is_match(package) {
            return (false, "system image");
        }
    }
    match frame.in_app {
        Some(in_app) => (in_app, "the SDK says so"),
        None if family == Family::Native => {
            (!package.is_empty() || !function.is_empty(), "native code that is not the system's")
        }
        None => (true, "nothing says otherwise"),
    }
}

/// Whether the path is that of a library.
fn is_in_library(frame: &Frame) -> bool {
    let of_library = |path: &str| !path.is_empty() && tables::LIBRARY_PATH.is_match(&slashed(path));
    let file = frame.filename.as_deref().unwrap_or_default();
    let path = first_of(&[&frame.abs_path, &frame.filename]);
    if of_library(path) {
        return true;
    }
    // Where the path ends in the file, all of it was looked at, save that it begins there.
    let is_end = path.strip_suffix(file).is_some_and(|before| before.ends_with('/'));
    if is_end
        && file.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !file.contains(['\\', ':'])
    {
        return file.starts_with("internal/") || file.starts_with("native ");
    }
    file != path && of_library(file)
}

/// The source line as it takes part; empty when it does not.
fn source_line(frame: &Frame, family: Family) -> &str {
    let line = frame.context_line.as_deref().unwrap_or_default();
    let is_read = family.has_source_lines()
        && (line.len() <= MOST_LINE_CHARS || line.chars().count() <= MOST_LINE_CHARS)
        && !line.contains(SNIP);
    if is_read { line.trim() } else { "" }
}

/// A line with single spaces.
pub(super) fn folded(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for word in line.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn is_minified(frame: &Frame, family: Family) -> bool {
    if family != Family::Js || frame.is_mapped {
        return false;
    }
    let line = frame.context_line.as_deref().unwrap_or_default();
    let is_far_right =
        frame.colno.is_some_and(|column| column > 1_000) && frame.lineno.unwrap_or_default() < 50;
    is_far_right
        || line.contains(SNIP)
        || (line.len() > MOST_WRITTEN_LINE_CHARS && line.chars().count() > MOST_WRITTEN_LINE_CHARS)
}

/// `shop+1a2b`: the instruction's distance from the beginning of its binary.
fn offset(frame: &Frame) -> Option<String> {
    let package = frame.package.as_deref().filter(|package| !package.is_empty())?;
    if tables::SYSTEM_IMAGE.is_match(package) {
        return None;
    }
    let address = |text: &Option<String>| {
        let text = text.as_deref()?.trim();
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        u64::from_str_radix(hex, 16).ok()
    };
    let offset = address(&frame.instruction_addr)?.checked_sub(address(&frame.image_addr)?)?;
    let binary = package.rsplit(['/', '\\']).next().unwrap_or(package).to_lowercase();
    (offset < 1 << 40).then(|| format!("{binary}+{offset:x}"))
}

/// Collapses direct repeats of frames and of cycles of up to eight: one turn is kept.
pub(super) fn without_repeats(codes: &[FrameCode<'_>], indices: Vec<usize>) -> Vec<usize> {
    const LONGEST_CYCLE: usize = 8;
    let same = |one: &usize, other: &usize| {
        codes.get(*one).map(FrameCode::key) == codes.get(*other).map(FrameCode::key)
    };
    let mut kept: Vec<usize> = Vec::with_capacity(indices.len());
    for index in indices {
        kept.push(index);
        for period in 1..=LONGEST_CYCLE {
            let Some(start) = kept.len().checked_sub(2 * period) else { break };
            let (before, after) = (start..start + period, start + period..kept.len());
            let turns = kept.get(before.clone()).zip(kept.get(after));
            let is_repeated = turns
                .is_some_and(|(before, after)| before.iter().zip(after).all(|(a, b)| same(a, b)));
            if is_repeated {
                kept.drain(before);
                break;
            }
        }
    }
    kept
}
