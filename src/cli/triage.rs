//! What people do to issues: `airlock resolve`, `reopen`, `mute`, `unmute`, `assign`, `comment`,
//! `merge`, `unmerge` and `discard`. Each is one request, and its answer the issue as it is then.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::answer::{self, Issue};
use super::failure::Failure;
use super::output::{Ink, Style};
use super::text::one_line;
use super::{Context, span};
use crate::domain::id::ShortId;

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// The issue's id
    #[arg(value_name = "SHOP-42")]
    issue: ShortId,
}

#[derive(Debug, Args)]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    issue: IssueArgs,
    /// From when on events are a regression: now, or with the next deploy
    #[arg(long = "in", value_enum, default_value_t = When::Now)]
    when: When,
}

/// From when on an issue counts as resolved.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum When {
    Now,
    NextDeploy,
}

#[derive(Debug, Args)]
pub(super) struct MuteArgs {
    #[command(flatten)]
    issue: IssueArgs,
    /// Until this time is over: 30m, 2h, 7d
    #[arg(long = "for", value_name = "SPAN", value_parser = span::parse)]
    span: Option<Duration>,
    /// Until so many more events came
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct AssignArgs {
    #[command(flatten)]
    issue: IssueArgs,
    /// Whose it is
    #[arg(required_unless_present = "nobody", conflicts_with = "nobody")]
    who: Option<String>,
    /// It is nobody's any more
    #[arg(long)]
    nobody: bool,
}

#[derive(Debug, Args)]
pub(super) struct CommentArgs {
    #[command(flatten)]
    issue: IssueArgs,
    /// What there is to say
    text: String,
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// The issue that ends
    #[arg(value_name = "SHOP-1")]
    issue: ShortId,
    /// The issue that takes its events
    #[arg(value_name = "SHOP-2")]
    into: ShortId,
}

#[derive(Debug, Args)]
pub(super) struct UnmergeArgs {
    #[command(flatten)]
    issue: IssueArgs,
    /// The fingerprints that go, as `airlock show --why` lists them
    #[arg(required = true, value_name = "HASH")]
    hashes: Vec<String>,
}

pub(super) async fn resolve(context: &Context, args: ResolveArgs) -> Result<(), Failure> {
    let body = match args.when {
        When::Now => json!({}),
        When::NextDeploy => json!({ "in": "next_deploy" }),
    };
    act(context, &args.issue.issue, "resolve", body).await
}

pub(super) async fn reopen(context: &Context, args: IssueArgs) -> Result<(), Failure> {
    act(context, &args.issue, "reopen", json!({})).await
}

pub(super) async fn mute(context: &Context, args: MuteArgs) -> Result<(), Failure> {
    let mut body = serde_json::Map::new();
    if let Some(span) = args.span {
        body.insert("until".to_owned(), json!(context.clock.now().plus(span)));
    }
    if let Some(events) = args.events {
        body.insert("events".to_owned(), json!(events));
    }
    act(context, &args.issue.issue, "mute", Value::Object(body)).await
}

pub(super) async fn unmute(context: &Context, args: IssueArgs) -> Result<(), Failure> {
    act(context, &args.issue, "unmute", json!({})).await
}

pub(super) async fn assign(context: &Context, args: AssignArgs) -> Result<(), Failure> {
    act(context, &args.issue.issue, "assign", json!({ "to": args.who })).await
}

pub(super) async fn comment(context: &Context, args: CommentArgs) -> Result<(), Failure> {
    act(context, &args.issue.issue, "comment", json!({ "text": args.text })).await
}

pub(super) async fn merge(context: &Context, args: MergeArgs) -> Result<(), Failure> {
    act(context, &args.issue, "merge", json!({ "into": args.into.to_string() })).await
}

pub(super) async fn unmerge(context: &Context, args: UnmergeArgs) -> Result<(), Failure> {
    act(context, &args.issue.issue, "unmerge", json!({ "hashes": args.hashes })).await
}

pub(super) async fn discard(context: &Context, args: IssueArgs) -> Result<(), Failure> {
    act(context, &args.issue, "discard", json!({})).await
}

async fn act(context: &Context, issue: &ShortId, verb: &str, body: Value) -> Result<(), Failure> {
    let found = context.api()?.post(&["issues", &issue.to_string(), verb], body).await?;
    let after: Issue = answer::read(&found)?;
    context.output.result(&found, |style| line(&after, style))
}

/// The issue in a line: `SHOP-42 is open, assigned to zoe: KeyError: 'total'`.
fn line(issue: &Issue, style: Style) -> String {
    let assignee = issue.assignee.as_deref().map(|who| format!(", assigned to {who}"));
    let status = if issue.discarded_at.is_some() { "discarded" } else { &issue.status };
    let rest = format!("is {status}{}: {}", assignee.unwrap_or_default(), issue.title);
    let bold = |id: &str| style.ink(Ink::Bold, &one_line(id));
    let mut lines = format!("{} {}\n", bold(&issue.id), one_line(&rest));
    if let Some(other) = &issue.unmerged_into {
        lines += &bold(other);
        lines += " has what was taken apart\n";
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issue_is_named_as_it_is_now() {
        let issue = json!({
            "id": "SHOP-42", "title": "KeyError: 'total'", "level": "error", "status": "muted",
            "events": 1, "users": 0, "first_seen": "2026-11-20T10:00:00Z",
            "last_seen": "2026-11-21T11:57:00Z", "assignee": "zoë\n",
        });
        let issue: Issue = answer::read(&issue).expect("an issue");
        assert_eq!(
            line(&issue, Style::default()),
            "SHOP-42 is muted, assigned to zoë\\n: KeyError: 'total'\n"
        );
    }
}
