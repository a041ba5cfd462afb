//! Asks the server for the environment, and waits for it if that was asked for.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::super::answer;
use super::super::candidate::Candidate;
use super::super::checkout::Checkout;
use super::super::client::Api;
use super::super::failure::{Failure, Problem};
use super::super::gate::of_the_question;
use super::super::gate::patience::Patience;
use super::super::gate::verdict::Verdict;
use super::super::output::Output;
use super::super::place::Place;
use super::shown::Deploy;
use super::signals::Signals;
use crate::clock::Clock;

/// The server may have to fetch the commit before it answers. Who gives up too soon may have
/// started a deploy without knowing.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// How long a deploy that was interrupted while it was about to start is waited for, so that it
/// can be ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked for.
pub(super) struct Wish<'a> {
    pub(super) place: &'a Place,
    pub(super) candidate: &'a Candidate,
    /// Where the commit is here, if it is.
    pub(super) checkout: Option<Checkout>,
    /// The request: the commit and all else, with a key, so that a lost answer costs nothing.
    pub(super) body: Map<String, Value>,
    pub(super) clock: &'a Clock,
    pub(super) was_waited: bool,
}

/// What became of it.
pub(super) enum Begun {
    /// The deploy runs: what the server said, and what of it is needed.
    Running(Value, Box<Deploy>),
    /// A signal came first, and nothing runs.
    Stopped(Signal),
}

/// What a request to start or record a deploy is known by.
pub(super) fn key(clock: &Clock) -> String {
    clock.id().simple().to_string()
}

/// Starts a deploy, or waits until it can be started.
pub(super) async fn begin(
    api: &Api,
    wish: &Wish<'_>,
    patience: &mut Patience,
    signals: &mut Signals,
) -> Result<Begun, Failure> {
    let path = wish.place.path(&["deploys"]);
    let mut body = wish.body.clone();
    let mut is_offered = false;
    loop {
        if let Some(checkout) = wish.checkout.as_ref().filter(|_| !is_offered) {
            // A server that is not there is noticed below.
            match or_signal(signals, checkout.offer(api, &wish.place.project)).await {
                Ok(was_reached) => is_offered = was_reached,
                Err(signal) => return Ok(Begun::Stopped(signal)),
            }
        }
        let request = Value::Object(body.clone());
        let mut start = std::pin::pin!(api.post_within(START_TIMEOUT, &path, request));
        let started = tokio::select! {
            started = &mut start => started,
            signal = signals.next() => {
                if let Ok(Ok(started)) = timeout(STOP_TIMEOUT, start).await {
                    abandon(api, &answer::read(&started)?).await;
                }
                return Ok(Begun::Stopped(signal));
            }
        };
        let waited = match started {
            Ok(started) => {
                let deploy: Box<Deploy> = Box::new(answer::read(&started)?);
                if !deploy.is_running() {
                    // It was lost before its answer came.
                    body.insert("key".to_owned(), json!(key(wish.clock)));
                    continue;
                }
                return Ok(match signals.pending() {
                    None => Begun::Running(started, deploy),
                    Some(signal) => {
                        abandon(api, &deploy).await;
                        Begun::Stopped(signal)
                    }
                });
            }
            Err(Failure::Refused(problem)) => {
                let verdict = verdict_of(&problem)?;
                patience.is_there();
                if patience.is_over() {
                    patience.tell_all(&verdict);
                    verdict.require_clear(wish.was_waited)?;
                    // No deploy, and yet nothing against it.
                    return Err(Failure::Undecided(problem.to_string()));
                }
                or_signal(signals, blocked(api, wish, patience, verdict)).await
            }
            Err(Failure::Unreachable(why)) => or_signal(signals, patience.outlast(why)).await,
            Err(other) => return Err(other),
        };
        match waited {
            Ok(done) => done?,
            Err(signal) => return Ok(Begun::Stopped(signal)),
        }
    }
}

/// Does something that a signal ends.
async fn or_signal<T>(signals: &mut Signals, work: impl Future<Output = T>) -> Result<T, Signal> {
    tokio::select! {
        done = work => Ok(done),
        signal = signals.next() => Err(signal),
    }
}

/// The verdict with which a deploy was refused; without one the question was wrong.
fn verdict_of(problem: &Problem) -> Result<Verdict, Failure> {
    match &problem.gate {
        Some(gate) => answer::read(gate),
        None => Err(of_the_question(Failure::Refused(problem.clone()))),
    }
}

/// Waits until it is worth to try again.
async fn blocked(
    api: &Api,
    wish: &Wish<'_>,
    patience: &mut Patience,
    mut verdict: Verdict,
) -> Result<(), Failure> {
    // What an override passes only the server knows: any change is worth a try.
    let is_forced = wish.body.contains_key("override");
    loop {
        patience.tell(wish.place, &verdict);
        let before = verdict.version;
        let asked = patience.ask(api, wish.place, wish.candidate, Some(before.clone())).await;
        verdict = match asked {
            Ok((_, verdict)) => verdict,
            Err(Failure::Unreachable(why)) => return patience.outlast(why).await,
            Err(other) => return Err(of_the_question(other)),
        };
        let is_changed = verdict.version != before;
        if verdict.is_clear() || patience.is_over() || (is_forced && is_changed) {
            return Ok(());
        }
    }
}

/// Gives the environment free again. If that does not arrive the lease ends it.
pub(super) async fn abandon(api: &Api, deploy: &Deploy) {
    let path = ["deploys", &deploy.id, "abandon"];
    let abandoned = api.post(&path, Value::Object(Map::new()));
    if !matches!(timeout(STOP_TIMEOUT, abandoned).await, Ok(Ok(_))) {
        Output::note("airlock: the deploy could not be ended; its lease will end it");
    }
}
