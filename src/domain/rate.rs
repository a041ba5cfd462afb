//! How many reports a key or a project may send: rate limits and quotas, each decided by a pure
//! function of what was taken before.
//!
//! A rate limit is a bucket of tokens that refills steadily. Unlike counting in windows it lets no
//! double burst through where two windows meet, its state is one point in time, and it knows when
//! exactly the next report will be taken. A quota is counted in calendar days and months (UTC),
//! because that is what people plan with.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The longest span of a rate limit, in seconds: an hour. What is longer is a quota.
pub const MOST_SECONDS: u32 = 3600;

/// The most events of a rate limit or quota.
pub const MOST_EVENTS: u64 = 1_000_000_000;

/// What is limited by itself: no category over its limit silences another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Crashes, errors and messages.
    Error,
    /// What browsers say of broken policies.
    Security,
}

impl Category {
    /// Its name in outcomes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Security => "security",
        }
    }

    /// The names under which SDKs send it, for `X-Sentry-Rate-Limits`.
    #[must_use]
    pub fn of_sdks(self) -> &'static str {
        match self {
            Self::Error => "error;default",
            Self::Security => "security",
        }
    }
}

/// At most `events` at once, and as many in every `seconds` thereafter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Events.
    pub events: u64,
    /// Seconds.
    pub seconds: u32,
}

/// A limit that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// A rate limit.
    #[error(
        "a rate limit has 1 to {MOST_EVENTS} events in 1 to {MOST_SECONDS} seconds; null for none"
    )]
    Rate,
    /// A quota.
    #[error("a quota has 1 to {MOST_EVENTS} events; null for none")]
    Quota,
}

impl RateLimit {
    /// Checks that it makes sense.
    ///
    /// # Errors
    /// [`InvalidLimit::Rate`].
    pub fn check(self) -> Result<(), InvalidLimit> {
        let is_usable =
            (1..=MOST_EVENTS).contains(&self.events) && (1..=MOST_SECONDS).contains(&self.seconds);
        if is_usable { Ok(()) } else { Err(InvalidLimit::Rate) }
    }

    /// Microseconds that one event costs, rounded up.
    fn cost(self) -> i64 {
        let span = u64::from(self.seconds) * 1_000_000;
        i64::try_from(span.div_ceil(self.events.max(1))).unwrap_or(i64::MAX)
    }

    /// Takes one event out of the bucket that is full again at `full_at`; gives when it is full
    /// afterwards, or how long until there is one to take.
    fn take(self, full_at: Timestamp, now: Timestamp) -> Result<Timestamp, Duration> {
        let span = i64::from(self.seconds).saturating_mul(1_000_000);
        let full_at = full_at.as_micros().max(now.as_micros()).saturating_add(self.cost());
        let over = full_at - now.as_micros() - span.max(self.cost());
        match u64::try_from(over) {
            Ok(over) if over > 0 => Err(Duration::from_micros(over)),
            _ => Ok(Timestamp::from_micros(full_at)),
        }
    }
}

/// Checks a quota.
///
/// # Errors
/// [`InvalidLimit::Quota`].
pub fn check_quota(quota: u64) -> Result<(), InvalidLimit> {
    if (1..=MOST_EVENTS).contains(&quota) { Ok(()) } else { Err(InvalidLimit::Quota) }
}

/// What limits one category of a key's reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The key's own rate limit.
    pub key_rate: Option<RateLimit>,
    /// The project's.
    pub project_rate: Option<RateLimit>,
    /// Events of the project in a day.
    pub daily: Option<u64>,
    /// Events of the project in a month.
    pub monthly: Option<u64>,
}

/// How much was taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// When the key's bucket is full again.
    pub key_full_at: Timestamp,
    /// When the project's bucket is full again.
    pub project_full_at: Timestamp,
    /// Events of the project, today.
    pub today: u64,
    /// Events of the project, this month.
    pub this_month: u64,
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The key's.
    Key,
    /// The project's.
    Project,
}

/// A report that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Whose limit was reached.
    pub scope: Scope,
    /// Whether it is a quota rather than a rate limit.
    pub is_quota: bool,
    /// When the next one may be taken.
    pub retry_after: Duration,
}

/// Whether one more report may be taken; gives the usage with it. A report that is refused uses up
/// nothing; for one that is refused later, for another reason, there is [`give_back`].
///
/// # Errors
/// [`Limited`]: where several limits are reached, the one that lasts longest.
pub fn decide(rules: Rules, usage: Usage, now: Timestamp) -> Result<Usage, Limited> {
    let mut after = Usage { today: usage.today + 1, this_month: usage.this_month + 1, ..usage };
    let mut limited = Vec::new();
    let rates = [
        (Scope::Key, rules.key_rate, &mut after.key_full_at),
        (Scope::Project, rules.project_rate, &mut after.project_full_at),
    ];
    for (scope, rate, full_at) in rates {
        match rate.map(|rate| rate.take(*full_at, now)) {
            None => {}
            Some(Ok(later)) => *full_at = later,
            Some(Err(retry_after)) => limited.push(Limited { scope, is_quota: false, retry_after }),
        }
    }
    let quotas = [
        (rules.daily, usage.today, now.next_day()),
        (rules.monthly, usage.this_month, now.next_month()),
    ];
    for (most, n_taken, next) in quotas {
        if most.is_some_and(|most| n_taken >= most) {
            let retry_after = next.since(now);
            limited.push(Limited { scope: Scope::Project, is_quota: true, retry_after });
        }
    }
    limited.into_iter().max_by_key(|one| one.retry_after).map_or(Ok(after), Err)
}

/// The usage without a report that [`decide`] counted and that was not taken after all.
#[must_use]
pub fn give_back(rules: Rules, usage: Usage) -> Usage {
    let before = |rate: Option<RateLimit>, full_at: Timestamp| {
        let cost = rate.map_or(0, RateLimit::cost);
        Timestamp::from_micros(full_at.as_micros().saturating_sub(cost))
    };
    Usage {
        key_full_at: before(rules.key_rate, usage.key_full_at),
        project_full_at: before(rules.project_rate, usage.project_full_at),
        today: usage.today.saturating_sub(1),
        this_month: usage.this_month.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn rate(events: u64, seconds: u32) -> Rules {
        Rules { project_rate: Some(RateLimit { events, seconds }), ..Rules::default() }
    }

    /// How many of `n` reports at once are taken.
    fn burst(rules: Rules, usage: &mut Usage, now: Timestamp, n: usize) -> usize {
        let one = |_: &usize| match decide(rules, *usage, now) {
            Ok(after) => {
                *usage = after;
                true
            }
            Err(_) => false,
        };
        (0..n).filter(one).count()
    }

    #[test]
    fn a_burst_is_taken_and_then_one_now_and_then() {
        let rules = rate(10, 60);
        let mut usage = Usage::default();
        let start = at("2026-11-21T12:00:00Z");
        assert_eq!(burst(rules, &mut usage, start, 20), 10);
        let limited = decide(rules, usage, start).expect_err("full");
        assert_eq!((limited.scope, limited.is_quota), (Scope::Project, false));
        assert_eq!(limited.retry_after, Duration::from_secs(6));
        assert_eq!(burst(rules, &mut usage, start.plus(Duration::from_secs(6)), 20), 1);
        assert_eq!(burst(rules, &mut usage, start.plus(Duration::from_secs(66)), 20), 10);
    }

    #[test]
    fn quotas_end_with_the_day_and_the_month() {
        let daily = Rules { daily: Some(3), ..Rules::default() };
        let monthly = Rules { monthly: Some(3), ..Rules::default() };
        let used = Usage { today: 3, this_month: 3, ..Usage::default() };
        for (rules, now, next) in [
            (daily, "2026-11-21T23:59:30Z", "2026-11-22T00:00:00Z"),
            (daily, "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z"),
            (monthly, "2026-11-21T12:00:00Z", "2026-12-01T00:00:00Z"),
            (monthly, "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
            (Rules { daily: Some(3), ..monthly }, "2028-02-28T12:00:00Z", "2028-03-01T00:00:00Z"),
        ] {
            let limited = decide(rules, used, at(now)).expect_err("used up");
            assert_eq!(limited.retry_after, at(next).since(at(now)), "{now}");
            assert!(limited.is_quota);
        }
        let fresh = decide(daily, Usage { today: 2, ..used }, at("2026-11-21T00:00:00Z"));
        assert_eq!(fresh.map(|after| (after.today, after.this_month)), Ok((3, 4)));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rules = Rules { daily: Some(2), monthly: Some(9), ..rate(2, 60) };
        let rules = Rules { key_rate: rules.project_rate, ..rules };
        let (mut usage, now) = (Usage::default(), at("2026-11-21T12:00:00Z"));
        assert_eq!(burst(rules, &mut usage, now, 5), 2);
        usage = give_back(rules, usage);
        assert_eq!((usage.today, usage.this_month), (1, 1));
        assert_eq!(burst(rules, &mut usage, now, 5), 1);
    }

    #[test]
    fn limits_that_make_no_sense() {
        for (events, seconds) in [(0, 1), (1, 0), (1, 3601), (1_000_000_001, 1)] {
            assert_eq!(RateLimit { events, seconds }.check(), Err(InvalidLimit::Rate));
        }
        assert_eq!(RateLimit { events: 1, seconds: 3600 }.check(), Ok(()));
        assert_eq!((check_quota(0), check_quota(1)), (Err(InvalidLimit::Quota), Ok(())));
    }

    proptest! {
        /// In no span are more taken than a full bucket and what flows in; and whoever waits as
        /// long as told is taken.
        #[test]
        fn a_rate_limit_holds(
            events in 1u64..50,
            seconds in 1u32..100,
            pauses in prop::collection::vec(0u64..5_000_000, 1..200),
        ) {
            let rules = rate(events, seconds);
            let (mut usage, mut now) = (Usage::default(), at("2026-11-21T12:00:00Z"));
            let mut taken: Vec<Timestamp> = Vec::new();
            for pause in pauses {
                now = now.plus(Duration::from_micros(pause));
                match decide(rules, usage, now) {
                    Ok(after) => {
                        usage = after;
                        taken.push(now);
                    }
                    Err(limited) => {
                        prop_assert!(decide(rules, usage, now.plus(limited.retry_after)).is_ok());
                    }
                }
            }
            for (first, start) in taken.iter().enumerate() {
                for (last, end) in taken.iter().enumerate().skip(first) {
                    let span = end.since(*start).as_micros();
                    let flowed = span * u128::from(events) / (u128::from(seconds) * 1_000_000);
                    prop_assert!((last - first + 1) as u128 <= u128::from(events) + flowed + 1);
                }
            }
        }
    }
}
