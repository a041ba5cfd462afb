//! `airlock project`: applications that report.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Context;
use super::answer::{self, Key, Limits, List, Project};
use super::failure::Failure;
use super::grouping::{self, GroupingArgs};
use super::outcomes::{self, OutcomesArgs};
use super::output::{Ink, Style};
use super::table::{Cell, Column, Table, fields};
use super::text::one_line;
use crate::domain::rate::RateLimit;

#[derive(Debug, Subcommand)]
pub(super) enum ProjectCommand {
    /// Create a project and print its DSN
    Create(CreateArgs),
    /// List projects
    List,
    /// Show a project
    Show(ProjectArgs),
    /// List the DSN keys of a project
    Keys(ProjectArgs),
    /// Show or change how a project groups its events
    Grouping(GroupingArgs),
    /// Count what became of a project's reports, and what its SDKs dropped
    Outcomes(OutcomesArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Its name in addresses and commands: lower-case letters, digits and hyphens
    slug: String,
    /// Its name for people [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// What its issue ids begin with [default: the slug in capitals]
    #[arg(long)]
    prefix: Option<String>,
    /// A stage, in deploy order; repeat it for each [default: beta, production]
    #[arg(long = "environment", value_name = "NAME")]
    environments: Vec<String>,
    /// The environment in which a fix completes its issue [default: the first]
    #[arg(long, value_name = "NAME")]
    complete_in: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ProjectArgs {
    /// The project's slug
    slug: String,
}

/// More projects, or keys of one, than anybody lists.
const MOST_LISTED: usize = 10_000;

pub(super) async fn run(context: &Context, command: ProjectCommand) -> Result<(), Failure> {
    match command {
        ProjectCommand::Create(args) => create(context, args).await,
        ProjectCommand::List => list(context).await,
        ProjectCommand::Show(args) => {
            let found = context.api()?.get(&["projects", &args.slug]).await?;
            let project: Project = answer::read(&found)?;
            context.output.result(&found, |style| shown(&project, style))
        }
        ProjectCommand::Outcomes(args) => outcomes::run(context, args).await,
        ProjectCommand::Grouping(args) => grouping::run(context, args).await,
        ProjectCommand::Keys(args) => keys(context, &args.slug).await,
    }
}

async fn create(context: &Context, args: CreateArgs) -> Result<(), Failure> {
    let mut body = json!({ "slug": args.slug });
    let optional = [
        ("name", json!(args.name)),
        ("prefix", json!(args.prefix)),
        ("environments", json!(args.environments)),
        ("complete_in", json!(args.complete_in)),
    ];
    if let Some(body) = body.as_object_mut() {
        let is_given = |value: &serde_json::Value| !value.is_null() && *value != json!([]);
        let given = optional.into_iter().filter(|(_, value)| is_given(value));
        body.extend(given.map(|(name, value)| (name.to_owned(), value)));
    }
    let made = context.api()?.post(&["projects"], body).await?;
    let project: Project = answer::read(&made)?;
    context.output.result(&made, |style| shown(&project, style))?;
    if let Some(dsn) = &project.dsn {
        context.output.hint(&what_next(dsn));
    }
    Ok(())
}

async fn list(context: &Context) -> Result<(), Failure> {
    let found = context.api()?.list(&["projects"], &[], MOST_LISTED).await?;
    let list: List<Project> = answer::read(&found)?;
    if list.items.is_empty() {
        context.output.hint("no projects yet; create one with: airlock project create SLUG");
    }
    context.output.result(&found, |style| {
        let mut table = Table::new([
            Column::text("SLUG"),
            Column::text("PREFIX"),
            Column::flexible("ENVIRONMENTS"),
            Column::flexible("NAME"),
        ]);
        for project in &list.items {
            table.row([
                Cell::inked(&project.slug, Ink::Bold),
                Cell::new(&project.prefix),
                Cell::new(environments(project)),
                Cell::new(&project.name),
            ]);
        }
        if list.items.is_empty() { String::new() } else { table.render(style) }
    })
}

async fn keys(context: &Context, slug: &str) -> Result<(), Failure> {
    let found = context.api()?.list(&["projects", slug, "keys"], &[], MOST_LISTED).await?;
    let list: List<Key> = answer::read(&found)?;
    context.output.result(&found, |style| {
        let mut table = Table::new([
            Column::text("STATE"),
            Column::text("LABEL"),
            Column::text("DSN"),
            Column::text("LIMIT"),
            Column::flexible("ORIGINS"),
        ]);
        for key in &list.items {
            let state = match (key.active, key.trusted) {
                (false, _) => "inactive",
                (true, true) => "active",
                (true, false) => "active, untrusted",
            };
            let label = key.label.as_deref().unwrap_or_default();
            let dsn = key.dsn.as_deref().unwrap_or_default();
            table.row([
                Cell::new(state),
                Cell::new(label),
                Cell::inked(dsn, Ink::Bold),
                Cell::new(key.rate_limit.map_or("-".to_owned(), rate)),
                Cell::new(if key.origins.is_empty() {
                    "any".to_owned()
                } else {
                    key.origins.join(", ")
                }),
            ]);
        }
        if list.items.is_empty() { String::new() } else { table.render(style) }
    })
}

fn environments(project: &Project) -> String {
    let names = project.environments.iter().map(|environment| environment.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn rate(limit: RateLimit) -> String {
    format!("{} in {} s", limit.events, limit.seconds)
}

/// The limits of a project in words, those that are set.
fn limits(settings: &Limits) -> Vec<String> {
    let errors = [
        settings.rate_limit.map(rate),
        settings.daily_quota.map(|most| format!("{most} a day")),
        settings.monthly_quota.map(|most| format!("{most} a month")),
    ];
    let security = [
        settings.security_rate_limit.map(rate),
        settings.security_daily_quota.map(|most| format!("{most} a day")),
        settings.security_monthly_quota.map(|most| format!("{most} a month")),
    ];
    let security = security.into_iter().flatten().map(|limit| format!("{limit} (security)"));
    errors.into_iter().flatten().chain(security).collect()
}

fn shown(project: &Project, style: Style) -> String {
    let completes = project.environments.iter().find(|environment| environment.complete);
    let completes = completes.map(|one| format!(" (a fix completes in {})", one.name));
    let environments = environments(project) + &completes.unwrap_or_default();
    let mut known = vec![
        ("project", style.ink(Ink::Bold, &one_line(&project.slug))),
        ("name", one_line(&project.name)),
        ("issues", one_line(&format!("{}-1, …", project.prefix))),
        ("environments", one_line(&environments)),
    ];
    let limits = limits(&project.settings);
    if !limits.is_empty() {
        known.push(("limits", one_line(&limits.join(", "))));
    }
    known.extend(project.dsn.as_ref().map(|dsn| ("DSN", style.ink(Ink::Bold, &one_line(dsn)))));
    fields(style, &known).join("\n") + "\n"
}

fn what_next(dsn: &str) -> String {
    let dsn = one_line(dsn);
    format!(
        "
Report from your application with any Sentry SDK, for example in Python:

  pip install sentry-sdk
  import sentry_sdk
  sentry_sdk.init(dsn=\"{dsn}\")

Or send a test report now:

  airlock send {dsn}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_project_shows_its_dsn_and_what_is_next() {
        let project = json!({
            "id": 1, "slug": "shop", "name": "Shop", "prefix": "SHOP", "settings": {"daily_quota": 500, "rate_limit": {"events": 10, "seconds": 1}},
            "dsn": "http://a1b2@127.0.0.1:8460/1",
            "environments": [
                {"name": "beta", "position": 0, "complete": true, "aliases": []},
                {"name": "production", "position": 1, "complete": false, "aliases": ["prod"]},
            ],
        });
        let project: Project = answer::read(&project).expect("a project");
        insta::assert_snapshot!(shown(&project, Style::default()), @"
        project       shop
        name          Shop
        issues        SHOP-1, …
        environments  beta, production (a fix completes in beta)
        limits        10 in 1 s, 500 a day
        DSN           http://a1b2@127.0.0.1:8460/1
        ");
        insta::assert_snapshot!(what_next("http://a1b2@127.0.0.1:8460/1"), @r#"

        Report from your application with any Sentry SDK, for example in Python:

          pip install sentry-sdk
          import sentry_sdk
          sentry_sdk.init(dsn="http://a1b2@127.0.0.1:8460/1")

        Or send a test report now:

          airlock send http://a1b2@127.0.0.1:8460/1
        "#);
    }
}
