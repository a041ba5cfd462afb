//! `airlock issues`: the issues of a project.

use clap::{Args, ValueEnum};

use super::Context;
use super::answer::{self, Issue, List};
use super::failure::Failure;
use super::output::{Ink, Style};
use super::span::ago;
use super::table::{Cell, Column, Table};
use crate::domain::time::Timestamp;

/// From this width on, the culprit has a column of its own.
const LEAST_WIDE: usize = 120;

#[derive(Debug, Args)]
pub(super) struct IssuesArgs {
    /// The project's slug
    project: String,
    /// Only issues that stand here
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only issues with this text in their title or culprit
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// Only issues seen in this environment
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// What comes first
    #[arg(long, value_enum, default_value_t = Sort::LastSeen)]
    sort: Sort,
    /// List at most this many
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Status {
    Open,
    FixPending,
    Resolved,
    Muted,
    Discarded,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Sort {
    LastSeen,
    FirstSeen,
    Events,
    Users,
}

/// The name of a choice, as it is on the command line and in the API.
fn name(choice: &impl ValueEnum) -> Option<String> {
    choice.to_possible_value().map(|value| value.get_name().to_owned())
}

pub(super) async fn run(context: &Context, args: IssuesArgs) -> Result<(), Failure> {
    let is_filtered = args.status.is_some() || args.query.is_some() || args.environment.is_some();
    let query = [
        ("status", args.status.as_ref().and_then(name)),
        ("q", args.query),
        ("environment", args.environment),
        ("sort", name(&args.sort)),
    ];
    let path = ["projects", &args.project, "issues"];
    let found = context.api()?.list(&path, &query, args.limit as usize).await?;
    let list: List<Issue> = answer::read(&found)?;
    if list.items.is_empty() {
        context.output.hint(if is_filtered {
            "no issue matches; leave filters out to see more"
        } else {
            "no issues yet; send a test report with: airlock send DSN"
        });
        if !context.output.is_json() {
            return Ok(());
        }
    }
    let now = context.clock.now();
    context.output.result(&found, |style| table(&list.items, now, style))?;
    if list.next.is_some() {
        context.output.hint(&format!("there are more; raise --limit above {}", args.limit));
    }
    Ok(())
}

fn table(issues: &[Issue], now: Timestamp, style: Style) -> String {
    let is_wide = style.width.is_none_or(|width| width >= LEAST_WIDE);
    let has_status = issues.iter().any(|issue| issue.status != "open" || issue.regressed);
    let mut columns = vec![Column::text("ID")];
    columns.extend(has_status.then_some(Column::text("STATUS")));
    columns.extend([
        Column::text("LEVEL"),
        Column::number("EVENTS"),
        Column::number("USERS"),
        Column::text("LAST SEEN"),
        Column::flexible("TITLE"),
    ]);
    columns.extend(is_wide.then_some(Column::flexible("CULPRIT")));
    let mut table = Table::new(columns);
    for issue in issues {
        let mut cells = vec![Cell::inked(&issue.id, Ink::Bold)];
        cells.extend(has_status.then(|| status(issue)));
        cells.extend([
            Cell::inked(&issue.level, ink_of_level(&issue.level)),
            Cell::new(issue.events.to_string()),
            Cell::new(issue.users.to_string()),
            Cell::new(ago(issue.last_seen, now)),
            Cell::new(&issue.title),
        ]);
        let culprit = Cell::inked(issue.culprit.as_deref().unwrap_or_default(), Ink::Dim);
        if is_wide {
            cells.push(culprit);
            table.row(cells);
        } else {
            table.row_with_note(cells, culprit);
        }
    }
    table.render(style)
}

fn status(issue: &Issue) -> Cell {
    match issue.status.as_str() {
        "open" if issue.regressed => Cell::inked("regressed", Ink::Red),
        status => Cell::new(status),
    }
}

/// The ink of a level's name.
pub(super) fn ink_of_level(level: &str) -> Ink {
    match level {
        "fatal" | "error" => Ink::Red,
        "warning" => Ink::Yellow,
        _ => Ink::Plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn issue(id: &str, change: &Value) -> Issue {
        let mut issue = json!({
            "id": id, "project": "shop", "title": "KeyError: 'total'",
            "culprit": "shop.cart in checkout", "level": "error", "status": "open",
            "events": 17, "users": 3, "first_seen": "2026-11-20T10:00:00Z",
            "last_seen": "2026-11-21T11:57:00.5Z",
        });
        for (key, value) in change.as_object().expect("an object") {
            issue[key] = value.clone();
        }
        answer::read(&issue).expect("an issue")
    }

    fn shown(issues: &[Issue], width: Option<usize>) -> String {
        let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        table(issues, now, Style { width, is_coloured: false })
    }

    fn some() -> [Issue; 3] {
        let hostile = "Stock\x1b[2J low for sku-77 – 在庫不足 and a good deal of further text";
        [
            issue("SHOP-42", &json!({})),
            issue("SHOP-7", &json!({"title": hostile, "level": "warning", "events": 120_345})),
            issue("SHOP-1", &json!({"culprit": null, "last_seen": "2026-01-02T00:00:00Z"})),
        ]
    }

    #[test]
    fn eighty_columns_hold_an_issue_and_its_culprit_below() {
        let text = shown(&some(), Some(80));
        assert!(text.lines().all(|line| super::super::text::width(line) <= 80));
        insta::assert_snapshot!(text, @r"
        ID       LEVEL    EVENTS  USERS  LAST SEEN   TITLE
        SHOP-42  error        17      3  2 min ago   KeyError: 'total'
                                                     shop.cart in checkout
        SHOP-7   warning  120345      3  2 min ago   Stock\u{1b}[2J low for sku-77 – 在…
                                                     shop.cart in checkout
        SHOP-1   error        17      3  2026-01-02  KeyError: 'total'
        ");
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_terminal() {
        insta::assert_snapshot!(shown(&some(), None), @r"
        ID       LEVEL    EVENTS  USERS  LAST SEEN   TITLE                                                                     CULPRIT
        SHOP-42  error        17      3  2 min ago   KeyError: 'total'                                                         shop.cart in checkout
        SHOP-7   warning  120345      3  2 min ago   Stock\u{1b}[2J low for sku-77 – 在庫不足 and a good deal of further text  shop.cart in checkout
        SHOP-1   error        17      3  2026-01-02  KeyError: 'total'
        ");
    }

    #[test]
    fn the_status_is_shown_where_it_tells_issues_apart() {
        let issues = [
            issue("SHOP-2", &json!({"regressed": true})),
            issue("SHOP-1", &json!({"status": "fix_pending"})),
        ];
        insta::assert_snapshot!(shown(&issues, Some(80)), @"
        ID      STATUS       LEVEL  EVENTS  USERS  LAST SEEN  TITLE
        SHOP-2  regressed    error      17      3  2 min ago  KeyError: 'total'
                                                              shop.cart in checkout
        SHOP-1  fix_pending  error      17      3  2 min ago  KeyError: 'total'
                                                              shop.cart in checkout
        ");
    }
}
