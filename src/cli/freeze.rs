//! `airlock freeze`, `freezes` and `unfreeze`: times at which an environment takes no deploys.

use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use super::answer::{self, List};
use super::failure::Failure;
use super::output::{Ink, Style};
use super::place::Place;
use super::span::moment;
use super::table::{Cell, Column, Table};
use super::text::one_line;
use crate::domain::time::Timestamp;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("window").required(true).args(["start", "from", "before"])))]
pub(super) struct FreezeArgs {
    /// The project and the environment to freeze
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
    /// What people call it
    #[arg(long)]
    name: String,
    /// When it begins, again and again: a cron pattern
    #[arg(long, value_name = "CRON", requires = "minutes", requires = "timezone")]
    start: Option<String>,
    /// When it begins, once: 2026-12-24T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "until")]
    from: Option<Timestamp>,
    /// When that ends
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "from")]
    until: Option<Timestamp>,
    /// Freeze before every deploy of this environment, until that deploy has ended
    #[arg(long, value_name = "ENVIRONMENT", requires_all = ["schedule", "minutes", "timezone"])]
    before: Option<String>,
    /// When that environment is deployed to: a cron pattern
    #[arg(long, value_name = "CRON", requires = "before")]
    schedule: Option<String>,
    /// How long it lasts, or how long before that deploy it begins
    #[arg(long, value_name = "M", conflicts_with = "from")]
    minutes: Option<u32>,
    /// Where the clock of the pattern is: Europe/Berlin
    #[arg(long, value_name = "ZONE", conflicts_with = "from")]
    timezone: Option<String>,
    /// A deploy that has not begun so many minutes after its time is skipped
    #[arg(long, value_name = "M", requires = "before")]
    skip_after: Option<u32>,
    /// It never lasts longer than so many minutes after that time
    #[arg(long, value_name = "M", requires = "before")]
    max: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct FreezesArgs {
    /// The project and one of its environments
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
}

#[derive(Debug, Args)]
pub(super) struct UnfreezeArgs {
    /// The project and the environment
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
    /// The freeze, as `airlock freezes` lists it
    id: String,
}

/// More freezes than anybody lists.
const MOST_LISTED: usize = 10_000;

/// A freeze: one of three kinds, each with fields of its own.
#[derive(Debug, Deserialize)]
struct Freeze {
    id: String,
    name: String,
    start: Option<String>,
    minutes: Option<u64>,
    timezone: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    before_environment: Option<String>,
    schedule: Option<String>,
}

impl FreezeArgs {
    fn body(&self) -> Value {
        let body = [
            ("name", Some(json!(self.name))),
            ("start", self.start.as_ref().map(|start| json!(start))),
            ("from", self.from.map(|from| json!(from))),
            ("until", self.until.map(|until| json!(until))),
            ("before_environment", self.before.as_ref().map(|before| json!(before))),
            ("schedule", self.schedule.as_ref().map(|schedule| json!(schedule))),
            ("minutes", self.minutes.map(|minutes| json!(minutes))),
            ("timezone", self.timezone.as_ref().map(|zone| json!(zone))),
            ("skip_after_minutes", self.skip_after.map(|minutes| json!(minutes))),
            ("max_minutes", self.max.map(|minutes| json!(minutes))),
        ];
        let given = body.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect())
    }
}

pub(super) async fn freeze(context: &Context, args: FreezeArgs) -> Result<(), Failure> {
    let made = context.api()?.post(&args.target.path(&["freezes"]), args.body()).await?;
    let freeze: Freeze = answer::read(&made)?;
    context.output.result(&made, |style| {
        let id = style.ink(Ink::Bold, &one_line(&freeze.id));
        let what = one_line(&format!("{}: {}", freeze.name, freeze.when()));
        format!("{} freezes, {what} ({id})\n", args.target)
    })
}

pub(super) async fn list(context: &Context, args: FreezesArgs) -> Result<(), Failure> {
    let path = args.target.path(&["freezes"]);
    let found = context.api()?.list(&path, &[], MOST_LISTED).await?;
    let list: List<Freeze> = answer::read(&found)?;
    if list.items.is_empty() {
        context.output.hint("no freezes");
    }
    context.output.result(&found, |style| {
        if list.items.is_empty() { String::new() } else { table(&list.items, style) }
    })
}

pub(super) async fn unfreeze(context: &Context, args: UnfreezeArgs) -> Result<(), Failure> {
    let gone = context.api()?.delete(&args.target.path(&["freezes", &args.id])).await?;
    let json = if gone.is_null() { json!({ "id": args.id }) } else { gone };
    context.output.result(&json, |_| format!("the freeze {} is gone\n", one_line(&args.id)))
}

impl Freeze {
    /// When it is in force, in words.
    fn when(&self) -> String {
        let zone = self.timezone.as_deref().unwrap_or("UTC");
        let minutes = self.minutes.unwrap_or_default();
        if let (Some(environment), Some(schedule)) = (&self.before_environment, &self.schedule) {
            return format!(
                "{minutes} min before each deploy of {environment} ({schedule}, {zone}), until it \
                 has ended"
            );
        }
        if let Some(start) = &self.start {
            return format!("{start}, {zone}, for {minutes} min");
        }
        let time = |time: Option<Timestamp>| time.map_or("?".to_owned(), |time| time.to_string());
        format!("from {} until {}", time(self.from), time(self.until))
    }
}

fn table(freezes: &[Freeze], style: Style) -> String {
    let mut table =
        Table::new([Column::text("ID"), Column::flexible("NAME"), Column::flexible("WHEN")]);
    for freeze in freezes {
        table.row([
            Cell::inked(&freeze.id, Ink::Bold),
            Cell::new(&freeze.name),
            Cell::new(freeze.when()),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: FreezeArgs,
    }

    fn parsed(line: &[&str]) -> Option<Value> {
        let line = [&["freeze", "shop/beta", "--name", "n"], line].concat();
        Line::try_parse_from(line).ok().map(|line| line.args.body())
    }

    #[test]
    fn a_freeze_is_of_one_kind() {
        assert_eq!(
            parsed(&["--start", "0 18 * * 5", "--minutes", "90", "--timezone", "UTC"]),
            Some(json!({"name": "n", "start": "0 18 * * 5", "minutes": 90, "timezone": "UTC"}))
        );
        assert_eq!(
            parsed(&["--from", "2026-12-24T00:00:00Z", "--until", "2026-12-27"]),
            Some(json!({"name": "n", "from": "2026-12-24T00:00:00Z",
                "until": "2026-12-27T00:00:00Z"}))
        );
        let before = [
            "--before",
            "production",
            "--schedule",
            "0 9 * * *",
            "--minutes",
            "90",
            "--timezone",
            "Europe/Berlin",
            "--skip-after",
            "30",
            "--max",
            "240",
        ];
        assert_eq!(
            parsed(&before),
            Some(json!({"name": "n", "before_environment": "production", "schedule": "0 9 * * *",
                "minutes": 90, "timezone": "Europe/Berlin", "skip_after_minutes": 30,
                "max_minutes": 240}))
        );
        for wrong in [
            &[][..],
            &["--start", "0 18 * * 5"],
            &["--from", "2026-12-24T00:00:00Z"],
            &["--until", "2026-12-24T00:00:00Z"],
            &["--from", "soon", "--until", "2026-12-24T00:00:00Z"],
            &["--before", "production", "--minutes", "9", "--timezone", "UTC"],
            &["--start", "* * * * *", "--minutes", "9", "--timezone", "UTC", "--max", "4"],
        ] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn freezes_below_each_other() {
        let list = json!({"items": [
            {"id": "f1", "name": "weekend", "start": "0 18 * * 5", "minutes": 3_600,
             "timezone": "Europe/Berlin"},
            {"id": "f2", "name": "holidays\n", "from": "2026-12-24T00:00:00Z",
             "until": "2026-12-27T00:00:00Z"},
            {"id": "f3", "name": "nightly", "before_environment": "production",
             "schedule": "0 3 * * *", "minutes": 90, "timezone": "UTC",
             "skip_after_minutes": 30, "max_minutes": 240},
        ], "next": null});
        let list: List<Freeze> = answer::read(&list).expect("freezes");
        insta::assert_snapshot!(table(&list.items, Style::default()), @r"
        ID  NAME        WHEN
        f1  weekend     0 18 * * 5, Europe/Berlin, for 3600 min
        f2  holidays\n  from 2026-12-24T00:00:00Z until 2026-12-27T00:00:00Z
        f3  nightly     90 min before each deploy of production (0 3 * * *, UTC), until it has ended
        ");
    }
}
