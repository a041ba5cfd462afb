//! `airlock project grouping`: what a project says about grouping.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::answer::{self, GroupingRules, TriedGrouping};
use super::failure::Failure;
use super::output::{Ink, Style};
use super::text::{counted, one_line};

#[derive(Debug, Args)]
pub(super) struct GroupingArgs {
    /// The project's slug
    slug: String,
    /// Take the fingerprint rules from this file
    #[arg(long, value_name = "FILE")]
    fingerprint_rules: Option<PathBuf>,
    /// Take the frame rules from this file
    #[arg(long, value_name = "FILE")]
    frame_rules: Option<PathBuf>,
    /// Switch a built-in rule off: chunk-load-error, out-of-memory, stack-overflow, shutdown,
    /// infrastructure; repeat it for each. `none` switches all on
    #[arg(long, value_name = "RULE")]
    builtin_off: Vec<String>,
    /// Move to the newest config; old fingerprints lead to their issues for 90 days
    #[arg(long)]
    upgrade: bool,
    /// Save nothing: tell what would become of the latest events
    #[arg(long = "try")]
    is_try: bool,
    /// How many of them
    #[arg(long, value_name = "N", requires = "is_try", value_parser = clap::value_parser!(u32).range(1..=2000))]
    events: Option<u32>,
}

pub(super) async fn run(context: &Context, args: GroupingArgs) -> Result<(), Failure> {
    let api = context.api()?;
    let path = ["projects", &args.slug, "rules", "grouping"];
    let before = api.get(&path).await?;
    let rules = changed(&before, &args)?;
    if args.is_try {
        let mut body = json!({ "rules": rules });
        if let (Some(events), Some(body)) = (args.events, body.as_object_mut()) {
            body.insert("events".to_owned(), events.into());
        }
        let path = ["projects", &args.slug, "rules", "grouping", "try"];
        let found = api.post(&path, body).await?;
        let tried: TriedGrouping = answer::read(&found)?;
        return context.output.result(&found, |style| tried_text(&tried, style));
    }
    let found = if rules == before { before } else { api.put(&path, rules).await? };
    let rules: GroupingRules = answer::read(&found)?;
    context.output.result(&found, |style| text(&rules, style))
}

/// The rules with what the arguments change.
fn changed(before: &Value, args: &GroupingArgs) -> Result<Value, Failure> {
    let mut rules = before.clone();
    let Some(fields) = rules.as_object_mut() else { return Ok(rules) };
    let files =
        [("fingerprint_rules", &args.fingerprint_rules), ("frame_rules", &args.frame_rules)];
    for (name, file) in files {
        if let Some(file) = file {
            fields.insert(name.to_owned(), read(file)?.into());
        }
    }
    if !args.builtin_off.is_empty() {
        let off: Vec<&String> = args.builtin_off.iter().filter(|rule| *rule != "none").collect();
        fields.insert("builtin_off".to_owned(), json!(off));
    }
    if args.upgrade {
        let newest = crate::domain::fingerprint::Config::NEWEST.as_str();
        fields.insert("config".to_owned(), newest.into());
    }
    Ok(rules)
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|cause| Failure::Usage(format!("cannot read {}: {cause}", file.display())))
}

fn text(rules: &GroupingRules, style: Style) -> String {
    let mut lines = vec![format!("{} {}", style.ink(Ink::Bold, "config"), one_line(&rules.config))];
    if let Some(previous) = &rules.previous {
        let text = format!("{} until {}", previous.config, previous.until);
        lines.push(format!("{} {}", style.ink(Ink::Bold, "before"), one_line(&text)));
    }
    if !rules.builtin_off.is_empty() {
        let off = one_line(&rules.builtin_off.join(", "));
        lines.push(format!("{} {off}", style.ink(Ink::Bold, "switched off")));
    }
    for (name, rules) in
        [("fingerprint rules", &rules.fingerprint_rules), ("frame rules", &rules.frame_rules)]
    {
        if !rules.trim().is_empty() {
            lines.push(style.ink(Ink::Bold, name));
            lines.extend(rules.lines().map(|rule| format!("  {}", one_line(rule))));
        }
    }
    lines.join("\n") + "\n"
}

fn tried_text(tried: &TriedGrouping, style: Style) -> String {
    let mut lines = vec![format!(
        "{} of {} would have {}",
        counted(tried.events, "event"),
        counted(tried.issues, "issue"),
        counted(tried.fingerprints, "fingerprint"),
    )];
    let merged = tried.would_merge.iter().map(|issues| one_line(&issues.join(" and ")));
    let merged: Vec<String> = merged.map(|issues| format!("  {issues}")).collect();
    if !merged.is_empty() {
        lines.push(style.ink(Ink::Bold, "would be one issue"));
        lines.extend(merged);
    }
    if !tried.would_split.is_empty() {
        lines.push(style.ink(Ink::Bold, "would be several issues"));
        lines.extend(tried.would_split.iter().map(|split| {
            let (now, then) = (split.fingerprints_now, split.fingerprints_then);
            one_line(&format!(
                "  {}: {} now, {then} then",
                split.issue,
                counted(now, "fingerprint")
            ))
        }));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_is_listed() {
        let found = json!({
            "events": 3, "issues": 3, "fingerprints": 2,
            "would_merge": [["SHOP-1", "SHOP-3"]],
            "would_split": [{"issue": "SHOP-2", "fingerprints_now": 1, "fingerprints_then": 2}],
        });
        let tried: TriedGrouping = answer::read(&found).expect("an answer");
        assert_eq!(
            tried_text(&tried, Style::default()),
            "3 events of 3 issues would have 2 fingerprints\nwould be one issue\n  \
            SHOP-1 and SHOP-3\nwould be several issues\n  SHOP-2: 1 fingerprint now, 2 then\n"
        );
    }
}
