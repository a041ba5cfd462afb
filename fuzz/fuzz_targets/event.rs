//! The JSON of Sentry events.

#![no_main]

use airlock_fuzz::protocol::sentry::parse_event;
use airlock_fuzz::{check, received};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = parse_event(data, &received()) {
        check(event);
    }
});
