//! The text of a cron pattern: five fields, the minute is the finest.

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};
use jiff::civil::{Date, Time};

/// The longest cron pattern, in bytes.
pub const MOST_CRON_BYTES: usize = 200;

/// Every kind of year, common or leap and by its first weekday, occurs in these.
const ALL_KINDS_OF_YEARS: std::ops::Range<i16> = 2000..2028;

const MONTHS: &[&str] =
    &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What is wrong with a cron pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// It is no pattern at all.
    #[error("a cron pattern has at most {MOST_CRON_BYTES} characters")]
    TooLong,
    /// There is nothing finer than a minute, and no shorthand.
    #[error(
        "cron pattern {pattern:?} has {n_fields} fields; write five: minute, hour, day of the month, month, weekday"
    )]
    Fields {
        /// The pattern.
        pattern: String,
        /// How many it has.
        n_fields: usize,
    },
    /// One field makes no sense.
    #[error("the {field} {value:?} of cron pattern {pattern:?} makes no sense; write {expected}")]
    Field {
        /// The pattern.
        pattern: String,
        /// Which field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// No day has it, like 30 February.
    #[error("cron pattern {0:?} never comes; no date in any year has this day")]
    Never(String),
}

/// What a field may hold, beside `*`, lists, ranges and steps.
struct Field {
    name: &'static str,
    expected: &'static str,
    most: u16,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", expected: "0 to 59, like 30 or 0,30 or */15", most: 59, names: &[] },
    Field { name: "hour", expected: "0 to 23, like 9 or 9-17 or */2", most: 23, names: &[] },
    Field {
        name: "day of the month",
        expected: "1 to 31, like 1 or 1-7 or L for the last",
        most: 31,
        names: &[],
    },
    Field { name: "month", expected: "1 to 12 or JAN to DEC", most: 12, names: MONTHS },
    Field {
        name: "weekday",
        expected: "0 to 7 or SUN to SAT, like 1-5 or FRI#2 or FRIL for the last",
        most: 7,
        names: WEEKDAYS,
    },
];

impl Field {
    /// The parser takes names in any field, puts digits beside them together, and skips what is
    /// empty: `1JAN` is November to it, and `MON` a good minute.
    fn is_plain(&self, value: &str) -> bool {
        let is_weekday = self.name == "weekday";
        let value = if is_weekday { value.strip_prefix('+').unwrap_or(value) } else { value };
        let is_number = |text: &str| {
            (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_place = |text: &str| is_number(text) || self.names.contains(&text);
        let is_atom = |text: &str| match self.name {
            _ if text == "*" || is_place(text) => true,
            "day of the month" => {
                matches!(text, "?" | "L" | "LW") || text.strip_suffix('W').is_some_and(is_number)
            }
            "weekday" => text == "?" || text.strip_suffix('L').is_some_and(is_place),
            _ => false,
        };
        value.split(',').all(|part| {
            let (places, step) = match part.split_once('/') {
                Some((places, step)) => (places, Some(step)),
                None => (part, None),
            };
            let is_step =
                |step: &str| is_number(step) && step.parse().is_ok_and(|n: u16| n <= self.most);
            step.is_none_or(is_step)
                && places.split('-').all(|place| match place.split_once('#') {
                    Some((day, nth)) => is_weekday && is_place(day) && is_number(nth),
                    None => is_atom(place),
                })
        })
    }
}

/// A checked pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    cron: Cron,
    times: Vec<Time>,
    is_hourly: bool,
}

impl Pattern {
    /// Reads a pattern.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidCron> {
        if text.len() > MOST_CRON_BYTES {
            return Err(InvalidCron::TooLong);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let text = fields.join(" ");
        let [_, hour, ..] = *fields.as_slice() else {
            return Err(InvalidCron::Fields { pattern: text, n_fields: fields.len() });
        };
        if fields.len() != FIELDS.len() {
            return Err(InvalidCron::Fields { pattern: text, n_fields: fields.len() });
        }
        for (at, (field, value)) in FIELDS.iter().zip(&fields).enumerate() {
            let mut alone = ["*"; FIELDS.len()];
            if let Some(place) = alone.get_mut(at) {
                *place = value;
            }
            let is_usable =
                field.is_plain(&value.to_ascii_uppercase()) && read(&alone.join(" ")).is_some();
            if !is_usable {
                return Err(InvalidCron::Field {
                    pattern: text,
                    field: field.name,
                    value: (*value).to_owned(),
                    expected: field.expected,
                });
            }
        }
        let Some(cron) = read(&text) else {
            return Err(InvalidCron::Fields { pattern: text, n_fields: fields.len() });
        };
        let pattern = Self { times: times(&cron), is_hourly: hour.starts_with('*'), cron, text };
        if pattern.comes() { Ok(pattern) } else { Err(InvalidCron::Never(pattern.text)) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The times of day, the earliest first.
    pub(super) fn times(&self) -> &[Time] {
        &self.times
    }

    /// Whether the hour is not fixed: such a pattern counts hours that go by, not those that the
    /// clock shows.
    pub(super) fn is_hourly(&self) -> bool {
        self.is_hourly
    }

    /// The first of its dates from `date` to `last`.
    pub(super) fn next_date(&self, mut date: Date, last: Date) -> Option<Date> {
        while date <= last {
            if !self.has_month(date) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if self.has_day(date) {
                return Some(date);
            } else {
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    fn has_month(&self, date: Date) -> bool {
        u32::try_from(date.month())
            .is_ok_and(|month| self.cron.pattern.month_match(month).unwrap_or(false))
    }

    fn has_day(&self, date: Date) -> bool {
        let (Ok(month), Ok(day)) = (u32::try_from(date.month()), u32::try_from(date.day())) else {
            return false;
        };
        let weekday = u32::try_from(date.weekday().to_sunday_zero_offset()).unwrap_or(0);
        let weekday = Weekday::from_days_from_sunday(weekday);
        self.cron.pattern.day_match(i32::from(date.year()), month, day, weekday).unwrap_or(false)
    }

    fn comes(&self) -> bool {
        let (Ok(first), Ok(end)) =
            (Date::new(ALL_KINDS_OF_YEARS.start, 1, 1), Date::new(ALL_KINDS_OF_YEARS.end, 1, 1))
        else {
            return false;
        };
        !self.times.is_empty() && self.next_date(first, end).is_some()
    }
}

fn read(pattern: &str) -> Option<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(pattern).ok()
}

fn times(cron: &Cron) -> Vec<Time> {
    let minutes = cron.pattern.minutes.values();
    let time = |hour: u16, minute: u16| {
        Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
    };
    let hours = cron.pattern.hours.values().into_iter();
    hours.flat_map(|hour| minutes.iter().filter_map(move |minute| time(hour, *minute))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Pattern::parse(text).expect_err("an invalid pattern").to_string()
    }

    #[test]
    fn a_pattern_has_five_fields() {
        for (text, n_fields) in
            [("", 0), ("@daily", 1), ("0 9 * *", 4), ("0 0 9 * * *", 6), ("0 0 9 * * * 2026", 7)]
        {
            let error = error(text);
            assert!(error.contains(&format!("has {n_fields} fields; write five")), "{error}");
        }
        assert!(error(&"0 ".repeat(200)).contains("at most"));
    }

    #[test]
    fn the_field_that_makes_no_sense_is_named() {
        for (text, expected) in [
            ("60 9 * * *", "the minute \"60\""),
            ("MON 9 * * *", "the minute \"MON\""),
            ("*/90 9 * * *", "the minute \"*/90\""),
            ("0 24 * * *", "the hour \"24\""),
            ("0 9-8 * * *", "the hour \"9-8\""),
            ("0 , * * *", "the hour \",\""),
            ("0 9 0 * *", "the day of the month \"0\""),
            ("0 9 FRI * *", "the day of the month \"FRI\""),
            ("0 9 * 1JAN *", "the month \"1JAN\""),
            ("0 9 * JANFEB *", "the month \"JANFEB\""),
            ("0 9 * * MONDAY", "the weekday \"MONDAY\""),
            ("0 9 * * FRI-MON", "the weekday \"FRI-MON\""),
            ("0 9 * * L", "the weekday \"L\""),
            ("0 9 * * ﬁ", "the weekday \"ﬁ\""),
        ] {
            let error = error(text);
            assert!(error.contains(expected) && error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn a_day_that_no_year_has_is_refused() {
        for text in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 29 2 +MON#1", "0 0 1-28 * +FRI#5"] {
            assert_eq!(Pattern::parse(text), Err(InvalidCron::Never(text.to_owned())));
        }
        for text in ["0 0 29 2 *", "0 0 29 2 +SAT", "0 0 31 12 *", "0 0 LW * *", "0 0 * 2 FRI#5"] {
            assert!(Pattern::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn names_ranges_and_steps_are_read() {
        for (one, other) in [
            ("0 9 * jan-mar mon-fri", "0 9 * 1-3 1-5"),
            ("0 9 * * SAT-SUN", "0 9 * * 6,0"),
            ("*/30 8-10/2 ? * 7", "0,30 8,10 * * 0"),
        ] {
            let read = |text| Pattern::parse(text).expect("a valid pattern");
            let (one, other) = (read(one), read(other));
            assert_eq!(one.times(), other.times());
            let day = |text| Date::strptime("%Y-%m-%d", text).expect("a date");
            let (first, last) = (day("2026-01-01"), day("2026-12-31"));
            let dates = |pattern: &Pattern| {
                std::iter::successors(pattern.next_date(first, last), |date| {
                    pattern.next_date(date.tomorrow().ok()?, last)
                })
                .collect::<Vec<_>>()
            };
            assert_eq!(dates(&one), dates(&other));
        }
    }
}
