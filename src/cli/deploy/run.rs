//! `airlock deploy TARGET -- COMMAND`: the gate, the deploy and its record around a command.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::answer;
use super::super::candidate::CandidateArgs;
use super::super::checkout::{Checkout, CheckoutArgs};
use super::super::client::Api;
use super::super::failure::Failure;
use super::super::gate::patience::{OnUnavailable, Patience, PatienceArgs};
use super::super::gate::unchecked;
use super::super::output::Output;
use super::super::place::Place;
use super::super::text::one_line;
use super::begin::{Begun, Wish, begin, key};
use super::child;
use super::entry::{About, Finish};
use super::recorder::{Recorded, Recorder};
use super::shown::Deploy;
use super::signals::{Signals, exit_code};
use super::spool::Spool;

/// How long the environment is kept for a deploy that nothing is heard of.
const LEASE: Duration = Duration::from_mins(10);

/// What is added to the gate's exit code when the command never ran.
const NEVER_RAN: u8 = 120;

/// A command, and where it deploys to.
pub(super) struct Run {
    pub(super) place: Place,
    pub(super) candidate: CandidateArgs,
    pub(super) checkout: CheckoutArgs,
    pub(super) reason: Option<String>,
    pub(super) patience: PatienceArgs,
    pub(super) command: Vec<OsString>,
}

/// What was decided before the command.
enum Decided {
    /// The server knows of the deploy.
    Begun(Box<Deploy>),
    /// It could not be asked, and the caller wants it so.
    Unchecked(Map<String, Value>),
    /// A signal came first.
    Stopped(u8),
}

/// Runs the command if it may be, and gives the exit code.
pub(super) async fn run(context: &Context, spool: &Spool, run: Run) -> ExitCode {
    match decided(context, spool, &run).await {
        Ok((api, decided, signals)) => {
            ExitCode::from(deploy(context, spool, run, api, decided, signals).await)
        }
        Err(failure) => {
            Output::note(&format!("airlock: {failure}"));
            Output::note("airlock: the command was not run");
            ExitCode::from(NEVER_RAN + failure.exit_code())
        }
    }
}

async fn decided(
    context: &Context,
    spool: &Spool,
    run: &Run,
) -> Result<(Arc<Api>, Decided, Signals), Failure> {
    let candidate = CandidateArgs {
        commit: run.candidate.commit.clone(),
        repository: run.candidate.repository.clone(),
    };
    let candidate = candidate.find().await?;
    let api = context.api()?;
    super::flush::first(context, spool).await;
    let mut signals = Signals::listen()
        .map_err(|cause| Failure::Usage(format!("cannot listen for signals: {cause}")))?;
    let mut known = candidate.body();
    known.insert("key".to_owned(), json!(key(&context.clock)));
    let mut body = known.clone();
    body.insert("lease_seconds".to_owned(), json!(LEASE.as_secs()));
    body.extend(run.reason.iter().map(|reason| ("override".to_owned(), json!(reason))));
    let was_waited = run.patience.wait.is_some();
    let checkout = Checkout::find(&candidate, &run.checkout).await;
    let (place, clock) = (&run.place, &context.clock);
    let wish = Wish { place, candidate: &candidate, checkout, body, clock, was_waited };
    let mut patience = Patience::new(run.patience.wait, context.clock.clone());
    let decided = match begin(&api, &wish, &mut patience, &mut signals).await {
        Ok(Begun::Running(_, deploy)) => Decided::Begun(deploy),
        Ok(Begun::Stopped(signal)) => Decided::Stopped(exit_code(signal)),
        Err(Failure::Unreachable(why)) if run.patience.on_unavailable == OnUnavailable::Allow => {
            Output::note(&unchecked(&run.place, &why));
            Decided::Unchecked(known)
        }
        Err(failure) => return Err(failure),
    };
    Ok((Arc::new(api), decided, signals))
}

async fn deploy(
    context: &Context,
    spool: &Spool,
    run: Run,
    api: Arc<Api>,
    decided: Decided,
    mut signals: Signals,
) -> u8 {
    let (about, lease) = match decided {
        Decided::Stopped(code) => {
            Output::note("airlock: interrupted; the command was not run");
            return code;
        }
        Decided::Begun(deploy) => {
            say_begun(&deploy);
            let lease = deploy.lease_seconds.map_or(LEASE, Duration::from_secs);
            (About::deploy(api.address().as_str(), &deploy.id), Some(lease))
        }
        Decided::Unchecked(mut body) => {
            body.insert("started_at".to_owned(), json!(context.clock.now()));
            (About::unknown(api.address().as_str(), &run.place, body), None)
        }
    };
    let recorder = Recorder::start(&api, spool.create(&context.clock, about), lease);
    let code = match child::start(&run.command) {
        Ok(child) => child::attend(child, &mut signals, &recorder.tap()).await,
        Err(failed) => {
            let program = run.command.first().map(|name| name.to_string_lossy().into_owned());
            let program = one_line(&program.unwrap_or_default());
            let said = format!("airlock: cannot run {program}: {}", failed.cause);
            Output::note(&said);
            recorder.tap().append(&format!("{said}\n"));
            failed.code
        }
    };
    let status = if code == 0 { "succeeded" } else { "failed" };
    let finished_at = Some(context.clock.now());
    let finish = Finish { status: status.to_owned(), exit_code: Some(code), finished_at };
    say_recorded(recorder.end(Some(finish)).await);
    code
}

fn say_begun(deploy: &Deploy) {
    Output::note(&format!("airlock: {} begins", deploy.name()));
    deploy.say_warnings();
}

/// Says what became of the record.
pub(super) fn say_recorded(recorded: Recorded) {
    match recorded {
        Recorded::All(answer) => {
            let deploy = answer.and_then(|answer| answer::read::<Deploy>(&answer).ok());
            if let Some(deploy) = deploy {
                Output::note(&format!("airlock: {}", deploy.ended()));
            }
        }
        Recorded::Later => Output::note(
            "airlock: the record of this deploy is kept; the next airlock deploy sends it, or: \
             airlock deploy flush",
        ),
        Recorded::Lost => {
            Output::note(
                "airlock: the record of this deploy is lost: there is no place to keep it",
            );
        }
    }
}
