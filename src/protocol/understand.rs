//! What a report says: the payload of every kind becomes the one [`Event`](crate::domain::event).

use super::report::{ReportKind, ReportMeta};
use super::sentry::{InvalidEvent, Outline, Received};
use super::{airbrake, hoptoad, security, sentry};

/// Reads the outline of a report.
///
/// # Errors
/// [`InvalidEvent`] for what cannot be an event of its kind.
pub fn outline<'a>(meta: &'a ReportMeta, payload: &'a [u8]) -> Result<Outline<'a>, InvalidEvent> {
    let received = Received {
        event_id: meta.event_id,
        received_at: meta.received_at,
        sent_at: meta.sent_at,
        remote_addr: meta.remote_addr.as_deref(),
        sdk: meta.client.as_deref(),
        n_cut: meta.n_cut,
    };
    match meta.kind {
        ReportKind::SentryEvent => sentry::parse_event(payload, &received),
        ReportKind::AirbrakeNotice => airbrake::parse_notice(payload, &received),
        ReportKind::HoptoadNotice => hoptoad::parse_notice(payload, &received),
        ReportKind::SecurityReport => security::parse_report(payload, &received),
    }
}
