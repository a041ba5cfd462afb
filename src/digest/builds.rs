//! What a batch asks about the builds that report it, and what follows when an error came back.

use std::collections::BTreeMap;

use super::prepare::Prepared;
use crate::domain::fingerprint::Hash;
use crate::domain::id::ProjectId;
use crate::domain::lifecycle::State;
use crate::domain::project::Project;
use crate::domain::sighting::{Sighting, is_client};
use crate::domain::tag_counts::KnownTags;
use crate::release::facts::{DEPLOYS_OF_BATCH, Facts};
use crate::store::batch::{IssueFacts, NewEvent};
use crate::store::release::SeenBetween;
use crate::store::{StoreError, Tx};

/// What must be known of the build of a report, where the state of its issue asks.
pub(super) fn sighting<'a>(report: &'a Prepared, state: &State) -> Option<Sighting<'a>> {
    Some(Sighting {
        question: state.question()?,
        is_baseline: state.standing().is_none(),
        release: report.release.as_deref(),
        environment: &report.environment,
        at: report.occurred_at,
        is_client: is_client(&report.platform),
    })
}

/// What is known of the builds that report a batch. Most issues do not ask.
pub(super) async fn load(
    tx: &mut Tx,
    project: &Project,
    prepared: &[Prepared],
    issues: &BTreeMap<Hash, IssueFacts>,
) -> Result<Facts, StoreError> {
    let asked = prepared
        .iter()
        .filter_map(|report| sighting(report, &issues.get(&report.fingerprint.hash)?.state));
    let asked: Vec<Sighting<'_>> = asked.collect();
    Facts::load(tx, project, &asked, DEPLOYS_OF_BATCH).await
}

/// Notes which releases were seen: each at most once a minute.
pub(super) async fn note_releases(
    tx: &mut Tx,
    project: ProjectId,
    events: &[NewEvent],
    known: &mut KnownTags,
) -> Result<(), StoreError> {
    let mut seen: BTreeMap<&str, SeenBetween> = BTreeMap::new();
    for event in events {
        let Some(release) = event.release.as_deref() else { continue };
        let at = event.occurred_at;
        let between = seen.entry(release).or_insert(SeenBetween { first: at, last: at });
        (between.first, between.last) = (between.first.min(at), between.last.max(at));
    }
    seen.retain(|release, between| {
        let minutes = (between.first.minute(), between.last.minute());
        let is_new = !known.has_release(project, release, minutes);
        if is_new {
            known.add_release(project, release, minutes);
        }
        is_new
    });
    tx.releases_seen(project, &seen).await
}
