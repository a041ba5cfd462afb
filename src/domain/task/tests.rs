//! Tasks of issues, by examples.

use uuid::Uuid;

use super::*;
use crate::domain::event::{Exception, Level};
use crate::domain::id::{EventId, IssueId, ProjectId, ShortId};
use crate::domain::lifecycle::State;
use crate::domain::time::Timestamp;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_micros(hour * 3_600_000_000)
}

fn issue() -> Issue {
    Issue {
        id: IssueId(Uuid::nil()),
        project_id: ProjectId(1),
        short_id: ShortId { prefix: "SHOP".to_owned(), number: 42 },
        title: "KeyError: 'total'".to_owned(),
        culprit: "shop.cart in checkout".to_owned(),
        level: Level::Error,
        platform: "python".to_owned(),
        handled: Some(false),
        state: State::OPEN,
        revision: 0,
        n_events: 17,
        n_suppressed: 0,
        n_undetermined: 0,
        n_users: 3,
        first_seen: at(1),
        last_seen: at(5),
        first_release: Some("1.0".to_owned()),
        last_release: None,
        assignee: Some("zoe".to_owned()),
        merged_into: None,
        discarded_at: None,
        serious_at: None,
    }
}

fn task(issue: &Issue, event: Option<&Event>) -> Wanted {
    of_issue(&IssueFacts {
        issue,
        environments: &["production".to_owned(), "beta".to_owned()],
        event,
        fix: None,
        locks: &["production".to_owned()],
        url: "https://errors.example/api/v1/issues/SHOP-42",
        now: at(0),
    })
}

fn frame(function: &str, line: u32, in_app: bool) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        filename: Some("shop/cart.py".to_owned()),
        lineno: Some(line),
        in_app: Some(in_app),
        ..Frame::default()
    }
}

fn event(frames: Vec<Frame>) -> Event {
    let exceptions = vec![Exception { frames, ..Exception::default() }];
    let id = EventId(Uuid::nil());
    Event { exceptions, ..Event::new(id, at(5), Level::Error, "python".to_owned()) }
}

fn code(wanted: &Wanted) -> Vec<String> {
    let code = wanted.body.iter().find_map(|block| match block {
        Block::Code(lines) => Some(lines.clone()),
        Block::Text(_) | Block::Facts(_) | Block::Link { .. } => None,
    });
    code.unwrap_or_default()
}

#[test]
fn a_task_says_what_an_engineer_wants_to_know() {
    let event = event(vec![
        frame("main", 3, false),
        frame("checkout", 17, true),
        frame("total", 9, true),
        frame("__getitem__", 1, false),
    ]);
    let wanted = task(&issue(), Some(&event));
    assert_eq!(wanted.title, "SHOP-42 KeyError: 'total'");
    assert_eq!((wanted.is_done, wanted.assignee.as_deref()), (false, Some("zoe")));
    let shown: Vec<String> = wanted
        .body
        .iter()
        .map(|block| match block {
            Block::Text(text) => text.clone(),
            Block::Facts(facts) => {
                let facts: Vec<String> =
                    facts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
                facts.join("\n")
            }
            Block::Code(lines) => lines.join("\n"),
            Block::Link { text, url } => format!("[{text}]({url})"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "shop.cart in checkout",
            "Level: error\nHandled: no\nEnvironments: production, beta\nEvents: 17\nUsers: 3\n\
             First seen: 1970-01-01T01:00:00Z in 1.0\nLast seen: 1970-01-01T05:00:00Z\n\
             Locks: production",
            "shop/cart.py:17 in checkout\nshop/cart.py:9 in total",
            "Name the commit that fixes it: `airlock fix SHOP-42 --commit SHA`, or write \
             `Fixes: SHOP-42` into its message. The task is done once a deploy brings it.",
            "[SHOP-42 in Airlock](https://errors.example/api/v1/issues/SHOP-42)",
        ]
    );
}

#[test]
fn what_a_report_says_stays_within_its_line() {
    let bad = Issue { title: format!("a\nb\u{1b}[2J{}", "x".repeat(300)), ..issue() };
    let title = task(&bad, None).title;
    assert_eq!(title.chars().count(), MOST_TITLE_CHARS);
    assert!(title.starts_with("SHOP-42 a b [2Jxxx") && title.ends_with('…'), "{title}");
    let event =
        event((0..40).map(|n| frame(&format!("f{n}\n{}", "y".repeat(300)), n, false)).collect());
    let lines = code(&task(&issue(), Some(&event)));
    assert_eq!(lines.len(), MOST_FRAMES);
    assert!(
        lines.iter().all(|line| line.chars().count() == MOST_LINE_CHARS && !line.contains('\n'))
    );
    assert!(lines.last().is_some_and(|line| line.contains("f39 ")), "{lines:?}");
}

#[test]
fn a_task_is_done_when_its_issue_is() {
    let done = |issue: Issue| task(&issue, None).is_done;
    let status = |status| Issue { state: State { status, ..State::OPEN }, ..issue() };
    assert!(!done(issue()));
    assert!(!done(status(Status::PENDING)));
    let absent = |hours: i64| status(Status::FixPending { absent_since: Some(at(-hours)) });
    assert!(done(absent(23)) && !done(absent(24)));
    assert!(!done(status(Status::Muted { until: None, until_n_events: None })));
    assert!(done(Issue { merged_into: Some(IssueId(Uuid::max())), ..issue() }));
    assert!(done(Issue { discarded_at: Some(at(9)), ..issue() }));
}

#[test]
fn only_what_is_new_is_written() {
    let (before, after) = (issue(), Issue { n_events: 18, ..issue() });
    let written = task(&before, None).written();
    assert!(task(&before, None).since(&written, true).is_empty());
    // Counts alone wait for their turn.
    let counted = task(&after, None);
    assert!(counted.since(&written, false).is_empty());
    let patch = counted.since(&written, true);
    assert_eq!((patch.title.is_some(), patch.body.is_some()), (false, true));
    assert_eq!((patch.is_done, patch.assignee), (None, None));

    let given = task(&Issue { assignee: None, n_events: 18, ..issue() }, None);
    let patch = given.since(&written, false);
    assert_eq!((patch.assignee.clone(), patch.body.is_some()), (Some(None), false));
    let written = written.after(&patch, &given);
    assert!(given.since(&written, false).is_empty());
    // The text that waited is still to be written.
    assert!(given.since(&written, true).body.is_some());
}
