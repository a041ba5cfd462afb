//! `airlock release`: says which commit a release was built from.

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::candidate::CandidateArgs;
use super::checkout::{Checkout, CheckoutArgs};
use super::failure::Failure;
use super::gate::verdict::short;
use super::text::one_line;

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The project's slug
    project: String,
    /// The release, as its reports name it
    version: String,
    #[command(flatten)]
    candidate: CandidateArgs,
    #[command(flatten)]
    checkout: CheckoutArgs,
}

pub(super) async fn run(context: &Context, args: ReleaseArgs) -> Result<(), Failure> {
    let candidate = args.candidate.find().await?;
    let mut body = candidate.body();
    body.insert("version".to_owned(), json!(args.version));
    let path = ["projects", &args.project, "releases"];
    let api = context.api()?;
    if let Some(checkout) = Checkout::find(&candidate, &args.checkout).await {
        checkout.offer(&api, &args.project).await;
    }
    let made = api.post(&path, Value::Object(body)).await?;
    context.output.result(&made, |_| {
        format!("{} is built from {}\n", one_line(&args.version), short(&candidate.commit))
    })
}
