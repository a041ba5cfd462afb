//! The crash harness in short: kills lose nothing and count nothing twice, on both engines.

use std::process::Command;

/// The number behind a word of a line.
fn number(line: &str, word: &str) -> u64 {
    let (_, rest) = line.rsplit_once(&format!(" {word} ")).expect("the word");
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

#[test]
fn kills_lose_nothing_and_double_nothing() {
    #[expect(clippy::disallowed_methods, reason = "only ./test knows where its PostgreSQL is")]
    let postgres = std::env::var("AIRLOCK_TEST_POSTGRES").expect("./test starts one and sets it");
    // The service is another package's program, beside this one: ./test builds the workspace.
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["crash", "kills", "--kills", "5", "--reports", "80", "--issues", "4"]);
    let output = bench.args(["--postgres", &postgres]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let results: Vec<&str> = said.lines().filter(|line| line.contains(": sent ")).collect();
    assert_eq!(results.len(), 2, "{said}");
    for result in results {
        assert!(number(result, "stored") > 0, "nothing was tested: {said}");
        assert_eq!((number(result, "missing"), number(result, "differences")), (0, 0), "{said}");
    }
}

#[test]
fn single_writes_fail_and_nothing_is_lost() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["crash", "sites", "--stride", "25", "--reports", "20", "--connections", "2"]);
    let output = bench.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let result = said.lines().find(|line| line.contains(": sent ")).expect("a result");
    assert!(number(result, "stored") > 0, "nothing was tested: {said}");
    assert_eq!((number(result, "missing"), number(result, "differences")), (0, 0), "{said}");
    let n_sites = said.lines().filter(|line| line.contains(" times: ")).count();
    assert!(n_sites >= 3, "too few sites: {said}");
}
