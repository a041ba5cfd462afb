//! From crash to deploy: what the repositories of a project say about its releases.
//!
//! *Invariant*: no transaction waits for git or for a network.

pub mod repositories;
