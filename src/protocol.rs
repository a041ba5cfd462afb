//! From the bytes on the wire to a [`domain::event::Event`](crate::domain::event::Event).
//!
//! Each protocol is a file with one entry: decoded bytes and what intake knows about their arrival
//! go in, an event comes out. Clients are taken as they are: a field of the wrong type is a field
//! that is absent, an unknown one is ignored, and only what cannot be an event at all is an error.
//! What is left out in a way its reader should know is said in the event's `notes`.
//!
//! Whatever comes in, the event that goes out is small: [`budget`] keeps its JSON below
//! [`budget::MOST_EVENT_BYTES`].
//!
//! *Invariant*: no I/O, no clock, no randomness, no HTTP type and no store. This module imports
//! `domain` and libraries. It does not judge an event, hide secrets in it or look anything up: that
//! is for those who come after.
//!
//! To add a protocol: a file with its `parse_…` function, built on [`json`], [`lenient`] and
//! [`budget`]; requests of its real clients in `tests/fixtures`; and a property test that no bytes
//! make it panic.

pub mod budget;
pub mod json;
pub mod lenient;
pub mod sentry;
