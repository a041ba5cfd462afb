//! Airlock from the outside, and guards over its source tree.

#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a test may panic, and says why"
)]

mod faults;
mod first_crash;
mod readme;
mod sdks;
mod support;
mod tidy;
