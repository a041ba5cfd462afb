use proptest::prelude::*;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute * 60_000_000)
}

fn resolved(minute: i64) -> State {
    State { status: Status::Resolved { at: at(minute), baseline: None }, ..State::OPEN }
}

fn occurrence(minute: i64, is_trusted: bool, believes_all: bool) -> Occurrence<'static> {
    let is_enough = is_trusted || believes_all;
    Occurrence { at: at(minute), release: Some("1.2"), is_trusted, is_enough, fact: None }
}

fn seen(
    before: Option<(State, u64)>,
    minutes: &[i64],
    now: i64,
) -> (State, Vec<Verdict>, Vec<Change>) {
    let occurrences: Vec<_> =
        minutes.iter().map(|minute| occurrence(*minute, *minute % 3 != 0, false)).collect();
    let observed = observe(before, &occurrences, at(now));
    (
        observed.state,
        observed.verdicts.iter().map(|judged| judged.verdict).collect(),
        observed.changes,
    )
}

#[test]
fn a_new_fingerprint_opens_an_issue_and_the_rest_is_known() {
    let (state, verdicts, changes) = seen(None, &[1, 2, 3], 4);
    assert_eq!(state, State::OPEN);
    assert_eq!(verdicts, [Verdict::New, Verdict::Known, Verdict::Known]);
    assert_eq!(changes, [Change::Opened]);
}

#[test]
fn only_what_happened_after_the_resolution_is_a_regression() {
    let (state, verdicts, changes) = seen(Some((resolved(10), 5)), &[9, 10, 11, 12], 13);
    assert_eq!(verdicts, [Verdict::Known, Verdict::Known, Verdict::Regression, Verdict::Known]);
    assert_eq!(state, State { is_regressed: true, ..State::OPEN });
    let release = Some("1.2".to_owned());
    let reason = "it happened after the issue was resolved at 1970-01-01T00:10:00Z".to_owned();
    let event_at = at(11);
    let regressed = Change::Regressed { event_at, release, trusted: true, fix: None, reason };
    assert_eq!(changes, [regressed]);
}

#[test]
fn what_untrusted_keys_say_is_confirmed_by_the_first_trusted_event_after_the_resolution() {
    let by = |occurrences: &[(i64, bool)], believes_all: bool| {
        let occurrences: Vec<_> = occurrences
            .iter()
            .map(|(minute, is_trusted)| occurrence(*minute, *is_trusted, believes_all))
            .collect();
        let observed = observe(Some((resolved(10), 5)), &occurrences, at(50));
        (observed.state.unconfirmed_since, observed.changes)
    };
    let release = || Some("1.2".to_owned());
    let regressed = |minute, trusted| Change::Regressed {
        event_at: at(minute),
        release: release(),
        trusted,
        fix: None,
        reason: "it happened after the issue was resolved at 1970-01-01T00:10:00Z".to_owned(),
    };
    let confirmed =
        |minute| Change::RegressionConfirmed { event_at: at(minute), release: release() };
    for (occurrences, believes_all, expected) in [
        (&[(11, false), (12, false)][..], false, (Some(at(10)), vec![regressed(11, false)])),
        // A trusted event from before the resolution says nothing.
        (&[(11, false), (9, true)], false, (Some(at(10)), vec![regressed(11, false)])),
        (
            &[(11, false), (12, true), (13, true)],
            false,
            (None, vec![regressed(11, false), confirmed(12)]),
        ),
        (&[(11, true), (12, false)], false, (None, vec![regressed(11, true)])),
        (&[(11, false), (12, true)], true, (None, vec![regressed(11, false)])),
    ] {
        assert_eq!(by(occurrences, believes_all), expected, "{occurrences:?}");
    }
    // Resolving begins anew.
    let open = State { unconfirmed_since: Some(at(1)), ..State::OPEN };
    let (state, _) = open.order(Order::Resolve { baseline: None }, 1, at(20)).expect("an order");
    assert_eq!(state, resolved(20));
}

#[test]
fn a_mute_for_two_events_ends_with_the_third() {
    let (muted, _) = State::OPEN
        .order(Order::Mute { until: None, events: Some(2) }, 7, at(1))
        .expect("a valid mute");
    let (state, verdicts, changes) = seen(Some((muted, 7)), &[2, 3, 4], 5);
    assert_eq!(verdicts, [Verdict::Muted, Verdict::Muted, Verdict::Known]);
    assert_eq!(state, State::OPEN);
    assert_eq!(changes, [Change::Unmuted { ended_by: MuteEnd::Events }]);
}

#[test]
fn a_mute_ends_with_its_time_and_lasts_until_then() {
    let mute = Order::Mute { until: Some(at(10)), events: None };
    let (muted, change) = State::OPEN.order(mute, 0, at(1)).expect("a valid mute");
    assert_eq!(change, Some(Change::Muted { until: Some(at(10)), events: None }));
    assert_eq!(seen(Some((muted.clone(), 1)), &[5], 9).1, [Verdict::Muted]);
    assert_eq!(end_mute(muted.clone(), 1, at(9)), (muted.clone(), None));
    let ended = (State::OPEN, Some(Change::Unmuted { ended_by: MuteEnd::Time }));
    assert_eq!(end_mute(muted, 1, at(10)), ended);
}

#[test]
fn a_mute_without_condition_lasts() {
    let mute = Order::Mute { until: None, events: None };
    let (muted, _) = State::OPEN.order(mute, 0, at(1)).expect("a valid mute");
    assert_eq!(seen(Some((muted.clone(), 900)), &[5], 999_999).0, muted);
}

#[test]
fn asking_for_what_already_is_changes_nothing() {
    assert_eq!(
        resolved(3).order(Order::Resolve { baseline: None }, 1, at(9)),
        Ok((resolved(3), None))
    );
    assert_eq!(State::OPEN.order(Order::Reopen, 1, at(9)), Ok((State::OPEN, None)));
}

#[test]
fn orders_that_make_no_sense() {
    for (order, expected) in [
        (Order::Unmute, InvalidTransition::NotMuted),
        (Order::Mute { until: Some(at(5)), events: None }, InvalidTransition::MuteEndsInThePast),
        (Order::Mute { until: None, events: Some(0) }, InvalidTransition::MuteForNoEvents),
    ] {
        assert_eq!(State::OPEN.order(order, 1, at(5)), Err(expected));
    }
}

#[test]
fn the_survivor_of_a_merge_is_open_if_either_was() {
    assert_eq!(resolved(3).merged_with(&State::OPEN), State::OPEN);
    assert_eq!(State::OPEN.merged_with(&resolved(3)), State::OPEN);
    assert_eq!(resolved(3).merged_with(&resolved(9)), resolved(3));
}

proptest! {
    /// However a row of occurrences is cut into batches, the result is the same.
    #[test]
    fn batches_do_not_matter(
        minutes in prop::collection::vec(0i64..40, 1..20),
        cut in 0usize..20,
        start in prop::sample::select(vec![
            None,
            Some(State::OPEN),
            Some(resolved(20)),
            Some(State { status: Status::Muted { until: None, until_n_events: Some(5) }, is_regressed: true, unconfirmed_since: Some(at(7)), fix: None }),
        ]),
    ) {
        let before = start.map(|state| (state, 0));
        let whole = seen(before.clone(), &minutes, 50);
        let (first, second) = minutes.split_at(cut.min(minutes.len()));
        if !first.is_empty() {
            let (state, mut verdicts, mut changes) = seen(before, first, 50);
            let rest = seen(Some((state, first.len() as u64)), second, 50);
            verdicts.extend(rest.1);
            changes.extend(rest.2);
            prop_assert_eq!((rest.0, verdicts, changes), whole);
        }
    }
}

/// The lifecycle with a fix.
mod with_a_fix {
    use uuid::Uuid;

    use super::*;
    use crate::domain::commit::Sha;
    use crate::domain::containment::{Containment, Rule};
    use crate::domain::fix::Answer;

    fn fix(state: FixState, is_complete: bool) -> CurrentFix {
        CurrentFix { id: FixId(Uuid::from_u128(7)), state, is_complete }
    }

    fn pending() -> State {
        let fix = Some(fix(FixState::Standing, false));
        State { status: Status::PENDING, fix, ..State::OPEN }
    }

    fn facts() -> [Fact; 3] {
        [
            Fact::Has("it has it".to_owned()),
            Fact::Lacks("it lacks it".to_owned()),
            Fact::Unknown("nobody knows".to_owned()),
        ]
    }

    fn occurrences(facts: &[(i64, Option<Fact>)]) -> Vec<Occurrence<'_>> {
        facts
            .iter()
            .map(|(minute, fact)| Occurrence {
                fact: fact.as_ref(),
                ..occurrence(*minute, true, false)
            })
            .collect()
    }

    fn verdicts(observed: &Observed) -> Vec<Verdict> {
        observed.verdicts.iter().map(|judged| judged.verdict).collect()
    }

    fn answer(containment: Containment) -> Answer {
        Answer { commit: Some(Sha([1; 20])), containment, unknown: None }
    }

    fn contained() -> Answer {
        answer(Containment::Contained { commit: Sha([1; 20]), rule: Rule::Same })
    }

    fn land(state: State, answer: &Answer, completes: bool, was_there: bool) -> (State, Note) {
        let landing = Landing {
            environment: "beta",
            deploy: "1-7",
            at: at(20),
            completes,
            was_there,
            answer,
        };
        let (state, note, _) = state.land(&landing);
        (state, note)
    }

    #[test]
    fn the_build_that_reports_decides() {
        let [has, lacks, unknown] = facts();
        for (fact, verdict, status) in [
            (Some(has.clone()), Verdict::Regression, Status::Open),
            (Some(lacks), Verdict::Suppressed, Status::PENDING),
            (Some(unknown), Verdict::Undetermined, Status::PENDING),
            (None, Verdict::Undetermined, Status::PENDING),
        ] {
            let seen = [(30, fact.clone())];
            let observed = observe(Some((pending(), 3)), &occurrences(&seen), at(40));
            assert_eq!(verdicts(&observed), [verdict], "{fact:?}");
            assert_eq!(observed.state.status, status, "{fact:?}");
        }
        // Then nothing more is expected of the fix.
        let row = [(30, Some(has.clone())), (31, Some(has)), (32, None)];
        let observed = observe(Some((pending(), 3)), &occurrences(&row), at(40));
        assert_eq!(verdicts(&observed), [Verdict::Regression, Verdict::Known, Verdict::Known]);
        assert_eq!(observed.state.fix, Some(fix(FixState::Failed, false)));
        assert!(observed.rearms_locks());
    }

    #[test]
    fn untrusted_keys_alone_re_arm_no_lock() {
        let [has, ..] = facts();
        let untrusted =
            |minute| Occurrence { fact: Some(&has), ..occurrence(minute, false, false) };
        let observed = observe(Some((pending(), 3)), &[untrusted(30)], at(40));
        assert_eq!(observed.state.unconfirmed_since, Some(at(30)));
        assert!(!observed.rearms_locks());
        let trusted = occurrence(31, true, false);
        let observed = observe(Some((observed.state, 4)), &[trusted], at(40));
        assert!(observed.rearms_locks());
    }

    #[test]
    fn where_a_fix_completes_the_issue_is_done_until_it_is_taken_back() {
        let (resolved, note) = land(pending(), &contained(), true, false);
        assert_eq!(note, Note::Begins);
        assert_eq!(resolved.status, Status::Resolved { at: at(20), baseline: None });
        assert_eq!(resolved.fix, Some(fix(FixState::Standing, true)));
        assert_eq!(resolved.question(), Some(FixId(Uuid::from_u128(7))));
        // Once more changes nothing.
        assert_eq!(
            land(resolved.clone(), &contained(), true, true),
            (resolved.clone(), Note::Stays)
        );
        let reverted = answer(Containment::Reverted { commit: Sha([1; 20]), by: Sha([2; 20]) });
        let (open, note) = land(resolved.clone(), &reverted, true, true);
        assert_eq!((open.status.clone(), note), (Status::Open, Note::Ends));
        assert_eq!(open.fix, Some(fix(FixState::Reverted, false)));
        let (again, _) = land(open, &contained(), true, false);
        assert_eq!(again, resolved);
        let (back, note) = land(resolved.clone(), &answer(Containment::Absent), true, true);
        let absent = Status::FixPending { absent_since: Some(at(20)) };
        assert_eq!((back, note), (State { status: absent, ..pending() }, Note::Ends));
        // Elsewhere it is only noted.
        assert_eq!(land(pending(), &contained(), false, false), (pending(), Note::Begins));
        let unsure = answer(Containment::Unknown);
        assert_eq!(land(resolved.clone(), &unsure, true, true), (resolved, Note::Stays));
        let failed = State { fix: Some(fix(FixState::Failed, false)), ..State::OPEN };
        assert_eq!(land(failed.clone(), &contained(), true, false), (failed, Note::Stays));
    }

    #[test]
    fn a_mute_ends_with_the_fix_or_where_the_fix_is() {
        let mute = Order::Mute { until: Some(at(10)), events: None };
        let (muted, _) = pending().order(mute, 0, at(1)).expect("a mute");
        assert_eq!(end_mute(muted.clone(), 0, at(10)).0, pending());
        let (resolved, _) = land(muted.clone(), &contained(), true, false);
        assert_eq!(resolved.status, Status::Resolved { at: at(20), baseline: None });
        let done = State { fix: Some(fix(FixState::Standing, true)), ..muted };
        let (after, _) = end_mute(done, 0, at(12));
        assert_eq!(after.status, Status::Resolved { at: at(12), baseline: None });
    }

    #[test]
    fn people_about_fixes() {
        let other = FixId(Uuid::from_u128(8));
        let (tagged, _) = resolved(3).order(Order::Fix(other), 1, at(9)).expect("a fix");
        assert_eq!((tagged.status.clone(), tagged.standing()), (Status::PENDING, Some(other)));
        let (reopened, _) = tagged.clone().order(Order::Reopen, 1, at(9)).expect("an order");
        assert_eq!(reopened.status, Status::Open);
        assert_eq!(reopened.fix.map(|fix| fix.state), Some(FixState::Failed));
        let (unfixed, _) = tagged.order(Order::Unfix, 1, at(9)).expect("an order");
        assert_eq!(unfixed, State::OPEN);
        assert_eq!(State::OPEN.order(Order::Unfix, 1, at(9)), Err(InvalidTransition::NoFix));
    }

    #[test]
    fn what_is_settled_late_is_what_it_would_have_been() {
        let [has, lacks, unknown] = facts();
        let seen = [(30, Some(unknown.clone())), (31, Some(lacks)), (32, Some(has))];
        let observed = settle(pending(), &occurrences(&seen), at(40));
        assert_eq!(
            verdicts(&observed),
            [Verdict::Undetermined, Verdict::Suppressed, Verdict::Regression]
        );
        let observed = settle(State::OPEN, &occurrences(&[(30, Some(unknown))]), at(40));
        assert_eq!(verdicts(&observed), [Verdict::Known]);
    }

    fn any_containment() -> impl Strategy<Value = Containment> {
        let (commit, by) = (Sha([1; 20]), Sha([2; 20]));
        prop::sample::select(vec![
            Containment::Contained { commit, rule: Rule::Same },
            Containment::Absent,
            Containment::Reverted { commit, by },
            Containment::Conflicted { commit, by },
            Containment::Unknown,
        ])
    }

    fn any_state() -> impl Strategy<Value = State> {
        let done = Status::Resolved { at: at(10), baseline: None };
        let muted = Status::Muted { until: None, until_n_events: None };
        let with = |status: Status, fix| State { status, fix, ..State::OPEN };
        prop::sample::select(vec![
            State::OPEN,
            pending(),
            with(done.clone(), None),
            with(done, Some(fix(FixState::Standing, true))),
            with(muted.clone(), None),
            with(muted, Some(fix(FixState::Standing, false))),
            with(Status::Open, Some(fix(FixState::Failed, false))),
            with(Status::Open, Some(fix(FixState::Reverted, false))),
        ])
    }

    fn any_fact() -> impl Strategy<Value = Option<Fact>> {
        prop::option::of(prop::sample::select(facts().to_vec()))
    }

    proptest! {
        /// Of an issue with a standing fix, suppressed, undetermined and regression divide what happens
        /// until the fix fails; afterwards all is known.
        #[test]
        fn a_standing_fix_divides_the_occurrences(
            row in prop::collection::vec((0_i64..40, any_fact()), 1..20),
            is_done in any::<bool>(),
        ) {
            let start = if is_done {
                let status = Status::Resolved { at: at(10), baseline: None };
                State { status, fix: Some(fix(FixState::Standing, true)), ..State::OPEN }
            } else {
                pending()
            };
            let observed = observe(Some((start, 1)), &occurrences(&row), at(50));
            let verdicts = verdicts(&observed);
            let back = verdicts.iter().position(|one| *one == Verdict::Regression);
            let (before, after) = verdicts.split_at(back.unwrap_or(verdicts.len()));
            for (verdict, (_, fact)) in before.iter().zip(&row) {
                let expected = match fact {
                    Some(Fact::Lacks(_)) => Verdict::Suppressed,
                    Some(Fact::Unknown(_)) | None => Verdict::Undetermined,
                    Some(Fact::Has(_)) => Verdict::Regression,
                };
                prop_assert_eq!(*verdict, expected);
            }
            prop_assert!(after.iter().skip(1).all(|one| *one == Verdict::Known));
            let has_failed = observed.state.fix.map(|fix| fix.state) == Some(FixState::Failed);
            prop_assert_eq!(has_failed, back.is_some());
        }

        /// However many occurrences come, each is suppressed or not: its release decides, whatever came
        /// before, as long as the fix stands.
        #[test]
        fn the_order_of_what_is_explained_does_not_matter(
            row in prop::collection::vec((0_i64..40, any_fact()), 1..20),
        ) {
            let has_none = |one: &(i64, Option<Fact>)| !matches!(one.1, Some(Fact::Has(_)));
            let row: Vec<_> = row.into_iter().filter(has_none).collect();
            let mut turned = row.clone();
            turned.reverse();
            let observed = observe(Some((pending(), 1)), &occurrences(&row), at(50));
            let mut back = observe(Some((pending(), 1)), &occurrences(&turned), at(50));
            back.verdicts.reverse();
            prop_assert_eq!(&observed.state, &pending());
            prop_assert_eq!(observed, back);
        }

        /// The survivor of a merge is open if either was; else, with the fixes of both, its events get
        /// the verdicts of an issue that always had all those commits.
        #[test]
        fn a_merge_is_one_issue_from_the_beginning(
            mine in any_state(),
            theirs in any_state(),
            of_mine in any_containment(),
            of_theirs in any_containment(),
        ) {
            let is_open = |state: &State| state.status == Status::Open;
            let merged = mine.clone().merged_with(&theirs);
            prop_assert_eq!(is_open(&merged), is_open(&mine) || is_open(&theirs));
            prop_assert_eq!(is_open(&merged), is_open(&theirs.clone().merged_with(&mine)));
            if is_open(&merged) {
                prop_assert_eq!(merged.standing(), None);
                return Ok(());
            }
            // What a build says of all the commits is what it says of the two parts.
            let (one, other) = (answer(of_mine), answer(of_theirs));
            let both = Answer::of_all([one.clone(), other.clone()]);
            let fact = |answer: &Answer| match answer.containment {
                Containment::Contained { .. } => Fact::Has(String::new()),
                Containment::Absent | Containment::Reverted { .. } => Fact::Lacks(String::new()),
                Containment::Conflicted { .. } | Containment::Unknown => {
                    Fact::Unknown(String::new())
                }
            };
            let union = FixId(Uuid::from_u128(9));
            let (merged, _) = merged.order(Order::Fix(union), 1, at(45)).expect("a fix");
            let verdict = |state: &State, fact: Fact| {
                let seen = [(46, Some(fact))];
                let state = State { status: Status::PENDING, ..state.clone() };
                verdicts(&observe(Some((state, 1)), &occurrences(&seen), at(50)))[0]
            };
            let said = verdict(&merged, fact(&both));
            let parts = [verdict(&merged, fact(&one)), verdict(&merged, fact(&other))];
            let expected = if parts == [Verdict::Regression; 2] {
                Verdict::Regression
            } else if parts.contains(&Verdict::Suppressed) {
                Verdict::Suppressed
            } else {
                Verdict::Undetermined
            };
            prop_assert_eq!(said, expected, "{:?} and {:?}", one, other);
        }

        /// Whatever is deployed, only a build that certainly lacks the fix takes it back; after any row of
        /// deploys the issue is where the last of them that could tell put it.
        #[test]
        fn only_a_build_without_the_fix_takes_it_back(
            start in any_state(),
            row in prop::collection::vec((any_containment(), any::<bool>()), 1..12),
        ) {
            let mut state = start;
            let mut was_there = [false; 2];
            for (containment, completes) in row {
                let before = state.clone();
                let there = &mut was_there[usize::from(completes)];
                let (after, note) = land(state, &answer(containment.clone()), completes, *there);
                match note {
                    Note::Begins => *there = true,
                    Note::Ends => *there = false,
                    Note::Stays => {}
                }
                let takes_back =
                    matches!(containment, Containment::Absent | Containment::Reverted { .. });
                let is_complete = |state: &State| state.fix.is_some_and(|fix| fix.is_complete);
                if is_complete(&before) && !is_complete(&after) {
                    prop_assert!(takes_back && completes, "{:?}", containment);
                }
                if note == Note::Ends {
                    prop_assert!(takes_back, "{:?}", containment);
                }
                // A fix that failed counts nowhere, and what was named stays named.
                let fix = |state: &State| state.fix.map(|fix| fix.id);
                prop_assert_eq!(fix(&before), fix(&after));
                let has_failed =
                    |state: &State| state.fix.is_some_and(|fix| fix.state == FixState::Failed);
                prop_assert_eq!(has_failed(&before), has_failed(&after));
                // The same again changes nothing.
                let again = land(after.clone(), &answer(containment), completes, *there);
                prop_assert_eq!(again, (after.clone(), Note::Stays));
                state = after;
            }
        }
    }
}
