//! One batch of one project, in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;

use super::builds;
use super::fold::{self, IssuePlan, Plan};
use super::prepare::Prepared;
use super::resolve::{self, Facts};
use crate::clock::Clock;
use crate::domain::effect::{Effect, Subject};
use crate::domain::filing::{FilingRules, Scope};
use crate::domain::fingerprint::Hash;
use crate::domain::id::{EventId, IssueId, ProjectId};
use crate::domain::lifecycle::{ACTOR, Change};
use crate::domain::outcome::Outcome;
use crate::domain::project::Project;
use crate::domain::tag_counts::KnownTags;
use crate::domain::time::Timestamp;
use crate::domain::user_sketch::MOST_KEPT;
use crate::journal::{MOST_RACES, reached};
use crate::release::rearm;
use crate::store::activity::Activity;
use crate::store::outbox::NewEffect;
use crate::store::similar::SimilarHash;
use crate::store::{Store, StoreError, Tx};

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Events stored.
    pub n_accepted: u64,
    /// Events that were stored before.
    pub n_duplicates: u64,
    /// Events of issues that are discarded.
    pub n_dropped: u64,
    /// Reports of a project that is gone.
    pub n_orphans: u64,
    /// How many events the issues had before, by hash.
    pub n_before: Vec<(Hash, u64)>,
}

/// Stores reports of one project, in spool order.
///
/// # Errors
/// [`StoreError`]; nothing is stored then, save when the commit itself was cut off: then trying
/// again finds out.
pub async fn commit(
    store: &Store,
    clock: &Clock,
    project: ProjectId,
    prepared: &[Prepared],
    known_tags: &mut KnownTags,
) -> Result<Committed, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        known_tags.begin();
        let mut tx = store.write().await?;
        match write(&mut tx, clock, project, prepared, known_tags).await {
            Ok(committed) => {
                tx.commit().await?;
                known_tags.settle();
                return Ok(committed);
            }
            Err(StoreError::Raced) if tries < MOST_RACES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes reports within a transaction of the caller.
///
/// # Errors
/// As [`commit`].
pub async fn write(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    prepared: &[Prepared],
    known_tags: &mut KnownTags,
) -> Result<Committed, StoreError> {
    let now = clock.now();
    let Some(found) = tx.find_project_by_id(project).await? else {
        let n_orphans = prepared.len() as u64;
        let outcome = Outcome::Refused("project_gone".to_owned());
        tx.add_outcome(ProjectId(0), now.hour(), &outcome, n_orphans).await?;
        return Ok(Committed { n_orphans, ..Committed::default() });
    };
    let ids: Vec<EventId> = prepared.iter().map(|report| report.meta.event_id).collect();
    let known = tx.list_known_events(project, &ids).await?;
    let facts = Facts { prefix: found.prefix.clone(), ..facts_of(tx, project, prepared).await? };
    let builds = builds::load(tx, &found, prepared, &facts.issues).await?;
    let rules = filing_rules(tx, &found, prepared, &facts).await?;
    let filing = rules
        .as_ref()
        .map(|(rules, has_deploys)| (rules, Scope { project: &found, has_deploys: *has_deploys }));
    let judged = (&builds, &found, now);
    let plan = fold::fold(prepared, &known, &facts, judged, filing, || clock.id());
    let committed = Committed {
        n_accepted: plan.events.len() as u64,
        n_duplicates: plan.n_duplicates,
        n_dropped: plan.n_dropped,
        n_orphans: 0,
        n_before: facts.issues.iter().map(|(hash, facts)| (*hash, facts.n_events)).collect(),
    };
    if !plan.events.is_empty() || !plan.hashes.is_empty() {
        write_plan(tx, clock, project, plan, (now, known_tags)).await?;
    }
    for (outcome, n) in [
        (Outcome::Accepted, committed.n_accepted),
        (Outcome::Duplicate, committed.n_duplicates),
        (Outcome::Dropped, committed.n_dropped),
    ] {
        if n > 0 {
            tx.add_outcome(project, now.hour(), &outcome, n).await?;
        }
    }
    Ok(committed)
}

/// What makes issues of a batch serious, and whether the project ever deployed; `None` where all are.
async fn filing_rules(
    tx: &mut Tx,
    project: &Project,
    prepared: &[Prepared],
    facts: &Facts,
) -> Result<Option<(FilingRules, bool)>, StoreError> {
    let is_serious = |report: &Prepared| {
        facts.issues.get(&report.fingerprint.hash).is_some_and(|issue| issue.is_serious)
    };
    if prepared.iter().all(is_serious) {
        return Ok(None);
    }
    let rules = tx.find_filing_rules(project.id).await?.unwrap_or_default();
    Ok(Some((rules, tx.has_deploys(project.id).await?)))
}

/// What is stored about the hashes of a batch. Of most batches every hash is known.
async fn facts_of(
    tx: &mut Tx,
    project: ProjectId,
    prepared: &[Prepared],
) -> Result<Facts, StoreError> {
    let mut issues = tx.list_issue_facts(project, &resolve::asked(prepared)).await?;
    let keys = resolve::keys_of_new(prepared, &issues);
    if keys.is_empty() {
        return Ok(Facts { issues, ..Facts::default() });
    }
    let found = tx.list_similar(project, &keys).await?;
    let hashes: BTreeSet<Hash> = found.iter().map(|similar| similar.hash).collect();
    let candidates = tx.list_issue_facts(project, &hashes).await?;
    let ids: BTreeSet<IssueId> = candidates.values().map(|facts| facts.id).collect();
    let ids: Vec<IssueId> = ids.into_iter().collect();
    let releases = tx.list_releases_of(project, &ids).await?;
    issues.extend(candidates);
    let mut similar: BTreeMap<Hash, Vec<SimilarHash>> = BTreeMap::new();
    for found in found {
        similar.entry(found.key).or_default().push(found);
    }
    Ok(Facts { issues, similar, releases, ..Facts::default() })
}

/// The order is the same in every transaction of every node: events, hashes, issues (locked), their
/// users and counters, the numbers last.
async fn write_plan(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    mut plan: Plan,
    (now, known_tags): (Timestamp, &mut KnownTags),
) -> Result<(), StoreError> {
    tx.insert_events(project, &plan.events).await?;
    tx.insert_hashes(project, &plan.hashes, now).await?;
    tx.insert_similar(project, &plan.similar, now).await?;
    let read = plan.issues.iter().filter_map(|issue| Some((issue.delta.id, issue.delta.revision?)));
    let wanted: BTreeMap<IssueId, i64> = read.chain(plan.held).collect();
    tx.lock_issues(project, &wanted).await?;
    let users = plan.issues.iter_mut().map(|issue| (issue.delta.id, take(&mut issue.users)));
    let n_new_users = tx.insert_users(project, &users.collect()).await?;
    for issue in &mut plan.issues {
        issue.delta.n_users = n_new_users.get(&issue.delta.id).copied().unwrap_or_default();
    }
    let deltas: Vec<_> = plan.issues.iter().map(|issue| &issue.delta).collect();
    tx.write_issues(project, &deltas).await?;
    for issue in &plan.issues {
        let has_many = issue.n_users + issue.delta.n_users >= MOST_KEPT as u64;
        if has_many && issue.delta.n_users > 0 {
            tx.count_users(project, issue.delta.id).await?;
        }
    }
    let counts = plan.issues.iter_mut().map(|issue| (issue.delta.id, take(&mut issue.counts)));
    tx.add_counts(project, &counts.collect()).await?;
    tx.insert_unsettled(project, &plan.unsettled, now).await?;
    builds::note_releases(tx, project, &plan.events, known_tags).await?;
    let is_back = |issue: &&IssuePlan| issue.changes.iter().any(Change::is_regression);
    let back: Vec<IssueId> = plan.issues.iter().filter(is_back).map(|one| one.delta.id).collect();
    // Of all of them together: one after the other they would come in another order.
    tx.raise_gates_of(project, &back).await?;
    for issue in plan.issues.iter().filter(is_back) {
        let id = (project, issue.delta.id);
        rearm::came_back(tx, clock, id, issue.delta.state.fix, issue.rearms_locks).await?;
    }
    let tags = plan.issues.iter_mut().map(|issue| (issue.delta.id, take(&mut issue.tags)));
    tx.add_tags(project, &tags.collect(), known_tags).await?;
    note_serious(tx, project, &mut plan.issues, now).await?;
    let is_serious = |issue: &&IssuePlan| issue.is_serious;
    let looks: Vec<_> = plan.issues.iter().filter(is_serious).map(|one| one.delta.id).collect();
    tx.insert_looks(project, &looks, now).await?;
    write_changes(tx, clock, project, (plan.issues, plan.changes), now).await?;
    tx.number_issues(project, &plan.new_issues).await
}

/// Notes which issues are serious from now on, of those that nobody else made so meanwhile.
async fn note_serious(
    tx: &mut Tx,
    project: ProjectId,
    issues: &mut [IssuePlan],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut reasons = BTreeMap::new();
    for IssuePlan { delta, filing, .. } in issues.iter_mut() {
        let times = (delta.first_seen, delta.last_seen);
        let why = reached(tx, (project, delta.id), take(filing), times).await?;
        reasons.extend(why.map(|reason| (delta.id, reason)));
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let serious: Vec<IssueId> = reasons.keys().copied().collect();
    let set = tx.set_serious(project, &serious, now).await?;
    for IssuePlan { delta, changes, .. } in issues.iter_mut() {
        let reason = reasons.remove(&delta.id).filter(|_| set.contains(&delta.id));
        changes.extend(reason.map(|reason| Change::BecameSerious { reason }));
    }
    Ok(())
}

async fn write_changes(
    tx: &mut Tx,
    clock: &Clock,
    project: ProjectId,
    (issues, others): (Vec<IssuePlan>, Vec<(IssueId, Change)>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let (mut effects, mut activity) = (Vec::new(), Vec::new());
    let mut others = others;
    let mut said = Vec::new();
    for (issue, change) in &others {
        said.push(tx.has_change(project, *issue, change).await?);
    }
    let mut said = said.into_iter();
    others.retain(|_| !said.next().unwrap_or_default());
    let of_issues = issues.into_iter().flat_map(|IssuePlan { delta, changes, .. }| {
        changes.into_iter().map(move |change| (delta.id, change))
    });
    for (issue, change) in of_issues.chain(others) {
        let (subject, effect) = (Subject::Issue(issue), Effect::of(&change, ACTOR));
        let is_planned = |one: &NewEffect| one.subject == subject && one.effect.say.is_none();
        // Of what says nothing one is enough.
        if effect.say.is_some() || !effects.iter().any(is_planned) {
            effects.push(NewEffect { id: clock.id(), subject, effect });
        }
        let actor = ACTOR.to_owned();
        activity.push((issue, Activity { id: clock.id(), at: now, actor, change }));
    }
    tx.insert_effects(project, &effects, now).await?;
    tx.insert_activity(project, &activity).await
}
