//! Deploys, as commands show them.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer;
use super::super::gate::verdict::{Warnings, short};
use super::super::output::{Ink, Output, Style};
use super::super::span::{ago, exact_and_ago, length};
use super::super::table::{Cell, Column, Table, fields};
use super::super::text::{counted, one_line};
use crate::domain::time::Timestamp;

/// A deploy.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Deploy {
    pub(super) id: String,
    number: Option<u64>,
    #[serde(default)]
    project: String,
    #[serde(default)]
    environment: String,
    commit: Option<String>,
    repository: Option<String>,
    version: Option<String>,
    pub(super) status: String,
    by: Option<String>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    exit_code: Option<i64>,
    #[serde(default)]
    gated: bool,
    /// The verdict with which it began.
    gate: Option<Value>,
    pub(super) lease_seconds: Option<u64>,
    /// What was passed by force, and why.
    #[serde(rename = "override")]
    forced: Option<String>,
    /// Only in the answer to its end.
    resolved: Option<Vec<String>>,
    released_locks: Option<Vec<String>>,
    url: Option<String>,
    /// Since when its output is not kept any more.
    pub(super) output_gone_at: Option<Timestamp>,
}

impl Deploy {
    /// `deploy 17 of shop/production`, in one line.
    pub(super) fn name(&self) -> String {
        let number = self.number.map_or_else(|| self.id.clone(), |number| number.to_string());
        one_line(&format!("deploy {number} of {}/{}", self.project, self.environment))
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// Says on stderr what the gate warned of.
    pub(super) fn say_warnings(&self) {
        // The deploy runs, whatever the server says of the gate.
        let warnings = self.gate.as_ref().and_then(|gate| answer::read::<Warnings>(gate).ok());
        for warning in warnings.iter().flat_map(Warnings::lines) {
            Output::note(&format!("airlock: warning: {warning}"));
        }
    }

    /// How it ended and what that changed, in one line.
    pub(super) fn ended(&self) -> String {
        let resolved = self.resolved.as_deref().unwrap_or_default().join(", ");
        let resolved =
            if resolved.is_empty() { resolved } else { format!(", resolved {resolved}") };
        let n_released = self.released_locks.as_ref().map_or(0, Vec::len) as u64;
        let released = if n_released == 0 {
            String::new()
        } else {
            format!(", released {}", counted(n_released, "lock"))
        };
        format!("{} {}{}{released}", self.name(), one_line(&self.status), one_line(&resolved))
    }

    /// Everything about it but its output.
    pub(super) fn text(&self, now: Timestamp, style: Style) -> String {
        let at = |time| exact_and_ago(time, now);
        let commit = self.commit.as_deref().map(|commit| {
            let repository = self.repository.as_deref().map(|name| format!(" of {name}"));
            one_line(&format!("{commit}{}", repository.unwrap_or_default()))
        });
        let code = self.exit_code.map(|code| format!(" (exit code {code})"));
        let status = one_line(&self.status);
        let status = style.ink(ink(&status), &status) + &code.unwrap_or_default();
        let took = self.started_at.zip(self.finished_at).map(|(from, to)| to.since(from));
        let gate = match &self.forced {
            Some(reason) => format!("passed by force: {}", one_line(reason)),
            None if self.gated => "passed".to_owned(),
            None => "not asked".to_owned(),
        };
        let known = [
            ("deploy", Some(style.ink(Ink::Bold, &one_line(&self.id)))),
            ("of", Some(self.name())),
            ("status", Some(status)),
            ("commit", commit),
            ("version", self.version.as_deref().map(one_line)),
            ("by", self.by.as_deref().map(one_line)),
            ("started", self.started_at.map(at)),
            ("finished", self.finished_at.map(at)),
            ("took", took.map(|span| length(span.as_secs()))),
            ("gate", Some(gate)),
            ("resolved", self.resolved.as_ref().map(|issues| one_line(&issues.join(", ")))),
            ("output", self.output_gone_at.map(|since| format!("given up {}", at(since)))),
            ("address", self.url.as_deref().map(one_line)),
        ];
        let known = known.into_iter().filter_map(|(label, value)| Some((label, value?)));
        let known: Vec<_> = known.filter(|(_, value)| !value.is_empty()).collect();
        fields(style, &known).join("\n") + "\n"
    }
}

fn ink(status: &str) -> Ink {
    match status {
        "succeeded" => Ink::Green,
        "running" => Ink::Cyan,
        _ => Ink::Red,
    }
}

/// Deploys below each other.
pub(super) fn table(deploys: &[Deploy], now: Timestamp, style: Style) -> String {
    let mut table = Table::new([
        Column::text("ID"),
        Column::number("N"),
        Column::text("ENVIRONMENT"),
        Column::text("STATUS"),
        Column::text("COMMIT"),
        Column::text("STARTED"),
        Column::flexible("BY"),
        Column::flexible("NOTE"),
    ]);
    for deploy in deploys {
        let note = match &deploy.forced {
            Some(reason) => format!("by force: {reason}"),
            None if deploy.gated => deploy.version.clone().unwrap_or_default(),
            None => "not gated".to_owned(),
        };
        table.row([
            Cell::inked(&deploy.id, Ink::Bold),
            Cell::new(deploy.number.map(|number| number.to_string()).unwrap_or_default()),
            Cell::new(&deploy.environment),
            Cell::inked(&deploy.status, ink(&deploy.status)),
            Cell::new(deploy.commit.as_deref().map(short).unwrap_or_default()),
            Cell::new(deploy.started_at.map(|at| ago(at, now)).unwrap_or_default()),
            Cell::new(deploy.by.as_deref().unwrap_or_default()),
            Cell::new(note),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deploy(change: &Value) -> Deploy {
        let mut deploy = json!({
            "id": "0190a1b2-0000-7000-8000-000000000001", "number": 17, "project": "shop",
            "environment": "production", "commit": "9f1c2d3e4b5a69788796a5b4c3d2e1f009182736",
            "repository": "shop", "status": "running", "by": "ci\x1b[2J",
            "started_at": "2026-11-21T11:00:00Z", "finished_at": null, "gated": true,
            "gate": null, "lease_seconds": 600, "task": null, "output_bytes": 0,
        });
        for (key, value) in change.as_object().expect("an object") {
            deploy[key] = value.clone();
        }
        answer::read(&deploy).expect("a deploy")
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T12:00:00Z").expect("a time")
    }

    #[test]
    fn a_deploy_and_what_it_changed() {
        insta::assert_snapshot!(deploy(&json!({})).text(now(), Style::default()), @r"
        deploy   0190a1b2-0000-7000-8000-000000000001
        of       deploy 17 of shop/production
        status   running
        commit   9f1c2d3e4b5a69788796a5b4c3d2e1f009182736 of shop
        by       ci\u{1b}[2J
        started  2026-11-21T11:00:00Z (1 h ago)
        gate     passed
        ");
        let over = deploy(&json!({
            "status": "succeeded", "finished_at": "2026-11-21T11:03:20Z", "exit_code": 0,
            "override": "the site is down", "resolved": ["SHOP-42", "SHOP-7"],
            "released_locks": ["l1"], "version": "1.4.2",
        }));
        insta::assert_snapshot!(over.text(now(), Style::default()), @r"
        deploy    0190a1b2-0000-7000-8000-000000000001
        of        deploy 17 of shop/production
        status    succeeded (exit code 0)
        commit    9f1c2d3e4b5a69788796a5b4c3d2e1f009182736 of shop
        version   1.4.2
        by        ci\u{1b}[2J
        started   2026-11-21T11:00:00Z (1 h ago)
        finished  2026-11-21T11:03:20Z (56 min ago)
        took      3 min
        gate      passed by force: the site is down
        resolved  SHOP-42, SHOP-7
        ");
        insta::assert_snapshot!(over.ended(), @"deploy 17 of shop/production succeeded, resolved SHOP-42, SHOP-7, released 1 lock");
        assert_eq!(deploy(&json!({})).ended(), "deploy 17 of shop/production running");
    }

    #[test]
    fn deploys_below_each_other() {
        let deploys = [
            deploy(&json!({})),
            deploy(&json!({"number": 16, "status": "failed", "gated": false})),
            deploy(&json!({"number": 9, "status": "succeeded", "override": "the site is down"})),
        ];
        insta::assert_snapshot!(table(&deploys, now(), Style::default()), @r"
        ID                                     N  ENVIRONMENT  STATUS     COMMIT        STARTED  BY           NOTE
        0190a1b2-0000-7000-8000-000000000001  17  production   running    9f1c2d3e4b5a  1 h ago  ci\u{1b}[2J
        0190a1b2-0000-7000-8000-000000000001  16  production   failed     9f1c2d3e4b5a  1 h ago  ci\u{1b}[2J  not gated
        0190a1b2-0000-7000-8000-000000000001   9  production   succeeded  9f1c2d3e4b5a  1 h ago  ci\u{1b}[2J  by force: the site is down
        ");
    }
}
