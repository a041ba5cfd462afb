//! Points in time, and what is made of the clock of a client.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Microseconds in one second.
const SECOND_US: i64 = 1_000_000;

/// Microseconds in one day.
const DAY_US: i64 = 86_400 * SECOND_US;

impl Timestamp {
    /// The point `micros` microseconds after the Unix epoch, clamped to the years that RFC 3339
    /// can write.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        let least = jiff::Timestamp::MIN.as_microsecond();
        let most = jiff::Timestamp::MAX.as_microsecond();
        Self(micros.clamp(least, most))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// The point `seconds` after the Unix epoch; `None` for what is not a finite number.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates; then clamped")]
        seconds.is_finite().then(|| Self::from_micros((seconds * 1e6) as i64))
    }

    /// Reads RFC 3339; a time without an offset is UTC, as several SDKs mean it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Some(Self(time.as_microsecond()));
        }
        let local = text.parse::<jiff::civil::DateTime>().ok()?;
        let zoned = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self(zoned.timestamp().as_microsecond()))
    }

    /// This point plus `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// This point minus `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// The time from `earlier` to here, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whether this point is less than `span` ago at `now`. What lies in the future is not: the clock
    /// was set back, and nobody knows how long ago it was.
    #[must_use]
    pub fn is_within(self, span: Duration, now: Self) -> bool {
        self <= now && now.since(self) < span
    }

    /// Whole hours since the epoch: the key of hourly counters.
    #[must_use]
    pub fn hour(self) -> i64 {
        self.0.div_euclid(3_600 * SECOND_US)
    }

    /// When an hour since the epoch began.
    #[must_use]
    pub fn from_hour(hour: i64) -> Self {
        Self::from_micros(hour.saturating_mul(3_600 * SECOND_US))
    }

    /// Whole minutes since the epoch: what lists are sorted by.
    #[must_use]
    pub fn minute(self) -> i64 {
        self.0.div_euclid(60 * SECOND_US)
    }

    /// Whole days since the epoch.
    #[must_use]
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY_US)
    }

    /// When its day began, UTC.
    #[must_use]
    pub fn day_start(self) -> Self {
        Self::from_micros(self.day().saturating_mul(DAY_US))
    }

    /// When the day after it begins, UTC.
    #[must_use]
    pub fn next_day(self) -> Self {
        Self::from_micros(self.day().saturating_add(1).saturating_mul(DAY_US))
    }

    /// Whole months since the year 0.
    #[must_use]
    pub fn month(self) -> i64 {
        let date = self.date();
        i64::from(date.year()) * 12 + i64::from(date.month()) - 1
    }

    /// When its month began, UTC.
    #[must_use]
    pub fn month_start(self) -> Self {
        Self::midnight(self.date().first_of_month())
    }

    /// When the month after it begins, UTC.
    #[must_use]
    pub fn next_month(self) -> Self {
        let last = self.date().last_of_month();
        Self::midnight(last.tomorrow().unwrap_or(last))
    }

    fn date(self) -> jiff::civil::Date {
        let time = jiff::Timestamp::from_microsecond(self.0).unwrap_or_default();
        time.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    fn midnight(date: jiff::civil::Date) -> Self {
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC);
        Self(zoned.map_or(0, |zoned| zoned.timestamp().as_microsecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => time.fmt(formatter),
            Err(_) => write!(formatter, "{}µs", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is not an RFC 3339 time like 2026-01-31T12:00:00Z"
            ))
        })
    }
}

/// A client whose clock differs by less than this is taken at its word: the difference is the way
/// over the network.
pub const LEAST_CLOCK_DRIFT: Duration = Duration::from_mins(1);

/// An event may lie this far in the future of its arrival.
pub const MOST_FUTURE: Duration = Duration::from_mins(1);

/// An event may be this old when it arrives (SDKs that queue offline).
pub const MOST_AGE: Duration = Duration::from_hours(30 * 24);

/// When an event happened, by our clock, and why that is not what the client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectedTime {
    /// The event's time by our clock.
    pub at: Timestamp,
    /// What was changed, in words for the event's page.
    pub note: Option<String>,
}

/// Corrects the time a client gave for the drift of its clock, and clamps it.
///
/// `sent_at` is the client's clock when it sent the report, `received_at` ours when it arrived:
/// their difference is the drift. A time in the future, or older than [`MOST_AGE`], becomes the
/// time of arrival.
/// Source: Sentry's envelope header `sent_at`, "clock drift correction".
#[must_use]
pub fn correct(
    claimed: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
) -> CorrectedTime {
    let Some(claimed) = claimed else {
        return CorrectedTime { at: received_at, note: None };
    };
    let mut at = claimed;
    let mut note = None;
    if let Some(sent_at) = sent_at {
        let drift = received_at.as_micros().saturating_sub(sent_at.as_micros());
        if Duration::from_micros(drift.unsigned_abs()) >= LEAST_CLOCK_DRIFT {
            at = Timestamp::from_micros(claimed.as_micros().saturating_add(drift));
            note = Some(format!(
                "time {claimed} corrected by {} s: the client's clock differs from ours",
                drift / SECOND_US
            ));
        }
    }
    if at > received_at.plus(MOST_FUTURE) {
        note = Some(format!("time {claimed} lies in the future: the time of arrival was taken"));
        at = received_at;
    } else if at < received_at.minus(MOST_AGE) {
        note = Some(format!("time {claimed} is over 30 days old: the time of arrival was taken"));
        at = received_at;
    }
    CorrectedTime { at, note }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a valid time")
    }

    #[test]
    fn reads_what_sdks_send() {
        assert_eq!(at("2026-11-21T01:52:51.373972Z").to_string(), "2026-11-21T01:52:51.373972Z");
        assert_eq!(at("2026-11-21T03:52:51+02:00").to_string(), "2026-11-21T01:52:51Z");
        assert_eq!(at("2026-11-21T01:52:51").to_string(), "2026-11-21T01:52:51Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
        let seconds = Timestamp::from_seconds(1_795_226_466.763_800_9).map(|time| time.to_string());
        assert_eq!(seconds.as_deref(), Some("2026-11-21T02:01:06.7638Z"));
        assert_eq!(Timestamp::from_seconds(f64::NAN), None);
    }

    #[test]
    fn a_clock_an_hour_behind_is_corrected() {
        let corrected = correct(
            Some(at("2026-11-21T11:00:00Z")),
            Some(at("2026-11-21T11:00:05Z")),
            at("2026-11-21T12:00:05Z"),
        );
        assert_eq!(corrected.at, at("2026-11-21T12:00:00Z"));
        assert!(corrected.note.expect("a note").contains("3600 s"));
    }

    #[test]
    fn a_second_on_the_network_is_no_drift() {
        let claimed = at("2026-11-21T11:00:00Z");
        let corrected = correct(Some(claimed), Some(claimed), at("2026-11-21T11:00:02Z"));
        assert_eq!(corrected, CorrectedTime { at: claimed, note: None });
    }

    #[test]
    fn impossible_times_become_the_time_of_arrival() {
        let now = at("2026-11-21T12:00:00Z");
        for impossible in ["2099-01-01T00:00:00Z", "2010-01-01T00:00:00Z"] {
            let corrected = correct(Some(at(impossible)), None, now);
            assert_eq!(corrected.at, now);
            assert!(corrected.note.expect("a note").contains(impossible));
        }
    }

    proptest! {
        #[test]
        fn the_corrected_time_is_near_the_arrival(claimed: i64, sent: Option<i64>, received in 0i64..4_000_000_000_000_000) {
            let received = Timestamp::from_micros(received);
            let corrected =
                correct(Some(Timestamp::from_micros(claimed)), sent.map(Timestamp::from_micros), received);
            prop_assert!(corrected.at <= received.plus(MOST_FUTURE));
            prop_assert!(corrected.at >= received.minus(MOST_AGE));
        }

        #[test]
        fn text_round_trips(micros in -60_000_000_000_000_000i64..200_000_000_000_000_000) {
            let time = Timestamp::from_micros(micros);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }
    }
}
