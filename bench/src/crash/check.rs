//! Compares what was sent with everything the server tells.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use airlock::domain::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::book::{Book, Facts};
use super::store;
use super::victim::Victim;
use crate::{Failure, api};

/// So many events are also asked for by their id.
const MOST_ASKED: usize = 2_000;

/// So many differences are printed.
const MOST_PRINTED: usize = 20;

/// What the check found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) stored: BTreeSet<Uuid>,
    /// What the server counted as sent again, with what it digested again after a crash.
    pub(super) n_duplicates: u64,
    /// Acknowledged and not stored.
    pub(super) missing: Vec<Uuid>,
    /// Everything else that is not as it must be.
    pub(super) differences: Vec<String>,
}

impl Found {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.differences.push(format!("{what}: {found:?}, and not {expected:?}"));
        }
    }

    /// Prints one line; fails when anything is missing or different.
    pub(super) fn conclude(&self, what: &str, book: &Book) -> Result<(), Failure> {
        println!(
            "{what}: sent {}, acknowledged {} ({} times), not acknowledged {}, late {}, refused {}, \
             stored {}, duplicates {}, missing {}, differences {}",
            book.entries.len(),
            book.n_acknowledged(),
            book.n_acknowledgements(),
            book.n_unacknowledged(),
            book.n_late(),
            book.n_refusals(),
            self.stored.len(),
            self.n_duplicates,
            self.missing.len(),
            self.differences.len() + book.complaints.len(),
        );
        for id in self.missing.iter().take(MOST_PRINTED) {
            println!("  {} was acknowledged and is missing", id.simple());
        }
        for text in self.differences.iter().chain(&book.complaints).take(MOST_PRINTED) {
            println!("  {text}");
        }
        let is_well =
            self.missing.is_empty() && self.differences.is_empty() && book.complaints.is_empty();
        if is_well {
            Ok(())
        } else {
            Err(format!("{what}: not everything is as it must be").into())
        }
    }
}

/// Starts the server if it does not run, lets it store everything it has, asks it everything, stops
/// it, and looks into the store.
pub(super) fn check(
    victim: &mut Victim,
    address: SocketAddr,
    book: &Book,
) -> Result<Found, Failure> {
    api::drain(address)?;
    let mut found = Found::default();
    let mut hours = store::Hours::new();
    let mut issues_of_kinds = BTreeMap::new();
    for issue in api::list(address, "/api/v1/projects/bench/issues")? {
        let events = events_of(address, &issue, book, &mut found)?;
        check_issue(address, &issue, &events, &mut found)?;
        let number = issue["id"].as_str().and_then(|id| id.rsplit('-').next()?.parse().ok());
        for facts in &events {
            let number = number.unwrap_or_default();
            *hours.entry((number, (facts.at / 3_600).cast_signed())).or_default() += 1;
            let first = *issues_of_kinds.entry(facts.issue).or_insert(number);
            found.expect("the issue of one kind of crash", &number, &first);
        }
    }
    let acknowledged = book.entries.values().filter(|entry| entry.n_acknowledged > 0);
    let acknowledged: Vec<Uuid> = acknowledged.map(|entry| entry.facts.id).collect();
    found.missing = acknowledged.iter().copied().filter(|id| !found.stored.contains(id)).collect();
    check_by_id(address, &mut found)?;
    check_outcomes(address, book, &mut found)?;
    victim.stop()?;
    let counted = store::look(&victim.database())?;
    found.expect("hourly counters", &counted, &hours);
    Ok(found)
}

/// The events the server lists for an issue.
fn events_of(
    address: SocketAddr,
    issue: &Value,
    book: &Book,
    found: &mut Found,
) -> Result<Vec<Facts>, Failure> {
    let name = issue["id"].as_str().unwrap_or_default();
    let mut events = Vec::new();
    for event in api::list(address, &format!("/api/v1/issues/{name}/events"))? {
        let id = event["event_id"].as_str().and_then(|id| Uuid::try_parse(id).ok());
        let id = id.ok_or("an event without an id")?;
        if !found.stored.insert(id) {
            found.differences.push(format!("{} is there twice", id.simple()));
        }
        match book.entries.get(&id) {
            Some(entry) => events.push(entry.facts),
            None => found.differences.push(format!("{} was never sent", id.simple())),
        }
    }
    Ok(events)
}

/// All that is counted for an issue.
fn check_issue(
    address: SocketAddr,
    issue: &Value,
    events: &[Facts],
    found: &mut Found,
) -> Result<(), Failure> {
    let name = issue["id"].as_str().unwrap_or_default();
    found.expect(&format!("events of {name}"), &issue["events"], &events.len().into());
    let users: BTreeSet<u64> = events.iter().map(|facts| facts.user).collect();
    found.expect(&format!("users of {name}"), &issue["users"], &users.len().into());
    let seen = |at: Option<u64>| {
        let micros = at.unwrap_or_default().cast_signed() * 1_000_000;
        Value::from(Timestamp::from_micros(micros).to_string())
    };
    let first = seen(events.iter().map(|facts| facts.at).min());
    let last = seen(events.iter().map(|facts| facts.at).max());
    found.expect(&format!("first_seen of {name}"), &issue["first_seen"], &first);
    found.expect(&format!("last_seen of {name}"), &issue["last_seen"], &last);
    let mut expected = BTreeMap::new();
    for facts in events {
        for (tag, value) in [
            ("environment", "production".to_owned()),
            ("level", "error".to_owned()),
            ("shelf", format!("shelf-{}", facts.shelf)),
        ] {
            *expected.entry((tag.to_owned(), value)).or_insert(0_u64) += 1;
        }
        let title = issue["title"].as_str().unwrap_or_default();
        if title.split(':').next() != Some(&facts.kind()) {
            found.differences.push(format!("{} is in {name}, {title:?}", facts.id.simple()));
        }
    }
    let tags = api::get(address, &format!("/api/v1/issues/{name}/tags"))?;
    let mut counted = BTreeMap::new();
    for tag in tags["items"].as_array().into_iter().flatten() {
        for value in tag["values"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = (text(&tag["tag"]), text(&value["value"]));
            counted.insert(key, value["events"].as_u64().unwrap_or_default());
        }
    }
    found.expect(&format!("tags of {name}"), &counted, &expected);
    Ok(())
}

/// Asks for events by their id, spread over all.
fn check_by_id(address: SocketAddr, found: &mut Found) -> Result<(), Failure> {
    let step = found.stored.len() / MOST_ASKED + 1;
    for id in found.stored.clone().iter().step_by(step) {
        let id = id.simple();
        let path = format!("/api/v1/projects/bench/events/{id}");
        let (status, event) = api::ask_once(address, "GET", &path, &Value::Null)?;
        if status != 200 || event["event_id"] != id.to_string() {
            found.differences.push(format!("{path} is answered with {status}"));
        }
    }
    Ok(())
}

/// What the project counts, and what the service says of itself.
fn check_outcomes(address: SocketAddr, book: &Book, found: &mut Found) -> Result<(), Failure> {
    let outcomes = api::get(address, "/api/v1/projects/bench/outcomes?hours=744")?;
    let totals = &outcomes["totals"];
    found.expect("events counted as accepted", &totals["accepted"], &found.stored.len().into());
    found.expect("reports counted as buried", &totals["buried"], &0.into());
    found.n_duplicates = totals["duplicate"].as_u64().unwrap_or_default();
    // What was digested again after a crash is a duplicate too, so there may be more.
    let n_counted = found.stored.len() as u64 + found.n_duplicates;
    let n_acknowledgements = book.n_acknowledgements();
    if n_counted < n_acknowledgements {
        found.differences.push(format!(
            "accepted and duplicate together are {n_counted}, fewer than {n_acknowledgements} \
             acknowledgements"
        ));
    }
    Ok(())
}
