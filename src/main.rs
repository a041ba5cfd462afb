//! Parses the arguments and runs one command.

use std::process::ExitCode;

use airlock::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // The HTTP client brings no TLS provider of its own. Whoever installed one before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(cli::Cli::read()).await
}
