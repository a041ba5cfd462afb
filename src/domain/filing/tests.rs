//! What is serious, by examples.

use super::*;
use crate::domain::id::ProjectId;
use crate::domain::project::{Settings, environments};
use crate::domain::time::Timestamp;

fn project() -> Project {
    Project {
        id: ProjectId(1),
        slug: "shop".to_owned(),
        name: "shop".to_owned(),
        prefix: "SHOP".to_owned(),
        settings: Settings::default(),
        created_at: Timestamp::from_micros(0),
        environments: environments(&["beta".to_owned(), "production".to_owned()], None)
            .expect("two environments"),
    }
}

const HANDLED: Occurred<'_> = Occurred {
    level: Level::Error,
    handled: Some(true),
    environment: "production",
    verdict: Verdict::Known,
};

const UNHANDLED: Occurred<'_> = Occurred { handled: Some(false), ..HANDLED };

fn rule(json: &str) -> FilingRule {
    serde_json::from_str(json).expect("a rule")
}

fn judged(rules: &FilingRules, has_deploys: bool, n: u64, occurred: &[Occurred<'_>]) -> String {
    let project = project();
    match rules.judge(Scope { project: &project, has_deploys }, n, occurred) {
        Filing::No => "no".to_owned(),
        Filing::Serious(why) => why,
        Filing::Asks(windows) => {
            let asks: Vec<String> = windows.into_iter().map(|one| one.reason).collect();
            format!("asks {}", asks.join("; "))
        }
    }
}

#[test]
fn what_is_serious_by_default() {
    let rules = FilingRules::default();
    rules.check().expect("rules that make sense");
    let fatal = Occurred { level: Level::Fatal, ..HANDLED };
    let elsewhere = |one: Occurred<'static>| Occurred { environment: "laptop", ..one };
    let quiet = |verdict| Occurred { verdict, ..UNHANDLED };
    let asks = "asks 10 events within 10 min";
    for (occurred, has_deploys, n_events, expected) in [
        (UNHANDLED, true, 1, "unhandled"),
        (fatal, true, 1, "level fatal or worse"),
        (HANDLED, true, 9, "no"),
        (HANDLED, true, 10, asks),
        (Occurred { handled: None, ..HANDLED }, true, 9, "no"),
        // What nobody ever deployed to counts until somebody deploys.
        (elsewhere(UNHANDLED), false, 1, "unhandled"),
        (elsewhere(UNHANDLED), true, 1, "no"),
        (elsewhere(HANDLED), true, 50, "no"),
        (Occurred { environment: "Prod", ..UNHANDLED }, true, 1, "unhandled"),
        (quiet(Verdict::New), true, 1, "unhandled"),
        (quiet(Verdict::Regression), true, 1, "unhandled"),
        (quiet(Verdict::Suppressed), true, 1, "no"),
        (quiet(Verdict::Undetermined), true, 50, "no"),
        (quiet(Verdict::Muted), true, 50, "no"),
    ] {
        assert_eq!(judged(&rules, has_deploys, n_events, &[occurred]), expected, "{occurred:?}");
    }
    // One is enough, whatever else there is.
    assert_eq!(judged(&rules, true, 2, &[HANDLED, UNHANDLED]), "unhandled");
    assert_eq!(judged(&rules, true, 2, &[]), "no");
}

#[test]
fn all_conditions_of_a_rule_must_hold_for_one_occurrence() {
    let rules = |json: &str| FilingRules { rules: vec![rule(json)], ..FilingRules::default() };
    let fatal = rules(r#"{"level": "fatal", "unhandled": true, "environments": ["production"]}"#);
    let both = Occurred { level: Level::Fatal, ..UNHANDLED };
    let why = "unhandled, level fatal or worse, in production";
    assert_eq!(judged(&fatal, true, 1, &[both]), why);
    let one_each = [UNHANDLED, Occurred { level: Level::Fatal, ..HANDLED }];
    assert_eq!(judged(&fatal, true, 1, &one_each), "no");
    assert_eq!(judged(&fatal, true, 1, &[Occurred { environment: "beta", ..both }]), "no");
    assert_eq!(judged(&fatal, true, 1, &[Occurred { environment: "PROD", ..both }]), why);

    let worse = rules(r#"{"level": "warning"}"#);
    assert_eq!(judged(&worse, true, 1, &[HANDLED]), "level warning or worse");
    assert_eq!(judged(&worse, true, 1, &[Occurred { level: Level::Info, ..HANDLED }]), "no");

    let users = rules(r#"{"users": 3, "within_minutes": 60, "environments": ["elsewhere"]}"#);
    let there = Occurred { environment: "Elsewhere", ..HANDLED };
    let why = "asks 3 users within 60 min, in elsewhere";
    assert_eq!(judged(&users, true, 2, &[there]), "no");
    assert_eq!(judged(&users, true, 3, &[there]), why);
    let project = project();
    let scope = Scope { project: &project, has_deploys: true };
    let window = Window {
        within: Duration::from_hours(1),
        environments: Some(BTreeSet::from(["elsewhere".to_owned()])),
        n_events: 3,
        n_users: Some(3),
        reason: "3 users within 60 min, in elsewhere".to_owned(),
    };
    assert_eq!(users.judge(scope, 3, &[there]), Filing::Asks(vec![window]));

    // One event is reached by itself; one user is not.
    assert_eq!(judged(&rules(r#"{"events": 1}"#), true, 1, &[HANDLED]), "1 events within 10 min");
    let asks = "asks 1 users within 10 min";
    assert_eq!(judged(&rules(r#"{"users": 1}"#), true, 1, &[HANDLED]), asks);
    let none = FilingRules { rules: Vec::new(), ..FilingRules::default() };
    assert_eq!(judged(&none, true, 1_000, &[UNHANDLED]), "no");
}

#[test]
fn rules_that_make_no_sense_are_named() {
    let checked = |json: &str| {
        let rules = vec![rule(r#"{"events": 1}"#), rule(json)];
        FilingRules { rules, ..FilingRules::default() }.check().map_err(|cause| cause.to_string())
    };
    for (json, expected) in [
        ("{}", "rule 2 has no condition: give it level, unhandled, environments, events or users"),
        (
            r#"{"within_minutes": 5}"#,
            "rule 2 has no condition: give it level, unhandled, \
            environments, events or users",
        ),
        (r#"{"events": 0}"#, "rule 2: events must be 1 to 1000"),
        (r#"{"users": 1001}"#, "rule 2: users must be 1 to 1000"),
        (r#"{"events": 2, "within_minutes": 0}"#, "rule 2: within_minutes must be 1 to 1440"),
        (
            r#"{"events": 2, "level": "fatal"}"#,
            "rule 2: events and users count all reports of an issue: leave out level and \
            unhandled, or give them in a rule of their own",
        ),
        (r#"{"environments": []}"#, "rule 2: environments must be 1 to 20 names"),
    ] {
        assert_eq!(checked(json), Err(expected.to_owned()), "{json}");
    }
    assert_eq!(checked(r#"{"environments": ["beta"]}"#), Ok(()));
    assert!(serde_json::from_str::<FilingRule>(r#"{"evnets": 1}"#).is_err());
    let many = vec![rule(r#"{"events": 1}"#); MOST_RULES + 1];
    let many = FilingRules { rules: many, ..FilingRules::default() };
    assert_eq!(many.check(), Err(InvalidFiling::NRules));
    let storm = FilingRules { most_tasks_per_hour: 0, ..FilingRules::default() };
    assert_eq!(storm.check(), Err(InvalidFiling::TasksPerHour));
}

#[test]
fn a_window_is_reached_at_any_time() {
    let window = |n_events, n_users| Window {
        within: Duration::from_mins(10),
        environments: None,
        n_events,
        n_users,
        reason: String::new(),
    };
    let at = |minute: i64| Timestamp::from_micros(minute * 60_000_000);
    let seen = |minutes: &[i64]| minutes.iter().map(|minute| (at(*minute), None)).collect();
    // In the middle, and in no order.
    assert!(window(3, None).is_reached(seen(&[90, 59, 1, 52, 55])));
    assert!(!window(3, None).is_reached(seen(&[90, 59, 1, 49, 55])));
    assert!(window(3, None).is_reached(seen(&[0, 0, 0])));
    assert!(!window(3, None).is_reached(seen(&[0, 5, 10])));
    assert!(!window(1, None).is_reached(Vec::new()));
    let by = |users: &[(i64, i64)]| -> Vec<Seen> {
        users.iter().map(|(minute, user)| (at(*minute), Some(*user))).collect()
    };
    assert!(window(2, Some(2)).is_reached(by(&[(0, 1), (8, 1), (11, 2)])));
    assert!(!window(2, Some(2)).is_reached(by(&[(0, 1), (8, 2), (8, 2)]).split_off(1)));
    assert!(!window(2, Some(2)).is_reached(by(&[(0, 1), (5, 1), (16, 2)])));
}
