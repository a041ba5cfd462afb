//! Who may know whom: the top-level modules of the crate are rooms, and each knows only those it
//! is built on.
//!
//! To add a room: an arm in [`may_know`] and its reason in [`why`].

use std::collections::BTreeMap;

use super::Finding;
use super::source::{Placed, Source, Token, tokens};

const USE_CASES: &[&str] = &[
    "auth",
    "digest",
    "journal",
    "outbox",
    "outcomes",
    "project",
    "release",
    "retention",
    "tracker",
    "triage",
];
const BELOW: &[&str] =
    &["clock", "domain", "file_lock", "git", "health", "protocol", "spool", "store"];
const EDGES: &[&str] = &["api", "intake", "web"];

/// What a room may know: names of rooms, or `room::Item` for a single item. `None`: no such room.
fn may_know(room: &str) -> Option<Vec<&'static str>> {
    Some(match room {
        "domain" | "file_lock" => vec![],
        "clock" | "config" | "health" | "protocol" => vec!["domain"],
        "git" | "spool" | "store" => vec!["domain", "file_lock"],
        room if USE_CASES.contains(&room) => [USE_CASES, BELOW].concat(),
        room if EDGES.contains(&room) => [USE_CASES, BELOW].concat(),
        "cli" => vec!["clock", "config", "domain", "file_lock", "protocol"],
        "app" => [USE_CASES, BELOW, EDGES, &["cli", "config"]].concat(),
        "main" => vec!["app", "cli", "config"],
        _ => return None,
    })
}

fn why(room: &str) -> &'static str {
    match room {
        "domain" => "the rules are pure and know nobody",
        "file_lock" => "it is a lock and nothing else",
        "clock" | "config" | "git" | "health" | "protocol" | "spool" | "store" => {
            "it serves the use cases and knows only `domain` and how a file is locked"
        }
        "cli" => "it speaks HTTP like any client; only src/cli/serve.rs starts the server",
        "main" => "it parses arguments and runs one command",
        room if EDGES.contains(&room) => {
            "an edge knows use cases and plain data, no other edge, and the store it reads from"
        }
        _ => "a use case knows use cases and what they are built on, never an edge",
    }
}

/// Files that may know more than their room.
fn exception(path: &str) -> &'static [&'static str] {
    match path {
        "src/cli/serve.rs" => &["app", "spool"],
        _ => &[],
    }
}

/// All that is wrong with who knows whom: forbidden knowledge, unknown rooms, circles.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut edges: Edges = BTreeMap::new();
    for source in sources {
        let Some(room) = room_of(&source.path) else { continue };
        let Some(allowed) = may_know(room) else {
            findings.push(unknown(source, 1, room));
            continue;
        };
        for Named { line, path } in named(source, room) {
            let target = path.first().map_or("", String::as_str);
            if target == room {
                continue;
            }
            edges
                .entry((room.into(), target.into()))
                .or_insert_with(|| format!("{}:{line}", source.path));
            if may_know(target).is_none() {
                findings.push(unknown(source, line, target));
            } else if !allowed.iter().chain(exception(&source.path)).any(|may| covers(may, &path)) {
                let what = format!("`{room}` may not know `{}`: {}", path.join("::"), why(room));
                findings.push(Finding::new(source, line, what));
            }
        }
    }
    findings.extend(circles(&edges));
    findings
}

fn unknown(source: &Source, line: usize, room: &str) -> Finding {
    let what = format!("unknown top-level module `{room}`: add it to the table in tests/it/tidy");
    Finding::new(source, line, what)
}

/// Whether `may` (`store` or `store::Db`) allows this path.
fn covers(may: &str, path: &[String]) -> bool {
    may.split("::").enumerate().all(|(at, part)| path.get(at).is_some_and(|own| own == part))
}

/// The room that a file belongs to; `lib.rs` only declares rooms.
fn room_of(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/")?;
    let first = inner.split('/').next()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (room != "lib").then_some(room)
}

/// How many `super` lead from a file's top to the crate's root.
fn depth_of(path: &str) -> usize {
    if path == "src/main.rs" { 0 } else { path.matches('/').count() }
}

/// A path that starts in the crate's root.
struct Named {
    line: usize,
    path: Vec<String>,
}

/// The crate's own paths that a source names: `crate::…`, `super::…` as far as the root, and in
/// `main.rs` the library by its name.
fn named(source: &Source, room: &str) -> Vec<Named> {
    let tokens = tokens(&source.text);
    let at = |index: usize| tokens.get(index).map(|placed| &placed.token);
    let mut found = Vec::new();
    let mut depth = 0_usize;
    // The brace depth of each inline `mod … {` around the token.
    let mut inline_mods = Vec::new();
    for (index, placed) in tokens.iter().enumerate() {
        let starts = index == 0 || at(index - 1) != Some(&Token::PathSep);
        match &placed.token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth = depth.saturating_sub(1);
                if inline_mods.last() == Some(&depth) {
                    inline_mods.pop();
                }
            }
            Token::Word(word) if word == "mod" && at(index + 2) == Some(&Token::Sign('{')) => {
                inline_mods.push(depth);
            }
            Token::Word(word) if word == "super" && starts => {
                let mut supers = 0;
                while at(index + 2 * supers).is_some_and(|token| token.is_word("super"))
                    && at(index + 2 * supers + 1) == Some(&Token::PathSep)
                {
                    supers += 1;
                }
                if supers > 0 && supers == depth_of(&source.path) + inline_mods.len() {
                    tree(&tokens, index + 2 * supers, &[], &mut found);
                }
            }
            Token::Word(word)
                if (word == "crate" || (word == "airlock" && room == "main"))
                    && starts
                    && at(index + 1) == Some(&Token::PathSep) =>
            {
                tree(&tokens, index + 2, &[], &mut found);
            }
            Token::Word(_) | Token::PathSep | Token::Sign(_) | Token::Text(_) => {}
        }
    }
    found
}

/// Reads a path or a `use` tree from `index` on, adds its paths, and returns where it ends.
fn tree(tokens: &[Placed], index: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let Some(Placed { line, token }) = tokens.get(index) else { return index };
    let mut path = prefix.to_vec();
    match token {
        Token::Sign('{') => {
            let mut next = index + 1;
            while let Some(placed) = tokens.get(next) {
                next = match &placed.token {
                    Token::Sign('}') => return next + 1,
                    // `as Alias` and the commas between.
                    Token::Sign(_) | Token::PathSep | Token::Text(_) => next + 1,
                    Token::Word(word) if word == "as" => next + 2,
                    Token::Word(_) => tree(tokens, next, prefix, found),
                };
            }
            next
        }
        Token::Word(word) => {
            if word != "self" {
                path.push(word.clone());
            }
            if tokens.get(index + 1).is_some_and(|next| next.token == Token::PathSep) {
                return tree(tokens, index + 2, &path, found);
            }
            found.push(Named { line: *line, path });
            index + 1
        }
        // `*`, or `::<T>`.
        Token::Sign(_) | Token::PathSep | Token::Text(_) => {
            found.push(Named { line: *line, path });
            index + 1
        }
    }
}

/// (who, whom) → where it was first seen.
type Edges = BTreeMap<(String, String), String>;

/// Each circle once, named by its way round.
fn circles(edges: &Edges) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut done = Vec::new();
    for (room, _) in edges.keys() {
        walk(room, edges, &mut Vec::new(), &mut done, &mut found);
    }
    found
}

fn walk<'a>(
    room: &'a str,
    edges: &'a Edges,
    way: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
    found: &mut Vec<Finding>,
) {
    if let Some(start) = way.iter().position(|&earlier| earlier == room) {
        found.push(circle(way.get(start..).unwrap_or_default(), edges));
        return;
    }
    if done.contains(&room) {
        return;
    }
    way.push(room);
    for (_, whom) in edges.keys().filter(|(who, _)| who == room) {
        walk(whom, edges, way, done, found);
    }
    way.pop();
    done.push(room);
}

fn circle(rooms: &[&str], edges: &Edges) -> Finding {
    let steps: Vec<String> = rooms
        .iter()
        .zip(rooms.iter().cycle().skip(1))
        .map(|(who, whom)| {
            let place = edges.get(&((*who).to_owned(), (*whom).to_owned()));
            format!("{who} knows {whom} ({})", place.map_or("?", String::as_str))
        })
        .collect();
    Finding::overall(format!(
        "a circle: {}; rooms in a circle can only be understood and tested together",
        steps.join(", ")
    ))
}

#[test]
fn rooms_know_only_whom_they_may() {
    Finding::assert_none(&check(&super::source::sources("src")));
}

/// What the check says about one made-up file.
fn said(path: &str, text: &str) -> Vec<String> {
    check(&[Source::made_up(path, text)]).iter().map(ToString::to_string).collect()
}

#[test]
fn a_forbidden_import_is_named_with_its_place_and_reason() {
    assert_eq!(
        said("src/domain/gate.rs", "\nuse crate::store::Db;\n"),
        [
            "src/domain/gate.rs:2: `domain` may not know `store::Db`: the rules are pure and know nobody"
        ]
    );
}

#[test]
fn every_way_of_naming_a_room_is_seen() {
    for text in [
        "use crate::web;",
        "use crate::web as pages;",
        "use crate::{domain::id, web::{self, page}};",
        "fn f() { crate::web::page::<u8>() }",
        "pub(in crate::web) fn f() {}",
        "use super::super::web::page;",
        "mod tests { use super::super::super::web; }",
        "macro_rules! m { () => { $crate::web::page() } }",
    ] {
        assert!(!said("src/digest/batch.rs", text).is_empty(), "{text}");
    }
}

#[test]
fn what_is_allowed_stays_unsaid() {
    for (path, text) in [
        ("src/digest/batch.rs", "use crate::{domain::{event, id as x}, store::{Db, Tx}};"),
        ("src/digest/batch.rs", "use super::fold; use crate::digest::fold; // crate::web"),
        ("src/digest/batch.rs", "mod tests { use super::super::web; }"),
        ("src/intake/envelope.rs", "use crate::{spool::Spool, protocol::sentry, store::Db};"),
        ("src/cli/serve.rs", "use crate::app::App;"),
        ("src/main.rs", "use airlock::cli;"),
        ("src/lib.rs", "pub mod anything;"),
    ] {
        assert_eq!(said(path, text), Vec::<String>::new(), "{path} {text}");
    }
}

#[test]
fn edges_know_no_edge() {
    assert!(!said("src/api/issues.rs", "use crate::web::page;").is_empty());
    assert!(!said("src/cli/gate.rs", "use crate::app::App;").is_empty());
    assert!(!said("src/main.rs", "use airlock::store::Db;").is_empty());
}

#[test]
fn an_unknown_room_asks_for_the_table() {
    for (path, text) in [("src/helpers.rs", ""), ("src/app.rs", "use crate::helpers::x;")] {
        let said = said(path, text);
        assert!(said.iter().any(|line| line.contains("add it to the table")), "{said:?}");
    }
}

#[test]
fn a_circle_is_named_with_all_its_steps() {
    let sources = [
        Source::made_up("src/release/fix.rs", "use crate::triage::x;"),
        Source::made_up("src/triage.rs", "use crate::outbox::x;"),
        Source::made_up("src/outbox.rs", "use crate::{release::x, store::y};"),
        Source::made_up("src/digest.rs", "use crate::{release::x, triage::y};"),
    ];
    let said: Vec<String> = check(&sources).iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    let steps = "release knows triage (src/release/fix.rs:1), triage knows outbox \
                 (src/triage.rs:1), outbox knows release (src/outbox.rs:1)";
    assert!(said.first().is_some_and(|line| line.contains(steps)), "{said:?}");
}
