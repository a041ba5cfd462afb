//! Gives up what is old: a use case of the housekeeper.
//!
//! Rows of events stay for the project's retention time, and never less than
//! [`LEAST_RETENTION_DAYS`], so that a report sent twice is
//! known and verdicts can be settled later; a project that has more events than it may keeps that
//! much and no more of the older ones. Bodies are thinned out to what an issue may have. Output of deploys
//! stays for the project's retention time, their rows for ever. Everything
//! happens in small transactions with room for others in between.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::fingerprint::settings::EXTENSION;
use crate::domain::id::{IssueId, ProjectId};
use crate::domain::project::{LEAST_RETENTION_DAYS, Settings};
use crate::domain::sampling::thin;
use crate::domain::time::Timestamp;
use crate::store::project::DeletedProject;
use crate::store::{Store, StoreError, Tx};

/// Rows that one transaction deletes, at most.
const STEP_ROWS: i64 = 500;

/// Bodies that one transaction gives up, at most.
const STEP_BODIES: usize = 100;

/// Pieces of output that one transaction deletes, at most: each has up to a megabyte.
const STEP_OUTPUT: i64 = 20;

/// Issues that are looked at together.
const STEP_ISSUES: i64 = 100;

/// A batch that had begun when its project was deleted is over after this.
const LATE_FOR: Duration = Duration::from_hours(1);

/// Effects that were carried out are shown for so long.
const EFFECTS_KEPT_FOR: Duration = Duration::from_hours(7 * 24);

fn days(n: u32) -> Duration {
    Duration::from_hours(24 * u64::from(n))
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Given {
    /// Events whose rows are gone.
    pub n_events: u64,
    /// Events whose bodies alone are gone.
    pub n_bodies: u64,
}

/// Gives up what is old of all projects.
///
/// # Errors
/// [`StoreError`]; the next round goes on.
pub async fn give_up_old(store: &Store, now: Timestamp) -> Result<Given, StoreError> {
    let projects = store.read().await?.list_settings().await?;
    let mut given = Given::default();
    let mut failure = None;
    for (project, settings) in projects {
        // What cannot be done for one project is done for the others.
        let done = give_up_of(store, project, &settings, &mut given, now).await;
        failure = failure.or(done.err());
    }
    store.give_space_back().await?;
    failure.map_or(Ok(given), Err)
}

/// Clears away what belonged to projects that were deleted, and looks once more later: a batch that
/// had begun may still have been stored.
///
/// # Errors
/// [`StoreError`]; the next round goes on.
pub async fn clear_deleted(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let deleted = store.read().await?.list_deleted_projects(now).await?;
    let mut failure = None;
    for project in deleted {
        // What cannot be done for one project is done for the others.
        failure = failure.or(clear(store, project, now).await.err());
    }
    failure.map_or(Ok(()), Err)
}

async fn clear(store: &Store, project: DeletedProject, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let mut tx = store.write().await?;
        let Some(n_rows) = tx.clear_project(project.id, STEP_ROWS).await? else { return Ok(()) };
        if n_rows == 0 {
            let clear_at = (!project.was_cleared).then(|| now.plus(LATE_FOR));
            tx.project_cleared(project.id, clear_at).await?;
        }
        tx.commit().await?;
        if n_rows == 0 {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

async fn give_up_of(
    store: &Store,
    project: ProjectId,
    settings: &Settings,
    given: &mut Given,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = oldest_kept(store, project, settings, now).await?;
    given.n_events += delete(store, project, (Old::Events, before)).await?;
    delete(store, project, (Old::Releases, before)).await?;
    let output_before = now.minus(days(settings.retention_days));
    delete(store, project, (Old::Output { now }, output_before)).await?;
    delete(store, project, (Old::Effects, now.minus(EFFECTS_KEPT_FOR))).await?;
    given.n_bodies += look_at_issues(store, project, settings, before).await?;
    let mut tx = store.write().await?;
    tx.delete_unused_dictionaries(project, now).await?;
    tx.commit().await?;
    extend_overlap(store, project, now).await
}

/// Does not give up fingerprints of the grouping config before while issues are found by them.
async fn extend_overlap(
    store: &Store,
    project: ProjectId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = store.read().await?;
    let rules = tx.find_grouping_rules(project).await?;
    if !rules.is_some_and(|rules| rules.overlap_ends_soon(now)) {
        return Ok(());
    }
    let new_hashes = tx.count_new_hashes(project, now.minus(EXTENSION)).await?;
    drop(tx);
    let mut tx = store.write().await?;
    // As they are now that nobody can change them.
    let rules = tx.find_grouping_rules(project).await?;
    if let Some(rules) = rules.and_then(|rules| rules.extended(new_hashes, now)) {
        tx.upsert_grouping_rules(project, &rules, now).await?;
    }
    tx.commit().await
}

/// Events that arrived before this time are given up.
async fn oldest_kept(
    store: &Store,
    project: ProjectId,
    settings: &Settings,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let by_age = now.minus(days(settings.retention_days));
    let Some(most) = settings.most_events else { return Ok(by_age) };
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let by_count = store.read().await?.find_received_at(project, most - 1).await?;
    let by_count = by_count.unwrap_or(by_age).min(now.minus(days(LEAST_RETENTION_DAYS)));
    Ok(by_age.max(by_count))
}

/// What goes with time.
#[derive(Debug, Clone, Copy)]
enum Old {
    /// Rows of events.
    Events,
    /// Releases, with their last events, where these are all that is known of them.
    Releases,
    /// Output of deploys that ended.
    Output { now: Timestamp },
    /// Effects that were carried out.
    Effects,
}

impl Old {
    /// Deletes some of it; gives how much.
    async fn delete_some(
        self,
        tx: &mut Tx,
        project: ProjectId,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        match self {
            Self::Events => {
                let n_deleted = tx.delete_events_before(project, before, STEP_ROWS).await?;
                Ok(n_deleted as u64)
            }
            Self::Releases => tx.delete_releases_before(project, before, STEP_ROWS).await,
            Self::Output { now } => {
                tx.delete_output_before(project, (before, now), STEP_OUTPUT).await
            }
            Self::Effects => tx.delete_done_effects(project, before, STEP_ROWS).await,
        }
    }
}

/// Deletes what is older than that, in small steps; gives how much.
async fn delete(
    store: &Store,
    project: ProjectId,
    (old, before): (Old, Timestamp),
) -> Result<u64, StoreError> {
    let mut sum = 0;
    loop {
        let mut tx = store.write().await?;
        let n_deleted = old.delete_some(&mut tx, project, before).await?;
        tx.commit().await?;
        sum += n_deleted;
        if n_deleted == 0 {
            return Ok(sum);
        }
        tokio::task::yield_now().await;
    }
}

async fn look_at_issues(
    store: &Store,
    project: ProjectId,
    settings: &Settings,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let most = u64::from(settings.most_bodies_per_issue);
    let mut n_given = 0;
    let mut after = IssueId(Uuid::nil());
    loop {
        let mut tx = store.read().await?;
        let issues = tx.list_old_of_issues(project, (after, STEP_ISSUES), before.hour()).await?;
        drop(tx);
        let Some(last) = issues.last() else { return Ok(n_given) };
        after = last.id;
        for issue in issues.iter().filter(|issue| issue.has_old_counts) {
            let mut tx = store.write().await?;
            tx.delete_counts_before(project, issue.id, before.hour()).await?;
            tx.commit().await?;
        }
        for issue in issues.iter().filter(|issue| issue.n_bodies > most) {
            n_given += thin_issue(store, project, issue.id, most).await?;
        }
    }
}

async fn thin_issue(
    store: &Store,
    project: ProjectId,
    issue: IssueId,
    most: u64,
) -> Result<u64, StoreError> {
    let kept = store.read().await?.list_kept(project, issue).await?;
    let mut lost = thin(&kept, usize::try_from(most).unwrap_or(usize::MAX));
    // Two nodes that do it at once take the rows in the same order.
    lost.sort_unstable();
    for part in lost.chunks(STEP_BODIES) {
        let mut tx = store.write().await?;
        tx.drop_bodies(project, issue, part).await?;
        tx.commit().await?;
    }
    Ok(lost.len() as u64)
}
