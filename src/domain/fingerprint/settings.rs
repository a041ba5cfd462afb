//! What a project decides about grouping, as it is stored and shown.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::{FingerprintRules, FrameRules, RuleError};
use super::{BuiltinRule, Config, Grouping};
use crate::domain::time::Timestamp;

/// For so long after a change of the config old hashes still lead to their issues.
pub const OVERLAP: Duration = Duration::from_hours(90 * 24);

/// An overlap that is still needed is extended until so long from now.
pub const EXTENSION: Duration = Duration::from_hours(30 * 24);

/// An overlap is still needed while more than one in so many new fingerprints are of issues that
/// only an old one leads to.
const STILL_NEEDED: u64 = 100;

/// The grouping rules of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupingRules {
    /// The config.
    pub config: Config,
    /// The config before, while its hashes still lead to their issues. Set by changing `config`.
    pub previous: Option<Previous>,
    /// Built-in rules that are switched off.
    pub builtin_off: BTreeSet<BuiltinRule>,
    /// What events are grouped by, one rule in a line.
    pub fingerprint_rules: String,
    /// Which frames are the application's own, one rule in a line.
    pub frame_rules: String,
}

/// What a person wants the rules to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WishedRules {
    /// The config; that of the project if none is named.
    pub config: Option<Config>,
    /// What the rules say themselves; it changes nothing.
    pub previous: Option<Previous>,
    /// Built-in rules that are switched off.
    pub builtin_off: BTreeSet<BuiltinRule>,
    /// What events are grouped by, one rule in a line.
    pub fingerprint_rules: String,
    /// Which frames are the application's own, one rule in a line.
    pub frame_rules: String,
}

/// A config that was followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// Which.
    pub config: Config,
    /// Until then its hashes are looked up.
    pub until: Timestamp,
}

impl Default for GroupingRules {
    fn default() -> Self {
        Self {
            config: Config::WITHOUT_RULES,
            previous: None,
            builtin_off: BTreeSet::new(),
            fingerprint_rules: String::new(),
            frame_rules: String::new(),
        }
    }
}

/// What is wrong with grouping rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrouping {
    /// A fingerprint rule makes no sense.
    #[error("fingerprint_rules, {0}")]
    FingerprintRules(RuleError),
    /// A frame rule makes no sense.
    #[error("frame_rules, {0}")]
    FrameRules(RuleError),
    /// The config is not offered.
    #[error("config {} is not offered any more, the newest is {}", .0.as_str(), Config::NEWEST.as_str())]
    Config(Config),
}

/// How the events of a project are grouped, and how they were before.
#[derive(Debug, Clone, Default)]
pub struct Groupings {
    /// The rules that count.
    pub current: Grouping,
    /// Those before, and until when their hashes are looked up.
    pub previous: Option<(Grouping, Timestamp)>,
}

impl WishedRules {
    /// The rules on top of what a project has: a change of the config keeps the old one for a
    /// while. Whether they make sense is [`Self::check`]'s to say.
    ///
    /// # Errors
    /// [`InvalidGrouping::Config`].
    pub fn following(
        self,
        now: &GroupingRules,
        at: Timestamp,
    ) -> Result<GroupingRules, InvalidGrouping> {
        let config = self.config.unwrap_or(now.config);
        if config != now.config && config != Config::NEWEST {
            return Err(InvalidGrouping::Config(config));
        }
        let previous = if config == now.config {
            now.previous
        } else {
            Some(Previous { config: now.config, until: at.plus(OVERLAP) })
        };
        let rules = GroupingRules {
            config,
            previous,
            builtin_off: self.builtin_off,
            fingerprint_rules: self.fingerprint_rules,
            frame_rules: self.frame_rules,
        };
        Ok(rules)
    }

    /// Whether the rules make sense. Compiling them can take a tenth of a second.
    ///
    /// # Errors
    /// [`InvalidGrouping`] names what is wrong.
    pub fn check(&self) -> Result<(), InvalidGrouping> {
        parse(&self.fingerprint_rules, &self.frame_rules).map(drop)
    }
}

fn parse(
    fingerprint: &str,
    frames: &str,
) -> Result<(FingerprintRules, FrameRules), InvalidGrouping> {
    let fingerprint =
        FingerprintRules::parse(fingerprint).map_err(InvalidGrouping::FingerprintRules)?;
    let frames = FrameRules::parse(frames).map_err(InvalidGrouping::FrameRules)?;
    Ok((fingerprint, frames))
}

/// The fingerprints of a project that were first seen within [`EXTENSION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHashes {
    /// How many.
    pub n_all: u64,
    /// How many of them belong to their issues because the config before said so.
    pub n_upgraded: u64,
}

impl GroupingRules {
    /// The rules with more time for old hashes, where that ends soon and they are still needed.
    #[must_use]
    pub fn extended(&self, new: NewHashes, now: Timestamp) -> Option<Self> {
        let needed = new.n_upgraded.saturating_mul(STILL_NEEDED) > new.n_all;
        let previous = self.previous.filter(|_| needed && self.overlap_ends_soon(now))?;
        let until = now.plus(EXTENSION).max(previous.until);
        Some(Self { previous: Some(Previous { until, ..previous }), ..self.clone() })
    }

    /// Whether old hashes lead to their issues today and no longer in a week.
    #[must_use]
    pub fn overlap_ends_soon(&self, now: Timestamp) -> bool {
        const SOON: Duration = Duration::from_hours(7 * 24);
        self.previous.is_some_and(|previous| (now..now.plus(SOON)).contains(&previous.until))
    }

    /// The rules ready for use.
    ///
    /// # Errors
    /// [`InvalidGrouping`] names what is wrong.
    pub fn groupings(&self) -> Result<Groupings, InvalidGrouping> {
        let (fingerprint_rules, frame_rules) = parse(&self.fingerprint_rules, &self.frame_rules)?;
        let builtin_off = self.builtin_off.clone();
        let current = Grouping { config: self.config, builtin_off, fingerprint_rules, frame_rules };
        let previous = self.previous.map(|previous| {
            (Grouping { config: previous.config, ..current.clone() }, previous.until)
        });
        Ok(Groupings { current, previous })
    }
}

impl Groupings {
    /// The rules before, while their hashes are looked up.
    #[must_use]
    pub fn previous_at(&self, now: Timestamp) -> Option<&Grouping> {
        self.previous.as_ref().filter(|(_, until)| now < *until).map(|(grouping, _)| grouping)
    }
}
