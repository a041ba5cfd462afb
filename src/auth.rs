//! Who may do what: DSN keys for reports, tokens for everything else.
//!
//! *Invariant*: a DSN key may only report, and a secret is never stored, only its SHA-256.

pub mod keys;
pub mod limiter;
pub mod tokens;
