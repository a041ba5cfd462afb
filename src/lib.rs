//! Airlock: a self-hosted error tracker that closes the loop from crash to deploy.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod digest;
pub mod domain;
pub mod health;
pub mod intake;
pub mod outcomes;
pub mod protocol;
pub mod spool;
pub mod store;
