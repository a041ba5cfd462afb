//! Everything about a report that needs no store: parsing, scrubbing, fingerprint, title,
//! compression.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::bodies::Bodies;
use super::rules::Rules;
use crate::domain::event::{Event, Level, User};
use crate::domain::fingerprint::settings::Groupings;
use crate::domain::fingerprint::similar::Similar;
use crate::domain::fingerprint::{self, Fingerprint, Hash};
use crate::domain::id::ProjectId;
use crate::domain::tag_counts::tags_of;
use crate::domain::time::Timestamp;
use crate::domain::user_sketch::user_hash;
use crate::domain::{text, title};
use crate::protocol::report::{Report, ReportMeta};
use crate::protocol::understand;
use crate::store::body::{BodyEncoder, Dictionary};

/// Fewer reports than this are not worth a thread.
const LEAST_PER_THREAD: usize = 8;

/// A report, understood: as much of it as is stored, for a batch has many.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What intake knew of it.
    pub meta: ReportMeta,
    /// The spool's record, for setting it aside if the store refuses it.
    pub record: Bytes,
    /// When it happened, by our clock.
    pub occurred_at: Timestamp,
    /// How bad it is.
    pub level: Level,
    /// The runtime family.
    pub platform: String,
    /// Whether it was handled.
    pub handled: Option<bool>,
    /// The release as reported.
    pub release: Option<String>,
    /// The environment as reported.
    pub environment: String,
    /// What it counts for.
    pub tags: BTreeMap<String, String>,
    /// The hash of its user.
    pub user: Option<i64>,
    /// What makes it the same error as others.
    pub fingerprint: Fingerprint,
    /// What is needed of a hash that is new; `None` where it was seen before.
    pub study: Option<Box<Study>>,
    /// The hash under the config before, while it is looked up.
    pub previous: Option<Hash>,
    /// What the error is called.
    pub title: String,
    /// Where it is.
    pub culprit: String,
    /// The event as the store keeps it; `None` when it is sampled away.
    pub body: Option<Vec<u8>>,
}

/// What a hash that is new is stored with, and what may lead to an issue that exists.
#[derive(Debug, Clone)]
pub struct Study {
    /// Why the event has its hash, as JSON.
    pub explanation: String,
    /// What finds errors that are nearly the same.
    pub similar: Similar,
}

impl Study {
    fn of(event: &Event, groupings: &Groupings) -> Self {
        let (explanation, similar) = fingerprint::study(event, &groupings.current);
        Self { explanation: explanation.to_string(), similar }
    }
}

/// A report that cannot be understood.
#[derive(Debug, Clone)]
pub struct Poison {
    /// The project it was sent to; `None` when not even that can be read.
    pub meta: Option<ReportMeta>,
    /// The spool's record.
    pub record: Bytes,
    /// What is wrong with it.
    pub reason: String,
}

impl Poison {
    /// The project it belongs to; 0 for none.
    #[must_use]
    pub fn project_id(&self) -> ProjectId {
        self.meta.as_ref().map_or(ProjectId(0), |meta| meta.project_id)
    }
}

/// Understands reports; the order stays.
///
/// # Panics
/// Never: a panic on a report becomes its [`Poison`].
#[must_use]
pub fn prepare_all(
    records: Vec<Bytes>,
    rules: &Rules,
    bodies: &Bodies,
) -> Vec<Result<Prepared, Box<Poison>>> {
    let dictionaries = bodies.dictionaries();
    let mut desk = Desk { rules, bodies, dictionaries: &dictionaries, encoders: BTreeMap::new() };
    let mut guard = |record| guarded(record, |record| prepare(record, &mut desk));
    records.into_iter().map(&mut guard).collect()
}

/// Records in shares for `n_threads`, in their order.
pub(super) fn shares(records: Vec<Bytes>, n_threads: usize) -> Vec<Vec<Bytes>> {
    let n_shares = n_threads.min(records.len().div_ceil(LEAST_PER_THREAD)).max(1);
    let share = records.len().div_ceil(n_shares).max(1);
    let mut records = records.into_iter();
    (0..n_shares).map(|_| records.by_ref().take(share).collect()).collect()
}

/// What one thread works with.
struct Desk<'a> {
    rules: &'a Rules,
    bodies: &'a Bodies,
    dictionaries: &'a BTreeMap<ProjectId, Arc<Dictionary>>,
    encoders: BTreeMap<ProjectId, BodyEncoder<'a>>,
}

impl Desk<'_> {
    /// The body of an event.
    fn encode(&mut self, project: ProjectId, event: &Event) -> std::io::Result<Vec<u8>> {
        let json = serde_json::to_vec(event)?;
        let encoder = match self.encoders.entry(project) {
            Entry::Occupied(encoder) => encoder.into_mut(),
            Entry::Vacant(place) => {
                let dictionary = self.dictionaries.get(&project).map(Arc::as_ref);
                place.insert(BodyEncoder::new(dictionary)?)
            }
        };
        let body = encoder.encode(&json)?;
        self.bodies.note(project, self.rules.scrub_rules_changed_at(project), &json, body.len());
        Ok(body)
    }
}

/// Makes a panic on a report, like every refusal, that report's own business.
fn guarded(
    record: Bytes,
    prepare: impl FnOnce(&[u8]) -> Result<Prepared, Refused>,
) -> Result<Prepared, Box<Poison>> {
    let attempt = AssertUnwindSafe(|| prepare(&record));
    let prepared = catch_unwind(attempt).unwrap_or_else(|panic| {
        let meta = Report::read(&record).ok().map(|(meta, _)| meta);
        Err(Box::new((meta, format!("digesting it panicked: {}", panic_text(panic.as_ref())))))
    });
    match prepared {
        Ok(prepared) => Ok(Prepared { record, ..prepared }),
        Err(refused) => {
            let (meta, reason) = *refused;
            Err(Box::new(Poison { meta, record, reason }))
        }
    }
}

type Refused = Box<(Option<ReportMeta>, String)>;

/// Understands a report; its record is added by the caller.
fn prepare(record: &[u8], desk: &mut Desk<'_>) -> Result<Prepared, Refused> {
    let (meta, payload) =
        Report::read(record).map_err(|cause| Box::new((None, cause.to_string())))?;
    match read(&meta, payload, desk) {
        Ok(Read { event, fingerprint, study, previous, body }) => Ok(Prepared {
            title: fingerprint.title.clone().unwrap_or_else(|| title::title(&event)),
            fingerprint,
            study,
            previous,
            culprit: title::culprit(&event),
            meta,
            record: Bytes::new(),
            occurred_at: event.timestamp,
            level: event.level,
            handled: event.handled,
            tags: tags_of(&event),
            user: event.user.as_ref().and_then(User::identity).map(|user| user_hash(&user)),
            platform: event.platform,
            release: event.release,
            environment: event.environment,
            body,
        }),
        Err(reason) => Err(Box::new((Some(meta), reason))),
    }
}

/// A report that was read.
struct Read {
    /// Without its details when it is sampled away.
    event: Event,
    fingerprint: Fingerprint,
    study: Option<Box<Study>>,
    previous: Option<Hash>,
    body: Option<Vec<u8>>,
}

/// Reads as much of a report as is stored of it, or says why it cannot be.
fn read(meta: &ReportMeta, payload: &[u8], desk: &mut Desk<'_>) -> Result<Read, String> {
    let mut outline = understand::outline(meta, payload).map_err(|cause| cause.to_string())?;
    // Before anything looks at the event: what is secret is in no title, hash or row.
    let mut scrubbing = desk.rules.scrubber(meta.project_id).begin();
    scrubbing.outline(&mut outline.event);
    let field = desk.rules.commit_field(meta.project_id);
    let (in_details, in_outline) =
        (field.filter(|field| field.is_detail()), field.filter(|field| !field.is_detail()));
    if let Some(field) = in_outline {
        field.carry(&mut outline.event);
    }
    let event = &outline.event;
    let groupings = desk.rules.groupings(meta.project_id);
    let fingerprint = fingerprint::fingerprint(event, &groupings.current);
    let place = (event.release.as_deref(), event.environment.as_str());
    let project = meta.project_id;
    let previous = groupings.previous_at(meta.received_at);
    let previous = previous.map(|before| fingerprint::fingerprint(event, before).hash);
    let is_known = desk.bodies.knows((project, fingerprint.hash));
    let is_kept = desk.bodies.keeps((project, fingerprint.hash), place, meta.received_at);
    if !is_kept && in_details.is_none() {
        return Ok(Read { event: outline.event, fingerprint, study: None, previous, body: None });
    }
    let mut event = outline.into_whole();
    scrubbing.details(&mut event);
    if let Some(field) = in_details {
        field.carry(&mut event);
    }
    if !is_kept {
        return Ok(Read { event, fingerprint, study: None, previous, body: None });
    }
    let study = (!is_known).then(|| Box::new(Study::of(&event, groupings)));
    let body = desk.encode(project, &event);
    let body = body.map_err(|cause| format!("the event cannot be stored: {cause}"))?;
    Ok(Read { event, fingerprint, study, previous, body: Some(body) })
}

/// What a panic says.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    text::bounded(&words, 300)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::EventId;
    use crate::protocol::report::ReportKind;

    fn record(payload: &str) -> Bytes {
        let meta = ReportMeta {
            kind: ReportKind::SentryEvent,
            project_id: ProjectId(7),
            public_key: "a1b2".to_owned(),
            is_verified: true,
            is_trusted: true,
            event_id: EventId(uuid::Uuid::from_u128(1)),
            received_at: Timestamp::from_micros(1_795_226_466_000_000),
            sent_at: None,
            remote_addr: None,
            client: None,
            n_cut: 0,
        };
        Report { meta, payload: payload.as_bytes().to_vec() }.into_record().into()
    }

    #[test]
    fn a_panic_is_its_reports_own_business() {
        let record = record("{}");
        let poison = guarded(record.clone(), |_| panic!("index out of bounds"));
        let poison = poison.expect_err("a panic is no event");
        assert_eq!(poison.reason, "digesting it panicked: index out of bounds");
        assert_eq!((poison.project_id(), &poison.record), (ProjectId(7), &record));
    }

    #[test]
    fn what_is_sampled_away_is_scrubbed_all_the_same() {
        let payload = r#"{"exception": [{"type": "Refused", "value": "login with password=hunter2"}],
            "tags": {"session": "hunter2"}, "transaction": "/reset?token=hunter2"}"#;
        let records = vec![record(payload); 40];
        let prepared = prepare_all(records, &Rules::default(), &Bodies::default());
        let prepared: Vec<Prepared> = prepared.into_iter().filter_map(Result::ok).collect();
        assert_eq!(prepared.len(), 40);
        let (kept, sampled): (Vec<_>, Vec<_>) =
            prepared.iter().partition(|report| report.body.is_some());
        assert!(!kept.is_empty() && !sampled.is_empty());
        for report in kept.into_iter().chain(sampled) {
            let Prepared { title, culprit, tags, fingerprint, .. } = report;
            let said = format!("{title} {culprit} {tags:?} {fingerprint:?}");
            assert!(!said.contains("hunter2"), "{said}");
            assert_eq!((title, fingerprint), (&prepared[0].title, &prepared[0].fingerprint));
        }
    }

    #[test]
    fn neighbours_of_poison_are_understood_in_their_order() {
        let payloads = (0..100).map(|number| {
            if number % 10 == 3 {
                "no JSON".to_owned()
            } else {
                format!("{{\"message\":\"{number}\"}}")
            }
        });
        let records: Vec<Bytes> = payloads.map(|payload| record(&payload)).collect();
        for n_threads in [1, 4, 1_000] {
            let shares = shares(records.clone(), n_threads);
            assert!(shares.len() <= n_threads);
            let understand = |share| prepare_all(share, &Rules::default(), &Bodies::default());
            let prepared: Vec<_> = shares.into_iter().flat_map(understand).collect();
            assert_eq!(prepared.len(), 100);
            for (number, result) in prepared.into_iter().enumerate() {
                match result {
                    Ok(report) => assert_eq!(report.title, number.to_string()),
                    Err(poison) => {
                        assert_eq!((number % 10, poison.project_id()), (3, ProjectId(7)));
                    }
                }
            }
        }
    }
}
