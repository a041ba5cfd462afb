//! What a key may send, beyond being known: from which origins, and how much.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    let mut over: Vec<(Category, Limited)> = Vec::new();
    let mut kept = Vec::with_capacity(reports.len());
    for report in reports {
        let category = category(report.meta.kind);
        match intake.limiter.admit(key, category, now) {
            Ok(()) => kept.push(report),
            Err(limited) => over.push((category, limited)),
        }
    }
    over.sort_by_key(|(_, limited)| limited.retry_after);
    // The request itself is counted once, as every refusal; what goes with it here.
    let rest = over.split_last().map(|(_, rest)| rest).unwrap_or_default();
    for (_, limited) in rest {
        let outcome = Outcome::Refused(code(*limited).to_owned());
        intake.outcomes.add(key.project_id, now.hour(), outcome, 1);
    }
    (kept, limited_refusal(over))
}

/// Gives back what reports used up of the limits, since they were not taken after all.
pub(super) fn give_back(intake: &Intake, sender: &Sender, kinds: &[ReportKind], now: Timestamp) {
    if let Some(key) = sender.key.as_ref() {
        for kind in kinds {
            intake.limiter.give_back(key, category(*kind), now);
        }
    }
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

/// The refusal of what is over its limits, the one that lasts longest being the last. It is worded
/// after that: who reads no more is not told to come again too early.
fn limited_refusal(over: Vec<(Category, Limited)>) -> Option<Refusal> {
    let (_, longest) = *over.last()?;
    let limits: BTreeMap<Category, Limited> = over.into_iter().collect();
    let what = if longest.is_quota { "quota" } else { "rate limit" };
    let seconds = whole_seconds(longest);
    let detail = format!("the {}'s {what} is used up for {seconds} s", whose(longest));
    let told: Vec<String> = limits
        .iter()
        .map(|(category, limited)| {
            let seconds = told_seconds(*limited);
            format!("{seconds}:{}:{}:{}", category.of_sdks(), whose(*limited), code(*limited))
        })
        .collect();
    let after = Duration::from_secs(told_seconds(longest));
    Some(Refusal { limits: Some(told.join(", ")), ..Refusal::later(code(longest), detail, after) })
}

fn whose(limited: Limited) -> &'static str {
    match limited.scope {
        Scope::Key => "key",
        Scope::Project => "project",
    }
}

fn code(limited: Limited) -> &'static str {
    if limited.is_quota { "quota" } else { "rate_limited" }
}

/// Whoever comes back a moment too early is refused again: rounded up.
fn whole_seconds(limited: Limited) -> u64 {
    let seconds = limited.retry_after.as_micros().div_ceil(1_000_000).max(1);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

/// A quota may be raised meanwhile, and an SDK that was told of weeks would never know.
fn told_seconds(limited: Limited) -> u64 {
    whole_seconds(limited).min(MOST_RETRY_SECONDS)
}
