//! `airlock gate`: may this commit be deployed there?
//!
//! *Invariant*: 0 is said only of a verdict that is clear, or where the caller asked for it
//! beforehand (`--on-unavailable allow`). What is wrong with the question is never 1: a script that
//! waits for locks to be released would wait for ever.

pub(super) mod patience;
pub(super) mod verdict;

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::candidate::{Candidate, CandidateArgs};
use super::client::Api;
use super::failure::Failure;
use super::output::Output;
use super::place::Place;
use patience::{OnUnavailable, Patience, PatienceArgs};
use verdict::Verdict;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 clear, 1 blocked, 2 wrong usage or not allowed, 3 cannot tell, \
                  4 still blocked when the wait ended, 5 unreachable."
)]
pub(super) struct GateArgs {
    /// The project and the environment to deploy to
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
    #[command(flatten)]
    candidate: CandidateArgs,
    #[command(flatten)]
    patience: PatienceArgs,
}

pub(super) async fn run(context: &Context, args: GateArgs) -> Result<(), Failure> {
    let candidate = args.candidate.find().await?;
    let api = context.api()?;
    let mut patience = Patience::new(args.patience.wait, context.clock.clone());
    match clear(&api, &args.target, &candidate, &mut patience).await {
        Ok((found, verdict)) => {
            let now = context.clock.now();
            context.output.result(&found, |style| verdict.text(now, style))?;
            verdict.require_clear(args.patience.wait.is_some())
        }
        Err(Failure::Unreachable(why)) if args.patience.on_unavailable == OnUnavailable::Allow => {
            Output::note(&unchecked(&args.target, &why));
            let json = json!({
                "verdict": null, "unavailable": why, "allowed": true,
                "project": args.target.project, "environment": args.target.environment,
                "commit": candidate.commit,
            });
            context.output.result(&json, |_| format!("{} is not checked\n", args.target))
        }
        Err(failure) => Err(of_the_question(failure)),
    }
}

/// What is said loudly when a deploy goes on without a verdict.
pub(super) fn unchecked(place: &Place, why: &str) -> String {
    format!(
        "airlock: WARNING: {why}\n\
         airlock: WARNING: nobody checked whether {place} is locked; it goes on, as \
         --on-unavailable allow says"
    )
}

/// A refusal of the question itself is the caller's to mend.
pub(super) fn of_the_question(failure: Failure) -> Failure {
    if let Failure::Refused(problem) = failure {
        Failure::Usage(problem.to_string())
    } else {
        failure
    }
}

/// Asks until the gate is clear or patience is over, and gives the last verdict.
async fn clear(
    api: &Api,
    place: &Place,
    candidate: &Candidate,
    patience: &mut Patience,
) -> Result<(Value, Verdict), Failure> {
    let mut seen = None;
    loop {
        match patience.ask(api, place, candidate, seen.take()).await {
            Ok((found, verdict)) => {
                if verdict.is_clear() || patience.is_over() {
                    return Ok((found, verdict));
                }
                patience.tell(place, &verdict);
                seen = Some(verdict.version);
            }
            Err(Failure::Unreachable(why)) => patience.outlast(why).await?,
            Err(other) => return Err(other),
        }
    }
}
