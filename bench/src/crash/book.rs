//! What was sent and what was answered.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use crate::events::Random;

/// Of 100 reports, so many are sent again: by the same client or by another, also at the same time.
const RESENT_PERCENT: u64 = 10;

/// Only the latest are sent again, as SDKs do.
const MOST_RESENT: usize = 64;

/// Reports have at most so many bytes of padding; now and then one has [`LONG_BYTES`].
const PADDING_BYTES: u64 = 3_000;
const LONG_BYTES: usize = 200_000;

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) id: Uuid,
    /// The issue it is of: 0, 1, …
    pub(super) issue: u64,
    /// The value of its tag `shelf`.
    pub(super) shelf: u64,
    pub(super) user: u64,
    /// When it happened, in seconds since the epoch.
    pub(super) at: u64,
    n_padding: usize,
}

impl Facts {
    /// The title of its issue begins with this and a colon.
    pub(super) fn kind(&self) -> String {
        format!("Crash{}", self.issue)
    }

    /// The report as an envelope.
    pub(super) fn body(&self) -> Vec<u8> {
        let id = self.id.simple();
        let event = json!({
            "event_id": id.to_string(),
            "timestamp": self.at,
            "platform": "python",
            "level": "error",
            "environment": "production",
            "tags": {"shelf": format!("shelf-{}", self.shelf)},
            "user": {"id": self.user.to_string()},
            "exception": {"values": [{"type": self.kind(), "value": "it broke", "stacktrace": {
                "frames": [{"module": "shop.cart", "function": format!("step{}", self.issue), "in_app": true}],
            }}]},
            "extra": {"padding": "x".repeat(self.n_padding)},
        });
        let event = event.to_string();
        let length = event.len();
        format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\",\"length\":{length}}}\n{event}\n")
            .into_bytes()
    }
}

/// How a sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200 with its id.
    Acknowledged,
    /// 200 while the power was being cut. For these few milliseconds the kernel reports some syncs as
    /// done whose bytes are gone, to any program; a disk without power answers nobody.
    Late,
    /// 429.
    Refused,
    /// The connection broke before an answer: it may be stored or not.
    None,
}

/// How the sendings of one report ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) facts: Facts,
    pub(super) n_acknowledged: u64,
    pub(super) n_late: u64,
    pub(super) n_refused: u64,
    /// Whether it was seen to be stored or lost.
    pub(super) is_settled: bool,
}

impl Entry {
    fn new(facts: Facts) -> Self {
        Self { facts, n_acknowledged: 0, n_late: 0, n_refused: 0, is_settled: false }
    }
}

/// Every report that was ever sent.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) entries: BTreeMap<Uuid, Entry>,
    /// What is wrong with answers.
    pub(super) complaints: Vec<String>,
    /// Whether reports are sent again now and then.
    pub(super) sends_again: bool,
    recent: Vec<Facts>,
    random: Random,
    n_issues: u64,
    begin: u64,
}

impl Book {
    /// `begin`: when the first event happened, in seconds since the epoch.
    pub(super) fn new(seed: u64, n_issues: u64, begin: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            complaints: Vec::new(),
            sends_again: true,
            recent: Vec::new(),
            random: Random::new(seed),
            n_issues,
            begin,
        }
    }

    /// What to send next; it counts as sent.
    pub(super) fn next(&mut self) -> Facts {
        let random = &mut self.random;
        if self.sends_again && random.below(100) < RESENT_PERCENT && !self.recent.is_empty() {
            let index = random.below(self.recent.len() as u64) as usize;
            if let Some(facts) = self.recent.get(index) {
                return *facts;
            }
        }
        let is_long = random.below(200) == 0;
        let facts = Facts {
            id: random.uuid(),
            issue: random.below(self.n_issues),
            shelf: random.below(7),
            user: random.below(500),
            at: self.begin + random.below(3 * 3_600),
            n_padding: if is_long { LONG_BYTES } else { random.below(PADDING_BYTES) as usize },
        };
        if self.recent.len() == MOST_RESENT {
            self.recent.swap_remove(random.below(MOST_RESENT as u64) as usize);
        }
        self.recent.push(facts);
        self.entries.insert(facts.id, Entry::new(facts));
        facts
    }

    /// A sending ended.
    pub(super) fn note(&mut self, facts: &Facts, answer: Answer) {
        let Some(entry) = self.entries.get_mut(&facts.id) else { return };
        match answer {
            Answer::Acknowledged => entry.n_acknowledged += 1,
            Answer::Late => entry.n_late += 1,
            Answer::Refused => entry.n_refused += 1,
            Answer::None => {}
        }
    }

    /// A sending was answered as none should be.
    pub(super) fn complain(&mut self, facts: &Facts, complaint: impl ToString) {
        self.note(facts, Answer::None);
        self.complaints.push(format!("{}: {}", facts.id.simple(), complaint.to_string()));
    }

    /// These reports are lost, for good reason, and all others that were sent until now are stored.
    pub(super) fn settle(&mut self, lost: impl IntoIterator<Item = Uuid>) {
        for id in lost {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.n_acknowledged = 0;
            }
        }
        for entry in self.entries.values_mut() {
            entry.is_settled = true;
        }
    }

    fn sum(&self, of: impl Fn(&Entry) -> u64) -> u64 {
        self.entries.values().map(of).sum()
    }

    /// Reports that were acknowledged at least once.
    pub(super) fn n_acknowledged(&self) -> u64 {
        self.sum(|entry| u64::from(entry.n_acknowledged > 0))
    }

    /// Acknowledgements, of the same report too.
    pub(super) fn n_acknowledgements(&self) -> u64 {
        self.sum(|entry| entry.n_acknowledged)
    }

    /// Reports that were never acknowledged.
    pub(super) fn n_unacknowledged(&self) -> u64 {
        self.entries.len() as u64 - self.n_acknowledged()
    }

    /// Acknowledgements of which nobody knows whether they came before or after a power cut.
    pub(super) fn n_late(&self) -> u64 {
        self.sum(|entry| entry.n_late)
    }

    pub(super) fn n_refusals(&self) -> u64 {
        self.sum(|entry| entry.n_refused)
    }
}
