//! `airlock show`: an issue, and its latest event.

mod event;
mod fix;
mod why;

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::answer::{self, Issue, List, Tag};
use super::failure::Failure;
use super::issues::ink_of_level;
use super::output::{Ink, Style};
use super::span::{ago, exact_and_ago};
use super::table::fields;
use super::text::{counted, one_line};
use crate::domain::id::ShortId;
use crate::domain::time::Timestamp;
use event::Latest;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The issue's id
    #[arg(value_name = "SHOP-42")]
    issue: ShortId,
    /// Show also what exactly makes its events one issue
    #[arg(long)]
    why: bool,
}

/// The tags that are listed, and the values of each.
const MOST_TAGS: usize = 20;
const MOST_VALUES: usize = 3;

pub(super) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failure> {
    let api = context.api()?;
    let mut found = api.get(&["issues", &args.issue.to_string()]).await?;
    let issue: Issue = answer::read(&found)?;
    // After a merge this is another issue than the one asked for.
    let id = issue.id.as_str();
    let latest = or_nothing(api.get(&["issues", id, "events", "latest"]).await)?;
    let tags = or_nothing(api.list(&["issues", id, "tags"], &[], MOST_TAGS).await)?;
    let event = if latest.is_null() { None } else { Some(Latest::read(&latest)?) };
    let counted: Option<List<Tag>> = answer::read(&tags)?;
    let shown = Shown {
        issue,
        tags: counted.map(|list| list.items).unwrap_or_default(),
        latest: event,
        is_why: args.why,
    };
    if let Some(found) = found.as_object_mut() {
        found.insert("tags".to_owned(), tags.get("items").cloned().unwrap_or_else(|| json!([])));
        found.insert("latest_event".to_owned(), latest);
    }
    let now = context.clock.now();
    context.output.result(&found, |style| shown.text(now, style))
}

/// What an issue may have or not.
fn or_nothing(answer: Result<Value, Failure>) -> Result<Value, Failure> {
    match answer {
        Err(Failure::Refused(_)) => Ok(Value::Null),
        other => other,
    }
}

/// All that is shown.
struct Shown {
    issue: Issue,
    tags: Vec<Tag>,
    latest: Option<Latest>,
    is_why: bool,
}

impl Shown {
    fn text(&self, now: Timestamp, style: Style) -> String {
        let issue = &self.issue;
        let id = style.ink(Ink::Bold, &one_line(&issue.id));
        let mut lines = vec![format!("{id}  {}", style.ink(Ink::Bold, &one_line(&issue.title)))];
        let culprit = issue.culprit.as_deref().filter(|culprit| !culprit.is_empty());
        lines.extend(culprit.map(|culprit| style.ink(Ink::Dim, &one_line(culprit))));
        lines.push(String::new());
        lines.extend(fields(style, &known(issue, now, style)));
        if self.is_why {
            let others = &issue.merged_fingerprints;
            lines.extend(
                issue.fingerprint.iter().flat_map(|first| why::lines(first, others, style)),
            );
        }
        if !self.tags.is_empty() {
            lines.extend([String::new(), style.ink(Ink::Bold, "Tags")]);
            let tags = self.tags.iter().take(MOST_TAGS);
            let tags: Vec<_> = tags.map(|tag| (one_line(&tag.tag), top(tag))).collect();
            let tags: Vec<_> = tags.iter().map(|(tag, top)| (tag.as_str(), top.clone())).collect();
            lines.extend(indented(fields(style, &tags)));
        }
        if let Some(latest) = &self.latest {
            lines.push(String::new());
            lines.extend(latest.lines(now, style));
        }
        lines.join("\n") + "\n"
    }
}

pub(super) fn indented(lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(|line| if line.is_empty() { line } else { format!("  {line}") })
}

fn known(issue: &Issue, now: Timestamp, style: Style) -> Vec<(&'static str, String)> {
    let status = match issue.status.as_str() {
        _ if issue.discarded_at.is_some() => style.ink(Ink::Yellow, "discarded"),
        "open" if issue.regressed => style.ink(Ink::Red, "open, regressed"),
        status => one_line(status),
    };
    let level = style.ink(ink_of_level(&issue.level), &one_line(&issue.level));
    let platform = issue.platform.as_deref().map(one_line);
    let handled = handled(issue.handled).map(str::to_owned);
    let kind = [Some(level), platform, handled].into_iter().flatten().collect::<Vec<_>>();
    let releases = issue.releases.as_ref();
    let seen = |at, release: Option<&String>| {
        let release = release.map(|release| one_line(&format!(", release {release}")));
        exact_and_ago(at, now) + &release.unwrap_or_default()
    };
    let mut known = vec![
        ("status", status),
        ("kind", kind.join(", ")),
        ("events", events(issue)),
        ("first seen", seen(issue.first_seen, releases.and_then(|both| both.first.as_ref()))),
        ("last seen", seen(issue.last_seen, releases.and_then(|both| both.last.as_ref()))),
    ];
    if !issue.environments.is_empty() {
        known.push(("environments", one_line(&issue.environments.join(", "))));
    }
    known.extend(issue.assignee.as_deref().map(|who| ("assignee", one_line(who))));
    known.extend(issue.fix.iter().flat_map(|fix| fix::known(fix, now, style)));
    known.extend(issue.locks.iter().map(|lock| {
        ("locks", one_line(&format!("{} until a fix is deployed ({})", lock.environment, lock.id)))
    }));
    known.extend(issue.task.as_ref().map(|task| {
        let url = task.url.as_deref().map(|url| format!(" {url}")).unwrap_or_default();
        let error = task.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
        ("task", one_line(&format!("{}{url}{error}", task.state)))
    }));
    for flag in &issue.flags {
        let detail = flag.detail.as_deref().map(|detail| format!(": {detail}"));
        let since = flag.since.map(|since| format!(" ({})", ago(since, now)));
        let text = format!("{}{}", flag.kind, detail.unwrap_or_default());
        let text = one_line(&(text + &since.unwrap_or_default()));
        known.push(("look at", style.ink(Ink::Yellow, &text)));
    }
    if let Some(fingerprint) = &issue.fingerprint {
        let reason = fingerprint.why.as_ref().and_then(|why| why.reason.as_deref());
        let config = fingerprint.config.as_deref().map(|config| format!(" ({config})"));
        let text = format!("{}{}", reason.unwrap_or("unknown"), config.unwrap_or_default());
        known.push(("grouped by", one_line(&text)));
    }
    known.extend(issue.url.as_deref().map(|url| ("address", one_line(url))));
    known
}

fn events(issue: &Issue) -> String {
    let parts = [(issue.suppressed, "suppressed"), (issue.undetermined, "undetermined")];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts = parts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    format!("{}{parts}, {}", issue.events, counted(issue.users, "user"))
}

/// Whether it was handled, in words.
fn handled(handled: Option<bool>) -> Option<&'static str> {
    handled.map(|handled| if handled { "handled" } else { "not handled" })
}

/// A tag's most frequent values: `beta 12, production 5, 3 more values`.
fn top(tag: &Tag) -> String {
    let values = tag.values.iter().take(MOST_VALUES);
    let mut values: Vec<_> =
        values.map(|value| format!("{} {}", one_line(&value.value), value.events)).collect();
    let n_more = tag.values.len().saturating_sub(MOST_VALUES);
    if n_more > 0 {
        values.push(counted(n_more as u64, "more value"));
    }
    values.join(", ")
}

#[cfg(test)]
mod tests;
