//! What builds say of fixes: rows where it was asked before, else the history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::histories::Histories;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::build::{Build, BuildKey};
use crate::domain::commit::Sha;
use crate::domain::containment::{Containment, Deployed, Rule, SamePatch};
use crate::domain::fix::{Answer, Fix, FixCommit, FixId, Unknown};
use crate::domain::history::Reach;
use crate::domain::id::ProjectId;
use crate::domain::repository::RepositoryId;
use crate::git::patches::Looked;
use crate::store::fix::Kind;
use crate::store::patch::LookedThrough;
use crate::store::{Store, StoreError};

/// A fix or a baseline that is asked about.
#[derive(Debug, Clone)]
pub struct Question {
    /// Which.
    pub id: FixId,
    /// Which of the two.
    pub kind: Kind,
    /// Its commits.
    pub commits: Vec<FixCommit>,
}

impl Question {
    /// About a fix.
    #[must_use]
    pub fn of(fix: &Fix, kind: Kind) -> Self {
        Self { id: fix.id, kind, commits: fix.commits.clone() }
    }
}

/// So many answers of a project wait to be kept; what comes then is found again.
const MOST_UNKEPT: usize = 20_000;

/// What builds say of fixes.
type Said = BTreeMap<(FixId, BuildKey), Answer>;

/// What a build says of fixes, as known by these histories. What stays so is kept for ever.
///
/// # Errors
/// [`RepositoryError`] of the store, or of a mirror that cannot be read.
pub async fn answers(
    repositories: &Repositories,
    histories: &Histories,
    project: ProjectId,
    build: &Build,
    questions: &[Question],
) -> Result<BTreeMap<FixId, Answer>, RepositoryError> {
    let (answers, lasting) = find(repositories, histories, project, build, questions).await?;
    keep(repositories.store(), project, histories.n_replaced(), &lasting).await?;
    Ok(answers)
}

/// The same for somebody who waits: what stays so is kept in the next round of settling.
///
/// # Errors
/// As [`answers`].
pub async fn answers_at_once(
    repositories: &Repositories,
    histories: &Histories,
    project: ProjectId,
    build: &Build,
    questions: &[Question],
) -> Result<BTreeMap<FixId, Answer>, RepositoryError> {
    let (answers, lasting) = find(repositories, histories, project, build, questions).await?;
    if repositories.unkept().add((project, histories.n_replaced()), lasting) {
        repositories.hint();
    }
    Ok(answers)
}

/// Answers that were given and are to be kept, by the histories that gave them. What is lost of them is
/// found again.
#[derive(Debug, Default)]
pub struct Unkept(Mutex<BTreeMap<(ProjectId, u64), Said>>);

impl Unkept {
    /// Adds some, as far as there is room for them in a project; false when there are none.
    fn add(&self, of: (ProjectId, u64), lasting: Said) -> bool {
        if lasting.is_empty() {
            return false;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = all.entry(of).or_default();
        if waiting.len() < MOST_UNKEPT {
            waiting.extend(lasting);
        }
        true
    }
}

/// Keeps what was said to those who waited.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn keep_unkept(repositories: &Repositories) -> Result<(), StoreError> {
    let all = {
        let mut all = repositories.unkept().0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all)
    };
    for ((project, n_replaced), lasting) in all {
        keep(repositories.store(), project, n_replaced, &lasting).await?;
    }
    Ok(())
}

async fn keep(
    store: &Store,
    project: ProjectId,
    n_replaced: u64,
    lasting: &Said,
) -> Result<(), StoreError> {
    if lasting.is_empty() {
        return Ok(());
    }
    let mut tx = store.write().await?;
    tx.insert_answers(project, lasting, n_replaced).await?;
    tx.commit().await
}

/// Answers, and those of them that are new and stay so.
async fn find(
    repositories: &Repositories,
    histories: &Histories,
    project: ProjectId,
    build: &Build,
    questions: &[Question],
) -> Result<(BTreeMap<FixId, Answer>, Said), RepositoryError> {
    let key = build.key();
    let wanted = questions.iter().map(|question| (question.id, key)).collect();
    let (known, failed) = {
        let mut tx = repositories.store().read().await?;
        let known = tx.list_answers(project, &wanted).await?;
        let is_all = known.len() == wanted.len();
        let failed = if is_all { BTreeSet::new() } else { tx.list_failed_commits(project).await? };
        (known, failed)
    };
    let mut answers: BTreeMap<FixId, Answer> =
        known.into_iter().map(|((fix, _), answer)| (fix, answer)).collect();
    let open: Vec<Question> =
        questions.iter().filter(|one| !answers.contains_key(&one.id)).cloned().collect();
    if open.is_empty() {
        return Ok((answers, Said::new()));
    }
    let patches = same_patches(repositories, histories, project, &open).await?;
    let fresh = {
        let (histories, build) = (histories.clone(), build.clone());
        let asked = spawn_blocking(move || ask(&histories, &build, &open, &patches, &failed)).await;
        asked.map_err(|panic| RepositoryError::Fetch(damaged(panic)))?
    };
    let lasting = fresh
        .iter()
        .filter(|(_, answer)| answer.is_final())
        .map(|(fix, answer)| ((*fix, key), answer.clone()))
        .collect();
    answers.extend(fresh);
    Ok((answers, lasting))
}

fn damaged(panic: tokio::task::JoinError) -> crate::git::mirror::FetchError {
    crate::git::mirror::FetchError::Damaged(panic.to_string())
}

/// Commits with the same patch as those of fixes, by repository. Looked for in what is new since the
/// last time, and kept.
async fn same_patches(
    repositories: &Repositories,
    histories: &Histories,
    project: ProjectId,
    questions: &[Question],
) -> Result<BTreeMap<RepositoryId, SamePatch>, RepositoryError> {
    let mut wanted: BTreeMap<RepositoryId, BTreeSet<Sha>> = BTreeMap::new();
    let fixes = questions.iter().filter(|question| question.kind == Kind::Fix);
    for commit in fixes.flat_map(|question| &question.commits) {
        let Some(repository) = commit.repository else { continue };
        let is_known = |sha: &&Sha| histories.place(repository, sha).is_some();
        // Of submitted commits nobody has the changes.
        if histories.is_mirrored(repository) {
            let all = [&commit.sha].into_iter().chain(&commit.alternatives);
            wanted.entry(repository).or_default().extend(all.filter(is_known));
        }
    }
    let mut patches = BTreeMap::new();
    for (repository, shas) in wanted {
        let Some(snapshot) = histories.snapshot(repository) else { continue };
        let history = &snapshot.commits.history;
        let rows = repositories.store().read().await?.list_looked(project, repository).await?;
        let known: BTreeMap<Sha, Looked> = rows
            .into_iter()
            .filter_map(|(sha, row)| {
                // Elsewhere the same commits may stand in another order.
                let until = usize::try_from(row.n_looked).ok()?;
                let last = history.places_from(until.checked_sub(1)?).next()?;
                let is_same = history.sha(last) == row.last_looked;
                let same = serde_json::from_str(&row.same).ok()?;
                is_same.then_some((sha, Looked { until, same }))
            })
            .collect();
        let looked = repositories.same_patches(repository, snapshot, shas, known.clone()).await?;
        let fresh: BTreeMap<Sha, LookedThrough> = looked
            .iter()
            .filter(|(sha, looked)| known.get(sha) != Some(looked))
            .filter_map(|(sha, looked)| {
                let last = history.places_from(looked.until.checked_sub(1)?).next()?;
                let row = LookedThrough {
                    n_looked: looked.until as u64,
                    last_looked: history.sha(last),
                    same: serde_json::to_string(&looked.same).ok()?,
                };
                Some((*sha, row))
            })
            .collect();
        if !fresh.is_empty() {
            let mut tx = repositories.store().write().await?;
            tx.upsert_looked(project, repository, &fresh).await?;
            tx.commit().await?;
        }
        let same = looked.into_iter().map(|(sha, looked)| (sha, looked.same));
        patches.insert(repository, same.filter(|(_, same)| !same.is_empty()).collect());
    }
    Ok(patches)
}

/// One build and all fixes, in one pass over each history.
fn ask(
    histories: &Histories,
    build: &Build,
    questions: &[Question],
    patches: &BTreeMap<RepositoryId, SamePatch>,
    failed: &BTreeSet<Sha>,
) -> BTreeMap<FixId, Answer> {
    let nothing = SamePatch::new();
    let mut deployed = BTreeMap::new();
    for (repository, sha) in &build.0 {
        let Some(history) = histories.history(*repository) else { continue };
        let Some(tip) = history.find(sha) else { continue };
        if histories.is_listed(*repository, sha) {
            continue;
        }
        let same = patches.get(repository).unwrap_or(&nothing);
        deployed.insert(*repository, Deployed::new(history, tip, same, failed));
    }
    let answer = |question: &Question| match question.kind {
        Kind::Fix => {
            let each = question
                .commits
                .iter()
                .map(|commit| answer_of(histories, build, &deployed, commit));
            Answer::of_all(each)
        }
        Kind::Baseline => newer(histories, build, &question.commits),
    };
    questions.iter().map(|question| (question.id, answer(question))).collect()
}

fn answer_of(
    histories: &Histories,
    build: &Build,
    deployed: &BTreeMap<RepositoryId, Deployed<'_>>,
    commit: &FixCommit,
) -> Answer {
    let unknown = |why| Answer::unknown(Some(commit.sha), why);
    let Some(repository) = commit.repository else { return unknown(Unknown::FixNotPushed) };
    let Some(sha) = build.0.get(&repository) else {
        return unknown(Unknown::RepositoryMissing);
    };
    let Some(deployed) = deployed.get(&repository) else {
        let is_listed = histories.is_listed(repository, sha);
        return unknown(if is_listed { Unknown::BuildListed } else { Unknown::BuildNotPushed });
    };
    let said = |containment| Answer { commit: Some(commit.sha), containment, unknown: None };
    let is_known = |sha: &Sha| histories.place(repository, sha).is_some();
    let is_pushed = is_known(&commit.sha);
    if !is_pushed && !commit.alternatives.iter().any(is_known) {
        return unknown(Unknown::FixNotPushed);
    }
    let containment = deployed.contains(&commit.sha, &commit.alternatives);
    if containment == Containment::Absent && !is_pushed {
        return unknown(Unknown::FixNotPushed);
    }
    said(containment)
}

/// Whether a build is newer than a baseline: some commit of it is not part of that.
fn newer(histories: &Histories, build: &Build, baseline: &[FixCommit]) -> Answer {
    let mut is_unknown = false;
    for (repository, sha) in &build.0 {
        let bases = baseline.iter().filter(|one| one.repository == Some(*repository));
        let reach = |base: &FixCommit| {
            let history = histories.history(*repository)?;
            if histories.is_listed(*repository, sha) {
                return None;
            }
            let (it, base) = (history.find(sha)?, history.find(&base.sha)?);
            // What descends from the baseline is newer, wherever the history is cut.
            let is_later = it != base && history.reach(base, it) == Reach::Yes;
            Some(if is_later { Reach::No } else { history.reach(it, base) })
        };
        let reached: Vec<Reach> = bases.map(|base| reach(base).unwrap_or(Reach::Unknown)).collect();
        // It is enough to be part of what one environment has.
        if reached.contains(&Reach::Yes) {
            continue;
        }
        if reached.is_empty() || reached.contains(&Reach::Unknown) {
            is_unknown = true;
            continue;
        }
        let containment = Containment::Contained { commit: *sha, rule: Rule::Same };
        return Answer { commit: Some(*sha), containment, unknown: None };
    }
    let containment = if is_unknown { Containment::Unknown } else { Containment::Absent };
    Answer { commit: None, containment, unknown: None }
}
