//! `airlock repository` and `airlock repositories`: where a project's commits come from.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use super::answer::{self, List};
use super::failure::Failure;
use super::gate::verdict::short;
use super::output::{Ink, Style};
use super::span::ago;
use super::table::{Cell, Column, Table};
use super::text::{counted, one_line};
use crate::domain::time::Timestamp;

/// A first fetch brings the whole history.
const FETCH_TIMEOUT: Duration = Duration::from_mins(15);

#[derive(Debug, Subcommand)]
pub(super) enum RepositoryCommand {
    /// Add a repository to a project
    Add(AddArgs),
    /// Fetch a repository now
    Fetch(RepositoryArgs),
    /// Remove a repository and its mirror
    Remove(RepositoryArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    which: RepositoryArgs,
    // Not --url: that is the server's address, on every command, and is sent the token.
    /// Where it is fetched from: https://…, ssh://… or user@host:path
    #[arg(value_name = "URL", required_unless_present = "submitted")]
    address: Option<String>,
    /// It is fetched from nowhere: its commits are submitted
    #[arg(long, conflicts_with_all = ["address", "credential_file"])]
    submitted: bool,
    /// A branch that counts, * stands for any text; repeat it for more [default: main, master]
    #[arg(long = "branch", value_name = "NAME")]
    branches: Vec<String>,
    /// A file with what it is fetched with: a token, name:password, or a private key
    #[arg(long, value_name = "FILE")]
    credential_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RepositoryArgs {
    /// The project's slug
    project: String,
    /// The repository's name
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct RepositoriesArgs {
    /// The project's slug
    project: String,
}

/// More repositories of a project than anybody lists.
const MOST_LISTED: usize = 10_000;

/// A repository of a project.
#[derive(Debug, Deserialize)]
struct Repository {
    name: String,
    url: Option<String>,
    #[serde(default)]
    branches: Vec<String>,
    fetched: Option<Fetched>,
    failure: Option<Trouble>,
}

/// What the last fetch found.
#[derive(Debug, Deserialize)]
struct Fetched {
    head: Option<String>,
    commits: u64,
    #[serde(rename = "fetched_at")]
    at: Timestamp,
}

/// Why it did not go well.
#[derive(Debug, Deserialize)]
struct Trouble {
    reason: String,
}

pub(super) async fn run(context: &Context, command: RepositoryCommand) -> Result<(), Failure> {
    match command {
        RepositoryCommand::Add(args) => add(context, args).await,
        RepositoryCommand::Fetch(args) => {
            let path = ["projects", &args.project, "repositories", &args.name, "fetch"];
            let found = context.api()?.post_within(FETCH_TIMEOUT, &path, json!({})).await?;
            let fetched: Fetched = answer::read(&found)?;
            context.output.result(&found, |_| format!("{}\n", fetched.words(&args.name)))
        }
        RepositoryCommand::Remove(args) => {
            let path = ["projects", &args.project, "repositories", &args.name];
            let gone = context.api()?.delete(&path).await?;
            let json = if gone.is_null() { json!({ "name": args.name }) } else { gone };
            context.output.result(&json, |_| format!("{} is gone\n", one_line(&args.name)))
        }
    }
}

async fn add(context: &Context, args: AddArgs) -> Result<(), Failure> {
    let credential = match &args.credential_file {
        None => None,
        Some(file) => Some(std::fs::read_to_string(file).map_err(|cause| {
            Failure::Usage(format!("cannot read the credential {}: {cause}", file.display()))
        })?),
    };
    let branches = Some(args.branches).filter(|branches| !branches.is_empty());
    let body = [
        ("name", Some(json!(args.which.name))),
        ("url", args.address.map(|url| json!(url))),
        ("branches", branches.map(|branches| json!(branches))),
        ("credential", credential.map(|credential| json!(credential))),
    ];
    let body = body.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let body = Value::Object(body.collect());
    let path = ["projects", &args.which.project, "repositories"];
    let made = context.api()?.post(&path, body).await?;
    let repository: Repository = answer::read(&made)?;
    context.output.result(&made, |style| table(&[repository], context.clock.now(), style))
}

pub(super) async fn list(context: &Context, args: RepositoriesArgs) -> Result<(), Failure> {
    let path = ["projects", &args.project, "repositories"];
    let found = context.api()?.list(&path, &[], MOST_LISTED).await?;
    let list: List<Repository> = answer::read(&found)?;
    if list.items.is_empty() {
        let project = one_line(&args.project);
        let how = format!("airlock repository add {project} NAME URL");
        context.output.hint(&format!("no repositories yet; add one with: {how}"));
    }
    let now = context.clock.now();
    context.output.result(&found, |style| {
        if list.items.is_empty() { String::new() } else { table(&list.items, now, style) }
    })
}

impl Fetched {
    fn words(&self, name: &str) -> String {
        let head = self.head.as_deref().map(|head| format!(", at {}", short(head)));
        let commits = counted(self.commits, "commit");
        one_line(&format!("{name} has {commits}{}", head.unwrap_or_default()))
    }
}

fn table(repositories: &[Repository], now: Timestamp, style: Style) -> String {
    let mut table = Table::new([
        Column::text("NAME"),
        Column::flexible("BRANCHES"),
        Column::number("COMMITS"),
        Column::text("HEAD"),
        Column::text("FETCHED"),
        Column::flexible("URL"),
    ]);
    for repository in repositories {
        let fetched = repository.fetched.as_ref();
        let head = fetched.and_then(|fetched| fetched.head.as_deref()).map(short);
        let cells = [
            Cell::inked(&repository.name, Ink::Bold),
            Cell::new(repository.branches.join(", ")),
            Cell::new(fetched.map(|fetched| fetched.commits.to_string()).unwrap_or_default()),
            Cell::new(head.unwrap_or_default()),
            Cell::new(fetched.map_or("never".to_owned(), |one| ago(one.at, now))),
            Cell::new(repository.url.as_deref().unwrap_or("(submitted)")),
        ];
        match &repository.failure {
            None => table.row(cells),
            Some(failure) => table.row_with_note(cells, Cell::inked(&failure.reason, Ink::Red)),
        }
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_how_fresh_they_are() {
        let list = json!({"items": [
            {"name": "shop", "url": "https://git.example/shop", "branches": ["main", "release/*"],
             "has_credential": true, "created_at": "2026-11-01T00:00:00Z",
             "fetched": {"head": "4f".repeat(20), "commits": 1_204,
                         "fetched_at": "2026-11-21T11:57:00Z"},
             "failure": {"reason": "it refuses the credential\x1b[2J",
                         "failed_at": "2026-11-21T11:59:00Z"}},
            {"name": "api", "url": null, "branches": ["main"], "has_credential": false,
             "created_at": "2026-11-01T00:00:00Z", "fetched": null, "failure": null},
        ], "next": null});
        let list: List<Repository> = answer::read(&list).expect("repositories");
        let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        insta::assert_snapshot!(table(&list.items, now, Style::default()), @r"
        NAME  BRANCHES         COMMITS  HEAD          FETCHED    URL
        shop  main, release/*     1204  4f4f4f4f4f4f  3 min ago  https://git.example/shop
                                                                 it refuses the credential\u{1b}[2J
        api   main                                    never      (submitted)
        ");
        let fetched = list.items[0].fetched.as_ref().expect("fetched");
        assert_eq!(fetched.words("shop"), "shop has 1204 commits, at 4f4f4f4f4f4f");
    }
}
