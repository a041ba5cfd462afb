//! `airlock tracker`: which tracker has the tasks of a project, and whether it works.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use super::answer;
use super::client::Api;
use super::failure::Failure;
use super::output::{Ink, Output, Style};
use super::table::{Cell, Column, Table};
use super::text::{counted, one_line};

/// A tracker is asked many things, one after the other.
const TRACKER_TIMEOUT: Duration = Duration::from_mins(5);

#[derive(Debug, Subcommand)]
pub(super) enum TrackerCommand {
    /// Let a tracker have the tasks of a project
    Connect(Box<ConnectArgs>),
    /// Say what works with the tracker of a project, and what does not
    Check(CheckArgs),
}

/// What a tracker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Asana
    Asana,
    /// Redmine
    Redmine,
    /// The one that is part of Airlock
    #[value(name = "built_in")]
    BuiltIn,
}

#[derive(Args)]
pub(super) struct ConnectArgs {
    /// Which tracker
    kind: Kind,
    /// The project's slug
    #[arg(long, value_name = "SLUG")]
    project: String,
    // Not --token-file and not --url: those are the server's, on every command.
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with a token of the tracker [default: the token in AIRLOCK_TRACKER_TOKEN]"
    )]
    tracker_token_file: Option<PathBuf>,
    /// The token; only the environment has this setting, as arguments can be seen by others.
    #[arg(
        long = "environment-tracker-token",
        env = "AIRLOCK_TRACKER_TOKEN",
        hide = true,
        hide_env_values = true
    )]
    tracker_token: Option<String>,
    /// Where the tracker's API is, if not where everybody has it
    #[arg(long, value_name = "URL")]
    tracker_url: Option<String>,
    /// The workspace, by id or name, if the token sees several
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// The id of the team in which projects are made
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// The tracker's project that has the tasks of issues, by id or name
    #[arg(long, value_name = "PROJECT")]
    issue_project: Option<String>,
    /// The tracker's project that locks an environment, by id or name; repeat it for more
    #[arg(long = "lock-project", value_name = "ENVIRONMENT=PROJECT", value_parser = pair)]
    lock_projects: Vec<(String, String)>,
    /// The tracker's project that has the deploys to an environment; repeat it for more
    #[arg(long = "deploy-project", value_name = "ENVIRONMENT=PROJECT", value_parser = pair)]
    deploy_projects: Vec<(String, String)>,
    /// Make those projects in the tracker that are not there
    #[arg(long)]
    create_projects: bool,
    /// The id of the custom field that has the commits that fix an issue
    #[arg(long, value_name = "ID")]
    fix_field: Option<String>,
    /// Redmine reads texts as Markdown, not as Textile: its setting Text formatting
    #[arg(long)]
    markdown: bool,
}

impl std::fmt::Debug for ConnectArgs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ConnectArgs").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The project's slug
    project: String,
}

/// `beta=1200`.
fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let (name, value) = parts.ok_or("must be ENVIRONMENT=PROJECT")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What a token sees.
#[derive(Debug, Deserialize)]
struct Found {
    workspaces: Vec<Workspace>,
}

#[derive(Debug, Deserialize)]
struct Workspace {
    id: String,
    name: String,
    projects: Vec<Item>,
}

/// Something that has an id and a name.
#[derive(Debug, Clone, Deserialize)]
struct Item {
    id: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Project {
    environments: Vec<Environment>,
}

#[derive(Debug, Deserialize)]
struct Environment {
    name: String,
}

/// A tracker, and what works.
#[derive(Debug, Deserialize)]
struct Tracker {
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
    hint: Option<String>,
}

pub(super) async fn run(context: &Context, command: TrackerCommand) -> Result<(), Failure> {
    match command {
        TrackerCommand::Connect(args) => connect(context, &args).await,
        TrackerCommand::Check(args) => {
            let path = ["projects", &args.project, "tracker", "check"];
            let checked = context.api()?.post_within(TRACKER_TIMEOUT, &path, json!({})).await?;
            tell(context, &checked)
        }
    }
}

async fn connect(context: &Context, args: &ConnectArgs) -> Result<(), Failure> {
    let api = context.api()?;
    let settings = match args.kind {
        Kind::BuiltIn => json!({ "kind": "built_in" }),
        Kind::Asana => Chooser::new(&api, args).await?.settings().await?,
        Kind::Redmine => redmine(args)?,
    };
    let path = ["projects", &args.project, "tracker"];
    let set = api.put_within(TRACKER_TIMEOUT, &path, settings).await?;
    tell(context, &set)
}

/// The settings of Redmine, which has the projects that are named.
fn redmine(args: &ConnectArgs) -> Result<Value, Failure> {
    let of_redmine = [
        ("--workspace", args.workspace.is_some()),
        ("--team", args.team.is_some()),
        ("--create-projects", args.create_projects),
    ];
    if let Some((name, _)) = of_redmine.iter().find(|(_, is_given)| *is_given) {
        return Err(Failure::Usage(format!("{name} is for Asana")));
    }
    let needed = |value: &Option<String>, what: &str| {
        value.clone().ok_or_else(|| Failure::Usage(what.to_owned()))
    };
    let url = needed(&args.tracker_url, "say where Redmine is: --tracker-url URL")?;
    let what = "say which project has the tasks of issues: --issue-project IDENTIFIER";
    let issue_project = needed(&args.issue_project, what)?;
    let mut environments: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (what, projects) in
        [("lock_project", &args.lock_projects), ("deploy_project", &args.deploy_projects)]
    {
        for (environment, project) in projects {
            environments.entry(environment).or_default().insert(what, project);
        }
    }
    Ok(json!({
        "kind": "redmine", "url": url, "token": token(args)?, "issue_project": issue_project,
        "environments": environments, "fix_field": args.fix_field,
        "formatting": if args.markdown { "markdown" } else { "textile" },
    }))
}

/// Prints what works; fails if something does not.
fn tell(context: &Context, answer: &Value) -> Result<(), Failure> {
    let tracker: Tracker = answer::read(answer)?;
    context.output.result(answer, |style| table(&tracker.checks, style))?;
    let n_failed = tracker.checks.iter().filter(|check| !check.ok).count();
    if n_failed > 0 {
        let checks = counted(n_failed as u64, "check");
        return Err(Failure::Unfinished(format!("{checks} failed; see what to do above")));
    }
    Ok(())
}

fn table(checks: &[Check], style: Style) -> String {
    let mut table =
        Table::new([Column::text("CHECK"), Column::text("RESULT"), Column::flexible("DETAIL")]);
    for check in checks {
        let result =
            if check.ok { Cell::inked("ok", Ink::Green) } else { Cell::inked("failed", Ink::Red) };
        let cells = [Cell::inked(&check.name, Ink::Bold), result, Cell::new(&check.detail)];
        match &check.hint {
            None => table.row(cells),
            Some(hint) => table.row_with_note(cells, Cell::inked(hint, Ink::Yellow)),
        }
    }
    table.render(style)
}

/// Finds out which projects of Asana are meant.
struct Chooser<'a> {
    api: &'a Api,
    args: &'a ConnectArgs,
    token: String,
    workspace: Workspace,
    environments: Vec<String>,
}

impl<'a> Chooser<'a> {
    async fn new(api: &'a Api, args: &'a ConnectArgs) -> Result<Self, Failure> {
        let token = token(args)?;
        let project: Project = answer::read(&api.get(&["projects", &args.project]).await?)?;
        let environments = project.environments.into_iter().map(|one| one.name).collect();
        let path = ["projects", &args.project, "tracker", "discover"];
        let asked = json!({ "kind": "asana", "url": args.tracker_url, "token": token });
        let found = api.post_within(TRACKER_TIMEOUT, &path, asked).await?;
        let Found { workspaces } = answer::read(&found)?;
        let workspace = chosen(workspaces, args)?;
        Ok(Self { api, args, token, workspace, environments })
    }

    /// The settings, with projects made where that is wished.
    async fn settings(&self) -> Result<Value, Failure> {
        for (environment, _) in self.args.lock_projects.iter().chain(&self.args.deploy_projects) {
            if !self.environments.contains(environment) {
                let known = self.environments.join(", ");
                let text = format!("{environment} is no environment; there are {known}");
                return Err(Failure::Usage(text));
            }
        }
        let slug = &self.args.project;
        let issues = self.args.issue_project.as_deref();
        let Some(issue_project) = self.project(issues, &format!("Errors ({slug})")).await? else {
            list(&self.workspace);
            return Err(Failure::Usage(
                "say which project has the tasks of issues: --issue-project ID; or let Airlock make \
                 all projects: --create-projects"
                    .to_owned(),
            ));
        };
        let mut environments = BTreeMap::new();
        for name in &self.environments {
            let said = |all: &'a [(String, String)]| {
                all.iter().find(|(own, _)| own == name).map(|(_, project)| project.as_str())
            };
            let (lock_name, deploy_name) = names(name, slug);
            let lock = self.project(said(&self.args.lock_projects), &lock_name).await?;
            let deploy = self.project(said(&self.args.deploy_projects), &deploy_name).await?;
            let projects = json!({ "lock_project": lock, "deploy_project": deploy });
            environments.insert(name.clone(), projects);
        }
        let mut settings = json!({
            "kind": "asana", "token": self.token, "issue_project": issue_project,
            "environments": environments, "fix_field": self.args.fix_field,
        });
        if let (Some(url), Some(settings)) = (&self.args.tracker_url, settings.as_object_mut()) {
            settings.insert("url".to_owned(), json!(url));
        }
        Ok(settings)
    }

    /// The id of the project that is said, or else is called so; made if that is wished.
    async fn project(&self, said: Option<&str>, name: &str) -> Result<Option<String>, Failure> {
        let wanted = said.unwrap_or(name);
        let is_it =
            |item: &&Item| item.id == wanted || item.name.to_lowercase() == wanted.to_lowercase();
        let found: Vec<&Item> = self.workspace.projects.iter().filter(is_it).collect();
        match found.as_slice() {
            [one] => return Ok(Some(one.id.clone())),
            [] if said.is_some_and(|said| said.bytes().all(|byte| byte.is_ascii_digit())) => {
                return Ok(Some(wanted.to_owned()));
            }
            [] if self.args.create_projects => {}
            [] if said.is_none() => return Ok(None),
            [] => {
                list(&self.workspace);
                let text = format!("there is no project {:?}", one_line(wanted));
                return Err(Failure::Usage(format!("{text}; --create-projects makes it")));
            }
            _ => {
                let text = format!("several projects are called {:?}", one_line(wanted));
                return Err(Failure::Usage(format!("{text}: name one by its id")));
            }
        }
        let path = ["projects", &self.args.project, "tracker", "projects"];
        let body = json!({
            "kind": "asana", "url": self.args.tracker_url, "token": self.token,
            "workspace": self.workspace.id, "team": self.args.team, "name": wanted,
        });
        let made: Item = answer::read(&self.api.post_within(TRACKER_TIMEOUT, &path, body).await?)?;
        Output::note(&one_line(&format!("made the project {} ({})", made.name, made.id)));
        Ok(Some(made.id))
    }
}

/// What the projects of an environment are called: those that lock it and that have its deploys.
fn names(environment: &str, slug: &str) -> (String, String) {
    let mut letters = environment.chars();
    let long: String =
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let short = if long == "Production" { "Prod" } else { &long };
    (format!("Lock {long} Release ({slug})"), format!("{short} Push Tasks ({slug})"))
}

fn token(args: &ConnectArgs) -> Result<String, Failure> {
    let text = match (&args.tracker_token_file, &args.tracker_token) {
        (Some(file), _) => std::fs::read_to_string(file).map_err(|cause| {
            Failure::Usage(format!("cannot read the token {}: {cause}", file.display()))
        })?,
        (None, Some(token)) => token.clone(),
        (None, None) => {
            return Err(Failure::Usage(
                "a token of the tracker is needed: make one in Asana (My settings, Apps, Developer \
                 apps) or copy it in Redmine (My account, API access key), and set AIRLOCK_TRACKER_TOKEN or --tracker-token-file"
                    .to_owned(),
            ));
        }
    };
    Ok(text.trim().to_owned())
}

fn chosen(workspaces: Vec<Workspace>, args: &ConnectArgs) -> Result<Workspace, Failure> {
    let is_it = |workspace: &Workspace| match &args.workspace {
        None => true,
        Some(wanted) => {
            workspace.id == *wanted || workspace.name.to_lowercase() == wanted.to_lowercase()
        }
    };
    let (mut fitting, others): (Vec<_>, Vec<_>) = workspaces.into_iter().partition(is_it);
    match fitting.pop() {
        Some(one) if fitting.is_empty() => Ok(one),
        last => {
            for workspace in fitting.iter().chain(&last).chain(&others) {
                Output::note(&one_line(&format!("{}  {}", workspace.id, workspace.name)));
            }
            Err(Failure::Usage("say which workspace: --workspace ID".to_owned()))
        }
    }
}

/// What there is to choose from.
fn list(workspace: &Workspace) {
    for project in &workspace.projects {
        Output::note(&one_line(&format!("{}  {}", project.id, project.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_and_what_to_do() {
        let answer = json!({"kind": "asana", "checks": [
            {"name": "token", "ok": true, "detail": "of Airlock (bot@example.com)", "hint": null},
            {"name": "issue_project", "ok": false, "detail": "Asana does not know this\x1b[2J",
             "hint": "see that the id is right"},
        ]});
        let tracker: Tracker = answer::read(&answer).expect("a tracker");
        insta::assert_snapshot!(table(&tracker.checks, Style::default()), @"
        CHECK          RESULT  DETAIL
        token          ok      of Airlock (bot@example.com)
        issue_project  failed  Asana does not know this\\u{1b}[2J
                               see that the id is right
        ");
    }

    #[test]
    fn projects_are_called_after_their_environment() {
        let (lock, deploy) = names("production", "shop");
        assert_eq!(lock, "Lock Production Release (shop)");
        assert_eq!(deploy, "Prod Push Tasks (shop)");
        assert_eq!(names("beta", "shop").1, "Beta Push Tasks (shop)");
    }
}
