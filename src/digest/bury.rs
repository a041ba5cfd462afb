//! Reports that cannot be digested: set aside with their bytes, tried again on request.

use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::bodies::Bodies;
use super::commit;
use super::prepare::{self, Poison, Prepared};
use super::rules::Rules;
use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::outcome::Outcome;
use crate::domain::project::ProjectKey;
use crate::domain::tag_counts::KnownTags;
use crate::domain::text::bounded;
use crate::journal::MOST_RACES;
use crate::protocol::report::ReportMeta;
use crate::store::buried::Buried;
use crate::store::{Store, StoreError};

/// Raw bytes hold secrets: what is buried is forgotten after a week.
pub const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// A project's grave holds at most this many reports: a client that sends garbage must not fill the
/// store. Beyond it they are counted and logged, and their bytes are dropped.
pub const MOST_BURIED: u64 = 10_000;

/// A project's grave holds at most so many bytes.
pub const MOST_BURIED_BYTES: u64 = 64 * 1024 * 1024;

/// The longest reason, in characters.
const MOST_REASON_CHARS: usize = 500;

/// Sets reports of one project aside, in one transaction: a flood of garbage must not hold up what
/// can be understood. The same record again changes nothing.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn bury(
    store: &Store,
    clock: &Clock,
    project: ProjectId,
    poisons: &[Poison],
) -> Result<(), StoreError> {
    let now = clock.now();
    let mut tx = store.write().await?;
    // What belongs to no project has number 0, and nobody would find what is buried of a project that
    // is gone.
    if project != ProjectId(0) && tx.find_project_by_id(project).await?.is_none() {
        let outcome = Outcome::Refused("project_gone".to_owned());
        tx.add_outcome(ProjectId(0), now.hour(), &outcome, poisons.len() as u64).await?;
        return tx.commit().await;
    }
    let mut grave = tx.sum_buried_of(project).await?;
    let (mut n_buried, mut n_dropped) = (0, 0);
    for poison in poisons {
        let n_bytes = poison.record.len() as u64;
        if grave.n_reports >= MOST_BURIED || grave.n_bytes + n_bytes > MOST_BURIED_BYTES {
            n_dropped += 1;
            continue;
        }
        let buried = Buried {
            id: id_of(&poison.record),
            buried_at: now,
            reason: bounded(&poison.reason, MOST_REASON_CHARS),
            n_tries: 0,
            record: poison.record.to_vec(),
        };
        tracing::warn!(%project, id = %buried.id, reason = %buried.reason, "a report was buried");
        if tx.insert_buried(project, &buried).await? {
            n_buried += 1;
            grave.n_reports += 1;
            grave.n_bytes += n_bytes;
        }
    }
    if n_dropped > 0 {
        tracing::error!(%project, n_dropped, "the grave is full: the bytes of reports are dropped");
    }
    let dropped = Outcome::Refused("grave_full".to_owned());
    for (outcome, n) in [(Outcome::Buried, n_buried), (dropped, n_dropped)] {
        if n > 0 {
            tx.add_outcome(project, now.hour(), &outcome, n).await?;
        }
    }
    tx.commit().await
}

/// An id that the same record always has, so that replaying it buries it once.
fn id_of(record: &[u8]) -> Uuid {
    let digest = Sha256::digest(record);
    digest
        .first_chunk()
        .map_or(Uuid::nil(), |bytes| uuid::Builder::from_custom_bytes(*bytes).into_uuid())
}

/// The key of a report that was taken unverified, if it may report to its project.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn find_valid_key(
    store: &Store,
    meta: &ReportMeta,
) -> Result<Option<ProjectKey>, StoreError> {
    let key = store.read().await?.find_key(&meta.public_key).await?;
    Ok(key.filter(|key| key.is_active && key.project_id == meta.project_id))
}

/// What became of another try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It is an event now.
    Digested,
    /// It still cannot be digested; why.
    StillBuried(String),
    /// There is no such report.
    NotFound,
}

/// Tries a buried report again.
///
/// # Errors
/// [`StoreError`] of the database.
pub async fn retry(
    store: &Store,
    clock: &Clock,
    project: ProjectId,
    id: Uuid,
) -> Result<Retried, StoreError> {
    let Some(buried) = store.read().await?.find_buried(project, id).await? else {
        return Ok(Retried::NotFound);
    };
    let rules = Rules::for_project(store, project).await?;
    let mut prepared =
        prepare::prepare_all(vec![buried.record.into()], &rules, &Bodies::default()).pop();
    let mut is_allowed = true;
    if let Some(Ok(prepared)) = &mut prepared
        && !prepared.meta.is_verified
    {
        let key = find_valid_key(store, &prepared.meta).await?;
        is_allowed = key.is_some();
        prepared.meta.is_trusted = key.is_some_and(|key| key.is_trusted);
    }
    let reason = match prepared {
        Some(Ok(_)) if !is_allowed => "its key may not report".to_owned(),
        Some(Ok(prepared)) => match exhume(store, clock, project, id, prepared).await {
            Ok(()) => return Ok(Retried::Digested),
            Err(error) if !error.is_permanent() => return Err(error),
            Err(error) => error.to_string(),
        },
        Some(Err(poison)) => poison.reason,
        None => return Ok(Retried::NotFound),
    };
    let mut tx = store.write().await?;
    tx.update_buried(project, id, &bounded(&reason, MOST_REASON_CHARS)).await?;
    tx.commit().await?;
    Ok(Retried::StillBuried(reason))
}

/// The report and its grave change places in one transaction: nothing lost or doubled.
async fn exhume(
    store: &Store,
    clock: &Clock,
    project: ProjectId,
    id: Uuid,
    prepared: Prepared,
) -> Result<(), StoreError> {
    let prepared = [prepared];
    for _ in 0..MOST_RACES {
        let mut tx = store.write().await?;
        match commit::write(&mut tx, clock, project, &prepared, &mut KnownTags::default()).await {
            Ok(_) => {
                tx.delete_buried(project, id).await?;
                return tx.commit().await;
            }
            Err(StoreError::Raced) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Raced)
}
