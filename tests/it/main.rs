//! Airlock from the outside, and guards over its source tree.

#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a test may panic, and says why"
)]

mod api;
mod buried;
mod counting;
mod error_codes;
mod first_crash;
mod support;
mod tidy;
mod triage;
