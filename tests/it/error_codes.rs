//! The codes of the API are a promise: none changes its status, and each is in the docs.

use std::collections::BTreeSet;

use airlock::api::Code;

#[test]
fn codes_keep_their_status() {
    let codes = Code::ALL.map(|code| format!("{} {}", code.status().as_u16(), code.as_str()));
    insta::assert_snapshot!(codes.join("\n"), @"
    400 malformed
    401 unauthorized
    403 forbidden
    404 not-found
    307 moved
    409 taken
    409 invalid-transition
    409 raced
    413 too-large
    422 invalid
    502 fetch-failed
    502 tracker-failed
    409 gate-blocked
    409 gate-unknown
    409 deploy-running
    409 deploy-ended
    409 output-gap
    410 output-gone
    503 store-away
    500 internal
    ");
}

#[test]
fn codes_have_different_names() {
    let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
}

#[test]
fn the_docs_list_every_code_with_its_status_and_no_other() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<String> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert!(cells[2..4].iter().all(|cell| !cell.is_empty()), "{row}: no meaning or advice");
            format!("{} {}", cells[1], cells[0].trim_end_matches('`'))
        })
        .collect();
    let codes = Code::ALL.map(|code| format!("{} {}", code.status().as_u16(), code.as_str()));
    assert_eq!(listed, codes.into());
}

/// `Code::ALL` is written by hand: a variant that is not in it would be in no test and no page.
#[test]
fn all_codes_are_all_variants() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/error.rs");
    let source = std::fs::read_to_string(source).expect("the source");
    let (_, variants) = source.split_once("pub enum Code {").expect("the codes");
    let (variants, _) = variants.split_once("\n}").expect("their end");
    let n_variants = variants.lines().filter(|line| !line.trim().starts_with("//")).count() - 1;
    assert_eq!(n_variants, Code::ALL.len());
}
