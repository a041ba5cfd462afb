//! The commits of a repository, held so that questions about them need no walk over the repository.
//!
//! Commits are kept in arrays, parents before children: everything a commit descends from has a
//! lower place than itself, so one sweep from its place down finds all of it. A sweep over a million
//! commits takes milliseconds. A commit costs 68 bytes.

mod lines;
mod marks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub use self::lines::{Lines, MOST_LINES};
pub use self::marks::Marks;
use super::commit::message::RequestNumber;
use super::commit::{Commit, Reverted, Sha, ShaPrefix};

/// Where a commit stands in a [`History`]; higher than everything it descends from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u32);

/// Whether one commit descends from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It does, or is the same.
    Yes,
    /// It does not.
    No,
    /// The history ends before it can be told.
    Unknown,
}

const NO_PARENT: u32 = u32::MAX;

/// So many commits at most are found by a table of their names while they are added: it takes more
/// memory than all that is kept of them.
const MOST_UNSORTED: usize = 1 << 18;

/// Where commits parted from a line of history.
#[derive(Debug)]
pub struct Forks {
    tip: Place,
    forks: Vec<u32>,
}

impl Forks {
    /// The latest commit that is both in the line and in what a commit descends from; nothing for
    /// commits of the line and for those that have all of it.
    #[must_use]
    pub fn of(&self, place: Place) -> Option<Place> {
        let fork = self.forks.get(place.0 as usize).copied()?;
        (fork != NO_PARENT && fork != self.tip.0).then_some(Place(fork))
    }
}

/// What it takes to hold the commits of one repository.
#[derive(Debug, Clone, Default)]
pub struct History {
    shas: Vec<Sha>,
    /// The first two parents of each.
    parents: Vec<[u32; 2]>,
    /// Those of merges of more.
    more_parents: BTreeMap<u32, Vec<u32>>,
    times: Vec<i64>,
    authors: Vec<u64>,
    subjects: Vec<u64>,
    touched: Vec<u64>,
    /// Commits with parents that nobody has.
    cut: BTreeSet<u32>,
    /// All of them, by name.
    by_name: Vec<u32>,
    picked_from: HashMap<u32, Vec<Sha>>,
    picks: HashMap<Sha, Vec<Place>>,
    reverting: HashMap<Sha, Vec<Place>>,
    requests: HashMap<RequestNumber, Vec<Place>>,
    /// Issues that commits say to fix.
    closing: BTreeMap<u32, Vec<String>>,
    /// What takes back commits that are not there yet.
    unresolved: Vec<(Place, Reverted)>,
    /// What takes back what landed a request.
    request_reverts: Vec<Place>,
}

impl History {
    /// Adds commits that are not there yet. Parents come before their children; one that is missing
    /// then is taken for one that nobody has.
    ///
    /// # Panics
    /// With more than 4,294,967,294 commits.
    pub fn extend(&mut self, commits: impl IntoIterator<Item = Commit>) {
        let mut n_sorted = self.shas.len();
        let mut fresh: HashMap<Sha, u32> = HashMap::new();
        let mut reverts = std::mem::take(&mut self.unresolved);
        for commit in commits {
            if fresh.contains_key(&commit.sha) || self.find(&commit.sha).is_some() {
                continue;
            }
            let number = u32::try_from(self.shas.len()).ok().filter(|number| *number < NO_PARENT);
            let place = Place(number.expect("no repository has four billion commits"));
            let known = |sha: &Sha| fresh.get(sha).copied().or_else(|| self.find_old(sha));
            let mut parents: Vec<u32> = commit.parents.iter().filter_map(known).collect();
            if parents.len() < commit.parents.len() {
                self.cut.insert(place.0);
            }
            let mut first = parents.iter().copied();
            let two = [first.next().unwrap_or(NO_PARENT), first.next().unwrap_or(NO_PARENT)];
            if parents.len() > 2 {
                self.more_parents.insert(place.0, parents.split_off(2));
            }
            self.shas.push(commit.sha);
            self.parents.push(two);
            self.times.push(commit.time);
            self.authors.push(commit.author);
            self.subjects.push(commit.subject);
            self.touched.push(commit.touched);
            fresh.insert(commit.sha, place.0);
            for source in &commit.picked_from {
                self.picks.entry(*source).or_default().push(place);
            }
            if !commit.picked_from.is_empty() {
                self.picked_from.insert(place.0, commit.picked_from);
            }
            if let Some(number) = commit.request {
                self.requests.entry(number).or_default().push(place);
            }
            if !commit.closes.is_empty() {
                self.closing.insert(place.0, commit.closes);
            }
            if commit.reverts.iter().any(|one| matches!(one, Reverted::Request(_))) {
                self.request_reverts.push(place);
            }
            reverts.extend(commit.reverts.into_iter().map(|reverted| (place, reverted)));
            if fresh.len() >= MOST_UNSORTED {
                self.sort_names(n_sorted);
                n_sorted = self.shas.len();
                fresh.clear();
            }
        }
        drop(fresh);
        self.sort_names(n_sorted);
        for (place, reverted) in reverts {
            let names = self.named_by(place, &reverted);
            let found: Vec<u32> = names.iter().filter_map(|sha| self.find_old(sha)).collect();
            if found.is_empty() || found.iter().any(|place| self.cut.contains(place)) {
                self.unresolved.push((place, reverted));
            }
            for sha in names {
                let reverting = self.reverting.entry(sha).or_default();
                if !reverting.contains(&place) {
                    reverting.push(place);
                }
            }
        }
    }

    /// Sorts the commits from a place on in among the others, by name.
    fn sort_names(&mut self, first: usize) {
        let shas = &self.shas;
        // Compared by their first bytes, which lie side by side: the rest is needed hardly ever.
        let keyed = |place: Place| {
            let sha = name_at(shas, place.0);
            (sha.beginning(), place.0)
        };
        let mut fresh: Vec<(u64, u32)> = self.places_from(first).map(keyed).collect();
        fresh.sort_unstable_by(|one, other| {
            let names = || name_at(shas, one.1).cmp(&name_at(shas, other.1));
            one.0.cmp(&other.0).then_with(names)
        });
        let old = std::mem::take(&mut self.by_name);
        self.by_name = Vec::with_capacity(shas.len());
        let mut fresh = fresh.into_iter().map(|(_, place)| place).peekable();
        for place in old {
            let name = name_at(shas, place);
            while let Some(before) = fresh.next_if(|fresh| name_at(shas, *fresh) < name) {
                self.by_name.push(before);
            }
            self.by_name.push(place);
        }
        self.by_name.extend(fresh);
    }

    /// Commits that say to fix issues, and these, the oldest first.
    pub fn closing(&self) -> impl Iterator<Item = (Place, &[String])> {
        self.closing.iter().map(|(place, issues)| (Place(*place), issues.as_slice()))
    }

    /// How many commits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shas.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shas.is_empty()
    }

    /// The place of a commit.
    #[must_use]
    pub fn find(&self, sha: &Sha) -> Option<Place> {
        self.find_old(sha).map(Place)
    }

    fn find_old(&self, sha: &Sha) -> Option<u32> {
        let found = self.by_name.binary_search_by(|place| name_at(&self.shas, *place).cmp(sha));
        found.ok().and_then(|at| self.by_name.get(at)).copied()
    }

    /// The commits whose names begin like this.
    pub fn matching(&self, prefix: ShaPrefix) -> impl Iterator<Item = Place> {
        let least = prefix.least();
        let from = self.by_name.partition_point(|place| name_at(&self.shas, *place) < least);
        let rest = self.by_name.get(from..).unwrap_or_default().iter();
        rest.copied().take_while(move |place| prefix.is_of(&name_at(&self.shas, *place))).map(Place)
    }

    /// The name of a commit.
    #[must_use]
    pub fn sha(&self, place: Place) -> Sha {
        name_at(&self.shas, place.0)
    }

    /// When a commit was made, in seconds since the epoch, as it says itself.
    #[must_use]
    pub fn time(&self, place: Place) -> i64 {
        self.times.get(place.0 as usize).copied().unwrap_or_default()
    }

    /// The [`signature`](super::commit::signature) of who wrote a commit.
    #[must_use]
    pub fn author(&self, place: Place) -> u64 {
        self.authors.get(place.0 as usize).copied().unwrap_or_default()
    }

    /// The [`signature`](super::commit::signature) of a commit's subject.
    #[must_use]
    pub fn subject(&self, place: Place) -> u64 {
        self.subjects.get(place.0 as usize).copied().unwrap_or_default()
    }

    /// The [`Touched`](super::commit::Touched) files of a commit.
    #[must_use]
    pub fn touched(&self, place: Place) -> u64 {
        self.touched.get(place.0 as usize).copied().unwrap_or_default()
    }

    /// Commits from a place on, in their order.
    pub fn places_from(&self, first: usize) -> impl DoubleEndedIterator<Item = Place> + use<> {
        let first = u32::try_from(first).unwrap_or(NO_PARENT);
        (first..u32::try_from(self.shas.len()).unwrap_or(NO_PARENT)).map(Place)
    }

    /// Commits that say to be picked from this one.
    pub fn picks_of(&self, sha: &Sha) -> impl Iterator<Item = Place> {
        self.picks.get(sha).into_iter().flatten().copied()
    }

    /// Where a commit says to be picked from.
    pub fn sources_of(&self, sha: &Sha) -> impl Iterator<Item = Sha> {
        let place = self.find_old(sha);
        place.and_then(|place| self.picked_from.get(&place)).into_iter().flatten().copied()
    }

    /// Commits that say to take this one back.
    pub fn reverting(&self, sha: &Sha) -> impl Iterator<Item = Place> {
        self.reverting.get(sha).into_iter().flatten().copied()
    }

    /// The parents of a commit that are there.
    pub fn parents(&self, place: Place) -> impl Iterator<Item = Place> {
        let two = self.parents.get(place.0 as usize).copied().unwrap_or([NO_PARENT; 2]);
        let more = self.more_parents.get(&place.0).into_iter().flatten().copied();
        two.into_iter().filter(|parent| *parent != NO_PARENT).chain(more).map(Place)
    }

    /// A commit and all it descends from.
    #[must_use]
    pub fn ancestors(&self, tips: &[Place]) -> Marks {
        Marks::sweep(self, tips, Place(0))
    }

    /// What each of some commits descends from: of the first [`MOST_LINES`] of them.
    #[must_use]
    pub fn lines(&self, tips: &[Place]) -> Lines {
        Lines::new(self, tips)
    }

    /// Whether `later` is `earlier` or descends from it.
    #[must_use]
    pub fn reach(&self, earlier: Place, later: Place) -> Reach {
        // Where the history is cut, places tell nothing of what is beyond.
        let least = if self.cut.is_empty() { earlier } else { Place(0) };
        if self.cut.is_empty() && later < earlier {
            return Reach::No;
        }
        Marks::sweep(self, &[later], least).reach(earlier)
    }

    /// Commits among these with parents that nobody has.
    pub fn cuts<'a>(&'a self, marks: &'a Marks) -> impl Iterator<Item = Place> + 'a {
        self.cut.iter().map(|place| Place(*place)).filter(|place| marks.has(*place))
    }

    /// Commits that take back what nobody has, or more than anybody has.
    pub fn unresolved_reverts(&self) -> impl Iterator<Item = Place> {
        self.unresolved.iter().map(|(place, _)| *place)
    }

    /// Commits that take back what landed a request: what nobody has may have landed it as well.
    pub fn request_reverts(&self) -> impl Iterator<Item = Place> {
        self.request_reverts.iter().copied()
    }

    /// Whether all is there that the marked commits descend from.
    fn is_cut(&self, marks: &Marks) -> bool {
        self.cut.iter().any(|place| marks.has(Place(*place)))
    }

    /// The commits that `later` has and `earlier` has not, the latest first; nothing if there are more
    /// than `most`.
    #[must_use]
    pub fn between(&self, earlier: Place, later: Place, most: usize) -> Option<Vec<Place>> {
        // What is still to be looked at, and whether only `later` has it.
        let mut unseen = BTreeMap::from([(later, true)]);
        unseen.insert(earlier, false);
        let mut n_wanted = usize::from(earlier != later);
        let mut found = Vec::new();
        while n_wanted > 0
            && let Some((place, is_wanted)) = unseen.pop_last()
        {
            n_wanted -= usize::from(is_wanted);
            if is_wanted {
                if found.len() == most {
                    return None;
                }
                found.push(place);
            }
            for parent in self.parents(place) {
                let was_wanted = unseen.get(&parent).copied();
                let now_wanted = is_wanted && was_wanted != Some(false);
                n_wanted += usize::from(now_wanted);
                n_wanted -= usize::from(was_wanted == Some(true));
                unseen.insert(parent, now_wanted);
            }
        }
        Some(found)
    }

    /// Where each commit parted from the line that ends with `tip`.
    #[must_use]
    pub fn forks(&self, tip: Place) -> Forks {
        let line = self.ancestors(&[tip]);
        let mut forks: Vec<u32> = Vec::with_capacity(self.len());
        // Parents come first: what a commit has in common is the most that a parent has.
        for place in self.places_from(0) {
            let shared = self.parents(place).map(|parent| {
                let of_parent = forks.get(parent.0 as usize).copied().unwrap_or(NO_PARENT);
                if line.has(parent) { parent.0 } else { of_parent }
            });
            let shared = shared.filter(|fork| *fork != NO_PARENT).max();
            forks.push(shared.filter(|_| !line.has(place)).unwrap_or(NO_PARENT));
        }
        Forks { tip, forks }
    }

    /// The latest commit that `tip` and `branch` both have; nothing when one of them has all of the other,
    /// or when it comes after more than `most` commits that only the branch has.
    #[must_use]
    pub fn fork(&self, lines: &Lines, tip: Place, branch: Place, most: usize) -> Option<Place> {
        let mut unseen = BTreeSet::from([branch]);
        for _ in 0..=most {
            // Parents have lower places: the first that both have is the latest.
            let place = unseen.pop_last()?;
            if lines.has(tip, place) {
                return (place != tip && place != branch).then_some(place);
            }
            unseen.extend(self.parents(place));
        }
        None
    }

    /// What is taken back by the word of a commit.
    fn named_by(&self, reverting: Place, reverted: &Reverted) -> Vec<Sha> {
        match reverted {
            Reverted::Commit(prefix) => {
                let found: Vec<Sha> =
                    self.matching(*prefix).flat_map(|place| self.of_merge(place)).collect();
                if found.is_empty() { prefix.whole().into_iter().collect() } else { found }
            }
            Reverted::Merge(merge, parent) => match (self.find(merge), self.find(parent)) {
                (Some(merge), Some(parent)) => self.brought_in(merge, parent),
                _ => vec![*merge],
            },
            Reverted::Request(number) => {
                // Issues have numbers too: all that bear this one may be meant.
                let numbered = self.requests.get(number).into_iter().flatten().copied();
                let before = numbered.filter(|place| {
                    self.reach(*place, reverting) == Reach::Yes && *place != reverting
                });
                before.flat_map(|place| self.of_merge(place)).collect()
            }
        }
    }

    /// A commit; of a merge also what it brought to the line it was made on.
    fn of_merge(&self, place: Place) -> Vec<Sha> {
        let mut parents = self.parents(place);
        match (parents.next(), parents.next()) {
            // Without its first parent nobody knows what it brought.
            _ if self.cut.contains(&place.0) => vec![self.sha(place)],
            (Some(first), Some(_)) => self.brought_in(place, first),
            _ => vec![self.sha(place)],
        }
    }

    /// What a merge has that one of its parents has not.
    fn brought_in(&self, merge: Place, parent: Place) -> Vec<Sha> {
        let brought = self.between(parent, merge, usize::MAX).unwrap_or_default();
        brought.into_iter().map(|place| self.sha(place)).collect()
    }
}

fn name_at(shas: &[Sha], place: u32) -> Sha {
    shas.get(place as usize).copied().unwrap_or(Sha([0; 20]))
}

/// Brings commits into the order that [`History::extend`] wants.
#[must_use]
pub fn parents_first(commits: Vec<Commit>) -> Vec<Commit> {
    let mut waiting: BTreeMap<Sha, Commit> =
        commits.into_iter().map(|commit| (commit.sha, commit)).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    while let Some((sha, _)) = waiting.last_key_value() {
        let mut path = vec![*sha];
        let mut on_path = HashSet::from([*sha]);
        while let Some(sha) = path.last() {
            let parents = waiting.get(sha).into_iter().flat_map(|commit| &commit.parents);
            // A circle cannot be: a name is the hash of the names of the parents. Who says otherwise
            // gets some order.
            let missing = parents
                .copied()
                .find(|parent| waiting.contains_key(parent) && !on_path.contains(parent));
            if let Some(parent) = missing {
                path.push(parent);
                on_path.insert(parent);
            } else if let Some(sha) = path.pop() {
                on_path.remove(&sha);
                sorted.extend(waiting.remove(&sha));
            }
        }
    }
    sorted
}
