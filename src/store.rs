//! SQL, and nothing but SQL: one file for each family of tables.
//!
//! One text serves both engines. `$1` placeholders, `RETURNING`, `ON CONFLICT` work in SQLite and
//! PostgreSQL alike, so a query is written once and run through `on!`; where the engines truly
//! differ (where many rows come from), both texts stand side by side, named `…_SQLITE` and
//! `…_POSTGRES`.
//!
//! *Invariants*: no rule lives here (the caller asks `domain` and hands over the answer); one
//! transaction touches one project; nothing here waits for anything but the database. Timestamps
//! are microseconds since the epoch.
//!
//! To add a query: a `const` with its text beside the function that runs it, an `impl Tx` function
//! named `find_` (an `Option`), `list_` (many), `insert_`, `update_`, `upsert_` or `delete_`. Name
//! the text in the file's `statements!`: a test prepares every such text on both engines.

pub mod activity;
mod alone;
pub mod batch;
mod batch_events;
mod batch_issues;
pub mod body;
pub mod built_in;
pub mod buried;
mod connect;
pub mod counters;
pub mod deploy;
pub mod error;
pub mod event;
pub mod filing;
pub mod fix;
pub mod freeze;
mod gate;
pub mod hook;
pub mod issue;
pub mod key;
pub mod lease;
pub mod lock;
pub mod merge;
pub mod outbox;
pub mod outcome;
mod output;
pub mod patch;
pub mod project;
pub mod release;
pub mod repository;
pub mod retention;
mod rows;
pub mod rules;
pub mod similar;
pub mod submitted;
pub mod task;
pub mod token;
pub mod tracker;
mod tx;
pub mod unmerge;
pub mod unsettled;
pub mod users;

pub use alone::InUse;
pub use connect::{InvalidLocation, Location, Store};
pub use error::StoreError;
pub use tx::Tx;

/// Every statement: its file, its name, its text. For the test that prepares them.
#[doc(hidden)]
#[must_use]
pub fn statements() -> Vec<(&'static str, &'static str, &'static str)> {
    let files = [
        ("activity", activity::STATEMENTS),
        ("batch", batch::STATEMENTS),
        ("batch_events", batch_events::STATEMENTS),
        ("batch_issues", batch_issues::STATEMENTS),
        ("body", body::STATEMENTS),
        ("buried", buried::STATEMENTS),
        ("connect", connect::STATEMENTS),
        ("counters", counters::STATEMENTS),
        ("deploy", deploy::STATEMENTS),
        ("event", event::STATEMENTS),
        ("fix", fix::STATEMENTS),
        ("freeze", freeze::STATEMENTS),
        ("gate", gate::STATEMENTS),
        ("hook", hook::STATEMENTS),
        ("issue", issue::STATEMENTS),
        ("key", key::STATEMENTS),
        ("lock", lock::STATEMENTS),
        ("merge", merge::STATEMENTS),
        ("built_in", built_in::STATEMENTS),
        ("filing", filing::STATEMENTS),
        ("lease", lease::STATEMENTS),
        ("task", task::STATEMENTS),
        ("outbox", outbox::STATEMENTS),
        ("outcome", outcome::STATEMENTS),
        ("output", output::STATEMENTS),
        ("patch", patch::STATEMENTS),
        ("project", project::STATEMENTS),
        ("release", release::STATEMENTS),
        ("repository", repository::STATEMENTS),
        ("retention", retention::STATEMENTS),
        ("rules", rules::STATEMENTS),
        ("similar", similar::STATEMENTS),
        ("submitted", submitted::STATEMENTS),
        ("token", token::STATEMENTS),
        ("tracker", tracker::STATEMENTS),
        ("unmerge", unmerge::STATEMENTS),
        ("unsettled", unsettled::STATEMENTS),
        ("users", users::STATEMENTS),
    ];
    let named = files.into_iter().flat_map(|(file, statements)| {
        statements.iter().map(move |(name, text)| (file, *name, *text))
    });
    named.chain(project::CLEAR.map(|text| ("project", "CLEAR", text))).collect()
}
