//! To which issue the report belongs: that of its hash; else the one it had under the config before;
//! else the one of an error that is nearly the same; else a new one.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::prepare::{Prepared, Study};
use crate::domain::fingerprint::Hash;
use crate::domain::fingerprint::similar::{Known, MOST_CANDIDATES, edited, truncated};
use crate::domain::id::{IssueId, ShortId};
use crate::domain::lifecycle::{Change, Join};
use crate::domain::tag_counts::{MOST_VALUE_CHARS, OTHER_VALUES};
use crate::domain::text::bounded;
use crate::store::batch::{IssueFacts, NewHash};
use crate::store::similar::SimilarHash;

/// How a hash is stored that opened an issue.
const NEW: &str = "new";

/// What is stored about the hashes of a batch.
#[derive(Debug, Default)]
pub struct Facts {
    /// What short ids of the project begin with.
    pub prefix: String,
    /// The issues hashes lead to.
    pub issues: BTreeMap<Hash, IssueFacts>,
    /// Hashes that are known under the keys of new ones, of each key the oldest first.
    pub similar: BTreeMap<Hash, Vec<SimilarHash>>,
    /// The releases in which issues of such hashes were seen.
    pub releases: BTreeMap<IssueId, BTreeSet<String>>,
}

/// What new hashes of a batch come to.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Hashes to store.
    pub(super) hashes: BTreeMap<Hash, NewHash>,
    /// Keys under which they are known.
    pub(super) similar: Vec<SimilarHash>,
    /// What issues that exist learn by it.
    pub(super) changes: BTreeMap<IssueId, Vec<Change>>,
    /// Issues that may be one, and the short id of the other.
    pub(super) offers: BTreeSet<(IssueId, String)>,
}

/// Finds the issues of a batch, report by report.
pub(super) struct Resolver<'a> {
    facts: &'a Facts,
    studies: BTreeMap<Hash, &'a Study>,
    releases: BTreeMap<IssueId, BTreeSet<String>>,
    /// Hashes of the batch by their keys, with the issues they lead to.
    fresh: BTreeMap<Hash, Vec<(IssueId, String)>>,
    resolved: Resolved,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(prepared: &'a [Prepared], facts: &'a Facts) -> Self {
        let studies = prepared
            .iter()
            .filter_map(|report| Some((report.fingerprint.hash, report.study.as_deref()?)))
            .collect();
        Self {
            facts,
            studies,
            releases: facts.releases.clone(),
            fresh: BTreeMap::new(),
            resolved: Resolved::default(),
        }
    }

    pub(super) fn into_resolved(self) -> Resolved {
        self.resolved
    }

    /// The issue of a report; of one that belongs to none yet, the issue that `open` makes.
    pub(super) fn issue_of(
        &mut self,
        report: &Prepared,
        open: impl FnOnce() -> IssueId,
    ) -> IssueId {
        let hash = report.fingerprint.hash;
        let known = self.facts.issues.get(&hash).map(|facts| facts.id);
        let issue = known.or_else(|| Some(self.resolved.hashes.get(&hash)?.issue_id));
        let issue = issue.unwrap_or_else(|| {
            let study = self.studies.get(&hash).copied();
            let joined = self.join(report, study);
            let issue = joined.map_or_else(open, |(issue, _)| issue);
            self.add(report, study, issue, joined.map(|(_, how)| how));
            issue
        });
        self.offer_merge(report, issue);
        if let Some(release) = &report.release {
            let seen = self.releases.entry(issue).or_default();
            seen.insert(bounded(release, MOST_VALUE_CHARS));
        }
        issue
    }

    /// The issue that a new hash belongs to all the same.
    fn join(&self, report: &Prepared, study: Option<&Study>) -> Option<(IssueId, Join)> {
        let previous = report.previous.and_then(|hash| self.facts.issues.get(&hash));
        if let Some(facts) = previous {
            return Some((facts.id, Join::Upgraded));
        }
        let study = study?;
        let release = report.release.as_deref().map(|name| bounded(name, MOST_VALUE_CHARS));
        if let Some((key, line)) = &study.similar.edited
            && let Some(release) = release
            && let Some(issue) = edited(line, &self.known(*key, Some(&release)))
        {
            return Some((issue, Join::EditedLine));
        }
        let (key, window) = study.similar.truncated.as_ref()?;
        Some((truncated(window, &self.known(*key, None))?, Join::TruncatedStack))
    }

    /// The hashes that are known under a key.
    fn known<T: DeserializeOwned>(
        &self,
        key: Hash,
        release: Option<&str>,
    ) -> Vec<Known<IssueId, T>> {
        let stored = self.facts.similar.get(&key).into_iter().flatten();
        let stored = stored.filter_map(|similar| {
            let facts = self.facts.issues.get(&similar.hash)?;
            // Only what certainly belongs to it is dropped with a discarded issue.
            (!facts.is_discarded).then_some((facts.id, similar.known_by.as_str()))
        });
        let fresh = self.fresh.get(&key).into_iter().flatten();
        let fresh = fresh.map(|(issue, known_by)| (*issue, known_by.as_str()));
        let known = |(group, known_by): (IssueId, &str)| {
            let seen = self.releases.get(&group);
            // Of an issue with very many releases nobody knows them all.
            let is_of_release = release.is_some_and(|release| {
                seen.is_some_and(|seen| seen.contains(release) || seen.contains(OTHER_VALUES))
            });
            Some(Known { group, is_of_release, by: serde_json::from_str(known_by).ok()? })
        };
        stored.chain(fresh).filter_map(known).collect()
    }

    /// Notes a new hash.
    fn add(&mut self, report: &Prepared, study: Option<&Study>, issue: IssueId, how: Option<Join>) {
        let fingerprint = &report.fingerprint;
        let hash = fingerprint.hash;
        let explanation = study.map(|study| study.explanation.clone());
        let new = NewHash {
            hash,
            issue_id: issue,
            config: fingerprint.config,
            kind: fingerprint.kind.as_str(),
            how: how.map_or(NEW, Join::as_str),
            reason: fingerprint.reason.clone(),
            explanation: explanation.unwrap_or_else(|| fingerprint.explanation().to_string()),
            first_event: report.meta.event_id,
        };
        self.resolved.hashes.insert(hash, new);
        if let Some(how) = how {
            let change = Change::Joined { hash: hash.to_string(), how };
            self.resolved.changes.entry(issue).or_default().push(change);
        }
        let Some(similar) = study.map(|study| &study.similar) else { return };
        let edited = similar.edited.as_ref().map(|(key, line)| (*key, serde_json::to_string(line)));
        let truncated =
            similar.truncated.as_ref().map(|(key, window)| (*key, serde_json::to_string(window)));
        for (key, known_by) in edited.into_iter().chain(truncated) {
            let n_stored = self.facts.similar.get(&key).map_or(0, Vec::len);
            let fresh = self.fresh.entry(key).or_default();
            // One more than are ever compared says that there are too many.
            if let Ok(known_by) = known_by
                && n_stored + fresh.len() <= MOST_CANDIDATES
            {
                fresh.push((issue, known_by.clone()));
                self.resolved.similar.push(SimilarHash { key, hash, known_by });
            }
        }
    }

    /// Says so when the config before grouped the events of a hash with another issue.
    fn offer_merge(&mut self, report: &Prepared, issue: IssueId) {
        let before = report.previous.and_then(|previous| self.facts.issues.get(&previous));
        let is_other = |before: &&IssueFacts| before.id != issue && !before.is_discarded;
        let Some(before) = before.filter(is_other) else { return };
        let is_it = |facts: &&IssueFacts| facts.id == issue && !facts.is_discarded;
        let now = self.facts.issues.values().find(is_it);
        if let Some(number) = now.and_then(|facts| facts.number) {
            let now = ShortId { prefix: self.facts.prefix.clone(), number };
            self.resolved.offers.insert((before.id, now.to_string()));
        }
    }
}

/// The hashes and keys that tell where the reports of a batch belong.
pub(super) fn asked(prepared: &[Prepared]) -> BTreeSet<Hash> {
    let previous = prepared.iter().filter_map(|report| report.previous);
    prepared.iter().map(|report| report.fingerprint.hash).chain(previous).collect()
}

/// The keys of hashes that lead nowhere yet.
pub(super) fn keys_of_new(
    prepared: &[Prepared],
    issues: &BTreeMap<Hash, IssueFacts>,
) -> BTreeSet<Hash> {
    let is_new = |report: &&Prepared| !issues.contains_key(&report.fingerprint.hash);
    let studies = prepared.iter().filter(is_new).filter_map(|report| report.study.as_ref());
    studies
        .flat_map(|study| {
            let edited = study.similar.edited.as_ref().map(|(key, _)| *key);
            let truncated = study.similar.truncated.as_ref().map(|(key, _)| *key);
            edited.into_iter().chain(truncated)
        })
        .collect()
}
