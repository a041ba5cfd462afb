//! Whether the service says that it is well.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Failure, api};

/// The service notices within this time that something is wrong, and that it no longer is.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What the service says is wrong: parts and reasons.
pub(super) fn trouble(address: SocketAddr) -> Result<Vec<String>, Failure> {
    let (status, answer) = api::ask_once(address, "GET", "/status.json", &Value::Null)?;
    if status != 200 {
        return Err(format!("/status.json is answered with {status}: {answer}").into());
    }
    let mut troubles = Vec::new();
    for (name, part) in answer["parts"].as_object().into_iter().flatten() {
        if part["state"] != "ok" {
            let error = part["last_error"].as_str().unwrap_or("no reason given");
            troubles.push(format!("{name} is {}: {error}", part["state"]));
        }
    }
    Ok(troubles)
}

/// Waits until everything is stored and every part is well.
pub(super) fn wait_until_well(address: SocketAddr) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let troubles = trouble(address)?;
        let (ready, _) = api::ask_once(address, "GET", "/readyz", &Value::Null)?;
        // The spool is well when it has written again, and so only after the next report.
        let is_well = troubles.iter().all(|trouble| trouble.starts_with("spool is \"degraded\""));
        if is_well && ready == 200 {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("there is space again, and still: {troubles:?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
