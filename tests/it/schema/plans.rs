//! What runs for every report and every page is answered from an index.

use airlock::store::{Tx, statements};
use sqlx::{AssertSqlSafe, Row as _};

use crate::support::{Engine, TestApp, crash};

/// The hot statements and the index each begins with: that of SQLite, that of PostgreSQL.
const HOT: [(&str, &str, &str); 24] = [
    ("batch::LIST_KNOWN_SQLITE", "sqlite_autoindex_events_1", ""),
    ("batch::LIST_KNOWN_POSTGRES", "", "events_pkey"),
    ("batch::LIST_FACTS_SQLITE", "sqlite_autoindex_issue_hashes_1", ""),
    ("batch::LIST_FACTS_POSTGRES", "", "issue_hashes_pkey"),
    ("batch_issues::LOCK_POSTGRES", "", "issues_pkey"),
    ("batch_issues::NUMBER_SQLITE", "sqlite_autoindex_issues_1", ""),
    ("batch_issues::NUMBER_POSTGRES", "", "issues_pkey"),
    (
        "counters::LIST_UNKNOWN_TAGS_SQLITE",
        "PRIMARY KEY (project_id=? AND issue_id=? AND tag=? AND value=?)",
        "",
    ),
    ("counters::LIST_UNKNOWN_TAGS_POSTGRES", "", "issue_tags_pkey"),
    ("counters::COUNT_VALUES_SQLITE", "PRIMARY KEY", ""),
    ("counters::COUNT_VALUES_POSTGRES", "", "issue_tags_pkey"),
    ("event::FIND_LATEST_BODY", "events_project_hash_body_idx", "events_project_hash_body_idx"),
    ("users::LIST_SMALLEST", "PRIMARY KEY", "issue_users_pkey"),
    ("event::FIND", "sqlite_autoindex_events_1", "events_pkey"),
    ("event::LIST_OF_HASH", "events_project_hash_occurred_idx", "events_project_hash_occurred_idx"),
    ("event::LIST_HASHES_SQLITE", "issue_hashes_project_issue_idx", ""),
    ("event::LIST_HASHES_POSTGRES", "", "issue_hashes_project_issue_idx"),
    ("activity::LIST_ENVIRONMENTS_SQLITE", "PRIMARY KEY", ""),
    ("activity::LIST_ENVIRONMENTS_POSTGRES", "", "issue_tags_"),
    ("issue::FIND_BY_NUMBER", "issues_project_number_idx", "issues_project_number_idx"),
    ("issue::LIST_BY_LAST_SEEN", "issues_project_last_seen_idx", "issues_project_last_seen_idx"),
    (
        "issue::LIST_SEEN_IN_BY_LAST_SEEN",
        "issue_tags_project_environment_idx",
        "issue_tags_project_environment_idx",
    ),
    ("issue::LIST_MUTES_OVER", "issues_project_mute_until_idx", "issues_project_mute_until_idx"),
    ("token::FIND_BY_HASH", "tokens_secret_hash_idx", "tokens_secret_hash_idx"),
];

/// An index of muted issues only: reading all of it is fine.
const PARTIAL: &str = "issues_project_mute_until_idx";

/// Statements that may sort, because an issue has few hashes and environments.
const FEW_ROWS: [&str; 2] = ["event::LIST_HASHES_SQLITE", "activity::LIST_ENVIRONMENTS_SQLITE"];

fn text_of(wanted: &str) -> &'static str {
    let found =
        statements().into_iter().find(|(file, name, _)| format!("{file}::{name}") == wanted);
    found.unwrap_or_else(|| panic!("{wanted} is no statement")).2
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_answers_hot_statements_from_an_index() {
    let app = used(Engine::Sqlite).await;
    let mut tx = app.running.store().write().await.expect("a transaction");
    let Tx::Sqlite(connection) = &mut tx else { panic!("not SQLite") };
    for (name, index, _) in HOT.iter().filter(|(_, index, _)| !index.is_empty()) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", text_of(name)));
        let rows = sqlx::query(explain).fetch_all(&mut **connection).await.expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let plan = plan.join("\n");
        for table in ["events", "issues", "issue_hashes", "issue_tags", "tokens"] {
            let scan = format!("SCAN {table}");
            let is_scan = |line: &str| line.starts_with(&scan) && !line.contains(PARTIAL);
            assert!(!plan.lines().any(is_scan), "{name} reads all of {table}:\n{plan}");
        }
        assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
        let sorts = plan.contains("USE TEMP B-TREE FOR ORDER BY");
        assert!(!sorts || FEW_ROWS.contains(name), "{name} sorts:\n{plan}");
    }
    drop(tx);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_answers_hot_statements_from_an_index() {
    let app = used(Engine::Postgres).await;
    let mut tx = app.running.store().write().await.expect("a transaction");
    let Tx::Postgres(connection) = &mut tx else { panic!("not PostgreSQL") };
    // Few rows are read fastest as a whole; what is asked here is whether there is another way.
    let settings = "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan;
        ANALYZE";
    sqlx::raw_sql(settings).execute(&mut **connection).await.expect("settings");
    for (n, (name, _, index)) in (0..).zip(HOT).filter(|(_, (_, _, index))| !index.is_empty()) {
        let text = text_of(name);
        let n_parameters =
            (1..30).take_while(|number| text.contains(&format!("${number}"))).count();
        let prepare = format!("PREPARE hot_{n} AS {text}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut **connection).await.expect("prepared");
        let parameters = vec!["NULL"; n_parameters].join(", ");
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE hot_{n} ({parameters})"));
        let rows = sqlx::raw_sql(explain).fetch_all(&mut **connection).await.expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        for table in ["events", "issues", "issue_hashes", "issue_tags", "tokens"] {
            let scan = format!("Seq Scan on {table} ");
            assert!(!plan.contains(&scan), "{name} reads all of {table}:\n{plan}");
        }
        assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
    }
    drop(tx);
    app.stop().await;
}
