//! One request of an SDK.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use futures_util::StreamExt as _;

use super::Intake;
use super::body::{Body, BodyError, Received};
use super::cors::{preflight, with_cors};
use super::refusal::{RETRY_AFTER, Refusal, X_SENTRY_RATE_LIMITS};
use super::sender::{Sender, auth_of, authenticate, check_dsn, header, no_key, project_of};
use crate::domain::id::{EventId, ProjectId};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::protocol::auth::ClientAuth;
use crate::protocol::encoding::Encoding;
use crate::protocol::report::{Report, ReportKind, ReportMeta};
use crate::protocol::{client_report, json, skim};
use crate::spool::{AppendError, USUAL_REPORT_BYTES};

/// What an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An envelope.
    Envelope,
    /// The JSON of one event.
    Store,
}

/// Categories Airlock does not keep, told to SDKs on success so that they stop sending them.
const UNKEPT: &str = "3600:transaction;span;session;profile;profile_chunk;replay;log_item;\
trace_metric;monitor:organization:unsupported";

/// The resource of one endpoint.
pub(super) fn resource(path: &str, kind: Kind) -> Resource {
    let post = move |request: HttpRequest, payload: web::Payload, intake: web::Data<Intake>| async move {
        let response = post(&request, payload, &intake, kind).await;
        with_cors(response)
    };
    web::resource(path)
        .route(web::post().to(post))
        .route(web::method(actix_web::http::Method::OPTIONS).to(preflight))
        .default_service(web::to(|| async {
            let detail = "reports are sent with POST";
            with_cors(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail).response())
        }))
}

async fn post(
    request: &HttpRequest,
    payload: web::Payload,
    intake: &Intake,
    kind: Kind,
) -> HttpResponse {
    let mut project = ProjectId(0);
    match take(request, payload, intake, kind, &mut project).await {
        Ok(id) => {
            let body = id.map_or_else(
                || serde_json::json!({}),
                |id| serde_json::json!({ "id": id.to_string() }),
            );
            HttpResponse::Ok().insert_header((X_SENTRY_RATE_LIMITS, UNKEPT)).json(body)
        }
        Err(refusal) => {
            let hour = intake.clock.now().hour();
            tracing::debug!(code = refusal.code, detail = %refusal.detail, "refused a report");
            intake.outcomes.add(project, hour, Outcome::Refused(refusal.code.to_owned()), 1);
            refusal.response()
        }
    }
}

/// Takes one request. `counted_for` becomes the project as soon as the key is known to be its.
async fn take(
    request: &HttpRequest,
    payload: web::Payload,
    intake: &Intake,
    kind: Kind,
    counted_for: &mut ProjectId,
) -> Result<Option<EventId>, Refusal> {
    let project = project_of(request)?;
    let auth = auth_of(request)?;
    let mut sender = match &auth.key {
        Some(key) => Some(authenticate(intake, key, project).await?),
        None if kind == Kind::Envelope => None,
        None => return Err(no_key()),
    };
    note_project(sender.as_ref(), counted_for);
    let encoding = header(request, &CONTENT_ENCODING).unwrap_or_default();
    let encoding = Encoding::parse(encoding)
        .map_err(|cause| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", cause))?;
    let announced: Option<u64> =
        header(request, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if announced.is_some_and(|length| length > intake.limits.most_wire_bytes) {
        return Err(Refusal::too_large(BodyError::Wire(intake.limits.most_wire_bytes)));
    }
    // Whoever has not shown a key yet reserves little: idle strangers must not fill the spool.
    let most =
        if sender.is_some() { intake.limits.most_event_bytes as u64 } else { USUAL_REPORT_BYTES };
    let expected = announced.unwrap_or(USUAL_REPORT_BYTES).min(most);
    let room = intake
        .spool
        .admit(expected)
        .map_err(|full| Refusal::later("spool_full", &full, full.retry_after))?;
    let body = match kind {
        Kind::Envelope => Body::envelope(encoding, intake.limits),
        Kind::Store => Body::event(encoding, intake.limits),
    };
    let body = body.map_err(|cause| Refusal::later("decoder", cause, RETRY_AFTER))?;
    let read = read(payload, body, intake, project, &auth, &mut sender);
    let received =
        tokio::time::timeout(intake.limits.body_timeout, read).await.map_err(|_| {
            let detail = "the body took too long to arrive";
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
        })??;
    note_project(sender.as_ref(), counted_for);
    let sender = sender.ok_or_else(no_key)?;
    let now = intake.clock.now();
    let meta = |event_id: EventId, sent_at: Option<Timestamp>| ReportMeta {
        kind: ReportKind::SentryEvent,
        project_id: sender.project_id,
        public_key: sender.public_key.clone(),
        is_verified: sender.is_verified,
        event_id,
        received_at: now,
        sent_at,
        remote_addr: request.connection_info().realip_remote_addr().map(str::to_owned),
        client: auth.client.clone(),
    };
    let (id, reports) = match received {
        Received::Event(payload) => {
            let id = event_id_of_store(&payload)?.unwrap_or_else(|| EventId(intake.clock.id()));
            (Some(id), vec![Report { meta: meta(id, None), payload }])
        }
        Received::Envelope(envelope, fault) => {
            if let Some(fault) = fault {
                tracing::debug!(%fault, "a part of an envelope was refused");
                let outcome = Outcome::Refused("malformed_item".to_owned());
                intake.outcomes.add(*counted_for, now.hour(), outcome, 1);
            }
            for (item, n) in &envelope.skipped {
                let outcome = Outcome::Skipped(item.clone());
                intake.outcomes.add(*counted_for, now.hour(), outcome, *n);
            }
            let mut id = envelope.header.event_id;
            let mut reports = Vec::new();
            for item in envelope.items {
                if item.kind == "client_report" {
                    count_discarded(intake, *counted_for, now, &item.payload);
                    continue;
                }
                // The envelope's id is its event's. A second event is against the rules, but is
                // no reason to lose one.
                let given = if reports.is_empty() { envelope.header.event_id } else { None };
                let event_id = given
                    .or_else(|| skim::event_id(&item.payload).ok().flatten())
                    .unwrap_or_else(|| EventId(intake.clock.id()));
                id = id.or(Some(event_id));
                let meta = meta(event_id, envelope.header.sent_at);
                reports.push(Report { meta, payload: item.payload });
            }
            (id, reports)
        }
    };
    append(intake, room, &reports, sender.is_verified, now).await?;
    Ok(id)
}

fn note_project(sender: Option<&Sender>, counted_for: &mut ProjectId) {
    if let Some(sender) = sender
        && sender.is_verified
    {
        *counted_for = sender.project_id;
    }
}

async fn append(
    intake: &Intake,
    room: crate::spool::Room,
    reports: &[Report],
    is_verified: bool,
    now: Timestamp,
) -> Result<(), Refusal> {
    if reports.is_empty() {
        return Ok(());
    }
    let records: Vec<Vec<u8>> = reports.iter().map(Report::to_record).collect();
    let n_bytes: u64 = records.iter().map(|record| record.len() as u64).sum();
    if !is_verified && !intake.keys.admit_unverified(n_bytes) {
        let detail = "the key cannot be checked now and too many such reports are waiting";
        return Err(Refusal::later("unverified_full", detail, RETRY_AFTER));
    }
    let appended = intake.spool.append(room, records, now).await;
    if appended.is_err() && !is_verified {
        intake.keys.release_unverified(n_bytes);
    }
    appended.map_err(|error| match error {
        AppendError::TooLong { .. } => Refusal::too_large(error),
        AppendError::Full(full) => Refusal::later("spool_full", &full, full.retry_after),
        AppendError::Write(_) | AppendError::Closed => {
            Refusal::later("spool_failing", error, RETRY_AFTER)
        }
    })
}

fn count_discarded(intake: &Intake, project: ProjectId, now: Timestamp, payload: &[u8]) {
    if payload.len() > client_report::MOST_BYTES {
        return;
    }
    for (reason, n) in client_report::discarded(payload) {
        intake.outcomes.add(project, now.hour(), Outcome::Discarded(reason), n);
    }
}

/// Reads the body; an envelope that names its key itself is authenticated as soon as it does.
async fn read(
    mut payload: web::Payload,
    mut body: Body,
    intake: &Intake,
    project: Option<ProjectId>,
    auth: &ClientAuth,
    sender: &mut Option<Sender>,
) -> Result<Received, Refusal> {
    let mut fault = None;
    let mut is_header_checked = false;
    while let Some(bytes) = payload.next().await {
        let bytes =
            bytes.map_err(|cause| Refusal::malformed(format!("the body broke off: {cause}")))?;
        if let Err(error) = body.push(&bytes) {
            fault = Some(error);
            break;
        }
        if !is_header_checked && let Some(header) = body.header() {
            is_header_checked = true;
            let dsn = header.dsn.clone();
            check_dsn(intake, project, auth, dsn.as_deref(), sender).await?;
        }
    }
    let received = body.finish(fault).map_err(|error| {
        if error.is_size() { Refusal::too_large(error) } else { Refusal::malformed(error) }
    })?;
    if let Received::Envelope(envelope, _) = &received
        && !is_header_checked
    {
        check_dsn(intake, project, auth, envelope.header.dsn.as_deref(), sender).await?;
    }
    Ok(received)
}

fn event_id_of_store(payload: &[u8]) -> Result<Option<EventId>, Refusal> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::malformed("the body is empty"));
    }
    skim::event_id(payload).or_else(|strict| {
        // Broken text inside is digest's business; only what is no JSON object is refused.
        let event = json::parse(payload).ok();
        let event = event.as_ref().and_then(serde_json::Value::as_object);
        let event = event.ok_or_else(|| {
            Refusal::malformed(format!("the event is not a JSON object: {strict}"))
        })?;
        let id = event.get("event_id").and_then(serde_json::Value::as_str);
        Ok(id.and_then(EventId::parse))
    })
}
