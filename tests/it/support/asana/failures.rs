//! What goes wrong when it is wished for.

use super::request::Asked;

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Ends the connection and does nothing.
    Drop,
    /// Does what it is asked to, and ends the connection before it answers.
    DropAnswer,
    /// Never answers and does nothing.
    Hang,
    /// Does what it is asked to, and never answers.
    HangAfter,
    /// Answers with this status and does nothing; 500 has a phrase.
    Status(u16),
    /// Does what it is asked to, and answers with this status.
    StatusAfter(u16),
    /// 429, with so many seconds to wait.
    RateLimited(u64),
    /// Answers as it should, so many milliseconds late.
    Late(u64),
}

/// Failures to come.
#[derive(Debug, Default)]
pub(in crate::support) struct Plan {
    planned: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    method: String,
    path: String,
    n: usize,
    failure: Failure,
}

impl Plan {
    pub(in crate::support) fn add(&mut self, method: &str, path: &str, n: usize, failure: Failure) {
        let (method, path) = (method.to_owned(), path.to_owned());
        self.planned.push(Planned { method, path, n, failure });
    }

    pub(in crate::support) fn clear(&mut self) {
        self.planned.clear();
    }

    /// What this request meets with, which is used up by that.
    pub(in crate::support) fn take(&mut self, asked: &Asked) -> Option<Failure> {
        let is_it =
            |planned: &&mut Planned| planned.n > 0 && asked.is(&planned.method, &planned.path);
        let planned = self.planned.iter_mut().find(is_it)?;
        planned.n -= 1;
        Some(planned.failure)
    }
}
