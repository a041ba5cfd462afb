//! What the gate says, in words.

use serde::Deserialize;

use super::super::failure::Failure;
use super::super::output::{Ink, Style};
use super::super::place::Place;
use super::super::span::ago;
use super::super::text::{counted, one_line};
use crate::domain::time::Timestamp;

/// How much of a commit's name is shown.
const SHORT: usize = 12;

/// Whether a commit may be deployed, and why not.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Verdict {
    #[serde(rename = "verdict")]
    kind: Kind,
    pub(in crate::cli) version: String,
    project: String,
    environment: String,
    commit: Option<String>,
    #[serde(default)]
    blockers: Vec<Blocker>,
    #[serde(default)]
    cleared: Vec<Cleared>,
    #[serde(default)]
    warnings: Vec<Warning>,
    next_change_at: Option<Timestamp>,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Clear,
    Blocked,
    Unknown,
}

/// One reason against it.
#[derive(Debug, Deserialize)]
struct Blocker {
    kind: String,
    issue: Option<String>,
    reason: Option<String>,
    owner: Option<String>,
    since: Option<Timestamp>,
    url: Option<String>,
    hint: Option<String>,
    clears_at: Option<Timestamp>,
}

/// A lock that does not count, as the commit holds its fix.
#[derive(Debug, Deserialize)]
struct Cleared {
    issue: Option<String>,
    fix: Option<String>,
    proof: Option<String>,
}

/// Something to know before deploying.
#[derive(Debug, Deserialize)]
struct Warning {
    kind: String,
    detail: Option<String>,
    #[serde(default)]
    issues: Vec<String>,
}

/// Of a verdict what is said of a deploy that it let begin.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Warnings {
    #[serde(default)]
    warnings: Vec<Warning>,
}

impl Warnings {
    /// A line for each.
    pub(in crate::cli) fn lines(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().map(Warning::line)
    }
}

/// The first digits of a commit's name.
pub(in crate::cli) fn short(commit: &str) -> String {
    one_line(commit).chars().take(SHORT).collect()
}

impl Verdict {
    pub(in crate::cli) fn is_clear(&self) -> bool {
        self.kind == Kind::Clear
    }

    /// Everything, for a person.
    pub(in crate::cli) fn text(&self, now: Timestamp, style: Style) -> String {
        let (ink, what) = match self.kind {
            Kind::Clear => (Ink::Green, "clear"),
            Kind::Blocked => (Ink::Red, "blocked"),
            Kind::Unknown => (Ink::Yellow, "unknown"),
        };
        let place = format!("{}/{}", one_line(&self.project), one_line(&self.environment));
        let commit = self.commit.as_deref().map(|commit| format!(" for {}", short(commit)));
        let what = style.ink(ink, what);
        let mut lines = vec![format!("{place} is {what}{}", commit.unwrap_or_default())];
        let blockers: Vec<_> =
            self.blockers.iter().flat_map(|blocker| blocker.lines(now, style)).collect();
        lines.extend(section("Against it", blockers, style));
        let cleared = self.cleared.iter().map(Cleared::line).collect();
        lines.extend(section("Locks that it clears", cleared, style));
        let warnings = self.warnings.iter().map(Warning::line).collect();
        lines.extend(section("To know before", warnings, style));
        if let Some(at) = self.next_change_at {
            lines.extend([String::new(), format!("This changes by itself at {at}")]);
        }
        lines.join("\n") + "\n"
    }

    /// What is said while somebody waits.
    pub(in crate::cli) fn waiting(&self, place: &Place, now: Timestamp, style: Style) -> String {
        let why = match self.kind {
            Kind::Clear => return format!("airlock: {place} is clear"),
            Kind::Blocked => "is blocked",
            Kind::Unknown => "cannot be judged",
        };
        let mut lines = vec![format!("airlock: waiting, as {place} {why}:")];
        let blockers = self.blockers.iter().flat_map(|blocker| blocker.lines(now, style));
        lines.extend(blockers.map(|line| format!("  {line}")));
        lines.join("\n")
    }

    /// What makes one wait another than before: everything but how long ago things were.
    pub(in crate::cli) fn who(&self) -> String {
        format!("{:?} {:?}", self.kind, self.blockers)
    }

    /// Fails unless it is clear.
    pub(in crate::cli) fn require_clear(&self, was_waited: bool) -> Result<(), Failure> {
        let place = format!("{}/{}", one_line(&self.project), one_line(&self.environment));
        let reasons = counted(self.blockers.len() as u64, "reason");
        match self.kind {
            Kind::Clear => Ok(()),
            Kind::Blocked if was_waited => Err(Failure::Waited(format!(
                "{place} is still blocked, for {reasons}, and the wait is over"
            ))),
            Kind::Blocked => Err(Failure::Unfinished(format!("{place} is blocked, for {reasons}"))),
            Kind::Unknown => Err(Failure::Undecided(format!(
                "whether {place} may be deployed to cannot be told, for {reasons}"
            ))),
        }
    }
}

fn section(head: &str, lines: Vec<String>, style: Style) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let head = [String::new(), style.ink(Ink::Bold, head)];
    head.into_iter().chain(lines.into_iter().map(|line| format!("  {line}"))).collect()
}

impl Blocker {
    /// `issue_lock SHOP-42: KeyError (zoe, 2 h ago)`, and below it what to do and where to look.
    fn lines(&self, now: Timestamp, style: Style) -> Vec<String> {
        let issue = self.issue.as_deref().map(|issue| format!(" {issue}"));
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}"));
        let since = self.since.map(|since| ago(since, now));
        let about: Vec<String> = self.owner.clone().into_iter().chain(since).collect();
        let about =
            if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        let rest = format!("{}{}{about}", issue.unwrap_or_default(), reason.unwrap_or_default());
        let head = style.ink(Ink::Red, &one_line(&self.kind)) + &one_line(&rest);
        let hint = self.hint.as_deref().unwrap_or_default();
        let clears = self.clears_at.map(|at| at.to_string()).filter(|at| !hint.contains(at));
        let clears = clears.map(|at| format!("until {at}"));
        let below = [self.hint.clone(), clears, self.url.clone()].into_iter().flatten();
        let below = below.map(|line| format!("  {}", one_line(&line)));
        [head].into_iter().chain(below).collect()
    }
}

impl Cleared {
    fn line(&self) -> String {
        let issue = self.issue.as_deref().unwrap_or("a lock");
        let fix = self.fix.as_deref().map(|fix| format!(" by {}", short(fix)));
        let proof = self.proof.as_deref().map(|proof| format!(": {proof}"));
        one_line(&format!("{issue}{}{}", fix.unwrap_or_default(), proof.unwrap_or_default()))
    }
}

impl Warning {
    fn line(&self) -> String {
        let issues = if self.issues.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.issues.join(", "))
        };
        let detail = self.detail.as_deref().map(|detail| format!(": {detail}"));
        one_line(&format!("{}{}{issues}", self.kind, detail.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::answer;
    use super::*;

    fn verdict(change: &Value) -> Verdict {
        let mut verdict = json!({
            "verdict": "blocked", "version": "7", "project": "shop", "environment": "production",
            "commit": "9f1c2d3e4b5a69788796a5b4c3d2e1f009182736",
            "checked_at": "2026-11-21T12:00:00Z",
            "blockers": [
                {"kind": "issue_lock", "lock": "l1", "issue": "SHOP-42", "reason": "KeyError: 'total'",
                 "owner": "zoë", "since": "2026-11-21T10:00:00Z",
                 "url": "http://127.0.0.1:8460/issues/SHOP-42", "fix": "4f2c91a0",
                 "hint": "fixed by 4f2c91a, on main 3 commits after the candidate",
                 "clears_at": null},
                {"kind": "freeze", "lock": null, "issue": null, "reason": "nightly\x1b[2J",
                 "owner": null, "since": null, "url": null, "fix": null, "hint": null,
                 "clears_at": "2026-11-22T06:00:00Z"},
            ],
            "cleared": [{"lock": "l2", "issue": "SHOP-7", "fix": "aa11bb22cc33dd44",
                         "proof": "an ancestor of the candidate"}],
            "warnings": [{"kind": "takes_back", "detail": "fixes that are live there",
                          "issues": ["SHOP-3", "SHOP-5"]}],
            "next_change_at": "2026-11-22T06:00:00Z",
        });
        for (key, value) in change.as_object().expect("an object") {
            verdict[key] = value.clone();
        }
        answer::read(&verdict).expect("a verdict")
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T12:00:00Z").expect("a time")
    }

    #[test]
    fn a_verdict_says_what_to_do() {
        insta::assert_snapshot!(verdict(&json!({})).text(now(), Style::default()), @r"
        shop/production is blocked for 9f1c2d3e4b5a

        Against it
          issue_lock SHOP-42: KeyError: 'total' (zoë, 2 h ago)
            fixed by 4f2c91a, on main 3 commits after the candidate
            http://127.0.0.1:8460/issues/SHOP-42
          freeze: nightly\u{1b}[2J
            until 2026-11-22T06:00:00Z

        Locks that it clears
          SHOP-7 by aa11bb22cc33: an ancestor of the candidate

        To know before
          takes_back: fixes that are live there (SHOP-3, SHOP-5)

        This changes by itself at 2026-11-22T06:00:00Z
        ");
        let clear = verdict(&json!({"verdict": "clear", "blockers": [], "cleared": [],
            "warnings": [], "next_change_at": null}));
        insta::assert_snapshot!(clear.text(now(), Style::default()), @"shop/production is clear for 9f1c2d3e4b5a");
    }

    #[test]
    fn who_waits_is_told_why() {
        let place = "shop/production".parse().expect("a place");
        let waiting = verdict(&json!({})).waiting(&place, now(), Style::default());
        insta::assert_snapshot!(waiting, @r"
        airlock: waiting, as shop/production is blocked:
          issue_lock SHOP-42: KeyError: 'total' (zoë, 2 h ago)
            fixed by 4f2c91a, on main 3 commits after the candidate
            http://127.0.0.1:8460/issues/SHOP-42
          freeze: nightly\u{1b}[2J
            until 2026-11-22T06:00:00Z
        ");
    }

    #[test]
    fn the_exit_code_says_what_it_came_to() {
        for (kind, was_waited, code) in [
            ("clear", false, None),
            ("clear", true, None),
            ("blocked", false, Some(1)),
            ("blocked", true, Some(4)),
            ("unknown", false, Some(3)),
            ("unknown", true, Some(3)),
        ] {
            let done = verdict(&json!({ "verdict": kind })).require_clear(was_waited);
            assert_eq!(done.err().map(|failure| failure.exit_code()), code, "{kind}");
        }
    }

    #[test]
    fn another_verdict_than_the_known_is_not_airlocks() {
        let maybe = json!({"verdict": "maybe", "version": "1", "project": "a", "environment": "b"});
        let failure = answer::read::<Verdict>(&maybe).expect_err("no verdict");
        assert_eq!(failure.exit_code(), 5);
    }
}
