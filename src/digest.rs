//! Spool → issues.
//!
//! A batch is taken from the spool, parsed and fingerprinted on all cores ([`prepare`]), folded per
//! issue in memory ([`fold`]), and committed in one transaction for each project ([`commit`]): at
//! most one update for each issue and batch, so that a hot issue costs a few row writes a second,
//! not one for each event. [`Digest::step`] does all of it; a spool record is acknowledged only
//! after the commit.
//!
//! *Invariants*: replaying a batch changes nothing, because (project, event id) is unique and
//! looked up first; one poisonous item costs its neighbours nothing: it is set aside ([`bury`])
//! with its bytes and the reason; while the store is away the batch waits and nothing is lost.

mod bodies;
mod builds;
pub mod bury;
pub mod commit;
mod crew;
pub mod fold;
pub mod prepare;
pub mod resolve;
pub mod rules;
mod worker;

pub use bodies::Bodies;
pub use worker::{Digest, Limits, StepError};
