//! `airlock lock`, `unlock` and `locks`: what keeps deploys out of an environment.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{self, List};
use super::failure::Failure;
use super::output::{Ink, Style};
use super::place::Place;
use super::span::ago;
use super::table::{Cell, Column, Table};
use super::text::one_line;
use super::{Context, span};
use crate::domain::id::ShortId;
use crate::domain::time::Timestamp;

#[derive(Debug, Args)]
pub(super) struct LockArgs {
    /// The project and the environment to lock
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "issue", conflicts_with = "issue")]
    reason: Option<String>,
    /// Who takes care of it
    #[arg(long, value_name = "WHO", conflicts_with = "issue")]
    assignee: Option<String>,
    /// What scripts call it: locking again with the same key changes the lock that is there
    #[arg(long, value_name = "KEY", conflicts_with = "issue")]
    key: Option<String>,
    /// When it releases itself: 4h [default: never]
    #[arg(long, value_name = "SPAN", value_parser = span::parse, conflicts_with = "issue")]
    expires: Option<Duration>,
    /// Lock until a fix of this issue is deployed
    #[arg(long, value_name = "SHOP-42")]
    issue: Option<ShortId>,
}

#[derive(Debug, Args)]
pub(super) struct UnlockArgs {
    /// The lock, as `airlock locks` lists it; or with --key, its environment
    #[arg(value_name = "ID|PROJECT/ENVIRONMENT")]
    what: String,
    /// What scripts call it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct LocksArgs {
    /// The project and one of its environments
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    target: Place,
    /// Which locks
    #[arg(long, value_enum, default_value_t = State::Active)]
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Active,
    Released,
    All,
}

/// More locks than anybody lists.
const MOST_LISTED: usize = 10_000;

/// A lock of an environment.
#[derive(Debug, Deserialize)]
struct Lock {
    id: String,
    kind: String,
    environment: String,
    issue: Option<String>,
    reason: Option<String>,
    owner: Option<String>,
    assignee: Option<String>,
    key: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    released_at: Option<Timestamp>,
    released_by: Option<String>,
    release_reason: Option<String>,
}

pub(super) async fn lock(context: &Context, args: LockArgs) -> Result<(), Failure> {
    let expires_at = args.expires.map(|span| context.clock.now().plus(span));
    let body = [
        ("issue", args.issue.map(|issue| json!(issue.to_string()))),
        ("reason", args.reason.map(|reason| json!(reason))),
        ("assignee", args.assignee.map(|who| json!(who))),
        ("key", args.key.map(|key| json!(key))),
        ("expires_at", expires_at.map(|at| json!(at))),
    ];
    let body = body.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let body = Value::Object(body.collect());
    let made = context.api()?.post(&args.target.path(&["locks"]), body).await?;
    let lock: Lock = answer::read(&made)?;
    context.output.result(&made, |style| lock.line(style))
}

pub(super) async fn unlock(context: &Context, args: UnlockArgs) -> Result<(), Failure> {
    let body = args.reason.iter().map(|reason| ("reason".to_owned(), json!(reason)));
    let body = Value::Object(body.collect::<Map<_, _>>());
    let api = context.api()?;
    let released = if let Some(key) = &args.key {
        let place: Place = args.what.parse().map_err(|why| {
            Failure::Usage(format!("{:?} is {why}: a key is one of an environment", args.what))
        })?;
        api.delete_with(&place.path(&["locks"]), &[("key", key)], body).await?
    } else {
        if args.what.contains('/') {
            let why = "name the lock by its id, or by its environment and --key";
            return Err(Failure::Usage(why.to_owned()));
        }
        api.delete_with(&["locks", &args.what], &[], body).await?
    };
    let lock: Lock = answer::read(&released)?;
    context.output.result(&released, |style| lock.line(style))
}

pub(super) async fn list(context: &Context, args: LocksArgs) -> Result<(), Failure> {
    let state = args.state.to_possible_value().map(|value| value.get_name().to_owned());
    let path = args.target.path(&["locks"]);
    let found = context.api()?.list(&path, &[("state", state)], MOST_LISTED).await?;
    let list: List<Lock> = answer::read(&found)?;
    if list.items.is_empty() {
        context.output.hint(match args.state {
            State::Active => "no locks",
            State::Released | State::All => "no locks so far",
        });
    }
    let now = context.clock.now();
    context.output.result(&found, |style| {
        if list.items.is_empty() { String::new() } else { table(&list.items, now, style) }
    })
}

impl Lock {
    /// `production is locked: SHOP-42 (0190…)`, or who released it.
    fn line(&self, style: Style) -> String {
        let id = style.ink(Ink::Bold, &one_line(&self.id));
        let environment = one_line(&self.environment);
        let what = one_line(&self.what());
        if self.released_at.is_none() {
            let until = self.expires_at.map(|at| format!(" until {at}")).unwrap_or_default();
            return format!("{environment} is locked{until}: {what} ({id})\n");
        }
        let by = self.released_by.as_deref().map(|who| format!(" by {who}")).unwrap_or_default();
        let why = self.release_reason.as_deref().map(|why| format!(", as {why:?}"));
        let how = one_line(&format!("{by}{}", why.unwrap_or_default()));
        format!("the lock {id} on {environment} is released{how}: {what}\n")
    }

    /// The issue, or why somebody locked it.
    fn what(&self) -> String {
        let parts = self.issue.iter().chain(&self.reason).map(String::as_str);
        let parts = parts.collect::<Vec<_>>().join(": ");
        if parts.is_empty() { self.kind.clone() } else { parts }
    }
}

fn table(locks: &[Lock], now: Timestamp, style: Style) -> String {
    let has_released = locks.iter().any(|lock| lock.released_at.is_some());
    let has_key = locks.iter().any(|lock| lock.key.is_some());
    let mut columns = vec![Column::text("ID"), Column::text("SINCE")];
    columns.extend(has_released.then_some(Column::text("RELEASED")));
    columns.extend(has_key.then_some(Column::text("KEY")));
    columns.extend([
        Column::flexible("OWNER"),
        Column::flexible("ASSIGNEE"),
        Column::text("EXPIRES"),
        Column::flexible("WHAT"),
    ]);
    let mut table = Table::new(columns);
    for lock in locks {
        let mut cells =
            vec![Cell::inked(&lock.id, Ink::Bold), Cell::new(ago(lock.created_at, now))];
        cells.extend(has_released.then(|| {
            let by = lock.released_by.as_deref().map(|who| format!(" by {who}"));
            let released = lock.released_at.map(|at| ago(at, now) + &by.unwrap_or_default());
            Cell::inked(released.unwrap_or_default(), Ink::Dim)
        }));
        cells.extend(has_key.then(|| Cell::new(lock.key.as_deref().unwrap_or_default())));
        let expires = lock.expires_at.map(|at| at.to_string().chars().take(16).collect());
        let expires: String = expires.unwrap_or_else(|| "never".to_owned());
        cells.extend([
            Cell::new(lock.owner.as_deref().unwrap_or_default()),
            Cell::new(lock.assignee.as_deref().unwrap_or_default()),
            Cell::new(expires.replace('T', " ")),
            Cell::new(lock.what()),
        ]);
        table.row(cells);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(change: &Value) -> Lock {
        let mut lock = json!({
            "id": "l1", "kind": "manual", "environment": "production", "issue": null,
            "reason": "the sale runs", "owner": "zoë", "assignee": null, "key": null,
            "created_at": "2026-11-21T10:00:00Z", "expires_at": null, "released_at": null,
            "released_by": null, "release_reason": null, "task": null,
        });
        for (key, value) in change.as_object().expect("an object") {
            lock[key] = value.clone();
        }
        answer::read(&lock).expect("a lock")
    }

    fn shown(locks: &[Lock]) -> String {
        let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
        table(locks, now, Style::default())
    }

    #[test]
    fn locks_below_each_other() {
        let issue = json!({"id": "l2", "kind": "issue", "issue": "SHOP-42", "owner": "airlock",
            "reason": "KeyError: 'total'"});
        let expiring = json!({"id": "l3", "key": "nightly", "expires_at": "2026-11-21T16:00:00Z",
            "assignee": "robin\x1b[2J"});
        insta::assert_snapshot!(shown(&[lock(&json!({})), lock(&issue)]), @"
        ID  SINCE    OWNER    ASSIGNEE  EXPIRES  WHAT
        l1  2 h ago  zoë                never    the sale runs
        l2  2 h ago  airlock            never    SHOP-42: KeyError: 'total'
        ");
        let released = json!({"id": "l4", "released_at": "2026-11-21T11:57:00Z",
            "released_by": "robin", "release_reason": "over"});
        insta::assert_snapshot!(shown(&[lock(&expiring), lock(&released)]), @r"
        ID  SINCE    RELEASED            KEY      OWNER  ASSIGNEE        EXPIRES           WHAT
        l3  2 h ago                      nightly  zoë    robin\u{1b}[2J  2026-11-21 16:00  the sale runs
        l4  2 h ago  3 min ago by robin           zoë                    never             the sale runs
        ");
    }

    #[test]
    fn a_lock_in_a_line() {
        let line = |change: &Value| lock(change).line(Style::default());
        insta::assert_snapshot!(line(&json!({"expires_at": "2026-11-21T16:00:00Z"})), @"production is locked until 2026-11-21T16:00:00Z: the sale runs (l1)");
        insta::assert_snapshot!(line(&json!({"kind": "issue", "issue": "SHOP-42",
            "reason": null})), @"production is locked: SHOP-42 (l1)");
        insta::assert_snapshot!(line(&json!({"released_at": "2026-11-21T11:57:00Z",
            "released_by": "robin", "release_reason": "over"})), @r#"the lock l1 on production is released by robin, as "over": the sale runs"#);
    }
}
