//! Airbrake notices of both versions, and what browsers report.

#![no_main]

use airlock_fuzz::protocol::{airbrake, hoptoad, security};
use airlock_fuzz::{check, received};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let notices = [airbrake::parse_notice, hoptoad::parse_notice];
    for event in notices.into_iter().filter_map(|parse| parse(data, &received()).ok()) {
        check(event);
    }
    // The key is looked for in whatever has arrived.
    let _ = hoptoad::key_in(data);
    let reports = security::split(data, &security::Surroundings::default());
    for payload in reports.map(|reports| reports.payloads).unwrap_or_default() {
        if let Ok(event) = security::parse_report(&payload, &received()) {
            check(event);
        }
    }
});
