//! `airlock status`: how the parts of the server are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Context;
use super::answer;
use super::client::Api;
use super::failure::Failure;
use super::output::{Ink, Style};
use super::span::{ago, length};
use super::table::{Cell, Column, Table};
use crate::domain::time::Timestamp;

#[derive(Debug, Deserialize)]
struct Status {
    parts: BTreeMap<String, Part>,
    accepted_24h: Option<u64>,
    refused_24h: Option<u64>,
    buried: Option<u64>,
    discarded_by_clients_24h: Option<u64>,
}

/// A part; without a token only its state is told.
#[derive(Debug, Deserialize)]
struct Part {
    state: String,
    since: Option<Timestamp>,
    backlog: Option<u64>,
    oldest_age_seconds: Option<u64>,
    last_error: Option<String>,
}

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let found = Api::new(context.connection.target()?)?.get_at_root("status.json").await?;
    let status: Status = answer::read(&found)?;
    let now = context.clock.now();
    context.output.result(&found, |style| shown(&status, now, style))
}

fn shown(status: &Status, now: Timestamp, style: Style) -> String {
    let mut table = Table::new([
        Column::text("PART"),
        Column::text("STATE"),
        Column::text("SINCE"),
        Column::number("BACKLOG"),
        Column::text("OLDEST"),
        Column::text("LAST ERROR"),
    ]);
    for (name, part) in &status.parts {
        let ink = match part.state.as_str() {
            "ok" => Ink::Green,
            "degraded" => Ink::Yellow,
            _ => Ink::Red,
        };
        let oldest = part.oldest_age_seconds.map(length);
        table.row([
            Cell::inked(name, Ink::Bold),
            Cell::inked(&part.state, ink),
            Cell::new(part.since.map(|since| ago(since, now)).unwrap_or_default()),
            Cell::new(part.backlog.map(|backlog| backlog.to_string()).unwrap_or_default()),
            Cell::new(oldest.unwrap_or_default()),
            Cell::new(part.last_error.as_deref().unwrap_or_default()),
        ]);
    }
    let counts = [
        (status.accepted_24h, "accepted in 24 h"),
        (status.refused_24h, "refused in 24 h"),
        (status.buried, "buried"),
        (status.discarded_by_clients_24h, "discarded by clients in 24 h"),
    ];
    let counts = counts.iter().filter_map(|(count, what)| count.map(|n| format!("{n} {what}")));
    let counts = counts.collect::<Vec<_>>().join(", ");
    if counts.is_empty() {
        table.render(style)
    } else {
        format!("{}\nreports: {counts}\n", table.render(style))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(status: &serde_json::Value) -> String {
        let status: Status = answer::read(status).expect("a status");
        let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        shown(&status, now, Style::default())
    }

    #[test]
    fn the_parts_and_what_hurts() {
        insta::assert_snapshot!(text(&json!({
            "parts": {
                "intake": {"state": "ok", "since": "2026-11-21T09:00:00Z", "backlog": 0,
                           "oldest_age_seconds": null, "last_error": null},
                "digest": {"state": "degraded", "since": "2026-11-21T11:58:00Z", "backlog": 120,
                           "oldest_age_seconds": 95, "last_error": "the store is away"},
            },
            "accepted_24h": 1200, "refused_24h": 0, "buried": 2, "discarded_by_clients_24h": 7,
        })), @"
        PART    STATE     SINCE      BACKLOG  OLDEST  LAST ERROR
        digest  degraded  2 min ago      120  1 min   the store is away
        intake  ok        3 h ago          0

        reports: 1200 accepted in 24 h, 0 refused in 24 h, 2 buried, 7 discarded by clients in 24 h
        ");
    }

    #[test]
    fn without_a_token_the_states() {
        insta::assert_snapshot!(text(&json!({"parts": {"intake": {"state": "ok"}}})), @"
        PART    STATE  SINCE  BACKLOG  OLDEST  LAST ERROR
        intake  ok
        ");
    }
}
