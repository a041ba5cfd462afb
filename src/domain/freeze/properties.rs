//! Freezes against a slow and obvious model, minute by minute.

use std::time::Duration;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::schedule::find_zone;
use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// The model looks at so many minutes, in whose middle a clock is changed.
const N_MINUTES: usize = 12 * 1440;

/// Answers are compared for the middle third.
const MIDDLE: std::ops::Range<usize> = N_MINUTES / 3..2 * N_MINUTES / 3;

const ZONES: &[&str] = &[
    "Africa/Cairo",
    "America/New_York",
    "America/Santiago",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "UTC",
];

struct Model {
    start: Timestamp,
    comes: Vec<bool>,
}

impl Model {
    fn new(pattern: &str, zone: &TimeZone, start: Timestamp) -> Self {
        let cron: Cron = pattern.parse().expect("a valid pattern");
        let matches = |local: DateTime| {
            let zoned = local.to_zoned(TimeZone::UTC).expect("a time of this century");
            cron.is_time_matching(&zoned).expect("a time of this century")
        };
        let is_hourly = pattern.split(' ').nth(1).is_some_and(|hour| hour.starts_with('*'));
        let local = |at: usize| {
            let micros = start.plus(MINUTE * u32::try_from(at).expect("few")).as_micros();
            zone.to_datetime(jiff::Timestamp::from_microsecond(micros).expect("in range"))
        };
        let mut latest = local(0);
        let mut comes = vec![false];
        for at in 1..N_MINUTES {
            let now = local(at);
            let mut is_due = is_hourly && matches(now);
            while latest < now {
                latest = latest.checked_add(jiff::Span::new().minutes(1)).expect("in range");
                is_due |= !is_hourly && matches(latest);
            }
            comes.push(is_due);
        }
        Self { start, comes }
    }

    fn at(&self, minute: usize) -> Timestamp {
        self.start.plus(MINUTE * u32::try_from(minute).expect("few"))
    }

    fn times(&self) -> Vec<usize> {
        (0..N_MINUTES).filter(|at| self.comes[*at]).collect()
    }

    /// Closed minutes, of windows that each begin and end at a minute.
    fn closed(windows: impl IntoIterator<Item = (usize, usize)>) -> Vec<bool> {
        let mut closed = vec![false; N_MINUTES];
        for (from, until) in windows {
            let until = until.min(N_MINUTES);
            if from < until {
                closed[from..until].fill(true);
            }
        }
        closed
    }

    fn check(
        &self,
        freeze: &Freeze,
        deploys: &[DeployTimes],
        closed: &[bool],
        minute: usize,
    ) -> Result<(), TestCaseError> {
        let now = self.at(minute);
        let within = now.plus(Duration::from_secs(31));
        let answer = freeze.closed(now, deploys);
        prop_assert_eq!(answer.is_some(), closed[minute], "closed at {}", now);
        prop_assert_eq!(freeze.closed(within, deploys).is_some(), closed[minute], "at {}", within);
        let change = (minute + 1..MIDDLE.end).find(|at| closed[*at] != closed[minute]);
        for now in [now, within] {
            let next = freeze.next_change_at(now, deploys);
            match change {
                Some(change) => prop_assert_eq!(next, Some(self.at(change)), "after {}", now),
                None => prop_assert!(next.is_none_or(|next| next >= self.at(MIDDLE.end))),
            }
        }
        if let Some(answer) = answer {
            let since = (MIDDLE.start..minute).rev().find(|at| !closed[*at]);
            match since {
                Some(open) => prop_assert_eq!(answer.since, self.at(open + 1)),
                None => prop_assert!(answer.since <= self.at(MIDDLE.start)),
            }
            if let Some(clears_at) = answer.clears_at {
                prop_assert_eq!(Some(clears_at), freeze.next_change_at(now, deploys));
            } else {
                prop_assert!(deploys.iter().any(|one| one.ended_at.is_none()));
            }
        }
        Ok(())
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let minute = prop::sample::select(vec!["0", "30", "15,45", "*/20", "7-9", "*"]);
    let hour = prop::sample::select(vec![
        "*", "*", "*", "*/3", "*/2", "0", "1", "2", "1,2,3", "0-23", "22-23", "23",
    ]);
    let day = prop::sample::select(vec!["* * *", "*/2 * *", "* * SUN", "* * 1-5", "L * *"]);
    (minute, hour, day).prop_map(|(minute, hour, day)| format!("{minute} {hour} {day}"))
}

/// A zone, and a time so that its clock changes in the middle of the model.
fn place() -> impl Strategy<Value = (&'static str, Timestamp)> {
    (prop::sample::select(ZONES), 0usize..60, 0u32..60).prop_map(|(name, nth, off)| {
        let zone = find_zone(name).expect("a zone");
        let from: jiff::Timestamp = "2015-01-01T00:00:00Z".parse().expect("a time");
        let change = zone.following(from).nth(nth).map_or(from, |change| change.timestamp());
        let half = MINUTE * u32::try_from(N_MINUTES / 2).expect("few");
        let start = Timestamp::from_micros(change.as_microsecond()).minus(half);
        (name, start.minus(MINUTE * off))
    })
}

fn minutes_of_middle() -> impl Strategy<Value = Vec<usize>> {
    let near = N_MINUTES / 2 - 100..N_MINUTES / 2 + 160;
    let far = MIDDLE;
    (prop::collection::vec(near, 20), prop::collection::vec(far, 12))
        .prop_map(|(near, far)| [near, far].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn recurring_windows_are_as_in_the_model(
        pattern in pattern(),
        (zone, start) in place(),
        length in prop_oneof![1u32..20, 1u32..120, 1u32..5000],
        minutes in minutes_of_middle(),
    ) {
        let wish = WishedFreeze {
            name: "f".to_owned(),
            start: Some(pattern.clone()),
            minutes: Some(length),
            timezone: Some(zone.to_owned()),
            ..WishedFreeze::default()
        };
        let freeze = match Freeze::try_from(wish) {
            Ok(freeze) => freeze,
            Err(error) => {
                prop_assert_eq!(error, InvalidFreeze::NeverOpens);
                return Ok(());
            }
        };
        let model = Model::new(&pattern, &find_zone(zone).expect("a zone"), start);
        let length = usize::try_from(length).expect("few");
        let closed = Model::closed(model.times().into_iter().map(|at| (at, at + length)));
        for minute in minutes {
            model.check(&freeze, &[], &closed, minute)?;
        }
    }

    #[test]
    fn windows_before_deploys_are_as_in_the_model(
        pattern in pattern(),
        (zone, start) in place(),
        (before, skip_after, most) in
            (prop_oneof![1u32..600, 1u32..4000], 1u32..300, 0u32..1140),
        deploys in prop::collection::vec((N_MINUTES / 4..3 * N_MINUTES / 4, 0usize..300, any::<bool>()), 0..12),
        near in prop::collection::vec((-700i64..700, 0usize..300, prop::bool::weighted(0.1)), 0..8),
        minutes in minutes_of_middle(),
    ) {
        let wish = WishedFreeze {
            name: "f".to_owned(),
            before_environment: Some("production".to_owned()),
            schedule: Some(pattern.clone()),
            minutes: Some(before),
            timezone: Some(zone.to_owned()),
            skip_after_minutes: Some(skip_after),
            max_minutes: Some(skip_after + most),
            ..WishedFreeze::default()
        };
        let freeze = match Freeze::try_from(wish) {
            Ok(freeze) => freeze,
            Err(error) => {
                let is_meant = matches!(error, InvalidFreeze::NeverOpens | InvalidFreeze::TooOften { .. });
                prop_assert!(is_meant, "{}", error);
                return Ok(());
            }
        };
        let model = Model::new(&pattern, &find_zone(zone).expect("a zone"), start);
        let times = model.times();
        let to_usize = |minutes: u32| usize::try_from(minutes).expect("few");
        let (before, skip_after, most) =
            (to_usize(before), to_usize(skip_after), to_usize(skip_after + most));
        let around_change = near.into_iter().map(|(off, length, runs)| {
            (usize::try_from(i64::try_from(N_MINUTES / 2).expect("few") + off).expect("few"), length, runs)
        });
        let deploys: Vec<(usize, Option<usize>)> = deploys
            .into_iter()
            .chain(around_change)
            .map(|(start, length, runs)| (start, (!runs).then_some(start + length)))
            .collect();
        let served = |start: usize| {
            let could = times.iter().filter(|time| **time <= start + before && start <= **time + skip_after);
            could.min_by_key(|time| (time.abs_diff(start), **time)).copied()
        };
        let windows = times.iter().map(|time| {
            let own = deploys.iter().filter(|(start, _)| served(*start) == Some(*time)).min();
            let end = match own {
                None => time + skip_after,
                Some((_, None)) => time + most,
                Some((_, Some(end))) => (*end).min(time + most),
            };
            (time.saturating_sub(before), end)
        });
        let closed = Model::closed(windows);
        let times_of = |(start, end): &(usize, Option<usize>)| DeployTimes {
            started_at: model.at(*start),
            ended_at: end.map(|end| model.at(end)),
        };
        let deploys: Vec<_> = deploys.iter().map(times_of).collect();
        for minute in minutes {
            model.check(&freeze, &deploys, &closed, minute)?;
            // What started earlier than asked for does not matter to whether it is closed.
            let now = model.at(minute);
            let since = freeze.deploys_since(now).expect("it waits for deploys");
            let mut recent = deploys.clone();
            recent.retain(|one| one.started_at >= since);
            let told = |deploys: &[DeployTimes]| freeze.closed(now, deploys).is_some();
            prop_assert_eq!(told(&recent), told(&deploys));
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        start in prop_oneof![
            any::<String>(),
            "[-0-9*/,#?LW+@ A-Z]{0,30}",
            "([-0-9*/,#LW+]{1,4}|JAN|SUN) ([-0-9*/,#LW]{1,4}) ([-0-9*/,#LW?]{1,4}) ([-0-9*/,#L]|FEB){1,3} ([-0-9*/,#L+?]|FRI){1,4}",
        ],
        timezone in prop_oneof![any::<String>(), "[A-Z][a-z]{2,8}/[A-Z][a-z]{2,8}", Just("Asia/Tehran".to_owned())],
        now: i64,
        minutes: u32,
    ) {
        for minutes in [minutes, minutes % MOST_MINUTES] {
            let wish = WishedFreeze {
                name: "f".to_owned(),
                start: Some(start.clone()),
                minutes: Some(minutes),
                timezone: Some(timezone.clone()),
                ..WishedFreeze::default()
            };
            match Freeze::try_from(wish) {
                Err(error) => prop_assert!(!error.to_string().is_empty()),
                Ok(freeze) => {
                    let now = Timestamp::from_micros(now);
                    let closed = freeze.closed(now, &[]);
                    prop_assert!(closed.is_none_or(|closed| closed.since <= now));
                    let next = freeze.next_change_at(now, &[]);
                    prop_assert!(next.is_none_or(|next| now < next));
                    let text = serde_json::to_string(&freeze).expect("plain data");
                    prop_assert_eq!(serde_json::from_str::<Freeze>(&text).expect("its own text"), freeze);
                }
            }
        }
    }

    #[test]
    fn any_time_has_an_answer(pattern in pattern(), zone in prop::sample::select(ZONES), now: i64, before in 1u32..20000) {
        let wish = WishedFreeze {
            name: "f".to_owned(),
            before_environment: Some("production".to_owned()),
            schedule: Some(pattern),
            minutes: Some(before),
            timezone: Some(zone.to_owned()),
            ..WishedFreeze::default()
        };
        if let Ok(freeze) = Freeze::try_from(wish) {
            let now = Timestamp::from_micros(now);
            let next = freeze.next_change_at(now, &[]);
            prop_assert!(next.is_none_or(|next| now < next));
        }
    }
}
