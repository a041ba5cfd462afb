//! Parses the arguments and runs one command.

use std::process::ExitCode;

use airlock::cli::serve;
use clap::Parser;

#[derive(Parser)]
enum Cli {
    /// Run the server
    Serve(serve::ServeArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse() {
        Cli::Serve(args) => serve::run(args).await,
    }
}
