//! Why two issues are not one.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Bearer;
use super::{Api, ApiError};
use crate::domain::fingerprint::compare::{Basis, Comparison, compare};
use crate::domain::id::ProjectId;
use crate::domain::issue::Issue;
use crate::domain::token::Scope;
use crate::store::event::StoredHash;
use crate::store::{StoreError, Tx};

/// Fingerprints of one issue that are compared.
const MOST_HASHES: usize = 50;

/// One side of a comparison.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Side {
    issue: String,
    title: String,
    hash: String,
    config: String,
    reason: String,
}

/// How two issues compare: their fingerprints that are nearest to each other.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CompareResponse {
    a: Side,
    b: Side,
    /// Whether they are one issue.
    same: bool,
    /// In which they differ, each in words.
    #[schema(value_type = Vec<Object>)]
    differences: serde_json::Value,
    /// How many of the hashed items both have.
    shared: usize,
}

/// Why two issues are not one: the difference of what was hashed.
#[utoipa::path(tag = "issues",
    responses((status = 200, body = CompareResponse), (status = 404), (status = 422)))]
#[get("/api/v1/issues/{a}/compare/{b}")]
pub(super) async fn show(
    api: Data<Api>,
    bearer: Bearer,
    ids: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    let mut tx = api.store.read().await?;
    let (project, a) = bearer.issue_or_survivor(&mut tx, &ids.0).await?;
    let (of_b, b) = bearer.issue_or_survivor(&mut tx, &ids.1).await?;
    if project.id != of_b.id {
        return Err(ApiError::invalid("issues of different projects are never one"));
    }
    let of_a = hashes(&mut tx, project.id, &a).await?;
    let of_b = hashes(&mut tx, project.id, &b).await?;
    let nearest = of_a
        .iter()
        .flat_map(|one| of_b.iter().map(move |other| (one, other)))
        .map(|(one, other)| (compare(&one.1, &other.1), &one.0, &other.0))
        .min_by_key(|(comparison, ..)| comparison.distance());
    let Some((Comparison { differences, n_shared }, one, other)) = nearest else {
        return Err(StoreError::Raced.into());
    };
    let side = |issue: &Issue, hash: &StoredHash| Side {
        issue: issue.short_id.to_string(),
        title: issue.title.clone(),
        hash: hash.hash.to_string(),
        config: hash.config.clone(),
        reason: hash.reason.clone(),
    };
    Ok(HttpResponse::Ok().json(CompareResponse {
        a: side(&a, one),
        b: side(&b, other),
        same: a.id == b.id,
        differences: serde_json::to_value(differences).unwrap_or_default(),
        shared: n_shared,
    }))
}

/// The latest fingerprints of an issue, with what was hashed.
async fn hashes(
    tx: &mut Tx,
    project: ProjectId,
    issue: &Issue,
) -> Result<Vec<(StoredHash, Basis)>, ApiError> {
    let hashes = tx.list_hashes(project, issue.id).await?;
    let basis = |hash: StoredHash| {
        let basis = hash.explanation.as_deref().and_then(|text| serde_json::from_str(text).ok());
        (hash, basis.unwrap_or_default())
    };
    Ok(hashes.into_iter().rev().take(MOST_HASHES).map(basis).collect())
}
