//! Sends what earlier deploys could not: at the start of every `airlock deploy` command, and by
//! `airlock deploy flush`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::Context;
use super::super::client::Api;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::text::{counted, one_line};
use super::entry::{About, Entry, Record};
use super::sender::{Step, locked, step};
use super::spool::Spool;

/// How long a command lets what earlier ones have left go first.
const FIRST_OF_ALL: Duration = Duration::from_secs(5);

/// What became of how many entries of a spool.
#[derive(Debug, Default)]
struct Flushed {
    /// Sent, and gone from the spool.
    sent: u64,
    /// For another server.
    foreign: u64,
    /// Another process is at it.
    in_use: u64,
    /// What could not be read.
    broken: u64,
}

/// `airlock deploy flush`.
pub(super) async fn run(context: &Context, spool: &Spool) -> Result<(), Failure> {
    let flushed = flush(context, &context.api()?, spool).await?;
    let json = flushed.json();
    context.output.result(&json, |_| flushed.text())?;
    if flushed.broken > 0 {
        let deploys = counted(flushed.broken, "deploy");
        return Err(Failure::Unfinished(format!("what is kept of {deploys} cannot be read")));
    }
    Ok(())
}

/// Sends what earlier deploys have left, if that can be done soon.
pub(super) async fn first(context: &Context, spool: &Spool) {
    if spool.entries().is_empty() {
        return;
    }
    let Ok(api) = context.api() else { return };
    // Whatever goes wrong here, the command that is to be run will say it, or a later flush.
    if let Ok(Ok(flushed)) = timeout(FIRST_OF_ALL, flush(context, &api, spool)).await
        && flushed.sent > 0
    {
        let earlier = counted(flushed.sent, "earlier deploy");
        Output::note(&format!("airlock: sent what was kept of {earlier}"));
    }
}

/// Whether something of this deploy waits to be sent.
pub(super) fn has_left(spool: &Spool, deploy: &str) -> bool {
    let taken = spool.entries().into_iter().map(|entry| Entry::take(&entry));
    taken.filter_map(|entry| entry.ok()?).any(|one| one.about.deploy.as_deref() == Some(deploy))
}

async fn flush(context: &Context, api: &Api, spool: &Spool) -> Result<Flushed, Failure> {
    let mut flushed = Flushed::default();
    let mut without_rights = None;
    for folder in spool.entries() {
        let entry = match Entry::take(&folder) {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                flushed.in_use += 1;
                continue;
            }
            Err(cause) => {
                Output::note(&format!("airlock: {} is passed over: {cause}", folder.display()));
                flushed.broken += 1;
                continue;
            }
        };
        if entry.about.url != api.address().as_str() {
            flushed.foreign += 1;
            continue;
        }
        if entry.is_awaited(context.clock.now()) {
            flushed.in_use += 1;
            continue;
        }
        match send(api, entry).await {
            Ok(()) => flushed.sent += 1,
            // Another may be of a project that the token is good for.
            Err(failure @ Failure::Rights { .. }) => without_rights = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    without_rights.map_or(Ok(flushed), Err)
}

/// Sends one entry and removes it.
async fn send(api: &Api, entry: Entry) -> Result<(), Failure> {
    let is_orphan = entry.is_orphan();
    let entry = Mutex::new(entry);
    loop {
        match step(api, &entry).await {
            Step::Sent => {}
            Step::Later(failure) => {
                locked(&entry).park();
                return Err(failure);
            }
            Step::Nothing | Step::Done => break,
        }
    }
    let entry = entry.into_inner().unwrap_or_else(PoisonError::into_inner);
    if is_orphan {
        Output::note(&format!("airlock: nobody knows how {}", unknown_end(&entry.about)));
    }
    entry.remove();
    Ok(())
}

/// `deploy d1 ended; if you do: …`.
fn unknown_end(about: &About) -> String {
    if let Some(deploy) = about.deploy.as_deref() {
        let finish = format!("airlock deploy finish {deploy} --status …");
        return one_line(&format!("deploy {deploy} ended; if you do: {finish}"));
    }
    let record = about.record.as_ref();
    let place = record.map(|record| format!(" to {}/{}", record.project, record.environment));
    let at = record.and_then(Record::began_at).map(|at| format!(", begun at {at},"));
    one_line(&format!(
        "the deploy{}{} ended; if you do: airlock deploy record",
        place.unwrap_or_default(),
        at.unwrap_or_default()
    ))
}

impl Flushed {
    fn json(&self) -> Value {
        json!({
            "sent": self.sent, "for_other_servers": self.foreign, "in_use": self.in_use,
            "unreadable": self.broken,
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![if self.sent == 0 {
            "nothing to send\n".to_owned()
        } else {
            format!("sent what was kept of {}\n", counted(self.sent, "deploy"))
        }];
        for (n, why) in [(self.foreign, "for another server"), (self.in_use, "still running")] {
            if n > 0 {
                lines.push(format!("{} {why}\n", counted(n, "deploy")));
            }
        }
        lines.concat()
    }
}
