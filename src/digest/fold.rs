//! A batch of one project, folded per issue: what to write, decided without the store.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::builds::sighting;
use super::prepare::Prepared;
use super::resolve::{Facts, Resolved, Resolver};
use crate::domain::event_counts::{CountKey, EventCounts};
use crate::domain::filing::{Filing, FilingRules, Occurred, Scope};
use crate::domain::id::{EventId, IssueId};
use crate::domain::issue::handled_of_both;
use crate::domain::lifecycle::{Change, Fact, Judged, Occurrence, Verdict, observe};
use crate::domain::project::Project;
use crate::domain::sighting::is_client;
use crate::domain::tag_counts::TagCounts;
use crate::domain::time::Timestamp;
use crate::release::facts::Facts as Builds;
use crate::store::batch::{IssueDelta, IssueFacts, NewEvent, NewHash};
use crate::store::similar::SimilarHash;
use crate::store::unsettled::Unsettled;

/// What a batch makes of a project.
#[derive(Debug, Default)]
pub struct Plan {
    /// Events to store, by id.
    pub events: Vec<NewEvent>,
    /// Hashes to store, by hash.
    pub hashes: Vec<NewHash>,
    /// Keys under which they are known, by key and hash.
    pub similar: Vec<SimilarHash>,
    /// Issues to write, by inner id.
    pub issues: Vec<IssuePlan>,
    /// Issues that get a hash and no event, with the revision they were read at.
    pub held: Vec<(IssueId, i64)>,
    /// New issues in the order of their first event: that of their numbers.
    pub new_issues: Vec<IssueId>,
    /// Reports that were stored before, or twice in the batch.
    pub n_duplicates: u64,
    /// Reports of issues that are discarded.
    pub n_dropped: u64,
    /// What issues learn that may have no event in the batch. Some of it may be said already.
    pub changes: Vec<(IssueId, Change)>,
    /// Issues with undetermined events, by release.
    pub unsettled: BTreeSet<Unsettled>,
}

/// What a batch makes of one issue.
#[derive(Debug)]
pub struct IssuePlan {
    /// Its row.
    pub delta: IssueDelta,
    /// How many events to add, by hour, release, environment and verdict.
    pub counts: EventCounts,
    /// Its tag values and how many events to add to each.
    pub tags: TagCounts,
    /// The users it hit, by their hashes, as far as they may be new to it.
    pub users: BTreeSet<i64>,
    /// How many users it had before.
    pub n_users: u64,
    /// What changed.
    pub changes: Vec<Change>,
    /// Whether locks that a deploy released are active again.
    pub rearms_locks: bool,
    /// Whether it is serious from now on.
    pub filing: Filing,
    /// Whether it was before.
    pub is_serious: bool,
}

/// Folds a batch.
///
/// `prepared` are the reports in spool order; `known` the ids that are stored already; `facts` what
/// is stored of their hashes; `builds` what is known of the builds that report them; `new_id` gives an
/// id for each new issue; `filing` says what makes one serious, where any is not yet.
pub fn fold(
    prepared: &[Prepared],
    known: &BTreeSet<EventId>,
    facts: &Facts,
    (builds, project, now): (&Builds, &Project, Timestamp),
    filing: Option<(&FilingRules, Scope<'_>)>,
    mut new_id: impl FnMut() -> Uuid,
) -> Plan {
    let mut plan = Plan::default();
    let mut seen = known.clone();
    let mut resolver = Resolver::new(prepared, facts);
    let by_issue: BTreeMap<IssueId, &IssueFacts> =
        facts.issues.values().map(|facts| (facts.id, facts)).collect();
    let mut groups: BTreeMap<IssueId, Vec<&Prepared>> = BTreeMap::new();
    for report in prepared {
        if !seen.insert(report.meta.event_id) {
            plan.n_duplicates += 1;
            continue;
        }
        let issue_id = resolver.issue_of(report, || {
            let issue_id = IssueId(new_id());
            plan.new_issues.push(issue_id);
            issue_id
        });
        if by_issue.get(&issue_id).is_some_and(|facts| facts.is_discarded) {
            plan.n_dropped += 1;
        } else {
            groups.entry(issue_id).or_default().push(report);
        }
    }
    let Resolved { hashes, mut similar, mut changes, offers } = resolver.into_resolved();
    similar.sort_by_key(|similar| (similar.key, similar.hash));
    plan.hashes = hashes.into_values().collect();
    let held: BTreeMap<IssueId, i64> = plan
        .hashes
        .iter()
        .filter(|hash| !groups.contains_key(&hash.issue_id))
        .filter_map(|hash| Some((hash.issue_id, by_issue.get(&hash.issue_id)?.revision)))
        .collect();
    plan.held = held.into_iter().collect();
    plan.similar = similar;
    for (issue_id, reports) in groups {
        let facts = by_issue.get(&issue_id).copied();
        let (issue, events) = fold_issue(issue_id, facts, &reports, (builds, project, now), filing);
        plan.unsettled.extend(unsettled(issue_id, &events));
        let learnt = changes.remove(&issue_id).unwrap_or_default();
        plan.issues.extend(issue.map(|mut issue| {
            // Nothing happens to an issue before it is opened.
            let at = usize::from(facts.is_none()).min(issue.changes.len());
            issue.changes.splice(at..at, learnt);
            issue
        }));
        plan.events.extend(events);
    }
    plan.events.sort_by_key(|event| event.id);
    let rest = changes.into_iter();
    plan.changes = rest.flat_map(|(id, all)| all.into_iter().map(move |one| (id, one))).collect();
    let offer = |(id, issue)| (id, Change::MergeOffered { issue });
    plan.changes.extend(offers.into_iter().map(offer));
    plan
}

/// The undetermined ones among events of an issue, by release.
fn unsettled(issue: IssueId, events: &[NewEvent]) -> impl Iterator<Item = Unsettled> {
    let undetermined = events.iter().filter(|event| event.verdict == Verdict::Undetermined);
    undetermined
        .map(move |event| Unsettled { issue, release: event.release.clone().unwrap_or_default() })
}

/// Reports as they are stored.
fn new_events(reports: &[&Prepared], verdicts: Vec<Judged>) -> Vec<NewEvent> {
    reports
        .iter()
        .zip(verdicts)
        .map(|(report, judged)| NewEvent {
            id: report.meta.event_id,
            hash: report.fingerprint.hash,
            occurred_at: report.occurred_at,
            received_at: report.meta.received_at,
            release: report.release.clone(),
            environment: report.environment.clone(),
            verdict: judged.verdict,
            reason: judged.reason,
            is_trusted: report.meta.is_trusted,
            is_client: is_client(&report.platform),
            user: report.user,
            body: report.body.clone(),
        })
        .collect()
}

/// Events as filing sees them.
fn occurred<'a>(reports: &[&Prepared], events: &'a [NewEvent]) -> Vec<Occurred<'a>> {
    let occurred = |(report, event): (&&Prepared, &'a NewEvent)| Occurred {
        level: report.level,
        handled: report.handled,
        environment: &event.environment,
        verdict: event.verdict,
    };
    reports.iter().zip(events).map(occurred).collect()
}

fn fold_issue(
    id: IssueId,
    facts: Option<&IssueFacts>,
    reports: &[&Prepared],
    (builds, project, now): (&Builds, &Project, Timestamp),
    filing: Option<(&FilingRules, Scope<'_>)>,
) -> (Option<IssuePlan>, Vec<NewEvent>) {
    let believes_all = project.settings.untrusted_keys_rearm_locks;
    let known: Vec<Option<Fact>> = reports
        .iter()
        .map(|report| {
            let sighting = sighting(report, &facts?.state)?;
            Some(builds.of(project, &sighting))
        })
        .collect();
    let occurrences: Vec<Occurrence<'_>> = reports
        .iter()
        .zip(&known)
        .map(|(report, fact)| Occurrence {
            at: report.occurred_at,
            release: report.release.as_deref(),
            is_trusted: report.meta.is_trusted,
            is_enough: report.meta.is_trusted || believes_all,
            fact: fact.as_ref(),
        })
        .collect();
    let before = facts.map(|facts| (facts.state.clone(), facts.n_events));
    let observed = observe(before, &occurrences, now);
    let rearms_locks = observed.rearms_locks();
    let events = new_events(reports, observed.verdicts);
    let by_time = |report: &&&Prepared| report.occurred_at;
    let (Some(first), Some(last)) =
        (reports.iter().min_by_key(by_time), reports.iter().max_by_key(by_time))
    else {
        return (None, events);
    };
    let n_events = reports.len() as u64;
    let n_after = facts.map_or(0, |facts| facts.n_events) + n_events;
    let filing = filing
        .filter(|_| facts.is_none_or(|facts| !facts.is_serious))
        .map_or(Filing::No, |(rules, scope)| {
            rules.judge(scope, n_after, &occurred(reports, &events))
        });
    let is_changed = facts.is_none_or(|facts| facts.state != observed.state);
    let of = |verdict| events.iter().filter(|event| event.verdict == verdict).count() as u64;
    let (n_suppressed, n_undetermined) = (of(Verdict::Suppressed), of(Verdict::Undetermined));
    let delta = IssueDelta {
        id,
        revision: facts.map(|facts| facts.revision),
        state: observed.state,
        is_state_changed: is_changed,
        n_events,
        n_suppressed,
        n_undetermined,
        n_users: 0,
        n_bodies: events.iter().filter(|event| event.body.is_some()).count() as u64,
        first_seen: first.occurred_at,
        last_seen: last.occurred_at,
        first_release: first.release.clone(),
        last_release: reports
            .iter()
            .filter(|report| report.release.is_some())
            .max_by_key(by_time)
            .and_then(|report| report.release.clone()),
        title: last.title.clone(),
        culprit: last.culprit.clone(),
        level: last.level,
        platform: last.platform.clone(),
        handled: reports
            .iter()
            .fold(None, |handled, report| handled_of_both(handled, report.handled)),
    };
    let mut plan = IssuePlan {
        delta,
        counts: EventCounts::default(),
        tags: TagCounts::new(),
        users: BTreeSet::new(),
        n_users: facts.map_or(0, |facts| facts.n_users),
        changes: observed.changes,
        rearms_locks,
        filing,
        is_serious: facts.is_some_and(|facts| facts.is_serious),
    };
    let below = facts.and_then(|facts| facts.users_below).unwrap_or(i64::MAX);
    for (report, event) in reports.iter().zip(&events) {
        plan.counts.add(CountKey {
            hour: event.occurred_at.hour(),
            release: event.release.clone().unwrap_or_default(),
            environment: event.environment.clone(),
            verdict: event.verdict,
        });
        for (tag, value) in &report.tags {
            *plan.tags.entry((tag.clone(), value.clone())).or_default() += 1;
        }
        plan.users.extend(report.user.filter(|hash| *hash < below));
    }
    (Some(plan), events)
}
