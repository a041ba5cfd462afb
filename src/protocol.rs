//! Bytes on the wire → [`crate::domain::event::Event`].
//!
//! Two halves. What intake needs to take a request (encodings, envelopes, keys) looks at framing
//! only; what digest needs to understand a report (the event's JSON) runs later, on all cores.
//!
//! *Invariants*: no I/O; no panic on any bytes; memory is bounded by named limits while decoding;
//! only what cannot be an event is an error, everything else becomes a note.
//!
//! To add a protocol: a module with one function from bytes to an event, its limits as documented
//! constants, and examples taken from real clients.

pub mod airbrake;
pub mod auth;
pub mod budget;
pub mod client_report;
pub mod dsn;
pub mod encoding;
pub mod envelope;
pub mod hoptoad;
pub mod json;
pub mod lenient;
pub mod report;
pub mod security;
pub mod sentry;
pub mod skim;
pub mod understand;
