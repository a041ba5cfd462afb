//! `airlock token`: API tokens.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::answer::{self, List, Token};
use super::failure::Failure;
use super::output::{Ink, Style};
use super::table::{Cell, Column, Table};
use super::text::one_line;
use super::{Context, span};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print its secret, this once
    Create(CreateArgs),
    /// List tokens, without their secrets
    List,
    /// End a token at once
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What it is for
    name: String,
    /// What it may do: read, triage, deploy, override or admin; repeat it for more
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<Scope>,
    /// Bind it to this project; repeat it for more [default: all projects]
    #[arg(long = "project", value_name = "SLUG")]
    projects: Vec<String>,
    /// When it ends: 12h, 30d [default: never]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The token's id, as `airlock token list` shows it
    id: String,
}

/// More tokens than anybody lists.
const MOST_LISTED: usize = 10_000;

pub(super) async fn run(context: &Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(context, args).await,
        TokenCommand::List => {
            let found = context.api()?.list(&["tokens"], &[], MOST_LISTED).await?;
            let list: List<Token> = answer::read(&found)?;
            let now = context.clock.now();
            context.output.result(&found, |style| table(&list.items, now, style))
        }
        TokenCommand::Revoke(args) => {
            let gone = context.api()?.delete(&["tokens", &args.id]).await?;
            let json = if gone.is_null() { json!({ "id": args.id }) } else { gone };
            context.output.result(&json, |_| format!("{} is revoked\n", one_line(&args.id)))
        }
    }
}

async fn create(context: &Context, args: CreateArgs) -> Result<(), Failure> {
    let mut body = json!({ "name": args.name, "scopes": args.scopes });
    if let Some(body) = body.as_object_mut() {
        if !args.projects.is_empty() {
            body.insert("projects".to_owned(), json!(args.projects));
        }
        if let Some(span) = args.expires_in {
            body.insert("expires_at".to_owned(), json!(context.clock.now().plus(span)));
        }
    }
    let made = context.api()?.post(&["tokens"], body).await?;
    let token: Token = answer::read(&made)?;
    let secret = token.secret.as_deref().map(one_line).unwrap_or_default();
    // Nothing but the secret on stdout: `AIRLOCK_TOKEN=$(airlock token create …)`.
    context.output.result(&made, |style| style.ink(Ink::Bold, &secret) + "\n")?;
    let id = one_line(&token.id);
    context
        .output
        .hint(&format!("keep it: nobody can see it again. To end it: airlock token revoke {id}"));
    Ok(())
}

fn table(tokens: &[Token], now: Timestamp, style: Style) -> String {
    let mut table = Table::new([
        Column::text("ID"),
        Column::flexible("NAME"),
        Column::flexible("SCOPES"),
        Column::flexible("PROJECTS"),
        Column::text("LAST USED"),
        Column::text("EXPIRES"),
    ]);
    for token in tokens {
        let projects = token.projects.as_ref().map(|projects| projects.join(", "));
        let used = token.last_used_at.map(|at| span::ago(at, now));
        let expires = token.expires_at.map(|at| at.to_string().chars().take(10).collect());
        let expires: String = expires.unwrap_or_else(|| "never".to_owned());
        let is_over = token.expires_at.is_some_and(|at| at <= now);
        table.row([
            Cell::new(&token.id),
            Cell::inked(&token.name, Ink::Bold),
            Cell::new(token.scopes.join(", ")),
            Cell::new(projects.as_deref().unwrap_or("all")),
            Cell::new(used.as_deref().unwrap_or("never")),
            Cell::inked(expires, if is_over { Ink::Red } else { Ink::Plain }),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_what_they_may() {
        let list = json!({"items": [
            {"id": "t1", "name": "ci", "scopes": ["read", "triage"], "projects": ["shop"],
             "created_at": "2026-11-01T00:00:00Z", "expires_at": "2026-11-20T00:00:00Z",
             "last_used_at": "2026-11-21T11:00:00Z"},
            {"id": "t2", "name": "admin.token", "scopes": ["admin"], "projects": null,
             "created_at": "2026-11-01T00:00:00Z", "expires_at": null, "last_used_at": null},
        ], "next": null});
        let list: List<Token> = answer::read(&list).expect("tokens");
        let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        insta::assert_snapshot!(table(&list.items, now, Style::default()), @"
        ID  NAME         SCOPES        PROJECTS  LAST USED  EXPIRES
        t1  ci           read, triage  shop      1 h ago    2026-11-20
        t2  admin.token  admin         all       never      never
        ");
    }
}
