//! `airlock deploy`: runs a command as a deploy, or tells the server about one that a script runs.
//!
//! *Invariants*: a command runs only if the server lets it, or cannot be asked and the caller said
//! beforehand that it may. A deploy that has begun is never broken by its record: what cannot be
//! sent is kept (`spool`, `entry`, `log`) and sent later (`sender`, `flush`). stdout and stderr
//! belong to the command; Airlock speaks on stderr only.

mod begin;
mod child;
mod entry;
mod flush;
mod log;
mod look;
mod recorder;
mod run;
mod script;
mod sender;
mod shown;
mod signals;
mod spool;
mod unheard;
mod utf8;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Context;
use super::candidate::CandidateArgs;
use super::checkout::CheckoutArgs;
use super::failure::Failure;
use super::gate::patience::PatienceArgs;
use super::place::Place;
pub(super) use look::{DeploysArgs, list};
use spool::{Spool, SpoolArgs};

/// The exit code of wrong usage where a command was to be run.
const NEVER_RAN_USAGE: u8 = 122;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit codes: the command's own, 128 and the number of the signal that ended it, \
                  127 not found, 126 not executable. When it was not run: 121 blocked, 122 wrong \
                  usage or not allowed, 123 cannot tell, 124 still blocked when the wait ended, \
                  125 unreachable."
)]
pub(super) struct DeployArgs {
    #[command(subcommand)]
    script: Option<DeployCommand>,
    /// The project and the environment to deploy to
    #[arg(value_name = "PROJECT/ENVIRONMENT", required = true)]
    target: Option<Place>,
    #[command(flatten)]
    candidate: CandidateArgs,
    #[command(flatten)]
    checkout: CheckoutArgs,
    /// Deploy in spite of locks and freezes; everybody sees the reason
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
    #[command(flatten)]
    patience: PatienceArgs,
    #[command(flatten)]
    spool: SpoolArgs,
    /// What deploys, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum DeployCommand {
    /// Start a deploy and print its id
    Start(script::StartArgs),
    /// Add to the output of a deploy
    Output(script::OutputArgs),
    /// Say how a deploy ended
    Finish(script::FinishArgs),
    /// Record a deploy that is over and was not gated
    Record(script::RecordArgs),
    /// Show a deploy and its output
    Show(look::ShowArgs),
    /// Send what earlier deploys could not
    Flush,
}

/// Runs the command, or what the script asks for; gives the exit code.
pub(super) async fn run(context: &Context, args: DeployArgs) -> Result<ExitCode, Failure> {
    let spool = Spool::new(&args.spool);
    let Some(script) = args.script else {
        // The parser requires one.
        let Some(place) = args.target else { return Ok(ExitCode::from(NEVER_RAN_USAGE)) };
        let DeployArgs { candidate, checkout, reason, patience, command, .. } = args;
        let run = run::Run { place, candidate, checkout, reason, patience, command };
        return Ok(run::run(context, &spool, run).await);
    };
    if !matches!(script, DeployCommand::Flush | DeployCommand::Show(_)) {
        flush::first(context, &spool).await;
    }
    match script {
        DeployCommand::Start(args) => return script::start(context, &spool, args).await,
        DeployCommand::Output(args) => script::output(context, &spool, args).await,
        DeployCommand::Finish(args) => script::finish(context, &spool, args).await,
        DeployCommand::Record(args) => script::record(context, args).await,
        DeployCommand::Show(args) => look::show(context, args).await,
        DeployCommand::Flush => flush::run(context, &spool).await,
    }
    .map(|()| ExitCode::SUCCESS)
}

/// The exit code of arguments that cannot be understood: other than a usage error of a script, one
/// of a command that never ran must not look like the command's own code.
pub(super) fn usage_exit_code(arguments: &[OsString]) -> u8 {
    let before = arguments.iter().position(|argument| argument == "--");
    let wraps = before.and_then(|end| arguments.get(..end)).is_some_and(|before| {
        let deploy = before.iter().position(|argument| argument == "deploy");
        deploy.is_some_and(|at| !before.get(at + 1).is_some_and(|word| is_script(word)))
    });
    if wraps { NEVER_RAN_USAGE } else { 2 }
}

fn is_script(word: &OsStr) -> bool {
    DeployCommand::has_subcommand(&word.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_no_exit_code_of_the_command() {
        for (line, code) in [
            ("airlock deploy shop -- ./push.sh", 122),
            ("airlock --json deploy shop/beta --wait soon -- ./push.sh output", 122),
            ("airlock deploy -- ./push.sh", 122),
            ("airlock deploy shop/beta ./push.sh", 2),
            ("airlock deploy start shop -- x", 2),
            ("airlock gate -- deploy", 2),
            ("airlock deploy", 2),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(usage_exit_code(&arguments), code, "{line}");
        }
    }
}
