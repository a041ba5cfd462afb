//! Use cases of people on issues: resolve, mute, assign, comment, merge.
//!
//! One shape: load → decide (in `domain`) → save with activity and effects → commit. Whoever loses
//! a race decides again.

pub mod try_grouping;
pub mod unmerge;

use std::collections::BTreeSet;

use crate::clock::Clock;
use crate::domain::fingerprint::Hash;
use crate::domain::fix::{Fix, FixId, Source};
use crate::domain::id::ShortId;
use crate::domain::issue::Issue;
use crate::domain::lifecycle::{Change, InvalidTransition, Order, State, Status, end_mute};
use crate::domain::project::Project;
use crate::domain::text::bounded;
use crate::journal::{MOST_RACES, demand_task, note, note_serious, note_untold};
use crate::release::{locks, rearm};
use crate::store::fix::Kind;
use crate::store::{Store, StoreError, Tx};

/// The longest name of an assignee, in characters.
pub const MOST_ASSIGNEE_CHARS: usize = 200;

/// The longest comment, in characters.
pub const MOST_COMMENT_CHARS: usize = 10_000;

/// Why something could not be done with an issue.
#[derive(Debug, thiserror::Error)]
pub enum TriageError {
    /// There is no such issue.
    #[error("there is no such issue")]
    NotFound,
    /// The issue's state does not allow it.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    /// An issue whose events are dropped cannot be merged with one whose events count.
    #[error("{0} is discarded: reopen it first")]
    Discarded(ShortId),
    /// A hash is no other issue's to give.
    #[error("{0} is no fingerprint of this issue")]
    NotItsHash(Hash),
    /// An issue keeps one fingerprint at least.
    #[error("choose at least one fingerprint, and leave the issue one")]
    NothingLeft,
    /// An issue cannot be merged with itself.
    #[error("an issue cannot be merged into itself")]
    MergeWithItself,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person wants done with one issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Move it through its life.
    Order(Order),
    /// Give it to somebody, or to nobody.
    Assign(Option<String>),
    /// Say something.
    Comment(String),
    /// Make it a task, whatever the rules say.
    File,
    /// Drop its events from now on.
    Discard,
}

/// Does what `actor` wants with the issue of this number.
///
/// # Errors
/// [`TriageError`].
pub async fn carry_out(
    store: &Store,
    clock: &Clock,
    project: &Project,
    number: i64,
    wish: &Wish,
    actor: &str,
) -> Result<(), TriageError> {
    act((store, clock), project, number, wish, (actor, Told::OnTask)).await
}

/// Does what `actor` did on the task of the issue of this number: there it need not be said. Completing
/// it releases no lock.
///
/// # Errors
/// [`TriageError`].
pub async fn carry_out_in_tracker(
    store: &Store,
    clock: &Clock,
    project: &Project,
    number: i64,
    wish: &Wish,
    actor: &str,
) -> Result<(), TriageError> {
    act((store, clock), project, number, wish, (actor, Told::Nobody)).await
}

/// Who is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Those who read the task.
    OnTask,
    /// Nobody: it was done there.
    Nobody,
}

async fn act(
    (store, clock): (&Store, &Clock),
    project: &Project,
    number: i64,
    wish: &Wish,
    who: (&str, Told),
) -> Result<(), TriageError> {
    for _ in 0..MOST_RACES {
        let mut tx = store.write().await?;
        let issue = tx.find_issue(project, number).await?.ok_or(TriageError::NotFound)?;
        if issue.merged_into.is_some() {
            // Merged since the caller looked: the next look finds the survivor.
            return Err(StoreError::Raced.into());
        }
        let (issue, change) = decide(issue, wish, clock)?;
        let saved = match change {
            Some(change) => save(&mut tx, clock, &issue, change, who).await,
            None => Ok(()),
        };
        match saved {
            Ok(()) => {
                if matches!(wish, Wish::File) {
                    demand_task(&mut tx, clock, (project.id, issue.id)).await?;
                }
                return Ok(tx.commit().await?);
            }
            Err(StoreError::Raced) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Raced.into())
}

fn decide(
    mut issue: Issue,
    wish: &Wish,
    clock: &Clock,
) -> Result<(Issue, Option<Change>), InvalidTransition> {
    let change = match wish {
        Wish::File if issue.serious_at.is_some() => None,
        Wish::File => {
            issue.serious_at = Some(clock.now());
            Some(Change::BecameSerious { reason: "somebody wants a task".to_owned() })
        }
        Wish::Discard if issue.discarded_at.is_some() => None,
        Wish::Discard => {
            issue.discarded_at = Some(clock.now());
            Some(Change::Discarded)
        }
        Wish::Order(Order::Reopen) if issue.discarded_at.is_some() => {
            issue.discarded_at = None;
            issue.state = State::OPEN;
            Some(Change::Restored)
        }
        Wish::Order(order) => {
            let (state, change) = issue.state.order(*order, issue.n_events, clock.now())?;
            issue.state = state;
            change
        }
        Wish::Assign(to) if *to == issue.assignee => None,
        Wish::Assign(to) => {
            issue.assignee = to.as_deref().map(|name| bounded(name, MOST_ASSIGNEE_CHARS));
            Some(Change::Assigned { to: issue.assignee.clone() })
        }
        Wish::Comment(text) => Some(Change::Commented { text: bounded(text, MOST_COMMENT_CHARS) }),
    };
    Ok((issue, change))
}

async fn save(
    tx: &mut Tx,
    clock: &Clock,
    issue: &Issue,
    change: Change,
    (actor, told): (&str, Told),
) -> Result<(), StoreError> {
    if !matches!(change, Change::Commented { .. }) {
        tx.update_issue_state(issue).await?;
    }
    let (project, id) = (issue.project_id, issue.id);
    if matches!(change, Change::BecameSerious { .. })
        && tx.set_serious(project, &[id], clock.now()).await?.is_empty()
    {
        return Err(StoreError::Raced);
    }
    // With a standing fix they stay conditional. Whoever completes a task need not know of them.
    let releases = told == Told::OnTask && issue.state.standing().is_none();
    if matches!(change, Change::Resolved) && releases {
        locks::release_all_of(tx, clock, project, id, actor).await?;
    }
    if matches!(change, Change::Reopened) {
        rearm::came_back(tx, clock, (project, id), issue.state.fix, true).await?;
    }
    match told {
        Told::OnTask => note(tx, clock, project, id, change, actor).await,
        Told::Nobody => note_untold(tx, clock, project, id, change, actor).await,
    }
}

/// Merges one issue into another of the same project: its events, past and coming, are the
/// survivor's.
///
/// # Errors
/// [`TriageError`].
pub async fn merge(
    store: &Store,
    clock: &Clock,
    project: &Project,
    (merged, survivor): (i64, i64),
    actor: &str,
) -> Result<(), TriageError> {
    for _ in 0..MOST_RACES {
        let mut tx = store.write().await?;
        let (merged, survivor) = lock_both(&mut tx, project, (merged, survivor)).await?;
        if merged.discarded_at.is_some() != survivor.discarded_at.is_some() {
            let discarded = if merged.discarded_at.is_some() { merged } else { survivor };
            return Err(TriageError::Discarded(discarded.short_id));
        }
        match merge_in(&mut tx, clock, &merged, survivor, actor).await {
            Ok(()) => return Ok(tx.commit().await?),
            Err(StoreError::Raced) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Raced.into())
}

/// Finds two issues that nobody else can change or add events to until `tx` ends.
async fn lock_both(
    tx: &mut Tx,
    project: &Project,
    (merged, survivor): (i64, i64),
) -> Result<(Issue, Issue), TriageError> {
    let mut ids = BTreeSet::new();
    for number in [merged, survivor] {
        ids.insert(tx.find_issue(project, number).await?.ok_or(TriageError::NotFound)?.id);
    }
    if ids.len() < 2 {
        return Err(TriageError::MergeWithItself);
    }
    // Those that were merged before move along.
    if let Some(merged) = tx.find_issue(project, merged).await? {
        ids.extend(tx.list_merged_into(project.id, merged.id).await?);
    }
    // Digest writes issues by ascending id; the same order here cannot deadlock with it.
    for id in ids {
        tx.lock_issue(project.id, id).await?;
    }
    let merged = tx.find_issue(project, merged).await?.ok_or(TriageError::NotFound)?;
    let survivor = tx.find_issue(project, survivor).await?.ok_or(TriageError::NotFound)?;
    Ok((merged, survivor))
}

async fn merge_in(
    tx: &mut Tx,
    clock: &Clock,
    merged: &Issue,
    mut survivor: Issue,
    actor: &str,
) -> Result<(), StoreError> {
    tx.merge_issues(merged, &survivor).await?;
    let fixes = [&survivor.state, &merged.state].map(State::standing);
    survivor.state = survivor.state.merged_with(&merged.state);
    let fix = united(tx, clock, &survivor, fixes, actor).await?;
    if let Some(fix) = &fix {
        let order = survivor.state.clone().order(Order::Fix(fix.id), survivor.n_events, fix.at);
        (survivor.state, _) = order.map_err(|_| StoreError::Raced)?;
    }
    // Merging raised the revision once.
    survivor.revision += 1;
    tx.update_issue_state(&survivor).await?;
    let project = survivor.project_id;
    tx.raise_gates_of(project, &[merged.id, survivor.id]).await?;
    if merged.serious_at.is_some() {
        let reason = format!("{} is part of it", merged.short_id);
        note_serious(tx, clock, (project, survivor.id), reason, actor).await?;
    }
    if let Some(fix) = fix {
        let commits = fix.commits.iter().map(|commit| commit.sha.to_string()).collect();
        let (fix, source, problem) = (fix.id, fix.source, fix.problem);
        let change = Change::FixTagged { fix, commits, source, problem };
        note(tx, clock, project, survivor.id, change, actor).await?;
    }
    let into = Change::MergedInto { issue: survivor.short_id.to_string() };
    note(tx, clock, project, merged.id, into, actor).await?;
    let absorbed = Change::Absorbed { issue: merged.short_id.to_string() };
    note(tx, clock, project, survivor.id, absorbed, actor).await
}

/// The fix of the survivor of a merge: all commits of both, unless it is open.
async fn united(
    tx: &mut Tx,
    clock: &Clock,
    survivor: &Issue,
    fixes: [Option<FixId>; 2],
    actor: &str,
) -> Result<Option<Fix>, StoreError> {
    let project = survivor.project_id;
    if survivor.state.status == Status::Open || fixes == [None, None] {
        return Ok(None);
    }
    let mut commits = BTreeSet::new();
    let mut problem = None;
    for id in fixes.into_iter().flatten() {
        if let Some((fix, _)) = tx.find_fix(project, id).await? {
            commits.extend(fix.commits);
            problem = fix.problem.map(|one| one.worse(problem)).or(problem);
        }
    }
    let fix = Fix {
        id: FixId(clock.id()),
        issue: survivor.id,
        commits: commits.into_iter().collect(),
        by: actor.to_owned(),
        at: clock.now(),
        source: Source::Merge,
        problem,
    };
    tx.insert_fix(project, &fix, Kind::Fix, Some(fix.at)).await?;
    Ok(Some(fix))
}

/// Ends the mutes whose time is over; says how many.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn end_mutes(store: &Store, clock: &Clock) -> Result<usize, StoreError> {
    let over = store.read().await?.list_mutes_over(clock.now()).await?;
    let mut n_ended = 0;
    for (project, issue) in over {
        let mut tx = store.write().await?;
        let Some(project) = tx.find_project_by_id(project).await? else { continue };
        let Some(mut issue) = tx.find_issue_by_id(&project, issue).await? else { continue };
        let (state, change) = end_mute(issue.state, issue.n_events, clock.now());
        issue.state = state;
        let Some(change) = change else { continue };
        let who = (crate::domain::lifecycle::ACTOR, Told::OnTask);
        match save(&mut tx, clock, &issue, change, who).await {
            Ok(()) => tx.commit().await?,
            // Somebody else changed it; the next round looks again.
            Err(StoreError::Raced) => continue,
            Err(error) => return Err(error),
        }
        n_ended += 1;
    }
    Ok(n_ended)
}
