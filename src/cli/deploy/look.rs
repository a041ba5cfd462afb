//! `airlock deploys` and `airlock deploy show`: deploys, and what they said.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::Context;
use super::super::answer::{self, List};
use super::super::client::Api;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::text::printed;
use super::shown::{Deploy, table};
use super::utf8::Decoder;

/// How often a running deploy is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// After so many looks in vain the service is said to be away.
const MOST_FAILURES: u32 = 30;

#[derive(Debug, Args)]
pub(in crate::cli) struct DeploysArgs {
    /// The project's slug
    project: String,
    /// Only deploys to this environment
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// List at most this many
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The deploy, as `airlock deploys` lists it
    id: String,
    /// Go on until it is over
    #[arg(long, conflicts_with = "json")]
    follow: bool,
}

/// `airlock deploys`.
pub(in crate::cli) async fn list(context: &Context, args: DeploysArgs) -> Result<(), Failure> {
    let path = ["projects", &args.project, "deploys"];
    let query = [("environment", args.environment)];
    let found = context.api()?.list(&path, &query, args.limit as usize).await?;
    let list: List<Deploy> = answer::read(&found)?;
    if list.items.is_empty() {
        context.output.hint("no deploys yet; start one with: airlock deploy TARGET -- COMMAND");
    }
    let now = context.clock.now();
    context.output.result(&found, |style| {
        if list.items.is_empty() { String::new() } else { table(&list.items, now, style) }
    })?;
    if list.next.is_some() {
        context.output.hint(&format!("there are more; raise --limit above {}", args.limit));
    }
    Ok(())
}

/// `airlock deploy show`.
pub(super) async fn show(context: &Context, args: ShowArgs) -> Result<(), Failure> {
    let api = context.api()?;
    let mut found = api.get(&["deploys", &args.id]).await?;
    let deploy: Deploy = answer::read(&found)?;
    let now = context.clock.now();
    let is_gone = deploy.output_gone_at.is_some();
    if is_gone || !args.follow {
        let said = if is_gone { Vec::new() } else { whole_output(&api, &args.id).await? };
        let said = String::from_utf8_lossy(&said);
        if let Some(found) = found.as_object_mut() {
            found.insert("output".to_owned(), json!(said));
        }
        return context.output.result(&found, |style| {
            let said = printed(&said);
            let gap = if said.is_empty() { "" } else { "\n" };
            let end = if said.is_empty() || said.ends_with('\n') { "" } else { "\n" };
            deploy.text(now, style) + gap + &said + end
        });
    }
    let is_read = Output::part(&(deploy.text(now, context.output.style()) + "\n"))?;
    if is_read { follow(context, &api, &deploy).await } else { Ok(()) }
}

/// All of the output; the server gives what is long in parts.
async fn whole_output(api: &Api, id: &str) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    loop {
        let part = output_from(api, id, whole.len() as u64).await?;
        if part.is_empty() {
            return Ok(whole);
        }
        whole.extend_from_slice(&part);
    }
}

async fn output_from(api: &Api, id: &str, offset: u64) -> Result<Vec<u8>, Failure> {
    let offset = offset.to_string();
    api.get_text(&["deploys", id, "output"], &[("offset", &offset)]).await
}

/// Prints output as it comes, until the deploy is over and all of it is printed.
async fn follow(context: &Context, api: &Api, deploy: &Deploy) -> Result<(), Failure> {
    let (mut n_bytes, mut n_failures) = (0_u64, 0);
    let (mut decoder, mut is_over) = (Decoder::default(), !deploy.is_running());
    loop {
        // Whether it is over is asked first: what it said after that is nothing.
        let looked = look(api, &deploy.id, n_bytes).await;
        let (now, said) = match looked {
            Ok(looked) => looked,
            Err(Failure::Unreachable(why)) if n_failures < MOST_FAILURES => {
                if n_failures == 0 {
                    Output::note(&format!("airlock: {why}; trying again"));
                }
                n_failures += 1;
                sleep(EVERY).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        n_failures = 0;
        n_bytes += said.len() as u64;
        if !Output::part(&printed(&decoder.text(&said)))? {
            return Ok(());
        }
        is_over = is_over || !now.is_running();
        if is_over && said.is_empty() {
            Output::part(&printed(&decoder.end()))?;
            context.output.hint(&format!("airlock: {}", now.ended()));
            return Ok(());
        }
        if said.is_empty() {
            sleep(EVERY).await;
        }
    }
}

async fn look(api: &Api, id: &str, offset: u64) -> Result<(Deploy, Vec<u8>), Failure> {
    let found: Value = api.get(&["deploys", id]).await?;
    let said = output_from(api, id, offset).await?;
    Ok((answer::read(&found)?, said))
}
