//! Airbrake notices.

#![no_main]

use airlock_fuzz::protocol::airbrake::parse_notice;
use airlock_fuzz::{check, received};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = parse_notice(data, &received()) {
        check(event);
    }
});
