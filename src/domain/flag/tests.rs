use uuid::Uuid;

use super::*;
use crate::domain::commit::Sha;
use crate::domain::event::Level;
use crate::domain::fix::{FixCommit, FixId, Source};
use crate::domain::id::{IssueId, ProjectId, ShortId};
use crate::domain::lifecycle::State;

const HOUR: i64 = 3_600_000_000;

/// A day, in hours.
const DAYS: i64 = 24;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_micros(hour * HOUR)
}

fn fix(problem: Option<Problem>) -> Fix {
    let commit = FixCommit { repository: None, sha: Sha([0x4f; 20]), alternatives: Vec::new() };
    Fix {
        id: FixId(Uuid::from_u128(7)),
        issue: IssueId(Uuid::from_u128(1)),
        commits: vec![commit],
        by: "zoe".to_owned(),
        at: at(0),
        source: Source::Api,
        problem,
    }
}

fn issue(n_undetermined: u64) -> Issue {
    Issue {
        id: IssueId(Uuid::from_u128(1)),
        project_id: ProjectId(1),
        short_id: ShortId { prefix: "SHOP".to_owned(), number: 1 },
        title: "KeyError".to_owned(),
        culprit: String::new(),
        level: Level::Error,
        platform: "python".to_owned(),
        handled: None,
        state: State::OPEN,
        revision: 0,
        n_events: n_undetermined,
        n_suppressed: 0,
        n_undetermined,
        n_users: 0,
        first_seen: at(0),
        last_seen: at(0),
        first_release: None,
        last_release: None,
        assignee: None,
        merged_into: None,
        discarded_at: None,
        serious_at: None,
    }
}

const NOTHING: Facts<'_> =
    Facts { fix: None, is_deployed: false, unsettled: &[], reverted_on: None, has_vanished: false };

fn kinds(flags: &[Flag]) -> Vec<FlagKind> {
    flags.iter().map(|flag| flag.kind).collect()
}

#[test]
fn a_fix_is_flagged_for_what_is_wrong_with_it_once_that_lasts() {
    use FixState::{Failed, Reverted, Standing};
    use FlagKind::{FixConflicted, FixNotDeployed, FixSeenInRelease, FixUnknown, RevertedOnBranch};
    use Problem::{Conflicted, SeenInRelease, UnknownCommit};
    let back = Some(("main", "9a9a9a9"));
    for (problem, state, is_deployed, reverted_on, hours, expected) in [
        (None, Standing, false, None, 14 * DAYS - 1, vec![]),
        (None, Standing, false, None, 14 * DAYS, vec![FixNotDeployed]),
        (None, Standing, true, None, 14 * DAYS, vec![]),
        // The clock was set back since.
        (None, Standing, false, None, -1, vec![]),
        (Some(UnknownCommit), Standing, false, None, 23, vec![]),
        (Some(UnknownCommit), Standing, false, None, 24, vec![FixUnknown]),
        // What nobody has cannot be deployed either: once is enough.
        (Some(UnknownCommit), Standing, false, None, 20 * DAYS, vec![FixUnknown]),
        (Some(SeenInRelease), Standing, false, None, 0, vec![FixSeenInRelease]),
        (
            Some(SeenInRelease),
            Standing,
            false,
            None,
            14 * DAYS,
            vec![FixSeenInRelease, FixNotDeployed],
        ),
        (Some(Conflicted), Standing, true, None, 0, vec![FixConflicted]),
        (None, Standing, true, back, 0, vec![RevertedOnBranch]),
        (
            Some(Conflicted),
            Standing,
            false,
            back,
            14 * DAYS,
            vec![FixConflicted, FixNotDeployed, RevertedOnBranch],
        ),
        // Only what is believed can be doubted.
        (Some(SeenInRelease), Failed, false, back, 20 * DAYS, vec![]),
        (Some(UnknownCommit), Reverted, false, back, 20 * DAYS, vec![]),
    ] {
        let fix = fix(problem);
        let facts = Facts { fix: Some((&fix, state)), is_deployed, reverted_on, ..NOTHING };
        let flags = flags(&issue(0), &facts, at(hours));
        assert_eq!(kinds(&flags), expected, "{problem:?} {state:?} {is_deployed} {hours}");
        assert!(flags.iter().all(|flag| flag.since == at(0) && flag.detail.contains("4f4f4f4")));
    }
    assert_eq!(flags(&issue(0), &NOTHING, at(20 * DAYS)), []);
}

#[test]
fn a_fix_that_no_branch_has_any_more_is_flagged_while_it_is_believed() {
    for (state, expected) in [
        (FixState::Standing, vec![FlagKind::FixVanished]),
        (FixState::Reverted, vec![]),
        (FixState::Failed, vec![]),
    ] {
        let fix = fix(None);
        let facts = Facts { fix: Some((&fix, state)), has_vanished: true, ..NOTHING };
        assert_eq!(kinds(&flags(&issue(0), &facts, at(1))), expected, "{state:?}");
    }
}

#[test]
fn a_fix_that_is_not_deployed_says_for_how_long() {
    let fix = fix(None);
    let facts = Facts { fix: Some((&fix, FixState::Standing)), ..NOTHING };
    let flags = flags(&issue(0), &facts, at(15 * 24 + 23));
    assert_eq!(flags[0].detail, "4f4f4f4 was named 15 days ago and is deployed nowhere");
}

fn waiting(release: &str, hour: i64) -> Waiting {
    Waiting { release: release.to_owned(), since: at(hour), is_known: false }
}

#[test]
fn releases_that_nobody_knows_are_named_the_oldest_says_since_when() {
    let named = |names: &[(&str, i64)]| -> Vec<Waiting> {
        names.iter().map(|(name, hour)| waiting(name, *hour)).collect()
    };
    let bound = Waiting { is_known: true, ..waiting("1.3", 1) };
    for (unsettled, expected) in [
        (named(&[]), None),
        // An event without a release asks for no registration, nor does one of a release that is known.
        (named(&[("", 3)]), None),
        (vec![bound.clone(), waiting("1.4", 5)], Some(("1.4", 5))),
        (vec![bound], None),
        (named(&[("", 1), (REST, 2), ("1.4", 5)]), Some(("1.4", 5))),
        (named(&[("a", 9), ("b", 4), ("c", 8)]), Some(("a, b, c", 4))),
        (
            named(&[("a", 9), ("b", 4), ("c", 8), ("d", 2), ("e", 6)]),
            Some(("a, b, c and 2 more", 2)),
        ),
    ] {
        let facts = Facts { unsettled: &unsettled, ..NOTHING };
        let flags = flags(&issue(0), &facts, at(10));
        let expected: Vec<Flag> = expected
            .map(|(names, hour)| Flag {
                kind: FlagKind::RegisterRelease,
                detail: format!(
                    "nobody knows which commits these releases are: {names}; register them"
                ),
                since: at(hour),
            })
            .into_iter()
            .collect();
        assert_eq!(flags, expected, "{unsettled:?}");
    }
}

#[test]
fn many_undetermined_events_are_flagged() {
    let waiting = [waiting("", 3), waiting("", 2)];
    let facts = Facts { unsettled: &waiting, ..NOTHING };
    assert_eq!(flags(&issue(MANY_UNDETERMINED - 1), &facts, at(9)), []);
    let many = flags(&issue(MANY_UNDETERMINED), &facts, at(9));
    assert_eq!((kinds(&many), many[0].since), (vec![FlagKind::ManyUndetermined], at(2)));
    assert!(many[0].detail.starts_with("of 100 events"), "{}", many[0].detail);
    let unknown = flags(&issue(MANY_UNDETERMINED), &NOTHING, at(9));
    assert_eq!(unknown[0].since, at(9));
}
