//! The command line, for people and scripts.
//!
//! A command asks the server over HTTP like any client, makes text of the answer with a pure
//! function, and prints it once. stdout is the result: a table, or one JSON object with `--json`;
//! everything else goes to stderr. The exit code is 0 done, 1 refused, 2 usage or rights,
//! 5 unreachable; `gate` and `deploy` say more with theirs.
//!
//! *Invariants*: no prompt; no rule of the product; text from reports never reaches the terminal
//! unescaped (see `text`); a token goes to the address it was chosen for and nowhere else.
//!
//! To add a command: a file with its arguments and `run`, a variant of `Command`, and a snapshot
//! of what it prints.

mod answer;
mod buried;
mod candidate;
mod checkout;
mod client;
mod compare;
mod connection;
mod demo;
mod deploy;
mod failure;
mod fix;
mod freeze;
mod gate;
mod grouping;
mod issues;
mod lock;
mod outcomes;
mod output;
mod place;
mod project;
mod release;
mod repository;
mod send;
pub mod serve;
mod show;
mod span;
mod status;
mod table;
mod text;
mod token;
mod tracker;
mod triage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::Clock;
use client::Api;
use connection::Connection;
use failure::Failure;
use output::{Output, OutputOptions};

/// A self-hosted error tracker that closes the loop from crash to deploy.
#[derive(Debug, Parser)]
#[command(
    name = "airlock",
    version,
    about,
    after_help = "Exit codes: 0 done, 1 refused, 2 wrong usage or missing rights, 5 unreachable."
)]
pub struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// List the issues of a project
    Issues(issues::IssuesArgs),
    /// Show an issue and its latest event
    Show(show::ShowArgs),
    /// Say which commit fixes an issue
    Fix(fix::FixArgs),
    /// Say that an issue is not fixed after all
    Unfix(fix::UnfixArgs),
    /// Resolve an issue: an event that happens later is a regression
    Resolve(triage::ResolveArgs),
    /// Open an issue again
    Reopen(triage::IssueArgs),
    /// Keep an issue quiet, for good or until a condition ends it
    Mute(triage::MuteArgs),
    /// End the mute of an issue
    Unmute(triage::IssueArgs),
    /// Say whose an issue is
    Assign(triage::AssignArgs),
    /// Comment on an issue
    Comment(triage::CommentArgs),
    /// Make two issues one
    Merge(triage::MergeArgs),
    /// Give some fingerprints of an issue to an issue of their own
    Unmerge(triage::UnmergeArgs),
    /// Drop the events of an issue from now on; `reopen` ends it
    Discard(triage::IssueArgs),
    /// Say why two issues are not one
    Compare(compare::CompareArgs),
    /// Ask whether a commit may be deployed
    Gate(gate::GateArgs),
    /// Deploy by a command, and record it
    Deploy(Box<deploy::DeployArgs>),
    /// List the deploys of a project
    Deploys(deploy::DeploysArgs),
    /// Keep deploys out of an environment
    Lock(lock::LockArgs),
    /// Release a lock
    Unlock(lock::UnlockArgs),
    /// List the locks of an environment
    Locks(lock::LocksArgs),
    /// Keep deploys out of an environment at certain times
    Freeze(freeze::FreezeArgs),
    /// Remove a freeze
    Unfreeze(freeze::UnfreezeArgs),
    /// List the freezes of an environment
    Freezes(freeze::FreezesArgs),
    /// Say which commit a release was built from
    Release(release::ReleaseArgs),
    /// Add, fetch and remove repositories
    #[command(subcommand)]
    Repository(repository::RepositoryCommand),
    /// List the repositories of a project
    Repositories(repository::RepositoriesArgs),
    /// Create and see projects
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Create, see and revoke API tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Connect a project to the tracker that has its tasks
    #[command(subcommand)]
    Tracker(tracker::TrackerCommand),
    /// List reports that could not be digested, or try them again
    Buried(buried::BuriedArgs),
    /// Send a test report through the real intake
    Send(send::SendArgs),
    /// Show how the parts of the server are
    Status,
    /// Play the whole story, from crash to deploy, on a throw-away server
    Demo(demo::DemoArgs),
}

/// What every command gets.
struct Context {
    connection: Connection,
    output: Output,
    clock: Clock,
}

impl Cli {
    /// Reads the arguments; wrong ones end the process, with an exit code that says so.
    #[must_use]
    pub fn read() -> Self {
        let arguments: Vec<_> = std::env::args_os().collect();
        Self::try_parse_from(&arguments).unwrap_or_else(|error| {
            let _ = error.print();
            let is_help = error.exit_code() == 0;
            let code = if is_help { 0 } else { deploy::usage_exit_code(&arguments) };
            std::process::exit(code.into())
        })
    }
}

impl Context {
    /// The server, with a token.
    fn api(&self) -> Result<Api, Failure> {
        Api::new(self.connection.target()?.with_token()?)
    }
}

/// Runs one command to its end, messages included.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { connection, output, command } = cli;
    let context = Context { connection, output: Output::new(&output), clock: Clock::system() };
    let done = match command {
        Command::Serve(args) => return serve::run(args).await,
        Command::Deploy(args) => match deploy::run(&context, *args).await {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
        Command::Gate(args) => gate::run(&context, args).await,
        Command::Deploys(args) => deploy::list(&context, args).await,
        Command::Lock(args) => lock::lock(&context, args).await,
        Command::Unlock(args) => lock::unlock(&context, args).await,
        Command::Locks(args) => lock::list(&context, args).await,
        Command::Freeze(args) => freeze::freeze(&context, args).await,
        Command::Unfreeze(args) => freeze::unfreeze(&context, args).await,
        Command::Freezes(args) => freeze::list(&context, args).await,
        Command::Fix(args) => fix::fix(&context, args).await,
        Command::Unfix(args) => fix::unfix(&context, args).await,
        Command::Release(args) => release::run(&context, args).await,
        Command::Repository(command) => repository::run(&context, command).await,
        Command::Repositories(args) => repository::list(&context, args).await,
        Command::Issues(args) => issues::run(&context, args).await,
        Command::Show(args) => show::run(&context, args).await,
        Command::Resolve(args) => triage::resolve(&context, args).await,
        Command::Reopen(args) => triage::reopen(&context, args).await,
        Command::Mute(args) => triage::mute(&context, args).await,
        Command::Unmute(args) => triage::unmute(&context, args).await,
        Command::Assign(args) => triage::assign(&context, args).await,
        Command::Comment(args) => triage::comment(&context, args).await,
        Command::Merge(args) => triage::merge(&context, args).await,
        Command::Unmerge(args) => triage::unmerge(&context, args).await,
        Command::Discard(args) => triage::discard(&context, args).await,
        Command::Compare(args) => compare::run(&context, args).await,
        Command::Project(command) => project::run(&context, command).await,
        Command::Tracker(command) => tracker::run(&context, command).await,
        Command::Token(command) => token::run(&context, command).await,
        Command::Buried(args) => buried::run(&context, args).await,
        Command::Send(args) => send::run(&context, args).await,
        Command::Status => status::run(&context).await,
        Command::Demo(args) => demo::run(&context, args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            Output::note(&format!("airlock: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_errors_exit_with_2() {
        for line in [
            "airlock",
            "airlock issue shop",
            "airlock show 42",
            "airlock mute SHOP-1 --for soon",
            "airlock assign SHOP-1",
            "airlock assign SHOP-1 zoe --nobody",
            "airlock send http://127.0.0.1:8460/1",
            "airlock token create ci",
            "airlock buried shop --retry-all --retry x",
            "airlock gate shop",
            "airlock gate shop/beta --commit HEAD",
            "airlock gate shop/beta --wait soon",
            "airlock deploy shop/beta",
            "airlock deploy finish d1",
            "airlock deploy start",
            "airlock lock shop/beta",
            "airlock lock shop/beta --issue SHOP-1 --reason no",
            "airlock resolve SHOP-1 --in tomorrow",
            "airlock repository add shop r --url https://git.example/r",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_data_folder_can_be_named_before_and_after_the_command() {
        for line in ["airlock --data /d serve", "airlock serve --data /d"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            let Command::Serve(args) = cli.command else { panic!("{line}") };
            assert!(format!("{args:?}").contains("data: \"/d\""), "{args:?}");
            assert_eq!(cli.connection.data, std::path::Path::new("/d"), "{line}");
        }
        let cli = Cli::try_parse_from(["airlock", "status", "--data", "/d"]).expect("valid");
        assert_eq!(cli.connection.data, std::path::Path::new("/d"));
    }
}
