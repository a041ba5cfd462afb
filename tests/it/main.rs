//! Airlock from the outside, and guards over its source tree.

#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a test may panic, and says why"
)]

mod corpus;
mod first_crash;
mod intake;
mod support;
mod tidy;
