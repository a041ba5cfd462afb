//! What intake hands to digest: a report's bytes and what is known of them, as one spool record.
//!
//! A line of JSON, then the payload as the client sent it (decoded, not parsed).

use serde::{Deserialize, Serialize};

use crate::domain::id::{EventId, ProjectId};
use crate::domain::time::Timestamp;

/// A report on its way from intake to digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What intake knows of it.
    pub meta: ReportMeta,
    /// The client's bytes.
    pub payload: Vec<u8>,
}

/// What intake knows of a report without looking into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportMeta {
    /// What the payload is.
    pub kind: ReportKind,
    /// The project it was sent to.
    pub project_id: ProjectId,
    /// The key it was sent with.
    pub public_key: String,
    /// Whether the key was known; while the store is away, digest has to check it.
    pub is_verified: bool,
    /// Whether the key is trusted; for a key that was not known, digest finds out.
    #[serde(default = "yes")]
    pub is_trusted: bool,
    /// The event's id, given or made.
    pub event_id: EventId,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The client's clock when it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
    /// The client's name and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// How many bytes of it were cut off because it was too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_cut: u64,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What the payload of a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// The JSON of a Sentry event.
    SentryEvent,
    /// The JSON of an Airbrake notice.
    AirbrakeNotice,
    /// The XML of an Airbrake notice of version 2.
    HoptoadNotice,
    /// One report of a browser, as [`super::security::split`] hands it out.
    SecurityReport,
}

/// A spool record that is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record is no report: {0}")]
pub struct InvalidReport(String);

impl Report {
    /// The report as one record, in the payload's own memory: it may be large.
    #[must_use]
    pub fn into_record(self) -> Vec<u8> {
        let mut head = serde_json::to_vec(&self.meta).unwrap_or_default();
        head.push(b'\n');
        let mut record = self.payload;
        record.reserve_exact(head.len());
        record.splice(0..0, head);
        record
    }

    /// Reads a record: what intake knew, and the client's bytes where they lie.
    ///
    /// # Errors
    /// [`InvalidReport`] for bytes that [`Self::into_record`] did not write.
    pub fn read(record: &[u8]) -> Result<(ReportMeta, &[u8]), InvalidReport> {
        let end = record
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| InvalidReport("its first line does not end".to_owned()))?;
        let meta = serde_json::from_slice(record.get(..end).unwrap_or_default())
            .map_err(|cause| InvalidReport(cause.to_string()))?;
        Ok((meta, record.get(end + 1..).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let report = Report {
            meta: ReportMeta {
                kind: ReportKind::SentryEvent,
                project_id: ProjectId(7),
                public_key: "a1b2".to_owned(),
                is_verified: false,
                is_trusted: false,
                event_id: EventId(uuid::Uuid::from_u128(5)),
                received_at: Timestamp::from_micros(1_795_226_466_000_001),
                sent_at: None,
                remote_addr: Some("::1".to_owned()),
                client: None,
                n_cut: 7,
            },
            payload: b"{\n}\n".to_vec(),
        };
        let record = report.clone().into_record();
        let expected = Ok((report.meta.clone(), report.payload.as_slice()));
        assert_eq!(Report::read(&record), expected);
        assert!(Report::read(b"{}").is_err());
        assert!(Report::read(b"{}\n").is_err());
    }
}
