//! Mirrors of git repositories, and the commits in them.
//!
//! Fetching is done by the `git` command: it knows credentials, ssh and protocols, and can be killed.
//! Reading is done here, each commit once: it ends up in a file beside the mirror and in a
//! [`History`](crate::domain::history::History), so no question walks over a repository.
//!
//! *Invariant*: nothing in a repository is trusted. Hooks, configuration and helpers of others never
//! run, names are never taken for options, and all that git does is bounded in time and size.

pub mod command;
pub mod graph_file;
pub mod mirror;
pub mod mirrors;
pub mod patches;
pub mod renewal;
pub mod upkeep;
