//! What arrived, as reports for the spool.
//!
//! Digest reads what is inside; here it matters only where one report ends and the next begins.

use super::body::Received;
use super::endpoint::{Call, Kind};
use super::refusal::Refusal;
use super::sender::Sender;
use crate::domain::id::EventId;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::protocol::envelope::{Envelope, Item};
use crate::protocol::report::{Report, ReportKind, ReportMeta};
use crate::protocol::{client_report, json, skim};

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
            let (payload, given) = event_id_of(payload, n_cut > 0).await?;
            match call.kind {
                // Ids of notices are made here.
                Kind::Notice => found.add(ReportKind::AirbrakeNotice, None, payload, n_cut),
                Kind::Store | Kind::Envelope => {
                    found.add(ReportKind::SentryEvent, given, payload, n_cut);
                }
            }
        }
        Received::Envelope(mut envelope, fault) => {
            if let Some(fault) = fault {
                tracing::debug!(is_size = fault.is_size(), "a part of an envelope was refused");
                call.count(Outcome::Refused("malformed_item".to_owned()), 1);
            }
            id = envelope.header.event_id;
            let items = std::mem::take(&mut envelope.items);
            found.add_items(&envelope, items);
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

    fn add_items(&mut self, envelope: &Envelope, items: Vec<Item>) {
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
            let id = given.or_else(|| skim::event_id(&item.payload).ok().flatten());
            self.add(ReportKind::SentryEvent, id, item.payload, item.n_cut);
        }
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

/// The id in the JSON object of an event that comes alone; an error for what is no object. Gives
/// the event back.
async fn event_id_of(
    payload: Vec<u8>,
    is_cut: bool,
) -> Result<(Vec<u8>, Option<EventId>), Refusal> {
    let n_bytes = payload.len();
    let read = move || event_id_in(&payload, is_cut).map(|id| (payload, id));
    if n_bytes <= MOST_INLINE_BYTES {
        return read();
    }
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|_| Err(Refusal::malformed("the report cannot be read")))
}

fn event_id_in(payload: &[u8], is_cut: bool) -> Result<Option<EventId>, Refusal> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::malformed("the body is empty"));
    }
    skim::event_id(payload).or_else(|strict| {
        // Broken text inside is digest's business; only what is no JSON object is refused.
        let event = json::parse(payload, is_cut).ok();
        let event = event.as_ref().and_then(|parsed| parsed.value.as_object());
        let event = event.ok_or_else(|| {
            Refusal::malformed(format!("the report is not a JSON object: {strict}"))
        })?;
        let id = event.get("event_id").and_then(serde_json::Value::as_str);
        Ok(id.and_then(EventId::parse))
    })
}
