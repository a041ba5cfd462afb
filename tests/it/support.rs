//! A real server on a free port with a real store, real clients, and what tests do with them.
//!
//! [`TestApp`] runs the server inside the test, so that its clock can be moved and its store looked
//! into. [`Process`] runs the real binary, so that it can be killed. Waiting is done here and
//! nowhere else.

mod app;
pub(crate) mod asana;
mod browser;
mod clients;
mod database;
mod encode;
mod engine;
mod fake_airlock;
mod issues;
mod process;
mod proxy;
pub(crate) mod redmine;
mod store;
mod wire;

pub(crate) use app::{Answer, TOKEN, TestApp, TestProject, client};
pub(crate) use browser::Browser;
pub(crate) use clients::{Client, SentryCli, asana_client};
pub(crate) use database::Database;
pub(crate) use encode::{gzip, zlib};
pub(crate) use engine::{Engine, both, postgres_server};
pub(crate) use fake_airlock::{FakeAirlock, Mood};
pub(crate) use issues::{crash, with};
pub(crate) use process::{Process, airlock};
pub(crate) use proxy::Proxy;
pub(crate) use wire::{Wire, WireAnswer};

use std::time::Duration;

/// Waits until `ready` says yes; fails after half a minute with what was waited for.
pub(crate) async fn until(what: &str, mut ready: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if ready().await {
            return;
        }
        pause(50).await;
    }
    panic!("waited half a minute for {what}");
}

/// Lets time pass for what happens outside of this process.
pub(crate) async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
