//! `airlock project outcomes`: what became of a project's reports.

use clap::Args;

use super::Context;
use super::answer::{self, Outcomes};
use super::failure::Failure;
use super::output::Style;
use super::table::{Cell, Column, Table};

#[derive(Debug, Args)]
pub(super) struct OutcomesArgs {
    /// The project's slug
    slug: String,
    /// How far to look back
    #[arg(long, default_value_t = 24, value_name = "N")]
    hours: u32,
}

pub(super) async fn run(context: &Context, args: OutcomesArgs) -> Result<(), Failure> {
    let hours = args.hours.to_string();
    let query = [("hours", hours.as_str())];
    let found = context.api()?.get_with(&["projects", &args.slug, "outcomes"], &query).await?;
    let outcomes: Outcomes = answer::read(&found)?;
    if rows(&outcomes).is_empty() {
        context.output.hint(&format!("nothing was sent in the last {hours} hours"));
    }
    context.output.result(&found, |style| shown(&outcomes, style))
}

/// What happened, its detail and how often, without what never did.
fn rows(outcomes: &Outcomes) -> Vec<(&'static str, String, u64)> {
    let totals = &outcomes.totals;
    let alone =
        [("accepted", totals.accepted), ("duplicate", totals.duplicate), ("buried", totals.buried)];
    let mut rows: Vec<_> = alone
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(kind, n)| (kind, String::new(), n))
        .collect();
    for (kind, counts) in [("refused", &totals.refused), ("skipped", &totals.skipped)] {
        rows.extend(counts.iter().map(|(detail, n)| (kind, detail.clone(), *n)));
    }
    for (category, reasons) in &totals.discarded {
        let row = |(reason, n): (&String, &u64)| {
            ("dropped by the SDK", format!("{category}: {reason}"), *n)
        };
        rows.extend(reasons.iter().map(row));
    }
    rows
}

fn shown(outcomes: &Outcomes, style: Style) -> String {
    let rows = rows(outcomes);
    if rows.is_empty() {
        return String::new();
    }
    let mut table =
        Table::new([Column::number("N"), Column::text("WHAT"), Column::flexible("DETAIL")]);
    for (kind, detail, n) in rows {
        table.row([Cell::new(n.to_string()), Cell::new(kind), Cell::new(detail)]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happened_is_a_table_and_what_did_not_is_left_out() {
        let outcomes = json!({"from": "2026-11-21T12:00:00Z", "hours": [], "totals": {
            "accepted": 1200, "duplicate": 0, "buried": 1,
            "refused": {"origin": 3, "rate_limited": 20}, "skipped": {"session": 7},
            "discarded": {"error": {"before_send": 2, "\u{1b}[2J": 1}},
        }});
        let outcomes: Outcomes = answer::read(&outcomes).expect("outcomes");
        insta::assert_snapshot!(shown(&outcomes, Style::default()), @r"
           N  WHAT                DETAIL
        1200  accepted
           1  buried
           3  refused             origin
          20  refused             rate_limited
           7  skipped             session
           1  dropped by the SDK  error: \u{1b}[2J
           2  dropped by the SDK  error: before_send
        ");
    }
}
