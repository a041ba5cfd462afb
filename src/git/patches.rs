//! Commits that make the same change: picks without a word about it, rebased ones, squashed
//! branches, what was landed again.
//!
//! Two commits are the same change when they have the same author or the same subject, and the same
//! patch-id (`git patch-id --stable`: the difference without line numbers and white space). A commit
//! also stands for a branch that ends with another, when its patch is all that the branch changes.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use git2::{Diff, DiffFlags, Oid, Repository, Tree};

use super::mirror::FetchError;
use crate::domain::commit::{Sha, Touched};
use crate::domain::containment::{Rule, SamePatch};
use crate::domain::history::{History, Lines, MOST_LINES, Place};

/// A branch of more commits was not squashed.
const MOST_OF_BRANCH: usize = 300;

/// Of up to so many commits that may be the same it is first found out what each descends from.
const MOST_TRACED: usize = 4 * MOST_LINES;

/// What stands for a commit by its patch, as far as was looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// How many commits were looked at, in the order of their places.
    pub until: usize,
    /// What stands for it.
    pub same: Vec<(Sha, Rule)>,
}

/// Finds commits with the same patch in one repository.
pub struct Patches<'a> {
    repository: &'a Repository,
    history: &'a History,
    ids: HashMap<Place, Option<PatchId>>,
}

/// A commit whose likes are looked for.
struct Sought {
    sha: Sha,
    place: Place,
}

impl<'a> Patches<'a> {
    /// For a repository and its commits.
    #[must_use]
    pub fn new(repository: &'a Repository, history: &'a History) -> Self {
        Self { repository, history, ids: HashMap::new() }
    }

    /// What stands for these commits by its patch. Commits that take one of them back, or what stands
    /// for it, are looked for in the same way. What is `known` is not looked for again.
    ///
    /// # Errors
    /// [`FetchError::Damaged`].
    pub fn same(
        &mut self,
        commits: impl IntoIterator<Item = Sha>,
        known: &BTreeMap<Sha, Looked>,
    ) -> Result<BTreeMap<Sha, Looked>, FetchError> {
        let mut found = BTreeMap::new();
        let mut seen: BTreeSet<Sha> = commits.into_iter().collect();
        let mut unseen: Vec<Sha> = seen.iter().copied().collect();
        while !unseen.is_empty() {
            let mut by_since: BTreeMap<usize, Vec<Sha>> = BTreeMap::new();
            for sha in unseen.drain(..) {
                let known = known.get(&sha).cloned().unwrap_or_default();
                // What is not there yet is looked for once it is.
                if self.history.find(&sha).is_some() {
                    by_since.entry(known.until).or_default().push(sha);
                    found.insert(sha, Looked { until: self.history.len(), same: known.same });
                }
            }
            let mut members = Vec::new();
            for (since, commits) in by_since {
                let fresh = self.same_as(&commits, since)?;
                for (sha, same) in fresh {
                    found.entry(sha).or_default().same.extend(same);
                }
                for sha in commits {
                    let same = found.get(&sha).into_iter().flat_map(|looked| &looked.same);
                    members.extend(same.map(|(same, _)| *same));
                    members.push(sha);
                }
            }
            let reverting = members.iter().flat_map(|sha| self.history.reverting(sha));
            let reverting = reverting.map(|place| self.history.sha(place));
            unseen.extend(reverting.filter(|sha| seen.insert(*sha)));
        }
        Ok(found)
    }

    fn same_as(&mut self, commits: &[Sha], since: usize) -> Result<SamePatch, FetchError> {
        if since >= self.history.len() {
            return Ok(SamePatch::new());
        }
        let (mut of_author, mut of_subject) = (HashMap::new(), HashMap::new());
        let mut sought = Vec::new();
        for sha in commits {
            let Some(place) = self.history.find(sha) else { continue };
            let index = sought.len();
            sought.push(Sought { sha: *sha, place });
            of_author.entry(self.history.author(place)).or_insert_with(Vec::new).push(index);
            of_subject.entry(self.history.subject(place)).or_insert_with(Vec::new).push(index);
        }
        let mut pairs: BTreeMap<usize, BTreeSet<Place>> = BTreeMap::new();
        for place in self.history.places_from(since) {
            if matches!(self.history.touched(place), Touched::NOTHING | Touched::MANY) {
                continue;
            }
            let same_author = of_author.get(&self.history.author(place));
            let same_subject = of_subject.get(&self.history.subject(place));
            for index in same_author.into_iter().chain(same_subject).flatten() {
                pairs.entry(*index).or_default().insert(place);
            }
        }
        // Of a few commits that were just pushed it is cheaper to know what each of them descends from.
        let all: BTreeSet<Place> = pairs.values().flatten().copied().collect();
        let all: Vec<Place> = all.into_iter().collect();
        let n_at_a_time = if all.len() <= MOST_TRACED { MOST_LINES } else { all.len() };
        let mut found = SamePatch::new();
        for some in all.chunks(n_at_a_time) {
            let (Some(first), Some(last)) = (some.first(), some.last()) else { continue };
            let lines = (some.len() <= MOST_LINES).then(|| self.history.lines(some));
            for (index, candidates) in &pairs {
                let Some(sought) = sought.get(*index) else { continue };
                let candidates = candidates.range(first..=last).copied();
                let same = self.compare(sought, candidates, lines.as_ref())?;
                if !same.is_empty() {
                    found.entry(sought.sha).or_default().extend(same);
                }
            }
        }
        Ok(found)
    }

    fn compare(
        &mut self,
        sought: &Sought,
        candidates: impl Iterator<Item = Place>,
        lines: Option<&Lines>,
    ) -> Result<Vec<(Sha, Rule)>, FetchError> {
        let own = self.history.touched(sought.place);
        let before = LazyCell::new(|| self.history.ancestors(&[sought.place]));
        let forks = LazyCell::new(|| self.history.forks(sought.place));
        let mut branches: HashMap<Place, u64> = HashMap::new();
        let mut same = Vec::new();
        for place in candidates.filter(|place| *place != sought.place) {
            // What came before the fix and looks like it is rather what had to be fixed; unless
            // somebody says that it was taken back in between.
            let taken_back = || {
                let sha = self.history.sha(place);
                self.history.reverting(&sha).any(|revert| before.has(revert))
            };
            if place < sought.place && before.has(place) && !taken_back() {
                continue;
            }
            let touched = self.history.touched(place);
            let id = if own == touched { self.id(place)? } else { None };
            if id.is_some() && id == self.id(sought.place)? {
                same.push((self.history.sha(place), Rule::SamePatch));
                continue;
            }
            // What descends from the fix is no squashed branch of it.
            let fork = match lines {
                Some(lines) => self.history.fork(lines, place, sought.place, MOST_OF_BRANCH),
                None => forks.of(place),
            };
            let Some(fork) = fork else { continue };
            let branch = if let Some(branch) = branches.get(&fork) {
                *branch
            } else {
                let branch = self.branch(fork, sought.place)?;
                branches.insert(fork, branch);
                branch
            };
            if branch != touched {
                continue;
            }
            let id = self.branch_id(fork, sought.place)?;
            if id.is_some() && id == self.id(place)? {
                same.push((self.history.sha(place), Rule::Squashed));
            }
        }
        Ok(same)
    }

    /// The files that a branch touches since its fork.
    fn branch(&self, fork: Place, tip: Place) -> Result<u64, FetchError> {
        let of_branch = self.history.between(fork, tip, MOST_OF_BRANCH).unwrap_or_default();
        let is_enormous = |place: &Place| self.history.touched(*place) == Touched::MANY;
        if of_branch.is_empty() || of_branch.iter().any(is_enormous) {
            return Ok(Touched::NOTHING);
        }
        let mut touched = Touched::default();
        if let Some(diff) = self.branch_change(fork, tip)? {
            for delta in diff.deltas() {
                touched.add(delta.new_file().path_bytes().unwrap_or_default());
            }
        }
        Ok(touched.signature())
    }

    fn branch_id(&self, fork: Place, tip: Place) -> Result<Option<PatchId>, FetchError> {
        Ok(self.branch_change(fork, tip)?.and_then(|change| patch_id(&change)))
    }

    /// What a branch changes since its fork; nothing once its repository has forgotten it.
    fn branch_change(&self, fork: Place, tip: Place) -> Result<Option<Diff<'a>>, FetchError> {
        let (Some(old), Some(new)) = (self.tree(fork)?, self.tree(tip)?) else { return Ok(None) };
        Ok(Some(self.repository.diff_tree_to_tree(Some(&old), Some(&new), None)?))
    }

    fn id(&mut self, place: Place) -> Result<Option<PatchId>, FetchError> {
        if let Some(known) = self.ids.get(&place) {
            return Ok(known.clone());
        }
        let id = self.change(place)?.and_then(|change| patch_id(&change));
        self.ids.insert(place, id.clone());
        Ok(id)
    }

    /// What a commit changes; nothing once its repository has forgotten it. A merge has no patch.
    fn change(&self, place: Place) -> Result<Option<Diff<'a>>, FetchError> {
        let mut parents = self.history.parents(place);
        let old = parents.next().map(|parent| self.tree(parent)).transpose()?;
        if parents.next().is_some() {
            return Ok(None);
        }
        let Some(new) = self.tree(place)? else { return Ok(None) };
        if matches!(old, Some(None)) {
            return Ok(None);
        }
        let old = old.flatten();
        Ok(Some(self.repository.diff_tree_to_tree(old.as_ref(), Some(&new), None)?))
    }

    /// The files of a commit; none once its repository has forgotten it.
    fn tree(&self, place: Place) -> Result<Option<Tree<'a>>, FetchError> {
        let oid = Oid::from_bytes(&self.history.sha(place).0)?;
        match self.repository.find_commit(oid) {
            Ok(commit) => Ok(Some(commit.tree()?)),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What tells a patch from another: its patch-id, and what it makes of each binary file, of which
/// the patch-id says nothing.
type PatchId = (Oid, Vec<(Oid, Oid)>);

fn patch_id(change: &Diff<'_>) -> Option<PatchId> {
    let id = change.patchid(None).ok()?;
    // What is binary is known once it was looked at.
    let binary = change.deltas().filter(|delta| delta.flags().contains(DiffFlags::BINARY));
    Some((id, binary.map(|delta| (delta.old_file().id(), delta.new_file().id())).collect()))
}
