//! What goes wrong when it is wished for.

use std::time::Duration;

use airlock::clock::Clock;

use super::request::Asked;
use crate::support::pause;

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Ends the connection and does nothing.
    Drop,
    /// Does what it is asked to, and ends the connection before it answers.
    DropAnswer,
    /// Ends the connection, and does what it is asked to so many seconds later.
    DropAndDo(u64),
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

/// All of them, none of which lasts.
const ALL: [Failure; 12] = [
    Failure::Drop,
    Failure::DropAnswer,
    Failure::DropAndDo(3),
    Failure::Hang,
    Failure::HangAfter,
    Failure::Status(500),
    Failure::Status(504),
    Failure::StatusAfter(500),
    Failure::StatusAfter(503),
    Failure::RateLimited(3),
    Failure::Late(300),
    Failure::Late(20),
];

/// Failures to come.
#[derive(Debug, Default)]
pub(in crate::support) struct Plan {
    planned: Vec<Planned>,
    /// One of so many requests fails besides, whatever it is.
    one_in: Option<u64>,
    /// The last random number.
    random: u64,
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

    /// Lets one of so many requests fail in any way.
    pub(in crate::support) fn fail_any(&mut self, one_in: u64, seed: u64) {
        (self.one_in, self.random) = (Some(one_in), seed);
    }

    pub(in crate::support) fn clear(&mut self) {
        self.planned.clear();
        self.one_in = None;
    }

    /// A random number, good enough for choosing (Knuth's MMIX).
    fn random(&mut self) -> u64 {
        let next = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = next.wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// What this request meets with, which is used up by that.
    pub(in crate::support) fn take(&mut self, asked: &Asked) -> Option<Failure> {
        let is_it =
            |planned: &&mut Planned| planned.n > 0 && asked.is(&planned.method, &planned.path);
        if let Some(planned) = self.planned.iter_mut().find(is_it) {
            planned.n -= 1;
            return Some(planned.failure);
        }
        let one_in = self.one_in?;
        let which = usize::try_from(self.random()).expect("a small number");
        self.random().is_multiple_of(one_in).then(|| ALL[which % ALL.len()])
    }
}

/// Waits until the clock of the test has gone on by so many seconds.
pub(in crate::support) async fn pass(clock: &Clock, seconds: u64) {
    let until = clock.now().plus(Duration::from_secs(seconds));
    while clock.now() < until {
        pause(5).await;
    }
}
