//! What changed in a tracker that has no list of what happened.
//!
//! It lists tasks by when they changed, in whole seconds, so each change is taken up twice, by two looks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::line::Failure;
use super::{Changes, TrackerError};
use crate::domain::time::Timestamp;

/// What changed may be listed so much later than what changed after it.
const OVERLAP: Duration = Duration::from_mins(1);

/// How far changes are known.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// In microseconds, of the tracker's clock.
    since: i64,
    /// What changed since then, and whether two looks have found it.
    known: BTreeMap<String, bool>,
}

impl Cursor {
    /// One that was kept, if it is one.
    pub(super) fn parse(text: Option<&str>) -> Option<Self> {
        serde_json::from_str(text?).ok()
    }

    /// Where nothing is known yet, and something changed last at this time.
    pub(super) fn first(last: Option<Timestamp>) -> Self {
        Self { since: last.map_or(0, Timestamp::as_micros), known: BTreeMap::new() }
    }

    /// What changed at this time or later is to be listed.
    pub(super) fn since(&self) -> Timestamp {
        Timestamp::from_micros(self.since)
    }

    /// What is new of what is listed: tasks and when they changed.
    pub(super) fn changes(
        &self,
        found: Vec<(String, Timestamp)>,
        is_resync: bool,
    ) -> Result<Changes, Failure> {
        let latest = found.iter().map(|(_, at)| *at).max();
        let since = latest.map_or(self.since, |at| at.minus(OVERLAP).as_micros().max(self.since));
        let (mut ids, mut known) = (Vec::new(), BTreeMap::new());
        for (id, at) in found {
            let name = format!("{id} {at}");
            let before = self.known.get(&name).copied();
            if before != Some(true) {
                ids.push(id);
            }
            if at.as_micros() >= since {
                known.insert(name, before.is_some());
            }
        }
        let cursor = serde_json::to_string(&Self { since, known }).map_err(|error| {
            Failure::Tracker(TrackerError::Refused(format!("its changes are none: {error}")))
        })?;
        Ok(Changes { ids, cursor, is_resync })
    }
}

/// A time without the part of a second.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().div_euclid(1_000_000) * 1_000_000)
}
