//! Times and spans of time: read from arguments, and said of the past.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Reads `90s`, `30m`, `2h`, `1h 30m`, `30d`, `2w`; a day is 24 hours.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "not a span of time like 30m, 2h or 30d".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let duration = span.to_duration(relative).map_err(|_| wrong())?;
    let duration = Duration::try_from(duration).map_err(|_| wrong())?;
    if duration.is_zero() { Err("longer than nothing, please".to_owned()) } else { Ok(duration) }
}

/// Reads a point in time: `2026-11-21T12:00:00Z`; without an offset it is UTC.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "not a time like 2026-11-21T12:00:00Z".to_owned())
}

/// `just now`, `3 min ago`, `2 h ago`, `5 days ago`; what is over 30 days old is a date.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let minutes = now.since(then).as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1_440 => format!("{} h ago", minutes / 60),
        1_440..2_880 => "1 day ago".to_owned(),
        2_880..43_200 => format!("{} days ago", minutes / 1_440),
        _ => then.to_string().chars().take(10).collect(),
    }
}

/// A time to the second, and how long ago that was.
pub(super) fn exact_and_ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = Timestamp::from_micros(then.as_micros() / 1_000_000 * 1_000_000);
    let ago = ago(then, now);
    if seconds.to_string().starts_with(&ago) {
        return seconds.to_string();
    }
    format!("{seconds} ({ago})")
}

/// `40 s`, `3 min`, `2 h`, `5 days`.
pub(super) fn length(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_people_write_them() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1h 30m", 5_400), ("30d", 2_592_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "0s", "-2h", "2", "1 month"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_past_in_words() {
        let then = Timestamp::parse("2026-11-21T12:00:00.25Z").expect("a time");
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (180, "3 min ago"),
            (7_300, "2 h ago"),
            (86_400, "1 day ago"),
            (5 * 86_400, "5 days ago"),
            (40 * 86_400, "2026-11-21"),
        ] {
            assert_eq!(ago(then, then.plus(Duration::from_secs(seconds))), expected);
        }
        let ahead = then.minus(Duration::from_secs(30));
        assert_eq!(ago(then, ahead), "just now");
        let soon = then.plus(Duration::from_mins(3));
        assert_eq!(exact_and_ago(then, soon), "2026-11-21T12:00:00Z (3 min ago)");
        let later = then.plus(Duration::from_hours(2_400));
        assert_eq!(exact_and_ago(then, later), "2026-11-21T12:00:00Z");
    }
}
