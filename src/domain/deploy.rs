//! A run that puts a commit on an environment.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::commit::Sha;
use super::gate::{Judgement, Pass};
use super::id::ProjectItemId;
use super::release::{InvalidVersion, checked_version};
use super::repository::RepositoryId;
use super::time::Timestamp;

/// How long a deploy may be silent, in seconds, if nobody says otherwise.
pub const LEASE_SECONDS: u32 = 600;

/// The least and the most such time, in seconds.
pub const LEASES_SECONDS: RangeInclusive<u32> = 60..=86_400;

/// Of the output of a deploy so much is kept, in bytes.
pub const MOST_OUTPUT_BYTES: u64 = 16 * 1024 * 1024;

/// So much output is taken at a time, in bytes.
pub const MOST_CHUNK_BYTES: usize = 1024 * 1024;

/// The longest url, version or name of who runs it, in characters.
pub const MOST_TEXT_CHARS: usize = 500;

/// The longest reason for an override, in characters.
pub const MOST_REASON_CHARS: usize = 2_000;

/// What became of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployStatus {
    /// It is under way.
    Running,
    /// Its commit is what is deployed.
    Succeeded,
    /// It is not.
    Failed,
    /// Nobody heard of it for longer than its lease.
    Lost,
}

impl DeployStatus {
    /// Its name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Running, Self::Succeeded, Self::Failed, Self::Lost];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

/// What a deploy that succeeded did to issues and locks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Short ids of issues it resolved.
    pub resolved: Vec<String>,
    /// Ids of locks it released.
    pub released_locks: Vec<String>,
    /// Short ids of issues whose fixes it took back.
    pub taken_back: Vec<String>,
}

impl Outcome {
    /// The same, and more.
    #[must_use]
    pub fn with(mut self, more: Self) -> Self {
        let join = |all: &mut Vec<String>, more: Vec<String>| {
            for one in more {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        };
        join(&mut self.resolved, more.resolved);
        join(&mut self.released_locks, more.released_locks);
        join(&mut self.taken_back, more.taken_back);
        self
    }
}

/// A run that puts a commit on an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Its id.
    pub id: ProjectItemId,
    /// Its number within the project.
    pub number: i64,
    /// Where to.
    pub environment: String,
    /// Where its commit is; `None` when no repository of the project has it.
    pub repository: Option<RepositoryId>,
    /// What.
    pub sha: Sha,
    /// The release it is called.
    pub version: Option<String>,
    /// Where there is more about it.
    pub url: Option<String>,
    /// Who runs it.
    pub by: String,
    /// What became of it.
    pub status: DeployStatus,
    /// Whether the gate was asked.
    pub is_gated: bool,
    /// Why the gate was overridden.
    pub override_reason: Option<String>,
    /// What the gate said.
    pub gate: Option<Judgement>,
    /// How long it may be silent, in seconds.
    pub lease_seconds: u32,
    /// When it counts as lost unless it is heard of.
    pub lease_until: Option<Timestamp>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What its command said at its end.
    pub exit_code: Option<i32>,
    /// How many bytes it put out.
    pub n_output: u64,
    /// Since when that is not kept any more.
    pub output_gone_at: Option<Timestamp>,
    /// What it did, once that is done.
    pub outcome: Option<Outcome>,
}

impl Deploy {
    /// Whether it holds its environment's slot at `now`.
    #[must_use]
    pub fn is_holding(&self, now: Timestamp) -> bool {
        self.status == DeployStatus::Running && self.lease_until.is_none_or(|until| until > now)
    }
}

/// What a client says of its deploy.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The release it is called.
    pub version: Option<String>,
    /// Where there is more about it.
    pub url: Option<String>,
    /// Who runs it.
    pub by: Option<String>,
    /// How long it may be silent, in seconds.
    pub lease_seconds: Option<u32>,
    /// Why the gate is overridden.
    pub override_reason: Option<String>,
    /// What its client knows it by: the same again with the same key is the same deploy.
    pub key: Option<String>,
}

impl Wish {
    /// Checks it.
    ///
    /// # Errors
    /// [`InvalidDeploy`] names what is wrong.
    pub fn check(&self) -> Result<(), InvalidDeploy> {
        let is_text = |text: &str, most| (1..=most).contains(&text.trim().chars().count());
        if let Some(version) = &self.version {
            checked_version(version)?;
        }
        for (name, text) in [("url", &self.url), ("by", &self.by), ("key", &self.key)] {
            if text.as_deref().is_some_and(|text| !is_text(text, MOST_TEXT_CHARS)) {
                return Err(InvalidDeploy::Text(name));
            }
        }
        if self.lease_seconds.is_some_and(|seconds| !LEASES_SECONDS.contains(&seconds)) {
            return Err(InvalidDeploy::Lease);
        }
        let reason = self.override_reason.as_deref();
        if reason.is_some_and(|reason| !is_text(reason, MOST_REASON_CHARS)) {
            return Err(InvalidDeploy::Override);
        }
        Ok(())
    }
}

/// A deploy that is over, as its client says.
#[derive(Debug, Clone, Copy)]
pub struct Over {
    /// Whether its commit is what is deployed.
    pub has_succeeded: bool,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What its command said.
    pub exit_code: Option<i32>,
}

/// What is known of a deploy however it came about.
#[derive(Debug)]
pub struct Origin<'a> {
    /// Its id.
    pub id: ProjectItemId,
    /// Its number within the project.
    pub number: i64,
    /// Where to.
    pub environment: &'a str,
    /// What its client says of it.
    pub wish: &'a Wish,
    /// Who sent that: who runs it, unless its client names somebody.
    pub actor: &'a str,
}

impl Origin<'_> {
    fn deploy(
        &self,
        (repository, sha): (Option<RepositoryId>, Sha),
        status: DeployStatus,
        started_at: Timestamp,
    ) -> Deploy {
        Deploy {
            id: self.id,
            number: self.number,
            environment: self.environment.to_owned(),
            repository,
            sha,
            version: self.wish.version.clone(),
            url: self.wish.url.clone(),
            by: self.wish.by.clone().unwrap_or_else(|| self.actor.to_owned()),
            status,
            is_gated: false,
            override_reason: None,
            gate: None,
            lease_seconds: 0,
            lease_until: None,
            started_at,
            finished_at: None,
            exit_code: None,
            n_output: 0,
            output_gone_at: None,
            outcome: None,
        }
    }
}

/// A deploy that comes about: it starts, or is recorded when it is over. There is no other way.
#[derive(Debug)]
pub struct NewDeploy(Deploy);

impl NewDeploy {
    /// One that starts now: only the gate's pass lets it.
    #[must_use]
    pub fn start(pass: Pass, origin: &Origin<'_>, last: Option<&Deploy>, now: Timestamp) -> Self {
        let started_at = starts_at(last.and_then(|last| last.finished_at), now);
        let lease_seconds = origin.wish.lease_seconds.unwrap_or(LEASE_SECONDS);
        Self(Deploy {
            is_gated: true,
            override_reason: pass.override_reason,
            gate: Some(pass.judgement),
            lease_seconds,
            lease_until: Some(now.plus(Duration::from_secs(lease_seconds.into()))),
            ..origin.deploy((pass.repository, pass.sha), DeployStatus::Running, started_at)
        })
    }

    /// One that is over, whatever the gate says. Without a time it ended just now, however the clock
    /// was set back since the last one.
    ///
    /// # Errors
    /// [`InvalidDeploy::Times`].
    pub fn record(
        commit: (Option<RepositoryId>, Sha),
        origin: &Origin<'_>,
        over: Over,
        last: Option<&Deploy>,
        now: Timestamp,
    ) -> Result<Self, InvalidDeploy> {
        let last = last.and_then(|last| last.finished_at).filter(|_| over.finished_at.is_none());
        let now = starts_at(last, now);
        let (started_at, finished_at) = times(over.started_at, over.finished_at, now)?;
        let status =
            if over.has_succeeded { DeployStatus::Succeeded } else { DeployStatus::Failed };
        Ok(Self(Deploy {
            finished_at: Some(finished_at),
            exit_code: over.exit_code,
            ..origin.deploy(commit, status, started_at)
        }))
    }

    /// What it is.
    #[must_use]
    pub fn deploy(&self) -> &Deploy {
        &self.0
    }

    /// The deploy, now that it is there.
    #[must_use]
    pub fn into_deploy(self) -> Deploy {
        self.0
    }
}

/// Why a deploy makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDeploy {
    /// Nothing is called so.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    /// Its key says that it is another deploy.
    #[error("deploy {0} has this key: a key belongs to one commit on one environment")]
    KeyOfAnother(i64),
    /// Too long a text.
    #[error("{0} must have 1 to {MOST_TEXT_CHARS} characters")]
    Text(&'static str),
    /// Too short or too long.
    #[error("lease_seconds must be 60 to 86400")]
    Lease,
    /// Nobody could tell why.
    #[error("override must have 1 to {MOST_REASON_CHARS} characters: the reason")]
    Override,
    /// Times that cannot be.
    #[error("finished_at must not be before started_at")]
    Times,
    /// It names no end.
    #[error("status must be succeeded or failed; a deploy that starts now has none")]
    Status,
    /// Only a deploy that is over has them.
    #[error("started_at and finished_at are for deploys that are over, with a status")]
    TimesWithoutStatus,
}

/// When a deploy that is over ran, by what its client says: however far that one's clock is ahead,
/// before now.
///
/// # Errors
/// [`InvalidDeploy::Times`].
pub fn times(
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), InvalidDeploy> {
    if started_at.zip(finished_at).is_some_and(|(started, finished)| started > finished) {
        return Err(InvalidDeploy::Times);
    }
    let finished = finished_at.unwrap_or(now).min(now);
    Ok((started_at.unwrap_or(finished).min(finished), finished))
}

/// When a deploy starts here: however the clock was set back meanwhile, after the one before it ended,
/// so that what was deployed last is what ended last.
#[must_use]
pub fn starts_at(last_ended_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    match last_ended_at.filter(|ended| *ended > now) {
        Some(ended) => ended.plus(Duration::from_micros(1)),
        None => now,
    }
}

/// When a deploy ended that started here, by what its client says: however wrong the client's clock
/// is, it ended after its start and before now.
#[must_use]
pub fn ended_at(
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    finished_at.unwrap_or(now).min(now).max(started_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_micros(minute * 60_000_000)
    }

    #[test]
    fn a_wrong_clock_costs_no_end() {
        for (finished, expected) in [(None, 60), (Some(55), 55), (Some(40), 50), (Some(90), 60)] {
            assert_eq!(ended_at(at(50), finished.map(at), at(60)), at(expected), "{finished:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_changes_no_order() {
        let just_after = at(60).plus(Duration::from_micros(1));
        for (last, now, expected) in [
            (None, 50, at(50)),
            (Some(40), 50, at(50)),
            (Some(50), 50, at(50)),
            (Some(60), 50, just_after),
        ] {
            let started = starts_at(last.map(at), at(now));
            assert_eq!(started, expected, "{last:?}");
            assert!(ended_at(started, None, at(now)) >= started);
        }
    }

    #[test]
    fn times_of_what_is_over() {
        for (started, finished, expected) in [
            (None, None, Ok((at(60), at(60)))),
            (Some(at(50)), None, Ok((at(50), at(60)))),
            (Some(at(50)), Some(at(55)), Ok((at(50), at(55)))),
            (None, Some(at(55)), Ok((at(55), at(55)))),
            // A clock that is ahead.
            (Some(at(58)), Some(at(63)), Ok((at(58), at(60)))),
            (Some(at(62)), Some(at(63)), Ok((at(60), at(60)))),
            (Some(at(70)), Some(at(90)), Ok((at(60), at(60)))),
            (Some(at(90)), None, Ok((at(60), at(60)))),
            (Some(at(55)), Some(at(50)), Err(InvalidDeploy::Times)),
        ] {
            assert_eq!(times(started, finished, at(60)), expected, "{started:?} {finished:?}");
        }
    }
}
