//! The threads at the time of the crash.

use super::super::budget::Budget;
use super::super::json::Object;
use super::super::lenient;
use super::frames::{self, Stacks};
use crate::domain::event::Thread;

/// Threads of one event; the crashed and the current one are always among them.
const MOST_THREADS: usize = 64;

/// Characters of a thread's id and name.
const MOST_NAME_CHARS: usize = 128;

/// Bytes for all threads, without their frames.
const THREADS_BYTES: usize = 16 * 1024;

/// Reads the threads, without source lines and variables; with what is not read of each.
pub(super) fn threads<'a>(
    payload: &mut Object<'a>,
    stacks: &mut Stacks,
    budget: &mut Budget,
) -> (Vec<Thread>, Vec<frames::Unread<'a>>) {
    let Some(claimed) = lenient::take(payload, "threads") else { return Default::default() };
    let Some(claimed) = lenient::list(claimed, "values") else {
        budget.mistyped("threads", "an object or a list");
        return Default::default();
    };
    let mut raw: Vec<(usize, Object<'a>)> =
        claimed.into_iter().filter_map(lenient::object).enumerate().collect();
    if raw.len() > MOST_THREADS {
        budget.note(format!(
            "threads: {} left out, an event has at most {MOST_THREADS}",
            raw.len().saturating_sub(MOST_THREADS)
        ));
    }
    // Those that tell about the crash get the room first; afterwards the order is as sent.
    raw.sort_by_key(|(_, thread)| !tells_about_the_crash(thread));
    raw.truncate(MOST_THREADS);

    let mut room = budget.open("threads", THREADS_BYTES);
    let mut kept = Vec::with_capacity(raw.len());
    for (position, mut raw) in raw {
        let raw = &mut raw;
        if room.is_full() || !room.pay("frames", 2) {
            break;
        }
        let (frames, unread) = frames::take_stack(raw, stacks, budget);
        let thread = Thread {
            id: room.take(raw, "id", MOST_NAME_CHARS),
            name: room.take(raw, "name", MOST_NAME_CHARS),
            crashed: room.take_flag(raw, "crashed").unwrap_or_default(),
            current: room.take_flag(raw, "current").unwrap_or_default(),
            frames,
        };
        if thread != Thread::default() {
            kept.push((position, thread, unread));
        }
    }
    budget.close(room);
    kept.sort_by_key(|(position, ..)| *position);
    kept.into_iter().map(|(_, thread, unread)| (thread, unread)).unzip()
}

/// Reads the source lines and variables of the threads' frames.
pub(super) fn read_details(
    threads: &mut [Thread],
    unread: Vec<frames::Unread<'_>>,
    stacks: &mut Stacks,
) {
    let mut all: Vec<_> = threads.iter_mut().zip(unread).collect();
    all.sort_by_key(|(thread, _)| !(thread.crashed || thread.current));
    for (thread, unread) in all {
        frames::read_details(&mut thread.frames, unread, stacks);
    }
}

fn tells_about_the_crash(thread: &Object<'_>) -> bool {
    ["crashed", "current"]
        .iter()
        .any(|key| thread.get(key).and_then(lenient::flag).unwrap_or_default())
}
