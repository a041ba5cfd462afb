//! One connection to a tracker over HTTP: an address and a token.
//!
//! All that use it share what its service allows: so many requests in a minute and so many at a time.
//! What is over that is not sent, and neither is anything while the service asks to be left alone or
//! was not reached several times in a row.
//!
//! *Invariant*: a request is sent once. What its end means is said by [`TrackerError`].

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::TrackerError;
use super::answer::{Pause, is_only_now, next_page};
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::health::{Health, PartState};

/// A connection that cannot be made in this time is not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const MOST_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// A minute, of which limits speak.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// An hour, of which some limits speak.
const HOUR: Duration = Duration::from_hours(1);

/// A service that does not say how long it wants to be left alone is left alone for this long, and twice
/// as long each time it says so again.
const USUAL_REST: Duration = Duration::from_mins(1);

/// The longest that a service is left alone because it says so.
const MOST_REST: Duration = Duration::from_hours(1);

/// After so many failures in a row nothing is sent for a while.
const BREAK_AFTER: u32 = 5;

/// How long then; twice as long each time.
const FIRST_BREAK: Duration = Duration::from_secs(10);

/// How long at most.
const MOST_BREAK: Duration = Duration::from_mins(5);

/// How long nothing is sent with a token that is refused.
pub(super) const REFUSED_BREAK: Duration = Duration::from_mins(10);

/// What Asana says with its answers before it changes.
const CHANGES: &str = "Asana-Change";

/// How often that is said again.
const WARN_EVERY: Duration = Duration::from_hours(24);

/// What a service allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Requests in a minute.
    pub(super) per_minute: usize,
    /// Requests that only read, at a time.
    pub(super) reads: usize,
    /// Requests that change something, at a time.
    pub(super) writes: usize,
    /// Requests that change something, in an hour.
    pub(super) writes_per_hour: Option<usize>,
}

/// What is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    /// What people call it.
    pub(super) name: &'static str,
    /// What it allows.
    pub(super) limits: Limits,
    /// The header that has the token; a bearer's by default.
    pub(super) token_header: Option<&'static str>,
}

/// Why something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// It is due, and can wait.
    Work,
    /// Somebody wants to know whether it works: also while it seems that it does not.
    Check,
}

/// Whether a request changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// It only reads: where it fails, nothing was done.
    Read,
    /// It changes something.
    Write,
}

/// What came of a request that was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// It has no answer, or one that says nothing of what was asked.
    Tracker(TrackerError),
    /// The service does not do it.
    Answer {
        /// The status.
        status: u16,
        /// What it says, as JSON; null where it says none.
        body: Value,
    },
}

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    service: Service,
    client: Result<reqwest::Client, String>,
    /// What it is called with, or why that cannot be read.
    token: Result<String, String>,
    clock: Clock,
    health: Health,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When requests ended, in the last minute.
    ended: VecDeque<Timestamp>,
    /// When those ended that change something, in the last hour, where that is limited.
    written: VecDeque<Timestamp>,
    n_reads: usize,
    n_writes: usize,
    /// Until when the service wants to be left alone, and what it says.
    rests: Option<(Timestamp, String)>,
    /// Until when nothing is sent because it would fail, and why.
    broken: Option<(Timestamp, String)>,
    n_failures: u32,
    /// How often it asked to be left alone since it last took something.
    n_rests: u32,
    /// When it was last said that the service is about to change.
    warned_at: Option<Timestamp>,
}

/// A request on its way; it counts until it is dropped, and a minute longer.
struct Turn<'a> {
    line: &'a Line,
    does: Does,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = self.line.clock.now();
        let mut state = self.line.state();
        match self.does {
            Does::Read => state.n_reads -= 1,
            Does::Write => {
                state.n_writes -= 1;
                if self.line.service.limits.writes_per_hour.is_some() {
                    state.written.push_back(now);
                }
            }
        }
        state.ended.push_back(now);
    }
}

impl State {
    /// How long nothing may be sent, and why.
    fn wait(
        &mut self,
        (pass, does): (Pass, Does),
        now: Timestamp,
        limits: Limits,
    ) -> Option<(Duration, String)> {
        let is_over = |until: &Option<(Timestamp, String)>| {
            until.as_ref().is_none_or(|(until, _)| *until <= now)
        };
        let stops = [(&self.rests, true), (&self.broken, pass == Pass::Work)];
        for (until, counts) in stops {
            if let Some((until, cause)) = until.as_ref().filter(|(until, _)| counts && *until > now)
            {
                return Some((until.since(now), cause.clone()));
            }
        }
        if is_over(&self.rests) {
            self.rests = None;
        }
        while self.ended.front().is_some_and(|at| now.since(*at) >= WINDOW) {
            self.ended.pop_front();
        }
        if self.ended.len() + self.n_reads + self.n_writes >= limits.per_minute {
            let first = self.ended.front().map(|at| at.plus(WINDOW).since(now));
            let cause = format!("{} requests were sent in a minute", limits.per_minute);
            return Some((first.unwrap_or(Duration::from_secs(1)), cause));
        }
        while self.written.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.written.pop_front();
        }
        let most = limits.writes_per_hour.filter(|_| does == Does::Write);
        let most = most.filter(|most| self.written.len() + self.n_writes >= *most)?;
        let first = self.written.front().map(|at| at.plus(HOUR).since(now));
        let cause = format!("{most} requests that change something were sent in an hour");
        Some((first.unwrap_or(Duration::from_secs(1)), cause))
    }
}

impl State {
    /// Nothing is sent until then.
    fn rest(&mut self, until: Timestamp, cause: &str) {
        if self.rests.as_ref().is_none_or(|(known, _)| *known < until) {
            self.rests = Some((until, cause.to_owned()));
        }
    }
}

impl Line {
    /// To a service at an address. A request ends within `timeout`.
    pub(super) fn new(
        service: Service,
        url: &str,
        token: Result<String, String>,
        (clock, timeout): (&Clock, Duration),
    ) -> Self {
        Self {
            service,
            client: client(url, timeout),
            token,
            clock: clock.clone(),
            health: Health::new(clock.now()),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long nothing can be changed, if that is so.
    pub(super) fn rests(&self) -> Option<Duration> {
        let what = (Pass::Work, Does::Write);
        let wait = self.state().wait(what, self.clock.now(), self.service.limits);
        wait.map(|(after, _)| after)
    }

    /// Whether nothing counts any more that was sent.
    pub(super) fn is_idle(&self) -> bool {
        let now = self.now();
        let state = self.state();
        let is_over = state.ended.back().is_none_or(|at| now.since(*at) >= WINDOW)
            && state.written.back().is_none_or(|at| now.since(*at) >= HOUR);
        is_over && state.n_reads + state.n_writes == 0
    }

    fn enter(&self, pass: Pass, does: Does) -> Result<Turn<'_>, TrackerError> {
        let mut state = self.state();
        if let Some((after, cause)) =
            state.wait((pass, does), self.clock.now(), self.service.limits)
        {
            return Err(TrackerError::Later { cause, after });
        }
        let (n, most) = match does {
            Does::Read => (&mut state.n_reads, self.service.limits.reads),
            Does::Write => (&mut state.n_writes, self.service.limits.writes),
        };
        if *n >= most {
            let cause = format!("{most} requests are being answered");
            return Err(TrackerError::Later { cause, after: Duration::from_secs(1) });
        }
        *n += 1;
        Ok(Turn { line: self, does })
    }

    /// Sends a request, and gives the JSON of its answer.
    pub(super) async fn send(
        &self,
        what: (Pass, Does),
        make: impl FnOnce(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Value, Failure> {
        self.send_for_page(what, make).await.map(|(body, _)| body)
    }

    /// The same, with the address of the next page if the answer names one.
    pub(super) async fn send_for_page(
        &self,
        (pass, does): (Pass, Does),
        make: impl FnOnce(&reqwest::Client) -> RequestBuilder,
    ) -> Result<(Value, Option<String>), Failure> {
        let cannot = |cause: &String| {
            self.failed(cause);
            let after = Some(REFUSED_BREAK);
            Failure::Tracker(TrackerError::NotDone { cause: cause.clone(), after })
        };
        let client = self.client.as_ref().map_err(cannot)?;
        let token = self.token.as_ref().map_err(cannot)?;
        let turn = self.enter(pass, does).map_err(Failure::Tracker)?;
        let request = make(client);
        let request = match self.service.token_header {
            None => request.bearer_auth(token),
            Some(header) => request.header(header, token),
        };
        let answered = match request.send().await {
            Ok(response) => self.read(response, does).await,
            Err(cause) => Err(Failure::Tracker(self.unreached(&cause, does))),
        };
        drop(turn);
        answered
    }

    /// The request got no answer.
    fn unreached(&self, error: &reqwest::Error, does: Does) -> TrackerError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let service = self.service.name;
        let text = if error.is_connect() {
            format!("{service} cannot be reached: {cause}")
        } else if error.is_timeout() {
            format!("{service} did not answer in time")
        } else {
            format!("the connection to {service} ended before its answer: {cause}")
        };
        self.failed(&text);
        if error.is_connect() {
            return TrackerError::NotDone { cause: text, after: None };
        }
        unclear(text, does)
    }

    async fn read(
        &self,
        mut response: Response,
        does: Does,
    ) -> Result<(Value, Option<String>), Failure> {
        let status = response.status();
        let pause = Pause::of(response.headers(), self.now());
        let next = next_page(response.headers());
        self.hear_of_changes(&response);
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if bytes.len() + chunk.len() <= MOST_ANSWER_BYTES => {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let text = format!("the answer of {} is too large", self.service.name);
                    return Err(Failure::Tracker(unclear(text, does)));
                }
                Err(cause) => return Err(Failure::Tracker(self.unreached(&cause, does))),
            }
        }
        // Some services say all with the status.
        let is_said = status == StatusCode::NO_CONTENT || status.is_client_error();
        let body = if bytes.is_empty() && is_said {
            Some(Value::Null)
        } else {
            serde_json::from_slice(&bytes).ok()
        };
        self.judge((status, pause), body, does).map(|body| (body, next))
    }

    /// Some services say with their answers what they are going to change.
    fn hear_of_changes(&self, response: &Response) {
        let Some(change) = response.headers().get(CHANGES) else { return };
        let now = self.now();
        let mut state = self.state();
        if state.warned_at.is_none_or(|at| now.since(at) >= WARN_EVERY) {
            state.warned_at = Some(now);
            tracing::warn!(service = self.service.name, ?change, "a tracker is about to change");
        }
    }

    fn judge(
        &self,
        (status, pause): (StatusCode, Pause),
        body: Option<Value>,
        does: Does,
    ) -> Result<Value, Failure> {
        let service = self.service.name;
        if is_only_now(status, pause, body.as_ref()) {
            let mut state = self.state();
            let usual = USUAL_REST.saturating_mul(2_u32.saturating_pow(state.n_rests.min(16)));
            state.n_rests = state.n_rests.saturating_add(1);
            let after = pause.after.or(pause.used_up).unwrap_or(usual).min(MOST_REST);
            let seconds = after.as_secs();
            let cause = format!("{service} asks to be left alone for {seconds} s ({status})");
            state.rest(self.now().plus(after), &cause);
            drop(state);
            self.health.failed(PartState::Degraded, &cause, self.now());
            return Err(Failure::Tracker(TrackerError::NotDone { cause, after: Some(after) }));
        }
        if status.is_server_error() {
            let text = format!("{service} answers {status}");
            self.failed(&text);
            return Err(Failure::Tracker(unclear(text, does)));
        }
        if status == StatusCode::UNAUTHORIZED {
            let cause = format!("{service} refuses the token: make a new one and set it");
            self.health.failed(PartState::Down, &cause, self.now());
            self.state().broken = Some((self.now().plus(REFUSED_BREAK), cause));
            return Err(Failure::Answer { status: status.as_u16(), body: Value::Null });
        }
        let Some(body) = body else {
            let text = format!("what answers {status} is not {service}: is its url right?");
            self.failed(&text);
            return Err(Failure::Tracker(unclear(text, does)));
        };
        self.is_well(does);
        if let Some(left) = pause.used_up {
            let cause = format!("{service} takes no more requests of this token for a while");
            self.state().rest(self.now().plus(left.min(MOST_REST)), &cause);
        }
        if status.is_success() {
            return Ok(body);
        }
        Err(Failure::Answer { status: status.as_u16(), body })
    }

    fn is_well(&self, does: Does) {
        let mut state = self.state();
        (state.n_failures, state.broken) = (0, None);
        if does == Does::Write {
            state.n_rests = 0;
        }
        // What was on its way when the service asked to be left alone says nothing of that.
        let is_resting = state.rests.as_ref().is_some_and(|(until, _)| *until > self.now());
        drop(state);
        if !is_resting {
            self.health.ok(self.now());
        }
    }

    fn failed(&self, cause: &str) {
        let now = self.now();
        let mut state = self.state();
        state.n_failures = state.n_failures.saturating_add(1);
        let over = state.n_failures.checked_sub(BREAK_AFTER);
        if let Some(over) = over {
            let pause = FIRST_BREAK.saturating_mul(2_u32.saturating_pow(over.min(16)));
            state.broken = Some((now.plus(pause.min(MOST_BREAK)), cause.to_owned()));
        }
        drop(state);
        let part = if over.is_some() { PartState::Down } else { PartState::Degraded };
        self.health.failed(part, cause, now);
    }
}

/// What a failure means of which nobody knows whether it came after the deed.
fn unclear(text: String, does: Does) -> TrackerError {
    match does {
        Does::Read => TrackerError::NotDone { cause: text, after: None },
        Does::Write => TrackerError::Ambiguous(text),
    }
}

/// A client that takes the token nowhere else.
fn client(url: &str, timeout: Duration) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("airlock/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout);
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    if host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str())) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|cause| format!("no HTTP client: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_minute: 3, reads: 2, writes: 1, writes_per_hour: Some(2) };

    fn line(clock: &Clock) -> Line {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let token = Ok("token".to_owned());
        let with = (clock, Duration::from_secs(1));
        let service = Service { name: "Fake", limits: LIMITS, token_header: None };
        Line::new(service, "http://127.0.0.1:1", token, with)
    }

    fn clock() -> Clock {
        Clock::stopped(Timestamp::from_micros(1_795_226_466_000_000))
    }

    #[test]
    fn no_more_than_allowed_is_sent_in_a_minute_and_at_a_time() {
        let (clock, work) = (clock(), Pass::Work);
        let line = line(&clock);
        let write = line.enter(work, Does::Write).ok();
        assert!(write.is_some() && line.enter(work, Does::Write).is_err());
        let reads = [line.enter(work, Does::Read), line.enter(work, Does::Read)];
        assert!(reads.iter().all(Result::is_ok));
        // What is on its way counts, however long ago it began.
        clock.advance(Duration::from_mins(2));
        assert_eq!(line.rests(), Some(Duration::from_secs(1)));
        drop((write, reads));
        assert_eq!(line.rests(), Some(Duration::from_mins(1)));
        clock.advance(Duration::from_secs(59));
        assert_eq!(line.rests(), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(line.rests(), None);
    }

    #[test]
    fn no_more_is_changed_in_an_hour_than_allowed_but_much_is_read() {
        let clock = clock();
        let line = line(&clock);
        for _ in 0..2 {
            clock.advance(WINDOW);
            assert!(line.enter(Pass::Work, Does::Write).is_ok());
        }
        clock.advance(WINDOW);
        assert_eq!(line.rests(), Some(Duration::from_mins(58)));
        assert!(line.enter(Pass::Work, Does::Write).is_err());
        assert!(line.enter(Pass::Work, Does::Read).is_ok());
        clock.advance(Duration::from_mins(57));
        assert!(!line.is_idle());
        clock.advance(WINDOW);
        assert_eq!(line.rests(), None);
    }

    #[test]
    fn what_is_not_reached_again_and_again_rests_longer_and_longer() {
        let clock = clock();
        let line = line(&clock);
        for _ in 1..BREAK_AFTER {
            line.failed("away");
            assert_eq!(line.rests(), None);
        }
        for seconds in [10, 20, 40, 80, 160, 300, 300] {
            line.failed("away");
            assert_eq!(line.rests(), Some(Duration::from_secs(seconds)));
            assert!(line.enter(Pass::Check, Does::Read).is_ok());
            clock.advance(Duration::from_secs(seconds));
            assert_eq!(line.rests(), None);
        }
        assert_eq!(line.health().get().state, PartState::Down);
        line.is_well(Does::Read);
        line.failed("away");
        assert_eq!(line.rests(), None);
    }

    #[test]
    fn what_was_under_way_does_not_end_a_rest() {
        let clock = clock();
        let line = line(&clock);
        let pause = Pause { after: Some(WINDOW), ..Pause::default() };
        let refused = line.judge((StatusCode::TOO_MANY_REQUESTS, pause), None, Does::Write);
        assert!(refused.is_err());
        line.is_well(Does::Read);
        assert_eq!(line.health().get().state, PartState::Degraded);
        clock.advance(WINDOW);
        line.is_well(Does::Read);
        assert_eq!(line.health().get().state, PartState::Ok);
    }
}
