//! The rules of the product: plain functions over plain data.
//!
//! Everything that decides something lives here: what an event is called, which events are one
//! issue, what an occurrence means for the issue it belongs to. All other modules fetch facts, ask
//! here, and write down the answer.
//!
//! *Invariant*: no I/O, no `async`, no SQL, no HTTP, no clock and no randomness. Time and ids are
//! arguments. This module imports nothing from the rest of the crate.
//!
//! To add a rule: a file with its types and one pure function, examples as table tests, and a
//! property test for what must hold for every input.

pub mod build;
pub mod commit;
pub mod commit_field;
pub mod containment;
pub mod deploy;
pub mod effect;
pub mod event;
pub mod event_counts;
pub mod filing;
pub mod fingerprint;
pub mod fix;
pub mod flag;
pub mod freeze;
pub mod gate;
pub mod history;
pub mod id;
pub mod issue;
pub mod lifecycle;
pub mod lock;
pub mod network;
pub mod origin;
pub mod outcome;
pub mod project;
pub mod rate;
pub mod release;
pub mod remote;
pub mod repository;
pub mod sampling;
pub mod scrub;
pub mod sighting;
pub mod stack;
pub mod submission;
pub mod tag_counts;
pub mod task;
pub mod text;
pub mod time;
pub mod title;
pub mod token;
pub mod tracker;
pub mod user_sketch;
