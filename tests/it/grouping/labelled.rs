//! Labelled events: what a developer would call one error.
//!
//! `labelled.jsonl` has an event in each line with the name of its true cluster; `items.jsonl` what
//! is hashed of each, made by another implementation of the same rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use airlock::domain::event::Event;
use airlock::domain::fingerprint::similar::{Known, Line, Window, edited, truncated};
use airlock::domain::fingerprint::{self, Config, Grouping, Hash};
use airlock::domain::id::{EventId, ProjectId};
use airlock::domain::time::Timestamp;
use airlock::protocol::report::{ReportKind, ReportMeta};
use airlock::protocol::understand;
use serde::Deserialize;
use serde_json::Value;

/// An event and its true cluster.
#[derive(Deserialize)]
pub(super) struct Labelled {
    pub(super) index: u32,
    pub(super) cluster: String,
    pub(super) event: Value,
}

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/grouping").join(name);
    std::fs::read_to_string(&path).expect("the fixture is there")
}

pub(super) fn lines<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<T> {
    let text = text(name);
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// The event as digest understands it.
pub(super) fn understood(payload: &Value) -> Event {
    let meta = ReportMeta {
        kind: ReportKind::SentryEvent,
        project_id: ProjectId(1),
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
    let bytes = serde_json::to_vec(payload).expect("JSON is written");
    understand::outline(&meta, &bytes).expect("it is an event").into_whole()
}

/// B-cubed precision and recall of predicted groups (Bagga and Baldwin, 1998).
pub(super) fn b_cubed<G: Ord>(truth: &[&str], predicted: &[G]) -> (f64, f64) {
    let mut of_cluster: BTreeMap<&str, u32> = BTreeMap::new();
    let mut of_group: BTreeMap<&G, u32> = BTreeMap::new();
    let mut of_both: BTreeMap<(&str, &G), u32> = BTreeMap::new();
    for (cluster, group) in truth.iter().zip(predicted) {
        *of_cluster.entry(cluster).or_default() += 1;
        *of_group.entry(group).or_default() += 1;
        *of_both.entry((cluster, group)).or_default() += 1;
    }
    let share = |size: &dyn Fn(&str, &G) -> u32| {
        let sum: f64 = truth
            .iter()
            .zip(predicted)
            .map(|(cluster, group)| {
                f64::from(of_both[&(*cluster, group)]) / f64::from(size(cluster, group))
            })
            .sum();
        sum / f64::from(u32::try_from(truth.len()).expect("few events"))
    };
    (share(&|_, group| of_group[group]), share(&|cluster, _| of_cluster[cluster]))
}

#[derive(Deserialize)]
struct Items {
    index: u32,
    items: Vec<(String, String)>,
}

/// Events of which something else is hashed than the reference hashes, on purpose.
const IMPROVED: &[(&str, u32)] = &[];

#[test]
fn what_is_hashed_is_what_the_reference_hashes() {
    let mut differences = Vec::new();
    for (of_events, of_items) in
        [("labelled.jsonl", "items.jsonl"), ("real.jsonl", "real_items.jsonl")]
    {
        let events: Vec<Labelled> = lines(of_events);
        let expected: Vec<Items> = lines(of_items);
        assert_eq!(events.len(), expected.len());
        for (labelled, expected) in events.iter().zip(&expected) {
            assert_eq!(labelled.index, expected.index);
            let event = understood(&labelled.event);
            let fingerprint = fingerprint::fingerprint(&event, &Grouping::default());
            let is_equal = fingerprint.items == expected.items;
            if is_equal == IMPROVED.contains(&(of_events, labelled.index)) {
                differences.push(format!(
                    "{} {}\n  is       {:?}\n  expected {:?}",
                    labelled.index, labelled.cluster, fingerprint.items, expected.items
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What was hashed by a config stays so for ever: issues are found by it.
#[test]
fn a_frozen_config_makes_the_hashes_it_always_made() {
    for config in [Config::G0, Config::G1] {
        let mut hashes = Vec::new();
        for name in ["labelled.jsonl", "real.jsonl"] {
            for labelled in lines::<Labelled>(name) {
                let event = understood(&labelled.event);
                let hash = fingerprint::fingerprint(&event, &Grouping::of(config)).hash;
                hashes.push(format!("{name} {} {hash}\n", labelled.index));
            }
        }
        let name = format!("{}.txt", config.as_str());
        assert!(hashes.concat() == text(&name), "events have other hashes than {name} says");
    }
}

/// Groups by the hash alone.
fn by_hash(events: &[Labelled]) -> Vec<String> {
    let grouping = Grouping::default();
    let hash = |labelled: &Labelled| {
        fingerprint::fingerprint(&understood(&labelled.event), &grouping).hash.to_string()
    };
    events.iter().map(hash).collect()
}

/// Groups as they come in: by the hash, else by what is nearly the same.
fn with_joins(events: &[Labelled]) -> Vec<usize> {
    let grouping = Grouping::default();
    let mut groups: BTreeMap<Hash, usize> = BTreeMap::new();
    let mut lines: BTreeMap<Hash, Vec<Known<usize, Line>>> = BTreeMap::new();
    let mut windows: BTreeMap<Hash, Vec<Known<usize, Window>>> = BTreeMap::new();
    let mut releases: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut found = Vec::new();
    for (number, labelled) in events.iter().enumerate() {
        let event = understood(&labelled.event);
        let hash = fingerprint::fingerprint(&event, &grouping).hash;
        let (_, similar) = fingerprint::study(&event, &grouping);
        let release = event.release.unwrap_or_default();
        let is_of_release =
            |group: &usize| releases.get(group).is_some_and(|seen| seen.contains(&release));
        let is_new = !groups.contains_key(&hash);
        let group = groups.get(&hash).copied().or_else(|| {
            let (key, line) = similar.edited.as_ref().filter(|_| !release.is_empty())?;
            let mut known = lines.get(key)?.clone();
            for known in &mut known {
                known.is_of_release = is_of_release(&known.group);
            }
            edited(line, &known)
        });
        let group = group.or_else(|| {
            let (key, window) = similar.truncated.as_ref()?;
            truncated(window, windows.get(key)?)
        });
        let group = group.unwrap_or(number);
        groups.insert(hash, group);
        releases.entry(group).or_default().insert(release);
        if is_new {
            let known = |by| Known { group, is_of_release: false, by };
            if let Some((key, line)) = similar.edited {
                lines.entry(key).or_default().push(known(line));
            }
            if let Some((key, window)) = similar.truncated {
                let known = Known { group, is_of_release: false, by: window };
                windows.entry(key).or_default().push(known);
            }
        }
        found.push(group);
    }
    found
}

fn score<G: Ord>(events: &[Labelled], predicted: &[G]) -> (f64, f64) {
    let truth: Vec<&str> = events.iter().map(|labelled| labelled.cluster.as_str()).collect();
    b_cubed(&truth, predicted)
}

#[test]
fn no_two_errors_are_one_issue_and_few_are_two() {
    let events: Vec<Labelled> = lines("labelled.jsonl");
    let (precision, recall) = score(&events, &by_hash(&events));
    assert!(precision >= 1.0 && recall >= 0.983, "{precision} {recall}");
    let groups = with_joins(&events);
    let (precision, recall) = score(&events, &groups);
    assert!(precision >= 1.0 && recall >= 0.993, "{precision} {recall}");
}

/// Which errors of a set are not told apart, and which are several issues.
fn mistakes(events: &[Labelled], predicted: &[String]) -> String {
    let mut of_group: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut of_cluster: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (labelled, group) in events.iter().zip(predicted) {
        of_group.entry(group).or_default().insert(&labelled.cluster);
        of_cluster.entry(&labelled.cluster).or_default().insert(group);
    }
    let one: BTreeSet<String> = of_group
        .into_values()
        .filter(|clusters| clusters.len() > 1)
        .map(|clusters| clusters.into_iter().collect::<Vec<_>>().join(" + "))
        .collect();
    let several = of_cluster.into_iter().filter(|(_, groups)| groups.len() > 1);
    let several: Vec<String> =
        several.map(|(cluster, groups)| format!("{cluster}: {}", groups.len())).collect();
    let one: Vec<String> = one.into_iter().collect();
    format!(
        "errors that are one issue\n{}\n\nerrors that are several\n{}",
        one.join("\n"),
        several.join("\n")
    )
}

#[test]
fn real_crashes_made_to_be_difficult() {
    let events: Vec<Labelled> = lines("real.jsonl");
    let predicted = by_hash(&events);
    let (precision, recall) = score(&events, &predicted);
    assert!(precision >= 0.93 && recall >= 0.72, "{precision} {recall}");
    let mistakes = mistakes(&events, &predicted);
    insta::assert_snapshot!(format!("precision {precision:.3}, recall {recall:.3}\n\n{mistakes}"));
}
