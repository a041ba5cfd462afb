//! Which frames of a stack say where the fault is.

use super::event::{Event, Exception, Frame};

/// Functions that raise, catch or report a crash, by the beginning of their names: they stand on
/// the stack of every crash of their runtime and say nothing about this one, whatever the SDK marks
/// as the application's.
/// Source: stacks of the `sentry` crate 0.49, whose panic hook is the innermost frame.
const MACHINERY: &[&str] = &[
    "__libc_start",
    "__pthread_kill",
    "__rust_",
    "__rustc::",
    "__scrt_common_main",
    "backtrace::",
    "core::ops::function::",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::panicking::",
    "core::result::unwrap_failed",
    "core::slice::index::",
    "core::str::slice_error_fail",
    "dyn core::ops::function::",
    "rust_panic",
    "sentry::",
    "sentry_backtrace::",
    "sentry_core::",
    "sentry_panic::",
    "std::backtrace",
    "std::panic",
    "std::rt::",
    "std::sys::backtrace::",
    "std::sys_common::",
];

/// Such functions by their whole names.
const MACHINERY_NAMES: &[&str] = &["_start", "abort", "raise", "rust_begin_unwind"];

/// Whether the frame only raises, catches or reports.
fn is_machinery(frame: &Frame) -> bool {
    frame.function.as_deref().is_some_and(|function| {
        let function = function.trim_start_matches(['<', '&']);
        MACHINERY_NAMES.contains(&function)
            || MACHINERY.iter().any(|beginning| function.starts_with(beginning))
    })
}

/// Whether the frame names any code at all.
fn has_identity(frame: &Frame) -> bool {
    let named = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    let is_known = frame.function.as_deref().is_some_and(is_function_name);
    is_known || named(&frame.module) || named(&frame.filename)
}

/// Whether a function's name is more than what SDKs write for "unknown": `<unknown>` in Rust, `?`
/// in JavaScript.
#[must_use]
pub fn is_function_name(name: &str) -> bool {
    let name = name.trim();
    !name.is_empty() && name != "<unknown>" && name != "?" && !name.ends_with(".?")
}

/// The frames of the application's own code that tell something.
///
/// Where an SDK marks some frames as the application's, those it says nothing of are not: the
/// Python SDK leaves the standard library unmarked.
fn own(frames: &[Frame]) -> Vec<&Frame> {
    let useful = || frames.iter().filter(|frame| has_identity(frame) && !is_machinery(frame));
    let marked: Vec<&Frame> = useful().filter(|frame| frame.in_app == Some(true)).collect();
    if marked.is_empty() {
        useful().filter(|frame| frame.in_app.is_none()).collect()
    } else {
        marked
    }
}

/// The frames that can tell one error from another: the application's own, or all that name code
/// when none is the application's. Oldest call first.
#[must_use]
pub fn telling(frames: &[Frame]) -> Vec<&Frame> {
    let own = own(frames);
    if !own.is_empty() {
        return own;
    }
    let named = || frames.iter().filter(|frame| has_identity(frame));
    let useful: Vec<&Frame> = named().filter(|frame| !is_machinery(frame)).collect();
    if useful.is_empty() { named().collect() } else { useful }
}

/// The [`telling`] frames of an exception.
///
/// The SDK took the stack of a synthetic one itself, where it noticed: without a frame of the
/// application it shows the SDK and tells nothing.
#[must_use]
pub fn telling_of(exception: &Exception) -> Vec<&Frame> {
    if exception.is_synthetic() { own(&exception.frames) } else { telling(&exception.frames) }
}

/// The frame a person looks at first: the innermost of the [`telling`] ones.
#[must_use]
pub fn crash_frame(event: &Event) -> Option<&Frame> {
    match event.raised().filter(|raised| !raised.frames.is_empty()) {
        Some(raised) => telling_of(raised).last().copied(),
        None => telling(event.main_stack()).last().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Mechanism;
    use super::*;

    fn frame(function: &str, in_app: bool) -> Frame {
        Frame { function: Some(function.to_owned()), in_app: Some(in_app), ..Frame::default() }
    }

    fn names<'a>(frames: &[&'a Frame]) -> Vec<&'a str> {
        frames.iter().filter_map(|frame| frame.function.as_deref()).collect()
    }

    #[test]
    fn panic_machinery_tells_nothing_even_when_marked_as_own() {
        let stack = [
            frame("_start", false),
            frame("std::rt::lang_start", false),
            frame("checkout::total", true),
            frame("core::panicking::panic_bounds_check", false),
            frame("__rustc::rust_begin_unwind", true),
            frame("rust_begin_unwind", true),
            frame("sentry_panic::panic_handler", true),
        ];
        assert_eq!(names(&telling(&stack)), ["checkout::total"]);
    }

    #[test]
    fn without_own_frames_all_that_name_code_tell() {
        let stack =
            [frame("raise_for_status", false), frame("<unknown>", true), frame("abort", false)];
        assert_eq!(names(&telling(&stack)), ["raise_for_status"]);
        assert_eq!(names(&telling(&[frame("abort", true), frame("?", true)])), ["abort"]);
        assert!(telling(&[]).is_empty());
    }

    #[test]
    fn unmarked_frames_are_own_only_where_none_is_marked() {
        let unmarked = |function| Frame { in_app: None, ..frame(function, true) };
        let stack = [frame("checkout", true), unmarked("raw_decode")];
        assert_eq!(names(&telling(&stack)), ["checkout"]);
        let stack = [frame("dispatch", false), unmarked("checkout")];
        assert_eq!(names(&telling(&stack)), ["checkout"]);
    }

    #[test]
    fn a_stack_the_sdk_took_itself_tells_nothing_without_own_frames() {
        let synthetic = |frames| Exception {
            mechanism: Some(Mechanism { synthetic: true, ..Mechanism::default() }),
            frames,
            ..Exception::default()
        };
        let of_sdk = frame("sendUnhandledPromise", false);
        assert_eq!(names(&telling_of(&synthetic(vec![of_sdk.clone()]))), [""; 0]);
        let stack = vec![frame("syncStock", true), of_sdk];
        assert_eq!(names(&telling_of(&synthetic(stack))), ["syncStock"]);
    }
}
