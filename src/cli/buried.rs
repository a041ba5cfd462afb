//! `airlock buried`: reports that could not be digested.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use super::answer::{self, List};
use super::client::Api;
use super::failure::Failure;
use super::output::{Output, Style};
use super::span::ago;
use super::table::{Cell, Column, Table};
use super::text::{counted, one_line};
use crate::domain::time::Timestamp;

#[derive(Debug, Args)]
pub(super) struct BuriedArgs {
    /// The project's slug
    project: String,
    /// Try this one again
    #[arg(long, value_name = "ID", conflicts_with = "retry_all")]
    retry: Option<String>,
    /// Try all of them again
    #[arg(long)]
    retry_all: bool,
}

#[derive(Debug, Deserialize)]
struct Buried {
    id: String,
    #[serde(rename = "buried_at")]
    at: Timestamp,
    reason: String,
    tries: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Retried {
    result: String,
    reason: Option<String>,
}

impl Retried {
    fn is_digested(&self) -> bool {
        self.result == "digested"
    }

    fn line(&self, id: &str) -> String {
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}"));
        let result = self.result.replace('_', " ");
        one_line(&format!("{id} is {result}{}", reason.unwrap_or_default()))
    }
}

/// More reports than anybody digs out at once.
const MOST_LISTED: usize = 100_000;

pub(super) async fn run(context: &Context, args: BuriedArgs) -> Result<(), Failure> {
    let api = context.api()?;
    if let Some(id) = &args.retry {
        let (json, retried) = retry(&api, &args.project, id).await?;
        context.output.result(&json, |_| retried.line(id) + "\n")?;
        return outcome(u64::from(!retried.is_digested()));
    }
    let found = api.list(&["projects", &args.project, "buried"], &[], MOST_LISTED).await?;
    let list: List<Buried> = answer::read(&found)?;
    if args.retry_all {
        return retry_all(context, &api, &args.project, &list.items).await;
    }
    if list.items.is_empty() {
        context.output.hint("nothing is buried: every report was digested");
    }
    let now = context.clock.now();
    context.output.result(&found, |style| table(&list.items, now, style))
}

async fn retry(api: &Api, project: &str, id: &str) -> Result<(Value, Retried), Failure> {
    let path = ["projects", project, "buried", id, "retry"];
    let json = api.post(&path, json!({})).await?;
    let retried = answer::read(&json)?;
    Ok((json, retried))
}

async fn retry_all(
    context: &Context,
    api: &Api,
    project: &str,
    buried: &[Buried],
) -> Result<(), Failure> {
    let (mut n_digested, mut n_still_buried) = (0, 0);
    for Buried { id, .. } in buried {
        let (_, retried) = retry(api, project, id).await?;
        Output::note(&retried.line(id));
        if retried.is_digested() {
            n_digested += 1;
        } else {
            n_still_buried += 1;
        }
    }
    let json = json!({ "digested": n_digested, "still_buried": n_still_buried });
    context.output.result(&json, |_| {
        format!("{} digested, {n_still_buried} still buried\n", counted(n_digested, "report"))
    })?;
    outcome(n_still_buried)
}

fn outcome(n_still_buried: u64) -> Result<(), Failure> {
    if n_still_buried == 0 {
        return Ok(());
    }
    let reports = counted(n_still_buried, "report");
    Err(Failure::Unfinished(format!("{reports} still cannot be digested")))
}

fn table(buried: &[Buried], now: Timestamp, style: Style) -> String {
    if buried.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        Column::text("ID"),
        Column::text("BURIED"),
        Column::number("TRIES"),
        Column::number("BYTES"),
        Column::text("REASON"),
    ]);
    for one in buried {
        table.row([
            Cell::new(&one.id),
            Cell::new(ago(one.at, now)),
            Cell::new(one.tries.to_string()),
            Cell::new(one.bytes.to_string()),
            Cell::new(&one.reason),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_buried_and_why() {
        let list = json!({"items": [{
            "id": "0192", "buried_at": "2026-11-21T10:00:00Z", "reason": "not JSON at byte 7\n",
            "tries": 2, "bytes": 20_480,
        }], "next": null});
        let list: List<Buried> = answer::read(&list).expect("a list");
        let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        insta::assert_snapshot!(table(&list.items, now, Style::default()), @r"
        ID    BURIED   TRIES  BYTES  REASON
        0192  2 h ago      2  20480  not JSON at byte 7\n
        ");
    }

    #[test]
    fn what_stays_buried_is_a_refusal() {
        let retried = json!({"result": "still_buried", "reason": "no project 7"});
        let retried: Retried = answer::read(&retried).expect("an answer");
        assert!(!retried.is_digested());
        assert_eq!(retried.line("0192"), "0192 is still buried: no project 7");
        assert_eq!(outcome(1).expect_err("refused").exit_code(), 1);
        assert!(outcome(0).is_ok());
    }
}
