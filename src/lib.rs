//! Airlock: a self-hosted error tracker that closes the loop from crash to deploy.
//!
//! # The life of an event
//!
//! An application crashes, and its SDK sends a report to [`intake`]. Intake finds the DSN key among
//! those [`auth`] keeps in memory, asks the [`spool`] for room, takes the body apart while it
//! arrives ([`protocol::envelope`]), appends the event's bytes to the spool, and answers when they
//! are on disk. It has not looked into the event, and it has not asked the store.
//!
//! [`digest`] takes a batch from the spool. Each report is parsed and normalised into a
//! [`domain::event::Event`] by [`protocol::sentry`], gets its [`domain::fingerprint`] and its
//! [`domain::title`]. The batch is folded per issue: [`domain::lifecycle`] says for each event what
//! it means (new, known, muted, a regression) and what changes. One transaction of the [`store`]
//! writes it all: events, the hashes that lead to issues, issues, counters, activity, and the
//! effects that must happen outside, in the outbox. Then the spool may forget the bytes.
//!
//! A person lists issues with the [`cli`], which speaks to the [`api`] like any script. What people
//! do (resolve, mute, merge) goes through [`triage`], to the same `domain` and the same `store`.
//!
//! [`app`] makes all of these, starts them and stops them; [`clock`] is the only one who knows what
//! time it is.
//!
//! The modules below are in reading order: first the rules, then what they are fed by, then the use
//! cases, then the edges. `ARCHITECTURE.md` says who may know whom, and a test keeps it so.

pub mod domain;

pub mod clock;
pub mod file_lock;
pub mod git;
pub mod health;
pub mod protocol;
pub mod spool;
pub mod store;

pub mod auth;
pub mod digest;
pub mod journal;
pub mod outbox;
pub mod outcomes;
pub mod project;
pub mod release;
pub mod retention;
pub mod tracker;
pub mod triage;

pub mod api;
pub mod cli;
pub mod intake;

pub mod app;
pub mod config;
