//! Stacks: which frames are kept, and what of them.

use super::super::budget::{Budget, Room};
use super::super::json::{Json, Object};
use super::super::lenient;
use crate::domain::event::Frame;

/// Frames of one stack; of a longer one (endless recursion) the middle is left out. So many from
/// the crash outwards are all that grouping reads, and a few of the outer end.
pub(super) const MOST_FRAMES: usize = 300;

/// Of a stack that is too long, so many are kept from its outer end: where it started.
const OUTERMOST_FRAMES: usize = 50;

/// Characters of a function's or module's name.
const MOST_NAME_CHARS: usize = 512;

/// Characters of a path; longer ones are addresses with data in them.
const MOST_PATH_CHARS: usize = 1024;

/// Characters of a platform or an instruction's address.
const MOST_WORD_CHARS: usize = 64;

/// Characters of one source line; longer ones are minified.
const MOST_LINE_CHARS: usize = 512;

/// Source lines before and after the frame's own, each.
const MOST_LINES: usize = 10;

/// Bytes for all frames of an event, without source lines and variables.
const FRAMES_BYTES: usize = 80 * 1024;

/// Bytes for the source lines of all frames.
const SOURCE_BYTES: usize = 24 * 1024;

/// Bytes for the local variables of all frames.
const VARIABLES_BYTES: usize = 24 * 1024;

/// The room that all stacks of an event share.
///
/// Stacks are read from the inside out, so that frames near the crash keep their source and
/// variables when there is not enough for all.
#[derive(Debug)]
pub(super) struct Stacks {
    frames: Room,
    source: Room,
    variables: Room,
}

impl Stacks {
    pub(super) fn open(budget: &mut Budget) -> Self {
        Self {
            frames: budget.open("frames", FRAMES_BYTES),
            source: budget.open("source lines", SOURCE_BYTES),
            variables: budget.open("local variables", VARIABLES_BYTES),
        }
    }

    pub(super) fn close(self, budget: &mut Budget) {
        budget.close(self.frames);
        budget.close(self.source);
        budget.close(self.variables);
    }
}

/// What was sent with each frame of a stack and is not read yet; `None` when all of it is.
pub(super) type Unread<'a> = Vec<Option<Object<'a>>>;

/// Takes the frames of `owner.stacktrace`, outermost first, each with its source line, without the
/// lines around it and variables.
pub(super) fn take_stack<'a>(
    owner: &mut Object<'a>,
    stacks: &mut Stacks,
    budget: &mut Budget,
) -> (Vec<Frame>, Unread<'a>) {
    let Some(stacktrace) = lenient::take(owner, "stacktrace") else { return Default::default() };
    let Some(mut frames) = lenient::list(stacktrace, "frames") else {
        budget.mistyped("stacktrace", "an object with frames");
        return Default::default();
    };
    if let Some(n_excess) = frames.len().checked_sub(MOST_FRAMES).filter(|excess| *excess > 0) {
        let n_frames = frames.len();
        let end = OUTERMOST_FRAMES.saturating_add(n_excess);
        frames.drain(OUTERMOST_FRAMES..end);
        budget.note(format!("{n_excess} of {n_frames} frames left out in the middle of a stack"));
    }
    let (mut kept, mut unread): (Vec<Frame>, Unread<'a>) = frames
        .into_iter()
        .rev()
        .filter_map(lenient::object)
        .map_while(|frame| read_frame(frame, stacks))
        .filter(|(frame, _)| *frame != Frame::default())
        .unzip();
    kept.reverse();
    unread.reverse();
    (kept, unread)
}

/// Reads the lines around the source lines, and the variables, of a stack's frames.
pub(super) fn read_details(frames: &mut [Frame], unread: Unread<'_>, stacks: &mut Stacks) {
    for (frame, raw) in frames.iter_mut().zip(unread).rev() {
        if let Some(mut raw) = raw {
            read_details_of(frame, &mut raw, stacks);
        }
    }
}

/// `None` when there is no room for it.
fn read_frame<'a>(
    mut sent: Object<'a>,
    stacks: &mut Stacks,
) -> Option<(Frame, Option<Object<'a>>)> {
    let raw = &mut sent;
    let Stacks { frames: room, source, .. } = stacks;
    if room.is_full() || !room.pay("", 0) {
        return None;
    }
    let mut frame = Frame {
        function: room.take(raw, "function", MOST_NAME_CHARS),
        module: room.take(raw, "module", MOST_NAME_CHARS),
        filename: room.take(raw, "filename", MOST_PATH_CHARS),
        lineno: room.take_integer(raw, "lineno"),
        colno: room.take_integer(raw, "colno"),
        in_app: room.take_flag(raw, "in_app"),
        abs_path: room.take(raw, "abs_path", MOST_PATH_CHARS),
        package: room.take(raw, "package", MOST_PATH_CHARS),
        platform: room.take(raw, "platform", MOST_WORD_CHARS),
        instruction_addr: room.take(raw, "instruction_addr", MOST_WORD_CHARS),
        image_addr: room.take(raw, "image_addr", MOST_WORD_CHARS),
        is_mapped: is_mapped(raw),
        context_line: take_line(raw, source),
        ..Frame::default()
    };
    if frame != Frame::default() {
        return Some((frame, Some(sent)));
    }
    // Whether it is a frame at all depends on the rest.
    read_details_of(&mut frame, raw, stacks);
    Some((frame, None))
}

fn read_details_of(frame: &mut Frame, raw: &mut Object<'_>, stacks: &mut Stacks) {
    let Stacks { source, variables, .. } = stacks;
    frame.pre_context = take_lines(raw, "pre_context", source);
    frame.post_context = take_lines(raw, "post_context", source);
    frame.vars = variables.take_object(raw, "vars");
}

/// Whether somebody applied a source map before us.
fn is_mapped(raw: &mut Object<'_>) -> bool {
    let Some(Json::Object(data)) = lenient::take(raw, "data") else { return false };
    data.get("sourcemap").is_some_and(|map| !map.is_null())
}

/// The line itself may be empty.
fn take_line(raw: &mut Object<'_>, room: &mut Room) -> Option<String> {
    let line = lenient::take(raw, "context_line").and_then(lenient::text)?;
    room.keep("context_line", line, MOST_LINE_CHARS)
}

fn take_lines(raw: &mut Object<'_>, name: &str, room: &mut Room) -> Vec<String> {
    let Some(Json::List(mut lines)) = lenient::take(raw, name) else { return Vec::new() };
    if name == "pre_context" {
        // The nearest are the last.
        lines.drain(..lines.len().saturating_sub(MOST_LINES));
    }
    lines.truncate(MOST_LINES);
    // A null stands for a line beyond the end of the file.
    if lines.iter().all(Json::is_null) || !room.pay(name, 2) {
        return Vec::new();
    }
    lines
        .into_iter()
        .map_while(|line| room.keep("", lenient::text(line).unwrap_or_default(), MOST_LINE_CHARS))
        .collect()
}
