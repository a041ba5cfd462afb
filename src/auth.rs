//! Who may do what: DSN keys for reports, tokens for everything else.
//!
//! *Invariant*: a DSN key may only report; a secret is never stored, only its SHA-256, and one that
//! must be used again only sealed.

pub mod hooks;
pub mod keys;
pub mod limiter;
pub mod secret_file;
pub mod secrets;
pub mod tokens;
