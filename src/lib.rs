//! Airlock: a self-hosted error tracker that closes the loop from crash to deploy.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod digest;
pub mod domain;
pub mod health;
pub mod intake;
pub mod outcomes;
pub mod project;
pub mod protocol;
pub mod spool;
pub mod store;
pub mod triage;
