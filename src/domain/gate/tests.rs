use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::containment::Rule;
use crate::domain::id::{IssueId, ProjectId, ProjectItemId};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute * 60_000_000)
}

fn sha(byte: u8) -> Sha {
    Sha([byte; 20])
}

fn nothing() -> Facts {
    Facts {
        name: "9a9a9a9".to_owned(),
        candidate: Candidate::Known,
        locks: Vec::new(),
        freezes: Vec::new(),
        running: None,
        taken_back: Vec::new(),
        reports_wait: None,
        waits_for_reports: false,
        are_locks_cut: false,
        locks_unread: None,
        unresolved_reverts: Vec::new(),
        next_change_at: None,
    }
}

fn lock(number: u128, subject: Subject) -> Lock {
    Lock {
        id: ProjectItemId { project: ProjectId(1), id: Uuid::from_u128(number) },
        environment: "production".to_owned(),
        subject,
        owner: "zoe".to_owned(),
        created_at: at(5),
        released: None,
    }
}

fn manual(number: u128) -> LockFacts {
    let subject = Subject::Manual {
        reason: "migration".to_owned(),
        assignee: Some("robin".to_owned()),
        key: None,
        expires_at: Some(at(90)),
    };
    LockFacts { lock: lock(number, subject), issue: None }
}

fn fix(containment: Containment) -> FixFacts {
    FixFacts {
        state: FixState::Standing,
        commits: vec![sha(0x4f)],
        problem: None,
        is_proven: true,
        answer: Answer { commit: Some(sha(0x4f)), containment, unknown: None },
        ahead: None,
    }
}

fn of_issue(number: u128, fix: Option<FixFacts>) -> LockFacts {
    let issue = LockedIssue {
        short_id: ShortId { prefix: "SHOP".to_owned(), number: 42 },
        title: "KeyError: 'total'".to_owned(),
        assignee: None,
        url: "https://errors.example/api/v1/issues/SHOP-42".to_owned(),
        fix,
    };
    let subject = Subject::Issue(IssueId(Uuid::from_u128(number)));
    LockFacts { lock: lock(number, subject), issue: Some(issue) }
}

fn contained() -> Containment {
    Containment::Contained { commit: sha(0x4f), rule: Rule::Same }
}

fn judged(locks: Vec<LockFacts>) -> (Kind, Vec<(BlockerKind, String)>) {
    let judgement = judge(&Facts { locks, ..nothing() });
    let hint = |one: &Blocker| (one.kind, one.hint.clone().unwrap_or_default());
    (judgement.verdict, judgement.blockers.iter().map(hint).collect())
}

#[test]
fn where_nothing_speaks_against_it_it_is_clear() {
    let judgement = judge(&nothing());
    assert_eq!((judgement.verdict, judgement.blockers.len()), (Kind::Clear, 0));
}

#[test]
fn locks_of_issues() {
    let blocked = |hint: &str| (Kind::Blocked, vec![(BlockerKind::IssueLock, hint.to_owned())]);
    let ahead = FixFacts { ahead: Some(("main".to_owned(), 3)), ..fix(Containment::Absent) };
    let failed = FixFacts { state: FixState::Failed, ..fix(contained()) };
    let reverted = FixFacts { state: FixState::Reverted, ..fix(contained()) };
    let seen =
        FixFacts { problem: Some(Problem::SeenInRelease), is_proven: false, ..fix(contained()) };
    let not_pushed = FixFacts {
        answer: Answer::unknown(Some(sha(0x4f)), Unknown::FixNotPushed),
        ..fix(Containment::Unknown)
    };
    for (fix, expected) in [
        (None, blocked("nobody named its fix: `airlock fix SHOP-42 --commit SHA`")),
        (Some(fix(contained())), (Kind::Clear, Vec::new())),
        (Some(reverted), (Kind::Clear, Vec::new())),
        (Some(failed), blocked("4f4f4f4 did not help; name the commit that does")),
        (Some(ahead), blocked("fixed by 4f4f4f4, on main 3 commits after the candidate")),
        (Some(fix(Containment::Absent)), blocked("fixed by 4f4f4f4, which is not in 9a9a9a9")),
        (
            Some(fix(Containment::Reverted { commit: sha(0x4f), by: sha(0x77) })),
            blocked("4f4f4f4 was taken back by 7777777 in 9a9a9a9"),
        ),
        (Some(not_pushed), blocked("4f4f4f4 is not pushed: no repository has it")),
        (
            Some(seen),
            blocked(
                "4f4f4f4 was in a release that showed the error; a deploy with it that starts from \
                 now on must prove it",
            ),
        ),
        (
            Some(fix(Containment::Conflicted { commit: sha(0x4f), by: sha(0x77) })),
            (
                Kind::Blocked,
                vec![(
                    BlockerKind::Conflicted,
                    "9a9a9a9 has 4f4f4f4 and, on another line, 7777777 that takes it back; look \
                     which one counts"
                        .to_owned(),
                )],
            ),
        ),
        (
            Some(fix(Containment::Unknown)),
            (
                Kind::Unknown,
                vec![(
                    BlockerKind::RepositoryUnreadable,
                    "the history of 9a9a9a9 does not go back far enough to tell of 4f4f4f4"
                        .to_owned(),
                )],
            ),
        ),
    ] {
        assert_eq!(judged(vec![of_issue(1, fix)]), expected);
    }
}

#[test]
fn what_a_lock_clears_is_said_with_its_proof() {
    let judgement = judge(&Facts { locks: vec![of_issue(1, Some(fix(contained())))], ..nothing() });
    let cleared = judgement.cleared.first().expect("a lock");
    assert_eq!((cleared.issue.as_str(), cleared.fix), ("SHOP-42", Some(sha(0x4f))));
    assert_eq!(cleared.proof, "4f4f4f4 is in 9a9a9a9");
}

#[test]
fn a_lock_of_a_person_says_whom_to_ask() {
    let judgement = judge(&Facts { locks: vec![manual(7)], ..nothing() });
    let blocker = judgement.blockers.first().expect("a blocker");
    assert_eq!((blocker.kind, blocker.reason.as_str()), (BlockerKind::ManualLock, "migration"));
    assert_eq!((blocker.owner.as_deref(), blocker.clears_at), (Some("robin"), Some(at(90))));
    let hint = blocker.hint.as_deref().expect("a hint");
    assert!(hint.starts_with("ask robin; `airlock unlock 1-"), "{hint}");
}

#[test]
fn reports_that_wait_are_a_warning_or_make_it_unknown() {
    let waiting = |seconds, waits_for_reports| {
        let reports_wait = Some(Duration::from_secs(seconds));
        let judgement = judge(&Facts { reports_wait, waits_for_reports, ..nothing() });
        (judgement.verdict, judgement.warnings.len())
    };
    assert_eq!(waiting(60, true), (Kind::Clear, 0));
    assert_eq!(waiting(61, false), (Kind::Clear, 1));
    assert_eq!(waiting(61, true), (Kind::Unknown, 1));
}

#[test]
fn versions_tell_reasons_apart_and_not_what_goes_by() {
    let running = |lease: i64| Running {
        number: 3,
        by: "zoe".to_owned(),
        since: at(1),
        url: String::new(),
        lease_until: at(lease),
    };
    let version = |facts: Facts| judge(&facts).version();
    let base = version(nothing());
    let first = version(Facts { running: Some(running(10)), ..nothing() });
    assert_ne!(base, first);
    assert_eq!(first, version(Facts { running: Some(running(20)), ..nothing() }));
    assert_ne!(base, version(Facts { locks: vec![manual(1)], ..nothing() }));
    let waiting = |seconds| Facts { reports_wait: Some(Duration::from_secs(seconds)), ..nothing() };
    assert_eq!(version(waiting(90)), version(waiting(91)));
}

fn any_fix() -> impl Strategy<Value = Option<FixFacts>> {
    let containment = prop::sample::select(vec![
        contained(),
        Containment::Absent,
        Containment::Unknown,
        Containment::Reverted { commit: sha(1), by: sha(2) },
        Containment::Conflicted { commit: sha(1), by: sha(2) },
    ]);
    let state =
        prop::sample::select(vec![FixState::Standing, FixState::Reverted, FixState::Failed]);
    let fix = (containment, state, any::<bool>(), any::<bool>()).prop_map(
        |(containment, state, is_proven, is_seen)| FixFacts {
            state,
            is_proven,
            problem: is_seen.then_some(Problem::SeenInRelease),
            ..fix(containment)
        },
    );
    prop::option::of(fix)
}

fn any_lock() -> impl Strategy<Value = LockFacts> {
    prop_oneof![
        (0_u128..9).prop_map(manual),
        (0_u128..9, any_fix()).prop_map(|(number, fix)| of_issue(number, fix)),
    ]
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let candidate = prop::sample::select(vec![
        Candidate::Known,
        Candidate::Unknown("nobody has it".to_owned()),
        Candidate::Unreadable("the disk".to_owned()),
    ]);
    let frozen = any::<bool>();
    (candidate, prop::collection::vec(any_lock(), 0..4), frozen, any::<bool>(), 0_u64..120)
        .prop_map(|(candidate, locks, is_frozen, waits_for_reports, waited)| {
            let closed = Closed { since: at(1), clears_at: None };
            let freeze = Frozen { name: "weekend".to_owned(), owner: "zoe".to_owned(), closed };
            Facts {
                candidate,
                locks,
                freezes: if is_frozen { vec![freeze] } else { Vec::new() },
                waits_for_reports,
                reports_wait: Some(Duration::from_secs(waited)),
                ..nothing()
            }
        })
}

proptest! {
    /// One more lock never makes a verdict better.
    #[test]
    fn adding_a_lock_never_clears(facts in any_facts(), more in any_lock()) {
        let rank = |verdict| match verdict {
            Kind::Clear => 0,
            Kind::Unknown => 1,
            Kind::Blocked => 2,
        };
        let before = judge(&facts);
        let mut locks = facts.locks.clone();
        locks.push(more);
        let after = judge(&Facts { locks, ..facts });
        prop_assert!(rank(after.verdict) >= rank(before.verdict));
    }

    /// It is clear only where the candidate is known and every lock is an issue's whose fix is part of
    /// it, for certain.
    #[test]
    fn clear_means_that_all_of_it_is_certain(facts in any_facts()) {
        let judgement = judge(&facts);
        prop_assert_eq!(judgement.verdict == Kind::Clear, judgement.blockers.is_empty());
        let is_certain = |lock: &LockFacts| {
            let fix = lock.issue.as_ref().and_then(|issue| issue.fix.as_ref());
            fix.is_some_and(|fix| {
                fix.answer.containment.is_contained() && fix.state != FixState::Failed
            })
        };
        if judgement.verdict == Kind::Clear {
            prop_assert_eq!(&facts.candidate, &Candidate::Known);
            prop_assert!(facts.freezes.is_empty());
            prop_assert!(facts.locks.iter().all(is_certain));
            prop_assert_eq!(judgement.cleared.len(), facts.locks.len());
        }
        // What is certain is said first.
        let uncertain: Vec<bool> =
            judgement.blockers.iter().map(|one| one.kind.is_uncertain()).collect();
        prop_assert!(uncertain.is_sorted());
    }
}
