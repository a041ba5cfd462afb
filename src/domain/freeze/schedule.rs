//! When a cron pattern comes in a time zone.
//!
//! A local time that does not exist, because the clock was set forward, comes once, right after
//! the gap. One that exists twice, because the clock was set back, comes the first time only. A
//! pattern whose hour begins with `*` is another matter: it means the hours that go by, so it
//! comes in both of two like hours, and not for an hour that is left out. Vixie cron does the
//! same.
//!
//! The search of the cron crate is not used. To it a pattern with two hours or minutes has no fixed
//! hour, so that what falls into a gap is lost, and it gives up on gaps of over two hours.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::cron::{InvalidCron, Pattern};
use crate::domain::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// The shortest time there is.
const INSTANT: Duration = Duration::from_micros(1);

/// A cron pattern and where it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    pattern: Pattern,
    zone: TimeZone,
}

/// A date of a schedule.
pub(super) struct Day {
    date: Date,
    /// When it begins; only if no change of the clock touches it, so that times of day are just
    /// added.
    pub(super) plain_midnight: Option<Timestamp>,
}

/// The time between two changes of the clock in which every local time exists once.
#[derive(Clone, Copy)]
struct Stretch {
    from: Timestamp,
    until: Timestamp,
    offset: Offset,
}

impl Stretch {
    fn around(zone: &TimeZone, at: Timestamp) -> Self {
        let offset = zone.to_offset(moment(at));
        let before = zone.preceding(moment(at.plus(INSTANT))).next();
        let after = zone.following(moment(at)).next();
        let from = before.map(|change| point(change.timestamp()));
        let until = after.map(|change| point(change.timestamp()));
        // By so much local times repeat themselves, or are left out.
        let jump = |other: Offset| {
            let seconds = other.seconds().abs_diff(offset.seconds());
            Duration::from_secs(u64::from(seconds))
        };
        let offset_at = |at: Timestamp| zone.to_offset(moment(at));
        Self {
            from: from.map_or(Timestamp::from_micros(i64::MIN), |from| {
                from.plus(jump(offset_at(from.minus(INSTANT))))
            }),
            until: until.map_or(Timestamp::from_micros(i64::MAX), |until| {
                until.minus(jump(offset_at(until)))
            }),
            offset,
        }
    }

    fn midnight(&self, date: Date) -> Option<Timestamp> {
        let midnight = self.point(date.to_datetime(Time::midnight()))?;
        (midnight.plus(DAY) <= self.until).then_some(midnight)
    }

    fn point(&self, local: DateTime) -> Option<Timestamp> {
        let at = point(self.offset.to_timestamp(local).ok()?);
        (self.from <= at && at < self.until).then_some(at)
    }
}

impl Schedule {
    /// Reads a pattern, for a zone that is checked already.
    pub(super) fn parse(pattern: &str, zone: TimeZone) -> Result<Self, InvalidCron> {
        Ok(Self { pattern: Pattern::parse(pattern)?, zone })
    }

    /// The same pattern where no clock is ever changed.
    pub(super) fn in_utc(&self) -> Self {
        Self { pattern: self.pattern.clone(), zone: TimeZone::UTC }
    }

    pub(super) fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// The zone's full name.
    pub(super) fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The times of a plain day since its midnight, the earliest first.
    pub(super) fn times(&self) -> impl ExactSizeIterator<Item = Duration> {
        self.pattern.times().iter().map(|time| since_midnight(*time))
    }

    /// The dates that have all it comes between two times, and perhaps more.
    pub(super) fn days(&self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Day> {
        let first = self.date(from);
        let last = self.date(until);
        // A change of the clock can take what belongs to one date into the next.
        let first = first.yesterday().unwrap_or(first);
        let last = last.tomorrow().unwrap_or(last);
        let dates = std::iter::successors(self.pattern.next_date(first, last), move |date| {
            self.pattern.next_date(date.tomorrow().ok()?, last)
        });
        let mut stretch = None;
        dates.map(move |date| Day { date, plain_midnight: self.plain_midnight(date, &mut stretch) })
    }

    /// When it comes on a date.
    pub(super) fn times_on(&self, day: &Day) -> Vec<Timestamp> {
        if let Some(midnight) = day.plain_midnight {
            return self.times().map(|time| midnight.plus(time)).collect();
        }
        // Asking the zone is slow; most times of the day are clear of the change.
        let ends = [day.date.to_datetime(Time::midnight()), day.date.to_datetime(Time::MAX)];
        let near = ends.map(|local| self.zone.to_timestamp(local).ok());
        let clear = near.map(|at| at.map(|at| Stretch::around(&self.zone, point(at))));
        let clear: Vec<Stretch> = clear.into_iter().flatten().collect();
        let mut points = Vec::new();
        for time in self.pattern.times() {
            let local = day.date.to_datetime(*time);
            match clear.iter().find_map(|stretch| stretch.point(local)) {
                Some(point) => points.push(point),
                None => points.extend(self.points(local).into_iter().flatten()),
            }
        }
        points.sort_unstable();
        points.dedup();
        points
    }

    /// When it comes between two times, both included; perhaps more, but nothing left out.
    pub(super) fn between(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut points: Vec<_> =
            self.days(from, until).flat_map(|day| self.times_on(&day)).collect();
        points.sort_unstable();
        points.dedup();
        points
    }

    fn date(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(moment(at)).date()
    }

    fn plain_midnight(&self, date: Date, stretch: &mut Option<Stretch>) -> Option<Timestamp> {
        if let Some(midnight) = stretch.as_ref().and_then(|known| known.midnight(date)) {
            return Some(midnight);
        }
        let near = self.zone.to_timestamp(date.to_datetime(Time::midnight())).ok()?;
        stretch.insert(Stretch::around(&self.zone, point(near))).midnight(date)
    }

    fn points(&self, local: DateTime) -> [Option<Timestamp>; 2] {
        let with = |offset: Offset| offset.to_timestamp(local).ok().map(point);
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => [with(offset), None],
            AmbiguousOffset::Fold { before, after } => {
                [with(before), with(after).filter(|_| self.pattern.is_hourly())]
            }
            AmbiguousOffset::Gap { .. } if self.pattern.is_hourly() => [None, None],
            AmbiguousOffset::Gap { after, .. } => {
                // By the clock after the gap it would have been before the gap.
                let change = with(after).and_then(|at| self.zone.following(moment(at)).next());
                [change.map(|change| point(change.timestamp())), None]
            }
        }
    }
}

/// Finds a time zone by its name in the database that is built in; the machine's own may differ
/// from node to node.
pub(super) fn find_zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    (!zone.is_unknown() && zone.iana_name().is_some()).then_some(zone)
}

fn since_midnight(time: Time) -> Duration {
    let minutes = i64::from(time.hour()) * 60 + i64::from(time.minute());
    Duration::from_mins(minutes.unsigned_abs())
}

fn moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default()
}

fn point(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_microsecond())
}
