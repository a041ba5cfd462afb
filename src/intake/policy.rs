//! What a key may send, beyond being known: from which origins, and how much.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{ORIGIN, REFERER};

use super::Intake;
use super::refusal::Refusal;
use super::sender::{Sender, header};
use crate::domain::origin;
use crate::domain::outcome::Outcome;
use crate::domain::rate::{Category, Limited, Scope};
use crate::domain::time::Timestamp;
use crate::protocol::report::{Report, ReportKind};

/// Refuses browsers on sites that are not the key's.
pub(super) fn check_origin(request: &HttpRequest, sender: &Sender) -> Result<(), Refusal> {
    let Some(key) = sender.key.as_deref() else { return Ok(()) };
    let (from, page) = (header(request, &ORIGIN), header(request, &REFERER));
    if origin::is_allowed(&key.origins, from, page) {
        return Ok(());
    }
    let detail = "the key does not take reports from this origin: add it to the key's origins";
    Err(Refusal::forbidden("origin", detail))
}

/// Keeps the reports that are within the limits of the key and its project. The refusal is for the
/// rest; each of the others is counted here.
pub(super) fn within_limits(
    intake: &Intake,
    sender: &Sender,
    reports: Vec<Report>,
    now: Timestamp,
) -> (Vec<Report>, Option<Refusal>) {
    let Some(key) = sender.key.as_ref().map(Arc::as_ref) else { return (reports, None) };
    let mut refusal: Option<Refusal> = None;
    let mut kept = Vec::with_capacity(reports.len());
    for report in reports {
        let category = category(report.meta.kind);
        match intake.limiter.admit(key, category, now) {
            Ok(()) => kept.push(report),
            Err(limited) => {
                let next = limited_refusal(category, limited);
                // The request itself is counted once, as every refusal; what goes with it here.
                if let Some(before) = refusal.replace(next) {
                    let outcome = Outcome::Refused(before.code.to_owned());
                    intake.outcomes.add(key.project_id, now.hour(), outcome, 1);
                }
            }
        }
    }
    (kept, refusal)
}

/// The longest silence that a client is asked for, in seconds.
const MOST_RETRY_SECONDS: u64 = 3600;

fn category(kind: ReportKind) -> Category {
    match kind {
        ReportKind::SentryEvent | ReportKind::AirbrakeNotice | ReportKind::HoptoadNotice => {
            Category::Error
        }
        ReportKind::SecurityReport => Category::Security,
    }
}

fn limited_refusal(category: Category, limited: Limited) -> Refusal {
    let whose = match limited.scope {
        Scope::Key => "key",
        Scope::Project => "project",
    };
    let (code, what) =
        if limited.is_quota { ("quota", "quota") } else { ("rate_limited", "rate limit") };
    // Whoever comes back a moment too early is refused again: rounded up.
    let seconds = limited.retry_after.as_micros().div_ceil(1_000_000).max(1);
    let detail = format!("the {whose}'s {what} is used up for {seconds} s");
    // A quota may be raised meanwhile, and an SDK that was told of weeks would never know.
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).min(MOST_RETRY_SECONDS);
    let after = std::time::Duration::from_secs(seconds);
    let limits = format!("{seconds}:{}:{whose}:{code}", category.of_sdks());
    Refusal { limits: Some(limits), ..Refusal::later(code, detail, after) }
}
