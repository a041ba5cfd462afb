//! Every statement of the store is understood by the engines it is for.

use std::collections::BTreeSet;

use airlock::store::{Tx, statements};
use sqlx::{Executor as _, SqlSafeStr as _};

use crate::support::{Engine, TestApp, both};

/// `…_SQLITE` and `…_POSTGRES` are for one engine, all others for both.
pub(super) fn is_for(engine: Engine, name: &str) -> bool {
    match engine {
        Engine::Sqlite => !name.ends_with("_POSTGRES"),
        Engine::Postgres => !name.ends_with("_SQLITE"),
    }
}

both!(every_statement_can_be_prepared, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let mut tx = app.running.store().write().await.expect("a transaction");
    let mut refused = Vec::new();
    for (file, name, text) in statements() {
        if !is_for(engine, name) {
            continue;
        }
        let prepared = match &mut tx {
            Tx::Sqlite(tx) => tx.prepare(text.into_sql_str()).await.map(drop),
            Tx::Postgres(tx) => {
                // A refused statement must not take the others with it.
                tx.execute("SAVEPOINT one").await.expect("a savepoint");
                let prepared = tx.prepare(text.into_sql_str()).await.map(drop);
                tx.execute("ROLLBACK TO SAVEPOINT one").await.expect("back to the savepoint");
                prepared
            }
        };
        if let Err(cause) = prepared {
            refused.push(format!("{file}::{name}: {cause}"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    drop(tx);
    app.stop().await;
});

/// The texts in the files of the store: `activity::INSERT`.
fn texts_of_the_source() -> BTreeSet<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut texts = BTreeSet::new();
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(path.is_file(), "{file}: statements are looked for in files, not deeper");
        let source = std::fs::read_to_string(&path).expect("a source");
        for line in source.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub(super) ").unwrap_or(line);
            let name = line.strip_prefix("const ").and_then(|rest| rest.split_once(':'));
            if let Some((name, kind)) = name
                && kind.trim_start().starts_with("&str")
            {
                texts.insert(format!("{file}::{name}"));
            }
        }
    }
    texts
}

#[test]
fn every_statement_is_listed() {
    let listed: BTreeSet<String> = statements()
        .into_iter()
        .map(|(file, name, _)| format!("{file}::{name}"))
        .filter(|name| name != "project::CLEAR")
        .collect();
    assert_eq!(listed, texts_of_the_source());
    assert!(listed.len() > 70, "{}", listed.len());
}

#[test]
fn what_is_for_one_engine_has_a_twin_for_the_other() {
    for (file, name, _) in statements() {
        let Some(stem) = name.strip_suffix("_SQLITE") else { continue };
        // What keeps SQLite's files small; PostgreSQL does it by itself.
        if file == "connect" {
            continue;
        }
        let twin = format!("{stem}_POSTGRES");
        let has_twin =
            statements().iter().any(|(other_file, other, _)| *other_file == file && *other == twin);
        assert!(has_twin, "{file}::{name}");
    }
}
