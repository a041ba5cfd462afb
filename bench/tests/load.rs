//! The load benchmarks in short: that they measure, not what.

use std::process::Command;

/// Runs a benchmark on both engines; gives what it says.
fn bench(args: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "only ./test knows where its PostgreSQL is")]
    let postgres = std::env::var("AIRLOCK_TEST_POSTGRES").expect("./test starts one and sets it");
    // The service is another package's program, beside this one: ./test builds the workspace.
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = bench.args(args).args(["--postgres", &postgres]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The numbers of a line.
fn numbers(said: &str, line: &str) -> Vec<f64> {
    let found = said.lines().find(|said| said.starts_with(line));
    let found = found.unwrap_or_else(|| panic!("no {line}: {said}"));
    found.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn load_is_measured_beside_the_sink() {
    let said = bench(&[
        "load",
        "--events",
        "200",
        "--issues",
        "10",
        "--runs",
        "1",
        "--steady-seconds",
        "1",
    ]);
    // The sink and both engines, and the ratios of these to the sink.
    for line in ["accepted/s", "stored/s", "CPU us/event", "steady p99 ms", "peak MB"] {
        let numbers = numbers(&said, line);
        assert_eq!(numbers.len(), 5, "{line}: {said}");
        assert!(numbers.iter().all(|number| *number > 0.0), "{line}: {said}");
    }
}

#[test]
fn a_backlog_is_counted_exactly() {
    let said = bench(&["backlog", "--events", "300", "--issues", "7"]);
    assert_eq!(said.lines().filter(|line| line.ends_with("all counts are exact")).count(), 2);
}

#[test]
fn many_servers_on_one_database_count_exactly() {
    let said = bench(&["nodes", "--nodes", "3", "--events", "200", "--issues", "2"]);
    assert!(said.contains("600 events of 2 issues"), "{said}");
    assert!(said.contains("0 deadlocks; all counts are exact"), "{said}");
}

#[test]
fn a_large_store_is_looked_at_while_reports_come_in() {
    let said = bench(&["scale", "--events", "300", "--issues", "30", "--seconds", "1"]);
    assert_eq!(said.lines().filter(|line| line.starts_with("start until")).count(), 2, "{said}");
    for line in ["latest issues", "search, one", "issue page", "issue's events"] {
        let numbers = numbers(&said, line);
        let [n_looks, times @ ..] = numbers.as_slice() else { panic!("{line}: {said}") };
        assert!(*n_looks >= 1.0 && times.iter().all(|time| *time > 0.0), "{line}: {said}");
    }
}
