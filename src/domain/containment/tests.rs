use proptest::prelude::*;

use super::super::commit::{Commit, Reverted};
use super::*;

fn sha(number: usize) -> Sha {
    let mut name = [0; 20];
    name[..8].copy_from_slice(&(number as u64).to_be_bytes());
    // Names say nothing about the order of commits.
    name[0] = u8::try_from(number.wrapping_mul(151) % 251).expect("below 256");
    Sha(name)
}

/// What a commit of a made history says to take back.
#[derive(Debug, Clone, Copy)]
enum Takes {
    Commit(usize),
    /// What a merge has that one of its parents has not.
    Merge(usize, usize),
    Request(u32),
}

/// A commit of a made history: everything by number.
#[derive(Debug, Clone, Default)]
struct Made {
    parents: Vec<usize>,
    picked_from: Option<usize>,
    reverts: Option<Takes>,
    request: Option<u32>,
}

fn commits(made: &[Made]) -> Vec<Commit> {
    let commit = |(number, made): (usize, &Made)| Commit {
        sha: sha(number),
        parents: made.parents.iter().copied().map(sha).collect(),
        time: 0,
        author: 0,
        subject: 0,
        picked_from: made.picked_from.into_iter().map(sha).collect(),
        reverts: made
            .reverts
            .map(|takes| match takes {
                Takes::Commit(one) => {
                    Reverted::Commit(sha(one).to_string().parse().expect("a name"))
                }
                Takes::Merge(merge, parent) => Reverted::Merge(sha(merge), sha(parent)),
                Takes::Request(number) => Reverted::Request(number),
            })
            .into_iter()
            .collect(),
        closes: Vec::new(),
        request: made.request,
        touched: 0,
    };
    made.iter().enumerate().map(commit).collect()
}

/// The same rules, said as plainly as possible and with no regard to time.
struct Model<'a>(&'a [Made]);

impl Model<'_> {
    fn descends(&self, later: usize, earlier: usize) -> bool {
        later == earlier || self.0[later].parents.iter().any(|one| self.descends(*one, earlier))
    }

    fn equivalents(&self, commit: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([commit]);
        loop {
            let is_pick =
                |one: &usize| self.0[*one].picked_from.is_some_and(|of| all.contains(&of));
            let more: BTreeSet<usize> = (0..self.0.len()).filter(is_pick).collect();
            if more.is_subset(&all) {
                return all;
            }
            all.extend(more);
        }
    }

    /// All that a revert may name to mean one of these.
    fn names(&self, class: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut names = class.clone();
        loop {
            let sources = names.iter().filter_map(|one| self.0[*one].picked_from);
            let more: BTreeSet<usize> = sources.collect();
            if more.is_subset(&names) {
                return names;
            }
            names.extend(more);
        }
    }

    /// Whether a commit says to take back one that is called so.
    fn takes_back(&self, by: usize, names: &BTreeSet<usize>) -> bool {
        let brought = |merge: usize, parent: usize, one: usize| {
            self.descends(merge, one) && !self.descends(parent, one)
        };
        // Taking back a merge takes back what it brought.
        let is_part = |of: usize, one: usize| {
            let parents = &self.0[of].parents;
            one == of || (parents.len() > 1 && brought(of, parents[0], one))
        };
        let is_meant = |one: usize| match self.0[by].reverts {
            None => false,
            Some(Takes::Commit(of)) => is_part(of, one),
            Some(Takes::Merge(merge, parent)) => brought(merge, parent, one),
            Some(Takes::Request(number)) => (0..by).any(|of| {
                self.0[of].request == Some(number) && self.descends(by, of) && is_part(of, one)
            }),
        };
        names.iter().any(|one| is_meant(*one))
    }

    /// Commits of `tip` that take back one of the class and live.
    fn live_reverts(&self, class: &BTreeSet<usize>, tip: usize) -> BTreeSet<usize> {
        let names = self.names(class);
        let takes_back = |one: &usize| {
            self.descends(tip, *one)
                && self.takes_back(*one, &names)
                && self.lives(*one, &self.equivalents(*one), tip)
        };
        (0..self.0.len()).filter(takes_back).collect()
    }

    fn lives(&self, commit: usize, class: &BTreeSet<usize>, tip: usize) -> bool {
        // What takes it back comes later, so this ends.
        let names = self.names(class);
        self.descends(tip, commit)
            && !(commit + 1..self.0.len()).any(|by| {
                self.descends(by, commit)
                    && self.descends(tip, by)
                    && self.takes_back(by, &names)
                    && self.lives(by, &self.equivalents(by), tip)
            })
    }

    fn answer(&self, fixes: &[usize], tip: usize) -> &'static str {
        let class: BTreeSet<usize> = fixes.iter().flat_map(|fix| self.equivalents(*fix)).collect();
        if !class.iter().any(|one| self.descends(tip, *one)) {
            return "absent";
        }
        let alive: Vec<usize> =
            class.iter().copied().filter(|one| self.lives(*one, &class, tip)).collect();
        if alive.is_empty() {
            return "reverted";
        }
        let is_settled = |revert: &usize| alive.iter().any(|one| self.descends(*one, *revert));
        if self.live_reverts(&class, tip).iter().all(is_settled) {
            "contained"
        } else {
            "conflicted"
        }
    }
}

fn answer(answer: &Containment) -> &'static str {
    match answer {
        Containment::Contained { .. } => "contained",
        Containment::Absent => "absent",
        Containment::Reverted { .. } => "reverted",
        Containment::Conflicted { .. } => "conflicted",
        Containment::Unknown => "unknown",
    }
}

/// Histories of lines that part and meet, with many picks and reverts.
fn made() -> impl Strategy<Value = Vec<Made>> {
    let seed = (any::<u16>(), any::<u16>(), 0..10_u8, any::<u16>(), 0..8_u8);
    prop::collection::vec(seed, 1..14).prop_map(|seeds| {
        let mut made: Vec<Made> = Vec::new();
        for (number, (first, second, kind, of, how)) in seeds.into_iter().enumerate() {
            let near = |seed: u16, most: usize| {
                (number > 0).then(|| number - 1 - usize::from(seed) % number.min(most))
            };
            let mut parents: Vec<usize> = near(first, 3).into_iter().collect();
            if kind < 3 {
                parents.extend(near(second, 5).filter(|second| !parents.contains(second)));
            }
            let of = near(of, 9);
            let picked_from = of.filter(|_| kind == 3 || kind == 4);
            // The pick of a revert takes back the same.
            let reverted = picked_from.and_then(|of| made[of].reverts);
            let takes = |of: usize| match (how, made[of].parents.as_slice(), made[of].request) {
                (0, [first, ..], _) => Takes::Merge(of, *first),
                (1, [.., last], _) => Takes::Merge(of, *last),
                (2, _, Some(request)) => Takes::Request(request),
                _ => Takes::Commit(of),
            };
            let reverts = of.filter(|_| kind > 5).map(takes).or(reverted);
            // A request may be landed by several commits.
            let request = (how > 3).then(|| u32::from(first) % 4);
            made.push(Made { parents, picked_from, reverts, request });
        }
        made
    })
}

fn no_patches() -> (SamePatch, BTreeSet<Sha>) {
    (SamePatch::new(), BTreeSet::new())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The arrays say what a slow and obvious reading of the rules says.
    #[test]
    fn answers_are_those_of_the_model(made in made()) {
        let mut history = History::default();
        history.extend(commits(&made));
        let (patches, failed) = no_patches();
        let model = Model(&made);
        for tip in 0..made.len() {
            let place = history.find(&sha(tip)).expect("a place");
            let deployed = Deployed::new(&history, place, &patches, &failed);
            for fix in 0..made.len() {
                // By itself, and with one that says that it fixes the same.
                let other = (fix + 1 + tip) % made.len();
                for (others, fixes) in [(vec![], vec![fix]), (vec![sha(other)], vec![fix, other])] {
                    let said = deployed.contains(&sha(fix), &others);
                    prop_assert_eq!(
                        answer(&said), model.answer(&fixes, tip),
                        "fixes {:?} in {}: {:?}", fixes, tip, said
                    );
                }
            }
        }
    }

    /// What comes on top of a build and takes nothing back leaves its fixes where they are.
    #[test]
    fn a_later_build_that_reverts_nothing_loses_no_fix(made in made()) {
        let mut history = History::default();
        history.extend(commits(&made));
        let (patches, failed) = no_patches();
        let model = Model(&made);
        let contains = |tip: usize, fix: usize| {
            let place = history.find(&sha(tip)).expect("a place");
            answer(&Deployed::new(&history, place, &patches, &failed).contains(&sha(fix), &[]))
        };
        for later in 0..made.len() {
            for earlier in (0..later).filter(|one| model.descends(later, *one)) {
                let is_new =
                    |one: &usize| model.descends(later, *one) && !model.descends(earlier, *one);
                let new: Vec<usize> = (0..made.len()).filter(is_new).collect();
                if new.iter().any(|one| made[*one].reverts.is_some()) {
                    continue;
                }
                for fix in (0..made.len()).filter(|fix| contains(earlier, *fix) == "contained") {
                    let said = contains(later, fix);
                    prop_assert_eq!(said, "contained", "fix {} of {} in {}", fix, earlier, later);
                }
            }
        }
    }

    /// Where two lines part is the same from either side.
    #[test]
    fn forks_are_the_latest_that_both_have(made in made()) {
        let mut history = History::default();
        history.extend(commits(&made));
        let model = Model(&made);
        let place = |one: usize| history.find(&sha(one)).expect("a place");
        let tips: Vec<Place> = (0..made.len()).map(place).collect();
        let lines = history.lines(&tips);
        for branch in 0..made.len() {
            let forks = history.forks(place(branch));
            for tip in 0..made.len() {
                let both = |one: &usize| model.descends(tip, *one) && model.descends(branch, *one);
                let latest = (0..made.len()).filter(both).max_by_key(|one| place(*one));
                let expected = latest.filter(|one| ![tip, branch].contains(one)).map(place);
                prop_assert_eq!(forks.of(place(tip)), expected, "{} of {}", branch, tip);
                let fork = |most| history.fork(&lines, place(tip), place(branch), most);
                prop_assert_eq!(fork(made.len()), expected, "{} of {}", branch, tip);
                let own =
                    |one: &usize| model.descends(branch, *one) && !model.descends(tip, *one);
                let n_own = (0..made.len()).filter(own).count();
                prop_assert!(fork(0).is_none() && (fork(n_own) == expected));
            }
        }
    }

    /// However the commits come, the answers are the same.
    #[test]
    fn the_order_of_reading_does_not_matter(made in made(), cut in 0..14_usize) {
        let mut whole = History::default();
        whole.extend(commits(&made));
        let mut parts = History::default();
        let mut shuffled = commits(&made);
        shuffled.sort_by_key(|commit| commit.sha);
        let mut sorted = super::super::history::parents_first(shuffled);
        let rest = sorted.split_off(cut.min(sorted.len()));
        parts.extend(sorted);
        parts.extend(rest);
        let (patches, failed) = no_patches();
        for tip in 0..made.len() {
            let place = |history: &History| history.find(&sha(tip)).expect("a place");
            let one = Deployed::new(&whole, place(&whole), &patches, &failed);
            let other = Deployed::new(&parts, place(&parts), &patches, &failed);
            for fix in 0..made.len() {
                prop_assert_eq!(
                    answer(&one.contains(&sha(fix), &[])), answer(&other.contains(&sha(fix), &[]))
                );
            }
        }
    }

    /// Where the history is cut, what is said is true all the same.
    #[test]
    fn a_cut_history_says_nothing_that_is_not_so(made in made(), cut in 1..14_usize) {
        let mut whole = History::default();
        whole.extend(commits(&made));
        let mut shallow = History::default();
        let cut = cut.min(made.len() - 1);
        shallow.extend(commits(&made).split_off(cut));
        // That a commit is the pick of a pick is not known when the one between is beyond the cut.
        let is_pick = |of: usize| of < cut && made[of].picked_from.is_some();
        let is_told = !made[cut..].iter().any(|one| one.picked_from.is_some_and(is_pick));
        let (patches, failed) = no_patches();
        for tip in 0..made.len() {
            let Some(place) = shallow.find(&sha(tip)) else { continue };
            let deployed = Deployed::new(&shallow, place, &patches, &failed);
            let truth = whole.find(&sha(tip)).expect("a place");
            let truth = Deployed::new(&whole, truth, &patches, &failed);
            for fix in 0..made.len() {
                let said = answer(&deployed.contains(&sha(fix), &[]));
                if said == "absent" || (said != "unknown" && is_told) {
                    let truth = answer(&truth.contains(&sha(fix), &[]));
                    prop_assert_eq!(said, truth, "fix {} in {}", fix, tip);
                }
            }
        }
    }
}

#[test]
fn a_fix_that_failed_stands_for_nothing() {
    let line = |parents: &[usize], picked_from| Made {
        parents: parents.to_vec(),
        picked_from,
        ..Made::default()
    };
    let mut history = History::default();
    history.extend(commits(&[line(&[], None), line(&[0], None), line(&[0], Some(1))]));
    let tip = history.find(&sha(2)).expect("a place");
    let patches = SamePatch::new();
    let none = BTreeSet::new();
    let deployed = Deployed::new(&history, tip, &patches, &none);
    let picked = Containment::Contained { commit: sha(2), rule: Rule::Picked };
    assert_eq!(deployed.contains(&sha(1), &[]), picked);
    let failed = BTreeSet::from([sha(2)]);
    let deployed = Deployed::new(&history, tip, &patches, &failed);
    assert_eq!(deployed.contains(&sha(1), &[]), Containment::Absent);
}

#[test]
fn all_commits_of_a_fix_are_needed() {
    let contained = || Containment::Contained { commit: sha(1), rule: Rule::Same };
    let conflicted = || Containment::Conflicted { commit: sha(1), by: sha(2) };
    let reverted = || Containment::Reverted { commit: sha(1), by: sha(2) };
    for (answers, expected) in [
        (vec![contained(), contained()], contained()),
        (vec![contained(), Containment::Unknown], Containment::Unknown),
        (vec![Containment::Unknown, conflicted()], conflicted()),
        (vec![conflicted(), Containment::Absent], Containment::Absent),
        (vec![Containment::Absent, reverted()], reverted()),
    ] {
        let decides = answers.into_iter().min_by_key(Containment::weight);
        assert_eq!(decides, Some(expected));
    }
}

#[test]
fn a_long_row_of_reverts_is_judged() {
    // Each takes back the one before: the fix lives when their number is even.
    const LENGTH: usize = 4_000;
    let made: Vec<Made> = (0..LENGTH)
        .map(|number| Made {
            parents: number.checked_sub(1).into_iter().collect(),
            reverts: number.checked_sub(1).map(Takes::Commit),
            ..Made::default()
        })
        .collect();
    let mut history = History::default();
    history.extend(commits(&made));
    let (patches, failed) = no_patches();
    let contains = |tip: usize| {
        let tip = history.find(&sha(tip)).expect("a place");
        Deployed::new(&history, tip, &patches, &failed).contains(&sha(0), &[])
    };
    assert!(contains(LENGTH - 2).is_contained());
    assert_eq!(contains(LENGTH - 1), Containment::Reverted { commit: sha(0), by: sha(1) });
}
