//! What the service says of itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

use super::auth::Bearer;
use super::{Api, ApiError};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::health::{PartHealth, PartState};
use crate::spool;
use crate::store::{StoreError, Tx};

/// Reports that wait longer than this make digest `degraded`.
const SLOW_SECONDS: u64 = 60;

/// The store gets this long to answer.
const STORE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusResponse {
    /// By name: intake, spool, digest, store, git, settling, outbox, and trackers by their kinds.
    parts: BTreeMap<&'static str, PartResponse>,
    /// Events stored in the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_24h: Option<u64>,
    /// Requests and items refused in the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_24h: Option<u64>,
    /// Reports set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    buried: Option<u64>,
    /// What SDKs say they dropped themselves in the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    discarded_by_clients_24h: Option<u64>,
}

/// How one part is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartResponse {
    /// `ok`, `degraded` or `down`.
    #[schema(value_type = String)]
    state: PartState,
    #[serde(flatten)]
    detail: Option<PartDetail>,
}

/// What only a token sees of a part.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartDetail {
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    backlog: Option<u64>,
    oldest_age_seconds: Option<u64>,
    last_error: Option<String>,
}

/// Lives: 200 as long as the process does.
#[utoipa::path(tag = "status", responses((status = 200)))]
#[get("/healthz")]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Ready: 200 when reports can be accepted; the store may be away.
#[utoipa::path(tag = "status", responses((status = 200), (status = 503)))]
#[get("/readyz")]
pub(super) async fn readyz(api: Data<Api>) -> HttpResponse {
    match api.spool.admit(spool::USUAL_REPORT_BYTES) {
        Ok(_) => HttpResponse::Ok().content_type("text/plain").body("ready\n"),
        Err(full) => {
            HttpResponse::ServiceUnavailable().content_type("text/plain").body(format!("{full}\n"))
        }
    }
}

/// The metrics, as Prometheus reads them.
#[utoipa::path(tag = "status", responses((status = 200, content_type = "text/plain")))]
#[get("/metrics")]
pub(super) async fn metrics(api: Data<Api>, bearer: Bearer) -> Result<HttpResponse, ApiError> {
    bearer.require_everywhere(Scope::Read)?;
    let spool = api.spool.status();
    gauge("airlock_spool_backlog_records", spool.backlog_records);
    gauge("airlock_spool_backlog_bytes", spool.backlog_bytes);
    gauge("airlock_spool_used_bytes", spool.used_bytes);
    gauge("airlock_spool_skipped_records", spool.skipped_records);
    gauge("airlock_spool_syncs", spool.n_syncs);
    let effects = effects(&api, api.clock.now()).await;
    for (name, count) in [
        ("airlock_outbox_backlog_effects", effects.map(|effects| effects.waiting.backlog)),
        (
            "airlock_outbox_oldest_seconds",
            effects.map(|effects| effects.waiting.oldest_age_seconds),
        ),
        ("airlock_outbox_parked_effects", effects.map(|effects| effects.n_parked)),
    ] {
        match count {
            Some(count) => gauge(name, count),
            // Nobody knows.
            None => ::metrics::gauge!(name).set(f64::NAN),
        }
    }
    let text = api.metrics.render();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text))
}

fn gauge(name: &'static str, value: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; 2^53 bytes are enough")]
    ::metrics::gauge!(name).set(value as f64);
}

/// The description of this API.
#[utoipa::path(tag = "status", responses((status = 200)))]
#[get("/openapi.json")]
pub(super) async fn openapi(
    document: Data<OpenApi>,
    bearer: Bearer,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Read)?;
    Ok(HttpResponse::Ok().json(document.get_ref()))
}

/// How the service is. Without a token, or with one that is bound to projects, only the states.
#[utoipa::path(tag = "status", responses((status = 200, body = StatusResponse)))]
#[get("/status.json")]
pub(super) async fn status_json(api: Data<Api>, bearer: Option<Bearer>) -> HttpResponse {
    HttpResponse::Ok().json(collect(&api, sees_all(bearer)).await)
}

/// The same as text for people.
#[utoipa::path(tag = "status", responses((status = 200, content_type = "text/plain")))]
#[get("/status")]
pub(super) async fn status(api: Data<Api>, bearer: Option<Bearer>) -> HttpResponse {
    let status = collect(&api, sees_all(bearer)).await;
    let mut text = String::new();
    for (name, part) in &status.parts {
        let state = match part.state {
            PartState::Ok => "ok",
            PartState::Degraded => "degraded",
            PartState::Down => "down",
        };
        // Writing into a text cannot fail.
        let _ = write!(text, "{name:8} {state}");
        if let Some(error) = part.detail.as_ref().and_then(|detail| detail.last_error.as_deref()) {
            let _ = write!(text, "  last error: {error}");
        }
        text.push('\n');
    }
    for (name, count) in [
        ("accepted in 24 h", status.accepted_24h),
        ("refused in 24 h", status.refused_24h),
        ("dropped by clients in 24 h", status.discarded_by_clients_24h),
        ("buried", status.buried),
    ] {
        if let Some(count) = count {
            let _ = writeln!(text, "{count} {name}");
        }
    }
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text)
}

/// The numbers are those of the whole installation.
fn sees_all(bearer: Option<Bearer>) -> bool {
    bearer.is_some_and(|bearer| bearer.require_everywhere(Scope::Read).is_ok())
}

async fn collect(api: &Api, is_trusted: bool) -> StatusResponse {
    let now = api.clock.now();
    let (spool, waiting) = spool_part(api, now);
    let digest = digest_part(api, waiting);
    let counts = if is_trusted { counts(api, now).await } else { None };
    let mut store = api.store_health.get();
    if is_trusted && counts.is_none() {
        store.state = PartState::Down;
    } else if counts.is_some() {
        store.state = PartState::Ok;
    }
    let full = api.spool.admit(spool::USUAL_REPORT_BYTES).err();
    let intake = PartHealth {
        state: if full.is_none() { PartState::Ok } else { PartState::Down },
        since: spool.since,
        last_error: full.map(|full| full.to_string()),
    };
    let part = |health: PartHealth, waiting: Option<Waiting>| PartResponse {
        state: health.state,
        detail: is_trusted.then(|| PartDetail {
            since: health.since,
            backlog: waiting.map(|waiting| waiting.backlog),
            oldest_age_seconds: waiting.map(|waiting| waiting.oldest_age_seconds),
            last_error: health.last_error,
        }),
    };
    let parts = [
        ("intake", part(intake, None)),
        ("spool", part(spool, Some(waiting))),
        ("digest", part(digest, Some(waiting))),
        ("store", part(store, None)),
        ("git", part(api.git_health.get(), None)),
        ("settling", part(api.settling_health.get(), None)),
        ("outbox", part(outbox_part(api, counts), counts.map(|counts| counts.effects.waiting))),
    ];
    let mut parts: BTreeMap<_, _> = parts.into();
    // Those that are used, by their kinds.
    parts
        .extend(api.trackers.health().into_iter().map(|(kind, health)| (kind, part(health, None))));
    StatusResponse {
        parts,
        accepted_24h: counts.map(|counts| counts.accepted),
        refused_24h: counts.map(|counts| counts.refused),
        buried: counts.map(|counts| counts.buried),
        discarded_by_clients_24h: counts.map(|counts| counts.discarded),
    }
}

/// What waits between intake and digest.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    backlog: u64,
    oldest_age_seconds: u64,
}

fn spool_part(api: &Api, now: Timestamp) -> (PartHealth, Waiting) {
    let spool = api.spool.status();
    let oldest_age_seconds = spool.oldest.map_or(0, |oldest| now.since(oldest).as_secs());
    let waiting = Waiting { backlog: spool.backlog_records, oldest_age_seconds };
    let state = match spool.state {
        spool::State::Ok if spool.skipped_records > 0 => PartState::Degraded,
        spool::State::Ok => PartState::Ok,
        spool::State::Degraded => PartState::Degraded,
        spool::State::Down => PartState::Down,
    };
    let lost = (spool.skipped_records > 0)
        .then(|| format!("{} damaged records were skipped", spool.skipped_records));
    match spool.last_error.or(lost) {
        None => api.spool_health.ok(now),
        Some(error) => api.spool_health.failed(state, error, now),
    }
    (api.spool_health.get(), waiting)
}

/// What is on its way outside; degraded when something is parked or waits for long.
fn outbox_part(api: &Api, counts: Option<Counts>) -> PartHealth {
    let mut outbox = api.outbox_health.get();
    let Some(counts) = counts else { return outbox };
    let Effects { waiting, n_parked } = counts.effects;
    if outbox.state == PartState::Ok && (n_parked > 0 || waiting.oldest_age_seconds > SLOW_SECONDS)
    {
        outbox.state = PartState::Degraded;
        outbox.last_error = Some(if n_parked > 0 {
            format!("{n_parked} effects are parked: `GET /api/v1/outbox?state=parked` says why")
        } else {
            format!("effects wait for {} s", waiting.oldest_age_seconds)
        });
    }
    outbox
}

fn digest_part(api: &Api, waiting: Waiting) -> PartHealth {
    let mut digest = api.digest_health.get();
    if digest.state == PartState::Ok && waiting.oldest_age_seconds > SLOW_SECONDS {
        digest.state = PartState::Degraded;
        digest.last_error = Some(format!("reports wait for {} s", waiting.oldest_age_seconds));
    }
    digest
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    accepted: u64,
    refused: u64,
    buried: u64,
    discarded: u64,
    effects: Effects,
}

/// What is to happen outside.
#[derive(Debug, Clone, Copy)]
struct Effects {
    waiting: Waiting,
    n_parked: u64,
}

/// What is to happen outside; `None` when the store does not answer.
async fn effects(api: &Api, now: Timestamp) -> Option<Effects> {
    let load = async { effects_in(&mut api.store.read().await?, now).await };
    tokio::time::timeout(STORE_PATIENCE, load).await.ok()?.ok()
}

async fn effects_in(tx: &mut Tx, now: Timestamp) -> Result<Effects, StoreError> {
    let (backlog, oldest) = tx.count_open_effects().await?;
    let oldest_age_seconds = oldest.map_or(0, |oldest| now.since(oldest).as_secs());
    let waiting = Waiting { backlog, oldest_age_seconds };
    Ok(Effects { waiting, n_parked: tx.count_parked_effects().await? })
}

/// What the store counted, and what is not in it yet; `None` when it does not answer.
async fn counts(api: &Api, now: Timestamp) -> Option<Counts> {
    let first_hour = now.hour() - 23;
    let load = async {
        let mut tx = api.store.read().await?;
        let sums = tx.sum_outcomes(first_hour).await?;
        let buried = tx.count_buried().await?;
        let effects = effects_in(&mut tx, now).await?;
        Ok::<_, StoreError>((sums, buried, effects))
    };
    let (sums, buried, effects) = tokio::time::timeout(STORE_PATIENCE, load).await.ok()?.ok()?;
    let (refused, discarded) = api.outcomes.pending(first_hour);
    Some(Counts {
        accepted: sums.accepted,
        refused: sums.refused + refused,
        buried,
        discarded: sums.discarded + discarded,
        effects,
    })
}
