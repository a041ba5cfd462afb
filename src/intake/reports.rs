//! What arrived, as reports for the spool.
//!
//! Digest reads what is inside; here it matters only where one report ends and the next begins.

use actix_web::http::header::USER_AGENT;
use actix_web::web;

use super::body::Received;
use super::endpoint::{Call, Kind, crowded};
use super::refusal::Refusal;
use super::sender::{Sender, header};
use crate::domain::id::EventId;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::protocol::envelope::{Envelope, Item};
use crate::protocol::json::{self, Json};
use crate::protocol::report::{Report, ReportKind, ReportMeta};
use crate::protocol::security::{self, Surroundings};
use crate::protocol::{client_report, skim};

/// The reports of a request, and the id to answer with: that of the first.
pub(super) async fn reports(
    call: &Call<'_>,
    sender: &Sender,
    received: Received,
    now: Timestamp,
) -> Result<(Option<EventId>, Vec<Report>), Refusal> {
    let mut found = Found { call, sender, now, sent_at: None, reports: Vec::new() };
    let mut id = None;
    match received {
        Received::Event(payload, n_cut) => {
            found.add_whole(payload, n_cut).await?;
        }
        Received::Envelope(mut envelope, fault) => {
            if let Some(fault) = fault {
                tracing::debug!(is_size = fault.is_size(), "a part of an envelope was refused");
                call.count(Outcome::Refused("malformed_item".to_owned()), 1);
            }
            id = envelope.header.event_id;
            let items = std::mem::take(&mut envelope.items);
            found.add_items(&envelope, items).await;
        }
    }
    let id = id.or(found.reports.first().map(|report| report.meta.event_id));
    Ok((id, found.reports))
}

/// The reports found so far.
struct Found<'a> {
    call: &'a Call<'a>,
    sender: &'a Sender,
    now: Timestamp,
    sent_at: Option<Timestamp>,
    reports: Vec<Report>,
}

impl Found<'_> {
    /// Adds a report; one that comes without an id gets one.
    fn add(&mut self, kind: ReportKind, event_id: Option<EventId>, payload: Vec<u8>, n_cut: u64) {
        let Self { call, sender, now, sent_at, .. } = *self;
        let meta = ReportMeta {
            kind,
            project_id: sender.project_id,
            public_key: sender.public_key.clone(),
            is_verified: sender.is_verified,
            is_trusted: sender.key.as_ref().is_some_and(|key| key.is_trusted),
            event_id: event_id.unwrap_or_else(|| EventId(call.intake.clock.id())),
            received_at: now,
            sent_at,
            remote_addr: call.request.connection_info().realip_remote_addr().map(str::to_owned),
            client: call.auth.client.clone(),
            n_cut,
        };
        self.reports.push(Report { meta, payload });
    }

    /// Adds a body that comes alone. The ids of notices are made here.
    async fn add_whole(&mut self, payload: Vec<u8>, n_cut: u64) -> Result<(), Refusal> {
        match self.call.kind {
            Kind::Store | Kind::Envelope => {
                let (payload, given) = self.event_id_of(payload, n_cut > 0).await?;
                self.add(ReportKind::SentryEvent, given, payload, n_cut);
            }
            Kind::Notice => {
                let (payload, _) = self.event_id_of(payload, n_cut > 0).await?;
                self.add(ReportKind::AirbrakeNotice, None, payload, n_cut);
            }
            Kind::Security => self.add_security(None, &payload, n_cut)?,
            Kind::XmlNotice => self.add(ReportKind::HoptoadNotice, None, payload, n_cut),
        }
        Ok(())
    }

    /// Adds a browser's reports; the first gets the id that is given.
    fn add_security(
        &mut self,
        given: Option<EventId>,
        body: &[u8],
        n_cut: u64,
    ) -> Result<(), Refusal> {
        if body.len() as u64 + n_cut > MOST_SECURITY_BYTES {
            let detail = format!("the reports are larger than {MOST_SECURITY_BYTES} bytes");
            return Err(Refusal::too_large(detail));
        }
        if n_cut > 0 {
            // Of a list that ends in the middle nothing can be read.
            return Err(crowded());
        }
        let reports = security::split(body, &surroundings_of(self.call))
            .map_err(|cause| Refusal::malformed(format!("these are no reports: {cause}")))?;
        if reports.n_left_out > 0 {
            let n_left_out = reports.n_left_out as u64;
            self.call.count(Outcome::Skipped("raw_security".to_owned()), n_left_out);
        }
        let mut given = given;
        for payload in reports.payloads {
            self.add(ReportKind::SecurityReport, given.take(), payload, 0);
        }
        Ok(())
    }

    async fn add_items(&mut self, envelope: &Envelope, items: Vec<Item>) {
        for (kind, n) in &envelope.skipped {
            self.call.count(Outcome::Skipped(kind.clone()), *n);
        }
        self.sent_at = envelope.header.sent_at;
        for item in items {
            if item.kind == "client_report" {
                count_discarded(self.call, &item.payload);
                continue;
            }
            // The envelope's id is its event's. A second event is against the rules, but is no
            // reason to lose one.
            let given = if self.reports.is_empty() { envelope.header.event_id } else { None };
            if item.kind == "raw_security" {
                if let Err(refusal) = self.add_security(given, &item.payload, item.n_cut) {
                    tracing::debug!(code = refusal.code, "a part of an envelope was refused");
                    self.call.count(Outcome::Refused("malformed_item".to_owned()), 1);
                }
                continue;
            }
            let (payload, id) = match given {
                Some(id) => (item.payload, Some(id)),
                None => self.skimmed(item.payload).await,
            };
            self.add(ReportKind::SentryEvent, id, payload, item.n_cut);
        }
    }

    /// The id in an event, if it can be read. Gives the event back.
    async fn skimmed(&self, payload: Vec<u8>) -> (Vec<u8>, Option<EventId>) {
        let read = |payload: &[u8]| skim::event_id(payload).ok().flatten();
        self.read_aside(payload, read).await
    }

    /// The id in the JSON object of an event that comes alone; an error for what is no object.
    /// Gives the event back.
    async fn event_id_of(
        &self,
        payload: Vec<u8>,
        is_cut: bool,
    ) -> Result<(Vec<u8>, Option<EventId>), Refusal> {
        let read = move |payload: &[u8]| event_id_in(payload, is_cut);
        let (payload, id) = self.read_aside(payload, read).await;
        id.map(|id| (payload, id))
    }

    /// Reads a payload, a large one not on the server's thread; gives it back.
    async fn read_aside<T: Send + 'static>(
        &self,
        payload: Vec<u8>,
        read: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> (Vec<u8>, T) {
        if payload.len() <= MOST_INLINE_BYTES {
            let found = read(&payload);
            return (payload, found);
        }
        let _turn = self.call.intake.memory.turn_to_read().await;
        let aside = move || {
            let found = read(&payload);
            (payload, found)
        };
        let done = tokio::task::spawn_blocking(aside).await;
        done.expect("reading does not panic, and the runtime runs as long as its requests")
    }
}

/// Reports of a browser in one body, in bytes: browsers send a few of some kilobytes each, and they
/// are parted on a server thread.
const MOST_SECURITY_BYTES: u64 = 512 * 1024;

/// What the request says of a browser's reports.
fn surroundings_of(call: &Call<'_>) -> Surroundings {
    let query = web::Query::<Vec<(String, String)>>::from_query(call.request.query_string());
    let query = query.map(web::Query::into_inner).unwrap_or_default();
    let named = |name: &str| {
        let found = query.iter().find(|(own, value)| own == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    Surroundings {
        environment: named("sentry_environment"),
        release: named("sentry_release"),
        user_agent: header(call.request, &USER_AGENT).map(str::to_owned),
    }
}

fn count_discarded(call: &Call<'_>, payload: &[u8]) {
    if payload.len() > client_report::MOST_BYTES {
        return;
    }
    for (reason, n) in client_report::discarded(payload) {
        call.count(Outcome::Discarded(reason), n);
    }
}

/// Reading more bytes than this takes so long that it does not belong on a server thread.
const MOST_INLINE_BYTES: usize = 128 * 1024;

fn event_id_in(payload: &[u8], is_cut: bool) -> Result<Option<EventId>, Refusal> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::malformed("the body is empty"));
    }
    skim::event_id(payload).or_else(|strict| {
        // Broken text inside is digest's business; only what is no JSON object is refused.
        let parsed = json::parse(payload, is_cut).ok();
        let Some(Json::Object(event)) = parsed.map(|parsed| parsed.value) else {
            let detail = format!("the report is not a JSON object: {strict}");
            return Err(Refusal::malformed(detail));
        };
        match event.get("event_id") {
            Some(Json::Text(id)) => Ok(EventId::parse(id)),
            Some(_) | None => Ok(None),
        }
    })
}
