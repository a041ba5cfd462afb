//! Airlock: a self-hosted error tracker that closes the loop from crash to deploy.

pub mod domain;
pub mod protocol;
