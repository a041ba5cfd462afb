//! From crash to deploy: what the repositories of a project say about its releases.
//!
//! *Invariant*: no transaction waits for git or for a network.

pub mod announced;
pub mod answers;
pub mod branches;
pub mod deploys;
pub mod facts;
pub mod fixes;
pub mod freezes;
pub mod gate;
pub mod histories;
pub mod landing;
pub mod locks;
pub mod messages;
pub mod rearm;
pub mod releases;
pub mod repositories;
pub mod settle;
pub mod submissions;
