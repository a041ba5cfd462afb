//! One request of a client: authenticate, admit, read, append, answer.

use std::time::Instant;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use futures_util::StreamExt as _;

use super::Intake;
use super::body::{Body, BodyError, Received};
use super::cors::{preflight, with_cors};
use super::dialect::Dialect;
use super::memory::{FREE_BYTES, Held};
use super::policy::{check_origin, give_back, within_limits};
use super::refusal::{RETRY_AFTER, Refusal};
use super::reports::reports;
use super::sender::{Sender, auth_of, authenticate, check_dsn, header, no_key, project_of};
use crate::domain::id::{EventId, ProjectId};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::protocol::auth::ClientAuth;
use crate::protocol::encoding::Encoding;
use crate::protocol::hoptoad;
use crate::protocol::report::{Report, ReportKind};
use crate::spool::{AppendError, Full, Room, USUAL_REPORT_BYTES};

/// What an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Sentry envelope.
    Envelope,
    /// The JSON of one Sentry event.
    Store,
    /// The JSON of one Airbrake notice.
    Notice,
    /// The XML of one, which is version 2; it names its key itself.
    XmlNotice,
    /// Reports of browsers: one, or a list.
    Security,
}

impl Kind {
    /// How its clients want to be answered.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Envelope | Self::Store | Self::Security => Dialect::Sentry,
            Self::Notice => Dialect::Airbrake,
            Self::XmlNotice => Dialect::Hoptoad,
        }
    }

    /// Whether the body may be what names the key.
    fn names_key_in_body(self) -> bool {
        match self {
            Self::Envelope | Self::XmlNotice => true,
            Self::Store | Self::Notice | Self::Security => false,
        }
    }
}

/// The resource of one endpoint.
pub(super) fn resource(path: &str, kind: Kind) -> Resource {
    let post = move |request: HttpRequest, payload: web::Payload, intake: web::Data<Intake>| async move {
        with_cors(post(&request, payload, &intake, kind).await)
    };
    let other = move |request: HttpRequest| async move {
        let detail = "reports are sent with POST";
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail);
        with_cors(kind.dialect().refuse(&refusal, &request))
    };
    web::resource(path)
        .route(web::post().to(post))
        .route(web::method(Method::OPTIONS).to(|request| preflight(request, "POST, OPTIONS")))
        .default_service(web::to(other))
}

async fn post(
    request: &HttpRequest,
    payload: web::Payload,
    intake: &Intake,
    kind: Kind,
) -> HttpResponse {
    let mut call = Call::new(intake, request, kind);
    match call.take(payload).await {
        Ok(id) => kind.dialect().accept(&call, id),
        Err(refusal) => call.refuse(&refusal),
    }
}

/// One request while it is taken.
pub(super) struct Call<'a> {
    pub(super) intake: &'a Intake,
    pub(super) request: &'a HttpRequest,
    pub(super) kind: Kind,
    /// The project in the address, where it has a place for one.
    pub(super) project: Option<ProjectId>,
    /// What the request says of its sender outside the body.
    pub(super) auth: ClientAuth,
    /// Who sends it, as soon as that is known.
    pub(super) sender: Option<Sender>,
}

impl<'a> Call<'a> {
    pub(super) fn new(intake: &'a Intake, request: &'a HttpRequest, kind: Kind) -> Self {
        let auth = ClientAuth::default();
        Self { intake, request, kind, project: None, auth, sender: None }
    }

    /// Counts what became of something; for a project only once the key is known to be its.
    pub(super) fn count(&self, outcome: Outcome, n: u64) {
        let verified = self.sender.as_ref().filter(|sender| sender.is_verified);
        let project = verified.map_or(ProjectId(0), |sender| sender.project_id);
        self.intake.outcomes.add(project, self.intake.clock.now().hour(), outcome, n);
    }

    /// Counts a refusal, and says it.
    pub(super) fn refuse(&self, refusal: &Refusal) -> HttpResponse {
        // The detail may quote the client: it is in the answer and not in the log.
        tracing::debug!(code = refusal.code, "refused a request");
        self.count(Outcome::Refused(refusal.code.to_owned()), 1);
        self.kind.dialect().refuse(refusal, self.request)
    }

    /// Finds out who sends the request, from everything but its body.
    pub(super) async fn identify(&mut self) -> Result<(), Refusal> {
        self.project = project_of(self.request)?;
        self.auth = auth_of(self.request, self.kind.dialect())?;
        self.sender = match &self.auth.key {
            Some(key) => Some(authenticate(self.intake, key, self.project).await?),
            None if self.kind.names_key_in_body() => None,
            None => return Err(no_key(self.kind.dialect())),
        };
        Ok(())
    }

    /// Takes the request; the id of its event, if it has one.
    async fn take(&mut self, payload: web::Payload) -> Result<Option<EventId>, Refusal> {
        self.identify().await?;
        if let Some(sender) = &self.sender {
            check_origin(self.request, sender)?;
        }
        let body = self.body()?;
        let mut room = self.admit()?;
        // Until the report is on disk.
        let mut held = self.intake.memory.hold();
        let received = self.read(payload, body, &mut room, &mut held).await?;
        let now = self.intake.clock.now();
        let sender = self.sender.as_ref().ok_or_else(|| no_key(self.kind.dialect()))?;
        // An envelope may have named its key itself.
        check_origin(self.request, sender)?;
        let (id, reports) = reports(self, sender, received, now).await?;
        let (reports, limited) = within_limits(self.intake, sender, reports, now);
        let kinds: Vec<ReportKind> = reports.iter().map(|report| report.meta.kind).collect();
        if let Err(refusal) = append(self.intake, room, reports, sender.is_verified, now).await {
            give_back(self.intake, sender, &kinds, now);
            return Err(refusal);
        }
        limited.map_or(Ok(id), Err)
    }

    /// What reads the body.
    fn body(&self) -> Result<Body, Refusal> {
        let encoding = header(self.request, &CONTENT_ENCODING).unwrap_or_default();
        let encoding = Encoding::parse(encoding)
            .map_err(|cause| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", cause))?;
        let body = match self.kind {
            Kind::Envelope => Body::envelope(encoding, self.intake.limits),
            Kind::Store | Kind::Notice | Kind::XmlNotice | Kind::Security => {
                Body::event(encoding, self.intake.limits)
            }
        };
        body.map_err(|cause| Refusal::later("decoder", cause, RETRY_AFTER))
    }

    /// Looks for room in the spool, before the body is read.
    fn admit(&self) -> Result<Room, Refusal> {
        let limits = &self.intake.limits;
        let announced = self.announced();
        if announced.is_some_and(|length| length > limits.most_wire_bytes) {
            return Err(Refusal::too_large(BodyError::Wire(limits.most_wire_bytes)));
        }
        let most = limits.most_event_bytes as u64;
        let expected = announced.unwrap_or(USUAL_REPORT_BYTES).min(most);
        self.intake.spool.expect(expected).map_err(|full| spool_full(&full))
    }

    /// Reads the body; one that names its key itself is authenticated as soon as it does. The room
    /// in the spool follows what arrives.
    async fn read(
        &mut self,
        mut payload: web::Payload,
        mut body: Body,
        room: &mut Room,
        held: &mut Held,
    ) -> Result<Received, Refusal> {
        let began = Instant::now();
        let mut fault = None;
        let mut is_checked = false;
        let mut refusal = None;
        loop {
            let bytes = match next(&mut payload, self.intake, began, body.n_wire()).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(broken) => {
                    refusal = Some(broken);
                    break;
                }
            };
            let memory = &self.intake.memory;
            let turn = if body.is_wide() { Some(memory.turn_to_decode().await) } else { None };
            fault = decode(&mut body, &bytes, held).await.err();
            if fault.is_some() {
                break;
            }
            // Until the client has sent more; nothing is left of it when the body is whole.
            let window_bytes = body.window_bytes();
            if !held.follow(body.n_allocated() + window_bytes) {
                body.keep_at_most(held.n_sure());
                // What has come can be cut, but the decoder's window cannot.
                if window_bytes > FREE_BYTES as u64 {
                    body.stop_decoding();
                    refusal = Some(crowded());
                }
            }
            drop(turn);
            if !is_checked {
                is_checked = self.check_key_of(&mut body).await?;
            }
            if refusal.is_some() {
                break;
            }
            if let Err(full) = room.follow(body.n_held()) {
                refusal = Some(spool_full(&full));
                break;
            }
        }
        // What arrived whole is kept, however the rest ended.
        if let Some(refusal) = refusal {
            return match body.finish(Some(BodyError::BrokenOff)) {
                Ok(received) if is_checked => Ok(received),
                Ok(_) | Err(_) => Err(refusal),
            };
        }
        let mut received = body.finish(fault).map_err(|error| {
            if error.is_size() { Refusal::too_large(error) } else { Refusal::malformed(error) }
        })?;
        if !held.follow(received.n_allocated()) {
            received.keep_at_most(held.n_sure());
        }
        if let Received::Envelope(envelope, _) = &received
            && !is_checked
        {
            check_dsn(self, envelope.header.dsn.as_deref()).await?;
        }
        Ok(received)
    }

    /// The length that the request announces.
    fn announced(&self) -> Option<u64> {
        header(self.request, &CONTENT_LENGTH).and_then(|length| length.parse().ok())
    }

    /// Checks the key that the body names, if it has come so far; whether it has.
    async fn check_key_of(&mut self, body: &mut Body) -> Result<bool, Refusal> {
        match self.kind {
            Kind::Envelope => {
                let Some(header) = body.header() else { return Ok(false) };
                let dsn = header.dsn.clone();
                check_dsn(self, dsn.as_deref()).await?;
                Ok(true)
            }
            Kind::XmlNotice if self.sender.is_none() => {
                let beginning = body.beginning();
                let Some(key) = hoptoad::key_in(beginning) else {
                    let is_late = beginning.len() >= hoptoad::MOST_BYTES_BEFORE_KEY;
                    return if is_late { Err(no_key(Dialect::Hoptoad)) } else { Ok(false) };
                };
                self.sender = Some(authenticate(self.intake, key, self.project).await?);
                Ok(true)
            }
            Kind::Store | Kind::Notice | Kind::XmlNotice | Kind::Security => Ok(true),
        }
    }
}

/// Decodes what has come, and holds of it what there is memory for; between steps others get their
/// turn on the thread.
async fn decode(body: &mut Body, mut bytes: &[u8], held: &mut Held) -> Result<(), BodyError> {
    while body.step(&mut bytes)? {
        if !held.follow(body.n_allocated()) {
            body.keep_at_most(held.n_sure());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The next bytes of a body, for which nobody waits for ever.
async fn next(
    payload: &mut web::Payload,
    intake: &Intake,
    began: Instant,
    n_wire: u64,
) -> Result<Option<web::Bytes>, Refusal> {
    let too_slow = || {
        let detail = "the body took too long to arrive";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
    };
    let patience = intake.limits.patience(began.elapsed(), n_wire).ok_or_else(too_slow)?;
    let next = tokio::time::timeout(patience, payload.next()).await.map_err(|_| too_slow())?;
    next.transpose().map_err(|cause| Refusal::malformed(format!("the body broke off: {cause}")))
}

/// There is no memory for a body that cannot be cut.
pub(super) fn crowded() -> Refusal {
    let detail = "too many large reports arrive at once: send it later";
    Refusal::later("crowded", detail, RETRY_AFTER)
}

fn spool_full(full: &Full) -> Refusal {
    Refusal::later("spool_full", full, full.retry_after)
}

async fn append(
    intake: &Intake,
    room: Room,
    reports: Vec<Report>,
    is_verified: bool,
    now: Timestamp,
) -> Result<(), Refusal> {
    if reports.is_empty() {
        return Ok(());
    }
    let records: Vec<Vec<u8>> = reports.into_iter().map(Report::into_record).collect();
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
        AppendError::Full(full) => spool_full(&full),
        AppendError::Write(_) | AppendError::Closed => {
            Refusal::later("spool_failing", error, RETRY_AFTER)
        }
    })
}
