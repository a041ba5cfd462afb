//! Sends what is to be told about a deploy, one request at a time. Each can be sent again without
//! harm: output has its offset, an end is the same end, and a record has its key.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answer;
use super::super::client::Api;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::text::one_line;
use super::entry::{Entry, Finish, Next, Record};

/// What became of a request.
#[derive(Debug)]
pub(super) enum Step {
    /// It arrived, or was refused for good: there may be more.
    Sent,
    /// There is nothing to send now.
    Nothing,
    /// All of it was sent.
    Done,
    /// It did not arrive, and may later.
    Later(Failure),
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
enum What {
    Output,
    Record,
    Finish,
}

/// A deploy, as far as it takes to find it.
#[derive(Debug, Deserialize)]
struct Known {
    id: String,
    output_bytes: Option<u64>,
}

/// The entry, whoever held it before.
pub(super) fn locked(entry: &Mutex<Entry>) -> MutexGuard<'_, Entry> {
    entry.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends what is next.
pub(super) async fn step(api: &Api, entry: &Mutex<Entry>) -> Step {
    let next = locked(entry).next();
    let mut what = What::Output;
    let done = match next {
        Ok(Next::Nothing) => return Step::Nothing,
        Ok(Next::Done) => return Step::Done,
        Err(cause) => {
            Output::note(&format!("airlock: output that was kept cannot be read: {cause}"));
            locked(entry).drop_output();
            return Step::Sent;
        }
        Ok(Next::AskEnd { deploy }) => ask_end(api, entry, &deploy).await,
        Ok(Next::Record { record, finish }) => {
            what = What::Record;
            send_record(api, entry, record, finish).await
        }
        Ok(Next::Output { deploy, piece }) => {
            let end = piece.offset + piece.text.len() as u64;
            let offset = piece.offset.to_string();
            let path = ["deploys", &deploy, "output"];
            let sent = api.post_text(&path, &[("offset", &offset)], piece.text).await;
            sent.map(|_| locked(entry).output_sent(end))
        }
        Ok(Next::Finish { deploy, finish }) => {
            what = What::Finish;
            let sent = api.post(&["deploys", &deploy, "finish"], json!(finish)).await;
            sent.map(|answer| locked(entry).finished(Some(answer)))
        }
    };
    match done {
        Ok(()) => Step::Sent,
        Err(failure @ Failure::Refused(_)) => {
            refused(&mut locked(entry), what, &failure);
            Step::Sent
        }
        Err(failure) => Step::Later(failure),
    }
}

/// What the server does not want now it does not want later either.
fn refused(entry: &mut Entry, what: What, failure: &Failure) {
    let deploy = entry.about.deploy.as_deref().map(|id| format!("deploy {}", one_line(id)));
    let deploy = deploy.unwrap_or_else(|| "the deploy".to_owned());
    match what {
        What::Output => {
            Output::note(&format!("airlock: output of {deploy} is not recorded: {failure}"));
            entry.drop_output();
        }
        What::Record => {
            Output::note(&format!("airlock: {deploy} is not recorded: {failure}"));
            entry.give_up();
        }
        What::Finish => {
            Output::note(&format!("airlock: how {deploy} ended is not recorded: {failure}"));
            entry.finished(None);
        }
    }
}

async fn ask_end(api: &Api, entry: &Mutex<Entry>, deploy: &str) -> Result<(), Failure> {
    let end = output_end(api, deploy).await?;
    locked(entry).begins_at(end);
    Ok(())
}

/// Where the output of a deploy ends now.
pub(super) async fn output_end(api: &Api, deploy: &str) -> Result<u64, Failure> {
    let known: Known = answer::read(&api.get(&["deploys", deploy]).await?)?;
    let missing = || Failure::Unreachable("the server does not say where output ends".to_owned());
    known.output_bytes.ok_or_else(missing)
}

async fn send_record(
    api: &Api,
    entry: &Mutex<Entry>,
    record: Record,
    finish: Finish,
) -> Result<(), Failure> {
    let mut body = record.body;
    if let Value::Object(finish) = json!(finish) {
        body.extend(finish);
    }
    let path = ["projects", &record.project, "environments", &record.environment, "deploys"];
    let answer = api.post(&path, Value::Object(body)).await?;
    let known: Known = answer::read(&answer)?;
    locked(entry).recorded(&known.id, Some(answer));
    Ok(())
}
