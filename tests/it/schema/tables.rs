//! Both migrations make the same tables.

use std::collections::BTreeSet;

use crate::support::{Engine, TestApp, both};

/// `issues.number 2 INTEGER optional`: table, column, place, type, whether there may be nothing.
const COLUMNS_SQLITE: &str =
    "SELECT tables.name || '.' || columns.name || ' ' || columns.cid || ' '
        || columns.type || ' '
        || CASE WHEN columns.\"notnull\" = 1 OR columns.pk > 0 THEN 'required' ELSE 'optional' END
    FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite!_%' ESCAPE '!'
        AND tables.name <> '_sqlx_migrations'";
const COLUMNS_POSTGRES: &str = "SELECT CAST(table_name || '.' || column_name || ' '
        || (ordinal_position - 1) || ' ' || upper(data_type) || ' '
        || CASE is_nullable WHEN 'NO' THEN 'required' ELSE 'optional' END AS TEXT)
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'";

/// `issues project_id,id`: table and primary key.
const KEYS_SQLITE: &str = "SELECT name || ' ' || group_concat(field, ',')
    FROM (SELECT tables.name AS name, columns.name AS field
        FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite!_%' ESCAPE '!'
            AND tables.name <> '_sqlx_migrations' AND columns.pk > 0
        ORDER BY tables.name, columns.pk)
    GROUP BY name";
const KEYS_POSTGRES: &str = "SELECT CAST(tables.relname || ' '
        || string_agg(columns.attname, ',' ORDER BY place) AS TEXT)
    FROM pg_index JOIN pg_class AS tables ON tables.oid = pg_index.indrelid
    CROSS JOIN unnest(pg_index.indkey) WITH ORDINALITY AS fields (number, place)
    JOIN pg_attribute AS columns
        ON columns.attrelid = tables.oid AND columns.attnum = fields.number
    WHERE tables.relnamespace = 'public'::regnamespace AND pg_index.indisprimary
        AND tables.relname <> '_sqlx_migrations'
    GROUP BY tables.relname";

/// `issues_project_number_idx of issues unique whole project_id,number`.
const INDEXES_SQLITE: &str = "SELECT name || ' of ' || owner || kind || group_concat(field, ',')
    FROM (SELECT indexes.name AS name, tables.name AS owner,
            CASE indexes.\"unique\" WHEN 1 THEN ' unique' ELSE ' plain' END
                || CASE indexes.partial WHEN 1 THEN ' partial ' ELSE ' whole ' END AS kind,
            fields.name AS field
        FROM sqlite_master AS tables JOIN pragma_index_list(tables.name) AS indexes
        JOIN pragma_index_info(indexes.name) AS fields
        WHERE tables.type = 'table' AND indexes.origin = 'c'
            AND tables.name <> '_sqlx_migrations'
        ORDER BY indexes.name, fields.seqno)
    GROUP BY name, owner, kind";
const INDEXES_POSTGRES: &str = "SELECT CAST(indexes.relname || ' of ' || tables.relname
        || CASE WHEN pg_index.indisunique THEN ' unique' ELSE ' plain' END
        || CASE WHEN pg_index.indpred IS NULL THEN ' whole ' ELSE ' partial ' END
        || string_agg(columns.attname, ',' ORDER BY place) AS TEXT)
    FROM pg_index JOIN pg_class AS tables ON tables.oid = pg_index.indrelid
    JOIN pg_class AS indexes ON indexes.oid = pg_index.indexrelid
    CROSS JOIN unnest(pg_index.indkey) WITH ORDINALITY AS fields (number, place)
    JOIN pg_attribute AS columns
        ON columns.attrelid = tables.oid AND columns.attnum = fields.number
    WHERE tables.relnamespace = 'public'::regnamespace AND NOT pg_index.indisprimary
        AND tables.relname <> '_sqlx_migrations'
    GROUP BY indexes.relname, tables.relname, pg_index.indisunique, pg_index.indpred";

/// The types of SQLite that stand for one of PostgreSQL.
fn sqlite_type(postgres: &str) -> &str {
    match postgres {
        "BIGINT" | "BOOLEAN" => "INTEGER",
        "UUID" | "BYTEA" => "BLOB",
        "TEXT" => "TEXT",
        other => panic!("{other} has no counterpart in SQLite yet: add it here"),
    }
}

async fn set(app: &TestApp, sql: &str) -> BTreeSet<String> {
    let lines: BTreeSet<String> = app.stored_texts(sql).await.into_iter().collect();
    assert!(!lines.is_empty(), "nothing was compared");
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_tables_keys_and_indexes() {
    let sqlite = TestApp::start(Engine::Sqlite).await;
    let postgres = TestApp::start(Engine::Postgres).await;
    let columns = set(&postgres, COLUMNS_POSTGRES).await;
    let columns: BTreeSet<String> = columns
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, place, kind, need] = words[..] else { panic!("{line}") };
            format!("{name} {place} {} {need}", sqlite_type(kind))
        })
        .collect();
    assert_eq!(set(&sqlite, COLUMNS_SQLITE).await, columns);
    assert_eq!(set(&sqlite, KEYS_SQLITE).await, set(&postgres, KEYS_POSTGRES).await);
    assert_eq!(set(&sqlite, INDEXES_SQLITE).await, set(&postgres, INDEXES_POSTGRES).await);
    sqlite.stop().await;
    postgres.stop().await;
}

/// Tables that hold something of projects but are looked up by another key.
const GLOBAL: [&str; 1] = ["project_keys"];

both!(what_belongs_to_a_project_is_kept_by_project_and_goes_with_it, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let (columns, keys) = match engine {
        Engine::Sqlite => (COLUMNS_SQLITE, KEYS_SQLITE),
        Engine::Postgres => (COLUMNS_POSTGRES, KEYS_POSTGRES),
    };
    let keys = set(&app, keys).await;
    let columns = set(&app, columns).await;
    let table = |line: &String| line.split_once(".project_id ").map(|(table, _)| table.to_owned());
    let tables: BTreeSet<String> = columns.iter().filter_map(table).collect();
    let deleted: BTreeSet<String> = airlock::store::statements()
        .into_iter()
        .filter(|(file, name, _)| (*file, *name) == ("project", "CLEAR"))
        .filter_map(|(_, _, text)| {
            let (table, _) =
                text.strip_prefix("DELETE FROM ")?.split_once(" WHERE project_id = $1")?;
            Some(table.to_owned())
        })
        .collect();
    assert_eq!(deleted, tables, "deleting a project leaves nothing behind");
    for table in tables.iter().filter(|table| !GLOBAL.contains(&table.as_str())) {
        let key = format!("{table} project_id");
        let begins_so = |line: &String| line.split(',').next() == Some(&key);
        assert!(keys.iter().any(begins_so), "{table}: {keys:?}");
    }
    app.stop().await;
});
