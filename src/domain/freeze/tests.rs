use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse::<jiff::Zoned>().map_or_else(
        |_| Timestamp::parse(text).expect("a valid time"),
        |zoned| Timestamp::from_micros(zoned.timestamp().as_microsecond()),
    )
}

fn freeze(document: Value) -> Freeze {
    serde_json::from_value(document).expect("a valid freeze")
}

fn wrong(document: Value) -> String {
    serde_json::from_value::<Freeze>(document).expect_err("an invalid freeze").to_string()
}

fn recurring(start: &str, minutes: u32, timezone: &str) -> Freeze {
    freeze(json!({"name": "f", "start": start, "minutes": minutes, "timezone": timezone}))
}

fn before_production(schedule: &str) -> Freeze {
    freeze(json!({
        "name": "before production", "before_environment": "production", "schedule": schedule,
        "minutes": 90, "timezone": "UTC",
    }))
}

fn deploy(started_at: &str, ended_at: Option<&str>) -> DeployTimes {
    DeployTimes { started_at: at(started_at), ended_at: ended_at.map(at) }
}

/// The next changes of a freeze that waits for nothing.
fn changes(freeze: &Freeze, from: &str, n: usize) -> Vec<Timestamp> {
    std::iter::successors(freeze.next_change_at(at(from), &[]), |now| {
        freeze.next_change_at(*now, &[])
    })
    .take(n)
    .collect()
}

#[test]
fn a_recurring_window_opens_and_closes() {
    let weekend = recurring("0 18 * * FRI", 62 * 60, "Europe/Berlin");
    assert_eq!(weekend.closed(at("2026-07-03T15:59:59Z"), &[]), None);
    let closed =
        Closed { since: at("2026-07-03T16:00:00Z"), clears_at: Some(at("2026-07-06T06:00:00Z")) };
    for on in ["2026-07-03T16:00:00Z", "2026-07-05T12:00:00Z", "2026-07-06T05:59:59.999999Z"] {
        assert_eq!(weekend.closed(at(on), &[]), Some(closed), "{on}");
        assert_eq!(weekend.next_change_at(at(on), &[]), closed.clears_at);
    }
    assert_eq!(weekend.closed(at("2026-07-06T06:00:00Z"), &[]), None);
    assert_eq!(
        weekend.next_change_at(at("2026-07-06T06:00:00Z"), &[]),
        Some(at("2026-07-10T16:00:00Z"))
    );
}

#[test]
fn one_window_has_a_beginning_and_an_end_even_years_away() {
    let one = freeze(
        json!({"name": "f", "from": "2026-12-20T00:00:00Z", "until": "2096-01-07T00:00:00Z"}),
    );
    let (from, until) = (at("2026-12-20T00:00:00Z"), at("2096-01-07T00:00:00Z"));
    assert_eq!(one.next_change_at(Timestamp::default(), &[]), Some(from));
    let closed = Closed { since: from, clears_at: Some(until) };
    assert_eq!(one.closed(from, &[]), Some(closed));
    assert_eq!(one.closed(at("2050-01-01T00:00:00Z"), &[]), Some(closed));
    assert_eq!(one.next_change_at(from, &[]), Some(until));
    assert_eq!(one.closed(until, &[]), None);
    assert_eq!(one.next_change_at(until, &[]), None);
}

#[test]
fn windows_that_overlap_or_touch_are_one_span() {
    let working_hours = recurring("* 9-16 * * 1-5", 1, "UTC");
    let closed = working_hours.closed(at("2026-07-06T12:00:00Z"), &[]).expect("closed");
    assert_eq!(closed.since, at("2026-07-06T09:00:00Z"));
    assert_eq!(closed.clears_at, Some(at("2026-07-06T17:00:00Z")));

    let weekdays = recurring("0 0 * * 1-5", 2 * 24 * 60, "UTC");
    let closed = weekdays.closed(at("2026-07-11T12:00:00Z"), &[]).expect("closed");
    assert_eq!(closed.since, at("2026-07-06T00:00:00Z"));
    assert_eq!(closed.clears_at, Some(at("2026-07-12T00:00:00Z")));

    let all_but_december = recurring("* * * 1-11 *", 1, "Europe/Berlin");
    let closed = all_but_december.closed(at("2026-07-11T12:00:00Z"), &[]).expect("closed");
    assert_eq!(closed.since, at("2025-12-31T23:00:00Z"));
    assert_eq!(closed.clears_at, Some(at("2026-11-30T23:00:00Z")));
}

#[test]
fn a_local_time_that_does_not_exist_comes_right_after_the_gap() {
    for (start, timezone, expected) in [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T03:00:00+02:00[Europe/Berlin]"),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-29T03:00:00+02:00[Europe/Berlin]"),
        ("30 2 * * *", "America/New_York", "2026-03-08T03:00:00-04:00[America/New_York]"),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04T02:30:00+11:00[Australia/Lord_Howe]"),
        ("30 0 * * *", "Africa/Cairo", "2026-04-24T01:00:00+03:00[Africa/Cairo]"),
        // The whole 30 December was left out.
        ("0 9 30 12 *", "Pacific/Apia", "2011-12-31T00:00:00+14:00[Pacific/Apia]"),
    ] {
        let expected = at(expected);
        let freeze = recurring(start, 10, timezone);
        let hour = std::time::Duration::from_hours(1);
        let next = freeze.next_change_at(expected.minus(hour / 2), &[]);
        assert_eq!(next, Some(expected), "{start} {timezone}");
        let then = freeze.next_change_at(expected, &[]);
        assert_eq!(then, Some(expected.plus(hour / 6)), "{start} {timezone}");
        let after = freeze.next_change_at(expected.plus(hour / 6), &[]).expect("comes again");
        assert!(after.since(expected) > hour * 20, "{start} {timezone} comes again at {after}");
    }
}

#[test]
fn a_local_time_that_exists_twice_comes_the_first_time() {
    for (start, timezone, expected) in [
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:30:00+02:00[Europe/Berlin]"),
        ("30 1 * * *", "America/New_York", "2026-11-01T01:30:00-04:00[America/New_York]"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05T01:45:00+11:00[Australia/Lord_Howe]"),
        ("30 23 * * *", "Africa/Cairo", "2026-10-29T23:30:00+03:00[Africa/Cairo]"),
    ] {
        let expected = at(expected);
        let freeze = recurring(start, 10, timezone);
        let hour = std::time::Duration::from_hours(1);
        let next = freeze.next_change_at(expected.minus(hour), &[]);
        assert_eq!(next, Some(expected), "{start} {timezone}");
        let after = freeze.next_change_at(expected.plus(hour / 6), &[]).expect("comes again");
        assert!(after.since(expected) > hour * 24, "{start} {timezone} comes again at {after}");
    }
}

#[test]
fn a_pattern_without_a_fixed_hour_counts_hours_that_go_by() {
    let hourly = recurring("30 * * * *", 10, "Europe/Berlin");
    let begins = |from| changes(&hourly, from, 6).into_iter().step_by(2).collect::<Vec<_>>();
    assert_eq!(
        begins("2026-10-25T00:00:00Z"),
        ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"].map(at)
    );
    assert_eq!(
        begins("2026-03-29T00:00:00Z"),
        ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"].map(at)
    );
}

#[test]
fn a_window_over_a_change_of_the_clock_has_its_minutes() {
    for timezone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
        let night = recurring("0 22 * * *", 8 * 60, timezone);
        for from in ["2026-03-01T12:00:00Z", "2026-09-28T12:00:00Z"] {
            let mut from = at(from);
            if night.closed(from, &[]).is_some() {
                from = night.next_change_at(from, &[]).expect("ends");
            }
            for _ in 0..40 {
                let start = night.next_change_at(from, &[]).expect("comes again");
                let end = night.next_change_at(start, &[]).expect("ends");
                assert_eq!(end.since(start), std::time::Duration::from_hours(8));
                from = end;
            }
        }
    }
    let berlin = recurring("0 22 * * *", 8 * 60, "Europe/Berlin");
    assert_eq!(
        changes(&berlin, "2026-10-24T12:00:00Z", 3),
        ["2026-10-24T20:00:00Z", "2026-10-25T04:00:00Z", "2026-10-25T21:00:00Z"].map(at)
    );
}

#[test]
fn rare_days_are_found() {
    let leap_monday = recurring("0 0 29 2 +MON", 60, "Europe/Berlin");
    assert_eq!(
        leap_monday.next_change_at(at("2072-01-01T00:00:00Z"), &[]),
        Some(at("2072-02-28T23:00:00Z"))
    );
    // No 29 February in 2100.
    assert_eq!(
        leap_monday.next_change_at(at("2073-01-01T00:00:00Z"), &[]),
        Some(at("2112-02-28T23:00:00Z"))
    );
    let last_friday = recurring("0 12 * * FRIL", 60, "UTC");
    assert_eq!(
        last_friday.next_change_at(at("2026-07-01T00:00:00Z"), &[]),
        Some(at("2026-07-31T12:00:00Z"))
    );
}

#[test]
fn a_freeze_before_a_deploy_ends_with_the_deploy() {
    let freeze = before_production("0 10 * * *");
    let told = |now: &str, deploys: &[DeployTimes]| {
        let closed = freeze.closed(at(now), deploys).map(|closed| closed.clears_at);
        (closed, freeze.next_change_at(at(now), deploys))
    };
    let tomorrow = Some(at("2026-07-02T08:30:00Z"));

    assert_eq!(told("2026-07-01T08:29:59Z", &[]), (None, Some(at("2026-07-01T08:30:00Z"))));
    let skipped = Some(at("2026-07-01T10:30:00Z"));
    assert_eq!(told("2026-07-01T08:30:00Z", &[]), (Some(skipped), skipped));
    assert_eq!(told("2026-07-01T10:29:59Z", &[]), (Some(skipped), skipped));
    assert_eq!(told("2026-07-01T10:30:00Z", &[]), (None, tomorrow));

    let running = [deploy("2026-07-01T10:05:00Z", None)];
    let longest = Some(at("2026-07-01T14:00:00Z"));
    assert_eq!(told("2026-07-01T10:20:00Z", &running), (Some(None), longest));
    assert_eq!(told("2026-07-01T13:59:59Z", &running), (Some(None), longest));
    assert_eq!(told("2026-07-01T14:00:00Z", &running), (None, tomorrow));

    let ended = [deploy("2026-07-01T10:05:00Z", Some("2026-07-01T10:25:00Z"))];
    assert_eq!(told("2026-07-01T10:25:00Z", &ended), (None, tomorrow));
    let early = [deploy("2026-07-01T09:00:00Z", Some("2026-07-01T09:10:00Z"))];
    assert_eq!(told("2026-07-01T09:10:00Z", &early), (None, tomorrow));
    let late = [deploy("2026-07-01T10:30:00Z", Some("2026-07-01T11:00:00Z"))];
    assert!(told("2026-07-01T10:59:59Z", &late).0.is_some());
    assert_eq!(told("2026-07-01T11:00:00Z", &late), (None, tomorrow));

    // Neither what started before the window nor what came after the first deploy matters.
    let others = [
        deploy("2026-07-01T08:29:00Z", Some("2026-07-01T08:40:00Z")),
        deploy("2026-07-01T10:28:00Z", None),
        deploy("2026-07-01T10:01:00Z", Some("2026-07-01T10:09:00Z")),
    ];
    assert!(told("2026-07-01T10:08:59Z", &others).0.is_some());
    assert_eq!(told("2026-07-01T10:28:30Z", &others), (None, tomorrow));
}

#[test]
fn one_deploy_serves_the_nearest_schedule_only() {
    let freeze = before_production("0 9,10 * * *");
    let is_closed = |now: &str, deploys: &[DeployTimes]| freeze.closed(at(now), deploys).is_some();
    let first = deploy("2026-07-01T09:05:00Z", Some("2026-07-01T09:15:00Z"));
    let second = deploy("2026-07-01T09:55:00Z", Some("2026-07-01T10:10:00Z"));
    assert!(is_closed("2026-07-01T09:20:00Z", &[first]));
    assert!(is_closed("2026-07-01T10:29:00Z", &[first]));
    assert!(!is_closed("2026-07-01T10:30:00Z", &[first]));
    assert!(is_closed("2026-07-01T10:09:00Z", &[first, second]));
    assert!(!is_closed("2026-07-01T10:10:00Z", &[first, second]));

    // The deploy that runs is not what keeps it closed the longest.
    let running = [deploy("2026-07-01T08:50:00Z", None)];
    let closed = freeze.closed(at("2026-07-01T09:00:00Z"), &running).expect("closed");
    assert_eq!(closed, Closed { since: at("2026-07-01T07:30:00Z"), clears_at: None });
    assert_eq!(
        freeze.next_change_at(at("2026-07-01T09:00:00Z"), &running),
        Some(at("2026-07-01T13:00:00Z"))
    );
}

#[test]
fn a_deploy_that_runs_does_not_matter_to_a_window_it_does_not_serve() {
    let freeze = before_production("0 10 * * *");
    let running = [deploy("2026-07-01T08:00:00Z", None)];
    let closed = freeze.closed(at("2026-07-01T09:00:00Z"), &running).expect("closed");
    assert_eq!(closed.clears_at, Some(at("2026-07-01T10:30:00Z")));
    assert_eq!(freeze.deploys_since(at("2026-07-01T12:00:00Z")), Some(at("2026-07-01T06:30:00Z")));
}

#[test]
fn the_next_change_of_several_is_the_first_of_any() {
    let evening = recurring("0 18 * * *", 60, "UTC");
    let production = before_production("30 20 * * *");
    let running = [deploy("2026-07-01T20:00:00Z", None)];
    let both = [(&evening, &[][..]), (&production, &running[..])];
    let next = |now: &str| next_change_at(both, at(now));
    assert_eq!(next("2026-07-01T12:00:00Z"), Some(at("2026-07-01T18:00:00Z")));
    assert_eq!(next("2026-07-01T18:00:00Z"), Some(at("2026-07-01T19:00:00Z")));
    assert_eq!(next("2026-07-01T20:00:00Z"), Some(at("2026-07-02T00:30:00Z")));
    assert_eq!(next_change_at([], at("2026-07-01T12:00:00Z")), None);
}

#[test]
fn a_freeze_reads_and_writes_itself_in_the_words_of_the_api() {
    for document in [
        json!({"name": "Weekend", "start": "0 18 * * FRI", "minutes": 3720, "timezone": "Europe/Berlin"}),
        json!({"name": "Christmas", "from": "2026-12-20T00:00:00Z", "until": "2027-01-07T00:00:00Z"}),
        json!({
            "name": "Before production", "before_environment": "production",
            "schedule": "0 10 * * 1-5", "minutes": 90, "timezone": "UTC",
            "skip_after_minutes": 15, "max_minutes": 60,
        }),
    ] {
        let freeze = freeze(document.clone());
        assert_eq!(serde_json::to_value(&freeze).expect("plain data"), document);
    }
    let written = serde_json::to_value(before_production("  0   10 * * mon ")).expect("plain data");
    assert_eq!(written["schedule"], "0 10 * * mon");
    assert_eq!(written["skip_after_minutes"], SKIP_AFTER_MINUTES);
    assert_eq!(written["max_minutes"], DEPLOY_MINUTES);
    let written = serde_json::to_value(recurring("0 1 * * *", 5, "europe/berlin"));
    assert_eq!(written.expect("plain data")["timezone"], "Europe/Berlin");
}

#[test]
fn what_is_wrong_is_named() {
    let table = [
        (json!({"start": "0 1 * * *"}), "missing field `name`"),
        (json!({"name": " "}), "name must have 1 to 100 characters"),
        (json!({"name": "f"}), "a freeze says when it is closed"),
        (json!({"name": "f", "minutes": 5, "timezone": "UTC"}), "a freeze says when it is closed"),
        (json!({"name": "f", "begin": "0 1 * * *"}), "unknown field `begin`"),
        (json!({"name": "f", "start": "0 1 * * *", "timezone": "UTC"}), "minutes is missing"),
        (json!({"name": "f", "start": "0 1 * * *", "minutes": 5}), "timezone is missing"),
        (
            json!({"name": "f", "start": "0 1 * * *", "minutes": 0, "timezone": "UTC"}),
            "minutes must be 1 to 44640",
        ),
        (
            json!({"name": "f", "start": "0 1 * * *", "minutes": 5, "timezone": "Berlin"}),
            "time zone \"Berlin\" is not known",
        ),
        (
            json!({"name": "f", "start": "0 1 * * *", "minutes": 5, "timezone": "Etc/Unknown"}),
            "time zone \"Etc/Unknown\" is not known",
        ),
        (
            json!({"name": "f", "start": "0 1 * * *", "from": "2026-01-01T00:00:00Z"}),
            "from does not go with start",
        ),
        (json!({"name": "f", "from": "2026-01-01T00:00:00Z"}), "until is missing"),
        (json!({"name": "f", "until": "2026-01-01T00:00:00Z"}), "from is missing"),
        (
            json!({"name": "f", "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
            "until must be later than from",
        ),
        (
            json!({"name": "f", "from": "2026-01-01T00:00:00Z", "minutes": 5}),
            "minutes does not go with from",
        ),
        (json!({"name": "f", "schedule": "0 1 * * *"}), "before_environment is missing"),
        (json!({"name": "f", "before_environment": "live"}), "schedule is missing"),
        (
            json!({"name": "f", "start": "0 * * * *", "minutes": 60, "timezone": "Europe/Berlin"}),
            "this freeze never opens",
        ),
        (
            json!({"name": "f", "start": "0 0 1 * *", "minutes": MOST_MINUTES, "timezone": "UTC"}),
            "this freeze never opens",
        ),
    ];
    for (document, expected) in table {
        let error = wrong(document.clone());
        assert!(error.contains(expected), "{document}: {error}");
    }
    let deploys = |schedule: &str, skip_after: u32, most: Option<u32>| {
        wrong(json!({
            "name": "f", "before_environment": "live", "schedule": schedule, "minutes": 5,
            "timezone": "UTC", "skip_after_minutes": skip_after, "max_minutes": most,
        }))
    };
    assert!(deploys("0 1 * * *", 300, None).contains("skip_after_minutes (300)"));
    assert!(deploys("0 1 * * *", 30, Some(1441)).contains("max_minutes must be 1 to 1440"));
    assert!(deploys("*/5 * * * *", 1, None).contains("schedule has 288 deploys a day"));
    assert!(deploys("0 * * * *", 55, None).contains("never opens"));
}
