//! How many calls a token may make, in a minute and at a time.

use std::collections::BTreeMap;

use super::reply::Reply;
use super::request::Asked;

/// Limits, and what counts towards them.
#[derive(Debug)]
pub(super) struct Limits {
    /// None for no limit.
    pub(super) per_minute: Option<usize>,
    pub(super) searches_per_minute: usize,
    pub(super) reads_at_a_time: usize,
    pub(super) writes_at_a_time: usize,
    calls: BTreeMap<String, Vec<i64>>,
    searches: BTreeMap<String, Vec<i64>>,
    pub(super) n_reads: usize,
    pub(super) n_writes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_minute: None,
            searches_per_minute: 60,
            reads_at_a_time: 50,
            writes_at_a_time: 15,
            calls: BTreeMap::new(),
            searches: BTreeMap::new(),
            n_reads: 0,
            n_writes: 0,
        }
    }
}

const SECOND_US: i64 = 1_000_000;

impl Limits {
    /// Counts a call, whether it is let in or not.
    pub(super) fn count(&mut self, asked: &Asked, now: i64, n: usize) -> Result<(), Reply> {
        let is_search = asked.is("GET", "/workspaces/*/tasks/search");
        let token = asked.token();
        let within = most(self.calls.entry(token.to_owned()).or_default(), now, n, self.per_minute);
        if is_search {
            let searches = self.searches.entry(token.to_owned()).or_default();
            most(searches, now, n, Some(self.searches_per_minute))?;
        }
        within
    }

    /// Lets a request in, or says that there are too many at this time.
    pub(super) fn enter(&mut self, is_read: bool) -> Result<(), Reply> {
        let (n, most) = if is_read {
            (&mut self.n_reads, self.reads_at_a_time)
        } else {
            (&mut self.n_writes, self.writes_at_a_time)
        };
        if *n >= most {
            return Err(Reply::rate_limited(1));
        }
        *n += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self, is_read: bool) {
        if is_read {
            self.n_reads -= 1;
        } else {
            self.n_writes -= 1;
        }
    }
}

fn most(calls: &mut Vec<i64>, now: i64, n: usize, limit: Option<usize>) -> Result<(), Reply> {
    calls.retain(|at| now - at < 60 * SECOND_US);
    calls.extend(std::iter::repeat_n(now, n));
    let Some(limit) = limit.filter(|limit| calls.len() > *limit) else { return Ok(()) };
    // When there is room again, if nobody asks before.
    let leaving = calls.get(calls.len() - limit - 1).copied().unwrap_or(now);
    let seconds = (leaving + 60 * SECOND_US - now).div_euclid(SECOND_US);
    Err(Reply::rate_limited(u64::try_from(seconds).unwrap_or_default().max(1)))
}
