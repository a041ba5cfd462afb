//! Words that belong to one room: SQL, and the crates that a room keeps to itself. And one word
//! that belongs to no test: sleep.

use super::Finding;
use super::source::{Placed, Source, Token, tokens};

/// How a statement begins. `DELETE /locks/7` is no statement, `DELETE FROM` is.
const STATEMENTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "CREATE UNIQUE INDEX ",
    "ALTER TABLE ",
    "DROP TABLE ",
    "WITH RECURSIVE ",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
    "BEGIN READ ONLY",
    "VACUUM",
];

/// A crate, the rooms that may name it, and why no other.
const OWNED: &[(&str, &[&str], &str)] = &[
    ("actix_web", &["api", "app", "intake", "web"], "HTTP stays at the edges"),
    ("sqlx", &["store"], "all SQL lives in `store`"),
    ("reqwest", &["cli", "outbox", "tracker"], "only these rooms call out over HTTP"),
];

/// SQL and owned crates outside their rooms.
fn check_src(source: &Source) -> Vec<Finding> {
    let room = room_of(&source.path);
    let mut findings = Vec::new();
    for Placed { line, token } in tokens(&source.text) {
        let what = match token {
            Token::Text(text) if room != "store" => statement(&text).map(|begin| {
                format!("a statement ({begin}…) outside `store`: all SQL lives in `store`")
            }),
            Token::Word(word) => OWNED
                .iter()
                .find(|(owned, rooms, _)| *owned == word && !rooms.contains(&room))
                .map(|(owned, rooms, why)| {
                    format!("`{owned}` belongs to {}, not to `{room}`: {why}", rooms.join(", "))
                }),
            Token::Text(_) | Token::PathSep | Token::Sign(_) => None,
        };
        findings.extend(what.map(|what| Finding::new(source, line, what)));
    }
    findings
}

/// `src/store.rs` and `src/store/…` are `store`.
fn room_of(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let first = inner.split('/').next().unwrap_or(inner);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn statement(text: &str) -> Option<&'static str> {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
    STATEMENTS.iter().find(|begin| flat.starts_with(**begin)).copied()
}

/// Sleeping in tests: they wait for what they need, which `support` knows how to do.
fn check_test(source: &Source) -> Vec<Finding> {
    if source.path.starts_with("tests/it/support") {
        return Vec::new();
    }
    let tokens = tokens(&source.text);
    tokens
        .iter()
        .zip(tokens.iter().skip(1))
        .filter(|(word, open)| word.token.is_word("sleep") && open.token == Token::Sign('('))
        .map(|(word, _)| {
            let what = "a sleep: it is too short on a busy machine and too long on any other; \
                        wait for the thing itself with a helper of tests/it/support";
            Finding::new(source, word.line, what.to_owned())
        })
        .collect()
}

#[test]
fn sql_and_owned_crates_stay_in_their_rooms() {
    let findings: Vec<_> = super::source::sources("src").iter().flat_map(check_src).collect();
    Finding::assert_none(&findings);
}

#[test]
fn no_test_sleeps() {
    let findings: Vec<_> = super::source::sources("tests/it").iter().flat_map(check_test).collect();
    Finding::assert_none(&findings);
}

fn said(path: &str, text: &str) -> Vec<String> {
    check_src(&Source::made_up(path, text)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_statement_outside_the_store_is_found() {
    for text in [
        r#"const A: &str = "SELECT id FROM issues";"#,
        "const A: &str = r#\"\n    UPDATE issues SET x = 1\n\"#;",
        r#"f("\n  DELETE   FROM locks WHERE id = $1")"#,
        r#"format!("INSERT INTO {table} (id)")"#,
    ] {
        assert_eq!(said("src/release/fix.rs", text).len(), 1, "{text}");
        assert_eq!(said("src/store/issues.rs", text), Vec::<String>::new());
    }
    let prose = r#"// "SELECT id"
        f("Select a project", "DELETE /locks/7", "UPDATED", "selected")"#;
    assert_eq!(said("src/web.rs", prose), Vec::<String>::new());
}

#[test]
fn an_owned_crate_in_another_room_is_found() {
    assert_eq!(
        said("src/domain.rs", "\nuse actix_web::HttpResponse;"),
        [
            "src/domain.rs:2: `actix_web` belongs to api, app, intake, web, not to `domain`: HTTP stays at the edges"
        ]
    );
    assert_eq!(said("src/app.rs", "let pool = sqlx::SqlitePool::connect(url);").len(), 1);
    assert_eq!(said("src/git/fetch.rs", "use reqwest;").len(), 1);
    assert_eq!(said("src/store.rs", "use sqlx::SqlitePool; // reqwest"), Vec::<String>::new());
    assert_eq!(said("src/cli/gate.rs", "use reqwest::Client;"), Vec::<String>::new());
}

#[test]
fn a_sleep_in_a_test_is_found() {
    let text = "\nfn wait() { std::thread::sleep(LONG) }";
    let said = |path| check_test(&Source::made_up(path, text)).len();
    assert_eq!(said("tests/it/deploy.rs"), 1);
    assert_eq!(said("tests/it/support/wait.rs"), 0);
}
