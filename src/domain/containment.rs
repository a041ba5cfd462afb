//! Whether a fix is part of what is, or would be, deployed: what the git history says.
//!
//! A fix is contained when it, or an *equivalent* of it, is live: an ancestor of the deployed commit
//! that nothing takes back. Equivalent are commits that say to be picked from it, and commits of the
//! same author or subject with the same patch; of those, what is picked from them. A revert kills
//! what it names, and the equivalents of that, where it descends from them; and it counts only as
//! long as it lives itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::commit::Sha;
use super::history::{History, Marks, Place, Reach};

/// Why one commit stands for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It is the same.
    Same,
    /// It says to be picked from it.
    Picked,
    /// It has its author or subject, and its patch.
    SamePatch,
    /// It has its author or subject, and the patch of the branch that ends with it.
    Squashed,
    /// It says itself that it fixes the same issue.
    Named,
}

/// Commits that have the same patch as others: from a commit to what stands for it.
pub type SamePatch = BTreeMap<Sha, Vec<(Sha, Rule)>>;

/// What the history says of one commit of a fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Containment {
    /// It is part of it.
    Contained {
        /// The commit that is live.
        commit: Sha,
        /// How that stands for the fix.
        rule: Rule,
    },
    /// Neither it nor anything that stands for it is part of it.
    Absent,
    /// It was part of it, and was taken back.
    Reverted {
        /// The commit that was taken back.
        commit: Sha,
        /// By this one.
        by: Sha,
    },
    /// Taken back on one line, alive on another, and both are part of it: only a person can tell.
    Conflicted {
        /// The commit that lives.
        commit: Sha,
        /// What takes it back elsewhere.
        by: Sha,
    },
    /// The history does not go back far enough.
    Unknown,
}

impl Containment {
    /// Whether the fix is part of it, for certain.
    #[must_use]
    pub fn is_contained(&self) -> bool {
        matches!(self, Self::Contained { .. })
    }

    /// Of several that all must be part of it, the least decides: what certainly is not; after that
    /// what nobody can tell.
    #[must_use]
    pub fn weight(&self) -> u8 {
        match self {
            Self::Reverted { .. } => 0,
            Self::Absent => 1,
            Self::Conflicted { .. } => 2,
            Self::Unknown => 3,
            Self::Contained { .. } => 4,
        }
    }
}

/// What is deployed of one repository, or would be. Made once for all questions about it.
#[derive(Debug)]
pub struct Deployed<'a> {
    history: &'a History,
    same_patch: &'a SamePatch,
    /// Fixes that did not help stand for nothing but themselves.
    failed: &'a BTreeSet<Sha>,
    tip: Place,
    ancestors: Marks,
}

/// A revert that may be live, and what would take it back.
struct Revert {
    by: Vec<Place>,
    is_live: bool,
}

impl<'a> Deployed<'a> {
    /// What a commit brings with it.
    #[must_use]
    pub fn new(
        history: &'a History,
        tip: Place,
        same_patch: &'a SamePatch,
        failed: &'a BTreeSet<Sha>,
    ) -> Self {
        Self { history, same_patch, failed, tip, ancestors: history.ancestors(&[tip]) }
    }

    /// What the history says of a commit of a fix, and of those that say themselves that they fix the
    /// same.
    #[must_use]
    pub fn contains(&self, fix: &Sha, alternatives: &[Sha]) -> Containment {
        let mut equivalents = self.equivalents(fix);
        for other in alternatives.iter().filter(|other| !self.failed.contains(other)) {
            for sha in self.equivalents(other).into_keys() {
                equivalents.entry(sha).or_insert(Rule::Named);
            }
        }
        let present: Vec<(Place, Sha, Rule)> = equivalents
            .iter()
            .filter_map(|(sha, rule)| Some((self.history.find(sha)?, *sha, *rule)))
            .filter(|(place, _, _)| self.ancestors.has(*place))
            .collect();
        if present.is_empty() {
            // What descends from it is no part of it, wherever the history is cut.
            let is_later = |sha: &Sha| {
                self.history.find(sha).is_some_and(|place| self.descends(place, self.tip))
            };
            let is_unknown = self.ancestors.is_cut() && !equivalents.keys().all(is_later);
            return if is_unknown { Containment::Unknown } else { Containment::Absent };
        }
        let called = self.names(equivalents.keys());
        let is_told = called.iter().all(|sha| self.history.find(sha).is_some());
        let named = self.reverts_of(&called);
        if named.is_empty() {
            return self.contained(&present, is_told);
        }
        let reverts = self.judge(&named);
        let is_live = |place: &Place| reverts.get(place).is_some_and(|revert| revert.is_live);
        let named: Vec<Place> = named.into_iter().filter(is_live).collect();
        let killer = |(place, _, _): &(Place, Sha, Rule)| {
            // The latest says it best. What takes back one of them may itself fix the same.
            let takes_back = |revert: &Place| revert != place && self.descends(*revert, *place);
            named.iter().rev().copied().find(takes_back)
        };
        let alive: Vec<(Place, Sha, Rule)> =
            present.iter().filter(|one| killer(one).is_none()).copied().collect();
        let Some((_, last_alive, _)) = alive.iter().max() else {
            let taken_back = present.iter().max().and_then(|one| Some((one.1, killer(one)?)));
            return match taken_back {
                Some((commit, by)) if self.is_certain(by, is_told) => {
                    Containment::Reverted { commit, by: self.history.sha(by) }
                }
                Some(_) => Containment::Unknown,
                None => Containment::Absent,
            };
        };
        // What lives descends from the revert, as a re-landing does; else the two know nothing of
        // each other.
        let is_settled = |revert: &Place| alive.iter().any(|one| self.descends(one.0, *revert));
        match named.iter().rev().find(|revert| !is_settled(revert)) {
            Some(by) if self.is_certain(*by, is_told) => {
                Containment::Conflicted { commit: *last_alive, by: self.history.sha(*by) }
            }
            Some(_) => Containment::Unknown,
            None => self.contained(&alive, is_told),
        }
    }

    /// Whether nothing that is not known can take a commit back: what is beyond a cut that it descends
    /// from is older than it, and so is what takes back something beyond. Unless all is there by whose
    /// name it may be taken back, that is also what takes back a request.
    fn is_certain(&self, place: Place, is_told: bool) -> bool {
        let cuts = || self.history.cuts(&self.ancestors);
        let of_requests = self.history.request_reverts().filter(|_| !is_told);
        let reverts = self.history.unresolved_reverts().chain(of_requests);
        let mut reverts = reverts.filter(|by| self.ancestors.has(*by));
        cuts().next().is_none()
            || (cuts().all(|cut| self.descends(place, cut))
                && reverts.all(|by| self.descends(place, by)))
    }

    /// The plainest reason why it is part of it, if nothing that is not known can take it back.
    fn contained(&self, alive: &[(Place, Sha, Rule)], is_told: bool) -> Containment {
        let plainest = alive.iter().min_by_key(|(place, _, rule)| (*rule, *place));
        match plainest {
            Some(_) if !alive.iter().any(|(place, _, _)| self.is_certain(*place, is_told)) => {
                Containment::Unknown
            }
            Some((_, commit, rule)) => Containment::Contained { commit: *commit, rule: *rule },
            None => Containment::Absent,
        }
    }

    fn descends(&self, later: Place, earlier: Place) -> bool {
        self.history.reach(earlier, later) == Reach::Yes
    }

    /// A commit and all that stands for it, each by the first rule that says so.
    fn equivalents(&self, commit: &Sha) -> BTreeMap<Sha, Rule> {
        let mut found = BTreeMap::from([(*commit, Rule::Same)]);
        // What says so itself is better than what only looks alike.
        self.add_picks(*commit, &mut found);
        for (same, rule) in self.same_patch.get(commit).into_iter().flatten() {
            if !self.failed.contains(same) && !found.contains_key(same) {
                found.insert(*same, *rule);
                self.add_picks(*same, &mut found);
            }
        }
        found
    }

    /// What was picked from a commit, and from that in turn.
    fn add_picks(&self, commit: Sha, found: &mut BTreeMap<Sha, Rule>) {
        let mut unseen = vec![commit];
        while let Some(sha) = unseen.pop() {
            for pick in self.history.picks_of(&sha) {
                let pick = self.history.sha(pick);
                if !self.failed.contains(&pick) && !found.contains_key(&pick) {
                    found.insert(pick, Rule::Picked);
                    unseen.push(pick);
                }
            }
        }
    }

    /// These commits and what they were picked from: a pick may be reverted by the name of that.
    fn names<'c>(&self, commits: impl IntoIterator<Item = &'c Sha>) -> BTreeSet<Sha> {
        let mut names: BTreeSet<Sha> = commits.into_iter().copied().collect();
        let mut unseen: Vec<Sha> = names.iter().copied().collect();
        while let Some(sha) = unseen.pop() {
            unseen.extend(self.history.sources_of(&sha).filter(|source| names.insert(*source)));
        }
        names
    }

    /// What is part of it and says to take back any of these. In ascending order.
    fn reverts_of(&self, names: &BTreeSet<Sha>) -> BTreeSet<Place> {
        let reverts = names.iter().flat_map(|sha| self.history.reverting(sha));
        reverts.filter(|place| self.ancestors.has(*place)).collect()
    }

    /// Which of these reverts, and of those that take them back, live.
    fn judge(&self, named: &BTreeSet<Place>) -> BTreeMap<Place, Revert> {
        let mut reverts: BTreeMap<Place, Revert> = BTreeMap::new();
        let mut unseen: Vec<Place> = named.iter().copied().collect();
        while let Some(place) = unseen.pop() {
            if reverts.contains_key(&place) {
                continue;
            }
            let class = self.equivalents(&self.history.sha(place));
            let by: Vec<Place> = self
                .reverts_of(&self.names(class.keys()))
                .into_iter()
                .filter(|by| *by > place)
                .collect();
            unseen.extend(&by);
            reverts.insert(place, Revert { by, is_live: true });
        }
        // What takes something back comes later than it: the latest are judged first.
        let order: Vec<Place> = reverts.keys().rev().copied().collect();
        for place in order {
            let is_dead = reverts.get(&place).is_some_and(|revert| {
                revert.by.iter().any(|by| {
                    reverts.get(by).is_some_and(|by| by.is_live) && self.descends(*by, place)
                })
            });
            if let Some(revert) = reverts.get_mut(&place) {
                revert.is_live = !is_dead;
            }
        }
        reverts
    }
}

#[cfg(test)]
mod tests;
