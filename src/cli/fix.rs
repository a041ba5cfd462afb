//! `airlock fix` and `airlock unfix`: which commits fix an issue.

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::answer::{self, Issue};
use super::candidate::{head, parse};
use super::failure::Failure;
use super::gate::verdict::short;
use super::output::{Ink, Style};
use super::text::one_line;
use crate::domain::id::ShortId;

#[derive(Debug, Args)]
pub(super) struct FixArgs {
    /// The issue's id
    #[arg(value_name = "SHOP-42")]
    issue: ShortId,
    /// A commit that fixes it; repeat it if it takes more [default: HEAD of the git repository here]
    #[arg(long = "commit", value_name = "SHA", value_parser = parse)]
    commits: Vec<String>,
    /// The repository they belong to, where the project has several
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct UnfixArgs {
    /// The issue's id
    #[arg(value_name = "SHOP-42")]
    issue: ShortId,
}

pub(super) async fn fix(context: &Context, args: FixArgs) -> Result<(), Failure> {
    let mut commits = args.commits;
    if commits.is_empty() {
        commits.push(head().await?);
    }
    let body = body(&commits, args.repository.as_deref());
    let found = context.api()?.put(&["issues", &args.issue.to_string(), "fix"], body).await?;
    let issue: Issue = answer::read(&found)?;
    context.output.result(&found, |style| line(&issue, style))
}

pub(super) async fn unfix(context: &Context, args: UnfixArgs) -> Result<(), Failure> {
    let found = context.api()?.delete(&["issues", &args.issue.to_string(), "fix"]).await?;
    let issue: Issue = answer::read(&found)?;
    context.output.result(&found, |style| line(&issue, style))
}

fn body(commits: &[String], repository: Option<&str>) -> Value {
    let one = |commit: &String| match repository {
        Some(repository) => json!({ "commit": commit, "repository": repository }),
        None => json!({ "commit": commit }),
    };
    let mut body = match commits {
        [only] => one(only),
        more => json!({ "commits": more.iter().map(one).collect::<Vec<_>>() }),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("source".to_owned(), json!("cli"));
    }
    body
}

/// `SHOP-42 is fix_pending, fixed by 4f2c91a: KeyError`, and what is wrong with that.
fn line(issue: &Issue, style: Style) -> String {
    let id = style.ink(Ink::Bold, &one_line(&issue.id));
    let commits = issue.fix.iter().flat_map(|fix| &fix.commits).map(|one| short(&one.commit));
    let commits = commits.collect::<Vec<_>>().join(", ");
    let fixed = if commits.is_empty() { String::new() } else { format!(", fixed by {commits}") };
    let rest = one_line(&format!("is {}{fixed}: {}", issue.status, issue.title));
    let problem = issue.fix.as_ref().and_then(|fix| fix.problem.as_deref());
    let problem = problem.map(|problem| style.ink(Ink::Yellow, &explained(problem)) + "\n");
    format!("{id} {rest}\n{}", problem.unwrap_or_default())
}

/// What is wrong with a fix, in words.
pub(super) fn explained(problem: &str) -> String {
    let words = match problem {
        "unknown-commit" => "no repository has this commit: is it pushed?",
        "seen-in-release" => "a release with this commit still showed the error",
        "conflicted" => "what is deployed holds both the fix and its revert, and neither is later",
        _ => return one_line(problem),
    };
    format!("{problem}: {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_commit_or_more() {
        let commits = ["4f2c91a".to_owned(), "aa11bb2".to_owned()];
        let [first, _] = &commits;
        let first = std::slice::from_ref(first);
        assert_eq!(body(first, None), json!({"commit": "4f2c91a", "source": "cli"}));
        assert_eq!(
            body(first, Some("api")),
            json!({"commit": "4f2c91a", "repository": "api", "source": "cli"})
        );
        assert_eq!(
            body(&commits, Some("api")),
            json!({"commits": [{"commit": "4f2c91a", "repository": "api"},
                {"commit": "aa11bb2", "repository": "api"}], "source": "cli"})
        );
    }

    #[test]
    fn the_issue_and_what_fixes_it() {
        let mut issue = json!({
            "id": "SHOP-42", "title": "KeyError: 'total'", "level": "error",
            "status": "fix_pending", "events": 1, "users": 0,
            "first_seen": "2026-11-20T10:00:00Z", "last_seen": "2026-11-21T11:57:00Z",
            "fix": {"state": "standing", "problem": "unknown-commit",
                "commits": [{"repository": "shop", "commit": "4f".repeat(20)}]},
        });
        let shown = |issue: &Value| line(&answer::read(issue).expect("an issue"), Style::default());
        insta::assert_snapshot!(shown(&issue), @"
        SHOP-42 is fix_pending, fixed by 4f4f4f4f4f4f: KeyError: 'total'
        unknown-commit: no repository has this commit: is it pushed?
        ");
        issue["fix"] = Value::Null;
        issue["status"] = json!("open");
        insta::assert_snapshot!(shown(&issue), @"SHOP-42 is open: KeyError: 'total'");
    }
}
