//! Waiting for the gate: how long, what is said meanwhile, and when to ask again.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::answer;
use super::super::candidate::Candidate;
use super::super::client::Api;
use super::super::failure::Failure;
use super::super::output::{Output, Style};
use super::super::place::Place;
use super::super::span;
use super::verdict::Verdict;
use crate::clock::Clock;

/// How long the server is asked to hold a question whose answer has not changed.
const LONGEST_POLL: Duration = Duration::from_secs(55);

/// How much longer than that the answer may take.
const POLL_MARGIN: Duration = Duration::from_secs(20);

/// Between two questions lies at least this, whatever the server answers.
const LEAST_BETWEEN: Duration = Duration::from_secs(1);

/// Nobody waits for longer than this.
const LONGEST_WAIT: Duration = Duration::from_hours(365 * 24);

/// The pauses while the service is unreachable: from the first, doubled each time, to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct PatienceArgs {
    /// Wait this long for it to clear: 30m, 2h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub(in crate::cli) wait: Option<Duration>,
    /// What to do when the service cannot be reached
    #[arg(long, value_enum, default_value_t = OnUnavailable::Block)]
    pub(in crate::cli) on_unavailable: OnUnavailable,
}

/// What to do without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OnUnavailable {
    /// Treat it as blocked
    Block,
    /// Go on, with a warning
    Allow,
}

/// How long is waited, and what was said so far.
pub(in crate::cli) struct Patience {
    /// `None`: not at all.
    until: Option<Instant>,
    last_asked: Option<Instant>,
    /// Who was said to block.
    told: Option<String>,
    /// Whether it was said that the service is away.
    is_told_away: bool,
    pause: Duration,
    clock: Clock,
}

impl Patience {
    pub(in crate::cli) fn new(wait: Option<Duration>, clock: Clock) -> Self {
        let until = wait.map(|wait| Instant::now() + wait.min(LONGEST_WAIT));
        Self { until, last_asked: None, told: None, is_told_away: false, pause: FIRST_PAUSE, clock }
    }

    /// How long is still waited.
    fn left(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether the next answer is the last.
    pub(in crate::cli) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Asks the gate; with the version of the last verdict, the answer comes when it has changed.
    pub(in crate::cli) async fn ask(
        &mut self,
        api: &Api,
        place: &Place,
        candidate: &Candidate,
        seen: Option<String>,
    ) -> Result<(Value, Verdict), Failure> {
        let mut query = vec![("commit", candidate.commit.clone())];
        query.extend(candidate.repository.clone().map(|repository| ("repository", repository)));
        let asked = if let Some(seen) = seen {
            if let Some(last) = self.last_asked {
                sleep_until(last + LEAST_BETWEEN).await;
            }
            let poll = LONGEST_POLL.min(self.left());
            let seconds = poll.as_millis().div_ceil(1_000).max(1);
            query.extend([("wait", seconds.to_string()), ("seen", seen)]);
            self.last_asked = Some(Instant::now());
            let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            api.get_within(poll + POLL_MARGIN, &place.path(&["gate"]), &query).await
        } else {
            self.last_asked = Some(Instant::now());
            let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            api.get_with(&place.path(&["gate"]), &query).await
        };
        let found = asked?;
        let verdict = answer::read(&found)?;
        self.is_there();
        Ok((found, verdict))
    }

    /// The service answers.
    pub(in crate::cli) fn is_there(&mut self) {
        self.pause = FIRST_PAUSE;
        if std::mem::take(&mut self.is_told_away) {
            Output::note("airlock: the service is back");
        }
    }

    /// Says who blocks, once and whenever that changes.
    pub(in crate::cli) fn tell(&mut self, place: &Place, verdict: &Verdict) {
        let said = verdict.waiting(place, self.clock.now(), Style::default());
        let who = verdict.who();
        if self.told.as_ref() != Some(&who) {
            Output::note(&said);
            self.told = Some(who);
        }
    }

    /// Says all of the last verdict, if that is news.
    pub(in crate::cli) fn tell_all(&mut self, verdict: &Verdict) {
        let who = Some(verdict.who());
        if self.told != who {
            self.told = who;
            Output::note(verdict.text(self.clock.now(), Style::default()).trim_end());
        }
    }

    /// Lets some time pass while the service is away; fails when patience is over.
    pub(in crate::cli) async fn outlast(&mut self, why: String) -> Result<(), Failure> {
        if self.is_over() {
            return Err(Failure::Unreachable(why));
        }
        if !std::mem::replace(&mut self.is_told_away, true) {
            Output::note(&format!("airlock: {why}"));
            Output::note("airlock: trying again until the wait is over");
        }
        sleep(self.pause.min(self.left())).await;
        self.pause = LAST_PAUSE.min(self.pause * 2);
        Ok(())
    }
}
