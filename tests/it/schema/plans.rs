//! Whatever reads a table that grows is answered from an index.

use std::fmt::Write as _;

use airlock::store::{Tx, statements};
use sqlx::{AssertSqlSafe, Row as _};

use super::statements::is_for;
use crate::support::{Engine, TestApp, crash};

/// Tables that grow with the events of a project.
const OF_EVENTS: [&str; 5] =
    ["events", "issue_hashes", "issue_counts", "issue_tags", "issue_users"];

/// Statements that may read all that a project has: they clear it away, go on where they stopped, or
/// have to doubt all of it.
fn may_read_project(name: &str) -> bool {
    name.starts_with("project::")
        || matches!(
            name,
            "event::LIST_LATEST_BODIES"
                | "retention::COUNT_BODIES"
                | "retention::FIND_RECEIVED_AT"
                | "retention::LIST_BODIES"
                | "rules::COUNT_NEW_HASHES"
                | "unsettled::UNSETTLE_ALL"
        )
}

/// Tables that grow with what comes in.
const GROWING: [&str; 12] = [
    "events",
    "issues",
    "issue_hashes",
    "issue_counts",
    "issue_tags",
    "issue_users",
    "issue_activity",
    "outbox",
    "buried",
    "outcomes",
    "tokens",
    "project_keys",
];

/// Statements that read all of a growing table, with the reason why they may.
const MAY_SCAN: [(&str, &str); 7] = [
    ("buried::DELETE_BEFORE", "once an hour, of what could not be digested"),
    ("buried::COUNT", "few, and from the index alone"),
    ("issue::LIST_MUTES_OVER", "its index has muted issues only"),
    ("key::LIST_ALL", "all keys are held in memory"),
    ("outbox::COUNT_OPEN", "from an index that has only those"),
    ("outbox::COUNT_PARKED", "from an index that has only those"),
    ("token::LIST", "a page by id, of all projects"),
];

/// Hot statements and the index PostgreSQL has to know for them.
const HOT: [(&str, &str); 17] = [
    ("batch::LIST_KNOWN_POSTGRES", "events_pkey"),
    ("batch::LIST_FACTS_POSTGRES", "issue_hashes_pkey"),
    ("batch_issues::LOCK_POSTGRES", "issues_pkey"),
    ("batch_issues::NUMBER_POSTGRES", "issues_pkey"),
    ("counters::LIST_UNKNOWN_TAGS_POSTGRES", "issue_tags_pkey"),
    ("counters::COUNT_VALUES_POSTGRES", "issue_tags_pkey"),
    ("event::LIST_BODIES_OF_HASH", "events_project_hash_body_idx"),
    ("users::LIST_SMALLEST", "issue_users_pkey"),
    ("event::FIND", "events_pkey"),
    ("event::LIST_OF_HASH", "events_project_hash_occurred_idx"),
    ("event::LIST_HASHES_POSTGRES", "issue_hashes_project_issue_idx"),
    ("activity::LIST_ENVIRONMENTS_POSTGRES", "issue_tags_pkey"),
    ("issue::FIND_BY_NUMBER", "issues_project_number_idx"),
    ("issue::LIST_BY_LAST_SEEN", "issues_project_last_seen_idx"),
    ("issue::LIST_SEEN_IN_BY_LAST_SEEN", "issue_tags_project_environment_idx"),
    ("issue::LIST_MUTES_OVER", "issues_project_mute_until_idx"),
    ("token::FIND_BY_HASH", "tokens_secret_hash_idx"),
];

/// A store that has seen something.
async fn used(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for n in 0..200 {
        app.send_event(&shop, &crash(&format!("Error{}", n % 40))).await.ok();
    }
    app.digested().await;
    app
}

fn may_scan(name: &str) -> bool {
    MAY_SCAN.iter().any(|(allowed, _)| *allowed == name)
}

/// SQLite is part of the binary, so that its plans are always the same: all of them are written
/// down. `SCAN` of a growing table is what must not be among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_plans() {
    let app = used(Engine::Sqlite).await;
    let mut tx = app.running.store().write().await.expect("a transaction");
    let Tx::Sqlite(connection) = &mut tx else { panic!("not SQLite") };
    let (mut plans, mut scans) = (String::new(), Vec::new());
    for (file, name, text) in statements() {
        if !is_for(Engine::Sqlite, name) || text.starts_with("PRAGMA") {
            continue;
        }
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let rows = sqlx::query(explain).fetch_all(&mut **connection).await.expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        // What belongs to a project is deleted table by table.
        let table = if name == "CLEAR" { text.split(' ').nth(2).unwrap_or_default() } else { "" };
        let name = format!("{file}::{name}");
        for line in &plan {
            let scanned = line.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let is_growing = scanned.is_some_and(|table| GROWING.contains(&table));
            if is_growing && !may_scan(&name) {
                scans.push(format!("{name}: {line}"));
            }
            // All events of a project are as bad as all of them.
            let searched =
                line.trim().strip_prefix("SEARCH ").and_then(|rest| rest.split(' ').next());
            let is_of_events = searched.is_some_and(|table| OF_EVENTS.contains(&table));
            if is_of_events && line.ends_with("(project_id=?)") && !may_read_project(&name) {
                scans.push(format!("{name}: {line}"));
            }
        }
        writeln!(plans, "{}\n    {}", format!("{name} {table}").trim_end(), plan.join("\n    "))
            .expect("a string");
    }
    assert!(scans.is_empty(), "{scans:#?}");
    insta::assert_snapshot!("sqlite_plans", plans);
    drop(tx);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_answers_from_an_index() {
    let app = used(Engine::Postgres).await;
    let mut tx = app.running.store().write().await.expect("a transaction");
    let Tx::Postgres(connection) = &mut tx else { panic!("not PostgreSQL") };
    // Few rows are read fastest as a whole; what is asked here is whether there is another way.
    let settings = "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan;
        ANALYZE";
    sqlx::raw_sql(settings).execute(&mut **connection).await.expect("settings");
    let (mut n_hot, mut scans) = (0, Vec::new());
    for (n, (file, name, text)) in (0..).zip(statements()) {
        let is_explained = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]
            .iter()
            .any(|verb| text.starts_with(verb));
        if !is_for(Engine::Postgres, name) || !is_explained {
            continue;
        }
        let name = format!("{file}::{name}");
        let n_parameters =
            (1..30).take_while(|number| text.contains(&format!("${number}"))).count();
        let prepare = format!("PREPARE hot_{n} AS {text}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut **connection).await.expect("prepared");
        let parameters = vec!["NULL"; n_parameters].join(", ");
        let parameters = if n_parameters > 0 { format!("({parameters})") } else { String::new() };
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE hot_{n} {parameters}"));
        let rows = sqlx::raw_sql(explain).fetch_all(&mut **connection).await.expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        for table in GROWING {
            let scan = format!("Seq Scan on {table} ");
            let is_scan = plan.contains(&scan) && !may_scan(&name);
            if is_scan {
                scans.push(format!("{name}:\n{plan}"));
            }
        }
        for (_, index) in HOT.iter().filter(|(hot, _)| *hot == name) {
            assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
            n_hot += 1;
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n"));
    assert_eq!(n_hot, HOT.len(), "some are no statements any more");
    drop(tx);
    app.stop().await;
}
