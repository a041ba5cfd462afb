//! Both engines are migrated by the same steps: same numbers, same names.

use std::collections::BTreeSet;

use super::Finding;

/// File names that one engine has and the other lacks.
fn check(sqlite: &BTreeSet<String>, postgres: &BTreeSet<String>) -> Vec<Finding> {
    let lacks = |engine: &'static str, own: &BTreeSet<String>, other: &BTreeSet<String>| {
        let missing: Vec<Finding> = other
            .difference(own)
            .map(|name| {
                Finding::overall(format!(
                    "migrations/{engine}/{name} is missing: each step exists for both engines, \
                     so that a store can be copied from one to the other"
                ))
            })
            .collect();
        missing
    };
    let mut findings = lacks("sqlite", sqlite, postgres);
    findings.extend(lacks("postgres", postgres, sqlite));
    findings
}

/// The file names of an engine's folder; none where there is no folder.
fn files(engine: &str) -> BTreeSet<String> {
    let Ok(entries) = super::source::package().join("migrations").join(engine).read_dir() else {
        return BTreeSet::new();
    };
    entries
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn both_engines_have_the_same_migrations() {
    Finding::assert_none(&check(&files("sqlite"), &files("postgres")));
}

#[test]
fn a_missing_migration_is_named() {
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let findings = check(&set(&["0001_first.sql"]), &set(&["0001_first.sql", "0002_locks.sql"]));
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(said.iter().all(|line| line.starts_with("migrations/sqlite/0002_locks.sql")));
    assert_eq!(check(&set(&["0001_b.sql"]), &set(&["0001_a.sql"])).len(), 2);
}
