//! What became of what a project's applications sent, and what they dropped themselves.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Bearer;
use super::extract::Query;
use super::{Api, ApiError};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;

/// Hours that are shown when nobody says otherwise.
const USUAL_HOURS: i64 = 24;

/// Hours that can be shown: 31 days.
const MOST_HOURS: i64 = 31 * 24;

/// How far to look back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OutcomesQuery {
    /// How many hours, the current one with them: 1 to 744; 24 by default.
    hours: Option<i64>,
}

/// What became of reports.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OutcomesResponse {
    /// When the first hour began.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// All hours together.
    totals: OutcomeCounts,
    /// Hours in which anything happened, oldest first.
    hours: Vec<HourResponse>,
}

/// One hour.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HourResponse {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[serde(flatten)]
    counts: OutcomeCounts,
}

/// How often what happened.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct OutcomeCounts {
    /// Events that were stored.
    accepted: u64,
    /// Events that were sent again.
    duplicate: u64,
    /// Reports that could not be understood and were set aside.
    buried: u64,
    /// Requests and parts of them that were refused, by code.
    refused: BTreeMap<String, u64>,
    /// Items that are not kept, by type.
    skipped: BTreeMap<String, u64>,
    /// What the SDKs say they dropped themselves, by category and reason.
    discarded: BTreeMap<String, BTreeMap<String, u64>>,
}

impl OutcomeCounts {
    fn add(&mut self, kind: &str, detail: &str, n: u64) {
        let by = |counts: &mut BTreeMap<String, u64>| {
            *counts.entry(detail.to_owned()).or_default() += n;
        };
        match kind {
            "accepted" => self.accepted += n,
            "duplicate" => self.duplicate += n,
            "buried" => self.buried += n,
            "refused" => by(&mut self.refused),
            "skipped" => by(&mut self.skipped),
            "discarded" => {
                let (category, reason) = detail.split_once(':').unwrap_or((detail, "other"));
                let reasons = self.discarded.entry(category.to_owned()).or_default();
                *reasons.entry(reason.to_owned()).or_default() += n;
            }
            // What quotas count is no outcome.
            _ => {}
        }
    }
}

/// What became of a project's reports by hour, what was refused, and what its SDKs dropped.
#[utoipa::path(tag = "projects", params(OutcomesQuery),
    responses((status = 200, body = OutcomesResponse), (status = 404), (status = 422)))]
#[get("/api/v1/projects/{slug}/outcomes")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    slug: Path<String>,
    query: Query<OutcomesQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let n_hours = query.0.hours.unwrap_or(USUAL_HOURS);
    if !(1..=MOST_HOURS).contains(&n_hours) {
        return Err(ApiError::invalid(format!("hours must be 1 to {MOST_HOURS}")));
    }
    let mut tx = api.store.read().await?;
    let project = bearer.project(&mut tx, &slug).await?;
    let first = api.clock.now().hour() - (n_hours - 1);
    let stored = tx.list_outcomes(project.id, first).await?;
    let mut hours: BTreeMap<i64, OutcomeCounts> = BTreeMap::new();
    let mut totals = OutcomeCounts::default();
    let mut add = |hour: i64, kind: &str, detail: &str, n: u64| {
        hours.entry(hour).or_default().add(kind, detail, n);
        totals.add(kind, detail, n);
    };
    for one in &stored {
        add(one.hour, &one.kind, &one.detail, one.n);
    }
    // What this node has counted in the last minute is not in the store yet.
    for (hour, outcome, n) in api.outcomes.pending_of(project.id, first) {
        let (kind, detail) = outcome.parts();
        add(hour, kind, detail, n);
    }
    let hour = |(hour, counts)| HourResponse { at: Timestamp::from_hour(hour), counts };
    let hours = hours.into_iter().map(hour).collect();
    let from = Timestamp::from_hour(first);
    Ok(HttpResponse::Ok().json(OutcomesResponse { from, totals, hours }))
}
