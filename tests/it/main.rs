//! Airlock from the outside, and guards over its source tree.

#![expect(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and says why; what it needs is in the environment that ./test makes"
)]

mod corpus;
mod faults;
mod first_crash;
mod intake;
mod readme;
mod sdks;
mod service;
mod support;
mod tidy;
