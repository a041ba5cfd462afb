//! Airlock from the outside, and guards over its source tree.

#![expect(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and says why; what it needs is in the environment that ./test makes"
)]

mod airbrake;
mod api;
mod buried;
mod corpus;
mod counting;
mod demo;
mod deploy_command;
mod deploys;
mod error_codes;
mod faults;
mod filing;
mod first_crash;
mod git;
mod grouping;
mod hostile;
mod intake;
mod key_rules;
mod outbox;
mod privacy;
mod readme;
mod retention;
mod schema;
mod sdks;
mod security_reports;
mod service;
mod support;
mod tasks;
mod tidy;
mod trackers;
mod triage;
mod tunnel;
