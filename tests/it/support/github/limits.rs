//! How much GitHub lets itself be asked, and what it says when that is too much.

use std::collections::VecDeque;

use super::super::asana::Asked;
use super::server::Reply;

/// One way to be told that it is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// 403: no requests are left until so many seconds from now.
    Primary(i64),
    /// 403: a secondary limit, with so many seconds to wait.
    Secondary(u64),
    /// 403: a secondary limit, without a word on how long.
    Unsaid,
    /// 429: the same as 403 with seconds to wait.
    TooMany(u64),
    /// 422: something was made too soon after something else.
    TooQuick,
}

/// A minute, in microseconds.
const MINUTE: i64 = 60_000_000;

/// What a minute has room for: points, of which a read is one and a write five; and what is made.
const POINTS: i64 = 900;
const MADE_IN_A_MINUTE: usize = 80;
const MADE_IN_AN_HOUR: usize = 500;
const ASKED_IN_AN_HOUR: usize = 5_000;

/// Limits, and what counts towards them.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) counts: bool,
    planned: Vec<(String, String, usize, Limit)>,
    asked: VecDeque<(i64, i64)>,
    made: VecDeque<i64>,
}

impl Limits {
    pub(super) fn plan(&mut self, method: &str, path: &str, n: usize, limit: Limit) {
        self.planned.push((method.to_owned(), path.to_owned(), n, limit));
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// Lets a request in, or says why not.
    pub(super) fn enter(&mut self, asked: &Asked, now: i64) -> Result<(), Reply> {
        let is_it =
            |one: &&mut (String, String, usize, Limit)| one.2 > 0 && asked.is(&one.0, &one.1);
        if let Some(planned) = self.planned.iter_mut().find(is_it) {
            planned.2 -= 1;
            return Err(refused(planned.3, now));
        }
        if !self.counts {
            return Ok(());
        }
        let is_write = asked.method != "GET";
        let points = if is_write { 5 } else { 1 };
        self.asked.retain(|(at, _)| now - at < 60 * MINUTE);
        self.made.retain(|at| now - at < 60 * MINUTE);
        let last = |at: &i64| now - at < MINUTE;
        let spent: i64 = self.asked.iter().filter(|(at, _)| last(at)).map(|(_, n)| n).sum();
        if self.asked.len() >= ASKED_IN_AN_HOUR {
            return Err(refused(Limit::Primary(3_600), now));
        }
        let n_made = self.made.iter().filter(|at| last(at)).count();
        let is_too_much = n_made >= MADE_IN_A_MINUTE || self.made.len() >= MADE_IN_AN_HOUR;
        if spent + points > POINTS || (is_write && is_too_much) {
            return Err(refused(Limit::Secondary(60), now));
        }
        self.asked.push_back((now, points));
        if is_write {
            self.made.push_back(now);
        }
        Ok(())
    }
}

fn refused(limit: Limit, now: i64) -> Reply {
    let docs = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";
    let secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you \
                     try again. If you reach out to GitHub Support for help, please include the request ID.";
    match limit {
        Limit::Primary(seconds) => {
            let text = "API rate limit exceeded for user ID 2.";
            let mut reply = Reply::error(403, text, docs);
            let reset = now.div_euclid(1_000_000) + seconds;
            let headers = [("x-ratelimit-limit", 5_000), ("x-ratelimit-remaining", 0)];
            reply.headers.extend(headers.map(|(name, value)| (name, value.to_string())));
            reply.headers.push(("x-ratelimit-reset", reset.to_string()));
            reply
        }
        Limit::Secondary(seconds) | Limit::TooMany(seconds) => {
            let status = if matches!(limit, Limit::TooMany(_)) { 429 } else { 403 };
            let mut reply = Reply::error(status, secondary, docs);
            reply.headers.push(("retry-after", seconds.to_string()));
            reply
        }
        Limit::Unsaid => Reply::error(403, secondary, docs),
        Limit::TooQuick => {
            let error = serde_json::json!({"resource": "Issue", "code": "unprocessable",
                "field": "data", "message": "was submitted too quickly"});
            Reply::invalid(&[error])
        }
    }
}
